"""Op, and how one runs.

An op is a class; defining it makes its one instance and builds ``bind``, a closure over what the op
needs, so that applying an op eagerly is one Python call with no lookup by name: ``Mul.bind(a, b)``,
``Tensor.__mul__ = Mul.bind``. ``update`` is the same op in place. ``run`` is the definition that
the closures abbreviate: they handle the common case and otherwise call it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy import asarray, ndarray

from rushlight.core.autocast import autocast_inputs
from rushlight.core.autograd import record, record_binary, record_unary
from rushlight.core.device_array import DeviceArray
from rushlight.core.inplace import has_self_overlap, separate, write
from rushlight.core.meta import MetaArray
from rushlight.core.native import LEAST, kernels
from rushlight.core.refusals import check_store, explain, no_array
from rushlight.core.sparse import SparseArray, SparseOperand, rules
from rushlight.core.state import modes, state
from rushlight.core.tensor import UNSHARED, Tensor, blank, wrap, written
from rushlight.dtypes import DIFFERENTIABLE
from rushlight.errors import NotSupportedError


def parameters(function: Any) -> tuple[tuple[str, ...], bool]:
    """Names of a method's positional parameters after ``self``, and whether it has keyword-only
    ones.
    """
    code = function.__code__
    return code.co_varnames[1 : code.co_argcount], bool(code.co_kwonlyargcount)


REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}  # as nodes tell them


class Op:
    """A definition of a computation: what it computes (``eager``), and its gradient.

    Gradient rules are ``grad`` (one input), ``grad_<input>`` (several; each is evaluated, and keeps
    values, only when needed), or ``grads(g, needs, ...)`` for a joint kernel, returning one
    gradient per input. Parameters after ``g`` name what a rule reads: an input, an output,
    ``<input>_spec`` (shape, dtype), ``specs`` of all inputs, an op parameter, or ``params``. Rules
    speak Tensor, so that they can be differentiated again; they return a gradient in the broadcast
    shape, or None.
    """

    names: tuple[str, ...] = ()  # tensor inputs, read from `eager` (after xp) or `scalar` (after s)
    # several names: `eager` returns a tuple and rules get a list of gradients
    outputs: tuple[str, ...] = ("out",)
    # any number of inputs after the named ones: `eager(xp, input, *tail)`; `grads` may read "tail"
    variadic = False
    # whether it is recorded although it has no rule, so that asking for one more raises
    last_derivative = False
    # memory a write may share with what it reads: "same" elements, "none", "itself" or "any"
    overlap = "same"
    fits = False  # gradients may need to be reduced and cast to the inputs' shape and dtype
    # inputs in the order that a node shows its edges; none: in theirs
    edge_order: tuple[int, ...] = ()
    label: str | None = None  # name in the graph where it differs from the class's
    # under autocast: "lower" computes in its dtype, "float32" in float32, "" as it is
    precision: str | None = None
    gpu_precision: str | None = None  # the same on GPUs: as ``precision`` unless it is given
    # whether a first input of ``least`` elements or more is offered to a compiled kernel
    compiled: bool | None = None
    least = LEAST
    # whether it goes through its first input in the order of memory; in a graph that is row by row
    by_order = False
    # for each output, the input whose order in memory a kernel gives it; none: rows in order
    laid_out_as: tuple[int, ...] = ()
    anywhere = False  # whether ``eager`` takes arrays of any device
    tells_size = False  # whether nodes tell the first input's size, where the gradient needs it
    keeps_order = False  # results lie in memory as the first input does, see `eager_in_order`

    # what nodes call saved values and parameters where PyTorch has other names; "": not at all
    public: ClassVar[dict[str, str]] = {}

    bind: ClassVar[Callable[..., Any]]
    update: ClassVar[Callable[..., Any]]
    instance: ClassVar[Any]
    # per input the rule and what it reads: the place of a saved value, or several places and names
    rules: list[tuple[Any, Any]]
    joint: Any = None
    # the same by other ops, with numbers among the params as operands: in later calls of what is
    # traced they may be others
    spelled: Any = None

    def __init_subclass__(cls, abstract: bool = False) -> None:
        if not abstract:
            op = cls.instance = cls()
            op.plan()
            if op.keeps_order:
                op.eager = op.eager_in_order  # type: ignore[method-assign]
            cls.bind = staticmethod(op.make_bind())
            cls.update = staticmethod(op.make_update())

    def counting(self, inputs: Any) -> tuple[Tensor, ...]:
        """Those inputs whose values decide the result's shape: a trace cannot follow them."""
        return ()

    def eager(self, xp: Any, *arrays: Any, **params: Any) -> Any:
        """The result for arrays of the module ``xp``, in new memory (a view op: in the same)."""
        raise NotImplementedError(f"{type(self).__name__} defines no eager")

    def plan(self) -> None:
        """Read the rules' parameters: what has to be saved for each combination of needed
        gradients.
        """
        cls = type(self)
        if self.gpu_precision is None:
            self.gpu_precision = self.precision
        if not self.names:
            scalar = getattr(cls, "scalar", None)
            self.names = parameters(scalar or cls.eager)[0][1:]
        where = (
            {}
            if self.variadic
            else {name: i for i, name in enumerate(self.outputs, len(self.names))}
        )
        # an input may be called "out": a gradient's op has such
        where.update({name: i for i, name in enumerate(self.names)})
        self.rules = []
        for name in self.names:
            rule = getattr(self, "grad_" + name, None) or (
                getattr(self, "grad", None) if len(self.names) == 1 else None
            )
            reads = () if rule is None else parameters(rule.__func__)[0][1:]
            found = tuple([where.get(r, r) for r in reads])
            single = len(found) == 1 and isinstance(found[0], int)
            self.rules.append((rule, found[0] if single else found))
        if hasattr(cls, "grads"):
            reads = parameters(cls.grads)[0][2:]
            self.joint = (self.grads, tuple([where.get(r, r) for r in reads]))  # type: ignore[attr-defined]
        self.differentiable = (
            self.last_derivative or self.joint is not None or any(rule for rule, _ in self.rules)
        )
        self.rules = [
            (rule or self._without_rule(name), reads)
            for name, (rule, reads) in zip(self.names, self.rules, strict=True)
        ]
        self._kept: dict[Any, tuple[tuple[int, ...], bool]] = {}
        if len(self.names) == 1 and not self.variadic:
            self.keep_only = self._flags(True)
        if len(self.names) == 2 and not self.variadic:
            self.keep_first, self.keep_second = self._flags(True, False), self._flags(False, True)
            self.keep_both = self._flags(True, True)

    def _without_rule(self, name: str) -> Callable[..., Any]:
        """The rule of an input that has none: it says so, if the gradient is asked for."""
        of = type(self).__name__.lower()

        def refuse(g: Any) -> Any:
            raise NotSupportedError(
                f"the derivative for '{of}: {name}' is not implemented. Detach {name}, or"
                " compute it from functions that have one."
            )

        return refuse

    def kept(self, edges: tuple[Any, ...], outs: int) -> tuple[tuple[int, ...], bool]:
        """Which inputs, and outputs counted on from there, are saved when a gradient goes along
        ``edges``, and whether the inputs' specs are.
        """
        needs = 0  # a bit per edge
        for i, e in enumerate(edges):
            if e is not None:
                needs |= 1 << i
        found = self._kept.get((needs, len(edges), outs))
        if found is None:
            found = self._find_kept(tuple([e is not None for e in edges]), outs)
            self._kept[needs, len(edges), outs] = found
        return found

    def _find_kept(self, needs: tuple[bool, ...], outs: int) -> tuple[tuple[int, ...], bool]:
        reads: set[Any] = set(self.joint[1]) if self.joint is not None else set()
        for (_, names), need in zip(self.rules, needs, strict=False):
            if need:
                reads.update((names,) if isinstance(names, int) else names)
        n = len(needs)
        tail = range(len(self.names), n) if "tail" in reads else ()
        kept = tuple([i for i in range(n + outs) if i in reads or i in tail])
        specs = any(isinstance(r, str) and (r == "specs" or r.endswith("_spec")) for r in reads)
        return kept, specs or type(self).node_name is not Op.node_name

    def reading_order(self) -> list[int]:
        """Inputs, and outputs counted on from there, in the order in which the rules name them."""
        found = [self.joint[1]] if self.joint is not None else [reads for _, reads in self.rules]
        places = [r for reads in found for r in ((reads,) if isinstance(reads, int) else reads)]
        return [r for r in places if isinstance(r, int)]

    def _flags(self, *needs: bool) -> tuple[bool, ...]:
        """Whether each input, the output, and the specs are kept."""
        kept, specs = self._find_kept(needs, 1)
        return (*[i in kept for i in range(len(needs) + 1)], specs)

    def backward_name(self, params: dict[str, Any] | None) -> str:
        """How the recorded node is called."""
        return (self.label or type(self).__name__) + "Backward0"

    def node_name(self, params: dict[str, Any] | None, specs: Any) -> str:
        """How the recorded node is called, where that also depends on shapes (None if not kept, or
        of a number).
        """
        return self.backward_name(params)

    def name_of(self, node: Any) -> str:
        """How this node is called."""
        return self.node_name(node.params, node.specs)

    def told(self, node: Any) -> dict[str, Any]:
        """What nodes show as ``_saved_...`` beside the values that were saved."""
        found = {}
        for name, value in (node.params or {}).items():
            if name == "reduction":
                value = REDUCTIONS.get(value, value)
            elif name == "padding" and isinstance(value, tuple) and isinstance(value[0], tuple):
                value = tuple([before for before, _ in value])
            found[self.public.get(name, name)] = value
        found.pop("", None)
        if self.tells_size and node.specs:
            found["self_sym_sizes"] = node.specs[0][0]
        return found

    def make_bind(self) -> Callable[..., Any]:
        """The function that applies the op."""
        if len(self.names) == 1 and not self.variadic:
            return make_single(self)
        if len(self.names) == 2 and not self.variadic:
            return make_pair(self)
        op, forward, eager, differentiable = self, self.forward, self.eager, self.differentiable
        plain, compiled = type(self).forward is Op.forward, self.compiled

        def bind(*inputs: Any, **params: Any) -> Any:
            if state.busy:
                return run(op, inputs, params)
            arrays, tracked = [], False
            for t in inputs:
                if isinstance(t, Tensor):
                    arrays.append(t._array)
                    tracked = tracked or t._tracked
                else:
                    arrays.append(no_array(op, t))
            if arrays and arrays[0].__class__ is DeviceArray and not op.anywhere:
                return rules.apply(op, inputs, params)
            try:
                if plain and not (compiled and arrays[0].size >= op.least):
                    out = eager(np, *arrays, **params)
                else:
                    out = forward(arrays, params)
            except SparseOperand:  # see Note [Sparse operands]
                return rules.apply(op, inputs, params)
            except (ValueError, TypeError) as error:
                explain(error, op, arrays)
                raise
            if out.__class__ is not ndarray:
                if not isinstance(out, np.generic):
                    return finished(op, inputs, out, params, tracked)
                out = asarray(out)
            t = blank()  # see Note [Written out]
            t._array = out
            t._tracked = t._wants_grad = False
            t._node = t._link = t._grad = None
            t._counter = UNSHARED
            if tracked and differentiable and modes.grad and out.dtype in DIFFERENTIABLE:
                record(op, inputs, t, params)
            return t

        return bind

    def make_update(self) -> Callable[..., Any]:
        """The function that applies the op in place, to its first input."""

        def update(x: Tensor, *others: Any, **params: Any) -> Tensor:
            a = x._array
            if state.busy or not (lone if others else sole)(x, a):
                return write(self, x, others, params)
            arrays = []
            for t in others:
                if isinstance(t, Tensor):
                    b = t._array
                    if b is a or not lone(t, b):
                        return write(self, x, others, params)
                    arrays.append(b)
                else:
                    arrays.append(t)
            try:
                store(a, arrays, params)
            except ValueError:
                return write(self, x, others, params)  # raises with the reason
            written(x)
            return x

        store = self.store
        return update

    def forward(self, arrays: Any, params: dict[str, Any]) -> Any:
        """``eager`` with what the kind does around it."""
        if self.compiled and arrays[0].size >= self.least and kernels.on:
            out = kernels.find(self, arrays, params)
            if out is not None:
                return out
        return self.eager(np, *arrays, **params)

    def eager_in_order(self, xp: Any, *arrays: Any, **params: Any) -> Any:
        """``eager``, its results turned into the order of the first input, unless that is expanded:
        images with their channels last stay so.
        """
        out, x = type(self).eager(self, xp, *arrays, **params), arrays[0]
        if x.flags.c_contiguous or has_self_overlap(x):
            return out
        if out.__class__ is ndarray:
            return in_order_of(out, x)
        return [in_order_of(o, x) for o in out]

    def outline(self, *arrays: Any, **params: Any) -> Any:
        """Arrays of the shapes and dtypes of ``eager``'s results, whose content does not matter."""
        return self.eager(np, *arrays, **params)

    def store(self, x: Any, others: list[Any], params: dict[str, Any]) -> None:
        """Write the result into array x. All checks come before the first element is written."""
        r = self.forward([x, *others], params)
        check_store(type(self).__name__, x, r)
        x[...] = r


