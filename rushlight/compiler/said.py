"""What a captured call prints: each later call prints it anew, once its program has run.

Text cannot be followed, only numbers can. But where an f-string, or what ``str`` or ``format``
gives, is an argument of ``print``, or a part of one, the bytecode around it says so: then a number
gives a mark for text, and what stands for ``print`` while a call is traced finds the marks and
knows what to put in their place.
"""

from __future__ import annotations

import dis
import re
import sys
from typing import Any

from rushlight.compiler.held import PLAIN
from rushlight.compiler.lent import Lent
from rushlight.compiler.objects import ours
from rushlight.compiler.python_numbers import is_number, value_of
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor

CALLS = ("CALL", "CALL_KW")
GLOBALS = ("LOAD_GLOBAL", "LOAD_NAME")
FORMATTING = ("FORMAT_VALUE", "FORMAT_SIMPLE", "FORMAT_WITH_SPEC")
MARK = re.compile("\ue000([0-9]+)\ue001")  # characters of private use
HERE = __file__.rsplit("compiler", 1)[0]
EFFECTS = {  # of instructions: how many values they take and leave
    **dict.fromkeys(["PRECALL", "KW_NAMES", "CACHE", "NOP", "EXTENDED_ARG"], (0, 0)),
    **dict.fromkeys(["PUSH_NULL", "LOAD_FAST", "LOAD_CONST", "LOAD_DEREF", "LOAD_NAME"], (0, 1)),
    **dict.fromkeys(["LOAD_FAST_CHECK", "LOAD_FAST_BORROW", "LOAD_SMALL_INT"], (0, 1)),
    "LOAD_COMMON_CONSTANT": (0, 1),  # None, from Python 3.15 on
    **dict.fromkeys(["LOAD_FAST_LOAD_FAST", "LOAD_FAST_BORROW_LOAD_FAST_BORROW"], (0, 2)),
    **dict.fromkeys(["UNARY_NEGATIVE", "UNARY_NOT", "FORMAT_SIMPLE", "CONVERT_VALUE"], (1, 1)),
    **dict.fromkeys(["BINARY_OP", "BINARY_SUBSCR", "COMPARE_OP", "FORMAT_WITH_SPEC"], (2, 1)),
    "LOAD_METHOD": (1, 2),
}


def effect(step: dis.Instruction) -> tuple[int, int] | None:
    """How many values an instruction takes from the stack and leaves there; None if it is none of
    those that lie between an f-string and the call that it is an argument of.
    """
    n = step.arg or 0
    if step.opname == "LOAD_GLOBAL":
        return 0, 1 + n % 2
    if step.opname == "LOAD_ATTR":
        return 1, 1 + (n % 2 if sys.version_info >= (3, 12) else 0)
    if step.opname == "FORMAT_VALUE":
        return 1 + (n & 4 == 4), 1
    if step.opname in CALLS:
        return n + 2 + (step.opname == "CALL_KW"), 1
    return (n, 1) if step.opname == "BUILD_STRING" else EFFECTS.get(step.opname)


def taker(steps: list[dis.Instruction], k: int) -> tuple[int, bool]:
    """Which call takes what instruction k leaves, be it within a string, and whether as an
    argument; -1 where that cannot be said.
    """
    above = 0  # values on the stack after it
    for at in range(k + 1, len(steps)):
        found = effect(steps[at])
        if found is None:
            break
        takes, leaves = found
        if takes <= above:
            above += leaves - takes
        elif steps[at].opname == "BUILD_STRING" or joins(steps[at]):
            above = 0
        elif steps[at].opname in CALLS:
            return at, above < takes - 2
        else:
            break
    return -1, False


def joins(step: dis.Instruction) -> bool:
    """Whether an instruction is +, which of texts makes a longer one."""
    return step.opname == "BINARY_OP" and step.argrepr == "+"


def makes_text(steps: list[dis.Instruction], k: int) -> bool:
    """Whether instruction k formats a value, or calls ``str`` or a constant text's ``format``."""
    if steps[k].opname in FORMATTING:
        return True
    if steps[k].opname not in CALLS:
        return False
    for n, step in enumerate(steps[:k]):
        of_text = step.opname in ("LOAD_METHOD", "LOAD_ATTR") and step.argval == "format"
        of_text = of_text and type(steps[n - 1].argval) is str and "CONST" in steps[n - 1].opname
        called = of_text or (step.opname in GLOBALS and step.argval == "str")
        if called and taker(steps, n) == (k, False):
            return True
    return False


