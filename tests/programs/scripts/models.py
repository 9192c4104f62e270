"""Word vectors, text classifiers, generators, Gaussian processes, policies."""

import math

import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical, Normal
from torch.nn import functional as F

torch.manual_seed(0)
embed = nn.Embedding(num_embeddings=20, embedding_dim=4)
print(f"Parameter embedding_weight ({embed.weight.shape}, dtype={embed.weight.dtype})")
x = torch.tensor([[1, 2, 3], [4, 5, 6]])
print(embed(x))


def skip_gram(center, cn, v, u):
    return torch.bmm(v(center), u(cn).permute(0, 2, 1))


class SigmoidBCELoss(nn.Module):
    def __init__(self):
        super().__init__()

    def forward(self, inputs, target, mask=None):
        return nn.functional.binary_cross_entropy_with_logits(
            inputs, target, weight=mask, reduction="none"
        ).mean(dim=1)


pred = torch.tensor([[1.1, -2.2, 3.3, -4.4]] * 2)
label = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
print(SigmoidBCELoss()(pred, label, mask) * mask.shape[1] / mask.sum(axis=1))
net = nn.Sequential(nn.Embedding(20, 8), nn.Embedding(20, 8))


def init_weights(m):
    if type(m) == nn.Embedding:
        nn.init.xavier_uniform_(m.weight)


net.apply(init_weights)
o = torch.optim.Adam(net.parameters(), lr=0.02)
for i in range(3):
    c = torch.randint(0, 20, (16, 1))
    cn = torch.randint(0, 20, (16, 6))
    m = torch.ones(16, 6)
    l = torch.ones(16, 6) * (torch.arange(6) < 2)
    o.zero_grad()
    p = skip_gram(c, cn, net[0], net[1])
    loss = SigmoidBCELoss()(p.reshape(l.shape).float(), l.float(), m) / m.sum(axis=1) * m.shape[1]
    loss.sum().backward()
    o.step()
    print(loss.sum().item())
W = net[0].weight.data
x = W[3]
cos = torch.mv(W, x) / torch.sqrt(torch.sum(W * W, dim=1) * torch.sum(x * x) + 1e-9)
topk = torch.topk(cos, k=4)[1].cpu().numpy().astype("int32")
print(topk)
for i in topk[1:]:
    print(f"cosine sim={float(cos[i]):.3f}")


class BiRNN(nn.Module):
    def __init__(self, v, e, h, n):
        super().__init__()
        self.embedding = nn.Embedding(v, e)
        self.encoder = nn.LSTM(e, h, num_layers=n, bidirectional=True)
        self.decoder = nn.Linear(4 * h, 2)

    def forward(self, inputs):
        embeddings = self.embedding(inputs.T)
        self.encoder.flatten_parameters()
        outputs, _ = self.encoder(embeddings)
        return self.decoder(torch.cat((outputs[0], outputs[-1]), dim=1))


b = BiRNN(20, 8, 6, 2)


def init_weights(module):
    if type(module) == nn.Linear:
        nn.init.xavier_uniform_(module.weight)
    if type(module) == nn.LSTM:
        for param in module._flat_weights_names:
            if "weight" in param:
                nn.init.xavier_uniform_(module._parameters[param])


b.apply(init_weights)
t = torch.optim.Adam(b.parameters(), lr=0.01)
X = torch.randint(0, 20, (8, 5))
y = torch.randint(0, 2, (8,))
for i in range(3):
    t.zero_grad()
    l = F.cross_entropy(b(X), y, reduction="none")
    l.sum().backward()
    t.step()
    print(l.sum())


