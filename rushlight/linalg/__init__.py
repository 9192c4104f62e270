"""``torch.linalg``: linear algebra on (batches of) matrices, differentiable. LAPACK comes through
NumPy and SciPy.
"""

from rushlight.linalg import factors, norms, solutions
from rushlight.linalg.factors import *
from rushlight.linalg.norms import *
from rushlight.linalg.solutions import *
from rushlight.ops.linalg import LinAlgError
from rushlight.tensor_api.matrices import matrix_exp
from rushlight.tensor_api.numpy_names import explaining as _explaining
from rushlight.tensor_api.products import matmul, matrix_power

__all__ = [  # noqa: PLE0604
    "LinAlgError",
    "matmul",
    "matrix_exp",
    "matrix_power",
    *(name for family in (factors, norms, solutions) for name in family.__all__),
]

# These look at their arguments before an op does.
_explaining(
    globals(),
    "diagonal lu_solve matrix_power multi_dot pinv solve_triangular vander".split(),  # noqa: SIM905
)
