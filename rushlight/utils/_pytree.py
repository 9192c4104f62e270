"""Nested lists, tuples, dicts and registered classes as flat lists of leaves and a description."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, NamedTuple

from rushlight.core.trees import NODES, Flatten, Node as _Node, Unflatten, class_of
from rushlight.errors import warn_user

PyTree = Context = Any


@dataclass(frozen=True)
class SequenceKey:
    """The place of a child in a list or tuple."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"

    def get(self, parent: Any) -> Any:
        return parent[self.idx]


@dataclass(frozen=True)
class MappingKey:
    """The place of a child in a dict."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"

    def get(self, parent: Any) -> Any:
        return parent[self.key]


@dataclass(frozen=True)
class GetAttrKey:
    """The place of a child that is an attribute."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"

    def get(self, parent: Any) -> Any:
        return getattr(parent, self.name)


def _list_flatten(x: list[Any]) -> tuple[list[Any], Any]:
    return x, None


def _list_flatten_with_keys(x: Any) -> tuple[list[Any], Any]:
    return [(SequenceKey(i), child) for i, child in enumerate(x)], None


def _list_unflatten(values: Iterable[Any], context: Any) -> list[Any]:
    return list(values)


def _dict_flatten(x: Any) -> tuple[list[Any], Any]:
    return list(x.values()), list(x)


def _dict_flatten_with_keys(x: Any) -> tuple[list[Any], Any]:
    return [(MappingKey(key), child) for key, child in x.items()], list(x)


def _dict_unflatten(values: Iterable[Any], context: Any) -> dict[Any, Any]:
    return dict(zip(context, values, strict=True))


_ordereddict_flatten = _dict_flatten


def _ordereddict_unflatten(values: Iterable[Any], context: Any) -> OrderedDict[Any, Any]:
    return OrderedDict(zip(context, values, strict=True))


def _tuple_flatten(x: tuple[Any, ...]) -> tuple[list[Any], Any]:
    return list(x), None


def _tuple_unflatten(values: Iterable[Any], context: Any) -> tuple[Any, ...]:
    return tuple(values)


def _namedtuple_flatten(x: Any) -> tuple[list[Any], Any]:
    return list(x), type(x)


def _namedtuple_unflatten(values: Iterable[Any], context: Any) -> Any:
    return context(*values) if hasattr(context, "_fields") else context(values)


def _namedtuple_flatten_with_keys(x: Any) -> tuple[list[Any], Any]:
    fields = x._fields if hasattr(x, "_fields") else x.fields
    return [(GetAttrKey(name), getattr(x, name)) for name in fields], type(x)


class TreeSpec(NamedTuple):
    """What a tree is without its leaves: a class (None for a leaf), what rebuilding it needs, and
    its children.
    """

    type: Any
    context: Any
    children: tuple[Any, ...]

    @property
    def num_leaves(self) -> int:
        return 1 if self.type is None else sum(c.num_leaves for c in self.children)

    @property
    def num_nodes(self) -> int:
        return 1 + sum(c.num_nodes for c in self.children)

    @property
    def num_children(self) -> int:
        return len(self.children)

    def flatten_up_to(self, tree: Any) -> list[Any]:
        """What is in ``tree`` at the places of the leaves; ValueError where it is another tree."""
        if self.type is None:
            return [tree]
        if _kind(tree) is not self.type:
            raise ValueError(f"Node type mismatch; expected {self.type}, but got {type(tree)}.")
        parts, context = NODES[self.type].flatten_fn(tree)
        if len(parts) != len(self.children):
            raise ValueError(
                f"Node arity mismatch; expected {len(self.children)}, but got {len(parts)}."
            )
        if self.type in (dict, OrderedDict, defaultdict):
            keys = self.context[1] if self.type is defaultdict else self.context
            if set(keys) != set(tree):
                raise ValueError(f"Node keys mismatch; expected {keys}, but got {list(tree)}.")
            parts = [tree[key] for key in keys]
        elif context != self.context and self.type is not deque:
            raise ValueError(
                f"Node context mismatch; expected {self.context!r}, but got {context!r}."
            )
        rows = [c.flatten_up_to(part) for c, part in zip(self.children, parts, strict=True)]
        return [x for row in rows for x in row]

    def is_leaf(self) -> bool:
        return self.type is None

    def __repr__(self) -> str:
        if self.type is None:
            return "*"
        children = ",\n".join(map(repr, self.children)).replace("\n", "\n  ")
        return f"TreeSpec({self.type.__name__}, {self.context!r}, [{children}])"


