"""Every function with samples, on a GPU: the values, dtypes, shapes, views and gradients of the
CPU.
"""

import numpy as np
import pytest

import rushlight
from tests.ops.calls import Call, array_of, find, finish, quiet, rounding
from tests.ops.samples import load
from tests.ops.test_generic import differentiable, weights

pytestmark = pytest.mark.filterwarnings("ignore:.*has no GPU kernel:UserWarning")
SAYS_WHERE = (
    "Tensor.get_device",
    "Tensor.to",
    "Tensor.type",
)  # differ as they should, see test_memory.py
OPS = {name: op for name, op in load().items() if name not in SAYS_WHERE}


class OnGpu(Call):
    """A call whose tensors are on a GPU, as they lie on the CPU."""

    def _tensor(self, spec):
        self.tensors[len(self.tensors) :] = [super()._tensor(spec).to("cuda")]
        here = self.tensors.pop()
        self.tensors[-1] = here
        return here


def call(kind, name, sample, base, function=None, track=False):
    """The result of the function, its tensors made by this kind of call."""
    made = kind.new(rushlight, base)
    args, kwargs = made.arguments(sample)
    if track:
        made.track()
    return finish(made, function or find(rushlight, name), args, kwargs)


def both(name, sample, base, function=None, track=False):
    """The results on the CPU and on a GPU."""
    return [call(kind, name, sample, base, function, track) for kind in (Call, OnGpu)]


def check(there, here, what):
    """What a GPU gives is what the CPU gives, on that GPU."""
    if here.error is not None:
        if there.error is None and there.tensors():  # found out behind Python's back
            with pytest.raises(IndexError, match="divided by 0"):
                there.tensors()[0].cpu()
            return
        assert there.error is not None, f"{what}: the CPU refuses: {here.error!r}"
        assert isinstance(there.error, type(here.error).__mro__[1]), f"{what}: {there.error!r}"
        return
    assert there.error is None, f"{what}: {there.error!r}"
    assert len(there.values) == len(here.values), what
    for a, b in zip(there.values, here.values, strict=True):
        if not isinstance(b, rushlight.Tensor):
            assert type(a) is type(b) and (a == b or isinstance(b, float)), what
            continue
        check_tensor(a, b, what, rounding(here))
        assert a.is_cuda or not here.call.tensors, f"{what}: the result is on {a.device}"


def check_tensor(a, b, what, tolerance):
    """The same dtype, shape and values, but for last digits: functions may take another way."""
    assert (a.dtype, a.shape) == (b.dtype, b.shape), what
    x, y = array_of(a.cpu()), array_of(b)
    if y.dtype.kind not in "fc":
        assert np.array_equal(x, y), f"{what}: {x} for {y}"
    else:
        assert np.allclose(x, y, 10 * tolerance, 10 * tolerance, equal_nan=True), f"{what}: {x}"


def shares(result):
    """Which results that have elements are on the memory of which inputs."""
    return [
        [t.numel() > 0 and t.untyped_storage() is i.untyped_storage() for i in result.call.tensors]
        for t in result.tensors()
    ]


@pytest.mark.parametrize("name", OPS)
def test_values(name):
    op = OPS[name]
    for sample in op.samples:
        here, there = both(name, sample, op.base)
        check(there, here, f"{name}{sample}")
        assert shares(there) == shares(here), f"{name}{sample}: shares memory differently"


@pytest.mark.parametrize("name", [n for n in OPS if OPS[n].dtypes])
def test_dtypes(name):
    op = OPS[name]
    for dtype in op.dtypes:
        here, there = both(name, op.samples[0], dtype)
        if name == "topk" and dtype == "bool" and there.error is None:
            there.values, here.values = there.values[:1], here.values[:1]  # others of equal ones
        check(there, here, f"{name}{op.samples[0]} as {dtype}")


IN_PLACE = [n for n in OPS if OPS[n].inplace and hasattr(rushlight.Tensor, n + "_")]


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(name):
    op, function = OPS[name], getattr(rushlight.Tensor, name + "_")
    for sample in op.samples:
        here, there = both(name, sample, op.base, function)
        check(there, here, f"Tensor.{name}_{sample}")
        if there.error is None and there.tensors():
            assert there.values[0] is there.call.tensors[0] and there.values[0]._version == 1


@pytest.mark.parametrize("name", [n for n in OPS if OPS[n].out])
def test_out(name):
    op = OPS[name]
    for sample in op.samples[:2]:
        here, there = [with_out(kind, name, sample, op.base) for kind in (Call, OnGpu)]
        if here is not None and here.error is None and here.call.tensors:
            check(there, here, f"{name}{sample} with out=")


def with_out(kind, name, sample, base):
    """The function with ``out`` of the result's dtype and shape."""
    plain = call(kind, name, sample, base)
    made = kind.new(rushlight, base)
    args, kwargs = made.arguments(sample)
    tensors = plain.tensors()
    if plain.error is not None or not tensors or len(tensors) != len(plain.values):
        return None
    outs = tuple([rushlight.zeros_like(t) for t in tensors])
    out = outs if len(outs) > 1 else outs[0]
    return finish(made, find(rushlight, name), args, {**kwargs, "out": out})


def gradients(kind, name, sample, second):
    """The gradients of weighted results by the inputs, and of those once more."""
    with quiet():
        result = call(kind, name, sample, "float64", track=True)
        inputs = [t for t in result.call.tensors if t.requires_grad]
        outputs = [t for t in result.tensors() if t.requires_grad]
        found = []
        for _ in range(1 + second):
            if not outputs or not inputs:
                break
            vectors = [
                rushlight.from_numpy(np.asarray(w)).to(t)
                for w, t in zip(weights(outputs), outputs, strict=True)
            ]
            grads = rushlight.autograd.grad(
                outputs, inputs, vectors, create_graph=second, allow_unused=True
            )
            found.append(grads)
            outputs = [g for g in grads if g is not None and g.requires_grad]
        return found, rounding(result)


@pytest.mark.parametrize("name", [n for n in differentiable() if n in OPS])
def test_gradients(name):
    op = OPS[name]
    for sample in op.samples[:3]:
        here, tolerance = gradients(Call, name, sample, op.second)
        there, _ = gradients(OnGpu, name, sample, op.second)
        assert len(here) == len(there), f"{name}{sample}"
        for order, (xs, ys) in enumerate(zip(there, here, strict=True), 1):
            for x, y in zip(xs, ys, strict=True):
                what = f"gradient {order} of {name}{sample}"
                assert (x is None) == (y is None), what
                if x is not None:
                    check_tensor(x, y, what, tolerance)
                    assert x.is_cuda, f"{what} is on {x.device}"
