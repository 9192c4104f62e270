"""How a step ends (losses, backward, optimizer), and what happens between its calls."""

from __future__ import annotations

from tests.compiler.fuzz.growth import Grower
from tests.compiler.fuzz.program import Call, Line

# fmt: off

OPTIMIZERS = (
    "SGD({p}, lr=0.05)", "SGD({p}, lr=0.05, momentum=0.9)",
    "SGD({p}, lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.01)",
    "Adam({p}, lr=0.01)", "AdamW({p}, lr=0.01)", "Adam({p}, lr=0.01, amsgrad=True)",
    "RMSprop({p}, lr=0.01)", "RMSprop({p}, lr=0.01, momentum=0.5, centered=True)",
    "Adagrad({p}, lr=0.05)", "Adadelta({p}, lr=0.5)", "Adamax({p}, lr=0.01)",
    "NAdam({p}, lr=0.01)", "RAdam({p}, lr=0.01)", "ASGD({p}, lr=0.01)", "Rprop({p}, lr=0.01)",
)


def finish(m: Grower) -> tuple[Call, ...] | None:
    """Losses, backward and update; the calls, or None where backward fails."""
    if not m.body:
        return None
    tracked = [n for n in m.pool if m.names[n].requires_grad and n[0] == "v"]
    if not tracked or m.chance(0.1):
        return calls(m, None)
    optimizer = add_optimizer(m) if m.chance(0.8) else None
    before = m.chance(0.5)
    if optimizer is not None and m.chance(0.85):
        clear = f"{optimizer}.zero_grad({m.pick(['', '', 'set_to_none=False'])})"
        line = Line(clear)
        if before:
            m.body.insert(0, line)
        else:
            m.body.append(line)
        exec(clear, m.names)
    losses = [name for name in (loss(m, tracked) for _ in range(m.whole(1, 3))) if name]
    if not losses or not backward(m, losses):
        return None
    if m.chance(0.15):
        clip = m.pick(["nn.utils.clip_grad_norm_({p}, 0.5)", "nn.utils.clip_grad_value_({p}, 0.1)"])
        m.run(clip.format(p=f"[{', '.join(m.parameters)}]"))
    if optimizer is not None and not m.run(f"{optimizer}.step()"):
        return None
    return calls(m, optimizer)


def parameters(m: Grower) -> str:
    """An expression for all parameters."""
    parts = ([", ".join(m.parameters)] if m.parameters else []) + [
        f"*{name}.parameters()" for name in m.modules
    ]
    return f"[{', '.join(parts)}]"


def add_optimizer(m: Grower) -> str | None:
    """An optimizer over all parameters, some of which may need no gradient."""
    if parameters(m) == "[]":
        return None
    text = m.pick(OPTIMIZERS[:6] if m.chance(0.6) else OPTIMIZERS).format(p=parameters(m))
    name = m.fresh("o")
    try:
        m.prepare(f"{name} = torch.optim.{text}", name)
    except ValueError:  # modules without parameters
        return None
    return name


def loss(m: Grower, tracked: list[str]) -> str | None:
    """A line that makes a scalar of some tensors."""
    m.set(m.pick(tracked[-3:]) if m.chance(0.7) else m.pick(tracked))
    x, name = m.float(), m.fresh("l")
    if m.chance(0.2):
        x = f"({x} + {m.pick(tracked)}.sum())"
    reduction = m.pick(["mean", "mean", "sum"])
    texts = [f"{x}.{reduction}()", f"({x} ** 2).{reduction}()", f"{x}.abs().{reduction}()",
             f"torch.logsumexp({x}.reshape(-1), 0)"]
    if m.kind == m.dtype:
        y = m.input(m.shape)
        texts += [f'F.{f}({x}, {y}, reduction="{reduction}")'
                  for f in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")]
        texts += [f"F.binary_cross_entropy_with_logits({x}, {y}.sigmoid())",
                  f"F.binary_cross_entropy({x}.sigmoid(), {y}.sigmoid())",
                  f"F.kl_div(F.log_softmax({x}, -1), F.softmax({y}, -1), reduction='sum')",
                  f"F.poisson_nll_loss({x}, {y}.abs())", f"F.soft_margin_loss({x}, {y}.sign())",
                  f"F.cross_entropy({x}, F.softmax({y}, -1))",
                  f"F.gaussian_nll_loss({x}, {y}, {y}.abs() + 0.1)",
                  f"F.cosine_embedding_loss({x}, {y}, {y}.reshape(-1)[0].sign())",
                  f"F.margin_ranking_loss({x}, {y}, {y}.sign(), margin=0.1)",
                  f"F.triplet_margin_loss({x}, {y}, {y}.flip(-1))",
                  f"F.hinge_embedding_loss({x}, {y}.sign())",
                  f"F.multilabel_soft_margin_loss({x}, {y}.sigmoid())"]
    if m.ndim > 1 and m.shape[1] and m.kind == m.dtype and m.chance(0.6):
        t = m.input((m.shape[0], *m.shape[2:]), "index", "int64", m.shape[1])
        w = m.buffer((m.shape[1],))
        texts = [f'F.cross_entropy({x}, {t}, reduction="{reduction}")',
                 f"F.cross_entropy({x}, {t}, weight={w}.abs() + 0.1)",
                 f"F.cross_entropy({x}, {t}, label_smoothing=0.1)",
                 f"F.cross_entropy({x}, {t}, ignore_index=0, reduction='sum')",
                 f"F.nll_loss(F.log_softmax({x}, 1), {t})",
                 f"F.multi_margin_loss({x}, {t})"]
    return name if m.run(f"{name} = {m.pick(texts)}", [name]) else None


def backward(m: Grower, losses: list[str]) -> bool:
    """Lines that differentiate the losses."""
    total = " + ".join(losses)
    if len(losses) > 1 and m.chance(0.4):
        return m.run(f"{losses[0]}.backward(retain_graph=True)") and all(
            m.run(f"{n}.backward()") for n in losses[1:]
        )
    if m.parameters and m.chance(0.1):
        name, p = m.fresh("v"), m.pick(m.parameters)
        if m.run(f"{name}, = torch.autograd.grad({total}, [{p}], create_graph=True)", [name]):
            return m.run(f"({name} ** 2).sum().backward()")
        return False
    return m.run(f"({total}).backward()")


def calls(m: Grower, optimizer: str | None) -> tuple[Call, ...]:
    """Several calls, some with something done before."""
    made = []
    for k in range(m.whole(4, 6)):
        before = []
        if k and m.chance(0.2):
            before = [Line(t) for t in between(m, optimizer) if m.chance(0.5)]
        made.append(Call(tuple(before), None, m.chance(0.4)))
    return tuple(made)


def between(m: Grower, optimizer: str | None) -> list[str]:
    """What a user may do between two calls."""
    texts = []
    if optimizer is not None:
        texts.append(f"{optimizer}.param_groups[0]['lr'] *= 0.5")
        texts.append(f"{optimizer}.zero_grad()")
    for name in m.modules[:2]:
        texts += [f"{name}.eval()", f"{name}.train()"]
        smaller = f"{{k: v * 0.9 for k, v in {name}.state_dict().items()}}"
        texts.append(f"{name}.load_state_dict({smaller})")
    for p in m.parameters[:2]:
        texts += [f"{p}.grad = None", f"{p}.data.mul_(0.9)", f"{p}.requires_grad_(False)",
                  f"{p}.data = {p}.data.clone()"]
    texts += [f"{b}.zero_()" for b in m.buffers[:2]]
    return texts
