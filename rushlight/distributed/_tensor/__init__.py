"""The older name of ``torch.distributed.tensor``."""

from rushlight.distributed.tensor import DTensor as DTensor
from rushlight.distributed.tensor import Partial as Partial
from rushlight.distributed.tensor import Placement as Placement
from rushlight.distributed.tensor import Replicate as Replicate
from rushlight.distributed.tensor import Shard as Shard
from rushlight.distributed.tensor import distribute_tensor as distribute_tensor
