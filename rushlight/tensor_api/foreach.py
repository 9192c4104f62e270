"""Functions of lists of tensors: ``_foreach_mul_(tensors, 0.9)`` is ``mul_`` of each.

Optimizers and averages of weights written for torch call them for speed. Here they are loops, and
differentiable like the functions they repeat. In place they return the list they were given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.errors import ShapeError
from rushlight.tensor_api.extrema import max as largest
from rushlight.tensor_api.norms import norm
from rushlight.tensor_api.products import mm

_BOTH = """
    abs acos add addcdiv addcmul asin atan ceil clamp_max clamp_min cos cosh div erf erfc exp expm1
    floor frac lerp lgamma log log10 log1p log2 maximum minimum mul neg pow reciprocal round rsqrt
    sigmoid sign sin sinh sqrt sub tan tanh trunc
    """.split()  # noqa: SIM905
_OPTIONS = ("alpha", "dtype", "memory_format", "non_blocking", "ord")


def _rows(name: str, *columns: Any) -> list[tuple[Any, ...]]:
    """What each call gets: an item of every list, and all of what is no list."""
    lists = [c for c in columns if isinstance(c, (list, tuple))]
    if not lists or any([isinstance(c, Tensor) and c.dim() for c in columns]):
        raise TypeError(
            f"{name}: got {', '.join([type(c).__name__ for c in columns])}; "
            "it takes lists or tuples of tensors first, then numbers, or lists as long."
        )
    sizes = [len(c) for c in lists]
    if len(set(sizes)) > 1 or not sizes[0]:
        raise ShapeError(
            f"{name}: got lists of {sizes} items; it takes at least one tensor, "
            "and lists of the same number."
        )
    return list(
        zip(*[c if isinstance(c, (list, tuple)) else [c] * sizes[0] for c in columns], strict=True)
    )


def _plain(name: str, inplace: bool) -> Callable[..., Any]:
    """What is done to one tensor by the function of lists called ``name``."""
    suffix = "_" * inplace

    def call(x: Any, *others: Any, **options: Any) -> Any:
        if name in ("addcmul", "addcdiv") and len(others) == 3:
            options["value"] = others[2]
            others = others[:2]
        elif name in ("maximum", "minimum"):  # which have no form for numbers, nor one in place
            number = not isinstance(others[0], Tensor)
            method = "clamp_min" if name == "maximum" else "clamp_max"
            return getattr(Tensor, method + suffix if number or inplace else name)(x, *others)
        elif not isinstance(x, Tensor):
            return x ** others[0]
        return getattr(Tensor, name + suffix)(x, *others, **options)

    return call


def _of_lists(name: str, call: Callable[..., Any], inplace: bool) -> Callable[..., Any]:
    def function(self: Any, *others: Any, **named: Any) -> Any:
        options = {k: named.pop(k) for k in _OPTIONS if k in named}
        others = (*others, *named.values())
        if len(others) == 3 and isinstance(others[2], Tensor):
            others = (*others[:2], others[2].tolist())  # the values of addcmul and addcdiv
        out = [call(*row, **options) for row in _rows(function.__name__, self, *others)]
        return self if inplace else tuple(out)

    function.__name__ = function.__qualname__ = f"_foreach_{name}{'_' * inplace}"
    function.__doc__ = f"``{name}{'_' * inplace}`` of each tensor of a list."
    return function


def _powsum(x: Tensor, ord: float = 2, dtype: Any = None) -> Tensor:
    return (x.abs() ** ord).sum(dtype=dtype)


def _norm(x: Tensor, ord: float = 2, dtype: Any = None) -> Tensor:
    return norm(x, ord, dtype=dtype)


def _largest(x: Tensor) -> Tensor:
    return largest(x)


_SPECIAL: list[tuple[str, Callable[..., Any], bool]] = [
    ("clone", Tensor.clone, False), ("copy", Tensor.copy_, True), ("max", _largest, False),
    ("mm", mm, False), ("norm", _norm, False), ("powsum", _powsum, False),
    ("zero", Tensor.zero_, True),
]  # fmt: skip
for _name in _BOTH:
    for _inplace in (False, True):
        _function = _of_lists(_name, _plain(_name, _inplace), _inplace)
        globals()[_function.__name__] = _function
for _name, _call, _inplace in _SPECIAL:
    _function = _of_lists(_name, _call, _inplace)
    globals()[_function.__name__] = _function
