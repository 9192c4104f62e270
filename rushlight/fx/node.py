"""Node: one value of a graph, and the call that makes it."""

from __future__ import annotations

from collections.abc import Callable
from types import GenericAlias
from typing import TYPE_CHECKING, Any

from rushlight.config import is_own
from rushlight.fx.names import shown
from rushlight.tensor_api.rarities import _assert, _assert_async, _check

if TYPE_CHECKING:
    from rushlight.fx.graph import Graph

__all__ = ["Node", "has_side_effect", "map_aggregate", "map_arg"]

OPS = ("placeholder", "call_method", "call_module", "call_function", "get_attr", "output", "root")
_side_effects: set[Callable[..., Any]] = {_assert, _assert_async, _check}


def has_side_effect(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function whose calls stay in a graph although nobody uses their results; returns it.

    Example:
        >>> from rushlight import fx
        >>> fx.has_side_effect(print)
        <built-in function print>
    """
    _side_effects.add(fn)
    return fn


def map_aggregate(a: Any, fn: Callable[[Any], Any]) -> Any:
    """``a`` with ``fn(x)`` for every x in its tuples, lists, dicts and slices."""
    if isinstance(a, tuple):
        parts = [map_aggregate(x, fn) for x in a]
        return type(a)(*parts) if hasattr(a, "_fields") else tuple(parts)
    if isinstance(a, list):
        return Arguments([map_aggregate(x, fn) for x in a])
    if isinstance(a, dict):
        return FrozenArguments({k: map_aggregate(v, fn) for k, v in a.items()})
    if isinstance(a, slice):
        return slice(*[map_aggregate(x, fn) for x in (a.start, a.stop, a.step)])
    return fn(a)


def map_arg(a: Any, fn: Callable[[Node], Any]) -> Any:
    """``a`` with ``fn(n)`` for every node n in its tuples, lists, dicts and slices.

    Example:
        >>> from rushlight import fx
        >>> x = fx.Graph().placeholder("x")
        >>> fx.map_arg([x, 1, {"k": x}], lambda n: n.name)
        ['x', 1, {'k': 'x'}]
    """
    return map_aggregate(a, lambda x: fn(x) if isinstance(x, Node) else x)


def _refuse(self: Any, *args: Any, **kwargs: Any) -> Any:
    raise NotImplementedError(
        "arguments of nodes cannot be changed in place: assign node.args or node.kwargs anew, so "
        "that the graph knows who uses what."
    )


class Arguments(list):  # type: ignore[type-arg]
    """A list among a node's arguments: it cannot be changed."""

    append = extend = insert = pop = remove = clear = sort = reverse = _refuse
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self))

    def __reduce__(self) -> Any:
        return Arguments, (list(self),)


class FrozenArguments(dict):  # type: ignore[type-arg]
    """A dict among a node's arguments: it cannot be changed."""

    pop = popitem = clear = update = setdefault = _refuse
    __setitem__ = __delitem__ = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self.items()))

    def __reduce__(self) -> Any:
        return FrozenArguments, (dict(self),)


