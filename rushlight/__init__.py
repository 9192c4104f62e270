"""rushlight: the deep-learning framework that is light enough to read and fast enough to prefer.

``import rushlight as torch`` and a PyTorch program runs. Names, signatures and semantics are torch's; docs/differences.md lists what
differs. Reading order: docs/architecture.md.
"""

import importlib
import math as _math
from typing import Any

import rushlight.ops  # noqa: F401  (provides the ops that autograd itself needs)
from rushlight import dtypes as _dtypes
from rushlight.core.size import Size as Size
from rushlight.core.state import (
    enable_grad as enable_grad,
    inference_mode as inference_mode,
    is_grad_enabled as is_grad_enabled,
    is_inference_mode_enabled as is_inference_mode_enabled,
    no_grad as no_grad,
    set_grad_enabled as set_grad_enabled,
)
from rushlight.core.tensor import Tensor as Tensor
from rushlight.devices import device as device
from rushlight.formats import (
    channels_last as channels_last,
    channels_last_3d as channels_last_3d,
    contiguous_format as contiguous_format,
    layout as layout,
    memory_format as memory_format,
    preserve_format as preserve_format,
    sparse_coo as sparse_coo,
    sparse_csr as sparse_csr,
    strided as strided,
)
from rushlight.dtypes import (
    dtype as dtype,
    finfo as finfo,
    get_default_dtype as get_default_dtype,
    iinfo as iinfo,
    set_default_dtype as set_default_dtype,
)
from rushlight.tensor_api import *  # noqa: F403

__version__ = "0.1.0"

globals().update(_dtypes.by_name)
globals().update({alias: _dtypes.by_name[name] for alias, name in _dtypes.ALIASES.items()})

inf, nan, pi, e, newaxis = _math.inf, _math.nan, _math.pi, _math.e, None

_LAZY = frozenset((
    "amp", "autograd", "backends", "compiler", "cpu", "cuda", "distributed", "distributions", "fft", "func", "hub", "jit", "linalg",
    "masked", "mps", "multiprocessing", "nn", "onnx", "optim", "overrides", "profiler", "random", "return_types", "serialization",
    "signal", "special", "storage", "testing", "types", "utils", "version", "vision",
))  # fmt: skip
# functions that live in a namespace which is not imported before it is needed: name -> module
_ELSEWHERE = {
    **dict.fromkeys(("load", "save"), "serialization"),
    **dict.fromkeys(("compile",), "compiler"),
    **dict.fromkeys(("vmap",), "func"),
    **dict.fromkeys(("autocast", "get_autocast_dtype", "is_autocast_enabled", "set_autocast_enabled"), "amp"),
}


def __getattr__(name: str) -> Any:
    """Namespaces that not every program uses are imported when first asked for; so are functions of nn.functional."""
    if name in _LAZY:
        try:
            return importlib.import_module(f"rushlight.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"rushlight.{name}":
                raise
    elif name in _ELSEWHERE:
        return getattr(importlib.import_module(f"rushlight.{_ELSEWHERE[name]}"), name)
    elif name in _FUNCTIONAL:
        return getattr(importlib.import_module("rushlight.nn.functional"), name)
    raise AttributeError(f"module 'rushlight' has no attribute {name!r}", name=name, obj=importlib.import_module("rushlight"))


# functions of nn.functional that torch also has at the top
_FUNCTIONAL: frozenset[str] = frozenset()
