"""Small calls at the edges: the result, or the kind of exception, is PyTorch's."""

import copy
import warnings

import numpy as np
import pytest
import torch

import rushlight as rl

BUILTIN = (
    BufferError,
    TypeError,
    ValueError,
    IndexError,
    NotImplementedError,
    AttributeError,
    RuntimeError,
)


def outcome(source, library):
    """What the last line of a program evaluates to as text, or the built-in type it raises."""
    names = {"torch": library, "np": np, "copy": copy, "F": library.nn.functional}
    *lines, last = source.split("; ")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        try:
            exec("\n".join(lines), names)
            return repr(eval(last, names))
        except BUILTIN as error:
            return next(kind for kind in BUILTIN if isinstance(error, kind))


BYTES = "m = torch.tensor([1, 0, 0, 1], dtype=torch.uint8); a = torch.arange(12.).reshape(4, 3); "

INDEXING = [
    BYTES + "a[m]",
    BYTES + "a.index_put_((m,), torch.ones(3))",
    BYTES + "a.index_put_((m,), torch.ones(2, 3), accumulate=True)",
    "torch.ones(3).index_put([], torch.ones(1), True)",
    "torch.ones(3).index_put_((torch.tensor([1]),), 3.)",
    "torch.ones(3).index_put((torch.tensor([1]),), 3.)",
    "torch.ones(3).index_put_(torch.tensor([1]), torch.ones(1))",
    "torch.tensor(3.).index_select(0, torch.tensor([0, 0]))",
    "torch.tensor(3.).index_select(0, torch.tensor([0]))",
    *[f"torch.arange(4).view(2, 2).repeat_interleave({repeats}, output_size={n})"
      for repeats in ("torch.tensor([1, 2]), dim=1", "2, dim=0", "torch.tensor([2])")
      for n in (3, 4, 5, 8)],
    "a = torch.zeros(4); a[True] = torch.ones(1, 4); a",
    "a = torch.zeros(4); a[a == 0] = torch.ones(1, 4); a",
    "torch.ones(3).__delitem__(0)",
    "torch.take_along_dim(torch.arange(3.), torch.tensor([1], dtype=torch.int32), 0)",
    "torch.take_along_dim(torch.ones(2, 3), torch.ones(2, 4, dtype=torch.long), 0)",
    "torch.unravel_index(torch.tensor(0.5), (2, 2))",
    "torch.unravel_index(torch.tensor([1]), (2, 2.0))",
    "torch.unravel_index(torch.tensor([1]), 2.0)",
    "torch.unravel_index(torch.tensor([1]), (2**64, 2))",
    "torch.unravel_index(torch.tensor([3]), (2, 2))",
    "torch.empty(0, 5)[[0, 1]]",
    *[f"x = torch.arange(12.).reshape(3, 4); x[{key}]"
      for key in ("[slice(None), [2, 3]]", "[[0, 1], [2, 3]]", "[0, slice(1, 3)]", "[None, 0]",
                  "[Ellipsis, 0]", "[torch.tensor([0, 1]), torch.tensor([1, 2])]",
                  "[torch.tensor(0), torch.tensor(1)]", "[[0, 1], 1]", "[[0, 1]]", "[0] * 33",
                  "[[0]] * 33", "[np.int64(1), 0]", "[True, False, True]", "[]")],
    "x = torch.zeros(2, 3); x[[slice(None), [2, 0]]] = 1; x",
    *[f"torch.zeros(3).{name}({arguments})"
      for name in ("index_add", "index_copy", "index_fill", "index_reduce")
      for source in ("torch.ones(1)", "torch.tensor(2.)", "torch.ones(2)")
      for index in ("torch.tensor([-1])", "torch.tensor([3])", "torch.tensor(1)",
                    "torch.tensor([0, 1])", "torch.tensor([1.])", "torch.tensor([1]).int()",
                    "torch.tensor([1]).short()")
      for arguments in [f"0, {index}, " + {"index_fill": "2.", "index_reduce": source + ", 'prod'"}
                        .get(name, source)]],
    "torch.zeros(()).index_add(0, torch.tensor([0]), torch.ones(1))",
    "torch.zeros(()).index_copy(0, torch.tensor([0]), torch.ones(1))",
    "torch.zeros(3, 2).index_add(0, torch.tensor([-1]), torch.ones(1, 2))",
    "torch.zeros(3, 2).index_copy(0, torch.tensor([0]), torch.tensor(1.))",
]  # fmt: skip

