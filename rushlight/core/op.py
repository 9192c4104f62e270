"""Op and its kinds, and how each runs.

An op is a class; defining it makes its one instance and builds ``bind``, a closure over what the op
needs, so that applying an op eagerly is one Python call with no lookup by name: ``Mul.bind(a, b)``,
``Tensor.__mul__ = Mul.bind``. ``update`` is the same op in place. ``run`` is the definition that
the closures abbreviate: they handle the common case and otherwise call it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy import asarray, empty, ndarray

from rushlight import dtypes
from rushlight.core.autograd import any_needs_grad, new_node, record, required
from rushlight.core.inplace import has_self_overlap, write
from rushlight.core.native import LEAST, converted, kernels
from rushlight.core.scalar import NUMPY
from rushlight.core.state import modes, state
from rushlight.core.tensor import (
    MULTI,
    NO_GRAD,
    UNSHARED,
    Tensor,
    ViewLink,
    blank,
    counter_of,
    edge,
    link_view,
    needs_grad,
    new_counter,
    wrap,
    written,
)
from rushlight.errors import DTypeError, NotSupportedError, ShapeError

NUMBERS = frozenset((int, float, bool))
FLOATS = dtypes.FLOATS
DIFFERENTIABLE = dtypes.DIFFERENTIABLE
OTHERS: tuple[Any, ...] = (*dtypes.COMPLEX_TYPES, dtypes.uint8, dtypes.int8, dtypes.int16)


def parameters(function: Any) -> tuple[tuple[str, ...], bool]:
    """Names of a method's positional parameters after ``self``, and whether it has keyword-only
    ones.
    """
    code = function.__code__
    return code.co_varnames[1 : code.co_argcount], bool(code.co_kwonlyargcount)


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
    # memory a write may share with what it reads: "same" elements, "none", "itself" or "any"
    overlap = "same"
    fits = False  # gradients may need to be reduced and cast to the inputs' shape and dtype
    label: str | None = None  # name in the graph where it differs from the class's
    # under autocast: "lower" computes in its dtype, "float32" in float32
    precision: str | None = None
    # whether a first input of ``least`` elements or more is offered to a compiled kernel
    compiled: bool | None = None
    least = LEAST
    # for each output, the input whose order in memory a kernel gives it; none: rows in order
    laid_out_as: tuple[int, ...] = ()

    bind: ClassVar[Callable[..., Any]]
    update: ClassVar[Callable[..., Any]]
    instance: ClassVar[Any]
    # per input the rule and what it reads: the place of a saved value, or several places and names
    rules: list[tuple[Any, Any]]
    joint: Any = None

    def __init_subclass__(cls, abstract: bool = False) -> None:
        if not abstract:
            op = cls.instance = cls()
            op.plan()
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
        self.differentiable = self.joint is not None or any(rule for rule, _ in self.rules)
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

    def _flags(self, *needs: bool) -> tuple[bool, ...]:
        """Whether each input, the output, and the specs are kept."""
        kept, specs = self._find_kept(needs, 1)
        return (*[i in kept for i in range(len(needs) + 1)], specs)

    def backward_name(self, params: dict[str, Any] | None) -> str:
        """How the recorded node is called."""
        return (self.label or type(self).__name__) + "Backward0"

    def node_name(self, params: dict[str, Any] | None, specs: Any) -> str:
        """How the recorded node is called, where that also depends on shapes (None if not kept)."""
        return self.backward_name(params)

    def make_bind(self) -> Callable[..., Any]:
        """The function that applies the op."""

        op, forward, differentiable = self, self.forward, self.differentiable

        def bind(*inputs: Any, **params: Any) -> Any:
            if state.busy:
                return run(op, inputs, params)
            arrays, tracked = [], False
            for t in inputs:
                if isinstance(t, Tensor):
                    arrays.append(t._array)
                    if t._tracked and not tracked:
                        tracked = needs_grad(t)
                else:
                    arrays.append(t)
            out = forward(arrays, params)
            result: Any
            if out.__class__ is ndarray:
                result = wrap(out)
            elif out.__class__ is tuple or out.__class__ is list:
                result = [wrap(o if o.__class__ is ndarray else asarray(o)) for o in out]
            else:
                result = wrap(asarray(out))
            if tracked and differentiable and modes.grad:
                if result.__class__ is list or result._array.dtype in DIFFERENTIABLE:
                    record(op, inputs, result, params)
            return result

        return bind

    def make_update(self) -> Callable[..., Any]:
        """The function that applies the op in place, to its first input."""

        def update(x: Tensor, *others: Any, **params: Any) -> Tensor:
            a = x._array
            if others or state.busy or not lone(x, a):
                return write(self, x, others, params)
            try:
                store(a, [], params)
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

    def outline(self, *arrays: Any, **params: Any) -> Any:
        """Arrays of the shapes and dtypes of ``eager``'s results, whose content does not matter."""
        return self.eager(np, *arrays, **params)

    def store(self, x: Any, others: list[Any], params: dict[str, Any]) -> None:
        """Write the result into array x. All checks come before the first element is written."""
        r = self.forward([x, *others], params)
        check_store(type(self).__name__, x, r)
        x[...] = r


