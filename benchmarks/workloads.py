"""Training steps and inferences, each written once against PyTorch's API.

A workload is a function of the framework's module and of ``compiled``, which is applied to what one
call runs. It returns that call: one training step, or one inference, which returns a loss or a sum.
Inputs come from NumPy with a fixed seed, so that every engine sees the same numbers.
"""

import numpy as np

device = "cpu"  # where models and inputs are


def batches(torch, shape, classes, count=4):
    """A function that gives the next of a few batches, in turn."""
    rng = np.random.default_rng(0)
    pairs = [
        (
            torch.from_numpy(rng.standard_normal(shape).astype("float32")).to(device),
            torch.from_numpy(rng.integers(0, classes, shape[0])).to(device),
        )
        for _ in range(count)
    ]
    at = iter(range(1 << 60))
    return lambda: pairs[next(at) % count]


def training(torch, compiled, model, optimizer, batch, loss=None, clip=None):
    """One training step a call."""
    criterion = loss or torch.nn.CrossEntropyLoss()
    parameters = list(model.to(device).parameters())

    def step(x, y):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters, clip)
        optimizer.step()
        return loss

    run = compiled(step)
    return lambda: run(*batch())


def inference(torch, compiled, model, shape):
    """One forward pass a call."""
    x = np.random.default_rng(0).standard_normal(shape).astype("float32")
    x, model = torch.from_numpy(x).to(device), model.to(device)

    def call(x):
        with torch.no_grad():
            return model(x).sum()

    run = compiled(call)
    return lambda: run(x)


def linreg(torch, compiled):
    nn = torch.nn
    rng = np.random.default_rng(0)
    pair = [rng.standard_normal((10, n)).astype("float32") for n in (2, 1)]
    x, y = [torch.from_numpy(a).to(device) for a in pair]
    model = nn.Sequential(nn.Linear(2, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03)
    return training(torch, compiled, model, optimizer, lambda: (x, y), nn.MSELoss())


def softmax(torch, compiled):
    model = torch.nn.Sequential(torch.nn.Linear(784, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return training(torch, compiled, model, optimizer, batches(torch, (256, 784), 10))


def make_mlp(nn):
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))


def mlp(torch, compiled):
    model = make_mlp(torch.nn)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return training(torch, compiled, model, optimizer, batches(torch, (256, 784), 10))


def dropout_adam(torch, compiled):
    nn = torch.nn
    model = nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(256, 256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return training(torch, compiled, model, optimizer, batches(torch, (256, 784), 10))


def make_lenet(nn):
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2, 2),
        nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.AvgPool2d(2, 2), nn.Flatten(),
        nn.Linear(400, 120), nn.Sigmoid(), nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10),
    )  # fmt: skip


def lenet(torch, compiled):
    model = make_lenet(torch.nn)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.9)
    return training(torch, compiled, model, optimizer, batches(torch, (256, 1, 28, 28), 10))


def resnet18(torch, compiled, batch=32):
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, inner, outer, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outer)
            self.conv2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outer)
            self.down = None
            if stride != 1 or inner != outer:
                conv = nn.Conv2d(inner, outer, 1, stride, bias=False)
                self.down = nn.Sequential(conv, nn.BatchNorm2d(outer))

        def forward(self, x):
            y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
            return torch.relu(y + (x if self.down is None else self.down(x)))

    layers = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    inner = 64
    for outer, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(inner, outer, stride), Block(outer, outer, 1)]
        inner = outer
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    return training(torch, compiled, model, optimizer, batches(torch, (batch, 3, 32, 32), 10, 2))


def tokens(torch, shape, vocabulary):
    """As ``batches``, of sequences of tokens and what follows them."""
    rng = np.random.default_rng(0)
    pairs = [
        (
            torch.from_numpy(rng.integers(0, vocabulary, shape)).to(device),
            torch.from_numpy(rng.integers(0, vocabulary, shape[0] * shape[1])).to(device),
        )
        for _ in range(4)
    ]
    at = iter(range(1 << 60))
    return lambda: pairs[next(at) % 4]


def gru(torch, compiled):
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.rnn = nn.Embedding(28, 28), nn.GRU(28, 256)
            self.out = nn.Linear(256, 28)

        def forward(self, x):
            y, _ = self.rnn(self.embedding(x))
            return self.out(y).reshape(-1, 28)

    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    return training(torch, compiled, model, optimizer, tokens(torch, (35, 32), 28), clip=1.0)


def gpt(torch, compiled, layers=4, heads=4, width=128, time=64, batch=12):
    nn, F = torch.nn, torch.nn.functional
    vocabulary = 65

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.fc, self.out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            b, t, d = x.shape
            parts = self.qkv(self.ln1(x)).split(d, dim=2)
            q, k, v = [z.view(b, t, heads, d // heads).transpose(1, 2) for z in parts]
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.proj(y.transpose(1, 2).contiguous().view(b, t, d))
            return x + self.out(F.gelu(self.fc(self.ln2(x))))

    class Gpt(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Embedding(vocabulary, width)
            self.position = nn.Embedding(time, width)
            self.blocks = nn.ModuleList([Block() for _ in range(layers)])
            self.ln, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

        def forward(self, x):
            y = self.token(x) + self.position(torch.arange(x.shape[1], device=device))
            for block in self.blocks:
                y = block(y)
            return self.head(self.ln(y)).view(-1, vocabulary)

    model = Gpt()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    return training(torch, compiled, model, optimizer, tokens(torch, (batch, time), vocabulary))


def infer_mlp(torch, compiled):
    return inference(torch, compiled, make_mlp(torch.nn).eval(), (1, 784))


def infer_lenet(torch, compiled):
    return inference(torch, compiled, make_lenet(torch.nn).eval(), (1, 1, 28, 28))


# each with the least ratio to torch's speed that compiled code should reach
ALL = {
    linreg: 50, softmax: 3, mlp: 1.7, dropout_adam: 2, lenet: 3, resnet18: 1.3, gru: 2, gpt: 2,
    infer_mlp: 3, infer_lenet: 8,
}  # fmt: skip
ALL = {f.__name__: (f, goal) for f, goal in ALL.items()}
