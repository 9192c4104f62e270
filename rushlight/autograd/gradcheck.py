"""Compare gradients with finite differences.

Complex tensors count as pairs of real numbers, so every Jacobian here is real. For an output whose
real part has the gradient ``g`` (found with ``grad_output = 1``; ``1j`` gives that of the imaginary
part), ``g.real`` and ``g.imag`` are the derivatives by the input's real and imaginary part.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from rushlight import dtypes, formats
from rushlight.autograd.forward_ad import dual_level, make_dual, unpack_dual
from rushlight.core.tensor import Tensor, wrap
from rushlight.errors import warn_user
from rushlight.tensor_api import empty, view_as_real
from rushlight.tensor_api.gradients import grad


class GradcheckError(RuntimeError):
    """A gradient disagrees with finite differences."""


def _on_cpu(func: Callable[..., Any], given: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """A function of copies on the CPU, which are moved, single elements of them, only there."""
    devices = [t.device if isinstance(t, Tensor) else None for t in given]

    def moved(*inputs: Any) -> Any:
        there = [t if d is None else t.to(d) for t, d in zip(inputs, devices, strict=True)]
        out = func(*there)
        return out.cpu() if isinstance(out, Tensor) else tuple([o.cpu() for o in out])

    copies = [
        t.detach().cpu().requires_grad_(t.requires_grad) if isinstance(t, Tensor) else t
        for t in given
    ]
    return moved, tuple(copies)


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether ``backward`` through ``func`` agrees with central differences ``(f(x+e) - f(x-e)) /
    2e``.

    Args:
        func: takes the inputs, returns a tensor or a sequence of them, and is deterministic.
        inputs: a tensor or a sequence; those that require grad are checked. Use float64.
        eps: step of the differences, > 0.
        atol, rtol: how far a gradient ``a`` may be from the difference ``n``:
            ``|a - n| <= atol + rtol |n|``.
        raise_exception: raise GradcheckError with both Jacobians; False returns False instead.
        nondet_tol: how far two backward passes may be apart, >= 0.
        check_undefined_grad: accepted for compatibility: rules never meet an undefined gradient
            here.
        check_grad_dtypes: also require that a gradient has its input's dtype.
        check_batched_grad: also compare gradients of several vectors at once, by
            ``grad(..., is_grads_batched=True)``, with those of one at a time.
        check_batched_forward_grad: accepted for compatibility: derivatives in several directions
            are those of one direction at a time.
        check_forward_ad: also compare forward-mode derivatives with the differences.
        check_backward_ad: False leaves ``backward`` out.
        fast_mode: compare one random projection of each Jacobian instead of every element.
        masked: accepted for compatibility; it concerns sparse tensors.

    Raises:
        GradcheckError: they disagree.
        ValueError: no input requires grad, or an output is sparse.
        AssertionError: a check is asked for without that which it is part of.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([0.3, -1.2], dtype=torch.float64, requires_grad=True)
        >>> torch.autograd.gradcheck(torch.sin, x)
        True
    """
    assert check_forward_ad or check_backward_ad, (
        "gradcheck: expected at least one of check_forward_ad and check_backward_ad to be True"
    )
    _require("check_batched_grad", check_batched_grad, "check_backward_ad", check_backward_ad)
    _require(
        "check_batched_forward_grad", check_batched_forward_grad,
        "check_forward_ad", check_forward_ad,
    )  # fmt: skip
    given = tuple(inputs) if isinstance(inputs, Sequence) else (inputs,)
    if any([isinstance(t, Tensor) and t.is_cuda for t in given]):
        func, given = _on_cpu(func, given)
    check = _Check(func, given, eps, atol, rtol, nondet_tol)
    try:
        check.inputs_fit()
        if check_backward_ad:
            check.run(fast_mode, check_grad_dtypes)
        if check_forward_ad:
            check.forward_mode()
        if check_batched_grad:
            check.batches()
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Any] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """`gradcheck` of the gradient itself: whether second derivatives are right.

    Args:
        func, inputs: as for `gradcheck`.
        grad_outputs: the vectors that the outputs' gradients are taken with; None draws them.
        gen_non_contig_grad_outputs: draw them in non-contiguous memory.
        check_fwd_over_rev: also compare forward-mode derivatives of the gradient.
        check_rev_over_rev: False leaves ``backward`` of the gradient out.
        eps, atol, rtol, raise_exception, nondet_tol, check_undefined_grad, check_grad_dtypes,
            check_batched_grad, fast_mode, masked: as for `gradcheck`.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([0.3, -1.2], dtype=torch.float64, requires_grad=True)
        >>> torch.autograd.gradgradcheck(torch.sin, x)
        True
    """
    assert check_fwd_over_rev or check_rev_over_rev, (
        "gradgradcheck: expected at least one of check_fwd_over_rev and check_rev_over_rev to be "
        "True"
    )
    for name, value in (
        ("check_undefined_grad", check_undefined_grad), ("check_batched_grad", check_batched_grad)
    ):  # fmt: skip
        _require(name, value, "check_rev_over_rev", check_rev_over_rev)
    given = tuple(inputs) if isinstance(inputs, Sequence) else (inputs,)
    if grad_outputs is None:
        outputs = _differentiable(func(*given))
        vectors = tuple(_random_like(t, gen_non_contig_grad_outputs) for t in outputs)
    else:
        vectors = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)

    def first_order(*args: Any) -> tuple[Tensor, ...]:
        args, vs = args[: len(given)], args[len(given) :]
        sought = [t for t in args if _is_checked(t)]
        outputs = _differentiable(func(*args))
        grads = grad(outputs, sought, vs, create_graph=True, allow_unused=True)
        return tuple(g for g in grads if g is not None)

    return gradcheck(
        first_order,
        (*given, *vectors),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
        fast_mode=fast_mode,
        masked=masked,
    )


