"""Lists of tensors in groups, for optimizers that update a group at once."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor


def _group_tensors_by_device_and_dtype(
    tensorlistlist: list[list[Tensor | None]], with_indices: bool = False
) -> dict[tuple[Any, Any], tuple[list[list[Tensor | None]], list[int]]]:
    """The places of aligned lists in groups by the device and dtype of the first list's tensors:
    ``(device, dtype)`` -> (the lists of that group, the places where ``with_indices``).
    """
    groups: dict[tuple[Any, Any], tuple[list[list[Tensor | None]], list[int]]] = {}
    for k, first in enumerate(tensorlistlist[0]):
        assert first is not None
        lists, places = groups.setdefault(
            (first.device, first.dtype), ([[] for _ in tensorlistlist], [])
        )
        for column, given in zip(lists, tensorlistlist, strict=True):
            if given:
                column.append(given[k])
        if with_indices:
            places.append(k)
    return groups


def _get_foreach_kernels_supported_devices() -> list[str]:
    return []


def _get_fused_kernels_supported_devices() -> list[str]:
    return []


def _has_foreach_support(tensors: list[Tensor], device: Any) -> bool:
    return True
