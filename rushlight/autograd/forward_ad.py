"""Forward-mode derivatives: a dual tensor carries a tangent, and results carry theirs.

Tangents are computed when they are unpacked, from the graph: the backward pass is linear in its
argument v, so its own derivative by v is the product of the Jacobian with the tangents. It costs
two passes instead of one, and needs no second rule per operation.

Reference: Townsend 2017, "A new trick for calculating Jacobian vector products".
"""

from __future__ import annotations

from typing import NamedTuple

from rushlight.core.state import Mode, modes
from rushlight.core.tensor import Tensor
from rushlight.tensor_api import zeros_like
from rushlight.tensor_api.gradients import beside, grad, guarded

__all__ = [
    "UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual",
    "unpack_dual",
]  # fmt: skip


class UnpackedDualTensor(NamedTuple):
    """A tensor and its tangent, or None where it has none."""

    primal: Tensor
    tangent: Tensor | None


class Level:
    """The duals made since the level was entered."""

    def __init__(self) -> None:
        self.duals: list[tuple[Tensor, Tensor]] = []
        self.in_graph = False  # whether a primal or tangent requires grad

    def add(self, primal: Tensor, tangent: Tensor) -> Tensor:
        """A dual on the primal's memory."""
        self.in_graph |= primal.requires_grad or tangent.requires_grad
        start = beside(primal) if primal.requires_grad else primal.detach().requires_grad_()
        self.duals.append((start, tangent))
        return guarded(start) if primal._wants_grad else beside(start)


_levels: list[Level] = []


def enter_dual_level() -> int:
    """Enter a level; prefer ``with dual_level()``."""
    if _levels:
        raise RuntimeError(
            "Nested forward mode AD is not supported at the moment; use torch.func.jvp."
        )
    _levels.append(Level())
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """Leave the level: its duals lose their tangents."""
    if not _levels:
        raise RuntimeError("Trying to exit a forward AD level that is not entered.")
    if level not in (None, 0):
        raise RuntimeError(f"Trying to exit the forward AD level {level}, but 0 is the current.")
    _levels.pop()


class dual_level(Mode):
    """Within it duals can be made and unpacked.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.autograd.forward_ad as fwAD
        >>> with fwAD.dual_level():
        ...     x = fwAD.make_dual(torch.tensor(3.0), torch.tensor(1.0))
        ...     fwAD.unpack_dual(x**2).tangent
        tensor(6.)
    """

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *exc: object) -> None:
        exit_dual_level()


def _current(name: str) -> Level:
    if not _levels:
        raise RuntimeError(
            f"{name}: there is no forward AD level; use it inside `with dual_level()`."
        )
    return _levels[-1]


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """A tensor on the same memory that carries ``tangent``, of the same shape and dtype.

    Args:
        tensor: floating point or complex.
        tangent: the direction in which results are differentiated.
    """
    current = _current("make_dual")
    for name, t in (("primal", tensor), ("tangent", tangent)):
        if not (t.is_floating_point() or t.is_complex()):
            raise ValueError(f"Expected {name} to be floating point or complex, but got: {t.dtype}")
    if tensor.shape != tangent.shape or tensor.dtype != tangent.dtype:
        raise RuntimeError(
            f"make_dual: the tangent, {tangent.dtype} {tuple(tangent.shape)}, must have the same "
            f"size and dtype as the primal, {tensor.dtype} {tuple(tensor.shape)}."
        )
    return current.add(tensor, tangent)


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """(primal, tangent): the tangent is None where no dual was involved.

    Results that ``no_grad`` kept out of the graph have no tangent here (in torch they do).
    """
    if not _levels:
        return UnpackedDualTensor(tensor, None)
    current = _levels[-1]
    primal = tensor if current.in_graph else tensor.detach()
    if not tensor.requires_grad or not current.duals:
        return UnpackedDualTensor(primal, None)
    previous, modes.grad = modes.grad, True
    try:
        return UnpackedDualTensor(primal, _tangent(tensor, current))
    finally:
        modes.grad = previous


def _tangent(tensor: Tensor, level: Level) -> Tensor | None:
    """The product of the Jacobian with all duals' tangents."""
    inputs = [dual for dual, _ in level.duals]
    v = zeros_like(tensor).requires_grad_()
    modes.forward = True
    try:
        found = grad([tensor], inputs, [v], create_graph=True, allow_unused=True)
    finally:
        modes.forward = False
    pairs = [(g, t) for g, (_, t) in zip(found, level.duals, strict=True) if g is not None]
    if not pairs:
        return None
    linear = [(g, t) for g, t in pairs if g.requires_grad]
    if not linear:
        return zeros_like(tensor)
    (product,) = grad(
        [g for g, _ in linear],
        [v],
        [t for _, t in linear],
        create_graph=level.in_graph,
        retain_graph=True,
        allow_unused=True,
    )
    return zeros_like(tensor) if product is None else product
