"""Nodes of the graph that ``backward`` walks, and how users see them. Knows no op.

A node's edges lead to nodes with smaller ``seq``, so descending ``seq`` is a topological order and
also the order in which torch runs hooks. An edge is a Node, a leaf Tensor itself (there is no
accumulate node, so no reference cycle), or None.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

from rushlight import dtypes
from rushlight.config import shown_module
from rushlight.core.state import modes
from rushlight.core.tensor import Counter, Tensor, alias, instance
from rushlight.errors import GraphError

next_seq = itertools.count(1).__next__
by_seq = attrgetter("seq")


class Required:
    """The few ops that recording and the engine need; ``ops`` provides them at import."""

    zeros: Callable[..., Tensor]  # (shape, dtype, like): where `like` is
    ones: Callable[..., Tensor]
    sum_to: Callable[..., Tensor]  # (g, shape): undo broadcasting
    cast: Callable[..., Tensor]  # (g, dtype); complex to real keeps the real part


required = Required()


class Node:
    """One recorded application of an op; ``new_node`` makes it."""

    __slots__ = (
        "op", "edges", "seq", "params", "saved", "versions", "specs", "special",
        "__dict__", "__weakref__",
    )  # fmt: skip
    # See Note [Fields]
    op: Any
    edges: tuple[Any, ...]  # per input
    seq: int
    params: dict[str, Any] | None
    saved: Any  # what the rules read, per input and then per output; None once it was freed
    # The counter's value of each saved tensor, None for what is none. A fresh output, which would
    # lead back here, is saved as its array, with its counter: that has to be at 0 still.
    versions: tuple[Any, ...]
    # per input (shape, dtype): set when a rule asks, or a gradient must be reduced or cast
    specs: Any
    special: bool  # hooks, keepers or out_specs are set

    _is_node = True
    _is_output = False  # of several
    fills = True  # whether zeros stand for the gradients of outputs that nothing used
    home = "builtins"  # the module of the class that users see
    hooks: dict[int, Any] | None = None  # on the arriving gradient, from tensors
    pre_hooks: dict[int, Any] | None = None  # from the user, on the node's incoming gradients
    post_hooks: dict[int, Any] | None = None  # on what the node sends on
    keepers: tuple[Tensor, ...] = ()  # tensors that retain the arriving gradient
    # inner node of a CopySlices: makes the graph position of its output
    owner: Callable[[], Any] | None = None
    # several outputs: (shape, dtype) of each; the gradient then arrives as a list
    out_specs: Any = None
    called: str | None = None  # its name, where what the user called is more than this op
    stack: str | None = None  # the forward line, in anomaly mode
    meta: dict[str, Any] | None = None

    def name(self) -> str:
        """The node's name, such as ``MulBackward0``."""
        return self.called or str(self.op.name_of(self))

    def __repr__(self) -> str:
        home = "" if self.home == "builtins" else f"{shown_module(self.home)}."
        return f"<{home}{self.name()} object at {hex(id(self))}>"

    def shown(self) -> Node:
        """This node, of a class that is called like it: users see no other."""
        if "_shown" not in type(self).__dict__:
            self.__class__ = shown_class(type(self), self.name(), self.home)  # type: ignore[arg-type]
        return self

    # Note [Saved values by name]
    # ``_saved_self``, ``_saved_other`` and ``_saved_result`` are the first two inputs and the
    # output of an op, whatever its rules call them; other inputs, and parameters, keep their names,
    # where ``Op.public`` says nothing else.

    def saved_places(self) -> dict[str, int]:
        """By public name, where in ``saved`` a value is."""
        if self.op is None or self.op.variadic:
            return {}
        names = list(self.op.names)
        if len(names) < 3:
            names = ["self", *["other" if n in ("b", "y") else n for n in names[1:]]]
        outs = ["result"] if len(self.op.outputs) == 1 else list(self.op.outputs)
        saved, public = self.saved or (), self.op.public
        places = {public.get(n, n): i for i, n in enumerate([*names, *outs]) if i < len(saved)}
        places.pop("", None)
        return places

    def __getattr__(self, name: str) -> Any:
        """``_saved_x``: the value that was saved of x; ``_raw_saved_x``: its place."""
        raw, _, wanted = name.partition("saved_")
        if raw in ("_", "_raw_") and wanted:
            if self.saved is None:
                self.fetch(0)  # raises with the reason
            place = self.saved_places().get(wanted)
            if place is not None and self.saved[place] is not None:
                return self.fetch(place) if raw == "_" else SavedTensor(self, place)
            told = {} if self.op is None else self.op.told(self)
            if raw == "_" and wanted in told:
                return told[wanted]
        raise AttributeError(
            f"'{self.name()}' object has no attribute {name!r}", name=name, obj=self
        )

    def __dir__(self) -> list[str]:
        found = [n for n, i in self.saved_places().items() if self.saved[i] is not None]
        raw = [f"_raw_saved_{n}" for n in found]
        found += [] if self.op is None else self.op.told(self)
        return [*super().__dir__(), *[f"_saved_{n}" for n in found], *raw]

    @property
    def metadata(self) -> dict[str, Any]:
        """A dict for the user's own notes."""
        if self.meta is None:
            self.meta = {}
        return self.meta

    @property
    def next_functions(self) -> tuple[Any, ...]:
        """Per input: (the node its gradient goes to, which of that node's outputs it is)."""
        order = () if self.op is None else self.op.edge_order
        edges = [self.edges[i] for i in order] or self.edges
        return tuple([describe_edge(e) for e in edges])

    def __call__(self, *grads: Any) -> Any:
        """The gradients of the inputs, in the order of ``next_functions``, given those of the
        outputs: for programs that walk through the graph by themselves.
        """
        found = self.backward(grads[0] if self.out_specs is None else list(grads))
        order = () if self.op is None else self.op.edge_order
        found = [found[i] for i in order] or found
        return found[0] if len(found) == 1 else tuple(found)

    def register_hook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Call ``fn(grad_inputs, grad_outputs)`` after the node ran; it may replace grad_inputs."""
        self.post_hooks, self.special = self.post_hooks or {}, True
        return RemovableHandle(self.post_hooks, fn)

    def register_prehook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Call ``fn(grad_outputs)`` before the node runs; it may return new grad_outputs."""
        self.pre_hooks, self.special = self.pre_hooks or {}, True
        return RemovableHandle(self.pre_hooks, fn)

    def add_keeper(self, t: Tensor) -> None:
        """Let t retain the gradient that arrives here."""
        self.keepers, self.special = (*self.keepers, t), True

    def drop_keeper(self, t: Tensor) -> None:
        """Stop retaining for t."""
        self.keepers = tuple([k for k in self.keepers if k is not t])

    def fetch(self, i: int) -> Any:
        """Saved value i, after checking that nobody wrote to it."""
        if self.saved is None:
            raise GraphError(
                "Trying to backward through the graph a second time: the values that "
                f"{self.name()} saved were freed by the first. Pass retain_graph=True to the "
                "earlier backward() or grad() if you need it again."
            )
        t, version, n = self.saved[i], self.versions[i], len(self.edges)
        if version is None:
            return t
        if version.__class__ is Counter:  # an output as it was made: an array
            counter, t, version = version, instance(Tensor, t), 0
            t._counter = counter
        elif version.__class__ is not int:  # packed by saved_tensors_hooks
            t = unpacked(version, t)
            if i < n:
                return rejoined(t, self.edges[i])
            version = t._counter.value
        if t._counter.value != version:
            raise GraphError(
                "one of the variables needed for gradient computation has been modified by an "
                f"inplace operation: {self.name()} saved a {tuple(t._array.shape)} tensor at "
                f"version {version}, and it is now at version {t._counter.value}. clone() it "
                "before the write, or use the operation without the underscore. "
                "torch.autograd.set_detect_anomaly(True) shows where it was saved."
            )
        if i >= n and modes.grad and t._array.dtype in dtypes.DIFFERENTIABLE:
            # an output: rejoin it to the graph for higher orders
            if self.out_specs is not None:
                return standing(t, output_of(self, i - n))
            return standing(t, self if self.owner is None else self.owner())
        return t

    def look(self, name: str) -> Any:
        """A rule's non-tensor argument: a spec, all parameters, or one."""
        if self.params and name in self.params:
            return self.params[name]
        if name.endswith("_spec"):
            return self.specs[self.op.names.index(name[:-5])]
        if name == "specs":
            return self.specs
        if name == "tail":
            return [self.fetch(i) for i in range(len(self.op.names), len(self.edges))]
        assert name == "params"
        return self.params

    def backward(self, g: Any, needed: Any = None) -> list[Any]:
        """The gradient of each input, given that of the output (a list of them when there are
        several).
        """
        op, specs = self.op, self.specs
        if op.joint is not None:
            return self._backward_joint(g, needed)
        rules, grads = op.rules, list[Any]()
        for i, e in enumerate(self.edges):
            if e is None or (needed is not None and e not in needed):
                grads.append(None)
                continue
            rule, reads = rules[i]
            if reads.__class__ is int:  # one saved value, the usual case
                r = rule(g, self.fetch(reads))
            elif not reads:
                r = rule(g)
            else:
                r = rule(g, *[self.fetch(k) if k.__class__ is int else self.look(k) for k in reads])
            grads.append(r if specs is None or r is None else fit(r, specs[i]))
        return grads

    def _backward_joint(self, g: Any, needed: Any) -> list[Any]:
        rule, reads = self.op.joint
        needs, given, grads = list[bool](), list[Any](), list[Any]()  # see autograd.edges_of
        for e in self.edges:
            needs.append(e is not None and (needed is None or e in needed))
        for k in reads:
            given.append(self.fetch(k) if k.__class__ is int else self.look(k))
        specs = self.specs
        for r, need in zip(rule(g, needs, *given), needs, strict=True):
            if not need or r is None:
                grads.append(None)
            else:
                grads.append(r if specs is None else fit(r, specs[len(grads)]))
        return grads