TENSORS = [
    "torch.Size(torch.ones(3))",
    "torch.Size(torch.ones(3, dtype=torch.long))",
    "torch.Size([1.5])",
    "torch.ones(3).int().apply_(lambda k: 'text')",
    "torch.ones(3, requires_grad=True).apply_(lambda k: k)",
    "torch.ones(3).map_(torch.ones(3).long(), lambda a, b: a + b)",
    "torch.ones(3).map_(torch.ones(3, requires_grad=True), lambda a, b: a + b)",
    "t = torch.ones(3); t.map2_(t.double(), t, lambda a, b, c: a + b + c)",
    "t = torch.ones(3); t.map2_(t, t * 2, lambda a, b, c: a + b + c)",
    "torch.ones(2).map_(torch.ones(3, 2), lambda a, b: a)",
    "torch.ones(2).masked_scatter_(torch.ones(3, 2, dtype=torch.bool), torch.ones(6))",
    *[f"torch.ones(3).copy_({value})" for value in ("2.5", "True", "1j", "torch.inf", "[1, 2, 3]")],
    "torch.ones(3).int().copy_(2)",
    "torch.gradient(torch.tensor([1, torch.inf, 4, -torch.inf, torch.nan]))",
    "torch.gradient(torch.tensor([1, 2, 4]), spacing=(torch.tensor([1, 2, 5]),))",
    "torch.gradient(torch.tensor([1+1j, 2, 3-2j]), spacing=2., edge_order=2)",
    "torch.gradient(torch.tensor([1, 2, 4], dtype=torch.uint8))",
    "torch.diff(torch.ones(2, 3), prepend=torch.ones(2))",
    *[f"x = torch.ones(3); x.resize_({n}); x._version" for n in (2, 3, 4)],
    "a = torch.ones(2, dtype=torch.complex64); torch.addcdiv(a, 1+2j, a, a)",
    "F.nll_loss(torch.tensor(1.), torch.tensor(0))",
    "torch.ones(2, device='meta').storage().nbytes()",
    "torch.tensor([-32768, *range(-20000, 30000), 32767], dtype=torch.int16).unique().shape",
    "torch.ones(2, 3).flip()",
    "torch.ones(2, 3).flip(())",
    "torch.nonzero(torch.ones(2), as_tuple=True, out=torch.empty(0, dtype=torch.long))",
    "torch.nonzero(torch.ones(2), out=torch.empty(0))",
    *[
        f"{x}.{name}"
        for x in ("torch.tensor(1 + 1j)", "torch.ones(2)", "torch.ones(2, 3, 4)")
        for name in ("H", "mH", "mT", "adjoint()")
    ],
    *[
        f"torch.empty({size}).resize_(2, 3, 4, 5, memory_format=torch.channels_last).stride()"
        for size in ("120", "2", "2, 3, 4, 5")
    ],
    "x = torch.empty(2, 3, 4, 5).to(memory_format=torch.channels_last); torch.empty(120)."
    "resize_as_(x, memory_format=torch.preserve_format).stride()",
    "torch.ones(2).resize_(2, -1)",
    "torch.ones(2).resize_(2, 4, 2**29, 2**29)",
    "torch.view_as_complex(torch.as_strided(torch.ones(3, 3), (2, 2), (1, 1)))",
    "torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(torch.arange(3)))",
    "torch.from_dlpack(torch.ones(2, dtype=torch.bfloat16))",
    "torch.ones(2).__dlpack__(stream='text')",
    *[
        f"x = torch.ones(2, requires_grad={grad}); {call}"
        for grad in (True, False)
        for call in ("torch.from_dlpack(x)", "x.__dlpack__() is None")
    ],
    "torch.ones(2).fill_('a')",
    "torch.ones(2).fill_(None)",
    "torch.histogram(torch.tensor([1, 2]), 3)",
    "torch.histogramdd(torch.ones(3, 2, dtype=torch.int), [2, 2])",
    *[f"torch.histogram(torch.tensor([1., 2.]), {bins})" for bins in (1, 0, -1)],
    "torch.histogramdd(torch.ones(3, 2), [2, 0])",
    *[
        f"torch.{name}(torch.tensor({data}), dim={dim})"
        for name in ("any", "all")
        for data in ("[[1., 0.], [0., 0.]]", "[1, 0], dtype=torch.uint8", "1.")
        for dim in ("()", "[]", "(0,)")
    ],
    "torch.searchsorted(torch.tensor([1., 2.]).double(), torch.tensor([1, 3]).int())",
    "torch.searchsorted(torch.tensor([1, 2]), torch.tensor([1.5]))",
    "torch.bucketize(torch.tensor([1.5, 3.]).double(), torch.tensor([1., 2.]))",
    *[
        f"x = torch.tensor({value}).to_sparse(); (x.to_dense(), x.indices().shape, x._nnz())"
        for value in ("2.", "0.")
    ],
    *[f"torch.ones(2).__{name}__('text')" for name in ("ifloordiv", "imod", "ipow", "iadd")],
    *[f"x = torch.ones(2); x{op}2; x" for op in ("//=", "%=", "**=")],
    "[1, 2] @ torch.ones(2)",
    "torch.heaviside(torch.ones(2), torch.ones(2).double())",
    "torch.zeros(2).heaviside_(torch.ones(2).int())",
    "torch.heaviside(torch.zeros(2), torch.tensor(3.))",
    "'text' in torch.ones(3)",
    "None in torch.ones(3)",
    "torch.ones(3).new(torch.Size([3, 4])).shape",
    "torch.ones(3).new([3, 4])",
    "torch.ones(3).new(1.5)",
    "x = torch.ones(2, dtype=torch.complex64); x.real = 0; x.imag = 3.5; x",
    "x = torch.ones(2); x.real = 2; x",
    "torch.ones(1, 3, 1, 5).dim_order(ambiguity_check=True)",
    "torch.ones(2, 3, 1).expand(2, 3, 4).dim_order(ambiguity_check=True)",
    "torch.ones(2, 3, 4).mT.dim_order(ambiguity_check=True)",
    "torch.ones(2, 3, 1, 5).dim_order(ambiguity_check='text')",
    "torch.ones(2, 3, 1, 5).dim_order(ambiguity_check=[torch.contiguous_format])",
    "torch.ones(2, 1, 4, 5).dim_order(ambiguity_check=[torch.contiguous_format, "
    "torch.channels_last])",
    "x = torch.rand(9, requires_grad=True); x.grad = x.detach().to_sparse(); "
    "copy.deepcopy(x).grad is None",
    "x = torch.eye(2).to_sparse().requires_grad_(); x.grad = x.detach() * 2; "
    "copy.deepcopy(x).grad is None",
    "format(torch.tensor(1., device='meta'))",
    "format(torch.tensor(1., device='meta'), '.2f')",
]

