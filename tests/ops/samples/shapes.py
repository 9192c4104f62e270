"""Views, joining and rearranging."""

from tests.ops.samples import B, DType, I, S, T, op

# fmt: off

op("reshape", S(T(2, 3), (3, 2)), S(T(2, 3), (-1,)), S(T(3, 2, transposed=True), (6,)),
   S(T(), (1,)), S(T(0, 3), (0,)), errors=[S(T(2, 3), (4, 2)), S(T(2, 3), (-1, -1))])
op("Tensor.view", S(T(2, 3), 3, 2), S(T(2, 3), (6,)), S(T(2, 3), -1), S(T(2, 3), 2, -1),
   errors=[S(T(3, 2, transposed=True), 6), S(T(2, 3), 4)])
op("Tensor.view_as Tensor.reshape_as", S(T(2, 3), T(3, 2)))
op("Tensor.expand", S(T(2, 1), 2, 3), S(T(3), 2, 3), S(T(2, 1), -1, 3), S(T(), 2),
   errors=[S(T(2, 3), 2, 4), S(T(2, 3), 3)])
op("Tensor.expand_as", S(T(2, 1), T(2, 3)), errors=[S(T(2, 3), T(2, 4))])
op("Tensor.repeat", S(T(2, 3), 2, 1), S(T(3), 2, 2), S(T(2), 0), errors=[S(T(2, 3), 2)])
op("broadcast_to", S(T(2, 1), (2, 3)), errors=[S(T(2, 3), (2, 4))])
op("broadcast_tensors", S(T(2, 1), T(3)), errors=[S(T(2), T(3))])
op("transpose swapaxes swapdims", S(T(2, 3), 0, 1), S(T(2, 3, 4), -1, 0), S(T(), 0, -1),
   errors=[S(T(2, 3), 0, 2)])
op("permute", S(T(2, 3, 4), (2, 0, 1)), S(T(2, 3), (-1, 0)),
   errors=[S(T(2, 3), (0, 0)), S(T(2, 3), (0,))])
op("movedim moveaxis", S(T(2, 3, 4), 0, 2), S(T(2, 3, 4), (0, 1), (1, 2)),
   errors=[S(T(2, 3), 0, 2)])
op("t", S(T(2, 3)), S(T(3)), S(T()), errors=[S(T(2, 3, 4))])
op("adjoint", S(T(2, 3)), S(T(2, 2, 3)))
op("squeeze", S(T(1, 2, 1)), S(T(1, 2, 1), 0), S(T(1, 2, 1), (0, 2)), S(T(2, 1), 0), S(T()),
   errors=[S(T(2, 1), 2)])
op("unsqueeze", S(T(2, 3), 0), S(T(2, 3), -1), S(T(), 0), errors=[S(T(2), 3)])
op("flatten", S(T(2, 3, 4)), S(T(2, 3, 4), 1), S(T(2, 3, 4), 0, 1), S(T()),
   S(T(3, 2, transposed=True)), errors=[S(T(2, 3, 4), 2, 1)])
op("ravel", S(T(2, 3)), S(T(3, 2, transposed=True)), S(T()))
op("unflatten", S(T(6, 2), 0, (2, 3)), S(T(6, 2), 0, (2, -1)), errors=[S(T(6), 0, (4, 2))])
op("narrow", S(T(4, 2), 0, 1, 2), S(T(4, 2), 1, -1, 1),
   errors=[S(T(4, 2), 0, 3, 2), S(T(4), 0, 0, -1)])
op("select", S(T(4, 2), 0, 1), S(T(4, 2), 1, -1), errors=[S(T(4, 2), 0, 4), S(T(), 0, 0),
   S(T(2), 0, 1.5), S(T(2), [0], 1)])
op("split", S(T(5, 2), 2), S(T(5, 2), [1, 4]), S(T(2, 4), 2, 1),
   errors=[S(T(5), [1, 2]), S(T(5), -1), S(T(), 1)])
