"""A program is a list of steps; a step is plain data and runs on any library with torch's API."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Ref:
    """The tensor that step `step` returned as its result number `index`."""

    step: int
    index: int = 0


@dataclass(frozen=True)
class Array:
    """A tensor made on the spot from these values."""

    values: np.ndarray


@dataclass(frozen=True)
class DType:
    """A dtype by its public name."""

    name: str


@dataclass(frozen=True)
class Step:
    """One instruction.

    `kind` says how `name` is used: create, method, function, operator, get, set, hook, unhook,
    backward or grad. `recording` is False for a step under ``no_grad``.
    """

    id: int
    kind: str
    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    recording: bool = True

    @property
    def label(self) -> str:
        return f"{self.kind} {self.name}".strip()

    def refs(self) -> set[Ref]:
        """The tensors it reads or writes."""
        return set(_refs((self.args, tuple(self.kwargs.values()))))


def _refs(value: Any) -> Iterator[Ref]:
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _refs(item)


class Missing(Exception):
    """The step needs a tensor that does not exist here (its step failed, or was cut out)."""


# What an operation may raise. Anything else is a bug of the library that runs.
EXPECTED = (RuntimeError, IndexError, ValueError, TypeError, NotImplementedError)


class Machine:
    """Performs steps on `lib`, a module with torch's API, and keeps what they return."""

    def __init__(self, lib: Any, jitter: float = 0.0) -> None:
        self.lib, self.jitter = lib, jitter
        self.tensors: dict[Ref, Any] = {}
        self.hook_log: list[tuple[int, Any]] = []
        self.handles: dict[int, Any] = {}

    def perform(self, step: Step) -> tuple[list[Any], Any]:
        """Do it; returns the new tensors and any other result."""
        args = [self.resolve(a) for a in step.args]
        kwargs = {name: self.resolve(a) for name, a in step.kwargs.items()}
        if step.recording:
            result = getattr(self, "_" + step.kind)(step, args, kwargs)
        else:
            with self.lib.no_grad():
                result = getattr(self, "_" + step.kind)(step, args, kwargs)
        made, plain = self._sort_out(result, [] if step.kind == "create" else args)
        for index, t in enumerate(made):
            self.tensors[Ref(step.id, index)] = t
        return made, plain

    def resolve(self, value: Any) -> Any:
        """A step's argument as the library's object."""
        if isinstance(value, Ref):
            if value not in self.tensors:
                raise Missing
            return self.tensors[value]
        if isinstance(value, Array):
            return self._tensor(value.values)
        if isinstance(value, DType):
            return getattr(self.lib, value.name)
        if isinstance(value, (tuple, list)):
            return type(value)(self.resolve(item) for item in value)
        return value

    def _tensor(self, values: np.ndarray) -> Any:
        values = values.copy()
        if self.jitter and values.dtype.kind in "fc":
            values += self.jitter * np.finfo(values.dtype).eps * (1 + abs(values))
        return self.lib.from_numpy(values)

    def _sort_out(self, result: Any, args: list[Any]) -> tuple[list[Any], Any]:
        Tensor = self.lib.Tensor
        if isinstance(result, Tensor):
            returned_itself = any(result is a for a in args)
            return ([], "itself") if returned_itself else ([result], None)
        if isinstance(result, (tuple, list)) and all(
            isinstance(r, Tensor) or r is None for r in result
        ):
            return [r for r in result if r is not None], [r is None for r in result]
        return [], result if isinstance(result, (bool, int, float, complex)) else None

    def _create(self, step: Step, args: list[Any], kwargs: dict[str, Any]) -> Any:
        t = args[0].to(kwargs["dtype"]) if "dtype" in kwargs else args[0]
        return t.requires_grad_() if kwargs.get("requires_grad") else t

    def _method(self, step: Step, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return getattr(args[0], step.name)(*args[1:], **kwargs)

    def _function(self, step: Step, args: list[Any], kwargs: dict[str, Any]) -> Any:
        function = self.lib
        for part in step.name.split("."):
            function = getattr(function, part)
        return function(*args, **kwargs)

    def _operator(self, step: Step, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return getattr(operator, step.name)(*args)

    def _get(self, step: Step, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return getattr(args[0], step.name)

    def _set(self, step: Step, args: list[Any], kwargs: dict[str, Any]) -> None:
        value = args[1].detach() if step.name == "data" else args[1]
        setattr(args[0], step.name, value)

    def _hook(self, step: Step, args: list[Any], kwargs: dict[str, Any]) -> None:
        if args[0].grad_fn is None and not args[0].is_leaf:  # see footguns: torch would crash
            raise Missing

        def hook(g: Any) -> Any:
            if g is None:  # see footguns: sibling outputs
                return None
            g = g.grad if step.name == "register_post_accumulate_grad_hook" else g
            self.hook_log.append((step.id, None if g is None else g.detach().clone()))
            return g * 2.0 if kwargs.get("doubles") else None

        self.handles[step.id] = getattr(args[0], step.name)(hook)

    def _unhook(self, step: Step, args: list[Any], kwargs: dict[str, Any]) -> None:
        if args[0] not in self.handles:
            raise Missing
        self.handles[args[0]].remove()

    def _backward(self, step: Step, args: list[Any], kwargs: dict[str, Any]) -> None:
        if step.name == "weighted":
            (args[0] * args[1]).sum().backward(**kwargs)
        else:
            args[0].backward(args[1], **kwargs)

    def _grad(self, step: Step, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return self.lib.autograd.grad((args[0] * args[0]).sum(), args[1], **kwargs)
