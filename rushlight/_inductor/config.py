"""What PyTorch's programs set for its code generator, with its defaults. Nothing here has an
effect: what ``compile`` makes depends on the program and the processor alone.

Example:
    >>> import rushlight as torch
    >>> import rushlight._inductor.config
    >>> torch._inductor.config.coordinate_descent_tuning = False  # the default
"""

from types import SimpleNamespace

allow_buffer_reuse = True
conv_1x1_as_mm = False
coordinate_descent_check_all_directions = False
coordinate_descent_tuning = False
cpp_wrapper = False
debug = False
epilogue_fusion = True
freezing = False
fx_graph_cache = True
max_autotune = False
max_autotune_gemm = False
shape_padding = True

cpp = SimpleNamespace(threads=-1)
triton = SimpleNamespace(cudagraphs=False, unique_kernel_names=True)
