"""The engine: sends gradients through the graph, from the outputs back to the leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from typing import Any

from numpy import array, ndarray

from rushlight import dtypes
from rushlight.core.device_array import DeviceArray
from rushlight.core.history import clone_in_order
from rushlight.core.meta import MetaArray
from rushlight.core.node import GradientEdge, Node, Output, by_seq, required
from rushlight.core.sparse import SparseArray, rules
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, edge, layout_dense, wrap
from rushlight.core.wrapped import WrappedArray
from rushlight.errors import DTypeError, GraphError, ShapeError, warn_user


def reachable(roots: list[Any]) -> tuple[list[Node], dict[Any, int]]:
    """Nodes from which gradients flow, latest first, and how many edges end in each leaf."""
    leaves: dict[Any, int] = {}
    order: list[Node] = []
    seen = set()
    for r in roots:
        if r._is_node and r not in seen:
            seen.add(r)
            order.append(r)
    for node in order:  # grows meanwhile
        for e in node.edges:
            if e is None:
                continue
            if not e._is_node:
                leaves[e] = leaves.get(e, 0) + 1
            elif e not in seen:
                seen.add(e)
                order.append(e)
    order.sort(key=by_seq, reverse=True)
    return order, leaves


class Walk:
    """A backward pass: the positions that it comes to, and the gradients that it was asked for.
    ``modes.walk`` is the current one.
    """

    __slots__ = (
        "order", "leaves", "roots", "captured", "needed", "accumulate", "create_graph", "callbacks"
    )  # fmt: skip

    def __init__(
        self, roots: list[Any], inputs: list[Any] | None, accumulate: bool, create_graph: bool
    ) -> None:
        self.order, self.leaves = reachable(roots)
        self.roots, self.accumulate, self.create_graph = roots, accumulate, create_graph
        self.captured: dict[Any, Any] = {}  # the gradients of ``inputs``, by position
        self.needed: Any = None  # None, or the positions on the way to those
        self.callbacks: list[Any] = []  # to be called at the end
        if inputs is not None:
            self.captured = dict.fromkeys(inputs)
            self.needed = self.on_the_way()

    def on_the_way(self) -> set[Any]:
        """The positions that are asked for, and the nodes from which gradients reach them."""
        needed = set(self.captured) - {None}  # None: a view made under no_grad is in no graph
        shared = {e.edges[0] for e in needed if isinstance(e, Output)}
        for node in reversed(self.order):
            if not needed.isdisjoint(node.edges) or (node._is_output and node.edges[0] in shared):
                needed.add(node)  # the latter only for its hooks, as its sibling's node is reached
        return needed

    def reaches(self, position: Any) -> bool:
        """Whether a gradient may arrive there."""
        if self.needed is not None and position not in self.needed:
            return False
        return position in self.leaves or any([n is position for n in self.order])

    def captures(self, node: Node, arrived: Any, g: Any, ends: Container[Any]) -> Any:
        """Keep the gradient of a node that is asked for; what goes on from there, if anything does.
        Hooks made g of what ``arrived``.
        """
        if node not in self.needed:
            g = None
        if node in self.captured:
            if node in ends or self.needed.isdisjoint(node.edges):
                self.captured[node], g = g, None
            else:  # as torch has it: before the hooks if the pass goes on
                self.captured[node] = arrived
        return g

    def finish(self, leaf: Tensor, g: Any, own: bool) -> None:
        """g is all that reaches ``leaf`` in this pass. own: nobody else holds g, so it may become
        .grad without a copy.
        """
        needed = self.needed
        if leaf._hooks is not None and (
            needed is None or leaf in self.captured or leaf in self.roots
        ):
            own = False
            g = run_hooks(leaf._hooks, g)
        if needed is not None:
            if leaf not in self.captured:
                return
            self.captured[leaf] = g
            if not self.accumulate:
                return
        if leaf._wants_grad:
            accumulate_into(leaf, g, own, self.create_graph)


def run_backward(
    roots: list[Any],
    grads: list[Any],
    retain_graph: bool,
    create_graph: bool,
    inputs: list[Any] | None = None,
    accumulate: bool = False,
    ends: Container[Any] = (),
) -> dict[Any, Any]:
    """Send ``grads`` from the graph positions ``roots`` to the leaves, into ``.grad``; or only to
    the positions ``inputs``.

    With ``inputs`` the gradients are returned by position, and also accumulated into leaves when
    ``accumulate``. The pass does not go on from those inputs that are among ``ends``, even where
    others lie behind them.
    """
    walk = Walk(roots, inputs, accumulate, create_graph)
    order, leaves, needed, finish = walk.order, walk.leaves, walk.needed, walk.finish
    pending: dict[Any, Any] = {}  # what has arrived at positions, where more may come
    plain = needed is None and not create_graph
    before = modes.walk, modes.grad, modes.asks_arguments, modes.function_modes
    try:  # no context manager: an interrupt as its end is called would leave the modes as they are
        modes.walk, modes.grad = walk, create_graph
        if state.asking:  # rules are no calls of the user's
            modes.asks_arguments, modes.function_modes = False, ()
        for r, g in zip(roots, grads, strict=True):
            sofar = pending.get(r)
            pending[r] = g if sofar is None else sofar + g
        for r in roots:
            if not r._is_node and not leaves.get(r, 0) and r in pending:
                finish(r, pending.pop(r), False)
        for node in order:
            g = pending.pop(node, None)
            arrived = g
            if g is not None and node.special:
                g = prepare(node, g)
            if needed is not None:
                g = walk.captures(node, arrived, g, ends)
            if node._is_output:
                if g is not None:  # it waits in its place in the gradient of the whole node
                    slots = pending.setdefault(node.edges[0], {})
                    sofar = slots.get(node.index)
                    slots[node.index] = g if sofar is None else sofar + g
                continue
            out: Sequence[Any]
            if g is None:
                out = (None,) * len(node.edges)
            elif node.special or state.busy:
                out = run_special(node, g, needed)
            else:
                out = node.backward(g, needed)
            if not retain_graph and (g is not None or needed is None):
                node.saved = None
            repeated: Any = None  # results that are several inputs' gradients, once someone asks
            for i, e in enumerate(node.edges):
                if e is None:
                    continue
                r = out[i]
                if e._is_node:
                    if r is not None:
                        sofar = pending.get(e)
                        pending[e] = r if sofar is None else sofar + r
                else:
                    left = leaves[e] = leaves[e] - 1
                    sofar = pending.get(e)
                    if left:
                        if r is not None:
                            pending[e] = r if sofar is None else sofar + r
                    elif sofar is not None:
                        del pending[e]
                        finish(e, sofar if r is None else sofar + r, False)
                    elif r is not None:
                        if repeated is None:
                            repeated = several(out)
                        own = r is not g and r._link is None and r._array.base is None
                        own = own and id(r) not in repeated
                        if own and plain and may_become(r, e):
                            e._grad = r
                        else:
                            finish(e, r, own)
    finally:
        modes.walk, modes.grad, modes.asks_arguments, modes.function_modes = before
    for call in walk.callbacks:
        call()
    return walk.captured


def may_become(g: Tensor, leaf: Tensor) -> bool:
    """Whether g, which nobody else has, becomes the leaf's gradient as it is, and that is all that
    ``accumulate_into`` would do.
    """
    if leaf._grad is not None or not leaf._wants_grad or state.busy:
        return False
    x, y = leaf._array, g._array
    like = x.__class__ is ndarray is y.__class__ and x.strides == y.strides
    return like and leaf._hooks is None is leaf._after_hooks


def several(out: Sequence[Any]) -> Container[int]:
    """Which of a rule's results stand for the gradients of more than one input, by identity."""
    if len(out) < 2:
        return ()
    ids = [*map(id, out)]
    return () if len({*ids}) == len(ids) else {k for k, n in Counter(ids).items() if n > 1}


