"""Where rushlight differs from torch on purpose, and what torch leaves undefined.

Gradients that are zero because an empty window was used need not be recorded by ``create_graph``:
torch leaves them out for some views only, so `compare` does not look.

`avoided` names the steps that the generator does not make; `accepted` names differences that it
cannot foresee. Both give a reason, which the runner counts. `test_footguns.py` pins the behaviour.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from rushlight.errors import DTypeError
from tests.fuzz.observe import Outcome
from tests.fuzz.program import Machine, Ref, Step
from tests.fuzz.watch import Watch, memory_of, writes

LAYOUT_DECIDES = {
    "view", "reshape", "flatten", "unflatten", "contiguous", "ravel", "view_as", "reshape_as",
    "as_strided", "is_contiguous", "stride", "data_ptr",
}  # fmt: skip
STRICTER_ON_EXPANDED = {"masked_fill_", "setitem", "index_put_", "index_fill_", "masked_scatter_"}


# ---- not generated -----------------------------------------------------------------------------


def avoided(step: Step, machine: Machine, watch: Watch) -> str | None:
    """Why `step` is not worth comparing in the present state, or None. Asks torch's tensors."""
    first = step.args[0] if step.args and isinstance(step.args[0], Ref) else None
    if step.name in LAYOUT_DECIDES and any(r in watch.loose for r in step.refs()):
        return "a layout that differs decides between view and copy"
    if step.name == "as_strided" and machine.tensors[first]._is_view():
        return "outside of a view's window, torch's gradient depends on what was written since"
    if step.kind == "set" and step.name == "data":
        source = memory_of(machine.tensors[step.args[1]])
        if (
            first in watch.foreign
            or machine.tensors[first]._is_view()
            or _overlaps_itself(source)
            or 0 in source.strides
        ):
            return "the memory of a gradient, or of a view whose place stays, is exchanged"
        if _has_views(machine, first):
            return "torch's views keep their places in the memory that was there before"
    if step.kind == "hook" and first in watch.derived:
        return "gradients that are zero may be left out of the graph"
    if step.name == "requires_grad_" and not machine.tensors[first].numel():
        return "of an empty view it cannot be told which other tensors it shares memory with"
    if step.name in ("detach_", "requires_grad_") and first in watch.foreign:
        return "whether a gradient is a view is the library's business"
    if step.kind == "method" and _leaves_graph(step):
        if _has_views(machine, first):
            return "detach_ and requires_grad_(False) on a base cut its views off the graph"
        if first in watch.used:
            return "detach_ also changes what was saved of the tensor for second derivatives"
        if machine.handles:
            return "hooks of a tensor that left the graph still run in torch"
    if step.name == "fill_" and isinstance(step.args[1], Ref):
        if not machine.tensors[first].is_floating_point():
            return "in torch an integer tensor filled with a tracked tensor requires grad"
    if writes(step):
        return _avoided_write(step, machine, watch)
    return None


def _avoided_write(step: Step, machine: Machine, watch: Watch) -> str | None:
    target_ref = step.kwargs.get("out", step.args[0])
    if _cuts_off_leaf(machine, target_ref):
        return (
            "a leaf that is a view loses its own views when its base, without gradient, is written"
        )
    if target_ref in watch.foreign:
        return "whether a gradient is a view is the library's business"
    target = memory_of(machine.tensors[target_ref])
    if "out" in step.kwargs and any(
        _shared(target, r, machine) for r in step.refs() - {target_ref}
    ):
        return "laxer: out= may overlap the inputs, since it is written last"
    if "out" in step.kwargs and target_ref in step.args and "mul" in step.name:
        return "torch computes a product while it overwrites its factor"
    if (
        "out" in step.kwargs
        and "mul" in step.name
        and not machine.tensors[target_ref].is_contiguous()
    ):
        return "torch refuses some out= of products that are not contiguous"
    if _overlaps_itself(target):
        return "torch leaves writes to self-overlapping windows undefined"
    expanded = any(s == 0 and n > 1 for s, n in zip(target.strides, target.shape, strict=True))
    if expanded and step.name in STRICTER_ON_EXPANDED:
        return "stricter: writing a part of expanded memory raises"
    ordered = step.name in ("scatter_", "scatter_add_", "index_add_", "index_copy_")
    for ref in step.refs() - {target_ref}:
        if ref not in machine.tensors:
            continue
        if _gappy_overlap(target, memory_of(machine.tensors[ref]), allow_same=not ordered):
            return "torch leaves it undefined which of the overlapping elements is read first"
    return None


def _cuts_off_leaf(machine: Machine, ref: Ref) -> bool:
    target = machine.tensors[ref]
    return any(
        t._is_view() and t.requires_grad and not t._base.requires_grad and _related(target, t)
        for t in machine.tensors.values()
    )


