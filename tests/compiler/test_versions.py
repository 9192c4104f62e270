"""``_version`` counts the writes to a tensor: as many in compiled calls as in eager ones."""

from __future__ import annotations

import pytest

import rushlight as rl

pytest.importorskip("llvmlite", reason="native programs need llvmlite")


def versions_of(compiled, make):
    """The versions after each of five calls."""
    rl.manual_seed(0)
    function, tensors = make()
    run = rl.compile(function, fullgraph=True) if compiled else function
    found = []
    for k in range(5):
        run(rl.ones(5, 3) + k)
        found.append([t._version for t in tensors()])
    return found


def several_writes():
    total, copy = rl.zeros(3), rl.zeros(3)

    def step(x):
        total.add_(x[0])
        total.mul_(2)
        copy.copy_(total)
        copy.data.add_(1)  # which torch does not count either

    return step, lambda: [total, copy]


def training(optimizer, **options):
    def make():
        nn = rl.nn
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        steps = optimizer(model.parameters(), **options)

        def step(x):
            steps.zero_grad()
            model(x).sum().backward()
            steps.step()

        def tensors():
            p = model[0].weight
            return [*model.parameters(), *model.buffers(), *steps.state[p].values()]

        return step, tensors

    return make


MAKERS = {
    "several": several_writes,
    "sgd": training(rl.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.1),
    "adam": training(rl.optim.Adam, amsgrad=True),
    "rprop": training(rl.optim.Rprop),
}


@pytest.mark.parametrize("name", MAKERS)
def test_compiled_calls_count_writes_as_eager_ones_do(name):
    assert versions_of(True, MAKERS[name]) == versions_of(False, MAKERS[name])


def test_writes_to_an_argument_are_counted():
    def twice(x):
        x.add_(1)
        x.mul_(2)

    run, x = rl.compile(twice, fullgraph=True), rl.zeros(3)
    counts = []
    for _ in range(5):
        run(x)
        counts.append(x._version)
    assert counts == [2, 4, 6, 8, 10]
