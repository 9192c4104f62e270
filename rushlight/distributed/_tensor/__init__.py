"""The older name of ``torch.distributed.tensor``."""

from rushlight.distributed.tensor import (
    DTensor as DTensor,
    Partial as Partial,
    Placement as Placement,
    Replicate as Replicate,
    Shard as Shard,
    distribute_tensor as distribute_tensor,
)
