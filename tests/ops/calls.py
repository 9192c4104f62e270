"""Call a function of a library on a sample, and compare what two libraries return."""

from __future__ import annotations

import contextlib
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.ops.samples import DType, Sample, Tensor

ERRORS = (RuntimeError, IndexError, ValueError, TypeError, NotImplementedError, AttributeError)
ROUNDING = {"float16": 1e-2, "bfloat16": 5e-2, "float32": 2e-5, "complex64": 2e-5}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Deprecations are not the subject."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def find(lib: Any, name: str) -> Any:
    """The function of that name, dots included; None where the library has none."""
    found = lib
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


# ---- making ------------------------------------------------------------------------------------


def numbers(spec: Tensor, dtype: str, salt: int) -> np.ndarray:
    """The values of a tensor, the same on every run."""
    if spec.values is not None:
        return np.array(spec.values, dtype=np.dtype(dtype))
    r = np.random.default_rng(zlib.crc32(repr((spec.shape, dtype, salt)).encode()))
    if dtype == "bool":
        return np.asarray(r.random(spec.shape) < 0.5)
    if "int" in dtype:
        low = max(spec.low, 0) if dtype == "uint8" else spec.low
        low, high = int(np.ceil(low)), int(spec.high) + 1
        if spec.distinct:
            low, high = low, low + 2 * int(np.prod(spec.shape)) + 2
            return _distinct(np.arange(low, high), spec.shape, r).astype(dtype)
        return r.integers(low, max(high, low + 1), spec.shape).astype(dtype)
    if spec.distinct:
        values = _distinct(
            np.linspace(spec.low, spec.high, 3 * int(np.prod(spec.shape)) + 2), spec.shape, r
        )
    else:
        values = r.uniform(spec.low, spec.high, spec.shape)
    values = np.round(values, 2)
    if "complex" in dtype:
        values = values + 1j * np.round(r.uniform(spec.low, spec.high, spec.shape), 2)
    return np.asarray(values)


def _distinct(choices: np.ndarray, shape: tuple[int, ...], r: np.random.Generator) -> np.ndarray:
    return np.asarray(r.choice(choices, int(np.prod(shape)), replace=False).reshape(shape))


@dataclass
class Call:
    """One sample made for one library."""

    lib: Any
    base: str
    tensors: list[Any]
    specs: list[Tensor]

    @classmethod
    def new(cls, lib: Any, base: str) -> Call:
        return cls(lib, base, [], [])

    def make(self, value: Any) -> Any:
        """A sample's argument as the library's object."""
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, DType):
            return getattr(self.lib, value.name)
        if isinstance(value, (tuple, list)):
            return type(value)(self.make(item) for item in value)
        return value

    def _tensor(self, spec: Tensor) -> Any:
        dtype = spec.dtype or self.base
        array = numbers(spec, "float32" if dtype == "bfloat16" else dtype, len(self.specs))
        if dtype in ("float16", "float32", "complex64"):
            array = array.astype(dtype)
        if spec.transposed:
            array = array.swapaxes(0, -1).copy()
        t = self.lib.from_numpy(array.astype(np.float32) if dtype == "bfloat16" else array)
        if dtype == "bfloat16":
            t = t.to(self.lib.bfloat16)
        if spec.transposed:
            t = t.transpose(0, -1)
        self.tensors.append(t)
        self.specs.append(spec)
        return t

    def arguments(self, sample: Sample) -> tuple[list[Any], dict[str, Any]]:
        """All arguments of the sample."""
        args = [self.make(a) for a in sample.args]
        return args, {name: self.make(a) for name, a in sample.kwargs.items()}

    def track(self) -> list[Any]:
        """Let the floating-point tensors require grad; returns them."""
        tracked = []
        for t, spec in zip(self.tensors, self.specs, strict=True):
            if spec.grad and (t.is_floating_point() or t.is_complex()):
                tracked.append(t.requires_grad_())
        return tracked


