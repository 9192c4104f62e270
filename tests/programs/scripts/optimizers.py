"""Optimizers by hand and from the library; learning rate schedules."""

import numpy as np
import torch
from torch import nn
from torch.optim import lr_scheduler

torch.manual_seed(0)


def f_2d(x1, x2):
    return x1**2 + 2 * x2**2


x = torch.tensor([-5.0, -2.0], requires_grad=True)
for i in range(5):
    y = f_2d(*x)
    y.backward()
    with torch.no_grad():
        x -= 0.1 * x.grad
        x.grad.zero_()
    print(i, x.detach().numpy(), f"x1: {float(x[0]):f}, x2: {x[1].item():f}")
data = torch.from_numpy(np.random.RandomState(0).randn(120, 6).astype(np.float32))
data = (data - data.mean(axis=0)) / data.std(axis=0)
print(data[:2])
features, labels = data[:, :-1], data[:, -1]


def init_momentum_states(d):
    return (torch.zeros((d, 1)), torch.zeros(1))


def sgd_momentum(params, states, hp):
    for p, v in zip(params, states, strict=False):
        with torch.no_grad():
            v[:] = hp["momentum"] * v + p.grad
            p[:] -= hp["lr"] * v
        p.grad.data.zero_()


def adagrad(params, states, hp):
    eps = 1e-6
    for p, s in zip(params, states, strict=False):
        with torch.no_grad():
            s[:] += torch.square(p.grad)
            p[:] -= hp["lr"] * p.grad / torch.sqrt(s + eps)
        p.grad.data.zero_()


def rmsprop(params, states, hp):
    gamma, eps = hp["gamma"], 1e-6
    for p, s in zip(params, states, strict=False):
        with torch.no_grad():
            s[:] = gamma * s + (1 - gamma) * torch.square(p.grad)
            p[:] -= hp["lr"] * p.grad / torch.sqrt(s + eps)
        p.grad.data.zero_()


def adam(params, states, hp):
    beta1, beta2, eps = 0.9, 0.999, 1e-6
    for p, (v, s) in zip(params, states, strict=False):
        with torch.no_grad():
            v[:] = beta1 * v + (1 - beta1) * p.grad
            s[:] = beta2 * s + (1 - beta2) * torch.square(p.grad)
            v_bias_corr = v / (1 - beta1 ** hp["t"])
            s_bias_corr = s / (1 - beta2 ** hp["t"])
            p[:] -= hp["lr"] * v_bias_corr / (torch.sqrt(s_bias_corr) + eps)
        p.grad.data.zero_()
    hp["t"] += 1


def yogi(params, states, hp):
    beta1, beta2, eps = 0.9, 0.999, 1e-3
    for p, (v, s) in zip(params, states, strict=False):
        with torch.no_grad():
            v[:] = beta1 * v + (1 - beta1) * p.grad
            s[:] = s + (1 - beta2) * torch.sign(torch.square(p.grad) - s) * torch.square(p.grad)
            p[:] -= (
                hp["lr"]
                * (v / (1 - beta1 ** hp["t"]))
                / (torch.sqrt(s / (1 - beta2 ** hp["t"])) + eps)
            )
        p.grad.data.zero_()
    hp["t"] += 1


def train(fn, states, hp, epochs=2):
    torch.manual_seed(1)
    w = torch.normal(mean=0.0, std=0.01, size=(5, 1), requires_grad=True)
    b = torch.zeros((1), requires_grad=True)
    it = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(features, labels), 10, shuffle=True
    )
    for e in range(epochs):
        for X, y in it:
            l = (((X @ w + b) - y.reshape(-1, 1)) ** 2 / 2).mean()
            l.backward()
            fn([w, b], states, hp)
        print(fn.__name__, e, ((features @ w + b - labels.reshape(-1, 1)) ** 2 / 2).mean().item())


def z2():
    return [torch.zeros((5, 1)), torch.zeros(1)]


def z4():
    return [(torch.zeros((5, 1)), torch.zeros((5, 1))), (torch.zeros(1), torch.zeros(1))]


train(sgd_momentum, z2(), {"lr": 0.02, "momentum": 0.5})
train(adagrad, z2(), {"lr": 0.1})
train(rmsprop, z2(), {"lr": 0.01, "gamma": 0.9})
train(adam, z4(), {"lr": 0.01, "t": 1})
train(yogi, z4(), {"lr": 0.01, "t": 1})
for cls, kw in [
    (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (torch.optim.Adagrad, {"lr": 0.1}),
    (torch.optim.RMSprop, {"lr": 0.01, "alpha": 0.9}),
    (torch.optim.Adadelta, {"rho": 0.9}),
    (torch.optim.Adam, {"lr": 0.01, "amsgrad": True}),
    (torch.optim.AdamW, {"lr": 0.01}),
    (torch.optim.NAdam, {}),
    (torch.optim.RAdam, {}),
    (torch.optim.Adamax, {}),
    (torch.optim.ASGD, {}),
    (torch.optim.Rprop, {}),
    (torch.optim.LBFGS, {"max_iter": 3}),
]:
    torch.manual_seed(2)
    net = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1))
    o = cls(net.parameters(), **kw)
    for i in range(4):

        def closure():
            o.zero_grad()
            l = nn.functional.mse_loss(net(features), labels[:, None])
            l.backward()
            return l

        l = o.step(closure)
    print(o)
    print(l.item(), net[0].weight[0], sorted(o.state_dict()["state"].get(0, {}).keys()))


class SquareRootScheduler:
    def __init__(self, lr=0.1):
        self.lr = lr

    def __call__(self, num_update):
        return self.lr * pow(num_update + 1.0, -0.5)


net = nn.Linear(1, 1)


def sched(mk, n=8, lr=0.3):
    o = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9)
    s = mk(o)
    out = []
    for _i in range(n):
        o.step()
        out.append(round(o.param_groups[0]["lr"], 6))
        s.step()
    print(type(s).__name__, out, s.get_last_lr())


for mk in (
    lambda o: lr_scheduler.MultiStepLR(o, milestones=[3, 5], gamma=0.5),
    lambda o: lr_scheduler.StepLR(o, 2),
    lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    lambda o: lr_scheduler.CosineAnnealingLR(o, 5, eta_min=0.01),
    lambda o: lr_scheduler.LambdaLR(o, SquareRootScheduler()),
    lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.5, total_steps=10),
    lambda o: lr_scheduler.CyclicLR(o, 0.1, 0.5, 3),
    lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3),
    lambda o: lr_scheduler.LinearLR(o),
    lambda o: lr_scheduler.PolynomialLR(o, 5, 2.0),
    lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.ConstantLR(o, 0.1, 2), lr_scheduler.ExponentialLR(o, 0.9)], milestones=[2]
    ),
    lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o), lr_scheduler.ExponentialLR(o, 0.9)]
    ),
    lambda o: lr_scheduler.MultiplicativeLR(o, lambda e: 0.95),
):
    sched(mk)
o = torch.optim.SGD(net.parameters(), lr=0.1)
s = lr_scheduler.ReduceLROnPlateau(o, "min", patience=1)
for v in [1, 0.9, 0.9, 0.9, 0.9, 0.9, 0.8]:
    s.step(v)
    print(o.param_groups[0]["lr"], s.num_bad_epochs)
A = torch.tensor([[1.0, 0.5], [0.5, 2.0]])
print(torch.linalg.eigh(A))
print(torch.linalg.inv(A), torch.det(A), torch.trace(A))
