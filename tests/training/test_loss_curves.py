"""The same program with the same seed gives the same loss curve as torch, over 100 training steps.

Each program below is written once and run twice: its argument is the framework. Initial weights,
shuffles, dropout masks and data all come from the framework's own generator.
"""

import pytest
import torch

import rushlight

STEPS = 100


def clothes(fw, n=512):
    """Return n made-up images of ten classes that a network can learn to tell apart."""
    labels = fw.randint(0, 10, (n,))
    prototypes = fw.rand(10, 1, 28, 28)
    images = 0.7 * prototypes[labels] + 0.3 * fw.rand(n, 1, 28, 28)
    return fw.utils.data.TensorDataset(images, labels)


def train(fw, net, dataset, optimizer, loss_of, batch_size):
    """Train for STEPS steps over a shuffled loader; return the loss of each."""
    loader = fw.utils.data.DataLoader(dataset, batch_size=batch_size, shuffle=True)
    losses = []
    while len(losses) < STEPS:
        for x, y in loader:
            loss = loss_of(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses[:STEPS]


def linear_regression_scratch(fw):
    x = fw.normal(0, 1, (1000, 2))
    y = x @ fw.tensor([2.0, -3.4]) + 4.2
    y += fw.normal(0, 0.01, y.shape)
    w = fw.normal(0, 0.01, size=(2, 1), requires_grad=True)
    b = fw.zeros(1, requires_grad=True)
    losses = []
    order = fw.randperm(1000)
    for i in range(STEPS):
        chosen = order[i * 10 : i * 10 + 10]
        loss = ((x[chosen] @ w + b - y[chosen].reshape(-1, 1)) ** 2 / 2).mean()
        loss.backward()
        with fw.no_grad():
            for p in (w, b):
                p -= 0.03 * p.grad
                p.grad.zero_()
        losses.append(loss.item())
    return losses


def linear_regression(fw):
    x = fw.randn(1000, 2)
    y = x @ fw.tensor([[2.0], [-3.4]]) + 4.2 + 0.01 * fw.randn(1000, 1)
    net = fw.nn.Linear(2, 1)
    optimizer = fw.optim.SGD(net.parameters(), lr=0.03)
    return train(fw, net, fw.utils.data.TensorDataset(x, y), optimizer, fw.nn.MSELoss(), 10)


def softmax_regression(fw):
    net = fw.nn.Sequential(fw.nn.Flatten(), fw.nn.Linear(784, 10))
    fw.nn.init.normal_(net[1].weight, std=0.01)
    optimizer = fw.optim.SGD(net.parameters(), lr=0.1)
    return train(fw, net, clothes(fw), optimizer, fw.nn.CrossEntropyLoss(), 64)


def perceptron(fw):
    nn = fw.nn
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 10)
    )


def mlp_sgd(fw):
    net = perceptron(fw)
    weights = [p for name, p in net.named_parameters() if name.endswith("weight")]
    biases = [p for name, p in net.named_parameters() if name.endswith("bias")]
    groups = [{"params": weights, "weight_decay": 1e-3}, {"params": biases}]
    optimizer = fw.optim.SGD(groups, lr=0.05, momentum=0.9)
    return train(fw, net, clothes(fw), optimizer, fw.nn.CrossEntropyLoss(), 64)


def mlp_adam(fw):
    net = perceptron(fw)
    optimizer = fw.optim.Adam(net.parameters(), lr=1e-3)
    return train(fw, net, clothes(fw), optimizer, fw.nn.CrossEntropyLoss(), 64)


def lenet(fw):
    nn = fw.nn
    net = nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2, 2),
        nn.Conv2d(6, 16, kernel_size=5), nn.Sigmoid(), nn.AvgPool2d(2, 2), nn.Flatten(),
        nn.Linear(400, 120), nn.Sigmoid(), nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10),
    )  # fmt: skip
    for module in net:
        if type(module) in (nn.Linear, nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
    optimizer = fw.optim.SGD(net.parameters(), lr=0.9)
    return train(fw, net, clothes(fw, 256), optimizer, nn.CrossEntropyLoss(), 32)


PROGRAMS = [
    linear_regression_scratch,
    linear_regression,
    softmax_regression,
    mlp_sgd,
    mlp_adam,
    lenet,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
@pytest.mark.parametrize("seed", [0, 1])
def test_follows_torch(program, seed):
    curves = []
    for fw in (rushlight, torch):
        fw.manual_seed(seed)
        curves.append(program(fw))
    ours, theirs = curves
    assert len(ours) == STEPS
    assert ours == pytest.approx(theirs, rel=1e-4)
    assert min(theirs[-10:]) < theirs[0]  # it trained, so there was something to follow