CREATION = [
    "r = torch.empty(0); torch.range(0, 3, out=r); r",
    "torch.range(0, 1, 0.5, requires_grad=True).requires_grad",
    "torch.range(0, 2, device='meta').shape",
    "torch.arange(1e-38, 3e38)",
    "torch.arange(0, 2**62, 1.0)",
    "torch.linspace(0, 1, 2**62)",
    "torch.empty_strided([8, 8], [2**61, 1])",
    "torch.tensor({})",
    "torch.tensor([0, 'a'])",
    "torch.tensor(['a', 0])",
    "x = torch.ones(3); c = torch.utils.dlpack.to_dlpack(x); y = torch.asarray(c); x[0] = 5; y",
    "torch.asarray(torch.utils.dlpack.to_dlpack(torch.ones(3)), dtype=torch.int32, copy=True)",
    "torch.asarray(bytearray(b'\\0\\0\\0\\0\\0\\0\\x80?'), dtype=torch.float32)",
    "m = bytearray(8); t = torch.asarray(m, dtype=torch.int32); m[4] = 9; t",
    "m = bytearray(8); t = torch.asarray(m, dtype=torch.int32, copy=True); m[4] = 9; t",
    "torch.asarray(memoryview(np.arange(3.)), dtype=torch.float64)",
    "torch.asarray(np.float64(2), copy=False)",
    *[f"x = torch.ones(2, requires_grad=True) {more}; y = torch.asarray(x{given}); "
      "y, x is y, x.data_ptr() == y.data_ptr(), x.requires_grad"
      for more in ("", "* 2")
      for given in ("", ", requires_grad=True", ", requires_grad=False")],
    "x = torch.arange(3); a = np.from_dlpack(x); a[0] = 7; x",
    "torch.tensor(b'text')",
    "torch.tensor({1, 2})",
    "torch.frombuffer([1, 2], dtype=torch.int)",
    *[f"torch.frombuffer(bytearray(b'abcdefgh'), dtype=torch.int, count={count}, offset={offset})"
      for count in (0, 1, 2, 3, -1, -2) for offset in (0, 4, 2, 8, -1)],
    "torch.frombuffer(bytearray(b''), dtype=torch.int)",
    "torch.randperm(256, dtype=torch.uint8).sum()",
    "torch.randperm(257, dtype=torch.uint8)",
    *[f"x = torch.zeros(2, 3); torch.{call}, out=x.narrow(1, 1, 2)); x"
      for call in ("arange(0, 4", "linspace(0, 3, 4", "logspace(0, 3, 4")],
    *[f"torch.{call}, out=torch.zeros(7, dtype=torch.{dtype}))"
      for call in ("arange(0, 3", "linspace(0, 3, 4", "linspace(0, 7, 3", "logspace(0, 3, 4",
                   "eye(2") for dtype in ("int32", "float64")],
    *[f"torch.{name}(0, 1j, 3{options})" for name in ("linspace", "logspace")
      for options in ("", ", dtype=torch.float32", ", out=torch.zeros(3)")],
    *[f"torch.cat([torch.empty(0), torch.empty(0)], dim={dim})" for dim in (0, 1)],
    *[f"torch.combinations(torch.arange(3), r={r})" for r in (0, 1, 4, -1)],
    "torch.empty([2, 4, 2**29, 2**29], dtype=torch.float64)",
    "torch.zeros(2**62, 2**62)",
    "torch.meshgrid(torch.ones(2), torch.ones(2).long(), indexing='ij')",
    "torch.meshgrid(torch.ones(2), torch.ones(2), indexing='')",
    "torch.ones(2).new_empty_strided((2, 3), (1,))",
    "torch.empty_strided((2, 3), (-1, 1))",
    *[f"torch.{name}({bounds})" for name in ("range", "arange")
      for bounds in ("1, 0", "0, 3, -1", "0, 3, 0", "1, 3", "0, float('inf')", "0, 2**63")],
    *[f"torch.repeat_interleave(torch.tensor({counts}))" for counts in
      ("[[1, 2], [3, 4]]", "[-1]", "[1.]", "[2, 0]")],
    *[f"{kind}(torch.tensor({data}))" for kind in ("int", "float", "complex", "bool")
      for data in ("[]", "[1, 2]", "[[3]]", "1+1j")],
    "torch.complex(torch.ones(2), 1.)",
    "torch.polar(torch.ones(2).long(), torch.ones(2).long())",
    "torch.polar(torch.ones(2), 1)",
    "torch.polar(1.0, torch.ones(2))",
    "torch.ormqr(torch.ones(4, 3), torch.ones(2), torch.ones(4, 2))",
    "torch.zeros(2).untyped_storage().filename",
]  # fmt: skip

