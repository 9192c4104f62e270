"""Calling a module with other tensors in place of its parameters and buffers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.errors import warn_user
from rushlight.nn.modules._registry import registry
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter

__all__ = ["functional_call"]

ABSENT = object()


def functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call the module as if its parameters and buffers were the tensors given, and leave it as it
    was.

    Args:
        module: what to call.
        parameters_and_buffers: dotted names and tensors; gradients flow to them. Other names are
            attributes for as long as the call lasts.
        args: positional arguments; one that is not a tuple is taken as the only one.
        kwargs: keyword arguments.
        tie_weights: let a tensor given under one name stand for all names of a shared parameter.
        strict: require exactly the module's names.
    """
    warn_user(
        "torch.nn.utils.stateless.functional_call is deprecated. Please use"
        " `torch.func.functional_call` instead.",
        FutureWarning,
    )
    options = {"tie_weights": tie_weights, "strict": strict}
    return _functional_call(module, parameters_and_buffers, args, kwargs, **options)


def _functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """`functional_call`."""
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with replaced(module, parameters_and_buffers, tie_weights, strict):
        return module(*args, **(kwargs or {}))


@contextmanager
def _reparametrize_module(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    tie_weights: bool = False,
    strict: bool = False,
    stack_weights: bool = False,
) -> Iterator[None]:
    """Within it the module's members are the tensors given; see ``functional_call``."""
    with replaced(module, parameters_and_buffers, tie_weights, strict):
        yield


@contextmanager
def replaced(
    module: Module, tensors: dict[str, Tensor], tie_weights: bool, strict: bool
) -> Iterator[None]:
    """Within it the module's members are the tensors given. What is assigned to a member meanwhile
    is in ``tensors`` afterwards.
    """
    given = tensors
    if strict or tie_weights:
        named = dict(module.named_parameters(remove_duplicate=False))
        named.update(module.named_buffers(remove_duplicate=False))
        tensors = _with_tied(named, tensors) if tie_weights else tensors
        if strict:
            _check_names(named, tensors)
    before = []
    for name, tensor in tensors.items():
        if not (tensor is None or isinstance(tensor, Tensor)):
            raise TypeError(f"functional_call: {name!r} must be a Tensor or None, not {tensor!r}.")
        if not name:
            raise KeyError("functional_call: a tensor's name can't be empty")
        path, _, leaf = name.rpartition(".")
        owner = module.get_submodule(path)
        kinds = [k for k in ("_parameters", "_buffers") if leaf in getattr(owner, k)]
        if isinstance(tensor, Parameter):
            kinds = kinds or ["_parameters"]
        table = registry(owner, kinds[0]) if kinds else vars(owner)  # or any other attribute
        before.append((name, table, leaf, table.get(leaf, ABSENT)))
        table[leaf] = tensor
    try:
        yield
    finally:
        for name, table, leaf, old in reversed(before):
            if name in given and table.get(leaf, given[name]) is not given[name]:
                given[name] = table[leaf]
            if old is ABSENT:
                del table[leaf]
            else:
                table[leaf] = old


def _check_names(named: dict[str, Tensor], tensors: dict[str, Tensor]) -> None:
    unexpected = [name for name in tensors if name not in named]
    missing = [name for name in named if name not in tensors]
    lines = []
    if unexpected:
        lines.append("Unexpected key(s): {}.".format(", ".join(map(repr, unexpected))))
    if missing:
        lines.append("Missing key(s): {}.".format(", ".join(map(repr, missing))))
    if lines:
        raise RuntimeError("Error(s) in reparametrizing:\n\t" + "\n\t".join(lines))


def _with_tied(named: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors given, also under the other names of the members that they replace."""
    by_member: dict[Tensor, Tensor] = {}
    for name, tensor in tensors.items():
        member = named.get(name)
        if member is None:
            continue
        other = by_member.setdefault(member, tensor)
        if other is not tensor:
            raise ValueError(
                f"functional_call got multiple values for the tied parameter {name}; pass one of "
                "them, or tie_weights=False"
            )
    tied = {name: by_member[member] for name, member in named.items() if member in by_member}
    return {**tensors, **tied}
