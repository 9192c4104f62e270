"""``compile``: the front door of the compiler. The compiler itself is not there yet, so what is
compiled runs eagerly.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

BACKENDS = ("inductor", "eager", "aot_eager", "cudagraphs")
_warned = False


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
    name: str | None = None,
) -> Any:
    """A function or module that runs compiled; in this version it runs eagerly, with one warning
    per process.

    Args: as ``torch.compile``; they are checked and otherwise have no effect yet.

    Returns:
        The module itself, or a function that calls the given one; a decorator when ``model`` is
        left out.

    Example:
        >>> import rushlight as torch
        >>> double = torch.compile(lambda x: x * 2, disable=True)
        >>> double(torch.ones(2))
        tensor([2., 2.])
    """
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )
    if isinstance(backend, str) and backend not in BACKENDS:
        raise RuntimeError(f"Invalid backend: {backend!r}; expected one of {BACKENDS}.")
    if model is None:
        return lambda m: compile(
            m,
            fullgraph=fullgraph,
            dynamic=dynamic,
            backend=backend,
            mode=mode,
            options=options,
            disable=disable,
        )
    if not callable(model):
        raise RuntimeError(
            f"compile: expected a function or a module, but got {type(model).__name__}"
        )
    if not disable:
        warn_once()
    if hasattr(model, "state_dict"):
        return model

    @functools.wraps(model)
    def run(*args: Any, **kwargs: Any) -> Any:
        return model(*args, **kwargs)

    run._torchdynamo_orig_callable = model  # type: ignore[attr-defined]
    return run


def warn_once() -> None:
    """Say once that nothing is compiled."""
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            "compile: this version of rushlight has no compiler yet; the function runs eagerly.",
            UserWarning,
            stacklevel=3,
        )


def disable(
    fn: Callable[..., Any] | None = None, recursive: bool = True, *, reason: str | None = None
) -> Any:
    """Keep a function out of compilation: it runs eagerly."""
    return fn if fn is not None else lambda f: f


def is_compiling() -> bool:
    """Whether a function is being compiled."""
    return False


is_dynamo_compiling = is_compiling


def reset() -> None:
    """Forget everything that was compiled."""


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """Names that ``backend=`` accepts."""
    return ["inductor"]
