"""Where PyTorch keeps what `torch.utils.data` also exports, for programs that import it there."""

from rushlight.utils.data._utils import (
    collate as collate,
    pin_memory as pin_memory,
    worker as worker,
)