def _require(name: str, value: bool, other: str, needed: bool) -> None:
    """AssertionError where one check is asked for without the other that it is part of."""
    assert needed or not value, f"{name}=True requires {other} to be True"


class _Check:
    """One call of `gradcheck`."""

    def __init__(
        self,
        func: Callable[..., Any],
        inputs: tuple[Any, ...],
        eps: float,
        atol: float,
        rtol: float,
        nondet_tol: float,
    ) -> None:
        self.func, self.inputs, self.eps = func, inputs, eps
        self.atol, self.rtol, self.nondet_tol = atol, rtol, nondet_tol
        self.checked = [(i, t) for i, t in enumerate(inputs) if _is_checked(t)]

    def inputs_fit(self) -> None:
        """Refuse inputs for which finite differences say nothing."""
        if not self.checked:
            raise ValueError(
                "gradcheck expects at least one input tensor to require gradient, "
                "but none of them have requires_grad=True."
            )
        for i, t in self.checked:
            x = t._array
            if x.dtype not in (np.float64, np.complex128):
                warn_user(
                    f"gradcheck: input {i} requires grad and is {dtypes.from_numpy(x.dtype)}; "
                    "differences of numbers that coarse are mostly rounding. Use float64."
                )
            if x.size and any(s == 0 and n > 1 for s, n in zip(x.strides, x.shape, strict=True)):
                raise RuntimeError(
                    f"gradcheck: input {i} has a dimension with stride 0, so its elements cannot "
                    "be changed one at a time; call contiguous() on it first."
                )

    def run(self, fast: bool, check_dtypes: bool) -> None:
        """Compare every output with every input."""
        outputs = _differentiable(self.func(*self.inputs))
        if any([o.layout is not formats.strided for o in outputs]):
            raise ValueError(
                "gradcheck: Sparse output is not supported; let the function end in to_dense()."
            )
        if not outputs:
            return self._expect_zero()
        for number, out in enumerate(outputs):
            if fast:
                self._compare_projection(number, out)
            else:
                self._compare_jacobians(number, out, check_dtypes)
        return None

    def _expect_zero(self) -> None:
        """No output requires grad: then none may depend on an input."""
        for i, t in self.checked:
            for column in self._differences(t):
                if any(np.abs(c).max(initial=0) > self.atol for c in column):
                    raise GradcheckError(
                        "gradcheck: no output requires grad, so the numerical gradient for input "
                        f"{i} was expected to be zero, and is not. Is there a detach() or "
                        "no_grad() too many?"
                    )

    # -- whole Jacobians, (input elements, output elements), complex elements as two ---------------

    def _compare_jacobians(self, number: int, out: Tensor, check_dtypes: bool) -> None:
        numerical = [np.array([c[number] for c in self._differences(t)]) for _, t in self.checked]
        first, second = self._analytical(out, check_dtypes), self._analytical(out, check_dtypes)
        for (i, _t), n, a, again in zip(self.checked, numerical, first, second, strict=True):
            n = n.reshape(a.shape)
            if not np.allclose(a, again, rtol=0, atol=self.nondet_tol, equal_nan=True):
                raise GradcheckError(
                    f"gradcheck: backward is not reentrant: two passes through output {number} "
                    f"gave gradients of input {i} that differ by {np.abs(a - again).max()}, more "
                    f"than nondet_tol {self.nondet_tol}."
                )
            if not np.allclose(a, n, rtol=self.rtol, atol=self.atol, equal_nan=True):
                raise GradcheckError(self._mismatch(number, i, n, a))

    @staticmethod
    def _mismatch(number: int, i: int, numerical: np.ndarray, analytical: np.ndarray) -> str:
        worst = np.unravel_index(np.nanargmax(np.abs(analytical - numerical)), analytical.shape)
        return (
            f"gradcheck: Jacobian mismatch for output {number} with respect to input {i}; worst at "
            f"(input element, output element) = {tuple(map(int, worst))}.\n"
            f"numerical:\n{numerical}\nanalytical:\n{analytical}"
        )

    def _differences(self, t: Tensor) -> Iterator[list[np.ndarray]]:
        """Per real component of `t`: how each output changes with it."""
        steps: Sequence[complex] = (1.0, 1.0j) if dtypes.is_complex(t._array.dtype) else (1.0,)
        for index in np.ndindex(t._array.shape):
            for step in steps:
                yield self._difference(t._array, index, step * self.eps)

    def _difference(self, x: np.ndarray, index: Any, step: complex) -> list[np.ndarray]:
        return self._central([(x, index, step)])

    def _central(self, changes: list[tuple[np.ndarray, Any, Any]]) -> list[np.ndarray]:
        """(f(x + step) - f(x - step)) / 2 eps, with x changed in place and restored."""
        old = [np.array(x[index]) for x, index, _ in changes]
        values = []
        for sign in (1, -1):
            for (x, index, step), before in zip(changes, old, strict=True):
                x[index] = before + sign * step
            values.append([_real_parts(o) for o in self._outputs()])
        for (x, index, _), before in zip(changes, old, strict=True):
            x[index] = before
        return [(up - down) / (2 * self.eps) for up, down in zip(*values, strict=True)]

    def _outputs(self) -> list[Tensor]:
        """Outputs that could have a gradient, whether or not they say that they require grad."""
        outputs = _as_tuple(self.func(*self.inputs))
        tensors = [o for o in outputs if isinstance(o, Tensor)]
        chosen = [o for o in tensors if o.requires_grad]
        if not chosen:
            chosen = [o for o in tensors if o._array.dtype in dtypes.DIFFERENTIABLE]
        return chosen

    def _analytical(self, out: Tensor, check_dtypes: bool) -> list[np.ndarray]:
        """Per checked input, the Jacobian that backward gives."""
        columns: list[list[np.ndarray]] = [[] for _ in self.checked]
        for vector in _unit_vectors(out._array):
            grads = self._backward(out, vector)
            for (i, t), g, column in zip(self.checked, grads, columns, strict=True):
                column.append(_real_parts(self._valid(g, t, i, check_dtypes)))
        return [
            np.array(c).reshape(len(c), -1).T if c else np.zeros((_real_parts(t).size, 0))
            for (_, t), c in zip(self.checked, columns, strict=True)
        ]

    def _backward(self, out: Tensor, vector: np.ndarray) -> Sequence[Any]:
        sought = [t for _, t in self.checked]
        return grad([out], sought, [wrap(vector)], retain_graph=True, allow_unused=True)

    @staticmethod
    def _valid(g: Any, t: Tensor, i: int, check_dtypes: bool) -> Tensor:
        if g is None:
            return wrap(np.zeros_like(t._array))
        if g._array.shape != t._array.shape:
            raise GradcheckError(
                f"gradcheck: the gradient of input {i} has shape {tuple(g._array.shape)}, "
                f"and the input {tuple(t._array.shape)}."
            )
        if check_dtypes and g._array.dtype != t._array.dtype:
            raise GradcheckError(
                f"gradcheck: the gradient of input {i} is {g.dtype}, and the input {t.dtype}."
            )
        return g

    # -- other ways to the same derivatives ------------------------------------------------------

    def forward_mode(self) -> None:
        """Compare forward-mode derivatives by each element with differences."""
        for i, t in self.checked:
            steps = list(_unit_vectors(t._array))
            for vector, differences in zip(steps, self._differences(t), strict=True):
                for number, (a, n) in enumerate(
                    zip(self._tangents(i, vector), differences, strict=True)
                ):
                    if not np.allclose(a, n, rtol=self.rtol, atol=self.atol, equal_nan=True):
                        raise GradcheckError(
                            f"gradcheck: forward-mode derivatives of output {number} by an element "
                            f"of input {i} are\n{a}\nand differences\n{n}"
                        )

    def _tangents(self, i: int, vector: np.ndarray) -> list[np.ndarray]:
        """How each output changes with input `i` along `vector`."""
        with dual_level():
            inputs = list(self.inputs)
            inputs[i] = make_dual(inputs[i], wrap(vector))
            pairs = [unpack_dual(o) for o in _differentiable(self.func(*inputs))]
        zeros = [np.zeros_like(_real_parts(p.primal)) for p in pairs]
        return [
            z if p.tangent is None else _real_parts(p.tangent)
            for p, z in zip(pairs, zeros, strict=True)
        ]

    def batches(self) -> None:
        """Compare gradients of two vectors at once with those of each."""
        r, sought = np.random.default_rng(0), [t for _, t in self.checked]
        for number, out in enumerate(_differentiable(self.func(*self.inputs))):
            vectors = [_random_array(r, out._array.shape, out._array.dtype) for _ in range(2)]
            together = grad(
                [out],
                sought,
                [wrap(np.stack(vectors))],
                retain_graph=True,
                allow_unused=True,
                is_grads_batched=True,
            )
            for k, vector in enumerate(vectors):
                alone = self._backward(out, vector)
                for (i, _), a, b in zip(self.checked, alone, together, strict=True):
                    fits = a is None or np.allclose(
                        a._array, b._array[k], rtol=self.rtol, atol=self.atol, equal_nan=True
                    )
                    if not fits:
                        raise GradcheckError(
                            f"gradcheck: gradients of input {i} for several vectors of output "
                            f"{number} at once are not those for one at a time."
                        )

    # -- one number per Jacobian -------------------------------------------------------------------

    def _compare_projection(self, number: int, out: Tensor) -> None:
        """v J u for random unit vectors: backward gives v J, one central difference J u."""
        r = np.random.default_rng(0)
        v = _random_array(r, out._array.shape, out._array.dtype)
        grads = self._backward(out, v)
        for (i, t), g in zip(self.checked, grads, strict=True):
            u = _random_array(r, t._array.shape, t._array.dtype)
            moved = self._central([(t._array, ..., u * self.eps)])[number]
            numerical = float(moved @ _real_parts(wrap(v)))
            analytical = float(_real_parts(self._valid(g, t, i, False)) @ _real_parts(wrap(u)))
            if not np.allclose(analytical, numerical, rtol=self.rtol, atol=self.atol):
                raise GradcheckError(
                    f"gradcheck: Jacobian mismatch for output {number} with respect to input {i}: "
                    f"along a random direction the slope is {numerical}, and by backward "
                    f"{analytical}. fast_mode=False shows the elements."
                )


