"""State dicts: a module's parameters and buffers by dotted name, written out and read back."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

from rushlight.core.size import Size
from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor
from rushlight.errors import warn_user
from rushlight.nn.modules._hooks import add, table_of
from rushlight.nn.parameter import Parameter, is_lazy

_EXTRA_STATE_KEY_SUFFIX = "_extra_state"
COMPILED = "_orig_mod."  # what names begin with that PyTorch wrote of a compiled module


class Conversion:
    """What ``__future__`` sets."""

    overwrite = False  # conversions make new parameters
    swap = False  # parameters and buffers stay the same objects all the same


class _IncompatibleKeys(NamedTuple):
    """What `load_state_dict` found: names that the dict lacks, and names that the module lacks."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return (
            f"_IncompatibleKeys(missing_keys={self.missing_keys!r}, "
            f"unexpected_keys={self.unexpected_keys!r})"
        )

    __str__ = __repr__


def _within(name: str) -> str:
    """A name, or that of a module, within what PyTorch wraps a compiled module in."""
    return f"{name}.".removeprefix(COMPILED).removesuffix(".")


def _advice(state_dict: Mapping[str, Any], unexpected: list[str]) -> list[str]:
    """What is likely wrong with a dict whose keys are not the module's."""
    if unexpected == ["state", "param_groups"]:
        return ["It is an optimizer's: load it by the load_state_dict() of that."]
    for key in unexpected:
        if isinstance(state_dict.get(key), Mapping):
            return [f"{key!r} holds a dict of its own: if that is the module's, load it alone."]
    if unexpected and all(key.startswith("module.") for key in unexpected):
        return [
            "The keys begin with 'module.', as those of a network within DataParallel do: take "
            "that off each key, as {key.removeprefix('module.'): value ...}."
        ]
    return []


