"""Calls that are interrupted, as by Ctrl-C, at any place leave nothing locked or half switched."""

import sys
import threading
from pathlib import Path

import pytest

import rushlight as rl
from rushlight import nn

PACKAGE = str(Path(rl.__file__).parent)


class Interrupt(KeyboardInterrupt):
    pass


def interrupted(call, place):
    """Call it and interrupt it where CPython looks for signals, as a function of the package is
    entered or one of C has returned, the ``place``-th time; whether it came to that.

    What interrupts a function that Python itself calls, as when an object is gone, is printed.
    """
    left = place

    def look(frame, event, _):
        nonlocal left
        if event in ("call", "c_return") and frame.f_code.co_filename.startswith(PACKAGE):
            left -= 1
            if left == 0:
                sys.setprofile(None)
                raise Interrupt

    sys.setprofile(look)
    try:
        call()
    except Interrupt:
        pass
    finally:
        sys.setprofile(None)
    return left <= 0


def in_a_thread(call):
    """What it returns in another thread, which waits for all that this one still holds."""
    found = []
    thread = threading.Thread(target=lambda: found.append(call()), daemon=True)
    thread.start()
    thread.join(60)
    assert found, "the call waits for ever"
    return found[0]


def training(width, size):
    """A step with dropout and batch norm, and what it changes."""
    rl.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(width, size), nn.BatchNorm1d(size), nn.ReLU(), nn.Dropout(0.3), nn.Linear(size, 1)
    )
    opt = rl.optim.SGD(net.parameters(), 0.01)
    x = rl.randn(32, width)

    def step():
        opt.zero_grad()
        loss = net(x).pow(2).mean()
        loss.backward()
        opt.step()
        return loss

    return net, step


@pytest.fixture(params=[(4, 8, 1), (256, 512, 2)], ids=["small", "with workers"])
def steps(request):
    width, size, count = request.param
    before = rl.get_num_threads()
    rl.set_num_threads(count)
    yield training(width, size), training(width, size)
    rl.set_num_threads(before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("calls, stride", [(0, 2003), (1, 3001), (2, 701), (5, 1)])
def test_after_an_interrupt_calls_go_on(steps, calls, stride):
    """The first calls, which capture, are interrupted at some places, later ones at all."""
    (net, step), (twin, eager) = steps
    known, place = {k: v.clone() for k, v in net.state_dict().items()}, 1
    compiled = None
    while True:
        if compiled is None or calls < 5:
            compiled = rl.compile(step)
            for _ in range(calls):
                compiled()
        if not interrupted(compiled, place):
            break
        assert rl.is_grad_enabled()
        for m in (net, twin):
            m.load_state_dict(known)
        for seed in range(3):
            rl.manual_seed(seed)
            loss = in_a_thread(compiled)
            rl.manual_seed(seed)
            rl.testing.assert_close(loss, eager())
        rl.testing.assert_close(net.state_dict(), twin.state_dict())
        place += stride
    assert place > stride