op("chunk", S(T(5, 2), 2), S(T(2, 4), 3, 1), S(T(0, 2), 2), errors=[S(T(5), 0)])
op("tensor_split", S(T(5, 2), 2), S(T(5, 2), (1, 3)), S(T(2, 4), 3, 1), errors=[S(T(5), 0)])
op("hsplit vsplit", S(T(4, 2), 2), S(T(4, 2), (1,)), errors=[S(T(), 2)])
op("unbind", S(T(3, 2)), S(T(3, 2), 1), errors=[S(T())])
op("diagonal", S(T(3, 3)), S(T(2, 3), 1), S(T(2, 3, 4), 0, 1, 2), S(T(3, 3), -1), S(T(2, 2), 5),
   errors=[S(T(2, 2), 0, 0, 0)])
op("Tensor.unfold", S(T(5), 0, 2, 1), S(T(2, 5), 1, 3, 2),
   errors=[S(T(5), 0, 6, 1), S(T(5), 0, 2, 0)])
op("as_strided", S(T(6), (2, 2), (2, 1)), S(T(2, 3), (3,), (1,), 2),
   errors=[S(T(4), (3, 3), (2, 1)), S(T(4), (2,), (1, 1)), S(T(4), (2,), (-1,))])
op("real", S(T(2, 3)), S(T(2, 3, dtype="complex128")))
op("imag", S(T(2, 3, dtype="complex128")), errors=[S(T(2))], dtypes=())
op("view_as_real", S(T(2, 3, dtype="complex128")), errors=[S(T(2))], dtypes=())
op("view_as_complex", S(T(3, 2)), errors=[S(T(3, 3)), S(I(3, 2, high=3))], dtypes=("float32",))
op("atleast_1d atleast_2d atleast_3d", S(T()), S(T(3)), S(T(2, 3)), S(T(2), T()))
op("Tensor.contiguous clone", S(T(2, 3)), S(T(3, 2, transposed=True)), S(T(2, 1, 3)))
op("detach", S(T(2, 3)), grad=False, inplace=False)

op("cat concat concatenate", S([T(2, 3), T(1, 3)]), S([T(2, 3), T(2, 1)], 1),
   S([T(2), T(0)], dim=-1), S([T(2, 3)]), S([T(2), T(2, dtype="float32")]),
   S([T(2), I(2, high=3)]),
   errors=[S([T(2, 3), T(2, 2)]), S([]), S([T(), T()]), S([T(2), T(2, 3)]), S(T(2, 3))],
   inplace=False)
op("stack", S([T(2, 3), T(2, 3)]), S([T(2), T(2), T(2)], 1), S([T(), T()], -1),
   errors=[S([T(2), T(3)]), S([]), S(T(2, 3))])
op("hstack vstack dstack row_stack column_stack", S([T(2, 3), T(2, 3)]), S([T(3), T(3)]),
   S([T(), T()]), errors=[S(T(2, 3))])
op("meshgrid", S(T(2), T(3), indexing="ij"), S(T(2), T(3), indexing="xy"))
op("tile", S(T(2, 3), (2,)), S(T(2), (2, 2)))
op("repeat_interleave", S(T(2, 3), 2), S(T(2, 3), 2, 1), S(T(2, 3), I(2, low=1, high=3), 0))
op("flip", S(T(2, 3), (0,)), S(T(2, 3), (0, 1)), S(T(1, 3), (0,)), S(T(2, 3), (-1,)),
   errors=[S(T(2, 3), (0, 0)), S(T(2, 3), (2,))])
op("fliplr flipud", S(T(2, 3)), errors=[S(T())])
op("roll", S(T(5), 2), S(T(2, 3), 1, 1), S(T(2, 3), (1, 2), (0, 1)), S(T(2, 3), 4),
   errors=[S(T(2, 3), (1,), (0, 1))])
op("rot90", S(T(2, 3)), S(T(2, 3), 2), S(T(2, 3, 4), 3, (1, 2)), errors=[S(T(2), 1)])
op("tril triu", S(T(3, 3)), S(T(2, 3), 1), S(T(2, 3, 3), -1), errors=[S(T(3))])
op("diag", S(T(3)), S(T(3, 3)), S(T(3), 1), S(T(2, 3), -1), errors=[S(T(2, 2, 2))])
op("diag_embed diagflat", S(T(3)), S(T(2, 3)), S(T(3), 1))
op("Tensor.to", S(T(2, 3), DType("float32")), S(T(2, 3), DType("int64")),
   S(T(2, 3), DType("float64")), S(T(2, 3), DType("float64"), copy=True), S(T(2, 3), "cpu"),
   S(T(2), T(2, dtype="float32")), differences=False)
