"""``torch.testing.make_tensor``: the values that torch draws with the same seed."""

import numpy as np
import pytest
import torch

import rushlight

CASES = [
    ("float32", {}),
    ("float64", {"low": -1, "high": 1}),
    ("float16", {"low": 0.5}),
    ("complex64", {}),
    ("int64", {}),
    ("int32", {"low": -2.5, "high": 7}),
    ("uint8", {"exclude_zero": True}),
    ("bool", {}),
    ("float32", {"noncontiguous": True}),
    ("int64", {"noncontiguous": True, "low": 0, "high": 2, "exclude_zero": True}),
    ("float32", {"memory_format": "channels_last"}),
]


@pytest.mark.parametrize(("dtype", "options"), CASES)
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 2, 1, 1)])
def test_values(dtype, options, shape):
    made = []
    for lib in (torch, rushlight):
        lib.manual_seed(5)
        given = {k: getattr(lib, v) if isinstance(v, str) else v for k, v in options.items()}
        made.append(
            lib.testing.make_tensor(shape, dtype=getattr(lib, dtype), device="cpu", **given)
        )
    assert str(made[0].dtype).split(".")[1] == str(made[1].dtype).split(".")[1] == dtype
    assert made[1].flatten().tolist() == made[0].flatten().tolist()
    assert made[1].is_contiguous() == made[0].is_contiguous()


@pytest.mark.parametrize("lib", [torch, rushlight])
def test_refuses_two_layouts(lib):
    with pytest.raises(ValueError, match="mutually exclusive"):
        lib.testing.make_tensor(
            2, 2, 2, 2,
            dtype=lib.float32,
            device="cpu",
            noncontiguous=True,
            memory_format=lib.channels_last,
        )  # fmt: skip


UNLIKE = {
    "number and tensor": lambda lib: (1.0, lib.tensor(1.0)),
    "tensor and number in a list": lambda lib: ([lib.ones(1)], [1.0]),
    "array and tensor": lambda lib: (np.ones(2), lib.ones(2)),
    "list and tensor": lambda lib: ([1.0], lib.ones(1)),
    "text": lambda lib: ("a", "a"),
    "an object": lambda lib: (object(), 1),
    "arrays of text": lambda lib: (np.array(["a"]), np.array(["a"])),
}


@pytest.mark.parametrize("lib", [torch, rushlight], ids=["torch", "rushlight"])
@pytest.mark.parametrize("pair", UNLIKE.values(), ids=UNLIKE)
def test_what_cannot_be_compared(pair, lib):
    with pytest.raises(TypeError, match="able to handle"):
        lib.testing.assert_close(*pair(lib))


@pytest.mark.parametrize("lib", [torch, rushlight], ids=["torch", "rushlight"])
def test_subclasses_may_be_refused(lib):
    pair = lib.nn.Parameter(lib.ones(2)), lib.ones(2)
    lib.testing.assert_close(*pair)
    with pytest.raises(TypeError, match="able to handle"):
        lib.testing.assert_close(*pair, allow_subclasses=False)
    with pytest.raises(AssertionError):
        lib.testing.assert_close(None, 1.0)
    lib.testing.assert_close({"a": None, "b": (1, True)}, {"a": None, "b": (1, True)})
    lib.testing.assert_close(1, 1.0, check_dtype=False)
    for pair in ((1, 1.0), (np.ones(2), np.ones(2, np.float32))):
        with pytest.raises(AssertionError, match="type"):
            lib.testing.assert_close(*pair)


TEXT = "graph:\n  one = add(x, y)\n  two = mul(one, x)\n  return two\n"
CHECKS = [  # rules, as (name, arguments), and the text
    ([("check", "add"), ("check", "mul")], TEXT),
    ([("check", "mul"), ("check", "add")], TEXT),
    ([("check", "add"), ("check_next", "mul")], TEXT),
    ([("check", "one"), ("check_next", "return")], TEXT),
    ([("check", "graph"), ("check_not", "mul"), ("check", "return")], TEXT),
    ([("check", "two"), ("check_not", "add"), ("check", "return")], TEXT),
    ([("check_not", "sub")], TEXT),
    ([("check_not", "add")], TEXT),
    ([("check", "add"), ("check_not", "add")], TEXT),
    ([("check", "one"), ("check_same", "add")], TEXT),
    ([("check", "one"), ("check_same", "mul")], TEXT),
    ([("check_count", "x", 2)], TEXT),
    ([("check_count", "x", 3)], TEXT),
    ([("check_count", "x", 1, True)], TEXT),
    ([("check_count", "x", 2, True)], TEXT),
    ([("check_dag", "mul"), ("check_dag", "add")], TEXT),
    ([("check_dag", "mul"), ("check_dag", "add"), ("check", "return")], TEXT),
    ([("check_dag", "return"), ("check_dag", "add"), ("check", "mul")], TEXT),
    ([("check_regex", r"t\w+ = mul")], TEXT),
    ([("check_regex", r"t\d+")], TEXT),
    ([], TEXT),
]


@pytest.mark.parametrize(("rules", "text"), CHECKS)
def test_file_check(rules, text):
    outcomes = []
    for lib in (rushlight, torch):
        rule = lib.testing.FileCheck()
        for name, *args in rules:
            rule = getattr(rule, name)(*args)
        try:
            outcomes.append(rule.run(text))
        except RuntimeError as error:
            outcomes.append(str(error))
    assert (outcomes[0] is None) == (outcomes[1] is None), outcomes
