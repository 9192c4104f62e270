"""``torch.functional``: functions of the top level that torch also lists here."""

from __future__ import annotations

from rushlight import tensor_api as _api
from rushlight.nn.functional.toplevel import cdist as cdist

NAMES = [
    "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "broadcast_shapes",
    "broadcast_tensors", "cartesian_prod", "chain_matmul", "einsum", "istft", "lu", "meshgrid",
    "norm", "pca_lowrank", "split", "stft", "svd_lowrank", "tensordot", "unique",
    "unique_consecutive", "unravel_index",
]  # fmt: skip
__all__ = ["cdist"] + NAMES  # noqa: PLE0604, RUF005
globals().update({name: getattr(_api, name) for name in NAMES if hasattr(_api, name)})