class Stateful:
    """The part of `Module` that writes and reads state dicts."""

    _version: int = 1

    # -- writing ---------------------------------------------------------------------------------

    def state_dict(
        self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> Any:
        """Return all parameters and persistent buffers by dotted name; they share memory with the
        module's.

        Args:
            destination: the dict to fill; a new one unless given.
            prefix: put before every name.
            keep_vars: keep the parameters themselves, attached to the graph, instead of detached
                aliases.

        Example:
            >>> list(nn.Sequential(nn.Linear(2, 1), nn.ReLU()).state_dict())
            ['0.weight', '0.bias']
        """
        if args:
            warn_user(
                "state_dict: positional arguments are deprecated, use destination=, prefix= and "
                "keep_vars=",
                FutureWarning,
            )
            given = (*args, *(destination, prefix, keep_vars)[len(args) :])
            destination, prefix, keep_vars = given
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        local = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local
        for hook in table_of(self, "_state_dict_pre_hooks").values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(
                    destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
                )
        for hook in table_of(self, "_state_dict_hooks").values():
            replaced = hook(self, destination, prefix, local)
            if not getattr(hook, "_from_public_api", False):
                destination = destination if replaced is None else replaced
            elif replaced is not None:
                raise RuntimeError("state_dict post-hook must return None")
        return destination

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Put this module's own parameters and buffers into `destination`, without its
        submodules'."""
        for name, tensor in persistent(self):
            if tensor is not None:
                destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if _overrides(self, "get_extra_state"):
            destination[prefix + _EXTRA_STATE_KEY_SUFFIX] = self.get_extra_state()

    def get_extra_state(self) -> Any:
        """Return what else the state dict should hold; a module that needs this overrides it and
        `set_extra_state`."""
        raise RuntimeError(
            "Reached a code path in Module.get_extra_state() that should never be called: "
            f"{type(self).__name__} does not override it."
        )

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` returned."""
        raise RuntimeError(
            "Reached a code path in Module.set_extra_state() that should never be called: "
            f"{type(self).__name__} does not override it."
        )

    # -- reading ---------------------------------------------------------------------------------

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Copy the tensors of `state_dict` into the parameters and buffers of the same names.

        Args:
            state_dict: names and tensors, as `state_dict` returns them; a compiled module also
                takes those that PyTorch wrote of a compiled one, all of which begin alike.
            strict: raise unless the names are exactly the module's.
            assign: put the dict's tensors in place of the module's, instead of copying values into
                those.

        Returns:
            ``missing_keys`` and ``unexpected_keys``.

        Raises:
            RuntimeError: names (when strict) or shapes differ; every difference is listed.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        metadata = getattr(state_dict, "_metadata", None)
        state_dict = OrderedDict(state_dict)
        compiled = getattr(self, "_compiled_call_impl", None) is not None
        if compiled and all(str(k).startswith(COMPILED) for k in state_dict):
            state_dict = OrderedDict((_within(k), v) for k, v in state_dict.items())
            metadata = metadata and {_within(k): v for k, v in metadata.items()}
        if metadata is not None:
            state_dict._metadata = metadata
        report = _Report(metadata, strict, assign)
        _load(self, state_dict, "", report)
        errors = report.errors
        if strict:
            if report.unexpected:
                errors.insert(0, f"Unexpected key(s) in state_dict: {_quoted(report.unexpected)}. ")
            if report.missing:
                errors.insert(0, f"Missing key(s) in state_dict: {_quoted(report.missing)}. ")
        if errors:
            errors += _advice(state_dict, report.unexpected) if strict else []
            raise RuntimeError(
                "Error(s) in loading state_dict for {}:\n\t{}".format(
                    type(self).__name__, "\n\t".join(errors)
                )
            )
        return _IncompatibleKeys(report.missing, report.unexpected)

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load this module's own parameters and buffers; subclasses override it to accept older
        formats."""
        for hook in list(table_of(self, "_load_state_dict_pre_hooks").values()):
            lists = missing_keys, unexpected_keys, error_msgs
            hook(self, state_dict, prefix, local_metadata, strict, *lists)
        for name, own in list(persistent(self)):
            key = prefix + name
            if own is None:
                continue
            if key in state_dict:
                assign = local_metadata.get("assign_to_params_buffers", False)
                _load_one(self, name, own, key, state_dict[key], assign, error_msgs)
            elif strict:
                missing_keys.append(key)
        _load_extra(self, state_dict, prefix, strict, missing_keys, unexpected_keys)
        if strict:
            unexpected_keys.extend(_unknown(self, state_dict, prefix))

    # -- hooks -----------------------------------------------------------------------------------

    def register_state_dict_pre_hook(self, hook: Any) -> Any:
        """Call ``hook(module, prefix, keep_vars)`` before `state_dict` collects this module."""
        return add(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Any) -> Any:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` afterwards; it edits the dict
        in place."""
        hook._from_public_api = True
        return add(self._state_dict_hooks, hook)

    def _register_state_dict_hook(self, hook: Any) -> Any:
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError(
                "Cannot register the same function as the state dict post hook that was "
                "previously registered via register_state_dict_post_hook"
            )
        return add(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Any) -> Any:
        """Call ``hook`` before this module is loaded; it may edit the dict and the lists it gets.

        It is called with ``(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)``.
        """
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(self, hook: Any, with_module: bool = False) -> Any:
        return add(self._load_state_dict_pre_hooks, hook if with_module else _WithoutModule(hook))

    def register_load_state_dict_post_hook(self, hook: Any) -> Any:
        """Call ``hook(module, incompatible_keys)`` after loading; it may edit the lists of names in
        place."""
        return add(self._load_state_dict_post_hooks, hook)


def persistent(module: Any) -> Any:
    """This module's own names that belong in a state dict, with their tensors or None."""
    temporary = module._non_persistent_buffers_set
    buffers = ((n, b) for n, b in module._buffers.items() if n not in temporary)
    return itertools.chain(module._parameters.items(), buffers)


def _load_one(
    module: Any, name: str, own: Any, key: str, given: Any, assign: bool, error_msgs: list[str]
) -> None:
    if not isinstance(given, Tensor):
        error_msgs.append(
            f'While copying the parameter named "{key}", '
            "expected torch.Tensor or Tensor-like object from checkpoint but "
            f"received {type(given)}"
        )
        return
    if not is_lazy(own) and is_lazy(given):
        error_msgs.append(
            f"size mismatch for {key}: it has no shape in the checkpoint, "
            f"where it is {type(given).__name__}, but {own.shape} in the current model."
        )
        return
    if not is_lazy(own):
        if own.dim() == 0 and given.dim() == 1 and len(given) == 1:
            given = given[0]  # scalars were once saved with one element
        if given.shape != own.shape:
            error_msgs.append(
                f"size mismatch for {key}: copying a param with shape {given.shape} from "
                f"checkpoint, the shape in current model is {own.shape}."
            )
            return
    if not assign and not is_lazy(own) and own.is_meta and not given.is_meta:
        warn_user(
            f"for {key}: copying from a non-meta parameter in the checkpoint to a meta parameter in"
            " the current model, which does nothing. Pass assign=True to have the checkpoint's."
        )
    try:
        with no_grad():
            if not assign:
                if not (is_lazy(own) and is_lazy(given)):
                    own.copy_(given)
                return
            if Conversion.swap and not is_lazy(own):
                own.data = given
                return
            if isinstance(own, Parameter) and not isinstance(given, Parameter):
                given = Parameter(given, requires_grad=own.requires_grad)
            elif isinstance(own, Parameter):
                given.requires_grad_(own.requires_grad)
            setattr(module, name, given)
    except Exception as error:
        error_msgs.append(
            f'While copying the parameter named "{key}", '
            f"whose dimensions in the model are {Size([0]) if is_lazy(own) else own.size()} and "
            f"whose dimensions in the checkpoint are {given.size()}, "
            f"an exception occurred : {error.args}."
        )


def _load_extra(
    module: Any,
    state_dict: Any,
    prefix: str,
    strict: bool,
    missing: list[str],
    unexpected: list[str],
) -> None:
    key = prefix + _EXTRA_STATE_KEY_SUFFIX
    if _overrides(module, "set_extra_state"):
        if key in state_dict:
            module.set_extra_state(state_dict[key])
        elif strict:
            missing.append(key)
    elif strict and key in state_dict:
        unexpected.append(key)


def _unknown(module: Any, state_dict: Any, prefix: str) -> list[str]:
    """The keys under `prefix` that neither this module nor a submodule of it has."""
    own = {name for name, tensor in persistent(module) if tensor is not None}
    unknown = []
    for key in state_dict:
        if key.startswith(prefix) and key != prefix + _EXTRA_STATE_KEY_SUFFIX:
            first, *rest = key[len(prefix) :].split(".", 1)
            if first not in module._modules if rest else first not in own:
                unknown.append(key)
    return unknown


class _WithoutModule:
    """A loading hook of the older kind, which does not take the module."""

    def __init__(self, hook: Any) -> None:
        self.hook = hook

    def __call__(self, module: Any, *args: Any) -> Any:
        return self.hook(*args)


class _Report:
    """What loading has found so far, and how it is done."""

    def __init__(self, metadata: Any, strict: bool, assign: bool) -> None:
        self.metadata, self.strict, self.assign = metadata, strict, assign
        self.missing: list[str] = []
        self.unexpected: list[str] = []
        self.errors: list[str] = []


def _load(module: Any, state_dict: Any, prefix: str, report: _Report) -> None:
    local = {} if report.metadata is None else report.metadata.get(prefix[:-1], {})
    if report.assign:
        local["assign_to_params_buffers"] = True
    lists = report.missing, report.unexpected, report.errors
    module._load_from_state_dict(state_dict, prefix, local, True, *lists)
    for name, child in module._modules.items():
        if child is not None:
            start = f"{prefix}{name}."
            below = {k: v for k, v in state_dict.items() if k.startswith(start)}
            _load(child, below, start, report)
    incompatible = _IncompatibleKeys(report.missing, report.unexpected)
    for hook in table_of(module, "_load_state_dict_post_hooks").values():
        if hook(module, incompatible) is not None:
            raise AssertionError(
                "load_state_dict post-hook: hooks must not return new values; edit the lists "
                "of missing_keys and unexpected_keys in place."
            )


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _overrides(module: Any, name: str) -> bool:
    return getattr(type(module), name) is not getattr(Stateful, name)