def check_store(name: str, x: Any, r: Any) -> None:
    """Refuse a result that array x cannot take."""
    if dtypes.CATEGORY[r.dtype] > dtypes.CATEGORY[x.dtype]:
        raise DTypeError(
            f"{name.lower()}_: result type {_title(r.dtype)} can't be cast to the desired output "
            f"type {_title(x.dtype)}; "
            "convert the tensor first, or use the operation without the underscore."
        )
    if r.shape != x.shape:
        raise ShapeError(
            f"{name.lower()}_: output with shape {list(x.shape)} doesn't match the broadcast "
            f"shape {list(r.shape)}; "
            "an in-place operation cannot grow its tensor."
        )


TITLES = {
    "float32": "Float",
    "float64": "Double",
    "float16": "Half",
    "bfloat16": "BFloat16",
    "int64": "Long",
    "int32": "Int",
    "int16": "Short",
    "int8": "Char",
    "uint8": "Byte",
    "bool": "Bool",
    "complex64": "ComplexFloat",
    "complex128": "ComplexDouble",
}


def _title(d: np.dtype[Any]) -> str:
    return TITLES.get(dtypes.of[d].name, dtypes.of[d].name)


def run(op: Op, inputs: Any, params: dict[str, Any]) -> Any:
    """Apply any op: compute, wrap, record."""
    if state.busy and modes.autocast is not None and op.precision is not None:
        inputs = autocast_inputs(
            inputs, modes.autocast if op.precision == "lower" else dtypes.float32
        )
    arrays = [t._array if isinstance(t, Tensor) else t for t in inputs]
    if state.busy and modes.trace is not None:
        arrays, params = modes.trace.plain(arrays), modes.trace.fixed(params)
    if state.busy and modes.profiler is not None:
        out = modes.profiler.call(op, op.forward, arrays, params)
    else:
        out = op.forward(arrays, params)
    result: Any
    if out.__class__ is tuple or out.__class__ is list:
        result = [wrap(o if type(o) is ndarray else np.asarray(o)) for o in out]
    else:
        result = wrap(out if type(out) is ndarray else np.asarray(out))
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


def autocast_inputs(inputs: Any, d: Any) -> list[Any]:
    """Floating-point inputs in the dtype that autocast chose for the op; float64 stays."""
    wide = (dtypes.float32, dtypes.float16, dtypes.bfloat16)
    return [
        required.cast(t, d)
        if isinstance(t, Tensor) and t._array.dtype in wide and t._array.dtype != d
        else t
        for t in inputs
    ]


