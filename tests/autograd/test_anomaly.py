"""Anomaly mode: its warnings and errors are torch's."""

import warnings

import torch

import rushlight as rl


def sayings(lib, run):
    """Each warning's first words and the error of run(lib)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")  # NumPy's
        warnings.simplefilter("always", UserWarning)
        try:
            run(lib)
            error = None
        except RuntimeError as e:
            error = str(e)
    texts = [str(w.message).split(" (Triggered")[0] for w in caught]
    return [t.split("\n")[0] for t in texts], error, texts


def within(lib):
    x = lib.tensor([-1.0, 4.0], requires_grad=True)
    with lib.autograd.detect_anomaly():
        lib.sqrt(x).sum().backward()


def switched_on_late(lib):
    y = lib.sqrt(lib.tensor([-1.0, 4.0], requires_grad=True)).sum()
    with lib.autograd.set_detect_anomaly(True):
        y.backward()


def nan_not_looked_for(lib):
    x = lib.tensor([-1.0, 4.0], requires_grad=True)
    with lib.autograd.detect_anomaly(check_nan=False):
        lib.sqrt(x).sum().backward()


def harmless(lib):
    with lib.autograd.set_detect_anomaly(True):
        lib.ones(2, requires_grad=True).sum().backward()


def raises(lib):
    class Refusing(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            raise RuntimeError("refused")

    with lib.autograd.detect_anomaly():
        Refusing.apply(lib.ones(2, requires_grad=True)).sum().backward()


def test_warnings_and_errors():
    for run in (within, switched_on_late, nan_not_looked_for, harmless, raises):
        ours, theirs = sayings(rl, run), sayings(torch, run)
        assert ours[:2] == theirs[:2], run.__name__


def test_the_forward_line_is_named():
    for lib in (rl, torch):
        assert "lib.sqrt(x).sum().backward()" in sayings(lib, within)[2][1]
