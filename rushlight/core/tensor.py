"""Tensor: an array, its place in the autograd graph, and what it shares with other tensors. No
mathematics.

Users hang attributes on tensors, so internal names start with an underscore. Methods are attached
by ``tensor_api``.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from rushlight import dtypes
from rushlight.core.state import modes, state
from rushlight.errors import GraphError, NotSupportedError

if TYPE_CHECKING:
    from rushlight.core.node import Node


# Note [Fields]
# CPython specialises the reading and writing of slots, but not of attributes whose usual value is a
# class attribute, and a call of __init__ costs as much as ten such writes. So what every op touches
# is a slot, set by the function that makes the object (``wrap``, ``new_counter``, ``new_node``);
# fields that few objects use are class attributes.


class Counter:
    """How often the memory behind a family of tensors was written. Shared by a base, its views and
    its detached aliases.
    """

    __slots__ = ("value",)
    value: int


def new_counter() -> Counter:
    """A counter at 0."""
    c = Counter()
    c.value = 0
    return c


UNSHARED = new_counter()  # stands for "never written, not shared yet"; its value stays 0


class ViewLink:
    """Why a tensor is a view: it is ``base`` with ``chain`` applied. One per view, never nested."""

    __slots__ = ("base", "chain", "version", "origin")
    base: Tensor  # the root
    chain: tuple[Any, ...]  # of (op, params)
    version: int  # the counter's value for which the tensor's node is right
    origin: str | None  # why a recorded write through this view is refused


NO_GRAD, MULTI, CUSTOM, INPUT = "no_grad", "multi", "custom", "input"


class Tensor:
    """An n-dimensional array of one element type, with automatic differentiation."""

    __slots__ = (
        "_array", "_tracked", "_wants_grad", "_node", "_counter", "_link", "_grad",
        "__dict__", "__weakref__",
    )  # fmt: skip
    # See Note [Fields]
    _array: Any  # numpy.ndarray: aliasing lives at this level
    _tracked: bool  # False: surely no gradient. True: ask `edge`. Exact but for views
    _wants_grad: bool  # requires_grad_() was called on this leaf
    _node: Node | None  # what made it, when recorded; stale if a view's link is behind
    _counter: Counter
    _link: ViewLink | None
    _grad: Tensor | None

    _is_node = False
    _hooks: dict[int, Any] | None = None  # leaf hooks
    _after_hooks: dict[int, Any] | None = None  # post-accumulate-grad hooks
    _keeps_grad = False

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Methods are attached by tensor_api."""

        __add__: Callable[..., Any]
        __radd__: Callable[..., Any]
        __sub__: Callable[..., Any]
        __rsub__: Callable[..., Any]
        __mul__: Callable[..., Any]
        __rmul__: Callable[..., Any]
        __truediv__: Callable[..., Any]
        __rtruediv__: Callable[..., Any]
        __floordiv__: Callable[..., Any]
        __mod__: Callable[..., Any]
        __pow__: Callable[..., Any]
        __rpow__: Callable[..., Any]
        __matmul__: Callable[..., Any]
        __and__: Callable[..., Any]
        __or__: Callable[..., Any]
        __xor__: Callable[..., Any]
        __lt__: Callable[..., Any]
        __le__: Callable[..., Any]
        __gt__: Callable[..., Any]
        __ge__: Callable[..., Any]
        __getitem__: Callable[..., Any]

        def __eq__(self, other: object) -> Any: ...
        def __ne__(self, other: object) -> Any: ...

        def __neg__(self) -> Any: ...
        def __invert__(self) -> Any: ...

        __setitem__: Callable[[Any, Any], None]
        __bool__: Callable[[], bool]
        __len__: Callable[[], int]

    __array_priority__ = 1000
    __hash__ = object.__hash__

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this tensor. Settable on leaves."""
        return self._tracked and needs_grad(self)

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self._node is not None:
            raise GraphError(
                "you can only change requires_grad flags of leaf variables; this one was computed "
                "from tensors that require grad, and requires grad itself."
            )
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Start (or stop) recording operations on this leaf; returns the tensor itself."""
        if requires_grad and self._array.dtype not in dtypes.DIFFERENTIABLE:
            raise GraphError(
                "only Tensors of floating point and complex dtype can require gradients; "
                f"this one is {dtypes.of[self._array.dtype].name}. Convert it first, for example "
                "with .float()."
            )
        # _node as it is: grad_fn could refuse a stale view that nobody differentiates
        if self._node is not None:
            if not requires_grad:
                raise GraphError(
                    "you can only change requires_grad flags of leaf variables. This one was "
                    "computed from tensors that "
                    "require grad; use detach() to get a tensor outside the graph."
                )
            return self
        self._wants_grad = bool(requires_grad)
        self._tracked = self._wants_grad or self._link is not None
        return self

    @property
    def grad_fn(self) -> Node | None:
        """The graph node that made this tensor; None for a leaf."""
        link = self._link
        if link is not None and link.version != self._counter.value:
            refresh(self)
        return None if self._node is None else self._node.shown()

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made it, so that ``backward`` fills its ``grad``."""
        return self.grad_fn is None

    @property
    def retains_grad(self) -> bool:
        """Whether a non-leaf keeps its gradient; see ``retain_grad``."""
        return self._keeps_grad

    @property
    def _version(self) -> int:
        value_needed("_version")
        return self._counter.value

    @property
    def _base(self) -> Tensor | None:
        return None if self._link is None else self._link.base

    @property
    def _cdata(self) -> int:  # tells tensors apart that may be equal
        return id(self)

    def _is_view(self) -> bool:
        return self._link is not None


blank = functools.partial(object.__new__, Tensor)

# Note [Written out]
# A call of ``wrap`` takes a tenth of what adding few numbers takes. So the closures that most small
# operations go through, while nothing is traced, set the fields of their result themselves.


def wrap(array: Any) -> Tensor:
    """A tensor on ``array``'s memory."""
    t = blank()
    t._array = array
    t._tracked = t._wants_grad = False
    t._node = t._link = t._grad = None
    t._counter = UNSHARED
    if state.busy and modes.trace is not None:
        t._array = modes.trace.born(array)
    return t


