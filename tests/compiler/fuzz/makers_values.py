"""Lines that make tensors: functions of elements, views, reductions, products, layers."""

from __future__ import annotations

import math

from tests.compiler.fuzz.growth import Grower, maker

# fmt: off
BOUNDED = [
    "tanh", "sigmoid", "relu", "sin", "cos", "erf", "atan", "asinh", "abs", "neg", "square",
    "floor", "ceil", "round", "trunc", "sign", "expm1", "sinh", "nan_to_num",
]
POSITIVE = [
    "log", "sqrt", "rsqrt", "reciprocal", "log1p", "log2", "log10", "digamma", "lgamma"
]
ACTIVATIONS = [
    "gelu", "silu", "elu", "selu", "celu", "softplus", "leaky_relu", "hardtanh", "hardswish",
    "hardsigmoid", "mish", "relu6", "softsign", "tanhshrink", "softshrink", "hardshrink",
    "logsigmoid",
]


# Elements


@maker(0.12)
def unary(m: Grower) -> None:
    m.add(f"torch.{m.pick(BOUNDED)}({m.float()})")


@maker(0.05)
def positive(m: Grower) -> None:
    m.add(f"torch.{m.pick(POSITIVE)}({m.float()}.abs() + 0.3)")


@maker(0.06)
def activation(m: Grower) -> None:
    name = m.pick(ACTIVATIONS)
    extra = ', approximate="tanh"' if name == "gelu" and m.chance(0.5) else ""
    m.add(f"F.{name}({m.float()}{extra})")


@maker(0.03)
def saturating(m: Grower) -> None:
    x = m.float()
    m.add(m.pick([f"{x}.clamp(-1, 0.7)", f"{x}.clamp(min=0.1)", f"torch.exp({x}.clamp(max=2))",
                  f"torch.exp2({x}.clamp(-2, 2))", f"torch.asin({x}.clamp(-0.9, 0.9))",
                  f"torch.atanh({x}.clamp(-0.8, 0.8))", f"torch.acosh({x}.abs() + 1.2)"]))


@maker(0.14)
def binary(m: Grower) -> None:
    m.add(f"{m.X} {m.pick(['+', '-', '*', '*'])} {m.other()}")


@maker(0.05)
def binary_function(m: Grower) -> None:
    y, x = m.tensor(m.shape), m.float()
    m.add(m.pick([f"torch.maximum({x}, {y})", f"torch.minimum({x}, {y})", f"torch.atan2({x}, {y})",
                  f"torch.hypot({x}, {y})", f"torch.logaddexp({x}, {y})",
                  f"torch.copysign({x}, {y})", f"torch.fmin({x}, {y})", f"torch.fmax({x}, {y})",
                  f"torch.lerp({x}, {y}, 0.3)", f"torch.add({x}, {y}, alpha=0.5)",
                  f"torch.addcmul({x}, {y}, {y}, value=0.5)",
                  f"torch.addcdiv({x}, {x}, {y}.abs() + 0.5)",
                  f"{x} / ({y}.abs() + 0.5)", f"({x}.abs() + 0.1) ** {y}",
                  f"torch.xlogy({x}, {y}.abs() + 0.1)"]))


@maker(0.04)
def power(m: Grower) -> None:
    x = m.float()
    m.add(m.pick([f"{x} ** 2", f"{x} ** 3", f"{x} ** 0", f"({x}.abs() + 0.2) ** 0.5",
                  f"({x}.abs() + 0.3) ** -1", f"({x}.abs() + 0.2) ** 1.7",
                  f"1.5 ** {x}", f"2 - {x}", f"1 / ({x}.abs() + 0.5)"]))


@maker(0.05)
def truth(m: Grower) -> None:
    op = m.pick(["<", "<=", ">", ">=", "==", "!="])
    m.add(m.pick([f"{m.X} {op} {m.other()}", f"torch.isnan({m.X})", f"torch.isfinite({m.X})",
                  f"torch.logical_not({m.X})", f"torch.logical_and({m.X}, {m.pick(m.pool)})",
                  f"torch.logical_or({m.X}, {m.other()})",
                  f"torch.logical_xor({m.X}, {m.pick(m.alike())})"]))


@maker(0.05)
def choice(m: Grower) -> None:
    c = f"({m.X} > 0)" if m.kind != "bool" else m.X
    m.add(m.pick([f"torch.where({c}, {m.tensor(m.shape)}, {m.other()})",
                  f"{m.tensor(m.shape)}.masked_fill({c}, {m.number()})",
                  f"torch.where({c}, {m.X}, {m.number()})"]))


