"""rushlight: the deep-learning framework that is light enough to read and fast enough to prefer.

``import rushlight as torch`` and a PyTorch program runs. Names, signatures and semantics are
torch's; docs/differences.md lists what differs. Reading order: docs/architecture.md.
"""

import importlib
import math as _math
import sys as _sys
import warnings as _warnings
from types import FunctionType as _FunctionType
from typing import Any

from rushlight import dtypes as _dtypes, ops as ops
from rushlight.absent import reason as _reason
from rushlight.core import (
    allocator as _allocator,
    device_array as _device_array,
    native as _native,
    overrides as _overrides,
)
from rushlight.core.size import Size as Size
from rushlight.core.state import (
    enable_grad as enable_grad,
    inference_mode as inference_mode,
    is_grad_enabled as is_grad_enabled,
    is_inference_mode_enabled as is_inference_mode_enabled,
    no_grad as no_grad,
    set_grad_enabled as set_grad_enabled,
    state as _state,
)
from rushlight.core.tensor import Tensor as Tensor
from rushlight.devices import device as device
from rushlight.dtypes import (
    dtype as dtype,
    finfo as finfo,
    get_default_dtype as get_default_dtype,
    iinfo as iinfo,
    set_default_dtype as set_default_dtype,
)
from rushlight.errors import (
    AcceleratorError as AcceleratorError,
    OutOfMemoryError as OutOfMemoryError,
)
from rushlight.formats import (
    channels_last as channels_last,
    channels_last_3d as channels_last_3d,
    contiguous_format as contiguous_format,
    contiguous_format as legacy_contiguous_format,
    jagged as jagged,
    layout as layout,
    memory_format as memory_format,
    preserve_format as preserve_format,
    sparse_bsc as sparse_bsc,
    sparse_bsr as sparse_bsr,
    sparse_coo as sparse_coo,
    sparse_csc as sparse_csc,
    sparse_csr as sparse_csr,
    strided as strided,
)
from rushlight.ops import operators as _operators
from rushlight.tensor_api import *
from rushlight.tensor_api.own_names import renamed as _renamed
from rushlight.torch_version import TorchVersion
from rushlight.version import __version__ as _version

# inf and nan are results here, as in PyTorch; NumPy would warn. Nobody else's warnings are touched.
_warnings.filterwarnings("ignore", ".* encountered in", RuntimeWarning, r"rushlight\b")

__version__ = TorchVersion(_version)

globals().update(_dtypes.by_name | _dtypes.UNHELD)
chalf = _dtypes.UNHELD["complex32"]
globals().update({alias: _dtypes.by_name[name] for alias, name in _dtypes.ALIASES.items()})

_allocator.keep_freed()

# the first large array loads it
_native.provide(lambda: importlib.import_module("rushlight.compiler.eager").offers())
_device_array.provide(lambda: importlib.import_module("rushlight.compiler.device").offers())

# so do the first tensor that overrides functions, or a mode, its table
_overrides.switch.functions = lambda: importlib.import_module("rushlight.overrides").table()

inf, nan, pi, e, newaxis = _math.inf, _math.nan, _math.pi, _math.e, None
importlib.import_module("rushlight.storage")  # where classes of storages say that they are
torch = importlib.import_module(__name__)  # programs write torch.torch, which is torch


def _show_classes_at_home() -> None:
    """Classes say that they are of this package, as ``type(x)`` prints, unless they are shown in a
    namespace.
    """
    for name, value in globals().items():
        if isinstance(value, type) and value.__name__ == name:
            if value.__module__.startswith(_INNER):
                value.__module__ = _HOMES.get(name, __name__)


_INNER = tuple(f"{__name__}.{m}" for m in ("core", "tensor_api", "devices", "dtypes", "formats"))
_HOMES = {
    "Generator": f"{__name__}._C",
    **dict.fromkeys(("TypedStorage", "UntypedStorage"), f"{__name__}.storage"),
    **dict.fromkeys(
        ("no_grad", "enable_grad", "inference_mode", "set_grad_enabled"),
        f"{__name__}.autograd.grad_mode",
    ),
}
_show_classes_at_home()


def _name_aliases() -> None:
    """``multiply`` is another object than ``mul``: see tensor_api/own_names.py."""
    seen: set[Any] = set()
    for name, value in list(globals().items()):
        if type(value) is _FunctionType and not name.startswith("_"):
            if value in seen:
                globals()[name] = _renamed(value, name)
            seen.add(value)


_name_aliases()


def _let_pickle_find_functions() -> None:
    """Functions made by factories and decorators are saved as ``rushlight.tanh``."""
    for name, value in globals().items():
        if type(value) is _FunctionType and not name.startswith("_"):
            home = _sys.modules[value.__module__]
            if getattr(home, value.__qualname__, None) is not value:
                own = globals().get(value.__name__) is value
                value.__module__, value.__qualname__ = __name__, value.__name__ if own else name


_let_pickle_find_functions()

