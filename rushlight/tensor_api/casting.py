"""Functions that autocast treats as one operation.

Most ops say by their `precision` what autocast does with them. A function of several ops, or one
that shares its op with functions of another kind, says it here, and its ops then run as if autocast
were off.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rushlight import dtypes
from rushlight.core.op import autocast_inputs
from rushlight.core.state import Mode, modes, state
from rushlight.core.tensor import explained

Function = Callable[..., Any]


class casting(Mode):
    """Within it this thread's lower-precision ops compute in a NumPy dtype; None: no op is cast."""

    def __init__(self, d: Any) -> None:
        self.d = d
        self.previous: list[Any] = []

    def __enter__(self) -> None:
        self.previous.append(modes.autocast)
        switch(self.d)

    def __exit__(self, *exc: object) -> None:
        switch(self.previous.pop())


def switch(d: Any) -> None:
    """Lower-precision ops compute in `d` from now on. Fast paths make way while a thread casts."""
    state.busy += (d is not None) - (modes.autocast is not None)
    modes.autocast = d


def in_float32(function: Function) -> Function:
    """Decorator: under autocast half-precision arguments become float32."""
    return _one_operation(function, lambda: dtypes.float32)


def in_lower_precision(function: Function) -> Function:
    """Decorator: under autocast arguments get its dtype, as those of a matrix product."""
    return _one_operation(function, lambda: modes.autocast)


def as_given(function: Function) -> Function:
    """Decorator: under autocast arguments keep their dtypes."""
    return _one_operation(function, None)


def _one_operation(function: Function, target: Callable[[], Any] | None) -> Function:
    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if not state.busy or modes.autocast is None:
            try:
                return function(*args, **kwargs)
            except AttributeError as error:
                raise explained(function, args, kwargs, error) from None
        if target is not None:
            d = target()
            args = tuple(_cast(args, d))
            kwargs = dict(zip(kwargs, _cast(kwargs.values(), d), strict=True))
        with casting(None):
            return function(*args, **kwargs)

    return called


def _cast(values: Any, d: Any) -> list[Any]:
    """Tensors among values, and in lists of them, in a dtype."""
    return [
        type(v)(autocast_inputs(v, d)) if type(v) in (list, tuple) else autocast_inputs([v], d)[0]
        for v in values
    ]
