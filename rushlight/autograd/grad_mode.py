"""What switches recording on and off, under the name of its module in torch."""

from rushlight.core.state import enable_grad as enable_grad
from rushlight.core.state import inference_mode as inference_mode
from rushlight.core.state import no_grad as no_grad
from rushlight.core.state import set_grad_enabled as set_grad_enabled

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled"]