@maker(0.05)
def conversion(m: Grower) -> None:
    kinds = ["float", "double", "long", "int", "bool", "half", "to(torch.int8)", "to(torch.uint8)"]
    kind = m.pick(kinds)
    x = f"({m.X}.clamp(0, 9))" if "uint8" in kind else m.X
    m.add(f"{x}.{kind if '(' in kind else kind + '()'}")


@maker(0.04)
def integers(m: Grower) -> None:
    x = m.X if not m.floating and m.kind != "bool" else f"({m.X} * 3).long()"
    y = m.pick(["2", "3", "-2", f"({x}.abs() + 1)"])
    m.add(m.pick([f"{x} // {y}", f"{x} % {y}", f"{x} & 3", f"{x} | 1", f"{x} ^ 5", f"~{x}",
                  f"{x} << 1", f"{x} >> 1", f"{x}.abs()", f"{x} * {x}", f"torch.gcd({x}, {x} + 2)",
                  f"{x}.clamp(-2, 3)", f"{x} + {x}", f"{x} / {y}", f"-{x}"]))


@maker(0.02)
def rounding_division(m: Grower) -> None:
    x = m.float()
    m.add(m.pick([f"{x} // 0.7", f"{x} % 0.7", f"torch.fmod({x}, 0.6)",
                  f'torch.div({x}, 0.3, rounding_mode="trunc")',
                  f'torch.div({x}, 0.3, rounding_mode="floor")']))


# Views and their like


@maker(0.08)
def rearranged(m: Grower) -> None:
    n, x = m.ndim, m.X
    if n < 2:
        m.add(m.pick([f"{x}.unsqueeze(-1)", f"{x}.unsqueeze(0)", f"{x}.reshape(-1)",
                      f"{x}.flip(-1)"]))
        return
    order = tuple(int(k) for k in m.r.permutation(n))
    m.add(m.pick([f"{x}.transpose({m.dim()}, {m.dim()})", f"{x}.permute{order}", f"{x}.mT",
                  f"{x}.flatten({m.whole(0, n - 1)})", f"{x}.movedim(0, -1)",
                  f"{x}.unsqueeze({m.dim()})", f"{x}.squeeze()", f"{x}.flip({m.dim()})",
                  f"{x}.diagonal(0, {m.whole(0, 1)}, 1)", f"{x}.swapaxes(0, -1).contiguous()",
                  f"{x}.roll(1, {m.dim()})", f"{x}.reshape(-1)"]))


@maker(0.05)
def reshaped(m: Grower) -> None:
    count, shape = m.x.numel(), []
    while count > 1 and len(shape) < 3:
        part = m.pick([k for k in range(1, count + 1) if count % k == 0])
        shape.append(part)
        count //= part
    shape = [*shape, count] if m.chance(0.6) else [*shape, -1]
    m.add(f"{m.X}.{m.pick(['reshape', 'view'])}({', '.join(map(str, shape))})")


@maker(0.03)
def expanded(m: Grower) -> None:
    wide = [n if n != 1 or m.chance(0.3) else m.size() for n in m.shape]
    lead = [m.whole(1, 4)] if m.chance(0.4) else []
    sizes = ", ".join(map(str, lead + wide)) or "2"
    m.add(f"{m.X}.expand({sizes})")


@maker(0.07)
def part(m: Grower) -> None:
    m.add(f"{m.X}[{index(m)}]")


def index(m: Grower) -> str:
    """A basic index."""
    items = []
    for n in m.shape[: m.whole(1, m.ndim + 1)] if m.ndim else ():
        k = m.whole(0, 6)
        a, b = sorted((m.whole(0, n + 1), m.whole(0, n + 1)))
        items.append([":", f"{a}:{b}", f"::{m.whole(1, 3)}", f"{m.whole(-n, n)}" if n else ":",
                      "None, :", f"{a}:"][k])
    return ", ".join([*(["..."] if m.chance(0.2) and not items else []), *items]) or "..."