def run(op: Op, inputs: Any, params: dict[str, Any]) -> Any:
    """Apply any op: compute, wrap, record."""
    if state.busy and modes.autocast is not None:
        inputs = autocast_inputs(inputs, op.precision, op.gpu_precision)
    if state.busy and modes.trace is not None:
        inputs, params = modes.trace.known((inputs, params))
    arrays = [t._array if isinstance(t, Tensor) else no_array(op, t) for t in inputs]
    if state.busy and modes.trace is not None:
        if op.spelled is not None and modes.trace.moves(params, inputs):
            return op.spelled(*inputs, **params)
        arrays, params = modes.trace.plain(arrays), modes.trace.fixed(params)
    if not state.busy and DeviceArray in map(type, arrays):
        return rules.apply(op, inputs, params)
    try:
        if state.busy and modes.profiler is not None:
            out = modes.profiler.call(op, op.forward, arrays, params)
        else:
            out = op.forward(arrays, params)
    except SparseOperand:
        return rules.apply(op, inputs, params)
    except Exception as error:
        explain(error, op, arrays)
        if state.busy and modes.trace is not None:
            modes.trace.raised(op, error)
        raise
    result = wrap_all(out)
    if state.busy and modes.trace is not None:
        modes.trace.computed(op, inputs, params, result)
    if op.differentiable:
        for t in inputs:
            if isinstance(t, Tensor) and t._tracked:
                if modes.grad and (
                    result.__class__ is list or result._array.dtype in DIFFERENTIABLE
                ):
                    record(op, inputs, result, params)
                break
    return result


