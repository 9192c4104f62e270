"""Training on several machines or GPUs: not available. ``is_available()`` is False, as in a build
of torch without it, and programs that ask first run on one process. What needs a process group
raises, saying what to do.
"""

from __future__ import annotations

from typing import Any

from rushlight.distributed import (
    _tensor as _tensor,
    device_mesh as device_mesh,
    fsdp as fsdp,
    rpc as rpc,
)
from rushlight.distributed.device_mesh import (
    DeviceMesh as DeviceMesh,
    init_device_mesh as init_device_mesh,
)
from rushlight.errors import NotSupportedError

_COMMUNICATION = [
    "init_process_group", "destroy_process_group", "new_group", "new_subgroups",
    "new_subgroups_by_enumeration", "all_gather", "all_gather_coalesced", "all_gather_into_tensor",
    "all_gather_object", "all_reduce", "all_reduce_coalesced", "all_to_all", "all_to_all_single",
    "barrier", "batch_isend_irecv", "broadcast", "broadcast_object_list", "gather",
    "gather_object", "irecv", "isend", "monitored_barrier", "recv", "recv_object_list", "reduce",
    "reduce_scatter", "reduce_scatter_tensor", "scatter", "scatter_object_list", "send",
    "send_object_list", "get_backend", "get_process_group_ranks", "get_global_rank",
    "get_group_rank", "split_group",
]  # fmt: skip


def is_available() -> bool:
    """Always False: there is no communication between processes.

    Example:
        >>> import rushlight as torch
        >>> torch.distributed.is_available() and torch.distributed.is_initialized()
        False
    """
    return False


def is_initialized() -> bool:
    """Always False: there is no process group."""
    return False


def is_torchelastic_launched() -> bool:
    """Always False."""
    return False


is_nccl_available = is_gloo_available = is_mpi_available = is_ucc_available = is_available


def _no_group(name: str) -> Any:
    raise ValueError(
        f"distributed.{name}: the default process group has not been initialized, and cannot be: "
        "rushlight trains in one process. Ask is_available() first."
    )


def get_rank(group: Any = None) -> int:
    """ValueError: there is no process group."""
    return int(_no_group("get_rank"))


def get_world_size(group: Any = None) -> int:
    """ValueError: there is no process group."""
    return int(_no_group("get_world_size"))


class ProcessGroup:
    """A name for annotations."""


class GroupMember:
    """The groups that this process is in: none."""

    WORLD: ProcessGroup | None = None
    NON_GROUP_MEMBER = -100


class group:  # PyTorch's name
    """The group of all processes: None."""

    WORLD: ProcessGroup | None = None


class ReduceOp:
    """Names of reductions, for programs that mention them."""

    SUM, AVG, PRODUCT, MIN, MAX, BAND, BOR, BXOR, PREMUL_SUM = range(9)


def _refused(name: str) -> Any:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise NotSupportedError(
            f"distributed.{name}: rushlight has no communication between processes "
            "(is_available() is False); run the program on one, without init_process_group."
        )

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = "Raises: there is no communication between processes."
    return refuse


globals().update({name: _refused(name) for name in _COMMUNICATION})
