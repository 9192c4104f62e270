"""What several tests of the compiler set, and set back."""

import pytest

import rushlight
from rushlight.compiler.backends.llvm import jit


@pytest.fixture
def own_cache(tmp_path_factory, monkeypatch):
    """Machine code goes to a folder of this run, and nothing is read from elsewhere."""
    monkeypatch.setenv("RUSHLIGHT_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "objects"))


@pytest.fixture
def threads():
    """Sets the number of threads."""
    before = rushlight.get_num_threads()
    yield rushlight.set_num_threads
    rushlight.set_num_threads(before)


@pytest.fixture
def avx2(monkeypatch):
    """Code is written for a processor with AVX2."""
    monkeypatch.setenv(jit.CPU_VARIABLE, "x86-64-v3")
    jit.target.cache_clear()
    yield
    monkeypatch.delenv(jit.CPU_VARIABLE)
    jit.target.cache_clear()
