"""The inner kernel of products: a tile of the result stays in registers.

A tile has some rows of some vectors. The left operand is read in place, element by element; the
right one is a panel, packed as [depth][vectors * lanes].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm.ir.code import Code, Number
from rushlight.compiler.backends.llvm.ir.text import COMMON, Module
from rushlight.compiler.backends.llvm.products.micro import LINE, walk

# vectors of a tile -> most rows; with a row of the panel and a broadcast they fill the registers
WIDE = {1: 14, 2: 12, 3: 8, 4: 6}  # 32 registers
NARROW = {1: 8, 2: 6, 3: 4}  # 16 registers


def tile_rows(module: Module) -> dict[int, int]:
    """The most rows of tiles, by their vectors."""
    return WIDE if module.width == 512 else NARROW


def balanced(count: int, most: int) -> tuple[int, int]:
    """``count`` in as few parts of at most ``most`` as can be: size, and how many have one more."""
    parts = -(-count // most)
    return count // parts, count % parts


def by_rows(f: Code, count: int, most: int, rows: Callable[[Number, int], None]) -> None:
    """Cut rows into blocks of nearly equal sizes."""
    size, longer = balanced(count, most)
    if longer:
        f.span(0, longer * (size + 1), size + 1, lambda m, _: rows(m, size + 1))
    f.span(longer * (size + 1), count, size, lambda m, _: rows(m, size))


def ask(f: Code, t: Tile, k: Number, a: str) -> None:
    """Ask for a line of what the tile of the following rows needs of a, see ``micro``."""
    if t.step == 1:
        place = f.add(walk(f, k, t.lda), t.rows * t.lda)
        f.prefetch(f.past("%a", f.mul(place, f.size)))
    else:
        f.prefetch(f.past(a, max(LINE, (2 * t.rows - 1) * f.size)))


@dataclass(frozen=True)
class Tile:
    """``c[i, v] (+)= sum_k a[i, k] b[k, v]``, rows of a and c ``lda`` and ``ldc`` elements apart.

    ``runs``: (offset in a row of c, lanes) of each vector. ``bias``: one value per row is added.
    """

    rows: int
    lda: int
    ldc: int
    runs: tuple[tuple[int, int], ...]
    bias: bool = False
    step: int = 1  # elements between neighbours of a row of a
    asks: bool = False  # for what the tile of the following rows needs of a

    def name(self, d: np.dtype[Any]) -> str:
        """What the function is called."""
        text = Code.module_key(repr((self, d.str)))
        return f"tile{self.rows}x{len(self.runs)}_{text}"


def tile(module: Module, d: np.dtype[Any], t: Tile) -> str:
    """The function ``(a, b, c, depth, first, bias)`` that computes a tile; ``first``: c is new."""
    return module.common((t, d), lambda module: write_tile(module, d, t))


def write_tile(module: Module, d: np.dtype[Any], t: Tile) -> str:
    """Write the function; its name."""
    name = t.name(d)
    f = Code(
        module,
        name,
        "ptr noalias %a, ptr noalias %b, ptr noalias %c, i64 %depth, i1 %first, ptr %bias",
        d,
        COMMON,
    )
    n = len(t.runs)
    places = [(i, v) for i in range(t.rows) for v in range(n)]
    for i, v in places:
        f.prefetch(f.at("%c", i * t.ldc + t.runs[v][0]), 1)

    def step(k: Any, ahead: int, accs: list[str]) -> list[str]:
        b = f.at(f.at("%b", f.mul(k, n * f.lanes)), ahead * n * f.lanes)
        a = f.at(f.at("%a", f.mul(k, t.step)), ahead * t.step)
        row = [f.load(f.at(b, v * f.lanes)) for v in range(n)]
        if t.asks:
            ask(f, t, f.add(k, ahead), a)
        new = []
        for i in range(t.rows):
            x = f.splat(f.scalar(f.at(a, i * t.lda)))
            new += [f.fma(x, row[v], accs[i * n + v]) for v in range(n)]
        return new

    zero = [(f.vector, "zeroinitializer")] * len(places)
    even = f("and i64 %depth, -2")
    accs = f.span(0, even, 2, lambda k, p: step(k, 1, step(k, 0, p)), zero, True)
    carried = [(f.vector, a) for a in accs]
    accs = f.span(even, "%depth", 1, lambda k, p: step(k, 0, p), carried, True)

    def fresh() -> None:
        for i in range(t.rows):
            extra = f.splat(f.scalar(f.at("%bias", i))) if t.bias else ""
            for v, (offset, lanes) in enumerate(t.runs):
                x = accs[i * n + v]
                f.store(f.at("%c", i * t.ldc + offset), f.plus(x, extra) if extra else x, lanes)

    def more() -> None:
        for i, v in places:
            offset, lanes = t.runs[v]
            p = f.at("%c", i * t.ldc + offset)
            f.store(p, f.plus(f.load(p, lanes), accs[i * n + v]), lanes)

    f.when("%first", fresh, more)
    f.end()
    return name
