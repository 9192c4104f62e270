"""Write composites in terms of elementwise ops, reductions and products, which the kernels are made
of.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rushlight.compiler.fits import fusible, has_template, is_free, is_product, target
from rushlight.compiler.graph import Graph, Node, Value
from rushlight.compiler.passes.attention_rules import ATTENTION_RULES
from rushlight.compiler.passes.conv_rules import CONV_RULES
from rushlight.compiler.passes.index_rules import INDEX_RULES
from rushlight.compiler.passes.loss_rules import LOSS_RULES
from rushlight.compiler.passes.norm_rules import NORM_RULES, centred
from rushlight.compiler.passes.order_rules import ORDER_RULES
from rushlight.compiler.passes.random_rules import RANDOM_RULES, native
from rushlight.compiler.passes.rank_rules import RANK_RULES
from rushlight.compiler.passes.rewrite import pure, substituted
from rushlight.compiler.passes.scatter_rules import SCATTER_RULES
from rushlight.compiler.passes.window_rules import WINDOW_RULES
from rushlight.compiler.passes.writer import Writer
from rushlight.compiler.scalars import F32, FLOATS, HALVES, NATIVE
from rushlight.ops.arithmetic import Add, Div, Mul, Neg, Pow, Sub
from rushlight.ops.compare import Eq, Maximum, Ne
from rushlight.ops.math import Exp, Log, Sqrt
from rushlight.ops.reduce import Amax, Amin, Sum
from rushlight.ops.rounding import Rounded
from rushlight.ops.select import Abs, Where
from rushlight.ops.statistics import VectorNorm
from rushlight.ops.view import Expand, T, Transpose

BOOL = np.dtype(bool)
SMALL_PRODUCT = 4096  # multiplications: below, a product is written as loops
LONG_SUM = 1 << 17  # elements: more may be worth a second thread
LEAST_ROWS, MOST_ROWS = 4, 1 << 14  # of a long sum


Rule = Callable[[Writer, Node], "list[Value] | None"]


def linear(w: Writer, node: Node) -> list[Value] | None:
    """A product with the transposed weight, plus the bias."""
    x, weight, bias = node.inputs
    rows = w.shaped(x, (math.prod(x.shape[:-1]), x.shape[-1]))
    turned = w.node(T, [weight], weight.shape[::-1], weight.dtype)
    out = w.shaped(w.product(rows, turned), node.outputs[0].shape)  # what follows has that shape
    return [w.map(Add, out, bias)]


def matrix(w: Writer, v: Value) -> Value:
    """A vector as a column; others as they are."""
    return w.shaped(v, (*v.shape, 1)) if len(v.shape) == 1 else v


def matmul(w: Writer, node: Node) -> list[Value] | None:
    """Vectors become matrices; few multiplications are sums of products."""
    (a, b), out = node.inputs, node.outputs[0]
    if len(a.shape) == 1:
        return [w.shaped(w.product(w.shaped(a, (1, *a.shape)), matrix(w, b)), out.shape)]
    if len(b.shape) == 1:
        return [w.shaped(w.product(a, matrix(w, b)), out.shape)]
    if (
        len(a.shape) != 2
        or len(b.shape) != 2
        or a.shape[0] * a.shape[1] * b.shape[1] > SMALL_PRODUCT
    ):
        return None
    (m, k), n = a.shape, b.shape[1]
    product = w.map(Mul, w.shaped(a, (m, k, 1)), w.shaped(b, (1, k, n)))
    return [w.reduce(Sum, product, (1,))]


def dims_of(node: Node) -> tuple[int, ...]:
    """The dims that a reduction runs over."""
    dim = node.params["dim"]
    rank = len(node.inputs[0].shape)
    if dim is None:
        return tuple(range(rank))
    return (
        tuple([d % rank for d in (dim if isinstance(dim, (tuple, list)) else (dim,))])
        if rank
        else ()
    )


def mean(w: Writer, node: Node) -> list[Value] | None:
    """The sum over the count."""
    x, dims = node.inputs[0], dims_of(node)
    count = math.prod([x.shape[d] for d in dims])
    return [w.map(Div, w.reduce(Sum, x, dims, node.params["keepdim"]), float(count))]


def long_sum(w: Writer, node: Node) -> list[Value] | None:
    """A long sum of everything by rows, which threads share, and then of these."""
    x, rank = node.inputs[0], len(node.inputs[0].shape)
    if len(dims_of(node)) < rank or math.prod(x.shape) < LONG_SUM:
        return None
    for lead in range(1, rank):
        if MOST_ROWS >= math.prod(x.shape[:lead]) >= LEAST_ROWS:
            rows = w.reduce(Sum, x, tuple(range(lead, rank)))
            return [w.shaped(w.sum_all(rows), node.outputs[0].shape)]
    return None


def variance(w: Writer, node: Node) -> list[Value] | None:
    """Mean square of the differences from the mean. What the mean's rounding adds to each is taken
    away, as eager code does: equal values have no variance, and no gradient of a deviation.
    """
    x, dims = node.inputs[0], dims_of(node)
    n = math.prod([x.shape[d] for d in dims])
    if n <= node.params["correction"]:
        return None
    d, _ = centred(w, x, dims)
    rest = w.reduce(Sum, d, dims)
    rest = w.map(Div, w.map(Mul, rest, rest), float(n))
    total = w.map(Sub, w.reduce(Sum, w.map(Mul, d, d), dims), rest)
    found = w.map(Div, w.map(Maximum, total, 0.0), float(n - node.params["correction"]))
    return [w.shaped(found, node.outputs[0].shape)]


def deviation(w: Writer, node: Node) -> list[Value] | None:
    """The root of the variance."""
    made = variance(w, node)
    return None if made is None else [w.map(Sqrt, made[0])]


def vector_norm(w: Writer, node: Node) -> list[Value] | None:
    """The root of the sum of powers, an extreme, or a count."""
    x, dims, keepdim = node.inputs[0], dims_of(node), node.params["keepdim"]
    ord = float(node.params["ord"])
    if ord == 2:
        return [w.map(Sqrt, w.reduce(Sum, w.map(Mul, x, x), dims, keepdim))]
    size = w.map(Abs, x)
    if ord == 1:
        return [w.reduce(Sum, size, dims, keepdim)]
    if math.isinf(ord):
        return [w.reduce(Amax if ord > 0 else Amin, size, dims, keepdim)]
    if ord == 0:
        some = w.map(Ne, x, 0.0, dtype=BOOL)
        return [w.reduce(Sum, w.cast(some, x.dtype), dims, keepdim)]
    return [w.map(Pow, w.reduce(Sum, w.map(Pow, size, ord), dims, keepdim), 1 / ord)]


def cdist(w: Writer, node: Node) -> list[Value] | None:
    """Norms of the differences of rows, or, from products, what their squares leave."""
    a, b = node.inputs
    if not node.params["products"]:
        left = w.shaped(a, (*a.shape[:-1], 1, a.shape[-1]))
        right = w.shaped(b, (*b.shape[:-2], 1, *b.shape[-2:]))
        gaps = w.map(Sub, left, right)
        p = {"ord": node.params["p"], "dim": (len(gaps.shape) - 1,), "keepdim": False}
        return [w.node(VectorNorm, [gaps], node.outputs[0].shape, a.dtype, **p)]
    rows, columns = [w.reduce(Sum, w.map(Mul, v, v), (len(v.shape) - 1,), True) for v in (a, b)]
    turned = (*b.shape[:-2], b.shape[-1], b.shape[-2])
    product = w.product(a, w.node(Transpose, [b], turned, b.dtype, dim0=-2, dim1=-1))
    square = w.map(Add, rows, w.shaped(columns, (*columns.shape[:-2], 1, columns.shape[-2])))
    return [w.map(Sqrt, w.map(Maximum, w.map(Sub, square, w.map(Mul, product, 2.0)), 0.0))]


def aminmax(w: Writer, node: Node) -> list[Value] | None:
    """Both extremes."""
    x, dims, keepdim = node.inputs[0], dims_of(node), node.params["keepdim"]
    return [w.reduce(op, x, dims, keepdim) for op in (Amin, Amax)]


def logsumexp(w: Writer, node: Node) -> list[Value] | None:
    """Shifted by the largest, unless that is infinite."""
    x, dims = node.inputs[0], dims_of(node)
    top = w.reduce(Amax, x, dims, True)
    infinite = w.map(Eq, w.map(Abs, top), math.inf, dtype=BOOL)
    top = w.node(Where, [infinite, 0.0, top], top.shape, x.dtype)
    total = w.reduce(Sum, w.map(Exp, w.map(Sub, x, top)), dims, True)
    return [w.shaped(w.map(Add, w.map(Log, total), top), node.outputs[0].shape)]


def nansum(w: Writer, node: Node) -> list[Value] | None:
    """The sum of what is a number."""
    x, dims = node.inputs[0], dims_of(node)
    kept = w.node(Where, [w.map(Eq, x, x, dtype=BOOL), x, 0.0], x.shape, x.dtype)
    return [w.reduce(Sum, kept, dims, node.params["keepdim"])]


def softmax(w: Writer, node: Node) -> list[Value] | None:
    """Exponentials over their sum."""
    x, dim = node.inputs[0], (node.params["dim"] % len(node.inputs[0].shape),)
    e = w.map(Exp, w.map(Sub, x, w.reduce(Amax, x, dim, True)))
    return [w.map(Div, e, w.reduce(Sum, e, dim, True))]


def softmax_grad(w: Writer, node: Node) -> list[Value] | None:
    """``(g - sum(g y)) y``."""
    g, y = node.inputs
    r = w.map(Mul, g, y)
    return [
        w.map(Sub, r, w.map(Mul, y, w.reduce(Sum, r, (node.params["dim"] % len(g.shape),), True)))
    ]


def log_softmax(w: Writer, node: Node) -> list[Value] | None:
    """Shifted by the logarithm of the sum of exponentials."""
    x, dim = node.inputs[0], (node.params["dim"] % len(node.inputs[0].shape),)
    y = w.map(Sub, x, w.reduce(Amax, x, dim, True))
    return [w.map(Sub, y, w.map(Log, w.reduce(Sum, w.map(Exp, y), dim, True)))]


def log_softmax_grad(w: Writer, node: Node) -> list[Value] | None:
    """``g - exp(y) sum(g)``."""
    g, y = node.inputs
    total = w.reduce(Sum, g, (node.params["dim"] % len(g.shape),), True)
    return [w.map(Sub, g, w.map(Mul, w.map(Exp, y), total))]


def glu(w: Writer, node: Node) -> list[Value] | None:
    """One half times the sigmoid of the other."""
    x = node.inputs[0]
    dim = node.params["dim"] % len(x.shape)
    n = x.shape[dim] // 2
    a, b = w.part(x, dim, 0, n), w.part(x, dim, n, 2 * n)
    return [w.map(Div, a, w.map(Add, w.map(Exp, w.map(Neg, b)), 1.0))]


def widened(w: Writer, node: Node) -> list[Value] | None:
    """The node on float32 copies of its halves, where only that has a native form."""
    values = [v for v in (*node.inputs, *node.outputs) if isinstance(v, Value)]
    floats = {v.dtype for v in values if v.dtype in HALVES or v.dtype in FLOATS}
    known = type(node.op).__module__.startswith("rushlight.ops") and pure(node)
    if not (known and floats & set(HALVES) and floats <= {*HALVES, F32}):
        return None
    if applies(node) or is_free(node) or has_template(node) or fusible(node, set()):
        return None
    if is_product(node):
        return None
    inputs = [w.cast(v, F32) if isinstance(v, Value) and v.dtype in HALVES else v
              for v in node.inputs]  # fmt: skip
    outputs = [w.graph.value(v.shape, F32) if v.dtype in HALVES else v for v in node.outputs]
    wide = Node(node.op, inputs, node.params, outputs, node.line)
    if not (applies(wide) or is_product(wide) or has_template(wide)):
        return None
    w.used |= {o.number for o, v in zip(outputs, node.outputs, strict=True) if v.number in w.used}
    w.nodes.append(wide)
    return [w.cast(o, v.dtype) for o, v in zip(outputs, node.outputs, strict=True)]


def copy(w: Writer, node: Node) -> list[Value] | None:
    """The source, converted and broadcast."""
    x, src = node.inputs
    if not isinstance(src, Value):
        return [w.full(x.shape, src, x.dtype)]
    src = w.cast(src, x.dtype)
    return [src if src.shape == x.shape else w.node(Expand, [src], x.shape, x.dtype, shape=x.shape)]


RULES: dict[str, Rule] = {
    **LOSS_RULES,
    **ATTENTION_RULES,
    **NORM_RULES,
    "Linear": linear,
    "Matmul": matmul,
    "Sum": long_sum,
    "Mean": mean,
    "Var": variance,
    "Std": deviation,
    "VectorNorm": vector_norm,
    "Cdist": cdist,
    "Aminmax": aminmax,
    "Logsumexp": logsumexp,
    "Nansum": nansum,
    "Softmax": softmax,
    "SoftmaxGrad": softmax_grad,
    "LogSoftmax": log_softmax,
    "LogSoftmaxGrad": log_softmax_grad,
    "Copy": copy,
    "Glu": glu,
    **WINDOW_RULES,
    **CONV_RULES,
}
MOVING = {**INDEX_RULES, **SCATTER_RULES, **RANK_RULES, **ORDER_RULES}  # of any dtype
EVERY = {**RULES, **MOVING, **RANDOM_RULES}
SAME = ("Clone", "Contiguous", "Alias")


def divisor(node: Node) -> Value | None:
    """The integers that a node divides by, none of which may be 0."""
    if not isinstance(node.op, Rounded) or node.outputs[0].dtype.kind not in "iu":
        return None
    return node.inputs[1] if isinstance(node.inputs[1], Value) else None


def applies(node: Node) -> bool:
    """Whether a rule may rewrite a node: native values, and for arithmetic floats with dims."""
    name, module = type(node.op).__name__, type(node.op).__module__
    if target.name == "cuda" and has_template(node):
        return False  # which serves better there than loops
    if name in MOVING and module.startswith("rushlight."):
        values = [v for v in (*node.inputs, *node.outputs) if isinstance(v, Value)]
        return all([v.dtype in NATIVE and 0 not in v.shape for v in values])
    if name in RANDOM_RULES and module == "rushlight.ops.random":
        return native(node)
    if name not in RULES or not module.startswith("rushlight.ops"):
        return False
    if name == "Copy":
        return True
    values = [v for v in (*node.inputs, *node.outputs) if isinstance(v, Value)]
    if any([0 in v.shape for v in values]):  # ops know what of nothing is
        return False
    floats = [v for v in node.inputs if isinstance(v, Value) and v.dtype.kind not in "iub"]
    # on a GPU libraries multiply halves as such
    known = (*FLOATS, *HALVES) if target.name == "cuda" and name == "Linear" else FLOATS
    plain = all([v.dtype in known for v in (*floats, node.outputs[0])])
    some = any([v.shape for v in (*floats, *node.outputs)])
    return plain and len({v.dtype for v in floats}) == 1 and some


def rewritten(w: Writer, node: Node) -> list[Value] | None:
    """What a rule makes of a node; None where it stays."""
    name = type(node.op).__name__
    if target.name == "cuda" and name in ("Conv", "ConvInput") and has_template(node):
        return without_bias(w, node)
    return EVERY[name](w, node) if applies(node) else widened(w, node)


def without_bias(w: Writer, node: Node) -> list[Value] | None:
    """A convolution and then its bias, which joins what follows."""
    *given, bias = node.inputs
    if bias is None:
        return None
    out = node.outputs[0]
    y = w.node(type(node.op), [*given, None], out.shape, out.dtype, **node.params)
    return [w.map(Add, y, w.shaped(bias, (bias.shape[0], *[1] * (len(out.shape) - 2))))]


def expand(graph: Graph) -> Graph:
    """Composites become simple nodes, copies disappear. Nodes that no rule fits stay."""
    out = substituted(graph, [], {})
    replace: dict[int, Value] = {}
    nodes: list[Node] = []
    constants = {i.value.number: i.source for i in graph.inputs if i.kind == "constant"}
    used = {v.number for v in graph.ends()}
    used |= {v.number for n in graph.nodes for v in n.inputs if isinstance(v, Value)}
    work = graph.nodes[::-1]
    while work:
        node = work.pop()
        node = Node(
            node.op,
            [replace.get(v.number, v) if isinstance(v, Value) else v for v in node.inputs],
            node.params,
            node.outputs,
            node.line,
        )
        if (
            type(node.op).__name__ in SAME
            and isinstance(node.inputs[0], Value)
            and node.inputs[0].shape == node.outputs[0].shape
        ):
            replace[node.outputs[0].number] = node.inputs[0]
            continue
        writer = Writer(out, node.line, used, constants)
        divides = divisor(node)
        if divides is not None:
            writer.require(writer.map(Ne, divides, 0, dtype=BOOL))
            nodes += [*writer.nodes, node]
            continue
        made = rewritten(writer, node)
        if made is None or any(
            [a.shape != b.shape for a, b in zip(made, node.outputs, strict=True)]
        ):
            nodes.append(node)
            continue
        for old, new in zip(node.outputs, made, strict=True):
            if new is not old:
                replace[old.number] = new
        work.extend(writer.nodes[::-1])  # which another rule may rewrite
    return substituted(out, nodes, replace)
