"""The older name of ``torch.distributed.fsdp``."""

from rushlight.distributed.fsdp import FSDPModule as FSDPModule
from rushlight.distributed.fsdp import MixedPrecisionPolicy as MixedPrecisionPolicy
from rushlight.distributed.fsdp import fully_shard as fully_shard
