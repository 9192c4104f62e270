"""Gradients, vector-Jacobian products, Jacobians row by row, and Hessians, by backward passes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rushlight.core.state import GradMode, modes
from rushlight.core.tensor import Tensor
from rushlight.func.forward import jacfwd
from rushlight.func.levels import (
    Level,
    check_real,
    replaced,
    selected,
    slopes,
    tensors_of,
    with_aux,
)
from rushlight.func.together import for_units
from rushlight.func.trees import LEAF, describe, flatten, unflatten
from rushlight.tensor_api.creation import zeros_like

Function = Callable[..., Any]


def grad_and_value(func: Function, argnums: Any = 0, has_aux: bool = False) -> Function:
    """A function that returns the gradient of ``func`` and its value.

    Args:
        func: returns a scalar tensor, or with ``has_aux`` a pair of one and anything else.
        argnums: position of the argument to differentiate by, or a tuple of positions; arguments
            may be nested containers of tensors.
        has_aux: return ``(gradient, (value, aux))``.

    Example:
        >>> import rushlight as torch
        >>> torch.func.grad_and_value(lambda x: x**2)(torch.tensor(3.0))
        (tensor(6.), tensor(9.))
    """
    name = "grad_and_value(f)(*args)"

    @functools.wraps(func, updated=())
    def transformed(*args: Any, **kwargs: Any) -> Any:
        positions, many = selected(args, argnums)
        with Level() as level, GradMode(True):
            tree, inputs = level.inputs([args[at] for at in positions])
            result = func(*replaced(args, positions, tree), **kwargs)
            value, aux = with_aux(result, has_aux, name)
            _check_scalar(value, name)
            record = level.open([value])
            found = slopes([value], inputs, None, record, retain=record)
            gradients = unflatten(flatten(tree)[1], level.settle(found))
            output = level.settle(value)
            if has_aux:
                output = output, level.settle(aux)
        return (tuple(gradients) if many else gradients[0]), output

    return transformed


def _check_scalar(value: Any, name: str) -> None:
    if not isinstance(value, Tensor):
        raise RuntimeError(f"{name}: Expected f(*args) to return a Tensor, got {type(value)}")
    if value.dim():
        raise RuntimeError(
            f"{name}: Expected f(*args) to return a scalar Tensor, got tensor with {value.dim()} "
            "dims. Use vjp or jacrev, or reduce it, for example with .sum()."
        )


def grad(func: Function, argnums: Any = 0, has_aux: bool = False) -> Function:
    """A function that returns the gradient of ``func``; arguments as in ``grad_and_value``.

    Transforms nest: ``grad(grad(f))`` is the second derivative, and ``vmap(grad(f))`` gives
    gradients of single samples.

    Example:
        >>> import rushlight as torch
        >>> cube = lambda x: x**3
        >>> torch.func.grad(torch.func.grad(cube))(torch.tensor(2.0))
        tensor(12.)
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func, updated=())
    def transformed(*args: Any, **kwargs: Any) -> Any:
        gradients, value = both(*args, **kwargs)
        return (gradients, value[1]) if has_aux else gradients

    return transformed


def vjp(func: Function, *primals: Any, has_aux: bool = False) -> Any:
    """The output of ``func`` at ``primals``, and a function of cotangents: ``v -> v' J``.

    Args:
        func: returns a tensor or a nested container of them.
        primals: its arguments, all to be differentiated by.
        has_aux: ``func`` returns ``(output, aux)``; return ``(output, vjp_function, aux)``.

    Example:
        >>> import rushlight as torch
        >>> out, pull = torch.func.vjp(torch.sin, torch.zeros(2))
        >>> pull(torch.tensor([1.0, 2.0]))
        (tensor([1., 2.]),)
    """
    name = "vjp(f, *primals)"
    with Level() as level, GradMode(True):
        tree, inputs = level.inputs(primals)
        result, aux = with_aux(func(*tree), has_aux, name)
        outputs, structure = tensors_of(result, name)
        still_open = level.open(outputs)
        settled = level.settle(result)
        aux = level.settle(aux)
    shape_of_inputs = flatten(primals)[1]

    def pull(*cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        given = cotangents[0] if len(cotangents) == 1 else cotangents
        weights, own = flatten(given)
        if own != structure:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of "
                f"outputs to the function. cotangents: {describe(own)}, primal output: "
                f"{describe(structure)}"
            )
        record = modes.grad and (still_open or any([w.requires_grad for w in weights]))
        found = slopes(outputs, inputs, weights, record if create_graph is None else create_graph)
        return unflatten(shape_of_inputs, [g if record else g.detach() for g in found])

    return (settled, pull, aux) if has_aux else (settled, pull)


def jacrev(
    func: Function,
    argnums: Any = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Function:
    """A function that returns the Jacobian of ``func``, by a backward pass for each output element.

    For each output and each differentiated input, a tensor of shape ``output.shape + input.shape``,
    nested as the outputs, and in them as the inputs.

    Args:
        func: returns a tensor or a nested container of them.
        argnums: position of the argument to differentiate by, or a tuple of positions.
        has_aux: ``func`` returns ``(output, aux)``; return ``(jacobian, aux)``.
        chunk_size: accepted and not needed.

    Example:
        >>> import rushlight as torch
        >>> torch.func.jacrev(torch.sin)(torch.zeros(2))
        tensor([[1., 0.],
                [0., 1.]])
    """
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")
    name = "vjp(f, *primals)"

    @functools.wraps(func, updated=())
    def transformed(*args: Any, **kwargs: Any) -> Any:
        positions, many = selected(args, argnums)
        with Level() as level, GradMode(True):
            tree, inputs = level.inputs([args[at] for at in positions])
            check_real("jacrev", "input", inputs)
            result = func(*replaced(args, positions, tree), **kwargs)
            result, aux = with_aux(result, has_aux, name)
            outputs, structure = tensors_of(result, name)
            check_real("jacrev", "output", outputs)
            rows = [level.settle(_rows(o, inputs, level.open([o]))) for o in outputs]
            aux = level.settle(aux)
        nest = flatten(tree)[1]
        parts = [_trim(unflatten(nest, row), many) for row in rows]
        jacobian = parts[0] if structure == LEAF else unflatten(structure, parts)
        return (jacobian, aux) if has_aux else jacobian

    return transformed


def _trim(trees: list[Any], many: bool) -> Any:
    return tuple(trees) if many else trees[0]


def _rows(output: Tensor, inputs: list[Tensor], record: bool) -> list[Tensor]:
    """The Jacobian of one output, by each input."""
    if not output.numel():
        return [zeros_like(t).expand((*output.shape, *t.shape)) for t in inputs]
    found = for_units(lambda one: slopes([output], inputs, [one], record), output)
    return [g.reshape((*output.shape, *t.shape)) for g, t in zip(found, inputs, strict=True)]


def hessian(func: Function, argnums: Any = 0) -> Function:
    """A function that returns the matrix of second derivatives of ``func``.

    Example:
        >>> import rushlight as torch
        >>> torch.func.hessian(lambda x: (x**3).sum())(torch.tensor([1.0, 2.0]))
        tensor([[ 6.,  0.],
                [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)
