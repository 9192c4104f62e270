"""Sobol points are PyTorch's to the bit, scrambled ones too."""

import pytest
import torch

import rushlight


def both(script):
    """What a script on an engine gives in both libraries."""
    results = []
    for lib in (torch, rushlight):
        lib.manual_seed(5)
        results.append([t.tolist() for t in (*script(lib.quasirandom.SobolEngine), lib.rand(2))])
    return results


@pytest.mark.parametrize("options", [{}, {"scramble": True}, {"scramble": True, "seed": 7}])
def test_points(options):
    def script(engine):
        points = engine(dimension=9, **options)
        yield from (points.draw(1), points.draw_base2(0), points.draw(4), points.draw(0))
        points.fast_forward(11)
        yield from (points.draw(3), points.quasi.clone(), points.shift, points.sobolstate)
        yield points.reset().draw(2)

    expected, got = both(script)
    assert got == expected


def test_arguments():
    for lib in (torch, rushlight):
        engine = lib.quasirandom.SobolEngine
        assert repr(engine(2, scramble=True, seed=1)) == (
            "SobolEngine(dimension=2, scramble=True, seed=1)"
        )
        for dimension in (0, 21202):
            with pytest.raises(ValueError):
                engine(dimension)
        points = engine(2)
        out = lib.empty(3, 2)
        assert points.draw(3, out=out) is out and points.num_generated == 3
        with pytest.raises(ValueError):
            points.draw_base2(2)
        assert points.draw(1, dtype=lib.float64).dtype is lib.float64
        with pytest.raises(RuntimeError):
            points.draw(-1)