def _is_checked(t: Any) -> bool:
    return isinstance(t, Tensor) and t.requires_grad


def _as_tuple(outputs: Any) -> tuple[Any, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


def _differentiable(outputs: Any) -> list[Tensor]:
    return [t for t in _as_tuple(outputs) if _is_checked(t)]


def _real_parts(t: Tensor) -> np.ndarray:
    """The elements as a flat float64 copy, complex ones as real and imaginary part."""
    x = t._array
    if dtypes.is_complex(x.dtype):
        flat = x.astype(np.complex128).ravel()
        return np.stack([flat.real, flat.imag], -1).ravel()
    return x.astype(np.float64).ravel()


def _unit_vectors(out: np.ndarray) -> Iterator[np.ndarray]:
    """Each picks one real component of an output."""
    parts = (1.0, 1.0j) if dtypes.is_complex(out.dtype) else (1.0,)
    for index, part in itertools.product(np.ndindex(out.shape), parts):
        vector = np.zeros(out.shape, out.dtype)
        vector[index] = part
        yield vector


def _random_array(r: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    values = r.uniform(-1, 1, shape)
    if dtypes.is_complex(dtype):
        values = values + 1j * r.uniform(-1, 1, shape)
    return np.asarray(values).astype(dtype)


def _random_like(t: Tensor, gaps: bool) -> Tensor:
    """A tensor like `t` that requires grad, of the process's generator, in [-1, 1); in every second
    place of its memory with `gaps`.
    """
    shape, gaps = t.shape, gaps and t.numel() > 1
    shape = (*shape[:-1], 2 * shape[-1]) if gaps else shape
    out = empty(shape, dtype=t.dtype, device=t.device)
    (view_as_real(out) if out.is_complex() else out).uniform_(-1, 1)
    return (out[..., 1::2] if gaps else out).requires_grad_()
