"""Style transfer by hooks, a VAE, a DCGAN, a gradient penalty."""

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
# style transfer with hooks on a frozen net
cnn = nn.Sequential(
    nn.Conv2d(3, 8, 3, padding=1),
    nn.ReLU(),
    nn.Conv2d(8, 8, 3, padding=1),
    nn.ReLU(),
    nn.AvgPool2d(2),
    nn.Conv2d(8, 16, 3, padding=1),
    nn.ReLU(),
).eval()
for p in cnn.parameters():
    p.requires_grad_(False)
feats = {}


def hook(name):
    def f(module, inp, out):
        feats[name] = out

    return f


handles = [cnn[i].register_forward_hook(hook(i)) for i in (0, 2, 5)]


def gram(X):
    n, c = X.shape[1], X.numel() // X.shape[1]
    X = X.reshape((n, c))
    return torch.matmul(X, X.T) / (n * c)


def tv(y):
    return 0.5 * (
        torch.abs(y[:, :, 1:, :] - y[:, :, :-1, :]).mean()
        + torch.abs(y[:, :, :, 1:] - y[:, :, :, :-1]).mean()
    )


content, style = torch.rand(1, 3, 24, 24), torch.rand(1, 3, 24, 24)
cnn(content)
fc = feats[5].detach()
cnn(style)
fs = {k: gram(feats[k]).detach() for k in (0, 2)}


class Img(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(*shape))

    def forward(self):
        return self.weight


im = Img(content.shape)
im.weight.data.copy_(content.data)
opt = torch.optim.Adam(im.parameters(), lr=0.05)
sch = torch.optim.lr_scheduler.StepLR(opt, 5, 0.8)
for e in range(10):
    opt.zero_grad()
    cnn(im())
    lc = torch.square(feats[5] - fc).mean()
    ls = sum(torch.square(gram(feats[k]) - fs[k]).mean() for k in fs)
    l = lc + 1e3 * ls + 10 * tv(im())
    l.backward()
    opt.step()
    sch.step()
    if e % 3 == 0:
        print(f"{lc:.5f} {ls:.6f} {l.item():.4f}", sch.get_last_lr())
for h in handles:
    h.remove()
feats.clear()
cnn(content)
print(
    feats,
    im.weight.clamp_(0, 1).mean()
    if not im.weight.requires_grad
    else im.weight.detach().clamp_(0, 1).mean(),
)
lb = torch.optim.LBFGS([im.weight], max_iter=4, line_search_fn="strong_wolfe")


def closure():
    lb.zero_grad()
    l = F.mse_loss(cnn(im()), fc)
    l.backward()
    return l


print(f"{lb.step(closure).item():.5f} {closure().item():.5f}")


# VAE
class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(64, 32)
        self.fc21, self.fc22 = nn.Linear(32, 4), nn.Linear(32, 4)
        self.fc3 = nn.Linear(4, 32)
        self.fc4 = nn.Linear(32, 64)

    def encode(self, x):
        h = F.relu(self.fc1(x))
        return self.fc21(h), self.fc22(h)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def forward(self, x):
        mu, lv = self.encode(x.view(-1, 64))
        z = self.reparameterize(mu, lv)
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z)))), mu, lv


data = (torch.rand(256, 8, 8) > 0.7).float()
vae = VAE()
opt = torch.optim.Adam(vae.parameters(), lr=1e-2)
for e in range(3):
    tot = 0
    for i in range(0, 256, 64):
        x = data[i : i + 64]
        opt.zero_grad()
        r, mu, lv = vae(x)
        bce = F.binary_cross_entropy(r, x.view(-1, 64), reduction="sum")
        kld = -0.5 * torch.sum(1 + lv - mu.pow(2) - lv.exp())
        (bce + kld).backward()
        opt.step()
        tot += (bce + kld).item()
    print(f"vae {tot / 256:.4f}")
q = torch.distributions.Normal(mu, (0.5 * lv).exp())
kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0))
print(
    torch.allclose(kl.sum(), kld, rtol=1e-4), torch.distributions.Independent(q, 1).log_prob(mu)[:2]
)
# DCGAN
G = nn.Sequential(
    nn.ConvTranspose2d(10, 16, 4, 1, 0, bias=False),
    nn.BatchNorm2d(16),
    nn.ReLU(True),
    nn.ConvTranspose2d(16, 8, 4, 2, 1, bias=False),
    nn.BatchNorm2d(8),
    nn.ReLU(True),
    nn.ConvTranspose2d(8, 1, 4, 2, 1, bias=False),
    nn.Tanh(),
)
D = nn.Sequential(
    nn.Conv2d(1, 8, 4, 2, 1, bias=False),
    nn.LeakyReLU(0.2, inplace=True),
    nn.utils.spectral_norm(nn.Conv2d(8, 16, 4, 2, 1, bias=False)),
    nn.BatchNorm2d(16),
    nn.LeakyReLU(0.2, inplace=True),
    nn.Conv2d(16, 1, 4, 1, 0, bias=False),
    nn.Sigmoid(),
)


def weights_init(m):
    c = m.__class__.__name__
    if c.find("Conv") != -1 and hasattr(m, "weight") and m.weight is not None:
        nn.init.normal_(m.weight.data, 0.0, 0.02)
    elif c.find("BatchNorm") != -1:
        nn.init.normal_(m.weight.data, 1.0, 0.02)
        nn.init.constant_(m.bias.data, 0)


G.apply(weights_init)
D.apply(weights_init)
crit = nn.BCELoss()
oD = torch.optim.Adam(D.parameters(), lr=2e-3, betas=(0.5, 0.999))
oG = torch.optim.Adam(G.parameters(), lr=2e-3, betas=(0.5, 0.999))
fixed = torch.randn(4, 10, 1, 1)
for it in range(5):
    real = torch.rand(16, 1, 16, 16) * 2 - 1
    D.zero_grad()
    label = torch.full((16,), 1.0, dtype=torch.float)
    out = D(real).view(-1)
    eD = crit(out, label)
    eD.backward()
    Dx = out.mean().item()
    noise = torch.randn(16, 10, 1, 1)
    fake = G(noise)
    label.fill_(0.0)
    out = D(fake.detach()).view(-1)
    eF = crit(out, label)
    eF.backward()
    oD.step()
    G.zero_grad()
    label.fill_(1.0)
    out = D(fake).view(-1)
    eG = crit(out, label)
    eG.backward()
    oG.step()
    print(f"{(eD + eF).item():.4f} {eG.item():.4f} {Dx:.4f} {out.mean().item():.4f}")
with torch.no_grad():
    print(G(fixed).detach().cpu()[0, 0, :2, :3])


# WGAN-GP gradient penalty
def gp(D, real, fake):
    a = torch.rand(real.size(0), 1, 1, 1)
    inter = (a * real + (1 - a) * fake).requires_grad_(True)
    d = D(inter)
    (g,) = torch.autograd.grad(
        outputs=d,
        inputs=inter,
        grad_outputs=torch.ones(d.size()),
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )
    return ((g.view(g.size(0), -1).norm(2, dim=1) - 1) ** 2).mean()


D.zero_grad()
pen = gp(D, real, fake.detach())
pen.backward()
print(f"{pen.item():.4f}", D[0].weight.grad.norm())
