"""Calls into other processes: not available, as `is_available` says."""


def is_available() -> bool:
    """Always False.

    Example:
        >>> from rushlight.distributed import rpc
        >>> rpc.is_available()
        False
    """
    return False
