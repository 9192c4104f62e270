"""vmap: a function of samples as a function of batches.

How it runs: once for the first sample, then each of its ops for all samples at once (together.py).
What cannot be done so runs once per sample, and the results are stacked: data-dependent control
flow, ``item()``, random numbers, a handful of samples. So anything works inside that works outside:
custom Functions, ``grad`` and the other transforms.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.core.generator import Watch
from rushlight.core.state import modes
from rushlight.core.tensor import Tensor
from rushlight.func import together
from rushlight.func.trees import describe, flatten, spread, unflatten
from rushlight.tensor_api.joining import stack

Function = Callable[..., Any]


def vmap(
    func: Function,
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Function:
    """A function that applies ``func`` to each slice of its arguments and stacks the results.

    Gradients flow through, and vmap nests with itself and with the other transforms.

    Args:
        func: takes tensors (in nested containers, if need be) and returns tensors.
        in_dims: the dim to slice, for all arguments or nested as they are; None passes an argument
            whole, and so are keyword arguments.
        out_dims: where the batch's dim goes in the results; nested as they are, if need be. None
            returns a result once; it must be the same for all slices.
        randomness: "error" refuses random functions inside, "different" draws each random tensor
            for all slices, "same" gives all slices the same.
        chunk_size: accepted and not needed.

    Example:
        >>> import rushlight as torch
        >>> torch.vmap(torch.dot)(torch.ones(2, 3), torch.tensor([[1.0, 2, 3], [4, 5, 6]]))
        tensor([ 6., 15.])
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            "Only allowed values for randomness are 'error', 'different', or 'same'. Got "
            f"{randomness}"
        )
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")
    name = getattr(func, "__name__", repr(func))

    @functools.wraps(func, updated=())
    def transformed(*args: Any, **kwargs: Any) -> Any:
        batch = _Batch(name, in_dims, args, kwargs)
        if not batch.size:
            return _empty(batch, func, out_dims, name)
        before, modes.samples = modes.samples, True
        try:
            return results(batch)
        finally:
            modes.samples = before

    def results(batch: _Batch) -> Any:
        if randomness == "different" or (randomness == "error" and batch.size >= together.LEAST):
            first, whole = batch.together(func, randomness == "different")
            if whole is not None:
                return _placed(first, whole, out_dims, name)
            rest = [batch.call(func, at) for at in range(1, batch.size)]
            return _stacked([first, *rest], out_dims, name)
        return _stacked(_run(batch, func, randomness), out_dims, name)

    return transformed


class _Batch:
    """The arguments of one call, and how to slice them."""

    def __init__(self, name: str, in_dims: Any, args: Any, kwargs: Any) -> None:
        where = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>)"
        if not args:
            raise ValueError(
                f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you "
                "are trying to vmap over a function with no inputs. The latter is unsupported."
            )
        self.leaves, self.structure = flatten(args)
        dims = _dims_of(self.structure, in_dims, where)
        self.kwargs = kwargs
        self.dims = [_check_dim(t, d, where) for t, d in zip(self.leaves, dims, strict=True)]
        self.size = self._common_size()

    @functools.cached_property
    def _slices(self) -> list[Any]:
        pairs = zip(self.leaves, self.dims, strict=True)
        return [None if d is None else t.unbind(d) for t, d in pairs]

    def _common_size(self) -> int:
        pairs = zip(self.leaves, self.dims, strict=True)
        sizes = list(dict.fromkeys([t.shape[d] for t, d in pairs if d is not None]))
        if not sizes:
            raise ValueError("vmap: Expected at least one Tensor to vmap over")
        if len(sizes) > 1:
            raise ValueError(
                "vmap: Expected all tensors to have the same size in the mapped dimension, got "
                f"sizes {sizes} for the mapped dimension"
            )
        return sizes[0]

    def call(self, func: Function, at: int) -> Any:
        """``func`` of the slices at this place."""
        pairs = zip(self.leaves, self._slices, strict=True)
        return self._apply(func, [t if s is None else s[at] for t, s in pairs])

    def together(self, func: Function, may_draw: bool) -> tuple[Any, Any]:
        """The result for the first slice, and those for all, stacked along the front, or None."""
        run = functools.partial(self._apply, func)
        with Watch() as watch:
            draws = watch if may_draw else None
            first, whole = together.mapped(run, self.leaves, self.dims, self.size, draws)
        if not may_draw:
            _check_draws(watch)
        return first, whole

    def call_on_zeros(self, func: Function) -> Any:
        """``func`` of slices full of zeros, to see the shapes of its results."""
        pairs = zip(self.leaves, self.dims, strict=True)
        return self._apply(func, [t if d is None else _zeros_without(t, d) for t, d in pairs])

    def _apply(self, func: Function, leaves: list[Any]) -> Any:
        return func(*unflatten(self.structure, leaves), **self.kwargs)


