"""How a tensor is printed: PyTorch's format, character by character.

`format_array` is a pure function of an array and of what else the line should say; `tensor_repr`
gathers that from a tensor. Only the elements that are shown are ever read, so printing a large
tensor costs no more than printing a small one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from rushlight import dtypes, formats
from rushlight.config import PrintOptions, print_options
from rushlight.core.device_array import host
from rushlight.core.sparse import SparseArray
from rushlight.core.tensor import Tensor, value_needed
from rushlight.core.wrapped import WrappedArray
from rushlight.tensor_api._common import methods

__all__ = ["get_printoptions", "set_printoptions"]


_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed from now on; what is not given stays as it is.

    Args:
        precision: digits after the point of floating-point numbers, >= 0 (4 at first).
        threshold: a tensor with more elements than this is summarised (1000 at first).
        edgeitems: elements shown at each end of a summarised dimension, >= 0 (3 at first).
        linewidth: characters per line after which a line is broken (80 at first).
        profile: ``"default"``, ``"short"`` or ``"full"`` sets all of the above before they apply.
        sci_mode: True always writes ``1.0000e+00``, False never; None, also when it is not
            given, chooses by the values.

    Example:
        >>> torch.set_printoptions(precision=2)
        >>> torch.tensor([1.12345])
        tensor([1.12])
        >>> torch.set_printoptions(profile="default")
    """
    given = dict(_PROFILES.get(profile, {})) if profile is not None else {}
    named = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    given.update({name: value for name, value in named.items() if value is not None})
    for name, value in given.items():
        setattr(print_options, name, value)
    print_options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The options that `set_printoptions` sets, as a dict.

    Example:
        >>> torch.get_printoptions()["precision"]
        4
    """
    return asdict(print_options)


# ---- one number --------------------------------------------------------------------------------


class _Numbers:
    """Writes the numbers of one array in a common width."""

    width: int

    def write(self, value: Any) -> str:
        """`value` as text, padded on the left to the common width."""
        return self.digits(value).rjust(self.width)

    digits: Callable[[Any], str]


class _Plain(_Numbers):
    """Booleans and integers."""

    def __init__(self, values: np.ndarray) -> None:
        self.digits = str
        self.width = max(map(len, map(str, values.ravel().tolist())), default=0)


class _Floats(_Numbers):
    """Floating-point numbers, given as float64.

    The finite non-zero values decide the style for all: whole numbers are written ``3.``, numbers
    that span more than three decades or are very large or small ``3.0000e+00``, others ``3.0000``.
    Only they count for the width, so ``inf`` and ``nan`` may stick out.
    """

    def __init__(self, values: np.ndarray, options: PrintOptions) -> None:
        self.digits, self.width = self._whole, 1
        deciding = values[np.isfinite(values) & (values != 0)]
        if deciding.size == 0:
            return
        self._scientific_format = f"{{:.{options.precision}e}}"
        self._fixed_format = f"{{:.{options.precision}f}}"
        whole = bool((deciding == np.trunc(deciding)).all())
        scientific = options.sci_mode
        if scientific is None:
            scientific = _spans_far(np.abs(deciding), whole)
        if scientific:
            self.digits = self._scientific_format.format
        elif not whole:
            self.digits = self._fixed_format.format
        self.width = max(1, max(map(len, map(self.digits, deciding.tolist()))))

    @staticmethod
    def _whole(value: float) -> str:
        return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"


def _spans_far(magnitudes: np.ndarray, whole: bool) -> bool:
    """Whether numbers of these (positive) magnitudes are easier to read with exponents."""
    low, high = float(magnitudes.min()), float(magnitudes.max())
    return high / low > 1000.0 or high > 1.0e8 or (not whole and low < 1.0e-4)


def _texts(values: np.ndarray, options: PrintOptions) -> tuple[list[str], int]:
    """Every element of `values` (in C order) as text, and the width reserved for each."""
    if dtypes.is_complex(values.dtype):
        return _complex_texts(values.astype(np.complex128), options)
    numbers: _Numbers
    if dtypes.is_floating(values.dtype):
        values = values.astype(np.float64)
        numbers = _Floats(values, options)
    else:
        numbers = _Plain(values)
    return list(map(numbers.write, values.ravel().tolist())), numbers.width


def _complex_texts(values: np.ndarray, options: PrintOptions) -> tuple[list[str], int]:
    real, imag = _Floats(values.real, options), _Floats(values.imag, options)
    texts = []
    for z in values.ravel().tolist():
        part = imag.digits(z.imag)
        sign = "" if part.startswith("-") else "+"
        texts.append(f"{real.write(z.real)}{sign}{part}j")
    return texts, real.width + imag.width + 1


# ---- the brackets around them ------------------------------------------------------------------


def _edges(array: np.ndarray, edgeitems: int) -> np.ndarray:
    """`array` without what a summary leaves out of each dimension."""
    for axis, size in enumerate(array.shape):
        if size > 2 * edgeitems:
            before = (slice(None),) * axis
            head = array[(*before, slice(0, edgeitems))]
            tail = array[(*before, slice(size - edgeitems, size))]
            array = np.concatenate((head, tail), axis)
    return array


def _rows(texts: list[str], gap: bool, per_line: int, indent: int, edgeitems: int) -> str:
    """One innermost row, broken into lines."""
    if gap:
        texts = [*texts[:edgeitems], " ...", *texts[edgeitems:]]
    lines = [", ".join(texts[i : i + per_line]) for i in range(0, len(texts), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _nest(
    texts: Iterator[str],
    shape: Sequence[int],
    gaps: Sequence[bool],
    indent: int,
    width: int,
    options: PrintOptions,
) -> str:
    """Nested brackets around `texts`, which are in C order of `shape`; `gaps` marks cut dims."""
    if len(shape) == 1:
        per_line = max(1, math.floor((options.linewidth - indent) / (width + 2)))
        row = [next(texts) for _ in range(shape[0])]
        return _rows(row, gaps[0], per_line, indent, options.edgeitems)
    parts = [_nest(texts, shape[1:], gaps[1:], indent + 1, width, options) for _ in range(shape[0])]
    if gaps[0]:
        parts.insert(options.edgeitems, "...")
    separator = "," + "\n" * (len(shape) - 1) + " " * (indent + 1)
    return "[" + separator.join(parts) + "]"


def bracketed(array: Any, indent: int, options: PrintOptions) -> str:
    """The bracketed values of a non-empty array."""
    summarise = array.ndim > 0 and array.size > options.threshold
    gaps = [summarise and size > 2 * options.edgeitems for size in array.shape]
    if summarise and options.edgeitems == 0:
        return "[...]"
    shown = _edges(array, options.edgeitems) if summarise else array
    texts, width = _texts(shown, options)
    if array.ndim == 0:
        return texts[0]
    return _nest(iter(texts), shown.shape, gaps, indent, width, options)


def _append(
    text: str, suffixes: Sequence[str], indent: int, linewidth: int, apart: bool = False
) -> str:
    """`text` and its suffixes, each on a new line if the last one would grow too long; the first
    in any case if `apart`.
    """
    parts, used = [text], linewidth if apart else len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if used + len(suffix) + 2 > linewidth:
            parts.append(",\n" + " " * indent + suffix)
            used = indent + len(suffix)
        else:
            parts.append(", " + suffix)
            used += len(suffix) + 2
    return "".join(parts) + ")"


# ---- the whole line ----------------------------------------------------------------------------


def format_array(
    array: Any,
    *,
    default: np.dtype | None = None,
    device: str | None = None,
    history: str | None = None,
    prefix: str = "tensor(",
    contents: str | None = None,
    options: PrintOptions | None = None,
) -> str:
    """`array` as a tensor is printed.

    Args:
        array: the values.
        default: a dtype that is not named; None takes the default dtype.
        device: named if given, such as ``"cuda:0"``.
        history: last suffix, such as ``"requires_grad=True"``.
        prefix: what stands before the values.
        contents: written instead of the values.
        options: how to write numbers; None takes those of `set_printoptions`.
    """
    options = options or print_options
    default = dtypes.default.float if default is None else default
    dtype = np.dtype(array.dtype)
    suffixes = [] if device is None else [f"device='{device}'"]
    unnamed = [default]
    if array.size == 0:
        sized = array.ndim != 1
        body = "[]"
    else:
        sized = options.edgeitems == 0  # nothing may be shown
        unnamed += [dtypes.int64, dtypes.bool_, dtypes.COMPLEX_OF[default]]
        body = bracketed(array, len(prefix), options) if contents is None else ""
    if sized:
        suffixes.append(f"size={tuple(array.shape)}")
    if dtype not in unnamed:
        suffixes.append(f"dtype={dtypes.from_numpy(dtype)}")
    if history is not None:
        suffixes.append(history)
    text = prefix + (body if contents is None else contents)
    return _append(text, suffixes, len(prefix), options.linewidth)


def _history(t: Tensor) -> str | None:
    """What the line says about gradients."""
    try:
        node = t.grad_fn
    except RuntimeError:  # a view that cannot follow what was written to its base
        return "grad_fn=<Invalid>"
    if node is not None:
        return f"grad_fn=<{node.name()}>"
    return "requires_grad=True" if t.requires_grad else None


def sparse_repr(t: Tensor, prefix: str) -> str:
    """A sparse tensor: its parts, one below the other."""
    x, options, indent = t._array, print_options, len(prefix)
    pattern, coo = x.pattern, x.pattern.layout is formats.sparse_coo
    near, far = ("ccol", "row") if pattern.layout is formats.sparse_csc else ("crow", "col")
    parts = (
        {"indices": pattern.coordinates}
        if coo
        else {f"{near}_indices": pattern.starts, f"{far}_indices": pattern.others}
    )
    lines = []
    for name, array in {**parts, "values": x.values}.items():
        head = f"{name}=tensor("
        body = bracketed(array, indent + len(head), options) if array.size else "[]"
        size = "" if array.size else f", size={tuple(array.shape)}"
        lines.append(f"{head}{body}{size})")
    suffixes = [f"size={tuple(x.shape)}", f"nnz={pattern.count}"]
    usual = [dtypes.default.float, dtypes.int64, dtypes.bool_]
    if x.dtype not in [*usual, dtypes.COMPLEX_OF[dtypes.default.float]]:
        suffixes.append(f"dtype={dtypes.from_numpy(x.dtype)}")
    suffixes.append(f"layout={pattern.layout}")
    history = _history(t)
    if history is not None:
        suffixes.append(history)
    text = prefix + (",\n" + " " * indent).join(lines)
    return _append(text, suffixes, indent, options.linewidth, apart=coo)


def meta_repr(t: Tensor, prefix: str, place: tuple[str, ...] = ("device='meta'",)) -> str:
    """A meta tensor, or a wrapper: all but elements."""
    x = t._array
    suffixes = [*place, f"size={tuple(x.shape)}"]
    if x.dtype != dtypes.default.float:
        suffixes.append(f"dtype={dtypes.from_numpy(x.dtype)}")
    history = _history(t)
    if history is not None:
        suffixes.append(history)
    return _append(prefix + "...", suffixes, len(prefix), print_options.linewidth)


def tensor_repr(t: Tensor, *, tensor_contents: str | None = None, name: str | None = None) -> str:
    """`t` as it is printed.

    Args:
        t: the tensor.
        tensor_contents: written instead of the values.
        name: what stands before the parenthesis; None takes ``tensor``, or a subclass's own name.
    """
    value_needed("printing a tensor", t)
    if name is None:
        name = "tensor" if type(t) is Tensor else type(t).__name__
    if t._array.__class__ is SparseArray:
        return sparse_repr(t, f"{name}(")
    if t._array.__class__ is WrappedArray:
        return meta_repr(t, f"{name}(", ())
    device = t.device
    if device.type == "meta":
        return meta_repr(t, f"{name}(")
    return format_array(
        host(t),
        device=None if device.type == "cpu" else str(device),
        history=_history(t),
        prefix=f"{name}(",
        contents=tensor_contents,
    )


def tensor_format(t: Tensor, format_spec: str) -> str:
    """``f"{t:spec}"``: a single number is formatted as a number, anything else takes no spec."""
    if t.is_meta:
        return object.__format__(t, format_spec)
    if t._array.ndim == 0 and type(t).__name__ == "Tensor":  # not a Parameter: it says that it is
        return format(t.item(), format_spec)
    return object.__format__(t, format_spec)


methods(__repr__=tensor_repr, __format__=tensor_format)
