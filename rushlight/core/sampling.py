"""What distributions make of the engine's words: the values, and the number of words, that torch's
CPU kernels take.

Every function returns flat values in drawing order; `put` lays them out in an array of any strides.
Formulas follow torch's kernels to the rounding: where those are scalar C, the same libm is called
through `math`; its vectorised functions are in `vector_math.py`. torch is compiled with fused
multiply-add, hence `fused`. Samplers that reject are in `rejection.py`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rushlight import dtypes
from rushlight.core import vector_math
from rushlight.core.mt19937 import Engine
from rushlight.core.native import in_dtype, kernels
from rushlight.errors import NotSupportedError

Array = NDArray[Any]

CHUNK = 32 * 624  # elements transformed at a time, so that all of them stay in the cache
FEW_WAITS = 256  # of which the C library computes logarithms faster than NumPy
_TWO_PI = 2 * math.pi
# 0-dim arrays, which NumPy takes faster than its scalars
_LOW_53 = np.array(2**53 - 1, np.uint64)
_TWO_PI_32, _MINUS_TWO_32, _ONE_32 = vector_math.constants(np.float32, _TWO_PI, -2, 1)
DIGITS = {dtypes.float16: 11, dtypes.bfloat16: 8, dtypes.float32: 24, dtypes.float64: 53}


def put(array: Array, values: Array) -> None:
    """Writes flat `values` into `array` as torch visits it: by falling stride, in memory order."""
    if not array.flags.c_contiguous:
        array = array.transpose(memory_order(array))
    array[...] = values.reshape(array.shape)


def memory_order(array: Array) -> list[int]:
    """The dims of `array` from the largest stride to the smallest."""
    return sorted(range(array.ndim), key=lambda dim: -abs(array.strides[dim]))


def in_chunks(count: int, dtype: Any, draw: Callable[[int], Array]) -> Array:
    """`draw(count)` as `dtype`, made in pieces when it is long."""
    if count <= CHUNK:
        values = draw(count)
        return values if values.dtype is dtype else rounded(values, dtype)
    out = np.empty(count, dtype)
    for start in range(0, count, CHUNK):
        stop = min(start + CHUNK, count)
        out[start:stop] = rounded(draw(stop - start), dtype)
    return out


def rounded(values: Array, dtype: Any) -> Array:
    """`values` as `dtype`; doubles reach the halves by way of float32, as in torch."""
    if values.dtype is dtypes.float64 and dtype in dtypes.HALVES:
        values = values.astype(np.float32)
    return values.astype(dtype, copy=False)


def fused(x: Array, factor: Any, term: Any, dtype: Any) -> Array:
    """``x * factor + term`` rounded once, in `dtype`, float32 or float64. May overwrite x."""
    if term == 0:
        if factor != 1:
            x *= dtype.type(factor)
        return x
    if dtype is dtypes.float32:
        wide = x.astype(np.float64)
        wide *= np.array(np.float32(factor), np.float64)
        wide += np.array(np.float32(term), np.float64)
        return wide.astype(np.float32)
    if abs(factor) > 1e290:  # the parts of the product would overflow
        x *= factor
        x += term
        return x
    product, error = two_product(x, np.float64(factor))
    total: Array = product + term
    back = total - product
    error += (product - (total - back)) + (term - back)
    total += error
    return total


def two_product(x: Array, y: Any) -> tuple[Array, Array]:
    """The float64 product and its rounding error (Dekker, 1971), exact unless it overflows."""
    product = x * y
    x_high = _upper_half(x)
    y_high = _upper_half(y)
    x_low, y_low = x - x_high, y - y_high
    error = ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low
    return product, error


def _upper_half(x: Any) -> Any:
    scaled = x * 134217729.0  # 2**27 + 1
    return scaled - (scaled - x)


@functools.lru_cache(maxsize=64)
def numbers(*values: float) -> Array:
    """Numbers that loops want, not to be written to."""
    return np.array(values, np.float64)


def drawn(
    name: str, engine: Engine, count: int, dtype: Any, limits: Any, into: Any, exact: bool = True
) -> Any:
    """`count` values by a loop of backends/llvm/draws, flat or in `into`, or None, and then
    nothing is drawn.

    Args:
        limits: an array of the numbers that the loop wants, or None.
        into: an array of `dtype` to fill, if it is contiguous, or None.
        exact: the results are those of the functions here to the bit.
    """
    run = kernels.runner(name, dtype, 2 if limits is None else 3, count, exact)
    if run is None:
        return None
    out = into if into is not None and into.flags.carray else np.empty(count, dtype)
    with engine.lock:
        if not engine.ready:
            engine.prepare()
        if limits is None:
            could = run(engine.desk, out, count)
        else:
            could = run(engine.desk, out, limits, count)
    return out if could else None


def libm(function: Callable[[float], float], x: Array) -> Array:
    """`function` of Python's math (the C library's, as torch calls it) for each element; NumPy's
    differ in the last bit.
    """
    return np.fromiter(map(function, x.tolist()), np.float64, x.size)


# ---------------------------------------------------------------- uniform and integers


@functools.lru_cache(maxsize=64)
def range_of(low: float, high: float) -> Array:
    """The width of a range, and its limits, in float32."""
    start, stop = np.float32(low), np.float32(high)
    return np.array((stop - start, start, stop))


def uniform(
    engine: Engine,
    count: int,
    dtype: Any,
    low: float = 0.0,
    high: float = 1.0,
    into: Any = None,
) -> Array:
    """Uniform on [low, high).

    Halves are rounded from float32; a value that rounding makes equal to `high` becomes `low`.
    """
    if dtype is dtypes.float32 and count:
        found: Array | None = drawn("uniforms", engine, count, dtype, range_of(low, high), into)
        if found is not None:
            return found
    work = dtypes.float64 if dtype is dtypes.float64 else dtypes.float32
    source = engine.doubles if dtype is dtypes.float64 else engine.floats
    start, stop = work.type(low), work.type(high)
    own = dtype is work
    width = stop - start
    if low == 0 and high == 1 and own:
        return in_chunks(count, dtype, source)
    highest = float(stop)
    top, bottom = (stop, start) if own else (stop.astype(dtype), start.astype(dtype))

    def draw(n: int) -> Array:
        values = fused(source(n), width, start, work)
        if not own:
            values = values.astype(dtype)
        if not own or (n and values.item(values.argmax()) == highest):
            np.putmask(values, values == top, bottom)
        return values

    return in_chunks(count, dtype, draw)


@functools.lru_cache(maxsize=64)
def whole_numbers(*values: int) -> Array:
    """Integers that loops want, not to be written to."""
    return np.array(values, np.int64)


def integers(
    engine: Engine, count: int, dtype: Any, low: int, high: int, into: Any = None
) -> Array:
    """Integers on [low, high): one word each below a width of 2**28, else two."""
    width = high - low
    if width >= 2**64:
        return in_chunks(count, dtype, lambda n: engine.longs(n).view(np.int64))
    if width >= 2**28:
        offset, modulus = np.uint64(low % 2**64), np.uint64(width)
        return in_chunks(
            count, dtype, lambda n: (engine.longs(n) % modulus + offset).view(np.int64)
        )

    if dtype is dtypes.int64 and count:
        limits = whole_numbers(width, low)
        found: Array | None = drawn("integers", engine, count, dtype, limits, into)
        if found is not None:
            return found
    divisor = np.array(width, np.uint32)

    def draw(n: int) -> Array:
        words = engine.words(n)  # NumPy divides by one number fast, but takes remainders slowly
        words = words - words // divisor * divisor
        values = words.astype(np.int64)
        if low:
            values += low
        return values

    return in_chunks(count, dtype, draw)


def raw(engine: Engine, count: int, dtype: Any) -> Array:
    """All non-negative integers that `dtype` holds exactly: ``random_()`` without bounds."""
    if dtype is dtypes.float64 or dtype is dtypes.int64:
        modulus = np.uint64(2**53 + 1 if dtype is dtypes.float64 else 2**63)
        return in_chunks(count, dtype, lambda n: engine.longs(n) % modulus)
    size = (
        2 ** DIGITS[dtype] + 1
        if dtype in DIGITS
        else 2
        if dtype is dtypes.bool_
        else dtypes.integer_range(dtype)[1] + 1
    )
    if size > 2**32:
        return in_chunks(
            count,
            dtype,
            lambda n: engine.longs(n) % np.uint64(size) if size < 2**64 else engine.longs(n),
        )
    as_float32 = dtype is dtypes.bfloat16

    def draw(n: int) -> Array:
        words = engine.words(n) % np.uint32(size) if size < 2**32 else engine.words(n)
        return words.astype(np.float32) if as_float32 else words

    return in_chunks(count, dtype, draw)


def permutation(engine: Engine, count: int) -> Array:
    """A shuffle of 0 .. count-1: step i swaps element i with one drawn from i .. count-1."""
    if count < 2:
        return np.arange(count)
    wide = count >= (2**32 - 1) // 20
    found: Array | None = None
    if not wide:
        found = drawn("shuffle", engine, count, dtypes.int64, None, None)
    if found is not None:
        return found
    draws: Array = engine.longs(count - 1) if wide else engine.words(count - 1)
    if count <= 512:
        return _swap_one_by_one(draws.tolist())
    remaining = np.arange(count, 1, -1, dtype=draws.dtype)
    targets = (draws % remaining).astype(np.int64)
    targets += np.arange(count - 1)
    return _swap_vectorised(targets)


def _swap_one_by_one(draws: list[int]) -> Array:
    count = len(draws) + 1
    order = list(range(count))
    for i, n in enumerate(draws):
        j = i + n % (count - i)
        order[i], order[j] = order[j], order[i]
    return np.array(order)


def _swap_vectorised(targets: Array) -> Array:
    """The same swaps without a loop over steps.

    Step i leaves in place i what position j = targets[i] then holds, and moves place i's own value
    to j. So position j holds its own number until some earlier step k < i had the same target; then
    the value V(k) that place k held before step k. V(k) is k itself, or V(l) of the last step l < k
    that aimed at k: chains that pointer jumping follows.
    """
    count = targets.size + 1
    steps = np.arange(count)
    targets = np.append(targets, count - 1)
    value = steps.copy()
    moving = np.flatnonzero(targets != steps)
    # the last step that aims there: of repeated indices, the last write stays
    value[targets[moving]] = moving
    chained = np.flatnonzero(value != steps)
    while chained.size:
        nearer = value[chained]
        further = value[nearer]
        value[chained] = further
        chained = chained[further != nearer]
    bits = count.bit_length()
    keys = np.sort(targets << bits | steps)  # by target, then by step
    target, step = keys >> bits, keys & ((1 << bits) - 1)
    held = target.copy()
    repeated = np.flatnonzero(target[1:] == target[:-1])
    held[repeated + 1] = value[step[repeated]]
    order = np.empty(count, np.int64)
    order[step] = held
    still = np.flatnonzero(targets == steps)
    order[still] = value[still]
    return order


# ---------------------------------------------------------------- normal


def normal(
    engine: Engine,
    count: int,
    dtype: Any,
    mean: float = 0.0,
    std: float = 1.0,
    contiguous: bool = True,
    into: Any = None,
) -> Array:
    """Normal values: in pairs when fewer than 16 or not `contiguous`, else in blocks of 16."""
    if dtype.kind == "c":
        parts = normal(
            engine, 2 * count, dtypes.REAL_OF[dtype], mean, std / math.sqrt(2), contiguous
        )
        return parts.view(dtype)
    if count < 16 or not contiguous:
        return scaled_pairs(engine, count, dtype, float(mean), float(std), into)
    return normal_blocks(engine, count, dtype, float(mean), float(std))


def scaled_pairs(
    engine: Engine, count: int, dtype: Any, mean: float, std: float, into: Any = None
) -> Array:
    """`polar_pairs` with a mean and a deviation; the last bit of the double matters only when it is
    kept.
    """
    exact = dtype is dtypes.float64
    if dtype in dtypes.FLOATS and 0 < count < 64:
        found: Array | None = drawn("normal pairs", engine, count, dtype, numbers(std, mean), into)
        if found is not None:
            return found
    values = polar_pairs(engine, count, exact)
    if exact:
        return fused(values, std, mean, dtype)
    if mean != 0 or std != 1:
        values = values * std + mean
    return rounded(values, dtype)


def normal_blocks(engine: Engine, count: int, dtype: Any, mean: float, std: float) -> Array:
    """`count` >= 16 normals. A block pairs uniform j with j + 8; the last 16 values are drawn anew
    when blocks do not fit.
    """
    work = dtypes.float64 if dtype is dtypes.float64 else dtypes.float32
    standard = mean == 0 and std == 1
    whole = count - count % 16
    if dtype is dtypes.float32 and (standard or count <= CHUNK):
        values: Array | None = drawn("normals", engine, count, dtype, _ONE_32, None)
        if values is not None:
            return values if standard else fused(values, std, mean, work)

    def draw(n: int, passed: int = 0, more: int = 0) -> Array:
        values = standard_blocks(engine, n, work, passed, more)
        return rounded(values if standard else fused(values, std, mean, work), dtype)

    if whole == count:
        return in_chunks(count, dtype, draw)
    # the uniforms that the last values replace; halves never drew them
    passed = 0 if dtype in dtypes.HALVES else count - whole
    out = np.empty(count, dtype)
    if count <= CHUNK:
        values = draw(whole, passed, 16)
        out[:whole], out[-16:] = values[:whole], values[whole:]
    else:
        out[: whole - 16] = in_chunks(whole - 16, dtype, draw)
        values = draw(16, passed, 16)
        out[whole - 16 : whole], out[-16:] = values[:16], values[16:]
    return out


def standard_blocks(engine: Engine, count: int, dtype: Any, passed: int, more: int) -> Array:
    """`count` standard normals, `passed` uniforms that nobody sees, and `more` normals; both are
    multiples of 16.
    """
    if dtype is dtypes.float32 and not more:
        values: Array | None = drawn("normals", engine, count, dtype, _ONE_32, None)
        if values is not None:
            return values
    source = engine.doubles if dtype is dtypes.float64 else engine.floats
    uniforms: Array = source(count + passed + more)
    if passed:
        uniforms = np.concatenate((uniforms[:count], uniforms[count + passed :]))
    return (_blocks_64 if dtype is dtypes.float64 else _blocks_32)(uniforms)


def _blocks_32(uniforms: Array) -> Array:
    halves = uniforms.reshape(-1, 2, 8)
    pairs = np.empty_like(halves)
    radius = vector_math.log(_ONE_32 - halves[:, 0])
    radius *= _MINUS_TWO_32
    np.sqrt(radius, radius)
    sine, cosine = vector_math.sin_cos(halves[:, 1] * _TWO_PI_32)
    np.multiply(cosine, radius, pairs[:, 0])
    np.multiply(sine, radius, pairs[:, 1])
    return pairs.reshape(-1)


def _blocks_64(uniforms: Array) -> Array:
    halves = uniforms.reshape(-1, 2, 8)
    radius = np.sqrt(-2.0 * libm(math.log, 1.0 - halves[:, 0].ravel()))
    angle = _TWO_PI * halves[:, 1].ravel()
    pairs = np.stack((radius * libm(math.cos, angle), radius * libm(math.sin, angle)))
    return pairs.reshape(2, -1, 8).swapaxes(0, 1).reshape(-1)


def polar_pairs(engine: Engine, count: int, exact: bool = True) -> Array:
    """`count` standard normals as float64 in pairs; an odd one out is cached in the engine for the
    next call.

    `exact`: every bit as the C library gives it; otherwise long draws use NumPy's functions, whose
    last bit may differ.
    """
    if not count:
        return np.empty(0)
    cached = engine.cached_normal
    fresh = count - (cached is not None)
    pairs = (fresh + 1) // 2
    values = (
        _pairs_by_math(engine, pairs)
        if pairs < 32 or exact
        else _pairs_by_numpy(engine.doubles(2 * pairs))
    )
    engine.cached_normal = float(values[-1]) if fresh % 2 else None
    if fresh % 2:
        values = values[:-1]
    return values if cached is None else np.concatenate(((cached,), values))


def _pairs_by_math(engine: Engine, pairs: int) -> Array:
    sqrt, log1p, cos, sin = math.sqrt, math.log1p, math.cos, math.sin
    words = iter(engine.words(4 * pairs).tolist())
    values = []
    for high, low, high2, low2 in zip(words, words, words, words, strict=True):
        angle = _TWO_PI * (((high & 0x1FFFFF) << 32 | low) * 2.0**-53)
        radius = sqrt(-2.0 * log1p(((high2 & 0x1FFFFF) << 32 | low2) * -(2.0**-53)))
        values.append(radius * cos(angle))
        values.append(radius * sin(angle))
    return np.array(values, np.float64)


def _pairs_by_numpy(uniforms: Array) -> Array:
    angle = _TWO_PI * uniforms[0::2]
    radius = np.sqrt(-2.0 * np.log1p(-uniforms[1::2]))
    return np.stack((radius * np.cos(angle), radius * np.sin(angle)), 1).reshape(-1)


# ---------------------------------------------------------------- transforms of one uniform


def bernoulli(
    engine: Engine, count: int, p: float, dtype: Any = dtypes.bool_, into: Any = None
) -> Array:
    """One with probability `p`, else zero: 53 bits of a 64-bit word against it, compared as
    integers. In `dtype`, or as bools.
    """
    if dtype in dtypes.FLOATS and count:
        found: Array | None = drawn("coins", engine, count, dtype, numbers(p), into)
        if found is not None:
            return found
    limit = np.array(math.ceil(p * 2.0**53), np.uint64)  # u * 2**-53 < p exactly when u < p * 2**53

    def draw(n: int) -> Array:
        bits = engine.longs(n)
        bits &= _LOW_53
        return bits < limit

    return in_chunks(count, dtypes.bool_, draw)


def bernoulli_each(engine: Engine, p: Array) -> NDArray[np.bool_]:
    """True with each flat element's probability; float64 takes two words each, others one."""
    if p.dtype is dtypes.float64:
        return engine.doubles(p.size) < p
    return uniform(engine, p.size, dtypes.float32) < in_dtype(p, dtypes.float32)


