"""Random tensors, and the generators that they come from.

Streams equal torch's CPU generator for the same seed.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from rushlight import devices, dtypes, formats, gpu
from rushlight.core import sampling
from rushlight.core.device_array import beside, device_empty
from rushlight.core.generator import Generator, default_generator, engine_at, generator_on, seed_all
from rushlight.core.meta import MetaArray
from rushlight.core.state import modes, state
from rushlight.core.tensor import UNSHARED, Tensor
from rushlight.core.window import Window
from rushlight.devices import find_gpu
from rushlight.errors import NotSupportedError, ShapeError
from rushlight.ops import random as R
from rushlight.tensor_api._common import (
    check_factory,
    expect_tensor,
    finish,
    numpy_dtype,
    resize,
    store_out,
)
from rushlight.tensor_api.random_fill import as_int, floating, integer_bounds, into, sizes_of
from rushlight.tensor_api.random_samples import bernoulli, binomial, multinomial, normal, poisson

__all__ = [
    "Generator", "bernoulli", "binomial", "default_generator", "get_rng_state", "initial_seed",
    "manual_seed", "multinomial", "normal", "poisson", "rand", "rand_like", "randint",
    "randint_like", "randn", "randn_like", "randperm", "seed", "set_rng_state",
]  # fmt: skip


# Generators


def manual_seed(seed: Any) -> Generator:
    """Starts the stream of ``seed`` for all random numbers; the same seed gives the same numbers,
    and torch's.

    Args:
        seed: an int in [-2**63, 2**64).

    Example:
        >>> import rushlight as torch
        >>> torch.manual_seed(0).initial_seed(), torch.rand(2)
        (0, tensor([0.4963, 0.7682]))
    """
    seed_all(int(seed))
    return default_generator


def seed() -> int:
    """Starts a stream that the operating system chooses; returns its seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default generator started from.

    Example:
        >>> import rushlight as torch
        >>> torch.manual_seed(7).initial_seed()
        7
        >>> torch.initial_seed()
        7
    """
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The default generator's state, to be given to ``set_rng_state`` later; 5056 bytes, also
    readable by torch.

    Example:
        >>> import rushlight as torch
        >>> state = torch.get_rng_state()
        >>> a = torch.rand(3)
        >>> torch.set_rng_state(state)
        >>> torch.equal(a, torch.rand(3))
        True
    """
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Continues where ``new_state`` was taken.

    Example:
        >>> import rushlight as torch
        >>> state = torch.get_rng_state()
        >>> a = torch.rand(3)
        >>> torch.set_rng_state(state)
        >>> torch.equal(a, torch.rand(3))
        True
    """
    default_generator.set_state(new_state)


@contextlib.contextmanager
def fork_rng(
    devices: Any = None, enabled: bool = True, _caller: str = "fork_rng",
    _devices_kw: str = "devices", device_type: Any = None,
) -> Iterator[None]:  # fmt: skip
    """What is drawn inside leaves the stream outside untouched.

    Args:
        devices: GPUs whose generators are saved as well, by default all.
        enabled: False makes it do nothing.

    Example:
        >>> import rushlight as torch
        >>> with torch.random.fork_rng():
        ...     inside = torch.rand(1)
        >>> torch.equal(inside, torch.rand(1))
        True
    """
    if not enabled:
        yield
        return
    drivers = gpu.drivers() if devices is None else [find_gpu(d) for d in devices]
    generators = [default_generator, *[generator_on(d.index) for d in drivers]]
    states = [generator.get_state() for generator in generators]
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


# Filled tensors


def rand(
    *size: Any,
    generator: Any = None,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    **named: Any,
) -> Tensor:
    """Uniform values on [0, 1).

    Args:
        size: sizes, as ints or one sequence.
        generator: stream to draw from; the default one for None.
        dtype: floating-point or complex type; the default dtype for None.

    Example:
        >>> import rushlight as torch
        >>> torch.manual_seed(0) and torch.rand(2, 2)
        tensor([[0.4963, 0.7682],
                [0.0885, 0.1320]])
    """
    shape = sizes_of(_size(size, named, "rand"), "rand")
    place = None
    if device is not None or layout is not None or devices.current.chosen is not None:
        place = check_factory(device, layout)
    engine = engine_at(place, generator)
    if out is not None:
        floating(expect_tensor(out, "rand", "out")._array.dtype, "rand")
        return into(out, shape, dtype, R.Uniform, engine=engine, low=0.0, high=1.0)
    d = dtypes.default.float if dtype is None else floating(numpy_dtype(dtype), "rand")
    if place is devices.META:
        return finish(MetaArray(shape, d), requires_grad)
    if state.busy or isinstance(place, gpu.Driver):
        return drawn(
            np.empty(shape, d), place, R.Uniform, requires_grad, engine=engine, low=0.0, high=1.0
        )
    if d.kind == "c":
        parts = sampling.uniform(engine, 2 * math.prod(shape), dtypes.REAL_OF[d])
        return finish(parts.view(d).reshape(shape), requires_grad, place)
    values = fresh(sampling.uniform(engine, math.prod(shape), d), shape)
    return finish(values, requires_grad, place)


def randn(
    *size: Any,
    generator: Any = None,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    **named: Any,
) -> Tensor:
    """Normal values with mean 0 and variance 1 (complex: 1/2 for each part).

    Args:
        size: sizes, as ints or one sequence.
        generator: stream to draw from; the default one for None.
        dtype: floating-point or complex type; the default dtype for None.

    Example:
        >>> import rushlight as torch
        >>> torch.manual_seed(0) and torch.randn(3)
        tensor([ 1.5410, -0.2934, -2.1788])

    Reference: Box and Muller, 1958, "A note on the generation of random normal deviates".
    """
    shape = sizes_of(_size(size, named, "randn"), "randn")
    place = None
    if device is not None or layout is not None or devices.current.chosen is not None:
        place = check_factory(device, layout)
    engine = engine_at(place, generator)
    if out is not None:
        floating(expect_tensor(out, "randn", "out")._array.dtype, "randn")
        return into(out, shape, dtype, R.Normal, engine=engine, mean=0.0, std=1.0)
    d = dtypes.default.float if dtype is None else floating(numpy_dtype(dtype), "randn")
    if place is devices.META:
        return finish(MetaArray(shape, d), requires_grad)
    if state.busy or isinstance(place, gpu.Driver):
        return drawn(
            np.empty(shape, d), place, R.Normal, requires_grad, engine=engine, mean=0.0, std=1.0
        )
    values = sampling.normal(engine, math.prod(shape), d)
    values = fresh(values, shape) if values.base is None else values.reshape(shape)
    return finish(values, requires_grad, place)


def drawn(x: Any, place: Any, op: Any, requires_grad: bool, **params: Any) -> Tensor:
    """A new leaf on x's memory, or on that of a GPU, filled with draws, which a trace notes."""
    if x.__class__ is MetaArray:
        return finish(x, requires_grad)
    if modes.trace is None and not isinstance(place, gpu.Driver):
        op.instance.store(x, [], params)
        return finish(x, requires_grad, place)
    if modes.trace is None:
        x, place = device_empty(x.shape, x.dtype, place, x.strides), None
    t: Tensor = op.update(finish(x, place=place), **params)
    t._counter = UNSHARED  # as nothing has seen it before
    return t.requires_grad_() if requires_grad else t


