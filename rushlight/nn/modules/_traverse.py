"""Walking a tree of modules: members by dotted name, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from rushlight.core.tensor import Tensor
from rushlight.nn.parameter import Parameter

if TYPE_CHECKING:
    from rushlight.nn.modules.module import Module


class Traversable:
    """The part of `Module` that lists and finds what is inside."""

    # -- listing ---------------------------------------------------------------------------------

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Yield (dotted name, module) for this module and all below, parents first.

        Args:
            memo: modules not to yield; those yielded are added.
            prefix: put before every name.
            remove_duplicate: yield a module that is used in several places once.
        """
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                below = f"{prefix}.{name}" if prefix else name
                yield from child.named_modules(memo, below, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """Yield this module and all below, parents first."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield (name, module) for the modules directly inside, each once."""
        seen = set()
        for name, child in self._modules.items():
            if child is not None and child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        """Yield the modules directly inside, each once."""
        for _, child in self.named_children():
            yield child

    def _named_members(
        self,
        get_members_fn: Callable[[Any], Any],
        prefix: str = "",
        recurse: bool = True,
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Any]]:
        seen: set[Any] = set()
        if recurse:
            modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        else:
            modules = iter([(prefix, self)])
        for path, module in modules:
            for name, member in get_members_fn(module):
                if member is None or member in seen:
                    continue
                if remove_duplicate:
                    seen.add(member)
                yield (f"{path}.{name}" if path else name), member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield (dotted name, parameter), also those of the modules below.

        Args:
            prefix: put before every name.
            recurse: include the modules below.
            remove_duplicate: yield a shared parameter once, under its first name.

        Example:
            >>> [name for name, _ in nn.Linear(2, 1).named_parameters(prefix="out")]
            ['out.weight', 'out.bias']
        """
        members = lambda module: module._parameters.items()  # noqa: E731
        yield from self._named_members(members, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield the parameters, also those of the modules below; what an optimizer takes."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield (dotted name, buffer), also those of the modules below; arguments as
        `named_parameters`."""
        members = lambda module: module._buffers.items()  # noqa: E731
        yield from self._named_members(members, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield the buffers, also those of the modules below."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    # -- finding ---------------------------------------------------------------------------------

    def get_submodule(self, target: str) -> Module:
        """Return the module called `target`, a dotted name such as ``"encoder.0"``; "" is this
        module."""
        module = self
        for name in target.split(".") if target else []:
            module = _member(module, name, _module_type(), "nn.Module")
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put `module` where the dotted name `target` says, such as ``"encoder.0"``.

        Args:
            target: where.
            module: what.
            strict: require that there is a module of that name already.
        """
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, _module_type()):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict or hasattr(parent, name):
            _member(parent, name, _module_type(), "nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """Return the parameter called `target`, a dotted name such as ``"encoder.0.weight"``."""
        path, _, name = target.rpartition(".")
        return _member(self.get_submodule(path), name, Parameter, "nn.Parameter")

    def get_buffer(self, target: str) -> Tensor:
        """Return the buffer called `target`, a dotted name such as ``"norm.running_mean"``."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        buffer = _member(module, name, Tensor, "buffer")
        if name not in module._buffers:
            raise AttributeError("`" + name + "` is not a buffer")
        return buffer


def _module_type() -> type:
    from rushlight.nn.modules.module import Module  # which is made of this file

    return Module


def _member(module: Any, name: str, kind: type, noun: str) -> Any:
    if not hasattr(module, name):
        raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
    found = getattr(module, name)
    if not isinstance(found, kind):
        raise AttributeError(f"`{name}` is not an {noun}")
    return found
