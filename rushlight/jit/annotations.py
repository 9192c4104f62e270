"""Types that scripted code is annotated with."""

from __future__ import annotations

from typing import (  # noqa: UP035 - programs import the old names from here
    Any as Any,
    ClassVar,
    Dict as Dict,
    List as List,
    Optional as Optional,
    Tuple as Tuple,
    Union,
)


class _BroadcastingList:
    """``BroadcastingList2[int]``: an annotation for an int or as many as the name says."""

    def __getitem__(self, element: Any) -> Any:
        return Union[element, list[element]]  # noqa: UP007  the element is known now


BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = _BroadcastingList()
BroadcastingList4 = BroadcastingList5 = BroadcastingList6 = BroadcastingList1


class TensorType:
    """What scripted code calls the type of tensors; ``TensorType.get()`` is the only one.

    Libraries annotate arguments with the class.
    """

    _only: ClassVar[TensorType]

    def __init__(self) -> None:
        raise TypeError("TensorType: there is one only, which TensorType.get() returns.")

    def __repr__(self) -> str:
        return "Tensor"

    @classmethod
    def get(cls) -> TensorType:
        """The type."""
        return cls._only


TensorType._only = object.__new__(TensorType)
