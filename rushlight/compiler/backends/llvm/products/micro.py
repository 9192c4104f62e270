"""The inner kernels of matrix products: a block of the result stays in registers.

Their functions are ``(a, b, c, depth, first, last)``: sums over ``depth`` are stored in c, or
added to it where it is not the ``first`` time. A ``finish`` takes the values of the ``last`` time.

Operands may be far away: what the next block, or panel, needs is asked for along with products,
which hide that. Warm operands lose nothing by it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rushlight.compiler.backends.llvm.ir.code import Code, Number
from rushlight.compiler.backends.llvm.products.finish import Finish

SIGNATURE = "ptr noalias %a, ptr noalias %b, ptr noalias %c, i64 %depth, i1 %first, i1 %last"


LINE = 64  # bytes that come from memory together
MANY = 12  # sums of a block that hides what else is done
FAR = 2048  # bytes


def most_rows(vectors: int, registers: int) -> int:
    """Rows of a block so many vectors wide: sums, a row of vectors and a factor fill registers."""
    return min(14, 24 * registers // 32 // vectors, (registers - 1 - vectors) // vectors)


@dataclass(frozen=True)
class Block:
    """``rows`` of a, read element by element, times ``columns`` of b, in vectors.

    Neighbours in a column of a, a row of a, and a column of b are ``a_row``, ``a_k`` and ``b_k``
    elements apart; rows of c, or its columns if it is ``turned``, are ``c_row`` apart, and nothing
    lies between elements of a row of b. ``padded``: b has whole vectors. ``once``: always first.
    ``asks``: lines to ask for at each step, for later: of rows at ``%next``, ``next_row`` elements
    apart; a row at each step, or, ``across``, a part of all of them along with the depth.
    ``near``: c was written not long ago, and need not be asked for.
    """

    rows: int
    columns: int
    a_row: int
    a_k: int
    b_k: int
    c_row: int
    turned: bool
    padded: bool
    once: bool
    asks: int = 0
    next_row: int = 0
    across: bool = False
    near: bool = False


def write_block(f: Code, s: Block, finish: Finish | None = None) -> None:
    """The body of a block's function."""
    vectors = -(-s.columns // f.lanes)
    lanes = [min(f.lanes, s.columns - v * f.lanes) for v in range(vectors)]

    patient = s.rows * vectors >= MANY and not s.turned

    def step(k: Number, ahead: int, sums: list[str]) -> list[str]:
        a = f.at(f.at("%a", f.mul(k, s.a_k)), ahead * s.a_k)
        b = f.at(f.at("%b", f.mul(k, s.b_k)), ahead * s.b_k)
        row = [f.load(f.at(b, v * f.lanes), 0 if s.padded else lanes[v]) for v in range(vectors)]
        if len(sums) >= MANY:
            ask(f, s, k, a)
        if patient and not s.near:
            ask_result(f, *by_turns(f, s, k))
        new = []
        for i in range(s.rows):
            x = f.splat(f.scalar(f.at(a, i * s.a_row)))
            new += [f.fma(x, row[v], sums[i * vectors + v]) for v in range(vectors)]
        return new

    def ask_result(f: Code, i: Number, j: Number) -> None:
        if finish is not None:
            finish.ask(f, i, j)
        else:
            f.prefetch(f.at("%c", f.add(f.mul(i, s.c_row), j)), 1)

    for i in range(0 if s.near else 1 if patient else s.columns if s.turned else s.rows):
        for j in [0] if patient or s.turned else range(0, s.columns, f.lanes):
            ask_result(f, i, j)
    sums = over_depth(f, step, s.rows * vectors)
    found = []
    for v in range(vectors):
        if not s.turned:
            found += [(i, v * f.lanes, sums[i * vectors + v], lanes[v]) for i in range(s.rows)]
            continue
        square = [sums[i * vectors + v] for i in range(s.rows)]
        square += ["zeroinitializer"] * (f.lanes - s.rows)
        for j, x in enumerate(f.transposed(square)[: lanes[v]]):
            found.append((v * f.lanes + j, 0, x, s.rows))
    leave(f, s.c_row, found, s.once, finish)


def ask(f: Code, s: Block, k: Number, a: str) -> None:
    """Ask for some lines of b for later; and for one line of what the next block needs of a."""
    for line in range(s.asks):
        if s.across:
            place = f.add(walk(f, k, s.next_row), line * LINE // f.size * s.next_row)
        else:
            place = f.add(f.mul(k, s.next_row), line * LINE // f.size)
        f.prefetch(f.past("%next", f.mul(place, f.size)), near=2)
    if s.a_row == 1 and s.a_k > s.rows:
        f.prefetch(f.past(a, max(LINE, (2 * s.rows - 1) * f.size)), near=2)  # its last element
    elif s.a_k == 1:
        # rows at such distances have few places in the first-level cache
        near = 2 if f.module.width < 512 or s.a_row * f.size % FAR == 0 else 3
        place = f.add(walk(f, k, s.a_row), s.rows * s.a_row)
        f.prefetch(f.past("%a", f.mul(place, f.size)), near=near)


def by_turns(f: Code, s: Block, k: Number) -> tuple[Number, Number]:
    """The place in c of a line to ask for at step k: all lines in turn, since only so many can be
    waited for at a time.
    """
    bits = (s.rows - 1).bit_length()
    i = f.smaller(f(f"and i64 {k}, {(1 << bits) - 1}"), s.rows - 1)
    line = f.smaller(f(f"lshr i64 {k}, {bits}"), (s.columns * f.size - 1) // LINE)
    return i, f.mul(line, LINE // f.size)


def walk(f: Code, k: Number, row: int) -> Number:
    """The place of step k on a way through some rows line by line: as many rows as a line has
    elements, so that the way is as long as the rows are.
    """
    i = f(f"and i64 {k}, {LINE // f.size - 1}")
    return f.add(f.mul(i, row), f(f"sub i64 {k}, {i}"))


def over_depth(
    f: Code, step: Callable[[Number, int, list[str]], list[str]], count: int
) -> list[str]:
    """``count`` sums over ``%depth``; two steps at a time where one is short."""
    zero = [(f.vector, "zeroinitializer")] * count
    if count >= MANY:
        return f.span(0, "%depth", 1, lambda k, p: step(k, 0, p), zero)
    even = f("and i64 %depth, -2")
    sums = f.span(0, even, 2, lambda k, p: step(k, 1, step(k, 0, p)), zero, True)
    carried = [(f.vector, x) for x in sums]
    return f.span(even, "%depth", 1, lambda k, p: step(k, 0, p), carried, True)


def leave(
    f: Code,
    c_row: int,
    found: list[tuple[int, int, str, int]],
    once: bool,
    finish: Finish | None,
) -> None:
    """Store values, (row, column, vector, lanes) each, or add them to c, or finish them."""

    def c_at(i: int, j: int) -> str:
        return f.at("%c", i * c_row + j)

    def store() -> None:
        for i, j, x, lanes in found:
            f.store(c_at(i, j), x, lanes)

    def hand_over(add: bool) -> None:
        assert finish is not None
        for i, j, x, lanes in found:
            finish.vector(f, i, j, f.plus(f.load(c_at(i, j), lanes), x) if add else x, lanes)

    def more() -> None:
        for i, j, x, lanes in found:
            f.store(c_at(i, j), f.plus(f.load(c_at(i, j), lanes), x), lanes)

    if once:
        store() if finish is None else hand_over(False)
    elif finish is None:
        f.when("%first", store, more)
    else:
        f.when("%first", store, lambda: f.when("%last", lambda: hand_over(True), more))


@dataclass(frozen=True)
class Dots:
    """``rows`` of a times ``columns`` of b, all of ``depth`` elements that lie side by side, in
    vectors along the depth. They are ``a_row`` and ``b_column`` apart, rows of c ``c_row``. What b
    has ``ahead`` bytes further on is asked for, unless 0: it is far away.
    """

    rows: int
    columns: int
    depth: int
    a_row: int
    b_column: int
    c_row: int
    ahead: int


def most_dots(columns: int, registers: int) -> int:
    """Rows of a block of dot products: sums, and a vector of each row of a, fill registers."""
    return min(24 * registers // 32 // columns, (registers - 1) // (columns + 1))


def write_dots(f: Code, s: Dots, finish: Finish | None = None) -> None:
    """The body of the function of a block of dot products.

    Columns from far away are read in vectors that lie within a line of the cache, wherever b
    begins: the first vector has some lanes of what is before, as zeros. An element is then added to
    another lane, but to the same ones in the same order, and ``totals`` gives the same sum.
    """
    count = s.rows * s.columns
    ways = max(1, 8 // count)  # additions to different sums overlap
    turn = f.lanes * ways
    in_lines = s.ahead and s.b_column % f.lanes == 0 and s.depth >= 2 * turn

    def step(k: Number, sums: list[str], lanes: int = 0, mask: str = "") -> list[str]:
        a = [f.load(f.at(f.at("%a", k), i * s.a_row), lanes, mask) for i in range(s.rows)]
        new: list[str] = [""] * count
        for j in range(s.columns):
            place = f.at(f.at("%b", k), j * s.b_column)
            b = f.load(place, lanes, mask)
            if s.ahead and not lanes:
                f.prefetch(f.past(place, s.ahead))
            for i in range(s.rows):
                new[i * s.columns + j] = f.fma(a[i], b, sums[i * s.columns + j])
        return new

    def several(k: Number, sums: list[str], masks: Sequence[str] = ()) -> list[str]:
        new = []
        for w, mask in enumerate(masks or [""] * ways):
            mine = sums[w * count : (w + 1) * count]
            new += step(f.add(k, w * f.lanes), mine, mask=mask)
        return new

    zero = [(f.vector, "zeroinitializer")] * (count * ways)
    if in_lines:
        begin = f("ptrtoint ptr %b to i64")
        before = f(f"and i64 {begin}, {f.lanes * f.size - 1}")
        start = f(f"sdiv i64 {before}, {-f.size}")
        outside = f.lanes_below(f.mul(start, -1))
        inside = f(f"xor {f.bits} {outside}, {f.mask(0, f.lanes)}")
        sums = several(start, [x for _, x in zero], [inside] + [""] * (ways - 1))
        left = f(f"srem i64 {f.sub(s.depth - 1, start)}, {turn}")
        last = f.sub(s.depth - 1, left)
        carried = [(f.vector, x) for x in sums]
        sums = f.span(f.add(start, turn), last, turn, several, carried, True)
        ends = [f.lanes_below(f.sub(f.add(left, 1), w * f.lanes)) for w in range(ways)]
        sums = several(last, sums, ends)
    else:
        whole = s.depth // turn * turn
        sums = f.span(0, whole, turn, several, zero)
        for w, k in enumerate(range(whole, s.depth, f.lanes)):
            mine = slice(w % ways * count, (w % ways + 1) * count)
            sums[mine] = step(k, sums[mine], min(f.lanes, s.depth - k))
    while len(sums) > count:
        half = len(sums) // 2 // count * count
        sums = [f.plus(x, y) for x, y in zip(sums[:half], sums[half:], strict=True)]
    found = []
    for i in range(s.rows):
        x = totals(f, sums[i * s.columns : (i + 1) * s.columns])
        found.append((i, 0, x, s.columns))
    leave(f, s.c_row, found, True, finish)


def totals(f: Code, vectors: list[str], join: Callable[[str, str], str] | None = None) -> str:
    """The sums of all lanes of some vectors, or what ``join`` makes of them, side by side in the
    first lanes of one. Lanes half a vector apart are added, so that the sum is the same from
    whichever lane on one counts.
    """
    n, join = f.lanes, join or f.plus
    vectors = vectors + ["zeroinitializer"] * (
        (1 << (len(vectors) - 1).bit_length()) - len(vectors)
    )
    part = n  # lanes that belong to one sum

    def halves(x: str, y: str) -> str:
        low = [k for k in range(2 * n) if k % part < part // 2]
        return join(f.shuffle(x, y, low), f.shuffle(x, y, [k + part // 2 for k in low]))

    while part > 1:
        several = len(vectors) > 1
        pairs = list(zip(vectors[::2], vectors[1::2], strict=True)) if several else [vectors * 2]
        vectors = [halves(*pair) for pair in pairs]
        part //= 2
    return vectors[0]
