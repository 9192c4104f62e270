"""In which modules a program is."""

from __future__ import annotations

import weakref
from typing import Any

from rushlight.core.state import modes
from rushlight.core.tensor import Tensor
from rushlight.nn.modules._hooks import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from rushlight.nn.modules.module import Module
from rushlight.utils._pytree import tree_leaves

__all__ = ["ModuleTracker"]


class ModuleTracker:
    """Within its block, ``parents`` are the names of the modules whose forward runs, or through
    whose outputs, but not yet inputs, gradients flow; "Global" is always among them.

    Modules are called after the first one in which they are found: ``Net.layer.0``.

    Example:
        >>> import rushlight as torch
        >>> from rushlight.utils.module_tracker import ModuleTracker
        >>> net = torch.nn.Sequential(torch.nn.ReLU())
        >>> with ModuleTracker() as tracker:
        ...     _ = net[0].register_forward_pre_hook(lambda *a: print(sorted(tracker.parents)))
        ...     _ = net(torch.ones(1))
        ['Global', 'Sequential', 'Sequential.0']
    """

    def __init__(self) -> None:
        self._forward, self._backward = {"Global"}, {"Global"}
        self._walk: Any = None
        self._names: weakref.WeakKeyDictionary[Module, str] = weakref.WeakKeyDictionary()
        self._handles: list[Any] = []

    @property
    def is_bw(self) -> bool:
        """Whether a backward pass runs."""
        return modes.walk is not None

    @property
    def parents(self) -> set[str]:
        """Names of the modules at work."""
        if not self.is_bw:
            return self._forward
        if modes.walk is not self._walk:  # another backward pass
            self._walk, self._backward = modes.walk, {"Global"}
        return self._backward

    def __enter__(self) -> ModuleTracker:
        self._handles = [
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave, always_call=True),
        ]
        return self

    def __exit__(self, *exception: Any) -> None:
        for handle in self._handles:
            handle.remove()
        self._forward = {"Global"}

    def _name(self, module: Module) -> str:
        if module not in self._names:
            root = type(module).__name__
            for name, inner in module.named_modules():
                self._names.setdefault(inner, f"{root}.{name}" if name else root)
            self._names[module] = root
        return self._names[module]

    def _enter(self, module: Module, args: Any) -> None:
        name = self._name(module)
        self._forward.add(name)
        on_gradients(args, lambda g: self.parents.discard(name))

    def _leave(self, module: Module, args: Any, output: Any) -> None:
        name = self._name(module)
        self._forward.discard(name)
        on_gradients(output, lambda g: self.parents.add(name))


def on_gradients(values: Any, hook: Any) -> None:
    """Call ``hook`` when the gradient of a tensor among ``values`` is known."""
    for t in tree_leaves(values):
        if isinstance(t, Tensor) and modes.grad and t.requires_grad:
            t.register_hook(hook)
