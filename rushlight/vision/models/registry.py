"""Models by name, and what their builders have in common."""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Callable, Iterable
from typing import Any

from rushlight import nn
from rushlight.errors import NotSupportedError
from rushlight.vision.models.weights import WeightsEnum, weights_of

BUILDERS: dict[str, Callable[..., Any]] = {}


def model(build: Callable[..., Any]) -> Callable[..., Any]:
    """Enters a builder under its name, and gives it torchvision's arguments for weights."""

    @functools.wraps(build)
    def builder(
        *, weights: Any = None, progress: bool = True, pretrained: bool = False, **kwargs: Any
    ) -> Any:
        if weights is not None or pretrained:
            raise NotSupportedError(
                f"{build.__name__}: pretrained weights are not included. Save torchvision's with "
                "torch.save(model.state_dict(), path), and pass them to load_state_dict here."
            )
        return build(**kwargs)

    BUILDERS[build.__name__] = builder
    return builder


def get_model_builder(name: str) -> Callable[..., Any]:
    """The function that makes the model of this name."""
    builder = BUILDERS.get(name.lower())
    if builder is None:
        raise ValueError(f"Unknown model {name}; list_models() has the names.")
    return builder


def get_model(name: str, **config: Any) -> nn.Module:
    """A model by name.

    Args:
        name: one of ``list_models()``.
        config: arguments of the model, such as ``num_classes``.

    Example:
        >>> from rushlight.vision import models
        >>> models.get_model("squeezenet1_1", num_classes=10).num_classes
        10
    """
    made: nn.Module = get_model_builder(name)(**config)
    return made


def get_model_weights(name: Any) -> type[WeightsEnum]:
    """The names of torchvision's weights of a model, given by its name or builder."""
    name = name if isinstance(name, str) else name.__name__
    get_model_builder(name)
    return weights_of(name.lower())


def get_weight(name: str) -> WeightsEnum:
    """The weights of a name such as ``"ResNet50_Weights.DEFAULT"``."""
    for builder in BUILDERS:
        kind = weights_of(builder)
        if name.partition(".")[0] == kind.__name__ and name.partition(".")[2] in kind.__members__:
            return kind[name.partition(".")[2]]
    raise ValueError(f"There are no weights {name!r}; get_model_weights(model) has the names.")


def list_models(
    module: Any = None,
    include: Iterable[str] | str | None = None,
    exclude: Iterable[str] | str | None = None,
) -> list[str]:
    """Names of models, sorted.

    Args:
        module: only those that are attributes of this module.
        include: patterns with ``*``; only names that match one.
        exclude: patterns with ``*``; no names that match one.
    """

    def patterns(given: Iterable[str] | str) -> list[str]:
        return [given] if isinstance(given, str) else list(given)

    names = [n for n in BUILDERS if module is None or hasattr(module, n)]
    if include:
        names = [n for n in names if any(fnmatch.fnmatch(n, p) for p in patterns(include))]
    if exclude:
        names = [n for n in names if not any(fnmatch.fnmatch(n, p) for p in patterns(exclude))]
    return sorted(names)
