"""What ops do with tensors on a GPU: see Note [Device arrays] in ``core.device_array``."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.core.autograd import record
from rushlight.core.device_array import DeviceArray, device_empty, driver_of, gpu_kernels, send
from rushlight.core.elementwise import Elementwise
from rushlight.core.generator import Generator, default_generator, generator_on
from rushlight.core.inplace import check_memory
from rushlight.core.op import Op
from rushlight.core.refusals import explain
from rushlight.core.sparse import rules
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, layout_dense, needs_grad, wrap
from rushlight.core.view import View, bind_many
from rushlight.dtypes import DIFFERENTIABLE
from rushlight.errors import DeviceError, warn_user
from rushlight.gpu import Driver
from rushlight.ops import meta
from rushlight.ops.copy import Clone, Contiguous, Copy, cast_array
from rushlight.ops.ctc import CtcLoss, CtcLossGrad
from rushlight.ops.index import Index, IndexPut

# inputs from here on may be on the CPU
INDICES: dict[Any, int] = {Index: 1, IndexPut: 2, CtcLoss: 1, CtcLossGrad: 2}
warned: set[type[Op]] = set()  # ops of which was said that the host computes them


class ToDevice(Op):
    """``input`` copied from a GPU, or the CPU (None), to another."""

    label = "ToCopy"
    anywhere = True

    def eager(self, xp: Any, input: Any, *, source: Any, target: Any) -> Any:
        array = input.fetch() if input.__class__ is DeviceArray else input
        return array if target is None else send(array, target)

    def grad(self, g: Any, source: Any, target: Any) -> Any:
        return ToDevice.bind(g, source=target, target=source)


def moved(t: Tensor, target: Driver | None) -> Tensor:
    """t on a GPU, or on the CPU; itself where it is there."""
    source = driver_of(t)
    return t if source is target else ToDevice.bind(t, source=source, target=target)


def where(driver: Driver | None) -> str:
    """The name of a device."""
    return "cpu" if driver is None else f"cuda:{driver.index}"


def shared(op: Op, inputs: Any, into: bool = False) -> Driver | None:
    """The GPU that an op works on; None where no input is on one. DeviceError where they are on
    several devices. ``into``: the first input is written to.
    """
    found: Driver | None = None
    for t in inputs:
        found = found or driver_of(t)
    if found is None:
        return None
    for i, t in enumerate(inputs):
        driver = driver_of(t)
        if driver is found or not isinstance(t, Tensor):
            continue
        free = not t._array.ndim and (isinstance(op, (Elementwise, Copy)) or type(op) in INDICES)
        if driver is None and (free or i >= INDICES.get(type(op), len(inputs))):
            if not (into and i == 0):
                continue
        name = op.names[i] if i < len(op.names) else f"input {i}"
        raise DeviceError(
            f"Expected all tensors to be on the same device, but got {name} is on {where(driver)}, "
            f"different from other tensors on {where(found)} ({type(op).__name__.lower()}). Move "
            f"one of them, as with .to({where(found)!r})."
        )
    return found


def is_traced() -> bool:
    """Whether a trace is to be told what is done."""
    return bool(state.busy) and modes.trace is not None


def told(arrays: list[Any]) -> list[Any]:
    """Operands as kernels take them, also while a trace follows numbers."""
    return modes.trace.plain(arrays) if state.busy and modes.trace is not None else arrays


def apply(op: Op, inputs: Any, params: dict[str, Any]) -> Any:
    """An op some of whose inputs are sparse, meta or on a GPU."""
    arrays = None if isinstance(op, View) or "engine" in params else beside_each_other(inputs)
    found = None if arrays is None else gpu_kernels.compute(op, arrays, params)
    if found is not None:
        return recorded(op, inputs, params, found)
    driver = shared(op, inputs)
    if driver is None:
        return meta.apply(op, inputs, params)
    if isinstance(op, View):
        return view(op, inputs[0], params)
    inputs = [moved(t, driver) if isinstance(t, Tensor) else t for t in inputs]
    arrays = [t._array if isinstance(t, Tensor) else t for t in inputs]
    params = drawing_on(driver, params)
    return recorded(op, inputs, params, computed(op, told(arrays), params, driver))


def beside_each_other(inputs: Any) -> list[Any] | None:
    """The arrays of inputs, if all tensors are on one GPU, else None."""
    arrays, first = [], None
    for t in inputs:
        if isinstance(t, Tensor):
            t = t._array
            if t.__class__ is not DeviceArray:
                return None
            if first is None:
                first = t.kind.driver
            elif t.kind.driver is not first:
                return None
        arrays.append(t)
    return told(arrays)


def recorded(op: Op, inputs: Any, params: dict[str, Any], arrays: list[DeviceArray]) -> Any:
    """Tensors on an op's results, in the graph where gradients go through it."""
    result: Any = wrap(arrays[0]) if len(op.outputs) == 1 else [wrap(a) for a in arrays]
    if state.busy and modes.trace is not None:
        modes.trace.computed(op, inputs, params, result)
    if op.differentiable and modes.grad:
        for t in inputs:
            if isinstance(t, Tensor) and t._tracked and needs_grad(t):
                if len(arrays) > 1 or arrays[0].dtype in DIFFERENTIABLE:
                    record(op, inputs, result, params)
                break
    return result


def view(op: View, t: Tensor, params: dict[str, Any]) -> Any:
    """A view op: another window on the same memory."""
    x = t._array
    stand_in = x.stand_in()
    made = op.eager(np, stand_in, **params)
    if op.multi:
        return bind_many(op, t, [x.seen(a, stand_in) for a in made], params)
    return type(op).linked(t, x.seen(made, stand_in), params)