MATRICES = [
    "torch.linalg.cond(torch.ones(2, 0, 0)), torch.linalg.cond(torch.ones(0, 0), -2)",
    "torch.argmin(torch.ones(2, 3), dim=[0, 1])",
    "torch.ones(2).softmax('a')",
    "torch.ones(3).split(1.5)",
    "i = torch.ones(2, dtype=torch.int64); torch.addr(torch.outer(i, i), i, i, beta=0.5)",
    "m = torch.ones(2, 2, dtype=torch.int64); torch.addmm(m, m, m, beta=1.5, alpha=2.5)",
    *[f"m, v = torch.ones(2, 2), torch.ones(2); {call}" for call in (
        "torch.addmm(m, m, m, alpha=2j)", "m.addmm_(m, m, beta=2j)", "v.addmv(m, v, beta=1j)",
        "torch.addr(m, v, v, alpha=1j)", "torch.addcmul(v, v, v, value=1j)",
        "v.addcmul(v, v, value=np.float64(0.5)).dtype", "v.addcmul_(v, v, value=np.float32(2))",
        "v.addcdiv(v, v, value=np.float64(0.5)).dtype", "v.addcdiv_(v, v, value=np.int64(2))")],
    *[f"x = torch.tensor([1, 2, 3], dtype=torch.{dtype}); {call.format(number)}"
      for dtype in ("int64", "uint8") for number in ("1.5", "-1.5", "np.float32(2.5)",
        "float('nan')", "1j", "True")
      for call in ("x.index_add(0, torch.tensor([0, 1, 0]), x, alpha={})",
        "x.index_add_(0, torch.tensor([0, 1, 0]), x + 1, alpha={})", "x.addcmul(x, x, value={})",
        "x.addcmul_(x, x, value={})", "m = torch.outer(x, x); torch.addmm(m, m, m, beta={})")],
    "x = torch.tensor([True, False]); x.index_add(0, torch.tensor([1]), x[:1], alpha=2.5)",
    "F.threshold(torch.arange(3), float('nan'), 0)",
    *[f"torch.ones(2, dtype=torch.{dtype}).fill_({number})" for dtype in ("uint8", "int8")
      for number in (-0.5, -1.5, -128, -128.5, -255, 127.5, 255.0, 255.5, 2**8)],
    *[f"torch.linalg.{call}" for call in (
        "norm(torch.ones(2, 2), ord=1, axis=(0, 1))",
        "vector_norm(torch.ones(2, 2), axis=0, keepdims=True)",
        "matrix_norm(torch.ones(2, 2, 2), axis=(0, 1))",
        "matrix_norm(torch.ones(2, 2), dim=(0,))",
        "pinv(torch.ones(2, 2), rcond=0.1)",
        "pinv(torch.ones(2, 2), 0.1, True)",
        "matrix_rank(torch.ones(2, 2), 0.01, True)",
        "tensorinv(torch.ones(0, 3, 1, 0), ind=1).shape",
        "tensorsolve(torch.ones(0, 0), torch.ones(0)).shape",
        "solve_triangular(torch.eye(2), torch.ones(2, 1), upper=True, left=False)",
        "solve_triangular(torch.eye(2), torch.ones(3, 1), upper=True)",
        *[f"cond(torch.{matrix}, {p})" for p in ("None", "1", "-1", "'fro'", "'nuc'")
          for matrix in ("zeros(2, 2)", "diag(torch.tensor([1., 0.]))", "eye(2, 2)")],
    )],
    "torch.fft.fft(torch.arange(4.).reshape(2, 2), axis=0)",
    "torch.fft.rfft2(torch.ones(2, 2), s=(2, 2), axis=(0, 1))",
    "torch.fft.fftn(torch.ones(2, 2), s=2)",
    *[f"A = torch.eye(4).repeat(2, 1, 1); A[1, {i}, {i}] = {value}; torch.linalg.{call}"
      for i in (1, 3) for value in (-1, 0, 2) for call in (
        "cholesky_ex(A)", "cholesky_ex(A, check_errors=True)", "inv_ex(A).info",
        "inv_ex(A).inverse[0]", "inv_ex(A, check_errors=True)", "solve_ex(A, A).info",
        "solve_ex(A, torch.ones(2, 4)).result[0]", "lu_factor_ex(A).info")],
    *[f"LU, p = torch.linalg.lu_factor(torch.eye(4).expand({batch} 4, 4) + 0.1); "
      f"torch.lu_solve(torch.ones({right}), LU, p)"
      for batch, right in (("2, 1,", "4, 3"), ("", "2, 4, 3"))],
    *[f"LU, p = torch.linalg.lu_factor(torch.tensor([[1., 2.], [4., 3.]]).expand({batch} 2, 2)); "
      f"torch.linalg.lu_solve(LU, p, torch.arange(12.).reshape({right}), {how})"
      for batch, right in (("", "3, 2, 2"), ("3, 1,", "2, 2, 3") , ("", "6, 2"))
      for how in ("adjoint=True", "left=False", "left=False, adjoint=True")],
    *[f"x = torch.arange(-3, 3{kind}); F.threshold(x, {cut}, {value}), torch.threshold_(x, {cut}, "
      f"{value})" for kind in ("", ".", ", dtype=torch.int8") for cut, value in
      (("0", "0.5"), ("1.5", "7"), ("-0.5", "-2.5"))],
    "F.threshold(1.0, 0, 0)",
    *[f"torch.norm(torch.eye(2), 'nuc', {dim})" for dim in ("()", "(0,)", "(0, 0)", "(0, 1)")],
]  # fmt: skip

