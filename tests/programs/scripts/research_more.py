"""Custom optimizers, MAML, DDPM, flows, ODEs, a CRF, graphs, Bayesian layers."""

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.optim.lr_scheduler import _LRScheduler
from torch.optim.optimizer import Optimizer

torch.manual_seed(0)


class SAM(Optimizer):
    def __init__(self, params, base, rho=0.05, **kw):
        super().__init__(params, dict(rho=rho, **kw))
        self.base = base(self.param_groups, **kw)
        self.param_groups = self.base.param_groups
        self.defaults.update(self.base.defaults)

    @torch.no_grad()
    def first_step(self):
        gn = torch.norm(
            torch.stack(
                [
                    p.grad.norm(p=2)
                    for g in self.param_groups
                    for p in g["params"]
                    if p.grad is not None
                ]
            ),
            p=2,
        )
        for g in self.param_groups:
            for p in g["params"]:
                self.state[p]["old_p"] = p.data.clone()
                p.add_(p.grad * (g["rho"] / (gn + 1e-12)).to(p))
        self.zero_grad()

    @torch.no_grad()
    def second_step(self):
        for g in self.param_groups:
            for p in g["params"]:
                p.data = self.state[p]["old_p"]
        self.base.step()
        self.zero_grad()


class Lion(Optimizer):
    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if len(state) == 0:
                    state["exp_avg"] = torch.zeros_like(p, memory_format=torch.preserve_format)
                b1, b2 = group["betas"]
                p.data.mul_(1 - group["lr"] * group["weight_decay"])
                u = state["exp_avg"].clone().mul_(b1).add(p.grad, alpha=1 - b1).sign_()
                p.add_(u, alpha=-group["lr"])
                state["exp_avg"].mul_(b2).add_(p.grad, alpha=1 - b2)


class Warmup(_LRScheduler):
    def __init__(self, opt, warm, total, last_epoch=-1):
        self.warm, self.total = warm, total
        super().__init__(opt, last_epoch)

    def get_lr(self):
        s = self.last_epoch
        f = (
            s / max(1, self.warm)
            if s < self.warm
            else 0.5 * (1 + math.cos(math.pi * (s - self.warm) / (self.total - self.warm)))
        )
        return [b * f for b in self.base_lrs]


X, Y = torch.randn(64, 10), torch.randint(0, 3, (64,))


def mk():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(10, 16), nn.SELU(), nn.Linear(16, 3))


net = mk()
opt = SAM(net.parameters(), optim.SGD, lr=0.1, momentum=0.9)
sch = Warmup(opt.base, 3, 10)
for i in range(6):
    l = F.cross_entropy(net(X), Y)
    l.backward()
    opt.first_step()
    F.cross_entropy(net(X), Y).backward()
    opt.second_step()
    sch.step()
    print(f"{l.item():.5f} {sch.get_last_lr()[0]:.4f}", end=" ")
print()
net = mk()
opt = Lion(net.parameters(), 1e-2, weight_decay=0.1)
for i in range(4):
    l = F.cross_entropy(net(X), Y)
    opt.zero_grad()
    l.backward()
    opt.step()
    print(f"{l.item():.5f}", end=" ")
print(opt.state_dict()["state"][0]["exp_avg"].norm())
# MAML: second order
net = mk()
meta = optim.Adam(net.parameters(), 1e-2)


def fwd(ps, x):
    return F.linear(F.selu(F.linear(x, ps[0], ps[1])), ps[2], ps[3])


for it in range(3):
    ml = 0
    for task in range(2):
        fast = list(net.parameters())
        for _ in range(2):
            l = F.cross_entropy(fwd(fast, X[:32]), Y[:32])
            g = torch.autograd.grad(l, fast, create_graph=True)
            fast = [p - 0.1 * gg for p, gg in zip(fast, g, strict=False)]
        ml = ml + F.cross_entropy(fwd(fast, X[32:]), Y[32:])
    meta.zero_grad()
    ml.backward()
    meta.step()
    print(f"maml {ml.item():.5f}")