class Elementwise(Op, abstract=True):
    """Broadcasting and promoting, defined for one element by ``scalar(s, *elements, **params)``.

    ``s`` supplies the functions (``s.exp``, ``s.where``), so that NumPy and compiled backends read
    the same formula. ``ufunc`` is a faster NumPy callable for arrays of one dtype in ``fast``;
    other dtypes take the general path, halves through float32. Large arrays are offered to a
    compiled kernel where ``compiled``: by default where the ufunc is not a single one of NumPy's.
    """

    ufunc: Any = None
    scalar: Any = None
    plain: Any  # what serves all dtypes, without kernels: the ufunc, or an own ``eager``
    compute: Any  # the same, large arrays offered
    fast: frozenset[Any] = FLOATS | {dtypes.int64, dtypes.int32}
    remembered: dict[Any, Any]  # what compute_dtype says of arrays that all have this dtype
    result_dtype: Any = None  # dtypes.to_float, or None: that of the promoted inputs
    out_dtype: Any = None  # of the result, when not the computed one's: np.bool_ for comparisons
    fits = True
    direct = False  # floats of one dtype need nothing of what an own `forward` does

    def plan(self) -> None:
        own = type(self).eager is not Elementwise.eager
        if self.ufunc is None and own:
            self.ufunc = functools.partial(self.eager, np)
        elif self.ufunc is None:
            self.ufunc = functools.partial(self.scalar, NUMPY)
        self.plain = self.compute = functools.partial(self.eager, np) if own else self.ufunc
        if self.compiled is None:
            self.compiled = not isinstance(self.ufunc, np.ufunc)
        if self.compiled:
            self.compute = offered(self, self.plain)
            self.ufunc = offered(self, self.ufunc) if own else self.compute
        super().plan()
        self.remembered = {}
        if isinstance(self.ufunc, np.ufunc) and not own and self._is_plain("fast", "forward"):
            self.fast |= self._other_dtypes()
        if self.result_dtype is not None:
            self.fast = self.fast & DIFFERENTIABLE

    def _is_plain(self, *names: str) -> bool:
        """Whether the class leaves these as they are here."""
        return all([getattr(type(self), name) is getattr(Elementwise, name) for name in names])

    def _other_dtypes(self) -> frozenset[Any]:
        """What the ufunc computes in its own dtype, besides the usual ones."""
        if not self._is_plain("compute_dtype", "out_dtype"):
            return frozenset()
        loops, n = self.ufunc.types, len(self.names)
        return frozenset([d for d in OTHERS if f"{d.char * n}->{d.char}" in loops])

    def compute_dtype(self, arrays: list[Any]) -> Any:
        """The dtype that the inputs are brought to."""
        d = dtypes.result_type(arrays)
        return d if self.result_dtype is None else type(self).result_dtype(d)

    def dtype_for(self, arrays: list[Any]) -> Any:
        """``compute_dtype``, remembered for arrays of one dtype that can be differentiated."""
        d = arrays[0].dtype if arrays[0].__class__ is ndarray else None
        if d not in DIFFERENTIABLE:
            return self.compute_dtype(arrays)
        for a in arrays:
            if a.__class__ is not ndarray or a.dtype is not d:
                return self.compute_dtype(arrays)
        found = self.remembered.get(d)
        if found is None:
            found = self.remembered[d] = self.compute_dtype(arrays)
        return found

    def eager(self, xp: Any, *arrays: Any, **params: Any) -> Any:
        return self.ufunc(*arrays, **params)

    def forward(self, arrays: list[Any], params: dict[str, Any]) -> Any:
        d = self.dtype_for(arrays)
        half = d in dtypes.HALVES
        work = dtypes.float32 if half else d
        if kernels.on and (half or not all([getattr(a, "dtype", d) is d for a in arrays])):
            out = self.offer(arrays, params)
            if out is not None:
                return out
        if half and self.out_dtype is not None:
            arrays = [as_operand(a, d) for a in arrays]  # 0.1 is compared as the half nearest to it
        try:
            out = self.compute(*[as_operand(a, work) for a in arrays], **params)
        except ValueError as error:
            raise broadcast_error(type(self).__name__, arrays) from error
        except TypeError as error:  # NumPy has no loop for the dtype
            raise DTypeError(
                f"{type(self).__name__.lower()} is not defined for {dtypes.of[d].name} tensors: "
                f"{error}"
            ) from error
        if type(out) is not ndarray:
            out = np.asarray(out)
        if half and out.dtype is dtypes.float32 and self.out_dtype is None:
            return converted(out, d)
        return out

    def offer(self, arrays: list[Any], params: dict[str, Any]) -> Any:
        """The result of a kernel for large operands of any dtypes, or None."""
        if max([getattr(a, "size", 0) for a in arrays]) < LEAST:
            return None
        return kernels.find(self, arrays, params)

    def make_bind(self) -> Callable[..., Any]:
        scalar = self.scalar
        has_params = scalar is not None and parameters(scalar.__func__)[1]
        if len(self.names) == 1:
            return make_unary_with_params(self) if has_params else make_unary(self)
        if len(self.names) == 2 and not has_params:
            return make_binary(self)
        if type(self).forward is Elementwise.forward or self.direct:
            return make_several(self)
        return super().make_bind()

    def make_update(self) -> Callable[..., Any]:
        if len(self.names) == 2 and isinstance(self.ufunc, np.ufunc) and self.out_dtype is None:
            return make_binary_update(self)
        return make_update_by_copy(self)


