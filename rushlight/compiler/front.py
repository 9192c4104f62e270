"""``compile``: what the user calls, and what decides whether a captured program fits a call.

A new signature first runs once as it is (optimizers make their state), then once traced; from then
on its program runs. A program is used when the arguments have the same shapes and dtypes, modules
the same ``training`` flags, option numbers the same values, and gradient mode is the same.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable
from sys import getrefcount
from typing import Any

import numpy as np

from rushlight.compiler import pipeline
from rushlight.compiler.trace import Number, Trace
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor, wrap, written
from rushlight.errors import GraphError

BACKENDS = ("inductor", "eager", "aot_eager", "cudagraphs")
VARIANTS = 8  # programs per function; beyond, new signatures run eagerly
_functions: list[Any] = []


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
    name: str | None = None,
    recompile_limit: int | None = None,
    isolate_recompiles: bool = False,
    shapes_spec: Any = None,
) -> Any:
    """A function that runs as one captured program: forward, backward and optimizer together.

    What a call of the function does to tensors is captured the second time a signature is seen, and
    run as a program from then on. Parameters, buffers, gradients and optimizer state are found by
    the trace and updated in place. Learning rates may change between calls. A function that reads
    values (``.item()``, ``if tensor``) runs eagerly, with one warning.

    Args:
        model: a function, a method or a module; when left out, a decorator is returned.
        fullgraph: raise instead of running eagerly when the function cannot be captured.
        backend: "eager" runs the function as it is; other names of torch are accepted.
        disable: return the function as it is.
        dynamic, mode, options, name, recompile_limit, isolate_recompiles, shapes_spec: accepted for
            programs that pass them.

    Example:
        >>> import rushlight as torch
        >>> w = torch.zeros(1, requires_grad=True)
        >>> optimizer = torch.optim.SGD([w], lr=0.1)
        >>> @torch.compile
        ... def step(x):
        ...     optimizer.zero_grad()
        ...     loss = ((w * x - 1) ** 2).mean()
        ...     loss.backward()
        ...     optimizer.step()
        ...     return loss
        >>> [round(step(torch.ones(4)).item(), 4) for _ in range(4)]
        [1.0, 0.64, 0.4096, 0.2621]
    """
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )
    if isinstance(backend, str) and backend not in BACKENDS:
        raise RuntimeError(f"Invalid backend: {backend!r}; expected one of {BACKENDS}.")
    if model is None:
        return lambda m: compile(
            m,
            fullgraph=fullgraph,
            dynamic=dynamic,
            backend=backend,
            mode=mode,
            options=options,
            disable=disable,
        )
    if not callable(model):
        raise RuntimeError(
            f"compile: expected a function or a module, but got {type(model).__name__}"
        )
    if hasattr(model, "state_dict"):
        if not disable and backend != "eager":
            model.compile(fullgraph=fullgraph)
        return model
    if disable or backend == "eager":
        return functools.wraps(model)(lambda *args, **kwargs: model(*args, **kwargs))
    if not pipeline.has_llvm():
        warn_once()
    compiled = Compiled(model, fullgraph)
    _functions.append(compiled)
    return functools.wraps(model)(compiled.bound())


_warned = False


def warn_once() -> None:
    """Say once that there is nothing to make native code with."""
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            "compile: llvmlite is not installed, so captured programs run on NumPy, hardly faster "
            "than eager code; pip install llvmlite.",
            UserWarning,
            stacklevel=3,
        )


class Variant:
    """One program and what it needs to run: where inputs come from, what must still hold, what to
    do with outputs.

    Memory of results and gradients is used again at the next call when nobody else holds it, see
    Note [Free buffers].
    """

    def __init__(
        self,
        trace: Trace,
        fresh: list[Tensor],
        structure: Any,
        guards: list[Any],
        arguments: list[Any],
    ) -> None:
        self.graph = graph = trace.graph
        self.program = pipeline.build(graph)
        self.structure = structure
        at_call = {id(t): i for i, t in enumerate(arguments)}
        self.leaves = [at_call.get(id(leaf), leaf) for leaf in fresh]  # arguments by position
        self.guards = [*guards, *trace.watch, *flags_of_tensors(trace, at_call)]
        self.no_grads, self.cleared = [], []  # leaves without a gradient before, or after, a call
        grads = {}
        for leaf, g in trace.leaves.values():
            leaf_at = at_call.get(id(leaf), leaf)
            if g is None:
                self.no_grads.append(leaf_at)
            else:
                grads[id(g)] = leaf_at
                if leaf._grad is None:
                    self.cleared.append(leaf_at)
        self.sources: list[tuple[int, str, Any]] = []
        self.inputs: list[Any] = [None] * len(graph.inputs)  # of the last call
        self.specs = [(i.value.shape, i.value.dtype) for i in graph.inputs]
        for k, entry in enumerate(graph.inputs):
            kind, source = entry.kind, entry.source
            if kind == "constant":
                self.inputs[k] = source
            elif kind == "state" and id(source) in grads:
                self.sources.append((k, "grad", grads[id(source)]))
            else:
                self.sources.append((k, kind, source))
        at = {id(i): n for n, i in enumerate(graph.inputs)}
        kinds = {k: (kind, source) for k, kind, source in self.sources}
        self.updates = [(at[id(i)], *kinds[at[id(i)]]) for i, _ in graph.updates]
        self.outputs: list[Any] = [np.empty(v.shape, v.dtype) for v in graph.ends()]
        self.counts = [0] * len(self.outputs)
        self.grads: list[Any] = [None] * len(fresh)
        self.grad_counts = [0] * len(fresh)

    def holds(self) -> bool:
        """Whether everything that the trace took for granted is still so."""
        return all([check() == outcome for check, outcome in self.guards])

    def fetch(self, arguments: list[Any]) -> bool:
        """Collect this call's inputs; False when one no longer fits."""
        inputs = self.inputs
        for k, kind, source in self.sources:
            if kind == "state":
                a = source._array
            elif kind == "argument":
                inputs[k] = arguments[source]._array
                continue
            elif kind == "number":
                inputs[k] = source()
                continue
            else:
                g = leaf_of(source, arguments)._grad
                if g is None:
                    return False
                a = g._array
            if a is not inputs[k]:
                if (a.shape, a.dtype) != self.specs[k]:
                    return False
                inputs[k] = a
        return True

    def run(self, arguments: list[Any]) -> Any:
        """Run the program on this call's arguments; NotImplemented when it does not fit."""
        if any([leaf_of(leaf, arguments)._grad is not None for leaf in self.no_grads]):
            return NotImplemented
        if not self.fetch(arguments):
            return NotImplemented
        inputs, outputs = self.inputs, self.outputs
        results = len(self.graph.results)
        self.free_results(results)
        at = results
        for n, _, _ in self.updates:
            place = inputs[n]
            outputs[at] = place if place.flags.c_contiguous else np.empty(place.shape, place.dtype)
            at += 1
        leaves = [leaf_of(leaf, arguments) for leaf in self.leaves]
        self.free_grads(at, leaves)
        self.program.run(inputs, outputs)
        self.finish_updates(arguments, results)
        for leaf in self.cleared:
            leaf_of(leaf, arguments)._grad = None
        for i, leaf in enumerate(leaves):
            if leaf._grad is not self.grads[i]:
                leaf._grad = self.grads[i]
                self.grad_counts[i] = getrefcount(self.grads[i])
        tensors = []
        for i in range(results):
            self.counts[i] = getrefcount(outputs[i])
            tensors.append(wrap(outputs[i]))
        if self.structure is _TENSOR:
            return tensors[0]
        return rebuild(self.structure, iter(tensors))

    # Note [Free buffers]
    # A call's results and gradients are new tensors. If, at the next call, nobody but this variant
    # (and the leaf whose gradient it is) refers to one, its memory is free to be written again.
    # References are counted in the same places each time, so that equal counts mean the same
    # holders; NumPy views and other Tensors on the memory count too, as both keep the array alive.

    def free_results(self, count: int) -> None:
        """Make sure that result buffers are nobody else's."""
        outputs, counts = self.outputs, self.counts
        for i in range(count):
            if getrefcount(outputs[i]) != counts[i]:
                outputs[i] = np.empty(outputs[i].shape, outputs[i].dtype)

    def free_grads(self, at: int, leaves: list[Tensor]) -> None:
        """Make sure that gradient buffers are nobody else's, but their leaf's."""
        outputs, grads = self.outputs, self.grads
        for i, leaf in enumerate(leaves):
            g = grads[i]
            if (
                g is None
                or leaf._grad is not g
                or getrefcount(g) != self.grad_counts[i] + 1  # g
                or getrefcount(outputs[at + i]) != self.counts[at + i]
            ):
                outputs[at + i] = np.empty(outputs[at + i].shape, outputs[at + i].dtype)
                grads[i] = wrap(outputs[at + i])
                self.counts[at + i] = getrefcount(outputs[at + i]) + 1  # the program's

    def finish_updates(self, arguments: list[Any], at: int) -> None:
        """Copy back what could not be written in place, and count the writes."""
        for k, (n, kind, source) in enumerate(self.updates, at):
            place = self.inputs[n]
            if self.outputs[k] is not place:
                place[...] = self.outputs[k]
            written(
                source
                if kind == "state"
                else arguments[source]
                if kind == "argument"
                else leaf_of(source, arguments)._grad
            )