@maker(0.04)
def picked(m: Grower) -> None:
    if not m.ndim or 0 in m.shape:
        return
    d = m.dim()
    n = m.shape[d]
    k = m.whole(1, 5)
    i = m.input((k,), "index", "int64", n)
    lead = f"{':, ' * (d % m.ndim)}"
    whole = m.input(m.shape, "index", "int64", n) if m.chance(0.3) else i
    m.add(m.pick([f"{m.X}.index_select({d}, {i})", f"{m.X}[{lead}{i}]", f"{m.X}[{lead}[0, -1, 0]]",
                  f"torch.gather({m.X}, {d}, {whole})",
                  f"F.embedding({i}.clamp(max={m.shape[0] - 1}), {m.X})",
                  f"torch.take_along_dim({m.X}, {whole}, {d})", f"{m.X}.select({d}, 0)",
                  ]))


@maker(0.03)
def scattered(m: Grower) -> None:
    if not m.ndim or 0 in m.shape or not m.floating:
        return
    d = m.dim()
    i = m.input(m.shape, "index", "int64", m.shape[d])
    row = m.input((m.shape[d],), "index", "int64", m.shape[d])
    m.add(m.pick([f"torch.zeros_like({m.X}).scatter_add({d}, {i}, {m.X})",
                  f"torch.ones_like({m.X}).index_add({d}, {row}, {m.X})",
                  f"F.one_hot({i})",
                  f"{m.X}.index_fill({d}, {row}, 0.5)"]))


@maker(0.04)
def joined(m: Grower) -> None:
    names = [m.X, *[m.pick(m.alike()) for _ in range(m.whole(0, 3))]]
    m.add(f"torch.{m.pick(['cat', 'cat', 'stack'])}([{', '.join(names)}], {m.dim()})")


@maker(0.03)
def cut(m: Grower) -> None:
    if not m.ndim:
        return
    d = m.dim()
    n = m.shape[d]
    if n < 2:
        return
    k = m.whole(1, n)
    m.add(m.pick([f"{m.X}.split([{k}, {n - k}], {d})",
                  f"torch.tensor_split({m.X}, [{k}], {d})"]), 2)


@maker(0.03)
def shaped(m: Grower) -> None:
    m.add(m.pick([f"F.pad({m.X}, (1, 2))", f"F.pad({m.X}, (-1, 1), value=0.5)",
                  f"{m.X}.tril()", f"{m.X}.triu(1)", f"{m.X}.repeat_interleave(2, {m.dim()})",
                  f"{m.X}.repeat({', '.join(['2'] + ['1'] * (m.ndim - 1))})",
                  f"{m.X}.unfold(-1, 2, 1)", f"torch.diag_embed({m.X})",
                  f"{m.X}.view_as({m.X}).clone()"]))


@maker(0.02)
def made(m: Grower) -> None:
    m.add(m.pick([f"torch.arange({m.size()})", f"torch.ones_like({m.X})", f"torch.zeros({m.shape})",
                  f"torch.full({m.shape}, 0.5, dtype=torch.{m.dtype})",
                  f"torch.eye({m.whole(1, 5)})",
                  f"torch.linspace(0, 1, {m.whole(1, 9)}, dtype=torch.{m.dtype})",
                  "torch.tensor([1.0, 2.0])", f"torch.arange(0, 1, 0.25, dtype=torch.{m.dtype})",
                  ]))


@maker(0.02)
def ordered(m: Grower) -> None:
    d = m.dim()
    m.add(m.pick([f"torch.sort({m.X}, {d})", f"torch.topk({m.X}, 1, {d})",
                  f"torch.cummax({m.X}, {d})", f"torch.kthvalue({m.X}, 1, {d})",
                  f"torch.median({m.X}, {d})"]), 2)


@maker(0.02)
def running(m: Grower) -> None:
    d = m.dim()
    m.add(m.pick([f"torch.cumsum({m.X}, {d})", f"torch.cumprod({m.X}, {d})",
                  f"torch.diff({m.X}, dim={d})", f"torch.argsort({m.X}, {d})",
                  f"torch.logcumsumexp({m.float()}, {d})"]))


# Reductions


@maker(0.09)
def reduced(m: Grower) -> None:
    names = ["sum", "sum", "mean", "amax", "amin", "prod", "var", "std", "logsumexp"]
    name = m.pick(names)
    x = m.float() if name not in ("sum", "amax", "amin") else m.X
    dims = str(m.dim())
    if m.ndim > 1 and m.chance(0.3) and name != "prod":
        dims = str(tuple(int(k) for k in m.r.permutation(m.ndim)[: m.whole(1, m.ndim + 1)]))
    keep = ", keepdim=True" if m.chance(0.4) else ""
    if name not in ("logsumexp",) and m.chance(0.25):
        dims = keep = ""
    m.add(f"{x}.{name}({dims}{keep})")


