"""What a report of an error should say of the machine, for ``python -m``."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from typing import NamedTuple

from rushlight import gpu
from rushlight.version import __version__

__all__ = ["SystemEnv", "get_env_info", "get_pretty_env_info", "main", "run"]

PACKAGES = "rushlight numpy scipy llvmlite cupy torch torchvision torchaudio mypy triton"


class SystemEnv(NamedTuple):
    """The facts; None where there is no such thing, or no way to know."""

    torch_version: str
    is_debug_build: str
    cuda_compiled_version: str | None
    gcc_version: str | None
    clang_version: str | None
    cmake_version: str | None
    os: str
    libc_version: str
    python_version: str
    python_platform: str
    is_cuda_available: str
    cuda_runtime_version: str | None
    cuda_module_loading: str | None
    nvidia_driver_version: str | None
    nvidia_gpu_models: str | None
    cudnn_version: str | None
    is_xpu_available: str
    pip_version: str
    pip_packages: str
    conda_packages: str | None
    hip_compiled_version: str | None
    hip_runtime_version: str | None
    miopen_runtime_version: str | None
    caching_allocator_config: str
    is_xnnpack_available: str
    cpu_info: str


def run(command: str | list[str]) -> tuple[int, str, str]:
    """The exit code, the output and the errors of a command, stripped."""
    done = subprocess.run(command, shell=isinstance(command, str), capture_output=True, text=True)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def _asked(*command: str) -> str | None:
    """The output of a program; None where it is not there or fails."""
    if shutil.which(command[0]) is None:
        return None
    code, out, _ = run(list(command))
    return out if code == 0 else None


def _first(text: str | None) -> str | None:
    return text.splitlines()[0] if text else None


def _packages() -> str:
    """Those packages that matter here, as pip lists them."""
    found = []
    for name in PACKAGES.split():
        try:
            found.append(f"[pip3] {name}=={importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return "\n".join(found)


def _processor() -> str:
    return f"{platform.machine()} {platform.processor()}, {os.cpu_count()} CPUs".strip()


def get_env_info() -> SystemEnv:
    """The facts about this machine and what is installed."""
    gpus = _asked("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    driver = _asked("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    return SystemEnv(
        torch_version=__version__,
        is_debug_build="False",
        cuda_compiled_version=None,
        gcc_version=_first(_asked("gcc", "--version")),
        clang_version=_first(_asked("clang", "--version")),
        cmake_version=_first(_asked("cmake", "--version")),
        os=f"{platform.platform()} ({platform.machine()})",
        libc_version="-".join(platform.libc_ver()) or "N/A",
        python_version=f"{sys.version} ({sys.maxsize.bit_length() + 1}-bit runtime)".replace(
            "\n", ""
        ),
        python_platform=platform.platform(),
        is_cuda_available=str(bool(gpu.drivers())),
        cuda_runtime_version=None,
        cuda_module_loading=os.environ.get("CUDA_MODULE_LOADING"),
        nvidia_driver_version=_first(driver),
        nvidia_gpu_models=gpus,
        cudnn_version=None,
        is_xpu_available="False",
        pip_version="pip3",
        pip_packages=_packages(),
        conda_packages=None,
        hip_compiled_version=None,
        hip_runtime_version=None,
        miopen_runtime_version=None,
        caching_allocator_config=os.environ.get("PYTORCH_ALLOC_CONF", "N/A"),
        is_xnnpack_available="False",
        cpu_info=_processor(),
    )


TITLES = {  # in the order of the report
    "torch_version": "PyTorch version",
    "is_debug_build": "Is debug build",
    "cuda_compiled_version": "CUDA used to build PyTorch",
    "os": "OS",
    "gcc_version": "GCC version",
    "clang_version": "Clang version",
    "cmake_version": "CMake version",
    "libc_version": "Libc version",
    "python_version": "Python version",
    "python_platform": "Python platform",
    "is_cuda_available": "Is CUDA available",
    "nvidia_gpu_models": "GPU models and configuration",
    "nvidia_driver_version": "Nvidia driver version",
    "is_xpu_available": "Is XPU available",
    "cpu_info": "CPU",
}


def pretty_str(envinfo: SystemEnv) -> str:
    """The facts as text, a line each."""
    facts = envinfo._asdict()
    lines = [
        f"{title}: {'Could not collect' if facts[name] is None else facts[name]}"
        for name, title in TITLES.items()
    ]
    return "\n".join([*lines, "", "Versions of relevant libraries:", envinfo.pip_packages])


def get_pretty_env_info() -> str:
    """A report of this machine and what is installed, as text.

    Example:
        >>> from rushlight.utils.collect_env import get_pretty_env_info
        >>> get_pretty_env_info().splitlines()[1]
        'Is debug build: False'
    """
    return pretty_str(get_env_info())


def main() -> None:
    """Print the report."""
    print("Collecting environment information...")
    print(get_pretty_env_info())


if __name__ == "__main__":
    main()