def unpacked(unpack: Callable[[Any], Any], kept: Any) -> Tensor:
    """What a hook makes of what another one kept."""
    t = unpack(kept)
    if not isinstance(t, Tensor):
        raise TypeError(
            "Output of saved tensor unpack_hook expected to be a Tensor but got result of type "
            f"{type(t).__name__}"
        )
    return t


def rejoined(t: Tensor, to: Any) -> Tensor:
    """What was unpacked, as it stood in the graph, at an edge ``to``: for higher orders."""
    return t if to is None or not modes.grad or t._tracked else standing(t, to)


def standing(t: Tensor, to: Any) -> Tensor:
    """The same memory as t, at an edge ``to`` of the graph."""
    out = alias(t)
    out._node, out._tracked = to, True
    return out


class SavedTensor:
    """The place of a saved value: ``register_hooks(pack, unpack)`` keeps ``pack(value)`` there."""

    def __init__(self, node: Node, place: int) -> None:
        self._node, self._place = node, place

    def register_hooks(self, pack: Callable[..., Any], unpack: Callable[..., Any]) -> None:
        """Keep ``pack(value)``; ``unpack`` of that is what the gradient's rule gets."""
        n, i = self._node, self._place
        if n.versions[i].__class__ not in (int, Counter):
            raise GraphError("this saved value has hooks already, or is no tensor.")
        packed = pack(n.fetch(i))
        n.saved = (*n.saved[:i], packed, *n.saved[i + 1 :])
        n.versions = (*n.versions[:i], unpack, *n.versions[i + 1 :])


