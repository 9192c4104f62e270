"""Gathering and scattering."""

from tests.ops.samples import B, I, S, T, V, op

# fmt: off

rows = V([0, 2, 0])
once = V([2, 0])
op("index_select", S(T(3, 2), 0, rows), S(T(2, 3), 1, V([1])), S(T(3), -1, rows),
   S(T(3, 2), 0, V([], "int64")),
   errors=[S(T(3), 0, V([3])), S(T(3), 0, V([0.5], "float64")), S(T(3), 1, V([0]))])
op("gather", S(T(2, 3), 1, I(2, 2, high=3)), S(T(2, 3), 0, I(1, 3, high=2)), S(T(3), 0, rows),
   S(T(), 0, V(0)),
   errors=[S(T(2, 3), 1, V([[3]])), S(T(2, 3), 1, V([0])), S(T(2, 3), 2, V([[0]]))])
op("take", S(T(2, 3), I(2, 2, high=6)), S(T(2, 3), V([-1])), errors=[S(T(3), V([3]))])
op("take_along_dim", S(T(2, 3), I(2, 2, high=3), 1), S(T(2, 3), I(1, 3, high=2), 0),
   S(T(2, 3), I(4, high=6)))
op("masked_select", S(T(2, 3), B(2, 3)), S(T(2, 3), B(3)),
   errors=[S(T(2), B(3)), S(T(2), I(2, high=2))])
op("masked_fill", S(T(2, 3), B(2, 3), 0.5), S(T(2, 3), B(3), 2), S(T(2, 3), B(2, 3), T()),
   errors=[S(T(2), B(3), 0), S(T(2), I(2, high=2), 0)])
op("masked_scatter", S(T(2, 3), B(2, 3), T(6)), S(T(2, 3), B(3), T(9)),
   errors=[S(T(2), B(2), T(2, dtype="float32"))])
op("index_add", S(T(3, 2), 0, rows, T(3, 2)), S(T(2, 3), 1, once, T(2, 2), alpha=0.5),
   S(T(3), 0, rows, T(3)), errors=[S(T(3), 0, V([3]), T(1)), S(T(3, 2), 0, rows, T(2, 2)),
   S(T(3), 0, rows, T(3, dtype="float32"))])
op("index_copy", S(T(3, 2), 0, once, T(2, 2)), S(T(3), 0, once, T(2)),
   errors=[S(T(3), 0, V([3]), T(1)), S(T(3, 2), 0, rows, T(2, 2))])
op("index_fill", S(T(3, 2), 0, once, 0.5), S(T(3, 2), 1, V([1]), 2), S(T(3), 0, once, T()),
   errors=[S(T(3), 0, V([3]), 1.0)])
op("index_put", S(T(3, 2), (once,), T(2, 2)), S(T(3, 2), (rows,), T(3, 2), True),
   S(T(3, 2), (once, V([1, 0])), T(2)), S(T(2, 3), (B(2, 3),), T()),
   errors=[S(T(3), (V([3]),), T(1)), S(T(3), (once,), T(2, dtype="float32"))])
op("scatter", S(T(2, 3), 1, V([[0, 2], [1, 0]]), T(2, 2)), S(T(2, 3), 0, V([[1, 0, 1]]), T(1, 3)),
   S(T(2, 3), 1, V([[0], [1]]), 0.5), errors=[S(T(2, 3), 1, V([[3]]), T(1, 1)),
   S(T(2, 3), 1, V([0]), T(1)), S(T(2), 0, V([0]), T(1, dtype="float32"))], second=False)
op("Tensor.scatter", S(T(2, 3), 1, V([[0, 1], [2, 1]]), T(2, 2), reduce="add"), grad=False)
op("scatter_add", S(T(2, 3), 1, V([[0, 0], [1, 0]]), T(2, 2)), S(T(3), 0, rows, T(3)),
   errors=[S(T(2, 3), 1, V([[3]]), T(1, 1)), S(T(2, 3), 1, V([0]), T(1))])
