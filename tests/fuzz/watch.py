"""What a program does to memory, watched on torch: in which respects results can be compared."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.fuzz.program import Machine, Ref, Step

NOT_WRITES = {"requires_grad_", "detach_", "retain_grad", "register_hook"}
IN_PLACE_OPERATORS = {"iadd", "isub", "imul", "itruediv", "ipow", "ifloordiv", "imod", "setitem"}

# Results that keep the order of their inputs in memory, as NumPy's elementwise functions do.
ORDER_KEEPING = {
    "add", "sub", "mul", "truediv", "pow", "neg", "lt", "le", "gt", "ge", "eq", "ne", "maximum",
    "minimum", "sin", "cos", "tanh", "sigmoid", "relu", "abs", "square", "exp", "sqrt", "sign",
    "floor", "ceil", "round", "trunc", "log1p", "atan", "floordiv", "mod", "div", "fmod",
    "remainder", "atan2",
}  # fmt: skip

# torch composes these of several operations, which shows in the result's version and layout.
COMPOSED = {"matmul", "einsum"}


def writes(step: Step) -> bool:
    """Whether its first argument (or `out`) is written."""
    if step.kind == "operator":
        return step.name in IN_PLACE_OPERATORS
    if step.kind == "method":
        return (
            step.name.endswith("_") and not step.name.endswith("__") and step.name not in NOT_WRITES
        )
    return "out" in step.kwargs


def memory_of(t: Any) -> np.ndarray:
    """An array over the same memory (of some dtype of the same size when NumPy has none)."""
    t = t.detach()
    if str(t.dtype) == "torch.bfloat16":
        t = t.view(_torch().int16)
    return as_numpy(t)


def as_numpy(t: Any) -> np.ndarray:
    """The tensor's memory; gradients that torch knows to be zero have none, and give new zeros."""
    try:
        return t.numpy()
    except RuntimeError:
        return t.numpy(force=True)


def _torch() -> Any:
    import torch

    return torch


class Watch:
    """Notes for each tensor.

    `loose`: its strides are an accepted difference. `foreign`: it came out of ``grad()``, and
    whether it shares memory with anything is the library's business. `unversioned`: nor is its
    version compared. `derived`: computed from the result of a ``grad()``. `used`: something was
    computed from it. `partial`: the last backward pass failed on its way, so that gradients and
    hooks are half done. `recorded`: some pass ran with create_graph.
    """

    def __init__(self) -> None:
        self.loose: set[Ref] = set()
        self.foreign: set[Ref] = set()
        self.unversioned: set[Ref] = set()
        self.derived: set[Ref] = set()
        self.used: set[Ref] = set()
        self.partial = self.recorded = False

    def after(self, step: Step, machine: Machine, outcome: Any) -> None:
        """Note what `step` made; runs after it, on torch."""
        inputs = [r for r in step.refs() if r in machine.tensors]
        self.recorded = self.recorded or bool(step.kwargs.get("create_graph"))
        if outcome.made:
            self.used.update(inputs)
        if step.kind == "set" and step.name == "data" and outcome.error is None:
            self._inherit(step.args[0], inputs)
        if step.name in COMPOSED and "out" in step.kwargs:
            target = memory_of(machine.tensors[step.kwargs["out"]])
            for ref, t in machine.tensors.items():
                if np.may_share_memory(target, memory_of(t)):
                    self.unversioned.add(ref)
        for index in range(outcome.made):
            ref = Ref(step.id, index)
            if step.kind == "grad" or any(r in self.derived for r in inputs):
                self.derived.add(ref)
            self._note(ref, step, inputs, machine)

    def _inherit(self, ref: Ref, inputs: list[Ref]) -> None:
        for marks in (self.loose, self.foreign, self.unversioned):
            if any(r in marks for r in inputs):
                marks.add(ref)

    def _note(self, ref: Ref, step: Step, inputs: list[Ref], machine: Machine) -> None:
        if step.kind == "grad":
            self.loose.add(ref), self.foreign.add(ref), self.unversioned.add(ref)
            return
        if step.kind == "get" and step.name == "grad":
            self.loose.add(ref), self.unversioned.add(ref)
            if any(r in self.foreign for r in inputs):
                self.foreign.add(ref)
            return
        if step.name in COMPOSED:
            self.unversioned.add(ref), self.loose.add(ref)
        made = machine.tensors[ref]
        array = memory_of(made)
        operands = [memory_of(machine.tensors[r]) for r in inputs]
        if not array.size or any(np.may_share_memory(array, a) for a in operands):
            self._inherit(ref, inputs)
        elif any(r in self.loose for r in inputs) or not self._expected_layout(
            step, machine, array
        ):
            self.loose.add(ref)

    @staticmethod
    def _expected_layout(step: Step, machine: Machine, made: np.ndarray) -> bool:
        operands = [memory_of(machine.resolve(a)) for a in step.args if isinstance(a, Ref)]
        if step.name.strip("_") in ORDER_KEEPING and step.kind != "set":
            arrays = operands + [
                a.values for a in step.args if not isinstance(a, Ref) and hasattr(a, "values")
            ]
            if "alpha" in step.kwargs and any(0 in a.strides for a in arrays):
                return False  # what was expanded is scaled first
            kinds = {str(a.dtype) for a in arrays}
            if any(0 in a.strides for a in arrays) and (
                len(kinds) > 1 or kinds & {"float16", "int16"}
            ):
                return False  # repeated elements are laid out anew when they are converted
            if 1 <= len(arrays) <= 2:
                predicted = np.not_equal(arrays[0], arrays[-1])
                return _element_strides(predicted) == _element_strides(made)
        return bool(made.flags.c_contiguous) and all(a.flags.c_contiguous for a in operands[1:])


def _element_strides(a: np.ndarray) -> tuple[int, ...]:
    if a.size == 0:
        return ()
    return tuple(s // a.itemsize for s, n in zip(a.strides, a.shape, strict=True) if n > 1)
