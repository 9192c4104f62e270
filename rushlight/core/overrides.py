"""``__torch_function__``: objects and modes that answer in the place of public functions. Knows no
particular function.

Note [Asking]
Public functions and Tensor's methods do not ask their arguments whether these want something else
done: that takes a third of a small operation. Once somebody might answer (a first tensor of a class
with ``__torch_function__``, a mode that is entered, a symbolic trace), each of them gets other
code, which asks and then does what it did. They stay the same objects, so that whoever imported one
before asks too, and get their own code back when nobody is left.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterable
from types import CodeType, FunctionType
from typing import Any

from rushlight.core.state import Mode, modes, state
from rushlight.core.tensor import KNOWN_KINDS, Tensor, is_pytorchs, meeting
from rushlight.devices import device
from rushlight.dtypes import NUMBERS, dtype

# what no argument of these types overrides
PLAIN = frozenset((Tensor, int, float, bool, complex, str, type(None), slice, dtype, device))


def without_overrides(
    func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
) -> Any:
    """``func`` as it is: the ``__torch_function__`` of classes that want none."""
    with AskNoArguments():
        return func(*args, **(kwargs or {}))


class AskNoArguments(Mode):
    """Within it functions do not ask their arguments, but modes."""

    def __enter__(self) -> None:
        self.previous = modes.asks_arguments
        modes.asks_arguments = False

    def __exit__(self, *exc: object) -> None:
        modes.asks_arguments = self.previous

    def clone(self) -> AskNoArguments:
        return type(self)()


class AskNobody(AskNoArguments):
    """Within it functions ask neither their arguments nor modes."""

    def __enter__(self) -> None:
        super().__enter__()
        self.modes, modes.function_modes = modes.function_modes, ()

    def __exit__(self, *exc: object) -> None:
        super().__exit__()
        modes.function_modes = self.modes


def overrides(kind: Any) -> bool:
    """Whether objects of a type answer in the place of functions. PyTorch's tensors would call the
    function again, without end.
    """
    own = getattr(kind, "__torch_function__", None)
    if own is None or own is without_overrides or kind is Tensor:
        return False
    return not is_pytorchs(kind)


def overriding(arguments: Iterable[Any]) -> list[Any]:
    """Those of the arguments, and of the elements of lists among them, that are to be asked: one of
    each type, in their order, but those of a class before those of its bases.
    """
    found: list[Any] = []
    for a in arguments:
        kind = type(a)
        if kind in PLAIN:
            continue
        if kind is list or kind is tuple:
            if a and type(a[0]) not in NUMBERS:
                for e in a:
                    if type(e) not in PLAIN and overrides(type(e)):
                        insert(found, e)
        elif overrides(kind):
            insert(found, a)
    return found


def insert(found: list[Any], a: Any) -> None:
    """Add ``a`` where it belongs among those to be asked, unless its type is there."""
    kinds = [type(f) for f in found]
    if type(a) not in kinds:
        places = [i for i, kind in enumerate(kinds) if issubclass(type(a), kind)]
        found.insert(places[0] if places else len(found), a)


def dispatch(function: Any, found: list[Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """The answer of the innermost mode, or of the first of ``found`` that gives one."""
    types = tuple([type(a) for a in found])
    named = (kwargs,) if kwargs else ()
    stack = modes.function_modes
    if stack:
        modes.function_modes = stack[:-1]
        try:
            result = stack[-1].__torch_function__(function, types, args, *named)
        finally:
            modes.function_modes = stack
        if result is not NotImplemented:
            return result
    for a in found:
        result = a.__torch_function__(function, types, args, *named)
        if result is not NotImplemented:
            return result
    name = getattr(function, "__qualname__", function)
    raise TypeError(
        f"Multiple dispatch failed for '{name}'; all __torch_function__ handlers returned "
        f"NotImplemented: {[*stack[-1:], *types]}. Make one of them handle the function."
    )


class Asking:
    """A public function that can be given other code; ``inspect`` sees what it wraps then."""

    __slots__ = ("function", "own", "own_code", "code", "defaults")

    def __init__(self, function: FunctionType, shown: Any, arguments: bool, by_name: bool) -> None:
        code, self.function = function.__code__, function
        own = FunctionType(
            code, function.__globals__, function.__name__, function.__defaults__,
            function.__closure__,
        )  # fmt: skip
        own.__kwdefaults__ = self.defaults = function.__kwdefaults__
        own.__dict__.update(function.__dict__)  # what it wraps has its signature
        self.own, self.own_code = own, code
        self.code = asking_code(make_ask(own, shown, arguments, by_name), code)

    def on(self) -> None:
        """It asks."""
        self.function.__code__, self.function.__kwdefaults__ = self.code, None
        self.function.__dict__.setdefault("__wrapped__", self.own)

    def off(self) -> None:
        """It is as it was."""
        self.function.__code__, self.function.__kwdefaults__ = self.own_code, self.defaults
        if self.function.__dict__["__wrapped__"] is self.own:
            del self.function.__dict__["__wrapped__"]


def make_ask(own: Any, shown: Any, arguments: bool, by_name: bool) -> Callable[..., Any]:
    """What a function does while somebody may answer. Handlers see it as ``shown``.

    Args:
        arguments: whether its arguments are asked, not only modes.
        by_name: whether handlers get all options, by name, also those that are not given.
    """

    def ask(args: Any, kwargs: dict[str, Any]) -> Any:
        for a in args:
            if type(a) not in PLAIN:
                break
        else:
            if not kwargs and not modes.function_modes:
                return own(*args)
        found: list[Any] = []
        if arguments and modes.asks_arguments:
            found = overriding((*args, *kwargs.values()) if kwargs else args)
        if found or modes.function_modes:
            if by_name:
                args, kwargs = arranged(own, args, kwargs)
            return dispatch(shown, found, args, kwargs)
        return own(*args, **kwargs)

    return ask


@functools.cache
def signature(own: Any) -> Any:
    """A function's signature; None if it takes any number of arguments."""
    found = inspect.signature(own)
    any_number = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return None if any([p.kind in any_number for p in found.parameters.values()]) else found


