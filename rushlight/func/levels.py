"""Which inputs a running transform differentiates by, and what else a result depends on.

A transform makes its inputs fresh leaves, marked with its Level, or, when they already have a
history, differentiates at that point of it. Its results must keep a history if they depend on
anything that is differentiated elsewhere: by an enclosing transform, or by the user's ``backward``.
The graph tells: its leaves are either this level's, or those of levels that have ended (constants
by now), or others, and only the others count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.core.engine import reachable
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor, edge
from rushlight.func.trees import flatten, tree_map, unflatten
from rushlight.tensor_api.creation import zeros_like
from rushlight.tensor_api.gradients import beside, grad, guarded


class Level:
    """One call of a transform."""

    def __init__(self) -> None:
        self.running = True
        self.recorded = modes.grad  # whether the results may keep a history

    def __enter__(self) -> Level:
        return self

    def __exit__(self, *exc: object) -> None:
        self.running = False

    def start(self, t: Any) -> Tensor:
        """t as an input to differentiate by."""
        if not isinstance(t, Tensor):
            raise ValueError(
                f"Thing passed to transform API must be Tensor, got {type(t)}; name it in argnums "
                "only if it is one."
            )
        if self.recorded and t.requires_grad:
            return beside(t)
        return self.leaf(t.detach())

    def leaf(self, t: Tensor) -> Tensor:
        """A new tensor as a leaf of this level."""
        t._level = self
        return t.requires_grad_()

    def inputs(self, tree: Any) -> tuple[Any, list[Tensor]]:
        """A tree of inputs to differentiate by, and its leaves."""
        leaves, structure = flatten(tree)
        fresh = [self.start(t) for t in leaves]
        return unflatten(structure, [guarded(t) for t in fresh]), fresh

    def duals(self, tree: Any) -> tuple[Any, list[Tensor]]:
        """The same for derivatives along a direction, whose inputs may be written to."""
        leaves, structure = flatten(tree)
        fresh = [self.start(t) for t in leaves]
        pairs = zip(fresh, leaves, strict=True)
        own = [guarded(t) if given._wants_grad else beside(t) for t, given in pairs]
        return unflatten(structure, own), fresh

    def open(self, tensors: Sequence[Any]) -> bool:
        """Whether any of these depends on something that is differentiated outside this level."""
        if not self.recorded:
            return False
        roots = [e for e in map(edge_of, tensors) if e is not None]
        _, leaves = reachable(roots)
        found = [*leaves, *[r for r in roots if not r._is_node]]
        return any([self._outside(leaf) for leaf in found])

    def _outside(self, leaf: Any) -> bool:
        level = getattr(leaf, "_level", None)
        return level is None or (level is not self and level.running)

    def settle(self, tree: Any) -> Any:
        """Results for the caller: with their history only where it leads outside this level."""
        return tree_map(self._settle, tree)

    def _settle(self, t: Any) -> Any:
        if not isinstance(t, Tensor) or not t.requires_grad:
            return t
        return t if self.open([t]) else t.detach()


def edge_of(t: Any) -> Any:
    """Where a tensor's gradient goes, or None."""
    return edge(t) if isinstance(t, Tensor) and t._tracked else None


def slopes(
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    weights: Sequence[Any] | None,
    record: bool,
    retain: bool = True,
) -> list[Tensor]:
    """Gradients of the weighted outputs; zeros where there is no dependence."""
    weights = [None] * len(outputs) if weights is None else weights
    live = [(o, w) for o, w in zip(outputs, weights, strict=True) if edge_of(o) is not None]
    if not live:
        return [zeros_like(t).detach() for t in inputs]
    found = grad(
        [o for o, _ in live],
        inputs,
        [w for _, w in live],
        retain_graph=retain,
        create_graph=record,
        allow_unused=True,
    )
    return [zeros_like(t).detach() if g is None else g for g, t in zip(found, inputs, strict=True)]


def selected(args: tuple[Any, ...], argnums: Any) -> tuple[list[int], bool]:
    """The positions to differentiate by, and whether several were asked for."""
    many = isinstance(argnums, (tuple, list))
    if many and not argnums:
        raise RuntimeError("argnums must be non-empty: it names what to differentiate by.")
    positions = []
    for at in argnums if many else (argnums,):
        if not isinstance(at, int):
            raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(at)}")
        if not -len(args) <= at < len(args):
            raise RuntimeError(f"Got argnum={at}, but only {len(args)} positional inputs")
        positions.append(at % len(args))
    if len(set(positions)) != len(positions):
        raise RuntimeError(f"argnums elements must be unique, got {tuple(positions)}")
    return positions, many


def replaced(args: tuple[Any, ...], positions: list[int], values: Sequence[Any]) -> list[Any]:
    """The arguments with those at ``positions`` exchanged."""
    out = list(args)
    for at, value in zip(positions, values, strict=True):
        out[at] = value
    return out


def check_real(name: str, what: str, tensors: Sequence[Tensor]) -> None:
    """RuntimeError for complex ones: a Jacobian by or of them is not a complex tensor."""
    for at, t in enumerate(tensors):
        if t.is_complex():
            raise RuntimeError(
                f"{name}: Expected all {what}s to be real but received complex tensor at flattened "
                f"{what} idx: {at}. Use view_as_real(x)."
            )


def tensors_of(result: Any, name: str) -> tuple[list[Tensor], Any]:
    """The tensors of a function's result and its structure. RuntimeError for anything else."""
    leaves, structure = flatten(result)
    if not leaves:
        raise RuntimeError(
            f"{name}: Expected f to be a function that has non-empty output, got {result}"
        )
    check_tensors(leaves, f"{name}: expected f(*primals) to return only tensors")
    return leaves, structure


def check_tensors(leaves: Sequence[Any], wanted: str) -> None:
    """RuntimeError for what is no tensor."""
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise RuntimeError(f"{wanted}, got unsupported type {type(leaf)}")


def with_aux(result: Any, has_aux: bool, name: str) -> tuple[Any, Any]:
    """A function's output and its auxiliary one, which holds tensors."""
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError(
            f"{name}: output of function f should be a tuple: (output, aux) if has_aux is True"
        )
    check_tensors(flatten(result[1])[0], f"{name}: Expected tensors as the auxiliary output")
    return result
