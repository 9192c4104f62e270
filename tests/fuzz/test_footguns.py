"""What `footguns.py` accepts, pinned: where rushlight is laxer or stricter than torch, and how.

When one of these fails, a difference has gone (delete the excuse) or has changed (look again).
"""

import pytest
import torch

import rushlight as rl


def raises(lib, program):
    """Whether the program raises on the library."""
    try:
        program(lib)
    except RuntimeError:
        return True
    return False


def saved_but_not_read(t):
    """The square's saved input is written, but no gradient passes through it."""
    x = t.ones(2, requires_grad=True)
    with t.no_grad():
        v = x[:1]
    y = v.square()  # requires grad as x does, and leads nowhere
    with t.no_grad():
        x.add_(1)
    y.sum().backward()


def stale_view_written(t):
    """b's history changed through its base; torch must have read grad_fn before it is written."""
    x = t.ones(2)
    v = x[0]
    x.mul_(t.ones(2, requires_grad=True))
    v.mul_(2)
    x.sum().backward()


def size_one_overlap(t):
    """The stride of a dim of size 1 cannot make two elements meet."""
    x = t.zeros(3, 3)
    x[:1].copy_(x.as_strided((1, 3), (0, 1), 0)[:, :])
    x.as_strided((3, 1), (1, 0)).add_(x.as_strided((3, 1), (1, 3)))


def out_overlaps_input(t):
    x = t.ones(2, 2)
    t.add(x.T, 1, out=x)


def floor_divide_unused(t):
    """The gradient of floor_divide is asked for only as far as its result."""
    x = t.ones(2, requires_grad=True)
    y = x // 2
    (y * y).sum().backward(inputs=[y])


LAXER = [
    saved_but_not_read, stale_view_written, size_one_overlap, out_overlaps_input,
    floor_divide_unused,
]  # fmt: skip


@pytest.mark.parametrize("program", LAXER, ids=lambda p: p.__name__)
def test_laxer(program):
    assert raises(torch, program)
    assert not raises(rl, program)


def lerp_twice(t):
    """A number is kept for the gradient, and so freed, where torch keeps it outside the graph."""
    x = t.ones(2, requires_grad=True)
    y = t.lerp(x, t.zeros(2), 0.3)
    y.sum().backward()
    y.sum().backward()


def masked_fill_expanded(t):
    x = t.zeros(1).expand(3)
    x.masked_fill_(t.tensor([True, False, False]), 1.0)


def index_put_expanded(t):
    x = t.zeros(1).expand(3)
    x[t.tensor([0])] = 1.0


STRICTER = [lerp_twice, masked_fill_expanded, index_put_expanded]


@pytest.mark.parametrize("program", STRICTER, ids=lambda p: p.__name__)
@pytest.mark.filterwarnings("ignore")
def test_stricter(program):
    assert not raises(torch, program)
    assert raises(rl, program)


def test_conflicting_orders_give_c_order():
    """torch lets the first operand win, NumPy C order."""
    strides = {}
    for lib in (torch, rl):
        x = lib.ones(2, 3)
        strides[lib] = (lib.ones(3, 2).T + x).stride(), (x + lib.ones(3, 2).T).stride()
    assert strides[torch] == ((1, 2), (3, 1))
    assert strides[rl] == ((3, 1), (3, 1))


def test_index_gives_contiguous():
    """In torch the order of the indexed tensor may show through."""
    strides = {}
    for lib in (torch, rl):
        strides[lib] = lib.ones(4, 2, 3).permute(2, 0, 1)[:, lib.tensor([0, 1])].stride()
    assert strides == {torch: (1, 3, 6), rl: (4, 2, 1)}


def test_detach_of_a_base_cuts_its_views_off():
    has_node = {}
    for lib in (torch, rl):
        x = lib.ones(2, requires_grad=True) * 2
        v = x[0]
        x.detach_().mul_(2)
        has_node[lib] = v.grad_fn is not None
    assert has_node == {torch: True, rl: False}