SETTINGS = [
    f"{call}; r = (torch.is_deterministic_algorithms_warn_only_enabled(), "
    "torch.are_deterministic_algorithms_enabled(), torch.get_deterministic_debug_mode()); "
    "torch.use_deterministic_algorithms(False); r"
    for call in [
        "torch.use_deterministic_algorithms(True)",
        "torch.use_deterministic_algorithms(True, warn_only=True)",
        "torch.use_deterministic_algorithms(False, warn_only=True)",
        *[f"torch.set_deterministic_debug_mode({m!r})" for m in (0, 1, 2, "warn", "error", 3, "x")],
        "torch.set_deterministic_debug_mode(1.5)",
    ]
] + [
    *[f"torch._check_{kind}({ok}, lambda: 'text')"
      for kind in ("index", "value", "type", "not_implemented") for ok in (True, False, 1)],
    "torch._check_is_size(-1)",
    "torch._check_is_size(3, max=2)",
    "torch._check_tensor_all(torch.tensor([True, False]))",
    "torch._check_tensor_all(torch.tensor([1]))",
]  # fmt: skip

STORAGES = [
    *[f"s = torch.FloatStorage([0, 1.5, -2]).{name}(); s.type(), s.tolist()"
      for name in ("double", "float", "half", "bfloat16", "long", "int", "short", "char", "bool",
                   "complex_double", "complex_float")],
    "torch.LongStorage([1, 2]).byte().type()",
    "s = torch.LongStorage([1, 2]); s.long() is s",
    "torch.ByteTensor(torch.ByteStorage.from_buffer(b'abc'))",
    "torch.ShortStorage.from_buffer(bytearray(b'abcd'), 'big').tolist()",
    "torch.ShortStorage.from_buffer(b'abcd', 'little', 1, 2).tolist()",
    "torch.ShortStorage.from_buffer(b'abcd', 'native', 2, 1).tolist()",
    "torch.ShortStorage.from_buffer(b'abcd', 'native', -1, 4).tolist()",
    "torch.ShortStorage.from_buffer(b'abcde', 'native').tolist()",
    "torch.ShortStorage.from_buffer(b'abcd', 'other').tolist()",
    "torch.FloatTensor(torch.FloatStorage([1, 2]))",
    "a = torch.ones(9).storage(); b = torch.ones(99).storage(); b.__sizeof__() - a.__sizeof__()",
    "isinstance(torch.ones(1).storage(), torch.storage.TypedStorage)",
    "isinstance(torch.ones(1).untyped_storage(), torch.storage.UntypedStorage)",
    "torch.empty(0).set_(torch.ones(3).storage(), 0, torch.Size([3]))",
    "torch.empty(0).set_(torch.ones(3).untyped_storage())",
    "torch.empty(0).set_(torch.ones(3).double().storage())",
    "torch.empty(0).set_(torch.ones(3).double())",
    "x = torch.arange(6.); y = torch.empty(0).set_(x, 1, (2,), (2,)); y[0] = 9; (x, y)",
    "x = torch.arange(6.); y = torch.empty(0).set_(x.storage(), 1, (2,), (2,)); y[0] = 9; (x, y, "
    "y.storage_offset())",
    "torch.arange(3.).set_()",
]  # fmt: skip