@maker(0.03)
def counted(m: Grower) -> None:
    d = m.dim()
    m.add(m.pick([f"{m.X}.any({d})", f"{m.X}.all({d})", f"({m.X} != 0).sum({d})",
                  f"{m.X}.argmax({d})",
                  f"{m.X}.argmin({d})", f"torch.count_nonzero({m.X}, {d})", f"{m.X}.any()",
                  f"{m.X}.norm()", f"torch.linalg.vector_norm({m.float()}, dim={d})",
                  f"{m.float()}.norm(1, {d})", f"torch.nansum({m.X}, {d})"]))


@maker(0.03)
def extreme(m: Grower) -> None:
    keep = ", keepdim=True" if m.chance(0.4) else ""
    m.add(f"{m.X}.{m.pick(['max', 'min'])}({m.dim()}{keep})", 2)


@maker(0.04)
def softmax(m: Grower) -> None:
    m.add(f"F.{m.pick(['softmax', 'log_softmax', 'softmin'])}({m.float()}, {m.dim()})")


@maker(0.03)
def distances(m: Grower) -> None:
    x, y = m.float(), m.tensor(m.shape)
    m.add(m.pick([f"F.normalize({x}, dim={m.dim()})",
                  f"F.cosine_similarity({x}, {y}, dim={m.dim()})",
                  f"F.pairwise_distance({x}, {y})", f"torch.cdist({x}, {y})"]))


# Products


@maker(0.09)
def product(m: Grower) -> None:
    if m.ndim == 0 or not m.floating:
        return
    x, k, n = m.float(), m.shape[-1], m.size()
    if m.kind != m.dtype:
        x = f"{m.X}.to(torch.{m.dtype})"
    choice = m.whole(0, 8)
    if choice < 3:
        bias = m.parameter((n,)) if m.chance(0.6) else "None"
        m.add(f"F.linear({x}, {m.parameter((n, k))}, {bias})")
    elif choice < 5:
        m.add(f"{x} @ {m.tensor((k, n) if m.chance(0.7) else (k,))}")
    elif choice == 5:
        m.add(f"{x} @ {m.tensor((n, k))}.mT" if m.chance(0.5) else f"{m.tensor((n, k))} @ {x}.mT")
    elif choice == 6 and m.ndim > 1:
        m.add(f"torch.matmul({x}, {m.tensor((*m.shape[:-2], k, n))})")
    else:
        m.add(m.pick([f"torch.outer({x}.reshape(-1)[:5], {m.tensor((n,))})",
                      f'torch.einsum("...k,nk->...n", {x}, {m.tensor((n, k))})',
                      f"torch.addmm({m.tensor((n,))}, {x}, {m.tensor((k, n))}, beta=0.5)",
                      f"torch.mv({x}, {m.tensor((k,))})", f"torch.dot({x}, {m.tensor((k,))})",
                      f"torch.tensordot({x}, {m.tensor((k, n))}, 1)"]))


@maker(0.02)
def attention(m: Grower) -> None:
    if m.ndim < 3 or m.kind != m.dtype or 0 in m.shape:
        return
    q, causal = m.tensor((*m.shape[:-2], m.whole(1, 6), m.shape[-1])), m.chance(0.3)
    m.add(f"F.scaled_dot_product_attention({q}, {m.X}, {m.tensor(m.shape)}, is_causal={causal})")


