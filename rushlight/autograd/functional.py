"""Derivatives of functions: Jacobians, Hessians, and products of them with vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.core.state import GradMode
from rushlight.core.tensor import Tensor
from rushlight.tensor_api.creation import ones_like, zeros_like
from rushlight.tensor_api.gradients import grad
from rushlight.tensor_api.joining import stack


def tuple_of(x: Any, what: str) -> tuple[tuple[Tensor, ...], bool]:
    """Tensors as a tuple, and whether they came as one."""
    many = isinstance(x, (tuple, list))
    items = tuple(x) if many else (x,)
    for i, t in enumerate(items):
        if not isinstance(t, Tensor):
            raise TypeError(
                f"The {what} must be a Tensor or a tuple of Tensors, but entry {i} is "
                f"{type(t).__name__}."
            )
    return items, many


def prepare(inputs: Any, create_graph: bool) -> tuple[tuple[Tensor, ...], bool]:
    """Inputs to differentiate with respect to: fresh leaves, or graph aliases when the result is to
    be differentiated.
    """
    items, many = tuple_of(inputs, "inputs")
    fresh = [
        t.view_as(t) if create_graph and t.requires_grad else t.detach().requires_grad_()
        for t in items
    ]
    return tuple(fresh), many


def evaluate(
    func: Callable[..., Any], inputs: tuple[Tensor, ...], name: str
) -> tuple[tuple[Tensor, ...], bool]:
    """The function's outputs, as a tuple."""
    return tuple_of(func(*inputs), f"outputs of the user-provided function given to {name}")


def settle(result: Any, create_graph: bool) -> Any:
    """Results outside the graph, unless they are to be differentiated."""
    if isinstance(result, Tensor):
        return result if create_graph else result.detach()
    return tuple([settle(r, create_graph) for r in result])


def untuple(items: tuple[Any, ...], many: bool) -> Any:
    """The only item, when the caller gave one."""
    return items if many else items[0]


def _strict(grads: Any, strict: bool, name: str) -> None:
    if strict and any([g is None for g in grads]):
        raise RuntimeError(
            f"{name}: an output is independent of an input; that is an error with strict=True."
        )


def _filled(grads: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple([zeros_like(t) if g is None else g for g, t in zip(grads, inputs, strict=True)])


def gradients(
    output: Tensor,
    inputs: tuple[Tensor, ...],
    seed: Any,
    create_graph: bool,
    strict: bool,
    name: str,
) -> tuple[Tensor, ...]:
    """Gradients of one output, zeros where it does not depend on an input."""
    if not output.requires_grad:
        if strict:
            raise RuntimeError(
                f"{name}: an output is independent of all inputs; that is an error with "
                "strict=True."
            )
        return tuple([zeros_like(t) for t in inputs])
    found = grad(
        output, inputs, seed, retain_graph=True, create_graph=create_graph, allow_unused=True
    )
    _strict(found, strict, name)
    return _filled(found, inputs)


def refuse_both(strict: bool, vectorize: bool, name: str) -> None:
    """What is independent of what is not known of many rows at once."""
    if strict and vectorize:
        raise RuntimeError(
            f"torch.autograd.functional.{name}: `strict=True` and `vectorized=True` are not "
            "supported together; leave one out."
        )


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian of ``func`` at ``inputs``: for each output and input a tensor of shape
    ``output.shape + input.shape``.

    Args:
        func: takes the inputs, returns a tensor or a tuple of tensors.
        inputs: a tensor or a tuple of tensors.
        create_graph: make the result differentiable.
        strict: raise when an output does not depend on an input.
        vectorize, strategy: accepted; the result is the same.

    Example:
        >>> import rushlight as torch
        >>> torch.autograd.functional.jacobian(lambda x: x**2, torch.tensor([1.0, 2.0]))
        tensor([[2., 0.],
                [0., 4.]])
    """
    refuse_both(strict, vectorize, "jacobian")
    with GradMode(True):
        ins, many_in = prepare(inputs, create_graph)
        outs, many_out = evaluate(func, ins, "jacobian")
        rows = []
        for out in outs:
            flat = out.reshape(-1)
            per_element = [
                gradients(flat[i], ins, None, create_graph, strict, "jacobian")
                for i in range(flat.numel())
            ]
            if not per_element:
                rows.append(tuple([t.new_zeros((*out.shape, *t.shape)) for t in ins]))
                continue
            rows.append(
                tuple(
                    [
                        stack(column).reshape(*out.shape, *t.shape)
                        for column, t in zip(zip(*per_element, strict=True), ins, strict=True)
                    ]
                )
            )
        result = settle(tuple([untuple(r, many_in) for r in rows]), create_graph)
        return untuple(result, many_out)


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """Second derivatives of a function with one scalar output.

    Example:
        >>> import rushlight as torch
        >>> torch.autograd.functional.hessian(lambda x: (x**3).sum(), torch.tensor([1.0, 2.0]))
        tensor([[ 6.,  0.],
                [ 0., 12.]])
    """

    def gradient_of(*xs: Tensor) -> Any:
        outs, _ = evaluate(func, xs, "hessian")
        scalar(outs, "hessian")
        return gradients(outs[0], xs, None, True, strict, "hessian")

    refuse_both(strict, vectorize, "hessian")
    items, many = tuple_of(inputs, "inputs")
    result = jacobian(gradient_of, items, create_graph, strict)
    return result if many else result[0][0]


def scalar(outs: tuple[Tensor, ...], name: str) -> None:
    """Refuse functions that do not return one number."""
    if len(outs) != 1 or outs[0].numel() != 1:
        raise RuntimeError(
            f"The function given to {name} must return a single Tensor of one element, but "
            f"returned {[tuple(o.shape) for o in outs]}."
        )


def seeds(v: Any, like: tuple[Tensor, ...], name: str) -> tuple[Any, ...]:
    """The vectors of a product, checked against what they multiply."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(
                f"{name}: the vector v can only be None if the user-provided function returns a "
                "single Tensor of one element."
            )
        return (ones_like(like[0]),)
    items, _ = tuple_of(v, "vector v")
    if len(items) != len(like):
        raise RuntimeError(f"{name}: v has {len(items)} entries, expected {len(like)}.")
    for i, (a, b) in enumerate(zip(items, like, strict=True)):
        if a.shape != b.shape:
            raise RuntimeError(
                f"{name}: entry {i} of v has shape {tuple(a.shape)}, expected {tuple(b.shape)}."
            )
    return items


