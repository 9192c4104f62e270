"""Single nodes: their CUDA templates, in the emulator, against the op's own code. Where there is a
GPU, what it makes of the same launches is compared with what the emulator does.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from rushlight import gpu
from rushlight.compiler.backends.cuda import templates
from rushlight.compiler.backends.cuda.launch import SHARED, Launch
from rushlight.compiler.backends.cuda.machine import OPTIONS, machine_of
from rushlight.compiler.backends.cuda.prelude import PRELUDE
from rushlight.compiler.graph import Graph, Node
from rushlight.compiler.windows import Windows
from rushlight.core.native import without_kernels
from tests.compiler.cuda_emulator import run


def node_of(op: Any, arrays: list[Any], **params: Any) -> tuple[Node, list[Any], Graph]:
    """A node, what the op's own code makes of the arrays, and the graph that it is alone in."""
    graph = Graph()
    inputs = [a if a is None else graph.value(a.shape, a.dtype) for a in arrays]
    node = Node(op.instance, inputs, params, [])
    with without_kernels(), np.errstate(all="ignore"):
        expected = op.instance.eager(np, *arrays, **params)
    expected = [
        np.asarray(a) for a in (expected if type(expected) in (tuple, list) else [expected])
    ]
    node.outputs = [graph.value(a.shape, a.dtype) for a in expected]
    graph.nodes = [node]
    return node, expected, graph


def run_launches(launches: list[Launch], operands: list[Any]) -> None:
    """Run launches on arrays, by their positions; what is scratch memory begins as anything."""
    there = None if gpu_here() is None else on_gpu(gpu_here(), launches, operands)
    scratch = np.full(max([n.scratch for n in launches]) + 1, 0x5A, np.uint8)
    for launch in launches:
        run(launch, [scratch if k == SHARED else operands[k] for k, _ in launch.operands])
    for a, b in zip(there or (), operands, strict=there is not None):
        if b is not None:
            agree(a, in_rows(b), 1e-4)


@functools.cache
def gpu_here() -> Any:
    """What runs launches on the first GPU, or None."""
    found = [driver for driver in gpu.drivers() if isinstance(driver, gpu.CupyDriver)]
    return machine_of(found[0]) if found else None


def in_rows(a: np.ndarray) -> np.ndarray:
    """The elements of a dense array as they lie in memory."""
    return as_strided(a, (a.size,), (a.itemsize,))


def on_gpu(machine: Any, launches: list[Launch], operands: list[Any]) -> list[Any]:
    """What launches leave in copies of the operands on a GPU, as they lie in memory."""
    driver, memory = machine.driver, []
    for a in operands:
        memory.append(None if a is None else driver.take(a.nbytes))
        if a is not None:
            driver.put(in_rows(a).view(np.uint8), memory[-1], 0)
    scratch = driver.take(max([n.scratch for n in launches]))
    for launch in launches:
        at = [((scratch if k == SHARED else memory[k]), offset) for k, offset in launch.operands]
        machine.prepare(launch)([m.pointer + offset for m, offset in at])
    driver.synchronize()
    given = zip(operands, memory, strict=True)
    return [None if a is None else driver.get(m, 0, a.nbytes).view(a.dtype) for a, m in given]


def garbage(shape: Any, d: Any) -> np.ndarray:
    """An array of what nobody expects."""
    out = np.empty(shape, d)
    out.reshape(-1).view(np.uint8)[...] = 0x5A
    return out


def made(node: Node, arrays: list[Any], windows: Any = None) -> list[np.ndarray]:
    """What a node's template makes of arrays; it runs twice, with equal bits."""
    launches = templates.launches(node, windows)
    found = []
    for _ in range(2):
        outputs = [garbage(v.shape, v.dtype) for v in node.outputs]
        run_launches(launches, [*arrays, *outputs])
        found.append(outputs)
    for a, b in zip(*found, strict=True):
        assert a.tobytes() == b.tobytes()
    return found[0]


TARGETS = ("sm_80", "sm_90")  # the oldest and the newest GPU that we know


def check(
    op: Any, *arrays: Any, tolerance: float = 1e-6, targets: Any = TARGETS, **params: Any
) -> list[np.ndarray]:
    """A template against the op's own code; its texts compile. Returns what was made."""
    given = [a if a is None else np.ascontiguousarray(a) for a in arrays]
    node, expected, graph = node_of(op, given, **params)
    assert templates.supported(node)
    windows = Windows(graph)
    outputs = made(node, given, windows)
    for x, y in zip(outputs, expected, strict=True):
        agree(x, y, tolerance)
    for launch in templates.launches(node, windows):
        compiles(launch.text, targets)
    return outputs


def agree(x: np.ndarray, y: np.ndarray, tolerance: float) -> None:
    """Equal integers, and floats up to a tolerance; halves up to their last bit."""
    assert x.dtype == y.dtype
    if x.dtype.kind in "iub":
        np.testing.assert_array_equal(x, y)
        return
    if x.dtype.itemsize == 2:
        tolerance = max(tolerance, 1e-3 if x.dtype == np.float16 else 8e-3)
        x, y = x.astype(np.float32), y.astype(np.float32)
    np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


@functools.cache
def compiler() -> Any:
    """NVRTC, of a wheel, or None where there is none."""
    found = importlib.util.find_spec("nvidia")
    for folder in found.submodule_search_locations or () if found else ():
        for path in sorted(Path(folder).glob("*/lib/libnvrtc.so.*")):
            if ".alt." not in path.name:
                return ctypes.CDLL(str(path))
    return None


def compiles(text: str, targets: Any = TARGETS) -> None:
    """A text compiles; without NVRTC nothing is asked, and test_there_is_a_compiler says so."""
    if compiler() is not None:
        for target in targets:
            compiled(text, target)


@functools.cache
def compiled(text: str, target: str) -> int:
    """The size of a text's code."""
    nvrtc, program = compiler(), ctypes.c_void_p()
    source = (PRELUDE + text).encode()
    assert not nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, b"k.cu", 0, None, None)
    given = [f"--gpu-architecture={target}", *OPTIONS]
    options = (ctypes.c_char_p * len(given))(*[x.encode() for x in given])
    failed = nvrtc.nvrtcCompileProgram(program, len(given), options)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    assert not failed, log.value.decode() + text
    nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size))
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return size.value


needs_nvrtc = pytest.mark.skipif(
    compiler() is None, reason="no NVRTC here: the wheel nvidia-cuda-nvrtc has no build"
)
