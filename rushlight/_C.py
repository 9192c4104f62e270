"""What libraries built on torch ask of its C++ module."""

from __future__ import annotations

from typing import Any

from rushlight.core.state import Mode


def _log_api_usage_once(name: str) -> None:
    """Nothing: usage is not counted."""


def _get_tracing_state() -> None:
    """No TorchScript is traced."""


def _are_functorch_transforms_active() -> bool:
    """Whether every operation is being replaced: never. Transforms see operations as they run."""
    return False


def _is_torch_function_mode_enabled() -> bool:
    """Whether there is a mode that replaces functions: never."""
    return False


def _disabled_torch_function_impl(
    func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
) -> Any:
    """``func`` as it is: a ``__torch_function__`` for classes that want none."""
    return func(*args, **(kwargs or {}))


class DisableTorchFunctionSubclass(Mode):
    """Nothing: functions do not ask tensors what to do."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: Any) -> None:
        pass


DisableTorchFunction = DisableTorchFunctionSubclass


def _get_privateuse1_backend_name() -> str:
    """The name of a device of another vendor: none has registered one."""
    return "privateuseone"


def _jit_set_profiling_mode(enabled: bool) -> bool:
    """Nothing: there is no TorchScript compiler to set up."""
    return False


_jit_set_profiling_executor = _jit_set_texpr_fuser_enabled = _jit_set_profiling_mode
_jit_override_can_fuse_on_cpu = _jit_override_can_fuse_on_gpu = _jit_set_profiling_mode
_jit_set_nvfuser_enabled = _jit_set_profiling_mode


def _jit_can_fuse_on_cpu() -> bool:
    """There is no TorchScript compiler."""
    return False


_jit_can_fuse_on_gpu = _jit_can_fuse_on_cpu
