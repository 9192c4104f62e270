"""Settings of the process, and functions that were removed: as torch's."""

import os
import subprocess
import sys

import pytest
import torch

import rushlight as rl

# a setting, what it is set to, and what it was
SETTINGS = """
    is_autocast_enabled('cpu')      set_autocast_enabled('cpu', {})     True        False
    get_autocast_dtype('cpu')       set_autocast_dtype('cpu', {})       t.float16   t.bfloat16
    is_autocast_cpu_enabled()       set_autocast_cpu_enabled({})        True        False
    get_autocast_cpu_dtype()        set_autocast_cpu_dtype({})          t.float16   t.bfloat16
    get_autocast_gpu_dtype()        set_autocast_gpu_dtype({})          t.bfloat16  t.float16
    is_anomaly_enabled()            set_anomaly_enabled({})             True        False
    is_anomaly_check_nan_enabled()  set_anomaly_enabled(True, {})       False       True
    is_warn_always_enabled()        set_warn_always({})                 True        False
    get_float32_matmul_precision()  set_float32_matmul_precision({})    'high'      'highest'
    get_default_dtype()             set_default_tensor_type(t.{}Tensor) Double      Float
"""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "setting", [line.split() for line in SETTINGS.strip().splitlines()], ids=lambda s: s[0]
)
def test_settings(setting):
    ask, (other, usual) = setting[0], setting[-2:]
    change = " ".join(setting[1:-2])
    calls = ask, change.format(other), ask, change.format(usual), ask
    seen = []
    for lib in (rl, torch):
        seen.append([str(eval(f"t.{call}", {"t": lib})) for call in calls])
        lib.set_anomaly_enabled(False)
    assert seen[0] == seen[1]
    assert seen[0][0] == seen[0][4] != seen[0][2]


def test_settings_without_an_answer():
    """Denormal numbers are kept, converted weights are not, and no threads run operations apart."""
    rl.set_autocast_cache_enabled(True)
    assert not rl.is_autocast_cache_enabled()
    assert rl.clear_autocast_cache() is None and rl.set_flush_denormal(False) is False
    assert rl.get_num_interop_threads() == 1
    rl.set_num_interop_threads(1)


@pytest.mark.parametrize("name", ["symeig", "eig", "lstsq", "solve", "matrix_rank"])
def test_removed(name):
    for lib in (rl, torch):
        with pytest.raises(RuntimeError, match=r"torch\.linalg\."):
            getattr(lib, name)(lib.ones(2, 2), *[lib.ones(2, 2)] * (name in ("lstsq", "solve")))


def test_switches_of_other_libraries():
    from rushlight import backends

    assert not backends.nnpack.is_available() and not backends.cusparselt.is_available()
    assert backends.cusparselt.version() is backends.cusparselt.get_max_alg_id() is None
    with backends.nnpack.flags(enabled=False):
        assert backends.nnpack.set_flags(False) == (False,)
    assert backends.nnpack.set_flags(True) == (True,)
    assert not backends.xnnpack.enabled
    assert backends.quantized.engine in backends.quantized.supported_engines
    assert backends.mha.get_fastpath_enabled()
    backends.mha.set_fastpath_enabled(False)
    assert not backends.mha.get_fastpath_enabled()
    backends.mha.set_fastpath_enabled(True)


@pytest.mark.parametrize(
    "said",
    [{"OMP": "1"}, {"OMP": "1", "MKL": "2"}, {"OMP": "2", "MKL": "1"}]
    + [{"OMP": "1,2"}, {"OMP": "many"}, {"OMP": "1000"}],
    ids=str,
)
def test_threads_that_the_environment_asks_for(said):
    variables = {f"{name}_NUM_THREADS": number for name, number in said.items()}
    outside = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    code = "import {} as torch; print(torch.get_num_threads())"
    found = [
        subprocess.run(
            [sys.executable, "-c", code.format(name)],
            env={**outside, **variables},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name in ("rushlight", "torch")
    ]
    assert found[0] == found[1]
