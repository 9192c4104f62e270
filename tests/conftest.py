"""Settings every test shares: one thread, a known default state, and hardware marks."""

import gc

import numpy
import pytest
import torch

import rushlight
from rushlight.compiler import eager, pipeline
from rushlight.compiler.backends.llvm import recall

pipeline.checking = True  # programs are verified while they are built
torch.set_num_threads(1)
rushlight.set_num_threads(2)  # kernels share work, whatever the environment says


@pytest.fixture(autouse=True)
def fresh_state():
    """Start each test from PyTorch's defaults, so that no test depends on the one before."""
    for framework in (rushlight, torch):
        framework.manual_seed(0)
        framework.set_default_dtype(framework.float32)
    torch.distributions.Distribution.set_default_validate_args(True)  # its compile ends that
    numpy.random.seed(0)
    eager._families.clear()  # so that no test uses up the programs of the next
    eager._met.clear()
    recall.recent.clear()
    yield
    for framework in (rushlight, torch):
        framework.set_default_dtype(framework.float32)


def pytest_collection_modifyitems(items):
    """Skip tests marked ``gpu`` where there is no CUDA device, saying so."""
    if any(item.get_closest_marker("gpu") for item in items) and not rushlight.cuda.is_available():
        skip = pytest.mark.skip(reason="no CUDA device")
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(skip)


def pytest_collection_finish():
    """Let captures, which look through all objects, and the collector skip the tests themselves
    and what was imported for them: these are a million objects. Where a test leaves what a capture
    has to find, it makes that place itself.
    """
    gc.collect()
    gc.freeze()
