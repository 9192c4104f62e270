"""Module: the base of all layers and networks. Registration, modes, calling; the rest is in
`_hooks`, `_moving`, `_state` and `_traverse`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from types import FunctionType
from typing import Any, Self

from rushlight.core.state import state
from rushlight.core.tensor import Tensor
from rushlight.nn.modules._errors import OF_TENSORS, instead, no_tensor, say_where, type_name
from rushlight.nn.modules._hooks import (
    TABLES,
    add,
    call_with_hooks,
    calls,
    has_backward_hooks,
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
    registered,
    tables_of_calls,
)
from rushlight.nn.modules._moving import Movable
from rushlight.nn.modules._registry import KINDS, Registry, registry
from rushlight.nn.modules._state import (
    _EXTRA_STATE_KEY_SUFFIX as _EXTRA_STATE_KEY_SUFFIX,
    Stateful,
    _IncompatibleKeys as _IncompatibleKeys,
)
from rushlight.nn.modules._traverse import Traversable
from rushlight.nn.parameter import Parameter, is_buffer

__all__ = [
    "Module",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]


def _table(name: str) -> Any:
    """An attribute of Module: its table of hooks called `name`, made when it is first asked for."""

    def read(self: Module) -> OrderedDict[int, Any]:
        if self._hook_tables is None:
            self.__dict__["_hook_tables"] = {}
        return self._hook_tables.setdefault(name, OrderedDict())

    def write(self: Module, hooks: OrderedDict[int, Any]) -> None:
        read(self)
        self._hook_tables[name] = hooks

    return property(read, write)


def named_after(function: FunctionType, cls: type) -> FunctionType:
    """The function as a method of the class, whose name Python's errors about arguments show."""
    own = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    own.__kwdefaults__, own.__annotations__ = function.__kwdefaults__, function.__annotations__
    own.__doc__, own.__module__ = function.__doc__, function.__module__
    own.__qualname__ = f"{cls.__qualname__}.{function.__name__}"
    return own


NOT_KEPT = ("_hook_tables", "_compiled_call_impl")  # attributes that files and copies do without


