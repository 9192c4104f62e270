"""Parameter and Buffer: tensors that a module registers when they are assigned to it."""

from __future__ import annotations

import functools
from collections import OrderedDict
from typing import Any

from rushlight.core.overrides import without_overrides
from rushlight.core.tensor import Tensor, instance, no_tensor, start_afresh
from rushlight.core.wrapped import WrappedArray
from rushlight.tensor_api import empty
from rushlight.tensor_api.pickling import set_user_state, user_state
from rushlight.tensor_api.printing import tensor_repr

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter"]


class Parameter(Tensor):
    """A tensor that is learnt: assigned to a module's attribute it becomes one of
    `Module.parameters`.

    It shares memory with `data` and is a leaf of the graph.

    Args:
        data: the values; an empty tensor unless given.
        requires_grad: whether gradients are computed. True also inside ``no_grad``.

    Example:
        >>> nn.Parameter(torch.zeros(2))
        Parameter containing:
        tensor([0., 0.], requires_grad=True)
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Any:
        if data is None:
            data = empty(0)
        try:
            x = data._array
        except AttributeError:
            raise no_tensor("Parameter", data) from None
        self = instance(cls, x) if x.__class__ is not WrappedArray else wrapper_parameter(cls, x)
        if requires_grad:
            self.requires_grad_()
        return self

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...  # subclasses choose their own

    __torch_function__ = without_overrides  # results of operations are plain tensors

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.data.clone(), self.requires_grad)
        return memo[id(self)]

    def __repr__(self) -> str:
        plain = type(self) is Parameter
        shown = tensor_repr(self, name="tensor") if plain else f"Parameter({tensor_repr(self)})"
        return "Parameter containing:\n" + shown

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        state = user_state(self)
        if not state:
            return _rebuild_parameter, (self.data, self.requires_grad, OrderedDict())
        args = (self.data, self.requires_grad, OrderedDict(), state)
        return _rebuild_parameter_with_state, args


@functools.cache
def _class_of_both(cls: type, kind: type) -> type:
    own = {"__init__": vars(Parameter)["__init__"], "__deepcopy__": vars(Tensor)["__deepcopy__"]}
    return type(kind.__name__, (kind, cls), own)


def wrapper_parameter(cls: type, array: WrappedArray) -> Any:
    """A wrapper tensor that is a parameter, too: of a class below both."""
    both = array.kind if issubclass(array.kind, cls) else _class_of_both(cls, array.kind)
    self = instance(both, array)
    self.__dict__ = array.attributes
    return self


def _rebuild_parameter(data: Tensor, requires_grad: bool, backward_hooks: Any) -> Parameter:
    return Parameter(data, requires_grad)


def _rebuild_parameter_with_state(
    data: Tensor, requires_grad: bool, backward_hooks: Any, state: Any
) -> Parameter:
    parameter = Parameter(data, requires_grad)
    set_user_state(parameter, state)
    return parameter


class BufferMeta(type):
    """Makes ``isinstance(x, Buffer)`` ask whether ``Buffer`` made x, which is a plain tensor."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return super().__instancecheck__(instance) or (cls is Buffer and is_buffer(instance))


class Buffer(Tensor, metaclass=BufferMeta):
    """A tensor that is state but not learnt: assigned to a module's attribute it becomes one of
    `Module.buffers`.

    Args:
        data: the values; an empty tensor unless given.
        persistent: whether it belongs in the module's state dict.
    """

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Any:
        if data is None:
            data = empty(0)
        self = data.detach().requires_grad_(data.requires_grad)
        self.persistent, self._is_buffer = persistent, True
        return self

    __torch_function__ = without_overrides


def is_buffer(value: Any) -> bool:
    """Whether `value` was made by `Buffer`."""
    return isinstance(value, Tensor) and getattr(value, "_is_buffer", False)