KNOWN_KINDS: set[type] = {Tensor}  # classes of which there were tensors
meeting: list[Callable[[type], None]] = []  # what to call before the first; core/overrides.py


def instance(cls: type[Any], array: Any) -> Any:
    """A tensor of the class ``cls``, Tensor or below it, on ``array``'s memory."""
    if cls not in KNOWN_KINDS:
        meeting[0](cls)
    t = object.__new__(cls)
    t._array = array
    start_afresh(t)
    return t


def start_afresh(t: Tensor) -> None:
    """Make t a leaf without history, on memory that it shares with nobody."""
    t._tracked = t._wants_grad = False
    t._node = t._link = t._grad = None
    t._counter = UNSHARED


def constant(array: Any) -> Tensor:
    """A tensor on new memory whose content no tensor decided: a trace may keep it."""
    t = blank()
    t._array = array
    t._tracked = t._wants_grad = False
    t._node = t._link = t._grad = None
    t._counter = UNSHARED
    if state.busy and modes.trace is not None:
        modes.trace.constant(array)
    return t


def no_tensor(function: str, *inputs: Any) -> TypeError:
    """What to raise where something else was taken for a tensor."""
    others = [x for x in inputs if not isinstance(x, Tensor) and x is not None]
    kind, fix = "None", "make one of it with torch.as_tensor()"
    if others:
        first = others[0]
        kind = kind_of(first)
        if isinstance(first, (tuple, list)) and any(isinstance(x, Tensor) for x in first):
            fix = "pick the one that is meant, or join them by torch.stack() or torch.cat()"
    return TypeError(f"{function}(): expected a Tensor, but got {kind}; {fix}.")


