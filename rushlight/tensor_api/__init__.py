"""The public functions and Tensor methods: argument handling, then an op.

Each module holds one family, lists its functions in ``__all__``, and attaches the methods to Tensor
as it is imported; ``_common`` has what all share.

- tensors made: ``creation``, ``from_data``, ``legacy``, ``ranges``, ``random``, ``random_fill``,
  ``random_samples``, ``windows``, ``sparse_tensors`` and ``layouts``, ``dlpack``
- asked and shown: ``facts``, ``elements``, ``printing``, ``symbolic``
- converted and copied: ``conversion``, ``copies``, ``written_copies``, ``resizing``, ``storage``,
  ``typed_storage``, ``sharing``, ``pickling``
- element by element: ``pointwise``, ``mathematics``, ``bounds``, ``weighted``, ``activations``,
  ``comparison``, ``quantizing``, ``foreach``
- along dims: ``reductions``, ``spreads``, ``extrema``, ``norms``, ``scans``, ``segments``,
  ``statistics``, ``ordering``
- shapes: ``views``, ``axes``, ``pieces``, ``shaping``, ``stacking``, ``joining``, ``triangles``
- by index: ``indexing`` with ``index_keys``, ``selection``, ``masks``, ``flat_places``
- products: ``products``, ``added_products``, ``einsum``, ``matrices``, ``factors``, ``spectral``
- gradients: ``graph``, ``gradients``
- how names are had: ``named`` (results), ``numpy_names``, ``inplace_names``, ``own_names``,
  ``aten``, ``casting`` (autocast), ``on_gpu``, ``rarities``
"""

from types import ModuleType

from rushlight.tensor_api.activations import *
from rushlight.tensor_api.added_products import *
from rushlight.tensor_api.axes import *
from rushlight.tensor_api.bounds import *
from rushlight.tensor_api.comparison import *
from rushlight.tensor_api.conversion import *
from rushlight.tensor_api.copies import *
from rushlight.tensor_api.creation import *
from rushlight.tensor_api.dlpack import *
from rushlight.tensor_api.einsum import *
from rushlight.tensor_api.elements import *
from rushlight.tensor_api.extrema import *
from rushlight.tensor_api.factors import *
from rushlight.tensor_api.facts import *
from rushlight.tensor_api.flat_places import *
from rushlight.tensor_api.from_data import *
from rushlight.tensor_api.gradients import *
from rushlight.tensor_api.graph import *
from rushlight.tensor_api.indexing import *
from rushlight.tensor_api.joining import *
from rushlight.tensor_api.layouts import *
from rushlight.tensor_api.legacy import *
from rushlight.tensor_api.masks import *
from rushlight.tensor_api.mathematics import *
from rushlight.tensor_api.matrices import *
from rushlight.tensor_api.norms import *
from rushlight.tensor_api.ordering import *
from rushlight.tensor_api.pickling import *
from rushlight.tensor_api.pieces import *
from rushlight.tensor_api.pointwise import *
from rushlight.tensor_api.printing import *
from rushlight.tensor_api.products import *
from rushlight.tensor_api.quantizing import *
from rushlight.tensor_api.random import *
from rushlight.tensor_api.ranges import *
from rushlight.tensor_api.rarities import *
from rushlight.tensor_api.reductions import *
from rushlight.tensor_api.resizing import *
from rushlight.tensor_api.scans import *
from rushlight.tensor_api.segments import *
from rushlight.tensor_api.selection import *
from rushlight.tensor_api.shaping import *
from rushlight.tensor_api.sharing import *
from rushlight.tensor_api.sparse_tensors import *
from rushlight.tensor_api.spectral import *
from rushlight.tensor_api.spreads import *
from rushlight.tensor_api.stacking import *
from rushlight.tensor_api.statistics import *
from rushlight.tensor_api.storage import *
from rushlight.tensor_api.triangles import *
from rushlight.tensor_api.typed_storage import *
from rushlight.tensor_api.views import *
from rushlight.tensor_api.weighted import *
from rushlight.tensor_api.windows import *
from rushlight.tensor_api.written_copies import *

# isort: split
# These collect what the modules above attached.
from rushlight.tensor_api import numpy_names, own_names
from rushlight.tensor_api.inplace_names import *

numpy_names.attach()
own_names.attach()

# what the modules above have in their __all__, without the modules themselves
__all__ = [
    name
    for name, value in globals().items()
    if not name.startswith("_") and not isinstance(value, ModuleType) and value is not ModuleType
]
