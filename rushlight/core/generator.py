"""The public Generator: an engine whose state is a tensor, and the one that is used when none is
named.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import devices, gpu
from rushlight.core.device_array import DeviceArray, send
from rushlight.core.mt19937 import DEFAULT_SEED, STATE_BYTES, Engine, entropy_seed
from rushlight.core.tensor import Tensor, wrap
from rushlight.errors import DeviceError, NotSupportedError
from rushlight.gpu import Driver


class Generator(Engine):
    """A stream of random numbers of its own, equal to torch's CPU stream of the same seed.

    Args:
        device: ``"cpu"``, where the numbers are made.

    Example:
        >>> import rushlight as torch
        >>> g = torch.Generator().manual_seed(77)
        >>> torch.rand(2, generator=g)
        tensor([0.2919, 0.2857])
    """

    def __new__(cls, device: Any = "cpu") -> Generator:
        kind = GpuGenerator if devices.check(device).type == "cuda" else cls
        return object.__new__(kind)

    def __init__(self, device: Any = "cpu") -> None:
        self._device = devices.check(device)
        super().__init__(DEFAULT_SEED)

    @property
    def device(self) -> devices.device:
        """Where the numbers are made."""
        return self._device

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream of ``seed``, an int in [-2**63, 2**64); returns the generator."""
        if not hasattr(seed, "__index__"):
            raise RuntimeError(
                f"manual_seed expected a long, but got {type(seed).__name__}; pass an int."
            )
        self.reseed(seed)
        return self

    def seed(self) -> int:
        """Starts a stream that the operating system chooses; returns its seed."""
        self.reseed(entropy_seed())
        return self.seed_value

    def initial_seed(self) -> int:
        """The seed that the stream started from."""
        return self.seed_value

    def get_state(self) -> Tensor:
        """The state as 5056 bytes that torch's ``set_state`` accepts too, shape ``(5056,)``, dtype
        uint8.
        """
        return wrap(self.save())

    def set_state(self, new_state: Tensor) -> Generator:
        """Continues where ``new_state`` was taken, by rushlight or torch."""
        self.restore(checked_state(new_state))
        return self

    def clone_state(self) -> Generator:
        """Another generator that continues from the same place."""
        return Generator(self._device).set_state(self.get_state())

    def graphsafe_get_state(self) -> Generator:
        """Only generators of captured GPU graphs have it."""
        raise NotSupportedError(
            "graphsafe_get_state is not supported in this Generator; use get_state or clone_state."
        )

    def graphsafe_set_state(self, state: Any) -> Generator:
        """Only generators of captured GPU graphs have it."""
        raise NotSupportedError(
            "graphsafe_set_state is not supported in this Generator; use set_state."
        )

    def get_offset(self) -> int:
        """Only GPU generators count by offset."""
        raise RuntimeError(
            "CPU Generator does not use offset; its place in the stream is part of get_state()."
        )

    def set_offset(self, offset: int) -> Generator:
        """Only GPU generators count by offset."""
        raise RuntimeError(
            "CPU Generator does not use offset; its place in the stream is part of get_state()."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return Generator, (self._device,), (self.seed_value, None, self.get_state())

    def __setstate__(self, state: Any) -> None:
        _seed, _offset, place = state  # PyTorch's form; the last tells the seed, too
        self.set_state(place)


COUNTER_BYTES = 16


class GpuGenerator(Generator):
    """A stream of a GPU. Kernels draw from Philox, whose seed and first free counter lie in the
    GPU's memory; what they do not draw, the host does as for the CPU. The state is that of both.
    """

    _counter: DeviceArray | None = None

    def __init__(self, device: Any) -> None:
        self._seat = np.zeros(2, np.uint64)
        super().__init__(device)

    def seat(self) -> Any:
        return self._seat

    def counter(self) -> DeviceArray:
        """Seed and counter, two uint64 in the GPU's memory."""
        driver = gpu.driver(self._device.index)
        if self._counter is None or self._counter.driver is not driver:
            self._counter = send(np.array([self.seed_value, 0], np.uint64), driver)
        return self._counter

    def reseed(self, seed: int) -> None:
        super().reseed(seed)
        self._move_to(np.array([self.seed_value, 0], np.uint64).view(np.uint8))

    def _move_to(self, state: Any) -> None:
        if self._counter is not None:
            self._counter.driver.put(np.array(state), self._counter.memory, 0)

    def save(self) -> Any:
        return np.concatenate([super().save(), self.counter().fetch().view(np.uint8)])

    def restore(self, data: Any) -> None:
        if data.size == STATE_BYTES + COUNTER_BYTES:
            super().restore(data[:STATE_BYTES])
            self.counter()
            self._move_to(data[STATE_BYTES:])
        else:
            super().restore(data)

    def mark(self) -> tuple[Any, ...]:
        return (super().mark(), self.counter().fetch())

    def rewind(self, mark: tuple[Any, ...]) -> None:
        super().rewind(mark[0])
        self._move_to(mark[1].view(np.uint8))


_on_gpus: dict[int, Generator] = {}


def generator_on(index: int) -> Generator:
    """The default generator of a GPU; ``torch.manual_seed`` seeds it too."""
    found = _on_gpus.get(index)
    if found is None:
        found = _on_gpus[index] = Generator(devices.gpu(index))
        found.manual_seed(default_generator.initial_seed())
    return found


def generators_in_use() -> list[Generator]:
    """The default generators of the CPU, and of GPUs, if a program has asked for these."""
    return [default_generator, *[generator_on(driver.index) for driver in gpu.met()]]


def seed_all(seed: int) -> None:
    """Start the stream of ``seed`` in the default generators of all devices."""
    for generator in generators_in_use():
        generator.manual_seed(seed)


def checked_state(state: Any) -> np.ndarray[Any, Any]:
    """The bytes of a state tensor. TypeError or RuntimeError when it cannot be one."""
    if not isinstance(state, Tensor):
        raise TypeError(f"expected a torch.ByteTensor, but got {type(state).__name__}")
    array: np.ndarray[Any, Any] = state._array
    if array.dtype != np.uint8:
        raise TypeError(
            f"RNG state must be a torch.ByteTensor: its dtype is {array.dtype}, not uint8."
        )
    if array.size not in (STATE_BYTES, STATE_BYTES + COUNTER_BYTES):
        raise RuntimeError(
            f"RNG state: expected {STATE_BYTES} bytes, but the tensor has size {array.size}."
        )
    return array


def engine_at(place: Any, generator: Any) -> Engine:
    """The engine that an argument ``generator`` names for a tensor at a place, see
    ``devices.place``: for None the default one there.
    """
    if generator is None and place is None:
        return default_generator
    index = place.index if isinstance(place, Driver) else None
    if generator is None:
        return default_generator if index is None else generator_on(index)
    engine = engine_of(generator)
    if isinstance(engine, Generator) and engine.device.index != index:
        where = "cpu" if index is None else f"cuda:{index}"
        raise DeviceError(
            f"Expected a {where!r} device type for generator but found '{engine.device}': make it "
            f"by torch.Generator(device={where!r})."
        )
    return engine


def engine_of(generator: Any) -> Engine:
    """The engine that an argument ``generator`` names: the default one for None."""
    if generator is None:
        return default_generator
    if not isinstance(generator, Engine):
        raise TypeError(f"generator must be a torch.Generator, not {type(generator).__name__}")
    for watch in watches:
        watch.follow(generator)
    return generator


class Watch:
    """While entered, keeps the states that generators had before they were used: the default one's,
    and those of others that functions are given.
    """

    def __init__(self) -> None:
        self.before: dict[Engine, Any] = {}
        self.follow(default_generator)

    def follow(self, engine: Engine) -> None:
        """Keep the state, which is about to change."""
        if engine not in self.before:
            self.before[engine] = engine.save()

    def used(self) -> bool:
        """Whether random numbers were drawn."""
        pairs = self.before.items()
        return not all([np.array_equal(state, engine.save()) for engine, state in pairs])

    def now(self) -> dict[Engine, Any]:
        """The states that they have."""
        return {engine: engine.save() for engine in self.before}

    def restore(self) -> None:
        """Put all generators back to where they were."""
        put(self.before)

    def __enter__(self) -> Watch:
        watches.append(self)
        return self

    def __exit__(self, *error: Any) -> None:
        watches.remove(self)


watches: list[Watch] = []


def put(states: dict[Engine, Any]) -> None:
    """Let engines have these states."""
    for engine, state in states.items():
        engine.restore(state)


default_generator = Generator()
default_generator.seed()  # like torch, another stream in every process until manual_seed
