"""What PyTorch has and rushlight has not: texts that say so, and what to do instead."""

from __future__ import annotations

import re
from typing import Any

SPARSE = r"""
    sparse|_?bs[rc]$|^sspaddmm$
"""
QUANTIZED = "quant|^q_|qscheme|int_repr|^per_(tensor|channel)|fbgemm|observer"
NESTED = "nested|jagged|to_padded_tensor"
TYPES = r"chalf|float4|bits\d|^u?int[1-7]$"
BACKENDS = "cudnn|miopen|mkldnn|mtia|vulkan|^ipu|xla"
GRAPHS = "^(package|classes)$|Script|^sym_|^Sym"
FAMILIES = {
    SPARSE: "of sparse layouts there are sparse_coo, sparse_csr and sparse_csc, without blocks: "
    "see torch.sparse, or use .to_dense().",
    QUANTIZED: "quantized tensors are not supported: keep weights in float16 or bfloat16, or as "
    "int8 with a scale of your own; fake_quantize_per_tensor_affine rounds floats in training.",
    NESTED: "of nested tensors there is what torch.nested holds; or pad with "
    "nn.utils.rnn.pad_sequence, and mask.",
    TYPES: "there is no such dtype: the smallest are complex64, float8_e4m3fn and its like, "
    "int8 and uint8.",
    BACKENDS: "there is no such backend: the functions of nn.functional do the same on every "
    "device.",
    GRAPHS: "programs are not exported, nor is there TorchScript: torch.fx traces a module into a "
    "graph, torch.compile captures a program as it runs, and save keeps a state_dict.",
    "^_": "the name is PyTorch's own; look for a public function that does the same.",
}


def reason(name: str) -> str:
    """Why there is no such name, and what to do instead; empty where it is unknown in PyTorch.

    Example:
        >>> from rushlight.absent import reason
        >>> reason("to_mkldnn")
        ': there is no such backend: the functions of nn.functional do the same on every device.'
    """
    if name.startswith("__"):
        return ""
    return next(
        (f": {text}" for family, text in FAMILIES.items() if re.search(family, name, re.X)), ""
    )


class Absent:
    """An attribute that is not there: asking an instance for it raises AttributeError and says why.
    The class has it, as programs go through ``dir(Tensor)``.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Absent:
        if instance is None:
            return self
        raise AttributeError(
            f"'{owner.__name__}' object has no attribute {self.name!r}{reason(self.name)}",
            name=self.name,
            obj=instance,
        )
