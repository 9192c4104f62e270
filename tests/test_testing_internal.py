"""Test cases and parametrized tests by the names that libraries import."""

import io
import unittest

import numpy as np
import pytest
import torch
from torch.testing._internal import common_utils as theirs

import rushlight
from rushlight.testing._internal import common_utils as ours

PAIRS = {
    "int and float": lambda lib: (1, 1.0),
    "list and tuple": lambda lib: ([1, 2], (1, 2)),
    "mappings": lambda lib: ({"a": lib.ones(2)}, {"a": lib.ones(2)}),
    "keys": lambda lib: ({"a": 1}, {"b": 1}),
    "tensor and list": lambda lib: (lib.ones(2), [1.0, 1.0]),
    "tensor and array": lambda lib: (lib.ones(2), np.ones(2, np.float32)),
    "close": lambda lib: (lib.ones(2), lib.ones(2) + 1e-7),
    "far": lambda lib: (lib.ones(2), lib.ones(2) + 1e-3),
    "dtypes": lambda lib: (lib.ones(2), lib.ones(2).double()),
    "shapes": lambda lib: (lib.ones(2), lib.ones(3)),
    "lengths": lambda lib: ([1, 2], [1]),
    "nan": lambda lib: (float("nan"), float("nan")),
    "floats": lambda lib: (1.0, 1.0 + 1e-9),
    "other floats": lambda lib: (1.0, 1.1),
    "text": lambda lib: ("a", "a"),
    "sets": lambda lib: ({1, 2}, {2, 3}),
    "None": lambda lib: (None, None),
    "dtype": lambda lib: (lib.float32, lib.float64),
}


@pytest.mark.parametrize("name", PAIRS)
def test_what_is_equal(name):
    found = []
    for lib, utils in ((rushlight, ours), (torch, theirs)):
        case = type("Case", (utils.TestCase,), {"runTest": lambda self: None})()
        try:
            case.assertEqual(*PAIRS[name](lib))
            found.append(True)
        except AssertionError:
            found.append(False)
            case.assertNotEqual(*PAIRS[name](lib))
    assert found[0] == found[1]


def made_with(lib, utils):
    class Tests(utils.TestCase):
        @utils.parametrize("x", [1, 2.5, None, "a b", True, lib.float32, [1]])
        def test_values(self, x):
            pass

        @utils.parametrize("x,y", [(1, 2), utils.subtest((3, 4), name="named")])
        def test_pairs(self, x, y):
            self.assertEqual(x + 1, y)

        @utils.parametrize("x", [1, 2], name_fn=lambda x: f"n{x}")
        @utils.parametrize("y", [int, float])
        def test_products(self, x, y):
            self.assertEqual(y(x), 1)

    return utils.instantiate_parametrized_tests(Tests)


def test_names_and_results_of_parametrized_tests():
    found = []
    for lib, utils in ((rushlight, ours), (torch, theirs)):
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(made_with(lib, utils))
        names = sorted([test._testMethodName for test in suite])
        result = unittest.TextTestRunner(io.StringIO()).run(suite)
        failed = sorted(test._testMethodName for test, _ in result.failures)
        found.append((names, failed, len(result.errors)))
    assert found[0] == found[1]
    assert found[0][1] == ["test_products_n2_y0", "test_products_n2_y1"]


def test_random_numbers_and_the_default_dtype_are_restored():
    rushlight.manual_seed(0)
    want = rushlight.rand(3)
    rushlight.manual_seed(0)
    with ours.freeze_rng_state(), ours.set_default_dtype(rushlight.float64):
        assert rushlight.rand(2).dtype is rushlight.float64
    assert rushlight.equal(rushlight.rand(3), want)


def test_two_made_with_one_name_are_refused():
    with pytest.raises(RuntimeError, match="two tests of the name"):

        @ours.instantiate_parametrized_tests
        class Tests(ours.TestCase):
            @ours.parametrize("x", [1, 2], name_fn=lambda x: "same")
            def test_it(self, x):
                pass
