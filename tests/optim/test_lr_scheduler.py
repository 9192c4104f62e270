"""Every schedule against torch: rates, momenta, saved state, warnings, errors."""

import copy
import inspect
import warnings

import numpy as np
import pytest
import torch

import rushlight as rl


def halve(epoch):
    return 0.5**epoch


class Fading:
    """A function with state."""

    def __init__(self):
        self.rate = 0.9

    def __call__(self, epoch):
        return self.rate**epoch


CASES = {
    "lambda": lambda S, o, e: S.LambdaLR(o, halve, last_epoch=e),
    "lambda object": lambda S, o, e: S.LambdaLR(o, [halve, Fading()], last_epoch=e),
    "multiplicative": lambda S, o, e: S.MultiplicativeLR(o, lambda k: 0.8, last_epoch=e),
    "step": lambda S, o, e: S.StepLR(o, 3, 0.5, last_epoch=e),
    "multi step": lambda S, o, e: S.MultiStepLR(o, [2, 2, 5, 9], 0.5, last_epoch=e),
    "constant": lambda S, o, e: S.ConstantLR(o, 0.5, 4, last_epoch=e),
    "linear": lambda S, o, e: S.LinearLR(o, 0.25, 0.75, 6, last_epoch=e),
    "exponential": lambda S, o, e: S.ExponentialLR(o, 0.9, last_epoch=e),
    "polynomial": lambda S, o, e: S.PolynomialLR(o, 15, 2.0, last_epoch=e),
    "cosine": lambda S, o, e: S.CosineAnnealingLR(o, 5, 0.01, last_epoch=e),
    "restarts": lambda S, o, e: S.CosineAnnealingWarmRestarts(o, 3, 2, last_epoch=e),
    "cyclic": lambda S, o, e: S.CyclicLR(o, 0.1, [0.5, 1.0], 3, 4, last_epoch=e),
    "cyclic 2": lambda S, o, e: S.CyclicLR(o, 0.1, 0.5, 3, mode="triangular2", last_epoch=e),
    "cyclic exp": lambda S, o, e: S.CyclicLR(
        o, 0.1, 0.5, 3, mode="exp_range", gamma=0.9, cycle_momentum=False, last_epoch=e
    ),
    "cyclic own": lambda S, o, e: S.CyclicLR(o, 0.1, 0.5, 3, scale_fn=Fading(), last_epoch=e),
    "one cycle": lambda S, o, e: S.OneCycleLR(o, [0.5, 0.7], 20, last_epoch=e),
    "one cycle 3": lambda S, o, e: S.OneCycleLR(
        o,
        0.5,
        epochs=4,
        steps_per_epoch=5,
        three_phase=True,
        anneal_strategy="linear",
        last_epoch=e,
    ),
}
COMBINED = {
    "sequential": lambda S, o: S.SequentialLR(
        o,
        [
            S.LinearLR(o, 0.1, total_iters=3),
            S.LambdaLR(o, halve),
            S.ExponentialLR(o, 0.9),
            S.CosineAnnealingLR(o, 4),
        ],
        [3, 6, 8],
    ),
    "sequential of products": lambda S, o: S.SequentialLR(
        o, [S.MultiplicativeLR(o, lambda k: 0.5), S.MultiplicativeLR(o, lambda k: 0.9)], [4]
    ),
    "sequential of sequences": lambda S, o: S.SequentialLR(
        o,
        [
            S.SequentialLR(o, [S.ConstantLR(o, 0.1, 2), S.StepLR(o, 2)], [3]),
            S.PolynomialLR(o, 6),
        ],
        [7],
    ),
    "chained": lambda S, o: S.ChainedScheduler(
        [S.ConstantLR(o, 0.1, 4), S.ExponentialLR(o, 0.9), S.StepLR(o, 3)]
    ),
}
EVERY = {**{name: lambda S, o, f=f: f(S, o, -1) for name, f in CASES.items()}, **COMBINED}


def optimizer(lib, name="SGD", **options):
    params = [lib.nn.Parameter(lib.ones(1)) for _ in range(2)]
    options = {"momentum": 0.5, **options} if name == "SGD" else options
    groups = [{"params": params[:1]}, {"params": params[1:], "lr": 0.3}]
    return getattr(lib.optim, name)(groups, lr=0.2, **options)


