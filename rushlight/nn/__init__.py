"""Neural networks: layers with state (`modules`), the mathematics without (`functional`),
initialisers (`init`) and helpers for training (`utils`)."""

from rushlight.nn import attention as attention
from rushlight.nn import functional as functional
from rushlight.nn import grad as grad
from rushlight.nn import init as init
from rushlight.nn import modules as modules
from rushlight.nn import parallel as parallel
from rushlight.nn import parameter as parameter
from rushlight.nn import utils as utils
from rushlight.nn.modules import *
from rushlight.nn.modules.utils import factory_kwargs as factory_kwargs
from rushlight.nn.parallel import DataParallel as DataParallel
from rushlight.nn.parameter import *

functional.grad = grad  # type: ignore[attr-defined]  # F.grad.conv2d_input
