"""The instructions of pickles, each as a function on the machine's stack.

Not here, and so refused: instructions that make instances of classes by name in other ways (INST,
OBJ), that look names up in the interpreter's extension registry, or that take buffers from outside.
"""

from __future__ import annotations

import pickle
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

Machine = Any  # restricted.Unpickler: the stack, the marks, the memo, and what may be called

STEPS: dict[bytes, Callable[[Machine], None]] = {}


def _step(*codes: bytes) -> Callable[[Callable[[Machine], None]], Callable[[Machine], None]]:
    def register(function: Callable[[Machine], None]) -> Callable[[Machine], None]:
        STEPS.update(dict.fromkeys(codes, function))
        return function

    return register


def _pushes(code: bytes, value: Callable[[Machine], Any]) -> None:
    STEPS[code] = lambda u: u.stack.append(value(u))


def _number(form: str) -> Callable[[Machine], int]:
    return lambda u: u.number(form)


def _data(form: str) -> Callable[[Machine], bytes]:
    """Bytes, after their length."""
    return lambda u: u.read(u.number(form))


def _text(form: str) -> Callable[[Machine], str]:
    return lambda u: u.read(u.number(form)).decode("utf-8", "surrogatepass")


def _old_text(form: str) -> Callable[[Machine], Any]:
    """A string that Python 2 wrote: bytes, or text in an encoding that the user knows."""

    def read(u: Machine) -> Any:
        data = u.read(u.number(form))
        return data if u.encoding == "bytes" else data.decode(u.encoding)

    return read


def _long(form: str) -> Callable[[Machine], int]:
    return lambda u: int.from_bytes(u.read(u.number(form)), "little", signed=True)


def _line_number(u: Machine) -> Any:
    line = u.line()
    return line == "01" if line in ("00", "01") else int(line)  # so were True and False written


_pushes(pickle.NONE, lambda u: None)
_pushes(pickle.NEWTRUE, lambda u: True)
_pushes(pickle.NEWFALSE, lambda u: False)
_pushes(pickle.INT, _line_number)
_pushes(pickle.BININT, _number("i"))
_pushes(pickle.BININT1, _number("B"))
_pushes(pickle.BININT2, _number("H"))
_pushes(pickle.LONG1, _long("B"))
_pushes(pickle.LONG4, _long("I"))
_pushes(pickle.BINFLOAT, lambda u: struct.unpack(">d", u.read(8))[0])
_pushes(pickle.BINUNICODE, _text("I"))
_pushes(pickle.SHORT_BINUNICODE, _text("B"))
_pushes(pickle.BINUNICODE8, _text("Q"))
_pushes(pickle.BINSTRING, _old_text("I"))
_pushes(pickle.SHORT_BINSTRING, _old_text("B"))
_pushes(pickle.BINBYTES, _data("I"))
_pushes(pickle.SHORT_BINBYTES, _data("B"))
_pushes(pickle.BINBYTES8, _data("Q"))
_pushes(pickle.BYTEARRAY8, lambda u: bytearray(u.read(u.number("Q"))))
_pushes(pickle.EMPTY_TUPLE, lambda u: ())
_pushes(pickle.EMPTY_LIST, lambda u: [])
_pushes(pickle.EMPTY_DICT, lambda u: {})
_pushes(pickle.EMPTY_SET, lambda u: set())
_pushes(pickle.TUPLE, lambda u: tuple(u.since_mark()))
_pushes(pickle.LIST, lambda u: u.since_mark())
_pushes(pickle.FROZENSET, lambda u: frozenset(u.since_mark()))
_pushes(pickle.GLOBAL, lambda u: u.find(u.line(), u.line()))
_pushes(pickle.DUP, lambda u: u.stack[-1])
_pushes(pickle.BINGET, lambda u: u.memo[u.number("B")])
_pushes(pickle.LONG_BINGET, lambda u: u.memo[u.number("I")])


