"""Matrix and vector products, and the rest of linear algebra at the top level."""

from tests.ops.samples import FLOATS, I, P, S, T, op

# fmt: off

numbers = ("int32", "int64", *FLOATS, "complex64", "complex128")
op("matmul", S(T(2, 3), T(3, 4)), S(T(3), T(3)), S(T(2, 3), T(3)), S(T(3), T(3, 2)),
   S(T(2, 2, 3), T(2, 3, 2)), S(T(2, 3, 2), T(2, 4)), S(T(2, 1, 2, 3), T(3, 3, 2)),
   S(T(3), T(2, 3, 2)), S(T(2, 2, 3), T(3)), S(T(0, 3), T(3, 2)), S(T(2, 0), T(0, 3)),
   S(T(3, 2, transposed=True), T(2, 3)), errors=[S(T(2, 3), T(2, 3)), S(T(3), T(4)), S(T(), T(2)),
   S(T(2, 2, 3), T(3, 3, 2)), S(T(2, 2), T(2, 2, dtype="float32"))], dtypes=numbers)
op("mm", S(T(2, 3), T(3, 4)), S(T(0, 3), T(3, 2)), errors=[S(T(2, 3), T(2, 3)), S(T(3), T(3, 2))],
   dtypes=numbers)
op("bmm", S(T(2, 2, 3), T(2, 3, 2)), errors=[S(T(2, 2, 3), T(3, 3, 2)), S(T(2, 3), T(3, 2))],
   dtypes=numbers)
op("mv", S(T(2, 3), T(3)), errors=[S(T(2, 3), T(2))], dtypes=numbers)
op("dot vdot", S(T(3), T(3)), errors=[S(T(3), T(4)), S(T(2, 3), T(3))], dtypes=numbers)
op("inner", S(T(3), T(3)), S(T(2, 3), T(4, 3)), S(T(2, 3), T(3)), S(T(2, 3), T()),
   errors=[S(T(2, 3), T(2))], dtypes=numbers)
op("outer ger", S(T(3), T(2)), errors=[S(T(2, 2), T(2))], dtypes=numbers)
op("addmm", S(T(2, 4), T(2, 3), T(3, 4)), S(T(4), T(2, 3), T(3, 4), beta=0.5, alpha=2.0),
   S(T(), T(2, 3), T(3, 4)), errors=[S(T(3), T(2, 3), T(3, 4))], dtypes=FLOATS)
op("addmv", S(T(2), T(2, 3), T(3)), S(T(2), T(2, 3), T(3), beta=0.5, alpha=2.0), dtypes=FLOATS)
op("addr", S(T(2, 3), T(2), T(3)), S(T(2, 3), T(2), T(3), beta=0.5, alpha=2.0), dtypes=FLOATS)
op("baddbmm", S(T(2, 2, 2), T(2, 2, 3), T(2, 3, 2)),
   S(T(2), T(2, 2, 3), T(2, 3, 2), beta=0.5, alpha=2.0), dtypes=FLOATS)
op("addbmm", S(T(2, 2), T(2, 2, 3), T(2, 3, 2)),
   S(T(2), T(2, 2, 3), T(2, 3, 2), beta=0.5, alpha=2.0), dtypes=("int32", "int64", *FLOATS))
op("einsum", S("ij,jk->ik", T(2, 3), T(3, 4)), S("ij->ji", T(2, 3)), S("ii->i", T(3, 3)),
   S("ii", T(3, 3)), S("bij,bjk->bik", T(2, 2, 3), T(2, 3, 2)), S("i,j->ij", T(2), T(3)),
   S("ij,ij->", T(2, 3), T(2, 3)), S("...ij,...jk->...ik", T(2, 2, 3), T(3, 2)),
   S("bn,anm,bm->ba", T(2, 3), T(2, 3, 2), T(2, 2)), S("ij,jk", T(2, 3), T(3, 4)),
   S("ij->j", T(2, 3)), errors=[S("ij,jk->il", T(2, 3), T(3, 4)), S("ij,jk->ik", T(2, 3), T(4, 4)),
   S("ijk->i", T(2, 3)), S("ij,jk->ik", T(2, 3))], dtypes=FLOATS)
op("tensordot", S(T(2, 3), T(3, 4), 1), S(T(2, 3, 4), T(4, 3, 2), ([1, 2], [1, 0])),
   S(T(2, 3), T(3, 2), 0), S(T(1, 1), T(2, 1, 2), ((0, 1), (2, 1))),
   S(I(1, 1, high=4), I(2, 1, 2, high=4), ((0, 1), (2, 0))),
   errors=[S(T(2, 3), T(4, 2), 1)], dtypes=FLOATS)