def is_printed() -> bool:
    """Whether the user's code formats a number just now, for an argument of ``print``."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(HERE):
        frame = frame.f_back
    if frame is None or type(frame.f_globals.get("print")) is not Printing:
        return False
    steps = list(dis.get_instructions(frame.f_code))
    k = max([n for n, s in enumerate(steps) if s.offset <= frame.f_lasti], default=0)
    if steps[k].opname == "PRECALL":  # some calls happen there
        k += 1
    if not makes_text(steps, k):
        return False
    call, argument = taker(steps, k)
    names = [n for n, s in enumerate(steps[:k]) if s.opname in GLOBALS]
    prints = [n for n in names if steps[n].argval == "print"]
    return argument and any([taker(steps, n) == (call, False) for n in prints])


class Printing:
    """Stands for ``print`` while a call is traced."""

    def __init__(self, trace: Any) -> None:
        self.trace = trace
        self.marked: list[tuple[Any, str]] = []  # numbers, with how they are formatted
        self.said: list[tuple[Said, Any]] = []  # with what each of the calls is given

    def mark(self, x: Any, how: str) -> str | None:
        """What stands for a number's text; None where that is not just printed."""
        if not is_printed():
            return None
        format(x.value, how)  # raises what it has to
        self.marked.append((x, how))
        return f"\ue000{len(self.marked) - 1}\ue001"

    def text(self, *given: Any, **options: Any) -> str:
        """What stands for ``str`` in the user's code."""
        if len(given) == 1 and not options and modes.trace is self.trace is not None:
            x: Any = given[0]
            marked = self.mark(x, "") if is_number(x) and type(x.value) is not bool else None
            if marked is not None:
                return marked
        return str(*given, **options)

    def __call__(self, *given: Any, **options: Any) -> None:
        if modes.trace is not self.trace or self.trace is None:
            print(*given, **options)  # another thread
            return
        if not all([type(v) in PLAIN or v is sys.stderr for v in options.values()]):
            self.trace.fail("it prints to a file")
        parts, layout = [], []
        for x in given:
            pieces: Any = MARK.split(x) if type(x) is str else [x]
            found = [self.marked[int(v)] if n % 2 else (v, None) for n, v in enumerate(pieces)]
            parts += [self.copy(v) for v, _ in found]
            layout.append([how for _, how in found])
        said = Said(layout, options)
        modes.trace = None
        try:
            said.set([v.value if type(v) is Lent else value_of(v) for v in parts])
        finally:
            modes.trace = self.trace
        self.said.append((said, tuple(parts)))

    def copy(self, x: Any) -> Any:
        """An argument as it is now."""
        if type(x) is Lent:
            return x.frozen()
        if not isinstance(x, Tensor):
            if not is_number(x) and not all(map(is_constant, x if isinstance(x, tuple) else [x])):
                self.trace.fail(f"it prints a {type(x).__name__}")
            return x
        if x.requires_grad:
            self.trace.refuse("printing a tensor that requires gradients, other than as item(),")
            return x
        return x.clone()


def is_constant(x: Any) -> bool:
    """Whether x, which is no tuple, prints the same at each time, such as a dtype."""
    kind = type(x)
    own = ours(x) and kind.__hash__ is not None and not hasattr(x, "__dict__")
    return (kind in PLAIN or own) and not issubclass(kind, (tuple, Tensor))


class Said:
    """A call of ``print``: a place that later calls leave what they print at. ``layout`` says for
    each argument how its parts become text; None for those that are as they are.
    """

    def __init__(self, layout: list[list[str | None]], options: dict[str, Any]) -> None:
        self.layout, self.options = layout, options

    def set(self, parts: Any) -> None:
        """Print it."""
        given = iter(parts)
        found = [[(next(given), how) for how in hows] for hows in self.layout]
        print(*[text(row) for row in found], **self.options)


def text(row: list[tuple[Any, str | None]]) -> Any:
    """An argument of its parts."""
    if len(row) == 1 and row[0][1] is None:
        return row[0][0]
    return "".join([x if how is None else format(x, how) for x, how in row])
