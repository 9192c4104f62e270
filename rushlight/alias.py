"""``import torch`` that gives rushlight, for programs that are to run as they are.

Note [Aliases]
``torch.x.y`` and ``rushlight.x.y`` are one module object under two names in ``sys.modules``, so
classes, settings and the random engine are shared, whichever name a program uses. The package's
own ``__name__`` is torch from then on, for programs that find functions by name.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from types import ModuleType
from typing import Any

NAMES = {"torch": "rushlight", "torchvision": "rushlight.vision"}


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds ``torch.x`` as ``rushlight.x``, and ``torchvision.x`` as ``rushlight.vision.x``."""

    def find_spec(
        self, fullname: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A spec for names below torch and torchvision, None for others."""
        if fullname.partition(".")[0] in NAMES:
            return importlib.util.spec_from_loader(fullname, self)
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
                f"No module named {spec.name!r}: rushlight, which stands in for {top}, has none.",
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
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
    package.__name__ = "torch"
