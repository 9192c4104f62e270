"""Compiled steps whose programs are CUDA C, which an emulator runs on the processor."""

import re

import numpy as np
import pytest

import rushlight as torch
from rushlight import gpu, nn
from tests.compiler.cuda_emulator import needs_compiler
from tests.compiler.emulated import EmulatedDriver
from tests.gpu.programs import close, devices, variants

pytestmark = [
    needs_compiler,
    pytest.mark.filterwarnings("ignore:.*has no GPU kernel:UserWarning"),
    pytest.mark.filterwarnings("error:compile.*:UserWarning"),
]


@pytest.fixture(autouse=True)
def emulated(gpus):
    """A GPU with kernels for programs; eager ops run on the host, where they are quick."""
    if gpus is None:
        pytest.skip("test_compile.py runs on real GPUs")
    before = gpu.replace([EmulatedDriver()])
    yield
    gpu.replace(before)


def classifier(device, optimizer):
    torch.manual_seed(0)
    table, layer = nn.Embedding(5, 3).to(device), nn.Linear(3, 4).to(device)
    optimizer = optimizer([*table.parameters(), *layer.parameters()])

    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(layer(table(x)), y)
        loss.backward()
        optimizer.step()
        return loss.detach(), loss.item()

    return step


def test_a_step_and_what_is_said_of_it():
    adam = lambda p: torch.optim.Adam(p, lr=0.1)  # noqa: E731
    plain, step = classifier("cpu", adam), classifier("cuda", adam)
    compiled = torch.compile(step)
    for _ in range(5):
        x, y = torch.randint(0, 5, (6,)), torch.randint(0, 4, (6,))
        (a, read), (b, found) = plain(x, y), compiled(x.cuda(), y.cuda())
        close(a, b)
        assert found == pytest.approx(read)
    (variant,) = variants(compiled)
    assert devices(variant) == ["cpu", "cuda"]
    text = torch.compiler.explain(compiled)
    assert "program on cpu" in text and "recorded for the memory" in text
    section = text.split("program on cuda:0\n")[1].split("recorded")[0]
    lines = section.strip().split("\n")
    assert len(lines) == len(variant.program.stages[1].program.lowering.steps)
    assert all([re.match(r"GPU  \w+ \(.*\): \w+", line) for line in lines])
    bad = torch.tensor([0, 1, 2, 3, 4, 5]).cuda()
    with pytest.raises(IndexError):
        compiled(bad, torch.zeros(6, dtype=torch.int64).cuda())


def test_what_has_no_kernel_is_named():
    compiled = torch.compile(lambda x: torch.linalg.eigvalsh(x @ x.t()).sum() * 2)
    for _ in range(3):
        x = torch.randn(3, 3)
        close(torch.linalg.eigvalsh(x @ x.t()).sum() * 2, compiled(x.cuda()))
    text = torch.compiler.explain(compiled)
    assert re.search(r"^CPU  call \(3,\): Eig", text, re.M)
    assert re.search(r"started step by step: Eig\w* have no GPU kernel", text)


def test_what_was_recorded_is_started_as_a_whole():
    step = classifier("cuda", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.5))
    plain = classifier("cpu", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.5))
    compiled, kept, expected = torch.compile(step), [], []
    for k in range(9):
        x, y = torch.randint(0, 5, (6,)), torch.randint(0, 4, (6,))
        expected.append(plain(x, y)[0])
        kept.append(compiled(x.cuda(), y.cuda())[0])
        if k == 6:
            (variant,) = variants(compiled)
            (stage,) = variant.program.stages
            started = len(stage.program.recorded)
    for a, b in zip(expected, kept, strict=True):
        close(a, b)
    assert variant.buffers.renewed <= len(variant.leaves)  # nobody keeps gradients
    assert len(stage.program.recorded) == started
    assert all([callable(work) for work in [*stage.program.recorded.values()][-1:]])


@pytest.mark.parametrize("size", [8, 16, 64, 72, 512, 520, 4000, 4008, 12])
def test_bytes_of_the_host_are_written_in_order_of_work(size):
    driver = gpu.driver()
    memory = driver.take(5000)
    before, raw = driver.get(memory, 0, 5000), np.arange(size).astype(np.uint8)
    driver.machine.write(raw, memory, 16)
    after = driver.get(memory, 0, 5000)
    assert np.array_equal(after[16 : 16 + size], raw)
    assert np.array_equal(after[:16], before[:16])
    assert np.array_equal(after[16 + size :], before[16 + size :])
    assert driver.copies.count("put") == (0 if size <= 4000 and size % 8 == 0 else 1)
