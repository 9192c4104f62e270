"""How programs look for a GPU, and what they do when there is none."""

import importlib

import pytest

import rushlight as torch


def test_programs_choose_the_cpu():
    device = (
        torch.accelerator.current_accelerator().type if torch.accelerator.is_available() else "cpu"
    )
    assert device == "cpu"
    assert torch.accelerator.current_accelerator() is None
    assert not (torch.cuda.is_available() or torch.mps.is_available() or torch.xpu.is_available())
    assert not torch.backends.mps.is_available()
    with pytest.raises(RuntimeError, match="none is available"):
        torch.accelerator.synchronize()


def test_switches_are_modules_that_keep_what_is_set():
    cudnn = importlib.import_module("rushlight.backends.cudnn")
    assert torch.backends.cudnn is cudnn
    with cudnn.flags(benchmark=True):
        assert torch.backends.cudnn.benchmark
    assert not cudnn.benchmark
    torch.backends.cuda.matmul.allow_tf32 = True
    assert torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    with (
        pytest.warns(FutureWarning, match="sdp_kernel"),
        torch.backends.cuda.sdp_kernel(enable_flash=False),
    ):
        assert not torch.backends.cuda.flash_sdp_enabled()
    assert torch.backends.cuda.flash_sdp_enabled()


def test_mixed_precision_for_a_gpu_does_nothing_without_one():
    amp = importlib.import_module("rushlight.cuda.amp")
    with pytest.warns(UserWarning, match="CUDA is not available"):
        scaler = amp.GradScaler()
    assert not scaler.is_enabled() and scaler.get_scale() == 1.0
    with torch.cuda.amp.autocast():
        assert (torch.ones(1, 1) @ torch.ones(1, 1)).dtype is torch.float32
    assert torch.cuda.get_rng_state_all() == []
    with pytest.raises(RuntimeError):
        torch.cuda.current_stream()


def test_mixed_precision_on_a_cpu_by_its_older_name():
    one = torch.ones(1, 1)
    with torch.cpu.amp.autocast():
        assert (one @ one).dtype is torch.bfloat16
    with torch.cpu.amp.autocast(enabled=False):
        assert (one @ one).dtype is torch.float32
    with torch.cpu.amp.autocast(dtype=torch.float16):
        assert (one @ one).dtype is torch.float16
    scaler = torch.cpu.amp.GradScaler(init_scale=4.0)
    assert scaler.is_enabled() and scaler.scale(one).item() == 4.0


def test_what_needs_a_gpu_raises_what_torch_raises():
    for call in (
        lambda: torch.ones(2, device="cuda"), lambda: torch.ones(2).cuda(1),
        lambda: torch.nn.Linear(2, 3).cuda(), lambda: torch.nn.Linear(2, 3).to("cuda:0"),
        lambda: torch.cuda.synchronize(), lambda: torch.cuda.current_device(),
        lambda: torch.cuda.get_device_name(0),
    ):  # fmt: skip
        for kind in (AssertionError, RuntimeError):
            with pytest.raises(kind, match="no CUDA device can be used"):
                call()
