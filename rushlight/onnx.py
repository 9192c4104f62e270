"""Export to ONNX files: not supported. The names are here so that programs that only mention them
run; exporting raises, saying what to do instead.
"""

from __future__ import annotations

from typing import Any

from rushlight.errors import NotSupportedError

__all__ = ["export", "is_in_onnx_export", "OnnxExporterError"]


class OnnxExporterError(RuntimeError):
    """A model that could not be exported."""


def is_in_onnx_export() -> bool:
    """Always False.

    Example:
        >>> is_in_onnx_export()
        False
    """
    return False


def export(model: Any, args: Any = (), f: Any = None, **kwargs: Any) -> Any:
    """Raises: no ONNX files are written."""
    raise NotSupportedError(
        "onnx.export: ONNX files are not supported; save the weights with "
        "torch.save(model.state_dict(), path), which torch can read, and export them there."
    )
