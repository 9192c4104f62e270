"""Trading time for memory: activations of a part of the model are recomputed in backward instead of
being kept.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterable
from typing import Any

from rushlight.core.function import Function
from rushlight.core.generator import generators_in_use
from rushlight.core.state import GradMode, Mode, modes, state
from rushlight.core.tensor import Tensor
from rushlight.errors import warn_user
from rushlight.tensor_api.casting import switch


class CheckpointError(RuntimeError):
    """The second run of a checkpointed function did not do what the first did."""


def noop_context_fn() -> tuple[Any, Any]:
    """Two context managers without effect."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def rng_state() -> Any:
    """The states of the default generators of all devices in use."""
    return [(generator, generator.get_state()) for generator in generators_in_use()]


def set_rng_state(states: Any) -> None:
    """Put generators back to where they were."""
    for generator, saved in states:
        generator.set_state(saved)


@contextlib.contextmanager
def restored_rng(state: Any) -> Any:
    """Run with other states of the random generators, then continue with the present ones."""
    if state is None:
        yield
        return
    now = rng_state()
    set_rng_state(state)
    try:
        yield
    finally:
        set_rng_state(now)


@contextlib.contextmanager
def restored_autocast(d: Any) -> Any:
    """Run in the precision of the first run, which backward is called outside of."""
    now = modes.autocast
    switch(d)
    try:
        yield
    finally:
        switch(now)


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Any = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """``function(*args)`` that keeps only its inputs, and runs again in backward. While a call is
    captured by ``compile`` it runs once, as if it stood there: the program decides what is kept.

    Args:
        function: its tensors must come in as arguments or as parameters of modules.
        preserve_rng_state: the second run draws the same random numbers (dropout masks).
        context_fn: makes two context managers, for the first run and for the second.
        use_reentrant, determinism_check, debug, early_stop: accepted for programs that pass them.

    Example:
        >>> import rushlight as torch
        >>> from rushlight.utils.checkpoint import checkpoint
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> checkpoint(lambda t: (t.exp() ** 2).sum(), x, use_reentrant=False).backward()
        >>> x.grad
        tensor([ 14.7781, 109.1963])

    Reference: Chen et al., 2016, arXiv:1604.06174.
    """
    if use_reentrant is None:
        _warn_of_default("checkpoint")
    if not modes.grad:
        return function(*args, **kwargs)
    first, second = context_fn()
    if modes.trace is not None:
        with first:
            return function(*args, **kwargs)
    rng = rng_state() if preserve_rng_state else None
    return Recomputation(lambda *again: function(*again, **kwargs), rng, first, second).run(args)


def _warn_of_default(name: str) -> None:
    warn_user(
        f"torch.utils.{name}: the use_reentrant parameter should be passed explicitly; "
        "use_reentrant=False is recommended."
    )


class Recomputation:
    """One checkpointed call: what its nodes saved is dropped at once, and made again when the first
    of them is needed.
    """

    def __init__(self, function: Callable[..., Any], state: Any, first: Any, second: Any) -> None:
        self.function, self.state, self.first, self.second = function, state, first, second
        self.autocast = modes.autocast
        self.args: tuple[Any, ...] = ()
        self.count = 0
        self.again: list[Any] = []

    def run(self, args: tuple[Any, ...]) -> Any:
        """The first run, in which each saved tensor becomes its number."""
        self.args = args
        with self.first, saved_through(self.pack, self.unpack):
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
            restored_autocast(self.autocast),
            self.second,
            GradMode(True),
            saved_through(lambda t: kept.append(t.detach()), lambda t: t),
        ):
            self.function(*args)
        if len(kept) != self.count:
            raise CheckpointError(
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
    """A sequence of modules in ``segments`` checkpointed pieces; the last piece is kept.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
        >>> checkpoint_sequential(net, 2, torch.ones(3, 2), use_reentrant=False).shape
        torch.Size([3, 1])
    """
    if use_reentrant is None:
        _warn_of_default("checkpoint.checkpoint_sequential")
        use_reentrant = True
    layers = list(functions.children()) if hasattr(functions, "children") else list(functions)
    size = len(layers) // segments

    def piece(part: list[Any]) -> Callable[..., Any]:
        def run(x: Any) -> Any:
            for layer in part:
                x = layer(x)
            return x

        return run

    for start in range(0, size * (segments - 1), size):
        part = piece(layers[start : start + size])
        input = checkpoint(part, input, use_reentrant=use_reentrant, **kwargs)
    return piece(layers[size * (segments - 1) :])(input)


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The inputs with tensors taken out of the graph, requiring gradients as before."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(f"Only tuple of tensors is supported, got {type(inputs).__name__}")
    return tuple(
        [x.detach().requires_grad_(x.requires_grad) if isinstance(x, Tensor) else x for x in inputs]
    )


def check_backward_validity(inputs: Iterable[Any]) -> None:
    """Warn when no input requires a gradient, so that none will come."""
    if not any([isinstance(x, Tensor) and x.requires_grad for x in inputs]):
        warn_user("None of the inputs have requires_grad=True. Gradients will be None")


def get_device_states(*args: Any) -> tuple[list[int], list[Tensor]]:
    """Devices besides the CPU, and the states of their generators: none."""
    return [], []


def set_device_states(devices: Any, states: Any, *, device_type: str | None = None) -> None:
    """Nothing: see ``get_device_states``."""


class _Setting(Mode):
    """Accepted for a block."""

    def __init__(self, enable: Any) -> None:
        self.enable = enable


class set_checkpoint_early_stop(_Setting):
    """Accepted: the second run always goes to its end."""

    def __init__(self, enable: bool) -> None:
        super().__init__(enable)


class set_checkpoint_debug_enabled(_Setting):
    """Accepted: errors say how the two runs differ."""

    def __init__(self, enabled: bool | None) -> None:
        super().__init__(enabled)


class CheckpointPolicy(enum.Enum):
    """What a selective checkpoint does with an operation's result."""

    MUST_SAVE = 0
    PREFER_SAVE = 1
    MUST_RECOMPUTE = 2
    PREFER_RECOMPUTE = 3
    MUST_CPU_OFFLOAD = 4
    PREFER_CPU_OFFLOAD = 5


class SelectiveCheckpointContext:
    """What a policy is asked with."""

    def __init__(self, *, is_recompute: bool, op_output: Any = None) -> None:
        self.is_recompute, self.op_output = is_recompute, op_output


SAC_IGNORED_OPS: set[Any] = set()


def create_selective_checkpoint_contexts(
    policy_fn_or_list: Any, allow_cache_entry_mutation: bool = False
) -> tuple[Any, Any]:
    """Context managers for ``context_fn`` without effect: everything is computed again, which
    gives the same numbers.
    """
    return noop_context_fn()


class CheckpointFunction(Function):
    """The checkpoint as a Function: ``apply(function, preserve_rng_state, *args)``."""

    @classmethod
    def apply(cls, run_function: Any, preserve_rng_state: bool, *args: Any) -> Any:
        """``checkpoint(run_function, *args)``."""
        return checkpoint(
            run_function, *args, use_reentrant=True, preserve_rng_state=preserve_rng_state
        )
