"""Settings of PyTorch's code generator, under its name for them; see ``config``."""

from rushlight._inductor import config as config

__all__ = ["config"]
