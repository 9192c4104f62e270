"""Derivatives along a direction, and Jacobians column by column.

A backward pass is linear in its weights v: it computes ``g(v) = J' v``. Differentiating ``t .
g(v)`` by v gives ``J t``, the derivative along t, so a second backward pass does what forward mode
would.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rushlight.core.state import GradMode, modes
from rushlight.core.tensor import Tensor
from rushlight.func.levels import (
    Level,
    check_real,
    check_tensors,
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


class _Linear:
    """The derivative of a function at a point, to be applied to directions."""

    def __init__(self, level: Level, outputs: list[Tensor], inputs: list[Tensor]) -> None:
        self.level, self.outputs = level, outputs
        self.open = level.open(outputs)
        self.weights = [level.leaf(zeros_like(o).detach()) for o in outputs]
        modes.forward, outer = True, modes.forward
        try:
            self.pulled = slopes(outputs, inputs, self.weights, record=True)
        finally:
            modes.forward = outer

    def along(self, directions: list[Tensor], last: bool = False) -> list[Tensor]:
        """The derivative of each output along the directions, one per input."""
        record = modes.grad and (self.open or any([t.requires_grad for t in directions]))
        found = slopes(self.pulled, self.weights, directions, record, not last)
        return [g if record else g.detach() for g in found]


def _checked(primals: Any, tangents: Any) -> list[Tensor]:
    """The tangents as a list, of the primals' structure and shapes."""
    name = "jvp(f, primals, tangents)"
    for what, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, tuple):
            raise RuntimeError(
                f"{name}: Expected {what} to be a tuple. E.g. it should be valid to call "
                "f(*primals)."
            )
    points, structure = flatten(primals)
    directions, own = flatten(tangents)
    if not points:
        raise RuntimeError(f"{name}: Expected primals to contain at least one Tensor.")
    check_tensors(points, f"{name}: Expected primals to only contain Tensors")
    check_tensors(directions, f"{name}: Expected tangents to only contain Tensors")
    if own != structure:
        raise RuntimeError(
            f"{name}: Expected primals and tangents to have the same python structure, but they "
            f"are {describe(structure)} and {describe(own)}."
        )
    for x, t in zip(points, directions, strict=True):
        if x.shape != t.shape:
            raise RuntimeError(
                f"{name}: a tangent has a different size than its primal: {tuple(t.shape)} and "
                f"{tuple(x.shape)}."
            )
    return directions


def jvp(
    func: Function, primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False
) -> Any:
    """The output of ``func`` at ``primals``, and its derivative along ``tangents``: ``J t``.

    Args:
        func: returns a tensor or a nested container of them.
        primals: tuple of its arguments.
        tangents: tuple of directions, shaped as the primals.
        strict: raise when an output does not depend on the inputs.
        has_aux: ``func`` returns ``(output, aux)``; return ``(output, derivative, aux)``.

    Example:
        >>> import rushlight as torch
        >>> torch.func.jvp(torch.sin, (torch.zeros(2),), (torch.tensor([1.0, 2.0]),))
        (tensor([0., 0.]), tensor([1., 2.]))
    """
    name = "jvp(f, primals, tangents)"
    directions = _checked(primals, tangents)
    with Level() as level, GradMode(True):
        tree, inputs = level.duals(primals)
        result, aux = with_aux(func(*tree), has_aux, name)
        outputs, structure = tensors_of(result, name)
        if strict and not all([o.requires_grad for o in outputs]):
            raise RuntimeError(
                "jvp(f, primals, tangents, strict=True): The output of f is independent of the "
                "inputs. This is not allowed with strict=True."
            )
        moved = level.settle(_Linear(level, outputs, inputs).along(directions))
        settled, aux = level.settle(result), level.settle(aux)
    derivative = unflatten(structure, moved)
    return (settled, derivative, aux) if has_aux else (settled, derivative)


def linearize(func: Function, *primals: Any) -> tuple[Any, Function]:
    """The output of ``func`` at ``primals``, and its derivative there as a function of directions.

    ``func`` runs once, however often the derivative is applied.

    Example:
        >>> import rushlight as torch
        >>> out, push = torch.func.linearize(torch.sin, torch.zeros(2))
        >>> push(torch.tensor([1.0, 2.0]))
        tensor([1., 2.])
    """
    with Level() as level, GradMode(True):
        tree, inputs = level.duals(primals)
        result = func(*tree)
        outputs, structure = tensors_of(result, "linearize(f, *primals)")
        linear = _Linear(level, outputs, inputs)
        settled = level.settle(result)

    def push(*tangents: Any) -> Any:
        return unflatten(structure, linear.along(_checked(primals, tangents)))

    return settled, push


def jacfwd(
    func: Function, argnums: Any = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Function:
    """A function that returns the Jacobian of ``func``, by one pass per input element.

    The result is that of ``jacrev``, and faster where ``func`` has fewer inputs than outputs.

    Args:
        func: returns a tensor or a nested container of them.
        argnums: position of the argument to differentiate by, or a tuple of positions.
        has_aux: ``func`` returns ``(output, aux)``; return ``(jacobian, aux)``.
        randomness: accepted; ``func`` runs once.

    Example:
        >>> import rushlight as torch
        >>> torch.func.jacfwd(lambda t: torch.stack([t, t**2]))(torch.tensor(3.0))
        tensor([1., 6.])
    """
    name = "jvp(f, primals, tangents)"

    @functools.wraps(func, updated=())
    def transformed(*args: Any, **kwargs: Any) -> Any:
        positions, many = selected(args, argnums)
        with Level() as level, GradMode(True):
            tree, inputs = level.duals([args[at] for at in positions])
            check_real("jacfwd", "input", inputs)
            result = func(*replaced(args, positions, tree), **kwargs)
            result, aux = with_aux(result, has_aux, name)
            outputs, structure = tensors_of(result, name)
            check_real("jacfwd", "output", outputs)
            linear = _Linear(level, outputs, inputs)
            columns = [_columns(linear, inputs, at) for at in range(len(inputs))]
            columns, aux = level.settle(columns), level.settle(aux)
        nest = flatten(tree)[1]
        rows = [unflatten(nest, row) for row in zip(*columns, strict=True)]
        parts = [tuple(row) if many else row[0] for row in rows]
        jacobian = parts[0] if structure == LEAF else unflatten(structure, parts)
        return (jacobian, aux) if has_aux else jacobian

    return transformed


def _columns(linear: _Linear, inputs: list[Tensor], at: int) -> list[Tensor]:
    """The Jacobian of every output by one input."""
    x = inputs[at]
    zeros = [zeros_like(t).detach() for t in inputs]
    if not x.numel():
        return [zeros_like(o).detach().expand((*x.shape, *o.shape)) for o in linear.outputs]
    found = for_units(lambda one: linear.along([*zeros[:at], one, *zeros[at + 1 :]]), x)
    pairs = zip(found, linear.outputs, strict=True)
    return [t.movedim(0, -1).reshape((*o.shape, *x.shape)) for t, o in pairs]