op("Tensor.float Tensor.double Tensor.half Tensor.bfloat16 Tensor.long Tensor.int "
   "Tensor.short Tensor.char Tensor.byte Tensor.bool", S(T(2, 3, low=0)), S(T(low=0)),
   complex_grad=False, differences=False)
op("Tensor.type_as", S(T(2, 3), T(2, dtype="float32", grad=False)), differences=False)
op("Tensor.tolist Tensor.numel Tensor.dim Tensor.ndimension Tensor.element_size "
   "Tensor.nelement Tensor.is_floating_point Tensor.is_complex Tensor.is_contiguous", S(T(2, 3)),
   S(T(3, 2, transposed=True)), grad=False)
op("Tensor.size Tensor.stride", S(T(2, 3)), S(T(2, 3), 0), S(T(2, 3), -1), grad=False,
   errors=[S(T(2), 1)])
op("Tensor.item", S(T()), S(T(1)), S(T(1, 1)), errors=[S(T(2)), S(T(0))], grad=False)
op("Tensor.sum_to_size", S(T(2, 3), 1, 3), S(T(2, 3), 3), errors=[S(T(2, 3), 2)])
op("is_tensor is_nonzero", S(T(1)), grad=False, inplace=False)
op("numel is_floating_point is_complex", S(T(2, 3)), grad=False, inplace=False)
op("argwhere nonzero", S(T(2, 3)), S(B(2, 3)), S(T()), grad=False)

# Views that copy: like the view, but sharing nothing.
op("expand_copy", S(T(2, 1), (2, 3)))
op("view_copy", S(T(2, 3), (3, 2)), S(T(4, 3, transposed=True), (2, -1)))
op("permute_copy", S(T(2, 3), (1, 0)))
op("transpose_copy", S(T(2, 3), 0, 1))
op("alias_copy", S(T(2, 3)))
op("t_copy squeeze_copy", S(T(2, 3)), S(T(2, 1)))
op("unbind_copy", S(T(2, 3)), out=False)
op("unsqueeze_copy", S(T(2, 3), 0))
op("select_copy", S(T(2, 3), 0, 1))
op("split_copy", S(T(5), 2), out=False)
op("split_with_sizes split_with_sizes_copy", S(T(5), [2, 3]), out=False, errors=[S(T(5), [2, 2])])
op("narrow_copy", S(T(4, 2), 0, 1, 2), grad=False)
op("diagonal_copy", S(T(3, 3)), S(T(3, 3), 1))
op("as_strided_copy", S(T(6), (2, 2), (2, 1)))
op("unfold_copy", S(T(5), 0, 2, 1), inplace=False)
op("detach_copy", S(T(2, 3)), grad=False)
op("view_as_real_copy", S(T(2, 3, dtype="complex128")), dtypes=())
op("view_as_complex_copy", S(T(3, 2)), dtypes=("float32",))
op("unsafe_chunk", S(T(4, 2), 2))
op("unsafe_split", S(T(4, 2), 2), S(T(3, 5), split_size=2, dim=1), errors=[S(T(4), [1, 3])])
op("dsplit", S(T(2, 2, 4), 2), errors=[S(T(2, 2), 2)])
op("Tensor.fill_diagonal_", S(T(3, 3), 1.5), S(T(4, 2), 2.0), grad=False)
op("Tensor.is_same_size Tensor.is_set_to", S(T(2, 3), T(2, 3)), grad=False)
op("Tensor.is_signed Tensor.get_device Tensor.storage_offset Tensor.is_conj Tensor.is_neg",
   S(T(2, 3)), grad=False, dtypes=("uint8", "bool", "float32"))
op("Tensor.cdouble Tensor.cfloat", S(T(2, 3)), differences=False, dtypes=("float32",))
op("Tensor.type", S(T(2, 3)), S(T(2, 3), DType("int64")), S(T(2), "torch.FloatTensor"), grad=False)
op("can_cast promote_types", S(DType("float32"), DType("int64")),
   S(DType("uint8"), DType("int8")), S(DType("float16"), DType("bfloat16")), dtypes=(), grad=False)
op("result_type", S(T(2), 1), S(T(2, dtype="int32"), 1.5),
   S(T(dtype="float64"), T(2, dtype="float32")), S(T(2, dtype="uint8"), T(2, dtype="int8")),
   dtypes=(), grad=False)
