"""Questions about GPU memory, by the name of the module that PyTorch keeps them in."""

from rushlight.cuda import empty_cache as empty_cache
from rushlight.cuda import max_memory_allocated as max_memory_allocated
from rushlight.cuda import max_memory_reserved as max_memory_reserved
from rushlight.cuda import mem_get_info as mem_get_info  # type: ignore[attr-defined]
from rushlight.cuda import memory_allocated as memory_allocated
from rushlight.cuda import memory_reserved as memory_reserved
from rushlight.cuda import memory_stats as memory_stats
from rushlight.cuda import memory_summary as memory_summary
from rushlight.cuda import reset_peak_memory_stats as reset_peak_memory_stats