def look(opt, scheduler):
    groups = opt.param_groups
    momenta = [g["momentum"] if "momentum" in g else g["betas"][0] for g in groups]
    return [float(g["lr"]) for g in groups] + momenta + [float(x) for x in scheduler.get_last_lr()]


def drive(opt, scheduler, steps):
    seen = [look(opt, scheduler)]
    for _ in range(steps):
        opt.step()
        scheduler.step()
        seen.append(look(opt, scheduler))
    return seen


def saved(scheduler):
    """state_dict with what identifies functions taken out."""
    state = copy.deepcopy(scheduler.state_dict())
    for name in ("_scale_fn_ref", "_scale_fn_custom"):
        state.pop(name, None)
    return state


# torch warns too: a nested sequence steps its first schedule once as it is made
nested = pytest.mark.filterwarnings("ignore:Detected call of")


@nested
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_sequence_and_state(name, kind):
    runs = []
    for lib in (rl, torch):
        opt = optimizer(lib, kind)
        scheduler = EVERY[name](lib.optim.lr_scheduler, opt)
        first = saved(scheduler)
        seen = drive(opt, scheduler, 15)
        options = [
            {k: v for k, v in g.items() if k not in ("params", "foreach")} for g in opt.param_groups
        ]
        runs.append((seen, first, saved(scheduler), options))
    np.testing.assert_allclose(runs[0][0], runs[1][0], rtol=1e-12, atol=1e-15)
    assert runs[0][1:] == runs[1][1:]


@pytest.mark.parametrize("name", CASES)
def test_resumed_with_last_epoch(name):
    seen = []
    for lib in (rl, torch):
        opt = optimizer(lib)
        CASES[name](lib.optim.lr_scheduler, opt, -1)
        seen.append(drive(opt, CASES[name](lib.optim.lr_scheduler, opt, 7), 8))
    np.testing.assert_allclose(*seen, rtol=1e-12, atol=1e-15)


@nested
@pytest.mark.parametrize("name", EVERY)
def test_resumed_from_state_dict(name):
    seen = []
    for lib in (rl, torch):
        opt = optimizer(lib)
        scheduler = EVERY[name](lib.optim.lr_scheduler, opt)
        drive(opt, scheduler, 6)
        state = copy.deepcopy((opt.state_dict(), scheduler.state_dict()))
        opt = optimizer(lib)
        scheduler = EVERY[name](lib.optim.lr_scheduler, opt)
        opt.load_state_dict(state[0])
        scheduler.load_state_dict(state[1])
        seen.append(drive(opt, scheduler, 8))
    np.testing.assert_allclose(*seen, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("one cycle", "one cycle 3")])
@pytest.mark.filterwarnings("ignore:The epoch parameter")
def test_jump_to_an_epoch(name):
    seen = []
    for lib in (rl, torch):
        opt = optimizer(lib)
        scheduler = CASES[name](lib.optim.lr_scheduler, opt, -1)
        opt.step()
        part = []
        for epoch in (5, 6, 2, 11):
            scheduler.step(epoch)
            part.append(look(opt, scheduler))
        seen.append(part)
    np.testing.assert_allclose(*seen, rtol=1e-12, atol=1e-15)


PLATEAUS = [
    {"patience": 1},
    {"mode": "max", "factor": 0.5, "patience": 0, "cooldown": 2, "min_lr": [0.01, 0.02]},
    {"threshold_mode": "abs", "threshold": 0.05, "patience": 1, "eps": 0.01},
]


@pytest.mark.parametrize("options", PLATEAUS)
def test_plateau(options):
    measures = [1.0, 0.9, 0.9, 0.87, 0.9, 0.9, 0.5, 0.5, 0.6, 0.6, 0.6, 0.4, 0.4, 0.4, 0.4]
    runs = []
    for lib in (rl, torch):
        opt = optimizer(lib)
        scheduler = lib.optim.lr_scheduler.ReduceLROnPlateau(opt, **options)
        seen = []
        for k, measure in enumerate(measures):
            if k == 8:
                state = scheduler.state_dict()
                scheduler = lib.optim.lr_scheduler.ReduceLROnPlateau(opt, **options)
                scheduler.load_state_dict(state)
            scheduler.step(lib.tensor(measure) if k % 2 else measure)
            seen.append(look(opt, scheduler))
        runs.append((seen, scheduler.state_dict()))
    np.testing.assert_allclose(runs[0][0], runs[1][0], rtol=1e-12)
    assert runs[0][1] == runs[1][1]


