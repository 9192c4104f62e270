"""Tensors that wrap others, by ``_make_wrapper_subclass`` and ``__torch_dispatch__``."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.utils._pytree

import rushlight
import rushlight.utils._pytree
from tests.ops.calls import builtin

LIBRARIES = (torch, rushlight)


def wrapping(lib, plain_functions):
    """A class whose tensors wrap another; it notes the names of operators in ``seen``."""
    tree_map = lib.utils._pytree.tree_map

    class Wrapper(lib.Tensor):
        if plain_functions:
            __torch_function__ = lib._C._disabled_torch_function_impl
        seen = []  # noqa: RUF012

        @staticmethod
        def __new__(cls, inner, requires_grad=False):
            return lib.Tensor._make_wrapper_subclass(
                cls, inner.shape, strides=inner.stride(), dtype=inner.dtype,
                device=inner.device, requires_grad=requires_grad,
            )  # fmt: skip

        def __init__(self, inner, requires_grad=False):
            self.kept = inner.detach()

        def __repr__(self):
            return f"Wrapper({self.kept})"

        @classmethod
        def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
            cls.seen.append(str(func))
            args, kwargs = tree_map(lambda x: getattr(x, "kept", x), (args, kwargs or {}))
            out = func(*args, **kwargs)
            return tree_map(lambda x: cls(x) if isinstance(x, lib.Tensor) else x, out)

    return Wrapper


def ones(lib, wrap, *shape, **options):
    return wrap(lib.ones(*shape), **options)


def counted(lib, wrap, *shape, **options):
    n = lib.Size(shape).numel()
    return wrap(lib.arange(1.0, n + 1).view(*shape), **options)


CALLS = {
    "x + 1": lambda lib, w: ones(lib, w, 2) + 1,
    "x + plain": lambda lib, w: ones(lib, w, 2) + lib.ones(2),
    "plain + x": lambda lib, w: lib.ones(2) + ones(lib, w, 2),
    "matmul": lambda lib, w: ones(lib, w, 2, 3) @ ones(lib, w, 3, 2),
    "a chain": lambda lib, w: (counted(lib, w, 2, 3).exp().sum(1) * 2).relu(),
    "view": lambda lib, w: counted(lib, w, 2, 3).view(3, -1),
    "reshape": lambda lib, w: counted(lib, w, 2, 3).t().reshape(-1),
    "transposed": lambda lib, w: counted(lib, w, 2, 3).t(),
    "permuted": lambda lib, w: counted(lib, w, 1, 2, 3).permute(2, 0, 1),
    "expanded": lambda lib, w: counted(lib, w, 1, 2).expand(3, 2),
    "contiguous": lambda lib, w: counted(lib, w, 2, 3).t().contiguous(),
    "a row": lambda lib, w: counted(lib, w, 2, 3)[0],
    "columns": lambda lib, w: counted(lib, w, 2, 3)[:, 1:],
    "rows by index": lambda lib, w: counted(lib, w, 2, 3)[lib.tensor([1, 0])],
    "unbind": lambda lib, w: counted(lib, w, 2, 3).unbind(0),
    "chunk": lambda lib, w: counted(lib, w, 4, 3).chunk(2),
    "cat": lambda lib, w: lib.cat([ones(lib, w, 2), counted(lib, w, 3)]),
    "stack": lambda lib, w: lib.stack([ones(lib, w, 2), counted(lib, w, 2)]),
    "detach": lambda lib, w: ones(lib, w, 2, requires_grad=True).detach(),
    "clone": lambda lib, w: ones(lib, w, 2).clone(),
    "double": lambda lib, w: ones(lib, w, 2).double(),
    "half": lambda lib, w: ones(lib, w, 2).half(),
    "compare": lambda lib, w: counted(lib, w, 3) > 1,
    "where": lambda lib, w: lib.where(counted(lib, w, 3) > 1, ones(lib, w, 3), 0.0),
    "max": lambda lib, w: tuple(counted(lib, w, 2, 3).max(0)),
    "topk": lambda lib, w: tuple(counted(lib, w, 3).topk(2)),
    "ones_like": lambda lib, w: lib.ones_like(counted(lib, w, 2)),
    "add_": lambda lib, w: counted(lib, w, 2).add_(1).mul_(2),
    "copy_": lambda lib, w: ones(lib, w, 2).copy_(lib.zeros(2)),
    "zero_": lambda lib, w: ones(lib, w, 2).zero_(),
    "softmax": lambda lib, w: counted(lib, w, 2, 3).softmax(-1),
    "linear": lambda lib, w: lib.nn.functional.linear(lib.ones(1, 3), counted(lib, w, 2, 3)),
    "conv2d": lambda lib, w: lib.nn.functional.conv2d(
        counted(lib, w, 1, 1, 4, 4), ones(lib, w, 1, 1, 2, 2)
    ),
    "layer_norm": lambda lib, w: lib.nn.functional.layer_norm(counted(lib, w, 2, 2), (2,)),
    "cross_entropy": lambda lib, w: lib.nn.functional.cross_entropy(
        counted(lib, w, 2, 3), lib.tensor([0, 1])
    ),
    "embedding": lambda lib, w: lib.nn.functional.embedding(
        lib.tensor([1, 0]), counted(lib, w, 2, 3)
    ),
    "data": lambda lib, w: ones(lib, w, 2, requires_grad=True).data,
    "full_like": lambda lib, w: lib.full_like(counted(lib, w, 2), 7.0),
    "nonzero": lambda lib, w: lib.nonzero(counted(lib, w, 2, 2)).contiguous(),
    "iterate": lambda lib, w: list(counted(lib, w, 2, 2)),
    "deepcopy": lambda lib, w: copy.deepcopy(counted(lib, w, 2)),
}


def told(x):
    """What there is to say of a result."""
    if isinstance(x, (tuple, list)):
        return [told(y) for y in x]
    inner = getattr(x, "kept", None)
    values = inner.tolist() if type(x).__name__ == "Wrapper" else x.tolist()
    return type(x).__name__, str(x.dtype), tuple(x.shape), x.stride(), x.requires_grad, values


def alike(found):
    """Whether torch and rushlight say the same, floats to rounding."""
    assert repr(found[0]).count("(") == repr(found[1]).count("(")
    for a, b in zip(flat(found[0]), flat(found[1]), strict=True):
        assert b == (pytest.approx(a, rel=1e-5) if isinstance(a, float) else a)


def flat(x):
    return [z for y in x for z in flat(y)] if isinstance(x, (tuple, list)) else [x]


@pytest.mark.parametrize("plain_functions", [True, False])
@pytest.mark.parametrize("name", CALLS)
def test_functions(name, plain_functions):
    alike([told(CALLS[name](lib, wrapping(lib, plain_functions))) for lib in LIBRARIES])


def test_names_of_operators():
    seen = []
    for lib in LIBRARIES:
        w = wrapping(lib, True)
        x = ones(lib, w, 2, 2)
        x + 1, lib.mm(x, x), x.relu(), x.t(), x.mul_(2), x.exp(), x.detach()
        assert lib.ops.aten.mm.default in [lib.ops.aten.mm.default]
        seen.append([name for name in w.seen if "detach" not in name])
    assert seen[0] == seen[1]


@pytest.mark.parametrize("shape", [(1, 3), (2, 1, 3), (3,)])
def test_layers_reach_handlers_as_products(shape):
    for lib in LIBRARIES:
        w = wrapping(lib, True)
        y = lib.nn.functional.linear(lib.ones(*shape), counted(lib, w, 2, 3), lib.ones(2))
        assert "aten.t.default" in w.seen
        assert "aten.linear.default" not in w.seen
        assert flat(y.kept.tolist()) == [7.0, 16.0] * (len(y.shape) and y.numel() // 2)


def test_gradients():
    found = []
    for lib in LIBRARIES:
        w = wrapping(lib, True)
        x, plain = counted(lib, w, 2, 3, requires_grad=True), lib.ones(1, 3, requires_grad=True)
        y = lib.nn.functional.linear(plain, x * x).relu().sum()
        y.backward()
        (x.t() * 2).sum().backward()
        g = lib.autograd.grad((x**3).sum(), x, create_graph=True)[0]
        second = lib.autograd.grad(g.sum(), x)[0]
        found.append(told([y, x.grad, plain.grad, g, second]))
    alike(found)


def test_views_share_their_history_with_what_is_written():
    found = []
    for lib in LIBRARIES:
        x = counted(lib, wrapping(lib, True), 2, 3, requires_grad=True)
        y = x * 1
        y[0].mul_(5)
        (y * y).sum().backward()
        found.append(told([y, x.grad]))
    alike(found)


@pytest.mark.parametrize("plain_functions", [True, False])
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adagrad", "RMSprop"])
def test_optimizers(name, plain_functions):
    found = []
    for lib in LIBRARIES:
        w = wrapping(lib, plain_functions)
        p = lib.nn.Parameter(counted(lib, w, 2, 3))
        step = getattr(lib.optim, name)([p], lr=0.1)
        for _ in range(3):
            step.zero_grad()
            (p * p).sum().backward()
            step.step()
        found.append(told(p.detach()))
    alike(found)


def test_truth():
    for lib in LIBRARIES:
        x = counted(lib, wrapping(lib, True), 2)
        assert bool((x > 0).all())
        assert lib.allclose(x, x)
        assert not (x.sum() < 0)


def test_parameters():
    found = []
    for lib in LIBRARIES:
        w = wrapping(lib, True)
        m = lib.nn.Linear(3, 2, bias=False)
        m.weight = lib.nn.Parameter(counted(lib, w, 2, 3))
        m = copy.deepcopy(m)
        assert isinstance(m.weight, lib.nn.Parameter)
        assert isinstance(m.weight, w)
        step = lib.optim.SGD(m.parameters(), 0.5, momentum=0.9)
        for _ in range(2):
            step.zero_grad()
            m(lib.ones(1, 3)).sum().backward()
            step.step()
        m.load_state_dict({"weight": m.weight.kept * 2})
        results = m(lib.ones(1, 3)), m.weight.grad, m.state_dict()["weight"]
        found.append(told([r.contiguous() for r in results]))
    alike(found)


def test_numbers_and_text():
    for lib in LIBRARIES:
        w = wrapping(lib, True)
        assert w(lib.tensor(2.0)).item() == 2.0
        assert repr(ones(lib, w, 1)) == "Wrapper(tensor([1.]))"
        x = ones(lib, w, 2, 3)
        assert (x.dim(), x.numel(), len(x), x.is_contiguous()) == (2, 6, 2, True)
        assert x.device.type == "cpu"


@pytest.mark.parametrize(
    "call",
    [
        lambda lib, w: ones(lib, w, 2).numpy(),
        lambda lib, w: ones(lib, w, 2).tolist(),
        lambda lib, w: ones(lib, w, 2).view(3),
        lambda lib, w: lib.Tensor._make_wrapper_subclass(lib.Tensor, (2,)),
    ],
)
def test_errors(call):
    kinds = []
    for lib in LIBRARIES:
        with pytest.raises((RuntimeError, TypeError)) as error:
            call(lib, wrapping(lib, True))
        kinds.append(builtin(error.value))
    assert kinds[0] is kinds[1]


def test_handlers_that_give_up():
    for lib in LIBRARIES:

        class Silent(lib.Tensor):
            @classmethod
            def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
                return NotImplemented

        with pytest.raises(TypeError):
            lib.Tensor._make_wrapper_subclass(Silent, (2,)) + 1


def test_tensors_with_memory_of_their_own_are_refused():
    w = wrapping(rushlight, True)
    for make in (
        rushlight.ones(2).as_subclass,
        lambda w: rushlight.Tensor._make_subclass(w, rushlight.ones(2)),
    ):
        with pytest.raises(NotImplementedError, match="_make_wrapper_subclass"):
            make(w)
