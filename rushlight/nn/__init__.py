"""Neural networks: layers with state (`modules`), the mathematics without (`functional`),
initialisers (`init`) and helpers for training (`utils`)."""

from rushlight.nn import (
    attention as attention,
    functional as functional,
    grad as grad,
    init as init,
    modules as modules,
    parallel as parallel,
    parameter as parameter,
    utils as utils,
)
from rushlight.nn.modules import *
from rushlight.nn.modules.utils import factory_kwargs as factory_kwargs
from rushlight.nn.parallel import DataParallel as DataParallel
from rushlight.nn.parameter import *

functional.grad = grad  # type: ignore[attr-defined]  # F.grad.conv2d_input
