"""A table of a module's layers: what they return and how many parameters they own."""

from __future__ import annotations

from typing import Any

from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor
from rushlight.nn.modules.module import Module

HEADINGS = ("Layer", "Output", "Parameters")


class Summary:
    """What `summary` found; printing it shows the table.

    ``rows`` has a tuple for each module, in the order of registration: depth, name, class, output
    shapes of its last call (None if it was not called) and parameters of its own. ``parameters``,
    ``trainable`` and ``bytes`` (of parameters and buffers) count shared tensors once.
    """

    def __init__(self, module: Module, shapes: dict[Module, Any]) -> None:
        self.rows: list[tuple[int, str, str, Any, int]] = []
        for name, inner in module.named_modules():
            own = sum(p.numel() for p in inner.parameters(recurse=False))
            depth = name.count(".") + 1 if name else 0
            kind, last = type(inner).__name__, name.rpartition(".")[2]
            self.rows.append((depth, last, kind, shapes.get(inner), own))
        parameters = list(module.parameters())
        self.parameters = sum(p.numel() for p in parameters)
        self.trainable = sum(p.numel() for p in parameters if p.requires_grad)
        self.bytes = sum(t.nbytes for t in (*parameters, *module.buffers()))

    def __str__(self) -> str:
        lines = [HEADINGS]
        for depth, name, kind, shape, own in self.rows:
            label = "  " * depth + (f"{name}: {kind}" if name else kind)
            lines.append((label, "-" if shape is None else str(shape), f"{own:,}" if own else "-"))
        widths = [max(len(line[i]) for line in lines) for i in range(3)]
        table = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in lines]
        rule = "-" * len(table[0])
        totals = (
            f"Parameters: {self.parameters:,} ({self.trainable:,} trainable), "
            f"{self.bytes / 2**20:.2f} MiB with buffers"
        )
        return "\n".join([table[0], rule, *table[1:], rule, totals])

    __repr__ = __str__


def summary(module: Module, *inputs: Any, **kwargs: Any) -> Summary:
    """Calls a module once, without gradients and in eval mode, and tells what its layers returned.

    Args:
        module: the model; its mode and buffers stay as they are.
        inputs: what it is called with; none: it is not called, and shapes are unknown.
        kwargs: likewise, by name.

    Example:
        >>> import rushlight as torch
        >>> from rushlight.utils.summary import summary
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> print(summary(net, torch.zeros(5, 4)))
        Layer        Output  Parameters
        -------------------------------
        Sequential   (5, 2)           -
          0: Linear  (5, 8)          40
          1: ReLU    (5, 8)           -
          2: Linear  (5, 2)          18
        -------------------------------
        Parameters: 58 (58 trainable), 0.00 MiB with buffers
    """
    shapes: dict[Module, Any] = {}
    if not inputs and not kwargs:
        return Summary(module, shapes)

    def note(inner: Module, args: Any, output: Any) -> None:
        shapes[inner] = shape_of(output)

    handles = [inner.register_forward_hook(note) for inner in module.modules()]
    modes = [(inner, inner.training) for inner in module.modules()]
    try:
        module.eval()
        with no_grad():
            module(*inputs, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
        for inner, training in modes:
            inner.training = training
    return Summary(module, shapes)


def shape_of(output: Any) -> Any:
    """The shapes in an output of tensors, tuples, lists and dicts."""
    if isinstance(output, Tensor):
        return tuple(output.shape)
    if isinstance(output, dict):
        return {key: shape_of(value) for key, value in output.items()}
    if isinstance(output, (list, tuple)):
        return [shape_of(value) for value in output]
    return type(output).__name__
