"""Every layer against torch: signature, printed form, state, results, gradients, copies."""

import copy
import inspect
import pickle
import warnings

import numpy as np
import pytest
import torch

import rushlight as rl
from tests.nn.cases import CASES, Case, Index, Layer, Probability, Sign, layers

BASES = {"Module"}
CALLED = [c for c in CASES if c.inputs]
# Length arguments of CTC and the shapes of the others look alike; these are passed as they are.
AS_IT_IS = {"CTCLoss": (2, 3)}


def built(case: Case, nn):
    """The layer of a case; warnings about the arguments are torch's business."""
    args = [a.build(nn) if isinstance(a, Layer) else a for a in case.args]
    return getattr(nn, case.name)(*args, **case.kwargs)


def values(case: Case):
    """The inputs of a case as arrays; float64, so that results can be compared closely."""
    random = np.random.default_rng(0)
    made = []
    for i, spec in enumerate(case.inputs):
        if i in AS_IT_IS.get(case.name, ()):
            made.append(spec)
        elif isinstance(spec, Index):
            made.append(random.integers(0, spec.high, spec.shape))
        elif isinstance(spec, Probability):
            made.append(random.uniform(0.05, 0.95, spec.shape))
        elif isinstance(spec, Sign):
            made.append(random.choice([-1.0, 1.0], spec.shape))
        else:
            made.append(random.standard_normal(spec))
    return made


def tensors(arrays, t):
    """The inputs as tensors; the first floating point ones are differentiated."""
    made = []
    for array in arrays:
        if not isinstance(array, np.ndarray):
            made.append(array)
            continue
        tensor = t.from_numpy(array.copy())
        made.append(
            tensor.requires_grad_() if len(made) == 0 and array.dtype.kind == "f" else tensor
        )
    return made


def flat(value):
    if isinstance(value, (torch.Tensor, rl.Tensor)):
        return [value]
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in flat(item)]
    return []


def close(ours, theirs, what, tolerance=1e-7):
    np.testing.assert_allclose(
        ours.detach().numpy(), theirs.detach().numpy(), tolerance, tolerance, err_msg=what
    )


def pair(case: Case):
    """The same layer in both packages, in float64 and with the same state."""
    for framework in (torch, rl):
        framework.manual_seed(1)
    theirs, ours = built(case, torch.nn).double(), built(case, rl.nn).double()
    if case.name.startswith("Lazy"):
        for layer, framework in ((theirs, torch), (ours, rl)):
            layer(*tensors(values(case), framework))
    state = {k: rl.from_numpy(v.numpy().copy()) for k, v in theirs.state_dict().items()}
    ours.load_state_dict(state)
    return ours, theirs


def test_every_layer_has_a_case():
    assert {c.name for c in CASES} == set(layers(rl.nn)) - BASES


def test_no_layer_is_missing():
    assert set(layers(torch.nn)) <= set(layers(rl.nn))


