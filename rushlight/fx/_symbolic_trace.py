"""Where programs import these from."""

from rushlight.fx.tracer import Tracer as Tracer
from rushlight.fx.tracer import _assert_is_none as _assert_is_none
from rushlight.fx.tracer import symbolic_trace as symbolic_trace
from rushlight.fx.tracer import wrap as wrap
