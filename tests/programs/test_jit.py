"""Scripted and traced modules run, share their state, print as torch's, and can be saved."""

import copy
import pickle

import pytest
import torch as theirs

import rushlight as torch
from rushlight import _jit_internal, nn


class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.act = nn.Sequential(nn.ReLU())

    def forward(self, x):
        return self.act(self.linear(x))


SCRIPTED = """RecursiveScriptModule(
  original_name=Cell
  (linear): RecursiveScriptModule(original_name=Linear)
  (act): RecursiveScriptModule(
    original_name=Sequential
    (0): RecursiveScriptModule(original_name=ReLU)
  )
)"""


def test_a_scripted_module_is_the_module():
    cell, x = Cell(), torch.ones(1, 2)
    scripted = torch.jit.script(cell)
    assert repr(scripted) == SCRIPTED
    assert isinstance(scripted, torch.jit.ScriptModule) and scripted.original_name == "Cell"
    assert scripted(x).equal(cell(x))
    scripted.eval()
    scripted.linear.weight.data.zero_()
    assert not cell.training and not cell.linear.weight.any()
    assert list(scripted.state_dict()) == list(cell.state_dict())
    assert torch.jit.script(scripted) is scripted


@pytest.mark.parametrize("kind", ["script", "trace"])
def test_saved_and_loaded(kind, tmp_path):
    cell, x = Cell(), torch.ones(1, 2)
    made = torch.jit.script(cell) if kind == "script" else torch.jit.trace(cell, (x,))
    made.save(tmp_path / "cell.pt")
    loaded = torch.jit.load(tmp_path / "cell.pt")
    assert repr(loaded) == repr(made)
    for other in (loaded, copy.deepcopy(made)):
        assert type(other) is type(made) and other(x).equal(cell(x))
        assert other.linear.weight is not cell.linear.weight


def test_traced_modules_print_their_class_names():
    traced = torch.jit.trace(Cell(), torch.ones(1, 2))
    assert repr(traced).splitlines()[:3] == [
        "Cell(",
        "  original_name=Cell",
        "  (linear): Linear(original_name=Linear)",
    ]


def test_what_cannot_be_saved_says_so(tmp_path):
    class Local(Cell):
        pass

    with pytest.raises(RuntimeError, match="top of a Python file"):
        torch.jit.save(torch.jit.script(Local()), tmp_path / "local.pt")
    torch.save({"a": 1}, tmp_path / "other.pt")
    with pytest.raises(RuntimeError, match="was not written by"):
        torch.jit.load(tmp_path / "other.pt")


def test_example_inputs_may_be_a_list():
    module = torch.nn.Bilinear(2, 2, 1)
    a, b = torch.ones(1, 2), torch.zeros(1, 2)
    assert torch.jit.trace(module, [a, b])(a, b).shape == (1, 1)
    assert torch.jit.trace_module(module, {"forward": [a, b]})(a, b).shape == (1, 1)


def test_marks_from_the_module_of_old():
    pool = _jit_internal.boolean_dispatch(
        "indices", 2, False, lambda x, n, indices: "both", lambda x, n, indices=False: "one",
        __name__, "pool",
    )  # fmt: skip
    assert [pool(0, 1), pool(0, 1, True), pool(0, 1, indices=True)] == ["one", "both", "both"]
    assert (pool.__name__, pool.__module__) == ("pool", __name__)
    assert not _jit_internal.is_scripting()
    for mark in ("ignore", "unused", "export", "_overload", "_copy_to_script_wrapper"):
        assert getattr(_jit_internal, mark)(pool) is pool
    sizes: _jit_internal.BroadcastingList2[int] = 3
    assert torch.jit.isinstance([sizes, 3], _jit_internal.BroadcastingList2[int])
    assert torch.jit.annotations.BroadcastingList2 is _jit_internal.BroadcastingList2
    assert torch.jit._script_if_tracing(pool) is pool
    assert torch.jit._unwrap_optional(3) == 3
    with pytest.raises(AssertionError, match="null optional"):
        torch.jit._unwrap_optional(None)


