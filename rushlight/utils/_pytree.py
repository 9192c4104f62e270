"""Nested lists, tuples, dicts and registered classes as flat lists of leaves and a description."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

PyTree = Any
Flatten = Callable[[Any], tuple[list[Any], Any]]
Unflatten = Callable[[Iterable[Any], Any], Any]


class _Node(NamedTuple):
    flatten: Flatten
    unflatten: Unflatten


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

    def is_leaf(self) -> bool:
        return self.type is None


LEAF = TreeSpec(None, None, ())
NODES: dict[type, _Node] = {
    list: _Node(lambda x: (x, None), lambda values, _: list(values)),
    tuple: _Node(lambda x: (list(x), None), lambda values, _: tuple(values)),
    dict: _Node(
        lambda x: (list(x.values()), list(x)),
        lambda values, keys: dict(zip(keys, values, strict=True)),
    ),
    OrderedDict: _Node(
        lambda x: (list(x.values()), list(x)),
        lambda values, keys: OrderedDict(zip(keys, values, strict=True)),
    ),
    defaultdict: _Node(
        lambda x: (list(x.values()), (x.default_factory, list(x))),
        lambda values, made: defaultdict(made[0], zip(made[1], values, strict=True)),
    ),
    deque: _Node(lambda x: (list(x), x.maxlen), lambda values, most: deque(values, most)),
    namedtuple: _Node(lambda x: (list(x), type(x)), lambda values, kind: kind(*values)),  # type: ignore[dict-item]
}


def register_pytree_node(
    cls: type, flatten_fn: Flatten, unflatten_fn: Unflatten, **kwargs: Any
) -> None:
    """Let objects of a class be trees.

    Args:
        cls: the class.
        flatten_fn: object -> (list of children, what rebuilding needs).
        unflatten_fn: (children, what rebuilding needs) -> object.
        kwargs: names for saved descriptions, not used.
    """
    if cls in NODES:
        raise ValueError(f"{cls} is already registered as pytree node.")
    NODES[cls] = _Node(flatten_fn, unflatten_fn)


def _kind(tree: Any) -> Any:
    """The registered class that a tree is treated as; None for a leaf."""
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return namedtuple
    return type(tree) if type(tree) in NODES else None


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
        children, context = NODES[kind].flatten(part)
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
        return NODES[spec.type].unflatten([build(c) for c in spec.children], spec.context)

    return build(treespec)


def tree_leaves(tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """Leaves from left to right."""
    return tree_flatten(tree, is_leaf)[0]


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
    others = [tree_leaves(rest, is_leaf) for rest in rests]
    return tree_unflatten([func(*row) for row in zip(leaves, *others, strict=True)], spec)


def tree_map_(func: Callable[..., Any], tree: PyTree, *rests: PyTree) -> PyTree:
    """Call ``func`` as `tree_map` does, and return the tree as it was."""
    tree_map(func, tree, *rests)
    return tree


def tree_map_only(kind: Any, func: Callable[[Any], Any], tree: PyTree) -> PyTree:
    """``func`` of the leaves of a class, or of which a predicate is true; others stay."""
    chosen = kind if not isinstance(kind, (type, tuple)) else lambda x: isinstance(x, kind)
    return tree_map(lambda x: func(x) if chosen(x) else x, tree)


def tree_all(pred: Callable[[Any], bool], tree: PyTree) -> bool:
    """Whether a predicate is true of all leaves."""
    return all(pred(x) for x in tree_leaves(tree))


def tree_any(pred: Callable[[Any], bool], tree: PyTree) -> bool:
    """Whether a predicate is true of some leaf."""
    return any(pred(x) for x in tree_leaves(tree))
