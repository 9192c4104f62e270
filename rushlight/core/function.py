"""User-defined differentiable functions: ``autograd.Function``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import ref

from rushlight import dtypes
from rushlight.core.autograd import any_needs_grad, attach, users_calls
from rushlight.core.engine import run_backward, zero_like_spec
from rushlight.core.history import move_keepers, rebase
from rushlight.core.node import (
    Node,
    new_node,
    next_seq,
    output_of,
    rejoined,
    required,
    standing,
    unpacked,
)
from rushlight.core.state import GradMode, modes, state
from rushlight.core.tensor import CUSTOM, Tensor, alias, bump, counter_of, edge, new_link
from rushlight.errors import GraphError

# Note [What users hang on ctx]
# Programs set attributes of any name on ctx, so it is no node: internal names would be among them.
# The node owns its ctx, which only points back weakly, or both would wait for the collector.


class FunctionCtx:
    """``ctx``: what the forward and backward of one call of a Function share."""

    needs_input_grad: tuple[bool, ...] = ()
    _node: Callable[[], Any] = staticmethod(lambda: None)
    _materialize = True
    _dirty: tuple[Tensor, ...] = ()
    _non_differentiable: tuple[Tensor, ...] = ()
    _to_save: tuple[Any, ...] = ()
    _for_jvp: tuple[Any, ...] | None = None
    _in_jvp = False

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for backward; writes to them in between are detected. Call it once, in
        forward.
        """
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(
                    "save_for_backward can only save variables, but argument is of type "
                    f"{type(t).__name__}; "
                    "set anything else as an attribute of ctx."
                )
        self._to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for ``jvp``, which finds them in ``saved_tensors``."""
        self._for_jvp = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What ``save_for_backward`` kept; in ``jvp``, what ``save_for_forward`` did."""
        if self._in_jvp and self._for_jvp is not None:
            return self._for_jvp
        node = self._node()
        return () if node is None else node.saved_tensors

    saved_variables = saved_tensors  # its old name

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Name inputs that forward changed in place; forward must return them."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Name outputs that carry no gradient."""
        self._non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether missing output gradients reach backward as zeros (True, the default) or None."""
        self._materialize = value

    def __getattr__(self, name: str) -> Any:
        """What is known of the node, such as ``name()``."""
        node = None if name.startswith("__") else self._node()
        if node is None:
            raise AttributeError(f"ctx has no attribute {name!r}", name=name, obj=self)
        return getattr(node, name)


class FunctionNode(Node):
    """The graph node of one call of a Function."""

    home = "rushlight.autograd.function"
    function: Any
    context: FunctionCtx
    out_spec: Any = None  # shape and dtype of a single output
    many = False  # whether forward returned several

    @property
    def fills(self) -> bool:  # type: ignore[override]
        """What ``set_materialize_grads`` says."""
        return self.context._materialize

    def name(self) -> str:
        return f"{self.function.__name__}Backward"

    def __getattr__(self, name: str) -> Any:
        """What the user set on ctx."""
        known = self.__dict__.get("context")
        if known is not None and name in known.__dict__:
            return known.__dict__[name]
        return super().__getattr__(name)

    def apply(self, *grads: Any) -> Any:
        """What the user's backward returns for these gradients of the outputs."""
        return self.function.backward(self.context, *grads)

    def backward(self, g: Any, needed: Any = None) -> list[Any]:
        gs = g if isinstance(g, list) else [g]
        if self.saved is None:
            self.saved_tensors  # noqa: B018  raises: the graph was freed
        out = run_user_backward(self, gs)
        grads: list[Any] = []
        for i, (e, r) in enumerate(zip(self.edges, out, strict=True)):
            if e is None or r is None:
                grads.append(None)
                continue
            grads.append(self._checked(i, r))
        return grads

    def _checked(self, i: int, r: Any) -> Tensor:
        shape, d = self.specs[i]
        if not isinstance(r, Tensor):
            raise GraphError(
                f"{self.name()}: gradient {i} must be a Tensor or None, but is {type(r).__name__}"
            )
        if r._array.shape != shape:
            have = r._array.shape
            padded = (1,) * (len(have) - len(shape)) + shape
            alike = [n in (1, m) for n, m in zip(padded, have, strict=False)]
            if len(padded) > len(have) or not all(alike):
                raise GraphError(
                    f"Function {self.name()} returned an invalid gradient at index {i} - got "
                    f"{list(have)} "
                    f"but expected shape compatible with {list(shape)}, that of forward's argument."
                )
            r = required.sum_to(r, shape)
        if r._array.dtype in dtypes.COMPLEX_TYPES and d not in dtypes.COMPLEX_TYPES:
            raise GraphError(
                f"Function {self.name()} returned a complex gradient at index {i}, but forward's "
                "argument is real; return its .real."
            )
        return r if r._array.dtype == d else required.cast(r, d)

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What ``save_for_backward`` kept."""
        if self.saved is None:
            raise GraphError(
                "Trying to backward through the graph a second time: the saved tensors were "
                "freed by the first. "
                "Pass retain_graph=True to the earlier call."
            )
        return tuple([self._load(i) for i in range(len(self.saved))])

    def _load(self, i: int) -> Any:
        t, version = self.saved[i], self.versions[i]
        if t is None:
            return None
        if isinstance(version, Packed):
            return rejoined(unpacked(version.unpack, t), self._stood(version))
        index, version = version if isinstance(version, tuple) else (None, version)
        if t._counter.value != version:
            raise GraphError(
                "one of the variables needed for gradient computation has been modified by an "
                f"inplace operation: {self.name()} saved a {tuple(t._array.shape)} tensor at "
                f"version {version}, and it is now at version {t._counter.value}."
            )
        if index is None:
            return t
        return standing(t, self._output(index))  # for higher orders

    def _output(self, index: int) -> Any:
        return self if self.out_specs is None else output_of(self, index)

    def _stood(self, packed: Packed) -> Any:
        """Where in the graph what was packed stood."""
        return packed.edge if packed.output is None else self._output(packed.output)


def attach_some(node: Node, outs: list[Any]) -> None:
    """``attach`` for a list in which some outputs are not there."""
    for i, o in enumerate(outs):
        if o is not None:
            o._node, o._tracked = output_of(node, i), True


def run_user_backward(node: FunctionNode, gs: list[Any]) -> tuple[Any, ...]:
    """Call the user's backward and check how many gradients it returned."""
    if modes.forward and node.function.jvp is not Function.jvp:
        return transposed(node, gs)
    rule = getattr(node.function, "backward", None)
    if rule is None or rule is Function.backward:
        rule = node.function.vjp
    if node.fills:
        specs = node.out_specs or [node.out_spec]
        like = next((g for g in gs if g is not None), None)
        gs = [zero_like_spec(s, like) if g is None else g for g, s in zip(gs, specs, strict=True)]
    out = rule(node.context, *gs)
    out = out if isinstance(out, tuple) else tuple(out) if isinstance(out, list) else (out,)
    n = len(node.edges)
    if len(out) > n and all(r is None for r in out[n:]):
        out = out[:n]
    if len(out) != n:
        raise GraphError(
            f"function {node.name()} returned an incorrect number of gradients (expected {n}, "
            f"got {len(out)}); backward returns "
            "one per argument of forward, None for those that need none."
        )
    return out


