"""Trading time for memory: activations of a part of the model are recomputed in backward instead of
being kept.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from rushlight.core.state import GradMode, modes, state
from rushlight.core.tensor import Tensor
from rushlight.tensor_api.random import get_rng_state, set_rng_state


@contextlib.contextmanager
def restored_rng(state: Any) -> Any:
    """Run with another state of the random generator, then continue with the present one."""
    if state is None:
        yield
        return
    now = get_rng_state()
    set_rng_state(state)
    try:
        yield
    finally:
        set_rng_state(now)


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Any = None,
    determinism_check: str = "default",
    debug: bool = False,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """``function(*args)`` that keeps only its inputs, and runs again in backward.

    Args:
        function: its tensors must come in as arguments or as parameters of modules.
        preserve_rng_state: the second run draws the same random numbers (dropout masks).
        use_reentrant, context_fn, determinism_check, debug: accepted for programs that pass them.

    Example:
        >>> import rushlight as torch
        >>> from rushlight.utils.checkpoint import checkpoint
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> checkpoint(lambda t: (t.exp() ** 2).sum(), x, use_reentrant=False).backward()
        >>> x.grad
        tensor([ 14.7781, 109.1963])

    Reference: Chen et al., 2016, arXiv:1604.06174.
    """
    if not modes.grad:
        return function(*args, **kwargs)
    state = get_rng_state() if preserve_rng_state else None
    frame = Recomputation(lambda *again: function(*again, **kwargs), state)
    return frame.run(args)


class Recomputation:
    """One checkpointed call: what its nodes saved is dropped at once, and made again when the first
    of them is needed.
    """

    def __init__(self, function: Callable[..., Any], state: Any) -> None:
        self.function, self.state = function, state
        self.args: tuple[Any, ...] = ()
        self.count = 0
        self.again: list[Any] = []

    def run(self, args: tuple[Any, ...]) -> Any:
        """The first run, in which each saved tensor becomes its number."""
        self.args = args
        with saved_through(self.pack, self.unpack):
            return self.function(*args)

    def pack(self, t: Tensor) -> int:
        """The number of a saved tensor, in the order of saving."""
        self.count += 1
        return self.count - 1

    def unpack(self, i: int) -> Tensor:
        """The tensor again, from a second run of the function; each is handed out once."""
        if not self.again or self.again[i] is None:
            self.recompute()
        t, self.again[i] = self.again[i], None
        return t

    def recompute(self) -> None:
        """The second run, which keeps what is saved."""
        kept: list[Any] = []
        args = [
            a.detach().requires_grad_(a.requires_grad) if isinstance(a, Tensor) else a
            for a in self.args
        ]
        with (
            restored_rng(self.state),
            GradMode(True),
            saved_through(lambda t: kept.append(t.detach()), lambda t: t),
        ):
            self.function(*args)
        if len(kept) != self.count:
            raise RuntimeError(
                f"checkpoint: the recomputed function saved {len(kept)} tensors, the first run "
                f"{self.count}; it must do the "
                "same both times. Does it depend on something that changed in between?"
            )
        self.again = kept


@contextlib.contextmanager
def saved_through(pack: Any, unpack: Any) -> Any:
    """``saved_tensors_hooks``, written here because utils does not see the autograd namespace."""
    previous = modes.saved_hooks
    modes.saved_hooks = pack, unpack
    state.busy += 1
    try:
        yield
    finally:
        modes.saved_hooks = previous
        state.busy -= 1


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """A sequence of modules in ``segments`` checkpointed pieces; the last piece is kept."""
    layers = list(functions.children()) if hasattr(functions, "children") else list(functions)
    size = len(layers) // segments

    def piece(part: list[Any]) -> Callable[..., Any]:
        def run(x: Any) -> Any:
            for layer in part:
                x = layer(x)
            return x

        return run

    for start in range(0, size * (segments - 1), size):
        input = checkpoint(piece(layers[start : start + size]), input, **kwargs)
    return piece(layers[size * (segments - 1) :])(input)
