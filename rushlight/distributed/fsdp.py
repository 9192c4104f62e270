"""Parameters in parts on several devices: names for programs that mention them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rushlight.errors import NotSupportedError

__all__ = ["FSDPModule", "MixedPrecisionPolicy", "fully_shard"]


class FSDPModule:
    """A name for ``isinstance``, which is never true."""


@dataclass(frozen=True)
class MixedPrecisionPolicy:
    """In which dtypes such a module computes: a description."""

    param_dtype: Any = None
    reduce_dtype: Any = None
    output_dtype: Any = None
    cast_forward_inputs: bool = True


def fully_shard(module: Any, **options: Any) -> Any:
    """Raises: there is one process."""
    raise NotSupportedError(
        "distributed.fsdp.fully_shard: rushlight trains in one process (is_available() is False); "
        "use the module as it is."
    )
