"""`NestedTensor`: tensors of one rank whose sizes differ, as one.

Note [Elements of nested tensors]
A nested tensor is a tensor of a subclass, whose own elements are those of its components. In the
layout ``torch.jagged`` the components differ in one dim only, along which they are joined: these
are the ``values``. In ``torch.strided`` they lie one after another in a vector. So it is a leaf or
a node of the graph as any tensor, and an operation on each element is one operation on all. Its
class answers in the place of functions: what is not in `functions` raises.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from rushlight import formats, tensor_api as T
from rushlight.core.overrides import without_overrides
from rushlight.core.size import Size
from rushlight.core.tensor import Tensor
from rushlight.errors import NotSupportedError, ShapeError


class Ragged:
    """The sizes of a dim in which components differ: printed as a name, equal only to itself."""

    count = itertools.count(1)

    def __init__(self, lengths: Sequence[int]) -> None:
        self.lengths = tuple(lengths)
        self.name = f"j{next(self.count)}"

    def __repr__(self) -> str:
        return self.name


HANDLERS: dict[str, Callable[..., Any]] = {}  # by the names of functions, which they get first
AS_THEY_ARE = frozenset(
    """
    requires_grad_ register_hook retain_grad element_size is_floating_point is_complex get_device
    __hash__ data_ptr is_shared is_inference
    """.split()  # noqa: SIM905
)


class NestedTensor(Tensor):
    """Components of one rank. Made by the functions of ``torch.nested``; see Note [Elements of
    nested tensors].
    """

    _sizes: tuple[tuple[int, ...], ...]  # of the components
    _ragged: Ragged | None  # None: strided
    _dim: int  # the dim of the components in which they differ, and along which they are joined

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in AS_THEY_ARE or name == "__get__":
            return without_overrides(func, types, args, kwargs)
        handler = HANDLERS.get(name)
        if handler is None:
            raise NotSupportedError(
                f"{name}: not supported for nested tensors; call it for each of unbind(), or on "
                "values() of layout torch.jagged."
            )
        return handler(func, *args, **(kwargs or {}))

    # ---- what it is ----------------------------------------------------------------------------

    is_nested = True

    @property
    def layout(self) -> Any:
        """``torch.jagged`` or ``torch.strided``."""
        return formats.strided if self._ragged is None else formats.jagged

    def dim(self) -> int:
        """One more than the components have."""
        return len(self._sizes[0]) + 1 if self._sizes else 1

    @property
    def ndim(self) -> int:
        """As ``dim()``."""
        return self.dim()

    def __len__(self) -> int:
        return len(self._sizes)

    def numel(self) -> int:
        """The elements of all components."""
        return sum([math.prod(s) for s in self._sizes])

    def size(self, dim: int | None = None) -> Any:
        """All sizes, where the irregular one is a name (of the jagged layout only), or that of a
        dim. RuntimeError for an irregular dim of the strided layout.
        """
        n = self.dim()
        if dim is None:
            if self._ragged is None:
                raise RuntimeError(
                    "size(): a nested tensor of strided layout has no shape; ask for one regular "
                    "dim, as size(0), or use layout=torch.jagged."
                )
            return tuple.__new__(Size, [self.size(d) for d in range(n)])
        if not -n <= dim < n:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got"
                f" {dim})"
            )
        d = dim % n
        if not d:
            return len(self._sizes)
        if self._ragged is not None and d == self._dim + 1:
            return self._ragged
        found = {s[d - 1] for s in self._sizes}
        if len(found) != 1:
            raise RuntimeError(
                f"Given dimension {d} is irregular and does not have a size. Use unbind()."
            )
        return found.pop()

    @property
    def shape(self) -> Any:
        """As ``size()``."""
        return self.size()

    @property
    def grad(self) -> Any:
        """The gradient of a leaf, nested alike."""
        found = Tensor.grad.__get__(self)
        return None if found is None else like(self, plain(found))

    @grad.setter
    def grad(self, value: Any) -> None:
        Tensor.grad.__set__(self, None if value is None else plain(value))

    def __repr__(self, **options: Any) -> str:
        if self._ragged is not None:
            return (
                f"NestedTensor(size={tuple(self.size())}, offsets={self.offsets()}, "
                f"contiguous={self._dim == 0})"
            )
        rows = [repr(t.detach()).replace("\n", "\n  ") for t in self.unbind()]
        return "nested_tensor([\n  " + ",\n  ".join(rows) + "\n])"

    def __format__(self, spec: str) -> str:
        return repr(self)

    @property
    def data(self) -> Any:
        """The elements without the graph."""
        return like(self, plain(self).detach())

    @property
    def mT(self) -> Any:
        """The last two dims of each component exchanged."""
        return self.transpose(-2, -1)

    @property
    def T(self) -> Any:
        """As ``mT``, of vectors' batches: refused, since dim 0 stays."""
        raise RuntimeError(
            "T: dim 0 of a nested tensor stays first; mT exchanges the last two dims."
        )

    H = mH = T

    # ---- its parts -----------------------------------------------------------------------------

    def unbind(self, dim: int = 0) -> tuple[Tensor, ...]:
        """The components."""
        if dim:
            raise RuntimeError(
                f"unbind: nested tensors are only taken apart along dim 0, not {dim}."
            )
        x = plain(self)
        if self._ragged is not None:
            return tuple(x.split(list(self._ragged.lengths), self._dim))
        counts = [math.prod(s) for s in self._sizes]
        return (
            tuple([part.view(s) for part, s in zip(x.split(counts), self._sizes, strict=True)])
            if counts
            else ()
        )

    def values(self) -> Tensor:
        """All components along their irregular dim, one after another."""
        if self._ragged is None:
            raise RuntimeError("values(): only those of layout torch.jagged have values.")
        return plain(self)

    def offsets(self) -> Tensor:
        """Where in the values each component begins, and the last ends: int64 ``(B + 1,)``."""
        if self._ragged is None:
            raise RuntimeError(
                "offsets(): only nested tensors of layout torch.jagged have offsets."
            )
        ends = [0, *itertools.accumulate(self._ragged.lengths)]
        return T.tensor(ends, device=plain(self).device)

    def lengths(self) -> None:
        """None: there are no holes between components."""

    def to_padded_tensor(self, padding: float, output_size: Any = None) -> Tensor:
        """As ``torch.nested.to_padded_tensor``."""
        padded: Tensor = HANDLERS["to_padded_tensor"](None, self, padding, output_size)
        return padded

    def __iter__(self) -> Any:
        return iter(self.unbind())

    def __deepcopy__(self, memo: dict[int, Any]) -> NestedTensor:
        copy = memo[id(self)] = like(self, plain(self).detach().clone())
        return copy.requires_grad_(self.requires_grad)  # type: ignore[return-value]

    def __reduce_ex__(self, protocol: int) -> Any:
        return like_parts, (plain(self).detach(), self._sizes, self._ragged is not None, self._dim)