op("scatter_reduce", S(T(3), 0, rows, T(3), "sum"), S(T(3), 0, rows, T(3), "prod"),
   S(T(3), 0, rows, T(3), "mean"),
   S(T(3), 0, rows, T(3, distinct=True), "amax", include_self=False),
   S(V([0.0, 3.0], "float64"), 0, V([0, 0, 1, 1]), V([0.0, 2.0, 0.0, 5.0], "float64"), "prod"),
   errors=[S(T(3), 0, rows, T(3), "median")], complex_grad=False,
   dtypes=("int64", "float32"))
op("segment_reduce", *[S(T(4, 2, distinct=True), kind, lengths=V([1, 0, 3]))
   for kind in ("sum", "mean", "prod", "max", "min", "amax", "amin")],
   S(T(2, 3, 2, distinct=True), "max", lengths=V([[2, 1], [0, 3]]), axis=1),
   S(T(3), "sum", offsets=V([0, 1, 3])), S(T(3), "mean", lengths=V([0, 3]), initial=1.0),
   S(T(3), "sum", lengths=V([1, 1]), unsafe=True),
   errors=[S(T(3), "sum"), S(T(3), "median", lengths=V([3])), S(T(3), "sum", lengths=V([2])),
   S(T(3), "sum", lengths=V([4, -1])), S(T(3, 2), "sum", lengths=V([2]), axis=1),
   S(I(3, high=9), "sum", lengths=V([3]))], complex_grad=False, second=False, dtypes=("float32",))
op("index_reduce", S(T(3, 2), 0, once, T(2, 2), "prod"), S(T(3, 2), 0, rows, T(3, 2), "mean"),
   S(T(3, 2), 0, rows, T(3, 2), "amax"), complex_grad=False, second=False, dtypes=("float32",))
op("put", S(T(2, 3), V([0, 4]), T(2)), S(T(2, 3), V([0, 0]), T(2), accumulate=True),
   S(T(3), V(1), T(1)), S(T(3), V(1), T(1), accumulate=True),
   S(T(3), V([[0, 2]]), T(2), accumulate=True), inplace=False)
op("select_scatter", S(T(2, 3), T(3), 0, 1), S(T(2, 3), T(2), 1, -1))
op("slice_scatter", S(T(4, 2), T(2, 2), 0, 1, 3), S(T(4, 2), T(2, 2), 0, 0, 4, 2))
op("diagonal_scatter", S(T(3, 3), T(3)), S(T(2, 3), T(2), 1))
op("as_strided_scatter", S(T(6), T(2, 2), (2, 2), (2, 1)), oracle=False)
op("Tensor.__getitem__", S(T(3, 2), 1), S(T(3, 2), -1), S(T(3, 2), slice(1, None)),
   S(T(3, 2), (slice(None, None, 2), 0)), S(T(3, 2), None), S(T(3, 2), ...),
   S(T(3, 2), (..., None, 1)), S(T(3, 2), rows), S(T(3, 2), [0, 2]), S(T(3, 2), (rows, 1)),
   S(T(3, 2), (slice(None), V([1, 0]))), S(T(3, 2), (rows, V([0, 1, 1]))), S(T(3, 2), B(3)),
   S(T(3, 2), B(3, 2)), S(T(2, 3, 4), (slice(None), rows, 1)),
   S(T(2, 3, 4), (V([0, 1]), slice(None), V([2, 3]))), S(T(2, 3, 4), (0, slice(None), V([2, 3]))),
   S(T(2, 3, 4), (..., B(4))), S(T(3), V(1)), S(T(3), True), S(T(3, 2), V([[0, 1], [2, 0]])),
   S(T(2, 3, 4), (None, V([0, 1]), None)), S(T(3), slice(3, 1)), S(T(3), (V([], "int64"),)),
   errors=[S(T(3), 3), S(T(3), (0, 0)), S(T(3), slice(None, None, -1)), S(T(3), V([3])),
   S(T(3), B(2)), S(T(3), 1.5), S(T(3), "a"), S(T(), 0), S(T(3), V([0.5], "float64"))])
op("fill Tensor.fill_", S(T(2, 3), 1.5), S(T(2, 3), T()), S(T(2, 3), 2), errors=[S(T(2), T(2))])
op("zero_", S(T(2, 3)), grad=False, inplace=False)
op("nonzero_static", S(T(2, 3), size=4), grad=False, dtypes=())
op("unravel_index", S(I(3, high=6), (2, 3)), S(V([250], "uint8"), (2, 300)), grad=False, dtypes=())
