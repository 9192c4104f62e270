"""What cuDNN is asked for, by a library that answers as it does and computes with NumPy."""

import ctypes

import numpy as np
import pytest

from rushlight import gpu
from rushlight.compiler.backends.cuda import cudnn
from rushlight.ops.conv import Conv, ConvInput, ConvWeight
from tests.gpu.simulated import SimulatedDriver

from .graphs import Builder

RNG = np.random.default_rng(0)
VARIES, COMPILED, BIG, NARROW, FINE = range(5)  # engines, in the order of the answer
ARITHMETIC = {0: np.float32, 1: np.float64}


class Library:
    """Descriptors are numbers; what they have is by attributes."""

    def __init__(self):
        self.kinds, self.held, self.started = {}, {}, []

    def __getattr__(self, name):
        return lambda *args: getattr(self, name.removeprefix("cudnn").lower())(*args) or 0

    def create(self, handle):
        handle._obj.value = 77

    def setstream(self, handle, stream):
        pass

    def backendcreatedescriptor(self, kind, found):
        found._obj.value = number = len(self.kinds) + 1
        self.kinds[number], self.held[number] = kind, {}

    def backendsetattribute(self, found, name, kind, count, array):
        self.held[found.value][name] = list(array)[: count.value]

    def backendfinalize(self, found):
        held = self.held[found.value]
        if self.kinds[found.value] == cudnn.PLAN:
            (configuration,) = held[cudnn.PLAN_CONFIGURATION]
            held["engine"] = self.held[configuration]["engine"]
            held["graph"] = self.held[configuration]["graph"]

    def backendgetattribute(self, found, name, kind, wanted, count, array):
        held = self.held[found.value]
        if name == cudnn.ANSWERS:
            for engine, configuration in enumerate(array[: FINE + 1]):
                own = self.held[configuration]
                own["engine"], own["graph"] = engine, held[cudnn.ASKED_GRAPH][0]
            values = array[: FINE + 1]
        elif name == cudnn.OF_ENGINE:
            self.held[array[0]]["engine"] = held["engine"]
            values = array[:1]
        elif name == cudnn.NOTES:
            values = {VARIES: [cudnn.VARYING], NARROW: [cudnn.TENSOR_UNITS]}.get(held["engine"], [])
        elif name == cudnn.BEHAVIOR:
            values = [cudnn.COMPILED] if held["engine"] == COMPILED else []
        else:
            assert name == cudnn.PLAN_ROOM
            values = [1 << 40 if held["engine"] == BIG else 64]
        array[: len(values)] = values
        count._obj.value = len(values)

    def backendexecute(self, handle, plan, pack):
        plan, pack = self.held[plan.value], self.held[pack.value]
        assert handle.value == 77
        at = dict(zip(pack[cudnn.NAMES], pack[cudnn.ADDRESSES], strict=True))
        (operation,) = self.held[plan["graph"]][cudnn.GRAPH_OPERATIONS]
        kind, held = self.kinds[operation], self.held[operation]
        factor, before, by, *roles = [held[name] for name in cudnn.ATTRIBUTES[kind]]
        assert (factor, before) == ([1.0], [0.0])
        w, x, y = [self.array(descriptor, at) for (descriptor,) in roles]
        self.started.append(plan["engine"])
        convolve(kind, x, w, y, self.held[by[0]])

    def array(self, descriptor, at):
        """The array of a tensor's descriptor, on the memory that a pack says."""
        held = self.held[descriptor]
        (name,), (kind,), (alignment,) = [
            held[k] for k in (cudnn.TENSOR_NAME, cudnn.ELEMENTS, cudnn.ALIGNMENT)
        ]
        assert at[name] % alignment == 0
        shape, d = held[cudnn.SIZES], np.dtype(ARITHMETIC[kind])
        size = int(np.prod(shape)) * d.itemsize
        a = np.frombuffer((ctypes.c_uint8 * size).from_address(at[name]), d).reshape(shape)
        assert [s // d.itemsize for s in a.strides] == held[cudnn.STEPS]
        return a


def convolve(kind, x, w, y, how):
    """One of the three convolutions: each place of the weights joins a grid of the padded image
    with the result.
    """
    pads = [*zip(how[cudnn.BEFORE], how[cudnn.AFTER], strict=True)]
    groups = x.shape[1] // w.shape[1]
    image = np.pad(x, [(0, 0), (0, 0), *pads])
    if kind == cudnn.BACKWARD_INPUT:
        image[...] = 0
    result = w if kind == cudnn.BACKWARD_WEIGHT else y if kind == cudnn.FORWARD else image
    if result is not image:
        result[...] = 0
    for at in np.ndindex(*w.shape[2:]):
        grid = tuple(
            slice(k * d, k * d + (n - 1) * s + 1, s)
            for k, d, s, n in zip(
                at, how[cudnn.DILATION], how[cudnn.STRIDE], y.shape[2:], strict=True
            )
        )
        part = image[(..., *grid)].reshape(x.shape[0], groups, w.shape[1], -1)
        out = y.reshape(y.shape[0], groups, -1, part.shape[-1])
        own = w[(..., *at)].reshape(groups, -1, w.shape[1])
        if kind == cudnn.FORWARD:
            out += np.einsum("ngcp,goc->ngop", part, own)
        elif kind == cudnn.BACKWARD_WEIGHT:
            own += np.einsum("ngcp,ngop->goc", part, out)
            w[(..., *at)] = own.reshape(w.shape[:2])
        else:
            more = np.einsum("ngop,goc->ngcp", out, own)
            image[(..., *grid)] += more.reshape(image[(..., *grid)].shape)
    if kind == cudnn.BACKWARD_INPUT:
        inner = tuple(slice(p, p + n) for (p, _), n in zip(pads, x.shape[2:], strict=True))
        x[...] = image[(..., *inner)]


@pytest.fixture
def machine():
    return cudnn.Cudnn(Library(), ctypes.c_void_p(5), SimulatedDriver())


def node_of(op, *arrays, **params):
    b = Builder()
    bias = [] if op is ConvWeight else [None]
    b.returns(b.op(op, *[b.input(a) for a in arrays], *bias, **params))
    return b.graph.nodes[0]


def started(machine, node, *arrays, offset=0):
    """The result of a convolution on memory that begins ``offset`` bytes behind a good place."""
    size, convolve = machine.convolution(node)
    out = np.full(node.outputs[0].shape, np.nan, node.outputs[0].dtype)
    places = []
    for a in (*arrays, out):
        raw = np.zeros(a.nbytes + 64, np.uint8)
        begin = -raw.ctypes.data % 16 + offset
        seen = raw[begin : begin + a.nbytes].view(a.dtype).reshape(a.shape)
        seen[...] = a
        places.append(seen)
    room = np.zeros(size + 16, np.uint8)
    for _ in range(2):
        convolve(*[a.ctypes.data for a in places], room.ctypes.data)
    return places[-1]


GEOMETRIES = {
    "plain": ((2, 6, 7, 8), (5, 6, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    "strides": ((2, 6, 9, 8), (5, 6, 3, 2), (2, 3), ((0, 0), (1, 1)), (1, 1), 1),
    "dilated": ((2, 6, 9, 9), (5, 6, 3, 3), (1, 1), ((2, 2), (2, 2)), (2, 2), 1),
    "groups": ((2, 12, 5, 5), (8, 6, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 2),
    "uneven": ((1, 6, 8, 8), (4, 6, 4, 4), (1, 1), ((1, 2), (1, 2)), (1, 1), 1),
    "line": ((2, 6, 9), (5, 6, 3), (2,), ((1, 1),), (1,), 1),
    "volume": ((1, 6, 4, 5, 5), (3, 6, 2, 3, 3), (1, 2, 1), ((0, 0), (1, 1), (1, 1)), (1,) * 3, 1),
}


@pytest.mark.parametrize("d", [np.float32, np.float64])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_convolutions(machine, name, d):
    shape, kernel, stride, padding, dilation, groups = GEOMETRIES[name]
    params = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    x, w = [RNG.standard_normal(s).astype(d) for s in (shape, kernel)]
    y = Conv.instance.forward([x, w, None], params)
    g = RNG.standard_normal(y.shape).astype(d)
    cases = [
        (Conv, (x, w), {}),
        (ConvInput, (g, w), {"space": shape[2:]}),
        (ConvWeight, (x, g), {"kernel": kernel[2:]}),
    ]
    for op, arrays, more in cases:
        given = {**params, **more}
        expected = op.instance.forward([*arrays, *[None] * (op is not ConvWeight)], given)
        for offset in (0, d().itemsize):
            found = started(machine, node_of(op, *arrays, **given), *arrays, offset=offset)
            np.testing.assert_allclose(found, expected, 1e-4, 1e-4)


def test_what_cudnn_is_not_asked_for(machine):
    params = {"stride": (1, 1), "padding": ((0, 0),) * 2, "dilation": (1, 1), "groups": 1}
    ints = [RNG.integers(0, 5, s) for s in ((1, 6, 5, 5), (4, 6, 3, 3))]
    assert machine.convolution(node_of(Conv, *ints, **params)) is None
    few = [RNG.standard_normal(s).astype("f4") for s in ((1, 3, 5, 5), (1, 4, 3, 3))]
    assert machine.convolution(node_of(ConvWeight, *few, kernel=(3, 3), **params)) is None


@pytest.mark.parametrize("allowed", [True, False])
def test_engines_that_round_to_fewer_bits(machine, monkeypatch, allowed):
    params = {"stride": (1, 1), "padding": ((0, 0),) * 2, "dilation": (1, 1), "groups": 1}
    x, w = [RNG.standard_normal(s).astype("f4") for s in ((1, 6, 5, 5), (4, 6, 3, 3))]
    monkeypatch.setattr(gpu.cudnn, "allow_tf32", allowed)
    started(machine, node_of(Conv, x, w, **params), x, w)
    assert {*machine.library.started} == {NARROW if allowed else FINE}


def test_addresses_are_kept_for_a_while(machine, monkeypatch):
    monkeypatch.setattr(cudnn, "PACKS", 3)
    monkeypatch.setattr(Library, "backenddestroydescriptor", lambda *a: None, raising=False)
    params = {"stride": (1, 1), "padding": ((0, 0),) * 2, "dilation": (1, 1), "groups": 1}
    x, w = [RNG.standard_normal(s).astype("f4") for s in ((1, 6, 5, 5), (4, 6, 3, 3))]
    node = node_of(Conv, x, w, **params)
    made = machine.convolution(node)
    expected = Conv.instance.forward([x, w, None], params)
    kinds = machine.library.kinds
    for k in range(8):
        outs = [np.empty(expected.shape, "f4") for _ in range(2)]
        before = len(kinds)
        for out in (*outs, outs[0]):
            made[1](x.ctypes.data, w.ctypes.data, out.ctypes.data, w.ctypes.data)
        np.testing.assert_allclose(outs[0], expected, 1e-4, 1e-4)
        assert len(kinds) <= before + 3, k


def test_that_nothing_is_there_for_addresses_is_told(machine, monkeypatch):
    params = {"stride": (1, 1), "padding": ((0, 0),) * 2, "dilation": (1, 1), "groups": 1}
    x, w = [RNG.standard_normal(s).astype("f4") for s in ((1, 6, 5, 5), (4, 6, 3, 3))]
    node = node_of(Conv, x, w, **params)
    _, convolve = machine.convolution(node)
    monkeypatch.setattr(machine, "configurations", lambda graph: iter(()))
    with pytest.raises(RuntimeError, match="clone"):
        convolve(x.ctypes.data + 4, w.ctypes.data, 0, 0)
