"""New tensors from numbers."""

from tests.ops.samples import DType, S, T, op

# fmt: off

rules = {"grad": False, "dtypes": (), "inplace": False}
op("zeros ones", S(2, 3), S((2, 3)), S(()), S(2, dtype=DType("int64")), S(0, 3),
   errors=[S(-1), S("a")], **rules)
op("full", S((2, 3), 1.5), S((2,), 3), S((), True), S((2,), 1, dtype=DType("float64")),
   S((1,), 1j), errors=[S((-1,), 1)], **rules)
op("zeros_like ones_like", S(T(2, 3)), S(T(3, 2, transposed=True)), S(T(2), dtype=DType("int64")),
   **rules)
op("full_like", S(T(2, 3), 2), S(T(2), 1, dtype=DType("int64")), **rules)
op("Tensor.new_zeros Tensor.new_ones", S(T(2), 2, 3), S(T(2), (2,), dtype=DType("int64")), **rules)
op("Tensor.new_full", S(T(2), (2, 3), 1.5), **rules)
op("Tensor.new_tensor", S(T(2), [1, 2]), **rules)
op("arange", S(5), S(1, 5), S(0, 1, 0.25), S(5.0), S(5, 0, -2), S(1, 2.5, 0.5),
   S(3, dtype=DType("float64")), S(0), S(0.5, 5.7, dtype=DType("int32")),
   S(0.0, -8.001, -4.0, dtype=DType("int32")), S(0.5, 5.7, dtype=DType("int64")),
   errors=[S(0, 5, -1), S(0, 5, 0), S(0.0, 3.0, 0.7, dtype=DType("int64"))], **rules)
op("range", S(0, 3), S(0.0, 1.0, 0.5), **rules)
op("linspace", S(0, 1, 5), S(-1.0, 2.0, 4, dtype=DType("float64")), S(0, 1, 1), S(0, 1, 0),
   errors=[S(0, 1, -1)], **rules)
op("logspace", S(0, 2, 3), S(0, 2, 3, base=2.0), **rules)
op("eye", S(3), S(2, 3), S(2, dtype=DType("int64")), errors=[S(-1)], **rules)
op("tensor", S(1), S(1.5), S([1, 2]), S([[1, 2.5], [3, 4]]), S([True, False]), S([]), S([[]]),
   S(1j), S([1, True]), S([1, 2], dtype=DType("float32")), S([1.5], dtype=DType("int64")),
   errors=[S([[1, 2], [3]]), S("a"), S(None), S(["a"])], **rules)
op("scalar_tensor", S(1.5), **rules)
op("tril_indices triu_indices", S(3, 3), S(2, 4, 1), **rules)
op("broadcast_shapes", S((2, 1), (3,)), errors=[S((2,), (3,))], **rules)
op("as_tensor asarray", S([1, 2]), S(T(2, 3)), S(1.5), S([1, 2], dtype=DType("float64")), **rules)
op("bartlett_window blackman_window hamming_window hann_window kaiser_window", S(6),
   S(5, periodic=False), S(4, dtype=DType("float64")), S(1), S(0), errors=[S(-1)], **rules)