class UninitializedTensorMixin:
    """A tensor whose shape is not known yet. It has a dtype and a device, and can be moved, but not
    computed with."""

    cls_to_become: type

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    # A data descriptor hides what the instance holds, so every use of the values ends here.
    @property
    def _array(self) -> Any:
        raise ValueError(
            f"{type(self).__name__}: attempted to use an uninitialized parameter or buffer. "
            "Call the lazy module's forward once with a batch, or materialize(shape) it, before."
        )

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            f"{type(self).__name__}: can't access the shape of an uninitialized parameter or "
            "buffer. "
            "Call the lazy module's forward once with a batch, or materialize(shape) it, before."
        )

    dtype = property(lambda self: self._like.dtype)
    device = property(lambda self: self._like.device)

    @property
    def data(self) -> Any:
        return self._like

    @data.setter
    def data(self, value: Any) -> None:
        self.__dict__["_like"] = (
            value._like if isinstance(value, UninitializedTensorMixin) else value
        )

    @property
    def requires_grad(self) -> bool:
        return self.__dict__["_wanted"]

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.__dict__["_wanted"] = value

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        self.requires_grad = requires_grad
        return self

    def detach(self) -> Any:
        return self

    def share_memory_(self) -> Any:
        raise RuntimeError(
            f"{type(self).__name__}: can't share memory of an uninitialized parameter or buffer. "
            "Call the lazy module's forward once with a batch, or materialize(shape) it, before."
        )

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary parameter or buffer of `shape`, with undefined values.

        Args:
            shape: the sizes.
            device: where; where it is now unless given.
            dtype: of what; what it is now unless given.
        """
        like = self.__dict__.pop("_like")
        wanted = self.__dict__.pop("_wanted")
        values = empty(shape, device=device or like.device, dtype=dtype or like.dtype)
        self.__class__ = self.cls_to_become
        self._array = values._array
        self.requires_grad_(wanted)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = _uninitialized(type(self), self.requires_grad, self.device, self.dtype)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _uninitialized, (type(self), self.requires_grad, self.device, self.dtype)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def _asking(name: str) -> Any:
    """A method that asks the tensor which has the dtype and the device."""
    return lambda self: getattr(self._like, name)()


def _moving(name: str) -> Any:
    """A method that moves or converts: another tensor without a shape."""

    def move(self: Any, *args: Any, **kwargs: Any) -> Any:
        like = getattr(self._like, name)(*args, **kwargs)
        return _uninitialized(type(self), self.requires_grad, like.device, like.dtype)

    return move


for _name in ("is_floating_point", "is_complex"):
    setattr(UninitializedTensorMixin, _name, _asking(_name))
for _name in ("to", "type", "half", "float", "double", "bfloat16", "cuda", "cpu"):
    setattr(UninitializedTensorMixin, _name, _moving(_name))


def _uninitialized(cls: type, requires_grad: bool, device: Any, dtype: Any) -> Any:
    self = object.__new__(cls)
    start_afresh(self)
    self.__dict__["_like"] = empty(0, device=device, dtype=dtype)
    self.__dict__["_wanted"] = requires_grad
    return self


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape is not known yet; a lazy module gives it one at its first call.

    Args:
        requires_grad: whether gradients will be computed.
        device: where it will be.
        dtype: its element type.
    """

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        return _uninitialized(cls, requires_grad, device, dtype)


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """A buffer whose shape is not known yet; a lazy module gives it one at its first call.

    Args:
        requires_grad: whether gradients will be computed.
        device: where it will be.
        dtype: its element type.
        persistent: whether it belongs in the module's state dict.
    """

    cls_to_become = Tensor
    persistent = True
    __torch_function__ = without_overrides
    _is_buffer = True

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> Any:
        self = _uninitialized(cls, requires_grad, device, dtype)
        self.persistent = persistent
        return self


def is_lazy(param: Any) -> bool:
    """Whether `param` is a parameter or buffer without a shape as yet."""
    return isinstance(param, UninitializedTensorMixin)
