import torch.utils.collect_env as theirs

import rushlight
from rushlight.utils import collect_env


def test_facts_have_torchs_names():
    info = collect_env.get_env_info()
    assert info._fields == theirs.SystemEnv._fields
    assert info.torch_version == rushlight.__version__
    assert f"numpy=={__import__('numpy').__version__}" in info.pip_packages


def test_report(capsys):
    collect_env.main()
    printed = capsys.readouterr().out
    assert printed.startswith("Collecting environment information...\n")
    assert f"PyTorch version: {rushlight.__version__}" in printed
    assert "Is CUDA available: " in printed


def test_run():
    assert collect_env.run("echo one; exit 3") == (3, "one", "")
    assert collect_env.run(["echo", "two"]) == (0, "two", "")
    assert collect_env._asked("no-such-program") is None


def test_other_texts():
    assert rushlight.__config__.parallel_info().startswith("ATen/Parallel:")
    assert rushlight.random.thread_safe_generator() is None
    assert rushlight.thread_safe_generator is rushlight.random.thread_safe_generator
