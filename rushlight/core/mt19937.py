"""The Mersenne Twister behind every random number, stepping exactly as torch's CPU generator does.

Only the stream lives here: 32-bit words, their 64-bit and floating readings, and the state that
travels between programs. What distributions make of the words is in `sampling.py`; the public class
with tensors is in `generator.py`.

Reference: Matsumoto and Nishimura, 1998, "Mersenne Twister: a 623-dimensionally equidistributed
uniform pseudo-random number generator".
"""

from __future__ import annotations

import operator
import os
import struct
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rushlight.core.state import modes

DEFAULT_SEED = 67280421310721  # torch's, for a generator that nobody seeded
BLOCK = 624  # words that one twist of the state yields
STATE_BYTES = 5056
# where things are at an engine's desk
WORDS, YIELDED, USED, CACHED, IS_CACHED = range(5)
DESK = IS_CACHED + 1
UNFILLED = BLOCK + 1  # used-up words of a block that holds none

# Note [Saved state]
# torch's bytes are a C struct: uint64 seed, int32 words left plus one, int32 seeded, uint64 next
# word, 624 words as uint64, three doubles (the second is the cached normal), int32 whether it is
# cached, and 12 bytes of a float cache that CPU code never fills. A generator that was only seeded
# holds the untwisted words and says "left 1, next 0".
_HEAD = struct.Struct("<Qiiq")
_TAIL = struct.Struct("<dddi12x")
_WORDS_AT = _HEAD.size
_TAIL_AT = _WORDS_AT + 8 * BLOCK

_NO_WORDS = np.empty(0, np.uint32)
# 0-dim arrays, which NumPy takes faster than its scalars
_LOW_24 = np.array(2**24 - 1, np.int32)
_LOW_53 = np.array(2**53 - 1, np.uint64)
_HALF_WORD = np.array(32, np.uint64)
_ULP_24 = np.array(2.0**-24, np.float32)
_ULP_53 = np.array(2.0**-53, np.float64)


