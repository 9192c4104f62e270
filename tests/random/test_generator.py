"""Generators: seeds, states that travel between rushlight and torch, copies, and threads."""

import copy
import io
import pickle
import threading

import numpy as np
import pytest
import torch

import rushlight as rl


def test_states_travel_both_ways():
    torch = pytest.importorskip("torch")
    for before in ("t.rand(0)", "t.randn(3)", "t.rand(624)", "t.rand(623)", "t.rand(1000)"):
        torch.manual_seed(5), rl.manual_seed(5)
        eval(before, {"t": torch}), eval(before, {"t": rl})
        here, there = rl.get_rng_state(), torch.get_rng_state()
        np.testing.assert_array_equal(here.numpy(), there.numpy())
        expected = torch.randn(5, dtype=torch.float64).numpy()
        rl.manual_seed(1)
        rl.set_rng_state(rl.from_numpy(there.numpy()))
        np.testing.assert_array_equal(rl.randn(5, dtype=rl.float64).numpy(), expected)
        torch.set_rng_state(torch.from_numpy(here.numpy()))
        np.testing.assert_array_equal(torch.randn(5, dtype=torch.float64).numpy(), expected)


def test_a_state_is_a_snapshot():
    state = rl.get_rng_state()
    a = rl.rand(1000)
    rl.set_rng_state(state)
    assert rl.equal(a, rl.rand(1000))


def test_generators_are_independent():
    g = rl.Generator().manual_seed(7)
    a = rl.rand(3, generator=g)
    rl.manual_seed(0)
    rl.rand(10)
    assert rl.equal(a, rl.rand(3, generator=g.manual_seed(7)))
    assert g.initial_seed() == 7
    assert rl.Generator().initial_seed() == 67280421310721
    assert str(g.device) == "cpu"


def test_seed_draws_a_new_seed():
    g = rl.Generator()
    first, second = g.seed(), g.seed()
    assert first != second
    assert g.initial_seed() == second


def test_default_generator_is_seeded_by_manual_seed():
    g = rl.manual_seed(11)
    assert g is rl.default_generator
    assert rl.initial_seed() == g.initial_seed() == 11
    assert rl.manual_seed(2.7).initial_seed() == 2
    assert rl.manual_seed(-1).initial_seed() == 2**64 - 1


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda g: g.clone_state(),
                                    lambda g: pickle.loads(pickle.dumps(g))])  # fmt: skip
def test_copies_continue_from_the_same_place(copied):
    g = rl.Generator().manual_seed(3)
    rl.randn(3, generator=g)
    other = copied(g)
    assert rl.equal(rl.randn(4, generator=other), rl.randn(4, generator=g))
    rl.rand(1, generator=other)
    assert not rl.equal(rl.rand(3, generator=other), rl.rand(3, generator=g))


def test_fork_rng():
    rl.manual_seed(0)
    with rl.random.fork_rng():
        inside = rl.rand(3)
        rl.manual_seed(99)
    assert rl.equal(inside, rl.rand(3))
    with rl.random.fork_rng(enabled=False):
        rl.manual_seed(99)
    assert rl.initial_seed() == 99


def test_fork_rng_restores_after_an_exception():
    rl.manual_seed(0)
    with pytest.raises(KeyError), rl.random.fork_rng():
        rl.rand(3)
        raise KeyError
    rl_values = rl.rand(3)
    assert rl.equal(rl_values, rl.rand(3, generator=rl.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ([1], TypeError),
        (rl.zeros(5056), TypeError),
        (rl.zeros(50, dtype=rl.uint8), RuntimeError),
        (rl.zeros(5056, dtype=rl.uint8), RuntimeError),
    ],
)
def test_bad_states_are_refused_and_change_nothing(state, error):
    before = rl.get_rng_state()
    with pytest.raises(error):
        rl.set_rng_state(state)
    assert rl.equal(before, rl.get_rng_state())


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_seeds_out_of_range(seed):
    with pytest.raises(ValueError, match="64 bits"):
        rl.manual_seed(seed)


def test_seeds_of_another_type():
    with pytest.raises(RuntimeError, match="expected a long, but got float"):
        rl.Generator().manual_seed(2.5)


def test_threads_share_a_stream_without_repeating_it():
    g = rl.Generator().manual_seed(1)
    drawn = [[] for _ in range(4)]

    def work(out):
        out.extend(rl.randint(0, 2**60, (7,), generator=g) for _ in range(200))

    threads = [threading.Thread(target=work, args=(out,)) for out in drawn]
    [t.start() for t in threads]
    [t.join() for t in threads]
    together = np.concatenate([t.numpy() for out in drawn for t in out])
    alone = rl.randint(0, 2**60, (together.size,), generator=g.manual_seed(1)).numpy()
    np.testing.assert_array_equal(np.sort(together), np.sort(alone))


@pytest.mark.parametrize("writer", [torch, rl])
@pytest.mark.parametrize("reader", [torch, rl])
def test_files_hold_generators(writer, reader):
    g = writer.Generator().manual_seed(5)
    writer.rand(3, generator=g)
    file = io.BytesIO()
    writer.save({"generator": g}, file)
    file.seek(0)
    read = reader.load(file, weights_only=False)["generator"]
    assert read.initial_seed() == 5
    expected = writer.randn(4, generator=g).tolist()
    assert reader.randn(4, generator=read).tolist() == pytest.approx(expected, rel=1e-6)


def test_results_own_their_memory():
    rl.manual_seed(0)
    rl.randint(0, 2**32, (3,), dtype=rl.int64).fill_(0)
    x = rl.zeros(3, dtype=rl.int32).random_()
    x.fill_(0)
    rl.manual_seed(0)
    assert rl.rand(3).tolist() == pytest.approx([0.4962566, 0.7682218, 0.0884774], rel=1e-6)