def test_tensor_lr_is_written_in_place():
    lr = rl.tensor(0.5)
    opt = rl.optim.SGD([rl.nn.Parameter(rl.ones(1))], lr=lr)
    scheduler = rl.optim.lr_scheduler.ExponentialLR(opt, 0.5)
    opt.step()
    scheduler.step()
    assert lr.item() == 0.25
    assert opt.param_groups[0]["lr"] is lr
    assert scheduler.base_lrs[0].item() == 0.5


@pytest.mark.parametrize("name", ["StepLR", "ExponentialLR"])
def test_rates_changed_by_the_user_are_respected(name):
    opt = optimizer(rl)
    scheduler = getattr(rl.optim.lr_scheduler, name)(opt, 1)
    opt.param_groups[0]["lr"] = 7.0
    opt.step()
    scheduler.step()
    assert opt.param_groups[0]["lr"] == pytest.approx(0.7 if name == "StepLR" else 7.0)


def test_step_before_the_optimizers_warns():
    scheduler = rl.optim.lr_scheduler.StepLR(optimizer(rl), 2)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler.step()


def test_replaced_step_warns():
    opt = optimizer(rl)
    scheduler = rl.optim.lr_scheduler.StepLR(opt, 2)
    opt.step = lambda: None
    with pytest.warns(UserWarning, match="overridden"):
        scheduler.step()


def test_get_lr_warns():
    scheduler = rl.optim.lr_scheduler.StepLR(optimizer(rl), 2)
    with pytest.warns(UserWarning, match="get_last_lr"):
        scheduler.get_lr()


def test_epoch_argument_warns():
    opt = optimizer(rl)
    scheduler = rl.optim.lr_scheduler.StepLR(opt, 2)
    opt.step()
    with pytest.warns(UserWarning, match="epoch parameter"):
        scheduler.step(3)


ERRORS = [
    (TypeError, lambda S, o: S.StepLR(3, 2)),
    (KeyError, lambda S, o: S.StepLR(o, 2, last_epoch=3)),
    (ValueError, lambda S, o: S.LambdaLR(o, [halve])),
    (ValueError, lambda S, o: S.ConstantLR(o, 1.5)),
    (ValueError, lambda S, o: S.LinearLR(o, 0)),
    (ValueError, lambda S, o: S.LinearLR(o, 0.5, 1.5)),
    (ValueError, lambda S, o: S.SequentialLR(o, [], [])),
    (ValueError, lambda S, o: S.SequentialLR(o, [S.StepLR(o, 2)], [3])),
    (ValueError, lambda S, o: S.ChainedScheduler([])),
    (ValueError, lambda S, o: S.ChainedScheduler([S.ReduceLROnPlateau(o)])),
    (ValueError, lambda S, o: S.ReduceLROnPlateau(o, factor=1.0)),
    (ValueError, lambda S, o: S.ReduceLROnPlateau(o, mode="least")),
    (ValueError, lambda S, o: S.ReduceLROnPlateau(o, threshold_mode="rl")),
    (ValueError, lambda S, o: S.ReduceLROnPlateau(o, min_lr=[1.0])),
    (ValueError, lambda S, o: S.CyclicLR(o, 0.1, 0.2, mode="square")),
    (ValueError, lambda S, o: S.CyclicLR(o, [0.1], 0.2)),
    (ValueError, lambda S, o: S.CosineAnnealingWarmRestarts(o, 0)),
    (ValueError, lambda S, o: S.CosineAnnealingWarmRestarts(o, 2, 0)),
    (ValueError, lambda S, o: S.CosineAnnealingWarmRestarts(o, 2).step(-1)),
    (ValueError, lambda S, o: S.OneCycleLR(o, 0.1)),
    (ValueError, lambda S, o: S.OneCycleLR(o, 0.1, 0)),
    (ValueError, lambda S, o: S.OneCycleLR(o, 0.1, 5, pct_start=2.0)),
    (ValueError, lambda S, o: S.OneCycleLR(o, 0.1, 5, anneal_strategy="steps")),
    (ValueError, lambda S, o: drive(o, S.OneCycleLR(o, 0.1, 3), 4)),
]


