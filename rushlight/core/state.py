"""Execution modes: what applying an op must do besides computing. Knows nothing of tensors."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any


def _nothing_compiles(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("compile is not available before rushlight is imported as a whole.")


def _nothing_records(*args: Any) -> Any:
    raise RuntimeError("backends are not available before rushlight is imported as a whole.")


class State:
    """``busy`` counts everything, in any thread, that fast paths must make way for (anomaly mode, a
    trace, a profiler).
    """

    __slots__ = ("busy", "asking", "compile", "recorded")

    def __init__(self) -> None:
        self.busy = 0
        self.asking = 0  # how many might answer in the place of functions: core/overrides.py
        self.compile: Callable[..., Any] = _nothing_compiles  # given by the package, which is above
        self.recorded: Callable[..., Any] = _nothing_records  # so is this: fx/recorded.py


state = State()


class Watcher:
    """Base of what stands at ``modes.profiler``: it makes the calls of ops and nodes, and is told
    of other parts of a program, of which it need not take notice.
    """

    def call(self, source: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """``function(*args, **kwargs)``, a part of an op or node ``source``."""
        return function(*args, **kwargs)

    def noting(self, name: str, kind: str) -> AbstractContextManager[None]:
        """Around what runs under a name."""
        return nullcontext()

    def begin(self, name: str, kind: str) -> Any:
        """What runs under a name begins; returned is what ``end`` gets, or None."""
        return None


class Modes(threading.local):
    """Per-thread modes. Fast paths read them only when a tensor is tracked or ``state.busy``."""

    grad = True
    inference = False
    anomaly = False
    compiling = False  # a compiled function is called, to be captured or as it is
    trace: Any = None  # notes what is computed, viewed and written: see rushlight/compiler/trace.py
    profiler: Any = None  # makes calls of ops and nodes, and notes how long they take
    # the NumPy dtypes that "lower" ops compute in, on the CPU and on GPUs; one may be None
    autocast: tuple[Any, Any] | None = None
    check_nan = True
    forward = False  # a backward pass that serves forward-mode differentiation runs
    walk: Any = None  # the backward pass that runs, see core/engine.py
    samples = False  # ``vmap`` calls its function for one sample after the other
    saved_hooks: tuple[Callable[..., Any], Callable[..., Any]] | None = None
    refuse_saved_hooks: str | None = None  # why there may be none
    # see core/overrides.py: whether functions ask their arguments, and modes that they ask first
    asks_arguments = True
    function_modes: tuple[Any, ...] = ()


modes = Modes()


class Mode:
    """Base of context managers that are decorators too, for functions and generators."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *exc: object) -> None: ...

    def clone(self) -> Mode:
        """A fresh manager with the same settings: a decorated function may be re-entered."""
        return self

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isclass(function):
            setattr(function, "__init__", self(function.__init__))  # noqa: B010
            return function
        if inspect.isgeneratorfunction(function):
            return self._wrap_generator(function)

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return wrapped

    def _wrap_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The mode holds while the generator's body runs, not while its caller does."""

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            generator = function(*args, **kwargs)
            step, value = generator.send, None
            while True:
                try:
                    with self.clone():
                        item = step(value)
                except StopIteration as stop:
                    return stop.value
                try:
                    step, value = generator.send, (yield item)
                except GeneratorExit:
                    with self.clone():
                        generator.close()
                    raise
                except BaseException as error:
                    step, value = generator.throw, error

        return wrapped


class GradMode(Mode):
    """Sets gradient recording for this thread."""

    __slots__ = ("value", "previous")

    def __init__(self, value: bool) -> None:
        self.value = value

    def __enter__(self) -> None:
        self.previous = modes.grad
        modes.grad = self.value

    def __exit__(self, *exc: object) -> None:
        modes.grad = self.previous

    def clone(self) -> GradMode:
        return GradMode(self.value)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isclass(function) or inspect.isgeneratorfunction(function):
            return super().__call__(function)
        value = self.value

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            before = modes.grad
            try:  # an interrupt as ``__exit__`` is called would leave the mode as it is
                modes.grad = value
                return function(*args, **kwargs)
            finally:
                modes.grad = before

        return wrapped


class no_grad(GradMode):
    """Within it nothing is recorded, so results do not require grad. Context manager and decorator.

    Example:
        >>> import rushlight as torch
        >>> x = torch.ones(2, requires_grad=True)
        >>> with torch.no_grad():
        ...     (x * 2).requires_grad
        False
    """

    def __new__(cls, orig_func: Callable[..., Any] | None = None) -> Any:
        self = object.__new__(cls)
        self.value = cls._value
        return self if orig_func is None else self(orig_func)

    _value = False

    def __init__(self, orig_func: Callable[..., Any] | None = None) -> None: ...


class enable_grad(no_grad):
    """Within it operations are recorded again. Context manager and decorator.

    Example:
        >>> import rushlight as torch
        >>> x = torch.ones(2, requires_grad=True)
        >>> with torch.no_grad(), torch.enable_grad():
        ...     (x * 2).requires_grad
        True
    """

    _value = True


class set_grad_enabled(GradMode):
    """Turns recording on or off, at once when called and until the end of the block when used with
    ``with``.

    Example:
        >>> import rushlight as torch
        >>> with torch.set_grad_enabled(False):
        ...     torch.is_grad_enabled()
        False
    """

    def __init__(self, mode: bool) -> None:
        super().__init__(bool(mode))
        self.previous = modes.grad
        modes.grad = self.value

    def __enter__(self) -> None:
        modes.grad = self.value

    def __repr__(self) -> str:
        return f"{type(self).__module__}.{type(self).__name__}(mode={self.value})"

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        modes.grad = self.previous
        return super().__call__(function)


class inference_mode(Mode):
    """Like ``no_grad`` for code that never needs gradients of its results. Context manager and
    decorator.

    Args:
        mode: whether to turn it on.

    Example:
        >>> import rushlight as torch
        >>> with torch.inference_mode():
        ...     torch.is_inference_mode_enabled()
        True
    """

    value: bool
    previous: tuple[bool, bool]

    def __new__(cls, mode: Any = True) -> Any:
        self = object.__new__(cls)
        self.value = True if callable(mode) else mode
        return self(mode) if callable(mode) else self

    def __init__(self, mode: Any = True) -> None: ...

    def __enter__(self) -> None:
        self.previous = modes.grad, modes.inference
        modes.grad, modes.inference = not self.value, self.value

    def __exit__(self, *exc: object) -> None:
        modes.grad, modes.inference = self.previous

    def clone(self) -> inference_mode:
        return inference_mode(self.value)


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread."""
    return modes.grad


def is_inference_mode_enabled() -> bool:
    """Whether ``inference_mode`` is on in this thread."""
    return modes.inference
