"""Tracer: calls a program with proxies, and so writes down its graph."""

from __future__ import annotations

import builtins
import functools
import inspect
import math
import operator
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from types import FunctionType, ModuleType
from typing import Any

from rushlight.config import is_own
from rushlight.core.overrides import switch
from rushlight.core.tensor import Tensor
from rushlight.fx.graph import Graph
from rushlight.fx.graph_module import GraphModule
from rushlight.fx.node import has_side_effect, map_aggregate
from rushlight.fx.proxy import ParameterProxy, Proxy, TracerBase
from rushlight.nn.modules.container import Sequential
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter
from rushlight.tensor_api.rarities import _assert

__all__ = ["Tracer", "symbolic_trace", "wrap"]

_wrapped: dict[tuple[int, str], tuple[dict[str, Any], str]] = {}


class Tracer(TracerBase):
    """Writes down what a module does as a `Graph`.

    Args:
        autowrap_modules: modules of Python whose functions become nodes when they get proxies.
        autowrap_functions: functions that do so wherever a global name means them.
        param_shapes_constant: whether sizes of parameters are numbers, which may decide what the
            program does, or nodes.

    Example:
        >>> import rushlight as torch
        >>> from rushlight import fx
        >>> class All(fx.Tracer):
        ...     def is_leaf_module(self, m, module_qualified_name):
        ...         return False
        >>> [node.name for node in All().trace(torch.nn.Sigmoid()).nodes]
        ['input_1', 'sigmoid', 'output']
    """

    def __init__(
        self,
        autowrap_modules: tuple[ModuleType, ...] = (math,),
        autowrap_functions: tuple[Callable[..., Any], ...] = (),
        param_shapes_constant: bool = False,
    ) -> None:
        self._autowrap_search = list(autowrap_modules)
        self._autowrap_function_ids = {id(f) for f in autowrap_functions} | {
            id(value)
            for module in autowrap_modules
            for name, value in vars(module).items()
            if callable(value) and not name.startswith("_")
        }
        self.param_shapes_constant = param_shapes_constant
        self.module_stack = {}
        self.root: Any = Module()
        self.submodule_paths: dict[Module, str] | None = None
        self.tensor_attrs: dict[Tensor, str] = {}

    def is_leaf_module(self, m: Module, module_qualified_name: str) -> bool:
        """Whether the call of a module becomes one node: those of ``nn``, except Sequential."""
        home = type(m).__module__
        inner = f"{home}.".partition(".")[2].startswith("nn.")
        return inner and is_own(home) and not isinstance(m, Sequential)

    def path_of_module(self, mod: Module) -> str:
        """The name of a module in the one that is traced."""
        name = (self.submodule_paths or {}).get(mod)
        if name is None:
            raise NameError("module is not installed as a submodule: assign it to an attribute")
        return name

    def call_module(
        self, m: Module, forward: Callable[..., Any], args: Any, kwargs: dict[str, Any]
    ) -> Any:
        """Called instead of each module; a node, if it is a leaf, else the module's forward."""
        path = self.path_of_module(m)
        if self.is_leaf_module(m, path):
            proxy = self.create_proxy("call_module", path, args, kwargs)
            proxy.node.meta["nn_module_stack"] = {**self.module_stack, path: (path, type(m))}
            return proxy
        self.module_stack[path] = (path, type(m))
        try:
            return forward(*args, **kwargs)
        finally:
            self.module_stack.pop(path, None)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Proxy]) -> Any:
        """Called where a program reads a parameter, or a buffer with ``proxy_buffer_attributes``,
        of a module: a proxy, so that what is made of it is written down.
        """
        if isinstance(attr_val, Parameter):
            named = self.root.named_parameters()
        elif isinstance(attr_val, Tensor) and self.proxy_buffer_attributes:
            named = self.root.named_buffers()
        else:
            return attr_val
        path = next((path for path, value in named if value is attr_val), None)
        if path is None:
            return attr_val
        if path not in parameter_proxy_cache:
            make = functools.partial(ParameterProxy, self, name=path, param=attr_val)
            parameter_proxy_cache[path] = self.create_proxy(
                "get_attr",
                path,
                (),
                {},
                proxy_factory_fn=make if self.param_shapes_constant else None,
            )
        return parameter_proxy_cache[path]

    def get_fresh_qualname(self, prefix: str) -> str:
        """A name of an attribute that the module has not: ``prefix0``, ``prefix1`` ..."""
        i = 0
        while hasattr(self.root, f"{prefix}{i}"):
            i += 1
        return f"{prefix}{i}"

    def create_arg(self, a: Any) -> Any:
        """As in the base; parameters, tensors and modules are read from the module."""
        if isinstance(a, Parameter):
            for name, p in self.root.named_parameters():
                if a is p:
                    return self.create_node("get_attr", name, (), {})
            raise NameError("parameter is not a member of this module: assign it to an attribute")
        if isinstance(a, Tensor):
            return self.create_node("get_attr", self._name_of_constant(a), (), {})
        if isinstance(a, Module):
            return self.create_node("get_attr", self.path_of_module(a), (), {})
        return super().create_arg(a)

    def _name_of_constant(self, a: Tensor) -> str:
        name = self.tensor_attrs.get(a)
        if name is None:
            name = self.tensor_attrs[a] = self.get_fresh_qualname("_tensor_constant")
            setattr(self.root, name, a)
        return name

    def trace(
        self, root: Module | Callable[..., Any], concrete_args: dict[str, Any] | None = None
    ) -> Graph:
        """The graph of a module or function.

        Args:
            root: what to call.
            concrete_args: values of arguments that the graph takes for granted, by name.
        """
        if isinstance(root, Module):
            self.root, function = root, type(root).forward
        else:
            self.root, function = Module(), root
        self.submodule_paths = {m: name for name, m in self.root.named_modules()}
        self.tensor_attrs = _tensors(self.root)
        self.graph = Graph(tracer_cls=type(self))
        with _patched(self, function):
            function, args = self.create_args_for_root(
                function, isinstance(root, Module), concrete_args
            )
            returned = function(*args)
            kind = _annotations(function).get("return")
            self.create_node("output", "output", (self.create_arg(returned),), {}, None, kind)
        return self.graph

    def create_args_for_root(
        self, root_fn: Any, is_module: bool, concrete_args: dict[str, Any] | None = None
    ) -> tuple[Any, list[Any]]:
        """The function, and the proxies to call it with."""
        function = inspect.unwrap(root_fn)
        code, given = function.__code__, dict(concrete_args or {})
        count = code.co_argcount + code.co_kwonlyargcount
        names = list(code.co_varnames[:count])
        args: list[Any] = [self.root] if is_module else []
        parameters = inspect.signature(function).parameters
        for name in names[len(args) :]:
            if name in given:
                args.append(self._specialized(name, given[name], parameters[name].default))
            else:
                args.append(self._placeholder(name, function, parameters[name].default))
        keyword_only = names[code.co_argcount :]
        positional = code.co_varnames[count:]
        starred = []
        if code.co_flags & inspect.CO_VARARGS:
            starred.append(self.create_proxy("placeholder", f"*{positional[0]}", (), {}))
        if code.co_flags & inspect.CO_VARKEYWORDS:
            name = positional[bool(code.co_flags & inspect.CO_VARARGS)]
            starred.append(self.create_proxy("placeholder", f"**{name}", (), {}))
        if not keyword_only and not starred:
            return root_fn, args
        return _flat(function, len(args) - len(keyword_only), keyword_only), [*args, *starred]

    def _placeholder(self, name: str, function: Any, default: Any) -> Proxy:
        args = () if default is inspect.Parameter.empty else (default,)
        kind = _annotations(function).get(name)
        return self.create_proxy("placeholder", name, args, {}, type_expr=kind)

    def _specialized(self, name: str, value: Any, default: Any) -> Any:
        args = () if default is inspect.Parameter.empty else (default,)
        proxy = self.create_proxy("placeholder", f"{name}_1", args, {})
        if value is None:
            text = f"{name} has been specialized to have value None but got another value"
            self.create_proxy("call_function", _assert_is_none, (proxy, text), {})
        if isinstance(value, (int, float, str, bool)):
            text = f"{name} has been specialized to have value {value} but got another value"
            same = self.create_proxy("call_function", operator.eq, (proxy, value), {})
            self.create_proxy("call_function", _assert, (same, text), {})
        return value


