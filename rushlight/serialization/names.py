"""Whose classes are whose: files name classes by PyTorch's module paths, and rushlight's are
elsewhere.

Layers and optimizers are in modules of the same names, so for them one prefix takes the place of
the other; `MOVED` lists the rest. All goes by name and is looked up only when a file or an object
asks for it.
"""

from __future__ import annotations

import importlib
import pickle
from typing import Any

from rushlight.config import is_own
from rushlight.tensor_api import typed_storage

_REBUILD = "rushlight.tensor_api.pickling"
_TYPED = "rushlight.tensor_api.typed_storage"
_PARAMETER = "rushlight.nn.parameter"

# Names whose places differ: PyTorch's (module, name) -> module here.
MOVED = {
    ("torch", "Tensor"): "rushlight.core.tensor",
    ("torch", "Size"): "rushlight.core.size",
    ("torch", "device"): "rushlight.devices",
    ("torch.storage", "UntypedStorage"): "rushlight.tensor_api.storage",
    ("torch.storage", "TypedStorage"): _TYPED,
    ("torch._tensor", "_rebuild_from_type_v2"): _REBUILD,
    ("torch._utils", "_rebuild_tensor"): _REBUILD,
    ("torch._utils", "_rebuild_tensor_v2"): _REBUILD,
    ("torch._utils", "_rebuild_tensor_v3"): _REBUILD,
    ("torch._utils", "_rebuild_meta_tensor_no_storage"): _REBUILD,
    ("torch._utils", "_rebuild_sparse_tensor"): _REBUILD,
    ("torch.serialization", "_get_layout"): _REBUILD,
    ("torch._utils", "_rebuild_parameter"): _PARAMETER,
    ("torch._utils", "_rebuild_parameter_with_state"): _PARAMETER,
    ("torch.optim", "Adafactor"): "rushlight.optim.adafactor",
    ("torch.optim", "Muon"): "rushlight.optim.muon",
}

_HOME_OF_MOVED = {(here, name): there for (there, name), here in MOVED.items()}
_HOME_OF_MOVED.update({(_TYPED, name): "torch" for name in typed_storage.NAMES})

# Files that hold a part of what is one module there.
PARTS = {
    "rushlight.nn.modules.adaptive_pooling": "torch.nn.modules.pooling",
    "rushlight.nn.modules.attention": "torch.nn.modules.activation",
    "rushlight.nn.modules.conv_transpose": "torch.nn.modules.conv",
    "rushlight.nn.modules._conv": "torch.nn.modules.conv",
    "rushlight.nn.modules.margin_loss": "torch.nn.modules.loss",
    "rushlight.nn.modules._loss": "torch.nn.modules.loss",
    "rushlight.nn.modules.rectifiers": "torch.nn.modules.activation",
    "rushlight.nn.modules.rnn_cells": "torch.nn.modules.rnn",
}

# What is one module there and a folder, or several files, here.
_FLAT = {
    "rushlight.nn.functional": "torch.nn.functional",
    "rushlight.tensor_api": "torch",
    "rushlight.core": "torch",
    "rushlight.linalg": "torch.linalg",
    **PARTS,
}

# PyTorch's modules for built-in functions -> where rushlight has them.
_BUILTIN = {"torch._C._nn": "torch.nn.functional", "torch._C": "torch"}


class UnknownNameError(pickle.UnpicklingError):
    """A file holds an object of a class that rushlight does not have."""


def torch_name(module: str, name: str) -> tuple[str, str]:
    """PyTorch's (module, name) for a class or function of ours; others keep theirs."""
    if not is_own(module):
        return module, name
    module = "rushlight" + module.removeprefix(module.partition(".")[0])
    if (module, name) in _HOME_OF_MOVED:
        return _HOME_OF_MOVED[module, name], name
    for folder, home in _FLAT.items():
        if (module + ".").startswith(folder + "."):
            return home, name
    return "torch" + module.removeprefix("rushlight"), name


def _look_up(module: str, name: str) -> Any:
    """``module.name``, or None when there is no such module or name."""
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not (module + ".").startswith(f"{error.name}."):
            raise  # the module is there, but lacks a library
        return None
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def find(module: str, name: str) -> Any:
    """What PyTorch calls ``module.name``. Imports modules of rushlight only.

    It is where `MOVED` says, or in the module of the same path, or in the nearest package above.
    """
    if (module, name) in MOVED:
        return _look_up(MOVED[module, name], name)
    if module in ("torch", "torch.cuda") and name in typed_storage.NAMES:
        return getattr(typed_storage, name)
    if (module, name) == ("torch._C", "_VariableFunctionsClass"):
        return importlib.import_module("rushlight")
    path = "rushlight" + _BUILTIN.get(module, module).removeprefix("torch")
    while path:
        found = _look_up(path, name)
        if found is not None:
            return found
        path = path.rpartition(".")[0]
    raise UnknownNameError(
        f"load: the file holds a {module}.{name}, which rushlight does not have. "
        "Save a state_dict() instead of the whole object, and load that."
    )
