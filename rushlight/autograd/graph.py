"""Hooks on the graph: what is saved for backward, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rushlight.core.node import (
    GradientEdge as GradientEdge,
    Node as Node,
    RemovableHandle,
    describe_edge,
)
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


class Kept:
    """What ``allow_mutation_on_saved_tensors`` keeps until its end."""

    def __init__(self) -> None:
        self.open = True

    def clear(self) -> None:
        """Forget what was kept: a backward pass may no longer read it."""
        self.open = False


class allow_mutation_on_saved_tensors(Mode):
    """Within it tensors that are saved for backward may be written to: backward passes inside read
    the values of before. Each is copied as it is saved.

    Example:
        >>> import rushlight as torch
        >>> with torch.autograd.graph.allow_mutation_on_saved_tensors():
        ...     x = torch.ones(2, requires_grad=True)
        ...     y = x.clone()
        ...     z = (y**2).sum()
        ...     _ = y.sin_()
        ...     z.backward()
        >>> x.grad
        tensor([2., 2.])
    """

    def __enter__(self) -> Kept:
        self.kept = kept = Kept()

        def pack(t: Tensor) -> Any:
            return t, t._counter.value, t.detach().clone()

        def unpack(saved: Any) -> Tensor:
            if not kept.open:
                raise AssertionError(
                    "Trying to backward outside of the 'allow_mutation_on_saved_tensors' context "
                    "in which the graph was originally recorded, or after its clear()."
                )
            t, version, copy = saved
            return t if t._counter.value == version else copy  # type: ignore[no-any-return]

        self.hooks = saved_tensors_hooks(pack, unpack)
        self.hooks.__enter__()
        return kept

    def __exit__(self, *exc: object) -> None:
        self.kept.clear()
        self.hooks.__exit__(*exc)

    def clone(self) -> allow_mutation_on_saved_tensors:
        return allow_mutation_on_saved_tensors()


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
    position = edge(tensor)
    place = GradientEdge(*describe_edge(position))
    place.position = position
    place.spec = tensor._array.shape, tensor._array.dtype
    return place


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
    collected = Collected(tuple(tensors), fn, mode == "any")
    handles = [t.register_hook(collected.hook(i)) for i, t in enumerate(collected.tensors)]
    group = RemovableHandle({}, fn)
    group.remove = lambda: [h.remove() for h in handles]  # type: ignore[method-assign,assignment]
    return group


class Collected:
    """The gradients of several tensors in the backward pass that runs."""

    def __init__(self, tensors: tuple[Tensor, ...], fn: Callable[..., None], first: bool) -> None:
        self.tensors, self.fn, self.first = tensors, fn, first
        self.walk: Any = None
        self.expected = 0  # how many of the tensors the pass comes to
        self.found: dict[int, Tensor] = {}

    def hook(self, i: int) -> Callable[[Tensor], None]:
        """A hook for tensor i."""

        def arrived(g: Tensor) -> None:
            if self.walk is not modes.walk:
                self.walk, self.found = modes.walk, {}
                self.expected = sum([self.walk.reaches(edge(t)) for t in self.tensors])
            self.found[i] = g
            if self.first:
                if len(self.found) == 1:
                    self.fn(g)
            elif len(self.found) == self.expected:
                self.fn([self.found.get(k) for k in range(len(self.tensors))])

        return arrived
