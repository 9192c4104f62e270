"""Special functions under torch.special's names.

Many are also top-level functions under another name.
"""

from __future__ import annotations

from typing import Any

from rushlight.ops import polynomials as P, special as S
from rushlight.tensor_api.activations import log_softmax as log_softmax, softmax as softmax
from rushlight.tensor_api.mathematics import (
    digamma as digamma,
    erf as erf,
    erfc as erfc,
    erfinv as erfinv,
    exp2 as exp2,
    expm1 as expm1,
    i0 as i0,
    igamma as gammainc,
    igammac as gammaincc,
    lgamma as gammaln,
    log1p as log1p,
    logit as logit,
    mvlgamma as multigammaln,
    polygamma as polygamma,
    round as round,
    sigmoid as expit,
    sinc as sinc,
    xlogy as xlogy,
)
from rushlight.tensor_api.numpy_names import explaining as _explaining
from rushlight.tensor_api.own_names import renamed
from rushlight.tensor_api.pointwise import free_binary, free_unary
from rushlight.tensor_api.reductions import logsumexp as logsumexp

__all__ = [
    "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "chebyshev_polynomial_t",
    "chebyshev_polynomial_u", "chebyshev_polynomial_v", "chebyshev_polynomial_w", "digamma",
    "entr", "erf", "erfc", "erfcx", "erfinv", "exp2", "expit", "expm1", "gammainc", "gammaincc",
    "gammaln", "hermite_polynomial_h", "hermite_polynomial_he", "i0", "i0e", "i1", "i1e",
    "laguerre_polynomial_l", "legendre_polynomial_p", "log1p", "log_ndtr", "log_softmax", "logit",
    "logsumexp", "modified_bessel_i0", "modified_bessel_i1", "modified_bessel_k0",
    "modified_bessel_k1", "multigammaln", "ndtr", "ndtri", "polygamma", "psi", "round",
    "scaled_modified_bessel_k0", "scaled_modified_bessel_k1", "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u", "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w", "sinc", "softmax", "spherical_bessel_j0", "xlog1py",
    "xlogy", "zeta",
]  # fmt: skip

psi = digamma
i0e = free_unary("i0e", S.I0e)
i1 = free_unary("i1", S.I1)
i1e = free_unary("i1e", S.I1e)
entr = free_unary("entr", S.Entr)
erfcx = free_unary("erfcx", S.Erfcx)
ndtr = free_unary("ndtr", S.Ndtr)
ndtri = free_unary("ndtri", S.Ndtri)
log_ndtr = free_unary("log_ndtr", S.LogNdtr)
xlog1py = free_binary("xlog1py", S.Xlog1py)
zeta = free_binary("zeta", S.Zeta)
airy_ai = free_unary("airy_ai", P.AiryAi)
spherical_bessel_j0 = free_unary("spherical_bessel_j0", P.SphericalBesselJ0)
bessel_j0 = free_unary("bessel_j0", P.BesselJ0)
bessel_j1 = free_unary("bessel_j1", P.BesselJ1)
bessel_y0 = free_unary("bessel_y0", P.BesselY0)
bessel_y1 = free_unary("bessel_y1", P.BesselY1)
modified_bessel_i0 = free_unary("modified_bessel_i0", P.BesselI0)
modified_bessel_i1 = free_unary("modified_bessel_i1", P.BesselI1)
modified_bessel_k0 = free_unary("modified_bessel_k0", P.BesselK0)
modified_bessel_k1 = free_unary("modified_bessel_k1", P.BesselK1)
scaled_modified_bessel_k0 = free_unary("scaled_modified_bessel_k0", P.ScaledBesselK0)
scaled_modified_bessel_k1 = free_unary("scaled_modified_bessel_k1", P.ScaledBesselK1)
chebyshev_polynomial_t = free_binary("chebyshev_polynomial_t", P.ChebyshevT)
chebyshev_polynomial_u = free_binary("chebyshev_polynomial_u", P.ChebyshevU)
chebyshev_polynomial_v = free_binary("chebyshev_polynomial_v", P.ChebyshevV)
chebyshev_polynomial_w = free_binary("chebyshev_polynomial_w", P.ChebyshevW)
shifted_chebyshev_polynomial_t = free_binary("shifted_chebyshev_polynomial_t", P.ShiftedChebyshevT)
shifted_chebyshev_polynomial_u = free_binary("shifted_chebyshev_polynomial_u", P.ShiftedChebyshevU)
shifted_chebyshev_polynomial_v = free_binary("shifted_chebyshev_polynomial_v", P.ShiftedChebyshevV)
shifted_chebyshev_polynomial_w = free_binary("shifted_chebyshev_polynomial_w", P.ShiftedChebyshevW)
hermite_polynomial_h = free_binary("hermite_polynomial_h", P.HermiteH)
hermite_polynomial_he = free_binary("hermite_polynomial_he", P.HermiteHe)
laguerre_polynomial_l = free_binary("laguerre_polynomial_l", P.LaguerreL)
legendre_polynomial_p = free_binary("legendre_polynomial_p", P.LegendreP)

for _name in __all__:  # other objects than those of torch, as there
    if globals()[_name].__module__ != __name__:
        globals()[_name] = renamed(globals()[_name], _name, module=__name__)

# these look at their arguments before an op does
_explaining(globals(), ["log_softmax", "softmax"])


def __dir__() -> list[Any]:
    return __all__