def kind_of(x: Any) -> str:
    """What an error calls something that is no tensor: its class, and of PyTorch's tensors, which a
    program that imports both may have mixed up, the module too.
    """
    kind = type(x)
    return f"PyTorch's {kind.__module__}.{kind.__name__}" if is_pytorchs(kind) else kind.__name__


def is_pytorchs(kind: Any) -> bool:
    """Whether a class is one of PyTorch's tensors."""
    return any([base.__name__ == "TensorBase" for base in getattr(kind, "__mro__", ())])


def explained(function: Any, args: Any, named: Any, error: AttributeError) -> Exception:
    """What to raise where a call of a function that expects tensors failed with ``error``: a
    TypeError that names the first argument which is none, or ``error`` itself.
    """
    names = [n for n in function.__annotations__ if n != "return"]  # its code may be another's
    given = {**dict(zip(names, args, strict=False)), **named}
    for name, kind in function.__annotations__.items():
        x = given.get(name)
        wanted = kind == "Tensor" or (kind == "Tensor | None" and x is not None)
        if wanted and name in given and not isinstance(x, Tensor):
            return TypeError(
                f"{function.__name__}(): argument '{name}' (position {names.index(name) + 1}) must"
                f" be Tensor, not {kind_of(x)}; make one of it with torch.as_tensor()."
            )
    for x in (*args, *named.values()):  # those that may be several tensors
        members = x if isinstance(x, (tuple, list)) else ()
        wrong = [e for e in (x, *members) if e is error.obj]
        if wrong and not isinstance(wrong[0], Tensor):
            return no_tensor(function.__name__, wrong[0])
    return error


def expect_tensors(function: str, *inputs: Any) -> None:
    """TypeError where something else is given for a tensor."""
    for x in inputs:
        if not isinstance(x, Tensor):
            raise no_tensor(function, x)


def fixed_number(x: Any) -> Any:
    """Numbers that new tensors are made of. A trace has to begin again when they change."""
    return modes.trace.fixed(x) if state.busy and modes.trace is not None else x


def moving_number(x: Any, d: Any, fills: bool = False) -> Tensor | None:
    """A number that may be another in later calls of what is traced, as a 0-dim tensor of dtype d;
    None for other numbers, and for one that is out of d's range where it ``fills`` memory.
    """
    return modes.trace.scalar(x, d, fills) if state.busy and modes.trace is not None else None


def moving_array(function: Callable[..., Any], *numbers: Any) -> Tensor | None:
    """A tensor with the array that a function makes of numbers, of which some may be others in
    later calls of what is traced; None where none may.
    """
    trace = modes.trace if state.busy else None
    return None if trace is None else trace.on(trace.array(function, *numbers))


def value_needed(what: str, t: Tensor | None = None) -> None:
    """Tell a trace that Python is about to look at a value, which the trace cannot follow unless
    it is that of a tensor ``t`` which is the same in every call.
    """
    if state.busy and modes.trace is not None and not (t is not None and modes.trace.is_fixed(t)):
        modes.trace.refuse(what)


def value_pinned(what: str, t: Tensor) -> None:
    """Tell a trace that Python is about to look at the one integer in ``t``: calls where it is
    another take a capture of their own.
    """
    if state.busy and modes.trace is not None and not modes.trace.is_fixed(t):
        modes.trace.pin(what, t)


def holds(t: Tensor) -> bool:
    """Whether a condition, a 0-dim tensor, is True; where it is not, the caller raises. So a trace
    takes it for granted, and its program is left where it finds otherwise.
    """
    if state.busy and modes.trace is not None:
        modes.trace.require(t)
    try:
        return bool(t._array)
    except NotSupportedError:  # it is on a GPU
        return bool(t.item())


def counter_of(t: Tensor) -> Counter:
    """The tensor's own counter, made on first need."""
    c = t._counter
    if c is UNSHARED:
        c = t._counter = new_counter()
    return c


def bump(t: Tensor) -> int:
    """Count a write to the tensor's memory, made without an op; the new version."""
    value_needed("a write to memory outside of rushlight's operations")
    return written(t)


