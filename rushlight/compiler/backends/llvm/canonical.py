"""Equal kernels on different buffers are written once: a network's layers mostly repeat."""

from __future__ import annotations

from typing import Any

from rushlight.compiler.backends.llvm import squares
from rushlight.compiler.backends.llvm.kernels import Writer
from rushlight.compiler.backends.llvm.launch import TABLE, Launch
from rushlight.compiler.forms import Form
from rushlight.compiler.loops import Kernel

MOST = 4096  # kernels remembered
_written: dict[Any, Launch] = {}


def launch_of(kernel: Kernel, width: int) -> Launch:
    """The kernel's launch for vectors of ``width`` bits, written if no equal one was before."""
    form = Form(kernel)
    key = form.key, width
    found = _written.get(key)
    if found is None:
        if len(_written) >= MOST:
            _written.clear()
        copy = squares.copy_of(kernel)
        launch = (
            squares.launch(copy, width) if copy else Writer(kernel, width, tabled=True).launch()
        )
        places = [
            (b, 0) if b == TABLE else (form.numbers[b], offset - form.starts[b])
            for b, offset in launch.operands
        ]
        found = _written[key] = launch.with_operands(places)
    own = list(form.numbers)
    return found.with_operands(
        [(k, n) if k == TABLE else (own[k], form.starts[own[k]] + n) for k, n in found.operands]
    )
