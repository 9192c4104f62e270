"""A compiled function: its programs, and which of them serves a call.

A new signature first runs once to see what there is (optimizers make their state), then once
traced; from then on its program runs. What both calls leave is that of programs, see replay.py.
Besides the signature, see signatures.py, the modes of gradients and autocast
tell calls apart; what else a program takes for granted are guards, see surroundings.py. A call like
the last one skips all this, see ``Variant.enter``.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from rushlight.compiler import memory
from rushlight.compiler.capture import Call, changed_by_itself
from rushlight.compiler.code import Code
from rushlight.compiler.given import Given
from rushlight.compiler.guards import CHANGING, Guard
from rushlight.compiler.held import NotCompared
from rushlight.compiler.leaves import Named
from rushlight.compiler.lists import Growing, Grown, Tail
from rushlight.compiler.optimizer_guards import Kept, Options
from rushlight.compiler.places import Item, Place, are_numbers, signature_of
from rushlight.compiler.replay import replayed, settled
from rushlight.compiler.signatures import itself, sharing, signature
from rushlight.compiler.surroundings import Surroundings
from rushlight.compiler.variant import Variant, present_mode
from rushlight.config import compile_options, stance
from rushlight.core.state import modes, state
from rushlight.core.tensor import Tensor
from rushlight.errors import GraphError, warn_user

MOST_SEEN = 64  # signatures that were run once as they are
MOST_OBJECTS = 3200  # that are looked at before each call, besides modules
MOST_AT_ONCE = 4  # signatures whose first call gets the bits of their programs
FIRST = "first call of its signature"
MOST_STRANGE = 16  # calls in a row like none before, until a warning; signatures that are few
UNSEEN = 15  # calls that run as they are after one that is the last of many without a program
MOST_VAIN = 32  # programs that were left for a value, in excess of those that were not
MOST_CAUGHT = 4  # calls that are traced in vain, as they catch an error
MOST_PINNED = 4  # captures for integers that Python needs at once, see Trace.pin
MOST_PLACES = 256  # that are looked up at each call
PATIENCE = 16  # traced calls that look at lists for whose items nothing stands yet


def only_casts() -> bool:
    """Whether nothing but this thread's autocast is in the way of fast paths: a program casts."""
    return state.busy == 1 and modes.autocast is not None


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
        self.before: Any = None  # the signature that was looked at last
        self.traces = 0
        self.eager: str | None = None  # why it stays eager
        self.warned = False  # that it is captured no more
        self.strange = 0  # calls in a row like none before
        self.refused = 0  # calls in a row that would have had to be captured once too often
        self.unseen = 0  # calls that are to run as they are
        self.again = False  # whether the next call is traced, whatever its signature
        self.patience = PATIENCE  # calls that may yet look at a list that gets longer
        self.caught = 0  # calls that were traced and caught an error
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
        self.served: Variant | None = None  # which served the last call, if that is not ``last``

    def bound(self) -> Callable[..., Any]:
        """The public callable."""

        def run(*args: Any, **kwargs: Any) -> Any:
            last = self.last
            if last is not None and (not state.busy or only_casts()) and stance.name == "default":
                out = last.enter((*args, Named(kwargs)) if kwargs else args)
                if out is not NotImplemented:
                    if last.after is not None:
                        self.expect(last)
                    return out
            outer, modes.compiling = modes.compiling, True
            try:
                return self(args, kwargs)
            finally:
                modes.compiling = outer

        run._compiled = self  # type: ignore[attr-defined]
        return run

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call that the program of the last one does not serve."""
        casts = modes.autocast is not None
        recorder = modes.profiler if state.busy == 1 + casts else None  # nothing else is in the way
        busy = state.busy > casts and recorder is None
        if self.eager is not None or busy or stance.name == "force_eager":
            return self.function(*args, **kwargs)
        given = (*args, Named(kwargs)) if kwargs else args
        if recorder is None:
            for variant in self.entered:  # what they take for granted tells all that a key does
                if variant is not self.last and variant.is_armed():
                    out = variant.enter(given)
                    if out is not NotImplemented:
                        self.follow(variant)
                        return out
        if self.unseen and stance.name == "default":
            self.unseen -= 1
            return self.function(*args, **kwargs)
        return self.look_up(args, kwargs, given, recorder)

    def look_up(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], given: tuple[Any, ...], recorder: Any
    ) -> Any:
        """Serve a call by a program for its signature, if one fits."""
        arguments: list[Any] = []
        self.given.arrays = not (self.code.names_types or self.code.foreign)
        values = [p.get() for p in self.places]  # the call may put others there
        mode, sign = present_mode(), functools.partial(signature, given=self.given)
        key = (
            self.given.signature(sign(args, arguments), args),
            self.given.signature(sign(kwargs, arguments), kwargs) if kwargs else None,
            *[signature_of(v, arguments, sign) for v in values],
            sharing(arguments),
            mode,
            self.tags(arguments),
            self.met(arguments),
        )
        self.last, self.served, reason = None, None, ""
        for variant in self.variants.get(key, ()):
            reason = variant.changed(arguments)
            if reason and self.note_places(variant.guards, numbers=True):
                return self.function(*args, **kwargs)
            if not reason:
                try:
                    out = self.run(variant, arguments, recorder)
                except Exception:  # before anything is written
                    if not self.code.handles:
                        raise
                    variant.settle(NotImplemented)
                    return self.function(*args, **kwargs)
                if out is not NotImplemented:
                    self.stand(variant.moving)
                    self.strange = self.refused = 0
                    self.vain = max(0, self.vain - 1)
                    if not key[-1]:
                        tagged = self.code.asks or self.tagged
                        variant.arm(given, mode, self.places, values, tagged, self.given)
                        self.note_entry(variant)
                    return out
                reason = variant.unfit()
                self.vain += bool(variant.assumed)
            self.read_anew |= variant.moved()
        if recorder is not None:
            return self.function(*args, **kwargs)
        return self.unserved(key, reason, arguments, args, kwargs)

    def unserved(
        self, key: Any, reason: str, arguments: list[Any],
        args: tuple[Any, ...], kwargs: dict[str, Any],
    ) -> Any:  # fmt: skip
        """Run a call that no program fits, as it is or captured; ``reason`` is why those for its
        signature do not.
        """
        if self.vain > MOST_VAIN:
            self.stay_eager(f"most calls are left for the {reason}")
            return self.function(*args, **kwargs)
        reason = reason or FIRST
        if stance.name == "eager_on_recompile":
            modes.compiling = False
            return self.function(*args, **kwargs)
        if stance.name == "fail_on_recompile" and key not in self.seen:
            raise RuntimeError(
                f"Detected recompile when torch.compile stance is 'fail_on_recompile': this call "
                f"of {self.name()} would have to be captured, because of the {reason}."
            )
        # of many signatures, as of a sequence that grows, few would ever be served by a program
        known = len(self.seen) <= MOST_STRANGE or key == self.before
        known = (known and reason in self.seen.get(key, ())) or self.again
        self.before = key
        plain = reason == FIRST and not self.code.names_types
        if not known and plain and self.given.learn(key):
            self.variants, self.seen, self.entered, self.again = {}, {}, [], True
        elif not known:
            self.note_seen(key, reason, args)
            return self.uncaptured(arguments, args, kwargs)
        self.reason, self.again = reason, False
        return self.capture(key, arguments, args, kwargs)

    def note_seen(self, key: Any, reason: str, args: tuple[Any, ...]) -> None:
        """Know the signature of a call that runs once as it is."""
        self.seen.setdefault(key, set()).add(reason)
        if len(self.seen) > MOST_SEEN:  # keys keep objects
            del self.seen[next(iter(self.seen))]
        self.note_strange(args, reason)

    def uncaptured(
        self, arguments: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run a call once as it is: optimizers and modules make their state."""
        if self.strange > MOST_STRANGE:  # the code is known, and is watched when captured, too
            self.unseen = UNSEEN if self.strange > MOST_SEEN else 0
            return self.function(*args, **kwargs)
        if len(self.seen) > MOST_AT_ONCE or self.traces >= self.limit():
            return self.code.watch(self.function, args, kwargs)
        return self.first(arguments, args, kwargs)

    def expect(self, served: Variant) -> None:
        """Let the next call try the variant first that came after this one the last time: several
        often take turns.
        """
        after = self.entered[served.after or 0]
        self.served, self.last = served, after if after.is_armed() else served

    def follow(self, variant: Variant) -> None:
        """Note that a variant served a call, though another was tried first."""
        before = self.last if self.served is None else self.served
        if before is not None:
            before.after = next(k for k, v in enumerate(self.entered) if v is variant)
        self.served, self.last = None, variant
        if variant.after is not None:
            self.expect(variant)

    def run(self, variant: Variant, arguments: list[Any], recorder: Any) -> Any:
        """Run a program that fits, as an event of a profiler if there is a recorder."""
        if recorder is None:
            return variant.run(arguments)
        for program in (variant.program, getattr(variant, "back", None)):
            getattr(program, "launches", None)  # found out, once, before time is taken
        with recorder.noting(f"Torch-Compiled Region: {self.name()}", "user_annotation"):
            return variant.run(arguments)

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
            self.stay_eager(
                f"each value of {pinned[-1][0]} takes a capture, and there are many; keep sizes "
                "the same, as torch.where(mask, x, 0) and padding do"
            )
            return self.function(*args, **kwargs)
        if not self.tagged and any([self.code.tags(t) for t in arguments if t.__dict__]):
            self.tagged = self.again = True
            return self.function(*args, **kwargs)
        reached = self.reached(args, kwargs)
        if isinstance(reached, str):
            self.stay_eager(reached)
            return self.function(*args, **kwargs)
        surroundings, guards = reached
        self.stand(surroundings.standing)
        key = (*key[:-1], self.met(arguments))
        call = Call(surroundings, self.code, arguments, args, kwargs, self.given)
        out = call.run(self.function)
        self.stand(call.trace.moved.values())
        if call.caught:  # so it went on another way than most calls will
            self.caught += 1
            if self.caught > MOST_CAUGHT:
                self.stay_eager(f"it often goes on after an error of {call.caught[0]}")
            return out
        guards += call.guards()
        kept = [guard for guard in guards if type(guard) is Kept]
        grew = any([guard.grew() for guard in kept])
        for guard in kept:
            guard.narrow(call.trace.tensors)
        # there may be more to look at, to look up, or to leave behind, at the next call
        if grew or call.entered_more() or self.given.froze(call.trace) or self.note_places(guards):
            return settled(call, guards, out)
        if call.looked and self.learn_lists(call.looked):
            return out
        self.traces += 1
        self.reasons.append(self.reason)
        failure = call.failure() or changed_by_itself(guards)
        if failure is None:
            return self.keep(key, call, guards, out)
        self.stay_eager(failure)
        return out

    def first(self, arguments: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a first call. No program of it is kept, as what code there is, and what that may look
        at, is known afterwards.
        """
        if not self.code.entered:
            self.code.begin(self.function)
        reached = self.reached(args, kwargs)
        if isinstance(reached, str):  # as the next call is to say
            return self.code.watch(self.function, args, kwargs)
        surroundings, guards = reached
        call = Call(surroundings, self.code, arguments, args, kwargs, self.given, first=True)
        out = call.run(self.function)
        return out if call.caught else settled(call, guards + call.guards(), out)

    def stand(self, tensors: Iterable[Tensor]) -> None:
        """Know tensors that it reaches besides its arguments, and their memory."""
        for t in tensors:
            for x in itself(t):
                self.standing[id(x)] = weakref.ref(t)

    def reached(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Surroundings, list[Guard]] | str:
        """What the function reaches, and that it must stay so; where that is too much, why it stays
        eager.
        """
        given = (*args, *kwargs.values())
        try:
            inside = self.given.inside
            found = Surroundings(
                self.function, given, self.read_anew, self.code, self.places, inside
            )
            guards = found.guards()
        except RecursionError:
            return "what it may read is nested too deeply to be compared"
        except NotCompared as found_there:
            return f"it may read {found_there}, which is not compared at each call"
        count = len(found.objects) + len(found.cells)
        if count > MOST_OBJECTS:
            return f"it may read {count} objects, too many to be compared at each call"
        return found, guards

    def keep(self, key: Any, call: Call, guards: list[Guard], out: Any) -> Any:
        """Make a program of a call, for others like it; the call's result."""
        memory.trim()
        try:
            variant = call.variant(guards)
            out = replayed(call, variant, out)
        except Exception as error:  # a defect of the compiler must not stop a training run
            self.stay_eager(f"the compiler failed, which is a defect worth reporting ({error!r})")
            return out
        variant.share([v for found in self.variants.values() for v in found])
        self.code.handles |= call.trace.required
        self.variants.setdefault(key, []).append(variant)
        self.seen[key] = set()
        variant.forget_gradients()
        call.trace.forget()
        memory.trim()
        return out

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

    def learn_lists(self, lists: list[Growing]) -> bool:
        """Make places of what a call looked at in lists that it also adds to; whether calls may be
        captured with these, now or when a list is longer, or no longer gets longer.
        """
        self.patience -= 1
        places = {p.key: p for p in self.places}
        for g in lists:
            more: list[Place] = []
            if g.wanted is not None and g.wanted <= len(g.x):
                more = [Tail(g.x, k + 1) for k in range(g.wanted)]
            elif len(g.x) == g.before:
                more = [Item(g.x, k) for k in range(g.before)]
                places.pop(Grown(g.x).key)
            places.update({p.key: p for p in more})
        if self.patience < 0 or len(places) > MOST_PLACES:
            return False
        self.again = places.keys() != {p.key for p in self.places}
        if self.again:
            self.places, self.variants, self.seen, self.entered = [*places.values()], {}, {}, []
        else:
            self.unseen = UNSEEN
        return True

    def note_strange(self, args: tuple[Any, ...], reason: str) -> None:
        """Say once that too many calls in a row are unlike all before, and so were not captured."""
        self.strange += reason == FIRST
        if self.strange != MOST_STRANGE or reason != FIRST:
            return
        last, before = list(self.seen)[:-3:-1]
        places = [k for k in range(len(args)) if last[0][k + 1 : k + 2] != before[0][k + 1 : k + 2]]
        named = [f"argument {k} ({type(args[k]).__name__})" for k in places]
        named += ["keyword arguments"] if last[1] != before[1] else []
        what = " and ".join(named) or "what is kept from call to call"
        warn_user(
            f"compile: the last {MOST_STRANGE} calls of {self.name()} ran eagerly, as no two had "
            f"the same arguments; the last two differ in {what}. A program serves calls with "
            "tensors of the same shapes, and with the same numbers and objects: pass numbers that "
            "change as tensors, and pad what varies to a few sizes, as a cache that is written to. "
            "Others like these go on running eagerly, which takes no longer than without compile."
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
        self.refused += 1
        self.unseen = UNSEEN if self.refused > MOST_STRANGE else 0
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