def transposed(node: FunctionNode, gs: list[Any]) -> tuple[Any, ...]:
    """What backward would return, from the user's ``jvp``: as that is linear in the directions, its
    own gradient by them is its transpose.
    """
    with GradMode(True):
        directions = [
            None if s is None or s[1] not in dtypes.DIFFERENTIABLE
            else required.zeros(*s).requires_grad_()
            for s in node.specs
        ]  # fmt: skip
        given = [None if d is None else d.clone() for d in directions]  # which may be written to
        node.context._in_jvp = True
        try:
            out = node.function.jvp(node.context, *given)
        finally:
            node.context._in_jvp = False
        outs = out if isinstance(out, tuple) else (out,)
        pairs = [
            (edge(o), g)
            for o, g in zip(outs, gs, strict=True)
            if g is not None and isinstance(o, Tensor) and o.requires_grad
        ]
        leaves = [d for d in directions if d is not None]
        found = run_backward([p for p, _ in pairs], [g for _, g in pairs], True, True, leaves)
    return tuple([None if d is None else found.get(d) for d in directions])


class _FunctionMeta(type):
    """Marks Function classes; kept small so that user classes may mix in others."""


class Function(metaclass=_FunctionMeta):
    """A function with your own gradient. Subclass it, define static ``forward`` and ``backward``,
    and call ``apply``.

    ``forward(ctx, *args)`` computes without recording; ``backward(ctx, *grad_outputs)`` returns one
    gradient (or None) per argument of forward. Alternatively define ``forward(*args)`` and
    ``setup_context(ctx, inputs, output)``.

    Example:
        >>> import rushlight as torch
        >>> class Square(torch.autograd.Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         ctx.save_for_backward(x)
        ...         return x * x
        ...     @staticmethod
        ...     def backward(ctx, g):
        ...         (x,) = ctx.saved_tensors
        ...         return 2 * x * g
        >>> x = torch.tensor(3.0, requires_grad=True)
        >>> Square.apply(x).backward()
        >>> x.grad
        tensor(6.)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise GraphError(
            f"{type(self).__name__} should not be instantiated; call "
            f"{type(self).__name__}.apply(...)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the result; define it in the subclass."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Save what backward needs, when ``forward`` takes no ctx."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradient of each argument of forward; define it in the subclass."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """The derivative of each output along the directions ``grad_inputs``, one per argument of
        forward; for forward-mode differentiation. Without it backward is used.
        """
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with "
            "forward mode AD."
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Call the function and record it."""
        if cls.setup_context is not Function.setup_context:
            args, kwargs = complete(cls.forward, args, kwargs), {}
        tensors = [a if isinstance(a, Tensor) else None for a in args]
        edges = tuple([edge(t) if t is not None and t._tracked else None for t in tensors])
        node: FunctionNode = new_node(None, edges, None, FunctionNode)
        ctx = node.context = FunctionCtx()
        node.function, ctx._node = cls, ref(node)  # see Note [What users hang on ctx]
        recording = modes.grad and (any(e is not None for e in edges) or any_needs_grad(tensors))
        ctx.needs_input_grad = tuple(
            [t is not None and t.requires_grad and modes.grad for t in tensors]
        )
        with GradMode(False):
            if cls.setup_context is Function.setup_context:
                result = cls.forward(ctx, *args, **kwargs)
            else:
                result = cls.forward(*args)
                cls.setup_context(ctx, args, result)
        return finish(node, tensors, result, recording)


