"""rushlight: the deep-learning framework that is light enough to read and fast enough to prefer.

``import rushlight as torch`` and a PyTorch program runs. Names, signatures and semantics are
torch's; docs/differences.md lists what differs. Reading order: docs/architecture.md.
"""

import importlib
import importlib.util
import math as _math
import warnings as _warnings
from typing import Any

import rushlight.ops
from rushlight import dtypes as _dtypes
from rushlight.core.size import Size as Size
from rushlight.core.state import (
    enable_grad as enable_grad,
)
from rushlight.core.state import (
    inference_mode as inference_mode,
)
from rushlight.core.state import (
    is_grad_enabled as is_grad_enabled,
)
from rushlight.core.state import (
    is_inference_mode_enabled as is_inference_mode_enabled,
)
from rushlight.core.state import (
    no_grad as no_grad,
)
from rushlight.core.state import (
    set_grad_enabled as set_grad_enabled,
)
from rushlight.core.tensor import Tensor as Tensor
from rushlight.devices import device as device
from rushlight.dtypes import (
    dtype as dtype,
)
from rushlight.dtypes import (
    finfo as finfo,
)
from rushlight.dtypes import (
    get_default_dtype as get_default_dtype,
)
from rushlight.dtypes import (
    iinfo as iinfo,
)
from rushlight.dtypes import (
    set_default_dtype as set_default_dtype,
)
from rushlight.formats import (
    channels_last as channels_last,
)
from rushlight.formats import (
    channels_last_3d as channels_last_3d,
)
from rushlight.formats import (
    contiguous_format as contiguous_format,
)
from rushlight.formats import (
    layout as layout,
)
from rushlight.formats import (
    memory_format as memory_format,
)
from rushlight.formats import (
    preserve_format as preserve_format,
)
from rushlight.formats import (
    sparse_coo as sparse_coo,
)
from rushlight.formats import (
    sparse_csr as sparse_csr,
)
from rushlight.formats import (
    strided as strided,
)
from rushlight.tensor_api import *

# inf and nan are results here, as in PyTorch; NumPy would warn. Nobody else's warnings are touched.
_warnings.filterwarnings("ignore", ".* encountered in", RuntimeWarning, r"rushlight\b")

__version__ = "0.1.0"

globals().update(_dtypes.by_name)
globals().update({alias: _dtypes.by_name[name] for alias, name in _dtypes.ALIASES.items()})

inf, nan, pi, e, newaxis = _math.inf, _math.nan, _math.pi, _math.e, None

_LAZY = frozenset(
    (
        "amp",
        "autograd",
        "backends",
        "compiler",
        "cpu",
        "cuda",
        "distributed",
        "distributions",
        "fft",
        "func",
        "hub",
        "jit",
        "linalg",
        "masked",
        "mps",
        "multiprocessing",
        "nn",
        "onnx",
        "optim",
        "overrides",
        "profiler",
        "random",
        "return_types",
        "serialization",
        "signal",
        "special",
        "storage",
        "testing",
        "types",
        "utils",
        "version",
        "vision",
    )
)
# functions that live in a namespace which is not imported before it is needed: name -> module
_ELSEWHERE = {
    **dict.fromkeys(("load", "save"), "serialization"),
    **dict.fromkeys(("compile",), "compiler"),
    **dict.fromkeys(("vmap",), "func"),
    **dict.fromkeys(
        ("autocast", "get_autocast_dtype", "is_autocast_enabled", "set_autocast_enabled"), "amp"
    ),
}


def __getattr__(name: str) -> Any:
    """Namespaces that not every program uses are imported when first asked for; so are functions of
    nn.functional.
    """
    if name in _LAZY:
        try:
            return importlib.import_module(f"rushlight.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"rushlight.{name}":
                raise
    elif name in _ELSEWHERE and importlib.util.find_spec(f"rushlight.{_ELSEWHERE[name]}"):
        return getattr(importlib.import_module(f"rushlight.{_ELSEWHERE[name]}"), name)
    elif name in _FUNCTIONAL:
        return getattr(importlib.import_module("rushlight.nn.functional"), name)
    raise AttributeError(
        f"module 'rushlight' has no attribute {name!r}",
        name=name,
        obj=importlib.import_module("rushlight"),
    )


# functions of nn.functional that torch also has at the top
_FUNCTIONAL: frozenset[str] = frozenset()