GRADIENTS = [
    "x = torch.ones(2, 3, requires_grad=True); [t is x for t in torch.broadcast_tensors(x, x[0])]",
    "p = torch.tensor([0.5], requires_grad=True); torch.distributions.Normal(p, 1.0)",
    "b = torch.tensor([-1., 0., 1.], requires_grad=True); (0 ** b).sum().backward(); b.grad",
    *[f"x = torch.ones(2, requires_grad=True); torch.set_grad_enabled(False); r = {call}; "
      "torch.set_grad_enabled(True); r" for call in ("x.numpy()", "np.asarray(x)", "np.sin(x)")],
    "np.asarray(torch.ones(2, requires_grad=True))",
    *[f"x = torch.ones(3, 3, requires_grad=True); s, t, u = torch.{call}; s.mul_(t); "
      "s.sum().backward(); x.grad"
      for call in ("unsafe_split(x + x, 1)", "unsafe_chunk(x + x, 3)", "split(x + x, 1)",
                   "unsafe_split_with_sizes(x + x, (1, 1, 1))")],
    "x = torch.tensor(0.5, requires_grad=True); y = torch.autograd.grad(x * 2, x, "
    "create_graph=True); torch.autograd.grad(y[0] + x * 0, torch.ones(2, requires_grad=True), "
    "create_graph=True, materialize_grads=True)",
    "x = torch.ones(2); x.requires_grad_(); x.__delattr__('data')",
    "x = torch.ones(2, requires_grad=True); x.__setattr__('data', torch.ones(2).long())",
    *["x = torch.ones(2, requires_grad=True); y = x * 2; "
      f"e, l = map(torch.autograd.graph.get_gradient_edge, (y, x)); {call}"
      for call in ("torch.autograd.backward((y * 3).sum(), inputs=(l,)); x.grad",
                   "torch.autograd.backward((y * 3).sum(), inputs=l); x.grad",
                   "torch.autograd.grad(e, x, torch.ones(2))",
                   "torch.autograd.grad(e, x)",
                   "torch.autograd.grad((y * 3).sum(), [e, l])")],
    "x = torch.ones(2, requires_grad=True); a = (x * 2).grad_fn.next_functions[0][0]; "
    "a.register_prehook(lambda g: (g[0] * 5,)); (x * 2).sum().backward(); x.grad",
    "torch.autograd.functional.jacobian(torch.exp, torch.ones(2), strict=True, vectorize=True)",
    "torch.autograd.set_multithreading_enabled(False).__enter__()",
    "torch.autograd.Variable._execution_engine.queue_callback(print)",
    "seen = []; x = torch.ones(2, requires_grad=True); y = x * 2; y.register_hook(lambda g: "
    "torch.autograd.Variable._execution_engine.queue_callback(lambda: seen.append(x.grad))); "
    "y.sum().backward(); seen",
]  # fmt: skip


