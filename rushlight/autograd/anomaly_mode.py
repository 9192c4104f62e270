"""Finding the forward line behind a gradient that fails or becomes nan."""

from __future__ import annotations

from typing import Any

from rushlight.core.engine import begin_anomaly, end_anomaly
from rushlight.core.state import Mode, modes
from rushlight.errors import warn_user


class detect_anomaly(Mode):
    """Within it, a backward pass that raises or produces nan first warns with the forward call that
    made the node. Slow: for debugging.

    Args:
        check_nan: also raise when a gradient contains nan.

    Example:
        >>> import rushlight as torch
        >>> import warnings
        >>> x = torch.zeros(1, requires_grad=True)
        >>> with warnings.catch_warnings(action="ignore"), torch.autograd.detect_anomaly():
        ...     y = (x * 0) / x
        ...     try:
        ...         y.backward()
        ...     except RuntimeError as error:
        ...         print(error)
        Function 'DivBackward0' returned nan values in its 1th output.
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        warn_user(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging."
        )

    def __enter__(self) -> None:
        self.previous = modes.anomaly, modes.check_nan
        set_anomaly(True, self.check_nan)

    def __exit__(self, *exc: object) -> None:
        set_anomaly(*self.previous)

    def clone(self) -> detect_anomaly:
        return detect_anomaly(self.check_nan)


def set_anomaly(mode: bool, check_nan: bool) -> None:
    """Switch, keeping count of who needs the general path."""
    if mode and not modes.anomaly:
        begin_anomaly()
    elif modes.anomaly and not mode:
        end_anomaly()
    modes.anomaly, modes.check_nan = mode, check_nan


class set_detect_anomaly(Mode):
    """``detect_anomaly`` switched at once when called; as a context manager, until the end of the
    block.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.previous = modes.anomaly, modes.check_nan
        set_anomaly(bool(mode), check_nan)

    def __enter__(self) -> Any:
        return None

    def __exit__(self, *exc: object) -> None:
        set_anomaly(*self.previous)


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on in this thread."""
    return modes.anomaly


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode looks for nan."""
    return modes.check_nan


def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """Switch anomaly mode in this thread; prefer ``with detect_anomaly()``."""
    set_anomaly(bool(mode), check_nan)
