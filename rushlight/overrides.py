"""``__torch_function__``: how classes and modes change what functions do.

A class that defines ``__torch_function__(cls, func, types, args=(), kwargs=None)`` is asked instead
of ``func`` when its objects are among the arguments; a `TorchFunctionMode` is asked for every call
within its block. Functions begin to ask when a tensor of such a class or a mode first appears;
objects that are no tensors are asked from then on, or from `ask_objects` on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from importlib import import_module
from types import FunctionType
from typing import Any

from rushlight.core import overrides as core
from rushlight.core.overrides import overriding, switch
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor

__all__ = [
    "ask_objects", "get_default_nowrap_functions", "get_ignored_functions",
    "get_overridable_functions", "get_testing_overrides", "TorchFunctionMode",
    "handle_torch_function", "has_torch_function", "has_torch_function_unary",
    "has_torch_function_variadic", "resolve_name", "is_tensor_like",
    "is_tensor_method_or_property", "wrap_torch_function",
]  # fmt: skip

# settings and the like, which nobody may change
IGNORED = """
    are_deterministic_algorithms_enabled broadcast_shapes clear_autocast_cache compile
    cond eig from_dlpack from_file from_numpy frombuffer get_autocast_cpu_dtype get_autocast_dtype
    get_autocast_gpu_dtype get_default_device get_default_dtype get_deterministic_debug_mode
    get_device_module get_float32_matmul_precision get_num_interop_threads get_num_threads
    get_printoptions get_rng_state initial_seed is_anomaly_check_nan_enabled is_anomaly_enabled
    is_autocast_available is_autocast_cache_enabled is_autocast_cpu_enabled is_autocast_enabled
    is_deterministic_algorithms_warn_only_enabled is_grad_enabled is_inference_mode_enabled
    is_storage is_tensor is_warn_always_enabled load lstsq manual_seed matrix_rank
    range save seed set_anomaly_enabled set_autocast_cache_enabled set_autocast_cpu_dtype
    set_autocast_cpu_enabled set_autocast_dtype set_autocast_enabled set_autocast_gpu_dtype
    set_default_device set_default_dtype set_default_tensor_type set_deterministic_debug_mode
    set_float32_matmul_precision set_flush_denormal set_num_interop_threads set_num_threads
    set_printoptions set_rng_state set_warn_always solve symeig to_dlpack typename
    use_deterministic_algorithms vmap while_loop
""".split()  # noqa: SIM905
# functions that make tensors of what they are given: modes are asked, arguments are not
FACTORIES = ("as_tensor", "asarray", "tensor")
# methods that are no functions of tensors
KEPT = """
    __array_ufunc__ __class__ __dir__ __init__ __init_subclass__ __iter__ __new__
    __torch_function__ as_subclass new
""".split()  # noqa: SIM905
NAMESPACES = (
    ("torch", "rushlight"), ("torch", "rushlight.nn.functional.toplevel"),
    ("torch.nn.functional", "rushlight.nn.functional"), ("torch.nn.init", "rushlight.nn.init"),
    ("torch.linalg", "rushlight.linalg"), ("torch.fft", "rushlight.fft"),
    ("torch.special", "rushlight.special"),
)  # fmt: skip
# functions of nn.functional that PyTorch writes in C++: handlers get their arguments as they are
NATIVE = """
    avg_pool2d avg_pool3d elu_ gelu hardtanh_ leaky_relu_ linear logsigmoid one_hot
    scaled_dot_product_attention softplus softshrink
""".split()  # noqa: SIM905
# functions of torch that PyTorch writes in Python
IN_PYTHON = """
    atleast_1d atleast_2d atleast_3d block_diag broadcast_tensors cartesian_prod cdist chain_matmul
    einsum istft lu meshgrid norm pca_lowrank split stft svd_lowrank tensordot unique
    unique_consecutive unravel_index