class LeafSpec(TreeSpec):
    """The description of a leaf."""

    def __new__(cls) -> LeafSpec:
        return super().__new__(cls, None, None, ())


LEAF = LeafSpec()


NODES.update(
    {
        list: _Node(_list_flatten, _list_unflatten, _list_flatten_with_keys),
        tuple: _Node(_tuple_flatten, _tuple_unflatten, _list_flatten_with_keys),
        dict: _Node(_dict_flatten, _dict_unflatten, _dict_flatten_with_keys),
        OrderedDict: _Node(_ordereddict_flatten, _ordereddict_unflatten, _dict_flatten_with_keys),
        defaultdict: _Node(
            lambda x: (list(x.values()), (x.default_factory, list(x))),
            lambda values, made: defaultdict(made[0], zip(made[1], values, strict=True)),
            _dict_flatten_with_keys,
        ),
        deque: _Node(
            lambda x: (list(x), x.maxlen),
            lambda values, most: deque(values, most),
            _list_flatten_with_keys,
        ),
        namedtuple: _Node(  # type: ignore[dict-item]
            _namedtuple_flatten, _namedtuple_unflatten, _namedtuple_flatten_with_keys
        ),
    }
)
SUPPORTED_NODES = NODES


def register_pytree_node(
    cls: type,
    flatten_fn: Flatten,
    unflatten_fn: Unflatten,
    *,
    flatten_with_keys_fn: Flatten | None = None,
    **kwargs: Any,
) -> None:
    """Let objects of a class be trees.

    Args:
        cls: the class.
        flatten_fn: object -> (list of children, what rebuilding needs).
        unflatten_fn: (children, what rebuilding needs) -> object.
        flatten_with_keys_fn: as flatten_fn, with (key, child) pairs for children, for functions
            that tell paths.
        kwargs: names for saved descriptions, not used.
    """
    if cls in NODES:
        raise ValueError(f"{cls} is already registered as pytree node.")
    NODES[cls] = _Node(flatten_fn, unflatten_fn, flatten_with_keys_fn)


_register_pytree_node = register_pytree_node


def register_dataclass(
    cls: type,
    *,
    field_names: list[str] | None = None,
    drop_field_names: list[str] | None = None,
    serialized_type_name: str | None = None,
) -> None:
    """Let objects of a dataclass be trees of their fields; what is None is no leaf.

    Args:
        cls: the class; another one only with ``field_names``.
        field_names: what it is made of; by default the dataclass's fields that its ``__init__``
            takes.
        drop_field_names: fields that may be missing there, so that rebuilding takes their defaults.
        serialized_type_name: for saved descriptions, not used.

    Raises:
        ValueError: the names are not those of the fields.
    """
    if is_dataclass(cls):
        fields_ = {f.name for f in fields(cls) if f.init} - set(drop_field_names or ())
        wrong = fields_ ^ set(fields_ if field_names is None else field_names)
        if wrong:
            raise ValueError(
                f"{cls}: field_names {field_names} are not its fields: {sorted(wrong)} are in one "
                "only. Name all that __init__ takes, or those to leave out in drop_field_names."
            )
    elif field_names is None:
        raise ValueError(f"{cls} is no dataclass: list all that it is made of in field_names.")
    names = [f.name for f in fields(cls) if f.init] if field_names is None else field_names

    def flatten_with_keys(x: Any) -> tuple[list[Any], Any]:
        there = [(name, getattr(x, name)) for name in names]
        absent = [name for name, value in there if value is None]
        kept = [(GetAttrKey(name), value) for name, value in there if value is not None]
        return kept, [[key.name for key, _ in kept], absent]

    def flatten(x: Any) -> tuple[list[Any], Any]:
        kept, context = flatten_with_keys(x)
        return [value for _, value in kept], context

    def unflatten(values: Iterable[Any], context: Any) -> Any:
        kept, absent = context
        return cls(**dict(zip(kept, values, strict=True)), **dict.fromkeys(absent))

    _register_again(cls, _Node(flatten, unflatten, flatten_with_keys))


