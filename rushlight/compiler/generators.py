"""Where generators of random numbers of Python's and NumPy's stand, and how they go back there.

Asking them takes up to a tenth of a millisecond, so their memory is read where it lies as expected.
"""

from __future__ import annotations

import ctypes
import functools
import random
import struct
import sysconfig
from typing import Any

import numpy as np

STATE = 4 * 624 + 4  # bytes of a Mersenne twister: words, and at which of them it is
RANDOM_AT = 16  # where ``random.Random`` has its: first the place, then the words
GAUSS = 16  # bytes of what is left of a pair of normal numbers: whether there is one, and it


def is_generator(x: Any) -> bool:
    """Whether x is a generator whose place can be told."""
    if type(x) is np.random.RandomState:
        return type(x._bit_generator) is np.random.MT19937
    if type(x) is np.random.Generator:
        return type(x.bit_generator) in (np.random.PCG64, np.random.PCG64DXSM)
    return type(x) is random.Random


def mark(g: Any) -> Any:
    """Where a generator stands; equal for equal places."""
    if type(g) is np.random.Generator:
        return g.bit_generator.state
    if type(g) is random.Random:
        if not python_is_known():
            return g.getstate()
        return ctypes.string_at(id(g) + RANDOM_AT, STATE), g.gauss_next  # type: ignore[attr-defined]
    at = gauss_at()
    if at is None:
        state: Any = g.get_state()
        return state[1].tobytes(), state[2:]
    bits: Any = g._bit_generator
    words = ctypes.string_at(bits.ctypes.state_address, STATE)
    return words, ctypes.string_at(id(g) + at, GAUSS)


def rewind(g: Any, where: Any) -> None:
    """Let a generator stand where it stood."""
    if type(g) is np.random.Generator:
        g.bit_generator.state = where
    elif type(g) is random.Random and len(where) == 2:
        ctypes.memmove(id(g) + RANDOM_AT, where[0], STATE)
        g.gauss_next = where[1]  # type: ignore[attr-defined]
    elif type(g) is random.Random:
        g.setstate(where)
    elif type(where[1]) is bytes:
        ctypes.memmove(g._bit_generator.ctypes.state_address, where[0], STATE)
        at: Any = gauss_at()
        ctypes.memmove(id(g) + at, where[1], GAUSS)
    else:
        g.set_state(("MT19937", np.frombuffer(where[0], np.uint32), *where[1]))


def twister(state: bytes, gauss: float | None) -> tuple[tuple[int, ...], float | None]:
    """What ``setstate`` of Python's generator takes."""
    place, *words = struct.unpack("<i624I", state)
    return (*words, place), gauss


@functools.cache
def python_is_known() -> bool:
    """Whether Python's generator lies in memory as expected."""
    r = random.Random(1)
    if not shared() or random.Random.__basicsize__ < RANDOM_AT + STATE:
        return False
    r.random()
    return (3, *twister(ctypes.string_at(id(r) + RANDOM_AT, STATE), None)) == r.getstate()


@functools.cache
def gauss_at() -> int | None:
    """Where NumPy's generator keeps a normal number for later; None where that is not found, or its
    words are not where they are said to be.
    """
    value, r = 0.1234567890123, np.random.RandomState(1)
    state: Any = r.get_state()
    name, key, place = state[:3]
    bits: Any = r._bit_generator
    expected = key.tobytes() + struct.pack("<i", place)
    if not shared() or ctypes.string_at(bits.ctypes.state_address, STATE) != expected:
        return None
    r.set_state((name, key, place, 1, value))
    with_one = ctypes.string_at(id(r), np.random.RandomState.__basicsize__)
    at = with_one.find(struct.pack("<d", value)) - 8
    r.set_state((name, key, place, 0, value))
    without = ctypes.string_at(id(r), np.random.RandomState.__basicsize__)
    found = [bytes[at : at + 4] for bytes in (with_one, without)] if at > 0 else []
    return at if found == [struct.pack("<i", k) for k in (1, 0)] else None


def shared() -> bool:
    """Whether threads take turns, so that memory does not change while it is read."""
    return not sysconfig.get_config_var("Py_GIL_DISABLED")
