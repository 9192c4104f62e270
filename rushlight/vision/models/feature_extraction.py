"""Networks that give what they compute on the way, by the names of modules and functions."""

from __future__ import annotations

import copy
import inspect
import re
from typing import Any

from rushlight import fx, nn
from rushlight.errors import warn_user
from rushlight.fx.graph_module import take_over
from rushlight.vision import ops
from rushlight.vision.models.swin_transformer import ShiftedWindowAttention

__all__ = ["create_feature_extractor", "get_graph_node_names"]

OPS = [value for value in vars(ops).values() if callable(value)]
LEAVES = tuple(c for c in OPS if inspect.isclass(c) and issubclass(c, nn.Module))
LEAVES += (ShiftedWindowAttention,)  # it asks whether there are several windows
FUNCTIONS = tuple(f for f in OPS if inspect.isfunction(f))
Names = list[str] | dict[str, str]


class NodePathTracer(fx.Tracer):
    """Gives each node a name: the path of its module, and a dot and the function's name if it is
    one. What is called again gets a number behind it.
    """

    def __init__(self, *args: Any, leaf_modules: Any = LEAVES, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.leaf_modules = tuple(leaf_modules)
        self.path = ""
        self.node_to_qualname: dict[fx.Node, str] = {}
        self.times: dict[str, int] = {}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        leaf = isinstance(m, self.leaf_modules)
        return leaf or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        outer, self.path = self.path, self.path_of_module(m)
        try:
            return super().call_module(m, forward, args, kwargs)
        finally:
            self.path = outer

    def create_proxy(self, kind: str, target: Any, *args: Any, **kwargs: Any) -> Any:
        proxy = super().create_proxy(kind, target, *args, **kwargs)
        name = self.path
        if kind != "call_module":
            own = re.sub(r"_\d+$", "", proxy.node.name)
            name = f"{name}.{own}" if name and kind != "placeholder" else own
        times = self.times[name] = self.times.get(name, -1) + 1
        self.node_to_qualname[proxy.node] = f"{name}_{times}" if times else name
        return proxy


def _traced(
    model: nn.Module, tracer_kwargs: dict[str, Any] | None, concrete_args: dict[str, Any] | None
) -> tuple[fx.Graph, dict[fx.Node, str]]:
    options: dict[str, Any] = {"autowrap_functions": FUNCTIONS, **(tracer_kwargs or {})}
    tracer = NodePathTracer(**options)
    graph = tracer.trace(model, concrete_args=concrete_args)
    return graph, tracer.node_to_qualname


def _traced_in_both_modes(
    model: nn.Module, quiet: bool, *options: Any
) -> dict[bool, tuple[fx.Graph, dict[fx.Node, str]]]:
    """Graphs and names by mode: True is training. The model's mode stays."""
    modes = {m: m.training for m in model.modules()}
    found = {training: _traced(model.train(training), *options) for training in (True, False)}
    for m, training in modes.items():
        m.training = training
    names = [list(found[training][1].values()) for training in (True, False)]
    if names[0] != names[1] and not quiet:
        warn_user(
            "The model computes other nodes in training than in evaluation: choose nodes for each "
            "with train_return_nodes and eval_return_nodes, or pass suppress_diff_warning=True."
        )
    return found


def get_graph_node_names(
    model: nn.Module,
    tracer_kwargs: dict[str, Any] | None = None,
    suppress_diff_warning: bool = False,
    concrete_args: dict[str, Any] | None = None,
) -> tuple[list[str], list[str]]:
    """Names of what a network computes, in training and in evaluation.

    Args:
        model: to look into.
        tracer_kwargs: options of the tracer: ``leaf_modules``, ``autowrap_functions``.
        suppress_diff_warning: say nothing where the two differ.
        concrete_args: values of arguments that the network's program depends on.

    Example:
        >>> import rushlight as torch
        >>> get_graph_node_names(torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Flatten()))[0]
        ['input', '0', '1']
    """
    found = _traced_in_both_modes(model, suppress_diff_warning, tracer_kwargs, concrete_args)
    train, evaluation = (list(found[training][1].values()) for training in (True, False))
    return train, evaluation


class DualGraphModule(fx.GraphModule):
    """Runs one graph in training and another in evaluation."""

    def __init__(
        self, root: nn.Module, train_graph: fx.Graph, eval_graph: fx.Graph, class_name: str
    ) -> None:
        super().__init__(root, train_graph, class_name)
        for node in eval_graph.nodes:
            if node.op in ("get_attr", "call_module"):
                take_over(root, self, node.target)
        self.train_graph, self.eval_graph = train_graph, eval_graph
        self.graph = train_graph if root.training else eval_graph

    def train(self, mode: bool = True) -> Any:
        if mode != self.training:
            self.graph = self.train_graph if mode else self.eval_graph
        return super().train(mode)


def _cut(graph: fx.Graph, names: dict[fx.Node, str], wanted: dict[str, str]) -> None:
    """Let a graph return a dict of the wanted nodes, and compute nothing else."""
    found: dict[str, fx.Node] = {}
    for key, given in wanted.items():
        within = [n for n, name in names.items() if f"{name}.".startswith(f"{key}.")]
        if not within:
            raise ValueError(
                f"create_feature_extractor: the model has no node {key!r}; get_graph_node_names "
                "has the names. Those of training and evaluation can differ."
            )
        found[given] = within[-1]
    end = graph.output_node()
    with graph.inserting_before(end):
        graph.output(found)
    graph.erase_node(end)
    for node in reversed(list(graph.nodes)):
        if node.op not in ("placeholder", "output") and not node.users:
            graph.erase_node(node)


def create_feature_extractor(
    model: nn.Module,
    return_nodes: Names | None = None,
    train_return_nodes: Names | None = None,
    eval_return_nodes: Names | None = None,
    tracer_kwargs: dict[str, Any] | None = None,
    suppress_diff_warning: bool = False,
    concrete_args: dict[str, Any] | None = None,
) -> fx.GraphModule:
    """A network that computes some nodes of another, whose modules it shares nothing with.

    Args:
        model: of which it is a copy.
        return_nodes: names of nodes, or a dict to the names that their results get. The name of a
            module means the last node in it.
        train_return_nodes: in training; with ``eval_return_nodes``, in place of ``return_nodes``.
        eval_return_nodes: in evaluation.
        tracer_kwargs: options of the tracer: ``leaf_modules``, ``autowrap_functions``.
        suppress_diff_warning: say nothing where training and evaluation differ.
        concrete_args: values of arguments that the network's program depends on.

    Returns:
        A module that returns a dict.

    Example:
        >>> import rushlight as torch
        >>> net = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Tanh())
        >>> parts = create_feature_extractor(net, {"1": "flat"})
        >>> {name: x.shape for name, x in parts(torch.ones(1, 2, 3)).items()}
        {'flat': torch.Size([1, 6])}
    """
    one, two = return_nodes is not None, (train_return_nodes, eval_return_nodes)
    if not one and None in two:
        raise ValueError(
            "create_feature_extractor: give return_nodes, or both train_return_nodes and "
            "eval_return_nodes."
        )
    if one and two != (None, None):
        raise ValueError(
            "create_feature_extractor: give return_nodes, or train_return_nodes and "
            "eval_return_nodes, not all of them."
        )
    model = copy.deepcopy(model)
    quiet = suppress_diff_warning or not one
    found = _traced_in_both_modes(model, quiet, tracer_kwargs, concrete_args)
    for training, chosen in zip((True, False), two, strict=True):
        names = return_nodes if one else chosen
        assert names is not None
        if not isinstance(names, dict):
            names = {name: name for name in names}
        _cut(*found[training], {str(k): str(v) for k, v in names.items()})
    made = DualGraphModule(model, found[True][0], found[False][0], type(model).__name__)
    return made