def offered(op: Elementwise, ufunc: Any) -> Callable[..., Any]:
    """A ufunc that leaves large arrays to a compiled kernel, if there is one."""

    def compute(x: Any, *others: Any, **params: Any) -> Any:
        if x.__class__ is ndarray and x.size >= LEAST and kernels.on:
            out = kernels.find(op, (x, *others), params)
            if out is not None:
                return out
        return ufunc(x, *others, **params)

    return compute


def as_operand(a: Any, d: Any) -> Any:
    """An array or a Python number, ready to meet operands of dtype d."""
    if isinstance(a, ndarray):
        if a.dtype is d:
            return a
        return converted(a, d, "C" if 0 in a.strides and has_self_overlap(a) else "K")
    if d in FLOATS and a.__class__ in NUMBERS:
        return a
    if d in dtypes.INTEGER_TYPES:
        return np.asarray(int(a) & 0xFFFFFFFFFFFFFFFF, np.uint64).astype(d)  # wraps, as C does
    return np.asarray(a).astype(d)


def broadcast_error(name: str, arrays: list[Any]) -> ShapeError:
    """The error for shapes that do not broadcast; names the first dim that clashes."""
    shapes = [a.shape for a in arrays if isinstance(a, ndarray)]
    text = " and ".join(str(s) for s in shapes)
    for at in range(1, max(len(s) for s in shapes) + 1):
        sizes = {s[-at] for s in shapes if len(s) >= at} - {1}
        if len(sizes) > 1:
            a, b = sorted(sizes)[:2]
            dim = max(len(s) for s in shapes) - at
            return ShapeError(
                f"{name.lower()}: shapes {text} cannot be broadcast: the size of tensor a ({b}) "
                "must match the size of tensor b "
                f"({a}) at non-singleton dimension {dim}."
            )
    return ShapeError(f"{name.lower()}: shapes {text} do not fit together.")


def operand(b: Any) -> Any:
    """What may stand beside a tensor in arithmetic: a number, a NumPy scalar or array; else
    NotImplemented.
    """
    if isinstance(b, (int, float, complex)):
        return b
    if isinstance(b, np.generic):
        return b.item() if b.dtype != dtypes.bfloat16 else float(b)
    if isinstance(b, ndarray):
        return wrap(b)
    return NotImplemented


def make_unary(op: Elementwise) -> Callable[..., Any]:
    """``bind`` of an elementwise op of one input."""
    ufunc, fast, differentiable = op.ufunc, op.fast, op.differentiable

    def bind(a: Tensor) -> Tensor:
        x = a._array
        if state.busy or x.dtype not in fast or type(x) is not ndarray:
            return run(op, (a,), {})
        out = ufunc(x)
        t = wrap(out if type(out) is ndarray else asarray(out))
        if a._tracked and differentiable and modes.grad:
            record_unary(op, a, t)
        return t

    return bind


def make_unary_with_params(op: Elementwise) -> Callable[..., Any]:
    """``bind`` of an elementwise op of one input and keyword parameters."""
    ufunc, fast, differentiable = op.ufunc, op.fast, op.differentiable

    def bind(a: Tensor, **params: Any) -> Tensor:
        x = a._array
        if state.busy or x.dtype not in fast or type(x) is not ndarray:
            return run(op, (a,), params)
        out = ufunc(x, **params)
        t = wrap(out if type(out) is ndarray else asarray(out))
        if a._tracked and differentiable and modes.grad:
            record_unary(op, a, t, params)
        return t

    return bind


def make_several(op: Elementwise) -> Callable[..., Any]:
    """``bind`` of an elementwise op of three inputs, or of two and parameters."""
    compute, fast, differentiable = op.compute, op.fast & FLOATS, op.differentiable

    def bind(*inputs: Any, **params: Any) -> Any:
        d, arrays, tracked = None, [], False
        for t in inputs:
            if isinstance(t, Tensor):
                x = t._array
                if d is None and x.dtype in fast:
                    d = x.dtype
                if x.dtype is not d:
                    return run(op, inputs, params)
                arrays.append(x)
                tracked = tracked or t._tracked
            elif t.__class__ in NUMBERS:
                arrays.append(t)
            else:
                return run(op, inputs, params)
        if state.busy or d is None or complex in map(type, params.values()):
            return run(op, inputs, params)
        try:
            out = compute(*arrays, **params)
        except ValueError:
            return run(op, inputs, params)  # raises with the reason
        result = wrap(out if out.__class__ is ndarray else asarray(out))
        if tracked and differentiable and modes.grad:
            record(op, inputs, result, params)
        return result

    return bind


