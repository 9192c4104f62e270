"""Calls that change what is around them, compiled and not."""

from __future__ import annotations

import warnings

import numpy as np

import rushlight as torch
from rushlight import nn

CALLS = 10


def model(inputs=4, outputs=2):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 5), nn.Tanh(), nn.Linear(5, outputs))


def train(net, optimizer, x, y):
    optimizer.zero_grad()
    loss = ((net(x) - y) ** 2).mean()
    loss.backward()
    optimizer.step()
    return loss.detach()


def flat(x):
    """The types in a result, and the numbers."""
    if isinstance(x, torch.Tensor):
        return ["tensor", *x.shape], x.detach().double().flatten().tolist()
    if isinstance(x, dict):
        x = [*x.items()]
    if isinstance(x, (list, tuple)):
        inner = [flat(v) for v in x]
        return [type(x).__name__, *[k for k, _ in inner]], [n for _, some in inner for n in some]
    return [type(x).__name__], [x] if isinstance(x, (int, float)) else []


def calls(make, compile, count=CALLS, between=lambda k: None):
    """What some calls return and leave behind."""
    step, state = make()
    run, found = compile(step), []
    stream = torch.Generator().manual_seed(1)
    for k in range(count):
        between(k)
        x, y = (torch.randn(6, n, generator=stream) for n in (4, 2))
        found.append(flat([run(x, y), state()]))
    return found, run


def check_same(make, **how):
    """Compiled calls do what eager ones do, from a program at last."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        found, run = calls(make, torch.compile, **how)
    assert run._compiled.variants
    expected, _ = calls(make, plain, **how)
    for (ours, our_numbers), (theirs, numbers) in zip(found, expected, strict=True):
        assert ours == theirs
        np.testing.assert_allclose(our_numbers, numbers, rtol=1e-4, atol=1e-5)


def plain(function):
    return function