@torch.jit.script
def powers(x, n: int):
    for _ in range(n):
        x = x * x
    return x


def plain(x):
    return x + 1


def test_scripted_functions_have_code_and_go_into_files(tmp_path):
    x = torch.full((2,), 2.0)
    assert isinstance(powers, torch.jit.ScriptFunction) and powers.name == "powers"
    assert powers.code.splitlines()[1] == "def powers(x, n: int):"
    assert powers(x, n=2).tolist() == [16, 16]
    assert pickle.loads(pickle.dumps(powers)) is powers and copy.deepcopy(powers)(x, 1)[0] == 4
    traced = torch.jit.trace(plain, x)
    assert pickle.loads(pickle.dumps(traced))(x).tolist() == [3, 3]
    traced.save(tmp_path / "plain.pt")
    assert torch.jit.load(tmp_path / "plain.pt")(x).tolist() == [3, 3]
    step = torch.compile(lambda x: powers(x, 2) + traced(x))
    assert [step(x).tolist() for _ in range(3)] == [[19, 19]] * 3


def test_traced_parts_of_scripted_modules_are_shown_as_traced():
    net = torch.jit.script(nn.Sequential(torch.jit.trace(Cell(), torch.ones(1, 2))))
    assert repr(net).splitlines()[2] == "  (0): Cell("


def test_frozen_modules_are_copies_without_gradients():
    cell = torch.jit.script(Cell().eval())
    frozen = torch.jit.freeze(cell)
    assert not frozen(torch.ones(1, 2)).requires_grad and cell(torch.ones(1, 2)).requires_grad


def test_the_type_of_tensors_is_one():
    assert repr(torch.TensorType.get()) == "Tensor"
    assert torch.TensorType.get() is torch.TensorType.get()
    with pytest.raises(TypeError, match=r"TensorType\.get\(\)"):
        torch.TensorType()


def last(x):
    return x[..., 2]


def item(x, i: int):
    parts = [x, x]
    return parts[i]


def value(x):
    parts = {"a": x}
    return parts["b"]


@pytest.mark.parametrize("lib", [theirs, torch])
@pytest.mark.parametrize(
    "call",
    [
        lambda lib, x: lib.jit.script(last)(x),
        lambda lib, x: lib.jit.trace(last, lib.ones(3))(x),
        lambda lib, x: lib.jit.script(item)(x, 5),
        lambda lib, x: lib.jit.script(value)(x),
    ],
)
def test_what_goes_wrong_in_scripts_is_a_runtime_error(call, lib):
    with pytest.raises(RuntimeError) as caught:
        call(lib, lib.ones(2))
    assert not isinstance(caught.value, LookupError)


class Last(nn.Module):
    def forward(self, x):
        return last(x)


def test_what_goes_wrong_in_traced_modules_is_a_runtime_error():
    traced = torch.jit.trace(nn.Sequential(Last()), torch.ones(3))
    assert traced(torch.arange(4.0)).item() == 2
    with pytest.raises(RuntimeError, match="IndexError: index 2 is out of bounds"):
        traced(torch.ones(2))


class Checked(nn.Module):
    def forward(self, x):
        assert x.dim() == 1, "a vector is needed"
        return x.view(4)


def refuse(x):
    if x.sum() > 0:
        raise ValueError("too much")
    return x.view(4)


def test_what_scripted_code_raises_by_itself_is_an_error_of_jit():
    module, function = torch.jit.script(Checked()), torch.jit.script(refuse)
    assert not issubclass(torch.jit.Error, RuntimeError)
    with pytest.raises(torch.jit.Error, match="AssertionError: a vector is needed"):
        module(torch.zeros(2, 2))
    with pytest.raises(torch.jit.Error, match="ValueError: too much"):
        function(torch.ones(3))
    for run in (module, function):
        assert run(torch.zeros(4)).shape == (4,)
        with pytest.raises(RuntimeError, match="shape"):
            run(torch.zeros(3))