ARRAYS = (ndarray, SparseArray, MetaArray, DeviceArray)


def wrap_all(out: Any) -> Any:
    """A tensor on what an op computed, or a list of them."""
    if out.__class__ is tuple or out.__class__ is list:
        results = []  # no comprehension, see core/autograd.py
        for o in out:
            results.append(wrap(o if o.__class__ is ndarray else asarray(o)))
        return results
    return wrap(out if out.__class__ in ARRAYS else asarray(out))


def finished(op: Op, inputs: Any, out: Any, params: dict[str, Any], tracked: bool) -> Any:
    """The tensor, or list of them, on what an op computed while nothing is traced, recorded."""
    if out.__class__ is tuple or out.__class__ is list:
        result: Any = []
        for o in out:
            t = blank()  # see Note [Written out]
            t._array = o if o.__class__ is ndarray else asarray(o)
            t._tracked = t._wants_grad = False
            t._node = t._link = t._grad = None
            t._counter = UNSHARED
            result.append(t)
    else:
        result = wrap_all(out)
    if tracked and op.differentiable and modes.grad:
        if result.__class__ is list or result._array.dtype in DIFFERENTIABLE:
            record(op, inputs, result, params)
    return result


def make_single(op: Op) -> Callable[..., Any]:
    """``bind`` of an op of one input."""
    forward, eager, differentiable = op.forward, op.eager, op.differentiable
    plain, compiled = type(op).forward is Op.forward, op.compiled

    def bind(a: Tensor, /, **params: Any) -> Any:
        if state.busy or not isinstance(a, Tensor):
            return run(op, (a,), params)
        x = a._array
        if x.__class__ is DeviceArray and not op.anywhere:
            return rules.apply(op, (a,), params)
        try:
            if plain and not (compiled and x.size >= op.least):
                out = eager(np, x, **params)
            else:
                out = forward([x], params)
        except SparseOperand:
            return rules.apply(op, (a,), params)
        except (ValueError, TypeError) as error:
            explain(error, op, [x])
            raise
        if out.__class__ is not ndarray:
            return finished(op, (a,), out, params, a._tracked)
        t = blank()  # see Note [Written out]
        t._array = out
        t._tracked = t._wants_grad = False
        t._node = t._link = t._grad = None
        t._counter = UNSHARED
        if a._tracked and differentiable and modes.grad and out.dtype in DIFFERENTIABLE:
            record_unary(op, a, t, params)
        return t

    return bind


