"""``functorch``: what programs import from the package that `torch.func` was before.

The transforms are those of ``torch.func``; modules become functions of tuples of tensors, where
``torch.func.functional_call`` takes dicts.

    >>> import rushlight as torch
    >>> from rushlight.functorch import grad, make_functional
    >>> f, parameters = make_functional(torch.nn.Linear(2, 1))
    >>> [g.tolist() for g in grad(lambda p, x: f(p, x).sum())(parameters, torch.ones(2))]
    [[[1.0, 1.0]], [1.0]]
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.func import (
    functional_call,
    functionalize,
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    stack_module_state,
    vjp,
    vmap,
)
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter

__all__ = [
    "FunctionalModule",
    "FunctionalModuleWithBuffers",
    "combine_state_for_ensemble",
    "functionalize",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "make_functional",
    "make_functional_with_buffers",
    "vjp",
    "vmap",
]
Tensors = tuple[Tensor, ...]


class FunctionalModuleWithBuffers(Module):
    """A module as a function of its parameters and buffers: ``f(parameters, buffers, *inputs)``.

    Args:
        stateless_model: called with the tensors that are given.
        param_names: of the parameters, in their order.
        buffer_names: of the buffers.
    """

    def __init__(
        self, stateless_model: Module, param_names: Iterable[str], buffer_names: Iterable[str]
    ) -> None:
        super().__init__()
        self.stateless_model = stateless_model
        self.param_names, self.buffer_names = tuple(param_names), tuple(buffer_names)

    def forward(
        self, params: Sequence[Tensor], buffers: Sequence[Tensor], *args: Any, **kwargs: Any
    ) -> Any:
        """What the module makes of ``args`` and ``kwargs``."""
        names, given = (*self.param_names, *self.buffer_names), (*params, *buffers)
        if len(names) != len(given):
            raise RuntimeError(
                f"{type(self).__name__}: expected {len(self.param_names)} parameters and "
                f"{len(self.buffer_names)} buffers, got {len(params)} and {len(buffers)}: pass "
                "those that came with the function, or as many of the same shapes."
            )
        return functional_call(
            self.stateless_model, dict(zip(names, given, strict=True)), args, kwargs
        )


class FunctionalModule(FunctionalModuleWithBuffers):
    """A module as a function of its parameters: ``f(parameters, *inputs)``."""

    def forward(self, params: Sequence[Tensor], *args: Any, **kwargs: Any) -> Any:
        """What the module makes of ``args`` and ``kwargs``."""
        return super().forward(params, (), *args, **kwargs)


def make_functional(
    model: Module, disable_autograd_tracking: bool = False
) -> tuple[FunctionalModule, Tensors]:
    """A module without buffers as a function, and copies of its parameters.

    Args:
        model: it is left as it is.
        disable_autograd_tracking: the copies do not require grad, as a transform needs no more.

    Raises:
        RuntimeError: the module has buffers.
    """
    if any([True for _ in model.buffers()]):
        raise RuntimeError(
            "make_functional(model): `model` has buffers. Please use "
            "make_functional_with_buffers(model) instead."
        )
    params, _ = _copied(model, disable_autograd_tracking)
    return FunctionalModule(_without_state(model), params, ()), tuple(params.values())


def make_functional_with_buffers(
    model: Module, disable_autograd_tracking: bool = False
) -> tuple[FunctionalModuleWithBuffers, Tensors, Tensors]:
    """A module as a function, and copies of its parameters and of its buffers.

    Args:
        model: it is left as it is.
        disable_autograd_tracking: the copies do not require grad.

    Example:
        >>> import rushlight as torch
        >>> f, parameters, buffers = make_functional_with_buffers(torch.nn.BatchNorm1d(2))
        >>> f(parameters, buffers, torch.ones(3, 2)).shape, len(buffers)
        (torch.Size([3, 2]), 3)
    """
    params, buffers = _copied(model, disable_autograd_tracking)
    made = FunctionalModuleWithBuffers(_without_state(model), params, buffers)
    return made, tuple(params.values()), tuple(buffers.values())


def combine_state_for_ensemble(
    models: Sequence[Module],
) -> tuple[FunctionalModuleWithBuffers, Tensors, Tensors]:
    """Modules of one class as one function, and their parameters and buffers stacked along a new
    first dim: ``vmap(f, (0, 0, None))(parameters, buffers, x)`` calls all of them.

    Example:
        >>> import rushlight as torch
        >>> nets = [torch.nn.Linear(2, 1) for _ in range(3)]
        >>> f, parameters, buffers = combine_state_for_ensemble(nets)
        >>> vmap(f, (0, 0, None))(parameters, buffers, torch.ones(2)).shape
        torch.Size([3, 1])
    """
    params, buffers = stack_module_state(models)
    made = FunctionalModuleWithBuffers(_without_state(models[0]), params, buffers)
    stacked = tuple([p.detach() for p in params.values()])
    return made, stacked, tuple(buffers.values())


def _copied(model: Module, untracked: bool) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    params: dict[str, Tensor] = {
        name: Parameter(p.detach().clone(), p.requires_grad and not untracked)
        for name, p in model.named_parameters()
    }
    return params, {name: b.detach().clone() for name, b in model.named_buffers()}


def _without_state(model: Module) -> Module:
    """A copy of the module whose tensors hold no memory."""
    empty: dict[int, Any] = {
        id(p): Parameter(p.detach().to("meta"), p.requires_grad) for p in model.parameters()
    }
    empty.update({id(b): b.detach().to("meta") for b in model.buffers()})
    return copy.deepcopy(model, empty)
