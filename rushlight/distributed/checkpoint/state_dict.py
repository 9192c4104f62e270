"""The ``state_dict`` of a model under the options of distributed training, in one process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rushlight.distributed import get_rank

__all__ = ["StateDictOptions", "get_model_state_dict", "set_model_state_dict"]


@dataclass
class StateDictOptions:
    """How a state_dict is taken from a model or given to it.

    Args:
        full_state_dict: a plain dict of whole tensors; models on ``meta`` take such tensors as
            their own.
        cpu_offload: move what is taken to the CPU.
        ignore_frozen_params: leave out parameters that do not require grad.
        keep_submodule_prefixes: accepted; keys are those of the model.
        strict: missing and unexpected keys are an error.
        broadcast_from_rank0: give the tensors of one process to all; with one there is no group.
        flatten_optimizer_state_dict: accepted; there is no optimizer here.
        dsd_fqn_modifiers: accepted; keys are those of the model.
    """

    full_state_dict: bool = False
    cpu_offload: bool = False
    ignore_frozen_params: bool = False
    keep_submodule_prefixes: bool = True
    strict: bool = True
    broadcast_from_rank0: bool = False
    flatten_optimizer_state_dict: bool = False
    dsd_fqn_modifiers: str = "_fqn_modifiers"


def get_model_state_dict(model: Any, *, options: StateDictOptions | None = None) -> dict[str, Any]:
    """The model's ``state_dict``, whose tensors are the model's own unless they are moved.

    Example:
        >>> import rushlight as torch
        >>> from rushlight.distributed.checkpoint.state_dict import get_model_state_dict
        >>> list(get_model_state_dict(torch.nn.Linear(2, 3)))
        ['weight', 'bias']
    """
    options = options or StateDictOptions()
    state: dict[str, Any] = model.state_dict()
    if options.ignore_frozen_params:
        for name, parameter in model.named_parameters(remove_duplicate=False):
            if not parameter.requires_grad:
                state.pop(name, None)
    if options.cpu_offload:
        return {name: x.cpu() if hasattr(x, "cpu") else x for name, x in state.items()}
    return dict(state) if options.full_state_dict else state


def set_model_state_dict(
    model: Any, model_state_dict: dict[str, Any], *, options: StateDictOptions | None = None
) -> Any:
    """Load a state_dict into the model; the keys that were missing or unexpected. An empty one
    changes nothing.

    Raises:
        ValueError: ``broadcast_from_rank0``, as there is no group of processes.
    """
    options = options or StateDictOptions()
    if options.broadcast_from_rank0:
        if not options.full_state_dict:
            raise ValueError("full_state_dict must be True when broadcast_from_rank0 is True.")
        get_rank()
    strict = options.strict and bool(model_state_dict)
    on_meta = any([p.is_meta for p in model.parameters()])
    return model.load_state_dict(
        model_state_dict, strict=strict, assign=options.full_state_dict and on_meta
    )
