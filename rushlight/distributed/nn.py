"""Communication that is differentiated: not available, see the package. The names are there for
programs that import them and, without a process group, never call them.
"""

from __future__ import annotations

from rushlight.distributed import _refused

for _name in (
    "all_gather", "all_reduce", "all_to_all", "all_to_all_single", "broadcast", "gather", "reduce",
    "reduce_scatter", "scatter",
):  # fmt: skip
    globals()[_name] = _refused(f"nn.{_name}")