class TextCNN(nn.Module):
    def __init__(self, v, e, ks, nc):
        super().__init__()
        self.embedding = nn.Embedding(v, e)
        self.constant_embedding = nn.Embedding(v, e)
        self.dropout = nn.Dropout(0.5)
        self.decoder = nn.Linear(sum(nc), 2)
        self.pool = nn.AdaptiveAvgPool1d(1)
        self.relu = nn.ReLU()
        self.convs = nn.ModuleList()
        for c, k in zip(nc, ks, strict=False):
            self.convs.append(nn.Conv1d(2 * e, c, k))

    def forward(self, inputs):
        e = torch.cat((self.embedding(inputs), self.constant_embedding(inputs)), dim=2).permute(
            0, 2, 1
        )
        enc = torch.cat(
            [torch.squeeze(self.relu(self.pool(conv(e))), dim=-1) for conv in self.convs], dim=1
        )
        return self.decoder(self.dropout(enc))


tc = TextCNN(20, 6, [3, 4, 5], [4, 4, 4])
tc.constant_embedding.weight.requires_grad = False
print(tc, tc(X))
print(sum(p.numel() for p in tc.parameters() if p.requires_grad))
# NLI decomposable attention
A, B = torch.randn(2, 4, 6), torch.randn(2, 5, 6)
e = torch.bmm(A, B.permute(0, 2, 1))
beta = torch.bmm(F.softmax(e, dim=-1), B)
alpha = torch.bmm(F.softmax(e.permute(0, 2, 1), dim=-1), A)
print(beta.sum(), alpha[0, 0])
# GAN
Xr = torch.normal(0.0, 1, (256, 2))
A = torch.tensor([[1, 2], [-0.1, 0.5]])
b = torch.tensor([1, 2])
data = torch.matmul(Xr, A) + b
print(f"The covariance matrix is\n{torch.matmul(A.T, A)}")
G = nn.Sequential(nn.Linear(2, 2))
D = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 1))
loss = nn.BCEWithLogitsLoss(reduction="sum")
for w in D.parameters():
    nn.init.normal_(w, 0, 0.02)
for w in G.parameters():
    nn.init.normal_(w, 0, 0.02)
tD = torch.optim.Adam(D.parameters(), lr=0.05)
tG = torch.optim.Adam(G.parameters(), lr=0.005)
for e in range(2):
    for (X,) in torch.utils.data.DataLoader(torch.utils.data.TensorDataset(data), 32, shuffle=True):
        bs = X.shape[0]
        Z = torch.normal(0, 1, size=(bs, 2))
        ones = torch.ones((bs,), device=X.device)
        zeros = torch.zeros((bs,), device=X.device)
        tD.zero_grad()
        rY = D(X)
        fX = G(Z)
        fY = D(fX.detach())
        lD = (loss(rY, ones.reshape(rY.shape)) + loss(fY, zeros.reshape(fY.shape))) / 2
        lD.backward()
        tD.step()
        tG.zero_grad()
        fY = D(G(Z))
        lG = loss(fY, ones.reshape(fY.shape))
        lG.backward()
        tG.step()
    print(e, lD.item() / bs, lG.item() / bs)


class G_block(nn.Module):
    def __init__(self, out_channels, in_channels=3, kernel_size=4, strides=2, padding=1, **kwargs):
        super().__init__(**kwargs)
        self.conv2d_trans = nn.ConvTranspose2d(
            in_channels, out_channels, kernel_size, strides, padding, bias=False
        )
        self.batch_norm = nn.BatchNorm2d(out_channels)
        self.activation = nn.ReLU()

    def forward(self, X):
        return self.activation(self.batch_norm(self.conv2d_trans(X)))


print(
    G_block(20)(torch.zeros((2, 3, 16, 16))).shape,
    G_block(20, strides=1, padding=0)(torch.zeros((2, 3, 1, 1))).shape,
    [nn.LeakyReLU(a)(torch.arange(-2, 1, 0.5)) for a in [0, 0.2, 0.4]],
    nn.LeakyReLU(0.2, inplace=True),
)


# GP
def cov(x1, x2, l=1.0, s=1.0):
    d = torch.cdist(x1[:, None], x2[:, None])
    return s * torch.exp(-(d**2) / 2 / l**2)


