"""Test cases that compare tensors, and tests that run once for each of several arguments, by the
names that libraries import for their own tests.
"""

from __future__ import annotations

import functools
import itertools
import sys
import unittest
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from rushlight.core.tensor import Tensor
from rushlight.dtypes import dtype, get_default_dtype, set_default_dtype as set_default
from rushlight.tensor_api.random import get_rng_state, set_rng_state
from rushlight.testing import assert_close, make_tensor as make_tensor

__all__ = [
    "IS_LINUX", "IS_MACOS", "IS_WINDOWS", "TEST_NUMPY", "TEST_WITH_ROCM", "TestCase",
    "freeze_rng_state", "instantiate_parametrized_tests", "make_tensor", "parametrize",
    "run_tests", "set_default_dtype", "skipIfNoSciPy", "slowTest", "subtest",
]  # fmt: skip

IS_LINUX = sys.platform == "linux"
IS_MACOS = sys.platform == "darwin"
IS_WINDOWS = sys.platform == "win32"
TEST_NUMPY = True
TEST_WITH_ROCM = False


class TestCase(unittest.TestCase):
    """A test case whose ``assertEqual`` compares tensors within tolerances."""

    __test__ = False  # not a test of whoever imports it; its subclasses are

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__test__" not in vars(cls):
            cls.__test__ = True

    def assertEqual(
        self,
        x: Any,
        y: Any,
        msg: Any = None,
        *,
        atol: float | None = None,
        rtol: float | None = None,
        equal_nan: bool = True,
        exact_dtype: bool = True,
        exact_device: bool = False,
        exact_layout: bool = False,
        exact_stride: bool = False,
        exact_is_coalesced: bool = False,
    ) -> None:
        """Fail unless tensors, arrays and numbers are close, also within sequences and mappings,
        and all else is equal. The tolerances are those of ``torch.testing.assert_close``.
        """
        options = {
            "atol": atol,
            "rtol": rtol,
            "equal_nan": equal_nan,
            "exact_dtype": exact_dtype,
            "exact_device": exact_device,
            "exact_stride": exact_stride,
        }
        if isinstance(x, Mapping) and isinstance(y, Mapping):
            super().assertEqual(set(x), set(y), msg)
            for key in x:
                self.assertEqual(x[key], y[key], msg, **options)
        elif _listed(x) and _listed(y):
            super().assertEqual(len(x), len(y), msg)
            for a, b in zip(x, y, strict=True):
                self.assertEqual(a, b, msg, **options)
        elif isinstance(x, (Tensor, np.ndarray, float, complex)) or isinstance(
            y, (Tensor, np.ndarray, float, complex)
        ):
            self._assert_close(x, y, msg, **options)
        else:
            super().assertEqual(x, y, msg)

    def _assert_close(self, x: Any, y: Any, msg: Any, **options: Any) -> None:
        tensors = [v for v in (x, y) if isinstance(v, Tensor)]
        exact_dtype = options.pop("exact_dtype") and len(tensors) == 2
        if len(tensors) == 1:
            x, y = (v if isinstance(v, Tensor) else tensors[0].new_tensor(v) for v in (x, y))
        assert_close(
            x,
            y,
            check_dtype=exact_dtype,
            check_device=options.pop("exact_device"),
            check_stride=options.pop("exact_stride"),
            msg=msg,
            **options,
        )

    def assertNotEqual(
        self, x: Any, y: Any, msg: Any = None, *, atol: Any = None, rtol: Any = None, **kwargs: Any
    ) -> None:
        """Fail if ``assertEqual`` would not."""
        with self.assertRaises(AssertionError, msg=msg):
            self.assertEqual(x, y, msg, atol=atol, rtol=rtol, **kwargs)


def _listed(x: Any) -> bool:
    return isinstance(x, Sequence) and not isinstance(x, (str, bytes))


class subtest:
    """Arguments of one test of several that `parametrize` makes.

    Args:
        arg_values: a value, or a tuple of one for each argument.
        name: what the test's name ends with; made of the values unless given.
        decorators: applied to this test alone.
    """

    def __init__(
        self, arg_values: Any, name: str | None = None, decorators: Sequence[Any] | None = None
    ) -> None:
        self.arg_values, self.name, self.decorators = arg_values, name, list(decorators or ())