def fresh(values: Any, shape: tuple[int, ...]) -> Any:
    """Flat values, which nobody else holds, reshaped in place: the array still owns its memory."""
    if values.shape != shape:
        values.resize(shape, refcheck=False)
    return values


def _size(size: tuple[Any, ...], named: dict[str, Any], function: str) -> tuple[Any, ...]:
    """Sizes given by position or as ``size=``."""
    if named:
        if size or set(named) != {"size"}:
            raise TypeError(f"{function}() got unexpected arguments: {', '.join(named)}")
        return (named["size"],)
    return size


def randint(
    *args: Any,
    low: Any = None,
    high: Any = None,
    size: Any = None,
    generator: Any = None,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Integers on [low, high): ``randint(high, size)`` or ``randint(low, high, size)``.

    Args:
        low: smallest value, 0 when left out.
        high: one above the largest value, > low.
        size: a sequence of sizes.
        dtype: int64 for None.

    Example:
        >>> import rushlight as torch
        >>> torch.manual_seed(0) and torch.randint(10, (5,))
        tensor([4, 9, 3, 0, 3])
    """
    place = check_factory(device, layout)
    low, high, size = _randint_arguments(args, low, high, size)
    shape = sizes_of((size,), "randint")
    engine = engine_at(place, generator)
    d = numpy_dtype(dtype, dtypes.int64) if out is None else out._array.dtype
    low, high = integer_bounds(low, high, d)
    if out is not None:
        return into(out, shape, dtype, R.Random, engine=engine, low=low, high=high)
    if place is devices.META:
        return finish(MetaArray(shape, d), requires_grad)
    if state.busy or isinstance(place, gpu.Driver):
        return drawn(
            np.empty(shape, d), place, R.Random, requires_grad, engine=engine, low=low, high=high
        )
    values = sampling.integers(engine, math.prod(shape), d, low, high)
    values = fresh(values, shape) if values.base is None else values.reshape(shape)
    return finish(values, requires_grad, place)


def _randint_arguments(
    args: tuple[Any, ...], low: Any, high: Any, size: Any
) -> tuple[int, int, Any]:
    if len(args) == 3 and low is high is size is None:
        low, high, size = args
        given = []
    else:
        given = list(args)
    if size is None and given:
        size = given.pop()
    if high is None and given:
        high = given.pop()
    if low is None and given:
        low = given.pop()
    if high is None or size is None or given:
        raise TypeError("randint() takes (high, size) or (low, high, size).")
    if not hasattr(size, "__iter__"):
        raise TypeError(
            f"randint(): argument 'size' must be tuple of ints, not {type(size).__name__}; write "
            f"({size},)."
        )
    low = 0 if low is None else low
    if low.__class__ is high.__class__ is int and -(2**63) <= low <= high < 2**63:
        return low, high, size
    return as_int(low, "randint", "low"), as_int(high, "randint", "high"), size


def randperm(
    n: int,
    *,
    generator: Any = None,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """The integers 0 .. n-1 in random order.

    Args:
        n: how many, >= 0.
        dtype: int64 for None; it must hold n.

    Example:
        >>> import rushlight as torch
        >>> torch.manual_seed(0) and torch.randperm(4)
        tensor([0, 1, 3, 2])
    """
    place = check_factory(device, layout)
    n = as_int(n, "randperm", "n")
    if n < 0:
        raise ShapeError(
            f"randperm: Trying to create tensor with negative dimension {n}; n must be >= 0."
        )
    d = numpy_dtype(dtype, dtypes.int64) if out is None else out._array.dtype
    if d is dtypes.bool_ or d in dtypes.COMPLEX_TYPES:
        raise NotSupportedError(
            f"randperm is not implemented for {dtypes.of[d].name}; use an integer dtype."
        )
    largest = (
        dtypes.integer_range(d)[1] + 1
        if d in dtypes.INTEGER_TYPES
        else 2 ** (sampling.DIGITS[d]) + 1
    )
    if n > largest:
        raise RuntimeError(
            f"randperm: n is {n}, but {dtypes.of[d].name} holds no more than {largest} without "
            "overflow."
        )
    engine = engine_at(place, generator)
    if place is devices.META and out is None:
        return finish(MetaArray((n,), d), requires_grad)
    if out is None and (state.busy or isinstance(place, gpu.Driver)):
        return drawn(np.empty(n, d), place, R.Permutation, requires_grad, engine=engine)
    values = sampling.permutation(engine, n).astype(d, copy=False)
    if out is None:
        return finish(values, requires_grad, place)
    if out._array.shape != (n,):
        resize(out, (n,))
    return store_out(out, beside(out, values))


# Tensors like another


def like(
    input: Any, function: str, dtype: Any, layout: Any, device: Any, memory_format: Any
) -> Any:
    """Uninitialised memory of ``input``'s shape, its strides too where they are dense; and the
    place that it is for.
    """
    x = expect_tensor(input, function)._array
    place = check_factory(device or input.device, layout)
    if place is devices.META:
        return MetaArray(x.shape, numpy_dtype(dtype, x.dtype)), place
    x = x.stand_in() if isinstance(x, Window) else x
    contiguous = (
        x.flags.c_contiguous
        or formats.expanded(x)
        or str(memory_format) == "torch.contiguous_format"
    )
    return np.empty_like(x, numpy_dtype(dtype, x.dtype), "C" if contiguous else "K"), place


def rand_like(
    input: Tensor,
    *,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Uniform values on [0, 1) with the shape and dtype of ``input``.

    Example:
        >>> import rushlight as torch
        >>> torch.rand_like(torch.zeros(2, 3)).shape
        torch.Size([2, 3])
    """
    x, place = like(input, "rand_like", dtype, layout, device, memory_format)
    floating(x.dtype, "rand_like")
    engine = engine_at(place, generator)
    return drawn(x, place, R.Uniform, requires_grad, engine=engine, low=0.0, high=1.0)


def randn_like(
    input: Tensor,
    *,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Normal values with the shape and dtype of ``input``.

    Example:
        >>> import rushlight as torch
        >>> torch.randn_like(torch.zeros(2, 3)).shape
        torch.Size([2, 3])
    """
    x, place = like(input, "randn_like", dtype, layout, device, memory_format)
    floating(x.dtype, "randn_like")
    engine = engine_at(place, generator)
    return drawn(x, place, R.Normal, requires_grad, engine=engine, mean=0.0, std=1.0)


def randint_like(
    input: Tensor,
    *args: Any,
    low: Any = None,
    high: Any = None,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Integers on [low, high) with the shape and dtype of ``input``.

    Called as ``randint_like(x, high)`` or ``randint_like(x, low, high)``.

    Example:
        >>> import rushlight as torch
        >>> x = torch.randint_like(torch.zeros(100), 3, 5)
        >>> x.unique()
        tensor([3., 4.])
    """
    low, high, _ = _randint_arguments((*args, ()), low, high, None)
    x, place = like(input, "randint_like", dtype, layout, device, memory_format)
    low, high = integer_bounds(low, high, x.dtype)
    engine = engine_at(place, generator)
    return drawn(x, place, R.Random, requires_grad, engine=engine, low=low, high=high)


def thread_safe_generator() -> Generator | None:
    """The generator of a loader's worker that is a thread; None elsewhere, and so always: workers
    here are processes, whose default generator is their own.

    Example:
        >>> import rushlight as torch
        >>> torch.rand(2, generator=torch.random.thread_safe_generator()).shape
        torch.Size([2])
    """
    return None