# mixup, distillation, focal, FGSM, grad-cam
lam = float(torch.distributions.Beta(torch.tensor(0.4), torch.tensor(0.4)).sample())
idx = torch.randperm(64)
mx = lam * X + (1 - lam) * X[idx]
print(
    f"{lam:.4f}",
    (lam * F.cross_entropy(net(mx), Y) + (1 - lam) * F.cross_entropy(net(mx), Y[idx])).item(),
)
T = 4.0
teacher, student = mk(), nn.Linear(10, 3)
print(
    (
        F.kl_div(
            F.log_softmax(student(X) / T, 1), F.softmax(teacher(X) / T, 1), reduction="batchmean"
        )
        * T
        * T
    ).item()
)
x = X.clone().requires_grad_(True)
F.cross_entropy(net(x), Y).backward()
adv = torch.clamp(x + 0.1 * x.grad.sign(), -3, 3).detach()
print((net(adv).argmax(1) == Y).float().mean().item())
cnn = nn.Sequential(
    nn.Conv2d(1, 4, 3, padding=1),
    nn.ReLU(),
    nn.Conv2d(4, 6, 3, padding=1),
    nn.ReLU(),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(6, 3),
)
store = {}
h1 = cnn[2].register_forward_hook(lambda m, i, o: store.update(a=o))
h2 = cnn[2].register_full_backward_hook(lambda m, gi, go: store.update(g=go[0]))
s = cnn(torch.randn(1, 1, 8, 8))
s[0, s.argmax()].backward()
cam = F.relu((store["g"].mean((2, 3), keepdim=True) * store["a"]).sum(1))
print(cam.shape, (cam / cam.max()).mean().item())
# SimCLR NT-Xent, triplet mining
z = F.normalize(torch.randn(16, 8, requires_grad=True), dim=1)
sim = z @ z.T / 0.5
mask = torch.eye(16, dtype=torch.bool)
sim = sim.masked_fill(mask, -9e15)
tgt = torch.arange(16).roll(8)
print(F.cross_entropy(sim, tgt).item())
d = torch.cdist(z, z)
lab = torch.arange(16) % 4
same = lab[:, None] == lab[None]
hp = (d * same).max(1).values
hn = d.masked_fill(same, float("inf")).min(1).values
print(F.relu(hp - hn + 0.2).mean().item())
# DDPM
betas = torch.linspace(1e-4, 0.02, 50)
al = 1 - betas
ab = torch.cumprod(al, 0)
abp = F.pad(ab[:-1], (1, 0), value=1.0)


class Eps(nn.Module):
    def __init__(self):
        super().__init__()
        self.t = nn.Sequential(nn.Linear(16, 32), nn.SiLU())
        self.i, self.o = nn.Linear(2, 32), nn.Linear(32, 2)

    def emb(self, t):
        f = torch.exp(-math.log(1e4) * torch.arange(8) / 8)
        a = t[:, None].float() * f[None]
        return torch.cat([a.sin(), a.cos()], -1)

    def forward(self, x, t):
        return self.o(F.silu(self.i(x) + self.t(self.emb(t))))


m = Eps()
opt = optim.AdamW(m.parameters(), 1e-2)
ema = copy.deepcopy(m).eval().requires_grad_(False)
for i in range(10):
    x0 = torch.randn(32, 2) * 0.1 + 1
    t = torch.randint(0, 50, (32,))
    n = torch.randn_like(x0)
    a = ab[t].view(-1, 1)
    l = F.mse_loss(m(a.sqrt() * x0 + (1 - a).sqrt() * n, t), n)
    opt.zero_grad()
    l.backward()
    opt.step()
    for p, q in zip(ema.parameters(), m.parameters(), strict=False):
        p.lerp_(q, 0.1)
print(f"ddpm {l.item():.5f}")
x = torch.randn(4, 2)
for t in reversed(range(50)):
    e = ema(x, torch.full((4,), t))
    x = (x - betas[t] / (1 - ab[t]).sqrt() * e) / al[t].sqrt() + (
        betas[t].sqrt() * torch.randn_like(x) if t else 0
    )
print(x)
# realNVP
mask = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
nets = nn.ModuleList([nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 4)) for _ in mask])
prior = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
opt = optim.Adam(nets.parameters(), 1e-2)
for i in range(3):
    z = torch.randn(64, 2) * 0.5 + 1
    ld = z.new_zeros(64)
    for k in reversed(range(2)):
        zz = mask[k] * z
        s, tt = (nets[k](zz) * (1 - mask[k]).repeat(2)).chunk(2, 1)
        z = (1 - mask[k]) * (z - tt) * torch.exp(-s) + zz
        ld -= s.sum(1)
    l = -(prior.log_prob(z) + ld).mean()
    opt.zero_grad()
    l.backward()
    opt.step()
    print(f"nvp {l.item():.5f}")
