"""What the schema of an operator says: ``(Tensor x, float by=2.0) -> Tensor``."""

from __future__ import annotations

import re
from typing import Any

from rushlight.core.tensor import Tensor


class Parameters:
    """What a schema says of an operator's arguments: names, defaults, which are written to."""

    def __init__(self, schema: str) -> None:
        found = re.match(r"\((.*)\)\s*->\s*(.*)", schema.strip())
        if found is None:
            raise RuntimeError(f"schema {schema!r} is not of the form '(Tensor x) -> Tensor'.")
        self.silent = found[2] == "()"  # nothing is returned
        self.names: list[str] = []
        self.kinds: list[str] = []
        self.defaults: dict[str, Any] = {}
        self.written: list[str] = []
        self.positional: int | None = None  # how many come before those by name only
        for part in re.split(r",\s*(?![^\[\(]*[\]\)])", found[1]):
            if part.strip() == "*":
                self.positional = len(self.names)
            if part.strip() in ("", "*"):
                continue
            kind, _, rest = part.strip().rpartition(" ")
            name, has_default, default = rest.partition("=")
            self.names.append(name)
            self.kinds.append(kind)
            if has_default:
                self.defaults[name] = _value(default)
            if "!" in kind:
                self.written.append(name)

    def sort(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """One value for each parameter, in order."""
        if len(args) > len(self.names):
            raise RuntimeError(
                f"{name}() expected at most {len(self.names)} argument(s) but received {len(args)}."
            )
        values = []
        for at, (p, kind) in enumerate(zip(self.names, self.kinds, strict=True)):
            if at < len(args):
                value = args[at]
            elif p in kwargs:
                value = kwargs.pop(p)
            elif p in self.defaults:
                value = self.defaults[p]
            else:
                raise RuntimeError(f"{name}() is missing value for argument '{p}'.")
            if re.fullmatch(r"Tensor(\(.*\))?", kind) and not isinstance(value, Tensor):
                raise RuntimeError(
                    f"{name}() Expected a value of type 'Tensor' for argument '{p}' but instead "
                    f"found type '{type(value).__name__}'."
                )
            values.append(value)
        if kwargs:
            raise RuntimeError(f"{name}(): Unknown keyword argument '{next(iter(kwargs))}'.")
        return tuple(values)

    def refused(self, values: tuple[Any, ...]) -> str:
        """The first parameter that does not take its value, whose type tells overloads apart."""
        for name, kind, value in zip(self.names, self.kinds, values, strict=True):
            lists = kind.endswith("]") and not isinstance(value, (list, tuple))
            words = kind == "str" and not isinstance(value, str)
            several = isinstance(value, Tensor) and value.numel() != 1
            if lists or words or (several and not kind.startswith("Tensor")):
                return name
        return ""


def _value(text: str) -> Any:
    words = {"None": None, "True": True, "False": False}
    if text in words:
        return words[text]
    if text[:1] in "\"'":
        return text[1:-1]
    try:
        return int(text)
    except ValueError:
        return float(text)