def run_special(node: Node, g: Any, needed: Any) -> list[Any]:
    """Run a node that has hooks of its own, or that anomaly mode watches."""
    try:
        if modes.profiler is None:
            out = node.backward(g, needed)
        else:
            out = modes.profiler.call(node, node.backward, g, needed)
    except Exception:
        if modes.anomaly:
            warn_of_anomaly(node)
        raise
    if node.post_hooks and not isinstance(node, Output):
        given = tuple(g) if isinstance(g, list) else (g,)
        for hook in list(node.post_hooks.values()):
            r = hook(tuple(out), given)
            if r is not None:
                out = list(expect_answer(hook, r, out))
    if modes.anomaly and modes.check_nan:
        for i, r in enumerate(out):
            if isinstance(r, Tensor) and has_nan(r._array):
                warn_of_anomaly(node)
                raise GraphError(
                    f"Function '{node.name()}' returned nan values in its {i}th output."
                )
    return out


def warn_of_anomaly(node: Node) -> None:
    """Say which forward call made the node that failed."""
    where = (
        f"Traceback of forward call that caused the error:\n{node.stack}"
        if node.stack is not None
        else "No forward pass information available. Enable detect anomaly during forward pass for "
        "more information."
    )
    warn_user(f"Error detected in {node.name()}. {where}")