def complete(forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """The arguments of a call with those that have defaults, which ``setup_context`` gets too."""
    code = getattr(forward, "__code__", None)
    if not kwargs and code is not None and code.co_argcount == len(args):
        return args
    bound = inspect.signature(forward).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.args


def finish(node: FunctionNode, tensors: list[Tensor | None], result: Any, recording: bool) -> Any:
    """Wrap what forward returned, and attach the node when something needs gradient."""
    many = node.many = isinstance(result, (tuple, list))
    results = list(result) if many else [result]
    if any(not any(d is r for r in results) for d in node.context._dirty):
        raise GraphError(
            f"{node.name()}: some elements marked as dirty during the forward method were not "
            "returned as output; forward must return the inputs that it changes in place."
        )
    outs = [
        own_output(node, r, tensors, recording) if isinstance(r, Tensor) else r for r in results
    ]
    if recording and (many or isinstance(result, Tensor)):
        node.seq = next_seq()
        node.specs = [None if t is None else (t._array.shape, t._array.dtype) for t in tensors]
        attach_outputs(node, tensors, results, outs)
    save(node, results, outs)
    if many:
        return tuple(outs) if isinstance(result, tuple) else outs
    return outs[0]


def own_output(
    node: FunctionNode, r: Tensor, tensors: list[Tensor | None], recording: bool
) -> Tensor:
    """The tensor to hand out: a changed input is the input itself; an unchanged one, or one in a
    graph, is an alias.
    """
    if any(r is d for d in node.context._dirty):
        if recording:
            if r._link is None and r._wants_grad and r._node is None:
                raise GraphError(
                    "a leaf Variable that requires grad has been used in an in-place operation."
                )
            if r._link is not None and r._link.origin is not None:
                raise GraphError(
                    "the output of a custom Function that changes a view in place cannot be "
                    "recorded; clone() it first."
                )
        bump(r)
        return r
    if any(r is t for t in tensors):
        out = alias(r)
        return out
    if recording and r._link is not None and not r._wants_grad:
        out = alias(r)
        base = r._link.base
        if any(base is t for t in tensors):
            out._link = new_link(base, r._link.chain, counter_of(base).value, CUSTOM)
            out._tracked = True
        return out
    return r


def attach_outputs(
    node: FunctionNode, tensors: list[Tensor | None], results: list[Any], outs: list[Any]
) -> None:
    """Give the outputs their place in the graph."""
    if state.busy and modes.anomaly:
        node.stack = users_calls()
    plain = [
        isinstance(o, Tensor)
        and o._array.dtype in dtypes.DIFFERENTIABLE
        and not any(r is n for n in node.context._non_differentiable)
        for o, r in zip(outs, results, strict=True)
    ]
    dirty = [any(r is d for d in node.context._dirty) for r in results]
    if not node.many:
        out = outs[0]
        node.out_spec = (out._array.shape, out._array.dtype)
        if dirty[0] and plain[0]:
            at = next(i for i, t in enumerate(tensors) if t is results[0])
            rebase(out, node, node.edges[at] is not None, at)
        elif plain[0]:
            attach(node, out)
        return
    for o, changed in zip(outs, dirty, strict=True):
        if changed and isinstance(o, Tensor):
            if o._link is not None:
                raise GraphError(
                    f"{node.name()} changes a view in place, so it must return only that one "
                    "Tensor; clone() the view first."
                )
            move_keepers(o, node)
            o._wants_grad = False
    node.special = True
    node.out_specs = [
        (o._array.shape, o._array.dtype) if isinstance(o, Tensor) else ((), dtypes.bool_)
        for o in outs
    ]
    attach_some(node, [o if p else None for o, p in zip(outs, plain, strict=True)])


class Packed(NamedTuple):
    """How saved_tensors_hooks unpack something, and where it stood: at an edge, or an output."""

    unpack: Callable[[Any], Any]
    edge: Any
    output: int | None


def save(node: FunctionNode, results: list[Any], outs: list[Any]) -> None:
    """Turn ``to_save`` into saved values with versions; outputs are kept as aliases, or the graph
    would be a cycle.
    """
    saved: list[Any] = []
    versions: list[Any] = []
    for t in node.context._to_save:
        index = next((i for i, r in enumerate(results) if r is t), None)
        if t is None:
            saved.append(None)
            versions.append(None)
        elif modes.saved_hooks is not None:
            pack, unpack = modes.saved_hooks
            saved.append(pack(t))
            if index is None:
                versions.append(Packed(unpack, edge(t), None))
            else:
                made = outs[index]._node is not None
                versions.append(Packed(unpack, None, index if made else None))
        elif index is not None:
            out = outs[index]
            saved.append(alias(out))
            versions.append((index if out._node is not None else None, out._counter.value))
        else:
            saved.append(t)
            versions.append(t._counter.value)
    node.saved, node.versions = tuple(saved), tuple(versions)
    node.context._to_save = ()


def once_differentiable(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of a ``backward`` that cannot itself be differentiated: a second derivative through
    it raises.
    """

    @functools.wraps(rule)
    def wrapper(ctx: Any, *gs: Any) -> Any:
        with GradMode(False):
            out = rule(ctx, *gs)
        if not modes.grad or not any_needs_grad([g for g in gs if isinstance(g, Tensor)]):
            return out
        outs = out if isinstance(out, tuple) else (out,)
        edges = tuple([edge(g) if isinstance(g, Tensor) else None for g in gs])
        refused = tuple([refusing(o, edges) if isinstance(o, Tensor) else o for o in outs])
        return refused if isinstance(out, tuple) else refused[0]

    return wrapper


class Refusal(Node):
    """Stands where a second derivative was declared impossible."""

    def name(self) -> str:
        return "DelayedErrorBackward"

    def backward(self, g: Any, needed: Any = None) -> list[Any]:
        raise GraphError(
            "trying to differentiate twice a function that was marked with @once_differentiable, "
            "or a compiled call; let the part that needs second derivatives run eagerly."
        )


def refusing(t: Tensor, edges: tuple[Any, ...]) -> Tensor:
    out = alias(t)
    out._node, out._tracked = new_node(None, edges, None, Refusal), True
    return out
