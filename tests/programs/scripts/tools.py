"""Hooks, scripting, compiling, function transforms, mixed precision, printing, distributions."""

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
# hooks for features
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))
feats = {}


def get(name):
    def hook(model, input, output):
        feats[name] = output.detach()

    return hook


hs = [m.register_forward_hook(get(n)) for n, m in net.named_children()]
x = torch.randn(2, 3, 8, 8)
out = net(x)
print({k: tuple(v.shape) for k, v in feats.items()})
[h.remove() for h in hs]
g = []
h = net[3].register_full_backward_hook(lambda m, gi, go: g.append((gi[0].shape, go[0].shape)))
ph = net[0].register_forward_pre_hook(lambda m, i: (i[0] * 2,))
net(x).sum().backward()
print(g)
h.remove()
ph.remove()
cam = feats["1"].mean(1)
print(cam.shape, F.interpolate(cam[None], (8, 8)).shape)


# jit
@torch.jit.script
def fn(x, y):
    if x.sum() > y.sum():
        return x
    else:
        return y


print(fn(torch.ones(2), torch.zeros(2)))


class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x, h):
        new_h = torch.tanh(self.linear(x) + h)
        return new_h, new_h


c = Cell()
x, h = torch.rand(3, 4), torch.rand(3, 4)
s = torch.jit.script(c)
print(s(x, h)[0])
t = torch.jit.trace(c, (x, h))
print(t(x, h)[0])
s.save("c.pt")
print(torch.jit.load("c.pt")(x, h)[0].shape)


# compile
@torch.compile
def opt_foo(x, y):
    a = torch.sin(x)
    b = torch.cos(y)
    return a + b


print(opt_foo(torch.ones(2, 2), torch.ones(2, 2)))
cm = torch.compile(c)
print(cm(x, h)[0].sum())
o = torch.optim.Adam(c.parameters(), lr=0.1)


@torch.compile
def train():
    o.zero_grad()
    l = cm(x, h)[0].pow(2).sum()
    l.backward()
    o.step()
    return l


for i in range(3):
    print(train().item())
# func
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

print(
    vmap(torch.dot)(torch.arange(6.0).view(2, 3), torch.ones(2, 3)),
    grad(lambda x: torch.sin(x))(torch.tensor(1.0)),
    jacrev(lambda x: x**2)(torch.arange(3.0)),
    hessian(lambda x: (x**3).sum())(torch.arange(2.0)),
)
m = nn.Linear(3, 1)
params = {k: v.detach() for k, v in m.named_parameters()}


def loss(p, x, y):
    return F.mse_loss(functional_call(m, p, (x.unsqueeze(0),)), y.unsqueeze(0))


X, Y = torch.randn(4, 3), torch.randn(4, 1)
print(vmap(grad(loss), in_dims=(None, 0, 0))(params, X, Y))
print(
    jvp(torch.sin, (torch.ones(2),), (torch.ones(2),)),
    vjp(torch.sin, torch.ones(2))[1](torch.ones(2)),
    jacfwd(lambda x: x * 2)(torch.ones(2)),
)
# amp
with torch.autocast(device_type="cpu", dtype=torch.bfloat16):
    y = m(X)
    print(y.dtype, F.softmax(y, 0).dtype, (y + 1).dtype)
with torch.amp.autocast("cpu", enabled=False):
    print(m(X).dtype)
print(
    torch.tensor([1.5, 2.25]).half(),
    torch.tensor([1.1]).bfloat16(),
    torch.finfo(torch.float16).max,
    torch.iinfo(torch.int8).min,
    torch.finfo(torch.float32).eps,
    torch.finfo(torch.bfloat16),
)


# super-resolution, VAE, time series
class SR(nn.Module):
    def __init__(self, r):
        super().__init__()
        self.relu = nn.ReLU()
        self.conv1 = nn.Conv2d(1, 8, (5, 5), (1, 1), (2, 2))
        self.conv4 = nn.Conv2d(8, r**2, (3, 3), (1, 1), (1, 1))
        self.pixel_shuffle = nn.PixelShuffle(r)
        nn.init.orthogonal_(self.conv1.weight, nn.init.calculate_gain("relu"))
        nn.init.orthogonal_(self.conv4.weight)

    def forward(self, x):
        return self.pixel_shuffle(self.conv4(self.relu(self.conv1(x))))


