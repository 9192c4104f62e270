"""With ``weights_only=True``, the default, nothing that a file asks for is run. Each file tries."""

import builtins
import io
import os
import pickle
import struct
import warnings
import zipfile
from collections import OrderedDict
from fractions import Fraction

import pytest
import torch

import rushlight as rl
from rushlight.serialization import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    get_unsafe_globals_in_checkpoint,
    load,
    safe_globals,
    save,
)


def archive(data, **records):
    """A file with this pickle and these storages."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as z:
        z.writestr("archive/data.pkl", data)
        z.writestr("archive/version", "3\n")
        for key, value in records.items():
            z.writestr(f"archive/data/{key[1:]}", value)
    file.seek(0)
    return file


class Calls:
    """Pickles as a call."""

    def __init__(self, function, *args):
        self.parts = function, args

    def __reduce__(self):
        return self.parts


fired = []


def fire(*args, **kwargs):
    fired.append(args)


BOMBS = {
    "posix.system": Calls(os.system, "echo fired"),
    "builtins.eval": Calls(eval, "fired.append(1)"),
    "builtins.exec": Calls(exec, "raise SystemExit"),
    "builtins.getattr": Calls(getattr, {}, "keys"),
    "builtins.__import__": Calls(builtins.__import__, "antigravity"),
    "operator.attrgetter": Calls(__import__("operator").attrgetter, "a"),
    "functools.partial": Calls(__import__("functools").partial, fire),
    "fire": Calls(fire, 1),
    "_io.open": Calls(open, os.devnull),
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_calls(name, protocol):
    data = pickle.dumps({"w": [BOMBS[name]]}, protocol)
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed") as caught:
        load(archive(data))
    if protocol >= 2:
        last = name.rpartition(".")[2]
        assert last in str(caught.value)
        assert "weights_only=False" in str(caught.value)
    assert not fired


def test_message_says_what_and_what_to_do(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(archive(pickle.dumps(Fraction(1, 2), 2)).getvalue())
    with pytest.raises(pickle.UnpicklingError) as caught:
        load(path)
    text = str(caught.value)
    for part in (
        str(path),
        "fractions.Fraction",
        "add_safe_globals([Fraction])",
        "weights_only=False",
    ):
        assert part in text


def test_older_format():
    magic, version, system = 0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}
    parts = [magic, version, system, BOMBS["fire"], []]
    file = io.BytesIO(b"".join(pickle.dumps(p, 2) for p in parts))
    with pytest.raises(pickle.UnpicklingError, match="fire"):
        load(file)
    for i in range(5):
        parts = [magic, version, system, None, []]
        parts[i] = BOMBS["fire"]
        file = io.BytesIO(b"".join(pickle.dumps(p, 2) for p in parts))
        with pytest.raises(pickle.UnpicklingError):
            load(file)
    assert not fired


def test_plain_pickle():
    with pytest.raises(pickle.UnpicklingError, match="not written by save"):
        load(io.BytesIO(pickle.dumps({"a": 1})))
    with pytest.raises(pickle.UnpicklingError):
        load(io.BytesIO(pickle.dumps(BOMBS["fire"])))
    with pytest.raises(pickle.UnpicklingError):
        load(io.BytesIO(pickle.dumps(BOMBS["fire"])), weights_only=False)
    assert not fired


G = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORAGE = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x00" + b"0X\x03\0\0\0cpuK\x04tQ"
EMPTY = b"ccollections\nOrderedDict\n)R"


def tensor(where):
    """A pickle of one tensor, given its offset, size and stride."""
    return b"\x80\x02" + G + b"(" + STORAGE + where + b"\x89" + EMPTY + b"tR."


WHOLE = tensor(b"K\0K\x04\x85K\x01\x85")

ABUSES = {
    "a class as a function": b"\x80\x02ctorch\nFloatStorage\nJ\0\0\0\x7f\x85R.",
    "a dtype as a function": b"\x80\x02ctorch\nfloat32\n)R.",
    "tensor class called": b"\x80\x02ctorch\nTensor\nK\x05\x85Rq\0X\x01\0\0\0aK\x01s.",
    "attributes of a class": b"\x80\x02ctorch\nTensor\n}X\x07\0\0\0__add__K\x01sb.",
    "slots of a class": b"\x80\x02ccollections\nOrderedDict\nN}X\x04\0\0\0keysK\x01s\x86b.",
    "method of a dict": b"\x80\x02" + EMPTY + b"}X\x05\0\0\0itemsK\x01sb.",
    "item of a tensor's class": b"\x80\x02ctorch\nTensor\nX\x01\0\0\0aK\x01s.",
    "append to a module": b"\x80\x02ctorch\nfloat32\nK\x01a.",
    "dotted name": b"\x80\x04\x8c\x05torch\x8c\x0fTensor.__init__\x93.",
    "name by another path": b"\x80\x02crushlight.os\nsystem\n.",
    "instance by INST": b"(ios\nsystem\n.",
    "instance by OBJ": b"(cfractions\nFraction\nK\x01o.",
    "huge bytearray": b"\x80\x02c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
    "odd encoding": b"\x80\x02c_codecs\nencode\nX\x01\0\0\0aX\x05\0\0\0rot13\x86R.",
    "extension registry": b"\x80\x02\x82\x01.",
    "out-of-band buffer": b"\x80\x05\x97.",
    "unknown instruction": b"\x80\x02\xf0.",
    "future protocol": b"\x80\x2a.",
    "empty stack": b"\x80\x02R.",
    "nothing to stop with": b"\x80\x02.",
    "no mark": b"\x80\x02K\x01t.",
    "memo that is not there": b"\x80\x02h\x07.",
    "long text cut short": b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
    "odd number of dict items": b"\x80\x02}(K\x01u.",
    "list as a key": b"\x80\x02}]K\x01s.",
    "tuple too short": b"\x80\x02K\x01\x87.",
    "no key for a storage": b"\x80\x02K\x01Q.",
    "key of another kind": b"\x80\x02(X\x04\0\0\0codeK\x01K\x02K\x03K\x04tQ.",
    "function as storage class": STORAGE.replace(b"FloatStorage", b"device") + b".",
    "offset": tensor(b"K\x02K\x03\x85K\x01\x85"),
    "size": tensor(b"K\0K\x05\x85K\x01\x85"),
    "huge size": tensor(b"K\0J\xff\xff\xff\x7f\x85K\x01\x85"),
    "huge empty size": tensor(b"K\0J\xff\xff\xff\x7fJ\xff\xff\xff\x7fK\0\x87K\0K\0K\0\x87"),
    "stride": tensor(b"K\0K\x02\x85K\x04\x85"),
    "negative stride": tensor(b"K\0K\x02\x85J\xff\xff\xff\xff\x85"),
    "negative offset": tensor(b"J\xff\xff\xff\xffK\x02\x85K\x01\x85"),
    "size of text": tensor(b"K\0X\x01\0\0\0a\x85K\x01\x85"),
    "float offset": tensor(b"G\0\0\0\0\0\0\0\0K\x02\x85K\x01\x85"),
    "text for a storage": tensor(b"K\0K\x02\x85K\x01\x85").replace(STORAGE, b"X\x01\0\0\0a"),
    "65 dims": tensor(b"K\0(" + b"K\x01" * 65 + b"t(" + b"K\x01" * 65 + b"t"),
}  # fmt: skip


@pytest.mark.parametrize("name", ABUSES)
@pytest.mark.parametrize("mapped", [False, True])
def test_abuse(name, mapped, tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(archive(ABUSES[name], _0=bytes(16)).getvalue())
    with pytest.raises((pickle.UnpicklingError, RuntimeError), match=r"x\.pt"):
        load(path, mmap=mapped)
    assert "__add__" not in vars(OrderedDict) and not fired


def test_the_valid_form_of_these():
    data = struct.pack("<4f", 1, 2, 3, 4)
    assert load(archive(WHOLE, _0=data)).tolist() == [1, 2, 3, 4]


def state_pickle(attribute):
    """A tensor with one attribute, as torch writes it."""
    t = torch.ones(1)
    t.placeholder = 1
    file = io.BytesIO()
    torch.save(t, file)
    with zipfile.ZipFile(file) as z:
        data = z.read("archive/data.pkl")
    old = b"X\x0b\0\0\0placeholder"
    assert old in data
    return data.replace(old, b"X" + struct.pack("<I", len(attribute)) + attribute.encode())


@pytest.mark.parametrize(
    "name", ["_array", "_node", "_hooks", "grad", "add", "__class__", "backward"]
)
def test_attributes_that_tensors_have(name):
    assert load(archive(state_pickle("note"), _0=bytes(4))).note == 1
    with pytest.raises(pickle.UnpicklingError, match=name):
        load(archive(state_pickle(name), _0=bytes(4)))


def test_storage_and_record_must_agree():
    for size in (0, 15, 17, 64):
        with pytest.raises(RuntimeError, match="16 bytes"):
            load(archive(WHOLE, _0=bytes(size)))
    with pytest.raises(RuntimeError, match="missing"):
        load(archive(WHOLE))


def test_dtype_that_we_lack():
    file = io.BytesIO()
    torch.save(torch.ones(2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2), file)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="float4_e2m1fn_x2"):
        load(file)


class Point:
    """Something of the user's."""

    def __init__(self, x):
        self.x = x


