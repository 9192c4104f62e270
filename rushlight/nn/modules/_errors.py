"""What errors of modules say: where in the model they arose, and what was given for a tensor or a
module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rushlight.core.tensor import Tensor, kind_of

if TYPE_CHECKING:
    from rushlight.nn.modules.module import Module


def say_where(error: Exception, module: Module) -> None:
    """Note in an error from which module it came: its name in the outermost one that was called.

    Each module that the error passes through says it anew, and replaces what an inner one said.
    """
    culprit, said = getattr(error, "_raised_in", (module, None))
    name = next((name for name, m in module.named_modules() if m is culprit), None)
    if name is None:  # the modules in between are not registered with each other
        return
    what = type(culprit).__name__ if culprit._modules else repr(culprit)
    note = f"In {what}" + (f", which is {name!r} of {type(module).__name__}." if name else ".")
    if said is None:
        error.add_note(note)
    else:
        error.__notes__[error.__notes__.index(said)] = note
    error._raised_in = culprit, note  # type: ignore[attr-defined]


def instead(value: Any) -> str:
    """What to give for a module, where a list, a class or a function was given."""
    if isinstance(value, (list, tuple)):
        return "; spread its members: *layers"
    if isinstance(value, type):
        return "; make an instance of it: " + value.__name__ + "(...)"
    if callable(value):
        return "; functions are called in forward(), or have a module: nn.ReLU() for F.relu"
    return ""


OF_TENSORS = ("_array", "dim")  # what functions ask of a tensor first


def no_tensor(error: AttributeError, module: Module) -> TypeError | None:
    """What to raise where a list or a NumPy array was taken for a tensor; None if it was not."""
    kind = kind_of(error.obj)
    if error.name != "_array":  # which only tensors have
        if not isinstance(error.obj, (list, tuple, int, float)) and kind != "ndarray":
            return None
    better = TypeError(
        f"{type(module).__name__}: expected a Tensor, but got {kind}: make one of it with "
        "torch.as_tensor()."
    )
    say_where(better, module)
    return better


def type_name(value: Any) -> str:
    """What an error calls the type of `value`, as `torch.typename` does."""
    if isinstance(value, Tensor):
        return value.type()
    kind = type(value)
    module = kind.__module__.replace("rushlight", "torch", 1)
    return kind.__name__ if module == "builtins" else f"{module}.{kind.__name__}"