sr = SR(2)
print(sr, sr(torch.rand(1, 1, 4, 4)).shape, sr.conv4.weight.sum())


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(20, 16)
        self.fc21 = nn.Linear(16, 4)
        self.fc22 = nn.Linear(16, 4)
        self.fc3 = nn.Linear(4, 16)
        self.fc4 = nn.Linear(16, 20)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def forward(self, x):
        h1 = F.relu(self.fc1(x.view(-1, 20)))
        mu, lv = self.fc21(h1), self.fc22(h1)
        z = self.reparameterize(mu, lv)
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z)))), mu, lv


v = VAE()
o = torch.optim.Adam(v.parameters(), 1e-2)
d = torch.rand(32, 4, 5)
for i in range(4):
    o.zero_grad()
    r, mu, lv = v(d)
    l = F.binary_cross_entropy(r, d.view(-1, 20), reduction="sum") + -0.5 * torch.sum(
        1 + lv - mu.pow(2) - lv.exp()
    )
    l.backward()
    o.step()
    print(f"====> Epoch: {i} Average loss: {l.item() / 32:.4f}")
import numpy as np

np.random.seed(2)
data = np.sin((np.array(range(40)) + np.random.randint(-80, 80, 6).reshape(6, 1)) / 20.0).astype(
    "float64"
)
inp = torch.from_numpy(data[:, :-1])
tg = torch.from_numpy(data[:, 1:])


class Sequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm1 = nn.LSTMCell(1, 8)
        self.lstm2 = nn.LSTMCell(8, 8)
        self.linear = nn.Linear(8, 1)

    def forward(self, input, future=0):
        outputs = []
        h_t = torch.zeros(input.size(0), 8, dtype=torch.double)
        c_t = torch.zeros(input.size(0), 8, dtype=torch.double)
        h_t2 = torch.zeros(input.size(0), 8, dtype=torch.double)
        c_t2 = torch.zeros(input.size(0), 8, dtype=torch.double)
        for input_t in input.split(1, dim=1):
            h_t, c_t = self.lstm1(input_t, (h_t, c_t))
            h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
            output = self.linear(h_t2)
            outputs += [output]
        for _i in range(future):
            h_t, c_t = self.lstm1(output, (h_t, c_t))
            h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
            output = self.linear(h_t2)
            outputs += [output]
        return torch.cat(outputs, dim=1)


seq = Sequence()
seq.double()
crit = nn.MSELoss()
op = torch.optim.LBFGS(seq.parameters(), lr=0.8, max_iter=4)
for i in range(2):

    def closure():
        op.zero_grad()
        out = seq(inp)
        loss = crit(out, tg)
        print("loss:", loss.item())
        loss.backward()
        return loss

    op.step(closure)
with torch.no_grad():
    print(seq(inp[:1], future=3)[0, -3:], seq)
# printing
torch.set_printoptions(precision=3, sci_mode=False)
print(torch.tensor([1e-5, 1000.0]))
torch.set_printoptions(profile="default")
print(
    torch.tensor([1e-5, 1000.0]),
    torch.arange(2000),
    torch.randn(3, 2, 2),
    torch.tensor([]),
    torch.tensor([True]),
    torch.tensor(3),
    torch.tensor([1 + 2j]),
    torch.tensor([float("nan"), float("inf"), 1]),
    torch.zeros(0, 3),
    torch.tensor([1e10, 1]),
    torch.rand(2, dtype=torch.float64),
    torch.ones(2, dtype=torch.uint8),
)
print(
    f"{torch.tensor(3.14159):.2f} {torch.tensor(3)} {torch.tensor([1.5])}",
    str(torch.tensor(2.5)),
    repr(torch.ones(1)),
    torch.Size([1, 2]),
    torch.float32,
    torch.strided,
    torch.device("cpu"),
    [torch.tensor(1)],
    {"a": torch.tensor(1.0)},
)
print(
    nn.Embedding(3, 4, padding_idx=0),
    nn.LSTM(2, 3, 2, batch_first=True),
    nn.Conv1d(1, 2, 3, padding="same", dilation=2),
    nn.BatchNorm2d(3, affine=False),
    nn.GroupNorm(2, 4),
    nn.InstanceNorm2d(3),
    nn.Upsample(scale_factor=2),
    nn.PReLU(),
    nn.Softmax(dim=1),
    nn.CrossEntropyLoss(),
    nn.Transformer(8, 2, 1, 1).encoder,
    nn.Bilinear(1, 2, 3),
    nn.Hardtanh(),
    nn.Threshold(0.1, 20),
    nn.ZeroPad2d(1),
    nn.CosineSimilarity(),
    nn.RMSNorm(3),
    nn.Unflatten(1, (2, 2)),
    nn.MaxPool2d(2, ceil_mode=True),
    nn.AdaptiveAvgPool2d((1, None)),
    nn.Identity(),
    nn.Dropout2d(),
    nn.SiLU(),
    nn.ELU(),
    nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)),
    nn.EmbeddingBag(3, 2),
    nn.LocalResponseNorm(2),
    nn.ConvTranspose2d(1, 1, 3, output_padding=1, stride=2),
    nn.PixelUnshuffle(2),
    nn.GLU(),
    nn.AlphaDropout(0.1),
)
from torch.distributions import *
from torch.distributions import transforms