class Module(Movable, Traversable, Stateful):
    """Base of layers and networks: parameters, buffers and other modules, and a `forward` that uses
    them.

    A subclass calls ``super().__init__()`` first. Assigning a `Parameter` or a `Module` to an
    attribute registers it; a plain tensor is registered as state by `register_buffer`.

    Example:
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.out = nn.Linear(3, 2)
        ...     def forward(self, x):
        ...         return self.out(x)
        >>> net = Net()
        >>> net(torch.ones(5, 3)).shape
        torch.Size([5, 2])
        >>> [name for name, _ in net.named_parameters()]
        ['out.weight', 'out.bias']
    """

    dump_patches: bool = False
    training: bool
    call_super_init: bool = False
    # None: a call goes straight to forward
    _hook_tables: dict[str, OrderedDict[int, Any]] | None = None
    _is_full_backward_hook: bool | None = None
    _compiled_call_impl: Any = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Layers that share a private base's ``__init__`` have it under their own name."""
        super().__init_subclass__(**kwargs)
        init = cls.__init__
        if (
            "__init__" not in cls.__dict__
            and isinstance(init, FunctionType)
            and init.__qualname__.startswith("_")
            and init.__module__.startswith("rushlight.nn.")
            and not cls.__name__.startswith("_")
        ):
            cls.__init__ = named_after(init, cls)  # type: ignore[method-assign]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init and (args or kwargs):
            what = (
                f"got an unexpected keyword argument '{next(iter(kwargs))}'"
                if kwargs
                else (f"takes 1 positional argument but {len(args) + 1} were given")
            )
            raise TypeError(f"{type(self).__name__}.__init__() {what}")
        attributes = self.__dict__
        attributes["training"] = True
        for kind in KINDS:
            attributes[kind] = Registry(self)
        attributes["_non_persistent_buffers_set"] = set()
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    # -- calling ---------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._compiled_call_impl is not None:
                return self._compiled_call_impl(*args, **kwargs)
            if self._hook_tables is None and not calls:
                return self.forward(*args, **kwargs)
            return call_with_hooks(self, args, kwargs)
        except Exception as error:
            if isinstance(error, AttributeError) and error.name in OF_TENSORS:
                better = no_tensor(error, self)
                if better is not None:
                    raise better from None
            say_where(error, self)
            raise

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        """A call of the module as it is, compiled or not."""
        if self._hook_tables is None and not calls:
            return self.forward(*args, **kwargs)
        return call_with_hooks(self, args, kwargs)

    def _tables_of_calls(self) -> list[dict[Any, Any]]:
        """See `tables_of_calls`: for the compiler, which sees modules but not this package."""
        return tables_of_calls(self)

    def _hooks_of_backward(self) -> bool:
        """Whether there are hooks of backward passes."""
        return has_backward_hooks(self)

    def forward(self, *input: Any) -> Any:
        """Compute the output. Every subclass writes its own."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function; define '
            "forward(self, ...), or, where it only holds others, call those."
        )

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Run calls of this module as compiled programs from now on; see `torch.compile`, whose
        arguments these are."""
        state.compile(self, *args, **kwargs)

    # -- registration ----------------------------------------------------------------------------

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Make `param` a parameter of this module, readable as the attribute `name`.

        Args:
            name: an identifier without dots, not in use.
            param: the parameter; None for one that is absent, which state dicts then leave out.
        """
        table = registry(self, "_parameters")
        _check_name(self, "parameter", name, table)
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{type_name(param)}' object to parameter '{name}' "
                    "(torch.nn.Parameter or None required)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must "
                    "be created explicitly; to express it as a function of another tensor, compute "
                    "the value in the forward() method."
                )
        table[name] = registered("_parameters", self, name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Make `tensor` part of this module's state, though nothing that an optimizer changes.

        Args:
            name: an identifier without dots, not in use.
            tensor: the buffer; None for one that is absent.
            persistent: whether it belongs in the state dict.
        """
        table = registry(self, "_buffers")
        _check_name(self, "buffer", name, table)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{type_name(tensor)}' object to buffer '{name}' "
                "(torch Tensor or None required)"
            )
        table[name] = registered("_buffers", self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Make `module` a child of this one, readable as the attribute `name`; None for one that is
        absent."""
        table = registry(self, "_modules")
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{type_name(module)} is not a Module subclass{instead(module)}")
        _check_name(self, "module", name, table)
        table[name] = registered("_modules", self, name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """The same as `add_module`."""
        self.add_module(name, module)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            registry(self, "_parameters")
            _forget(self, name, "_buffers", "_modules")
            self.register_parameter(name, value)
            return
        attributes = self.__dict__
        if name in attributes.get("_parameters", ()):
            _set_none(self, "_parameters", name, value, "parameter", "torch.nn.Parameter")
        elif isinstance(value, Module):
            table = registry(self, "_modules")
            _forget(self, name, "_parameters", "_buffers")
            table[name] = registered("_modules", self, name, value)
        elif name in attributes.get("_modules", ()):
            _set_none(self, "_modules", name, value, "child module", "torch.nn.Module")
        elif name in attributes.get("_buffers", ()):
            _set_buffer(self, name, value)
        elif is_buffer(value):
            registry(self, "_buffers")
            _forget(self, name)
            if getattr(value, "persistent", True):
                self.register_buffer(name, value)
            else:
                self.register_buffer(name, value, persistent=False)
        else:
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        # Everything is found before this is called. It exists for subclasses with a __getattr__
        # that calls it, whose members are no attributes, and for programs that call it by its name.
        for kind in KINDS:
            if name in self.__dict__.get(kind, ()):
                return self.__dict__[kind][name]
        if name == "_orig_mod" and self._compiled_call_impl is not None:
            return self  # in PyTorch, which wraps what is compiled, the module within
        own = type(self).__name__
        fix = (
            "" if "_modules" in self.__dict__ else f"; begin {own}.__init__ with super().__init__()"
        )
        raise AttributeError(f"'{own}' object has no attribute '{name}'{fix}")

    def __delattr__(self, name: str) -> None:
        for kind in KINDS:
            if name in self.__dict__.get(kind, ()):
                del registry(self, kind)[name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = [*dir(type(self)), *self.__dict__]
        return sorted({name for name in names if not name[0].isdigit()})

    # -- modes -----------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Set training mode here and below; dropout and batch normalisation act differently in
        it."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode here and below: the same as ``train(False)``."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Say for every parameter whether gradients are computed; ``False`` freezes the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of every parameter.

        Args:
            set_to_none: remove them; otherwise fill them with zeros.
        """
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None  # whatever it was: no program need depend on that
            elif (grad := parameter.grad) is not None:
                grad.detach_() if grad.grad_fn is not None else grad.requires_grad_(False)
                grad.zero_()

    def apply(self, fn: Callable[[Module], None]) -> Self:
        """Call ``fn(module)`` for every module below, children first, and for this one; used to
        initialise."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # -- hooks -----------------------------------------------------------------------------------

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> Any:
        """Call ``hook(module, args)`` before `forward`; a result other than None replaces the
        arguments.

        Args:
            hook: the function.
            prepend: run it before the hooks already there.
            with_kwargs: call ``hook(module, args, kwargs)``, which returns None or
                ``(args, kwargs)``.

        Returns:
            A handle whose ``remove()`` takes the hook out again.
        """
        marks = (self._forward_pre_hooks_with_kwargs,) if with_kwargs else ()
        return add(self._forward_pre_hooks, hook, prepend=prepend, marks=marks)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> Any:
        """Call ``hook(module, args, output)`` after `forward`; a result other than None replaces
        the output.

        Args:
            hook: the function.
            prepend: run it before the hooks already there.
            with_kwargs: call ``hook(module, args, kwargs, output)``.
            always_call: call it even when `forward` raises, with None as the output.

        Returns:
            A handle whose ``remove()`` takes the hook out again.

        Example:
            >>> seen = []
            >>> layer = nn.Linear(3, 2)
            >>> handle = layer.register_forward_hook(lambda m, args, out: seen.append(out.shape))
            >>> layer(torch.ones(4, 3)).shape == seen[0]
            True
        """
        marks = (self._forward_hooks_with_kwargs,) if with_kwargs else ()
        marks += (self._forward_hooks_always_called,) if always_call else ()
        return add(self._forward_hooks, hook, prepend=prepend, marks=marks)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Any:
        """Call ``hook(module, grad_input, grad_output)`` when the gradients of the inputs are
        known.

        Both are tuples, with None for what is not a tensor; a result other than None replaces
        ``grad_input``.
        """
        return _add_backward_hook(self, True, hook, prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> Any:
        """Deprecated: use `register_full_backward_hook`, whose gradients are those of the module's
        own inputs."""
        return _add_backward_hook(self, False, hook, False)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> Any:
        """Call ``hook(module, grad_output)`` before the module's backward; a result other than None
        replaces it."""
        return add(self._backward_pre_hooks, hook, prepend=prepend)

    # -- copying and printing --------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """The attributes as PyTorch lays them out: members in their dicts only, and every table of
        hooks."""
        attributes = self.__dict__
        mirrored = {name for kind in KINDS for name in attributes[kind]}
        state = {n: v for n, v in attributes.items() if n not in mirrored and n not in NOT_KEPT}
        state.update((kind, dict(attributes[kind])) for kind in KINDS)
        state["_is_full_backward_hook"] = self._is_full_backward_hook
        state.update((name, (self._hook_tables or {}).get(name, OrderedDict())) for name in TABLES)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        hooks = {name: state.pop(name) for name in TABLES if name in state}
        hooks = {name: table for name, table in hooks.items() if table}
        if hooks:
            state["_hook_tables"] = hooks
        attributes = self.__dict__
        attributes.update(state)
        attributes.setdefault("_non_persistent_buffers_set", set())
        for kind in KINDS:
            attributes[kind] = Registry(self, attributes.get(kind))

    def _replicate_for_data_parallel(self) -> Self:
        """A shallow copy, without parameters, whose buffers and modules may be exchanged."""
        replica: Self = object.__new__(type(self))
        replica.__dict__ = dict(
            vars(self),
            _parameters={},
            _buffers=dict(self._buffers),
            _modules=dict(self._modules),
            _is_replica=True,
        )
        return replica

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """Return what stands between the parentheses when the module is printed; subclasses write
        their own."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        children = [f"({n}): {_addindent(repr(m), 2)}" for n, m in self._modules.items()]
        if not children and "\n" not in extra:
            return f"{self._get_name()}({extra})"
        lines = [*(extra.split("\n") if extra else []), *children]
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"


Registry.finder = Module.__getattr__
for _name in TABLES:
    setattr(Module, _name, _table(_name))


def _check_name(module: Any, noun: str, name: Any, table: Registry) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{noun} name should be a string. Got {type_name(name)}")
    if "." in name:
        raise KeyError(f'{noun} name can\'t contain "."')
    if name == "":
        raise KeyError(f'{noun} name can\'t be empty string ""')
    if hasattr(module, name) and name not in table:
        raise KeyError(f"attribute '{name}' already exists")


def _set_none(module: Any, kind: str, name: str, value: Any, noun: str, needed: str) -> None:
    if value is not None:
        raise TypeError(
            f"cannot assign '{type_name(value)}' as {noun} '{name}' ({needed} or None expected)"
            f"{'; wrap it: nn.Parameter(...)' if isinstance(value, Tensor) else ''}"
        )
    registry(module, kind)[name] = None


def _set_buffer(module: Any, name: str, value: Any) -> None:
    if value is not None and not isinstance(value, Tensor):
        raise TypeError(
            f"cannot assign '{type_name(value)}' as buffer '{name}' "
            "(torch.nn.Buffer, torch.Tensor or None expected)"
        )
    if is_buffer(value):
        change = module._non_persistent_buffers_set
        (change.discard if value.persistent else change.add)(name)
    registry(module, "_buffers")[name] = registered("_buffers", module, name, value)


def _forget(module: Any, name: str, *kinds: str) -> None:
    """Free `name` for another kind of member."""
    attributes = module.__dict__
    for kind in kinds:
        if name in attributes[kind]:
            del attributes[kind][name]
    if name not in attributes["_parameters"] and name not in attributes["_modules"]:
        attributes.pop(name, None)
    module._non_persistent_buffers_set.discard(name)


def _add_backward_hook(module: Any, full: bool, hook: Callable[..., Any], prepend: bool) -> Any:
    if module._is_full_backward_hook is not None and module._is_full_backward_hook is not full:
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks on a "
            "single Module. Please use only one of them."
        )
    module._is_full_backward_hook = full
    return add(module._backward_hooks, hook, prepend=prepend)


def _addindent(text: str, spaces: int) -> str:
    """Indents all lines but the first; programs that print models of their own import it."""
    return text.replace("\n", "\n" + " " * spaces)


for part in (Movable, Traversable, Stateful):
    for method in vars(part).values():
        if isinstance(method, FunctionType):  # print(net.parameters()) shows its name
            method.__qualname__ = f"Module.{method.__name__}"
