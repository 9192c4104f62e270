"""Traced programs are printed as torch prints them, and do what the programs do."""

import math

import pytest
import torch
import torch.fx

import rushlight
import rushlight.fx

LIBRARIES = [rushlight, torch]


def helper(a, b=1):
    return a * b


rushlight.fx.wrap("helper")
torch.fx.wrap("helper")


@rushlight.fx.wrap
@torch.fx.wrap
def marked(x):
    return x + 1


def printed(lib, program, **given):
    traced = lib.fx.symbolic_trace(program, **given)
    traced.graph.lint()
    return str(traced.graph), traced.code, str(traced)


FUNCTIONS = """
    lambda x: x + 1
    lambda x: 1 - x * 2 / 3 // 4 % 5 ** x
    lambda x, y: (x @ y, x & y, x | y, x ^ y, x << 1, x >> 1, ~x, +x, -x, abs(x))
    lambda x, y: (x == y, x != y, x < y, x > y, x <= y, x >= 1)
    lambda x: [x[0], x[1:, None], x[..., 0], {"a": x}]
    lambda x: x.view(x.size(0), -1).shape[0]
    lambda x: x.T.real.foo.bar(1, k=2.5)
    lambda x: t.ones(2) + x
    lambda x: t.cat([x, x], dim=1).sum(-1)
    lambda x: t.max(t.abs(t.min(x)))
    lambda x: t.zeros_like(x, dtype=t.float64)
    lambda x: x.to(t.device("cpu")).to(dtype=t.int32)
    lambda x: F.relu(x)
    lambda x: F.linear(F.gelu(x), x, bias=x)
    lambda x: F.conv2d(x, x, None, 1, (1, 1))
    lambda x: F.max_pool2d(x, 2)
    lambda x: F.avg_pool2d(F.pad(x, (1, 1)), 3)
    lambda x: F.softmax(F.dropout(x, 0.5), dim=1)
    lambda x: F.cross_entropy(x, x)
    lambda x: F.layer_norm(x, (3,)) + F.batch_norm(x, x, x)
    lambda x: F.interpolate(F.embedding(x, x), scale_factor=2)
    lambda x: F.scaled_dot_product_attention(x, x, x)
    lambda x: t.sigmoid(x) + F.sigmoid(x) + x.sigmoid() + t.special.expit(x)
    lambda x: t.linalg.norm(x) + t.fft.fft(x) + t.einsum("ij->i", x)
    lambda x: t.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1)
    lambda x: math.sqrt(x.sum()) + helper(x, b=2) + marked(x)
    lambda x: helper(1, 2) + x
    lambda x: (x, (x,), [x, [1.5, "s", None, True, float("inf")]])
    lambda x: x.add_(1).relu_()
    lambda sum, max, input: sum + max + input
    lambda *args, **kwargs: args[0] + kwargs["k"]
    lambda x, *, y=2: x + y
    lambda x: x.split(2, dim=1)[0].chunk(2)[1]
    lambda x: t.zeros(x.size(0)) + t.full((2,), x) + t.arange(x.shape[0])
    lambda relu, relu_1: relu.relu() + relu_1.relu()
"""


@pytest.mark.parametrize("text", [line.strip() for line in FUNCTIONS.strip().splitlines()])
def test_functions(text):
    def run(lib):
        space = {**globals(), "t": lib, "F": lib.nn.functional}
        return printed(lib, eval(text, space))

    ours, theirs = map(run, LIBRARIES)
    assert ours == theirs


def annotated(lib):
    def function(x: lib.Tensor, y: list[int], n: int = 3, flag: bool = False) -> lib.Tensor:
        a, b = x.split(2)
        c = a + b * n
        unused = c.relu()  # noqa: F841
        return c if flag else -c

    return function


def test_annotations_defaults_and_values_taken_for_granted():
    for given in ({"flag": True}, {"n": 2, "flag": False}, {"n": 1, "flag": None}):
        ours, theirs = (printed(l, annotated(l), concrete_args=given) for l in LIBRARIES)
        assert ours == theirs


def network(lib):
    nn = lib.nn

    class Inner(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(lib.ones(4))
            self.register_buffer("shift", lib.zeros(4))
            self.plain = lib.full((4,), 2.0)

        def forward(self, x):
            return x * self.weight + self.shift + self.plain

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Inner()
            self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
            self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Tanh()])
            self.BN = nn.BatchNorm1d(4)
            self.drop = nn.Dropout(0.5)
            self.times = 2

        def forward(self, x):
            x = self.inner(x)
            for _ in range(self.times):
                x = self.body(x)
            for layer in self.layers:
                x = layer(x)
            x = self.BN(x)
            return self.drop(x) if self.training else x

    return Network()


