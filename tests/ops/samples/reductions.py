"""Reductions, cumulative functions, sorting."""

from tests.ops.samples import FLOATS, B, DType, I, S, T, V, op

# fmt: off

dims = [S(T(2, 3)), S(T(2, 3), 0), S(T(2, 3), -1, True), S(T(2, 3), dim=1), S(T(2, 3, 2), (0, 2)),
    S(T(2, 3, 2), dim=(0, -1), keepdim=True), S(T())]
bad = [S(T(2, 3), 2), S(T(2, 3), (0, 0))]
op("sum", *dims, S(T(2, 3), dtype=DType("float32")), S(T(0, 3), 0), S(T(0)), S(B(2, 3), 1),
   S(T(3, 2, transposed=True), 0), S(T(2, 3), ()), errors=bad)
op("mean", *dims, S(I(2, 3, high=5), dtype=DType("float64")), S(T(0)),
   errors=[*bad, S(I(2, high=3))], dtypes=(*FLOATS, "complex64", "complex128"))
op("nansum nanmean", *dims[:5], S(V([1.0, float("nan"), 2.0], "float64")), errors=bad,
   complex_grad=False, dtypes=FLOATS, second=False)
op("prod", S(T(2, 3)), S(T(2, 3), 1), S(T(2, 3), 0, True), S(V([[1.0, 0.0, 2.0]], "float64"), 1),
   S(V([0.0, 0.0, 2.0], "float64")), S(T(2, 3), dtype=DType("float32")), S(T()), S(T(0)),
   errors=[S(T(2, 3), 3)])
op("amax amin", *[S(T(*s.args[0].shape, distinct=True), *s.args[1:], **s.kwargs) for s in dims],
   S(V([1.0, 2.0, 2.0], "float64")), errors=[*bad, S(T(0))], complex_grad=False)
op("max min", S(T(2, 3, distinct=True)), S(T(2, 3, distinct=True), 1),
   S(T(2, 3, distinct=True), 0, True), S(T(2, 3), T(3)), S(T(3)), S(V([1.0, 2.0, 2.0], "float64")),
   errors=[S(T(2, 3), 2), S(T(0))], complex_grad=False)
op("aminmax", S(T(2, 3, distinct=True)), S(T(2, 3, distinct=True), dim=1),
   S(T(2, 3, distinct=True), dim=0, keepdim=True), complex_grad=False)
op("argmax argmin", S(T(2, 3, distinct=True)), S(T(2, 3, distinct=True), 1),
   S(T(2, 3, distinct=True), -1, True), S(T(2, 3, distinct=True), dim=None),
   errors=[S(T(2, 3), 2), S(T(0)), S(B(2))], grad=False)
op("any all", S(B(2, 3)), S(B(2, 3), 0), S(B(2, 3), -1, True), S(T(2, 3)), S(B(0)),
   S(B(2, 3, 2), (0, 1)), errors=[S(B(2, 3), 2)], grad=False)
op("hash_tensor", S(T(2, 3)), S(T(2, 3), 1), S(T(2, 3), (0, 1), keepdim=True), S(I(4, high=9)),
   S(T(2, 0), 0), S(T()), errors=[S(T(0)), S(T(2, 0), 1), S(T(2), mode=1), S(T(2), 2)], grad=False)
op("count_nonzero", S(B(2, 3)), S(B(2, 3), 0), S(T(2, 3)), grad=False)
op("std var", S(T(2, 3)), S(T(2, 3), 1), S(T(2, 3), 0, True), S(T(2, 3), 1, keepdim=True),
   S(T(2, 3), unbiased=False), S(T(2, 3), correction=0), S(T(2, 3), dim=(0, 1), correction=2),
   S(T(2, 3), (0, 1)), errors=[S(T(2, 3), 2)], dtypes=(*FLOATS, "complex64"), complex_grad=False)
op("std_mean var_mean", S(T(2, 3)), S(T(2, 3), 1), S(T(2, 3), dim=0, keepdim=True), dtypes=FLOATS,
   complex_grad=False)
op("norm", S(T(2, 3)), S(T(2, 3), 1), S(T(2, 3), 2, 1), S(T(2, 3), "fro"),
   S(T(2, 3), float("inf"), 0), S(T(2, 3), 3, (0, 1)), S(T(2, 3), p=1.5, dim=1, keepdim=True),
   S(T(2, 3), p=0), dtypes=FLOATS, complex_grad=False)
op("frobenius_norm", S(T(2, 3), 1), S(T(2, 3), (0, 1), True), complex_grad=False, dtypes=FLOATS)
op("nuclear_norm", S(T(2, 3)), S(T(2, 3, 4), (0, 2)), complex_grad=False, dtypes=())
op("dist", S(T(2, 3), T(2, 3)), S(T(2, 3), T(3), 1), complex_grad=False, dtypes=FLOATS)
op("logsumexp", S(T(2, 3), 1), S(T(2, 3), (0, 1)), S(T(2, 3), 0, True),
   S(V([[-float("inf"), 1.0]], "float64"), 1), complex_grad=False, dtypes=(*FLOATS, "int64"))
op("cumsum cumprod", S(T(2, 3), 0), S(T(2, 3), 1), S(T(2, 3), -1, dtype=DType("float32")),
   S(T(), 0), S(T(0), 0), errors=[S(T(2, 3), 2)])
op("cummax cummin", S(T(2, 3, distinct=True), 1), S(T(4, distinct=True), 0),
   errors=[S(T(2, 3), 2)], complex_grad=False)
