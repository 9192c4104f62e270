"""A tensor that carries a mask: elementwise operations keep it, reductions heed it."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.core.tensor import Tensor
from rushlight.masked import normalizations, reductions

KEPT = (
    "abs ceil cos detach exp floor log log1p log2 neg reciprocal relu round rsqrt sigmoid sign sin "
    "sqrt square tanh trunc to reshape view transpose permute unsqueeze squeeze __getitem__ __neg__"
)
BINARY = (
    "__add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__ __pow__ "
    "add sub mul div pow __eq__ __ne__ __lt__ __le__ __gt__ __ge__"
)
REDUCED = "sum prod amax amin argmax argmin mean median norm std var softmax log_softmax"
MOVING = ("reshape", "view", "transpose", "permute", "unsqueeze", "squeeze", "__getitem__")


class MaskedTensor:
    """``data`` of which only the elements count where ``mask`` is True.

    Args:
        data: a dense tensor.
        mask: bools in the same shape.
        requires_grad: whether gradients are wanted.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([1.0, 2.0, 3.0])
        >>> m = torch.masked.masked_tensor(x, torch.tensor([True, False, True]))
        >>> m.sum().get_data(), (m * 2).to_tensor(0)
        (tensor(4.), tensor([2., 0., 6.]))
    """

    def __init__(self, data: Tensor, mask: Tensor, requires_grad: bool = False) -> None:
        if mask._array.dtype != np.bool_:
            raise TypeError(f"MaskedTensor: the mask must be bools, but is {mask.dtype}.")
        if mask.shape != data.shape:
            raise ValueError(
                f"MaskedTensor: data of shape {tuple(data.shape)} and mask of shape "
                f"{tuple(mask.shape)} must have one shape."
            )
        self._data, self._mask = data, mask
        if requires_grad:
            data.requires_grad_()

    def get_data(self) -> Tensor:
        """The data, with whatever lies where the mask is False."""
        return self._data

    def get_mask(self) -> Tensor:
        """The mask."""
        return self._mask

    def to_tensor(self, value: Any) -> Tensor:
        """A dense tensor with ``value`` where the mask is False."""
        return self._data.masked_fill(~self._mask, value)

    @property
    def shape(self) -> Any:
        return self._data.shape

    @property
    def dtype(self) -> Any:
        return self._data.dtype

    @property
    def requires_grad(self) -> bool:
        return self._data.requires_grad

    @property
    def grad(self) -> MaskedTensor | None:
        return None if self._data.grad is None else MaskedTensor(self._data.grad, self._mask)

    def dim(self) -> int:
        """How many dims there are."""
        return self._data.dim()

    def size(self, dim: int | None = None) -> Any:
        """The shape, or one size."""
        return self._data.size() if dim is None else self._data.size(dim)

    def __len__(self) -> int:
        return len(self._data)

    def backward(self) -> None:
        """Gradients of the one selected element."""
        self._data.backward()

    def __repr__(self) -> str:
        floating = self._data.is_floating_point()
        if not self.dim():
            selected = bool(self._mask)
            return f"MaskedTensor({_word(self._data.item(), selected, floating)}, {selected})"
        rows = _lines(self._data.tolist(), self._mask.tolist(), floating, 2)
        return f"MaskedTensor(\n{rows}\n)"

    __hash__ = object.__hash__


def _lines(data: Any, mask: Any, floating: bool, indent: int) -> str:
    """Rows in brackets; "--" for what is left out."""
    space = " " * indent
    if not data or not isinstance(data[0], list):
        words = [_word(v, m, floating) for v, m in zip(data, mask, strict=True)]
        return f"{space}[{', '.join(words)}]"
    inner = [_lines(v, m, floating, indent + 2) for v, m in zip(data, mask, strict=True)]
    return f"{space}[\n" + ",\n".join(inner) + f"\n{space}]"


def _word(value: Any, selected: bool, floating: bool) -> str:
    return (f"{value:8.4f}" if floating else str(value)) if selected else "      --"


def _kept(name: str) -> Any:
    def method(self: MaskedTensor, *args: Any, **kwargs: Any) -> MaskedTensor:
        data = getattr(self._data, name)(*args, **kwargs)
        mask = getattr(self._mask, name)(*args, **kwargs) if name in MOVING else self._mask
        return MaskedTensor(data, mask)

    return method


def _binary(name: str) -> Any:
    def method(self: MaskedTensor, other: Any) -> MaskedTensor:
        mask = self._mask
        if isinstance(other, MaskedTensor):
            if not bool((mask == other._mask).all()):
                raise ValueError(
                    "Input masks must match. If you need support for this, combine them first."
                )
            other = other._data
        return MaskedTensor(getattr(self._data, name)(other), mask)

    return method


def _reduced(name: str) -> Any:
    function = getattr(reductions, name, None) or getattr(normalizations, name)

    def method(self: MaskedTensor, *args: Any, **kwargs: Any) -> MaskedTensor:
        data = function(self, *args, **kwargs)
        if data.shape == self._data.shape:
            return MaskedTensor(data, self._mask)
        keepdim = bool(kwargs.get("keepdim", False))
        dims = args[0] if args else kwargs.get("dim")
        mask = self._mask.any() if dims is None else self._mask.any(dims, keepdim)
        return MaskedTensor(data, mask)

    return method


for _names, _make in ((KEPT, _kept), (BINARY, _binary), (REDUCED, _reduced)):
    for _name in _names.split():
        setattr(MaskedTensor, _name, _make(_name))


def masked_tensor(data: Tensor, mask: Tensor, requires_grad: bool = False) -> MaskedTensor:
    """A MaskedTensor on copies of ``data`` and ``mask``."""
    return MaskedTensor(data.detach().clone(), mask.clone(), requires_grad)


def as_masked_tensor(data: Tensor, mask: Tensor) -> MaskedTensor:
    """A MaskedTensor on ``data`` itself; gradients flow into it."""
    return MaskedTensor(data, mask)


def is_masked_tensor(obj: Any, /) -> bool:
    """Whether obj is a MaskedTensor."""
    return isinstance(obj, MaskedTensor)
