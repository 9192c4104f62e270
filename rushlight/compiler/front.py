"""``compile``: what the user calls, and what decides whether a captured program fits a call.

A new signature first runs once as it is (optimizers make their state), then once traced; from then
on its program runs. Signatures are the arguments' shapes, dtypes and shared memory, numbers, and
the modes of gradients and autocast; what else a program takes for granted are guards, see
surroundings.py. A call like the last one skips all this, see ``Variant.enter``.
"""

from __future__ import annotations

import functools
import hashlib
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from rushlight import config, gpu
from rushlight.compiler import memory, pipeline
from rushlight.compiler.capture import Call, changed_by_itself
from rushlight.compiler.code import Code
from rushlight.compiler.given import Given
from rushlight.compiler.guards import CHANGING, Guard, Kept, Options
from rushlight.compiler.held import BUFFERS, NotCompared
from rushlight.compiler.objects import fields, identity, ours
from rushlight.compiler.orders import order_in_memory
from rushlight.compiler.places import Place, are_numbers, signature_of
from rushlight.compiler.storages import may_overlap
from rushlight.compiler.surroundings import Surroundings
from rushlight.compiler.variant import Variant, present_mode
from rushlight.config import compile_options, stance
from rushlight.core.device_array import DeviceArray
from rushlight.core.sparse import SparseArray
from rushlight.core.state import Mode, modes, state
from rushlight.core.tensor import Tensor
from rushlight.errors import GraphError, warn_user
from rushlight.ops.sparse.entries import held_values
from rushlight.ops.view import owner

MOST_SEEN = 64  # signatures that were run once as they are
MOST_OBJECTS = 4096  # that are looked at before each call, besides modules
FIRST = "first call of its signature"
MOST_STRANGE = 16  # calls in a row like none before, until a warning
MOST_VAIN = 32  # programs that were left for a value, in excess of those that were not
MOST_PINNED = 4  # captures for integers that Python needs at once, see Trace.pin
MOST_PLACES = 256  # that are looked up at each call
BACKENDS = ("inductor", "eager", "aot_eager", "cudagraphs")
_functions: weakref.WeakSet[Compiled] = weakref.WeakSet()


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
        backend: "eager" runs the function as it is; other names of torch are accepted.
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


