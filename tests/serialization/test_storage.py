"""Storages, and tensors through plain pickle and deepcopy."""

import copy
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

import rushlight as rl
from rushlight.tensor_api import typed_storage
from rushlight.tensor_api.storage import UntypedStorage, memory_owner
from rushlight.tensor_api.typed_storage import TypedStorage


def test_views_have_one_storage():
    x = rl.arange(12.0).reshape(3, 4)
    s = x.untyped_storage()
    for view in (x[1], x.t(), x[:, ::2], x.view(-1), x.detach(), x.expand(2, 3, 4), x.data):
        assert view.untyped_storage() is s
        assert view.storage().data_ptr() == x.storage().data_ptr()
    assert x.clone().untyped_storage() is not s
    assert x[1].data_ptr() == s.data_ptr() + 16
    assert s.nbytes() == len(s) == s.size() == 48


def test_typed():
    x = rl.arange(4)
    s = x[2:].storage()
    assert s.tolist() == list(s) == [0, 1, 2, 3]
    assert s.dtype is rl.int64 and len(s) == s.size() == 4 and s.nbytes() == 32
    assert s.element_size() == 8 and s[1] == 1 and s.type() == "torch.LongStorage"
    s[0] = 9
    s[1:3] = 7
    assert x.tolist() == [9, 7, 7, 3]
    s.fill_(1)
    assert x.tolist() == [1, 1, 1, 1]
    assert x.storage() == x[1:].storage() and hash(x.storage()) == hash(x[1:].storage())
    assert s.clone().data_ptr() != s.data_ptr()
    assert s.to(rl.float32).tolist() == [1.0] * 4
    assert str(s.device) == "cpu" and not s.is_cuda and not s.is_shared()
    with pytest.raises(RuntimeError, match="slices"):
        s[1:]


def test_printed_as_in_torch():
    for n in (3, 30):
        for dtype in ("float32", "int64"):
            ours = rl.arange(n, dtype=getattr(rl, dtype))
            theirs = torch.arange(n, dtype=getattr(torch, dtype)).untyped_storage()
            wrapped = torch.TypedStorage(
                wrap_storage=theirs, dtype=getattr(torch, dtype), _internal=True
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch's: TypedStorage is deprecated
                expected = repr(wrapped)
            assert repr(ours.storage()).splitlines()[-1] == expected.splitlines()[-1]
            assert repr(ours.untyped_storage()).splitlines()[-1] == repr(theirs).splitlines()[-1]
    assert repr(rl.ones(2).storage()) == (
        " 1.0\n 1.0\n[torch.storage.TypedStorage(dtype=torch.float32, device=cpu) of size 2]"
    )


def test_made_by_hand():
    s = typed_storage.FloatStorage(3)
    assert isinstance(s, TypedStorage) and isinstance(s, typed_storage.FloatStorage)
    assert not isinstance(s, typed_storage.LongStorage)
    assert s.tolist() == [0, 0, 0]
    assert typed_storage.IntStorage([1, 2]).tolist() == [1, 2]
    assert TypedStorage(2).dtype is rl.float32
    assert UntypedStorage(5).nbytes() == 5
    assert UntypedStorage([1, 255])[1] == 255
    assert typed_storage.is_storage(s) and not typed_storage.is_storage(rl.ones(1))
    with pytest.raises(TypeError, match="UntypedStorage"):
        TypedStorage(wrap_storage=rl.ones(1))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0), np.arange(6.0).reshape(2, 3, order="F"), np.arange(24.0)[::2],
        np.empty((0, 3)), np.float64(3.0)[...], np.frombuffer(b"12345678" * 3, np.float64, 2, 8),
        np.lib.stride_tricks.as_strided(np.arange(9.0), (2, 2), (8, 16)), np.arange(6.0)[::-1],
        np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
    ],
)  # fmt: skip
def test_memory_of_arrays_from_elsewhere(array):
    from rushlight.core.tensor import wrap

    t = wrap(array)
    s = t.untyped_storage()
    assert s.nbytes() == memory_owner(array).nbytes
    assert pickle.loads(pickle.dumps(t)).tolist() == array.tolist()
    assert copy.deepcopy(t).tolist() == array.tolist()


def test_read_only_memory():
    array = np.frombuffer(b"abcdefgh", np.int64)
    from rushlight.core.tensor import wrap

    assert copy.deepcopy(wrap(array)).add_(1).tolist() == (array + 1).tolist()
    assert pickle.loads(pickle.dumps(wrap(array), 5)).add_(1).tolist() == (array + 1).tolist()


@pytest.mark.parametrize("protocol", range(2, 6))
def test_plain_pickle(protocol):
    x = rl.arange(6.0).reshape(2, 3)
    x.note = "n"
    obj = {
        "x": x,
        "row": x[1],
        "t": x.t(),
        "s": x.storage(),
        "u": x.untyped_storage(),
        "e": rl.empty(0, 2),
    }
    got = pickle.loads(pickle.dumps(obj, protocol))
    assert got["x"].tolist() == x.tolist() and got["x"].note == "n"
    assert got["t"].stride() == (1, 3)
    got["row"].fill_(7)
    assert got["x"][1].tolist() == [7, 7, 7]
    assert got["u"] is got["x"].untyped_storage() and got["s"].untyped() is got["u"]
    assert got["e"].shape == (0, 2)


