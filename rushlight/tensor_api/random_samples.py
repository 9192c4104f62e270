"""Samples whose parameters are tensors: normal, bernoulli, poisson, binomial, multinomial."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import devices, dtypes
from rushlight.core import sampling
from rushlight.core.device_array import constant_on, driver_of, host
from rushlight.core.generator import engine_of
from rushlight.core.meta import MetaArray
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor, constant
from rushlight.errors import DTypeError, NotSupportedError
from rushlight.ops import random as R
from rushlight.tensor_api import on_gpu
from rushlight.tensor_api._common import (
    check_factory,
    expect_tensor,
    finish,
    method,
    numpy_dtype,
    resize,
    store_out,
)
from rushlight.tensor_api.random_fill import (
    as_int,
    bernoulli_,
    floating,
    sizes_of,
)

__all__ = ["bernoulli", "binomial", "multinomial", "normal", "poisson"]


def _as_number(x: Any) -> Any:
    """The number in a tensor without dims, which stands for it; anything else as it is."""
    return x.item() if isinstance(x, Tensor) and not x.dim() and not x.requires_grad else x


def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Any = None,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Normal values with these means and standard deviations, which broadcast.

    Args:
        mean: number or tensor.
        std: number or tensor, >= 0.
        size: sizes; only when both are numbers, or tensors of no dims.

    Example:
        >>> import rushlight as torch
        >>> torch.manual_seed(0) and torch.normal(torch.tensor([0.0, 100.0]), 1.0)
        tensor([ 1.5410, 99.7066])
    """
    engine = engine_of(generator)
    _check_std(std)
    if size is not None:
        mean, std = _as_number(mean), _as_number(std)
    if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
        if size is None or not hasattr(size, "__iter__"):
            raise TypeError(
                "normal() takes tensors, or two numbers and a tuple of sizes: normal(0.0, 1.0, "
                "(2, 3))."
            )
        t = _to_be_filled(tuple(size), out, dtype, layout, device)
        R.Normal.update(t, engine=engine, mean=float(mean), std=float(std))
        return t.requires_grad_() if requires_grad else t
    if size is not None:
        raise TypeError(
            "normal(): size is only for a mean and a deviation that are both numbers, or tensors "
            "of no dims that do not require grad."
        )
    d = (mean if isinstance(mean, Tensor) else std)._array.dtype
    floating(d, "normal")
    result: Tensor = R.NormalSample.bind(mean, std, engine=engine)
    return result if out is None else store_out(out, result)


def _to_be_filled(size: tuple[int, ...], out: Any, dtype: Any, layout: Any, device: Any) -> Tensor:
    """Memory to be filled: ``out``, or new."""
    place = check_factory(device, layout)
    shape = sizes_of((size,), "normal")
    if out is not None:
        floating(expect_tensor(out, "normal", "out")._array.dtype, "normal")
        if out._array.shape != shape:
            resize(out, shape)
        return out
    d = floating(numpy_dtype(dtype, dtypes.default.float), "normal")
    if place is devices.META:
        return constant(MetaArray(shape, d))
    return finish(np.empty(shape, d), place=place)


def _check_std(std: Any) -> None:
    if isinstance(std, Tensor):
        x = std._array
        if x.dtype in dtypes.COMPLEX_TYPES:
            raise RuntimeError(
                "normal expects standard deviation to be non-complex, but it is "
                f"{dtypes.of[x.dtype].name}."
            )
        if x.size and not bool((host(std) >= 0).all()):
            raise RuntimeError(
                "normal expects all elements of std >= 0.0; take abs() or exp() of them."
            )
    elif not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")


@method
def bernoulli(input: Tensor, p: Any = None, *, generator: Any = None, out: Any = None) -> Tensor:
    """Ones and zeros: one with the probabilities in ``input``, or with probability ``p``.

    Args:
        input: probabilities in [0, 1]; with ``p`` only its shape and dtype count.
        p: one probability for all, or a tensor of them.

    Example:
        >>> import rushlight as torch
        >>> torch.bernoulli(torch.tensor([0.0, 1.0]))
        tensor([0., 1.])
    """
    x = expect_tensor(input, "bernoulli")._array
    if p is not None:
        if isinstance(p, Tensor) and not p._array.ndim:
            p = p.item()
        return bernoulli_(constant_on(input, np.empty(x.shape, x.dtype)), p, generator=generator)
    if out is not None:
        if out._array.shape != x.shape:
            resize(out, x.shape)
        return bernoulli_(out, input, generator=generator)
    if x.__class__ is not np.ndarray:  # the op does not look at a GPU's
        sampling.check_probabilities(host(input))
    return R.BernoulliSample.bind(input, engine=engine_of(generator))


