"""set_stance, cond, while_loop, scans, and functions of lists and slices."""

import importlib

import numpy as np
import pytest
import torch

import rushlight
from rushlight._higher_order_ops.associative_scan import associative_scan
from rushlight._higher_order_ops.foreach_map import foreach_map
from rushlight._higher_order_ops.map import map as map_slices
from rushlight._higher_order_ops.scan import scan


def test_stances():
    double, runs, x = rushlight.compile(lambda x: x * 2), [], rushlight.ones(3)
    for _ in range(3):
        assert double(x).tolist() == [2.0] * 3
    function = double._compiled.function
    double._compiled.function = lambda x: runs.append(1) or function(x)

    def eager(*args):
        before = len(runs)
        assert double(*args).equal(args[0] * 2)
        return len(runs) > before

    assert not eager(x)
    with rushlight.compiler.set_stance("force_eager"):
        assert eager(x)
    with rushlight.compiler.set_stance("eager_on_recompile"):
        assert not eager(x)
        assert all(eager(rushlight.ones(2, 2)) for _ in range(4))
    with rushlight.compiler.set_stance("fail_on_recompile"):
        assert not eager(x)
        with pytest.raises(RuntimeError, match="recompile"):
            double(rushlight.ones(5))
    inside = rushlight.compiler.set_stance("force_eager")(lambda: eager(x))
    assert not eager(x) and inside() and not eager(x)
    with pytest.raises(RuntimeError, match="stance"):
        rushlight.compiler.set_stance("bogus")
    rushlight.compiler.set_stance("force_eager")
    assert eager(x)
    rushlight.compiler.set_stance("default")
    assert not eager(x)
    rushlight._logging.set_logs(graph=True)
    rushlight._logging.set_logs()


def test_every_call_of_a_compiled_function_is_compiling():
    compiler = rushlight.compiler
    x, shapes = rushlight.zeros(3), [rushlight.zeros(k) for k in range(1, 8)]
    f = rushlight.compile(lambda x: x + 1 if compiler.is_compiling() else x - 1)
    assert [f(x).tolist() for _ in range(3)] == [[1.0] * 3] * 3
    assert all(f(y).equal(y + 1) for y in shapes)
    seen = []
    note = compiler.disable(lambda: seen.append(compiler.is_compiling()))
    noting = rushlight.compile(lambda x: (note(), seen.append(compiler.is_compiling()), x)[2])
    with pytest.warns(UserWarning, match="kept out"):
        for _ in range(4):
            noting(x)
    assert seen == [False, True] * 4 and not compiler.is_compiling()
    with compiler.set_stance("force_eager"):
        assert f(x).tolist() == [-1.0] * 3
    with compiler.set_stance("eager_on_recompile"):
        assert f(x).tolist() == [1.0] * 3
        assert f(rushlight.zeros(9)).tolist() == [-1.0] * 9
    rushlight._dynamo.mark_static(x)


@pytest.mark.filterwarnings("ignore:.*:FutureWarning")
def test_branches_and_loops():
    lib = rushlight
    branch = lib.cond(lib.tensor(True), lambda x: x + 1, lambda x: x - 1, (lib.ones(2),))
    assert branch.tolist() == [2.0, 2.0]
    assert lib.cond(False, lambda: 1, lambda: lib.zeros(1)).tolist() == [0.0]
    found = lib.while_loop(
        lambda i, x: i < 3, lambda i, x: (i + 1, x * 2), (lib.tensor(0), lib.ones(2))
    )
    assert [t.tolist() for t in found] == [3, [8.0, 8.0]]
    with pytest.raises(RuntimeError, match="pred"):
        lib.cond(lib.ones(2), lambda: 1, lambda: 2)
    with pytest.raises(RuntimeError, match="callable"):
        lib.cond(True, 1, 2)
    with pytest.raises(RuntimeError, match="as many"):
        lib.while_loop(lambda i, x: i < 3, lambda i, x: i + 1, (lib.tensor(0), lib.ones(2)))


def test_functions_of_lists():
    lists = [[rushlight.ones(2), rushlight.zeros(3)], [rushlight.full((2,), 3.0), 1]]
    assert [t.tolist() for t in foreach_map(rushlight.add, *lists)] == [[4.0, 4.0], [1.0, 1.0, 1.0]]
    with pytest.raises(ValueError):
        foreach_map(rushlight.add, [rushlight.ones(1)], [])
    with pytest.raises(ValueError):
        foreach_map(rushlight.add, 1, 2)