def computed(
    op: Op, arrays: list[Any], params: dict[str, Any], driver: Driver
) -> list[DeviceArray]:
    """The op's results in new memory."""
    copy = duplicate(op, arrays[0], params)
    if copy is not None:
        return [copy]
    found = gpu_kernels.compute(op, arrays, params)
    if found is not None:
        return found
    say_host_computes(op, params)
    hosts = [a.fetch() if a.__class__ is DeviceArray else a for a in arrays]
    try:
        out = op.forward(hosts, params)
    except (ValueError, TypeError) as error:
        explain(error, op, hosts)
        raise
    outs = out if isinstance(out, (tuple, list)) else (out,)
    return [send(np.asarray(o), driver) for o in outs]


def duplicate(op: Op, x: DeviceArray, params: dict[str, Any]) -> DeviceArray | None:
    """A copy of dense memory as it lies, where that is all that an op does; else None."""
    plain = isinstance(op, Clone) and params.get("memory_format") is None and layout_dense(x)  # type: ignore[arg-type]
    if not plain and not (isinstance(op, Contiguous) and x.flags.c_contiguous):
        return None
    out = device_empty(x.shape, x.dtype, x.driver, x.strides)
    x.driver.copy(x.memory, x.offset, out.memory, 0, x.nbytes)
    return out


def drawing_on(driver: Driver, params: dict[str, Any]) -> dict[str, Any]:
    """The params of an op that draws random numbers, with a generator of the GPU's own."""
    engine = params.get("engine")
    if not isinstance(engine, Generator):
        return params
    if engine is default_generator:
        return {**params, "engine": generator_on(driver.index)}
    if engine.device.index != driver.index:
        raise DeviceError(
            f"Expected a 'cuda:{driver.index}' device type for generator but found "
            f"'{engine.device}': make it by torch.Generator(device='cuda:{driver.index}')."
        )
    return params


def say_host_computes(op: Op, params: dict[str, Any]) -> None:
    """Warn, once for each op, that what it does takes long; random numbers are always drawn on the
    host.
    """
    kind = type(op)
    if kind not in warned and "engine" not in params:
        warned.add(kind)
        warn_user(
            f"{kind.__name__.lower()} has no GPU kernel for this: it runs on the CPU, with copies "
            "both ways."
        )


# In place


def store(op: Op, x: Tensor, others: tuple[Any, ...], params: dict[str, Any]) -> bool:
    """Write the op's result into x's memory; False where no tensor is on a GPU."""
    if isinstance(op, Copy) and isinstance(others[0], Tensor):
        target, source = driver_of(x), driver_of(others[0])
        if target is not source:
            if is_traced():
                modes.trace.wrote(op, x, (moved(others[0].detach(), target),), params)
            transfer(x._array, others[0]._array, source)
            return True
    usual = "engine" not in params and not is_traced()
    arrays = beside_each_other((x, *others)) if usual else None
    if arrays is None:
        driver = shared(op, (x, *others), into=True)
        if driver is None:
            return False
        params = drawing_on(driver, params)
        others = tuple([moved(t.detach(), driver) if isinstance(t, Tensor) else t for t in others])
        arrays = told([t._array if isinstance(t, Tensor) else t for t in (x, *others)])
    target, *arrays = arrays
    check_overlap(op, target, arrays)
    if is_traced():
        modes.trace.wrote(op, x, others, params)
    if isinstance(op, Copy) and copy_as_it_lies(target, arrays[0]):
        return True
    if gpu_kernels.compute(op, [target, *arrays], params, target) is None:
        say_host_computes(op, params)
        hosts = [a.fetch() if a.__class__ is DeviceArray else a for a in arrays]
        target.amend(lambda array: op.store(array, hosts, params))
    return True


def transfer(target: Any, source: Any, driver: Driver | None) -> None:
    """Copy between devices; ``driver``: the one of the source."""
    array = source if driver is None else source.fetch()
    if target.__class__ is not DeviceArray:
        Copy.instance.store(target, [array], {})
        return
    if array.shape == target.shape:
        array = array if array.dtype == target.dtype else cast_array(array, target.dtype)
        if target.flags.c_contiguous:
            raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            target.driver.put(raw, target.memory, target.offset)
            return
        laid = np.empty_like(target.stand_in())
        laid[...] = array
        if layout_dense(target):  # type: ignore[arg-type]
            whole = send(laid, target.driver)
            if copy_as_it_lies(target, whole):
                return
    target.amend(lambda elements: Copy.instance.store(elements, [array], {}))


def copy_as_it_lies(target: DeviceArray, source: Any) -> bool:
    """Copy dense memory to memory in which the same elements lie in the same order; False where it
    is another case.
    """
    if source.__class__ is not DeviceArray or source.dtype != target.dtype:
        return False
    if source.shape != target.shape or not source.lies_as(target.strides):
        return False
    if not layout_dense(target):  # type: ignore[arg-type]
        return False
    same = source.pointer == target.pointer
    if not same:
        target.driver.copy(
            source.memory, source.offset, target.memory, target.offset, target.nbytes
        )
    return True


def check_overlap(op: Op, target: DeviceArray, arrays: list[Any]) -> None:
    """Refuse writes whose result would depend on the order of the element writes."""
    near = [a for a in arrays if a.__class__ is DeviceArray and a.memory is target.memory]
    if target.base is not None or near:
        stand_in = target.stand_in()
        owner = stand_in.base
        check_memory(op, stand_in, [a.stand_in(owner) for a in near])


rules.apply, rules.store = apply, store