def _annotations(function: Any) -> dict[str, Any]:
    """Annotations of the user's functions; ours are for readers."""
    ours = (function.__module__ or "").startswith("rushlight.")
    return {} if ours else getattr(function, "__annotations__", {})


@has_side_effect
def _assert_is_none(value: Any, msg: str) -> None:
    """AssertionError with ``msg`` unless ``value`` is None."""
    assert value is None, msg


_assert_is_none.__module__ = "rushlight.fx._symbolic_trace"  # where graphs find it


def _flat(function: Any, positional: int, keyword_only: list[str]) -> Any:
    """``function`` with all its arguments by position, ``*args`` and ``**kwargs`` as they are."""
    code = function.__code__

    def call(*args: Any) -> Any:
        end = positional + len(keyword_only)
        named = dict(zip(keyword_only, args[positional:end], strict=True))
        rest, words = list(args[end:]), {}
        more = rest.pop(0) if code.co_flags & inspect.CO_VARARGS else ()
        if code.co_flags & inspect.CO_VARKEYWORDS:
            words = rest.pop(0)
        return _with_locals(function, args[:positional], named, more, words)

    call.__annotations__ = {}
    return call


def _with_locals(function: Any, args: Any, named: Any, more: Any, words: Any) -> Any:
    """Call a function whose ``*args`` and ``**kwargs`` are the objects ``more`` and ``words``."""
    code = function.__code__
    starred = code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    count = code.co_argcount + code.co_kwonlyargcount
    plain = FunctionType(
        code.replace(
            co_argcount=count + starred.bit_count(),
            co_kwonlyargcount=0,
            co_flags=code.co_flags & ~starred,
        ),
        function.__globals__, function.__name__, None, function.__closure__,
    )  # fmt: skip
    extra = [more] if code.co_flags & inspect.CO_VARARGS else []
    extra += [words] if code.co_flags & inspect.CO_VARKEYWORDS else []
    return plain(*args, *named.values(), *extra)


