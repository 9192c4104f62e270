"""torch's place for AdamW; it lives in `adam`."""

from rushlight.optim.adam import AdamW

__all__ = ["AdamW"]
