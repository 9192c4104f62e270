"""What public functions do with nested tensors: entered by name in `HANDLERS`. Handlers get the
function, then its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight import tensor_api as T
from rushlight.core.tensor import Tensor
from rushlight.errors import NotSupportedError, ShapeError
from rushlight.nested.tensor import (
    HANDLERS,
    NestedTensor,
    Ragged,
    described,
    jagged,
    like,
    packed,
    plain,
    same_structure,
    wrapped,
)
from rushlight.nn import functional as F
from rushlight.nn.functional.toplevel import native_dropout


def handles(*names: str) -> Callable[[Any], Any]:
    """Decorator: enters a handler for functions of these names."""

    def enter(handler: Any) -> Any:
        HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return enter


def component_dim(x: NestedTensor, dim: int, name: str) -> int:
    """A dim of x as one of its components. RuntimeError for dim 0."""
    n = x.dim()
    if not -n <= dim < n:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})"
        )
    if not dim % n:
        raise RuntimeError(f"{name}: not supported along dim 0 of a nested tensor; use unbind().")
    return dim % n - 1


def each(x: NestedTensor, function: Callable[[Tensor], Tensor], dim: int | None = None) -> Any:
    """A function of every component, with the irregular dim at ``dim`` of the results."""
    return packed([function(p) for p in x.unbind()], x._ragged, x._dim if dim is None else dim)


# ---- element by element ------------------------------------------------------------------------

ELEMENTWISE = """
    abs acos add addcdiv addcmul alpha_dropout asin atan atan2 bernoulli bfloat16 bitwise_and
    bitwise_not bitwise_or bool ceil celu clamp clamp_max clamp_min clip clone contiguous copy_
    cos cosh cpu cuda deg2rad detach div double elu empty_like eq erf exp exp2 expm1
    fill_ float floor fmod full_like ge gelu gt half hardshrink hardsigmoid hardswish hardtanh
    int isfinite isinf isnan le leaky_relu lerp log log10 log1p log2 logical_and logical_not
    logical_or logical_xor logsigmoid logit long lt masked_fill maximum minimum mish mul
    multiply nan_to_num ne neg negative ones_like pow rad2deg rand_like randn_like reciprocal
    relu relu6 remainder round rsqrt rsub selu sgn sigmoid sign silu sin sinh softplus
    softshrink softsign sqrt square sub subtract tan tanh tanhshrink threshold to true_divide
    trunc uniform_ normal_ where zero_ zeros_like
"""
OPERATORS = """
    add radd sub rsub mul rmul truediv rtruediv rdiv pow rpow neg abs eq ne lt le gt ge invert and
    or xor iadd isub imul itruediv
"""


def elementwise(function: Any, *args: Any, **kwargs: Any) -> Any:
    """A function of corresponding elements; dense tensors broadcast over the components."""
    nested = [a for a in (*args, *kwargs.values()) if isinstance(a, NestedTensor)]
    name, first = function.__name__, nested[0]
    same_structure(name, nested)
    dense = [
        a
        for a in (*args, *kwargs.values())
        if isinstance(a, Tensor) and not isinstance(a, NestedTensor) and a.dim()
    ]
    if dense and not all(over_values(first, d) for d in dense):
        return by_component(function, first, args, kwargs)

    def given(a: Any) -> Any:
        if isinstance(a, NestedTensor):
            return plain(a)
        return shared(first, a) if isinstance(a, Tensor) and a.dim() else a

    out = function(*map(given, args), **{k: given(v) for k, v in kwargs.items()})
    if name.rstrip("_") != name and name.strip("_") in INPLACE:
        return args[0]
    return like(first, out)


INPLACE = frozenset(
    "add sub mul div copy fill zero normal uniform iadd isub imul itruediv".split()  # noqa: SIM905
)


def over_values(x: NestedTensor, dense: Tensor) -> bool:
    """Whether a dense tensor broadcasts against the values as it does against each component."""
    if x._ragged is None or dense.dim() > x.dim():
        return False
    at = x._dim + 1 - x.dim()  # the irregular dim, from the end
    return (dense.dim() < x.dim() or dense.shape[0] == 1) and (
        dense.dim() < -at or dense.shape[at] == 1
    )


def shared(x: NestedTensor, dense: Tensor) -> Tensor:
    """A dense tensor without the batch's dim."""
    return dense.squeeze(0) if dense.dim() == x.dim() else dense


