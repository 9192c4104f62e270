"""Which of the user's code a function runs, and so what it may look at.

The calls of a function that run as they are get watched: each piece of Python code that they enter,
outside of rushlight, is noted with its globals. What no such code names, a later call does not see:
an attribute that only the training loop counts up is no reason to capture again.
"""

from __future__ import annotations

import dis
import logging
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

from rushlight.compiler.lines import WATCHING, place_of, users_frame
from rushlight.compiler.objects import OTHERS, Same, function_of, of_the_user
from rushlight.config import is_own

ASKING = ("getattr", "setattr", "hasattr")
BY_TEXT = frozenset([*ASKING, "vars", "__dict__", "eval", "exec"])


CLOCKS = [
    n for n in dir(time) if n.endswith(("_ns", "_counter", "_time")) or n in ("time", "monotonic")
]
WRITING = ["write", "writelines", "writerow", "writerows"]
# functions of Python's own whose calls cannot be captured, by name: what they do, and a way out
EFFECTS: dict[str, tuple[str, str]] = {
    "print": ("it prints", "return what it prints, and print that"),
    "sleep": ("it waits", "wait between its calls"),
    **dict.fromkeys(WRITING, ("it writes to a file", "return what it writes, and write that")),
    **dict.fromkeys(
        ["read", "readline", "input"], ("it reads a file", "read it before, and pass what it says")
    ),
    "open": ("it opens a file", "do so outside"),
    **dict.fromkeys(["put", "put_nowait"], ("it puts something into a queue", "return that")),
    **dict.fromkeys(
        ["urandom", "getrandom"],
        ("it draws random numbers from the system", "draw them before, and pass them"),
    ),
    **dict.fromkeys(
        ["globals", "eval", "exec"],
        ("it calls globals(), eval() or exec()", "name what it needs"),
    ),
    **dict.fromkeys(
        ["now", "utcnow", "today", *CLOCKS],
        ("it reads the clock", "take the time around its calls"),
    ),
}
LOGGING = "it logs", "return what it logs, and log that, or print it"
HOMES = ("time", "datetime", "posix", "nt", "builtins", "io", "_io", "_csv", "_queue")


def effect(frame: Any, what: Any) -> str:
    """What a function of Python's own does for the user's code; empty where it is called for
    rushlight's.
    """
    owner = getattr(what, "__self__", None)
    if isinstance(owner, type):
        home = owner.__module__
    else:
        home = owner.__name__ if isinstance(owner, ModuleType) else type(owner).__module__
    if home not in HOMES:
        return ""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if is_own(module) or module.partition(".")[0] in OTHERS:
            return ""
        if of_the_user(module):
            return at(frame, *EFFECTS[what.__name__])
        frame = frame.f_back
    return ""


def at(frame: Any, what: str, advice: str) -> str:
    """What code does, at which of the user's lines, and what to do instead."""
    found = users_frame(frame)
    return f"{what}; {advice}" if found is None else f"{what} at {place_of(found)}; {advice}"


def is_foreign(x: Any) -> bool:
    """Whether x is a function, an object or a class that an extension in C adds, other than
    NumPy's, or of Python's own that looks at bytes.
    """
    function = type(x) is BuiltinFunctionType
    kind = x if isinstance(x, type) else type(x.__self__ if function else x)
    kinds = [c for c in kind.__mro__ if not c.__flags__ & OF_PYTHON or CYTHON in c.__name__]
    homes = [c.__module__ for c in kinds] + [x.__module__ or "builtins" for _ in range(function)]
    return not OWN.issuperset([home.partition(".")[0] for home in homes])


OF_PYTHON = 1 << 9  # a flag of classes that code in Python made
CYTHON = "cython_function"
OF_BYTES = ("binascii", "bz2", "ctypes", "hashlib", "lzma", "mmap", "socket", "struct", "zlib")
OWN = {"rushlight", *OTHERS, *sys.stdlib_module_names} - {
    *OF_BYTES,
    *[f"_{name}" for name in OF_BYTES],
}


def importing(frame: Any) -> bool:
    """Whether an import runs a frame, and not the function that is watched."""
    while frame is not None and frame.f_code is not Code.watch.__code__:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


