"""``torch.jit``: programs that script or trace a module run, with the module itself. There is no
TorchScript here.
"""

from __future__ import annotations

from typing import Any
from typing import Final as Final

from rushlight.errors import NotSupportedError


def script(obj: Any, *args: Any, **kwargs: Any) -> Any:
    """The function or module itself: it already runs.

    Example:
        >>> import rushlight as torch
        >>> torch.jit.script(torch.nn.ReLU())(torch.tensor([-1.0, 1.0]))
        tensor([0., 1.])
    """
    return obj


def trace(func: Any, example_inputs: Any = None, *args: Any, **kwargs: Any) -> Any:
    """The function or module itself, after one run with the example inputs to see that it works."""
    if example_inputs is not None:
        func(*example_inputs) if isinstance(example_inputs, tuple) else func(example_inputs)
    return func


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


def isinstance_(obj: Any, target_type: Any) -> bool:
    """``isinstance`` for annotations."""
    return isinstance(obj, target_type)


def save(m: Any, f: Any, *args: Any, **kwargs: Any) -> None:
    """TorchScript files cannot be written."""
    raise NotSupportedError(
        "jit.save: TorchScript files are not supported; save the state_dict with "
        "torch.save(m.state_dict(), f)."
    )


def load(f: Any, *args: Any, **kwargs: Any) -> Any:
    """TorchScript files cannot be read."""
    raise NotSupportedError(
        "jit.load: TorchScript files are not supported; load a state_dict into a model with "
        "load_state_dict."
    )


ScriptModule = type("ScriptModule", (), {})
