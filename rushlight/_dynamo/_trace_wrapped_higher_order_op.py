"""A mode that libraries enter before `vmap` where functions index by a mapped tensor."""

from typing import Any


class TransformGetItemToIndex:
    """Nothing: `vmap` maps ``x[i]`` for a tensor ``i`` of one element as it is."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: Any) -> None:
        pass
