"""Functions of fft, special, signal.windows, masked, and the rest of linalg."""

from tests.ops.samples import FLOATS, REALS, B, I, P, S, T, V, op

# fmt: off

complexes = ("float32", "float64", "complex64", "complex128", "int64")

# ---- fft

op("fft.fft fft.ifft", S(T(3, 4)), S(T(5), 3), S(T(3, 4), None, 0), S(T(4), norm="ortho"),
   S(T(3), 6, norm="forward"), errors=[S(T(4), 0), S(T(2), None, 3), S(T(4), norm="loud")],
   dtypes=complexes, rtol=10)
op("fft.rfft fft.ihfft", S(T(3, 4)), S(T(5), 4), S(T(3, 4), None, 0, "ortho"),
   errors=[S(T(4), 0), S(T(4, dtype="complex128"))], dtypes=("float32", "int64"), rtol=10,
   complex_grad=False)
op("fft.irfft fft.hfft", S(T(3, 4)), S(T(5), 5), S(T(3, 4), None, 0, "ortho"), errors=[S(T(4), 0)],
   dtypes=("float32", "complex64", "complex128"), rtol=10, differences=False)
op("fft.fft2 fft.ifft2", S(T(3, 4)), S(T(2, 3, 4), (2, 5), (0, 2)), errors=[S(T(4))],
   dtypes=complexes, rtol=10)
op("fft.rfft2 fft.ihfft2", S(T(3, 4)), S(T(2, 3, 4), (2, 5), (0, 2)), errors=[S(T(4))],
   dtypes=("float32",), rtol=10, complex_grad=False, out=False)
op("fft.irfft2 fft.hfft2", S(T(3, 4)), S(T(2, 3, 4), (2, 5), (0, 2)), dtypes=("complex64",),
   rtol=10, differences=False)
op("fft.fftn fft.ifftn", S(T(2, 3, 2)), S(T(3, 4), dim=(0,)), S(T(3, 4), (2, 2), norm="ortho"),
   errors=[S(T(2, 2), (2,), (0, 1))], dtypes=complexes, rtol=10)
op("fft.rfftn fft.ihfftn", S(T(2, 3, 2)), S(T(3, 4), dim=(0,)), dtypes=("float32",), rtol=10,
   complex_grad=False, out=False)
op("fft.irfftn fft.hfftn", S(T(2, 3, 2)), S(T(3, 4), dim=(1,)), S(T(3, 4), 6, 1),
   dtypes=("complex64",), rtol=10, differences=False)
op("fft.fftfreq fft.rfftfreq", S(4), S(5, 0.5), S(1), dtypes=())
op("fft.fftshift fft.ifftshift", S(T(5)), S(T(3, 4)), S(T(3, 4), 1), S(T(3, 4), (0, 1)))

# ---- special: the names that are only there

op("special.entr", S(P(3, 4)), S(V([0.0, 1.0, -1.0], "float64")), dtypes=REALS, second=False)
op("special.erfcx special.log_ndtr special.ndtr", S(T(3, 4)), dtypes=("float32", "int64"), rtol=10)
op("special.ndtri", S(T(3, low=0.1, high=0.9)), dtypes=("float32",), rtol=10)
op("special.i0e special.i1 special.i1e", S(T(3, 4)), dtypes=("float32", "int64"), rtol=10)
op("special.bessel_j0 special.bessel_j1 special.modified_bessel_i0 special.modified_bessel_i1 "
   "special.spherical_bessel_j0 special.airy_ai", S(P(3, 4)), dtypes=("float32",), grad=False,
   rtol=100)
op("special.bessel_y0 special.bessel_y1 special.modified_bessel_k0 special.modified_bessel_k1 "
   "special.scaled_modified_bessel_k0 special.scaled_modified_bessel_k1", S(P(3, 4)),
   dtypes=("float32",), grad=False, rtol=100)
op("special.chebyshev_polynomial_t special.chebyshev_polynomial_u special.chebyshev_polynomial_v "
   "special.chebyshev_polynomial_w special.hermite_polynomial_h special.hermite_polynomial_he "
   "special.laguerre_polynomial_l special.legendre_polynomial_p "
   "special.shifted_chebyshev_polynomial_t special.shifted_chebyshev_polynomial_u "
   "special.shifted_chebyshev_polynomial_v special.shifted_chebyshev_polynomial_w",
   S(T(4, low=-0.9, high=0.9), I(4, high=5, low=1)), S(T(3, low=0.1, high=0.9), 3),
   S(V([501.0, -501.0, 2.0], "float64"), V([2000.0, 1e20, 3.0], "float64")),
   S(0.7, T(3, low=1, high=4)),
   dtypes=("float32",), grad=False, rtol=100)
op("special.gammainc special.gammaincc", S(P(3), P(3, grad=False)), dtypes=("float32",), rtol=100,
   grad=False)
op("special.polygamma", S(1, P(3)), S(0, P(3)), S(2, P(3)), dtypes=("float32",), rtol=100)
op("special.multigammaln", S(T(3, low=2.0, high=4.0), 2), dtypes=("float32",), rtol=10)
op("special.zeta", S(T(3, low=1.5, high=3.0, grad=False), P(3, grad=False)), dtypes=("float32",),
   grad=False, rtol=10)
op("special.xlog1py special.xlogy", S(T(3), P(3)), S(T(3), 2.0), S(2.0, P(3)),
   dtypes=("float32", "int64"), rtol=10)
