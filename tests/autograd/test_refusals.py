"""What gradient functions and hooks may not do, in both libraries."""

import pytest
import torch

import rushlight

pytestmark = pytest.mark.parametrize("lib", [torch, rushlight])


def doubled(lib, gradient=lambda g: g * 2, change=False):
    class Doubled(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            if change:
                ctx.mark_dirty(x.add_(1))
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return gradient(g)

    return Doubled.apply


def test_a_gradient_is_a_tensor(lib):
    x = lib.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError):
        doubled(lib, lambda g: 3)(x).sum().backward()


def test_what_is_changed_in_place_is_returned(lib):
    x = lib.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="marked as dirty"):
        doubled(lib, change=True)(x.clone())


def test_hooks_keep_the_dtype(lib):
    x = lib.ones(2, requires_grad=True)
    x.register_hook(lambda g: g.double())
    with pytest.raises(RuntimeError, match="has changed the type"):
        x.sum().backward()


def test_hooks_after_accumulation_return_nothing(lib):
    x = lib.ones(2, requires_grad=True)
    handle = x.register_post_accumulate_grad_hook(lambda p: 3)
    with pytest.raises(TypeError):
        x.sum().backward()
    handle.remove()
    (x * 1).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_hooks_of_the_accumulating_node_run_too(lib):
    x = lib.ones(2, requires_grad=True)
    seen = []
    node = (x * 1).grad_fn.next_functions[0][0]
    node.register_hook(lambda before, after: seen.append(after))
    x.sum().backward()
    assert len(seen) == 1


@pytest.mark.parametrize("value", [True, False])
def test_flags_of_computed_tensors_stay(lib, value):
    y = lib.ones(2, requires_grad=True) * 2
    with pytest.raises(RuntimeError, match="leaf variables"):
        y.requires_grad = value
    assert y.requires_grad_().requires_grad


WRONG_ANSWERS = {
    "one of two": (lambda a, b: (a,), RuntimeError, "incorrect number of values"),
    "no tuple": (lambda a, b: a, TypeError, "expected tuple"),
    "a list": (lambda a, b: [a, b], TypeError, "expected tuple"),
    "a number": (lambda a, b: (a, 3), TypeError, "expected Variable"),
    "another size": (lambda a, b: (a[:1], b), RuntimeError, "changed the size of value"),
}


@pytest.mark.parametrize("answer, kind, words", WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
def test_hooks_of_nodes_answer_with_as_many_gradients(lib, answer, kind, words):
    x, z = [lib.ones(3, requires_grad=True) for _ in range(2)]
    y = x * z
    handle = y.grad_fn.register_hook(lambda before, after: answer(*before))
    with pytest.raises(kind, match=words):
        y.sum().backward()
    handle.remove()
    y = x * z
    y.grad_fn.register_hook(lambda before, after: (before[0] * 3, None))
    y.sum().backward()
    assert x.grad.tolist() == [3.0] * 3 and z.grad is None


@pytest.mark.parametrize(
    "answer, kind, words",
    [
        (lambda g: (g, g), RuntimeError, "incorrect number of values"),
        (lambda g: g, TypeError, "expected tuple"),
        (lambda g: (3,), TypeError, "expected Variable"),
        (lambda g: (g[:1],), RuntimeError, "changed the size of value"),
    ],
)
def test_hooks_before_nodes_answer_with_as_many_gradients(lib, answer, kind, words):
    x = lib.ones(3, requires_grad=True)
    y = x * 2
    handle = y.grad_fn.register_prehook(lambda gs: answer(*gs))
    with pytest.raises(kind, match=words):
        y.sum().backward()
    handle.remove()
    y = x * 2
    y.grad_fn.register_prehook(lambda gs: (gs[0] * 3,))
    y.sum().backward()
    assert x.grad.tolist() == [6.0] * 3


def test_batches_of_gradients_have_a_first_dim(lib):
    x = lib.ones(3, requires_grad=True)
    for given in (None, lib.ones(())):
        with pytest.raises((ValueError, IndexError)):
            lib.autograd.grad(x.sum(), x, given, is_grads_batched=True)
    with pytest.raises(ValueError):
        lib.autograd.grad([x.sum(), x.prod()], x, [lib.ones(2), lib.ones(3)], is_grads_batched=True)
