"""Automatic differentiation: ``backward``, ``grad``, custom ``Function``, checks and derivatives of
functions.

``functional`` has Jacobians and products with them, ``forward_ad`` dual tensors, ``graph`` hooks on
saved tensors, ``gradcheck`` comparison with finite differences.
"""

from rushlight.autograd import (
    anomaly_mode as anomaly_mode,
    forward_ad as forward_ad,
    function as function,
    functional as functional,
    grad_mode as grad_mode,
    graph as graph,
    profiler as profiler,
    variable as variable,
)
from rushlight.autograd.anomaly_mode import (
    detect_anomaly as detect_anomaly,
    set_detect_anomaly as set_detect_anomaly,
)
from rushlight.autograd.grad_mode import set_multithreading_enabled as set_multithreading_enabled
from rushlight.autograd.gradcheck import gradcheck as gradcheck, gradgradcheck as gradgradcheck
from rushlight.autograd.variable import Variable as Variable
from rushlight.core.function import Function as Function
from rushlight.core.state import (
    enable_grad as enable_grad,
    inference_mode as inference_mode,
    no_grad as no_grad,
    set_grad_enabled as set_grad_enabled,
)
from rushlight.tensor_api.gradients import backward as backward, grad as grad
from rushlight.tensor_api.graph import replacement as _replacement

_own_backward = backward
_replacement.of = lambda: None if backward is _own_backward else backward
