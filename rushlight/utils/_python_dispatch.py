"""Python code in the place of every operation: not available."""

from __future__ import annotations

from typing import Any

from rushlight.errors import NotSupportedError


class TorchDispatchMode:
    """A class to derive from; entering it raises."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __enter__(self) -> Any:
        raise NotSupportedError(
            "TorchDispatchMode: operations cannot be replaced. Use hooks of modules, or profiler "
            "to see which operations run."
        )

    def __exit__(self, *exception: Any) -> None:
        pass


def is_traceable_wrapper_subclass(t: Any) -> bool:
    """Whether a tensor is made of others, which programs would save instead: there is no such."""
    return False


is_traceable_wrapper_subclass_type = is_traceable_wrapper_subclass
