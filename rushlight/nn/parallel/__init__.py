"""Copies of a module on several devices. With one device at most, the module is called as it is."""

from rushlight.nn.parallel import scatter_gather as scatter_gather
from rushlight.nn.parallel.data_parallel import DataParallel as DataParallel
from rushlight.nn.parallel.data_parallel import data_parallel as data_parallel
from rushlight.nn.parallel.distributed import DistributedDataParallel as DistributedDataParallel

__all__ = ["DataParallel", "DistributedDataParallel", "data_parallel"]
