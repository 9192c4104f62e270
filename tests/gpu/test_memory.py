"""Tensors on a GPU: memory, views, copies."""

import gc

import numpy as np
import pytest

import rushlight as torch
from rushlight import gpu
from rushlight.core.device_array import DeviceArray

pytestmark = pytest.mark.filterwarnings("ignore:.*has no GPU kernel:UserWarning")


def values(t):
    return t.detach().cpu().numpy()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int64", "bool"])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3,), (2, 3), (2, 0, 3), (2, 1, 3, 4)])
def test_there_and_back(dtype, shape):
    x = torch.arange(int(np.prod(shape))).reshape(shape).to(getattr(torch, dtype))
    there = x.to("cuda")
    assert there.is_cuda and there.device == torch.device("cuda:0") and not there.is_cpu
    assert (there.dtype, there.shape, there.stride()) == (x.dtype, x.shape, x.stride())
    back = there.cpu()
    assert back.is_cpu and torch.equal(back, x) and back.dtype is x.dtype
    assert there.to("cuda") is there and there.cuda() is there and back.cpu() is back


def test_order_in_memory_is_kept():
    x = torch.arange(24.0).reshape(2, 3, 4)
    for t in (x.permute(2, 0, 1), x.transpose(0, 1), x.to(memory_format=torch.contiguous_format)):
        assert t.cuda().stride() == t.stride() and torch.equal(t.cuda().cpu(), t)
        assert t.cuda().cpu().stride() == t.stride()
    gaps = x[:, ::2]
    assert gaps.cuda().is_contiguous() and torch.equal(gaps.cuda().cpu(), gaps)
    assert torch.equal(x.cuda()[:, ::2, 1:].cpu(), x[:, ::2, 1:])
    assert torch.equal(torch.ones(3).expand(2, 3).cuda().cpu(), torch.ones(2, 3))


VIEWS = {
    "index": lambda x: x[1],
    "slices": lambda x: x[:, 1:, ::2],
    "new dim": lambda x: x[None, ..., 0],
    "transpose": lambda x: x.transpose(0, 2),
    "T": lambda x: x[0].t(),
    "permute": lambda x: x.permute(1, 2, 0),
    "view": lambda x: x.view(6, 4),
    "reshape": lambda x: x.reshape(-1),
    "expand": lambda x: x[:, :1].expand(2, 5, 4),
    "diagonal": lambda x: x.diagonal(0, 0, 1),
    "unfold": lambda x: x.unfold(2, 2, 1),
    "squeeze": lambda x: x[:, :1].squeeze(1),
    "unbind": lambda x: x.unbind(1)[2],
    "split": lambda x: x.split(2, 1)[1],
    "as_strided": lambda x: x[1:].as_strided((2, 3), (4, 1), 3),
    "bits": lambda x: x.view(torch.int32),
    "real": lambda x: torch.view_as_complex(x.view(2, 3, 2, 2)).imag,
}


@pytest.mark.parametrize("name", VIEWS)
def test_views(name):
    x = torch.arange(24.0).reshape(2, 3, 4)
    y = x.cuda()
    a, b = VIEWS[name](x), VIEWS[name](y)
    assert (a.shape, a.stride(), a.storage_offset()) == (b.shape, b.stride(), b.storage_offset())
    assert b.is_cuda and b._array.memory is y._array.memory
    assert np.array_equal(a.numpy(), values(b))
    assert b.data_ptr() - y.data_ptr() == a.data_ptr() - x.data_ptr()
    if name != "expand" and name != "unfold":
        a.fill_(7)
        b.fill_(7)
        assert np.array_equal(x.numpy(), values(y))


def test_a_reshape_that_copies():
    x = torch.arange(6.0).reshape(2, 3)
    y = x.cuda().t().reshape(-1)
    assert torch.equal(y.cpu(), x.t().reshape(-1))
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        x.cuda().t().view(-1)


def test_copies_between_devices():
    x = torch.arange(6.0).reshape(2, 3)
    y = torch.zeros(2, 3, device="cuda")
    y.copy_(x)
    assert torch.equal(y.cpu(), x)
    y[:, 1].copy_(torch.tensor([7, 8]))
    x[:, 1] = torch.tensor([7.0, 8.0])
    assert torch.equal(y.cpu(), x)
    target = torch.zeros(2, 2, 3, dtype=torch.float64)
    target[:, :, 1:].copy_(y[:, 1:])
    assert torch.equal(target[1, :, 1:], x[:, 1:].double()) and target[:, :, 0].eq(0).all()
    y.t().copy_(torch.ones(3, 1))
    assert torch.equal(y.cpu(), torch.ones(2, 3))
    with pytest.raises(RuntimeError, match="does not broadcast"):
        y.copy_(torch.ones(4))


def test_writes_that_overlap_are_refused():
    x = torch.arange(6.0).cuda()
    with pytest.raises(RuntimeError, match="single memory location"):
        x[:1].expand(3).add_(1)
    with pytest.raises(RuntimeError, match="single memory location"):
        x[1:].add_(x[:-1])
    x[:3].add_(x[3:])
    assert x.tolist() == [3.0, 5.0, 7.0, 3.0, 4.0, 5.0]


def test_memory_is_counted_and_freed(gpus):
    if gpus is None:
        torch.cuda.empty_cache()
    driver = gpu.driver(0)
    gc.collect()
    before = driver.allocated()
    x = torch.zeros(1 << 16, device="cuda")
    assert driver.allocated() - before == 1 << 18
    view = x[:2]
    del x
    gc.collect()
    assert driver.allocated() - before == 1 << 18  # the view holds it
    del view
    gc.collect()
    assert driver.allocated() == before and driver.peak() >= before + (1 << 18)


def test_no_memory_left(gpus):
    if gpus is None:
        pytest.skip("only a simulated GPU is small")
    with pytest.raises(torch.cuda.OutOfMemoryError, match=r"Tried to allocate 8\.00 GiB on GPU 0"):
        torch.empty(1 << 30, dtype=torch.float64, device="cuda")


def test_amend_leaves_what_lies_between():
    x = torch.arange(12.0).reshape(3, 4).cuda()
    column = x[:, 1]._array
    assert isinstance(column, DeviceArray)

    def change(array):
        array[:] = [20, 21, 22]

    column.amend(change)
    assert values(x)[:, 1].tolist() == [20, 21, 22] and values(x)[:, 0].tolist() == [0, 4, 8]


def test_comparisons_of_tensors():
    x = torch.arange(3.0).cuda()
    torch.testing.assert_close(x, torch.arange(3.0).cuda())
    torch.testing.assert_close(x, torch.arange(3.0), check_device=False)
    with pytest.raises(AssertionError, match="'device' do not match: cuda:0 != cpu"):
        torch.testing.assert_close(x, torch.arange(3.0))
    with pytest.raises(AssertionError, match="Mismatched elements: 2 / 3"):
        torch.testing.assert_close(x, x * 2)
