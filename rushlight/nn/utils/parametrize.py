"""Parametrisations: a parameter that is computed, each time it is read, from tensors that are
learnt instead.

Note [Parametrised class]
A parametrised module gets a class of its own, a subclass of its old one, on which the parameter's
name is a property. What is learnt lives in ``module.parametrizations[name]``.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rushlight.config import shown_module
from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor
from rushlight.nn.modules.container import ModuleDict, ModuleList
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

_caching = 0
_cache: dict[tuple[int, str], Tensor] = {}


@contextmanager
def cached() -> Iterator[None]:
    """Within it each parametrised tensor is computed once and remembered."""
    global _caching
    _caching += 1
    try:
        yield
    finally:
        _caching -= 1
        if not _caching:
            _cache.clear()


def _register(module: Module, name: str, tensor: Tensor) -> None:
    """As a parameter if it is one, else as a buffer."""
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def _take(target: Tensor, source: Any) -> None:
    """Let `target` have the values of `source`, without recording."""
    if target.data_ptr() != source.data_ptr() or target.shape != source.shape:
        target.data = source.detach()


class ParametrizationList(ModuleList):
    """The parametrisations of one tensor, applied one after the other, and what is learnt in its
    place.

    Args:
        modules: the parametrisations.
        original: the tensor as it is; a right inverse, if there is one, says what to learn so that
            it stays so.
        unsafe: skip the checks.
    """

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if len(modules) == 0:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = original.shape, original.dtype
        with no_grad():
            new = self._inverted(original)
        if not isinstance(new, (Tensor, Sequence)):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(new).__name__}"
            )
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if self.is_tensor else len(new)
        if self.is_tensor:
            if original.dtype != new.dtype:
                raise ValueError(
                    "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                    f"original.dtype: {original.dtype}\nright_inverse(original).dtype: {new.dtype}"
                )
            _take(original, new)
            _register(self, "original", original)
        else:
            for i, part in enumerate(new):
                if not isinstance(part, Tensor):
                    raise ValueError(
                        "'right_inverse' must return a Tensor or a Sequence of tensors (list, "
                        f"tuple...). Got element {i} of the sequence with type "
                        f"{type(part).__name__}."
                    )
                if isinstance(original, Parameter):
                    part = Parameter(part, original.requires_grad)
                part.requires_grad_(original.requires_grad)
                _register(self, f"original{i}", part)
        if not unsafe:
            self._check_result(shape, dtype)

    def _inverted(self, value: Any) -> Any:
        for module in reversed(self):
            if not hasattr(module, "right_inverse"):
                return value  # what is learnt begins as the tensor itself
            try:
                value = module.right_inverse(value)
            except NotImplementedError:
                return value
        return value

    def _check_result(self, shape: Any, dtype: Any) -> None:
        value = self()
        if not isinstance(value, Tensor):
            raise ValueError(f"A parametrization must return a tensor. Got {type(value).__name__}.")
        if value.dtype != dtype:
            raise ValueError(
                "Registering a parametrization may not change the dtype of the tensor, unless "
                f"`unsafe` flag is enabled.\nunparametrized dtype: {dtype}\n"
                f"parametrized dtype: {value.dtype}"
            )
        if value.shape != shape:
            raise ValueError(
                "Registering a parametrization may not change the shape of the tensor, unless "
                f"`unsafe` flag is enabled.\nunparametrized shape: {shape}\n"
                f"parametrized shape: {value.shape}"
            )

    def right_inverse(self, value: Tensor) -> None:
        """Change what is learnt so that the parametrised tensor becomes `value`."""
        with no_grad():
            for module in reversed(self):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse."
                    )
                value = module.right_inverse(value)
            if self.is_tensor:
                if not isinstance(value, Tensor):
                    raise ValueError(
                        f"`right_inverse` should return a tensor. Got {type(value).__name__}"
                    )
                _take(self.original, value)
                return
            if not isinstance(value, Sequence) or len(value) != self.ntensors:
                raise ValueError(
                    f"'right_inverse' must return a sequence of tensors of length {self.ntensors}."
                )
            for i, part in enumerate(value):
                _take(getattr(self, f"original{i}"), part)

    def forward(self) -> Tensor:
        if self.is_tensor:
            value = self[0](self.original)
        else:
            value = self[0](*(getattr(self, f"original{i}") for i in range(self.ntensors)))
        for module in list(self)[1:]:
            value = module(value)
        return value


def _inject_new_class(module: Module) -> None:
    """See Note [Parametrised class]."""
    cls = type(module)

    def getstate(self: Module) -> Any:
        raise RuntimeError(
            "Serialization of parametrized modules is only supported through state_dict(). "
            "Save module.state_dict(), make the module again and load it."
        )

    def deepcopy(self: Module, memo: dict[int, Any]) -> Module:
        if id(self) not in memo:
            replica = memo[id(self)] = object.__new__(type(self))
            replica.__setstate__(copy.deepcopy(cls.__getstate__(self), memo))
        return memo[id(self)]

    members = {
        "__getstate__": getstate, "__deepcopy__": deepcopy, "__module__": shown_module(__name__)
    }  # fmt: skip
    module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), members)


def _inject_property(module: Module, tensor_name: str) -> None:
    def read(self: Module) -> Tensor:
        compute = self.parametrizations[tensor_name]
        if not _caching:
            return compute()
        key = (id(self), tensor_name)
        if key not in _cache:
            _cache[key] = compute()
        return _cache[key]

    def write(self: Module, value: Tensor) -> None:
        self.parametrizations[tensor_name].right_inverse(value)

    setattr(type(module), tensor_name, property(read, write))


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Let a parameter or buffer of a module be computed by `parametrization` from a learnt tensor.

    Args:
        module: the module.
        tensor_name: the parameter's name.
        parametrization: its forward maps the learnt tensor to the parameter; an optional
            ``right_inverse`` maps the parameter to what is to be learnt, and may return several
            tensors, which forward then takes.
        unsafe: skip the checks that shape and dtype stay.

    Example:
        >>> class Positive(nn.Module):
        ...     def forward(self, x):
        ...         return x.abs()
        >>> layer = nn.Linear(2, 2)
        >>> layer = nn.utils.parametrize.register_parametrization(layer, "weight", Positive())
        >>> bool((layer.weight >= 0).all())
        True
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            _check_addition(getattr(module, tensor_name), parametrization)
        entry = module.parametrizations[tensor_name]
        entry.append(parametrization)
        entry.unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        entry = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _inject_new_class(module)
            module.parametrizations = ModuleDict()
        _inject_property(module, tensor_name)
        module.parametrizations[tensor_name] = entry
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element "
            f"with name '{tensor_name}'"
        )
    return module


def _check_addition(value: Tensor, parametrization: Module) -> None:
    """What a further parametrisation must keep: one tensor, its dtype and shape."""
    result = parametrization(value)
    if not isinstance(result, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(result).__name__}.")
    try:
        back = getattr(parametrization, "right_inverse", lambda x: x)(result)
    except NotImplementedError:
        back = result
    if not isinstance(back, Tensor):
        raise ValueError(
            "right_inverse must return a tensor where other parametrizations come first. Got"
            f" {type(back).__name__}."
        )
    if (back.dtype, back.shape) != (result.dtype, result.shape):
        raise ValueError(
            "right_inverse must keep dtype and shape where other parametrizations come first: "
            f"{result.dtype} of {tuple(result.shape)} became {back.dtype} of {tuple(back.shape)}."
        )
    if result.dtype != value.dtype:
        raise ValueError(
            "Registering a parametrization may not change the dtype of the tensor, unless the "
            f"`unsafe` flag is enabled: {value.dtype} would become {result.dtype}."
        )
    if result.shape != value.shape:
        raise ValueError(
            "Registering a parametrization may not change the shape of the tensor, unless the "
            f"`unsafe` flag is enabled: {tuple(value.shape)} would become {tuple(result.shape)}."
        )


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the module has a parametrised tensor, or one of this name."""
    entries = getattr(module, "parametrizations", None)
    if not isinstance(entries, ModuleDict):
        return False
    return len(entries) > 0 if tensor_name is None else tensor_name in entries


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Make a parametrised tensor an ordinary one again.

    Args:
        module: the module.
        tensor_name: the tensor's name.
        leave_parametrized: keep the computed value; otherwise the learnt one, if it is one tensor.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    entry = module.parametrizations[tensor_name]
    if leave_parametrized:
        with no_grad():
            value = getattr(module, tensor_name)
        if entry.is_tensor:
            original = entry.original
            _take(original, value)
        else:
            original = Parameter(value, entry.original0.requires_grad)
    elif entry.is_tensor:
        original = entry.original
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
            "parametrized in terms of a sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """The module's class without parametrisations."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Give `to_module` the parametrisations of `from_module`, and copies of what they learn.

    Args:
        from_module: where they are.
        to_module: a module with tensors of the same names.
        tensor_name: one of them; all unless given.
    """
    if not is_parametrized(from_module):
        return to_module
    if not isinstance(to_module, type_before_parametrizations(from_module)):
        raise AssertionError("transfer_parametrizations_and_params: the modules' types differ")
    names = list(from_module.parametrizations) if tensor_name is None else [tensor_name]
    for name in names:
        entry = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            value = from_module.parametrizations[name].original
            setattr(to_module, name, Parameter(value.detach().clone()))
        for module in entry:
            register_parametrization(to_module, name, module)
        learnt = to_module.parametrizations[name]
        for key in entry._parameters:
            setattr(learnt, key, getattr(entry, key))
    return to_module