@dataclass(frozen=True)
class ConstantNode:
    """What rebuilding a constant needs: the constant."""

    value: Any


def register_constant(cls: type) -> None:
    """Let objects of a class be trees without leaves: they are part of the description.

    Raises:
        TypeError: they are compared or hashed by identity.
    """
    for method in ("__eq__", "__hash__"):
        if getattr(cls, method) in (getattr(object, method), None):
            raise TypeError(
                f"register_constant: {cls} is to have a {method} of its own, by which descriptions "
                "of trees are compared. A frozen dataclass has one."
            )
    empty = _Node(
        lambda x: ([], ConstantNode(x)),
        lambda values, context: context.value,
        lambda x: ([], ConstantNode(x)),
    )
    _register_again(cls, empty)


def _register_again(cls: type, node: _Node) -> None:
    """Register a class; if it is already, with a warning."""
    if cls in NODES:
        warn_user(f"{cls} is already registered as pytree node, and now as another.")
    NODES[cls] = node


def _kind(tree: Any) -> Any:
    """The registered class that a tree is treated as; None for a leaf."""
    if isinstance(tree, tuple) and (hasattr(tree, "_fields") or hasattr(tree, "n_fields")):
        return namedtuple
    kind = class_of(tree)
    return kind if kind in NODES else None


def _get_node_type(tree: Any) -> Any:
    """The class under which a tree would be registered."""
    return _kind(tree) or type(tree)


def is_structseq_instance(obj: Any) -> bool:
    """Whether an object is a tuple with named fields that is written in C, such as ``stat``'s."""
    kind = type(obj)
    return kind.__bases__ == (tuple,) and isinstance(getattr(kind, "n_fields", None), int)


