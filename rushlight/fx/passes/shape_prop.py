"""Notes the shapes and dtypes of all values of a graph."""

from __future__ import annotations

from typing import Any, NamedTuple

from rushlight import formats
from rushlight.core.tensor import Tensor
from rushlight.fx.interpreter import Interpreter
from rushlight.fx.node import Node, map_aggregate

__all__ = ["ShapeProp", "TensorMetadata"]


class TensorMetadata(NamedTuple):
    """What is known of a tensor without its values."""

    shape: Any
    dtype: Any
    requires_grad: bool
    stride: tuple[int, ...]
    memory_format: Any
    is_quantized: bool
    qparams: dict[str, Any]


def _extract_tensor_metadata(result: Tensor) -> TensorMetadata:
    order = next(
        (
            f
            for f in (formats.contiguous_format, formats.channels_last, formats.channels_last_3d)
            if result.is_contiguous(memory_format=f)
        ),
        None,
    )
    return TensorMetadata(
        result.shape, result.dtype, result.requires_grad, result.stride(), order, False, {}
    )


class ShapeProp(Interpreter):
    """Runs a graph and notes in each node's ``meta`` the type of its value ("type") and, of
    tensors, shape, dtype and layout ("tensor_meta").

    Example:
        >>> import rushlight as torch
        >>> from rushlight import fx
        >>> from rushlight.fx.passes.shape_prop import ShapeProp
        >>> traced = fx.symbolic_trace(lambda x: x.sum(0))
        >>> _ = ShapeProp(traced).propagate(torch.ones(2, 3))
        >>> [tuple(n.meta["tensor_meta"].shape) for n in traced.graph.nodes]
        [(2, 3), (3,), (3,)]
    """

    def run_node(self, n: Node) -> Any:
        """The value of one node."""
        result = super().run_node(n)
        found: list[Tensor] = []

        def note(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            found.append(value)
            return _extract_tensor_metadata(value)

        meta = map_aggregate(result, note)
        if found:
            n.meta["tensor_meta"] = meta
        n.meta["type"] = type(result)
        return result

    def propagate(self, *args: Any) -> Any:
        """Run the graph on some arguments; returns the result."""
        return super().run(*args)
