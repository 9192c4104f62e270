"""torch._jit_internal: marks for TorchScript that programs import from PyTorch's own module. Here
Python runs, so they have no effect; see `jit`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final as Final

from rushlight.jit import (
    _overload as _overload,
    _overload_method as _overload_method,
    export as export,
    ignore as ignore,
    is_scripting as is_scripting,
    unused as unused,
)
from rushlight.jit.annotations import (
    BroadcastingList1 as BroadcastingList1,
    BroadcastingList2 as BroadcastingList2,
    BroadcastingList3 as BroadcastingList3,
    BroadcastingList4 as BroadcastingList4,
    BroadcastingList5 as BroadcastingList5,
    BroadcastingList6 as BroadcastingList6,
    Dict as Dict,
    List as List,
    Optional as Optional,
    Tuple as Tuple,
)


def _copy_to_script_wrapper(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function."""
    return fn


def boolean_dispatch(
    arg_name: str,
    arg_index: int,
    default: bool,
    if_true: Callable[..., Any],
    if_false: Callable[..., Any],
    module_name: str,
    func_name: str,
) -> Callable[..., Any]:
    """A function that is one of two, by an argument.

    Args:
        arg_name: the argument, by name.
        arg_index: its place.
        default: where it is not given.
        if_true: called, with all arguments, where it is true.
        if_false: called otherwise.
        module_name: of the function.
        func_name: of the function.

    Example:
        >>> f = boolean_dispatch("up", 1, False, lambda x, up: x + 1, lambda x, up=0: x, "m", "f")
        >>> f(1), f(1, True), f(1, up=True)
        (1, 2, 2)
    """

    def fn(*args: Any, **kwargs: Any) -> Any:
        given = args[arg_index] if arg_index < len(args) else kwargs.get(arg_name, default)
        return (if_true if given else if_false)(*args, **kwargs)

    fn.__doc__ = if_false.__doc__ or if_true.__doc__
    fn.__module__, fn.__name__ = module_name, func_name
    return fn