def bernoulli_sample(engine: Engine, p: Array) -> Array:
    """One with each element's probability, else zero, in the shape and dtype of `p`."""
    if p.dtype in dtypes.FLOATS and p.size and p.flags.carray:
        found: Array | None = drawn("chances", engine, p.size, p.dtype, p, None)
        if found is not None:
            return found if p.ndim == 1 else found.reshape(p.shape)
    check_probabilities(p)
    return bernoulli_each(engine, p.reshape(-1)).astype(p.dtype).reshape(p.shape)


def check_probabilities(x: Array) -> None:
    """Refuse what are no probabilities."""
    if x.dtype not in dtypes.FLOATING_TYPES:
        name = dtypes.of[x.dtype].name
        raise NotSupportedError(
            f"bernoulli is not implemented for probabilities of dtype {name}; use a float."
        )
    if x.size and not (x.item(x.argmin()) >= 0 and x.item(x.argmax()) <= 1):  # nor NaN
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1: probabilities must lie in [0, 1].")


def of_doubles(
    engine: Engine, count: int, dtype: Any, name: str, transform: Callable[[Any, Array], Array]
) -> Array:
    """``transform(f, u)`` of uniform doubles, where f is libm's function `name` for float64 results
    and NumPy's otherwise.
    """
    exact: Callable[[float], float] = getattr(math, name)
    fast = getattr(np, name)
    function = (lambda x: libm(exact, x)) if dtype is dtypes.float64 else fast
    return in_chunks(count, dtype, lambda n: transform(function, engine.doubles(n)))