tx = torch.linspace(0, 5, 12, dtype=torch.float64)
ty = torch.sin(tx) + 0.1 * torch.randn(12, dtype=torch.float64)
ls = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
noise = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
o = torch.optim.Adam([ls, noise], lr=0.1)
for i in range(5):
    o.zero_grad()
    K = cov(tx, tx, ls) + noise**2 * torch.eye(12, dtype=torch.float64)
    L = torch.linalg.cholesky(K)
    a = torch.cholesky_solve(ty[:, None], L)
    nll = (
        0.5 * (ty[:, None].T @ a).squeeze()
        + torch.log(torch.diag(L)).sum()
        + 6 * math.log(2 * math.pi)
    )
    nll.backward()
    o.step()
    print(nll.item(), ls.item())
print(-torch.distributions.MultivariateNormal(torch.zeros(12, dtype=torch.float64), K).log_prob(ty))
xs = torch.linspace(0, 5, 4, dtype=torch.float64)
Ks = cov(tx, xs, ls)
mean = Ks.T @ torch.linalg.solve(K, ty)
print(mean)
print(torch.linalg.slogdet(K))
print(torch.linalg.eigvalsh(K)[-3:])
print(
    Normal(0.0, 1.0).sample((3,)),
    Normal(torch.zeros(2), torch.ones(2)).rsample(),
    torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2)).sample((2,)),
)


# RL
class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine1 = nn.Linear(4, 32)
        self.dropout = nn.Dropout(p=0.6)
        self.affine2 = nn.Linear(32, 2)
        self.saved_log_probs = []
        self.rewards = []

    def forward(self, x):
        return F.softmax(self.affine2(F.relu(self.dropout(self.affine1(x)))), dim=1)


policy = Policy()
o = torch.optim.Adam(policy.parameters(), lr=1e-2)
eps = np.finfo(np.float32).eps.item()
rs = np.random.RandomState(0)
for ep in range(3):
    state = rs.randn(4)
    for t in range(8):
        probs = policy(torch.from_numpy(state).float().unsqueeze(0))
        m = Categorical(probs)
        action = m.sample()
        policy.saved_log_probs.append(m.log_prob(action))
        a = action.item()
        state = state * 0.9 + (a - 0.5) * 0.1 + rs.randn(4) * 0.05
        policy.rewards.append(1.0 + a)
    R = 0
    returns = []
    for r in policy.rewards[::-1]:
        R = r + 0.99 * R
        returns.insert(0, R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + eps)
    loss = torch.cat(
        [-lp * R for lp, R in zip(policy.saved_log_probs, returns, strict=False)]
    ).sum()
    o.zero_grad()
    loss.backward()
    o.step()
    print(ep, loss.item(), m.entropy().item(), m)
    del policy.rewards[:]
    del policy.saved_log_probs[:]
q, tq = nn.Linear(4, 2), nn.Linear(4, 2)
tq.load_state_dict(q.state_dict())
o = torch.optim.AdamW(q.parameters(), lr=1e-2, amsgrad=True)
for i in range(4):
    s, a, r, s2 = (
        torch.randn(16, 4),
        torch.randint(0, 2, (16, 1)),
        torch.rand(16),
        torch.randn(16, 4),
    )
    nf = torch.tensor([j % 4 != 0 for j in range(16)], dtype=torch.bool)
    qv = q(s).gather(1, a)
    nv = torch.zeros(16)
    with torch.no_grad():
        nv[nf] = tq(s2[nf]).max(1).values
    l = nn.SmoothL1Loss()(qv, (nv * 0.99 + r).unsqueeze(1))
    o.zero_grad()
    l.backward()
    torch.nn.utils.clip_grad_value_(q.parameters(), 100)
    o.step()
    tsd, sd = tq.state_dict(), q.state_dict()
    for k in sd:
        tsd[k] = sd[k] * 0.05 + tsd[k] * 0.95
    tq.load_state_dict(tsd)
    print(l.item(), tq.weight[0])
