"""Functions that autocast treats as one operation.

Most ops say by their `precision` what autocast does with them. A function of several ops, or one
that shares its op with functions of another kind, says it here, and its ops then run as if autocast
were off.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rushlight.core.autocast import autocast_inputs
from rushlight.core.state import Mode, modes, state
from rushlight.core.tensor import explained

Function = Callable[..., Any]


class casting(Mode):
    """Within it this thread's lower-precision ops compute in these NumPy dtypes, on the CPU and on
    GPUs; None: no op is cast.
    """

    def __init__(self, chosen: Any) -> None:
        self.chosen = chosen
        self.previous: list[Any] = []

    def __enter__(self) -> None:
        self.previous.append(modes.autocast)
        switch(self.chosen)

    def __exit__(self, *exc: object) -> None:
        switch(self.previous.pop())


def switch(chosen: Any) -> None:
    """Lower-precision ops compute in these dtypes from now on, see ``Modes.autocast``. Fast paths
    make way while a thread casts.
    """
    chosen = None if chosen == (None, None) else chosen
    state.busy += (chosen is not None) - (modes.autocast is not None)
    modes.autocast = chosen


def in_float32(function: Function) -> Function:
    """Decorator: under autocast half-precision arguments become float32."""
    return _one_operation(function, "float32", "float32")


def in_float32_on_cpu(function: Function) -> Function:
    """Decorator: under autocast half-precision arguments become float32, unless on a GPU."""
    return _one_operation(function, "float32", None)


def in_lower_precision(function: Function) -> Function:
    """Decorator: under autocast arguments get its dtype, as those of a matrix product."""
    return _one_operation(function, "lower", "lower")


def as_given(function: Function) -> Function:
    """Decorator: under autocast arguments keep their dtypes."""
    return _one_operation(function, None, None)


def _one_operation(function: Function, precision: str | None, on_gpu: str | None) -> Function:
    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if not state.busy or modes.autocast is None:
            try:
                return function(*args, **kwargs) if kwargs else function(*args)
            except AttributeError as error:
                raise explained(function, args, kwargs, error) from None
        if precision is not None:
            args = tuple(_cast(args, precision, on_gpu))
            kwargs = dict(zip(kwargs, _cast(kwargs.values(), precision, on_gpu), strict=True))
        with casting(None):
            return function(*args, **kwargs)

    return called


def _cast(values: Any, *precisions: Any) -> list[Any]:
    """Tensors among values, and in lists of them, in their dtypes."""
    return [
        type(v)(autocast_inputs(v, *precisions))
        if type(v) in (list, tuple)
        else autocast_inputs([v], *precisions)[0]
        for v in values
    ]