def _related(a: Any, b: Any) -> bool:
    """Whether two tensors are views of one base, or otherwise share memory."""
    bases = [t if t._base is None else t._base for t in (a, b)]
    return bases[0] is bases[1] or np.may_share_memory(memory_of(a), memory_of(b))


def _shared(target: np.ndarray, ref: Ref, machine: Machine) -> bool:
    return ref in machine.tensors and np.may_share_memory(target, memory_of(machine.tensors[ref]))


def _leaves_graph(step: Step) -> bool:
    return step.name == "detach_" or (step.name == "requires_grad_" and False in step.args[1:])


def _has_views(machine: Machine, ref: Ref | None) -> bool:
    t = machine.tensors.get(ref)
    return t is not None and any(other._base is t for other in machine.tensors.values())


def _overlaps_itself(a: np.ndarray) -> bool:
    """Whether two indices share an element in another way than by expanding."""
    reach = 1
    steps = sorted(
        (abs(s) // a.itemsize, n) for s, n in zip(a.strides, a.shape, strict=True) if n > 1
    )
    for stride, n in steps:
        if stride and stride < reach:
            return True
        reach += stride * (n - 1)
    return False


def _gappy_overlap(a: np.ndarray, b: np.ndarray, allow_same: bool) -> bool:
    if a.size == 0 or b.size == 0 or not np.may_share_memory(a, b):
        return False
    if (
        allow_same
        and a.ctypes.data == b.ctypes.data
        and (a.shape, a.strides) == (b.shape, b.strides)
    ):
        return False
    return not (_dense(a) and _dense(b))


def _dense(a: np.ndarray) -> bool:
    """Whether the elements fill a stretch of memory without gaps or repetition."""
    reach = 1
    steps = sorted((s // a.itemsize, n) for s, n in zip(a.strides, a.shape, strict=True) if n > 1)
    for stride, n in steps:
        if stride != reach:
            return False
        reach *= n
    return True


# ---- recognised afterwards ---------------------------------------------------------------------

SAVED = re.compile("modified by an inplace|through the graph a second time|been freed|detached")
PRODUCT_SAVED = re.compile("modified by an inplace operation: (UnsafeView|Mm|Bmm|Matmul)Backward")
VIEW = re.compile(
    "created in no_grad mode|returns multiple views|could not infer output|only support"
)
LEAF = re.compile("leaf Variable")
KERNEL = re.compile("not implemented for '|not supported for complex")
OVERLAP = re.compile("single memory location|some elements of the input tensor")


def accepted(step: Step, machine: Machine, torchs: Outcome, ours: Outcome) -> str | None:
    """Why two outcomes may differ, or None. `machine` ran torch up to `step`."""
    if torchs.error is None:
        if ours.error is not None and "LerpBackward" in str(ours.error):
            return "stricter: lerp by a number keeps it, so its graph is freed"
        if PRODUCT_SAVED.search(str(ours.error)):
            return "stricter: a product keeps its factors, where torch keeps folded copies of some"
        if isinstance(ours.error, IndexError) and any(0 in shape for _, shape in torchs.kinds):
            return "stricter: indices out of range are refused for empty results too"
        if isinstance(ours.error, DTypeError) and any(0 in shape for _, shape in torchs.kinds):
            return "stricter: dtypes that do not fit are refused for empty tensors too"
        if isinstance(ours.error, NotImplementedError) and "not implemented for" in str(ours.error):
            return "stricter: a dtype that has no kernel is refused for empty tensors too"
        return None
    text = str(torchs.error)
    if VIEW.search(text) and ours.error is not None:
        return "two mistakes at once, of which another one is reported"
    if KERNEL.search(text) and (ours.error is None or isinstance(ours.error, RuntimeError)):
        return "dtypes that torch has no kernel for: laxer, or RuntimeError"
    if ours.error is not None:
        return None
    if "derivative for aten::floor_divide" in text:
        return "laxer: floor_divide raises only where its gradient is needed"
    if step.kind in ("backward", "grad") and "can't be cast to the desired output type" in text:
        return "laxer: torch cannot multiply a gradient by some bool tensors"
    if step.kind in ("backward", "grad") and (SAVED.search(text) or VIEW.search(text)):
        return "laxer: a saved tensor is checked only if a rule reads it"
    if not writes(step):
        return None
    target = machine.resolve(step.kwargs.get("out", step.args[0]))
    if LEAF.search(text) and target._is_view():
        return "laxer: a stale view can be written without reading grad_fn first"
    operands = [machine.resolve(r) for r in step.refs() if r in machine.tensors]
    if OVERLAP.search(text) and any(1 in t.shape for t in operands):
        return "laxer: dims of size 1 never count as overlap"
    return None
