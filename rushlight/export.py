"""Export of programs: not supported. The names are here so that programs that only mention them
run; exporting raises, saying what to do instead.
"""

from __future__ import annotations

from typing import Any, NoReturn

from rushlight.absent import FAMILIES, GRAPHS
from rushlight.errors import NotSupportedError

__all__ = ["Dim", "ExportedProgram", "draft_export", "export", "load", "save"]


def _refuse(name: str) -> NoReturn:
    raise NotSupportedError(f"export.{name}: {FAMILIES[GRAPHS]}")


class ExportedProgram:
    """A program that was exported: for annotations and ``isinstance``, making one raises."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse("ExportedProgram")


class Dim:
    """A size that may change: making one raises."""

    def __init__(self, name: str, *, min: int | None = None, max: int | None = None) -> None:
        _refuse("Dim")


def export(mod: Any, args: Any = (), kwargs: Any = None, **options: Any) -> NoReturn:
    """Raises: programs are not exported."""
    _refuse("export")


def draft_export(mod: Any, args: Any = (), kwargs: Any = None, **options: Any) -> NoReturn:
    """Raises: programs are not exported."""
    _refuse("draft_export")


def save(ep: Any, f: Any, **options: Any) -> NoReturn:
    """Raises: programs are not exported."""
    _refuse("save")


def load(f: Any, **options: Any) -> NoReturn:
    """Raises: files of exported programs are PyTorch's."""
    _refuse("load")


class _OfTorchScript:
    """What programs annotate or ask whether something is one: nothing is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        name = type(self).__name__
        raise NotSupportedError(f"_C.{name}: there is no TorchScript; torch.fx makes graphs.")


class Graph(_OfTorchScript):
    """A graph of TorchScript."""


class Value(_OfTorchScript):
    """A value in a graph of TorchScript."""


class ScriptObject(_OfTorchScript):
    """An object of a class that TorchScript knows."""


class DeviceObjType(_OfTorchScript):
    """The type of devices in TorchScript."""