def written(t: Tensor) -> int:
    """Count a write that an op made to the tensor's memory; the new version."""
    c = t._counter
    if c is UNSHARED:
        c = t._counter = new_counter()
    c.value += 1
    return c.value


@contextlib.contextmanager
def counted_once(tensors: Iterable[Any]) -> Iterator[None]:
    """What is written to tensors within it counts as one write, as an update of arrays does."""
    found = [(t, t._counter.value) for t in tensors if isinstance(t, Tensor)]
    yield
    for t, before in found:
        if t._counter.value > before:
            t._counter.value = before + 1


def alias(t: Tensor) -> Tensor:
    """The same memory and counter outside the graph: what ``detach`` returns."""
    out: Tensor = instance(Tensor, t._array)
    out._counter = counter_of(t)
    if state.busy and modes.trace is not None:
        modes.trace.aliased(out, t)
    return out


def new_link(base: Tensor, chain: tuple[Any, ...], version: int, origin: str | None) -> ViewLink:
    """See ViewLink."""
    v = ViewLink()
    v.base, v.chain, v.version, v.origin = base, chain, version, origin
    return v


def needs_grad(t: Tensor) -> bool:
    """requires_grad, without making a stale view's node again. A view needs gradient when its base
    does.
    """
    return (
        t._wants_grad or t._node is not None or (t._link is not None and needs_grad(t._link.base))
    )


def idle(t: Tensor) -> bool:
    """Whether t is surely without gradient, as far as that is quickly found: many views are."""
    if not t._tracked:
        return True
    link = t._link
    if link is None or t._node is not None or t._wants_grad:
        return False
    return not link.base._tracked


def edge(t: Tensor) -> Any:
    """Where t's gradient goes: a Node, the leaf tensor itself, or None."""
    link = t._link
    if link is not None and link.version != t._counter.value:
        refresh(t)
    n = t._node
    if n is not None:
        return n
    return t if t._wants_grad else None


def replay(t: Tensor, chain: tuple[Any, ...]) -> Tensor:
    """Apply the view ops of ``chain`` to t."""
    for op, params in chain:
        t = op.bind(t, **params)
    return t


def refresh(t: Tensor) -> None:
    """View t's memory was written since its node was made: make the node again from the base's
    history.
    """
    link = t._link
    assert link is not None
    if t._node is None and not needs_grad(link.base):
        return
    if link.origin is not None:
        refuse(link.origin, "its base or another view of its base has been")
    previous, modes.grad = modes.grad, True
    try:
        again = replay(link.base, link.chain)
    finally:
        modes.grad = previous
    old, t._node = t._node, again._node
    link.version = t._counter.value
    # a retained gradient follows the tensor, hooks stay behind
    if t._keeps_grad and old is not None:
        old.drop_keeper(t)
        if t._node is not None:
            t._node.add_keeper(t)


def refuse(origin: str, what: str) -> None:
    """Raise the error for a write that meets a view of this origin."""
    if origin is NO_GRAD:
        raise GraphError(
            f"A view was created in no_grad mode and {what} modified in place with grad mode "
            "enabled; "
            "move both inside, or both outside, the no_grad block."
        )
    if origin is CUSTOM:
        raise GraphError(
            f"The tensor is a view made inside a custom Function and {what} modified in place; "
            "clone() it, or return a clone from the Function's forward."
        )
    if origin is INPUT:
        raise GraphError(
            f"The tensor is an input of a transform that differentiates by it, and {what} modified "
            "in place; clone() it first."
        )
    raise GraphError(
        "The tensor is one of several views that one function returned (split, chunk, unbind) "
        f"and {what} modified in place; "
        "use an operation that is not in place, or index the tensor instead."
    )


def layout_dense(x: np.ndarray[Any, Any]) -> bool:
    """Whether x fills its memory without gaps or overlap, in some order of dims."""
    expected = x.itemsize
    for stride, n in sorted((s, n) for s, n in zip(x.strides, x.shape, strict=True) if n != 1):
        if stride != expected:
            return False
        expected *= n
    return True
