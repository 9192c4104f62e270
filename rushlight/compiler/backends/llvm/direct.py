"""Loops that Python calls as it calls its own built-in functions, in a tenth of ctypes' time.

``function(code, arrays)`` gives a callable ``f(*arrays, *numbers, units)``. It finds the arrays'
elements where ``compiler.memory.address`` does, in the first field of NumPy's objects, and passes
the numbers, sizes mostly, as one more operand. That operand's last word is where a loop says that
it could not do its work: the answer is False then, else True. Where an array or a number is
expected and something else comes, a TypeError is raised. The interpreter's lock is
kept, or, for a loop that takes long, given to other threads meanwhile (``freely``).

``along(code, each)`` gives ``f(x, index, y, dim, low)`` for the loops of moves.py: it finds the
sizes, too, and answers False for arrays with gaps and shapes that do not fit.

``program`` and ``rows`` give ``f(*arrays)`` for launches, and for kernels on rows.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm import jit
from rushlight.compiler.backends.llvm.direct_code import (
    BLOCK,
    DIMS,
    FLAGS,
    MOST_GIVEN,
    ROOM,
    SIZES,
    TEXTS,
)
from rushlight.compiler.memory import address, stated_address

FASTCALL = 0x80  # METH_FASTCALL: the arguments are a C array
SINGLE = 0x8  # METH_O: there is one, as it is


class Method(ctypes.Structure):
    """PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("code", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


@functools.cache
def entries() -> dict[str, int]:
    """The addresses of what unpacks the arguments."""
    places = jit.load([jit.object_code(ir) for ir in TEXTS.values()], [*TEXTS])
    return dict(zip(TEXTS, places, strict=True))


@functools.cache
def is_usable() -> bool:
    """Whether arrays are objects as described above."""
    if address is stated_address:
        return False
    for x in (np.zeros((2, 3)), np.zeros((4, 5, 6)).T):
        at = id(x)
        dims = ctypes.c_int32.from_address(at + DIMS).value
        if dims != x.ndim:
            return False
        sizes = (ctypes.c_int64 * dims).from_address(ctypes.c_int64.from_address(at + SIZES).value)
        flags = ctypes.c_int32.from_address(at + FLAGS).value
        if tuple(sizes) != x.shape or flags != x.flags.num:
            return False
    return True


def function(code: int, arrays: int, freely: bool) -> Any:
    """The loop at an address, of so many arrays; None where Python's objects are not CPython's."""
    return built("direct", code, arrays, freely)


def along(code: int, each: bool, freely: bool) -> Any:
    """The same for a loop along a dim, whose index has an entry for each element or row of y."""
    return built("along", code, int(each), freely)


def elementwise(
    name: str, fn: int, head: tuple[int, int, int], steps: list[int], places: list[int], bytes: int
) -> Any:
    """``f(*given, n)`` for runtime.py's "flat", where the last is the result, and ``f(*given, x,
    aside, n)`` for its "write", at an address; None where they would need too much room.

    Args:
        head: how many operands a kernel has, where it is, and its unit.
        steps: how far apart the elements of each array that is given lie; 0 for a number.
        places: which operand each is; -1 for those that the kernel does not need.
    """
    operands, kernel, unit = head
    too_large = unit * max(steps) > ROOM or len(steps) > MOST_GIVEN
    if not is_usable() or 4 * operands + 8 > BLOCK or too_large:
        return None
    unused = BLOCK - 8 - operands
    places = [unused if k < 0 else k for k in places]
    return made(name, [fn, operands, len(steps), bytes, kernel, unit, *steps, *places])


def program(block: int, record: int, functions: tuple[int, int], launches: int, which: Any) -> Any:
    """``f(*arrays)`` for a program's launches; whether they could do their work. The interpreter's
    lock is kept. None where Python's objects are not CPython's.

    Args:
        block: where the addresses of the arrays go; ``which``: as which words.
        functions: where runtime.py's "prepare" and "run" are, which take the record.
    """
    if not is_usable():
        return None
    prepare, run = functions
    return made("program", [block, prepare, record, run, launches, *which])


def rows(fn: int, block: int, which: Any) -> Any:
    """``f(*arrays)`` for runtime.py's "rows", at an address, and its block, as for ``program``."""
    return made("rows", [block, fn, block, 0, 0, *which]) if is_usable() else None


def built(name: str, code: int, arrays: int, freely: bool) -> Any:
    """A function that runs a loop."""
    if not is_usable():
        return None
    return made(f"{name}.freely" if freely else name, [code, arrays])


@functools.cache
def common() -> list[int]:
    """What every ``self`` holds: the addresses of Python's functions and objects."""
    api = ctypes.pythonapi
    functions = (
        api.PyLong_AsLongLong,
        api.PyFloat_AsDouble,
        api.Py_IncRef,
        api.PyErr_BadArgument,
        api.PyErr_Occurred,
        api.PyEval_SaveThread,
        api.PyEval_RestoreThread,
    )
    return [*map(address_of, functions), id(np.ndarray), id(True), id(False)]


def address_of(function: Any) -> int:
    """Where one of Python's functions is."""
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def made(name: str, words: list[int]) -> Any:
    """A built-in function whose ``self`` holds words."""
    return builtin(entries()[name], FASTCALL, np.array(common() + words))


def builtin(code: int, flags: int, own: Any) -> Any:
    """A built-in function at an address, whose ``self`` is an array."""
    api = ctypes.pythonapi
    make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    method = definition(code, flags)
    return make(("PyCFunction_NewEx", api))(ctypes.addressof(method), own, None)


@functools.cache
def definition(code: int, flags: int) -> Method:
    """What Python knows of a built-in function, for as long as there may be any of it."""
    return Method(b"loop", code, flags, None)