class Engine:
    """A stream of random 32-bit words with torch's seeding, saving and cached second normal.

    Args:
        seed: any integer in [-2**63, 2**64); negative ones count from 2**64. Only the low 32 bits
            steer the words.
    """

    def __init__(self, seed: int = DEFAULT_SEED) -> None:
        self.lock = threading.RLock()  # whoever draws holds it
        self._twister: tuple[Any, Any] | None = None
        self._block = np.empty(BLOCK, np.uint32)
        self._told = b"", _NO_WORDS  # a block, and the twister's words that yielded it
        # The state of the stream, where native code finds it while it is ``ready``: the addresses
        # of the twister's words and of the block of words that it yielded last, how many of these
        # are used up, the cached normal as a float64, and whether there is one.
        self.desk = np.zeros(DESK, np.int64)
        self.ready = False
        self._desk_floats = self.desk.view(np.float64)
        self._pending: int | None = None
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Starts the stream of `seed`; a cached normal is dropped."""
        if modes.trace is not None:
            modes.trace.fail("it makes or seeds a generator of random numbers", "do so before")
        self.seed_value = wrap_seed(seed)
        self.cached_normal = None
        # seeding proper waits for the first word
        self._pending, self.ready = self.seed_value & 0xFFFFFFFF, False
        self.desk[USED] = UNFILLED

    def words(self, count: int) -> NDArray[np.uint32]:
        """The next `count` words, shape (count,). May be a window on the engine's own buffer: do
        not write to it.
        """
        with self.lock:
            start = self.desk.item(USED)
            end = start + count
            if end <= BLOCK:
                self.desk[USED] = end
                return self._block[start:end]
            return self._words_across_blocks(count)

    def left(self) -> int:
        """How many words of the current block are not used; below 0 where there is no block."""
        return BLOCK - self.desk.item(USED)

    def give_back(self, count: int) -> None:
        """The last `count` words, all of the current block, are the next ones again. The caller
        holds the engine since they were drawn.
        """
        self.desk[USED] -= count

    def longs(self, count: int) -> NDArray[np.uint64]:
        """The next `count` 64-bit words, each made of two: the first is the high half."""
        words = self.words(2 * count)
        longs = words[0::2].astype(np.uint64)
        longs <<= _HALF_WORD
        longs |= words[1::2]
        return longs

    def floats(self, count: int) -> NDArray[np.float32]:
        """Uniform on [0, 1) with 24 bits, one word each."""
        # int32: converts to float faster than uint32
        bits = self.words(count).view(np.int32) & _LOW_24
        floats = bits.astype(np.float32)
        floats *= _ULP_24
        return floats

    def doubles(self, count: int) -> NDArray[np.float64]:
        """Uniform on [0, 1) with 53 bits, two words each."""
        bits = self.longs(count)
        bits &= _LOW_53
        doubles = bits.view(np.int64).astype(np.float64)
        doubles *= _ULP_53
        return doubles

    @property
    def cached_normal(self) -> float | None:
        """The second of a pair of normal values, of which only one was wanted."""
        return self._desk_floats.item(CACHED) if self.desk.item(IS_CACHED) else None

    @cached_normal.setter
    def cached_normal(self, value: float | None) -> None:
        self.desk[IS_CACHED] = value is not None
        if value is not None:
            self._desk_floats[CACHED] = value

    def seat(self) -> Any:
        """The array that stands for the engine in a captured program."""
        return self.desk

    def prepare(self) -> None:
        """Let native code find the stream at the desk."""
        twister = self._source()[1]
        self.desk[WORDS] = twister.ctypes.state_address
        self.desk[YIELDED] = self._block.ctypes.data
        self.ready = True

    def lend(self) -> None:
        """Native code may draw, while the caller holds the engine: see ``holding``."""
        if not self.ready:
            self.prepare()

    def mark(self) -> tuple[Any, ...]:
        """The place in the stream, for `rewind`; the cached normal is no part of it."""
        _, twister = self._source()
        return twister.state, self._block.copy(), self.desk.item(USED)

    def rewind(self, mark: tuple[Any, ...]) -> None:
        """Goes back to a place. The caller holds the engine since: see `holding`."""
        self._source()[1].state, self._block[:], self.desk[USED] = mark

    def holding(self) -> Any:
        """A context in which no other thread draws."""
        return self.lock

    def save(self) -> NDArray[np.uint8]:
        """The state as torch's 5056 bytes, see Note [Saved state]."""
        with self.lock:
            key = self._key()
            used = self.desk.item(USED)
            left, position = (1, 0) if used == UNFILLED else (BLOCK + 1 - used, used)
            cached = self.cached_normal
        data = bytearray(STATE_BYTES)
        _HEAD.pack_into(data, 0, self.seed_value, left, 1, position)
        data[_WORDS_AT:_TAIL_AT] = key.astype("<u8").tobytes()
        _TAIL.pack_into(data, _TAIL_AT, 0.0, cached or 0.0, 0.0, cached is not None)
        return np.frombuffer(data, np.uint8).copy()

    def _key(self) -> NDArray[np.uint32]:
        """The twister's words. NumPy takes long to tell them, so they are kept for as long as the
        block that they yielded is the last one.
        """
        legacy, _ = self._source()
        if self.desk.item(USED) == UNFILLED:
            return legacy.get_state(legacy=True)[1]
        block = self._block.tobytes()
        if self._told[0] != block:
            self._told = block, legacy.get_state(legacy=True)[1]
        return self._told[1]

    def restore(self, data: NDArray[np.uint8]) -> None:
        """Continues from bytes that `save` or torch wrote; RuntimeError for any others."""
        raw = data.tobytes()
        seed, left, seeded, position = _HEAD.unpack_from(raw, 0)
        if (
            len(raw) != STATE_BYTES
            or not seeded
            or not 0 < left <= BLOCK
            or not 0 <= position <= BLOCK
        ):
            raise RuntimeError(
                "Invalid mt19937 state: these bytes were not written by get_state()."
            )
        if modes.trace is not None and raw != self.save().tobytes():
            modes.trace.fail("it sets the state of a generator of random numbers", "do so before")
        _, cached, _, is_cached = _TAIL.unpack_from(raw, _TAIL_AT)
        key = np.frombuffer(raw, "<u8", BLOCK, _WORDS_AT).astype(np.uint32)
        with self.lock:
            self._pending = None
            _, twister = self._source()
            fresh = left == 1 and position == 0
            self._load(key, BLOCK if fresh else 0)
            if not fresh:
                self._block[:] = twister.random_raw(BLOCK)
            self.desk[USED] = UNFILLED if fresh else position
            self.seed_value = seed
            self.cached_normal = cached if is_cached else None

    def _words_across_blocks(self, count: int) -> NDArray[np.uint32]:
        """Serves what the buffer cannot; again the twister ends where the new buffer does."""
        _, twister = self._source()
        used = self.desk.item(USED)
        rest = _NO_WORDS if used == UNFILLED else self._block[used:].copy()
        missing = count - rest.size
        if not missing:
            return rest
        raw = twister.random_raw(-(-missing // BLOCK) * BLOCK)
        self._block[:] = raw[-BLOCK:]
        self.desk[USED] = missing - (raw.size - BLOCK)
        if not rest.size and missing <= BLOCK:
            return self._block[:missing]
        words = np.empty(count, np.uint32)
        words[: rest.size] = rest
        words[rest.size :] = raw[:missing]
        return words

    def _source(self) -> tuple[Any, Any]:
        """NumPy's twister, seeded by now, after its legacy front end, which seeds and sets it."""
        if self._twister is None:
            from numpy.random import MT19937, RandomState  # 12 ms: not at import

            twister = MT19937(0)
            self._twister = (RandomState(twister), twister)
        if self._pending is not None:
            self._twister[0].seed(self._pending)
            self._pending = None
        return self._twister

    def _load(self, key: NDArray[np.uint32], position: int) -> None:
        self._source()[0].set_state(("MT19937", key, position))


def wrap_seed(seed: int) -> int:
    """`seed` as an unsigned 64-bit integer; negative seeds wrap around."""
    value = operator.index(seed)
    if not -(2**63) <= value < 2**64:
        raise ValueError(
            f"Overflow: seed {value} does not fit into 64 bits; it must lie in [-2**63, 2**64)."
        )
    return value % 2**64


def entropy_seed() -> int:
    """A seed from the operating system, >= 0 and of 63 bits."""
    return int.from_bytes(os.urandom(8), "little") >> 1