def make_pair(op: Op) -> Callable[..., Any]:
    """``bind`` of an op of two inputs."""
    forward, eager, differentiable = op.forward, op.eager, op.differentiable
    plain, compiled, fits = type(op).forward is Op.forward, op.compiled, op.fits

    def bind(a: Any, b: Any, /, **params: Any) -> Any:
        if state.busy or not (isinstance(a, Tensor) and isinstance(b, Tensor)):
            return run(op, (a, b), params)
        x, y = a._array, b._array
        if x.__class__ is DeviceArray and not op.anywhere:
            return rules.apply(op, (a, b), params)
        try:
            if plain and not (compiled and x.size >= op.least):
                out = eager(np, x, y, **params)
            else:
                out = forward([x, y], params)
        except SparseOperand:
            return rules.apply(op, (a, b), params)
        except (ValueError, TypeError) as error:
            explain(error, op, [x, y])
            raise
        tracked = a._tracked or b._tracked
        if out.__class__ is not ndarray:
            return finished(op, (a, b), out, params, tracked)
        t = blank()  # see Note [Written out]
        t._array = out
        t._tracked = t._wants_grad = False
        t._node = t._link = t._grad = None
        t._counter = UNSHARED
        if tracked and differentiable and modes.grad and out.dtype in DIFFERENTIABLE:
            if fits:
                record(op, (a, b), t, params)
            else:
                record_binary(op, a, b, t, params)
        return t

    return bind


