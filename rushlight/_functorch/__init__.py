"""Settings of PyTorch's capture of gradients, under its name for them; see ``config``."""

from rushlight._functorch import config as config

__all__ = ["config"]
