"""What lives on after a call: tensors, and the graphs that they were computed by."""

from __future__ import annotations

import gc
from types import FrameType
from typing import Any

from rushlight.core.tensor import Tensor, ViewLink


def living_tensors() -> list[Tensor]:
    """All tensors that there are."""
    return [o for o in gc.get_objects() if issubclass(type(o), Tensor)]


def only_viewed(tensors: list[Tensor], results: list[Tensor]) -> bool:
    """Whether nothing keeps these tensors but their own views, each other, as gradients, and the
    graph of results, whose leaves they are.
    """
    edges = [node.edges for node in graph_of(*results)]
    leaves = [e for some in edges for e in some if isinstance(e, Tensor)]
    grads = {id(t) for t in tensors}
    given = (*tensors, *[leaf for leaf in leaves if id(leaf._grad) in grads])
    known = {id(o) for o in (tensors, leaves, given, *given, *edges)}  # some hold them now
    holders = [o for o in gc.get_referrers(*given) if id(o) not in known]
    return all([type(o) in (ViewLink, FrameType) for o in holders])


def graph_of(*tensors: Tensor) -> list[Any]:
    """The nodes that tensors were computed by."""
    seen: dict[int, Any] = {}
    work: list[Any] = [t._node for t in tensors]
    while work:
        node = work.pop()
        if node is not None and not isinstance(node, Tensor) and id(node) not in seen:
            seen[id(node)] = node
            work += node.edges
    return list(seen.values())


def saved_arrays(results: list[Tensor]) -> set[int]:
    """The ids of arrays that the graphs of live results keep, and that saved views look at."""
    saved = [x for node in graph_of(*results) for x in node.saved or () if isinstance(x, Tensor)]
    saved += [x._link.base for x in saved if x._link is not None]
    return {id(x._array) for x in saved}
