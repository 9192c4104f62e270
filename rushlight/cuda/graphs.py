"""Recorded work for a GPU, under the name by which PyTorch's own modules import it."""

from rushlight.cuda import (
    CUDAGraph as CUDAGraph,
    graph as graph,
    graph_pool_handle as graph_pool_handle,
    is_current_stream_capturing as is_current_stream_capturing,
    make_graphed_callables as make_graphed_callables,
)
