"""Files of torch's load here, and ours there, with values, layout and sharing intact."""

import io
import pickle
import warnings
import zipfile
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

import rushlight as rl
from rushlight.serialization import load, safe_globals, save, set_crc32_options

DTYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]
WIDE = {"uint16", "uint32", "uint64"}  # torch's older format has no storage class for them


def through(obj, write, read, **how):
    file = io.BytesIO()
    write(obj, file)
    file.seek(0)
    return read(file, **how)


def from_torch(obj, **how):
    return through(obj, torch.save, load, **how)


def to_torch(obj, **how):
    return through(obj, save, torch.load, **how)


def old(write):
    return lambda obj, file: write(obj, file, _use_new_zipfile_serialization=False)


def same(ours, theirs):
    """Assert that a tensor of each kind are equal in every respect that a file records."""
    assert ours.tolist() == theirs.tolist()
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert str(ours.dtype) == str(theirs.dtype)
    assert ours.requires_grad == theirs.requires_grad
    if theirs.numel():
        assert tuple(ours.stride()) == theirs.stride()
        assert ours.storage_offset() == theirs.storage_offset()
    assert ours.untyped_storage().nbytes() == theirs.untyped_storage().nbytes()


def layouts(dtype):
    """torch tensors of every layout, on two storages."""
    whole = (torch.arange(24) % 7).reshape(2, 3, 4).to(dtype)
    return {
        "whole": whole,
        "row": whole[1],
        "step": whole[:, 1:, ::2],
        "transposed": whole.transpose(0, 2),
        "one": whole[1, 1, 1],
        "expanded": whole[0, 0, :1].expand(5, 3, 1),
        "none": torch.empty(0, 3, dtype=dtype),
        "window": whole.as_strided((2, 2), (1, 1), 3),
    }


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_and_layout(name):
    tensors = layouts(getattr(torch, name))
    ours = from_torch(tensors)
    for key, theirs in tensors.items():
        same(ours[key], theirs)
    storages = {key: t.untyped_storage() for key, t in ours.items() if key != "none"}
    assert len({id(s) for s in storages.values()}) == 1
    back = to_torch(ours)
    for key, theirs in back.items():
        same(ours[key], theirs)
    assert len({t.untyped_storage().data_ptr() for k, t in back.items() if k != "none"}) == 1


@pytest.mark.parametrize("name", [d for d in DTYPES if d not in WIDE])
def test_every_dtype_in_the_older_format(name):
    tensors = layouts(getattr(torch, name))
    ours = through(tensors, old(torch.save), load)
    for key, theirs in tensors.items():
        same(ours[key], theirs)
    for key, theirs in through(ours, old(save), torch.load).items():
        same(ours[key], theirs)
    full = through(tensors, old(torch.save), load, weights_only=False)
    same(full["step"], tensors["step"])


@pytest.mark.parametrize("name", DTYPES)
def test_files_are_equal_byte_for_byte(name):
    """All but the fingerprint, which is a hash that torch computes with C++'s own hash function."""
    tensors = layouts(getattr(torch, name))
    del tensors["window"], tensors["expanded"]
    theirs, ours = io.BytesIO(), io.BytesIO()
    torch.save(tensors, theirs)
    theirs.seek(0)
    save(load(theirs), ours)
    one, two = zipfile.ZipFile(theirs), zipfile.ZipFile(ours)
    assert one.namelist() == two.namelist()
    for record in one.namelist():
        if not record.endswith("serialization_id"):
            assert one.read(record) == two.read(record), record
    start = one.getinfo("archive/.data/serialization_id").header_offset
    assert theirs.getvalue()[:start] == ours.getvalue()[:start]
    assert len(theirs.getvalue()) == len(ours.getvalue())


PLAIN = {
    "none": None, "bool": [True, False], "float": [0.5, float("inf"), -0.0], "complex": 1 + 2j,
    "int": [0, 255, 256, 65536, -1, 2**31, -(2**70), 2**3000], "bytes": b"abc\xff",
    "text": ["", "é", "\U0001f600" * 300], "bytearray": bytearray(b"xyz"), "set": {1, 2},
    "tuple": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)), "dict": {"a": {1: 2}},
    "ordered": OrderedDict(b=1, a=2), "counter": Counter("aab"),
}  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_data(protocol):
    file = io.BytesIO()
    save(PLAIN, file, pickle_protocol=protocol)
    file.seek(0)
    got = load(file)
    assert got == PLAIN
    assert [type(v) for v in got.values()] == [type(v) for v in PLAIN.values()]


def test_the_defaults_have_the_names_that_programs_give():
    for t in (rl, torch):
        file, named = io.BytesIO(), io.BytesIO()
        module, protocol = t.serialization.pickle, t.serialization.DEFAULT_PROTOCOL
        t.save(PLAIN, file)
        t.save(PLAIN, named, pickle_module=module, pickle_protocol=protocol)
        assert file.getvalue() == named.getvalue()


