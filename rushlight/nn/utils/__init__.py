"""Helpers for training: clipping gradients, parameters as one vector, sequences of different
lengths, and parameters
that are computed from others (parametrisations)."""

from rushlight.nn.utils import clip_grad as clip_grad
from rushlight.nn.utils import convert_parameters as convert_parameters
from rushlight.nn.utils import fusion as fusion
from rushlight.nn.utils import init as init
from rushlight.nn.utils import memory_format as memory_format
from rushlight.nn.utils import parametrizations as parametrizations
from rushlight.nn.utils import parametrize as parametrize
from rushlight.nn.utils import prune as prune
from rushlight.nn.utils import rnn as rnn
from rushlight.nn.utils import stateless as stateless
from rushlight.nn.utils.clip_grad import *
from rushlight.nn.utils.convert_parameters import *
from rushlight.nn.utils.fusion import *
from rushlight.nn.utils.init import *
from rushlight.nn.utils.memory_format import *
from rushlight.nn.utils.spectral_norm import *
from rushlight.nn.utils.weight_norm import *