def record_unary(op: Op, a: Tensor, t: Tensor, params: dict[str, Any] | None = None) -> None:
    """``record`` for one input."""
    e = edge(a)
    if e is None and not needs_grad(a):
        return
    n = t._node = new_node(op, (e,), params)
    t._tracked = True
    keep_a, keep_out, specs = op.keep_only
    if keep_a or keep_out:
        n.saved = (a if keep_a else None, t._array if keep_out else None)
        n.versions = (
            a._counter.value if keep_a else None,
            counter_of(t) if keep_out else None,
        )
    if specs:
        x = a._array
        n.specs = ((x.shape, x.dtype),)


def make_binary(op: Elementwise, method: str | None = None) -> Callable[..., Any]:
    """``bind`` of an elementwise op of two inputs, the second of which may be a number. As a
    ``method`` it refuses a number as the first.
    """
    ufunc, fast, differentiable = op.ufunc, op.fast, op.differentiable

    def bind(a: Any, other: Any) -> Any:
        if state.busy or not isinstance(a, Tensor):
            return general(a, other)
        x = a._array
        d = x.dtype
        if isinstance(other, Tensor):
            y = other._array
            if d is not y.dtype or d not in fast or type(x) is not ndarray:
                return run(op, (a, other), {})
            tracked = a._tracked or other._tracked
        elif other.__class__ in NUMBERS:
            if (
                d not in fast
                or (d not in DIFFERENTIABLE and other.__class__ is not int)
                or type(x) is not ndarray
            ):
                return run(op, (a, other), {})
            y, tracked = other, a._tracked
        else:
            return general(a, other)
        try:
            out = ufunc(x, y)
        except (ValueError, OverflowError):
            return run(op, (a, other), {})  # raises with the reason
        t = wrap(out if type(out) is ndarray else asarray(out))
        if tracked and differentiable and modes.grad:
            record_binary(op, a, other, t)
        return t

    def general(a: Any, other: Any) -> Any:
        if not isinstance(a, Tensor):
            if method is not None:
                raise TypeError(f"{method} is a method of tensors, but was given {a!r}")
            a = operand(a)
        if not isinstance(other, Tensor):
            other = operand(other)
        if a is NotImplemented or other is NotImplemented:
            return NotImplemented
        return run(op, (a, other), {})

    return bind


# the params of an elementwise op whose first operand is a number: its node has another name then
NUMBER_FIRST: dict[str, Any] = {}


def make_reversed(op: Elementwise) -> Callable[..., Any]:
    """``bind`` for a number on the left: ``2.0 - other``."""
    ufunc, fast, differentiable = op.ufunc, op.fast & DIFFERENTIABLE, op.differentiable

    def bind(self: Tensor, other: Any) -> Any:
        y = self._array if isinstance(self, Tensor) else self
        if (
            state.busy
            or other.__class__ not in NUMBERS
            or y.dtype not in fast
            or type(y) is not ndarray
        ):
            if not isinstance(other, Tensor):
                other = operand(other)
            return (
                NotImplemented if other is NotImplemented else run(op, (other, self), NUMBER_FIRST)
            )
        out = ufunc(other, y)
        t = wrap(out if type(out) is ndarray else asarray(out))
        if self._tracked and differentiable and modes.grad:
            record(op, (other, self), t, NUMBER_FIRST)
        return t

    return bind


def record_binary(op: Op, a: Tensor, b: Any, t: Tensor) -> None:
    """``record`` for two inputs, the second of which may be a number."""
    ea = edge(a) if a._tracked else None
    if b.__class__ in NUMBERS:
        eb, number = None, True
    else:
        eb, number = edge(b) if b._tracked else None, False
    if eb is None:
        if ea is None and not any_needs_grad((a, b)):
            return
        keep_a, keep_b, keep_out, specs = op.keep_first
    else:
        keep_a, keep_b, keep_out, specs = op.keep_second if ea is None else op.keep_both
    n = t._node = new_node(op, (ea, eb))
    t._tracked = True
    if keep_a or keep_b or keep_out:
        n.saved = (a if keep_a else None, b if keep_b else None, t._array if keep_out else None)
        n.versions = (
            a._counter.value if keep_a else None,
            b._counter.value if keep_b and not number else None,
            counter_of(t) if keep_out else None,
        )
    if not number:
        shape, other = a._array.shape, b._array.shape
        if specs or (op.fits and shape != other):
            n.specs = ((shape, a._array.dtype), (other, b._array.dtype))


