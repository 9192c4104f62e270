"""Recorded work for a GPU, under the name by which PyTorch's own modules import it."""

from rushlight.cuda import CUDAGraph as CUDAGraph
from rushlight.cuda import graph as graph
from rushlight.cuda import graph_pool_handle as graph_pool_handle
from rushlight.cuda import is_current_stream_capturing as is_current_stream_capturing
from rushlight.cuda import make_graphed_callables as make_graphed_callables