@pytest.mark.parametrize(
    "source", INDEXING + TENSORS + CREATION + MATRICES + SETTINGS + STORAGES + GRADIENTS
)
def test_as_in_torch(source):
    assert outcome(source, rl) == outcome(source, torch)


def test_a_mask_of_bytes_warns():
    with pytest.warns(UserWarning, match="uint8 is now deprecated") as caught:
        rl.arange(2)[rl.tensor([1, 0], dtype=rl.uint8)]
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="uint8 is now deprecated") as caught:
        rl.ones(2).index_put((rl.tensor([1, 0], dtype=rl.uint8),), rl.zeros(()))
    assert caught[0].filename == __file__


def test_a_storage_on_a_file(tmp_path):
    s = rl.FloatStorage.from_file(str(tmp_path / "elements"), True, 4)
    s[1] = 2.5
    assert rl.FloatStorage.from_file(str(tmp_path / "elements"), False, 4).tolist() == [
        0,
        2.5,
        0,
        0,
    ]


@pytest.mark.parametrize(
    "call",
    [
        "reshape(shape=(3, -1))", "reshape(shape=[6])", "view(size=(3, 2))", "permute(dims=(1, 0))",
        "repeat(repeats=(2, 1))", "tile(dims=(2,))", "reshape(size=(6,))", "view(shape=(6,))",
    ],
)  # fmt: skip
def test_sizes_by_name(call):
    source = f"torch.arange(6).view(2, 3).{call}.tolist()"
    assert outcome(source, rl) == outcome(source, torch)
    if "permute" in call or "tile" in call or call.startswith("reshape(sh"):
        name, arguments = call.split("(", 1)
        source = f"torch.{name}(torch.arange(6).view(2, 3), {arguments}.tolist()"
        assert outcome(source, rl) == outcome(source, torch)