def test_plain_data_with_torch():
    """Whose interpreter does not know the long form of ints of more than 255 bytes."""
    plain = {**PLAIN, "int": [2**2000]}
    assert from_torch(plain) == to_torch(plain) == plain


def test_long_list_and_repeated_objects():
    inner = [1]
    obj = {"many": list(range(5000)), "x": [inner, inner], "t": [rl.ones(1) for _ in range(300)]}
    got = through(obj, save, load)
    assert got["many"] == obj["many"]
    assert got["x"][0] is got["x"][1]
    assert to_torch(obj)["t"][299].item() == 1


def test_what_torch_has_besides_tensors():
    theirs = [
        torch.float32,
        torch.bfloat16,
        torch.device("cpu"),
        torch.device("cuda", 1),
        torch.Size((1, 2)),
    ]
    ours = [rl.float32, rl.bfloat16, rl.device("cpu"), rl.device("cuda", 1), rl.Size((1, 2))]
    got = from_torch(theirs)
    assert got == ours
    assert got[0] is rl.float32
    assert isinstance(got[4], rl.Size)
    assert to_torch(ours) == theirs


def test_same_tensor_stays_one_tensor():
    t = torch.ones(2)
    a, b = from_torch([t, t])
    assert a is b
    a, b = to_torch([a, a])
    assert a is b


def test_writes_reach_all_views_after_loading():
    t = torch.zeros(2, 3)
    a, b = from_torch([t, t[1]])
    b += 1
    assert a.tolist() == [[0, 0, 0], [1, 1, 1]]
    a, b = to_torch([a, b])
    b += 1
    assert a.tolist() == [[0, 0, 0], [2, 2, 2]]


def test_one_memory_as_two_dtypes():
    """torch refuses to write this, but reads it."""
    array = np.arange(4, dtype=np.float32)
    obj = [rl.from_numpy(array), rl.from_numpy(array.view(np.int32))]
    for got in (through(obj, save, load), to_torch(obj)):
        assert got[1].dtype in (rl.int32, torch.int32)
        got[0][0] = 1.0
        assert got[1][0].item() == 0x3F800000


def test_a_view_carries_its_whole_storage():
    big = rl.zeros(1000)
    assert to_torch(big[:1]).untyped_storage().nbytes() == 4000
    assert to_torch(big[:1].clone()).untyped_storage().nbytes() == 4


def test_requires_grad_and_parameter():
    w = torch.nn.Parameter(torch.ones(2))
    obj = {
        "w": w,
        "frozen": torch.nn.Parameter(torch.ones(2), False),
        "x": torch.ones(2, requires_grad=True),
    }
    obj["made"] = obj["x"] * 2
    ours = from_torch(obj)
    assert isinstance(ours["w"], rl.nn.Parameter)
    for key in obj:
        same(ours[key], obj[key])
        assert ours[key].is_leaf
    back = to_torch(ours)
    assert type(back["w"]) is torch.nn.Parameter
    assert back["w"].requires_grad and not back["frozen"].requires_grad
    assert back["x"].requires_grad


def test_attributes_that_users_hang_on_tensors():
    t = torch.ones(2)
    t.note = {"a": 1}
    got = from_torch(t)
    assert got.note == {"a": 1}
    assert to_torch(got).note == {"a": 1}
    p = torch.nn.Parameter(torch.ones(2))
    p.note = "frozen"
    got = from_torch(p)
    assert got.note == "frozen"
    assert isinstance(got, rl.nn.Parameter)
    assert to_torch(got).note == "frozen"


def test_conjugate_and_negative_views():
    t = torch.tensor([1 + 2j, 3 - 1j])
    same(from_torch(t.conj()), t.conj())
    assert from_torch(torch._neg_view(torch.ones(2))).tolist() == [-1, -1]


def test_storages():
    t = torch.arange(4.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, once: TypedStorage is deprecated
        typed = t.storage()
        got = from_torch([typed, t])
        assert isinstance(got[0], rl.serialization.saving.TypedStorage)
        assert got[0].tolist() == [0, 1, 2, 3]
        assert got[0].untyped() is got[1].untyped_storage()
        assert from_torch(t.untyped_storage()).tolist() == list(t.untyped_storage())
        assert to_torch(got)[0].tolist() == [0, 1, 2, 3]


def test_numpy_needs_permission_or_trust():
    file = io.BytesIO()
    torch.save({"array": np.arange(3.0), "number": np.float64(2)}, file)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match=r"numpy\.\w+\.multiarray\._reconstruct"):
        load(file)
    needed = [
        np._core.multiarray._reconstruct, np._core.multiarray.scalar, np.ndarray, np.dtype,
        np.dtypes.Float64DType,
    ]  # fmt: skip
    file.seek(0)
    with safe_globals(needed):
        got = load(file)
    assert got["array"].tolist() == [0, 1, 2] and got["number"] == 2
    file.seek(0)
    assert load(file, weights_only=False)["array"].tolist() == [0, 1, 2]


