"""Queues of work for a GPU, under the name by which PyTorch's own modules import them."""

from rushlight.cuda import Event as Event
from rushlight.cuda import ExternalStream as ExternalStream
from rushlight.cuda import Stream as Stream