def leaf_of(leaf: Any, arguments: list[Any]) -> Any:
    """A tensor whose gradient a program reads or writes: itself, or an argument's position."""
    return arguments[leaf] if leaf.__class__ is int else leaf


def flags_of_tensors(trace: Trace, at_call: dict[int, int]) -> list[Any]:
    """A guard: tensors from outside still require gradients, or not, as they did."""
    known = [(t, wants) for t, wants in trace.tensors.values() if id(t) not in at_call]
    tensors, outcome = [t for t, _ in known], [wants for _, wants in known]
    return [(lambda: [t._wants_grad for t in tensors], outcome)] if known else []


class Compiled:
    """The programs of one function."""

    def __init__(self, function: Callable[..., Any], fullgraph: bool) -> None:
        self.function, self.fullgraph = function, fullgraph
        self.variants: dict[Any, list[Variant]] = {}
        self.seen: set[Any] = set()
        self.traces = 0
        self.eager: str | None = None  # why it stays eager
        self.surroundings: Surroundings | None = None

    def bound(self) -> Callable[..., Any]:
        """The public callable."""

        def run(*args: Any, **kwargs: Any) -> Any:
            return self(args, kwargs)

        run._compiled = self  # type: ignore[attr-defined]
        return run

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.eager is not None or state.busy:
            return self.function(*args, **kwargs)
        arguments: list[Any] = []
        key = (
            signature(args, arguments),
            signature(kwargs, arguments) if kwargs else None,
            modes.grad,
        )
        for variant in self.variants.get(key, ()):
            if variant.holds():
                out = variant.run(arguments)
                if out is not NotImplemented:
                    return out
        if key not in self.seen:  # once as it is: optimizers and lazy modules make their state
            self.seen.add(key)
            return self.function(*args, **kwargs)
        return self.capture(key, arguments, args, kwargs)

    def capture(
        self, key: Any, arguments: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Trace this call; keep its program for the next."""
        if self.traces >= VARIANTS:
            return self.function(*args, **kwargs)
        self.traces += 1
        if self.surroundings is None:
            self.surroundings = Surroundings(self.function)
        trace = Trace([t._array for t in arguments])
        with self.surroundings.numbers(trace), trace:
            out = self.function(*args, **kwargs)
            results: list[Any] = []
            structure = flatten(out, results)
            if trace.failure is None and any(is_live(t) for t in results):
                trace.failure = (
                    "it returns a tensor that still has to be differentiated; "
                    "compile the whole training step"
                )
            if trace.failure is None:
                fresh = trace.finish(results)
        if trace.failure is not None:
            self.stay_eager(trace.failure)
            return out
        try:
            guards = self.surroundings.guards()
            variant = Variant(trace, fresh, structure, guards, arguments)
        except Exception as error:  # a defect of the compiler must not stop a training run
            self.stay_eager(f"the compiler failed, which is a defect worth reporting ({error!r})")
            return out
        self.variants.setdefault(key, []).append(variant)
        return out

    def stay_eager(self, why: str) -> None:
        """The function cannot be captured."""
        self.eager = why
        name = getattr(self.function, "__qualname__", repr(self.function))
        text = f"compile: {name} runs eagerly, because {why}."
        if self.fullgraph:
            self.eager = None
            raise GraphError(text)
        warnings.warn(text, UserWarning, stacklevel=5)


def is_live(t: Tensor) -> bool:
    """Whether t can still be differentiated: its graph was not freed by a backward pass."""
    return t.requires_grad and (t._node is None or t._node.saved is not None)


class Surroundings:
    """Modules and optimizers that a function reaches: through its closure, its globals, its
    defaults, or as what it is bound to.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.modules: list[Any] = []
        self.optimizers: list[Any] = []
        self.seen: set[int] = set()
        self.visit(function)

    def visit(self, x: Any) -> None:
        """Collect from x, once."""
        if id(x) in self.seen:
            return
        self.seen.add(id(x))
        if hasattr(x, "param_groups") and hasattr(x, "step"):
            self.optimizers.append(x)
        elif hasattr(x, "named_modules") and hasattr(x, "training"):
            self.modules.extend(m for m in x.modules() if m not in self.modules)
        elif isinstance(x, (list, tuple)):
            for item in x:
                self.visit(item)
        elif isinstance(x, dict):
            for item in x.values():
                self.visit(item)
        elif hasattr(x, "__self__"):
            self.visit(x.__self__)
            self.visit(getattr(x, "__func__", None))  # a built-in function has none
        elif hasattr(x, "__code__"):
            for cell in x.__closure__ or ():
                if cell != _EMPTY:
                    self.visit(cell.cell_contents)
            for name in x.__code__.co_names:
                if name in x.__globals__:
                    self.visit(x.__globals__[name])
        elif (
            isinstance(getattr(x, "__dict__", None), dict)
            and not isinstance(x, (type, Tensor))
            and hasattr(x, "__class__")
        ):
            if type(x).__module__.partition(".")[0] not in ("builtins", "numpy", "rushlight"):
                for item in list(vars(x).values()):
                    self.visit(item)

    def guards(self) -> list[Any]:
        """What must not change: training flags and the options of optimizers other than the
        learning rate.
        """
        modules = tuple(self.modules)
        groups = [g for o in self.optimizers for g in o.param_groups]
        names = [
            [
                k
                for k in g
                if k not in ("params", "lr")
                and isinstance(g[k], (int, float, bool, tuple, type(None)))
            ]
            for g in groups
        ]

        def flags() -> Any:
            return [m.training for m in modules]

        def options() -> Any:
            return [[g[k] for k in ks] for g, ks in zip(groups, names, strict=True)]

        out: list[Any] = []
        if modules:
            out.append((flags, flags()))
        if groups:
            out.append((options, options()))
        return out

    def numbers(self, trace: Trace) -> LearningRates:
        """While tracing, learning rates are Numbers."""
        return LearningRates([g for o in self.optimizers for g in o.param_groups], trace)


class LearningRates:
    """Puts Numbers in the place of learning rates, and back."""

    def __init__(self, groups: Iterable[dict[str, Any]], trace: Trace) -> None:
        self.groups = [g for g in groups if type(g.get("lr")) is float]
        self.trace = trace

    def __enter__(self) -> None:
        self.values = [g["lr"] for g in self.groups]
        for g, value in zip(self.groups, self.values, strict=True):
            g["lr"] = Number(value, rate(g), self.trace.watch)

    def __exit__(self, *exc: object) -> None:
        for g, value in zip(self.groups, self.values, strict=True):
            if isinstance(g["lr"], Number):
                g["lr"] = value


def rate(group: dict[str, Any]) -> Callable[[], float]:
    """Reads a group's learning rate."""
    return lambda: group["lr"]


class _Empty:
    def __eq__(self, cell: object) -> bool:
        try:
            cell.cell_contents  # type: ignore[attr-defined]  # noqa: B018
        except ValueError:
            return True
        return False

    __hash__ = None  # type: ignore[assignment]


_EMPTY = _Empty()


def signature(x: Any, arguments: list[Any]) -> Any:
    """What a program depends on in an argument; tensors are appended to ``arguments``."""
    if isinstance(x, Tensor):
        arguments.append(x)
        a = x._array
        return a.shape, a.dtype, x._wants_grad
    if isinstance(x, (list, tuple)):
        return (type(x), *[signature(v, arguments) for v in x])
    if isinstance(x, dict):
        return (dict, *[(k, signature(v, arguments)) for k, v in x.items()])
    try:
        hash(x)
    except TypeError:
        return id(x)
    return (type(x), x)


def flatten(x: Any, tensors: list[Any]) -> Any:
    """The structure of a result, tensors replaced by a mark and appended to ``tensors``."""
    if isinstance(x, Tensor):
        tensors.append(x)
        return _TENSOR
    if isinstance(x, (list, tuple)):
        return type(x), [flatten(v, tensors) for v in x]
    if isinstance(x, dict):
        return dict, [(k, flatten(v, tensors)) for k, v in x.items()]
    return None, x


_TENSOR = object()


def rebuild(structure: Any, tensors: Any) -> Any:
    """The result of a structure and its tensors."""
    if structure is _TENSOR:
        return next(tensors)
    kind, items = structure
    if kind is None:
        return items
    if kind is dict:
        return {k: rebuild(v, tensors) for k, v in items}
    parts = [rebuild(v, tensors) for v in items]
    return kind(*parts) if hasattr(kind, "_fields") else kind(parts)


def disable(
    fn: Callable[..., Any] | None = None, recursive: bool = True, *, reason: str | None = None
) -> Any:
    """Keep a function out of compilation: it runs eagerly."""
    return fn if fn is not None else lambda f: f


def explain(function: Callable[..., Any]) -> str:
    """What a compiled function has become: for each signature its graph and the program's steps, or
    why it runs eagerly.

    Args:
        function: what ``compile`` returned, after it was called a few times.
    """
    compiled = getattr(function, "_compiled", None)
    if compiled is None:
        raise TypeError("explain: expected a function that compile() returned.")
    if compiled.eager is not None:
        return f"runs eagerly, because {compiled.eager}."
    parts = []
    for variants in compiled.variants.values():
        for v in variants:
            steps = v.program.describe() if hasattr(v.program, "describe") else "one op at a time"
            parts.append(f"graph\n{v.graph}\n\nprogram\n{steps}")
    return "\n\n".join(parts) or "not captured yet: that happens at the second call."


def is_compiling() -> bool:
    """Whether a function is being captured in this thread."""
    return modes.trace is not None


is_dynamo_compiling = is_compiling


def reset() -> None:
    """Forget every captured program."""
    for f in _functions:
        f.variants.clear()
        f.seen.clear()
        f.traces, f.eager, f.surroundings = 0, None, None


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """Names that ``backend=`` accepts."""
    return ["inductor"]
