"""What libraries built on torch ask of its C++ module."""

from __future__ import annotations

import importlib
from typing import Any

from rushlight.backends import cudnn
from rushlight.core import overrides
from rushlight.core.generator import Generator as Generator
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor
from rushlight.export import (
    DeviceObjType as DeviceObjType,
    Graph as Graph,
    ScriptObject as ScriptObject,
    Value as Value,
)
from rushlight.nn.modules._moving import parse_to
from rushlight.tensor_api.random import default_generator as default_generator

_disabled_torch_function_impl = overrides.without_overrides
DisableTorchFunctionSubclass = overrides.AskNoArguments
DisableTorchFunction = overrides.AskNobody


class _Functions:
    """Functions under the names that PyTorch's C++ modules have for them, as graphs print them."""

    def __init__(self, place: str, prefix: str = "") -> None:
        self._place, self._prefix = place, prefix

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self._place), name.removeprefix(self._prefix))


_nn = _Functions("rushlight.nn.functional")
_nn._parse_to = parse_to  # type: ignore[attr-defined]  # how ``to`` reads its arguments
_linalg = _Functions("rushlight.linalg", "linalg_")
_fft = _Functions("rushlight.fft", "fft_")
_special = _Functions("rushlight.special", "special_")


def _log_api_usage_once(name: str) -> None:
    """Nothing: usage is not counted."""


def _get_tracing_state() -> None:
    """No TorchScript is traced."""


def _is_tracing() -> bool:
    """Whether TorchScript is being traced: never."""
    return False


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


_TensorMeta = type(Tensor)


class PyTorchFileReader:
    """A name for annotations: ``torch.load`` reads files."""


def _get_cudnn_enabled() -> bool:
    """What ``torch.backends.cudnn.enabled`` says."""
    return bool(cudnn.enabled)
