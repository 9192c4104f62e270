"""``import torch`` that gives rushlight, for programs that are to run as they are.

Note [Aliases]
``torch.x.y`` and ``rushlight.x.y`` are one module object under two names in ``sys.modules``, so
classes, settings and the random engine are shared, whichever name a program uses. The package's
own ``__name__`` is torch from then on, for programs that find functions by name, and so is the
``__module__`` of what programs print the type of: tensors, layers, optimizers and the like.

Note [Objects that answer]
Functions ask objects that are no tensors for ``__torch_function__`` only after somebody said that
there are such (see Note [Asking]). A program that is to run as it is does not say so, but it or a
library of its defines a class with that method: the text of each module that is imported is
searched for the word.

Note [Compiled parts]
What other libraries compiled against PyTorch's C++ cannot be loaded. torchaudio does without its
compiled part where that is not installed: its function that loads it says so.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from rushlight.absent import reason
from rushlight.config import package_names
from rushlight.core.overrides import switch
from rushlight.serialization.names import PARTS

NAMES = {
    "torch": "rushlight",
    "torchvision": "rushlight.vision",
    "functorch": "rushlight.functorch",
}
# whose classes say that they are torch's
SHOWN = re.compile(r"rushlight\.(nn|optim|distributions|utils\.data|vision)\b")
# where classes of the package itself are at home
BELOW = tuple(f"rushlight.{m}" for m in ("_C", "autograd.grad_mode", "storage", "torch_version"))
# modules of ours whose classes torch and torchvision have elsewhere
ELSEWHERE = {
    **PARTS,
    "rushlight.vision.datasets.base": "torchvision.datasets.vision",
    "rushlight.vision.transforms.functional.kinds": "torchvision.transforms.functional",
    **{
        f"rushlight.vision.transforms.{name}": "torchvision.transforms.transforms"
        for name in ("batch", "color", "containers", "convert", "crops", "geometry")
    },
}
# functions that load a library's compiled parts and answer whether they are there
LOADERS = {"torchaudio._extension.utils": "_load_lib"}


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds ``torch.x`` as ``rushlight.x``, ``torchvision.x`` as ``rushlight.vision.x``, and
    ``functorch``.
    """

    def find_spec(
        self, fullname: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A spec for names below those of NAMES, and for our modules whose classes say so;
        None for others, which it searches.
        """
        if fullname.partition(".")[0] in NAMES:
            return importlib.util.spec_from_loader(fullname, self)
        shown = SHOWN.match(fullname)
        if not shown and switch.stays and fullname not in LOADERS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is None or not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            return None
        if shown:
            spec.loader = Showing(fullname, spec.loader.path)
            return spec
        if not fullname.startswith("rushlight."):
            search(spec.loader.path)
        if fullname in LOADERS:
            spec.loader = Uncompiled(fullname, spec.loader.path)
            return spec
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """The module of ours."""
        top, dot, rest = spec.name.partition(".")
        name = NAMES[top] + dot + rest
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
            raise ModuleNotFoundError(
                f"No module named {spec.name!r}: rushlight, which stands in for {top}, has none"
                f"{reason(rest.rpartition('.')[2]) or '.'}",
                name=spec.name,
            ) from None
        self.own = {name: getattr(module, name) for name in ("__spec__", "__loader__")}
        for below in [other for other in sys.modules if other.startswith(name + ".")]:
            # with the package, so that importing one is not to set it in the place of its function
            sys.modules.setdefault(spec.name + below.removeprefix(name), sys.modules[below])
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Undo what the import system wrote into the module, and name the modules in it that are
        loaded. Where a function has its module's name, the package keeps the function: importing
        a new module would put the module there.
        """
        assert module.__spec__ is not None
        alias = module.__spec__.name
        vars(module).update(self.own)
        ours = f"{self.own['__spec__'].name}."
        for name in [n for n in sys.modules if n.startswith(ours)]:
            sys.modules.setdefault(f"{alias}.{name.removeprefix(ours)}", sys.modules[name])


class Showing(importlib.machinery.SourceFileLoader):
    """Loads a module of ours whose classes say that they are torch's."""

    def exec_module(self, module: ModuleType) -> None:
        """Run it, and rename its classes."""
        super().exec_module(module)
        show_as_torch(module)


class Uncompiled(importlib.machinery.SourceFileLoader):
    """Loads a module whose library is to do without its compiled parts: see Note [Compiled
    parts]."""

    def exec_module(self, module: ModuleType) -> None:
        """Run it, and let its function find nothing to load."""
        super().exec_module(module)
        setattr(module, LOADERS[module.__name__], lambda name: False)


def show_as_torch(module: ModuleType) -> None:
    """The classes that are at home in a module say that they are in the one of that name below
    torch, which it is from now on.
    """
    home = module.__spec__.name  # type: ignore[union-attr]  # it was imported
    whole = module is sys.modules["rushlight"]  # which Finder makes torch
    if not whole and home not in ELSEWHERE:
        sys.modules.setdefault(_shown(home), module)
    for value in vars(module).values():
        if isinstance(value, type) and value.__module__ in (home, *(BELOW if whole else ())):
            value.__module__ = _shown(value.__module__)


def _shown(home: str) -> str:
    """What a module of ours is called in programs."""
    if home in ELSEWHERE:
        return ELSEWHERE[home]
    if home.startswith("rushlight.vision"):
        return "torchvision" + home.removeprefix("rushlight.vision")
    return "torch" + home.removeprefix("rushlight")


def search(path: str) -> None:
    """Functions ask objects from now on if a file speaks of ``__torch_function__``."""
    file = Path(path)
    if file.suffix == ".py" and file.is_file() and b"__torch_function__" in file.read_bytes():
        switch.stay_on()


def install() -> None:
    """From now on ``import torch`` in this process gives rushlight, and ``import torchvision`` its
    ``vision``, also where PyTorch is installed. Call it before the first import of either.

    Raises:
        ImportError: PyTorch itself has been imported already.

    Example:
        >>> import rushlight.alias
        >>> rushlight.alias.install()  # doctest: +SKIP
        >>> import torch  # doctest: +SKIP
        >>> torch.__spec__.name, torch.__name__  # doctest: +SKIP
        ('rushlight', 'torch')
    """
    loaded, package = sys.modules.get("torch"), sys.modules["rushlight"]
    if loaded is not None and loaded is not package:
        raise ImportError("torch has been imported already: call rushlight.alias.install() first.")
    if any(isinstance(finder, Finder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, Finder())
    package.__name__ = "torch"
    package_names.append("torch")
    for name, module in list(sys.modules.items()):
        if name == "rushlight" or SHOWN.match(name):
            show_as_torch(module)
    search(sys.argv[0])
