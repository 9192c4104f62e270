"""Hooks of optimizers: functions that run before or after a step, and around state_dict."""

from __future__ import annotations

import functools
import itertools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from rushlight.core.node import RemovableHandle
from rushlight.core.state import modes, state

Hooks = OrderedDict[int, Callable[..., Any]]

_global_before_step: Hooks = OrderedDict()
_global_after_step: Hooks = OrderedDict()

KINDS = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)
BEFORE, AFTER = KINDS[:2]


NONE: Hooks = OrderedDict()


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Calls ``hook(optimizer, args, kwargs)`` before every step of every optimizer."""
    return RemovableHandle(_global_before_step, hook)


def register_optimizer_step_post_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Calls ``hook(optimizer, args, kwargs)`` after every step of every optimizer."""
    return RemovableHandle(_global_after_step, hook)


def hooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """A ``step`` that runs the hooks and notes, for schedulers, that it was called."""

    @functools.wraps(step)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._stepping:  # an overriding step calls its parent's: the hooks have run
            return step(self, *args, **kwargs)
        recorder = modes.profiler if state.busy else None
        if recorder is None:
            return run(self, args, kwargs)
        with recorder.noting(f"Optimizer.step#{type(self).__name__}.step", "user_annotation"):
            return run(self, args, kwargs)

    def run(self: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._stepping = self._opt_called = True
        try:
            own = self.__dict__  # an optimizer around another one may have skipped our __init__
            before, after = own.get(BEFORE, NONE), own.get(AFTER, NONE)
            if not (before or after or _global_before_step or _global_after_step):
                return step(self, *args, **kwargs)
            for hook in itertools.chain(_global_before_step.values(), before.values()):
                result = hook(self, args, kwargs)
                if result is not None:
                    args, kwargs = _new_arguments(result)
            out = step(self, *args, **kwargs)
            for hook in itertools.chain(after.values(), _global_after_step.values()):
                hook(self, args, kwargs)
            return out
        finally:
            self._stepping = False

    return wrapped


def _new_arguments(result: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError(
            f"a step pre-hook returned {result!r}; it must return None or a tuple of (new_args, "
            "new_kwargs)."
        )
    return result


class HookedMixin:
    """The hook registers of an optimizer."""

    _stepping = False
    _opt_called = False

    def _tables_of_steps(self) -> list[Hooks]:
        """Hooks around steps, of this optimizer and of all."""
        own = [self.__dict__.get(kind, NONE) for kind in (BEFORE, AFTER)]
        return [*own, _global_before_step, _global_after_step]

    profile_hook_step = staticmethod(hooked)

    def _patch_step_function(self) -> None:
        """Nothing: optimizers around others, which do not call ``__init__``, call this for the
        hooks of ``step``, which every class has (see ``Optimizer.__init_subclass__``).
        """

    def _accelerator_graph_capture_health_check(self) -> None:
        """Nothing: no steps are captured as graphs of a device."""

    _cuda_graph_capture_health_check = _accelerator_graph_capture_health_check

    def _make_hooks(self) -> None:
        for kind in KINDS:
            self.__dict__.setdefault(kind, OrderedDict())

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls ``hook(optimizer, args, kwargs)`` before each step; it may return new (args,
        kwargs).
        """
        return RemovableHandle(self._optimizer_step_pre_hooks, hook)  # type: ignore[attr-defined]

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls ``hook(optimizer, args, kwargs)`` after each step."""
        return RemovableHandle(self._optimizer_step_post_hooks, hook)  # type: ignore[attr-defined]

    def register_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(optimizer)`` before ``state_dict``."""
        hooks = self._optimizer_state_dict_pre_hooks  # type: ignore[attr-defined]
        return _register(hooks, hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(optimizer, state_dict)`` after ``state_dict``; it may return another
        dict.
        """
        hooks = self._optimizer_state_dict_post_hooks  # type: ignore[attr-defined]
        return _register(hooks, hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(optimizer, state_dict)`` before loading; it may return another dict."""
        hooks = self._optimizer_load_state_dict_pre_hooks  # type: ignore[attr-defined]
        return _register(hooks, hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(optimizer)`` after loading."""
        hooks = self._optimizer_load_state_dict_post_hooks  # type: ignore[attr-defined]
        return _register(hooks, hook, prepend)


def _register(hooks: Hooks, hook: Callable[..., Any], prepend: bool) -> RemovableHandle:
    handle = RemovableHandle(hooks, hook)
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle
