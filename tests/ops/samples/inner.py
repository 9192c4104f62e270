"""Operators by their methods, and inner spellings of layers and decompositions."""

from tests.ops.samples import FLOATS, I, P, S, Sample, T, V, op

# fmt: off


def method(names: str, *samples: Sample, **options: object) -> None:
    op(" ".join(f"Tensor.__{name}__" for name in names.split()), *samples, out=False, **options)


reals = ("int64", *FLOATS)
numbers = [S(T(2, 3), T(3)), S(T(2, 3), 2), S(T(2, 3), -1.5)]
method("add radd sub rsub mul rmul",
   *numbers, S(T(2), T(2, dtype="float32")), errors=[S(T(2), T(3))])
method("truediv rtruediv div rdiv", S(P(2, 3), P(3)),
   S(P(2, 3), 2), S(P(2, 3), -1.5), errors=[S(T(2), T(3))])
method("pow rpow", S(P(2, 3), P(3)), S(P(2, 3), 2), S(P(2, 3), 1.5),
   dtypes=reals)
method("floordiv rfloordiv mod rmod", S(P(2, 3), P(3)),
   S(P(2, 3), 2), S(P(2, 3), 0.3), S(I(3, low=1, high=9), I(3, low=1, high=4)), differences=False,
   dtypes=reals, grad=False)
method("matmul rmatmul", S(T(3, 3), T(3, 3)), S(T(3), T(3)),
   errors=[S(T(2, 3), T(2, 3))], dtypes=reals)
method("and rand or ror xor rxor",
   S(I(2, 3, high=9), I(3, high=9)), S(I(2, 3, high=9), 5), S(V([True, False], "bool"), True),
   errors=[S(T(2), T(2)), S(I(2, high=9), 1.5)], grad=False, dtypes=())
method("lshift rlshift rshift rrshift",
   S(I(2, 3, high=9), I(3, high=4)), S(I(2, 3, high=5), 3), grad=False, dtypes=())
method("abs neg pos", S(T(2, 3)), S(T()))
method("invert", S(I(2, 3, high=9)), S(V([True, False], "bool")), errors=[S(T(2))],
   grad=False, dtypes=())
method("iadd isub imul", *numbers,
   errors=[S(T(3), T(2, 3)), S(I(2, high=3), 1.5)], dtypes=reals)
method("itruediv idiv", S(P(2, 3), P(3)), S(P(2, 3), 2),
   errors=[S(I(2, high=3), 2)], dtypes=FLOATS)
method("ifloordiv imod ipow", S(P(2, 3), P(3)), S(P(2, 3), 2),
   errors=[S(T(3), T(2, 3))], dtypes=reals)
method("iand ior ixor ilshift irshift",
   S(I(2, 3, high=9), I(3, high=4)), S(I(2, 3, high=9), 2), grad=False, dtypes=())

# ---- layers

layers = {"complex_grad": False, "dtypes": ("float32",), "rtol": 20}
op("affine_grid_generator", S(T(1, 2, 3), [1, 1, 3, 4], False),
   S(T(2, 3, 4), [2, 1, 2, 3, 2], True),
   **layers)
op("constant_pad_nd", S(T(2, 3), (1, 2)), S(T(2, 3), (1, -1, 0, 2), 0.5), dtypes=reals)
op("convolution",
   S(T(1, 2, 5, 5), T(3, 2, 3, 3), T(3), [1, 2], [1, 1], [1, 1], False, [0, 0], 1),
   S(T(1, 2, 4), T(2, 3, 3), None, [2], [1], [1], True, [1], 1), **layers)
grid = T(1, 2, 2, 2, low=-0.9, high=0.9)
op("grid_sampler grid_sampler_2d", S(T(1, 2, 3, 4), grid, 0, 0, False),
   S(T(1, 2, 3, 4), grid, 0, 1, True), S(T(1, 2, 3, 4), grid, 1, 0, False), second=False,
   oracle=False, **layers)
op("grid_sampler_3d", S(T(1, 2, 3, 3, 3), T(1, 2, 2, 2, 3, low=-0.9, high=0.9), 0, 0, False),
   second=False, **layers)
op("rnn_tanh_cell rnn_relu_cell", S(T(2, 3), T(2, 4), T(4, 3), T(4, 4), T(4), T(4)),
   S(T(2, 3), T(2, 4), T(4, 3), T(4, 4)), **layers)
op("gru_cell", S(T(2, 3), T(2, 4), T(12, 3), T(12, 4), T(12), T(12)), **layers)
op("lstm_cell", S(T(2, 3), [T(2, 4), T(2, 4)], T(16, 3), T(16, 4), T(16), T(16)), **layers)