op("logcumsumexp", S(T(2, 3), 1), S(T(4), 0), complex_grad=False, dtypes=FLOATS)
op("softmax log_softmax", S(T(2, 3), 1), S(T(2, 3), 0), S(T(2, 3), -1, dtype=DType("float32")),
   S(T(), 0), S(T(0, 3), 1), errors=[S(T(2, 3), 2)], dtypes=FLOATS)
op("diff", S(T(5)), S(T(2, 5), 2), S(T(3, 2), dim=0), S(T(3), prepend=T(1), append=T(2)))
op("trapezoid", S(T(5)), S(T(2, 5), dx=0.5), S(T(5), T(5)), complex_grad=False, dtypes=FLOATS)
op("cumulative_trapezoid", S(T(5)), S(T(2, 5), dx=0.5), complex_grad=False, dtypes=FLOATS)

op("sort", S(T(5, distinct=True)), S(T(2, 3, distinct=True), 0),
   S(T(2, 3, distinct=True), 1, True),
   S(T(2, 3, distinct=True), dim=1, descending=True, stable=True), S(T()), S(T(0)),
   errors=[S(T(2, 3), 2)], complex_grad=False)
op("argsort", S(T(5, distinct=True)), S(T(2, 3, distinct=True), 0),
   S(T(2, 3, distinct=True), 1, True), S(T(5), stable=True), grad=False)
op("msort", S(T(5, 2, distinct=True)), complex_grad=False)
op("topk", S(T(5, distinct=True), 2), S(T(3, 4, distinct=True), 2, 0),
   S(T(3, 4, distinct=True), 3, largest=False), errors=[S(T(3), 4)], complex_grad=False)
op("kthvalue", S(T(5, distinct=True), 2), S(T(3, 4, distinct=True), 2, 0, True),
   errors=[S(T(3), 4)], complex_grad=False, dtypes=("int64", "float32"))
op("median nanmedian", S(T(5, distinct=True)), S(T(3, 4, distinct=True), 1),
   S(T(3, 4, distinct=True), 0, True), complex_grad=False, dtypes=("int64", "float32"))
op("mode", S(V([[1, 2, 2, 3], [3, 3, 1, 1]]), 1), S(V([1, 2, 2])), grad=False, dtypes=())
op("quantile nanquantile", S(T(5, distinct=True), 0.3), S(T(3, 4, distinct=True), 0.5, 1),
   S(T(3, 4, distinct=True), T(2, low=0, high=1, grad=False), dim=0),
   S(T(5, distinct=True), 0.4, interpolation="lower"), errors=[S(T(3), 1.5)], complex_grad=False,
   dtypes=("float32",))
op("unique", S(V([3, 1, 2, 1])), S(V([3, 1, 2, 1]), return_inverse=True, return_counts=True),
   S(V([[1, 2], [1, 2], [0, 1]]), dim=0), grad=False, dtypes=())
op("unique_consecutive", S(V([1, 1, 2, 1])),
   S(V([1, 1, 2, 1]), return_inverse=True, return_counts=True), grad=False, dtypes=())
op("bincount", S(I(6, high=4)), S(I(6, high=4), minlength=7), S(I(6, high=4), T(6, grad=False)),
   grad=False, dtypes=())
op(
    "histc",
    *(S(T(9)), S(T(9), 4, -1, 1), S(T(200), 13, -1, 1)),
    grad=False,
    dtypes=("float32", "float16", "bfloat16"),
)
op("histogram", S(T(9), 4, range=(-2.015, 2.017)), S(T(9), 3, range=(-1.0, 1.0)), grad=False,
   dtypes=("float32",))
op("searchsorted", S(V([1.0, 2.0, 3.0], "float64"), T(2, 3, low=0, high=4)),
   S(V([1, 2, 3]), V([2, 2]), right=True), S(V([1, 2, 3]), 2), grad=False, dtypes=())
op("bucketize", S(T(2, 3), V([-1.0, 0.0, 1.0], "float64")), S(V([1, 2]), V([1, 2, 3]), right=True),
   grad=False, dtypes=())
op("isin", S(I(2, 3, high=5), I(3, high=5)), S(I(4, high=5), 2),
   S(I(2, 3, high=5), I(3, high=5), invert=True), grad=False, dtypes=())
op("cov corrcoef", S(T(3, 5)), S(T(5)), dtypes=("float32",), complex_grad=False)
op("renorm", S(T(3, 4), 2, 0, 1.0), S(T(3, 4), 1, 1, 0.5), complex_grad=False, dtypes=("float32",))
op("trace", S(T(3, 3)), S(T(2, 3)), errors=[S(T(3))])
op("gradient", S(T(5)), S(T(3, 4), dim=1), S(T(5), spacing=0.5), complex_grad=False, dtypes=FLOATS)
op("trapz", S(T(5)), S(T(5), T(5)), complex_grad=False, dtypes=FLOATS)
op("histogramdd", S(T(5, 2), [2, 3]), grad=False, dtypes=())
op("stft", S(T(32), 8, return_complex=True), S(T(2, 32), 8, 3, window=T(8, low=0.1, high=1),
   return_complex=True),
   S(T(32), 8, center=False, normalized=True, return_complex=True), dtypes=("float32",),
   complex_grad=False, rtol=10)
op("istft", S(T(5, 9, dtype="complex128"), 8, window=T(8, low=0.5, high=1, grad=False)),
   dtypes=(), rtol=100)
