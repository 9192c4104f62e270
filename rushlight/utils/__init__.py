"""Tools around training: ``data`` loads, ``checkpoint`` recomputes activations, ``tensorboard``
writes what its pages show, ``benchmark`` measures, ``summary`` lists layers, ``dlpack`` shares
memory, ``flop_counter`` counts what layers compute, ``weak`` has dictionaries that do not keep
their keys, ``module_tracker``, ``hooks``, and ``collect_env`` reports what is installed.
"""

import importlib
from typing import Any

from rushlight.core.tensor import Tensor

_LAZY = (
    "_foreach_utils",
    "_python_dispatch",
    "_pytree",
    "benchmark",
    "checkpoint",
    "collect_env",
    "cpp_extension",
    "data",
    "dlpack",
    "flop_counter",
    "hooks",
    "model_zoo",
    "module_tracker",
    "summary",
    "tensorboard",
    "weak",
)


def swap_tensors(t1: Tensor, t2: Tensor) -> None:
    """Exchange what two tensors are, while each stays the same object.

    Example:
        >>> import rushlight as torch
        >>> a, b = torch.zeros(1), torch.ones(2)
        >>> torch.utils.swap_tensors(a, b)
        >>> a, b
        (tensor([1., 1.]), tensor([0.]))
    """
    t1.__class__, t2.__class__ = t2.__class__, t1.__class__
    for name in Tensor.__slots__:
        if name != "__weakref__":
            a, b = getattr(t1, name), getattr(t2, name)
            setattr(t1, name, b)
            setattr(t2, name, a)


def __getattr__(name: str) -> Any:
    """Submodules are imported when first asked for."""
    if name in _LAZY:
        return importlib.import_module(f"rushlight.utils.{name}")
    raise AttributeError(f"module 'rushlight.utils' has no attribute {name!r}")