def by_component(function: Any, x: NestedTensor, args: Any, kwargs: Any) -> Any:
    """A function of elements, for each component."""

    def given(a: Any, i: int) -> Any:
        if isinstance(a, NestedTensor):
            return a.unbind()[i]
        if isinstance(a, Tensor) and a.dim() == x.dim():
            return a[i if a.shape[0] > 1 else 0]
        return a

    parts = [
        function(*[given(a, i) for a in args], **{k: given(v, i) for k, v in kwargs.items()})
        for i in range(len(x))
    ]
    if [tuple(p.shape) for p in parts] != list(x._sizes):
        raise ShapeError(
            f"{function.__name__}: {', '.join(map(described, args))} do not broadcast to the shape "
            "of the nested one."
        )
    return packed(parts, x._ragged, x._dim)


for _name in ELEMENTWISE.split():
    HANDLERS[_name] = elementwise
for _name in OPERATORS.split():
    HANDLERS[f"__{_name}__"] = elementwise
for _name in INPLACE:
    HANDLERS[f"{_name}_"] = elementwise


@handles("dropout")
def dropout(
    function: Any, input: NestedTensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Any:
    """Of all elements. As in PyTorch it draws numbers for them whatever ``p`` is."""
    if inplace or not training or not 0 <= p <= 1:
        return elementwise(function, input, p, training, *([True] if inplace else []))
    return like(input, native_dropout(plain(input), p, True)[0])


# ---- along regular dims ------------------------------------------------------------------------


@handles("linear", "layer_norm", "rms_norm")
def rows(function: Any, input: Any, *args: Any, **kwargs: Any) -> Any:
    """A function of the last dims, which are regular."""
    if not isinstance(input, NestedTensor) or any(isinstance(a, NestedTensor) for a in args):
        raise NotSupportedError(f"{function.__name__}: only its input may be nested.")
    if input._ragged is None:
        return each(input, lambda p: function(p, *args, **kwargs))
    if input._dim == input.dim() - 2:
        raise NotSupportedError(
            f"{function.__name__}: the last dim of {described(input)} is irregular."
        )
    return jagged(function(plain(input), *args, **kwargs), input._ragged, input._dim)


@handles("embedding")
def embedding(function: Any, input: NestedTensor, weight: Tensor, **kwargs: Any) -> Any:
    """Rows of a table, by a nested tensor of indices."""
    values = function(plain(input), weight, **kwargs)
    if input._ragged is not None:
        return jagged(values, input._ragged, input._dim)
    return wrapped(values.reshape(-1), [(*s, weight.shape[1]) for s in input._sizes])


@handles("softmax", "log_softmax")
def softmax(function: Any, input: NestedTensor, dim: int, *args: Any, **kwargs: Any) -> Any:
    """Along a dim of each component, also the irregular one."""
    d = component_dim(input, dim, function.__name__)
    return each(input, lambda p: function(p, d, *args, **kwargs))


@handles("transpose", "swapaxes", "swapdims")
def transpose(function: Any, input: NestedTensor, dim0: int, dim1: int) -> Any:
    """Two dims of each component exchanged."""
    a, b = (component_dim(input, d, "transpose") for d in (dim0, dim1))
    if input._ragged is None:
        return each(input, lambda p: p.transpose(a, b))
    dim = {a: b, b: a}.get(input._dim, input._dim)
    return jagged(plain(input).transpose(a, b), input._ragged, dim)


@handles("view", "reshape")
def view(function: Any, input: NestedTensor, *shape: Any) -> Any:
    """Other sizes, with the batch's first; the irregular one is given by its name or as -1."""
    sizes = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    if not sizes or sizes[0] not in (len(input), -1):
        raise RuntimeError(
            f"{function.__name__}: the first size must be that of the batch, {len(input)}, but the "
            f"sizes are {sizes}."
        )
    inner = list(sizes[1:])
    if input._ragged is None:
        return each(input, lambda p: p.reshape(inner))
    named = [i for i, n in enumerate(inner) if isinstance(n, Ragged)]
    if any(inner[i] is not input._ragged for i in named) or (not named and -1 not in inner):
        raise RuntimeError(
            f"{function.__name__}: the irregular size of {described(input)} must stay, as "
            f"{input._ragged} or -1, but the sizes are {sizes}."
        )
    dim = named[0] if named else inner.index(-1)
    values = plain(input).movedim(input._dim, 0)
    del inner[dim]
    values = values.reshape(values.shape[0], *inner).movedim(0, dim)
    return jagged(values, input._ragged, dim)


@handles("flatten")
def flatten(function: Any, input: NestedTensor, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Regular dims of each component as one."""
    a, b = (component_dim(input, d, "flatten") for d in (start_dim, end_dim))
    if input._ragged is None:
        return each(input, lambda p: p.flatten(a, b))
    if a <= input._dim <= b and a != b:
        raise NotSupportedError(
            f"flatten: dims {a + 1} to {b + 1} hold the irregular one; use view."
        )
    dim = input._dim - (b - a if input._dim > b else 0)
    return jagged(plain(input).flatten(a, b), input._ragged, dim)


@handles("unflatten")
def unflatten(function: Any, input: NestedTensor, dim: int, sizes: Any) -> Any:
    """A regular dim of each component as several."""
    d = component_dim(input, dim, "unflatten")
    if input._ragged is None:
        return each(input, lambda p: p.unflatten(d, sizes))
    if d == input._dim:
        raise NotSupportedError("unflatten: the irregular dim cannot be split.")
    shift = len(tuple(sizes)) - 1 if d < input._dim else 0
    return jagged(plain(input).unflatten(d, sizes), input._ragged, input._dim + shift)


@handles("unsqueeze", "squeeze")
def one(function: Any, input: NestedTensor, dim: int) -> Any:
    """A dim of size 1 more, or less."""
    more = function.__name__ == "unsqueeze"
    d = dim + (input.dim() + more if dim < 0 else 0)
    if d <= 0:
        raise RuntimeError(f"{function.__name__}: not supported at dim 0 of a nested tensor.")
    before = d - 1 <= input._dim if more else d - 1 < input._dim
    step = 1 if more else -1
    return each(input, lambda p: function(p, d - 1), input._dim + (step if before else 0))


@handles("chunk", "split")
def pieces(function: Any, input: NestedTensor, size: Any, dim: int = 0) -> Any:
    """Pieces of a regular dim."""
    d = component_dim(input, dim, function.__name__)
    if input._ragged is not None and d == input._dim:
        raise NotSupportedError(f"{function.__name__}: dim {dim} is irregular; use unbind().")
    found = [function(p, size, d) for p in input.unbind()]
    return tuple([packed(parts, input._ragged, input._dim) for parts in zip(*found, strict=True)])


@handles("cat", "concat")
def cat(function: Any, tensors: Sequence[Any], dim: int = 0) -> Any:
    """Along a regular dim; along dim 0 all components."""
    if not all(isinstance(t, NestedTensor) for t in tensors):
        raise RuntimeError("cat: nested tensors and others cannot be joined.")
    first = tensors[0]
    if dim % first.dim() == 0:
        parts = [p for t in tensors for p in t.unbind()]
        ragged = first._ragged and Ragged([p.shape[first._dim] for p in parts])
        return packed(parts, ragged, first._dim)
    d = component_dim(first, dim, "cat")
    rows = zip(*[t.unbind() for t in tensors], strict=True)
    return packed([T.cat(list(parts), d) for parts in rows], first._ragged, first._dim)


@handles("__getitem__", "select")
def item(function: Any, input: NestedTensor, *index: Any) -> Any:
    """A component, or the same part of all."""
    if function.__name__ == "select":
        dim, place = index
        if dim % input.dim():
            d = component_dim(input, dim, "select")
            return each(input, lambda p: p.select(d, place), input._dim - (d < input._dim))
        return input.unbind()[place]
    key = index[0] if isinstance(index[0], tuple) else index
    if isinstance(key[0], int):
        return input.unbind()[key[0]][tuple(key[1:])]
    if key[0] is Ellipsis or key[0] == slice(None):
        rest = tuple(key[1:]) if key[0] is not Ellipsis else tuple(key)
        return each(input, lambda p: p[rest])
    raise NotSupportedError(
        f"nested tensors are indexed by a number or ':' first, not by {key[0]!r}."
    )


# ---- sums and products -------------------------------------------------------------------------


@handles("sum", "mean", "amax", "amin", "prod", "any", "all")
def reduced(
    function: Any, input: NestedTensor, dim: Any = None, keepdim: bool = False, **kwargs: Any
) -> Any:
    """Over all elements; over regular dims of each component, which stays nested; or over the
    irregular one too, which gives a dense tensor.
    """
    if dim is None or dim == ():
        return function(plain(input), **kwargs)
    n = input.dim()
    dims = [d % n for d in ([dim] if isinstance(dim, int) else dim)]
    inner: Any = tuple([d - 1 for d in dims if d])
    inner = inner[0] if len(inner) == 1 else inner
    irregular = input._ragged is not None and input._dim + 1 in dims
    if 0 in dims:
        if not irregular:
            raise RuntimeError(
                f"{function.__name__}: dim 0 of a nested tensor is reduced only with the irregular "
                "one; use unbind()."
            )
        out = function(plain(input), inner, keepdim, **kwargs)
        return out.unsqueeze(0) if keepdim else out
    parts = [function(p, inner, keepdim, **kwargs) for p in input.unbind()]
    if irregular:
        return T.stack(parts)
    gone = 0 if keepdim else sum([0 < d <= input._dim for d in dims])
    return packed(parts, input._ragged, input._dim - gone)


@handles("max", "min", "new_zeros", "new_ones", "new_full", "new_empty", "new_tensor")
def of_all(function: Any, input: NestedTensor, *args: Any, **kwargs: Any) -> Any:
    """Over all elements; or a new dense tensor."""
    if function.__name__ in ("max", "min") and (args or kwargs):
        raise NotSupportedError(f"{function.__name__}: of nested tensors only over all elements.")
    return function(plain(input), *args, **kwargs)


@handles("matmul", "bmm", "__matmul__", "__rmatmul__")
def matmul(function: Any, input: Any, other: Any) -> Any:
    """Products of corresponding components; a dense matrix goes with all of them."""
    if function.__name__ == "__rmatmul__":
        input, other = other, input
    first: NestedTensor = input if isinstance(input, NestedTensor) else other
    if input.dim() < 3 and not isinstance(input, NestedTensor):
        raise NotSupportedError("matmul: the first of two may be dense if it has a batch's dim.")

    def parts(t: Any) -> Any:
        return [t] * len(first) if not isinstance(t, NestedTensor) and t.dim() < 3 else t.unbind()

    found = [T.matmul(a, b) for a, b in zip(parts(input), parts(other), strict=True)]
    rank = first.dim() - 1
    places = []  # of the irregular dims that are left
    if isinstance(input, NestedTensor) and input._ragged and input._dim != rank - 1:
        places.append((input._ragged, input._dim))
    if isinstance(other, NestedTensor) and other._ragged and other._dim != other.dim() - 3:
        places.append((other._ragged, other._dim))
    if first._ragged is None:
        return packed(found, None)
    return packed(found, *places[0]) if places else T.stack(found)


@handles("scaled_dot_product_attention")
def attention(
    function: Any,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Attention within each component: ``(B, heads, L*, E)``."""
    given = (query, key, value)
    if attn_mask is not None or not all(isinstance(t, NestedTensor) for t in given):
        raise NotSupportedError(
            "scaled_dot_product_attention: query, key and value must all be nested, and without "
            "attn_mask."
        )
    rows = zip(*[t.unbind() for t in given], strict=True)
    parts = [function(q, k, v, None, *args, **kwargs) for q, k, v in rows]
    return packed(parts, query._ragged, query._dim)


# ---- the whole ---------------------------------------------------------------------------------


@handles("unbind")
def unbind(function: Any, input: NestedTensor, dim: int = 0) -> Any:
    """The components."""
    return input.unbind(dim)


@handles("numel", "nelement", "ndimension", "is_contiguous", "is_same_size")
def fact(function: Any, input: NestedTensor, *args: Any, **kwargs: Any) -> Any:
    """What is asked of the whole."""
    if function.__name__ == "ndimension":
        return input.dim()
    if function.__name__ == "is_contiguous":
        return input._dim == 0
    if function.__name__ == "is_same_size":
        return input._sizes == args[0]._sizes
    return input.numel()


@handles("backward")
def backward(function: Any, input: NestedTensor, gradient: Any = None, **kwargs: Any) -> None:
    """Gradients of a nested result, of which that of each element is given."""
    if gradient is None:
        raise RuntimeError(
            "grad can be implicitly created only for scalar outputs; pass gradient=."
        )
    plain(input).backward(plain(gradient), **kwargs)


@handles("to_padded_tensor")
def to_padded_tensor(
    function: Any, input: NestedTensor, padding: float, output_size: Any = None
) -> Tensor:
    """The components side by side, each filled up at its ends to the largest sizes."""
    most = [max(n) for n in zip(*input._sizes, strict=True)]
    if output_size is not None:
        if len(output_size) != len(most) + 1 or any(
            o < m for o, m in zip(output_size[1:], most, strict=True)
        ):
            raise RuntimeError(
                f"to_padded_tensor: output_size {tuple(output_size)} is too small for {most}."
            )
        most = list(output_size[1:])
    rows = []
    for part in input.unbind():
        room = [m - n for m, n in zip(most, part.shape, strict=True)]
        rows.append(F.pad(part, [r for n in reversed(room) for r in (0, n)], value=padding))
    return T.stack(rows)
