"""Fuses convolutions with the batch norms after them."""

from __future__ import annotations

import copy
from typing import Any

from rushlight import nn
from rushlight.fx.graph_module import GraphModule
from rushlight.fx.node import Node
from rushlight.fx.tracer import symbolic_trace
from rushlight.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

__all__ = ["fuse", "matches_module_pattern", "replace_node_module"]

FUSED = {
    (nn.Conv1d, nn.BatchNorm1d): fuse_conv_bn_eval,
    (nn.Conv2d, nn.BatchNorm2d): fuse_conv_bn_eval,
    (nn.Conv3d, nn.BatchNorm3d): fuse_conv_bn_eval,
    (nn.Linear, nn.BatchNorm1d): fuse_linear_bn_eval,
}


def matches_module_pattern(pattern: Any, node: Node, modules: dict[str, Any]) -> bool:
    """Whether a node calls a module of the second type on the result of one of the first."""
    if not node.args or not isinstance(node.args[0], Node):
        return False
    nodes = (node.args[0], node)
    return all(
        n.op == "call_module" and type(modules.get(n.target)) is kind
        for kind, n in zip(pattern, nodes, strict=True)
    )


def replace_node_module(node: Node, modules: dict[str, Any], new_module: nn.Module) -> None:
    """Put another module in the place of the one that a node calls."""
    parent, _, name = node.target.rpartition(".")
    modules[node.target] = new_module
    setattr(modules[parent], name, new_module)


def fuse(model: nn.Module, inplace: bool = False, no_trace: bool = False) -> nn.Module:
    """``model`` with each batch norm drawn into the layer before it, for evaluation.

    Args:
        model: in evaluation mode.
        inplace: whether the model itself is changed; a copy unless so.
        no_trace: whether the model is traced already.
    """
    model = model if inplace else copy.deepcopy(model)
    traced: Any = model if no_trace and isinstance(model, GraphModule) else symbolic_trace(model)
    modules, graph = dict(traced.named_modules()), copy.deepcopy(traced.graph)
    for pattern, fused in FUSED.items():
        for node in graph.nodes:
            if not matches_module_pattern(pattern, node, modules):
                continue
            layer, norm = node.args[0], modules[node.target]
            if len(layer.users) > 1 or not norm.track_running_stats:
                continue
            replace_node_module(layer, modules, fused(modules[layer.target], norm))
            node.replace_all_uses_with(layer)
            graph.erase_node(node)
    return GraphModule(traced, graph, type(model).__name__)
