"""set_stance, cond, while_loop and foreach_map."""

import pytest

import rushlight
from rushlight._higher_order_ops.foreach_map import foreach_map


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
