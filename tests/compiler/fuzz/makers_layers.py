"""Lines of larger parts of programs: order and masks, windows, tables, halves, loops over sizes."""

from __future__ import annotations

import math

from tests.compiler.fuzz.growth import Grower, maker

# fmt: off


@maker(0.04)
def ranked(m: Grower) -> None:
    if not m.ndim or 0 in m.shape:
        return
    d = m.dim()
    n = m.shape[d]
    k, down = m.whole(1, n + 1), m.chance(0.5)
    m.add(m.pick([
        f"torch.topk({m.X}, {k}, {d}, largest={down})[0]",
        f"torch.sort({m.X}, {d}, descending={down})[0]",
        f"torch.kthvalue({m.X}, {k}, {d})[0]", f"{m.X}.median({d})[0]", f"{m.X}.median()",
        f"{m.X}.gather({d}, torch.argsort({m.X}, {d}, descending={down}))",
        f"torch.zeros_like({m.X}).scatter({d}, torch.topk({m.X}, {k}, {d})[1], 1)",
        f"(torch.topk({m.X}, {k}, {d})[1] == {m.whole(0, n)}).any({d})",
        f"torch.quantile({m.float()}, 0.3, {d})",
        f"torch.searchsorted(torch.tensor([-1.0, 0.0, 0.5], dtype=torch.{m.dtype}), "
        f"{m.X}.to(torch.{m.dtype}))",
    ]))


@maker(0.04)
def masked(m: Grower) -> None:
    if not m.ndim or 0 in m.shape:
        return
    mask = m.pick([f"{m.X} > 0", f"{m.X} < 0.25", f"{m.X}.isfinite()"])
    if not m.writes or m.chance(0.3):
        m.add(m.pick([f"{m.X}.masked_scatter({mask}, {m.pick(m.alike())})",
                      f"torch.where({mask}, {m.X}, 0)", f"{m.X} * ({mask})"]))
        return
    made = m.add(f"{m.X}.clone()")
    if made is None:
        return
    v, first = made[0], ", ".join(["0"] * (m.ndim - 1))
    row = f"{v}[{':, ' * (m.ndim > 0)}{first}]" if m.ndim > 1 else v
    m.run(m.pick([f"{v}[{mask}] = {m.number()}", f"{v}[{row} > 0] = {m.number()}",
                  f"{v}[{row} > 0] = {v}[0]", f"{v}[..., {v}.reshape(-1)[:{m.shape[-1]}] > 0] = 2",
                  f"{v}[{mask}] = {m.X}.sum()"]))


@maker(0.03)
def windows(m: Grower) -> None:
    if m.ndim != 4 or m.kind != m.dtype or 0 in m.shape:
        return
    n, _, h, w = m.shape
    k = (m.whole(1, min(3, h) + 1), m.whole(1, min(3, w) + 1))
    options = f"stride={m.whole(1, 3)}, padding={m.whole(0, 2)}"
    grid = m.input((n, m.whole(1, 4), m.whole(1, 4), 2))
    corners = f"align_corners={m.chance(0.5)}"
    m.add(m.pick([
        f"F.unfold({m.X}, {k}, {options})",
        f"F.fold(F.unfold({m.X}, {k}, {options}), ({h}, {w}), {k}, {options})",
        f"F.adaptive_max_pool2d({m.X}, {(m.whole(1, h + 1), m.whole(1, w + 1))})",
        f"F.max_unpool2d(*F.max_pool2d({m.X}, 2, return_indices=True), 2)",
        f'F.grid_sample({m.X}, {grid}, padding_mode="{m.pick(["zeros", "border"])}", {corners})',
        f"F.pixel_unshuffle({m.X}, {m.pick([q for q in (1, 2, 3) if h % q == w % q == 0])})",
        f'F.interpolate({m.X}, scale_factor=1.5, mode="bilinear", {corners})',
        f"F.dropout2d({m.X}, 0.3)",
    ]))


