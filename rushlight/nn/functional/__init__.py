"""torch.nn.functional: the mathematics of layers, without state.

One module per family: ``activation``, ``dropout``, ``linear``, ``loss``, ``distance``, ...; each
turns its arguments into ops of ``rushlight.ops``.
"""

from rushlight.core.tensor import Tensor as Tensor
from rushlight.nn import _reduction as _Reduction
from rushlight.nn.functional.activation import *
from rushlight.nn.functional.adaptive_pooling import *
from rushlight.nn.functional.attention import *
from rushlight.nn.functional.class_losses import *
from rushlight.nn.functional.conv import *
from rushlight.nn.functional.ctc import *
from rushlight.nn.functional.distance import *
from rushlight.nn.functional.dropout import *
from rushlight.nn.functional.fractional_pooling import *
from rushlight.nn.functional.grids import *
from rushlight.nn.functional.grouped import *
from rushlight.nn.functional.linear import *
from rushlight.nn.functional.loss import *
from rushlight.nn.functional.margin import *
from rushlight.nn.functional.norm import *
from rushlight.nn.functional.padding import *
from rushlight.nn.functional.pooling import *
from rushlight.nn.functional.rearranging import *
from rushlight.nn.functional.resampling import *
from rushlight.nn.functional.sparse import *
from rushlight.nn.functional.unpooling import *
from rushlight.tensor_api.numpy_names import explaining as _explaining

# These look at their arguments before an op does.
_explaining(
    globals(),
    """
    affine_grid alpha_dropout conv_tbc dropout dropout1d dropout2d dropout3d embedding_bag
    feature_alpha_dropout fold gaussian_nll_loss glu gumbel_softmax instance_norm
    local_response_norm log_softmax lp_pool1d lp_pool2d lp_pool3d
    multi_head_attention_forward multilabel_soft_margin_loss normalize sigmoid softmax
    softmin softsign tanh tanhshrink
    """.split(),  # noqa: SIM905
)
