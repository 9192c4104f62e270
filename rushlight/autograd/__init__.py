"""Automatic differentiation: ``backward``, ``grad``, custom ``Function``, checks and derivatives of
functions.

``functional`` has Jacobians and products with them, ``forward_ad`` dual tensors, ``graph`` hooks on
saved tensors, ``gradcheck`` comparison with finite differences.
"""

from typing import Any

from rushlight.autograd import anomaly_mode as anomaly_mode
from rushlight.autograd import forward_ad as forward_ad
from rushlight.autograd import functional as functional
from rushlight.autograd import graph as graph
from rushlight.autograd import profiler as profiler
from rushlight.autograd.anomaly_mode import detect_anomaly as detect_anomaly
from rushlight.autograd.anomaly_mode import set_detect_anomaly as set_detect_anomaly
from rushlight.autograd.gradcheck import gradcheck as gradcheck
from rushlight.autograd.gradcheck import gradgradcheck as gradgradcheck
from rushlight.core import function as function
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
from rushlight.core.tensor import Tensor
from rushlight.tensor_api.gradients import backward as backward
from rushlight.tensor_api.gradients import grad as grad


class _VariableMeta(type):
    def __instancecheck__(cls, other: object) -> bool:
        return isinstance(other, Tensor)


class Variable(metaclass=_VariableMeta):
    """The old name of a tensor in the graph: ``Variable(t, requires_grad=True)`` is a tensor on t's
    memory.

    Example:
        >>> import rushlight as torch
        >>> v = torch.autograd.Variable(torch.ones(2), requires_grad=True)
        >>> v.sum().backward()
        >>> v.grad
        tensor([1., 1.])
    """

    def __new__(cls, data: Tensor, requires_grad: bool = False, volatile: bool = False) -> Any:
        """A tensor on the memory of ``data``."""
        return data.detach().requires_grad_(requires_grad)