@pytest.mark.parametrize("training", [True, False])
def test_modules(training):
    def run(lib):
        lib.manual_seed(0)
        model = network(lib).train(training)
        traced = lib.fx.symbolic_trace(model)
        x = lib.arange(12.0).reshape(3, 4) / 12
        if not training:
            assert lib.equal(traced(x), model(x))
        return printed(lib, model), sorted(traced.state_dict()), traced.training

    ours, theirs = map(run, LIBRARIES)
    assert ours == theirs


@pytest.mark.parametrize(
    ("program", "error"),
    [
        (lambda x: 1 if x.sum() > 0 else 2, ValueError),
        (lambda x: list(x), ValueError),
        (lambda x: len(x), RuntimeError),
        (lambda x: x.foo(int), NotImplementedError),
        (lambda x: x.foo({x: 1}), RuntimeError),
    ],
)
def test_what_cannot_be_traced(program, error):
    for lib in LIBRARIES:
        with pytest.raises(error):
            lib.fx.symbolic_trace(program)
    rushlight.ones(2) + 1  # functions do not ask any longer
    assert rushlight.nn.Linear(2, 2)(rushlight.ones(2)).shape == (2,)


def test_leaves_are_what_the_tracer_says():
    def run(lib):
        class Through(lib.fx.Tracer):
            def is_leaf_module(self, m, module_qualified_name):
                return isinstance(m, (lib.nn.Linear, lib.nn.BatchNorm1d))

        return str(Through().trace(network(lib).eval()))

    ours, theirs = map(run, LIBRARIES)
    assert ours == theirs


def test_mathematics_is_restored():
    root = math.sqrt
    rushlight.fx.symbolic_trace(lambda x: math.sqrt(x))
    assert math.sqrt is root and math.sqrt(4) == 2


def test_writing_into_another_graph():
    def run(lib):
        F = lib.nn.functional
        traced = lib.fx.symbolic_trace(lambda x: F.relu(x) + 1)
        graph = lib.fx.Graph()
        tracer = lib.fx.proxy.GraphAppendingTracer(graph)
        env = {}
        for node in traced.graph.nodes:
            if node.target is F.relu:
                x = lib.fx.Proxy(env[node.args[0]], tracer)
                env[node] = ((x > 0) * x).node
            else:
                env[node] = graph.node_copy(node, lambda n: env[n])
        return lib.fx.GraphModule(traced, graph).code

    ours, theirs = map(run, LIBRARIES)
    assert ours == theirs


def test_a_layer_as_the_whole_program():
    def run(lib):
        return printed(lib, lib.nn.Sequential(lib.nn.Embedding(3, 2), lib.nn.Linear(2, 2)))

    ours, theirs = map(run, LIBRARIES)
    assert ours == theirs


def test_assertions_are_part_of_a_graph():
    def run(lib):
        def f(x):
            lib._assert(x.shape[-1] == 3, "three columns")
            return x + 1

        made = lib.fx.symbolic_trace(f)
        with pytest.raises(AssertionError, match="three columns"):
            made(lib.ones(2))
        return [n.op for n in made.graph.nodes], made(lib.ones(3)).tolist()

    ours, theirs = map(run, (rushlight, torch))
    assert ours == theirs


def own_parameters(lib):
    """Computes with a parameter and a buffer before a value of the program meets them."""

    class Module(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = lib.nn.Parameter(lib.arange(3.0))
            self.register_buffer("b", lib.full((3,), 2.0))
            self.linear = lib.nn.Linear(3, 3)

        def forward(self, x):
            y = self.linear(x) * (self.w * 2) + self.w.exp() + (self.b + 1)
            return y + self.w.shape[0] + self.w.ndim

    return Module()


@pytest.mark.parametrize(("constant", "buffers"), [(False, False), (True, False), (False, True)])
def test_parameters_are_read_by_the_graph(constant, buffers):
    seen = []
    for lib in (torch, rushlight):
        module, tracer = own_parameters(lib), lib.fx.Tracer(param_shapes_constant=constant)
        tracer.proxy_buffer_attributes = buffers
        traced = lib.fx.GraphModule(module, tracer.trace(module))
        traced(lib.ones(3)).sum().backward()
        names = list(dict(traced.named_parameters())), list(dict(traced.named_buffers()))
        seen.append((traced.code.split(), names, module.w.grad is not None))
    assert seen[0] == seen[1]