def test_buffers_travel_out_of_band():
    x = rl.arange(1000.0)
    buffers = []
    data = pickle.dumps(x, 5, buffer_callback=buffers.append)
    assert len(data) < 600
    assert pickle.loads(data, buffers=buffers).untyped_storage().data_ptr() == x.data_ptr()


@pytest.mark.parametrize("dtype", ["bool", "uint16", "bfloat16", "complex64"])
def test_pickle_and_copy_every_kind(dtype):
    x = rl.ones(2, 3, dtype=getattr(rl, dtype))
    for got in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), copy.copy(x)):
        assert got.dtype is x.dtype and got.tolist() == x.tolist()


def test_copy_shares_memory():
    x = rl.zeros(2)
    y = copy.copy(x)
    y += 1
    assert y is not x and x.tolist() == [1, 1]


def test_deepcopy_keeps_sharing_layout_and_gradients():
    x = rl.arange(6.0).reshape(2, 3).t()
    leaf = rl.ones(2, requires_grad=True)
    (leaf * 3).sum().backward()
    leaf.note = ["n"]
    got = copy.deepcopy({"x": x, "col": x[:, 1], "same": x, "leaf": leaf})
    assert got["x"].stride() == x.stride() and got["x"] is got["same"]
    got["col"].fill_(9)
    assert got["x"][:, 1].tolist() == [9, 9, 9] and x[:, 1].tolist() == [3, 4, 5]
    assert got["leaf"].requires_grad and got["leaf"].is_leaf
    assert got["leaf"].grad.tolist() == [3, 3] and got["leaf"].grad is not leaf.grad
    assert got["leaf"].note == ["n"] and got["leaf"].note is not leaf.note


def test_deepcopy_owns_its_memory():
    assert copy.deepcopy(rl.ones(2, 3))._array.base is None


def test_deepcopy_of_a_non_leaf_is_refused():
    x = rl.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(x * 2)
    assert copy.deepcopy((x * 2).detach()).tolist() == [2, 2]


def test_hooks_are_left_behind_with_a_warning():
    x = rl.ones(2, requires_grad=True)
    x.register_hook(lambda g: g)
    with pytest.warns(UserWarning, match="hooks"):
        got = pickle.loads(pickle.dumps(x))
    assert got.requires_grad and not got._hooks


class Tagged(rl.Tensor):
    """A user's kind of tensor."""


def test_subclass():
    t = Tagged([1.0, 1.0])
    t.tag = 1
    for got in (pickle.loads(pickle.dumps(t)), copy.deepcopy(t)):
        assert type(got) is Tagged and got.tag == 1 and got.tolist() == [1, 1]


def test_reachable_by_torchs_names():
    for name in typed_storage.__all__:
        assert hasattr(torch, name) or hasattr(torch.storage, name)


@pytest.mark.parametrize("lib", [torch, rl], ids=["torch", "rushlight"])
def test_tensors_of_a_storage_share_its_memory(lib):
    x = lib.arange(4.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        typed = x[2:].storage()
    for made in (lib.Tensor(typed), lib.FloatTensor(x.untyped_storage())):
        made[0] = 7
        assert made.tolist() == [7, 1, 2, 3] == x.tolist()
        x[0] = 0
    with pytest.raises((RuntimeError, TypeError)):
        lib.DoubleTensor(typed)


def test_textbooks_show_shared_memory_by_ids():
    program = """
import warnings
import rushlight as torch
points = torch.tensor([[4.0, 1.0], [5.0, 3.0], [2.0, 1.0]])
turned = points.t()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print(id(points.storage()) == id(turned.storage()))
    print(id(points.untyped_storage()) == id(turned.untyped_storage()))
print([str(w.message)[:28] for w in caught])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["True", "True", "['TypedStorage is deprecated. ']"]


@pytest.mark.parametrize("lib", [torch, rl], ids=["torch", "rushlight"])
def test_storages_shrink_and_grow_again(lib):
    p = lib.nn.Parameter(lib.arange(100_000.0))
    view = p.data[5:]
    p.data.untyped_storage().resize_(0)
    assert p.untyped_storage().size() == view.untyped_storage().nbytes() == 0
    assert (p.shape, view.shape) == ((100_000,), (99_995,))
    p.untyped_storage().resize_(400_000)
    with lib.no_grad():
        p.copy_(lib.ones(100_000))
    assert view.sum() == 99_995
    p.untyped_storage().resize_(8)
    assert len(p.untyped_storage().tolist()) == 8
    assert p.untyped_storage().resizable()


def test_a_shrunk_storage_gives_its_pages_back():
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    x = rl.ones(10_000_000)
    before = resident()
    x.untyped_storage().resize_(0)
    assert before - resident() > 30_000_000
    x.untyped_storage().resize_(40_000_000)
    assert x.fill_(2).sum() == 20_000_000


def test_storages_do_not_outgrow_their_memory():
    x = rl.ones(3)
    assert x.untyped_storage().resize_(12) is x.untyped_storage()
    with pytest.raises(NotImplementedError, match="has 12 bytes and cannot become 16"):
        x.untyped_storage().resize_(16)
    made = UntypedStorage(0)
    assert made.resize_(8).nbytes() == 8


@pytest.mark.parametrize("lib", [torch, rl], ids=["torch", "rushlight"])
def test_set_refuses_leaves(lib):
    x = lib.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        x.set_(lib.zeros(2))
    with lib.no_grad():
        assert x.set_(lib.zeros(2)).shape == (2,)