print(
    Normal(0.0, 1.0),
    Categorical(torch.ones(3)),
    Bernoulli(torch.tensor([0.3])),
    Beta(1.0, 2.0),
    kl_divergence(Normal(0.0, 1.0), Normal(1.0, 2.0)),
    Categorical(logits=torch.randn(2, 3)).sample((2,)),
    Bernoulli(0.5).sample((4,)),
    Gamma(2.0, 1.0).sample((2,)),
    Dirichlet(torch.ones(3)).sample(),
    Poisson(4.0).sample((3,)),
    Uniform(0.0, 2.0).sample((2,)),
    Exponential(1.0).sample((2,)),
    Independent(Normal(torch.zeros(2), torch.ones(2)), 1).log_prob(torch.ones(2)),
    MixtureSameFamily(Categorical(torch.ones(2)), Normal(torch.zeros(2), torch.ones(2))).log_prob(
        torch.tensor(0.5)
    ),
    Laplace(0.0, 1.0).icdf(torch.tensor(0.3)),
    Normal(0.0, 1.0).cdf(torch.tensor(1.0)),
    Multinomial(5, torch.ones(3)).sample(),
    TransformedDistribution(Normal(0.0, 1.0), [transforms.ExpTransform()]).log_prob(
        torch.tensor(2.0)
    ),
)
for f, n in [
    (lambda: nn.Linear(2, 3)(torch.ones(1, 5)), "RuntimeError"),
    (lambda: nn.Conv2d(1, 2, 3)(torch.ones(1, 3, 5, 5)), "RuntimeError"),
    (lambda: F.cross_entropy(torch.randn(2, 3), torch.tensor([0, 5])), "IndexError"),
    (lambda: nn.Embedding(3, 2)(torch.tensor([5])), "IndexError"),
    (lambda: torch.cat([torch.ones(2, 3), torch.ones(3, 2)]), "RuntimeError"),
    (lambda: torch.ones(2).view(3), "RuntimeError"),
    (lambda: torch.load("nope.pt"), "FileNotFoundError"),
    (lambda: torch.tensor("a"), "TypeError"),
    (lambda: torch.ones(2, 3, 4).t(), "RuntimeError"),
    (lambda: torch.ones(1, requires_grad=True).numpy(), "RuntimeError"),
    (lambda: torch.ones(2, 3).transpose(0, 1).view(6), "RuntimeError"),
    (lambda: torch.linalg.inv(torch.zeros(2, 2)), "LinAlgError"),
    (lambda: torch.optim.SGD([], lr=0.1), "ValueError"),
    (lambda: torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=-1), "ValueError"),
    (lambda: torch.ones(2, dtype=torch.int).requires_grad_(), "RuntimeError"),
    (lambda: torch.zeros(2, 2)[0, 0, 0], "IndexError"),
    (lambda: nn.BatchNorm1d(2)(torch.ones(1, 2)), "ValueError"),
    (lambda: nn.Linear(1, 1).foo, "AttributeError"),
    (lambda: torch.einsum("ij,jk", torch.ones(2, 3), torch.ones(2, 3)), "RuntimeError"),
    (lambda: torch.stack([torch.ones(1), torch.ones(2)]), "RuntimeError"),
    (lambda: torch.tensor([[1], [1, 2]]), "ValueError"),
    (lambda: torch.ones(2).to("foo"), "RuntimeError"),
]:
    try:
        f()
        print("no error", n)
    except Exception as e:
        print(n, next(c.__name__ for c in type(e).__mro__ if c.__module__ == "builtins"))
from torch.profiler import ProfilerActivity, profile, record_function

with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as prof:
    with record_function("model_inference"):
        net(torch.randn(1, 3, 8, 8))
print("model_inference" in prof.key_averages().table(sort_by="cpu_time_total", row_limit=10))
