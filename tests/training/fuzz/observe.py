"""A program run by a library, and all that it let be seen."""

from __future__ import annotations

import copy
import linecache
import signal
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import rushlight

LIMIT = 120  # seconds for one run
NAME = "<network>"  # of a program's text, in tracebacks


@dataclass
class Seen:
    """What a run showed: names with values, the error that ended it and its line, warnings."""

    values: list[tuple[str, str, Any]] = field(default_factory=list)
    error: tuple[type, str, int] | None = None
    said: list[str] = field(default_factory=list)

    def see(self, name: str, value: Any, lib: Any) -> None:
        """Note a value, and those within it."""
        if isinstance(value, lib.Tensor):
            kind = f"{value.dtype}{' that requires grad' if value.requires_grad else ''}"
            self.values.append((name, kind, np.array(value.detach().numpy())))
        elif isinstance(value, dict | list | tuple):
            items = dict(value if isinstance(value, dict) else enumerate(value))
            self.values.append((name, type(value).__name__, str(list(items))))
            for key, item in items.items():
                self.see(f"{name}.{key}", item, lib)
        elif isinstance(value, float):
            self.values.append((name, "float", np.array(value)))
        else:
            self.values.append((name, type(value).__name__, str(value)))


def observe(text: str, mode: str = "torch", jitter: float = 0.0, seed: int = 0) -> Seen:
    """Run a program.

    Args:
        mode: "torch", or with rushlight "eager", "step" or "model": what is compiled.
        jitter: size of the relative change that the first weights get.
        seed: of that change.
    """
    lib: Any = torch if mode == "torch" else rushlight
    seen, random = Seen(), np.random.default_rng(seed)

    def jittered(net: Any) -> None:
        with lib.no_grad():
            for p in net.parameters() if jitter else ():
                change = 1 + jitter * random.standard_normal(tuple(p.shape))
                p.mul_(lib.as_tensor(change).to(p.dtype))

    env = {"torch": lib, "copy": copy, "jitter": jittered, "__name__": "network"}
    env["see"] = lambda name, value: seen.see(f"{len(seen.values)} {name}", value, lib)
    for what in ("step", "model"):
        env[f"compiled_{what}"] = lib.compile if mode == what else lambda function: function
    linecache.cache[NAME] = (len(text), None, text.splitlines(keepends=True), NAME)
    with warnings.catch_warnings(record=True) as log, limited():
        warnings.simplefilter("always")
        try:
            exec(compile(text, NAME, "exec"), env)
        except Exception as error:
            lines = [f.lineno for f in traceback.extract_tb(error.__traceback__)]
            names = [f.filename for f in traceback.extract_tb(error.__traceback__)]
            line = lines[max([k for k, name in enumerate(names) if name == NAME], default=0)]
            kind = next(c for c in type(error).__mro__ if c.__module__ == "builtins")
            seen.error = (kind, str(error), line or 0)
        finally:
            lib.set_default_dtype(lib.float32)
    seen.said = [str(w.message) for w in log if "compile: " in str(w.message)]
    if lib is rushlight:
        rushlight.compiler.reset()
    return seen


@contextmanager
def limited() -> Iterator[None]:
    """What takes too long ends in a TimeoutError."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"more than {LIMIT} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
