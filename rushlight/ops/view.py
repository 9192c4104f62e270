"""Ops whose result shares the input's memory, and their gradients."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided as numpy_as_strided

from rushlight import dtypes
from rushlight.core.device_array import DeviceArray
from rushlight.core.op import Op
from rushlight.core.tensor import replay
from rushlight.core.view import View
from rushlight.core.window import Window
from rushlight.ops.copy import Cast
from rushlight.ops.create import ones, zeros
from rushlight.ops.join import Cat
from rushlight.ops.reduce import sum_to


def look(x: Any, chain: Any) -> Any:
    """The array that the view ops of ``chain`` see in x."""
    for op, params in chain:
        x = op.eager(np, x, **params)
    return x


def look_or_copy(x: Any, chain: Any) -> Any:
    """What the view ops of ``chain`` see in x, in memory of its own where x lies otherwise than the
    array that the views were made of.
    """
    for op, params in chain:
        try:
            x = op.eager(np, x, **params)
        except ValueError:
            x = op.eager(np, np.ascontiguousarray(x), **params)
    return x


class Embed(Op):
    """Zeros of ``shape`` with g placed (overlaps: added) where ``chain`` looks: the gradient of a
    view.
    """

    label = "SliceBackward"

    def eager(self, xp, g, *, shape, chain, overlaps):
        z = np.zeros(shape, g.dtype)
        if not overlaps:
            look(z, chain)[...] = g
            return z
        where = look(np.arange(z.size).reshape(shape), chain)
        np.add.at(z.reshape(-1), where.reshape(-1), g.reshape(-1))
        return z

    def grad(self, g, chain):
        return replay(g, chain)


class Movement(View, abstract=True):
    """A view op with the general gradient: embed."""

    overlaps = False
    tells_size = True

    def grad(self, g, input_spec, params):
        return Embed.bind(g, shape=input_spec[0], chain=((self, params),), overlaps=self.overlaps)


class Reshape(Movement):
    """Another shape for the same elements in the same order; ValueError when that needs a copy."""

    label = "View"

    def eager(self, xp, input, *, shape):
        out = input.reshape(shape)
        if out.base is not input and (input.base is None or out.base is not input.base):
            raise ValueError("a copy would be needed")
        return out

    def grad(self, g, input_spec):
        return g.reshape(input_spec[0])


class Transpose(Movement):
    """Two dims exchanged."""

    def eager(self, xp, input, *, dim0, dim1):
        return input.swapaxes(dim0, dim1)

    def grad(self, g, dim0, dim1):
        return Transpose.bind(g, dim0=dim0, dim1=dim1)


class T(Movement):
    """A matrix transposed."""

    def eager(self, xp, input):
        return input.T

    def grad(self, g):
        return T.bind(g)


class Permute(Movement):
    """Dims in another order."""

    def eager(self, xp, input, *, dims):
        return input.transpose(dims)

    def grad(self, g, dims):
        inverse = [0] * len(dims)
        for i, d in enumerate(dims):
            inverse[d] = i
        return Permute.bind(g, dims=tuple(inverse))


class Expand(Movement):
    """Dims of size 1 repeated, and new leading dims, without copying."""

    def eager(self, xp, input, *, shape):
        if not input.ndim and input.__class__ is np.ndarray:
            return np.ndarray(shape, input.dtype, input, 0, (0,) * len(shape))
        strides = strides_over(shape, input.shape, input.strides)
        if input.flags.carray and input.size:
            return np.ndarray(shape, input.dtype, input, 0, strides)
        return numpy_as_strided(input, shape, strides)

    def grad(self, g, input_spec):
        return sum_to(g, input_spec[0])


@functools.lru_cache(maxsize=256)
def strides_over(shape: Any, have: Any, strides: Any) -> tuple[int, ...]:
    """The strides of an array of the shape ``have`` that is expanded to ``shape``."""
    extra = len(shape) - len(have)
    same = zip(strides, have, shape[extra:], strict=True)
    return (*[0] * extra, *[s if m == n else 0 for s, m, n in same])


class BasicIndex(Movement):
    """``input[index]`` for ints, slices, None and Ellipsis."""

    def eager(self, xp, input, *, index):
        return input[index]

    def told(self, node):
        found = super().told(node)
        index, size = found.pop("index"), found["self_sym_sizes"]
        if Ellipsis in index:
            at, rest = index.index(Ellipsis), len(size) - len(index) + 1
            index = (*index[:at], *[slice(None)] * rest, *index[at + 1 :])
        places = [(d, i) for d, i in enumerate(index) if i != slice(None)]
        if len(places) != 1 or places[0][1] is None:
            return found
        ((dim, i),) = places
        if isinstance(i, slice):
            names = ("start", "end", "step")
            return {**found, "dim": dim, **dict(zip(names, i.indices(size[dim]), strict=True))}
        return {**found, "dim": dim, "index": i}

    def backward_name(self, params):
        """torch takes one index after the other, but whole dims only alone."""
        index = [i for i in params["index"] if i is not Ellipsis]
        items = [i for i in index if i != slice(None)] or index or [Ellipsis]
        names = {int: "Select", type(None): "Unsqueeze", type(Ellipsis): "Alias"}
        return names.get(type(items[-1]), "Slice") + "Backward0"


class WritePart(Op):
    """``input[index] = value`` for ints, slices, None and Ellipsis: what a copy into a view comes
    to, as one node without the view. ``value`` has that view's shape or none, and its dtype.
    """

    overlap = "any"
    fits = True

    def backward_name(self, params):
        return "CopySlices"

    def eager(self, xp, input, value, *, index):
        out = np.array(input)
        out[index] = value
        return out

    def store(self, x, others, params):
        x[params["index"]] = others[0]

    def grad_input(self, g, index):
        return WritePart.bind(g, zeros((), g._array.dtype, g), index=index)

    def grad_value(self, g, value_spec, index):
        g = BasicIndex.bind(g, index=index)
        return g.clone() if g._array.shape == value_spec[0] else g.sum()


class OneDim(tuple[int, ...]):
    """What was asked for is one dim, which may be of another size: the node has another name."""


class SomeDims(tuple[int, ...]):
    """What was asked for are several dims."""


class Squeeze(Movement):
    """Dims of size 1 removed."""

    def backward_name(self, params):
        kind = params["dim"].__class__ if params else tuple
        return "SqueezeBackward" + ("1" if kind is OneDim else "2" if kind is SomeDims else "0")

    def eager(self, xp, input, *, dim):
        return input.squeeze(dim)

    def grad(self, g, input_spec):
        return g.reshape(input_spec[0])


class Unsqueeze(Movement):
    """A dim of size 1 inserted."""

    def eager(self, xp, input, *, dim):
        return input[(slice(None),) * dim + (None, ...)]

    def grad(self, g, dim):
        return Squeeze.bind(g, dim=(dim,))


class Diagonal(Movement):
    """A diagonal of two dims, as the last dim."""

    def eager(self, xp, input, *, offset, dim1, dim2):
        if input.__class__ is np.ndarray:  # whose method is quicker
            out = input.diagonal(offset, dim1, dim2)
        else:
            out = np.diagonal(input, offset, dim1, dim2)
        out.flags.writeable = input.flags.writeable
        return out


class Unfold(Movement):
    """Windows of ``size`` along ``dim`` every ``step``, as a new last dim."""

    overlaps = True

    def eager(self, xp, input, *, dim, size, step):
        if not input.ndim:
            return numpy_as_strided(input, (size,), (input.itemsize,))
        shape, strides = list(input.shape), list(input.strides)
        stride = strides[dim]
        shape[dim], strides[dim] = (shape[dim] - size) // step + 1, stride * step
        flags = input.flags
        if flags.c_contiguous and flags.writeable and input.__class__ is np.ndarray and input.size:
            return np.ndarray((*shape, size), input.dtype, input, 0, (*strides, stride))
        return numpy_as_strided(input, (*shape, size), (*strides, stride))


def owner(x: Any) -> Any:
    """The array that owns x's memory (as_strided hides it behind a helper object); the memory of an
    array on a GPU.
    """
    if x.__class__ is DeviceArray:
        return x.memory
    b = x.base
    while b is not None:
        if not isinstance(b, np.ndarray):
            b = getattr(b, "base", None)
            if b is None:
                break
        x, b = b, b.base
    return x


def flat_memory(x: Any) -> Any:
    """The whole memory behind x as a vector of x's dtype."""
    if isinstance(x, Window):
        raise x.operand("memory")
    root = owner(x)
    if not root.flags.c_contiguous:
        root = root.transpose(sorted(range(root.ndim), key=lambda i: (-abs(root.strides[i]), i)))
    flat = root.reshape(-1, copy=False)
    return (
        flat
        if flat.dtype == x.dtype
        else flat.view(np.uint8)[: flat.nbytes // x.itemsize * x.itemsize].view(x.dtype)
    )


def memory_size(x: Any) -> int:
    """How many elements like x's the memory behind x has."""
    root = owner(x)
    return int(root.nbytes) // int(x.itemsize)


def offset_of(x: Any) -> int:
    """Elements between the start of x's memory and x's first element."""
    x = x.stand_in() if isinstance(x, Window) else x
    root = owner(x)
    if root is x:
        return 0
    return int(
        (x.__array_interface__["data"][0] - root.__array_interface__["data"][0]) // x.itemsize
    )


class AsStrided(Movement):
    """Any window on the memory behind the input; offset and strides in elements, counted from the
    start of that memory.
    """

    overlaps = by_place = True

    def eager(self, xp, input, *, size, stride, offset, source):
        root, n = owner(input), input.itemsize
        if root.__class__ is np.ndarray and root.flags.carray and all(size):  # as NumPy does it
            return np.ndarray(size, input.dtype, root, offset * n, tuple([s * n for s in stride]))
        return strided(flat_memory(input), size, stride, offset)

    def grad(self, g, size, stride, offset, source):
        total = StridedMap.bind(g, read=(size, stride, offset), write=source)
        if not overlapping(source):
            return total
        once = ones(source[0], g._array.dtype, g)  # each place counts once, as torch has it
        return total / StridedMap.bind(once, read=source, write=source)


def geometry(x: Any) -> tuple[Any, ...]:
    """x's window on its memory in elements: shape, strides, offset."""
    return x.shape, tuple([s // x.itemsize for s in x.strides]), offset_of(x)


def overlapping(window: tuple[Any, ...]) -> bool:
    """Whether two indices of a window may share a place."""
    reach = 1
    for step, n in sorted([(s, n) for n, s in zip(window[0], window[1], strict=True) if n > 1]):
        if step < reach:
            return True
        reach += step * (n - 1)
    return False


class StridedMap(Op):
    """Add g into zeroed memory through the window ``read``, then look at that memory through
    ``write``: its own transpose.
    """

    label = "AsStrided"

    def eager(self, xp, g, *, read, write):
        extent = max(
            [
                1 + o + sum([(n - 1) * s for n, s in zip(size, st, strict=True)])
                for size, st, o in (read, write)
                if all(size)
            ],
            default=0,
        )
        memory = np.zeros(extent, g.dtype)
        places = np.arange(extent)
        np.add.at(memory, strided(places, *read).reshape(-1), g.reshape(-1))
        return np.array(strided(memory, *write), order="C")

    def grad(self, g, read, write):
        return StridedMap.bind(g, read=write, write=read)


def strided(flat: Any, size: Any, stride: Any, offset: int) -> Any:
    """A window on a vector; sizes and steps in elements."""
    return numpy_as_strided(
        flat[offset:] if all(size) else flat[:0], size, tuple([s * flat.itemsize for s in stride])
    )


FEW = 256  # pieces whose bounds are kept for the next time


@functools.lru_cache(maxsize=256)
def windows(bounds: tuple[tuple[int, int], ...], dim: int) -> list[Any]:
    """The indices of pieces of ``dim``."""
    return [(*(slice(None),) * dim, slice(a, b)) for a, b in bounds]


class Split(View):
    """Consecutive pieces of ``dim``, given as (start, stop) bounds."""

    multi = True

    def eager(self, xp, input, *, bounds, dim):
        parts = windows if len(bounds) <= FEW else windows.__wrapped__
        return [input[part] for part in parts(bounds, dim)]

    def grad(self, g, dim):
        return Cat.bind(*g, dim=dim)

    def told(self, node):
        shapes, dim = [shape for shape, _ in node.out_specs], node.params["dim"]
        sizes = [shape[dim] for shape in shapes]
        whole = (*shapes[0][:dim], sum(sizes), *shapes[0][dim + 1 :])
        size = {"split_size": sizes[0]} if node.called is None else {"split_sizes": tuple(sizes)}
        return {"dim": dim, "self_sym_sizes": whole, **size}


class SplitPick(Movement):
    """One output of Split."""

    label = "Split"

    def eager(self, xp, input, *, bounds, dim, index):
        return input[(*(slice(None),) * dim, slice(*bounds[index]), ...)]


class Unbind(View):
    """Every slice of ``dim``."""

    multi = True

    def eager(self, xp, input, *, dim):
        if not dim and input.ndim > 1 and input.__class__ is np.ndarray:
            return [*input]
        lead = (slice(None),) * dim
        return [input[(*lead, i, ...)] for i in range(input.shape[dim])]

    def grad(self, g, dim):
        return Cat.bind(*[Unsqueeze.bind(part, dim=dim) for part in g], dim=dim)


class UnbindPick(Movement):
    """One output of Unbind."""

    label = "Unbind"

    def eager(self, xp, input, *, dim, index):
        return input[(*(slice(None),) * dim, index, ...)]


Split.pick, Unbind.pick = SplitPick, UnbindPick


class Real(Movement):
    """The real part of a complex tensor."""

    label = "Select"

    def eager(self, xp, input):
        return input.real

    def grad(self, g):
        return Cast.bind(g, dtype=dtypes.COMPLEX_OF[g._array.dtype])


class Imag(Movement):
    """The imaginary part of a complex tensor."""

    label = "Select"

    def eager(self, xp, input):
        return input.imag

    def grad(self, g):
        return g * 1j


class ViewAsReal(Movement):
    """A complex tensor as pairs (real, imaginary) in a new last dim."""

    def eager(self, xp, input):
        return input[..., None].view(dtypes.REAL_OF[input.dtype])

    def grad(self, g):
        return ViewAsComplex.bind(g.contiguous())


class ViewAsComplex(Movement):
    """Pairs in the last dim as complex numbers."""

    def eager(self, xp, input):
        return input.view(dtypes.COMPLEX_OF[input.dtype])[..., 0]

    def grad(self, g):
        return ViewAsReal.bind(g)


class ViewDtype(View):
    """The same bytes read as another dtype."""

    def eager(self, xp, input, *, dtype):
        return input.view(dtype)
