"""The device of ``with torch.device(...)``, by the name that libraries import it from."""

from __future__ import annotations

from rushlight.devices import device as DeviceContext

__all__ = ["DeviceContext"]

CURRENT_DEVICE: DeviceContext | None = None
