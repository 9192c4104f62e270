"""Copies of a module on several devices. With one device at most, the module is called as it is."""

from rushlight.nn.parallel import scatter_gather as scatter_gather
from rushlight.nn.parallel.data_parallel import DataParallel as DataParallel
from rushlight.nn.parallel.data_parallel import data_parallel as data_parallel
from rushlight.nn.parallel.distributed import DistributedDataParallel as DistributedDataParallel
from rushlight.nn.parallel.scatter_gather import gather as gather
from rushlight.nn.parallel.scatter_gather import parallel_apply as parallel_apply
from rushlight.nn.parallel.scatter_gather import replicate as replicate
from rushlight.nn.parallel.scatter_gather import scatter as scatter

__all__ = [
    "DataParallel", "DistributedDataParallel", "data_parallel", "gather", "parallel_apply",
    "replicate", "scatter",
]  # fmt: skip