@maker(0.03)
def tables(m: Grower) -> None:
    """Rows of a table by index, and what bags of them give."""
    rows, d, n = m.whole(2, 9), m.whole(1, 6), m.whole(1, 8)
    w = m.parameter((rows, d))
    i, two = m.input((n,), "index", "int64", rows), m.input((n, 3), "index", "int64", rows)
    offsets = sorted(int(m.whole(0, n + 1)) for _ in range(m.whole(0, 3)))
    mode = m.pick(["sum", "mean", "max"])
    m.add(m.pick([
        f"F.embedding({i}, {w})", f"F.embedding({two}, {w}, padding_idx=1)",
        f'F.embedding_bag({two}, {w}, mode="{mode}")',
        f'F.embedding_bag({i}, {w}, torch.tensor({[0, *offsets]}), mode="{mode}")',
        f'F.embedding_bag({two}, {w}, mode="{mode}", padding_idx=0)',
        f"F.one_hot({i}, {rows}).to(torch.{m.dtype}) @ {w}", f"torch.isin({i}, torch.tensor([1]))",
        f"torch.zeros({rows}, {d}, dtype=torch.{m.dtype}).index_add(0, {i}, {w}[{i}])",
    ]))


@maker(0.05)
def halves(m: Grower) -> None:
    """A layer computed in half precision."""
    if not m.ndim or not m.floating or 0 in m.shape:
        return
    half, n = m.pick(["half", "bfloat16", "bfloat16"]), m.shape[-1]
    x, w = f"{m.X}.{half}()", f"{m.parameter((m.whole(1, 6), n))}.{half}()"
    d = m.dim()
    text = m.pick([
        f"F.linear({x}, {w})", f"{x}.softmax({d})", f"{x}.log_softmax({d})", f"{x}.mean({d})",
        f"F.layer_norm({x}, ({n},))", f"F.rms_norm({x}, ({n},))", f"F.gelu({x})",
        f"{x}.cumsum({d})", f"{x}.logsumexp({d})", f"{x}.sum({d})", f"{x}.var({d})",
        f"torch.sort({x}, {d})[0]", f"{x} @ {x}.mT", f"{x} * {x} + 1", f"{x}[[0, -1, 0]]",
        f"F.normalize({x}, dim={d})",
    ])
    m.add(f"({text}).to(torch.{m.dtype})" if m.chance(0.7) else text)


@maker(0.03)
def autocast(m: Grower) -> None:
    """A line under autocast."""
    from tests.compiler.fuzz.makers_values import activation, product, softmax

    m.indent = 'with torch.autocast("cpu", dtype=torch.bfloat16):'
    m.pick([product, activation, softmax])(m)
    m.indent = ""


@maker(0.03)
def loops(m: Grower) -> None:
    """Python that goes by sizes."""
    if not m.ndim or 0 in m.shape or not m.floating:
        return
    p = m.parameter((m.shape[-1],))
    m.add(m.pick([
        f"sum([{m.X}[i] * (i + 1) for i in range({m.X}.shape[0])])",
        f"torch.stack([r.sum() * i for i, r in enumerate({m.X})])",
        f"torch.cat([r.reshape(-1) for r in {m.X}.split(2)])",
        f"({m.X} * {p} if {m.X}.shape[0] > 2 else {m.X} - {p})",
        f"torch.stack([{m.X}.select(-1, k).tanh() for k in range({m.X}.shape[-1])], -1)",
        f"{m.X}.reshape(-1)[: max(1, {m.X}.numel() // 2)]",
    ]))


@maker(0.03)
def shared_layers(m: Grower) -> None:
    """A module used twice, or modules with one weight."""
    if not m.ndim or m.kind != m.dtype or 0 in m.shape or math.prod(m.shape[:-1]) < 1:
        return
    n, name, d = m.shape[-1], m.fresh("m"), "double" if m.dtype == "float64" else "float"
    texts = [f"nn.Linear({n}, {n})", f"nn.Sequential(nn.Linear({n}, {n}), nn.SiLU())",
             f"nn.LayerNorm({n})"]
    if m.ndim in (2, 3):
        texts += [f"nn.TransformerEncoderLayer({n}, 1, 8, 0.1)", f"nn.LSTM({n}, {n})",
                  f"nn.MultiheadAttention({n}, 1)"]
    text = m.pick(texts)
    m.prepare(f"{name} = {text}.{d}()", name)
    m.modules.append(name)
    if "LSTM" in text:
        m.add(f"{name}({m.X})[0]")
    elif "Multihead" in text:
        m.add(f"{name}({m.X}, {m.X}, {m.X})[0]")
    else:
        m.add(m.pick([f"{name}({name}({m.X}))", f"{name}({m.X}) + {name}({m.X} * 0.5)"]))