def poisson(input: Tensor, generator: Any = None) -> Tensor:
    """Poisson counts with the rates ``input`` (>= 0), in its dtype.

    Example:
        >>> import rushlight as torch
        >>> torch.manual_seed(0) and torch.poisson(torch.tensor([0.5, 5.0, 50.0]))
        tensor([ 2.,  6., 49.])

    Reference: Hoermann, 1993, "The transformed rejection method for generating Poisson random
        variables".
    """
    x = expect_tensor(input, "poisson")._array
    if x.dtype not in dtypes.FLOATING_TYPES:
        raise NotSupportedError(
            f"poisson is not implemented for {dtypes.of[x.dtype].name}; use a floating-point dtype."
        )
    if x.size and not bool((host(input) >= 0).all()):
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative.")
    return R.Poisson.bind(input, engine=engine_of(generator))


def binomial(count: Tensor, prob: Tensor, generator: Any = None) -> Tensor:
    """Successes in ``count`` trials with probability ``prob`` each; the two broadcast.

    Example:
        >>> import rushlight as torch
        >>> torch.binomial(torch.tensor([10.0, 10.0]), torch.tensor([0.0, 1.0]))
        tensor([ 0., 10.])
    """
    for t, name in ((count, "count"), (prob, "prob")):
        if expect_tensor(t, "binomial", name)._array.dtype not in dtypes.FLOATING_TYPES:
            raise ValueError(
                f"binomial only supports floating-point dtypes for {name}, got: "
                f"{dtypes.of[t._array.dtype].name}"
            )
    if count._array.dtype != prob._array.dtype:
        a, b = dtypes.of[count._array.dtype].name, dtypes.of[prob._array.dtype].name
        raise DTypeError(f"binomial: count and prob must have the same dtype, but are {a} and {b}.")
    return R.Binomial.bind(count, prob, engine=engine_of(generator))


def _standard_gamma(input: Tensor, generator: Any = None) -> Tensor:
    """Gamma values of scale 1 with shape parameters ``input`` (float32 or float64)."""
    return R.StandardGamma.bind(input, engine=engine_of(generator))


def _sample_dirichlet(input: Tensor, generator: Any = None) -> Tensor:
    """Points of the simplex along the last dim, with float32 or float64 concentrations."""
    return R.Dirichlet.bind(input, engine=engine_of(generator))


@method
def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Any = None,
    out: Any = None,
) -> Tensor:
    """Categories drawn by weight.

    Args:
        input: weights >= 0, shape ``(categories,)`` or ``(rows, categories)``; they need not sum to
            one.
        num_samples: how many for each row; without replacement at most the number of categories.
        replacement: whether a category can be drawn again.

    Shape:
        ``(num_samples,)`` or ``(rows, num_samples)``, int64.

    Example:
        >>> import rushlight as torch
        >>> torch.multinomial(torch.tensor([0.0, 3.0]), 4, replacement=True)
        tensor([1, 1, 1, 1])
    """
    x = expect_tensor(input, "multinomial")._array
    count = as_int(num_samples, "multinomial", "num_samples")
    _check_multinomial(x, count, replacement)
    if out is not None and out._array.dtype != dtypes.int64:
        raise DTypeError(
            f"multinomial expects Long tensor out, got: {dtypes.of[out._array.dtype].name}"
        )
    there = x.size >= on_gpu.LEAST and driver_of(input) is not None and modes.trace is None
    found = None
    if there and (count == 1 or not replacement):
        found = on_gpu.sampled(input, count, generator)
    if not x.size:
        result = constant_on(input, np.empty((*x.shape[:-1], count), np.int64))
    elif found is not None:
        result = found
    else:
        result = R.Multinomial.bind(
            input, engine=engine_of(generator), count=count, replacement=replacement
        )
    return result if out is None else store_out(out, result)


def _check_multinomial(x: Any, count: int, replacement: bool) -> None:
    if x.ndim not in (1, 2):
        raise RuntimeError(f"multinomial: prob_dist must be 1 or 2 dim, but has shape {x.shape}.")
    if x.dtype not in dtypes.FLOATING_TYPES:
        raise RuntimeError(
            "multinomial only supports floating-point dtypes for input, got: "
            f"{dtypes.of[x.dtype].name}"
        )
    if count <= 0:
        raise RuntimeError(
            f"multinomial: cannot sample n_sample <= 0 samples, but num_samples is {count}."
        )
    if not replacement and count > x.shape[-1]:
        raise RuntimeError(
            "multinomial: cannot sample n_sample > prob_dist.size(-1) samples without "
            f"replacement: {count} of {x.shape[-1]}."
        )
