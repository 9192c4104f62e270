"""Python code in the place of every operation, below autograd.

Example:
    >>> import rushlight as torch
    >>> from rushlight.utils._python_dispatch import TorchDispatchMode
    >>> class Logging(TorchDispatchMode):
    ...     def __torch_dispatch__(self, func, types, args=(), kwargs=None):
    ...         print(func, [tuple(a.shape) for a in args])
    ...         return func(*args, **(kwargs or {}))
    >>> with Logging():
    ...     y = torch.nn.functional.linear(torch.ones(2, 3), torch.ones(4, 3)).relu()
    aten.t.default [(4, 3)]
    aten.mm.default [(2, 3), (3, 4)]
    aten.relu.default [(2, 4)]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.core.op import ARRAYS, Op
from rushlight.core.state import Watcher, modes, state
from rushlight.core.tensor import Tensor, wrap
from rushlight.core.wrapped import WrappedArray, wrapper
from rushlight.ops.dispatched import Operator, operator

# Note [Operations seen from Python]
# A mode stands where a profiler does: core asks ``modes.profiler`` to make the calls of ops, in
# forward and backward passes and in writes. It makes them by its handler, with tensors on the
# arrays, of which nothing is recorded, and gives back the arrays of what the handler returns.


class TorchDispatchMode:
    """Within its block, ``__torch_dispatch__(func, types, args, kwargs)`` is asked to do what every
    operation does, those of backward passes included; ``func(*args, **kwargs)`` does it.

    ``func`` is called as PyTorch's operators are, and equal to ``torch.ops.aten.mm.default`` and
    the like; ``args`` are the op's tensors, and numbers in the place of such, ``kwargs`` what else
    it takes, by rushlight's names. Not seen are functions that make tensors, and compiled calls.
    Modes can be nested: what the handler does reaches only those outside.

    Raises:
        TypeError: where a handler returns neither a tensor nor several.
    """

    supports_higher_order_operators = False

    def __init__(self, _dispatch_key: Any = None) -> None:
        pass

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no __torch_dispatch__")

    def __enter__(self) -> Any:
        modes.profiler = _Asking(self, modes.profiler)
        state.busy += 1
        return self

    def __exit__(self, *exception: object) -> None:
        modes.profiler = modes.profiler.outer
        state.busy -= 1


class _Asking(Watcher):
    """Makes the calls of ops by a mode's handler, see Note [Operations seen from Python]."""

    def __init__(self, mode: TorchDispatchMode, outer: Any) -> None:
        self.mode, self.outer = mode, outer

    def call(self, source: Any, function: Callable[..., Any], /, *args: Any, **params: Any) -> Any:
        if not isinstance(source, Op):  # a node, whose ops come one by one
            return function(*args, **params)
        writes = function == source.store
        if writes:
            arrays, params = [args[0], *args[1]], args[2]
        elif function == source.forward:
            arrays, params = args
        else:  # a view's, of the array module and an array
            arrays = [args[1]]
        tensors = tuple([tensor_on(a) for a in arrays])
        func = operator(source, tensors, params, writes)
        modes.profiler = self.outer
        try:
            result = self.mode.__torch_dispatch__(func, (), tensors, dict(params))
        finally:
            modes.profiler = self
        return None if writes else arrays_of(result, func, source)


def tensor_on(a: Any) -> Any:
    """An array of any kind as a tensor; what is none as it is."""
    if a.__class__ is WrappedArray:
        return wrapper(a)
    return wrap(a) if isinstance(a, ARRAYS) else a


def arrays_of(result: Any, func: Operator, op: Op) -> Any:
    """The arrays of what a handler returned."""
    if isinstance(result, Tensor):
        return result._array
    if isinstance(result, (list, tuple)) and all([isinstance(r, Tensor) for r in result]):
        return [r._array for r in result]
    raise TypeError(
        f"__torch_dispatch__: {func} gives {len(op.outputs)} tensors, but the handler returned "
        f"{type(result).__name__}; return what func(*args, **kwargs) does, or tensors like it."
    )


def is_traceable_wrapper_subclass(t: Any) -> bool:
    """Whether a tensor is made of others, and says of which by ``__tensor_flatten__``."""
    return all([hasattr(t, f"__tensor_{name}__") for name in ("flatten", "unflatten")])


is_traceable_wrapper_subclass_type = is_traceable_wrapper_subclass
