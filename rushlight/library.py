"""Operators that programs define, with names and gradients of their own.

They are called as ``torch.ops.<namespace>.<name>``. Those of ``custom_op`` are Python functions
within an ``autograd.Function``: what their kernel does is not recorded, so they have no gradient
unless one is registered. What a ``Library`` defines is recorded until a gradient is registered.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from rushlight.core.function import Function
from rushlight.core.state import no_grad
from rushlight.core.tensor import Tensor, bump
from rushlight.ops.operators import Namespace, Packet, namespaces
from rushlight.ops.schemas import Parameters

__all__ = [
    "CustomOpDef", "Library", "custom_op", "define", "impl", "infer_schema", "opcheck",
    "register_autograd", "register_fake", "register_kernel", "register_vmap", "triton_op",
]  # fmt: skip

Tag = Enum(
    "Tag",
    """
    core cudagraph_unsafe data_dependent_output dynamic_output_shape flexible_layout generated
    inplace inplace_view maybe_aliasing_or_mutating needs_contiguous_strides needs_exact_strides
    needs_fixed_stride_order nondeterministic_bitwise nondeterministic_seeded out out_variant
    pointwise pt2_compliant_tag reduction view_copy
    """,
    start=0,
)
Tag.__doc__ = "What programs say of the operators they define."

KINDS: dict[Any, str] = {
    Tensor: "Tensor", int: "SymInt", float: "float", bool: "bool", str: "str", complex: "Scalar",
}  # fmt: skip


def _kind(annotation: Any, name: str, signature: Any) -> str:
    """How a schema writes a type."""
    if annotation in KINDS:
        return KINDS[annotation]
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if {int, float, bool} <= set(inner):
        return "Scalar?" if type(None) in inner else "Scalar"
    if type(None) in inner and len(inner) == 2:
        return _kind(next(i for i in inner if i is not type(None)), name, signature) + "?"
    if inner and (origin is list or (isinstance(origin, type) and issubclass(origin, Iterable))):
        return _kind(inner[0], name, signature) + "[]"
    shown = str(annotation)
    if shown in ("torch.dtype", "<class 'rushlight.dtypes.dtype'>"):
        return "ScalarType"
    if "device" in shown:
        return "Device"
    raise ValueError(
        f"infer_schema(func): Parameter {name} has unsupported type {annotation}. The valid types "
        f"are Tensor, int, float, bool, str, and lists and options of them. Got func with "
        f"signature {signature}"
    )


def infer_schema(
    prototype_function: Callable[..., Any], /, *, mutates_args: Any, op_name: str | None = None
) -> str:
    """The schema of a function with annotated parameters.

    Args:
        prototype_function: the function.
        mutates_args: names of parameters that it writes to, or ``"unknown"``.
        op_name: put before the schema.

    Example:
        >>> import rushlight as torch
        >>> def scaled(x: torch.Tensor, by: float = 2.0) -> torch.Tensor:
        ...     return x * by
        >>> torch.library.infer_schema(scaled, mutates_args=())
        '(Tensor x, float by=2.0) -> Tensor'
    """
    signature = inspect.signature(prototype_function)
    said = {*mutates_args} if mutates_args != "unknown" else set()
    if said and (isinstance(mutates_args, str) or said - {*signature.parameters}):
        raise ValueError(
            f"infer_schema(func): mutates_args is {mutates_args!r}; it must be a sequence of names"
            f' of parameters, or "unknown". Got func with signature {signature}'
        )
    hints = typing.get_type_hints(prototype_function)
    parts, keyword = [], False
    for at, (name, p) in enumerate(signature.parameters.items()):
        if name not in hints:
            raise ValueError(
                f"infer_schema(func): Parameter {name} must have a type annotation. Got func with "
                f"signature {signature})"
            )
        if p.kind is p.KEYWORD_ONLY and not keyword:
            keyword = True
            parts.append("*")
        kind = _kind(hints[name], name, signature)
        if name in said and not kind.startswith("Tensor"):
            raise ValueError(
                f"infer_schema(func): Parameter {name} is in mutates_args but is no tensor, nor a "
                f"list of them. Got func with signature {signature}"
            )
        if kind.startswith("Tensor") and (mutates_args == "unknown" or name in mutates_args):
            kind = f"Tensor(a{at}!){kind[6:]}"
        default = "" if p.default is p.empty else f"={_literal(p.default)}"
        parts.append(f"{kind} {name}{default}")
    if "return" not in hints:
        raise ValueError(
            f"infer_schema(func): No return type annotation was provided; write -> None for none. "
            f"Got func with signature {signature}"
        )
    given = hints["return"]
    if given is None or given is type(None):
        returned = "()"
    elif typing.get_origin(given) is tuple:
        returned = f"({', '.join(_kind(g, 'return', signature) for g in typing.get_args(given))})"
    else:
        returned = _kind(given, "return", signature)
    return f"{op_name or ''}({', '.join(parts)}) -> {returned}"


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


DEVICES = ("cpu", "cuda")  # where kernels can be


class CustomOpDef:
    """An operator, made by ``custom_op``; calling it runs its kernel."""

    def __init__(self, namespace: str, name: str, schema: str, recorded: bool = False) -> None:
        base, _, overload = name.partition(".")
        self._namespace, self._name, self._schema = namespace, name, schema
        self._shown = f"{namespace}.{base}.{overload or 'default'}"
        self._qualname = f"{namespace}::{name}"
        self._parameters = Parameters(schema)
        self._fake: Callable[..., Any] | None = None
        self._kernels: dict[str, Callable[..., Any]] = {}  # by the kind of device
        self._recorded = recorded  # what the kernel does, unless a gradient is registered
        self._backward: Callable[..., Any] | None = None
        self._setup: Callable[..., Any] | None = None
        self._function = self._made()
        space = namespaces.setdefault(namespace, Namespace(namespace))
        known = vars(space).get(base)
        if not isinstance(known, Overloaded):
            known = Overloaded(f"{namespace}.{base}")
            setattr(space, base, known)
        known.operators[overload or "default"] = self

    def __repr__(self) -> str:
        return f"<CustomOpDef({self._qualname})>"

    def _made(self) -> type[Function]:
        """The Function of which a call is recorded."""
        op = self

        def forward(ctx: Any, layout: Any, *flat: Any) -> Any:
            ctx.layout, args = layout, _nested(flat, layout)
            output = op._run(args)
            if op._setup is not None:
                inputs, named = op._positional(args), op._by_name(args)
                extra = {"keyword_only_inputs": named} if named else {}
                op._setup(ctx=Context(ctx), inputs=inputs, output=output, **extra)
            return output

        def backward(ctx: Any, *grads: Any) -> Any:
            if op._backward is None:
                raise RuntimeError(
                    f"Trying to backward through {op._shown} but no "
                    "autograd formula was registered. Please use register_autograd to add one."
                )
            found = op._backward(ctx, *grads)
            found = found if isinstance(found, tuple) else (found,)
            found += (None,) * (len(ctx.layout) - len(found))  # those by name only
            return (None, *_flat(found)[0])

        name = f"GeneratedBackwardFor_{self._shown.replace('.', '_')}"
        members = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
        return type(name, (Function,), members)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        values = self._parameters.sort(self._qualname, args, dict(kwargs))
        if self._recorded and self._backward is None:
            return self._kernel_for(values)(*self._positional(values), **self._by_name(values))
        if self._parameters.silent:
            with no_grad():
                return self._run(values)
        flat, layout = _flat(values)
        return self._function.apply(layout, *flat)

    def _kernel_for(self, args: tuple[Any, ...]) -> Callable[..., Any]:
        """The kernel for the arguments' device."""
        kinds = [t.device.type for t in _flat(args)[0] if isinstance(t, Tensor)]
        where = next((kind for kind in ("meta", "cuda") if kind in kinds), "cpu")
        kernel = self._fake if where == "meta" else self._kernels.get(where)
        if kernel is None:
            raise NotImplementedError(
                f"Could not run '{self._qualname}' on the device {where}: no kernel was "
                f"registered for it; see register_{'fake' if where == 'meta' else 'kernel'}."
            )
        return kernel

    def _run(self, args: tuple[Any, ...]) -> Any:
        """Call the kernel, count its writes, and refuse results that are arguments."""
        flat = [a for a in _flat(args)[0] if isinstance(a, Tensor)]
        output = self._kernel_for(args)(*self._positional(args), **self._by_name(args))
        for t in self._written(args):
            bump(t)
        for out in _flat((output,))[0]:
            if isinstance(out, Tensor) and any([out is t for t in flat]):
                raise RuntimeError(
                    f"{self._qualname}: The output of this custom operator (1) must not also be an "
                    "input to this custom operator; return a clone()."
                )
        return output

    def _positional(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments that are passed by place."""
        return args[: self._parameters.positional]

    def _by_name(self, args: tuple[Any, ...]) -> dict[str, Any]:
        """The arguments that are passed by name only."""
        first = self._parameters.positional
        names = self._parameters.names if first is None else self._parameters.names[first:]
        return {} if first is None else dict(zip(names, args[first:], strict=True))

    def _written(self, args: tuple[Any, ...]) -> list[Tensor]:
        """The arguments that are written to, and those in lists."""
        written = self._parameters.written
        pairs = zip(self._parameters.names, args, strict=True)
        flat = _flat(tuple([a for name, a in pairs if name in written]))[0]
        return [a for a in flat if isinstance(a, Tensor)]

    def register_kernel(self, device_types: Any, fn: Callable[..., Any] | None = None, /) -> Any:
        """Let fn compute on a device, as a decorator if it is not given. Those of devices that are
        not there are never called.
        """

        def register(kernel: Callable[..., Any]) -> Callable[..., Any]:
            types = [device_types] if isinstance(device_types, str) else device_types
            kinds = DEVICES if types is None else [k for k in DEVICES if k in types]
            self._kernels.update(dict.fromkeys(kinds, kernel))
            return kernel

        return register if fn is None else register(fn)

    def register_vmap(self, func: Callable[..., Any] | None = None) -> Any:
        """Accept ``func(info, in_dims, *args)``, as a decorator if it is not given. It would
        compute all samples at once; ``vmap`` has the kernel compute one after the other.
        """
        return func if func is not None else self.register_vmap

    def register_fake(self, fn: Callable[..., Any], /) -> Callable[..., Any]:
        """Let fn give the shapes of results: it is called for meta tensors."""
        self._fake = fn
        return fn

    def register_autograd(
        self,
        backward: Callable[..., Any],
        /,
        *,
        setup_context: Callable[..., Any] | None = None,
    ) -> None:
        """Let ``backward(ctx, *grads)`` compute the gradient of each argument, from what
        ``setup_context(ctx, inputs, output)`` saved.
        """
        if self._parameters.written:
            raise RuntimeError(
                f"Cannot register autograd formula for non-functional operator {self._qualname}: "
                "it writes to its arguments."
            )
        self._backward, self._setup = backward, setup_context


class Overloaded(Packet):
    """What programs define under one name: a call goes to the first overload that takes it."""

    def __init__(self, name: str) -> None:
        self.operators: dict[str, CustomOpDef] = {}
        self.__name__ = self._name = name

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if len(self.operators) == 1:
            return next(iter(self.operators.values()))(*args, **kwargs)
        reasons = []
        for op in self.operators.values():
            try:
                refused = op._parameters.refused(
                    op._parameters.sort(op._qualname, args, dict(kwargs))
                )
            except RuntimeError as error:
                reasons.append(str(error))
                continue
            if not refused:
                return op(*args, **kwargs)
            reasons.append(f"{op._qualname}() does not take the value of '{refused}'.")
        raise RuntimeError(
            "Overloaded torch operator invoked from Python failed to match any schema:\n"
            + "\n".join(reasons)
        )

    def overloads(self) -> list[str]:
        """Their names; that without one is "default"."""
        return list(self.operators)

    def __getattr__(self, overload: str) -> Packet:
        if overload not in self.operators:
            raise AttributeError(
                f"The underlying op of '{self._name}' has no overload name '{overload}'; it has "
                f"{', '.join(self.operators)}.",
                name=overload,
                obj=self,
            )
        return Packet(self.operators[overload], f"{self._name}.{overload}")


class Context:
    """ctx as ``setup_context`` sees it: with ``needs_input_grad`` of the operator's arguments."""

    def __init__(self, ctx: Any) -> None:
        self.__dict__["_ctx"] = ctx

    @property
    def needs_input_grad(self) -> Any:
        needs = self._ctx.needs_input_grad[1:]
        return _nested(needs, self._ctx.layout)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ctx, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._ctx, name, value)


