"""A tensor that carries a mask: elementwise operations keep it, reductions heed it."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.core.overrides import switch
from rushlight.core.tensor import Tensor
from rushlight.masked import normalizations, reductions

UNARY = """
    abs absolute acos acosh angle arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh
    bitwise_not ceil clamp clip conj_physical cos cosh deg2rad digamma erf erfc erfinv exp exp2
    expm1 fix floor frac i0 lgamma log log10 log1p log2 logit nan_to_num neg negative positive
    rad2deg reciprocal relu round rsqrt sgn sigmoid sign signbit sin sinc sinh sqrt square tan tanh
    trunc
""".split()  # noqa: SIM905
KEPT = """
    __invert__ __neg__ clone contiguous detach double float half isfinite isinf isnan isreal to
""".split()  # noqa: SIM905
BINARY = """
    add arctan2 atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor div
    divide eq floor_divide fmax fmin fmod ge greater greater_equal gt le less less_equal logaddexp
    logaddexp2 lt maximum minimum mul multiply ne nextafter not_equal pow remainder sub subtract
    true_divide
""".split()  # noqa: SIM905
OPERATORS = """
    __add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__ __pow__ __rpow__
    __floordiv__ __mod__ __and__ __or__ __xor__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__
""".split()  # noqa: SIM905
REDUCED = """
    sum prod amax amin argmax argmin mean median norm std var softmax log_softmax
""".split()  # noqa: SIM905
MOVING = """
    __getitem__ chunk expand flatten flip movedim narrow permute repeat reshape select split squeeze
    swapaxes t transpose unbind unfold unsqueeze view
""".split()  # noqa: SIM905
LIKE = ("ones_like", "zeros_like", "empty_like", "full_like")
JOINED = ("cat", "stack")


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
        switch.stay_on()  # functions ask their arguments from now on
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

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Functions are methods; those that have none refuse."""
        kwargs, name = kwargs or {}, func.__name__
        if name in JOINED:
            parts = args[0]
            masks = func([p._mask for p in parts], *args[1:], **kwargs)
            return cls(func([p._data for p in parts], *args[1:], **kwargs), masks)
        if name in BINARY and not isinstance(args[0], cls):
            return cls(func(args[0], args[1]._data, **kwargs), args[1]._mask)
        if name in LIKE:
            return cls(func(args[0]._data, *args[1:], **kwargs), args[0]._mask)
        method = getattr(cls, name, None)
        if method is None or not isinstance(args[0], cls):
            return NotImplemented
        return method(*args, **kwargs)

    def item(self) -> Any:
        """The one element as a number."""
        return self._data.item()

    def numel(self) -> int:
        """How many elements there are, selected or not."""
        return self._data.numel()

    def is_floating_point(self) -> bool:
        """Whether the elements are floats."""
        return self._data.is_floating_point()

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
        return self if data is self._data and name[-1] == "_" else MaskedTensor(data, self._mask)

    return method


def _moving(name: str) -> Any:
    def method(self: MaskedTensor, *args: Any, **kwargs: Any) -> Any:
        data, mask = [getattr(x, name)(*args, **kwargs) for x in (self._data, self._mask)]
        if isinstance(data, tuple):
            return tuple([MaskedTensor(d, m) for d, m in zip(data, mask, strict=True)])
        return MaskedTensor(data, mask)

    return method


def _binary(name: str) -> Any:
    def method(self: MaskedTensor, other: Any, **kwargs: Any) -> MaskedTensor:
        if isinstance(other, MaskedTensor):
            if not bool((self._mask == other._mask).all()):
                raise ValueError(
                    "Input masks must match. If you need support for this, combine them first."
                )
            other = other._data
        data = getattr(self._data, name)(other, **kwargs)
        return self if data is self._data else MaskedTensor(data, self._mask)

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


def _in_place(names: list[str]) -> list[str]:
    return [f"{name}_" for name in names if hasattr(Tensor, f"{name}_")]


for _names, _make in (
    (KEPT + UNARY + _in_place(UNARY), _kept),
    (MOVING, _moving),
    (BINARY + OPERATORS + _in_place(BINARY), _binary),
    (REDUCED, _reduced),
):
    for _name in _names:
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