def recurrent(gates: int, *state: object) -> object:
    """One layer, two directions: weights, and the flags that follow them."""
    weights = [T(2 * gates, 3), T(2 * gates, 2), T(2 * gates), T(2 * gates)] * 2
    return S(T(4, 2, 3), *state, weights, True, 1, 0.0, False, True, False)


op("rnn_tanh rnn_relu", recurrent(1, T(2, 2, 2)), **layers)
op("gru", recurrent(3, T(2, 2, 2)), **layers)
op("lstm", recurrent(4, [T(2, 2, 2), T(2, 2, 2)]), **layers)
op("native_batch_norm", S(T(4, 2), P(2), T(2), None, None, True, 0.1, 1e-5),
   S(T(4, 2, 3), None, None, T(2, grad=False), P(2, grad=False), False, 0.1, 1e-5), out=False,
   **layers)
op("native_layer_norm", S(T(2, 3), (3,), P(3), T(3), 1e-5), S(T(2, 2, 3), (2, 3), None, None, 0.1),
   out=False, **layers)
op("native_group_norm", S(T(2, 4, 3), P(4), T(4), 2, 4, 3, 2, 1e-5), out=False, **layers)
op("norm_except_dim", S(T(2, 3), 2, 0), S(T(2, 3, 2), 2, 1), S(T(2, 3), 2, -1), **layers)
op("native_channel_shuffle nn.functional.native_channel_shuffle", S(T(1, 4, 2, 2), 2),
   oracle=False, **layers)
op("native_dropout", S(T(2, 3), 0.5, False), S(T(2, 3), 0.0, True), **layers)
op("embedding_renorm_", S(T(4, 3), I(2, high=4), 0.7, 2.0), grad=False, **layers)
op("nn.functional.lp_pool3d", S(P(1, 2, 4, 4, 4), 2, 2), **layers)
op("nn.functional.max_unpool2d", S(T(1, 1, 2, 2), V([[[[1, 3], [8, 14]]]]), 2),
   S(T(1, 1, 2, 2), V([[[[1, 3], [8, 14]]]]), 2, output_size=(5, 4)), **layers)
op("nn.functional.max_unpool3d", S(T(1, 1, 1, 2, 2), V([[[[[1, 3], [8, 14]]]]]), 2), **layers)
op("nn.functional.adaptive_max_pool1d_with_indices", S(T(1, 2, 5, distinct=True), 2), **layers)
op("nn.functional.adaptive_max_pool2d_with_indices", S(T(1, 2, 5, 4, distinct=True), 2), **layers)
op("nn.functional.adaptive_max_pool3d_with_indices", S(T(1, 2, 3, 3, 3, distinct=True), 2),
   **layers)
op("nn.functional.max_pool1d_with_indices", S(T(1, 2, 6, distinct=True), 2), **layers)
op("nn.functional.max_pool2d_with_indices", S(T(1, 2, 4, 5, distinct=True), 2, 1), **layers)
op("nn.functional.max_pool3d_with_indices", S(T(1, 2, 4, 4, 4, distinct=True), 2), **layers)
op("nn.functional.upsample_bilinear", S(T(1, 2, 3, 3), scale_factor=2), S(T(1, 2, 3, 3), (5, 4)),
   **layers)
heads = (T(3, 2, 4), T(5, 2, 4), T(5, 2, 4), 4, 2, T(12, 4), T(12), None, None, False, 0.0, T(4, 4),
         T(4))
op("nn.functional.multi_head_attention_forward", S(*heads), S(*heads, need_weights=False),
   S(*heads, average_attn_weights=False), second=False, **layers)
op("nn.functional.linear_cross_entropy", S(T(4, 3), T(5, 3), I(4, high=5)),
   S(T(4, 3), T(5, 3), I(4, high=5), reduction="sum"), **layers)

# ---- decompositions

op("geqrf Tensor.geqrf", S(T(4, 3)), S(T(2, 3, 3)), grad=False, dtypes=("float32", "complex64"),
   rtol=10)
op("orgqr Tensor.orgqr", S(T(4, 3), T(3)), dtypes=("float32",), rtol=10, complex_grad=False)
op("ormqr Tensor.ormqr", S(T(4, 3), T(3), T(4, 2)), S(T(4, 3), T(3), T(4, 2), True, True),
   S(T(4, 3), T(3), T(2, 4), False), dtypes=("float32",), rtol=10, complex_grad=False)
factors = T(3, 3, low=0.5)
op("lu_unpack", S(factors, V([2, 2, 3], "int32")), S(factors, V([2, 2, 3], "int32"), True, False),
   dtypes=("float32",))
op("lu_solve Tensor.lu_solve", S(T(3, 2), factors, V([2, 2, 3], "int32")), dtypes=("float32",),
   rtol=10)
op("unsafe_split_with_sizes Tensor.unsafe_split_with_sizes", S(T(5, 2), [2, 3]),
   S(T(2, 5), [1, 4], 1))