op("kron", S(T(2, 2), T(2, 3)), S(T(2), T(3)))
op("cross", S(T(2, 3), T(2, 3), 1), S(T(3), T(3)), errors=[S(T(2), T(2), 0)], dtypes=FLOATS)
op("chain_matmul", S(T(2, 3), T(3, 4), T(4, 2)), S(T(2, 3)), errors=[S(), S(T(3))], dtypes=())
op("block_diag", S(T(2, 2), T(1, 3)), S(T(2), T()), dtypes=FLOATS)
op("cartesian_prod", S(T(2), T(3)), dtypes=FLOATS)
op("combinations", S(T(3), 2), S(T(3), 2, with_replacement=True), dtypes=FLOATS)
op("matrix_power", S(T(3, 3), 3), S(T(2, 2, 2), 1), dtypes=("float32",))
op("det logdet",
   S(T(3, 3, values=[[2.0, 0.5, 0.1], [0.2, 1.5, 0.3], [0.4, 0.1, 1.2]], dtype="float64")),
   dtypes=())
op("inverse pinverse",
   S(T(3, 3, values=[[2.0, 0.5, 0.1], [0.2, 1.5, 0.3], [0.4, 0.1, 1.2]], dtype="float64")),
   dtypes=(), rtol=100)
op("cdist", S(T(3, 2), T(4, 2)), S(T(3, 2), T(4, 2), 1.0), S(T(2, 3, 2), T(2, 2, 2)),
   dtypes=("float32",), second=False, rtol=100)
op("linalg.norm", S(T(2, 3)), S(T(3), 1), S(T(2, 3), 2, 1), S(T(2, 3), "fro"),
   S(T(2, 3), float("inf")), dtypes=("float32",))
op("linalg.vector_norm", S(T(2, 3)), S(T(2, 3), 1, 1), S(T(2, 3), 3, dim=0, keepdim=True),
   dtypes=("float32",))
op("linalg.matrix_norm", S(T(2, 3)), S(T(2, 3), 1), dtypes=("float32",))
op("linalg.inv linalg.det",
   S(T(3, 3, values=[[2.0, 0.5, 0.1], [0.2, 1.5, 0.3], [0.4, 0.1, 1.2]], dtype="float64")),
   errors=[S(T(2, 3))], dtypes=(), rtol=100)
op("linalg.solve",
   S(T(3, 3, values=[[2.0, 0.5, 0.1], [0.2, 1.5, 0.3], [0.4, 0.1, 1.2]], dtype="float64"), T(3)),
   S(T(3, 3, values=[[2.0, 0.5, 0.1], [0.2, 1.5, 0.3], [0.4, 0.1, 1.2]], dtype="float64"),
   T(3, 2)), dtypes=(), rtol=100)
op("linalg.cholesky", S(T(2, 2, values=[[2.0, 0.5], [0.5, 1.0]], dtype="float64")), dtypes=(),
   second=False, differences=False)
op("vander", S(T(3)), S(P(3), 2), dtypes=("float32",), grad=False)

# Decompositions and solvers
spd = T(2, 2, values=[[2.0, 0.5], [0.5, 1.0]], dtype="float64")
square = T(3, 3, values=[[2.0, 0.5, 0.1], [0.2, 1.5, 0.3], [0.4, 0.1, 1.2]], dtype="float64")
once = {"dtypes": (), "second": False, "differences": False, "rtol": 100}
op("cholesky", S(spd), **once)
# the triangle that is never read gets a gradient too, as in torch
op("cholesky_inverse", S(spd), **once)
op("cholesky_solve", S(T(2, 1), spd), **once)
op("slogdet matrix_exp", S(square), dtypes=(), rtol=100)
op("qr", S(square), dtypes=(), second=False, rtol=100)
op("svd", S(square), grad=False, dtypes=(), rtol=100)
op("triangular_solve", S(T(3, 2), square), **once)
op("linalg.eigvalsh", S(spd), dtypes=(), rtol=100, differences=False, second=False)
op("linalg.svdvals linalg.slogdet linalg.pinv linalg.matrix_rank linalg.cond", S(square), dtypes=(),
   rtol=1000, second=False)
op("linalg.qr", S(square), S(T(3, 2)), dtypes=(), second=False, rtol=100)
op("linalg.matrix_power", S(square, 2), S(square, -1), S(square, 0), dtypes=(), rtol=100)
op("linalg.multi_dot", S([T(2, 3), T(3, 2), T(2, 2)]), S([T(2), T(2, 3), T(3)]),
   errors=[S([T(2, 3), T(4, 2)])], dtypes=())
op("linalg.cross linalg.vecdot", S(T(2, 3), T(2, 3)), errors=[S(T(2, 3), T(4, 3))],
   dtypes=("float32",))
op("linalg.lstsq", S(T(3, 2), T(3, 1), driver="gelsd"), grad=False, dtypes=(), rtol=1000)