def _tensors(root: Module) -> dict[Tensor, str]:
    """Tensors among the attributes of a module and of those in it, and their names."""
    found: dict[Tensor, str] = {}
    for prefix, module in root.named_modules():
        attributes = {**module.__dict__, **module._buffers}
        for name, value in attributes.items():
            if isinstance(value, Tensor):
                found.setdefault(value, f"{prefix}.{name}" if prefix else name)
    return found


class _Patcher(ExitStack):
    """Puts things in the place of others, until it is left."""

    def __init__(self) -> None:
        super().__init__()
        self.searched: set[int] = set()

    def patch_method(self, cls: Any, name: str, new_fn: Any, deduplicate: bool = True) -> None:
        """An attribute of a class or module."""
        if name in vars(cls):
            self.callback(setattr, cls, name, vars(cls)[name])
        else:
            self.callback(delattr, cls, name)
        setattr(cls, name, new_fn)

    def patch(self, frame_dict: Any, name: str, new_fn: Any, deduplicate: bool = True) -> None:
        """A global name, which may be of a builtin."""
        if name in frame_dict:
            self.callback(frame_dict.__setitem__, name, frame_dict[name])
        else:
            self.callback(frame_dict.pop, name)
        frame_dict[name] = new_fn


def _autowrap_check(patcher: _Patcher, frame_dict: dict[str, Any], function_ids: set[int]) -> None:
    """Where global names mean these functions, let them record."""
    if id(frame_dict) in patcher.searched:
        return
    patcher.searched.add(id(frame_dict))
    for name, value in list(frame_dict.items()):
        if id(value) in function_ids and callable(value) and not name.startswith("_"):
            patcher.patch(frame_dict, name, _recording(value))


def _patch_wrapped_functions(patcher: _Patcher) -> None:
    """Let functions record that programs marked by `wrap`."""
    for globals_, name in list(_wrapped.values()):
        original = globals_.get(name, getattr(builtins, name, None))
        if original is not None:
            patcher.patch(globals_, name, _recording(original))