def lone(t: Tensor, x: Any) -> bool:
    """Whether t's array x shares no memory, and what happens to t is not recorded."""
    return x.base is None and type(x) is ndarray and not (t._tracked and modes.grad)


def sole(t: Tensor, x: Any) -> bool:
    """As ``lone``, but x may be part of other memory, where its elements have places of their
    own.
    """
    if type(x) is not ndarray or (t._tracked and modes.grad):
        return False
    return x.base is None or separate(x.shape, x.strides)


def in_order_of(a: Any, x: Any) -> Any:
    """Array a with its dims in memory in the order of x's, if it has as many."""
    if a.ndim != x.ndim:
        return a
    if x.flags.f_contiguous:
        return np.asfortranarray(a)
    strides, dims = x.strides, range(x.ndim)
    order = sorted(dims, key=lambda d: -strides[d])
    return packed(a.transpose(order)).transpose(sorted(dims, key=order.__getitem__))


def packed(a: Any) -> np.ndarray[Any, Any]:
    """C-contiguous: everything but elementwise results is, as in torch (NumPy keeps the input's
    order).
    """
    if a.__class__ is ndarray and a.flags.c_contiguous:
        return a
    return np.array(a, order="C", copy=None)


def unfilled(shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    """An array that only says its shape and dtype: it has memory for one element."""
    return np.broadcast_to(np.empty((), dtype), shape)
