"""Lines that write: in place, through views, into buffers; and blocks without gradients."""

from __future__ import annotations

from tests.compiler.fuzz.growth import Grower, maker
from tests.compiler.fuzz.makers_values import index

# fmt: off

@maker(0.06)
def in_place(m: Grower) -> None:
    """A write to something the step made, or to a clone of it."""
    if not m.writes:
        return
    if m.X[0] != "v" or m.chance(0.3):
        made = m.add(f"{m.X}.clone()")
        if made is None:
            return
        m.set(made[0])
    y = m.pick(m.alike())
    m.run(m.pick([f"{m.X}.add_({m.other()})", f"{m.X}.mul_({m.number()})", f"{m.X}.sub_({y})",
                  f"{m.X}.clamp_(-1, 1)", f"{m.X}.copy_({m.other()})", f"{m.X}.zero_()",
                  f"{m.X}.tanh_()", f"{m.X} += {m.other()}", f"{m.X} *= {m.other()}",
                  f"{m.X}.masked_fill_({m.X} > 0, 0.5)", f"{m.X}.fill_(0.25)",
                  f"{m.X}.relu_()", f"{m.X}.addcmul_({y}, {y}, value=0.5)", f"{m.X}.neg_()",
                  f"{m.X}.lerp_({y}, 0.25)", f"{m.X}.normal_()"]))


@maker(0.05)
def through_a_view(m: Grower) -> None:
    if not m.writes:
        return
    if m.X[0] != "v" or m.chance(0.3):
        made = m.add(f"{m.X}.clone()")
        if made is None:
            return
        m.set(made[0])
    m.run(m.pick([f"{m.X}[{index(m)}] = {m.number()}", f"{m.X}[{index(m)}] += {m.number()}",
                  f"{m.X}[{index(m)}] *= {m.X}[{index(m)}].detach()",
                  f"{m.X}[{index(m)}] = {m.pick(m.pool)}", f"{m.X}.t().add_(1)",
                  f"{m.X}.view(-1)[:2] = 0.5", f"{m.X}.unsqueeze(0)[0, :1].mul_(2)",
                  f"{m.X}[{m.X} > 0] = 0.5", f"{m.X}[[0, -1]] = 0.25",
                  f"{m.X}.select(0, 0).fill_(1)", f"{m.X}.diagonal().zero_()"]))


@maker(0.05)
def buffer_update(m: Grower) -> None:
    """A running statistic."""
    if not m.writes or not m.floating:
        return
    b = m.buffer(m.shape if m.chance(0.5) else ())
    x = m.X if m.names[b].ndim == m.ndim else f"{m.X}.mean()"
    with_grad = f"{x}.detach()"
    m.run(m.pick([f"with torch.no_grad(): {b}.mul_(0.9).add_({x})", f"{b}.lerp_({with_grad}, 0.5)",
                  f"with torch.no_grad(): {b}.sub_({x})", f"{b}.copy_({with_grad})",
                  f"{b}.data[...] = {with_grad}", f"{b}.add_(1)"]))


@maker(0.02)
def argument_write(m: Grower) -> None:
    """An argument is written in place."""
    arguments = [i.name for i in m.inputs if i.kind == "normal"]
    if not m.writes or not arguments:
        return
    m.set(m.pick(arguments))
    m.run(m.pick([f"{m.X}.mul_(0.5)", f"{m.X}.add_(1)", f"{m.X}[{index(m)}] = 0.5"]))


@maker(0.04)
def without_gradient(m: Grower) -> None:
    m.add(m.pick([f"{m.X}.detach()", f"{m.X}.detach().clone()", f"{m.X}.data", f"{m.X}.clone()"]))


@maker(0.03)
def gradient_block(m: Grower) -> None:
    """The next line runs under no_grad."""
    from tests.compiler.fuzz.makers_values import binary, product, reduced, unary

    m.indent = "with torch.no_grad():"
    m.pick([binary, unary, product, reduced])(m)
    m.indent = ""