def _dims_of(structure: Any, in_dims: Any, where: str) -> list[Any]:
    """``in_dims`` for each leaf."""
    if not isinstance(in_dims, (int, tuple)):
        raise ValueError(
            f"{where}: expected `in_dims` to be int or a (potentially nested) tuple matching the "
            f"structure of inputs, got: {type(in_dims)}."
        )
    dims = spread(in_dims, structure)
    if dims is None:
        raise ValueError(
            f"{where}: in_dims is not compatible with the structure of `inputs`, which is "
            f"{describe(structure)}."
        )
    return dims


def _zeros_without(t: Tensor, dim: int) -> Tensor:
    shape = list(t.shape)
    del shape[dim]
    return t.new_zeros(shape)


def _check_dim(t: Any, dim: Any, where: str) -> int | None:
    """A dim to slice, counted from the front, or None."""
    if dim is None:
        return None
    if not isinstance(dim, int):
        raise ValueError(
            f"{where}: Got in_dim={dim} for an input but in_dim must be either an integer "
            "dimension or None."
        )
    if not isinstance(t, Tensor):
        raise ValueError(
            f"{where}: Got in_dim={dim} for an input but the input is of type {type(t)}. We cannot "
            "vmap over non-Tensor arguments, please use None as the respective in_dim"
        )
    if not -t.dim() <= dim < t.dim():
        raise ValueError(
            f"{where}: Got in_dim={dim} for some input, but that input is a Tensor of "
            "dimensionality "
            f"{t.dim()} so expected in_dim to satisfy -{t.dim()} <= in_dim < {t.dim()}."
        )
    return dim % t.dim()


def _run(batch: _Batch, func: Function, randomness: str) -> list[Any]:
    """The results for all slices."""
    with Watch() as watch:
        results = [batch.call(func, 0)]
    if randomness == "error":
        _check_draws(watch)
        return results + [batch.call(func, at) for at in range(1, batch.size)]
    for at in range(1, batch.size):
        watch.restore()
        results.append(batch.call(func, at))
    return results


def _check_draws(watch: Watch) -> None:
    """Refuse a function that drew random numbers."""
    if watch.used():
        watch.restore()
        raise RuntimeError(
            "vmap: called random operation while in randomness error mode. Pass "
            "randomness='different' or 'same', or draw outside."
        )


def _out_dims(structure: Any, leaves: list[Any], out_dims: Any, name: str) -> list[Any]:
    """A dim for each result."""
    dims = spread(out_dims, structure)
    if dims is None and isinstance(out_dims, tuple) and len(out_dims) == len(leaves) == 1:
        dims = list(out_dims)
    if dims is None:
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with "
            f"the structure of `outputs`, which is {describe(structure)}."
        )
    for leaf, dim in zip(leaves, dims, strict=True):
        if not isinstance(leaf, Tensor) and dim is not None:
            raise ValueError(
                f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(leaf)}. Did "
                "you mean to set out_dims= to None for output?"
            )
    return dims


def _placed(first: Any, whole: Any, out_dims: Any, name: str) -> Any:
    """Results that are stacked along the front, with that dim where it shall be."""
    one, structure = flatten(first)
    found = flatten(whole)[0]
    dims = _out_dims(structure, one, out_dims, name)
    outs = []
    for t, o, d in zip(found, one, dims, strict=True):
        if d is None and isinstance(t, Tensor):
            _join(t.unbind(0), None, name)
        outs.append(o if d is None else t.movedim(0, d))
    return unflatten(structure, outs)


def _stacked(results: list[Any], out_dims: Any, name: str) -> Any:
    first, structure = flatten(results[0])
    dims = _out_dims(structure, first, out_dims, name)
    rows = [first]
    for result in results[1:]:
        leaves, own = flatten(result)
        if own != structure:
            raise ValueError(
                f"vmap({name}, ...): `{name}` returned {describe(structure)} for one slice and "
                f"{describe(own)} for another; results must be nested alike."
            )
        rows.append(leaves)
    columns = zip(*rows, strict=True)
    outs = [_join(column, dim, name) for column, dim in zip(columns, dims, strict=True)]
    return unflatten(structure, outs)


def _join(column: tuple[Any, ...], dim: Any, name: str) -> Any:
    """The results of all slices in one tensor."""
    if dim is not None:
        return stack(column, dim)
    if isinstance(column[0], Tensor) and not all([_same(t, column[0]) for t in column]):
        raise ValueError(
            f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None: "
            "this result differs between slices."
        )
    return column[0]


def _same(a: Tensor, b: Tensor) -> bool:
    return a is b or (a.shape == b.shape and np.array_equal(a._array, b._array, equal_nan=False))


def _empty(batch: _Batch, func: Function, out_dims: Any, name: str) -> Any:
    """Results for no slices at all: their shapes are those for slices of zeros."""
    with Watch() as watch:
        try:
            leaves, structure = flatten(batch.call_on_zeros(func))
        finally:
            watch.restore()
    dims = _out_dims(structure, leaves, out_dims, name)
    pairs = zip(leaves, dims, strict=True)
    outs = [t if d is None else t.unsqueeze(d).narrow(d, 0, 0).clone() for t, d in pairs]
    return unflatten(structure, outs)