class Guarded(Point):
    def __setstate__(self, state):
        self.x = state["x"] + 1


@pytest.mark.parametrize("protocol", [2, 4])
def test_what_the_user_adds(protocol):
    file = io.BytesIO()
    save(
        {"p": Point(rl.ones(2)), "g": Guarded(1), "f": Fraction(1, 2)},
        file,
        pickle_protocol=protocol,
    )
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match=r"test_weights_only\.Point"):
        load(file)
    names = get_unsafe_globals_in_checkpoint(file)
    assert names == [f"{__name__}.Point", f"{__name__}.Guarded", "fractions.Fraction"]
    with safe_globals([Point, Guarded, (Fraction, "fractions.Fraction")]):
        file.seek(0)
        got = load(file)
    assert got["p"].x.tolist() == [1, 1] and got["g"].x == 2 and got["f"] == Fraction(1, 2)
    assert get_safe_globals() == []
    file.seek(0)
    assert load(file, weights_only=False)["g"].x == 2


def test_registry():
    try:
        add_safe_globals([Point])
        add_safe_globals([Point, (fire, "x.y")])
        assert get_safe_globals() == [Point, (fire, "x.y")]
        with safe_globals([Fraction]):
            assert get_safe_globals() == [Point, (fire, "x.y"), Fraction]
        assert get_safe_globals() == [Point, (fire, "x.y")]
        with pytest.raises(TypeError, match="3"):
            add_safe_globals([3])
    finally:
        clear_safe_globals()
    assert get_safe_globals() == []


