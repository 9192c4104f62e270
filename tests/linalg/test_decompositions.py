"""Decompositions: factors multiply to the matrix, and what is unique about them follows torch, with
gradients.
"""

import numpy as np
import pytest
import torch

import rushlight

DTYPES = ["float64", "complex128"]
SHAPES = [(3, 3), (4, 2), (2, 4), (2, 3, 3), (0, 2, 2), (0, 0)]


def matrix(fw, shape, dtype, seed=0):
    """Return the same random matrices in either library."""
    r = np.random.default_rng(seed)
    array = r.standard_normal(shape)
    if "complex" in dtype:
        array = array + 1j * r.standard_normal(shape)
    return fw.from_numpy(array).requires_grad_()


def unique(fw, name, A):
    """Return what is unique about a decomposition of A."""
    L = fw.linalg
    if name == "svd":
        U, S, Vh = L.svd(A, full_matrices=False)
        return [S, U @ Vh]
    if name == "eigh":
        w, v = L.eigh(A + A.mH)
        return [w, v.abs(), (v * w.exp().unsqueeze(-2)) @ v.mH]
    if name == "eig":
        w, v = L.eig(A)
        return [(v * (w / 10).exp().unsqueeze(-2)) @ L.inv(v)]
    if name == "qr":
        Q, R = L.qr(A)
        return [Q.abs(), R.abs()]
    if name == "lu":
        return list(L.lu(A))[1:]
    if name == "cholesky":
        n = A.shape[-1]
        return [L.cholesky(A @ A.mH + fw.eye(n, dtype=A.dtype))]
    if name == "pinv":
        return [L.pinv(A)]
    if name == "slogdet":
        return list(L.slogdet(A))
    assert name == "householder"
    _, tau = fw.geqrf(A.detach())
    return [(L.householder_product(A, tau) * 0.5).abs()]


def fits(name, shape):
    square = shape[-1] == shape[-2]
    if name in ("eigh", "eig", "slogdet", "cholesky"):
        return square or name == "cholesky"
    return name != "householder" or shape[-2] >= shape[-1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "name", ["svd", "eigh", "eig", "qr", "lu", "cholesky", "pinv", "slogdet", "householder"]
)
def test_follows_torch(name, shape, dtype):
    if not fits(name, shape):
        return
    if name == "cholesky":
        shape = (*shape[:-2], shape[-2], shape[-2])
    results = []
    for fw in (rushlight, torch):
        A = matrix(fw, shape, dtype)
        parts = unique(fw, name, A)
        total = sum((p.abs() ** 2).sum() if p.is_complex() else (p**2 + p).sum() for p in parts)
        grad = None
        if total.requires_grad:
            total.backward()
            grad = None if A.grad is None else A.grad.numpy()
        results.append(([p.detach().resolve_conj().numpy() for p in parts], grad))
    (ours, our_grad), (theirs, their_grad) = results
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9)
    if their_grad is not None:
        np.testing.assert_allclose(our_grad, their_grad, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [s for s in SHAPES if 0 not in s])
def test_factors_multiply_to_the_matrix(shape, dtype):
    A = matrix(rushlight, shape, dtype).detach()
    L, values = rushlight.linalg, {}
    for full in (True, False):
        U, S, Vh = L.svd(A, full_matrices=full)
        k = S.shape[-1]
        values[f"svd {full}"] = (U[..., :k] * S.unsqueeze(-2)) @ Vh[..., :k, :]
    for mode in ("reduced", "complete"):
        Q, R = L.qr(A, mode)
        values[f"qr {mode}"] = Q @ R
    P, low, up = L.lu(A)
    values["lu"] = P.to(A.dtype) @ low @ up
    values["lu_unpack"] = torch_like_product(rushlight.lu_unpack(*L.lu_factor(A)), A.dtype)
    if shape[-1] == shape[-2]:
        w, v = L.eig(A)
        values["eig"] = v @ rushlight.diag_embed(w) @ L.inv(v)
    for name, product in values.items():
        expected = A.to(product.dtype).numpy()
        np.testing.assert_allclose(product.numpy(), expected, atol=1e-10, err_msg=name)


