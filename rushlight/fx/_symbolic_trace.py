"""Where programs import these from, those too that write their own ``trace``."""

import functools as functools
from types import FunctionType as FunctionType

from rushlight.export import ScriptObject as ScriptObject
from rushlight.fx._compatibility import compatibility as compatibility
from rushlight.fx.proxy import Proxy as Proxy
from rushlight.fx.tracer import (
    Tracer as Tracer,
    _assert_is_none as _assert_is_none,
    _autowrap_check as _autowrap_check,
    _patch_wrapped_functions as _patch_wrapped_functions,
    _Patcher as _Patcher,
    symbolic_trace as symbolic_trace,
    wrap as wrap,
)
from rushlight.nn.modules.module import Module

_orig_module_call, _orig_module_getattr = Module.__call__, Module.__getattr__