def test_functions_and_other_types_when_trusted():
    obj = {
        "f": torch.relu,
        "g": torch.nn.functional.relu,
        "d": defaultdict(list, a=[1]),
        "r": range(3),
    }
    got = from_torch(obj, weights_only=False)
    assert got["f"] is rl.relu and got["g"] is rl.nn.functional.relu
    assert got["d"] == {"a": [1]} and got["r"] == range(3)


def test_paths_and_files(tmp_path):
    path = tmp_path / "model.v1.pt"
    save(rl.ones(2), path)
    save(rl.ones(2), str(tmp_path / "b"))
    assert torch.load(path).tolist() == load(str(path)).tolist() == load(tmp_path / "b").tolist()
    assert zipfile.ZipFile(path).namelist()[0] == "model.v1/data.pkl"
    with open(path, "wb") as file:
        save(rl.zeros(2), file)
    with open(path, "rb") as file:
        assert load(file).tolist() == [0, 0]
    with open(path, "wb") as file:
        save(rl.ones(2), file)
        assert load(path).tolist() == [1, 1]  # before it is closed
    save(rl.ones(1), Path(tmp_path, "größe.pt"))
    assert torch.load(tmp_path / "größe.pt").tolist() == [1]


def test_several_objects_in_one_file_of_the_older_format(tmp_path):
    with open(tmp_path / "x", "wb") as file:
        for i in range(3):
            torch.save(torch.full((2,), i), file, _use_new_zipfile_serialization=False)
    with open(tmp_path / "x", "rb") as file:
        assert [load(file).tolist() for _ in range(3)] == [[0, 0], [1, 1], [2, 2]]


def test_repacked_archive(tmp_path):
    """Someone unpacked and packed the file with a zip program that compresses."""
    torch.save({"w": torch.arange(1000.0)}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as a, zipfile.ZipFile(tmp_path / "b.pt", "w") as b:
        for record in a.namelist():
            b.writestr(record, a.read(record), zipfile.ZIP_DEFLATED)
    for mapped in (False, True):
        assert load(tmp_path / "b.pt", mmap=mapped)["w"].tolist() == list(range(1000))


def test_standard_tools_accept_our_files():
    file = io.BytesIO()
    save({"w": rl.ones(3), "none": rl.empty(0)}, file)
    assert zipfile.ZipFile(file).testzip() is None


def test_without_checksums():
    file = io.BytesIO()
    set_crc32_options(False)
    try:
        save(rl.ones(2), file)
    finally:
        set_crc32_options(True)
    file.seek(0)
    assert torch.load(file).tolist() == [1, 1]
    file.seek(0)
    assert load(file).tolist() == [1, 1]


def test_big_endian_file():
    file = io.BytesIO()
    values = {
        "f": torch.arange(3.0),
        "c": torch.tensor([1 + 2j]),
        "i": torch.tensor([1, 2], dtype=torch.int16),
    }
    torch.save(values, file)
    swapped = io.BytesIO()
    with zipfile.ZipFile(file) as a, zipfile.ZipFile(swapped, "w") as b:
        for record in a.namelist():
            data = a.read(record)
            if record.endswith("byteorder"):
                data = b"big"
            elif "/data/" in record:
                width = [4, 4, 2][int(record[-1])]
                data = np.frombuffer(data, f"u{width}").byteswap().tobytes()
            b.writestr(record, data)
    swapped.seek(0)
    for key, value in load(swapped).items():
        assert value.tolist() == values[key].tolist()


def test_another_pickle_module():
    got = through(
        rl.ones(2), lambda o, f: save(o, f, pickle_module=Other), load, weights_only=False
    )
    assert got.tolist() == [1, 1]
    assert through(torch.ones(2), torch.save, load, pickle_module=Other).tolist() == [1, 1]


class Other:
    """Looks like the module pickle."""

    Pickler, Unpickler = pickle.Pickler, pickle.Unpickler


def test_wrong_arguments():
    with pytest.raises(AttributeError, match="'write' attribute"):
        save(1, 2)
    with pytest.raises(AttributeError, match="seek"):
        load(3)
    with pytest.raises(TypeError, match="mode 'rb'"):
        load(io.StringIO("text"))
    with pytest.raises(RuntimeError, match="weights_only"):
        load(io.BytesIO(), pickle_module=pickle, weights_only=True)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        save(lambda: 0, io.BytesIO())


def test_loaded_memory_is_the_tensors_own():
    """So in-place operations need no overlap checks; see Note [Memory in a tensor's shape]."""
    t = from_torch(torch.ones(3, 4))
    assert t._array.base is None and t._array.flags.owndata


def test_storages_without_a_tensor_are_read_before_the_file_closes(tmp_path):
    path = tmp_path / "storages.pt"
    rl.save([rl.arange(3.0).storage(), rl.arange(4).untyped_storage()], path)
    with open(path, "rb") as file:
        typed, untyped = rl.load(file, weights_only=False)
    assert typed.tolist() == [0.0, 1.0, 2.0]
    assert untyped.nbytes() == 32 and untyped.tolist()[8] == 1