def tree_flatten(
    tree: PyTree, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[list[Any], TreeSpec]:
    """Leaves from left to right, and the description.

    Example:
        >>> from rushlight.utils._pytree import tree_flatten
        >>> tree_flatten({"a": [1, 2], "b": 3})[0]
        [1, 2, 3]
    """
    leaves: list[Any] = []

    def visit(part: Any) -> TreeSpec:
        kind = None if is_leaf is not None and is_leaf(part) else _kind(part)
        if kind is None:
            leaves.append(part)
            return LEAF
        children, context = NODES[kind].flatten_fn(part)
        return TreeSpec(kind, context, tuple([visit(child) for child in children]))

    return leaves, visit(tree)


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> PyTree:
    """The tree of a description, with new leaves."""
    values = list(leaves)
    if len(values) != treespec.num_leaves:
        raise ValueError(
            f"tree_unflatten(leaves, treespec): `leaves` has length {len(values)} but the spec "
            f"refers to a pytree that holds {treespec.num_leaves} items."
        )
    rest = iter(values)

    def build(spec: TreeSpec) -> Any:
        if spec.type is None:
            return next(rest)
        return NODES[spec.type].unflatten_fn([build(c) for c in spec.children], spec.context)

    return build(treespec)


def tree_leaves(tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """Leaves from left to right."""
    return tree_flatten(tree, is_leaf)[0]


tree_iter = tree_leaves


def tree_is_leaf(tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether the tree is one leaf."""
    return _kind(tree) is None or (is_leaf is not None and is_leaf(tree))


def arg_tree_leaves(*args: Any, **kwargs: Any) -> list[Any]:
    """Leaves of all arguments of a call."""
    return tree_leaves((args, kwargs))


def _leaves_with_path(
    tree: PyTree, path: tuple[Any, ...], is_leaf: Callable[[Any], bool] | None
) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if tree_is_leaf(tree, is_leaf):
        yield path, tree
        return
    with_keys = NODES[_kind(tree)].flatten_with_keys_fn
    if with_keys is None:
        raise ValueError(f"{type(tree)} tells no paths: register it with flatten_with_keys_fn.")
    for key, child in with_keys(tree)[0]:
        yield from _leaves_with_path(child, (*path, key), is_leaf)


def tree_leaves_with_path(
    tree: PyTree, is_leaf: Callable[[Any], bool] | None = None
) -> list[tuple[tuple[Any, ...], Any]]:
    """(path, leaf) pairs from left to right; a path is a tuple of keys.

    Example:
        >>> from rushlight.utils._pytree import keystr, tree_leaves_with_path
        >>> [(keystr(path), leaf) for path, leaf in tree_leaves_with_path({"a": [1, 2]})]
        [("['a'][0]", 1), ("['a'][1]", 2)]
    """
    return list(_leaves_with_path(tree, (), is_leaf))


def tree_flatten_with_path(
    tree: PyTree, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[list[tuple[tuple[Any, ...], Any]], TreeSpec]:
    """(path, leaf) pairs from left to right, and the description."""
    return tree_leaves_with_path(tree, is_leaf), tree_structure(tree, is_leaf)


def tree_map_with_path(
    func: Callable[..., Any],
    tree: PyTree,
    *rests: PyTree,
    is_leaf: Callable[[Any], bool] | None = None,
) -> PyTree:
    """As `tree_map`, of a function that is given the path of the leaf first."""
    pairs, spec = tree_flatten_with_path(tree, is_leaf)
    others = [tree_leaves(rest, is_leaf) for rest in rests]
    return tree_unflatten(
        [func(*pair, *row) for pair, *row in zip(pairs, *others, strict=True)], spec
    )


def keystr(kp: Iterable[Any]) -> str:
    """A path as Python writes it."""
    return "".join([str(key) for key in kp])


def tree_structure(tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> TreeSpec:
    """The description."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(
    func: Callable[..., Any],
    tree: PyTree,
    *rests: PyTree,
    is_leaf: Callable[[Any], bool] | None = None,
) -> PyTree:
    """``func`` of each leaf, and of the leaves at its place in trees of the same structure."""
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [spec.flatten_up_to(rest) for rest in rests]
    return tree_unflatten([func(*row) for row in zip(leaves, *others, strict=True)], spec)


def tree_map_(func: Callable[..., Any], tree: PyTree, *rests: PyTree) -> PyTree:
    """Call ``func`` as `tree_map` does, and return the tree as it was."""
    tree_map(func, tree, *rests)
    return tree


def tree_map_only(kind: Any, func: Callable[[Any], Any], tree: PyTree) -> PyTree:
    """``func`` of the leaves of a class, or of which a predicate is true; others stay."""
    chosen = kind if not isinstance(kind, (type, tuple)) else lambda x: isinstance(x, kind)
    return tree_map(lambda x: func(x) if chosen(x) else x, tree)


def tree_map_only_(kind: Any, func: Callable[[Any], Any], tree: PyTree) -> PyTree:
    """Call ``func`` as `tree_map_only` does, and return the tree as it was."""
    tree_map_only(kind, func, tree)
    return tree


def tree_all(pred: Callable[[Any], bool], tree: PyTree) -> bool:
    """Whether a predicate is true of all leaves."""
    return all(pred(x) for x in tree_leaves(tree))


def tree_any(pred: Callable[[Any], bool], tree: PyTree) -> bool:
    """Whether a predicate is true of some leaf."""
    return any(pred(x) for x in tree_leaves(tree))


def tree_all_only(kind: Any, pred: Callable[[Any], bool], tree: PyTree) -> bool:
    """Whether a predicate is true of all leaves of a class."""
    return all(pred(x) for x in tree_leaves(tree) if isinstance(x, kind))


def tree_any_only(kind: Any, pred: Callable[[Any], bool], tree: PyTree) -> bool:
    """Whether a predicate is true of some leaf of a class."""
    return any(pred(x) for x in tree_leaves(tree) if isinstance(x, kind))


def key_get(obj: Any, kp: Iterable[Any]) -> Any:
    """What is at a path."""
    for key in kp:
        obj = key.get(obj)
    return obj