@functools.cache
def shown_class(cls: type[Node], name: str, home: str) -> Any:
    """A class of nodes that differs from ``cls`` in its name and module only."""
    members = {"__slots__": (), "__module__": shown_module(home), "_shown": True}
    return type(name, (cls,), members)


def new_node(
    op: Any, edges: tuple[Any, ...], params: dict[str, Any] | None = None, cls: Any = Node
) -> Any:
    """A node, the latest so far, that has saved nothing."""
    n = cls()
    n.op, n.edges = op, edges
    n.seq, n.params = next_seq(), params
    n.saved = n.versions = ()
    n.specs, n.special = None, False
    return n


class AccumulateGrad:
    """How a leaf appears in ``next_functions``; the graph itself points at the leaf."""

    def __init__(self, variable: Tensor) -> None:
        self.variable = variable
        self.next_functions = ()

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {hex(id(self))}>"

    def name(self) -> str:
        """``torch::autograd::AccumulateGrad``."""
        return "torch::autograd::AccumulateGrad"

    def register_hook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Call ``fn((), (grad,))`` after the gradient was accumulated."""
        if self.variable._after_hooks is None:
            self.variable._after_hooks = {}

        def hook(t: Tensor) -> None:
            fn((), (t.grad,))

        return RemovableHandle(self.variable._after_hooks, hook)

    def register_prehook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Call ``fn((grad,))`` before the gradient is accumulated; the tuple that it returns, if
        any, replaces the gradient.
        """

        def hook(g: Tensor) -> Tensor | None:
            r = fn((g,))
            return r[0] if isinstance(r, tuple) else r

        if self.variable._hooks is None:
            self.variable._hooks = {}
        return RemovableHandle(self.variable._hooks, hook)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccumulateGrad) and other.variable is self.variable

    def __hash__(self) -> int:
        return hash(id(self.variable))