@contextmanager
def _patched(tracer: Tracer, function: Any) -> Any:
    """While a program is traced: functions ask their arguments, modules the tracer, and wrapped
    functions become nodes.
    """
    call = Module.__call__
    proxies: dict[str, Proxy] = {}

    def called(module: Module, *args: Any, **kwargs: Any) -> Any:
        space = getattr(type(module).forward, "__globals__", {})
        _autowrap_check(patcher, space, tracer._autowrap_function_ids)
        return tracer.call_module(module, lambda *a, **k: call(module, *a, **k), args, kwargs)

    def read(module: Module, name: str) -> Any:
        value = object.__getattribute__(module, name)
        return tracer.getattr(name, value, proxies) if isinstance(value, Tensor) else value

    with _Patcher() as patcher:
        switch.on()
        patcher.callback(switch.off)
        patcher.patch_method(Module, "__call__", called)
        patcher.patch_method(Module, "__getattribute__", read)
        _patch_wrapped_functions(patcher)
        space = getattr(inspect.unwrap(function), "__globals__", {})
        for names in (space, *map(vars, tracer._autowrap_search)):
            _autowrap_check(patcher, names, tracer._autowrap_function_ids)
        yield


def _recording(function: Any) -> Any:
    """``function``, which becomes a node when it gets a proxy."""

    def record(*args: Any, **kwargs: Any) -> Any:
        found: list[Proxy] = []
        map_aggregate((args, kwargs), lambda a: found.append(a) if isinstance(a, Proxy) else None)
        if not found:
            return function(*args, **kwargs)
        proxy = found[0].tracer.create_proxy("call_function", function, args, kwargs)
        proxy.node.meta["is_wrapped"] = True
        return proxy

    return record


def wrap(fn_or_name: Any) -> Any:
    """Mark a function of the calling module: while tracing, its calls with proxies become nodes.

    Args:
        fn_or_name: the function, which is returned (as a decorator), or a global name, such as
            "len".

    Example:
        >>> from rushlight import fx
        >>> fx.wrap("len")
        'len'
        >>> print(fx.symbolic_trace(lambda x: len(x)).code.strip())
        torch.fx._symbolic_trace.wrap("len")
        <BLANKLINE>
        def forward(self, x):
            len_1 = len(x);  x = None
            return len_1
    """
    if callable(fn_or_name):
        name = fn_or_name.__name__
    elif isinstance(fn_or_name, str):
        name = fn_or_name
    else:
        raise RuntimeError(
            "Unsupported type for global function! Must be either a callable or string name"
        )
    frame = inspect.currentframe().f_back  # type: ignore[union-attr]
    if frame.f_code.co_name != "<module>":  # type: ignore[union-attr]
        raise NotImplementedError("wrap must be called at the top level of a module")
    globals_ = frame.f_globals  # type: ignore[union-attr]
    _wrapped[id(globals_), name] = (globals_, name)
    return fn_or_name


def symbolic_trace(
    root: Module | Callable[..., Any], concrete_args: dict[str, Any] | None = None
) -> GraphModule:
    """A module that does what ``root`` does, and shows it as a graph.

    Python runs while it is traced: loops are unrolled, branches that do not depend on tensors are
    taken; where one does, TraceError is raised. Modules of ``nn`` are single nodes.

    Args:
        root: a module or function.
        concrete_args: values of arguments that the graph takes for granted, by name.

    Example:
        >>> import rushlight as torch
        >>> from rushlight import fx
        >>> traced = fx.symbolic_trace(lambda x: torch.relu(x) + 1)
        >>> print(traced.code.strip())
        def forward(self, x):
            relu = torch.relu(x);  x = None
            add = relu + 1;  relu = None
            return add
        >>> traced(torch.tensor([-1.0, 2.0]))
        tensor([1., 3.])
    """
    tracer = Tracer()
    graph = tracer.trace(root, concrete_args)
    name = type(root).__name__ if isinstance(root, Module) else root.__name__
    return GraphModule(tracer.root, graph, name)