def make_binary_update(op: Elementwise) -> Callable[..., Any]:
    """``update`` of an elementwise op of two inputs: writes straight into memory when nothing is
    recorded or shared.
    """
    ufunc, fast = op.ufunc, op.fast
    if ufunc in (np.maximum, np.minimum):  # NumPy wants the word `out` for these

        def ufunc(x: Any, y: Any, out: Any, of: Any = ufunc) -> Any:
            return of(x, y, out=out)

    def update(a: Tensor, other: Any) -> Any:
        if not state.busy and not (a._tracked and modes.grad):
            x = a._array
            if isinstance(other, Tensor):
                y = other._array
                plain = x.dtype is y.dtype and x.dtype in fast and x.base is None and y.base is None
                plain = plain and not (other._tracked and modes.grad)
            elif other.__class__ in NUMBERS:
                y, plain = other, x.dtype in FLOATS and x.base is None
            else:
                plain = False
            if plain and type(x) is ndarray:
                try:
                    ufunc(x, y, x)
                except ValueError:
                    return write(op, a, (other,), {})  # raises with the reason
                written(a)
                return a
        if not isinstance(other, Tensor):
            other = operand(other)
            if other is NotImplemented:
                return NotImplemented
        return write(op, a, (other,), {})

    return update


def make_update_by_copy(op: Elementwise) -> Callable[..., Any]:
    """``update`` of any other elementwise op: computes, then copies, without detours when nothing
    is recorded or shared.
    """
    compute, fast, compiled, ufunc = op.compute, op.fast & FLOATS, op.compiled, op.ufunc
    # one function of NumPy that may write where it reads
    single = isinstance(ufunc, np.ufunc) and ufunc.nin == 1 and op.out_dtype is None

    def update(a: Tensor, *others: Any, **params: Any) -> Any:
        x = a._array
        d = x.dtype
        if state.busy or d not in fast or not lone(a, x):
            return write(op, a, others, params)
        if single and x.flags.writeable:
            ufunc(x, x)
            written(a)
            return a
        arrays = []
        for t in others:
            if isinstance(t, Tensor):
                y = t._array
                if y.dtype is not d or not lone(t, y):
                    return write(op, a, others, params)
                arrays.append(y)
            elif t.__class__ in NUMBERS:
                arrays.append(t)
            else:
                return write(op, a, others, params)
        if compiled and x.size >= LEAST and kernels.on:
            if kernels.find(op, (x, *arrays), params, x) is not None:
                written(a)
                return a
        try:
            if x.size > 2 * PIECE and all([flat_like(y, x) for y in (x, *arrays)]):
                stored = write_in_pieces(compute, x, arrays, params)
            else:
                out = compute(x, *arrays, **params)
                stored = out.shape == x.shape and out.dtype is d
                if stored:
                    x[...] = out
            if not stored:
                return write(op, a, others, params)
        except (ValueError, TypeError):
            return write(op, a, others, params)  # raises with the reason
        written(a)
        return a

    return update


PIECE = 1 << 16  # elements whose results stay in the cache until they are written back


def flat_like(y: Any, x: Any) -> bool:
    """Whether y is a number, or lies in memory as x does, without gaps."""
    return type(y) is not ndarray or (y.shape == x.shape and y.flags.c_contiguous)


def write_in_pieces(compute: Any, x: Any, arrays: list[Any], params: dict[str, Any]) -> bool:
    """``x[...] = compute(x, *arrays)``, a piece at a time; False, and nothing is written, if the
    dtypes differ.
    """
    flat = x.reshape(-1)
    others = [y.reshape(-1) if type(y) is ndarray else y for y in arrays]
    for start in range(0, x.size, PIECE):
        part = slice(start, start + PIECE)
        pieces = [y[part] if type(y) is ndarray else y for y in others]
        out = compute(flat[part], *pieces, **params)
        if not start and out.dtype is not x.dtype:
            return False
        flat[part] = out
    return True


def lone(t: Tensor, x: Any) -> bool:
    """Whether t's array x shares no memory, and what happens to t is not recorded."""
    return x.base is None and type(x) is ndarray and not (t._tracked and modes.grad)