def torch_like_product(parts, dtype):
    P, low, up = parts
    return P.to(dtype) @ low @ up


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("hermitian", [False, True])
def test_ldl(hermitian, dtype):
    """A symmetric matrix whose diagonal is zero takes blocks of two."""
    results = []
    for fw in (rushlight, torch):
        A = matrix(fw, (3, 5, 5), dtype).detach()
        A = A + (A.mH if hermitian else A.mT)
        A.diagonal(0, -2, -1)[:] = 0
        B = matrix(fw, (3, 5, 2), dtype, 1).detach()
        LD, pivots = fw.linalg.ldl_factor(A, hermitian=hermitian)
        X = fw.linalg.ldl_solve(LD, pivots, B, hermitian=hermitian)
        np.testing.assert_allclose((A @ X).numpy(), B.numpy(), atol=1e-10)
        results.append([t.numpy() for t in (LD, pivots, X)])
        assert (pivots < 0).any()
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


@pytest.mark.parametrize("driver", ["gels", "gelsy", "gelsd", "gelss", None])
@pytest.mark.parametrize("shape", [(4, 3), (3, 3), (3, 4), (2, 4, 3)])
def test_least_squares(shape, driver):
    results = []
    for fw in (rushlight, torch):
        A = matrix(fw, shape, "float64")
        B = matrix(fw, (*shape[:-1], 2), "float64", 1)
        found = fw.linalg.lstsq(A, B, driver=driver)
        found.solution.exp().sum().backward()
        shown = [found.solution, found.residuals, found.rank, found.singular_values]
        results.append([t.detach().numpy() for t in (*shown, A.grad, B.grad)])
    for a, b in zip(*results, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("transpose", [True, False])
def test_products_with_reflections(left, transpose):
    results = []
    for fw in (rushlight, torch):
        a, tau = fw.geqrf(matrix(fw, (4, 3), "complex128").detach())
        C = matrix(fw, (4, 2) if left else (2, 4), "complex128", 1).detach()
        results.append(fw.ormqr(a, tau, C, left, transpose).numpy())
    np.testing.assert_allclose(*results, atol=1e-12)


def test_low_rank():
    """The random directions are torch's, so that singular values agree to rounding."""
    for function in ("svd_lowrank", "pca_lowrank"):
        for shape in ((6, 4), (4, 6), (2, 5, 5)):
            values = []
            for fw in (rushlight, torch):
                fw.manual_seed(0)
                A = matrix(fw, shape, "float64").detach()
                U, S, V = getattr(fw, function)(A, 3, niter=1)
                values.append((S.numpy(), (U @ V.mT).numpy()))
            for a, b in zip(*values, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-8)


def test_result_types_and_their_print():
    shown = []
    for fw in (rushlight, torch):
        A = fw.tensor([[2.0, 0.0], [0.0, 1.0]])
        results = [fw.linalg.slogdet(A), fw.linalg.lu_factor(A), fw.linalg.eigh(A), fw.slogdet(A)]
        results += [fw.linalg.inv_ex(A), fw.linalg.cholesky_ex(A), fw.lu_unpack(*results[1])]
        shown.append([(repr(r), type(r).__name__, *[str(t) for t in r]) for r in results])
        assert isinstance(results[0], fw.return_types.linalg_slogdet)
        assert results[0].logabsdet is results[0][1]
    assert shown[0] == shown[1]


def test_singular_matrices():
    for fw in (rushlight, torch):
        zero = fw.zeros(2, 2)
        for call in (
            lambda A, L=fw.linalg: L.inv(A),
            lambda A, L=fw.linalg: L.solve(A, A),
            lambda A, L=fw.linalg: L.cholesky(A - 1),
        ):
            with pytest.raises(RuntimeError):
                call(zero)
        assert fw.linalg.det(zero).item() == 0
        assert fw.linalg.matrix_rank(zero).item() == 0


def test_nuclear_norm_of_equal_singular_values_has_a_subgradient():
    for values in (np.zeros((3, 3)), np.eye(3), np.diag([2.0, 0.0, 0.0])):
        x, y = (
            torch.tensor(values, requires_grad=True),
            rushlight.tensor(values, requires_grad=True),
        )
        torch.linalg.matrix_norm(x, "nuc").backward()
        rushlight.linalg.matrix_norm(y, "nuc").backward()
        np.testing.assert_allclose(y.grad.numpy(), x.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("name", ["eigh", "eigvalsh", "eigvals", "svdvals"])
def test_gradients_of_equal_values_alone(name):
    def run(lib):
        a = lib.tensor([[4.0, 0, 0, 1], [0, 4, 0, 0], [0, 0, 4, 0], [1, 0, 0, 4]])
        a = a.double().requires_grad_()
        values = getattr(lib.linalg, name)(a)
        values = values[0] if name == "eigh" else values
        values.real.sin().sum().backward()
        return a.grad.numpy()

    np.testing.assert_allclose(run(rushlight), run(torch), atol=1e-12)


def complex_matrices(fw):
    real, imag = (np.random.default_rng(i).normal(size=(2, 3, 3)) for i in range(2))
    return fw.tensor(real + 1j * imag, requires_grad=True)


PHASES = {
    "svd by U": lambda L, A: L.svd(A)[0].sum().abs(),
    "svd by both": lambda L, A: (L.svd(A)[0] + L.svd(A)[2]).sum().abs(),
    "eigh": lambda L, A: L.eigh(A + A.mH)[1].sum().abs(),
    "eig": lambda L, A: L.eig(A)[1].sum().abs(),
    "eig of real matrices": lambda L, A: L.eig(A.real - 2 * A.real.mT)[1].imag[..., 0].sum(),
}


@pytest.mark.parametrize("name", PHASES)
@pytest.mark.parametrize("fw", [torch, rushlight])
def test_losses_that_depend_on_the_phase_of_vectors_have_no_gradient(name, fw):
    with pytest.raises(RuntimeError, match="ill-defined"):
        PHASES[name](fw.linalg, complex_matrices(fw)).backward()


@pytest.mark.parametrize("uplo", ["L", "U"])
def test_gradients_of_eigh_are_hermitian(uplo):
    weights, found = np.random.default_rng(2).normal(size=(2, 3, 3)), []
    for fw in (rushlight, torch):
        A = complex_matrices(fw).detach()
        A = (A + A.mH).requires_grad_()
        w, v = fw.linalg.eigh(A, UPLO=uplo)
        ((v.abs() * fw.tensor(weights)).sum() + w[0, 0]).backward()
        found.append(A.grad.numpy())
    np.testing.assert_allclose(*found, 1e-8, 1e-10)
    np.testing.assert_allclose(found[0], found[0].conj().swapaxes(1, 2), 1e-8, 1e-10)


SIGNED = [
    (2, 2), (3, 3), (2, 3), (2, 5), (3, 4), (3, 5), (5, 9), (2, 39), (2, 40), (1, 4), (4, 1),
    (15, 30), (2, 45), (3, 46), (2, 3, 40),
    (3, 2), (4, 3), (6, 4), (7, 5), (5, 4), (10, 6), (4, 10), (12, 8), (2, 3, 5), (2, 2, 4, 3),
]  # fmt: skip


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("shape", SIGNED, ids=str)
def test_singular_vectors_have_the_signs_of_torchs(shape, full):
    """Their numbers are printed, and a sign is the first thing that is seen."""
    torch.manual_seed(0)
    for _ in range(5):
        A = torch.randn(shape, dtype=torch.float64)
        for expected, got in zip(
            torch.linalg.svd(A, full),
            rushlight.linalg.svd(rushlight.tensor(A.numpy()), full),
            strict=True,
        ):
            np.testing.assert_allclose(got.numpy(), expected.numpy(), atol=1e-8)


@pytest.mark.parametrize("shape", [(2, 3), (2, 5), (3, 20), (6, 4)])
def test_singular_vectors_of_matrices_without_full_rank(shape):
    for A in (np.zeros(shape), np.ones(shape), np.eye(*shape), np.eye(*shape)[:, ::-1].copy()):
        U, S, Vh = [
            x.numpy() for x in rushlight.linalg.svd(rushlight.tensor(A), full_matrices=False)
        ]
        np.testing.assert_allclose(U * S @ Vh, A, atol=1e-12)
        np.testing.assert_allclose(U.T @ U, np.eye(U.shape[1]), atol=1e-12)
    with pytest.raises(RuntimeError):
        rushlight.linalg.svd(rushlight.full(shape, float("nan")))


BOTH = pytest.mark.parametrize("fw", [rushlight, torch])


@BOTH
@pytest.mark.parametrize("where, order", [((0, 0), 1), ((1, 0), 2), ((2, 2), 3)])
def test_a_matrix_with_nan_is_not_positive_definite(fw, where, order):
    A = fw.eye(3) * 4
    A[where] = float("nan")
    with pytest.raises(fw.linalg.LinAlgError, match=f"minor of order {order}"):
        fw.linalg.cholesky(A)
    stacked = fw.linalg.cholesky_ex(fw.stack([A, fw.eye(3), -fw.eye(3)]))
    assert stacked.info.tolist() == [order, 0, 1]
    assert stacked.L[1].tolist() == fw.eye(3).tolist()


@BOTH
def test_only_the_lower_triangle_is_read_for_nan(fw):
    A = fw.eye(2) * 4
    A[0, 1] = float("nan")
    assert fw.linalg.cholesky(A).tolist() == [[2, 0], [0, 2]]


@BOTH
def test_lu_factor_ex_says_which_matrices_are_singular(fw):
    A = fw.stack([fw.eye(2), fw.ones(2, 2)])
    assert fw.linalg.lu_factor_ex(A).info.tolist() == [0, 2]
    with pytest.raises(RuntimeError):
        fw.linalg.lu_factor_ex(A, check_errors=True)


@BOTH
@pytest.mark.parametrize(
    "call, kind",
    [
        ("L.norm(A, 'nuc', dim=0)", RuntimeError),
        ("L.norm(A, 'fro', dim=(0,))", RuntimeError),
        ("L.norm(A[0], 'fro')", RuntimeError),
        ("L.norm(A, 'none')", RuntimeError),
        ("L.norm(A, 'none', dim=(0, 1))", RuntimeError),
        ("L.norm(A[None], 'fro')", RuntimeError),
        ("L.norm(A, 2, dim=())", RuntimeError),
        ("L.matrix_norm(A, 3)", RuntimeError),
        ("L.vector_norm(A, 'inf')", TypeError),
        ("fw.norm(A, 'none')", RuntimeError),
        ("fw.norm(A, 'nuc', dim=0)", RuntimeError),
        ("L.pinv(A.long())", RuntimeError),
        ("fw.fft.fft(A, n=-1)", RuntimeError),
        ("fw.fft.irfft(A, n=-1)", RuntimeError),
        ("fw.fft.hfft(A, n=-2)", RuntimeError),
    ],
)
def test_norms_and_sizes_that_are_refused(fw, call, kind):
    with pytest.raises(kind):
        eval(call, {"fw": fw, "L": fw.linalg, "A": fw.ones(3, 3)})


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("x", [[[-1.0, 2.0], [3.0, 4.0]], [[float("nan"), 1.0], [2.0, 3.0]]])
def test_a_cholesky_factor_that_is_none_is_a_triangle(upper, x):
    factor, info = rushlight.linalg.cholesky_ex(rushlight.tensor(x), upper=upper)
    hidden = factor.triu(1) if not upper else factor.tril(-1)
    assert info == 1 and not hidden.any()


def test_lu_factor_of_singular_matrices():
    for lib in (rushlight, torch):
        with pytest.raises(RuntimeError, match=r"U\[1,1\] is zero"):
            lib.linalg.lu_factor(lib.zeros(2, 2))
        with pytest.raises(RuntimeError, match="Batch element"):
            lib.linalg.lu_factor(lib.stack([lib.eye(2), lib.ones(2, 2)]))
    assert rushlight.linalg.lu_factor(rushlight.zeros(2, 2, device="meta"))[0].is_meta


def test_results_beyond_float32_are_infinite_without_a_warning():
    """Numbers are computed in double precision; without a warning each would be an error here."""
    a, b = np.full((12, 12), 1e-30, np.float32) + np.eye(12, dtype=np.float32), np.float32(1e38)
    a[np.triu_indices(12, 1)] = -3
    found, expected = [
        lib.linalg.solve_triangular(
            lib.from_numpy(a), lib.full((12, 1), float(b)), upper=True, unitriangular=True
        )
        for lib in (rushlight, torch)
    ]
    assert rushlight.isinf(found).any()
    np.testing.assert_array_equal(np.isinf(found.numpy()), np.isinf(expected.numpy()))
    product = rushlight.linalg.householder_product(
        rushlight.full((80, 60), 100.0), rushlight.full((60,), 3.0)
    )
    assert not rushlight.isfinite(product).all()
