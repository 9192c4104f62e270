"""What programs that build on torchvision's networks import from there."""

from __future__ import annotations

from collections import OrderedDict

from rushlight import nn
from rushlight.core.tensor import Tensor
from rushlight.vision.models.mobilenetv2 import rounded as _make_divisible  # noqa: F401

__all__ = ["IntermediateLayerGetter"]


class IntermediateLayerGetter(nn.ModuleDict):
    """The parts of a network up to the last one that is asked for, called in order.

    Args:
        model: whose parts are called one after the other.
        return_layers: names of parts, with the names that their results get.

    Example:
        >>> import rushlight as torch
        >>> net = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.ReLU())
        >>> parts = IntermediateLayerGetter(net, {"1": "flat"})
        >>> {name: x.shape for name, x in parts(torch.ones(1, 2, 3)).items()}
        {'flat': torch.Size([1, 6])}
    """

    def __init__(self, model: nn.Module, return_layers: dict[str, str]) -> None:
        names = [name for name, _ in model.named_children()]
        if not set(return_layers).issubset(names):
            raise ValueError("return_layers are not present in model")
        last = max((names.index(name) for name in return_layers), default=-1)
        super().__init__(dict(list(model.named_children())[: last + 1]))
        self.return_layers = {str(name): str(given) for name, given in return_layers.items()}

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        found = OrderedDict()
        for name, part in self.items():
            x = part(x)
            if name in self.return_layers:
                found[self.return_layers[name]] = x
        return found
