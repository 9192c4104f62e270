"""The generators of GPUs. ``torch.manual_seed`` seeds them too. Without a GPU there are none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rushlight import devices, gpu
from rushlight.core.generator import Generator, generator_on
from rushlight.core.tensor import Tensor


def default_generators() -> tuple[Generator, ...]:
    """The generator that each GPU uses where none is named."""
    return tuple([generator_on(driver.index) for driver in gpu.drivers()])


def _of(device: Any) -> Generator:
    return generator_on(devices.find_gpu(device).index)


def manual_seed(seed: int) -> None:
    """Start the stream of ``seed`` on the current GPU; without a GPU nothing changes."""
    if gpu.drivers():
        _of(None).manual_seed(int(seed))


def manual_seed_all(seed: int) -> None:
    """Start the stream of ``seed`` on all GPUs."""
    for generator in default_generators():
        generator.manual_seed(int(seed))


def seed() -> None:
    """Start a stream that the operating system chooses on the current GPU, if there is one."""
    if gpu.drivers():
        _of(None).seed()


def seed_all() -> None:
    """Start one stream that the operating system chooses on all GPUs."""
    chosen: int | None = None
    for generator in default_generators():
        chosen = generator.seed() if chosen is None else chosen
        generator.manual_seed(chosen)


def initial_seed() -> int:
    """The seed that the current GPU's stream started from. RuntimeError without a GPU."""
    return _of(None).initial_seed()


def get_rng_state(device: Any = "cuda") -> Tensor:
    """The state of a GPU's generator, a tensor of bytes on the CPU. RuntimeError without a GPU."""
    return _of(device).get_state()


def set_rng_state(new_state: Tensor, device: Any = "cuda") -> None:
    """Go on where ``new_state`` was taken. RuntimeError without a GPU."""
    _of(device).set_state(new_state)


def get_rng_state_all() -> list[Tensor]:
    """The states of all GPUs' generators."""
    return [generator.get_state() for generator in default_generators()]


def set_rng_state_all(new_states: Iterable[Tensor]) -> None:
    """Set the states that ``get_rng_state_all`` gave."""
    for index, state in enumerate(new_states):
        set_rng_state(state, index)