def has_nan(x: Any) -> bool:
    """Whether an element is NaN."""
    x = x.values if x.__class__ is SparseArray else x.fetch() if x.__class__ is DeviceArray else x
    return bool((x != x).any())


def run_hooks(hooks: dict[int, Any], g: Any) -> Any:
    """Pass g through hooks; each may replace it."""
    for hook in list(hooks.values()):
        r = hook(g)
        if r is not None:
            if not isinstance(r, Tensor):
                raise TypeError(
                    f"a hook must return None or a Tensor, but returned {type(r).__name__}"
                )
            if r._array.shape != g._array.shape:
                raise ShapeError(
                    f"a hook has changed the size of the gradient from {g._array.shape} to "
                    f"{r._array.shape}; "
                    "it must keep the tensor's shape."
                )
            if r._array.dtype != g._array.dtype:
                raise DTypeError(
                    f"a hook has changed the type of the gradient from {g._array.dtype} to "
                    f"{r._array.dtype}; return it as it was, with .to(grad.dtype)."
                )
            g = r
    return g


def prepare(node: Node, g: Any) -> Any:
    """Hooks on the arriving gradient, then the tensors that retain it; or the slots of a node with
    several outputs.
    """
    if node.out_specs is not None:
        fills, given = node.fills, g
        g = []
        for i, s in enumerate(node.out_specs):
            r = given.get(i)
            if r is None and fills:
                r = zero_like_spec(s, next(iter(given.values())))
            g.append(r)
        if node.pre_hooks:
            g = list(run_pre_hooks(node, tuple(g)))
        return g
    if node.hooks is not None:
        g = run_hooks(node.hooks, g)
    for t in node.keepers:
        t._grad = g.clone() if t._grad is None else t._grad + g
    if node.pre_hooks:
        (g,) = run_pre_hooks(node, (g,))
    return g