class Reduction(Op, abstract=True):
    """Over ``dim`` (a tuple of dims, or None for all), which stay as size 1 when ``keepdim``.

    ``reducer(x, axis, dtype, out, keepdims)`` is the NumPy reduction for dtypes in ``fast``.
    """

    reducer: Any = None
    fast: frozenset[Any] = FLOATS

    def make_bind(self) -> Callable[..., Any]:
        op, reducer, fast, differentiable = self, self.reducer, self.fast, self.differentiable
        compiled = self.compiled
        if reducer is None:
            return super().make_bind()

        def bind(a: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
            x = a._array
            d = x.dtype
            if state.busy or d not in fast or type(x) is not ndarray:
                return run(op, (a,), {"dim": dim, "keepdim": keepdim})
            if compiled and x.size >= op.least:
                out = op.forward((x,), {"dim": dim, "keepdim": keepdim})
            elif dim is None and not keepdim:
                out = reducer(x, None, None, empty((), d))  # cheaper than to wrap a NumPy scalar
            else:
                out = reducer(x, dim, None, None, keepdim)
                if type(out) is not ndarray or not out.flags.c_contiguous:
                    out = packed(out)
            t = wrap(out)
            if a._tracked and differentiable and modes.grad:
                record_unary(op, a, t, {"dim": dim, "keepdim": keepdim})
            return t

        return bind


def packed(a: Any) -> np.ndarray[Any, Any]:
    """C-contiguous: everything but elementwise results is, as in torch (NumPy keeps the input's
    order).
    """
    if a.__class__ is ndarray and a.flags.c_contiguous:
        return a
    return np.array(a, order="C", copy=None)


class View(Op, abstract=True):
    """The output shares the input's memory: ``eager(xp, x, *, params)`` returns a NumPy view, or a
    list of them when ``multi``.
    """

    multi = False
    by_place = False  # it names places in memory, so that the order of its input there matters
    pick: Any = None  # multi: the op that makes output `index` alone

    linked: ClassVar[Callable[..., Tensor]]

    def make_bind(self) -> Callable[..., Any]:
        op, multi, eager, linked = self, self.multi, self.eager, make_linked(self)
        type(self).linked = staticmethod(linked)

        def bind(a: Tensor, **params: Any) -> Any:
            if state.busy and modes.profiler is not None:
                array = modes.profiler.call(op, eager, np, a._array, **params)
            else:
                array = eager(np, a._array, **params)
            return bind_many(op, a, array, params) if multi else linked(a, array, params)

        return bind


def make_linked(op: View) -> Callable[..., Tensor]:
    """``bind`` for who has already made the array: ``linked(a, array, params)``."""
    keep_spec = op.keep_only[-1]

    def linked(a: Tensor, array: Any, params: dict[str, Any]) -> Tensor:
        if state.busy and modes.trace is not None:
            modes.trace.viewed(op, a, params, array)
        t = blank()
        t._array = array
        t._tracked = True  # a view needs gradient as soon as its base does
        t._wants_grad = False
        t._grad = t._node = None
        c = a._counter
        if c is UNSHARED:
            c = a._counter = new_counter()
        t._counter = c
        v = t._link = ViewLink()
        v.version = c.value
        grad = modes.grad
        parent = a._link
        if parent is None:
            v.base, v.chain, v.origin = a, ((op, params),), None if grad else NO_GRAD
        else:
            v.base, v.chain = parent.base, (*parent.chain, (op, params))
            v.origin = parent.origin if grad else NO_GRAD
        if grad and a._tracked and needs_grad(a) and array.dtype in DIFFERENTIABLE:
            n = t._node = new_node(op, (edge(a),), params)
            if keep_spec:
                x = a._array
                n.specs = ((x.shape, x.dtype),)
        return t

    return linked


def bind_many(op: View, a: Tensor, arrays: list[Any], params: dict[str, Any]) -> list[Tensor]:
    """A view op with several outputs: they refuse recorded writes, since those could not be told
    apart.
    """
    if state.busy and modes.trace is not None:
        modes.trace.viewed(op, a, params, arrays)
    outs = [wrap(o) for o in arrays]
    grad = modes.grad
    for i, o in enumerate(outs):
        link_view(a, o, op.pick.instance, {**params, "index": i}, MULTI if grad else NO_GRAD)
    if grad and a._tracked:
        record(op, (a,), outs, params)
    return outs
