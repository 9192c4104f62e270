"""The public functions and Tensor methods: argument handling, then an op.

Each module holds one family, lists its functions in ``__all__``, and attaches the methods to Tensor as it is imported.
"""

from rushlight.tensor_api.conversion import *  # noqa: F403  (first: the others use to() and copy_())
from rushlight.tensor_api.comparison import *  # noqa: F403
from rushlight.tensor_api.creation import *  # noqa: F403
from rushlight.tensor_api.graph import *  # noqa: F403
from rushlight.tensor_api.gradients import *  # noqa: F403
from rushlight.tensor_api.indexing import *  # noqa: F403
from rushlight.tensor_api.joining import *  # noqa: F403
from rushlight.tensor_api.mathematics import *  # noqa: F403
from rushlight.tensor_api.activations import *  # noqa: F403
from rushlight.tensor_api.ordering import *  # noqa: F403
from rushlight.tensor_api.pointwise import *  # noqa: F403
from rushlight.tensor_api.printing import *  # noqa: F403
from rushlight.tensor_api.products import *  # noqa: F403
from rushlight.tensor_api.random import *  # noqa: F403
from rushlight.tensor_api.reductions import *  # noqa: F403
from rushlight.tensor_api.scans import *  # noqa: F403
from rushlight.tensor_api.views import *  # noqa: F403
from rushlight.tensor_api.selection import *  # noqa: F403
from rushlight.tensor_api.shaping import *  # noqa: F403
from rushlight.tensor_api.matrices import *  # noqa: F403
from rushlight.tensor_api.copies import *  # noqa: F403
from rushlight.tensor_api.storage import *  # noqa: F403
from rushlight.tensor_api.typed_storage import *  # noqa: F403
from rushlight.tensor_api.pickling import *  # noqa: F403
from rushlight.tensor_api.legacy import *  # noqa: F403