def _flat(values: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
    """Lists of tensors opened; and for each value how many it became, None for one as it is."""
    flat: list[Any] = []
    layout: list[Any] = []
    for v in values:
        if isinstance(v, (list, tuple)) and any([isinstance(x, Tensor) for x in v]):
            flat += v
            layout.append(len(v))
        else:
            flat.append(v)
            layout.append(None)
    return flat, layout


def _nested(flat: Any, layout: list[Any]) -> tuple[Any, ...]:
    """The opposite of ``_flat``."""
    values, at = [], 0
    for n in layout:
        values.append(flat[at] if n is None else list(flat[at : at + n]))
        at += 1 if n is None else n
    return tuple(values)


def _names(qualname: str) -> tuple[str, str]:
    namespace, colons, name = qualname.partition("::")
    if not colons or not name:
        raise ValueError(f"expected an operator's name as 'namespace::name', but got {qualname!r}")
    return namespace, name


def custom_op(
    name: str,
    fn: Callable[..., Any] | None = None,
    /,
    *,
    mutates_args: Any,
    device_types: Any = None,
    schema: str | None = None,
    tags: Any = None,
) -> Any:
    """Make an operator of a function, or return a decorator that does.

    Args:
        name: ``"namespace::name"``.
        fn: its kernel, with annotated parameters.
        mutates_args: names of the parameters that it writes to.
        device_types: the devices that the kernel is for; None means all.
        schema: instead of what the annotations say.
        tags: `torch.Tag` or several; accepted.

    Example:
        >>> import rushlight as torch
        >>> @torch.library.custom_op("example::double", mutates_args=())
        ... def double(x: torch.Tensor) -> torch.Tensor:
        ...     return torch.from_numpy(x.numpy() * 2)
        >>> double.register_autograd(lambda ctx, g: g * 2)
        >>> x = torch.ones(2, requires_grad=True)
        >>> torch.ops.example.double(x.detach())
        tensor([2., 2.])
    """

    def make(kernel: Callable[..., Any]) -> CustomOpDef:
        text = schema or infer_schema(kernel, mutates_args=mutates_args)
        written = {*Parameters(text).written}
        if mutates_args != "unknown" and written != {*mutates_args}:
            raise ValueError(
                f"custom_op: mutates_args is {mutates_args!r}, but the schema, {text}, says that "
                f"{sorted(written)} are written to; let them agree."
            )
        made = CustomOpDef(*_names(name), text)
        made.register_kernel(device_types, kernel)
        return made

    return make if fn is None else make(fn)


def triton_op(
    name: str,
    fn: Callable[..., Any] | None = None,
    /,
    *,
    mutates_args: Any,
    schema: str | None = None,
) -> Any:
    """As ``custom_op``: kernels of Triton do not run here, but what else a function does."""
    return custom_op(name, fn, mutates_args=mutates_args, schema=schema)


def _found(op: Any) -> CustomOpDef:
    """The operator that a name or an object stands for."""
    if isinstance(op, CustomOpDef):
        return op
    text = str(op) if "::" in str(op) else str(op).replace(".", "::", 1)
    namespace, name = _names(text)
    found = _defined(namespace, name)
    if found is None:
        raise RuntimeError(f"operator {namespace}::{name} does not exist; define it first.")
    return found


def _defined(namespace: str, name: str) -> CustomOpDef | None:
    """The operator of a name, which may end in that of an overload; None where there is none."""
    base, _, overload = name.partition(".")
    known = vars(namespaces.get(namespace, Namespace(namespace))).get(base)
    return known.operators.get(overload or "default") if isinstance(known, Overloaded) else None


def define(qualname: str, schema: str, *, lib: Any = None, tags: Any = ()) -> None:
    """Make an operator without a kernel, for ``impl``; RuntimeError where it exists."""
    namespace, name = _names(qualname)
    if _defined(namespace, name) is not None:
        raise RuntimeError(
            f"Tried to register an operator ({qualname}{schema}) with the same name multiple times."
        )
    CustomOpDef(namespace, name, schema, recorded=True)


def impl(qualname: Any, types: Any, func: Any = None, *, lib: Any = None) -> Any:
    """Let func compute an operator on a device, as a decorator if it is not given."""

    def register(kernel: Callable[..., Any]) -> Callable[..., Any]:
        op, kinds = _found(qualname), [types] if isinstance(types, str) else list(types)
        kinds = [k.lower() for k in kinds]
        if "meta" in kinds:
            op.register_fake(kernel)
        if {"default", "compositeexplicitautograd", "compositeimplicitautograd"} & {*kinds}:
            op.register_kernel(None, kernel)
        op.register_kernel(kinds, kernel)
        return kernel

    return register if func is None else register(func)


def register_kernel(
    op: Any, device_types: Any, func: Any = None, /, *, lib: Any = None, **options: Any
) -> Any:
    """See ``CustomOpDef.register_kernel``."""
    return _found(op).register_kernel(device_types, func)


def register_fake(op: Any, func: Any = None, /, *, lib: Any = None, **options: Any) -> Any:
    """See ``CustomOpDef.register_fake``; a decorator if func is not given."""
    return _found(op).register_fake if func is None else _found(op).register_fake(func)


def register_autograd(
    op: Any, backward: Any, /, *, setup_context: Any = None, lib: Any = None
) -> None:
    """See ``CustomOpDef.register_autograd``."""
    _found(op).register_autograd(backward, setup_context=setup_context)


def register_vmap(op: Any, func: Any = None, /, *, lib: Any = None) -> Any:
    """See ``CustomOpDef.register_vmap``; a decorator if func is not given."""
    return _found(op).register_vmap(func)


_registered: set[tuple[str, str, str]] = set()  # namespace, name, and what for


class Library:
    """Operators of one namespace.

    Args:
        ns: the namespace.
        kind: "DEF", "FRAGMENT" or "IMPL".
        dispatch_key: the device that ``impl`` is for.
    """

    def __init__(self, ns: str, kind: str, dispatch_key: str = "") -> None:
        if kind not in ("IMPL", "DEF", "FRAGMENT"):
            raise ValueError(f"Unsupported kind: {kind}")
        if ns == "prim":
            raise ValueError(f"{ns} is a reserved namespace; give the library another name.")
        self.ns, self.kind, self.dispatch_key = ns, kind, dispatch_key

    def __repr__(self) -> str:
        return f"Library(kind={self.kind}, ns={self.ns}, dispatch_key={self.dispatch_key})>"

    def define(self, schema: str, alias_analysis: str = "", *, tags: Any = ()) -> str:
        """Make an operator, ``name(Tensor x) -> Tensor``, or an overload of one, ``name.other(...)
        -> ...``. Returns the name.
        """
        name, _, rest = schema.partition("(")
        define(f"{self.ns}::{name}", f"({rest}")
        return name.partition(".")[0]

    def impl(
        self,
        op_name: Any,
        fn: Any,
        dispatch_key: str = "",
        *,
        with_keyset: bool = False,
        allow_override: bool = True,
    ) -> None:
        """Let fn compute the operator on a device; with ``allow_override=False`` only where no
        library did before.
        """
        name = op_name if isinstance(op_name, str) else _found(op_name)._name
        name, key = name.rpartition("::")[2], dispatch_key or self.dispatch_key or "cpu"
        if not allow_override and (self.ns, name, key) in _registered:
            raise RuntimeError(
                f"This is not allowed since there's already a kernel registered for {self.ns}::"
                f"{name} and {key}; pass allow_override=True to replace it."
            )
        _registered.add((self.ns, name, key))
        impl(f"{self.ns}::{name}", key, fn)


def opcheck(
    op: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None, *,
    test_utils: Any = None, raise_exception: bool = True, **options: Any,
) -> dict[str, str]:  # fmt: skip
    """Call an operator with and without memory, and compare shapes, dtypes and its schema.

    Args:
        op: the operator.
        args, kwargs: sample arguments.
        test_utils: accepted: all is checked.
        raise_exception: False reports failures instead.
    """
    found = _found(op)
    report = {}
    for name, check in (("test_schema", _check_schema), ("test_faketensor", _check_fake)):
        try:
            check(found, args, dict(kwargs or {}))
            report[name] = "SUCCESS"
        except Exception as error:
            if raise_exception:
                raise
            report[name] = f"{type(error).__name__}: {error}"
    names = ("test_schema", "test_autograd_registration", "test_faketensor",
             "test_aot_dispatch_dynamic")  # fmt: skip
    return {name: report.get(name, "SUCCESS") for name in names}


def _check_schema(op: CustomOpDef, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """What is not declared as written to stays as it is."""
    values = op._parameters.sort(op._qualname, args, kwargs)
    copies = [v.clone() if isinstance(v, Tensor) else v for v in values]
    with no_grad():
        op(*copies)
    for name, value, copy in zip(op._parameters.names, values, copies, strict=True):
        if isinstance(value, Tensor) and name not in op._parameters.written:
            if not bool(((value == copy) | (value != value)).all()):
                raise RuntimeError(
                    f"{op._qualname}: argument {name} is not defined as mutable but was mutated"
                )


def _check_fake(op: CustomOpDef, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Results without memory have the shapes and dtypes of real ones."""
    if op._fake is None:
        return
    values = op._parameters.sort(op._qualname, args, kwargs)
    with no_grad():
        real = _flat((op(*[v.clone() if isinstance(v, Tensor) else v for v in values]),))[0]
        metas = [v.to("meta") if isinstance(v, Tensor) else v for v in values]
        fake = _flat((op(*metas),))[0]
    for a, b in zip(real, fake, strict=True):
        if isinstance(a, Tensor) and (a.shape, a.dtype) != (b.shape, b.dtype):
            raise AssertionError(
                f"{op._qualname}: the kernel returns {a.dtype} {tuple(a.shape)}, but what was "
                f"registered with register_fake {b.dtype} {tuple(b.shape)}"
            )
