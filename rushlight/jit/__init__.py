"""``torch.jit``: programs that script or trace a module run, in Python. There is no TorchScript.

A scripted module is the module itself under another class: it shares all its state, is printed as
torch prints it, and has ``save``. Files hold the pickled module; only rushlight reads them, and the
module's class has to be importable.
"""

from __future__ import annotations

import contextlib
import copy
import dis
import functools
import inspect
import pickle
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from types import FunctionType, TracebackType, UnionType
from typing import Any, Final as Final, Union, get_args, get_origin

from rushlight import serialization
from rushlight.errors import NotSupportedError
from rushlight.futures import Future as Future
from rushlight.nn.modules.module import Module


class TracerWarning(Warning):
    """What PyTorch's tracer warns of, for programs that ignore it: here it has nothing to say."""


class Error(Exception):
    """What scripted code raised by ``assert`` and ``raise``."""


def _checked(error: Exception) -> Exception:
    """An `Error` for what scripted code raised, a RuntimeError for whatever else went wrong in it:
    an operation refused something, or a list has no such item.
    """
    if isinstance(error, (Error, RuntimeError)) and _from_package(error):
        return error
    kind = type(error).__name__
    text = f"{kind}: {error}" if str(error) else kind
    return Error(text) if _raised(error) and not _from_package(error) else RuntimeError(text)


def _place(error: Exception) -> TracebackType:
    """The innermost place that an error went through."""
    place = error.__traceback__
    assert place is not None
    while place.tb_next is not None:
        place = place.tb_next
    return place


def _from_package(error: Exception) -> bool:
    """Whether it arose in the package, and so in an operation."""
    return _place(error).tb_frame.f_globals.get("__name__", "").startswith("rushlight")


def _raised(error: Exception) -> bool:
    """Whether a ``raise`` or an ``assert`` made it, not another instruction of Python."""
    place = _place(error)
    return place.tb_frame.f_code.co_code[place.tb_lasti] == dis.opmap["RAISE_VARARGS"]


class ScriptModule(Module):
    """What `script` and `trace` make of a module."""

    _traced = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except Exception as error:
            raise _checked(error)  # noqa: B904

    @property
    def original_name(self) -> str:
        """The name of the module's own class."""
        return self._original_class().__name__

    @property
    def code(self) -> str:
        """The source of ``forward``."""
        return _source(self._original_class().forward)

    def save(self, f: Any, **kwargs: Any) -> None:
        """Write the module to the file ``f``; see `load`."""
        _save(self, f)

    def original(self) -> Module:
        """The same module, with the same state, under its own class."""
        return _under_class(self._original_class(), self)

    @classmethod
    def _original_class(cls) -> Any:
        return cls.__bases__[1]

    def __reduce__(self) -> Any:
        return (trace if self._traced else script), (self.original(),)

    def __repr__(self) -> str:
        return _scripted_text(self, self.original_name, self._traced)


class ScriptFunction:
    """What `script` and `trace` make of a function: a call runs it.

    Args:
        function: a function of Python.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.__wrapped__(*args, **kwargs)  # type: ignore[attr-defined]
        except Exception as error:
            raise _checked(error)  # noqa: B904  the error is its context, or itself

    @property
    def name(self) -> str:
        """The name of the function."""
        return str(self.__name__)  # type: ignore[attr-defined]

    @property
    def code(self) -> str:
        """The source of the function."""
        return _source(self.__wrapped__)  # type: ignore[attr-defined]

    def save(self, f: Any, **kwargs: Any) -> None:
        """Write the function to the file ``f``; see `load`."""
        _save(self, f)

    def __reduce__(self) -> Any:
        function = self.__wrapped__  # type: ignore[attr-defined]
        home = sys.modules.get(function.__module__)
        named = getattr(home, function.__qualname__, None) is self  # it has the function's name
        return function.__qualname__ if named else (ScriptFunction, (function,))

    def __repr__(self) -> str:
        return f"<torch.jit.ScriptFunction object at {hex(id(self))}>"


class RecursiveScriptModule(ScriptModule):
    """What `script` makes of a module."""


class TopLevelTracedModule(ScriptModule):
    """What `trace` makes of a module."""

    _traced = True


def _scripted_text(module: Any, name: str, traced: bool, label: str = "") -> str:
    def under(child: Any) -> bool:
        return child._traced if isinstance(child, ScriptModule) else traced

    kind = label + (name if traced else "RecursiveScriptModule")
    parts = [
        _scripted_text(m, getattr(m, "original_name", type(m).__name__), under(m), f"({n}): ")
        for n, m in module._modules.items()
        if m is not None
    ]
    if not parts:
        return f"{kind}(original_name={name})"
    lines = "\n".join([f"original_name={name}", *parts]).replace("\n", "\n  ")
    return f"{kind}(\n  {lines}\n)"


def _source(function: Any) -> str:
    return textwrap.dedent(inspect.getsource(function))


@functools.cache
def _scripted_class(base: type, original: type) -> type:
    return type(base.__name__, (base, original), {})


def _under_class(kind: Any, module: Module) -> Any:
    """``module`` seen as another class; attributes set on one are seen on the other."""
    other = object.__new__(kind)
    object.__setattr__(other, "__dict__", module.__dict__)
    return other


def _overload(function: Any) -> Any:
    """``function``: a mark for TorchScript, of which there is none."""
    return function


_overload_method = _overload


def _warn(name: str) -> None:
    """As PyTorch's, of a line of the package: Python shows that to those only who ask for it."""
    warnings.warn(
        f"`torch.jit.{name}` is deprecated. Please use `torch.compile`.",
        DeprecationWarning,
        stacklevel=1,
    )


