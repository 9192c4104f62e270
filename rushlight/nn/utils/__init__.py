"""Helpers for training: clipping gradients, parameters as one vector, sequences of different
lengths, and parameters
that are computed from others (parametrisations)."""

from rushlight.nn.utils import (
    clip_grad as clip_grad,
    convert_parameters as convert_parameters,
    fusion as fusion,
    init as init,
    memory_format as memory_format,
    parametrizations as parametrizations,
    parametrize as parametrize,
    prune as prune,
    rnn as rnn,
    stateless as stateless,
)
from rushlight.nn.utils.clip_grad import *
from rushlight.nn.utils.convert_parameters import *
from rushlight.nn.utils.fusion import *
from rushlight.nn.utils.init import *
from rushlight.nn.utils.memory_format import *
from rushlight.nn.utils.spectral_norm import *
from rushlight.nn.utils.weight_norm import *
