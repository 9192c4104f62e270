"""Hooks: functions that run around a module's forward and backward, for one module or for all of
them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from rushlight.core.function import Function
from rushlight.core.node import RemovableHandle
from rushlight.core.tensor import Tensor
from rushlight.errors import warn_user

# The tables that a module may have, under the names that programs know them by.
TABLES = (
    "_backward_pre_hooks",
    "_backward_hooks",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)

CALLED = [name for name in TABLES if name.startswith(("_forward", "_backward"))]

Table = dict[int, Any]


class GlobalHooks:
    """Hooks that run for every module."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {name: OrderedDict() for name in TABLES}
        self.registration: dict[str, Table] = {
            kind: OrderedDict() for kind in ("_parameters", "_buffers", "_modules")
        }
        self.full_backward: bool | None = None


everywhere = GlobalHooks()
calls: dict[int, Any] = {}  # the global hooks that a call has to run; usually none


def add(
    table: Table, hook: Any, *, prepend: bool = False, marks: tuple[Table, ...] = ()
) -> RemovableHandle:
    """Put `hook` into `table`, mark it in `marks`, and return the handle that takes it out
    again."""
    handle = RemovableHandle(table, hook, prepend, extra_dict=marks)
    for mark in marks:
        mark[handle.id] = True
    return handle


def add_everywhere(name: str, hook: Any, *marks: str) -> RemovableHandle:
    return add(everywhere.tables[name], hook, marks=(calls, *[everywhere.tables[m] for m in marks]))


def add_for_registration(kind: str, hook: Any) -> RemovableHandle:
    return add(everywhere.registration[kind], hook)


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call ``hook(module, args, output)`` after every module's forward; a result other than None
    replaces the output.

    Args:
        hook: the function.
        with_kwargs: pass the keyword arguments too: ``hook(module, args, kwargs, output)``.
        always_call: call it even when forward raises.
    """
    marks = ("_forward_hooks_with_kwargs",) * with_kwargs
    marks += ("_forward_hooks_always_called",) * always_call
    return add_everywhere("_forward_hooks", hook, *marks)


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, args)`` before every module's forward; a result other than None replaces
    the arguments."""
    return add_everywhere("_forward_pre_hooks", hook)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, grad_input, grad_output)`` when any module's input gradients are known.

    A result other than None replaces ``grad_input``.
    """
    if everywhere.full_backward is False:
        raise RuntimeError(
            "register_module_full_backward_hook: global hooks of the older kind are registered; "
            "cannot use both regular backward hooks and full backward hooks as a global Module hook"
        )
    everywhere.full_backward = True
    return add_everywhere("_backward_hooks", hook)


def register_module_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Deprecated: use `register_module_full_backward_hook`, whose gradients are those of the
    module's own inputs."""
    if everywhere.full_backward is True:
        raise RuntimeError(
            "register_module_backward_hook: full global hooks are registered; "
            "cannot use both regular backward hooks and full backward hooks as a global Module hook"
        )
    everywhere.full_backward = False
    return add_everywhere("_backward_hooks", hook)


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, grad_output)`` before any module's backward; a result other than None
    replaces it."""
    return add_everywhere("_backward_pre_hooks", hook)


def register_module_parameter_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, name, parameter)`` when a parameter is registered; a result other than
    None replaces it."""
    return add_for_registration("_parameters", hook)


def register_module_buffer_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, name, buffer)`` when a buffer is registered; a result other than None
    replaces it."""
    return add_for_registration("_buffers", hook)


def register_module_module_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, name, submodule)`` when a module is registered; a result other than None
    replaces it."""
    return add_for_registration("_modules", hook)


def registered(kind: str, module: Any, name: str, member: Any) -> Any:
    """Run the registration hooks and return the member to store."""
    for hook in everywhere.registration[kind].values():
        replaced = hook(module, name, member)
        member = member if replaced is None else replaced
    return member


# -- calling -------------------------------------------------------------------------------------


def table_of(module: Any, name: str) -> Table:
    """A module's table of hooks to read from; use the attribute to register, which makes it."""
    hooks = module._hook_tables
    return (hooks and hooks.get(name)) or EMPTY


EMPTY: Table = OrderedDict()


