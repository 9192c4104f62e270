"""Training steps of usual networks: native throughout, and equal to eager code over 20 steps."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight import nn
from rushlight.nn import functional as F

from .test_random import calls_of
from .test_recurrent import trained

pytest.importorskip("llvmlite", reason="native programs need llvmlite")
pytestmark = pytest.mark.usefixtures("own_cache")


def training(parts, optimizer, loss_of, clip=None):
    """A step of training."""
    parameters = [p for m in parts for p in m.parameters()]
    chosen = optimizer(parameters)

    def step():
        chosen.zero_grad()
        loss = loss_of()
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(parameters, clip)
        chosen.step()
        return loss

    return step


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc, self.out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = [
            z.view(b, t, self.heads, d // self.heads).transpose(1, 2)
            for z in self.qkv(self.ln1(x)).split(d, dim=2)
        ]
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).contiguous().view(b, t, d))
        return x + self.out(F.gelu(self.fc(self.ln2(x))))


def gpt():
    tokens, places = nn.Embedding(13, 32), nn.Embedding(20, 32)
    blocks, ln = nn.Sequential(Block(32, 4), Block(32, 4)), nn.LayerNorm(32)
    head = nn.Linear(32, 13, bias=False)
    x, y = rl.randint(0, 13, (3, 17)), rl.randint(0, 13, (3 * 17,))

    def loss():
        z = tokens(x) + places(rl.arange(x.shape[1]))
        return F.cross_entropy(head(ln(blocks(z))).view(-1, 13), y)

    parts = [tokens, places, blocks, ln, head]
    return training(parts, lambda p: rl.optim.AdamW(p, lr=1e-3, weight_decay=0.1), loss)


def dropout_adam():
    net = nn.Sequential(
        nn.Linear(20, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 32), nn.ReLU(),
        nn.Dropout(0.5), nn.Linear(32, 4),
    )  # fmt: skip
    x, y = rl.randn(16, 20), rl.randint(0, 4, (16,))
    return training([net], rl.optim.Adam, lambda: F.cross_entropy(net(x), y))


class Residual(nn.Module):
    def __init__(self, inner, outer, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outer), nn.BatchNorm2d(outer)
        self.down = nn.Sequential(
            nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer)
        )

    def forward(self, x):
        y = self.bn2(self.conv2(rl.relu(self.bn1(self.conv1(x)))))
        return rl.relu(y + self.down(x))


def residual_net():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), Residual(8, 8, 1),
        Residual(8, 16, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5),
    )  # fmt: skip
    x, y = rl.randn(4, 3, 12, 12), rl.randint(0, 5, (4,))
    sgd = lambda p: rl.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=5e-4)  # noqa: E731
    return training([net], sgd, lambda: F.cross_entropy(net(x), y))


def variational():
    encoder = nn.Sequential(nn.Linear(30, 24), nn.ReLU())
    mean, spread = nn.Linear(24, 6), nn.Linear(24, 6)
    decoder = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 30), nn.Sigmoid())
    x = rl.rand(8, 30)

    def loss():
        h = encoder(x)
        m, v = mean(h), spread(h)
        z = m + rl.randn_like(v) * rl.exp(0.5 * v)
        fit = F.binary_cross_entropy(decoder(z), x, reduction="sum")
        return fit - 0.5 * rl.sum(1 + v - m.pow(2) - v.exp())

    return training([encoder, mean, spread, decoder], rl.optim.RMSprop, loss)


def norms():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.SiLU(), nn.Conv2d(8, 8, 3, padding=1),
        nn.InstanceNorm2d(8, affine=True), nn.LeakyReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"), nn.ELU(),
        nn.Upsample(scale_factor=2), nn.AvgPool2d(3, 2, 1), nn.Flatten(), nn.LayerNorm(128),
        nn.RMSNorm(128), nn.Dropout(0.3), nn.Linear(128, 5),
    )  # fmt: skip
    x, y = rl.randn(2, 3, 8, 8), rl.randint(0, 5, (2,))
    loss = lambda: F.cross_entropy(net(x), y, label_smoothing=0.1)  # noqa: E731
    return training([net], rl.optim.NAdam, loss, clip=1.0)


def sequence_to_sequence():
    embedding, out = nn.Embedding(11, 12), nn.Linear(16, 11)
    encoder, decoder = nn.GRU(12, 16, batch_first=True), nn.GRUCell(12, 16)
    x, y = rl.randint(0, 11, (4, 6)), rl.randint(0, 11, (4, 5))

    def loss():
        h = encoder(embedding(x))[1][0]
        token, made = rl.zeros(4, dtype=rl.int64), []
        for _ in range(5):
            h = decoder(embedding(token), h)
            made.append(out(h))
            token = made[-1].argmax(1)
        return F.cross_entropy(rl.stack(made, 1).flatten(0, 1), y.flatten())

    return training([embedding, out, encoder, decoder], rl.optim.Adagrad, loss, clip=0.5)


def unet():
    down, deep = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
    up, out = nn.ConvTranspose2d(16, 8, 2, stride=2), nn.Conv2d(16, 3, 1)
    x, y = rl.randn(2, 3, 8, 8), rl.randint(0, 3, (2, 8, 8))

    def loss():
        a = rl.relu(down(x))
        b = rl.relu(deep(F.max_pool2d(a, 2)))
        return F.cross_entropy(out(rl.cat([up(b), a], 1)), y, weight=rl.tensor([1.0, 2.0, 0.5]))

    return training([down, deep, up, out], rl.optim.Adam, loss)


@pytest.mark.parametrize(
    "make",
    [gpt, dropout_adam, residual_net, variational, norms, sequence_to_sequence, unet],
)
def test_training_is_native_and_that_of_eager_code(make):
    assert not calls_of(trained(make))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_through_a_step_on_classes_is_captured(reduction, weighted):
    """As meta-learning makes: a loss after a step, differentiated through that step."""
    rl.manual_seed(0)
    x, y = rl.randn(6, 4), rl.tensor([0, 2, 1, -100, 0, 2])
    weight = rl.tensor([0.5, 1, 2]) if weighted else None

    def loss(w):
        return F.cross_entropy(x @ w, y, weight, reduction=reduction).sum()

    def step(w):
        (g,) = rl.autograd.grad(loss(w), w, create_graph=True)
        return rl.autograd.grad(loss(w - 0.1 * g), w)[0]

    w = rl.randn(4, 3, requires_grad=True)
    run = rl.compile(step, fullgraph=True)
    for _ in range(3):
        rl.testing.assert_close(run(w), step(w))
