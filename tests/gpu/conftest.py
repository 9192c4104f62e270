"""Where tests of GPUs run: on simulated ones everywhere, and where there is one, on a real one."""

import pytest

import rushlight
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
