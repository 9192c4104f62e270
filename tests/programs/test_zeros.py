"""Signs of zero, which are printed."""

import pytest
import torch

import rushlight as rl


@pytest.mark.parametrize("divisor", [5.0, -5.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_remainder_of_zero_has_the_dividends_sign(dtype, divisor):
    values = [-10.0, -5.0, -0.0, 0.0, 5.0, 10.0, 7.0]
    for values_in in (values, values * 100, 5.0, -5.0):
        x, y = (t.tensor(values_in, dtype=getattr(t, dtype)) for t in (rl, torch))
        for by in (divisor, None):
            got, expected = (v % (by or t.tensor(divisor)) for v, t in ((x, rl), (y, torch)))
            assert got.tolist() == expected.tolist()
            assert rl.signbit(got).tolist() == torch.signbit(expected).tolist()
