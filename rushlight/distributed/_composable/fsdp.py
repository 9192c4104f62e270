"""The older name of ``torch.distributed.fsdp``."""

from rushlight.distributed.fsdp import (
    FSDPModule as FSDPModule,
    MixedPrecisionPolicy as MixedPrecisionPolicy,
    fully_shard as fully_shard,
)