class Node:
    """One value of a graph.

    Args:
        graph: the graph it belongs to.
        name: unique in the graph.
        op: "placeholder" (an argument of the program), "get_attr" (an attribute of the module),
            "call_function", "call_method", "call_module", or "output".
        target: the function, or the name of the argument, attribute, method or module.
        args: positional arguments of the call; they may contain nodes.
        kwargs: its keyword arguments.
        return_type: the type that is annotated, if any.
    """

    def __init__(
        self,
        graph: Graph,
        name: str,
        op: str,
        target: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        return_type: Any = None,
    ) -> None:
        if op not in OPS:
            raise AssertionError(f"Node: op is {op!r}; it must be one of {OPS[:-1]}")
        if op == "call_function" and not callable(target):
            raise ValueError(f"Node: target of a call_function must be callable, but is {target!r}")
        if op not in ("call_function", "root") and not isinstance(target, str):
            raise ValueError(f"Node: target of a {op} must be a name, but is {target!r}")
        self.graph, self.name, self.op, self.target = graph, name, op, target
        self.type, self.meta = return_type, dict[str, Any]()
        self.users: dict[Node, None] = {}
        self._input_nodes: dict[Node, None] = {}
        self._args: Any = ()
        self._kwargs: Any = {}
        self._prev = self._next = self
        self._erased = False
        self._set(args, kwargs)

    def _set(self, args: Any, kwargs: Any) -> None:
        for n in self._input_nodes:
            n.users.pop(self, None)
        self._input_nodes = {}

        def use(n: Node) -> Node:
            self._input_nodes.setdefault(n)
            n.users.setdefault(self)
            return n

        self._args, self._kwargs = map_arg(tuple(args), use), map_arg(dict(kwargs), use)

    @property
    def args(self) -> tuple[Any, ...]:
        """Positional arguments. Assign a new tuple to change them."""
        return self._args

    @args.setter
    def args(self, args: tuple[Any, ...]) -> None:
        self._set(args, self._kwargs)

    @property
    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments. Assign a new dict to change them."""
        return self._kwargs

    @kwargs.setter
    def kwargs(self, kwargs: dict[str, Any]) -> None:
        self._set(self._args, kwargs)

    @property
    def all_input_nodes(self) -> list[Node]:
        """The nodes among the arguments, each once."""
        return list(self._input_nodes)

    @property
    def next(self) -> Node:
        """The node after this one."""
        return self._next

    @property
    def prev(self) -> Node:
        """The node before this one."""
        return self._prev

    @property
    def stack_trace(self) -> str | None:
        """Where the call was traced, if the tracer was told to note it."""
        return self.meta.get("stack_trace")

    @stack_trace.setter
    def stack_trace(self, trace: str | None) -> None:
        self.meta["stack_trace"] = trace

    def prepend(self, x: Node) -> None:
        """Put node x of the same graph before this one."""
        if self.graph is not x.graph:
            raise AssertionError("Node.prepend: the nodes are of different graphs")
        if x is self:
            return
        x._unlink()
        before = self._prev
        before._next, x._prev = x, before
        x._next, self._prev = self, x

    def append(self, x: Node) -> None:
        """Put node x of the same graph after this one."""
        self._next.prepend(x)

    def _unlink(self) -> None:
        self._prev._next, self._next._prev = self._next, self._prev

    def update_arg(self, idx: int, arg: Any) -> None:
        """Replace the positional argument ``idx``."""
        args = list(self.args)
        args[idx] = arg
        self.args = tuple(args)

    def insert_arg(self, idx: int, arg: Any) -> None:
        """Put a positional argument before argument ``idx``."""
        if not 0 <= idx <= len(self.args):
            raise AssertionError(f"insert_arg: idx is {idx}; there are {len(self.args)} arguments")
        self.args = (*self.args[:idx], arg, *self.args[idx:])

    def update_kwarg(self, key: str, arg: Any) -> None:
        """Set a keyword argument."""
        self.kwargs = {**self.kwargs, key: arg}

    def replace_all_uses_with(
        self,
        replace_with: Node,
        delete_user_cb: Callable[[Node], bool] = lambda user: True,
        *,
        propagate_meta: bool = False,
    ) -> list[Node]:
        """Let those that use this node use another one.

        Args:
            replace_with: the other node.
            delete_user_cb: whether a user is to be changed.
            propagate_meta: whether the other node, which must have no ``meta``, gets this one's.

        Returns: the users that were changed.
        """
        if propagate_meta:
            if replace_with.meta:
                raise AssertionError("replace_all_uses_with: the replacement has meta already")
            replace_with.meta.update(self.meta)
        users = [u for u in self.users if delete_user_cb(u)]
        for user in users:
            user.replace_input_with(self, replace_with)
        return users

    def replace_input_with(self, old_input: Node, new_input: Node) -> None:
        """Replace one node among the arguments by another."""

        def other(n: Node) -> Node:
            return new_input if n is old_input else n

        self._set(map_arg(self._args, other), map_arg(self._kwargs, other))

    def is_impure(self, impure_random: bool = True) -> bool:
        """Whether the call does more than make its result, so that it stays without users."""
        if self.op in ("placeholder", "output"):
            return True
        if self.op == "call_function":
            return self.target in _side_effects
        if self.op == "call_module":
            module = self.graph.owning_module
            if module is None:
                raise AssertionError(
                    "is_impure: the graph belongs to no module; make a GraphModule"
                )
            return getattr(module.get_submodule(self.target), "_is_impure", False)
        return False

    def _pretty_print_target(self, target: Any) -> str:
        return target if isinstance(target, str) else shown(target)

    def format_node(
        self,
        placeholder_names: list[str] | None = None,
        maybe_return_typename: list[str] | None = None,
        *,
        include_tensor_metadata: bool = False,
    ) -> str | None:
        """The node as a line of a printed graph."""
        if self.op == "output":
            if self.type is not None and maybe_return_typename is not None:
                maybe_return_typename[0] = f" -> {type_name(self.type)}"
            return f"return {self.args[0]}"
        kind = f"{type_name(self.type)} " if self.type is not None else ""
        head = f"%{self.name} : {kind}[num_users={len(self.users)}] = {self.op}"
        head += f"[target={self._pretty_print_target(self.target)}]"
        if self.op == "placeholder":
            return head + (f"(default={self.args[0]})" if self.args else "")
        if self.op == "get_attr":
            return head
        return f"{head}(args = {formatted(self.args)}, kwargs = {formatted(self.kwargs)})"

    def __repr__(self) -> str:
        return self.name

    def __lt__(self, other: Node) -> bool:
        order = {n: i for i, n in enumerate(self.graph.nodes)}
        return order[self] < order[other]

    def __deepcopy__(self, memo: dict[int, Any]) -> Node:
        raise AssertionError("a Node cannot be copied alone: copy its graph")


def formatted(arg: Any) -> str:
    """An argument in a printed graph: nodes have a % before their names."""
    if isinstance(arg, Node):
        return f"%{arg.name}"
    if isinstance(arg, list):
        return f"[{', '.join(map(formatted, arg))}]"
    if isinstance(arg, tuple):
        return f"({', '.join(map(formatted, arg))}{',' * (len(arg) == 1)})"
    if isinstance(arg, dict):
        return "{" + ", ".join([f"{k}: {formatted(v)}" for k, v in arg.items()]) + "}"
    return str(arg)


def type_name(kind: Any) -> str:
    """An annotation as text: ``int``, ``torch.Tensor``, ``typing.List[int]``."""
    if kind is type(None):
        return "NoneType"
    if isinstance(kind, type) and not isinstance(kind, GenericAlias):
        if kind.__module__ == "builtins":
            return kind.__qualname__
        module = "torch" if is_own(kind.__module__) else kind.__module__
        return f"{module}.{kind.__qualname__}"
    return repr(kind).replace("rushlight.core.tensor.", "torch.").replace("rushlight.", "torch.")
