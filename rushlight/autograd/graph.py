"""Hooks on the graph: what is saved for backward, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rushlight.core.autograd import GradientEdge as GradientEdge
from rushlight.core.autograd import Node as Node
from rushlight.core.autograd import RemovableHandle
from rushlight.core.state import Mode, modes, state
from rushlight.core.tensor import Tensor, bump, edge


class saved_tensors_hooks(Mode):
    """Within it every tensor that is saved for backward goes through ``pack_hook``, and comes back
    through ``unpack_hook``.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor(3.0, requires_grad=True)
        >>> pack, unpack = lambda t: t.numpy(force=True).copy(), torch.from_numpy
        >>> with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        ...     y = x * x
        >>> y.backward()
        >>> x.grad
        tensor(6.)
    """

    def __init__(
        self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]
    ) -> None:
        self.hooks = pack_hook, unpack_hook

    def __enter__(self) -> None:
        if modes.refuse_saved_hooks is not None:
            raise RuntimeError(modes.refuse_saved_hooks)
        self.previous = modes.saved_hooks
        modes.saved_hooks = self.hooks
        state.busy += 1

    def __exit__(self, *exc: object) -> None:
        modes.saved_hooks = self.previous
        state.busy -= 1

    def clone(self) -> saved_tensors_hooks:
        return saved_tensors_hooks(*self.hooks)


class save_on_cpu(saved_tensors_hooks):
    """Keep what is saved for backward in CPU memory; on the CPU it changes nothing."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda t: t, lambda t: t)


class disable_saved_tensors_hooks(Mode):
    """Within it ``saved_tensors_hooks`` raises RuntimeError with this message, as it does itself
    within those.

    Args:
        error_message: what the error says.
    """

    def __init__(self, error_message: str) -> None:
        self.message = error_message

    def __enter__(self) -> None:
        if modes.saved_hooks is not None:
            raise RuntimeError(self.message)
        self.previous, modes.refuse_saved_hooks = modes.refuse_saved_hooks, self.message

    def __exit__(self, *exc: object) -> None:
        modes.refuse_saved_hooks = self.previous

    def clone(self) -> disable_saved_tensors_hooks:
        return disable_saved_tensors_hooks(self.message)


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The place in the graph where the tensor's gradient arrives, for ``torch.autograd.grad``: it
    keeps no tensor alive.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor(2.0, requires_grad=True)
        >>> y = x * x
        >>> place, z = torch.autograd.graph.get_gradient_edge(y), y * 3
        >>> torch.autograd.grad(z, place)
        (tensor(3.),)
    """
    if not tensor.requires_grad:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require "
            "gradients; call requires_grad_() before computing with it."
        )
    return GradientEdge(edge(tensor), getattr(tensor.grad_fn, "index", 0))


def increment_version(tensor: Tensor | Iterable[Tensor]) -> None:
    """Say that tensors were written to by other means, so that a backward pass which reads their
    old values raises.
    """
    for t in (tensor,) if isinstance(tensor, Tensor) else tensor:
        bump(t)


def register_multi_grad_hook(
    tensors: Any, fn: Callable[..., None], *, mode: str = "all"
) -> RemovableHandle:
    """Call ``fn`` with the gradients of all tensors once they are there, or in mode "any" with the
    first one.

    Args:
        tensors: tensors that require grad.
        fn: receives a list of gradients (None for those not reached), or one gradient in mode
            "any".
        mode: "all" or "any".
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    found: dict[int, Any] = {}
    handles = [
        t.register_hook(_collector(i, len(tensors), found, fn, mode)) for i, t in enumerate(tensors)
    ]
    group = RemovableHandle({}, fn)
    group.remove = lambda: [h.remove() for h in handles]  # type: ignore[method-assign,assignment]
    return group


def _collector(
    i: int, n: int, found: dict[int, Any], fn: Callable[..., None], mode: str
) -> Callable[[Tensor], None]:
    def hook(g: Tensor) -> None:
        found[i] = g
        if mode == "any":
            if len(found) == 1:
                fn(g)
        elif len(found) == n:
            fn([found[k] for k in range(n)])
        if len(found) == n:
            found.clear()

    return hook
