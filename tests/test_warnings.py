"""Warnings point at the user's line, however deep in rushlight they arise."""

import warnings

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn, optim
from rushlight.nn import functional as F
from rushlight.tensor_api import _common


def frozen():
    a = np.ones(2, np.float32)
    a.flags.writeable = False
    return a


def late_schedule():
    p = nn.Parameter(rl.ones(1))
    optim.lr_scheduler.StepLR(optim.SGD([p], lr=0.1), 1).step()


CALLS = {
    "module": lambda: nn.Softmax()(rl.ones(2, 2)),
    "nested module": lambda: nn.Sequential(nn.LogSoftmax())(rl.ones(2, 2)),
    "function": lambda: F.log_softmax(rl.ones(2, 2)),
    "loss": lambda: F.mse_loss(rl.ones(2, 1), rl.ones(2)),
    "loss module": lambda: nn.KLDivLoss()(rl.zeros(2, 2), rl.ones(2, 2)),
    "old reduction": lambda: F.l1_loss(rl.ones(2), rl.ones(2), size_average=True),
    "out": lambda: rl.add(rl.ones(3), 1, out=rl.ones(2)),
    "array": lambda: rl.from_numpy(frozen()),
    "copy": lambda: rl.tensor(rl.ones(2)),
    "dropout": lambda: F.dropout2d(rl.ones(2, 2)),
    "variance": lambda: rl.ones(1).var(),
    "variance of nothing": lambda: rl.ones(0, 2).var(1),
    "interpolation": lambda: F.grid_sample(rl.ones(1, 1, 2, 2), rl.zeros(1, 1, 1, 2)),
    "layer": lambda: nn.LSTM(2, 2, dropout=0.5),
    "old name": lambda: nn.init.xavier_normal(rl.ones(2, 2)),
    "schedule": late_schedule,
    "lost part": lambda: rl.ones(2, dtype=rl.complex64).float(),
    "lost part in place": lambda: rl.ones(2).copy_(rl.ones(2, dtype=rl.complex64)),
    "no window": lambda: rl.stft(rl.ones(40), 8, return_complex=True),
    "cross without dim": lambda: rl.cross(rl.ones(3), rl.ones(3)),
    "same padding": lambda: F.conv1d(rl.ones(1, 1, 4), rl.ones(1, 1, 2), padding="same"),
    "same padding in a layer": lambda: nn.Conv2d(1, 1, (3, 4), padding="same")(rl.ones(1, 4, 4)),
}


@pytest.mark.parametrize("name", CALLS)
def test_names_the_users_line(name, monkeypatch):
    monkeypatch.setattr(_common, "_warned", set())  # what is said once in a process
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        warnings.simplefilter("always", FutureWarning)
        CALLS[name]()
    assert [w.filename for w in caught] == [__file__]