def arranged(own: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Arguments as Python functions of PyTorch pass them on: what is required by position, options
    by name.
    """
    accepts = signature(own)
    if accepts is None:
        if len(args) == 2 and isinstance(args[0], str) and isinstance(args[1], (list, tuple)):
            args = (args[0], *args[1])  # einsum of a list
        return args, kwargs
    bound = accepts.bind(*args, **kwargs)
    bound.apply_defaults()
    option = {n: p.default is not p.empty for n, p in accepts.parameters.items()}
    named = {n: value for n, value in bound.arguments.items() if option[n]}
    return tuple([value for n, value in bound.arguments.items() if not option[n]]), named


TEMPLATE = """
def outer({names}):
    def template(*args, **kwargs):
        ask = "ask"
        return ask(args, kwargs)
        {names}  # a function keeps its number of free variables
    return template
"""


@functools.cache
def template(free: int) -> CodeType:
    """The code of a function with ``free`` free variables that calls the string "ask"."""
    names = ", ".join([f"free{i}" for i in range(free)])
    space: dict[str, Any] = {}
    exec(compile(TEMPLATE.format(names=names), __file__, "exec"), space)
    return space["outer"](*range(free)).__code__


def asking_code(ask: Callable[..., Any], code: CodeType) -> CodeType:
    """Code for a function that has ``code`` now: it calls ``ask``."""
    asking = template(len(code.co_freevars))
    constants: Any = tuple([ask if c == "ask" else c for c in asking.co_consts])
    return asking.replace(co_consts=constants, co_name=code.co_name)


class Switch:
    """Makes public functions ask, while ``state.asking`` counts who might answer."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # a collection of garbage may call off() in the middle
        self.table: list[Asking] | None = None
        self.stays = False
        # what an Asking is made of
        self.functions: Callable[[], list[tuple[FunctionType, Any, bool, bool]]] = list

    def on(self) -> None:
        """Somebody might answer from now on."""
        with self.lock:
            if self.table is None:
                self.table = [Asking(*entry) for entry in self.functions()]
            state.asking += 1
            if state.asking == 1:
                for asking in self.table:
                    asking.on()

    def stay_on(self) -> None:
        """Somebody might answer from now on, to the end."""
        if not self.stays:
            self.stays = True
            self.on()

    def off(self) -> None:
        """One of those who might answer is gone."""
        with self.lock:
            state.asking -= 1
            if state.asking == 0:
                for asking in self.table or ():
                    asking.off()


switch = Switch()


def meet(kind: type) -> None:
    """The first tensor of a class below Tensor is being made."""
    KNOWN_KINDS.add(kind)
    if overrides(kind):
        switch.on()


meeting.append(meet)
