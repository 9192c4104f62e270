"""Modules as functions of their parameters, and helpers that torch.func offers beside its
transforms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor
from rushlight.nn.modules.batchnorm import _BatchNorm
from rushlight.nn.modules.module import Module
from rushlight.nn.utils import stateless
from rushlight.tensor_api.joining import stack


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call a module with other tensors in place of its parameters and buffers.

    Args:
        module: what to call; it is left as it was.
        parameter_and_buffer_dicts: names and tensors, in one dict or several without common names.
        args: positional arguments; one that is not a tuple is taken as the only one.
        kwargs: keyword arguments.
        tie_weights: let a tensor given under one name stand for all names of a shared parameter.
        strict: require exactly the module's names.

    Example:
        >>> import rushlight as torch
        >>> layer = torch.nn.Linear(2, 1, bias=False)
        >>> torch.func.functional_call(layer, {"weight": torch.ones(1, 2)}, torch.ones(2))
        tensor([2.])
    """
    given = parameter_and_buffer_dicts
    if isinstance(given, dict):
        tensors = given
    elif isinstance(given, Sequence) and all([isinstance(d, dict) for d in given]):
        tensors = {name: t for d in given for name, t in d.items()}
        if len(tensors) != sum([len(d) for d in given]):
            names = [name for d in given for name in d]
            repeated = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"{repeated} appear in multiple dictionaries; leave one of each.")
    else:
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
            f"{type(given)}"
        )
    return stateless._functional_call(
        module, tensors, args, kwargs, tie_weights=tie_weights, strict=strict
    )


def stack_module_state(models: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and buffers of several modules of one class, stacked along a new first dim.

    With ``vmap`` and ``functional_call`` they make an ensemble.

    Returns:
        Two dicts by name; the stacked parameters are new leaves.

    Example:
        >>> import rushlight as torch
        >>> nets = [torch.nn.Linear(2, 1) for _ in range(3)]
        >>> parameters, buffers = torch.func.stack_module_state(nets)
        >>> parameters["weight"].shape
        torch.Size([3, 1, 2])
    """
    models = list(models)
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if any([m.training != models[0].training for m in models]):
        raise RuntimeError(
            "stack_module_state: Expected all models to have the same training/eval mode."
        )
    if any([type(m) is not type(models[0]) for m in models]):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    parameters = [dict(m.named_parameters()) for m in models]
    buffers = [dict(m.named_buffers()) for m in models]
    return (
        {name: _stacked([p[name] for p in parameters]) for name in parameters[0]},
        {name: _stacked([b[name] for b in buffers]) for name in buffers[0]},
    )


def _stacked(tensors: list[Tensor]) -> Tensor:
    wants = tensors[0].requires_grad
    if any([t.requires_grad != wants for t in tensors]):
        raise RuntimeError(
            "stack_module_state: a parameter requires grad in some models and not in others; make "
            "them agree."
        )
    with no_grad():
        return stack(tensors).requires_grad_(wants)


def replace_all_batch_norm_modules_(root: Module) -> Module:
    """Let every batch normalisation in ``root`` use its batch's statistics and keep none, as
    ``vmap`` over samples needs. In place; returns ``root``.
    """
    for module in root.modules():
        if isinstance(module, _BatchNorm):
            module.track_running_stats = False
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                setattr(module, name, None)
    return root


def functionalize(func: Callable[..., Any], *, remove: str = "mutations") -> Callable[..., Any]:
    """``func`` itself: writes inside a function are recorded as they are, so nothing has to be
    removed for the transforms.

    Args:
        func: any function.
        remove: "mutations" or "mutations_and_views".
    """
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(
            "functionalize(f, remove='mutations'): Valid options for inputs are: "
            f"remove='mutations' or remove='mutations_and_views', but got {remove!r}."
        )
    return func


def debug_unwrap(tensor: Tensor, *, recurse: bool = True) -> Tensor:
    """The tensor itself: transforms here do not wrap tensors."""
    return tensor
