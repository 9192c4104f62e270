"""Memory that a training step frees serves the next one, and is not given back in between."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import resource
import rushlight as torch

w = torch.randn(64, 64, requires_grad=True)
x = torch.randn(4096, 64)


def step():
    y = x
    for _ in range(8):
        y = torch.relu(y @ w)  # a megabyte each
    y.sum().backward()


def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


for _ in range(3):
    step()
before = faults()
for _ in range(10):
    step()
print((faults() - before) / 10)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is about the GNU C library")
def test_steps_use_freed_memory_again():
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
    )
    assert float(finished.stdout) < 500  # pages; a step makes 16 megabytes, which are 4096
