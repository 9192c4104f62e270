"""Attention has no other path for inference: its switch is kept, without effect."""

_fastpath = True


def get_fastpath_enabled() -> bool:
    """What the switch is; True at first."""
    return _fastpath


def set_fastpath_enabled(value: bool) -> None:
    """Set the switch."""
    global _fastpath
    _fastpath = value