SCANS = {
    "sums": (lambda a, b: a + b, lambda lib: lib.arange(7.0).reshape(7, 1)),
    "products of matrices": (lambda a, b: a @ b, lambda lib: lib.arange(24.0).reshape(6, 2, 2) / 9),
    "a recurrence": (
        lambda a, b: {"a": a["a"] * b["a"], "x": a["x"] * b["a"] + b["x"]},
        lambda lib: {"a": lib.arange(1.0, 6) / 4, "x": lib.arange(5.0)},
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", SCANS)
def test_associative_scan(name, reverse):
    combine, make = SCANS[name]
    results = []
    for lib in (rushlight, torch):
        scan = importlib.import_module(f"{lib.__name__}._higher_order_ops.associative_scan")
        found = scan.associative_scan(combine, make(lib), 0, reverse, combine_mode="generic")
        parts = [found] if isinstance(found, lib.Tensor) else [*found.values()]
        results.append([p.tolist() for p in parts])
    np.testing.assert_allclose(results[0][-1], results[1][-1], rtol=1e-5)
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)


@pytest.mark.parametrize("dim", [0, -1])
@pytest.mark.parametrize("n", range(1, 10))
def test_scans_of_any_size(n, dim):
    x = rushlight.randn(n, n, requires_grad=True)
    found = associative_scan(rushlight.mul, x, dim)
    expected = x.cumprod(dim)
    assert rushlight.allclose(found, expected, atol=1e-6)
    for a, b in zip(*[rushlight.autograd.grad(y.sum(), x) for y in (found, expected)], strict=True):
        assert rushlight.allclose(a, b, atol=1e-5)


def values(tree):
    """What is in a tree of tensors, of either library."""
    if isinstance(tree, (tuple, list)):
        return [values(part) for part in tree]
    return {k: values(v) for k, v in tree.items()} if isinstance(tree, dict) else tree.tolist()


LOOPS = {
    "map": lambda of, lib: of("map")(lambda x, y: x**y, lib.arange(5), lib.tensor(2)),
    "map of trees": lambda of, lib: of("map")(
        lambda x: (x["a"] + 1, {"b": x["b"] * 2}), {"a": lib.arange(3), "b": lib.ones(3, 2)}
    ),
    "scan": lambda of, lib: of("scan")(
        lambda s, x: (s + x, (s + x) * 2.0), lib.tensor(0), lib.arange(1, 5)
    ),
    "scan from the end": lambda of, lib: of("scan")(
        lambda s, x: ((s[0] * x, s[1] + 1), {"y": s[0] - x}),
        (lib.ones(2), lib.zeros(1)), lib.arange(6.0).reshape(2, 3), dim=1, reverse=True,
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LOOPS)
def test_loops_over_slices(name):
    found = []
    for lib in (rushlight, torch):

        def of(loop, home=lib.__name__):
            return getattr(importlib.import_module(f"{home}._higher_order_ops.{loop}"), loop)

        found.append(values(LOOPS[name](of, lib)))
    assert found[0] == found[1]


def test_gradients_go_through_loops_over_slices():
    x = rushlight.randn(5, 3, requires_grad=True)
    state, sums = scan(lambda s, row: (s + row, (s + row).clone()), rushlight.zeros(3), x)
    assert rushlight.allclose(sums, x.cumsum(0)) and rushlight.equal(state, sums[-1])
    sums.sum().backward()
    assert x.grad[:, 0].tolist() == [5, 4, 3, 2, 1]


@pytest.mark.parametrize("loop", [map_slices, lambda f, xs: scan(f, rushlight.ones(1), xs)])
def test_loops_that_are_refused(loop):
    for wrong in (
        rushlight.tensor(1),
        3,
        rushlight.ones(0, 2),
        [rushlight.ones(2, 1), rushlight.ones(3)],
    ):
        with pytest.raises(RuntimeError, match="must be"):
            loop(lambda *x: x, wrong)
    with pytest.raises(RuntimeError, match="a state like init"):
        scan(lambda s, x: ((s, s), x), rushlight.ones(1), rushlight.ones(2))


def test_scans_that_are_refused():
    for wrong in ((3, rushlight.ones(2), 0), (rushlight.add, [], 0), (rushlight.add, [3], 0)):
        with pytest.raises(ValueError):
            associative_scan(*wrong)
    with pytest.raises(ValueError, match="Combine_mode"):
        associative_scan(rushlight.add, rushlight.ones(2), 0, combine_mode="other")
    with pytest.raises(ValueError, match="must be equal, but are"):
        associative_scan(rushlight.add, [rushlight.ones(2), rushlight.ones(3)], 0)
