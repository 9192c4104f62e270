"""What libraries built on torch ask of its C++ module."""

from __future__ import annotations

import importlib
from typing import Any

from rushlight.core import overrides
from rushlight.core.state import modes
from rushlight.ops.operators import Namespace

_disabled_torch_function_impl = overrides.without_overrides
DisableTorchFunctionSubclass = overrides.AskNoArguments
DisableTorchFunction = overrides.AskNobody


def _log_api_usage_once(name: str) -> None:
    """Nothing: usage is not counted."""


def _get_tracing_state() -> None:
    """No TorchScript is traced."""


def _are_functorch_transforms_active() -> bool:
    """Whether every operation is being replaced: never. Transforms see operations as they run."""
    return False


def _is_torch_function_mode_enabled() -> bool:
    """Whether there is a mode that functions ask: see rushlight/overrides.py."""
    return bool(modes.function_modes)


def _is_torch_function_enabled() -> bool:
    """Whether functions ask their arguments."""
    return modes.asks_arguments


def _len_torch_function_stack() -> int:
    """How many modes functions ask."""
    return len(modes.function_modes)


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


def _function_of_layers(name: str) -> Any:
    return getattr(importlib.import_module("rushlight.nn.functional"), name, None)


_nn = Namespace("_nn", _function_of_layers)