def script(obj: Any, *args: Any, **kwargs: Any) -> Any:
    """The function or module with ``save`` and ``code``: Python runs it.

    Example:
        >>> import rushlight as torch
        >>> torch.jit.script(torch.nn.ReLU())(torch.tensor([-1.0, 1.0]))
        tensor([0., 1.])
    """
    _warn("script")
    return _scripted(obj)


def _scripted(obj: Any) -> Any:
    if isinstance(obj, Module) and not isinstance(obj, ScriptModule):
        return _under_class(_scripted_class(RecursiveScriptModule, type(obj)), obj)
    return ScriptFunction(obj) if isinstance(obj, FunctionType) else obj


def trace(func: Any, example_inputs: Any = None, *args: Any, **kwargs: Any) -> Any:
    """As `script`, after one run with the example inputs to see that it works."""
    _warn("trace")
    if example_inputs is not None:
        func(*example_inputs) if isinstance(example_inputs, (list, tuple)) else func(example_inputs)
    return _traced(func)


def _traced(func: Any) -> Any:
    if isinstance(func, Module) and not isinstance(func, ScriptModule):
        return _under_class(_scripted_class(TopLevelTracedModule, type(func)), func)
    return ScriptFunction(func) if isinstance(func, FunctionType) else func


def freeze(mod: Any, *args: Any, **kwargs: Any) -> Any:
    """A copy of a module in evaluation mode whose parameters need no gradients."""
    _warn("freeze")
    if mod.training:
        raise RuntimeError("jit.freeze: the module is in training mode; call eval() first.")
    return copy.deepcopy(mod).requires_grad_(False)


def optimize_for_inference(mod: Any, *args: Any, **kwargs: Any) -> Any:
    """The module."""
    _warn("optimize_for_inference")
    return mod


def script_if_tracing(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function."""
    return fn


_script_if_tracing = script_if_tracing  # copies of torchvision's detection code say this


def fork(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run ``func`` at once; `wait` gives its result."""
    _warn("fork")
    return func(*args, **kwargs)


def wait(future: Any) -> Any:
    """The result of `fork`."""
    _warn("wait")
    return future


def ignore(function: Any = None, **kwargs: Any) -> Any:
    """Decorator without effect."""
    return function if callable(function) else lambda f: f


unused = export = script_method = ignore


def is_scripting() -> bool:
    """Always False: Python runs."""
    return False


is_tracing = is_scripting


def annotate(the_type: Any, the_value: Any) -> Any:
    """The value."""
    return the_value


def _unwrap_optional(x: Any) -> Any:
    """The value, which is not None; copies of torchvision's detection code ask so."""
    assert x is not None, "Unwrapping null optional"
    return x


def isinstance_(obj: Any, target_type: Any) -> bool:
    """``isinstance`` for annotations: ``jit.isinstance([1], List[int])``."""
    if isinstance(target_type, tuple):
        return any(isinstance_(obj, kind) for kind in target_type)
    kind, parts = get_origin(target_type), get_args(target_type)
    if kind in (Union, UnionType):
        return any(isinstance_(obj, part) for part in parts)
    if not isinstance(obj, kind or (type(None) if target_type is None else target_type)):
        return False
    if kind is list:
        return all(isinstance_(x, parts[0]) for x in obj)
    if kind is dict:
        return all(all(map(isinstance_, item, parts)) for item in obj.items())
    if kind is tuple:
        return len(obj) == len(parts) and all(map(isinstance_, obj, parts))
    return True


def save(m: Any, f: Any, *args: Any, **kwargs: Any) -> None:
    """Write a scripted or traced module, or a function, to the file ``f``."""
    _warn("save")
    _save(m, f)


def _save(m: Any, f: Any) -> None:
    obj = m.original() if isinstance(m, ScriptModule) else getattr(m, "__wrapped__", m)
    try:
        serialization.save([isinstance(m, TopLevelTracedModule), obj], f)
    except (AttributeError, pickle.PicklingError) as error:
        raise NotSupportedError(
            "jit.save: the file refers to the module's class by name, so it has to be defined at "
            "the top of a Python file; or save the state_dict with torch.save(m.state_dict(), f)."
        ) from error


def load(f: Any, map_location: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Read what `save` wrote. Reading runs code from the file, so trust where it comes from."""
    _warn("load")
    try:
        traced, obj = serialization.load(f, map_location=map_location, weights_only=False)
    except (TypeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise NotSupportedError(
            "jit.load: the file was not written by rushlight's jit.save, and TorchScript files are "
            "not supported; load a state_dict into a model with load_state_dict."
        ) from error
    return _traced(obj) if traced else _scripted(obj)


def __getattr__(name: str) -> Any:
    """``isinstance`` is Python's in this file."""
    if name == "isinstance":
        return isinstance_
    raise AttributeError(f"module 'rushlight.jit' has no attribute {name!r}")


def trace_module(mod: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
    """As `trace`, after a run of each method of the module that ``inputs`` names."""
    _warn("trace_method")
    for name, values in inputs.items():
        method = getattr(mod, name)
        method(*values) if isinstance(values, (list, tuple)) else method(values)
    return _traced(mod)


def interface(obj: Any) -> Any:
    """Decorator without effect: the class."""
    _warn("interface")
    return obj


def Attribute(value: Any, type: Any) -> Any:
    """The value, whose type scripted code would be told."""
    return value


@contextlib.contextmanager
def optimized_execution(should_optimize: bool) -> Iterator[None]:
    """Context without effect."""
    yield