class parametrize:
    """Decorator: a method that becomes several tests, one for each of some arguments, once
    `instantiate_parametrized_tests` decorates its class.

    Args:
        arg_str: names of arguments, separated by commas.
        arg_values: their values: tuples, where there are several; or `subtest`.
        name_fn: the end of a test's name, a function of the values.

    Example:
        >>> from rushlight.testing._internal import common_utils as utils
        >>> @utils.instantiate_parametrized_tests
        ... class Powers(utils.TestCase):
        ...     @utils.parametrize("x", [1, 2])
        ...     def test_square(self, x):
        ...         self.assertEqual(x**2, x * x)
        >>> hasattr(Powers, "test_square_x_2")
        True
    """

    def __init__(
        self,
        arg_str: str,
        arg_values: Iterable[Any],
        name_fn: Callable[..., str] | None = None,
    ) -> None:
        self.names = [name.strip() for name in arg_str.split(",") if name.strip()]
        self.values, self.name_fn = list(arg_values), name_fn

    def __call__(self, test: Any) -> Any:
        inner = getattr(test, "parametrized", [("", {}, [])])
        test.parametrized = [
            ("_".join(filter(None, (name, other))), {**given, **kwargs}, own + decorators)
            for (name, given, own), (other, kwargs, decorators) in itertools.product(
                self.cases(), inner
            )
        ]
        return test

    def cases(self) -> Iterator[tuple[str, dict[str, Any], list[Any]]]:
        """The end of each test's name, its arguments, and its decorators."""
        for i, case in enumerate(self.values):
            case = case if isinstance(case, subtest) else subtest(case)
            values = case.arg_values if len(self.names) > 1 else (case.arg_values,)
            if len(values) != len(self.names):
                raise RuntimeError(
                    f"parametrize: {self.names} need {len(self.names)} values, but got {values!r}."
                )
            name = case.name
            if name is None and self.name_fn is not None:
                name = self.name_fn(*values)
            if name is None:
                pairs = zip(self.names, values, strict=True)
                name = "_".join([_named(n, v, i) for n, v in pairs])
            yield name, dict(zip(self.names, values, strict=True)), case.decorators


def _named(name: str, value: Any, i: int) -> str:
    if isinstance(value, dtype):
        return str(value).split(".")[-1]
    if isinstance(value, (int, float, str)):
        return f"{name}_" + str(value).replace(".", "_")
    return f"{name}{i}"


def instantiate_parametrized_tests(generic_cls: Any) -> Any:
    """Class decorator: the tests that `parametrize` makes, in the place of their methods."""
    for name, test in list(vars(generic_cls).items()):
        if not hasattr(test, "parametrized"):
            continue
        delattr(generic_cls, name)
        for end, kwargs, decorators in test.parametrized:
            made = _bound(test, kwargs)
            for decorator in decorators:
                made = decorator(made)
            if hasattr(generic_cls, f"{name}_{end}"):
                raise RuntimeError(f"there are two tests of the name {name}_{end}; pass name_fn.")
            made.__name__ = f"{name}_{end}"
            setattr(generic_cls, made.__name__, made)
    return generic_cls


def _bound(test: Any, given: dict[str, Any]) -> Any:
    @functools.wraps(test)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        return test(self, *args, **given, **kwargs)

    del run.parametrized  # type: ignore[attr-defined]
    del run.__wrapped__  # pytest would ask for its arguments
    return run


def run_tests(argv: Any = None) -> None:
    """Runs the tests of the file that calls it, as ``unittest.main``."""
    unittest.main(argv=sys.argv if argv is None else argv)


@contextmanager
def freeze_rng_state(*args: Any, **kwargs: Any) -> Iterator[None]:
    """Within it random numbers may be drawn; afterwards they go on as if none had been."""
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)


@contextmanager
def set_default_dtype(dtype: Any) -> Iterator[None]:
    """Another default dtype within it."""
    before = get_default_dtype()
    set_default(dtype)
    try:
        yield
    finally:
        set_default(before)


def slowTest(function: Any) -> Any:
    """Decorator that changes nothing: all tests run."""
    return function


def skipIfNoSciPy(function: Any) -> Any:
    """Decorator: skip the test where SciPy is not installed."""
    try:
        import scipy  # noqa: F401
    except ImportError:
        return unittest.skip("SciPy is not installed")(function)
    return function