@pytest.mark.parametrize("kind,make", ERRORS)
def test_errors_are_torchs(kind, make):
    for lib in (rl, torch):
        with pytest.raises(kind):
            make(lib.optim.lr_scheduler, optimizer(lib))


def test_momentum_must_exist():
    for lib in (rl, torch):
        with pytest.raises(ValueError, match="momentum"):
            lib.optim.lr_scheduler.CyclicLR(optimizer(lib, "Adagrad"), 0.1, 0.2)


def test_names_and_signatures():
    mine, theirs = rl.optim.lr_scheduler, torch.optim.lr_scheduler
    for name in mine.__all__:
        a = inspect.signature(getattr(mine, name)).parameters.values()
        b = inspect.signature(getattr(theirs, name)).parameters.values()
        assert [(p.name, p.kind, p.default) for p in a] == [(p.name, p.kind, p.default) for p in b]
    assert set(mine.__all__) == set(theirs.__all__)


# ------------------------------------------------------------ averages of weights


@pytest.mark.parametrize("options", [{}, {"anneal_epochs": 0}, {"anneal_strategy": "linear"}])
def test_swalr(options):
    seen = []
    for lib in (rl, torch):
        opt = optimizer(lib)
        scheduler = lib.optim.swa_utils.SWALR(opt, [0.01, 0.05], **options)
        seen.append(drive(opt, scheduler, 14))
    np.testing.assert_allclose(*seen, rtol=1e-12)


def averages(lib, **options):
    model = lib.nn.Sequential(lib.nn.Linear(3, 2), lib.nn.BatchNorm1d(2))
    with lib.no_grad():
        for k, p in enumerate(model.parameters()):
            p.copy_(lib.linspace(-1, 1 + k, p.numel()).view(p.shape))
    average = lib.optim.swa_utils.AveragedModel(model, **options)
    data = [lib.linspace(-1, 2 + k, 12).view(4, 3) for k in range(3)]
    for x in data:
        model(x)
        with lib.no_grad():
            for p in model.parameters():
                p.mul_(1.25)
        average.update_parameters(model)
    lib.optim.swa_utils.update_bn([(x, 0) for x in data], average)
    return {name: value.numpy() for name, value in average.state_dict().items()}


@pytest.mark.parametrize("kind", ["default", "ema", "ema multi", "swa", "buffers"])
def test_averaged_model(kind):
    ends = []
    for lib in (rl, torch):
        swa = lib.optim.swa_utils
        options = {
            "default": {},
            "ema": {"avg_fn": swa.get_ema_avg_fn(0.8)},
            "ema multi": {"multi_avg_fn": swa.get_ema_multi_avg_fn(0.8)},
            "swa": {"avg_fn": swa.get_swa_avg_fn()},
            "buffers": {"use_buffers": True},
        }[kind]
        ends.append(averages(lib, **options))
    assert list(ends[0]) == list(ends[1])
    for name in ends[0]:
        np.testing.assert_allclose(ends[0][name], ends[1][name], rtol=1e-5, atol=1e-6)


def test_quiet_when_used_rightly():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opt = optimizer(rl)
        drive(opt, rl.optim.lr_scheduler.StepLR(opt, 2), 3)


def test_tensors_given_to_schedulers_stay_the_callers():
    found = {}
    for name, lib in (("torch", torch), ("rushlight", rl)):
        low, high, rate = (lib.tensor(x) for x in (0.8, 0.9, 0.05))
        opt = lib.optim.SGD([lib.nn.Parameter(lib.ones(1))], lr=0.1, momentum=0.5)
        lib.optim.lr_scheduler.CyclicLR(opt, 0.1, 0.2, base_momentum=low, max_momentum=high)
        lib.optim.swa_utils.SWALR(opt, rate)
        for x in (low, high, rate):
            x.mul_(0.5)
        group = opt.param_groups[0]
        found[name] = [float(group[k]) for k in ("base_momentum", "max_momentum", "swa_lr")]
    assert found["torch"] == found["rushlight"]