def exponential(
    engine: Engine, count: int, dtype: Any, rate: float = 1.0, into: Any = None
) -> Array:
    """Density rate * exp(-rate x) for x >= 0; an infinite rate gives zeros."""
    exact = dtype is dtypes.float64
    if count and (exact or (dtype is dtypes.float32 and count < FEW_WAITS)):
        factor = numbers(-1.0 / rate)
        found: Array | None = drawn("waits", engine, count, dtype, factor, into, exact)
        if found is not None:
            return found
    scale = np.array(-1.0 / rate)
    return of_doubles(engine, count, dtype, "log1p", lambda log1p, u: scale * log1p(-u))


def cauchy(
    engine: Engine, count: int, dtype: Any, median: float = 0.0, sigma: float = 1.0
) -> Array:
    """median + sigma * tan(pi (u - 1/2))."""
    return of_doubles(
        engine,
        count,
        dtype,
        "tan",
        lambda tan, u: fused(tan(math.pi * (u - 0.5)), sigma, median, dtypes.float64),
    )


def geometric(engine: Engine, count: int, dtype: Any, p: float) -> Array:
    """Trials up to and with the first success: ceil(log(u) / log(1 - p))."""
    divisor = math.log1p(-p)

    def transform(log: Any, u: Array) -> Array:
        values: Array = np.ceil(log(np.maximum(u, 5e-324)) / divisor)
        return values if dtypes.is_floating(dtype) else values.astype(np.int64)

    return of_doubles(engine, count, dtype, "log", transform)


def laplace(engine: Engine, count: int, dtype: Any) -> Array:
    """Laplace values of location 0 and scale 1: an exponential on either side, by the sign of u."""
    u = uniform(engine, count, dtype, float(dtypes.finfo(dtypes.of[dtype]).eps) - 1, 1.0)
    log1p = vector_math.log1p if dtype is dtypes.float32 else np.log1p
    values: Array = np.sign(u) * log1p(-np.abs(u))
    return rounded(np.negative(values, values), dtype)


def log_normal(
    engine: Engine, count: int, dtype: Any, mean: float = 1.0, std: float = 2.0
) -> Array:
    """exp of a normal value; always in pairs, however long."""
    exact = dtype is dtypes.float64
    values = fused(polar_pairs(engine, count, exact), float(std), float(mean), dtypes.float64)
    return libm(math.exp, values) if exact else rounded(np.exp(values), dtype)