@maker(0.05)
def convolution(m: Grower) -> None:
    if m.ndim not in (3, 4) or m.kind != m.dtype or 0 in m.shape:
        return
    rank, inner = m.ndim - 2, m.shape[1]
    groups = m.pick([g for g in (1, 1, 2, inner) if inner % g == 0])
    outer = groups * m.whole(1, 4)
    kernel = tuple([m.whole(1, min(n, 4) + 1) for n in m.shape[2:]])
    options = f"stride={m.whole(1, 3)}, padding={m.whole(0, 3)}, dilation={m.whole(1, 3)}"
    bias = m.parameter((outer,)) if m.chance(0.5) else "None"
    if m.chance(0.25):
        w = m.parameter((inner, outer // groups, *kernel))
        options = f"stride={m.whole(1, 3)}, groups={groups}"
        m.add(f"F.conv_transpose{rank}d({m.X}, {w}, {bias}, {options})")
    else:
        w = m.parameter((outer, inner // groups, *kernel))
        m.add(f"F.conv{rank}d({m.X}, {w}, {bias}, {options}, groups={groups})")


@maker(0.04)
def pooling(m: Grower) -> None:
    if m.ndim not in (3, 4) or not m.floating:
        return
    rank, k = m.ndim - 2, m.whole(1, 4)
    m.add(m.pick([f"F.max_pool{rank}d({m.X}, {k}, {m.whole(1, 3)}, {m.whole(0, k // 2 + 1)})",
                  f"F.avg_pool{rank}d({m.X}, {k}, {m.whole(1, 3)})",
                  f"F.max_pool{rank}d({m.X}, {k})",
                  f"F.avg_pool{rank}d({m.X}, {k}, padding={k // 2})",
                  f"F.adaptive_avg_pool{rank}d({m.X}, {m.whole(1, 3)})",
                  f"F.interpolate({m.X}, scale_factor=2)"]))


# Layers


@maker(0.05)
def norm(m: Grower) -> None:
    if not m.ndim or m.kind != m.dtype or 0 in m.shape:
        return
    n, channels = m.shape[-1], m.shape[1] if m.ndim > 1 else 0
    w, b = (m.parameter((n,)) if m.chance(0.6) else "None" for _ in range(2))
    choices = [f"F.layer_norm({m.X}, ({n},), {w}, {b})", f"F.rms_norm({m.X}, ({n},), {w})"]
    if m.ndim > 1:
        w, b = (m.parameter((channels,)) if m.chance(0.6) else "None" for _ in range(2))
        choices.append(f"F.group_norm({m.X}, {m.pick([1, channels])}, {w}, {b})")
        if m.x.numel() > channels:
            mean, var = m.buffer((channels,)), m.buffer((channels,))
            choices.append(f"F.batch_norm({m.X}, {mean}, {var}, {w}, {b}, training=True)")
            choices.append(f"F.batch_norm({m.X}, None, None, {w}, {b}, training=True)")
            choices.append(f"F.batch_norm({m.X}, {mean}, {var}.abs() + 0.5, {w}, {b})")
            choices.append(f"F.instance_norm({m.X})")
    m.add(m.pick(choices))


@maker(0.03)
def randomness(m: Grower) -> None:
    x = m.float()
    m.add(m.pick([f"F.dropout({x}, 0.4)", f"{x} + torch.rand_like({x})",
                  f"{x} * torch.randn({m.shape}, dtype=torch.{m.dtype})",
                  f"torch.bernoulli({x}.sigmoid())", f"F.dropout({x}, 0.3, training=False)",
                  f"torch.randint(0, 5, {m.shape})"]))


@maker(0.06)
def module(m: Grower) -> None:
    if not m.ndim or m.kind != m.dtype or 0 in m.shape:
        return
    n, outer, name = m.shape[-1], m.whole(1, 6), m.fresh("m")
    lead = math.prod(m.shape[:-1])
    choices = [f"nn.Linear({n}, {outer})", f"nn.LayerNorm({n})",
               f"nn.Sequential(nn.Linear({n}, {outer}), nn.ReLU(), nn.Dropout(0.2))",
               f"nn.Sequential(nn.Linear({n}, {outer}, bias=False), nn.Tanh())", "nn.PReLU()"]
    if m.ndim == 2 and lead > 1:
        choices += [f"nn.BatchNorm1d({n})", f"nn.BatchNorm1d({n}, momentum=None)",
                    f"nn.Sequential(nn.Linear({n}, {outer}), nn.BatchNorm1d({outer}), nn.GELU())"]
    if m.ndim == 4:
        c = m.shape[1]
        choices += [f"nn.Conv2d({c}, {outer}, 3, padding=1)", f"nn.BatchNorm2d({c})"]
    if m.ndim == 3 and m.chance(0.5):
        choices += [f"nn.GRU({n}, {outer})", f"nn.RNN({n}, {outer}, batch_first=True)"]
    text = m.pick(choices)
    m.prepare(f"{name} = {text}.{'double' if m.dtype == 'float64' else 'float'}()", name)
    m.modules.append(name)
    m.add(f"{name}({m.X}){'[0]' if 'GRU' in text or 'RNN' in text else ''}")