# Neural ODE by RK4, linear-chain CRF, beam search, GAT on a dense graph
f = nn.Linear(2, 2)
y = torch.ones(3, 2)
for _ in range(5):
    k1 = f(y)
    k2 = f(y + 0.05 * k1)
    k3 = f(y + 0.05 * k2)
    k4 = f(y + 0.1 * k3)
    y = y + 0.1 / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
y.sum().backward()
print(f.weight.grad)
em, tr = torch.randn(4, 7, 5), torch.randn(5, 5)
a = em[:, 0]
for t in range(1, 7):
    a = torch.logsumexp(a[:, :, None] + tr[None] + em[:, t][:, None, :], 1)
print(torch.logsumexp(a, 1))
sc, bp = em[:, 0], []
for t in range(1, 7):
    v, ix = (sc[:, :, None] + tr).max(1)
    bp.append(ix)
    sc = v + em[:, t]
path = [sc.argmax(1)]
for ix in reversed(bp):
    path.append(ix.gather(1, path[-1][:, None])[:, 0])
print(torch.stack(path[::-1], 1))
lp = torch.log_softmax(torch.randn(5, 6), -1)
beams = [([], 0.0)]
for t in range(5):
    beams = sorted(
        [(s + [c], v + lp[t, c].item()) for s, v in beams for c in range(6)], key=lambda b: -b[1]
    )[:3]
print([(s, round(v, 3)) for s, v in beams])
A = (torch.rand(6, 6) > 0.5).float().fill_diagonal_(1)
W, av = nn.Linear(4, 4, bias=False), nn.Parameter(torch.randn(8))
h = W(torch.randn(6, 4))
e = F.leaky_relu(torch.cat([h.repeat_interleave(6, 0), h.repeat(6, 1)], 1) @ av, 0.2).view(6, 6)
att = torch.softmax(torch.where(A > 0, e, torch.full_like(e, -9e15)), 1)
o = F.elu(att @ h)
o.sum().backward()
print(o[0], av.grad[:3], torch.einsum("ij,jk->ik", att, h)[1])
deg = A.sum(1)
L = torch.diag(deg.pow(-0.5)) @ A @ torch.diag(deg.pow(-0.5))
print(torch.linalg.eigvalsh((L + L.T) / 2))
s = torch.zeros(6, 4).scatter_add_(
    0, torch.tensor([0, 1, 1, 5]).unsqueeze(1).expand(-1, 4), h[:4].detach()
)
print(
    s[1],
    torch.zeros(3).index_add_(0, torch.tensor([0, 2, 2]), torch.ones(3)),
    torch.scatter_reduce(
        torch.zeros(2), 0, torch.tensor([0, 1, 1]), torch.tensor([1.0, 5, 3]), "amax"
    ),
)
# Bayes by backprop & GP & quantile regression & matrix factorisation
mu, rho = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.full((3,), -3.0))
q = torch.distributions.Normal(mu, F.softplus(rho))
w = q.rsample()
kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum()
(kl + (w**2).sum()).backward()
print(kl.item(), mu.grad, rho.grad)
xs = torch.linspace(0, 1, 8).unsqueeze(1)
ls = torch.tensor(0.3, requires_grad=True)
K = torch.exp(-0.5 * (torch.cdist(xs, xs) / ls) ** 2) + 1e-2 * torch.eye(8)
nll = -torch.distributions.MultivariateNormal(torch.zeros(8), K).log_prob(
    torch.sin(6 * xs).squeeze()
)
nll.backward()
print(nll.item(), ls.grad)
Lc = torch.linalg.cholesky(K.detach())
print(
    torch.cholesky_solve(torch.sin(6 * xs), Lc).flatten()[:3],
    torch.linalg.solve_triangular(Lc, xs, upper=False)[-1],
    torch.logdet(K.detach()),
)
qs = torch.tensor([0.1, 0.5, 0.9])
pr = torch.randn(10, 3, requires_grad=True)
err = torch.randn(10, 1) - pr
print(torch.max((qs - 1) * err, qs * err).mean().item())
U, V = nn.Embedding(5, 3), nn.Embedding(6, 3)
R = torch.randint(1, 6, (5, 6)).float()
i, j = torch.meshgrid(torch.arange(5), torch.arange(6), indexing="ij")
opt = optim.Adagrad([*U.parameters(), *V.parameters()], 0.1)
for _ in range(5):
    p = (U(i.reshape(-1)) * V(j.reshape(-1))).sum(-1)
    l = F.mse_loss(p, R.reshape(-1))
    opt.zero_grad()
    l.backward()
    opt.step()
print(l.item())
