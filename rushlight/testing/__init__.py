"""Comparing tensors in tests: ``assert_close``; and texts: ``FileCheck``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.core.device_array import host
from rushlight.core.tensor import Tensor, wrap
from rushlight.errors import warn_user
from rushlight.tensor_api import empty, randint, view_as_real
from rushlight.testing.filecheck import FileCheck as FileCheck

# relative and absolute tolerance by dtype; everything else must be equal
TOLERANCES = {
    dtypes.float16: (1e-3, 1e-5),
    dtypes.bfloat16: (1.6e-2, 1e-5),
    dtypes.float32: (1.3e-6, 1e-5),
    dtypes.float64: (1e-7, 1e-7),
    dtypes.complex64: (1.3e-6, 1e-5),
    dtypes.complex128: (1e-7, 1e-7),
}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise AssertionError unless ``|actual - expected| <= atol + rtol * |expected|`` everywhere.

    Args:
        actual, expected: tensors, arrays, numbers, None, or sequences and mappings of them.
        allow_subclasses: one tensor's class may be a subclass of the other's.
        rtol, atol: tolerances, both or none; by default they follow the dtype.
        equal_nan: nan equals nan.
        check_device, check_dtype, check_stride: whether these must agree too.
        msg: the error's text, or a function of the one made here.

    Raises:
        AssertionError: they differ.
        TypeError: two of them cannot be compared, such as a tensor and a number.

    Example:
        >>> import rushlight as torch
        >>> torch.testing.assert_close(torch.ones(2), torch.tensor([1.0, 1.0 + 1e-7]))
    """
    if (rtol is None) != (atol is None):
        raise ValueError("rtol and atol must both be specified or both be left out.")
    options = {
        "rtol": rtol,
        "atol": atol,
        "equal_nan": equal_nan,
        "check_device": check_device,
        "check_dtype": check_dtype,
        "check_stride": check_stride,
    }
    problem = difference(actual, expected, "", {**options, "allow_subclasses": allow_subclasses})
    if problem is not None:
        raise AssertionError(msg(problem) if callable(msg) else msg or problem)


def difference(a: Any, b: Any, at: str, options: dict[str, Any]) -> str | None:
    """What differs, in words; None when nothing does."""
    if isinstance(b, Mapping) and isinstance(a, Mapping):
        if set(a) != set(b):
            return (
                f"The keys of the mappings do not match: {sorted(map(str, set(a) ^ set(b)))} "
                "are in one only."
            )
        return next((p for k in b if (p := difference(a[k], b[k], f"{at}[{k!r}]", options))), None)
    if isinstance(b, Sequence) and isinstance(a, Sequence) and not isinstance(b, str):
        if len(a) != len(b):
            return f"The length of the sequences do not match: {len(a)} != {len(b)}"
        pairs = enumerate(zip(a, b, strict=True))
        return next(
            (p for i, (x, y) in pairs if (p := difference(x, y, f"{at}[{i}]", options))), None
        )
    if a is None or b is None:
        return None if a is b else f"{a!r} != {b!r}"
    options = {**options}
    check_comparable(a, b, options.pop("allow_subclasses"))
    if not isinstance(a, Tensor):
        a, b = wrap(np.asarray(a)), wrap(np.asarray(b))
    return tensor_difference(a, b, at, **options)


def check_comparable(a: Any, b: Any, allow_subclasses: bool) -> None:
    """TypeError unless both are tensors, arrays or numbers."""
    if all([isinstance(x, (bool, int, float, complex, np.bool_, np.number)) for x in (a, b)]):
        return
    related = isinstance(a, type(b)) or isinstance(b, type(a))
    if not allow_subclasses:
        related = type(a) is type(b)
    values = isinstance(a, Tensor) or np.asarray(a).dtype.kind in "biufc"
    if not (related and values):
        raise TypeError(
            f"No comparison pair was able to handle inputs of type {type(a)} and {type(b)}: "
            "convert both to tensors, arrays or numbers."
        )


