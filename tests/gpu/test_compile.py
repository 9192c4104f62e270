"""Compiled functions of tensors on a GPU, against the same functions run eagerly on the CPU."""

import copy
import itertools

import numpy as np
import pytest

import rushlight as torch
from rushlight import nn
from rushlight.core.device_array import DeviceArray
from tests.gpu.programs import close, devices, same_models, variants

F = nn.functional
pytestmark = [
    pytest.mark.usefixtures("programs"),
    pytest.mark.filterwarnings("ignore:.*has no GPU kernel:UserWarning"),
    pytest.mark.filterwarnings("error:compile.*:UserWarning"),
]


def training(model, optimizer, criterion, clip=None):
    """A step of training."""

    def step(x, y):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        return loss

    return step


def compare(make, make_optimizer, batches, criterion=None, tolerance=1e-5, plain="cpu", **options):
    """Five steps, eagerly on the device ``plain``, and compiled on the GPU. Returns the compiled
    step.
    """
    criterion = criterion or nn.CrossEntropyLoss()
    runs = []
    torch.manual_seed(0)
    first = make()
    for device, compiles in ((plain, False), ("cuda", True)):
        model = copy.deepcopy(first).to(device)
        step = training(model, make_optimizer(model.parameters()), criterion, **options)
        step = torch.compile(step) if compiles else step
        torch.manual_seed(1)
        losses = [step(x.to(device), y.to(device)) for x, y in itertools.islice(batches, 5)]
        runs.append((model, losses, step))
    (a, expected, _), (b, found, compiled) = runs
    for x, y in zip(expected, found, strict=True):
        assert y.is_cuda
        close(x, y, tolerance)
    same_models(a, b, tolerance)
    assert len(variants(compiled)) == 1
    return compiled


def images(*shape, classes=4, count=5):
    rng = np.random.default_rng(0)
    xs = [torch.from_numpy(rng.standard_normal(shape).astype("float32")) for _ in range(count)]
    ys = [torch.from_numpy(rng.integers(0, classes, shape[0])) for _ in range(count)]
    return list(zip(xs, ys, strict=True))


def texts(*shape, words=11, count=5):
    rng = np.random.default_rng(0)
    draw = lambda *s: torch.from_numpy(rng.integers(0, words, s))  # noqa: E731
    return [(draw(*shape), draw(int(np.prod(shape)))) for _ in range(count)]


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-3)


def linreg():
    return nn.Sequential(nn.Linear(2, 1))


def test_linear_regression():
    batches = [(x, torch.randn(10, 1)) for x, _ in images(10, 2)]
    step = compare(linreg, lambda p: torch.optim.SGD(p, lr=0.03), batches, nn.MSELoss())
    (variant,) = variants(step)
    assert devices(variant) == ["cuda"]
    assert all([type(a) is DeviceArray for a in variant.buffers.arrays])


def mlp(dropout=0.0):
    return nn.Sequential(
        nn.Linear(6, 8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4)
    )


@pytest.mark.parametrize("name", ["SGD", "Adagrad", "RMSprop", "NAdam"])
def test_mlp(name):
    make = getattr(torch.optim, name)
    compare(mlp, lambda p: make(p, lr=0.05), images(12, 6), clip=0.5)


def test_dropout_and_adam_whose_counters_are_on_the_cpu(gpus):
    adam = lambda p: torch.optim.Adam(p, lr=1e-2)  # noqa: E731
    plain = "cuda" if gpus is None else "cpu"  # whose random numbers are others
    step = compare(lambda: mlp(0.5), adam, images(12, 6), plain=plain)
    (variant,) = variants(step)
    assert devices(variant) == ["cpu", "cuda"]


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.Sigmoid(), nn.AvgPool2d(2), nn.Conv2d(3, 4, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 4),
    )  # fmt: skip


def test_lenet():
    compare(lenet, sgd, images(4, 1, 12, 12))


class Block(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.conv = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(after)
        self.down = nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x)) + self.down(x))


def resnet():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), Block(4, 6, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4),
    )  # fmt: skip


def test_resnet():
    compare(resnet, sgd, images(4, 3, 8, 8), tolerance=1e-4)


class Letters(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.rnn, self.out = nn.Embedding(11, 5), nn.GRU(5, 6), nn.Linear(6, 11)

    def forward(self, x):
        return self.out(self.rnn(self.table(x))[0]).reshape(-1, 11)


def test_gru():
    compare(Letters, lambda p: torch.optim.SGD(p, lr=1.0), texts(4, 3), clip=1.0, tolerance=1e-4)


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(11, 8), nn.Embedding(5, 8)
        self.norm, self.qkv, self.out = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 11)

    def forward(self, x):
        b, t = x.shape
        x = self.words(x) + self.places(torch.arange(t, device=x.device))
        parts = self.qkv(self.norm(x)).split(8, dim=2)
        q, k, v = [p.view(b, t, 2, 4).transpose(1, 2) for p in parts]
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + F.gelu(y.transpose(1, 2).contiguous().view(b, t, 8))
        return self.out(x).view(-1, 11)


def test_gpt():
    compare(Gpt, lambda p: torch.optim.AdamW(p, lr=1e-2, eps=1e-3), texts(3, 5), tolerance=1e-4)
