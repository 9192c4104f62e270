"""Where loaded tensors go, and files that are mapped instead of read."""

import io
import mmap

import numpy as np
import pytest
import torch

import rushlight as rl
from rushlight.serialization import load, save, set_default_mmap_options
from rushlight.serialization.locations import _packages, register_package


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "x.pt"
    t = torch.arange(6.0).reshape(2, 3)
    torch.save({"a": t, "b": t[1], "e": torch.empty(0)}, path)
    return path


@pytest.mark.parametrize(
    "where",
    [None, "cpu", rl.device("cpu"), {"cpu": "cpu"}, {"cuda:0": "cpu"}, lambda s, location: s,
     lambda s, location: None],
)  # fmt: skip
def test_to_the_cpu(path, where):
    got = load(path, map_location=where)
    assert got["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert got["a"].untyped_storage() is got["b"].untyped_storage()


def test_function_sees_each_storage_once(path):
    seen = []

    def where(storage, location):
        seen.append((storage.nbytes(), location, str(storage.device)))
        return storage

    load(path, where)
    assert seen == [(24, "cpu", "cpu"), (0, "cpu", "cpu")]


def test_function_may_change_the_storage(path):
    got = load(path, map_location=lambda storage, location: storage.fill_(0))
    assert got["a"].tolist() == [[0, 0, 0], [0, 0, 0]]


def cuda_file():
    """A file whose tensor was on a GPU."""
    file = io.BytesIO()
    torch.save(torch.ones(2), file, _use_new_zipfile_serialization=False)
    data = file.getvalue().replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
    return io.BytesIO(data)


def test_file_from_a_gpu():
    with pytest.raises(RuntimeError, match=r"map_location=torch.device\('cpu'\)"):
        load(cuda_file())
    assert load(cuda_file(), map_location="cpu").tolist() == [1, 1]
    assert load(cuda_file(), map_location={"cuda:0": "cpu"}).tolist() == [1, 1]
    assert load(cuda_file(), map_location=lambda s, location: s).tolist() == [1, 1]


def test_wrong_locations(path):
    with pytest.raises(RuntimeError, match="foo"):
        load(path, map_location="foo")
    with pytest.raises(TypeError, match="map_location"):
        load(path, map_location=3)
    with pytest.raises(TypeError, match="ndarray"):
        load(path, map_location=lambda s, location: np.ones(3))
    with pytest.raises(RuntimeError, match=r"torch\.cuda\.is_available"):
        load(path, map_location="cuda")


def test_registered_kind_of_storage(path):
    before = list(_packages)
    register_package(5, lambda s: "disk", lambda s, location: s if location == "disk" else None)
    try:
        file = io.BytesIO()
        save(rl.ones(1), file)
        assert b"disk" in file.getvalue()
        file.seek(0)
        assert load(file).tolist() == [1]
    finally:
        _packages[:] = before


def test_mapped(path):
    got = load(path, mmap=True)
    a = got["a"]
    assert a.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert not a._array.flags.owndata
    assert a.data_ptr() % 64 == 0
    assert a.untyped_storage() is got["b"].untyped_storage()
    assert a.untyped_storage().nbytes() == 24
    a += 1
    assert got["b"].tolist() == [4, 5, 6]
    assert load(path)["a"].tolist() == [[0, 1, 2], [3, 4, 5]], "writes must not reach the file"
    file = io.BytesIO()
    save(got, file)
    file.seek(0)
    assert torch.load(file)["b"].tolist() == [4, 5, 6]


def test_mapped_tensors_outlive_a_new_save(path):
    a = load(path, mmap=True)["a"]
    save(rl.zeros(100), path)
    assert a.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_mapped_file_of_ours(tmp_path):
    save({"a": rl.arange(100.0), "b": rl.ones(3)}, tmp_path / "y.pt")
    assert load(tmp_path / "y.pt", mmap=True)["b"].tolist() == [1, 1, 1]
    assert torch.load(tmp_path / "y.pt", mmap=True)["b"].tolist() == [1, 1, 1]


def test_mapped_shared(path):
    with set_default_mmap_options(mmap.MAP_SHARED):
        load(path, mmap=True)["a"].fill_(7)
    assert torch.load(path)["b"].tolist() == [7, 7, 7]
    assert load(path)["b"].tolist() == [7, 7, 7]


def test_mapped_needs_a_path_and_the_zip_format(path, tmp_path):
    with pytest.raises(ValueError, match="path"):
        load(io.BytesIO(path.read_bytes()), mmap=True)
    torch.save(torch.ones(1), tmp_path / "old", _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="mmap"):
        load(tmp_path / "old", mmap=True)
