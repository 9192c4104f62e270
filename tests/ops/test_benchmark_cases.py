"""The cases of benchmarks/ops.py run and agree with torch, also with few elements."""

import sys
from pathlib import Path

import pytest
import torch

import rushlight

FOLDER = str(Path(__file__).parents[2] / "benchmarks")
sys.path.insert(0, FOLDER)
try:
    import ops
finally:
    sys.path.remove(FOLDER)


@pytest.mark.parametrize("n", [10, 1000])
@pytest.mark.parametrize("family", sorted({case.family for case in ops.read_cases()}))
def test_results_agree(family, n):
    for case in ops.read_cases():
        if case.family == family:
            results = []
            for fw in (rushlight, torch):
                fw.manual_seed(0)
                results.append(ops.prepare(fw, case, n)())
            if not case.unchecked:
                assert ops.difference(*results) is None, case.name