@dataclass
class Result:
    """What a call gave: its tensors and other values, or its error."""

    call: Call
    values: list[Any]
    error: BaseException | None = None

    def tensors(self) -> list[Any]:
        return [v for v in self.values if isinstance(v, self.call.lib.Tensor)]


def perform(
    lib: Any, name: str, sample: Sample, base: str, function: Any = None, track: bool = False
) -> Result:
    """Call it; `function` stands in for the function of that name."""
    call = Call.new(lib, base)
    args, kwargs = call.arguments(sample)
    if track:
        call.track()
    return finish(call, function or find(lib, name), args, kwargs)


def finish(call: Call, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Result:
    """Call with made arguments."""
    with quiet():
        try:
            return Result(call, list(_flat(function(*args, **kwargs), call.lib.Tensor)))
        except ERRORS as error:
            return Result(call, [], error)


def _flat(value: Any, kind: Any) -> Iterator[Any]:
    if isinstance(value, (tuple, list)) and not isinstance(value, kind):
        for item in value:
            yield from _flat(item, kind)
    else:
        yield value


# ---- comparing ---------------------------------------------------------------------------------


def array_of(t: Any) -> np.ndarray:
    """A tensor's values as NumPy can hold them."""
    t = t.detach()
    if str(t.dtype) == "torch.bfloat16":
        t = t.float()
    t = t.resolve_conj().resolve_neg()
    try:
        return t.numpy()
    except RuntimeError:  # torch's gradients that it knows to be zero have no memory
        return t.numpy(force=True)


def rounding(result: Result) -> float:
    """How far two right answers may be apart, given the coarsest dtype in sight."""
    names = [str(t.dtype).removeprefix("torch.") for t in result.call.tensors + result.tensors()]
    return max((ROUNDING.get(n, 1e-9) for n in names), default=1e-9)


def check_same(ours: Result, torchs: Result, what: str, factor: float = 1.0) -> None:
    """Same number of results, each of the same dtype, shape and values."""
    assert ours.error is None, f"{what}: torch gives a result, ours raises {ours.error!r}"
    assert len(ours.values) == len(torchs.values), f"{what}: {ours.values} against {torchs.values}"
    tolerance = rounding(torchs) * factor
    for a, b in zip(ours.values, torchs.values, strict=True):
        if not isinstance(b, torchs.call.lib.Tensor):
            assert type(a) is type(b) or type(a).__name__ == type(b).__name__, (
                f"{what}: {a!r}, {b!r}"
            )
            assert (
                a == b or (isinstance(b, float) and abs(a - b) <= tolerance) or str(a) == str(b)
            ), what
            continue
        check_tensor(a, b, what, tolerance)


def check_tensor(a: Any, b: Any, what: str, tolerance: float) -> None:
    """Same dtype, shape and values."""
    assert (str(a.dtype), tuple(a.shape)) == (str(b.dtype), tuple(b.shape)), what
    x, y = array_of(a), array_of(b)
    if y.dtype.kind not in "fc":
        assert (x == y).all(), f"{what}: {x} against {y}"
        return
    finite = np.abs(y[np.isfinite(y)])
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    same = np.allclose(x, y, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
    assert same, f"{what}: {x} against {y}"


def builtin(error: BaseException) -> type[BaseException]:
    """The built-in type that a program would catch."""
    kinds = (IndexError, ValueError, TypeError, AttributeError, RuntimeError)
    return next(kind for kind in kinds if isinstance(error, kind))


def aliases(result: Result) -> list[list[bool]]:
    """Which results share memory with which inputs."""
    inputs = [_memory(t) for t in result.call.tensors]
    return [[bool(np.shares_memory(_memory(t), m)) for m in inputs] for t in result.tensors()]


def _memory(t: Any) -> np.ndarray:
    return np.empty(0) if str(t.dtype) == "torch.bfloat16" else t.detach().resolve_conj().numpy()
