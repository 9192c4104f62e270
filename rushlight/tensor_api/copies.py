"""View functions that copy: ``narrow_copy`` is ``narrow`` followed by ``clone``, and so on."""

from __future__ import annotations

from typing import Any

from rushlight import formats
from rushlight.core.autograd import known_as, node_name
from rushlight.core.tensor import Tensor
from rushlight.tensor_api import axes, pieces, views
from rushlight.tensor_api._common import expect_tensor, store_out, store_outs

__all__: list[str] = []


def _copying(name: str, view: Any) -> Any:
    def function(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        expect_tensor(input, name)
        result = view(input, *args, **kwargs)
        if isinstance(result, tuple):
            copies = tuple([_copy(t, input) for t in result])
            return copies if out is None else tuple(store_outs(out, copies, exact=True))
        copy = _copy(result, input)
        return copy if out is None else store_out(out, copy, exact=True)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"A copy of what ``{view.__name__}`` looks at."
    return function


def _copy(view: Tensor, of: Tensor) -> Tensor:
    copy = view.clone(memory_format=formats.contiguous_format)
    if view is of:
        return known_as("AliasBackward0_copy", copy)
    return known_as(node_name(view).replace("Unsafe", "") + "_copy", copy)


def _view(input: Tensor, size: Any = None, *, dtype: Any = None) -> Tensor:
    """``view``, which a copy can give in any shape."""
    if isinstance(size, (list, tuple)):
        return views.reshape(input, *size)
    return views.view(input, size if dtype is None else dtype)


_view.__name__ = "view"

for _function in (
    views.as_strided,
    views.detach,
    axes.diagonal,
    views.expand,
    axes.permute,
    pieces.select,
    pieces.split,
    pieces.split_with_sizes,
    axes.squeeze,
    axes.t,
    axes.transpose,
    pieces.unbind,
    pieces.unfold,
    axes.unsqueeze,
    _view,
    pieces.narrow,
    pieces.view_as_real,
    pieces.view_as_complex,
):
    _name = _function.__name__ + "_copy"
    globals()[_name] = _copying(_name, _function)
    __all__.append(_name)


def _alias(input: Tensor) -> Tensor:
    """The tensor itself."""
    return input


alias_copy = _copying("alias_copy", _alias)
__all__.append("alias_copy")
Tensor.narrow_copy = globals()["narrow_copy"]
