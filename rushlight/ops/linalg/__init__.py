"""Factorisations and solves of (batches of) matrices: LAPACK through NumPy and SciPy, gradients
ours.

``matrices`` checks arguments; ``solutions``, ``determinants``, ``factors`` and ``spectra`` build on
it, in this order.

Reference: Giles, 2008, "Collected matrix derivative results for forward and reverse mode
algorithmic differentiation".
"""

from rushlight.ops.linalg.determinants import Det, Slogdet
from rushlight.ops.linalg.factors import (
    Cholesky,
    CholeskySolve,
    Lu,
    Qr,
    first_minors,
    row_order,
)
from rushlight.ops.linalg.matrices import H, LinAlgError, eye_like, matrix
from rushlight.ops.linalg.solutions import (
    Inverse,
    MatrixExp,
    Pinv,
    Solve,
    SolveTriangular,
    least_squares,
)
from rushlight.ops.linalg.spectra import Eig, Eigh, Eigvalsh, Svd, Svdvals
