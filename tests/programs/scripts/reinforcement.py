"""REINFORCE, deep Q-learning and PPO on a toy environment."""

import collections
import math
import random

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.distributions import Categorical, Normal

torch.manual_seed(543)
random.seed(0)
np.random.seed(0)


class Env:
    def reset(self):
        self.s = np.zeros(4, dtype=np.float32)
        self.t = 0
        return self.s

    def step(self, a):
        self.t += 1
        self.s = (
            self.s * 0.9
            + np.array([a - 0.5, self.t * 0.01, math.sin(self.t), 0.1], dtype=np.float32)
        ).astype(np.float32)
        return self.s, 1.0 - abs(float(self.s[0])), self.t >= 20, {}


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine1 = nn.Linear(4, 32)
        self.dropout = nn.Dropout(0.6)
        self.affine2 = nn.Linear(32, 2)
        self.saved_log_probs, self.rewards = [], []

    def forward(self, x):
        return F.softmax(self.affine2(F.relu(self.dropout(self.affine1(x)))), dim=1)


pol, env = Policy(), Env()
opt = optim.Adam(pol.parameters(), lr=1e-2)
eps = np.finfo(np.float32).eps.item()
for ep in range(5):
    s = env.reset()
    tot = 0
    while True:
        probs = pol(torch.from_numpy(s).float().unsqueeze(0))
        m = Categorical(probs)
        a = m.sample()
        pol.saved_log_probs.append(m.log_prob(a))
        s, r, done, _ = env.step(a.item())
        pol.rewards.append(r)
        tot += r
        if done:
            break
    R, ret = 0, collections.deque()
    for r in pol.rewards[::-1]:
        R = r + 0.99 * R
        ret.appendleft(R)
    ret = torch.tensor(ret)
    ret = (ret - ret.mean()) / (ret.std() + eps)
    l = [-lp * R for lp, R in zip(pol.saved_log_probs, ret, strict=False)]
    opt.zero_grad()
    l = torch.cat(l).sum()
    l.backward()
    opt.step()
    del pol.rewards[:]
    del pol.saved_log_probs[:]
    print(ep, f"{tot:.4f} {l.item():.4f} {m.entropy().item():.4f}")
# DQN
Transition = collections.namedtuple("Transition", ("state", "action", "next_state", "reward"))


class Replay:
    def __init__(self, c):
        self.m = collections.deque(maxlen=c)

    def push(self, *a):
        self.m.append(Transition(*a))

    def sample(self, n):
        return random.sample(self.m, n)

    def __len__(self):
        return len(self.m)


class DQN(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1, self.l2 = nn.Linear(4, 24), nn.Linear(24, 2)

    def forward(self, x):
        return self.l2(F.relu(self.l1(x)))


pn, tn = DQN(), DQN()
tn.load_state_dict(pn.state_dict())
opt = optim.AdamW(pn.parameters(), lr=1e-3, amsgrad=True)
mem = Replay(100)
state = torch.tensor(env.reset(), dtype=torch.float32).unsqueeze(0)
for t in range(60):
    with torch.no_grad():
        a = (
            pn(state).max(1).indices.view(1, 1)
            if random.random() > 0.3
            else torch.tensor([[random.randrange(2)]], dtype=torch.long)
        )
    o, r, done, _ = env.step(a.item())
    r = torch.tensor([r])
    ns = None if done else torch.tensor(o, dtype=torch.float32).unsqueeze(0)
    mem.push(state, a, ns, r)
    state = ns if ns is not None else torch.tensor(env.reset()).unsqueeze(0)
    if len(mem) < 16:
        continue
    b = Transition(*zip(*mem.sample(16), strict=False))
    mask = torch.tensor(tuple(s is not None for s in b.next_state), dtype=torch.bool)
    nfs = torch.cat([s for s in b.next_state if s is not None])
    sb, ab, rb = torch.cat(b.state), torch.cat(b.action), torch.cat(b.reward)
    q = pn(sb).gather(1, ab)
    nv = torch.zeros(16)
    with torch.no_grad():
        nv[mask] = tn(nfs).max(1).values
    l = nn.SmoothL1Loss()(q, ((nv * 0.99) + rb).unsqueeze(1))
    opt.zero_grad()
    l.backward()
    nn.utils.clip_grad_value_(pn.parameters(), 100)
    opt.step()
    td, pd = tn.state_dict(), pn.state_dict()
    for k in pd:
        td[k] = pd[k] * 0.005 + td[k] * 0.995
    tn.load_state_dict(td)
    if t % 15 == 0:
        print(t, f"{l.item():.5f}")
# PPO with Gaussian policy
mu, log_std, vf = nn.Linear(4, 2), nn.Parameter(torch.zeros(2)), nn.Linear(4, 1)
obs = torch.randn(64, 4)
nn.init.orthogonal_(mu.weight, 0.01)
nn.init.constant_(mu.bias, 0.0)
mu.weight.data = torch.linspace(-0.1, 0.1, 8).view(2, 4)
opt = optim.Adam([*mu.parameters(), log_std, *vf.parameters()], lr=3e-3)
with torch.no_grad():
    d = Normal(mu(obs), log_std.exp())
    act = d.sample()
    old = d.log_prob(act).sum(-1)
    adv = torch.randn(64)
    ret = adv + vf(obs).squeeze(-1)
for k in range(4):
    d = Normal(mu(obs), log_std.exp())
    ratio = (d.log_prob(act).sum(-1) - old).exp()
    l1 = ratio * adv
    l2 = torch.clamp(ratio, 0.8, 1.2) * adv
    l = (
        -torch.min(l1, l2).mean()
        + 0.5 * F.mse_loss(vf(obs).squeeze(-1), ret)
        - 0.01 * d.entropy().sum(-1).mean()
    )
    opt.zero_grad()
    l.backward()
    opt.step()
    print(f"{l.item():.5f} {((ratio - 1) - ratio.log()).mean().item():.6f}")
