"""Loops that are no ops, for eager code: sorts by digits, running sums, elimination in small
matrices, elements moved by index and others. Each function prepares the arrays of one loop of
backends/llvm/serial.py, or leaves shapes, dtypes and gaps that it is not for to NumPy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler.scalars import FLOATS
from rushlight.core.native import BRIEF
from rushlight.core.sampling import memory_order

_loops: dict[Any, Any] = {}


def loop(name: str, *operands: Any, **params: Any) -> Any:
    """Run a loop of backends/llvm/serial.py, see LOOPS; what it makes, or None where shapes, dtypes
    or gaps need other ways.
    """
    return LOOPS[name](name, *operands, **params)


def order_of(name: str, keys: Any, bits: int) -> Any:
    """The stable order, along the last dim, of uint64 keys of so many bits. Overwrites them."""
    from rushlight.compiler.backends.llvm.serial import DIGIT

    n = keys.shape[-1]
    places, keys = np.empty(keys.shape, np.int64), np.ascontiguousarray(keys)
    places[...] = np.arange(n)
    more_keys, more_places = np.empty_like(keys), np.empty_like(places)
    counts = np.empty(1 << DIGIT, np.int64)
    for shift in range(0, bits, DIGIT):
        arrays = (keys, places, more_keys, more_places, counts)
        run_loop("digit", None, arrays, keys.size // n, (n, shift))
        keys, more_keys, places, more_places = more_keys, keys, more_places, places
    return places


SMALL = 64  # rows and columns of matrices that fit into the cache nearest to the processor


def small(name: str, a: Any, b: Any) -> Any:
    """(The result, the row exchanges, whether there was a pivot of 0) of elimination in matrices a
    (..., n, n), with right sides b (..., n, r), or None for "lu" and "cholesky", for which pivots
    have to be positive; None for other matrices.
    """
    from rushlight.compiler.backends.llvm.small import PAD

    n, d, size = a.shape[-1], a.dtype, a.size
    r = 0 if b is None else b.shape[-1]
    if d not in FLOATS or a.shape[-2] != n or not 0 < n <= SMALL or r > SMALL or not size:
        return None
    if b is not None and (b.dtype != d or b.shape[:-1] != a.shape[:-1] or not r):
        return None
    a = np.ascontiguousarray(a)
    b = a if b is None else np.ascontiguousarray(b)
    middle = -(-n // PAD) * PAD
    width = middle + -(-r // PAD) * PAD
    out, pivots = np.empty(b.shape, d), np.empty(a.shape[:-1], np.int32)
    arrays = (a, b, out, pivots, np.empty((n + 1) * width, d))
    return out, pivots, not run_loop(name, d, arrays, size // (n * n), (n, r, middle, width))


MOVED = {n: np.dtype(f"i{n}") for n in (1, 2, 4, 8)}  # by their bytes


def run_loop(
    name: str, d: Any, arrays: tuple[Any, ...], units: int, numbers: tuple[int, ...] = ()
) -> bool:
    """Run a loop over units, on arrays without gaps. The numbers are one more operand. Whether it
    could do its work.
    """
    made = entry("entry", name, d, len(arrays))
    run = made.briefly if arrays[0].size < BRIEF else made.freely
    done: bool = run(*arrays, *numbers, units)
    return done


def entry(_: str, name: str, d: Any, arrays: int) -> Any:
    """What runs a loop, see ``Serial``."""
    found = _loops.get((name, d))
    if found is None:
        from rushlight.compiler.backends.llvm.calls import Along, Serial
        from rushlight.compiler.backends.llvm.moves import MOVES

        found = Along(name, d) if name in MOVES else Serial(name, d, arrays)
        _loops[name, d] = found
    return found


def sparse(name: str, rows: Any, x: Any, y: Any, out: Any) -> bool:
    """Products of a sparse matrix, given by its rows; False for dtypes that have no kernel."""
    if out.dtype not in FLOATS or not out.size or x.dtype != out.dtype or y.dtype != out.dtype:
        return False
    x = np.ascontiguousarray(x)
    arrays = (rows.starts, rows.columns, x, y, out)
    run_loop(name, out.dtype, arrays, len(rows.starts) - 1, (math.prod(y.shape[1:]),))
    return True


def ctc(name: str, x: Any, targets: Any, *others: Any, blank: int) -> Any:
    """Losses of connectionist temporal classification, or their gradients, where ``others`` end
    with those by the losses; None for labels out of range.
    """
    from rushlight.compiler.backends.llvm.ctc import room, sizes_of

    losses = name == "ctc loss"
    x, targets = np.ascontiguousarray(x), np.ascontiguousarray(targets, np.int64)
    sizes = sizes_of(x, targets, blank)
    bytes = room(0 if losses else sizes[0], sizes[4], x.itemsize)
    n = sizes[1]
    left = np.empty(n, x.dtype) if losses else np.ascontiguousarray(others[2])
    right = np.empty(n, np.int64) if losses else np.empty(x.shape, x.dtype)
    lengths = [np.ascontiguousarray(a, np.int64) for a in others[:2]]
    work, given = np.empty(bytes, np.uint8), np.array(sizes)
    run_loop(name, x.dtype, (x, targets, *lengths, left, right, work, given), n)
    if not losses:
        return right
    return left if right.all() else None


def bag_maxima(name: str, rows: Any, bag: Any, absent: Any, bags: int) -> Any:
    """Which row is the greatest of its bag, by column."""
    if rows.dtype not in FLOATS:
        return None
    rows, bag = np.ascontiguousarray(rows), np.ascontiguousarray(bag)
    if absent is None:
        absent = np.zeros(len(rows), np.uint8)
    out, sizes = np.empty((bags, rows.shape[1]), np.int64), (*rows.shape, bags)
    if out.size:
        run_loop(name, rows.dtype, (rows, bag, np.ascontiguousarray(absent), out), 1, sizes)
    return out


def reverse(name: str, x: Any, dims: tuple[int, ...]) -> Any:
    """An array without gaps in reverse order along dims that are neighbours in memory, or None."""
    if not x.flags.c_contiguous:
        order = memory_order(x)
        turned = x.transpose(order)
        if not turned.flags.c_contiguous:
            return None
        found = reverse(name, turned, tuple([order.index(d) for d in dims]))
        return None if found is None else found.transpose(np.argsort(order))
    first, last = min(dims), max(dims)
    d = MOVED.get(x.dtype.itemsize)
    if d is None or last - first >= len(dims):
        return None
    shape, out = x.shape, np.empty(x.shape, x.dtype)
    n, inner = math.prod(shape[first : last + 1]), math.prod(shape[last + 1 :])
    run_loop(name, d, (x, out), x.size // (n * inner), (n, inner))
    return out


def bin_maxima(name: str, x: Any, bins: Any) -> Any:
    """Maxima of bins along the last one or two dims of floats, and their flat places, or None."""
    if x.dtype not in FLOATS or len(bins) > 2:
        return None
    x = np.ascontiguousarray(x)
    along = bins if len(bins) == 2 else [[(0, 1)], *bins]
    lead, space = x.shape[: -len(bins)], (1, *x.shape[-len(bins) :])[-2:]
    shape = (*lead, *[len(b) for b in bins])
    values, places = np.empty(shape, x.dtype), np.empty(shape, np.int64)
    table = np.array([end for b in along for pair in b for end in pair])
    sizes = (*space, len(along[0]), len(along[1]))
    run_loop(name, x.dtype, (x, values, places, table), math.prod(lead), sizes)
    return values, places


LOOPS: dict[str, Any] = {
    "entry": entry,
    "bin maxima": bin_maxima,
    "reverse": reverse,
    "bag maxima": bag_maxima,
    "order": order_of,
    **dict.fromkeys(("ctc loss", "ctc gradient"), ctc),
    **dict.fromkeys(("sparse product", "sparse dots"), sparse),
    **dict.fromkeys(
        ("lu", "cholesky", "solve", "upper", "lower", "upper unit", "lower unit"), small
    ),
}
