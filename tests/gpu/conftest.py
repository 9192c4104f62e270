"""Where tests of GPUs run: on simulated ones everywhere, and where there is one, on a real one."""

import contextlib

import pytest

import rushlight
from tests.gpu.programs import on_host
from tests.gpu.simulated import simulated

KINDS = ["simulated"]
if rushlight.cuda.is_available():
    KINDS.append(pytest.param("real", marks=pytest.mark.gpu))


@pytest.fixture(params=KINDS, autouse=True)
def gpus(request):
    """The GPUs of a test: two simulated ones, or those of this machine."""
    if request.param == "real":
        yield None
        return
    with simulated(2) as drivers:
        yield drivers


@pytest.fixture
def programs(gpus):
    """What runs graphs: ops on copies for simulated GPUs, real programs for real ones."""
    with on_host() if gpus is not None else contextlib.nullcontext():
        yield
