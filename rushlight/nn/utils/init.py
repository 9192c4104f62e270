"""Making a module without taking its parameters' values from the generator."""

from __future__ import annotations

from inspect import signature
from typing import Any

from rushlight.nn.modules.module import Module
from rushlight.tensor_api.random import get_rng_state, set_rng_state

__all__ = ["skip_init"]


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Module:
    """Return ``module_cls(*args, **kwargs)`` whose parameters' values are not to be relied on.

    The generator's state is as before. For values that are loaded or set afterwards.

    Args:
        module_cls: class of the module; its constructor takes `device`.
        *args: for the constructor.
        **kwargs: for the constructor.

    Example:
        >>> nn.utils.skip_init(nn.Linear, 3, 2)
        Linear(in_features=3, out_features=2, bias=True)
    """
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    state = get_rng_state()
    module = module_cls(*args, **kwargs)
    set_rng_state(state)
    return module