def vjp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> Any:
    """(outputs, v times the Jacobian): ``v`` has the shape of the outputs.

    Example:
        >>> import rushlight as torch
        >>> torch.autograd.functional.vjp(lambda x: x**2, torch.tensor([1.0, 2.0]), torch.ones(2))
        (tensor([1., 4.]), tensor([2., 4.]))
    """
    with GradMode(True):
        ins, many = prepare(inputs, create_graph)
        outs, many_out = evaluate(func, ins, "vjp")
        vs = seeds(v, outs, "vjp")
        found = reduce_gradients(outs, ins, vs, create_graph, strict, "vjp")
    return untuple(settle(outs, create_graph), many_out), untuple(settle(found, create_graph), many)


def reduce_gradients(
    outs: Any, ins: Any, vs: Any, create_graph: bool, strict: bool, name: str
) -> tuple[Tensor, ...]:
    """Gradients of several outputs weighted by vs."""
    live = [(o, w) for o, w in zip(outs, vs, strict=True) if o.requires_grad]
    if not live:
        if strict:
            raise RuntimeError(
                f"{name}: the outputs are independent of the inputs; that is an error with "
                "strict=True."
            )
        return tuple([zeros_like(t) for t in ins])
    found = grad(
        [o for o, _ in live],
        ins,
        [w for _, w in live],
        create_graph=create_graph,
        allow_unused=True,
    )
    _strict(found, strict, name)
    return _filled(found, ins)


def jvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> Any:
    """(outputs, the Jacobian times v): ``v`` has the shape of the inputs. Computed by
    differentiating a vjp.

    Example:
        >>> import rushlight as torch
        >>> torch.autograd.functional.jvp(lambda x: x**2, torch.tensor([1.0, 2.0]), torch.ones(2))
        (tensor([1., 4.]), tensor([2., 4.]))
    """
    with GradMode(True):
        ins, _ = prepare(inputs, create_graph)
        vs = seeds(v, ins, "jvp")
        outs, many_out = evaluate(func, ins, "jvp")
        dummies = tuple([zeros_like(o).requires_grad_() for o in outs])
        inner = reduce_gradients(outs, ins, dummies, True, strict, "jvp")
        live = [(g, w) for g, w in zip(inner, vs, strict=True) if g.requires_grad]
        if live:
            found = grad(
                [g for g, _ in live],
                dummies,
                [w for _, w in live],
                create_graph=create_graph,
                allow_unused=True,
            )
            result = _filled(found, dummies)
        else:
            result = tuple([zeros_like(o) for o in outs])
    return untuple(settle(outs, create_graph), many_out), untuple(
        settle(result, create_graph), many_out
    )


def _gradient_function(func: Callable[..., Any], name: str, strict: bool) -> Callable[..., Any]:
    def gradient_of(*xs: Tensor) -> Any:
        outs, _ = evaluate(func, xs, name)
        scalar(outs, name)
        return gradients(outs[0], xs, None, True, strict, name)

    return gradient_of


def vhp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> Any:
    """(output, v times the Hessian) of a function with one scalar output."""
    return _hessian_product(func, inputs, v, create_graph, strict, "vhp")


def hvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> Any:
    """(output, the Hessian times v) of a function with one scalar output."""
    return _hessian_product(func, inputs, v, create_graph, strict, "hvp")


def _hessian_product(
    func: Callable[..., Any], inputs: Any, v: Any, create_graph: bool, strict: bool, name: str
) -> Any:
    items, many = tuple_of(inputs, "inputs")
    vs = seeds(v, items, name)
    with GradMode(True):
        output = func(*prepare(items, create_graph)[0])
    _, product = vjp(_gradient_function(func, name, strict), items, tuple(vs), create_graph, strict)
    return settle(output, create_graph), untuple(product, many)
