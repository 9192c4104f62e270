"""What the user calls: ``compile``, and the functions of ``torch.compiler``. What a call of a
compiled function does is in compiled.py.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

from rushlight import config, gpu
from rushlight.compiler import pipeline
from rushlight.compiler.compiled import Compiled
from rushlight.core.state import Mode, modes, state
from rushlight.errors import warn_user

BACKENDS = ("inductor", "eager", "aot_eager", "cudagraphs")
_functions: weakref.WeakSet[Any] = weakref.WeakSet()


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
    the trace and updated in place. Learning rates may change between calls. What Python reads with
    ``.item()`` is computed by the program, and what it decides by a value (``if tensor``) is a
    condition there: calls that are decided otherwise run eagerly, or from a capture of their own. A
    function that needs a value at once (``str(loss.item())``, ``unique``) runs eagerly, with one
    warning. Results that are to be differentiated outside, such as a module's in training, come
    from a program for the call, and a backward pass runs another for their gradients. A module is
    compiled in place and returned.

    Args:
        model: a function, a method or a module; when left out, a decorator is returned.
        fullgraph: raise instead of running eagerly when the function cannot be captured.
        backend: "eager" runs the function as it is; other names of torch are accepted. A function
            is given the graph of the first call and the tensors that it starts from, and returns
            what runs instead: ``backend(graph_module, example_inputs)``.
        disable: return the function as it is.
        recompile_limit: how often the function is captured, at most; signatures beyond run eagerly,
            with one warning. None: ``torch._dynamo.config.recompile_limit``, which is 8.
        dynamic, mode, options, name, isolate_recompiles, shapes_spec: accepted for programs that
            pass them.

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
            recompile_limit=recompile_limit,
        )
    if recompile_limit is not None and not isinstance(recompile_limit, int):
        raise TypeError(
            "compile: recompile_limit is a number of captures, or None, but got "
            f"{recompile_limit!r}"
        )
    if not callable(model):
        raise AssertionError(
            f"compile: expected a function or a module, but got {type(model).__name__}"
        )
    if disable or backend == "eager":
        if hasattr(model, "_call_impl"):
            return model
        return functools.wraps(model)(lambda *args, **kwargs: model(*args, **kwargs))
    if callable(backend):
        return recorded(backend, model, fullgraph)
    if not pipeline.has_llvm() and not gpu.drivers():  # whose programs do without
        warn_once()
    if hasattr(model, "_call_impl"):  # a module
        compiled = Compiled(model._call_impl, fullgraph, recompile_limit)
        _functions.add(compiled)
        model._compiled_call_impl = compiled.bound()
        return model
    compiled = Compiled(model, fullgraph, recompile_limit)
    _functions.add(compiled)
    return functools.wraps(model)(compiled.bound())


def recorded(backend: Callable[..., Any], model: Any, fullgraph: bool) -> Any:
    """``model``, whose graphs the function ``backend`` compiles."""
    if not hasattr(model, "_call_impl"):
        function = state.recorded(model, backend, fullgraph)
        _functions.add(function)
        return functools.wraps(model)(lambda *args, **kwargs: function(*args, **kwargs))
    function = model._compiled_call_impl = state.recorded(model._call_impl, backend, fullgraph)
    _functions.add(function)
    return model


STANCES = ("default", "force_eager", "eager_on_recompile", "fail_on_recompile")


class set_stance(Mode):
    """What calls of compiled functions do from now on; or within a ``with`` block, or as a
    decorator within a function.

    Args:
        stance: "default"; "force_eager" runs functions as they are; "eager_on_recompile" does where
            they would have to be captured, and "fail_on_recompile" raises there.
        skip_guard_eval_unsafe, force_backend: accepted.

    Example:
        >>> import rushlight as torch
        >>> with torch.compiler.set_stance("force_eager"):
        ...     torch.compile(lambda x: x + 1)(torch.ones(1))
        tensor([2.])
    """

    def __init__(
        self, stance: str = "default", *, skip_guard_eval_unsafe: bool = False,
        force_backend: Any = None,
    ) -> None:  # fmt: skip
        if stance not in STANCES:
            raise RuntimeError(f"invalid torch.compile stance {stance!r}; it is one of {STANCES}.")
        self.wanted, self.outer = stance, config.stance.name
        config.stance.name = stance

    def __enter__(self) -> None:
        config.stance.name = self.wanted

    def __exit__(self, *exc: object) -> None:
        config.stance.name = self.outer

    def clone(self) -> set_stance:
        return set_stance(self.wanted)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        config.stance.name = self.outer  # it holds within the function only
        return super().__call__(function)


_warned = False


def warn_once() -> None:
    """Say once that there is nothing to make native code with."""
    global _warned
    if not _warned:
        _warned = True
        warn_user(
            "compile: llvmlite is not installed, so captured programs run on NumPy, hardly faster "
            "than eager code; pip install llvmlite."
        )


def disable(
    fn: Callable[..., Any] | None = None, recursive: bool = True, *, reason: str | None = None
) -> Any:
    """Keep a function out of compilation. A compiled function that calls it runs eagerly as a
    whole.

    Args:
        fn: the function; when left out, a decorator is returned.
        recursive: accepted for programs that pass it.
        reason: why, for the warning of the compiled function.

    Example:
        >>> import rushlight as torch
        >>> @torch.compiler.disable
        ... def log(x):
        ...     print(x.shape)
    """
    if fn is None:
        return lambda f: disable(f, recursive, reason=reason)
    because = "" if reason is None else f" ({reason})"

    @functools.wraps(fn)
    def kept_out(*args: Any, **kwargs: Any) -> Any:
        if state.busy and modes.trace is not None:
            name = getattr(fn, "__qualname__", repr(fn))
            modes.trace.fail(f"it calls {name}, which is kept out of compilation{because}")
        outer, modes.compiling = modes.compiling, False
        try:
            return fn(*args, **kwargs)
        finally:
            modes.compiling = outer

    return kept_out


def allow_in_graph(fn: Any) -> Any:
    """The function, or each in a list or tuple, as it is: what a captured function calls is
    captured with it.
    """
    return fn


assume_constant_result = allow_in_graph


def cudagraph_mark_step_begin() -> None:
    """Nothing: results are not overwritten by the next call."""


def is_exporting() -> bool:
    """Always False: there is no export."""
    return False


def is_compiling() -> bool:
    """Whether a compiled function is being called in this thread: in each of its calls that Python
    runs, so that all give the same, but for those that a stance or ``disable`` keeps as they are.
    """
    return modes.compiling and config.stance.name != "force_eager"


is_dynamo_compiling = is_compiling


def reset() -> None:
    """Forget every captured program."""
    for f in _functions:
        f.forget()


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """Names that ``backend=`` accepts."""
    return ["inductor"]