# namespaces that are imported when first asked for
_LAZY = frozenset(
    """
    _C _VF __config__ __future__ _dynamo _functorch _higher_order_ops _inductor _jit_internal
    _logging _subclasses _tensor _tensor_str _utils
    accelerator amp ao autograd backends compiler cpu cuda distributed distributions export fft func
    functional futures fx hub jit library linalg masked monitor mps multiprocessing nested nn onnx
    optim overrides profiler quantization quasirandom random return_types serialization signal
    sparse special storage testing torch_version types utils version vision xpu
    """.split()  # noqa: SIM905
)
# functions that live in such a namespace: namespace -> names
_IN_NAMESPACE = {
    "_C": "DeviceObjType PyTorchFileReader",
    "jit": "ScriptModule",
    "tensor_api.random": "thread_safe_generator",
    "jit.annotations": "TensorType",
    "_higher_order_ops.control_flow": "cond while_loop",
    "amp": """
        autocast GradScaler get_autocast_dtype set_autocast_dtype is_autocast_enabled
        set_autocast_enabled is_autocast_available get_autocast_cpu_dtype set_autocast_cpu_dtype
        get_autocast_gpu_dtype set_autocast_gpu_dtype is_autocast_cpu_enabled
        set_autocast_cpu_enabled is_autocast_cache_enabled set_autocast_cache_enabled
        clear_autocast_cache autocast_increment_nesting autocast_decrement_nesting
        """,
    "autograd.anomaly_mode": """
        is_anomaly_enabled is_anomaly_check_nan_enabled set_anomaly_enabled
        """,
    "compiler": "compile",
    "cpu": "Event Stream get_device_module",
    "func": "vmap",
    "futures": "Future",
    "library": "Tag",
    "serialization": "load save",
    "tensor_api.random_samples": "_standard_gamma",
    "tensor_api.rarities": """
        _assert _assert_async _check _check_index _check_is_size _check_not_implemented
        _check_tensor_all _check_type _check_value _check_with _convert_indices_from_coo_to_csr
        _convert_indices_from_csr_to_coo _shape_as_tensor
        _softmax_backward_data
        """,
    "tensor_api.segments": "_segment_reduce",
    "tensor_api.symbolic": """
        SymBool SymFloat SymInt sym_float sym_int sym_ite sym_max sym_min sym_not sym_sqrt sym_sum
        """,
    "nn.functional.toplevel": """
        adaptive_avg_pool1d adaptive_max_pool1d affine_grid_generator alpha_dropout alpha_dropout_
        avg_pool1d batch_norm bilinear binary_cross_entropy_with_logits cdist celu celu_
        channel_shuffle constant_pad_nd conv1d conv2d conv3d conv_tbc conv_transpose1d
        conv_transpose2d conv_transpose3d convolution _convolution cosine_embedding_loss
        cosine_similarity ctc_loss dropout dropout_ embedding embedding_bag embedding_renorm_
        feature_alpha_dropout feature_alpha_dropout_ feature_dropout feature_dropout_ grid_sampler
        grid_sampler_2d grid_sampler_3d group_norm gru gru_cell hinge_embedding_loss instance_norm
        kl_div layer_norm lstm lstm_cell margin_ranking_loss max_pool1d max_pool1d_with_indices
        max_pool2d max_pool3d native_batch_norm native_channel_shuffle native_dropout
        native_group_norm native_layer_norm norm_except_dim pairwise_distance pdist pixel_shuffle
        pixel_unshuffle poisson_nll_loss rms_norm rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell
        rrelu rrelu_ selu selu_ threshold threshold_ triplet_margin_loss _grouped_mm
        """,
}
_ELSEWHERE = {
    name: namespace for namespace, names in _IN_NAMESPACE.items() for name in names.split()
}


def _compile(*args: Any, **kwargs: Any) -> Any:
    return importlib.import_module("rushlight.compiler").compile(*args, **kwargs)


def _recorded(*args: Any) -> Any:
    return importlib.import_module("rushlight.fx.recorded").Recorded(*args)


_state.compile, _state.recorded = _compile, _recorded


def _aten(name: str) -> Any:
    """The function that PyTorch calls ``aten::name``."""
    own = importlib.import_module("rushlight.nn.functional.toplevel").OPERATORS.get(name)
    if own is not None:
        return own
    homes = ("rushlight", "rushlight.nn.functional", "rushlight.tensor_api.aten")
    for home in (*map(importlib.import_module, homes), Tensor):
        if callable(getattr(home, name, None)):
            return getattr(home, name)
    return None


_operators.namespaces["aten"] = _operators.Namespace("aten", _aten)


def __getattr__(name: str) -> Any:
    """Namespaces that not every program uses are imported when first asked for; so are functions
    that live in them.
    """
    if name in _LAZY:
        try:
            return importlib.import_module(f"rushlight.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"rushlight.{name}":
                raise
    elif name in _ELSEWHERE or name.startswith("_foreach_"):
        place = _ELSEWHERE.get(name, "tensor_api.foreach")
        module = importlib.import_module(f"rushlight.{place}")
        if hasattr(module, name):
            globals()[name] = value = getattr(module, name)
            return value
    raise AttributeError(
        f"module 'rushlight' has no attribute {name!r}{_reason(name)}",
        name=name,
        obj=importlib.import_module("rushlight"),
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_ELSEWHERE})
