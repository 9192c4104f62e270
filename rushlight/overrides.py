"""Questions about ``__torch_function__``. rushlight does not call that method: a type that wants to
change what functions do has to offer functions of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from rushlight import tensor_api
from rushlight.core.tensor import Tensor
from rushlight.errors import NotSupportedError

__all__ = [
    "get_ignored_functions", "get_overridable_functions", "get_testing_overrides",
    "TorchFunctionMode", "handle_torch_function", "has_torch_function", "resolve_name",
    "is_tensor_like", "is_tensor_method_or_property", "wrap_torch_function",
]  # fmt: skip


class TorchFunctionMode:
    """A class to derive from; entering it raises."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __enter__(self) -> Any:
        raise NotSupportedError(
            "TorchFunctionMode: functions cannot be replaced. Use hooks of modules, or give the "
            "program functions of its own."
        )

    def __exit__(self, *exception: Any) -> None:
        pass


def is_tensor_like(inp: Any) -> bool:
    """Whether inp is a Tensor, or of a type that has ``__torch_function__``.

    Example:
        >>> import rushlight as torch
        >>> is_tensor_like(torch.ones(1)), is_tensor_like(1.0)
        (True, False)
    """
    return isinstance(inp, Tensor) or hasattr(type(inp), "__torch_function__")


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether one of the arguments is no Tensor but has ``__torch_function__``."""
    return any([not isinstance(a, Tensor) and is_tensor_like(a) for a in relevant_args])


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """The result of the first argument's ``__torch_function__``; TypeError where none has one."""
    types = tuple(type(a) for a in relevant_args if has_torch_function([a]))
    for a in relevant_args:
        if has_torch_function([a]):
            result = type(a).__torch_function__(public_api, types, args, kwargs)
            if result is not NotImplemented:
                return result
    raise TypeError(
        f"no implementation found for {resolve_name(public_api)!r} on types that implement "
        f"__torch_function__: {list(types)}"
    )


def wrap_torch_function(dispatcher: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: asks the ``__torch_function__`` of what ``dispatcher(*args)`` returns first."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return function(*args, **kwargs)

        return wrapped

    return decorate


def resolve_name(f: Any) -> str | None:
    """A readable name of a function: ``torch.Tensor.add`` for a method."""
    name = getattr(f, "__name__", None)
    if name is None:
        return None
    if getattr(Tensor, name, None) is f and not hasattr(tensor_api, name):
        return f"torch.Tensor.{name}"
    return f"torch.{name}"


def is_tensor_method_or_property(func: Callable[..., Any]) -> bool:
    """Whether func is a method or property of Tensor."""
    name = getattr(func, "__name__", "")
    return getattr(Tensor, name, None) is func or name == "__get__"


def get_ignored_functions() -> set[Callable[..., Any]]:
    """Functions that do not ask for overrides: all of them."""
    return {getattr(tensor_api, n) for n in dir(tensor_api) if callable(getattr(tensor_api, n))}


def get_overridable_functions() -> dict[Any, list[Callable[..., Any]]]:
    """Functions that ask for overrides: none."""
    return {}


def get_testing_overrides() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Raises: no function can be overridden."""
    raise NotSupportedError(
        "overrides.get_testing_overrides: functions do not ask for __torch_function__ here."
    )