def tensor_difference(
    a: Tensor,
    b: Tensor,
    at: str,
    *,
    rtol: Any,
    atol: Any,
    equal_nan: bool,
    check_device: bool,
    check_dtype: bool,
    check_stride: bool,
) -> str | None:
    """``difference`` of two tensors."""
    if a.layout is not b.layout:
        return f"The values for attribute 'layout' do not match: {a.layout} != {b.layout}."
    a, b = a.to_dense(), b.to_dense()  # dense ones are themselves
    x, y = host(a), host(b)
    where = f" (item {at})" if at else ""
    if x.shape != y.shape:
        return f"The values for attribute 'shape' do not match: {x.shape} != {y.shape}{where}."
    if check_device and a.device != b.device:
        return f"The values for attribute 'device' do not match: {a.device} != {b.device}{where}."
    if check_dtype and x.dtype != y.dtype:
        return f"The values for attribute 'dtype' do not match: {a.dtype} != {b.dtype}{where}."
    if check_stride and a.stride() != b.stride():
        return (
            f"The values for attribute 'stride()' do not match: {a.stride()} != "
            f"{b.stride()}{where}."
        )
    if rtol is None:
        pairs = [TOLERANCES.get(d, (0.0, 0.0)) for d in (x.dtype, y.dtype)]
        rtol, atol = max(p[0] for p in pairs), max(p[1] for p in pairs)
    x, y = host(a), host(b)
    wide = np.complex128 if x.dtype.kind == "c" or y.dtype.kind == "c" else np.float64
    exact = x.dtype.kind in "iub" and y.dtype.kind in "iub" and not rtol and not atol
    close = x == y if exact else np.isclose(x.astype(wide), y.astype(wide), rtol, atol, equal_nan)
    if close.all():
        return None
    gap = np.abs(x.astype(wide) - y.astype(wide))
    worst = (
        tuple(int(i) for i in np.unravel_index(np.argmax(np.where(close, -1, gap)), x.shape))
        if x.ndim
        else ()
    )
    kind = "close" if rtol or atol else "equal"
    return (
        f"Tensor-likes are not {kind}!{where}\n\n"
        f"Mismatched elements: {int((~close).sum())} / {x.size} ({100 * (~close).mean():.1f}%)\n"
        f"Greatest absolute difference: {gap[worst]} at index {worst} (up to {atol} allowed)\n"
        f"Greatest relative difference: {gap[worst] / max(abs(y.astype(wide)[worst]), 1e-300)} "
        f"(up to {rtol} allowed)"
    )


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """Old name of ``assert_close`` that does not compare dtypes."""
    warn_user(
        "`torch.testing.assert_allclose()` is deprecated. Please use "
        "`torch.testing.assert_close()`.",
        FutureWarning,
    )
    assert_close(
        actual,
        expected,
        rtol=rtol,
        atol=atol,
        equal_nan=equal_nan,
        check_dtype=False,
        msg=msg or None,
    )


def make_tensor(
    *shape: Any,
    dtype: Any,
    device: Any = "cpu",
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor of random values for tests: floats in [low, high) = [-9, 9), ints in [-9, 10),
    bools.

    Args:
        noncontiguous: take every second element of twice as many.
        exclude_zero: the smallest value above 0 takes the place of zeros.

    Raises:
        ValueError: a memory_format for what is to be noncontiguous.
    """
    sizes = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    if noncontiguous and memory_format is not None:
        raise ValueError(
            "make_tensor: noncontiguous and memory_format are mutually exclusive; got both."
        )
    noncontiguous = noncontiguous and math.prod(sizes) > 1
    sizes = (*sizes[:-1], 2 * sizes[-1]) if noncontiguous else sizes
    if dtype.category in (dtypes.BOOL, dtypes.INTEGER):
        truths = dtype.category == dtypes.BOOL
        least, end = (0 if truths or not dtype.is_signed else -9), (2 if truths else 10)
        least = least if low is None else math.ceil(low)
        end = end if high is None else math.ceil(high)
        out = randint(least, end, sizes, dtype=dtype, device=device)
    else:
        out = empty(sizes, dtype=dtype, device=device)
        parts = view_as_real(out) if dtype.is_complex else out
        parts.uniform_(-9.0 if low is None else low, 9.0 if high is None else high)
    if noncontiguous:
        out = out[..., 1::2]
    elif memory_format is not None:
        out = out.clone(memory_format=memory_format)
    if exclude_zero:
        out[out == 0] = (
            dtypes.finfo(dtype).tiny if dtype.is_floating_point or dtype.is_complex else 1
        )
    return out.requires_grad_(requires_grad)