op("special.digamma special.psi special.gammaln", S(P(3, 4)), dtypes=("float32",), rtol=100)
op("special.expit special.exp2 special.expm1 special.erf special.erfc special.sinc special.i0",
   S(T(3, 4)), dtypes=("float32", "int64"), rtol=10)
op("special.erfinv", S(T(3, low=-0.9, high=0.9)), dtypes=("float32",), rtol=10)
op("special.log1p", S(P(3)), dtypes=("float32", "int64"))
op("special.logit", S(T(3, low=0.1, high=0.9)), S(T(3), 0.1), dtypes=("float32",))
op("special.round", S(T(3, 4)), S(T(3), decimals=1), dtypes=("float32",), second=False,
   differences=False)
op("special.softmax special.log_softmax special.logsumexp", S(T(3, 4), 1), dtypes=("float32",),
   rtol=10)

# ---- signal.windows

op("signal.windows.bartlett signal.windows.blackman signal.windows.cosine signal.windows.hamming "
   "signal.windows.hann signal.windows.nuttall signal.windows.kaiser signal.windows.gaussian "
   "signal.windows.exponential", S(7), S(8, sym=False), S(1), S(0), errors=[S(-1)], dtypes=(),
   rtol=10)
op("signal.windows.general_cosine", S(7, a=[0.5, 0.3, 0.2]), S(8, a=[1.0, 0.1], sym=False),
   dtypes=(), rtol=10)
op("signal.windows.general_hamming", S(7, alpha=0.6), S(8, sym=False), dtypes=(), rtol=10)

# ---- masked

masked = {"dtypes": ("float32", "float16"), "rtol": 10}
op("masked.sum masked.prod masked.mean masked.amax masked.amin masked.logsumexp masked.norm",
   S(T(3, 4, distinct=True), dim=1, mask=B(3, 4)), S(T(3, 4, distinct=True)),
   S(T(2, 3, 2, distinct=True), dim=(0, 2), keepdim=True,
     mask=V([[True], [True], [False]], "bool")),
   **masked, differences=False, second=False, oracle=False)
op("masked.var masked.std", S(T(3, 6), dim=1, mask=V([True] * 4 + [False] * 2, "bool")),
   S(T(3, 4)), S(T(3, 4), dim=(0, 1), correction=0), **masked)
op("masked.median", S(T(3, 5, distinct=True), mask=V([True] * 4 + [False], "bool")), **masked,
   second=False)
op("masked.argmax masked.argmin", S(T(3, 4, distinct=True), dim=1, mask=B(3, 4)),
   S(T(3, 4, distinct=True)), grad=False, **masked)
op("masked.softmax masked.softmin", S(T(3, 4), 1, mask=V([True, True, False, True], "bool")),
   S(T(3, 4), 0), **masked)
op("masked.log_softmax", S(T(3, 4), 1, mask=V([True, True, False, True], "bool")), S(T(3, 4), 0),
   differences=False, **masked)
op("masked.cumsum masked.cumprod", S(T(3, 4), 1, mask=V([True, True, False, True], "bool")),
   S(T(3, 4), 0), dtypes=("int32", "float32"), rtol=10)
op("masked.normalize", S(T(3, 4), 2.0, 1, mask=V([True, True, False, True], "bool")),
   dtypes=("float32",), rtol=10)
op("masked.logaddexp", S(T(3), T(3), input_mask=V([True, True, False], "bool")),
   errors=[S(V([1, 2]), V([3, 4]), input_mask=V([True, False], "bool"))],
   dtypes=("float32",), rtol=10, second=False, differences=False)

# ---- linalg: decompositions whose factors are unique; tests/linalg has the others

spd = V([[2.0, 0.5, 0.1], [0.5, 1.5, 0.2], [0.1, 0.2, 1.0]], "float64")
square = V([[2.0, 0.5, -1.0], [0.3, 1.5, 0.2], [0.1, -0.7, 1.0]], "float64")
triangle = V([[2.0, 0.5, -1.0], [0.0, 1.5, 0.2], [0.0, 0.0, 1.0]], "float64")
once = {"dtypes": (), "rtol": 100}
op("linalg.cholesky_ex", S(spd), grad=False, **once)
op("linalg.inv_ex", S(square), **once)
op("linalg.solve_ex", S(square, T(3, 2)), **once)
op("linalg.diagonal", S(T(3, 4)), S(T(2, 3, 3), offset=1, dim1=0), dtypes=FLOATS)
op("linalg.matmul", S(T(2, 3), T(3, 2)), S(T(3), T(3)), dtypes=FLOATS)
op("linalg.matrix_exp", S(square), S(T(2, 2)), **once)
op("linalg.solve_triangular", S(triangle, T(3, 2), upper=True), differences=False, second=False,
   **once)
op("linalg.lu", S(square), S(T(2, 3)), S(T(3, 2)), second=False, **once)
op("linalg.lu_factor linalg.lu_factor_ex", S(square), S(T(3, 2)), second=False, grad=False, **once)
op("linalg.ldl_factor linalg.ldl_factor_ex", S(spd), grad=False, **once)
op("linalg.householder_product", S(T(4, 2), T(2)), S(T(2, 3, 3), T(2, 2)), **once)
op("linalg.tensorinv", S(T(4, 2, 2), 1), **once)
op("linalg.tensorsolve", S(T(2, 2, 4), T(2, 2)), **once)
op("linalg.vander", S(T(3)), S(T(2, 3), N=2), dtypes=("float32", "int64"), second=False, rtol=10)
op("linalg.eigvals", S(spd), grad=False, **once)
