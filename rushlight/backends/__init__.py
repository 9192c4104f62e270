"""Switches of the libraries that torch computes with. rushlight has none of them: results do not
depend on these settings.
"""

from types import SimpleNamespace
from typing import Any


def _available(**settings: Any) -> SimpleNamespace:
    return SimpleNamespace(is_available=lambda: False, **settings)


cudnn = _available(
    enabled=False, benchmark=False, deterministic=True, allow_tf32=False, version=lambda: None
)
cuda = SimpleNamespace(matmul=SimpleNamespace(allow_tf32=False), is_built=lambda: False)
mps = _available(is_built=lambda: False)
mkl = _available()
mkldnn = _available(enabled=False)
openmp = _available()