@pytest.mark.parametrize(
    "name", ["posix.system", "builtins.eval", "builtins.exec", "builtins.getattr"]
)
def test_some_are_never_allowed(name):
    bomb = BOMBS[name]
    data = archive(pickle.dumps(bomb, 2))
    with safe_globals([bomb.parts[0]]), pytest.raises(pickle.UnpicklingError, match="even"):
        load(data)


def test_no_unsafe_names_in_a_state_dict():
    file = io.BytesIO()
    torch.save(torch.nn.Linear(2, 1).state_dict(), file)
    file.seek(0)
    assert get_unsafe_globals_in_checkpoint(file) == []


def test_random_damage_to_the_pickle():
    """Whatever bytes are changed, the pickle loads or is refused; nothing else escapes."""
    import random

    file = io.BytesIO()
    t = torch.arange(6.0).reshape(2, 3)
    torch.save(
        {"a": t, "b": OrderedDict(x=t[1], n=[1, 2.5, "text"]), "p": torch.nn.Parameter(t)}, file
    )
    with zipfile.ZipFile(file) as z:
        data = z.read("archive/data.pkl")
        record = z.read("archive/data/0")
    seed = random.randrange(10**9)
    print("seed", seed)
    dice = random.Random(seed)
    for _ in range(1500):
        changed = bytearray(data)
        for _ in range(dice.choice((1, 1, 2, 5))):
            changed[dice.randrange(len(changed))] = dice.randrange(256)
        try:
            load(archive(bytes(changed), _0=record))
        except (pickle.UnpicklingError, RuntimeError) as error:
            assert str(error).startswith("load: "), error


@pytest.mark.parametrize("asked", [None, True, False])
@pytest.mark.parametrize("value", ["1", "YES", "0"])
@pytest.mark.parametrize("never", [True, False])
def test_the_environment_decides(monkeypatch, asked, value, never):
    name = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD" if never else "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    monkeypatch.setenv(name, value)
    results = []
    for lib in (torch, rl):
        file = io.BytesIO()
        lib.save(Fraction(1, 2), file)  # what only trust admits
        file.seek(0)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            try:
                lib.load(file, weights_only=asked)
                results.append(("loaded", [w.category for w in seen]))
            except pickle.UnpicklingError:
                results.append(("refused", [w.category for w in seen]))
    assert results[0] == results[1]


def test_the_environment_cannot_decide_both(monkeypatch):
    for name in ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_WEIGHTS_ONLY_LOAD"):
        monkeypatch.setenv(name, "1")
    for lib in (torch, rl):
        file = io.BytesIO()
        lib.save(1, file)
        file.seek(0)
        with pytest.raises(RuntimeError, match="should be set"):
            lib.load(file)
