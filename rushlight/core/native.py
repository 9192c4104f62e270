"""Compiled kernels for eager code: ops offer their work, and a compiler may take it.

Core and ops know no compiler. An op that a kernel does better than NumPy (``compiled``) asks
``kernels.find(op, arrays, params)`` when its first array has at least ``least`` elements; the
answer is what its ``eager`` would return, or None, and then NumPy computes. Whoever imports
rushlight provides the finder; the first large array loads it, or the first small one that a loop
serves better.

Note [Kernels and bits]
A kernel's result may differ from NumPy's in the last place, so which of the two computes depends on
nothing but the op, its parameters, and the dtypes, shapes and layouts of its inputs: equal calls
give equal bits, the first one too, on every run. Hence a kernel is compiled when it is first met.
Only an op that meets ever new shapes leaves them to NumPy, until one was met often: that is
counted, never timed, so equal runs still give equal bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numpy import empty

from rushlight import dtypes

LEAST = 8192  # elements: with fewer, finding and calling a kernel costs more than it saves
MIDDLING = 2048  # the same for ops that NumPy takes several steps for
SOME = 1  # elements: halves, and floats in formulas of several steps, from which kernels pay
BRIEF = 1 << 16  # elements: loops over more let other threads run
AT_ONCE = 1 << 19  # elements: more are worth several threads
ROW = 4096  # elements that sums of everything add up in one go
PATIENCE = 1000  # small loops by NumPy, which take about as long as loading the kernels
Finder = Callable[..., Any]  # (op, arrays, params), or with the array to write to as fourth
Loops = Callable[..., Any]  # (name, arrays ...)


class Kernels:
    """``find``, whether it is asked, ``loop``, which runs a loop that is no op, and ``cast``: the
    op that converts to another dtype, which ``ops`` provides.
    """

    __slots__ = ("find", "loop", "on", "loaded", "small", "cast", "entries")

    find: Finder
    loop: Loops
    cast: Any

    def __init__(self) -> None:
        self.on = self.loaded = False
        self.small = 0
        self.entries: dict[Any, Any] = {}

    def runner(self, name: str, d: Any, arrays: int, size: int, exact: bool = True) -> Any:
        """What runs a loop: ``f(*arrays, *numbers, units)`` says whether it could, see
        backends/llvm/direct.py. None where NumPy is to do it.

        ``size``: how many elements it goes through. ``exact``: its results are NumPy's to the bit,
        so that it may wait until it is worth loading.
        """
        if not self.on:
            return None
        entry = self.entries.get((name, d))
        if entry is None:
            wanted = self.worth(size) or not exact
            entry = self.loop("entry", name, d, arrays) if wanted else None
            if entry is None:
                return None
            self.entries[name, d] = entry
        return entry.briefly if size < BRIEF else entry.freely

    def worth(self, count: int) -> bool:
        """Whether to ask for a loop over so many elements whose results are NumPy's to the bit: a
        long one, any once kernels are loaded, or the last of many.
        """
        if not self.on or self.loaded or count >= LEAST:
            return self.on
        self.small += 1
        return self.small >= PATIENCE


kernels = Kernels()


def provide(load: Callable[[], tuple[Finder, Loops] | None]) -> None:
    """Let ``load()`` give ``find`` and ``loop``, when the first op asks; None: there are no kernels
    here.
    """

    def loaded() -> bool:
        found = load()
        if found is None:
            kernels.on = False
            return False
        kernels.find, kernels.loop = found
        kernels.loaded = True
        return True

    kernels.find = lambda *call: kernels.find(*call) if loaded() else None
    kernels.loop = lambda *call, **more: kernels.loop(*call, **more) if loaded() else None
    kernels.on, kernels.loaded, kernels.small = True, False, 0


# what kernels convert to each other, and the loops for few
EXCHANGED = {d: f"to {d.name}" for d in (dtypes.float32, *dtypes.HALVES)}


def converted(x: Any, d: Any, order: Any = "K") -> Any:
    """Array x in dtype d, in new memory. NumPy converts halves one by one, kernels do not; float16
    goes through float32, as torch's does.
    """
    have = x.dtype
    if d == have or not (d in dtypes.HALVES or have in dtypes.HALVES):
        return x.astype(d, order)
    plain = d in EXCHANGED and have in EXCHANGED and x.flags.carray
    run = kernels.runner(EXCHANGED[d], have, 2, x.size) if plain and 0 < x.size < AT_ONCE else None
    if run is not None:
        out = empty(x.shape, d)
        run(x, out, x.size)
        return out
    if x.size >= LEAST and kernels.on and d not in dtypes.INTEGER_TYPES:
        out = kernels.find(kernels.cast, (x,), {"dtype": d})
        if out is not None:
            return out
    if have is dtypes.float16 and d not in EXCHANGED:
        return converted(x, dtypes.float32, order).astype(d, order, copy=False)
    if d is dtypes.float16 and have not in EXCHANGED:
        return converted(x.astype(dtypes.float32, order), d, order)
    return x.astype(d, order)


def in_dtype(x: Any, d: Any) -> Any:
    """Array x in dtype d: itself if it has that."""
    return x if x.dtype is d else converted(x, d)


def widened(x: Any) -> Any:
    """Halves as float32, in which they are computed; others, and None, as they are."""
    return converted(x, dtypes.float32) if x is not None and x.dtype in dtypes.HALVES else x


@contextmanager
def without_kernels() -> Iterator[None]:
    """Within it NumPy computes everything."""
    on, kernels.on = kernels.on, False
    try:
        yield
    finally:
        kernels.on = on
