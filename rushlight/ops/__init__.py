"""What rushlight can compute: one class per op, one file per family.

``arithmetic`` and ``copy`` show the elementwise kind, ``reduce`` reductions, ``view`` ops that
share memory. Rules speak Tensor and use its public methods, which ``tensor_api`` attaches.

- elementwise: ``arithmetic``, ``math``, ``trigonometry``, ``special``, ``polynomials``,
  ``rounding``, ``compare``, ``select``, ``activation``, ``weighted``, ``quantize``
- copies and constants: ``copy``, ``create``, ``random``, ``implicit``
- many elements to few: ``reduce``, ``statistics``, ``sums``, ``scan``, ``bins``
- elements moved: ``view``, ``shaping``, ``join``, ``pad``, ``fold``, ``windows``
- by index or mask: ``index``, ``scatter``, ``slices``, ``masked``, ``embedding``, with ``places``
  and ``combining``
- by order: ``order``, ``sorting``, ``selection``, ``search``
- products: ``matmul``, ``along``, ``linalg``, ``ldl``, ``distance``, ``fourier``, ``sparse``
- of networks: ``conv``, ``pool``, ``avg_pool``, ``resample``, ``grid``, ``norm``, ``batch_norm``,
  ``given_norm``, ``softmax``, ``attention``, ``recurrent``, ``loss``, ``class_losses``, ``ctc``,
  with ``bits`` (kept for gradients)
- not of arrays: ``operators`` and ``schemas`` (``torch.ops``), ``device``, ``meta``,
  ``dispatched``, ``autocast``
"""

from typing import Any

from rushlight.core.native import kernels
from rushlight.core.node import required
from rushlight.ops import autocast as autocast, create, device as device, dispatched as dispatched
from rushlight.ops.copy import Cast
from rushlight.ops.operators import namespaces
from rushlight.ops.reduce import sum_to

required.zeros, required.ones, required.sum_to = create.zeros, create.ones, sum_to
kernels.cast = Cast.instance
required.cast = lambda g, dtype: Cast.bind(g, dtype=dtype)


def load_library(path: Any) -> None:
    """Refuse a library of operators compiled for PyTorch.

    Raises:
        OSError: always, as for a library that does not fit.
    """
    raise OSError(
        f"Could not load this library: {path}. It was compiled against PyTorch's C++; define its "
        "operators in Python, by torch.library.custom_op."
    )


def __getattr__(name: str) -> Any:
    """A namespace of operators that a program has defined, or ``aten``."""
    if name in namespaces:
        return namespaces[name]
    raise AttributeError(f"there is no namespace torch.ops.{name}; library.custom_op makes one.")
