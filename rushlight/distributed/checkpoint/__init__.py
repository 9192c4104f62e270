"""Checkpoints of models that lie on several devices: of these, what one process needs."""

from rushlight.distributed.checkpoint import state_dict as state_dict
