"""What took long to write is kept on disk: launches of templates, and whole programs.

Note [Programs on disk]
A program's plan and its machine code are one file, whose name is a hash of all that they depend on:
the graph as it came from the trace, the source code of the compiler and of the ops, the processor,
and the versions of what helps. A process that traces the same graph again loads the file and
neither lowers the graph nor reads kernels one by one. Files are sealed with a hash of their content
and take their names when they are whole, so that other processes may write them too. Programs of
ops that are not rushlight's, and those that call ops, are not kept.
"""

from __future__ import annotations

import functools
import hashlib
import json
import pickle
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rushlight import dtypes
from rushlight.compiler import disk
from rushlight.compiler.backends.llvm import jit
from rushlight.compiler.backends.llvm.launch import Launch
from rushlight.compiler.graph import Graph, Value
from rushlight.core.op import Op

if TYPE_CHECKING:
    from rushlight.compiler.backends.llvm.plan import Plan

SOURCES = ("*.py", "core/**/*.py", "ops/**/*.py", "compiler/**/*.py")
OURS = ("rushlight.core.", "rushlight.ops.", "rushlight.compiler.")
PLAIN = frozenset((int, float, bool, complex, str, type(None), type(...), bytes))
FILLING = ("Fill", "Copy")  # ops that write over their first input
LARGEST = 1 << 22  # bytes of constants in a program that is kept


@functools.cache
def compiler() -> str:
    """The hash of the source of the compiler and the ops; empty where that is not at hand."""
    root = Path(__file__).parents[3]
    files = sorted([path for pattern in SOURCES for path in root.glob(pattern)])
    sources = [path.read_bytes() for path in files]
    return hashlib.sha256(b"\0".join(sources)).hexdigest() if files else ""


# Templates


def recalled(key: Any, write: Callable[[], list[Launch]]) -> list[Launch]:
    """What ``write`` returns, or returned to another process that had the same compiler. All that
    it depends on besides is in ``key``.
    """
    folder = disk.cache_folder()
    if folder is None or not compiler():
        return write()
    path = folder / jit.key_of(f"{compiler()} {key!r}")
    found = disk.load_file(path)
    if found is not None:
        return [launch(fields) for fields in json.loads(found)]
    launches = write()
    disk.save(path, json.dumps([asdict(x) for x in launches]).encode())
    return launches


def launch(fields: dict[str, Any]) -> Launch:
    """A launch that was read from disk."""
    operands = tuple([tuple(operand) for operand in fields.pop("operands")])
    return Launch(operands=operands, numbers=(*fields.pop("numbers"),), **fields)


# Programs, see Note [Programs on disk]


MOST_RECENT = 16  # programs whose plans are kept in memory
recent: dict[str, tuple[Plan, list[int]]] = {}  # by their names


def program(name: str | None, on_disk: bool) -> tuple[Plan, list[int]] | None:
    """The plan of a graph with a name and the addresses of its kernels, if the graph before was the
    same, or a recent one, or if they are on disk and may be taken from there.
    """
    found = None if name is None else recent.get(name)
    path = path_of(name) if found is None and on_disk else None
    body = None if path is None else disk.load_file(path)
    if name is not None and body is not None:
        plan, bodies = pickle.loads(body)
        found = remember(name, plan, jit.link(bodies))
    return found


def remember(name: str, plan: Plan, code: list[int]) -> tuple[Plan, list[int]]:
    """Keep the plan of a graph with a name in memory: the first two calls of a function mostly do
    the same.
    """
    while len(recent) >= MOST_RECENT:
        recent.pop(next(iter(recent)), None)
    recent[name] = plan, code
    return plan, code


def forget() -> None:
    """Plan and compile, or read from disk, every program anew; what was loaded stays loaded."""
    recent.clear()
    jit.forget()


def keep_program(
    name: str | None, plan: Plan, bodies: dict[str, bytes], code: list[int], on_disk: bool
) -> None:
    """Keep the plan of a graph with a name, with the machine code of its kernels."""
    calls = any([type(part) is not tuple for part in plan.parts])
    constants = sum([x.nbytes for x in plan.constants if type(x) is not int])
    if name is None or calls or constants > LARGEST:
        return
    remember(name, plan, code)
    path = path_of(name) if on_disk else None
    if path is not None:
        disk.save(path, pickle.dumps((plan, bodies), pickle.HIGHEST_PROTOCOL))


def name_of(graph: Graph, engines: list[Any]) -> str | None:
    """What tells a graph's program from all others, those of other compilers, too; None where that
    cannot be told.
    """
    try:
        text = described(graph, engines)
    except TypeError:
        return None
    about = (compiler(), jit.vector_bits(), sys.version, np.__version__, dtypes.get_default_dtype())
    return jit.key_of(f"program {about} {text}")


def path_of(name: str | None) -> Path | None:
    """Where the program of a name is kept; None for nowhere."""
    folder = disk.cache_folder()
    return None if folder is None or name is None or not compiler() else folder / name


def described(graph: Graph, engines: list[Any]) -> str:
    """All that programs of a graph depend on; TypeError if that cannot be told."""
    numbers = {id(e): k for k, e in enumerate(engines)}

    def spelled(x: Any) -> str:
        kind = x.__class__
        if kind is Value:
            return f"%{x.number}"
        if kind in PLAIN:
            return repr(x)
        if kind is tuple or kind is list:
            return f"{kind.__name__}({','.join([spelled(v) for v in x])})"
        if kind is slice:
            return f"slice({spelled(x.start)},{spelled(x.stop)},{spelled(x.step)})"
        if kind is dict:
            return f"{{{','.join([f'{spelled(k)}:{spelled(v)}' for k, v in x.items()])}}}"
        if isinstance(x, (np.dtype, np.generic)):
            return repr(x)
        if kind is np.ndarray and not x.dtype.hasobject:
            return f"{x.dtype}{x.shape}{hashlib.sha256(x.tobytes()).hexdigest()}"
        if id(x) in numbers:
            return f"engine {numbers[id(x)]}"
        if isinstance(x, Op) and kind.__module__.startswith(OURS) and kind.instance is x:
            return f"{kind.__module__}.{kind.__qualname__}"
        raise TypeError(f"{kind} in a graph")

    told = contents(graph)
    lines = [
        f"{i.value.describe()} {i.kind} {i.strides} "
        f"{spelled(i.source) if i.value.number in told else ''}"
        for i in graph.inputs
    ]
    lines += [
        f"{[v.describe() for v in n.outputs]} {spelled(n.op)} {spelled(n.inputs)}"
        f"{spelled(n.params)}"
        for n in graph.nodes
    ]
    positions = {id(i): k for k, i in enumerate(graph.inputs)}
    updates = [(positions[id(i)], v) for i, v in graph.updates]
    lines.append(f"{graph.results} {updates} {graph.fresh} {graph.laid} {graph.count}")
    return "\n".join(lines)


def contents(graph: Graph) -> set[int]:
    """The constants whose elements are read. Others are memory that the first op fills, in which
    anything may be.
    """
    read = {v.number for v in graph.ends()}
    for n in graph.nodes:
        fills = "engine" in n.params or type(n.op).__name__ in FILLING
        read |= {v.number for v in n.inputs[fills:] if isinstance(v, Value)}
    return read & {i.value.number for i in graph.inputs if i.kind == "constant"}