class Code:
    """The code that calls of one function ran."""

    def __init__(self) -> None:
        # by identity, with the globals of the user's
        self.entered: dict[int, tuple[CodeType, dict[str, Any] | None]] = {}
        self.names: set[str] = set()
        self.beginnings: tuple[str, ...] = ()  # of names that it gives to ``getattr`` and the like
        self.by_text = False  # whether it may look at attributes of any name
        self.methods: set[str] = set()  # names of attributes that are called on the spot
        self.uncalled: set[str] = set()  # globals that are more than called
        self.prints = ""  # what says something to the user
        self.handles = False  # whether errors may be caught
        self.asks_truth = False  # whether something is compared with True or False by identity
        self.foreign = False  # whether it calls extensions in C, which know arrays by their type
        self.watched = False  # whether a call was
        self.all = False  # another profiler is at work: nothing can be noted

    def has(self, code: CodeType) -> bool:
        """Whether it was entered."""
        return self.all or self.entered.get(id(code), (code, None))[1] is not None

    def may_run(self, code: CodeType) -> bool:
        """Whether calls may enter it: all that they do is known once they were watched."""
        return self.all or not self.watched or id(code) in self.entered

    def ran(self, x: Any) -> bool:
        """Whether x is a function, or what a class makes of one, that was entered."""
        x = function_of(x)
        return type(x) is FunctionType and self.has(x.__code__)

    def known(self) -> tuple[int, ...]:
        """How much there is to look at, as far as is known."""
        of_users = [1 for _, found in list(self.entered.values()) if found is not None]
        return len(self.names), len(self.methods), len(of_users)

    def names_attribute(self, name: str, value: Any) -> bool:
        """Whether the code may look at an attribute of this name and value."""
        if self.all or self.by_text or name in self.names or name.startswith(self.beginnings):
            return True
        return name in self.methods and callable(value)

    @property
    def asks(self) -> bool:
        """Whether the code may ask if an attribute is there."""
        caught = self.handles and "AttributeError" in self.names
        return self.all or caught or not self.names.isdisjoint(BY_TEXT)

    @property
    def names_types(self) -> bool:
        """Whether the code may ask for the type of a number, which a Number does not show."""
        return self.all or "type" in self.names

    def tags(self, t: Any) -> tuple[Any, ...]:
        """What users put on a tensor, as far as the code may look at it."""
        return tuple(
            [
                (name, value if type(value) in (bool, int, float, str) else Same(value))
                for name, value in t.__dict__.items()
                if self.names_attribute(name, value)
            ]
        )

    def globals(self) -> Iterator[tuple[dict[str, Any], list[str]]]:
        """The globals of each piece, and the names in them that it uses."""
        for code, found in list(self.entered.values()):
            if found is not None:
                yield found, [n for op, n in named(code) if op.endswith(("_GLOBAL", "_NAME"))]

    def begin(self, function: Any) -> None:
        """Note a function's own code, or that of a module's ``forward``, before it is entered."""
        if getattr(function, "__name__", "") == "_call_impl":
            function = function.__self__.forward
        f = function_of(function)
        if type(f) is FunctionType:
            self.enter(f.__code__, f.__globals__)

    def watch(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Call a function and note what code it enters."""
        outer: Any = sys.getprofile()
        if outer is not None and not hasattr(outer, "notes"):
            self.all = True
            return function(*args, **kwargs)
        entered = self.entered

        def note(frame: Any, event: str, what: Any) -> None:  # called very often
            if outer is not None:  # within a call of another function that is watched
                outer(frame, event, what)
            if event == "call":
                if id(frame.f_code) in entered or importing(frame):
                    return
                if frame.f_code.co_filename == logging.__file__:  # noticed each time
                    self.prints = self.prints or at(frame, *LOGGING)
                else:
                    self.enter(frame.f_code, frame.f_globals)
            elif event == "c_call":
                if getattr(what, "__name__", "") in EFFECTS and not self.prints:
                    self.prints = effect(frame, what)
                if not self.foreign and of_the_user(frame.f_globals.get("__name__", "")):
                    self.foreign = is_foreign(what)

        note.notes = True  # type: ignore[attr-defined]
        sys.setprofile(note)
        try:
            return function(*args, **kwargs)
        finally:
            sys.setprofile(outer)
            self.watched = True

    def enter(self, code: CodeType, found: dict[str, Any]) -> None:
        """Note code that is entered for the first time, and its globals."""
        if code.co_name == "<module>" or not of_the_user(found.get("__name__", "")):
            self.entered[id(code)] = code, None
            return
        self.entered[id(code)] = code, found
        self.handles |= catches(code)
        self.asks_truth |= asks_truth(code)
        self.uncalled.update(uncalled(code))
        self.foreign |= any([is_foreign(found.get(name)) for name in code.co_names])
        for kind, name in named(code):
            (self.methods if kind == "LOAD_METHOD" else self.names).add(name)
        written = [beginning_asked_for(steps) for steps in asking(code)]
        self.beginnings = (*self.beginnings, *[text for text in written if text])
        others = BY_TEXT.difference(ASKING)
        self.by_text |= None in written or not others.isdisjoint(code.co_names)


WATCHING.append(Code.watch.__code__)


def catches(code: CodeType) -> bool:
    """Whether code may catch an error, or look at one: by ``except`` and ``finally``, as the end of
    a ``with`` block of the user's, or by what Python has for it. Other ``with`` blocks and
    comprehensions only tidy up after one.
    """
    steps = list(dis.get_instructions(code)) if code.co_exceptiontable else []
    handlers = [b.opname for a, b in pairwise(steps) if a.opname == "PUSH_EXC_INFO"]
    known = [name == "WITH_EXCEPT_START" for name in handlers]
    return code.co_name in ENDS or not all(known) or not SUPPRESSING.isdisjoint(code.co_names)


ENDS = ("__exit__", "__aexit__")
SUPPRESSING = frozenset(["suppress", "ExitStack", "AsyncExitStack"])


def asks_truth(code: CodeType) -> bool:
    """Whether code asks if something ``is True``, which what stands for a bool is not."""
    return any(
        [
            step.opname == "IS_OP" and type(before.argval) is bool
            for before, step in pairwise(dis.get_instructions(code))
        ]
    )


def named(code: CodeType) -> Iterator[tuple[str, str]]:
    """What instructions do by name: how, and the name. LOAD_METHOD looks up what is called next, as
    in ``optimizer.step()``.
    """
    for step in dis.get_instructions(code):
        if step.opcode in dis.hasname and isinstance(step.argval, str):
            newer = step.opname == "LOAD_ATTR" and sys.version_info >= (3, 12)
            method = newer and (step.arg or 0) % 2 == 1
            yield "LOAD_METHOD" if method else step.opname, step.argval


def uncalled(code: CodeType) -> Iterator[str]:
    """Globals that are looked up for something else than to be called on the spot."""
    for step in dis.get_instructions(code):
        if step.opname == "LOAD_NAME" or (step.opname == "LOAD_GLOBAL" and not (step.arg or 0) % 2):
            yield step.argval


def asking(code: CodeType) -> Iterator[list[dis.Instruction]]:
    """What follows wherever code looks up ``getattr`` and the like."""
    steps = list(dis.get_instructions(code))
    for k, step in enumerate(steps):
        if step.opcode in dis.hasname and step.argval in ASKING:
            yield steps[k + 1 :]


def beginning_asked_for(steps: list[dis.Instruction]) -> str | None:
    """How the name begins in ``getattr(x, "name")``, ``getattr(x, f"layer{i}")`` or one with a
    default that takes one instruction, from what follows the look-up of ``getattr``; None where
    that is not written there.
    """
    depth, begun = 0, ""  # of what is on the stack; the text that its second item begins with
    for k, step in enumerate(steps[:-2]):
        if step.opcode in (*dis.hasjrel, *dis.hasjabs):
            return None
        second = depth == 1
        depth += dis.stack_effect(step.opcode, step.arg)
        if depth != 2:
            continue
        if second and step.opname == "LOAD_CONST" and type(step.argval) is str:
            begun = step.argval
        elif begun and (step.opname == "BUILD_STRING" or step.argrepr in ("+", "%")):
            begun = begun.partition("%")[0]
        else:
            begun = ""
        if begun and is_called(steps[k + 1 :]):
            return begun
    return None


def is_called(steps: list[dis.Instruction]) -> bool:
    """Whether a function is called on two arguments before these instructions, or these and one."""
    more = steps[0].opname.startswith("LOAD_")
    call = steps[more]  # in CPython 3.11 it is prepared first
    return call.opname in ("PRECALL", "CALL") and call.arg == 2 + more