@_step(pickle.PROTO)
def _proto(u: Machine) -> None:
    version = u.number("B")
    if version > pickle.HIGHEST_PROTOCOL:
        raise u.error(
            f"its pickle has version {version}; at most {pickle.HIGHEST_PROTOCOL} is known"
        )


@_step(pickle.FRAME)
def _frame(u: Machine) -> None:
    u.read(8)


@_step(pickle.MARK)
def _mark(u: Machine) -> None:
    u.marks.append(len(u.stack))


@_step(pickle.POP)
def _pop(u: Machine) -> None:
    u.stack.pop()


@_step(pickle.POP_MARK)
def _pop_mark(u: Machine) -> None:
    u.since_mark()


@_step(pickle.BINPUT)
def _put(u: Machine) -> None:
    u.memo[u.number("B")] = u.stack[-1]


@_step(pickle.LONG_BINPUT)
def _long_put(u: Machine) -> None:
    u.memo[u.number("I")] = u.stack[-1]


@_step(pickle.MEMOIZE)
def _memoize(u: Machine) -> None:
    u.memo[len(u.memo)] = u.stack[-1]


def _short_tuple(n: int) -> Callable[[Machine], None]:
    def step(u: Machine) -> None:
        if len(u.stack) < n:
            raise IndexError("the stack is too short for a tuple")
        u.stack[-n:] = [tuple(u.stack[-n:])]

    return step


for _n, _code in enumerate((pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3), 1):
    STEPS[_code] = _short_tuple(_n)


@_step(pickle.STACK_GLOBAL)
def _stack_global(u: Machine) -> None:
    name, module = u.stack.pop(), u.stack.pop()
    if not (isinstance(name, str) and isinstance(module, str)):
        raise u.error("its pickle imports something that has no name")
    u.stack.append(u.find(module, name))


@_step(pickle.REDUCE)
def _reduce(u: Machine) -> None:
    args = u.stack.pop()
    u.stack[-1] = u.call(u.stack[-1], args)


@_step(pickle.NEWOBJ)
def _newobj(u: Machine) -> None:
    args = u.stack.pop()
    u.stack[-1] = u.make(u.stack[-1], args, {})


@_step(pickle.NEWOBJ_EX)
def _newobj_ex(u: Machine) -> None:
    kwargs, args = u.stack.pop(), u.stack.pop()
    u.stack[-1] = u.make(u.stack[-1], args, kwargs)


@_step(pickle.BUILD)
def _build(u: Machine) -> None:
    state = u.stack.pop()
    u.build(u.stack[-1], state)


@_step(pickle.BINPERSID)
def _binpersid(u: Machine) -> None:
    if u.persistent_load is None:
        raise u.error(
            "its pickle refers to a storage, but has none; is it a pickle of something else?"
        )
    u.stack[-1] = u.persistent_load(u.stack[-1])


@_step(pickle.APPEND)
def _append(u: Machine) -> None:
    item = u.stack.pop()
    u.container((list,)).append(item)


@_step(pickle.APPENDS)
def _appends(u: Machine) -> None:
    items = u.since_mark()
    u.container((list,)).extend(items)


@_step(pickle.ADDITEMS)
def _additems(u: Machine) -> None:
    items = u.since_mark()
    u.container((set,)).update(items)


_DICTS = (dict, OrderedDict, Counter)


@_step(pickle.DICT)
def _dict(u: Machine) -> None:
    items = u.since_mark()
    u.stack.append(dict(zip(items[::2], items[1::2], strict=True)))


@_step(pickle.SETITEM)
def _setitem(u: Machine) -> None:
    value, key = u.stack.pop(), u.stack.pop()
    u.container(_DICTS)[key] = value


@_step(pickle.SETITEMS)
def _setitems(u: Machine) -> None:
    items = u.since_mark()
    target = u.container(_DICTS)
    for key, value in zip(items[::2], items[1::2], strict=True):
        target[key] = value