def describe_edge(e: Any) -> tuple[Any, int]:
    """How users see where a gradient goes: a node, and which of its outputs."""
    if e is None:
        return None, 0
    if not e._is_node:
        return AccumulateGrad(e), 0
    return e.shown(), e.index if isinstance(e, Output) else 0


class _Place(NamedTuple):
    node: Any
    output_nr: int
    ownership_token: Any = None


class GradientEdge(_Place):
    """A place in the graph, which stands for the tensor that was there: output ``output_nr`` of a
    node, or a leaf.
    """

    spec: Any = None  # shape and dtype of the tensor, where known
    position: Any = None  # which ``backward`` knows it by, where that is not its node

    @property
    def place(self) -> Any:
        """What ``backward`` knows it by."""
        return self.node if self.position is None else self.position


class RemovableHandle:
    """Removes the hook it was returned for: call ``remove()`` or use it with ``with``.

    A program with hooks of its own makes one from its dict, and puts its hook there under ``id``;
    entries of ``extra_dict``, one dict or several, are removed with it.
    """

    next_id = 0

    def __init__(
        self, hooks_dict: Any, hook: Any = None, prepend: bool = False, *, extra_dict: Any = None
    ) -> None:
        hooks = hooks_dict
        self.hooks, self.id = hooks, RemovableHandle.next_id
        RemovableHandle.next_id += 1
        self.extra = () if extra_dict is None else extra_dict
        if hook is None:
            return
        if prepend:
            rest = dict(hooks)
            hooks.clear()
            hooks[self.id] = hook
            hooks.update(rest)
        else:
            hooks[self.id] = hook

    @property
    def hooks_dict_ref(self) -> Callable[[], Any]:
        """Gives the dict of hooks, called like the weak reference that PyTorch has here."""
        return lambda: self.hooks

    def remove(self) -> None:
        """Remove the hook; again is harmless."""
        self.hooks.pop(self.id, None)
        for extra in (self.extra,) if isinstance(self.extra, dict) else self.extra:
            extra.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class Output(Node):
    """Output ``index`` of a node with several."""

    _is_output = True
    index: int

    def shown(self) -> Node:
        """The node itself: users see one for all outputs."""
        node: Node = self.edges[0]
        return node.shown()


def output_of(node: Node, index: int) -> Output:
    """The place in the graph of one output of ``node``."""
    n: Output = new_node(node.op, (node,), node.params, Output)
    n.index = index
    return n


def fit(g: Tensor, spec: Any) -> Tensor:
    """Undo broadcasting and promotion: give g the shape and dtype of the input it belongs to."""
    shape, d = spec
    if g._array.shape != shape:
        g = required.sum_to(g, shape)
    if g._array.dtype is not d and g._array.dtype != d and d in dtypes.DIFFERENTIABLE:
        g = required.cast(g, d)
    return g