def plain(x: Tensor) -> Tensor:
    """The elements of a nested tensor, at its place in the graph."""
    return without_overrides(Tensor.as_subclass, (), (x, Tensor))  # type: ignore[no-any-return]


def wrapped(
    values: Tensor, sizes: Sequence[Any], ragged: Ragged | None = None, dim: int = 0
) -> NestedTensor:
    """A nested tensor of elements that lie as Note [Elements of nested tensors] says."""
    out: NestedTensor = without_overrides(Tensor.as_subclass, (), (values, NestedTensor))
    out._sizes, out._ragged, out._dim = tuple([tuple(s) for s in sizes]), ragged, dim
    return out


def like(x: NestedTensor, values: Tensor) -> NestedTensor:
    """Other elements in the shape of x."""
    return wrapped(values, x._sizes, x._ragged, x._dim)


def jagged(values: Tensor, ragged: Ragged, dim: int) -> NestedTensor:
    """Values that are joined along ``dim``."""
    shape = tuple(values.shape)
    sizes = [(*shape[:dim], n, *shape[dim + 1 :]) for n in ragged.lengths]
    return wrapped(values, sizes, ragged, dim)


def like_parts(values: Tensor, sizes: Any, jagged: bool, dim: int) -> NestedTensor:
    """What was pickled."""
    return wrapped(values, sizes, Ragged([s[dim] for s in sizes]) if jagged else None, dim)


def packed(parts: Sequence[Tensor], ragged: Ragged | None, dim: int = 0) -> NestedTensor:
    """A nested tensor of components that are in the graph; jagged along ``dim`` if ragged."""
    sizes = [tuple(p.shape) for p in parts]
    if ragged is None:
        flat = [p.reshape(-1) for p in parts]
        return wrapped(T.cat(flat) if flat else T.zeros(0), sizes)
    regular = {s[:dim] + s[dim + 1 :] for s in sizes}
    if len(regular) > 1 or [s[dim] for s in sizes] != list(ragged.lengths):
        raise NotSupportedError(
            f"the result has no one irregular dim: its components have the shapes {sizes}. Use "
            "layout=torch.strided, or unbind()."
        )
    return jagged(T.cat(list(parts), dim), ragged, dim)


def described(x: Any) -> str:
    """An argument in an error's words."""
    if isinstance(x, NestedTensor):
        return f"nested {tuple(x.size())}" if x._ragged is not None else f"nested {x._sizes}"
    return f"{tuple(x.shape)}" if isinstance(x, Tensor) else repr(x)


def same_structure(name: str, tensors: Sequence[NestedTensor]) -> None:
    """Refuse nested tensors whose components do not correspond."""
    first = tensors[0]
    for other in tensors[1:]:
        alike = other._sizes == first._sizes and other._dim == first._dim
        if not alike or other._ragged is not first._ragged:
            more = ""
            if alike and None not in (first._ragged, other._ragged):
                more = " Their sizes are equal by chance: make both of the same offsets."
            raise ShapeError(
                f"{name}: cannot combine {described(first)} and {described(other)}; their"
                f" irregular dims must be the same.{more}"
            )