""".split()  # noqa: SIM905
# what handlers are shown as the function for an operator
SHOWN = {
    f"__{operator}__": name
    for name in """
        add sub mul div:truediv remainder:mod pow matmul neg abs lt le gt ge add:radd mul:rmul
        add_:iadd sub_:isub mul_:imul __rdiv__:rtruediv div_:itruediv remainder_:imod pow_:ipow
    """.split()  # noqa: SIM905
    for name, _, operator in [name.partition(":")]
    for operator in [operator or name]
}


@functools.cache
def _functions() -> dict[FunctionType, str]:
    """The public functions and methods that ask, and their names."""
    found: dict[Any, str] = {}
    for public, place in NAMESPACES:
        namespace = import_module(place)
        for name in getattr(namespace, "__all__", vars(namespace)):
            function = getattr(namespace, name)
            if not isinstance(function, FunctionType) or name.startswith("_"):
                continue
            if public != "torch" or name not in IGNORED:
                home = "torch.functional" if public == "torch" and name in IN_PYTHON else public
                found.setdefault(function, f"{home}.{name}")
    for name, value in vars(Tensor).items():
        if isinstance(value, FunctionType) and name not in KEPT and value.__name__ == name:
            found[value] = f"torch.Tensor.{name}"
    return found


def table() -> list[tuple[FunctionType, Any, bool, bool]]:
    """What asks: a function, what handlers are shown as it, whether its arguments are asked, and
    whether handlers get options by name.
    """
    factories = {f"torch.{name}" for name in FACTORIES}
    found: list[tuple[FunctionType, Any, bool, bool]] = []
    for function, public in _functions().items():
        home, _, name = public.rpartition(".")
        shown: Any = function
        if home == "torch.Tensor":
            shown = getattr(Tensor, SHOWN.get(name, name))
        elif public in ("torch.nn.functional.sigmoid", "torch.nn.functional.tanh"):
            shown = getattr(Tensor, name)
        by_name = home == "torch.functional" or (
            home == "torch.nn.functional" and name not in NATIVE and shown is function
        )
        found.append((function, shown, public not in factories, by_name))
    for value in vars(Tensor).values():
        if isinstance(value, property):
            for part, shown in ((value.fget, value.__get__), (value.fset, value.__set__)):
                if isinstance(part, FunctionType):
                    found.append((part, shown, True, False))
    return found


class TorchFunctionMode:
    """Within its block, ``__torch_function__(self, func, types, args=(), kwargs=None)`` is called
    instead of every function ``func`` of tensors; within that method it is not.

    Example:
        >>> import rushlight as torch
        >>> class Log(TorchFunctionMode):
        ...     def __torch_function__(self, func, types, args=(), kwargs=None):
        ...         print(func.__name__)
        ...         return func(*args, **(kwargs or {}))
        >>> with Log():
        ...     x = torch.ones(2) + 1
        ones
        add
    """

    def __init__(self) -> None:
        pass

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        raise NotImplementedError(
            f"{type(self).__name__}: a TorchFunctionMode defines __torch_function__."
        )

    def __enter__(self) -> Any:
        switch.on()
        modes.function_modes = (*modes.function_modes, self)
        return self

    def __exit__(self, *exception: Any) -> None:
        modes.function_modes = modes.function_modes[:-1]
        switch.off()

    @classmethod
    def push(cls, *args: Any, **kwargs: Any) -> Any:
        """The mode itself: an older spelling of ``cls(...)``."""
        return cls(*args, **kwargs)


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that changes nothing."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return func(*args, **(kwargs or {}))


def _get_current_function_mode() -> Any:
    """The innermost mode, or None."""
    return modes.function_modes[-1] if modes.function_modes else None


def _get_current_function_mode_stack() -> list[Any]:
    """The modes that are active, the innermost last."""
    return list(modes.function_modes)


@contextmanager
def _enable_torch_function() -> Any:
    previous, modes.asks_arguments = modes.asks_arguments, True
    try:
        yield
    finally:
        modes.asks_arguments = previous


def ask_objects() -> None:
    """From now on functions ask their arguments also where no tensor of a class with
    ``__torch_function__`` was made yet: for objects of classes that are not below Tensor. Calls
    take about 0.3 microseconds longer then.
    """
    switch.stay_on()


def is_tensor_like(inp: Any) -> bool:
    """Whether inp is a Tensor, or of a type that has ``__torch_function__``.

    Example:
        >>> import rushlight as torch
        >>> is_tensor_like(torch.ones(1)), is_tensor_like(1.0)
        (True, False)
    """
    return isinstance(inp, Tensor) or hasattr(type(inp), "__torch_function__")


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether one of the arguments, or a mode, is to be asked instead of a function."""
    if modes.function_modes:
        return True
    return modes.asks_arguments and any([core.overrides(type(a)) for a in relevant_args])


def has_torch_function_unary(tensor: Any) -> bool:
    """``has_torch_function((tensor,))``."""
    return has_torch_function((tensor,))


def has_torch_function_variadic(*tensors: Any) -> bool:
    """``has_torch_function(tensors)``."""
    return has_torch_function(tensors)


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """What the mode, or the first of the arguments that knows, answers for ``public_api``; for
    functions of one's own, after `has_torch_function`. TypeError where none knows.
    """
    found = overriding(relevant_args) if modes.asks_arguments else []
    return core.dispatch(public_api, found, args, kwargs)


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
    """The public name of a function that can be overridden, None for others.

    Example:
        >>> import rushlight as torch
        >>> resolve_name(torch.add), resolve_name(torch.Tensor.add), resolve_name(len)
        ('torch.add', 'torch.Tensor.add', None)
    """
    if isinstance(f, FunctionType):
        return _functions().get(f)
    owner = getattr(f, "__self__", None)
    if isinstance(owner, property):
        return next(
            (f"torch.Tensor.{n}.{f.__name__}" for n, v in vars(Tensor).items() if v is owner), None
        )
    return None


def is_tensor_method_or_property(func: Callable[..., Any]) -> bool:
    """Whether func is a method of Tensor, or what reads or writes a property."""
    return (resolve_name(func) or "").startswith("torch.Tensor.")


def get_default_nowrap_functions() -> set[Callable[..., Any]]:
    """Functions whose results ``Tensor.__torch_function__`` does not make of the class."""
    return {Tensor.grad.__get__, Tensor._base.__get__}  # type: ignore[attr-defined]


def get_ignored_functions() -> set[Callable[..., Any]]:
    """Functions that do not ask."""
    namespace = import_module("rushlight")
    return {getattr(namespace, name) for name in IGNORED if hasattr(namespace, name)}


def get_overridable_functions() -> dict[Any, list[Callable[..., Any]]]:
    """Functions that ask, by the namespace or class they are in."""
    places = {
        name: import_module(place) for name, place in NAMESPACES if not place.endswith("toplevel")
    }
    found: dict[Any, list[Any]] = {place: [] for place in (*places.values(), Tensor)}
    for function, name in _functions().items():
        home = name.rpartition(".")[0].replace("torch.functional", "torch")
        found[places.get(home, Tensor)].append(function)
    for value in vars(Tensor).values():
        if isinstance(value, property):
            found[Tensor].append(value.__get__)
    return found


def get_testing_overrides() -> dict[Callable[..., Any], Callable[..., Any]]:
    """For each function that asks one that takes the same arguments, and returns -1."""
    found = [f for functions in get_overridable_functions().values() for f in functions]
    return {f: lambda *args, **kwargs: -1 for f in found}
