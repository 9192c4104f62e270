"""Calls into other processes: not available, as `is_available` says."""

from rushlight.distributed.rpc import api as api
from rushlight.distributed.rpc.api import RRef as RRef


def is_available() -> bool:
    """Always False.

    Example:
        >>> from rushlight.distributed import rpc
        >>> rpc.is_available()
        False
    """
    return False