class Compiled:
    """The programs of one function."""

    def __init__(
        self, function: Callable[..., Any], fullgraph: bool, limit: int | None = None
    ) -> None:
        self.function, self.fullgraph, self.own_limit = function, fullgraph, limit
        self.forget()

    def forget(self) -> None:
        """Drop all programs."""
        self.variants: dict[Any, list[Variant]] = {}
        self.seen: dict[Any, set[str]] = {}  # why a signature was run as it is, since its capture
        self.traces = 0
        self.eager: str | None = None  # why it stays eager
        self.warned = False  # that it is captured no more
        self.strange = 0  # calls in a row like none before
        self.again = False  # whether the next call is traced, whatever its signature
        self.vain = 0  # calls for which a program was run in vain, less those that one served
        self.reasons: list[str] = []  # why it was captured, each time
        self.reason = ""  # why it is to be captured now
        self.places: list[Place] = []  # whose values are looked up at each call
        self.code = Code()
        self.given = Given()
        self.tagged = False  # whether users put on arguments what the function looks at
        self.read_anew = frozenset(["lr"])  # options that schedules change
        # tensors that it reached besides its arguments, by their and their memory's identity
        self.standing: dict[int, weakref.ref[Tensor]] = {}
        self.last: Variant | None = None  # which calls try first, without looking at signatures
        self.entered: list[Variant] = []  # which they try next

    def bound(self) -> Callable[..., Any]:
        """The public callable."""

        def run(*args: Any, **kwargs: Any) -> Any:
            last = self.last
            if last is not None and not kwargs and not state.busy and stance.name == "default":
                out = last.enter(args)
                if out is not NotImplemented:
                    return out
            return self(args, kwargs)

        run._compiled = self  # type: ignore[attr-defined]
        return run

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.eager is not None or state.busy or stance.name == "force_eager":
            return self.function(*args, **kwargs)
        if not kwargs:
            for variant in self.entered:  # what they take for granted tells all that a key does
                if variant is not self.last and variant.is_armed():
                    out = variant.enter(args)
                    if out is not NotImplemented:
                        self.last = variant
                        return out
        arguments: list[Any] = []
        mode = present_mode()
        key = (
            self.given.signature(signature(args, arguments), args),
            self.given.signature(signature(kwargs, arguments), kwargs) if kwargs else None,
            *[signature_of(p.get(), arguments, signature) for p in self.places],
            sharing(arguments),
            mode,
            self.tags(arguments),
            self.met(arguments),
        )
        self.last, reason = None, ""
        for variant in self.variants.get(key, ()):
            reason = variant.changed()
            if reason and self.note_places(variant.guards, numbers=True):
                return self.function(*args, **kwargs)
            if not reason:
                try:
                    out = variant.run(arguments)
                except Exception:  # before anything is written
                    if not self.code.handles:
                        raise
                    variant.settle(NotImplemented)
                    return self.function(*args, **kwargs)
                if out is not NotImplemented:
                    self.stand(variant.moving)
                    self.strange = 0
                    self.vain = max(0, self.vain - 1)
                    if not kwargs and not key[-1]:
                        tagged = self.code.asks or self.tagged
                        variant.arm(args, mode, self.places, tagged, self.given)
                        self.note_entry(variant)
                    return out
                reason = variant.unfit()
                self.vain += bool(variant.assumed)
            self.read_anew |= variant.moved()
        if self.vain > MOST_VAIN:
            self.stay_eager(f"most calls are left for the {reason}")
            return self.function(*args, **kwargs)
        reason = reason or FIRST
        if stance.name == "eager_on_recompile":
            return self.function(*args, **kwargs)
        if stance.name == "fail_on_recompile" and key not in self.seen:
            raise RuntimeError(
                f"Detected recompile when torch.compile stance is 'fail_on_recompile': this call "
                f"of {self.name()} would have to be captured, because of the {reason}."
            )
        known = reason in self.seen.get(key, ()) or self.again
        plain = reason == FIRST and not self.code.names_types
        if not known and plain and self.given.learn(key, self.seen):
            self.variants, self.seen, self.entered, self.again = {}, {}, [], True
        elif not known:  # once as it is: optimizers and modules make their state
            self.seen.setdefault(key, set()).add(reason)
            if len(self.seen) > MOST_SEEN:  # keys keep objects
                del self.seen[next(iter(self.seen))]
            self.note_strange(args, reason)
            return self.code.watch(self.function, args, kwargs)
        self.reason, self.again = reason, False
        return self.capture(key, arguments, args, kwargs)

    def note_entry(self, variant: Variant) -> None:
        """Let calls try to enter a variant, if they can."""
        self.last = variant if variant.entry is not None else None
        if self.last is not None and not any([variant is v for v in self.entered]):
            self.entered.append(variant)

    def capture(
        self, key: Any, arguments: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Trace this call; keep its program for the next."""
        if self.traces >= self.limit():
            self.refuse()
            return self.function(*args, **kwargs)
        pinned = [v.pinned for v in self.variants.get(key, ()) if v.pinned]
        if len(pinned) >= MOST_PINNED:
            self.stay_eager(f"each value of {pinned[-1][0]} takes a capture, and there are many")
            return self.function(*args, **kwargs)
        if not self.tagged and any([self.code.tags(t) for t in arguments if t.__dict__]):
            self.tagged = self.again = True
            return self.function(*args, **kwargs)
        reached = self.reached(args, kwargs)
        if reached is None:
            return self.function(*args, **kwargs)
        surroundings, guards = reached
        self.stand(surroundings.standing)
        key = (*key[:-1], self.met(arguments))
        call = Call(surroundings, self.code, arguments, args, kwargs, self.given)
        out = call.run(self.function)
        self.stand(call.trace.moved.values())
        guards += call.guards()
        kept = [guard for guard in guards if type(guard) is Kept]
        grew = any([guard.grew() for guard in kept])
        for guard in kept:
            guard.narrow(call.trace.tensors)
        # there may be more to look at, to look up, or to leave behind, at the next call
        if grew or call.entered_more() or self.given.froze(call.trace) or self.note_places(guards):
            return out
        self.traces += 1
        self.reasons.append(self.reason)
        failure = call.failure() or changed_by_itself(guards)
        if failure is None:
            self.keep(key, call, guards)
        else:
            self.stay_eager(failure)
        return out

    def stand(self, tensors: Iterable[Tensor]) -> None:
        """Know tensors that it reaches besides its arguments, and their memory."""
        for t in tensors:
            for x in itself(t):
                self.standing[id(x)] = weakref.ref(t)

    def reached(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Surroundings, list[Guard]] | None:
        """What the function reaches, and that it must stay so; None where that is too much, and
        keeps it eager.
        """
        given = (*args, *kwargs.values())
        try:
            found = Surroundings(self.function, given, self.read_anew, self.code, self.places)
            guards = found.guards()
        except RecursionError:
            self.stay_eager("what it may read is nested too deeply to be compared")
            return None
        except NotCompared as found_there:
            self.stay_eager(f"it may read {found_there}, which is not compared at each call")
            return None
        count = len(found.objects) + len(found.cells)
        if count > MOST_OBJECTS:
            self.stay_eager(f"it may read {count} objects, too many to be compared at each call")
            return None
        return found, guards

    def keep(self, key: Any, call: Call, guards: list[Guard]) -> None:
        """Make a program of a call, for others like it."""
        try:
            variant = call.variant(guards)
        except Exception as error:  # a defect of the compiler must not stop a training run
            self.stay_eager(f"the compiler failed, which is a defect worth reporting ({error!r})")
            return
        variant.share([v for found in self.variants.values() for v in found])
        self.code.handles |= call.trace.required
        self.variants.setdefault(key, []).append(variant)
        self.seen[key] = set()
        memory.trim()

    def tags(self, arguments: list[Any]) -> Any:
        """What users put on the arguments, where the function may look at it."""
        if not self.code.asks and not self.tagged:
            return ()
        found = [(k, *self.code.tags(t)) for k, t in enumerate(arguments) if t.__dict__]
        return tuple([tags for tags in found if len(tags) > 1])

    def met(self, arguments: list[Any]) -> tuple[tuple[int, int, int], ...]:
        """Which arguments are tensors that the function reaches besides, or have their memory."""
        found = []
        for k, t in enumerate(arguments):
            for level, x in enumerate(itself(t)):
                ref = self.standing.get(id(x))
                known = None if ref is None else ref()
                if known is not None and any([x is own for own in itself(known)]):
                    found.append((k, level, id(known)))
                    break
        return tuple(found)

    def note_places(self, guards: list[Guard], numbers: bool = False) -> bool:
        """Know the places, or just those of numbers, whose values changed, where all that guards
        look at and that changed is such; whether there are new ones. What was captured before took
        them for granted, and is dropped.
        """
        found: list[Place] = []
        for guard in guards:
            if type(guard) is Options and (moved := guard.moved() - self.read_anew):
                self.read_anew |= moved
                return True
            if guard.holds():
                continue
            places = guard.places() if isinstance(guard, CHANGING) else None
            if places is None or (numbers and not all([are_numbers(p.get()) for p in places])):
                return False
            found += places
        new = {p.key: p for p in found}
        for p in self.places:
            new.pop(p.key, None)
        if len(self.places) + len(new) > MOST_PLACES:
            return False
        self.places += new.values()
        if new:
            self.variants, self.seen, self.last, self.entered = {}, {}, None, []
            self.again = not numbers
        return bool(new)

    def note_strange(self, args: tuple[Any, ...], reason: str) -> None:
        """Say once that too many calls in a row are unlike all before, and so were not captured."""
        self.strange += reason == FIRST
        if self.strange != MOST_STRANGE or reason != FIRST:
            return
        last, before = [key[0] for key in list(self.seen)[:-3:-1]]
        places = [k for k in range(len(args)) if last[k + 1 : k + 2] != before[k + 1 : k + 2]]
        what = " and ".join([f"argument {k} ({type(args[k]).__name__})" for k in places])
        warn_user(
            f"compile: the last {MOST_STRANGE} calls of {self.name()} ran eagerly, as no two had "
            f"the same arguments; the last two differ in {what or 'keyword arguments'}. A program "
            "serves calls with tensors of the same shapes, and with the same numbers and objects: "
            "pass numbers that change as tensors, and pad what varies to a few sizes."
        )

    def limit(self) -> int:
        """How often it may be captured."""
        return compile_options.recompile_limit if self.own_limit is None else self.own_limit

    def refuse(self) -> None:
        """It was captured too often; programs that fit a call still run."""
        text = (
            f"compile: this call of {self.name()} runs eagerly, and others for which it would "
            f"have to be captured again, because it was captured {self.traces} times already. The "
            f"reason this time: {self.reason}. See recompile_limit of torch.compile."
        )
        if self.fullgraph:
            raise GraphError(text)
        if not self.warned:
            self.warned = True
            warn_user(text)

    def stay_eager(self, why: str) -> None:
        """The function cannot be captured."""
        self.eager = why
        text = f"compile: {self.name()} runs eagerly, because {why}."
        if self.fullgraph:
            self.eager = None
            raise GraphError(text)
        warn_user(text)

    def name(self) -> str:
        """What the user compiled: a function's name, or a module's class."""
        if getattr(self.function, "__name__", "") == "_call_impl":
            return type(self.function.__self__).__name__  # type: ignore[attr-defined]
        return getattr(self.function, "__qualname__", repr(self.function))


def signature(x: Any, arguments: list[Any]) -> Any:
    """What a program depends on in an argument; tensors are appended to ``arguments``."""
    if isinstance(x, Tensor):
        a = x._array
        if a.__class__ is SparseArray:
            arguments.append(held_values(x))
            return a.pattern, a.shape, a.dtype, x.requires_grad
        arguments.append(x)
        needs = x.requires_grad and ("leaf" if x._wants_grad else "made")
        if a.__class__ is DeviceArray:
            return a.driver, a.shape, a.dtype, needs, order_in_memory(a)
        if a.flags.c_contiguous:
            return a.shape, a.dtype, needs
        return a.shape, a.dtype, needs, order_in_memory(a)
    kind = type(x)
    if kind is float or kind is complex:
        return kind, repr(x)  # -0.0 is another number than 0.0
    if isinstance(x, (list, tuple, deque)):
        return (kind, *[signature(v, arguments) for v in x])
    if isinstance(x, dict):
        return (kind, *[(key_of(k), signature(v, arguments)) for k, v in x.items()])
    if isinstance(x, (set, frozenset)):
        return kind, frozenset([(type(v), v) for v in x])
    if isinstance(x, BUFFERS):
        return kind, bytes(x)
    if isinstance(x, np.ndarray):
        return x.shape, x.dtype.str, hashlib.sha1(x.tobytes()).digest()
    inner = fields(x)
    if inner is not None:
        return kind, *[(k, signature(v, arguments)) for k, v in inner.items()]
    return (kind, x) if ours(x) and kind.__hash__ is not None else identity(x)


def itself(t: Tensor) -> tuple[Any, ...]:
    """A tensor, its array, and whose memory that is."""
    return t, t._array, owner(t._array)


def key_of(k: Any) -> Any:
    """What stands for the key of a dict in a signature; tensors do not say whether they are one."""
    return identity(k) if isinstance(k, Tensor) else k


def sharing(arguments: list[Any]) -> tuple[int, ...]:
    """Which arguments are one tensor, have one array, or share memory: for each the first such.
    Then, of those that share memory, which overlap.
    """
    if len(arguments) < 2:
        return ()
    firsts: tuple[dict[int, int], ...] = ({}, {}, {})
    found = [
        first.setdefault(id(x), k)
        for k, t in enumerate(arguments)
        for first, x in zip(firsts, (t, t._array, owner(t._array)), strict=True)
    ]
    owners = found[2::3]
    if len(firsts[2]) < len(owners):
        pairs = [(j, k) for k, o in enumerate(owners) for j in range(o, k) if owners[j] == o]
        found += [may_overlap(arguments[j]._array, arguments[k]._array) for j, k in pairs]
    return tuple(found)


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
        return fn(*args, **kwargs)

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
    """Whether a function is being captured in this thread."""
    return modes.trace is not None


is_dynamo_compiling = is_compiling


def reset() -> None:
    """Forget every captured program."""
    for f in _functions:
        f.forget()


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """Names that ``backend=`` accepts."""
    return ["inductor"]
