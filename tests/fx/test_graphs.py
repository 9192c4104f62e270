"""Graphs as data: changing, copying, saving and running them, as in torch."""

import copy
import importlib
import operator
import pickle
import warnings

import pytest
import torch
import torch.fx.passes.shape_prop

import rushlight
import rushlight.fx.experimental.optimization
import rushlight.fx.passes.shape_prop

LIBRARIES = [rushlight, torch]


def both(run):
    return [run(lib) for lib in LIBRARIES]


def shown(graph):
    return str(graph), graph.python_code("self").src


def small(lib):
    graph = lib.fx.Graph()
    x = graph.placeholder("x")
    a = graph.call_function(lib.add, (x, 1))
    b = graph.call_method("relu", (a,))
    graph.output((b, [a]))
    return graph, x, a, b


def test_building_and_changing():
    def run(lib):
        graph, x, a, b = small(lib)
        steps = [shown(graph)]
        with graph.inserting_after(a):
            c = graph.call_function(lib.neg, (a,))
        a.replace_all_uses_with(c, lambda user: user is not c)
        steps.append(shown(graph))
        with pytest.raises(RuntimeError):
            graph.erase_node(a)
        b.replace_all_uses_with(c)
        graph.erase_node(b)
        with graph.inserting_before(c):
            d = graph.call_function(operator.mul, (x, x))
        c.update_arg(0, d)
        c.kwargs = {"out": x}
        c.update_kwarg("out", a)
        c.insert_arg(0, a)
        steps.append(str(graph))
        x.append(d)
        nodes = [(n.op, n.name, n.prev.name, n.next.name, len(n.users)) for n in graph.nodes]
        back = [n.name for n in reversed(graph.nodes)]
        found = [n.name for n in graph.find_nodes(op="call_function", target=lib.neg)]
        return steps, nodes, back, found, len(graph.nodes), {n.name for n in c.all_input_nodes}

    ours, theirs = both(run)
    assert ours == theirs


def test_dead_code():
    def run(lib):
        graph, x, a, b = small(lib)
        with graph.inserting_before(b):
            graph.call_method("exp", (graph.call_method("cos", (x,)),))
            graph.call_function(lib._assert, (a, "text"))
        return graph.eliminate_dead_code(), graph.eliminate_dead_code(), shown(graph)

    ours, theirs = both(run)
    assert ours == theirs


OPERATORS = "iadd isub imul lshift and_ xor floordiv mod pow invert pos ge matmul truth concat add"


@pytest.mark.parametrize("name", OPERATORS.split())
def test_operators_in_code(name):
    def run(lib):
        graph = lib.fx.Graph()
        x = graph.placeholder("x")
        args = (x,) if name in ("invert", "pos", "truth") else (x, x)
        graph.output(graph.call_function(getattr(operator, name), args))
        return shown(graph)

    ours, theirs = both(run)
    assert ours == theirs


def test_names_types_and_values_in_code():
    def run(lib):
        graph = lib.fx.Graph()
        x = graph.placeholder("x", type_expr=int, default_value=5)
        y = graph.call_function(getattr, (x, "a b"))
        z = graph.call_function(max, (x, y))
        w = graph.get_attr("w.0")
        options = {"dtype": lib.float32, "device": lib.device("cpu")}
        o = graph.call_function(lib.zeros, ((1, 2),), options)
        m = graph.call_module("a.b.0.c", (w, slice(None, x)), {"k": [1.5, float("nan"), None]})
        graph.output((z, o, m), type_expr=tuple[int, int])
        return shown(graph)

    ours, theirs = both(run)
    assert ours == theirs


def test_what_lint_finds():
    for lib in LIBRARIES:
        graph = lib.fx.Graph()
        graph.call_function(lib.neg, (lib.fx.Graph().placeholder("x"),))
        with pytest.raises(RuntimeError, match="does not belong"):
            graph.lint()
        graph, _, a, b = small(lib)
        b.append(a)
        with pytest.raises(RuntimeError, match="before it has been defined"):
            graph.lint()
        graph, x, _, _ = small(lib)
        with graph.inserting_after(x):
            graph.get_attr("missing")
        with pytest.raises(AttributeError):
            lib.fx.GraphModule(lib.nn.Module(), graph)
        with pytest.raises(RuntimeError):
            lib.fx.GraphModule({"other": 1}, graph)
        graph.owning_module = lib.nn.Module()
        with pytest.raises(RuntimeError, match="nonexistent"):
            graph.lint()


