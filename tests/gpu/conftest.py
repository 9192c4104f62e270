"""Where tests of GPUs run: on simulated ones everywhere, and where there is one, on a real one."""

import pytest

import rushlight
from rushlight.core import device_array
from tests.gpu.simulated import simulated

KINDS = ["simulated"]
if rushlight.cuda.is_available():
    KINDS.append(pytest.param("real", marks=pytest.mark.gpu))


@pytest.fixture(params=KINDS, autouse=True)
def gpus(request):
    """The GPUs of a test: two simulated ones, without kernels, or those of this machine."""
    if request.param == "real":
        yield None
        return
    kernels = vars(device_array.gpu_kernels)
    before = dict(kernels)
    device_array.provide(lambda: None)
    with simulated(2) as drivers:
        yield drivers
    kernels.clear()
    kernels.update(before)
