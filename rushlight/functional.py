"""``torch.functional``: functions of the top level that torch also lists here."""

from rushlight.nn.functional.toplevel import cdist as cdist
from rushlight.tensor_api import (
    atleast_1d as atleast_1d,
)
from rushlight.tensor_api import (
    atleast_2d as atleast_2d,
)
from rushlight.tensor_api import (
    atleast_3d as atleast_3d,
)
from rushlight.tensor_api import (
    block_diag as block_diag,
)
from rushlight.tensor_api import (
    broadcast_shapes as broadcast_shapes,
)
from rushlight.tensor_api import (
    broadcast_tensors as broadcast_tensors,
)
from rushlight.tensor_api import (
    cartesian_prod as cartesian_prod,
)
from rushlight.tensor_api import (
    chain_matmul as chain_matmul,
)
from rushlight.tensor_api import (
    einsum as einsum,
)
from rushlight.tensor_api import (
    istft as istft,
)
from rushlight.tensor_api import (
    lu as lu,
)
from rushlight.tensor_api import (
    meshgrid as meshgrid,
)
from rushlight.tensor_api import (
    norm as norm,
)
from rushlight.tensor_api import (
    pca_lowrank as pca_lowrank,
)
from rushlight.tensor_api import (
    split as split,
)
from rushlight.tensor_api import (
    stft as stft,
)
from rushlight.tensor_api import (
    svd_lowrank as svd_lowrank,
)
from rushlight.tensor_api import (
    tensordot as tensordot,
)
from rushlight.tensor_api import (
    unique as unique,
)
from rushlight.tensor_api import (
    unique_consecutive as unique_consecutive,
)
from rushlight.tensor_api import (
    unravel_index as unravel_index,
)