def model(lib):
    class Model(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = lib.nn.Conv2d(1, 2, 1)
            self.bn1 = lib.nn.BatchNorm2d(2)
            self.nested = lib.nn.Sequential(lib.nn.Conv2d(2, 2, 1), lib.nn.BatchNorm2d(2))
            self.wrapped = lib.nn.Sequential(lib.nn.ReLU(), lib.nn.Conv2d(2, 1, 1))

        def forward(self, x):
            return self.wrapped(self.nested(self.bn1(self.conv1(x)))) + 1

    lib.manual_seed(0)
    return Model()


def test_copies_and_pickles():
    def run(lib):
        traced = lib.fx.symbolic_trace(model(lib)).eval()
        x = lib.ones(1, 1, 2, 2)
        results = []
        for other in (
            pickle.loads(pickle.dumps(traced)),
            copy.deepcopy(traced),
            lib.fx.GraphModule(traced, copy.deepcopy(traced.graph), "Model"),
            lib.fx.symbolic_trace(traced),
        ):
            assert lib.equal(other(x), traced(x))
            assert other.graph is not traced.graph and other.graph.owning_module is other
            results.append((shown(other.graph), sorted(other.state_dict()), other.training))
        graph = lib.fx.Graph()
        result = graph.graph_copy(traced.graph, {})
        return results, result.name, str(graph), type(traced).__name__

    ours, theirs = both(run)
    assert ours == theirs


def test_a_folder(tmp_path, monkeypatch):
    traced = rushlight.fx.symbolic_trace(model(rushlight)).eval()
    traced.to_folder(tmp_path / "saved_model", "Saved")
    monkeypatch.syspath_prepend(tmp_path)
    import saved_model

    x = rushlight.ones(1, 1, 2, 2)
    assert rushlight.equal(saved_model.Saved().eval()(x), traced(x))


def test_submodules():
    def run(lib):
        traced = lib.fx.symbolic_trace(model(lib))
        added = traced.add_submodule("new.part", lib.nn.ReLU())
        text = str(traced)
        removed = traced.delete_submodule("new.part"), traced.delete_submodule("new.none")
        traced.delete_all_unused_submodules()
        return added, text, removed, str(traced), traced.print_readable(False)

    ours, theirs = both(run)
    assert ours[:-1] == theirs[:-1]
    assert ours[-1].split() == theirs[-1].split()


def test_fusing_batch_norms():
    def run(lib):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TorchScript, which torch imports there
            importlib.import_module(f"{lib.__name__}.fx.experimental.optimization")
        net = model(lib).eval()
        fused = lib.fx.experimental.optimization.fuse(net)
        x = lib.arange(4.0).reshape(1, 1, 2, 2)
        assert lib.allclose(net(x), fused(x), atol=1e-6)
        return str(fused.graph), fused.code

    ours, theirs = both(run)
    assert ours == theirs


def test_replacing_modules():
    def run(lib):
        traced = lib.fx.symbolic_trace(model(lib))
        modules = dict(traced.named_modules())
        for node in traced.graph.nodes:
            if node.op == "call_module" and isinstance(modules[node.target], lib.nn.ReLU):
                with traced.graph.inserting_after(node):
                    new = traced.graph.call_function(lib.nn.functional.gelu, node.args, node.kwargs)
                    node.replace_all_uses_with(new)
                traced.graph.erase_node(node)
        traced.graph.lint()
        traced.recompile()
        traced(lib.ones(1, 1, 2, 2))
        return traced.code

    ours, theirs = both(run)
    assert ours == theirs


def test_watching_a_run():
    def run(lib):
        log = []

        class Watch(lib.fx.Interpreter):
            def run_node(self, n):
                result = super().run_node(n)
                log.append((n.op, n.name, tuple(result.shape)))
                return result

            def call_function(self, target, args, kwargs):
                return super().call_function(lib.sub, args, kwargs)

        traced = lib.fx.symbolic_trace(model(lib)).eval()
        x = lib.ones(1, 1, 2, 2)
        difference = (traced(x) - Watch(traced).run(x)).mean().item()
        known = {next(n for n in traced.graph.nodes if n.name == "bn1"): lib.ones(1, 2, 2, 2)}
        lib.fx.Interpreter(traced).run(x, initial_env=known)
        with pytest.raises(RuntimeError):
            lib.fx.Interpreter(traced).run()
        return log, round(difference, 4)

    ours, theirs = both(run)
    assert ours == theirs


def test_an_error_names_its_node():
    traced = rushlight.fx.symbolic_trace(lambda x: x.reshape(7) + 1)
    with pytest.raises(RuntimeError) as error:
        rushlight.fx.Interpreter(traced).run(rushlight.ones(2))
    assert "%reshape" in error.value.__notes__[0]


def test_transforming():
    def run(lib):
        F = lib.nn.functional

        class Leaky(lib.fx.Transformer):
            def call_function(self, target, args, kwargs):
                if target is lib.relu:
                    return F.leaky_relu(*args, **kwargs)
                return super().call_function(target, args, kwargs)

            def call_method(self, target, args, kwargs):
                if target == "neg":
                    return args[0] * 2 + 1
                return super().call_method(target, args, kwargs)

        traced = lib.fx.symbolic_trace(lambda x: lib.relu(x).neg().exp())
        whole = lib.fx.Transformer(lib.fx.symbolic_trace(model(lib))).transform()
        changed = Leaky(traced).transform()
        return changed.code, changed(lib.tensor([-1.0, 1.0])).tolist(), whole.code, str(whole)

    ours, theirs = both(run)
    assert ours[1] == pytest.approx(theirs[1])
    assert ours[0] == theirs[0] and ours[2:] == theirs[2:]


PATTERNS = {
    "stack": (
        "t.cat([a, b])", "t.stack([a, b])", "x + t.max(t.cat([y, z]).sum()) + t.cat([y, z]).sum()",
    ),
    "chain": ("t.relu(a + b)", "(a * b).sigmoid()", "t.relu(t.relu(x + y) + y)"),
    "used outside": ("t.relu(a + b)", "a", "(lambda s: t.relu(s) + s)(x + y)"),
    "none": ("t.relu(a + b)", "a", "x * y * z"),
    "keywords": (
        "F.softmax(a, dim=-1)", "F.log_softmax(a, dim=-1)",
        "F.softmax(x + F.softmax(y, dim=-1), dim=-1)",
    ),
    "same twice": ("a + a", "2 * a", "(x + x) + (y + z)"),
    "numbers": ("a * 2", "a * 3", "x * 2 + y * 2.5 + z * 3"),
}  # fmt: skip


@pytest.mark.parametrize("name", PATTERNS)
def test_replacing_patterns(name):
    pattern, replacement, program = PATTERNS[name]
    arguments = "a, b" if "b" in pattern else "a"

    def run(lib):
        space = {"t": lib, "F": lib.nn.functional}
        traced = lib.fx.symbolic_trace(eval(f"lambda x, y, z: {program}", space))
        rules = [eval(f"lambda {arguments}: {p}", space) for p in (pattern, replacement)]
        matches = lib.fx.replace_pattern(traced, *rules)
        traced.graph.lint()
        return traced.code, len(matches)

    ours, theirs = both(run)
    assert ours == theirs


def test_shapes():
    def run(lib):
        traced = lib.fx.symbolic_trace(lambda x: (x.sum(0).view(3, 1), x.size(0)))
        lib.fx.passes.shape_prop.ShapeProp(traced).propagate(lib.ones(2, 3))
        found = {}
        for node in traced.graph.nodes:
            meta = node.meta.get("tensor_meta")
            found[node.name] = str(meta), node.meta["type"].__name__
        return found

    ours, theirs = both(run)
    assert ours == theirs


def test_functions_of_proxies_outside_a_trace():
    for lib in LIBRARIES:
        graph = lib.fx.Graph()
        x = lib.fx.Proxy(graph.placeholder("x"))
        graph.output(lib.broadcast_tensors(x, x)[0].node)
        assert [n.op for n in graph.nodes][1:-1] == ["call_function", "call_function"]
