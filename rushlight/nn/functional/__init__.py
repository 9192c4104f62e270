"""torch.nn.functional: the mathematics of layers, without state.

One module per family: ``activation``, ``dropout``, ``linear``, ``loss``, ``distance``, ...; each
turns its arguments into the ops of
``rushlight.ops``.
"""

from rushlight.core.tensor import Tensor as Tensor
from rushlight.nn import _reduction as _Reduction
from rushlight.nn.functional.activation import *
from rushlight.nn.functional.attention import *
from rushlight.nn.functional.conv import *
from rushlight.nn.functional.distance import *
from rushlight.nn.functional.dropout import *
from rushlight.nn.functional.linear import *
from rushlight.nn.functional.loss import *
from rushlight.nn.functional.margin import *
from rushlight.nn.functional.norm import *
from rushlight.nn.functional.padding import *
from rushlight.nn.functional.pooling import *
from rushlight.nn.functional.sparse import *
from rushlight.nn.functional.vision import *
