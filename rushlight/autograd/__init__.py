"""Automatic differentiation: ``backward``, ``grad``, custom ``Function``, checks and derivatives of
functions.

``functional`` has Jacobians and products with them, ``forward_ad`` dual tensors, ``graph`` hooks on
saved tensors, ``gradcheck`` comparison with finite differences.
"""

from rushlight.autograd import anomaly_mode as anomaly_mode
from rushlight.autograd import forward_ad as forward_ad
from rushlight.autograd import function as function
from rushlight.autograd import functional as functional
from rushlight.autograd import grad_mode as grad_mode
from rushlight.autograd import graph as graph
from rushlight.autograd import profiler as profiler
from rushlight.autograd import variable as variable
from rushlight.autograd.anomaly_mode import detect_anomaly as detect_anomaly
from rushlight.autograd.anomaly_mode import set_detect_anomaly as set_detect_anomaly
from rushlight.autograd.grad_mode import set_multithreading_enabled as set_multithreading_enabled
from rushlight.autograd.gradcheck import gradcheck as gradcheck
from rushlight.autograd.gradcheck import gradgradcheck as gradgradcheck
from rushlight.autograd.variable import Variable as Variable
from rushlight.core.function import Function as Function
from rushlight.core.state import (
    enable_grad as enable_grad,
)
from rushlight.core.state import (
    inference_mode as inference_mode,
)
from rushlight.core.state import (
    no_grad as no_grad,
)
from rushlight.core.state import (
    set_grad_enabled as set_grad_enabled,
)
from rushlight.tensor_api.gradients import backward as backward
from rushlight.tensor_api.gradients import grad as grad
from rushlight.tensor_api.graph import replacement as _replacement

_own_backward = backward
_replacement.of = lambda: None if backward is _own_backward else backward