def tables_of_calls(module: Any) -> list[dict[Any, Any]]:
    """The tables whose content decides which hooks a call of the module runs."""
    own = module._hook_tables or {}
    shared = [everywhere.tables[name] for name in CALLED if calls]
    return [calls, *shared, *[own[name] for name in CALLED if name in own]]


def has_backward_hooks(module: Any) -> bool:
    """Whether a backward pass through a module runs hooks of its own."""
    names = ("_backward_pre_hooks", "_backward_hooks")
    return any([everywhere.tables[name] or table_of(module, name) for name in names])


def call_with_hooks(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What `Module.__call__` does when hooks are there: pre-hooks, forward, hooks, with backward
    hooks around."""
    called: set[int] = set()
    try:
        args, kwargs = _before(module, args, kwargs)
        backward, older = _backward_hooks(module)
        if backward is not None:
            args = backward.watch_inputs(args)
        result = module.forward(*args, **kwargs)
        for key, hook, with_kwargs, _ in _forward_hooks(module):
            called.add(key)
            extra = (kwargs,) if with_kwargs else ()
            replaced = hook(module, args, *extra, result)
            result = result if replaced is None else replaced
        if backward is not None:
            result = backward.watch_outputs(result)
        if older:
            _hook_last_node(module, older, result)
        return result
    except Exception:
        _call_the_rest(module, called, args, kwargs)
        raise


def _before(module: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    name = "_forward_pre_hooks"
    with_kwargs = table_of(module, "_forward_pre_hooks_with_kwargs")
    for key, hook in _both(module, name):
        if key in with_kwargs:
            replaced = hook(module, args, kwargs)
            if replaced is None:
                continue
            if not isinstance(replaced, tuple) or len(replaced) != 2:
                raise RuntimeError(
                    "forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                    f"but got {replaced}."
                )
            args, kwargs = replaced
        elif (replaced := hook(module, args)) is not None:
            args = replaced if isinstance(replaced, tuple) else (replaced,)
    return args, kwargs


def _both(module: Any, name: str) -> list[tuple[int, Any]]:
    """The global hooks of a kind, then the module's own; a copy, since hooks may remove
    themselves."""
    return [*everywhere.tables[name].items(), *table_of(module, name).items()]


def _forward_hooks(module: Any) -> Iterator[tuple[int, Any, bool, bool]]:
    for tables in (everywhere.tables, module._hook_tables or {}):
        kwargs = tables.get("_forward_hooks_with_kwargs", EMPTY)
        always = tables.get("_forward_hooks_always_called", EMPTY)
        for key, hook in list(tables.get("_forward_hooks", EMPTY).items()):
            yield key, hook, key in kwargs, key in always


def _call_the_rest(module: Any, called: set[int], args: Any, kwargs: Any) -> None:
    """Forward has raised: the hooks that want to be called always have their turn, with no
    result."""
    for key, hook, with_kwargs, always in _forward_hooks(module):
        if not always or key in called:
            continue
        try:
            hook(module, args, kwargs, None) if with_kwargs else hook(module, args, None)
        except Exception as error:
            warn_user(
                "module forward hook with ``always_call=True`` raised an exception that was "
                f"silenced as another error was raised in forward: {error}"
            )


# -- backward ------------------------------------------------------------------------------------


def _backward_hooks(module: Any) -> tuple[BackwardHook | None, list[Any]]:
    full: list[Any] = []
    older: list[Any] = []
    shared = everywhere.tables["_backward_hooks"].values()
    (full if everywhere.full_backward else older).extend(shared)
    own = table_of(module, "_backward_hooks").values()
    (full if module._is_full_backward_hook else older).extend(own)
    before = [hook for _, hook in _both(module, "_backward_pre_hooks")]
    return (BackwardHook(module, full, before) if full or before else None), older


class _Gate(Function):
    """The identity, as a place in the graph where all of a module's inputs, or outputs, come
    together."""

    @staticmethod
    def forward(ctx: Any, passing: Callable[..., Any], *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.passing = passing
        ctx.mark_non_differentiable(*[t for t in tensors if not t.requires_grad])
        return tensors

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        return None, *ctx.passing(grads)


class BackwardHook:
    """One call of one module: joins its inputs and its outputs in the graph and calls the hooks
    between.

    The gradients of the outputs arrive first and are kept; when those of the inputs arrive, the
    hooks see both.
    """

    def __init__(self, module: Any, hooks: list[Any], before: list[Any]) -> None:
        self.module, self.hooks, self.before = module, hooks, before
        self.grad_outputs: tuple[Any, ...] | None = None
        # How many there are, and which of them pass through the gate; none when no gradient is
        # needed.
        self.inputs: tuple[int, list[int]] = (0, [])
        self.outputs: tuple[int, list[int]] = (0, [])

    def watch_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        args, self.inputs = self._join(args, self._inputs_known)
        return args

    def watch_outputs(self, result: Any) -> Any:
        single = not isinstance(result, tuple)
        joined, self.outputs = self._join((result,) if single else result, self._outputs_known)
        return joined[0] if single else joined

    @staticmethod
    def _join(values: tuple[Any, ...], passing: Callable[..., Any]) -> tuple[tuple[Any, ...], Any]:
        """Lead the tensors among `values` through one gate; return the values and where the tensors
        are."""
        at = [i for i, v in enumerate(values) if isinstance(v, Tensor)]
        if not any(values[i].requires_grad for i in at):
            return values, (len(values), [])
        joined = list(values)
        for i, tensor in zip(at, _Gate.apply(passing, *[values[i] for i in at]), strict=True):
            joined[i] = tensor
        return tuple(joined), (len(values), at)

    def _outputs_known(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        count, at = self.outputs
        grads = self._spread(grads, count, at)
        for hook in self.before:
            replaced = hook(self.module, grads)
            if replaced is not None:
                grads = self._checked(replaced, grads, "grad_output")
        self.grad_outputs = grads
        if not self.inputs[
            1
        ]:  # no input needs a gradient: the hooks will not be reached from there
            if self.hooks:
                warn_user(
                    "Full backward hook is firing when gradients are computed with respect to "
                    "module outputs since no inputs require gradients."
                )
            for hook in self.hooks:
                nothing = (None,) * self.inputs[0]
                if hook(self.module, nothing, grads) not in (None, nothing):
                    raise RuntimeError(
                        "backward hook: for Modules where no input requires gradient, "
                        "the hook should always return None or None for all gradients."
                    )
            self.grad_outputs = None
        return tuple(grads[i] for i in at)

    def _inputs_known(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.grad_outputs is None:  # the gradient of something else than the outputs
            return grads
        count, at = self.inputs
        grads = self._spread(grads, count, at)
        for hook in self.hooks:
            replaced = hook(self.module, grads, self.grad_outputs)
            if replaced is not None:
                grads = self._checked(replaced, grads, "grad_input")
        self.grad_outputs = None
        return tuple(grads[i] for i in at)

    @staticmethod
    def _spread(grads: tuple[Any, ...], count: int, at: list[int]) -> tuple[Any, ...]:
        """The gradients at the places of their tensors, None at those of other arguments."""
        spread = [None] * count
        for i, grad in zip(at, grads, strict=True):
            spread[i] = grad
        return tuple(spread)

    @staticmethod
    def _checked(replaced: Any, old: tuple[Any, ...], name: str) -> tuple[Any, ...]:
        replaced = replaced if isinstance(replaced, tuple) else (replaced,)
        if len(replaced) != len(old):
            raise RuntimeError(
                f"backward hook returned an invalid number of {name}: "
                f"got {len(replaced)}, but expected {len(old)}"
            )
        return replaced


def _hook_last_node(module: Any, hooks: list[Any], result: Any) -> None:
    """The older kind of backward hook sees the gradients of the last operation of forward."""
    while not isinstance(result, Tensor):
        if isinstance(result, dict):
            result = next(v for v in result.values() if isinstance(v, Tensor))
        else:
            result = result[0]
    if result.grad_fn is None:
        return
    warn_user(
        "register_backward_hook is deprecated: its hook sees the gradients of the last "
        "operation only. "
        "Use register_full_backward_hook.",
        FutureWarning,
    )
    for hook in hooks:
        result.grad_fn.register_hook(lambda gi, go, hook=hook: hook(module, gi, go))