@pytest.mark.parametrize("name", layers(rl.nn))
def test_signature(name):
    for method in ("__init__", "forward"):
        ours, theirs = (getattr(getattr(nn, name), method) for nn in (rl.nn, torch.nn))
        mine, other = (inspect.signature(f).parameters for f in (ours, theirs))
        assert list(mine) == list(other), method
        for key in other:
            same = mine[key].default == other[key].default or callable(other[key].default)
            assert same, f"{method}: {key}={mine[key].default!r}, torch has {other[key].default!r}"
            assert mine[key].kind == other[key].kind, f"{method}: {key}"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_construction(case):
    """Printed form, names, shapes, and the values that the same seed gives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rl.manual_seed(7), torch.manual_seed(7)
        ours, theirs = built(case, rl.nn), built(case, torch.nn)
    assert repr(ours) == repr(theirs)
    for listed in ("named_parameters", "named_buffers", "named_modules"):
        mine, other = ([n for n, _ in getattr(m, listed)()] for m in (ours, theirs))
        assert mine == other, listed
    if case.name.startswith("Lazy"):
        return
    mine, other = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(other)
    for key in other:
        close(mine[key], other[key], key, 1e-6)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert a.requires_grad == b.requires_grad


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("case", CALLED, ids=str)
@pytest.mark.filterwarnings("ignore")
def test_results_and_gradients(case, training):
    ours, theirs = (layer.train(training) for layer in pair(case))
    arrays = values(case)
    mine_in, other_in = tensors(arrays, rl), tensors(arrays, torch)
    mine, other = flat(ours(*mine_in, **case.call)), flat(theirs(*other_in, **case.call))
    assert len(mine) == len(other)
    for i, (a, b) in enumerate(zip(mine, other, strict=True)):
        close(a, b, f"output {i}")
        assert a.requires_grad == b.requires_grad
        if (case.name, i) != ("LSTMCell", 1):  # an output of the same node as h
            assert type(a.grad_fn).__name__ == type(b.grad_fn).__name__
    for key, value in theirs.state_dict().items():
        close(ours.state_dict()[key], value, f"{key} after forward")
    differentiable = [i for i, b in enumerate(other) if b.requires_grad]
    if not differentiable:
        return
    for outputs in (mine, other):
        sum((outputs[i] * outputs[i]).sum() for i in differentiable).backward()
    named = zip(ours.named_parameters(), theirs.parameters(), strict=True)
    checked = [(n, p.grad, q.grad) for (n, p), q in named]
    if isinstance(other_in[0], torch.Tensor) and other_in[0].requires_grad:
        checked.append(("input", mine_in[0].grad, other_in[0].grad))
    for name, a, b in checked:
        assert (a is None) == (b is None), f"gradient of {name}"
        if b is not None:
            close(a, b, f"gradient of {name}", 1e-6)


@pytest.mark.parametrize("case", CALLED, ids=str)
@pytest.mark.parametrize("how", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.filterwarnings("ignore")
def test_copies_compute_the_same(case, how):
    layer = pair(case)[0].eval()
    other = how(layer)
    arrays = values(case)
    expected = flat(layer(*tensors(arrays, rl), **case.call))
    for a, b in zip(flat(other(*tensors(arrays, rl), **case.call)), expected, strict=True):
        assert bool((a == b).all())
    assert type(other) is type(layer)
    assert not {id(p) for p in layer.parameters()} & {id(p) for p in other.parameters()}


@pytest.mark.parametrize("case", [c for c in CALLED if c.name.startswith("Lazy")], ids=str)
@pytest.mark.filterwarnings("ignore")
def test_lazy_layers_become_ordinary(case):
    rl.manual_seed(7), torch.manual_seed(7)
    ours, theirs = built(case, rl.nn), built(case, torch.nn)
    assert ours.has_uninitialized_params() or not list(ours.parameters())
    arrays = [a.astype(np.float32) for a in values(case)]
    ours(*tensors(arrays, rl)), theirs(*tensors(arrays, torch))
    assert type(ours).__name__ == type(theirs).__name__
    assert repr(ours) == repr(theirs)
    for key, value in theirs.state_dict().items():
        close(ours.state_dict()[key], value, key, 1e-6)
    fresh = built(case, rl.nn).to(rl.float64).to("cpu").float()
    fresh.load_state_dict(ours.state_dict())
    for key, value in ours.state_dict().items():
        assert bool((fresh.state_dict()[key] == value).all())


RANDOM = {
    "Dropout": (200,),
    "AlphaDropout": (200,),
    "Dropout1d": (20, 10, 3),
    "Dropout2d": (20, 10, 2, 2),
    "Dropout3d": (20, 10, 2, 2, 2),
    "FeatureAlphaDropout": (20, 10, 3),
}


@pytest.mark.parametrize("name", RANDOM)
def test_dropout_draws_as_torch_does(name, twin):
    twin(lambda t, nn: getattr(nn, name)(0.3)(t.ones(RANDOM[name])))


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("p", [-0.1, 1.5])
def test_dropout_probability(name, p, twin):
    assert isinstance(twin(lambda t, nn: getattr(nn, name)(p)), ValueError)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_convolutions_with_another_weight(dims):
    results = []
    for lib in (torch, rl):
        base = getattr(lib.nn, f"Conv{dims}d")

        class Standardised(base):
            def forward(self, x):
                return self._conv_forward(x, self.weight - self.weight.mean(), self.bias)

        lib.manual_seed(0)
        layer = Standardised(2, 3, 3, padding=1, padding_mode="reflect")
        results.append(layer(lib.ones(1, 2, *[4] * dims)).tolist())
    torch.testing.assert_close(torch.tensor(results[1]), torch.tensor(results[0]))
