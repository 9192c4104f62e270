"""Sparse gradients of tables, and the optimizers that take them."""

import copy

import numpy as np
import pytest
import torch

import rushlight
from tests.sparse.common import plain, same

LIBRARIES = rushlight, torch
INDEX = [[1, 1, 3], [0, 4, 1]]


def table(lib, **options):
    """An embedding with the same weights in both libraries."""
    made = lib.nn.Embedding(6, 3, sparse=True, **options)
    with lib.no_grad():
        made.weight.copy_(lib.arange(18.0).reshape(6, 3) / 7 - 1)
    return made


def loss(lib, made, index=INDEX):
    out = made(lib.tensor(index))
    return (out * lib.arange(float(out.numel())).reshape(out.shape)).sum()


STEPS = {
    "once": lambda lib, e: loss(lib, e).backward(),
    "accumulated": lambda lib, e: [loss(lib, e).backward(), loss(lib, e, [[2, 1]]).backward()],
    "two uses": lambda lib, e: (loss(lib, e) + loss(lib, e, [[2, 1]])).backward(),
    "then dense": lambda lib, e: [loss(lib, e).backward(), e.weight.sum().backward()],
    "dense first": lambda lib, e: [e.weight.sum().backward(), loss(lib, e).backward()],
    "with dense": lambda lib, e: (loss(lib, e) + (e.weight * e.weight).sum()).backward(),
    "cleared": lambda lib, e: [loss(lib, e).backward(), e.zero_grad(set_to_none=False)],
    "cleared and again": lambda lib, e: [
        loss(lib, e).backward(), e.zero_grad(set_to_none=False), loss(lib, e).backward()
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("options", [{}, {"padding_idx": 1}])
def test_gradients_of_tables(name, options):
    found = []
    for lib in LIBRARIES:
        e = table(lib, **options)
        STEPS[name](lib, e)
        found.append(e.weight.grad)
    same(*found)
    if found[0].is_sparse:
        assert found[0]._nnz() == found[1]._nnz()


def test_without_grad_nothing_is_sparse():
    e = table(rushlight)
    with rushlight.no_grad():
        assert not e(rushlight.tensor(INDEX)).requires_grad
    weight = e.weight.detach()
    out = rushlight.nn.functional.embedding(rushlight.tensor(INDEX), weight, sparse=True)
    np.testing.assert_array_equal(plain(out), plain(weight)[np.array(INDEX)])


@pytest.mark.parametrize("mode", ["sum", "mean"])
@pytest.mark.parametrize("options", [{}, {"padding_idx": 1}])
@pytest.mark.parametrize("flat", [False, True])
def test_bags(mode, options, flat):
    found = []
    for lib in LIBRARIES:
        bag = lib.nn.EmbeddingBag(6, 3, mode=mode, sparse=True, **options)
        with lib.no_grad():
            bag.weight.copy_(lib.arange(18.0).reshape(6, 3) / 7 - 1)
        if flat:
            out = bag(lib.tensor([1, 1, 3, 0, 4]), lib.tensor([0, 2]))
        else:
            out = bag(lib.tensor(INDEX))
        (out * lib.arange(6.0).reshape(2, 3)).sum().backward()
        found.append((out, bag.weight.grad))
    same(*found)


def test_bags_with_weights():
    found = []
    for lib in LIBRARIES:
        bag = lib.nn.EmbeddingBag(6, 3, mode="sum", sparse=True)
        with lib.no_grad():
            bag.weight.copy_(lib.arange(18.0).reshape(6, 3) / 7 - 1)
        w = lib.tensor([[1.0, 2.0, 3.0], [0.5, 0.25, 0.125]], requires_grad=True)
        bag(lib.tensor(INDEX), per_sample_weights=w).sum().backward()
        found.append((bag.weight.grad, w.grad))
    same(*found)


def test_what_tables_refuse():
    for lib in LIBRARIES:
        with pytest.raises(RuntimeError, match="scale_grad_by_freq"):
            loss(lib, table(lib, scale_grad_by_freq=True)).backward()
        bag = lib.nn.EmbeddingBag(6, 3, mode="max", sparse=True)
        with pytest.raises(ValueError, match="max mode does not support sparse weights"):
            bag(lib.tensor(INDEX))


OPTIMIZERS = {
    "sgd": lambda o, p: o.SGD(p, 0.1),
    "momentum": lambda o, p: o.SGD(p, 0.1, momentum=0.9, dampening=0.1),
    "nesterov": lambda o, p: o.SGD(p, 0.1, momentum=0.9, nesterov=True),
    "maximize": lambda o, p: o.SGD(p, 0.1, maximize=True),
    "adagrad": lambda o, p: o.Adagrad(p, 0.1, lr_decay=0.01),
    "sparse adam": lambda o, p: o.SparseAdam(p, 0.1, betas=(0.8, 0.99)),
    "sparse adam, maximize": lambda o, p: o.SparseAdam(p, 0.1, maximize=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name):
    found = []
    for lib in LIBRARIES:
        e = table(lib)
        optimizer = OPTIMIZERS[name](lib.optim, e.parameters())
        for index in (INDEX, [[2, 1, 1]], [[5]], INDEX):
            optimizer.zero_grad()
            loss(lib, e, index).backward()
            optimizer.step()
        (state,) = optimizer.state_dict()["state"].values() or ({},)
        found.append([e.weight, *[state[k] for k in sorted(state) if k != "step"]])
    same(*found)


def test_a_saved_sparse_adam_goes_on():
    found = []
    for lib in LIBRARIES:
        e = table(lib)
        optimizer = lib.optim.SparseAdam(e.parameters(), 0.1)
        loss(lib, e).backward()
        optimizer.step()
        saved = copy.deepcopy(optimizer.state_dict())
        assert saved["state"][0]["step"] == 1 and isinstance(saved["state"][0]["step"], int)
        optimizer = lib.optim.SparseAdam(e.parameters(), 0.1)
        optimizer.load_state_dict(saved)
        optimizer.step()
        found.append(e.weight)
    same(*found)


@pytest.mark.parametrize(
    "name", ["Adam", "AdamW", "RMSprop", "Adadelta", "Adamax", "NAdam", "RAdam", "ASGD", "Rprop"]
)
def test_optimizers_that_refuse(name):
    for lib in LIBRARIES:
        e = table(lib)
        loss(lib, e).backward()
        with pytest.raises(RuntimeError, match="does not support sparse gradients"):
            getattr(lib.optim, name)(e.parameters(), lr=0.1).step()


def test_weight_decay_is_refused():
    for lib in LIBRARIES:
        for make in (lib.optim.SGD, lib.optim.Adagrad):
            e = table(lib)
            loss(lib, e).backward()
            with pytest.raises(RuntimeError):
                make(e.parameters(), lr=0.1, weight_decay=0.1).step()


def test_norms_of_gradients_are_clipped():
    """PyTorch refuses."""
    e = table(rushlight)
    loss(rushlight, e).backward()
    dense = e.weight.grad.to_dense()
    total = rushlight.nn.utils.clip_grad_norm_(e.parameters(), 0.5)
    assert abs(total - dense.norm()) < 1e-4 and e.weight.grad.is_sparse
    np.testing.assert_allclose(plain(e.weight.grad), plain(dense) * 0.5 / float(total), rtol=1e-4)


def test_large_tables_are_not_fused():
    """An optimizer's program for many elements is left alone."""
    e = rushlight.nn.Embedding(5000, 64, sparse=True)
    optimizer = rushlight.optim.SGD(e.parameters(), 0.1)
    before = plain(e.weight).copy()
    for _ in range(4):
        optimizer.zero_grad()
        e(rushlight.tensor([7, 7, 9])).sum().backward()
        optimizer.step()
    moved = before - plain(e.weight)
    np.testing.assert_allclose(moved[7], 0.8, rtol=1e-4)
    np.testing.assert_allclose(moved[9], 0.4, rtol=1e-4)
    assert np.count_nonzero(moved.any(1)) == 2


def test_hooks_see_the_sparse_gradient():
    for lib in LIBRARIES:
        e, seen = table(lib), []
        e.weight.register_hook(lambda g, seen=seen: seen.append(g.is_sparse))
        loss(lib, e).backward()
        assert seen == [True]


def test_anomaly_mode():
    for lib in LIBRARIES:
        e = table(lib)
        with lib.autograd.set_detect_anomaly(True):
            loss(lib, e).backward()
        assert e.weight.grad.is_sparse


def test_scaled_gradients():
    found = []
    for lib in LIBRARIES:
        e = table(lib)
        optimizer, scaler = lib.optim.SGD(e.parameters(), 0.1), lib.amp.GradScaler("cpu")
        for factor in (1.0, float("inf"), 2.0):  # the second step is left out
            optimizer.zero_grad()
            scaler.scale(loss(lib, e) * factor).backward()
            scaler.step(optimizer)
            scaler.update()
        found.append(e.weight)
    same(*found)