def run_pre_hooks(node: Node, gs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The user's hooks on a node's incoming gradients."""
    for hook in list((node.pre_hooks or {}).values()):
        r = hook(gs)
        if r is not None:
            gs = expect_answer(hook, r, gs)
    return gs


def expect_answer(hook: Any, answer: Any, gs: Any) -> tuple[Any, ...]:
    """What a node's hook returned in the place of gradients: as many, of the same shapes."""
    name = getattr(hook, "__name__", type(hook).__name__)
    if not isinstance(answer, tuple):
        raise TypeError(
            f"expected tuple, but hook returned '{type(answer).__name__}': {name} must return None "
            f"or a tuple of {len(gs)}."
        )
    if len(answer) != len(gs):
        raise GraphError(
            f"hook '{name}' has returned an incorrect number of values (got {len(answer)}, but "
            f"expected {len(gs)})"
        )
    for r, g in zip(answer, gs, strict=True):
        if r is None:
            continue
        if not isinstance(r, Tensor):
            raise TypeError(f"expected Variable, but hook returned '{type(r).__name__}'")
        if g is None:
            raise GraphError(
                f"can't replace a None gradient with a non-None value, as hook '{name}' does"
            )
        if r._array.shape != g._array.shape:
            raise ShapeError(
                f"hook '{name}' has changed the size of value from {g._array.shape} to "
                f"{r._array.shape}; it must keep each gradient's shape."
            )
    return answer


def zero_like_spec(spec: Any, other: Tensor | None) -> Tensor | None:
    """The gradient of an output that nothing used, beside another's; None when the output carries
    none.
    """
    return required.zeros(*spec, other) if spec[1] in dtypes.DIFFERENTIABLE else None


def accumulate_into(leaf: Tensor, g: Tensor, own: bool, create_graph: bool) -> None:
    """Add g to leaf's ``.grad``; recorded if ``create_graph``, which grad mode says too."""
    traced = bool(state.busy) and modes.trace is not None
    if traced:
        modes.trace.touched(leaf)
    if leaf._grad is None and leaf._array.ndim > 1:
        g, own = in_layout_of(leaf, g, own, create_graph or traced)
    if leaf._grad is None:
        leaf._grad = g if own and not create_graph else g.clone()
    elif create_graph or leaf._grad._array.__class__ is SparseArray:
        leaf._grad = leaf._grad + g
    else:
        leaf._grad.add_(g)
    if leaf._after_hooks is not None:
        for hook in list(leaf._after_hooks.values()):
            r = hook(leaf)
            if r is not None:
                raise TypeError(
                    "a hook that runs after the gradient was accumulated must return None, but "
                    f"returned {type(r).__name__}; change tensor.grad instead."
                )


def in_layout_of(leaf: Tensor, g: Tensor, own: bool, recorded: bool) -> tuple[Tensor, bool]:
    """g as leaf lies in memory, if that is dense, else in rows; and whether nobody else has it.
    ``recorded`` means by operations.
    """
    x, y = leaf._array, g._array
    if (y.__class__ is not ndarray and y.__class__ is not DeviceArray) or y.strides == x.strides:
        return g, own
    dense = not x.flags.c_contiguous and layout_dense(x)
    order = sorted(range(x.ndim), key=lambda d: -x.strides[d]) if dense else list(range(x.ndim))
    if recorded or y.__class__ is DeviceArray:
        return clone_in_order(g, tuple(order)), True
    back = sorted(range(x.ndim), key=order.__getitem__)
    return wrap(array(y.transpose(order), order="C").transpose(back)), True


def start(tensors: Sequence[Any], grads: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The graph positions and gradients to begin with, checked."""
    roots, gs = [], []
    for i, (t, g) in enumerate(zip(tensors, grads, strict=True)):
        if isinstance(t, GradientEdge):
            roots.append(t.place)
            gs.append(initial_gradient_there(t, g))
            continue
        e = edge(t)
        if e is None:
            raise GraphError(
                f"element {i} of tensors does not require grad and does not have a grad_fn; "
                "nothing it was computed from "
                "requires grad, or it was computed under no_grad() or detached."
            )
        roots.append(e)
        gs.append(initial_gradient(t, g))
    return roots, gs


def initial_gradient_there(place: GradientEdge, g: Any) -> Any:
    """The gradient to start from, for the edge that stands for a tensor."""
    if g is not None:
        return g
    shape, d = place.spec or ((0,), None)
    if shape and shape != (1,):
        raise GraphError(
            "grad can be implicitly created only for scalar outputs; pass a gradient for this edge."
        )
    return required.ones(shape, d)


def ones_like(t: Tensor) -> Tensor:
    """Ones where t is."""
    return required.ones(t._array.shape, t._array.dtype, t)


def initial_gradient(t: Tensor, g: Any) -> Tensor:
    """The gradient to start from: ones for a tensor of one element, else what was given."""
    x = t._array
    if g is None:
        if x.size != 1:
            raise GraphError(
                "grad can be implicitly created only for scalar outputs, but the output has "
                f"shape {x.shape}; "
                "reduce it first (for example with sum()), or pass a gradient of its shape."
            )
        if x.dtype in dtypes.COMPLEX_TYPES:
            raise GraphError(
                "grad can be implicitly created only for real scalar outputs, but this one is "
                f"{dtypes.of[x.dtype].name}; "
                "take its real, imag or abs first, or pass a gradient."
            )
        if x.__class__ is MetaArray:
            return wrap(MetaArray(x.shape, x.dtype))
        if x.__class__ is WrappedArray:
            return rules.ask("ones_like", ones_like, t)
        if x.__class__ is ndarray and not (x.ndim or state.busy):
            return wrap(array(1, x.dtype))
        return ones_like(t)
    if not isinstance(g, Tensor):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}")
    if g._array.shape != x.shape:
        raise ShapeError(
            f"Mismatch in shape: the gradient has {g._array.shape} and the output {x.shape}; "
            "they must be equal."
        )
    if g._array.dtype in dtypes.COMPLEX_TYPES and x.dtype not in dtypes.COMPLEX_TYPES:
        raise GraphError("For real outputs the gradient must be real, but a complex one was given.")
    return g if g._array.dtype == x.dtype else required.cast(g, x.dtype)


def begin_anomaly() -> None:
    """Send every op through the general path, which notes the forward line."""
    state.busy += 1


def end_anomaly() -> None:
    """Undo ``begin_anomaly``."""
    state.busy -= 1
