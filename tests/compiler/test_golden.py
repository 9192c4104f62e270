"""What becomes of a few small steps, stage by stage, as text: the graph that is captured, what each
pass changes, and the kernels. A difference is shown as a diff; where it is wanted, write the files
anew and look at what git says:

    python -m tests.compiler.test_golden
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rushlight as rl
from rushlight import nn
from rushlight.compiler import pipeline
from rushlight.compiler.graph import Graph
from rushlight.compiler.lower import Lowering
from rushlight.compiler.steps import Group
from rushlight.nn import functional as F

FOLDER = Path(__file__).parent / "golden"


def regression() -> tuple[Any, ...]:
    """A linear model with one update."""
    w = rl.zeros(3, requires_grad=True)
    optimizer = rl.optim.SGD([w], lr=0.1, momentum=0.9)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = ((w * x - 1) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    return step, rl.ones(3)


def classification() -> tuple[Any, ...]:
    """A layer, softmax and cross-entropy, with gradients."""
    layer = nn.Linear(4, 3)

    def step(x: Any, y: Any) -> Any:
        layer.zero_grad()
        loss = F.cross_entropy(layer(x), y)
        loss.backward()
        return loss

    return step, rl.ones(5, 4), rl.zeros(5, dtype=rl.int64)


def normalisation() -> tuple[Any, ...]:
    """Rows less their mean, then an activation, forward only."""
    weight, bias = rl.ones(8), rl.zeros(8)
    return lambda x: F.gelu(F.layer_norm(x, (8,), weight, bias)), rl.ones(4, 8)


def views_and_writes() -> tuple[Any, ...]:
    """A buffer that is written through a view, and read transposed."""
    buffer = rl.zeros(3, 4)

    def step(x: Any) -> Any:
        buffer[1:] += x.t()[:2]
        return buffer.t() * 2, buffer.sum(0)

    return step, rl.ones(4, 3)


def running_statistics() -> tuple[Any, ...]:
    """Batch normalisation of images in training: buffers, and equal things computed once."""
    norm = nn.BatchNorm2d(2)

    def step(x: Any) -> Any:
        with rl.no_grad():
            return F.relu(norm(x)) + F.relu(norm(x))

    return step, rl.ones(2, 2, 3, 3)


STEPS: dict[str, Callable[[], tuple[Any, ...]]] = {
    f.__name__: f
    for f in (regression, classification, normalisation, views_and_writes, running_statistics)
}


def captured(make: Callable[[], tuple[Any, ...]]) -> Graph:
    """The graph of a step."""
    rl.manual_seed(0)
    step, *arguments = make()
    run = rl.compile(step, fullgraph=True)
    for _ in range(2):
        run(*arguments)
    (variants,) = run._compiled.variants.values()
    graph: Graph = variants[0].graph
    return graph


def rendered(make: Callable[[], tuple[Any, ...]]) -> str:
    """All stages of a step, the parts headed by their names."""
    graph = captured(make)
    parts = [f"# {make.__doc__}", "", "## captured", str(graph)]
    stages = [*pipeline.PASSES, *pipeline.EXPANSION]
    for stage in stages:
        after = stage(graph)
        if str(after) != str(graph):
            changes = difflib.unified_diff(
                str(graph).splitlines(), str(after).splitlines(), n=0, lineterm=""
            )
            parts += ["", f"## {stage.__name__}"]
            parts += [line for line in changes if not line.startswith(("---", "+++", "@@"))]
        graph = after
    parts += ["", "## lowered"]
    for step in Lowering(graph).steps:
        if isinstance(step, Group):
            parts.append(str(step.kernel))
        else:
            parts += [f"{type(step).__name__.lower()} {node}" for node in step.nodes]
    return "\n".join(parts) + "\n"


@pytest.mark.parametrize("name", STEPS)
def test_stages(name: str) -> None:
    pytest.importorskip("llvmlite", reason="without it, steps are not lowered")
    file = FOLDER / f"{name}.txt"
    expected, found = file.read_text(encoding="utf-8"), rendered(STEPS[name])
    diff = difflib.unified_diff(
        expected.splitlines(), found.splitlines(), str(file.name), "now", lineterm=""
    )
    assert expected == found, "\n" + "\n".join(diff) + f"\n\nWanted? {__doc__}"


def test_every_file_has_its_step() -> None:
    assert {f.stem for f in FOLDER.glob("*.txt")} == set(STEPS)


if __name__ == "__main__":
    for name, make in STEPS.items():
        (FOLDER / f"{name}.txt").write_text(rendered(make), encoding="utf-8")
