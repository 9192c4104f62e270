"""The way into a program for a call like the last one: one native function checks that it is.

Note [Entry]
What a program depends on lies in memory: which array a parameter's tensor holds, which gradient a
leaf has, how many references a result buffer has. A call hands over its tuple of arguments, as to
any built-in function; it compares words of memory with what they were, reads the arrays' addresses
into the block, finds result buffers that nobody holds, and runs the program. This relies on where
CPython and NumPy keep these things, see layout.py; where they are elsewhere, calls are checked in
Python.
"""

from __future__ import annotations

import ctypes
import functools
from collections import deque
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm import direct, jit, runtime, workers
from rushlight.compiler.held import BUFFERS
from rushlight.compiler.layout import (
    CONTIGUOUS,
    DATA_AT,
    DIMS_AT,
    DTYPE_AT,
    FLAGS_AT,
    RANK_AT,
    TUPLE_ITEMS,
    TUPLE_SIZE,
    TYPE_AT,
    slots,
)
from rushlight.compiler.memory import address
from rushlight.compiler.objects import fields
from rushlight.compiler.storages import may_overlap
from rushlight.core.tensor import Tensor
from rushlight.ops.view import owner

# another call; no free result buffers; a check failed; the first word, or a later one, is another
MISS, TAKEN, FAILED, CHANGED = -1, -2, -3, -4
ALONE = -(1 << 40)  # a set's number below it: the program ran, as often before without workers

# words of the record
ARGUMENTS, ARGUMENT_COUNT, WORDS, WORD_COUNT, COUNTS, COUNT_COUNT = range(6)
SETS, SET_COUNT, RESULTS, BLOCK, RESULT_SLOT, PROGRAM, LAUNCHES = range(6, 13)
ARRAY_TYPE, RANGES, RANGE_COUNT, TO_INT, NONE, RECORD_WORDS = range(13, 19)
# words of an argument: OBJECT is the argument itself, or zero for a tensor like the one described
OBJECT, TYPE, WANTS_GRAD, TRACKED, RANK, DIMS, DTYPE, SLOT, BYTES, ARGUMENT_WORDS = range(10)


def read(pointer: str, offset: int | str, name: str, kind: str = "i64") -> str:
    """IR: a value at an offset in bytes."""
    return (
        f"  {name}p = getelementptr i8, ptr {pointer}, i64 {offset}\n"
        f"  {name} = load {kind}, ptr {name}p"
    )


def loop(name: str, count: str, after: str, body: str) -> str:
    """IR: ``body`` for %name.i below %count; it ends at the label name.next."""
    return f"""
  br label %{name}.head
{name}.head:
  br label %{name}.test
{name}.test:
  %{name}.i = phi i64 [0, %{name}.head], [%{name}.n, %{name}.next]
  %{name}.more = icmp slt i64 %{name}.i, {count}
  br i1 %{name}.more, label %{name}.body, label %{after}
{name}.body:
{body}
{name}.next:
  %{name}.n = add i64 %{name}.i, 1
  br label %{name}.test
{after}:"""


def text() -> str:
    """The function ``int entered(arguments)``: the number of a set, or what is wrong."""
    at = slots()
    argument = f"""
  %row.at = mul i64 %a.i, {8 * ARGUMENT_WORDS}
  %row = getelementptr i8, ptr %rows, i64 %row.at
  %item.at = mul i64 %a.i, 8
  %item.to = add i64 %item.at, {TUPLE_ITEMS}
{read("%tuple", "%item.to", "%item", "ptr")}
{read("%row", 8 * OBJECT, "%object", "ptr")}
  %plain = icmp ne ptr %object, null
  br i1 %plain, label %same, label %tensor
same:
  %is = icmp eq ptr %item, %object
  br i1 %is, label %a.next, label %miss
tensor:
{
        loop(
            "b",
            "%a.i",
            "another",
            f'''
  %b.at = mul i64 %b.i, 8
  %b.to = add i64 %b.at, {TUPLE_ITEMS}
{read("%tuple", "%b.to", "%b.item", "ptr")}
  %b.eq = icmp eq ptr %b.item, %item
  br i1 %b.eq, label %miss, label %b.next
''',
        )
    }
{read("%item", TYPE_AT, "%type")}
{read("%row", 8 * TYPE, "%type.then")}
  %t1 = icmp eq i64 %type, %type.then
  br i1 %t1, label %known, label %miss
known:
{read("%item", at["_wants_grad"], "%wants")}
{read("%row", 8 * WANTS_GRAD, "%wants.then")}
  %t2 = icmp eq i64 %wants, %wants.then
{read("%item", at["_array"], "%array", "ptr")}
{read("%array", TYPE_AT, "%kind")}
  %t3 = icmp eq i64 %kind, %ndarray
{read("%item", at["_tracked"], "%tracked")}
{read("%row", 8 * TRACKED, "%tracked.then")}
  %t4 = and i1 %t2, %t3
  br i1 %t4, label %history, label %miss
history:
  %t5 = icmp eq i64 %tracked, %tracked.then
  br i1 %t5, label %shape, label %view
view:
{read("%item", at["_node"], "%node")}
{read("%item", at["_link"], "%link", "ptr")}
  %v1 = icmp eq i64 %node, %none
  %link.word = ptrtoint ptr %link to i64
  %v2 = icmp ne i64 %link.word, %none
  %v3 = and i1 %v1, %v2
  br i1 %v3, label %based, label %miss
based:
{read("%link", at["base"], "%base", "ptr")}
{read("%base", at["_node"], "%base.node")}
{read("%base", at["_wants_grad"], "%base.wants")}
  %v4 = icmp eq i64 %base.node, %none
  %v5 = icmp eq i64 %base.wants, %tracked.then
  %v6 = and i1 %v4, %v5
  br i1 %v6, label %shape, label %miss
shape:
{read("%array", DTYPE_AT, "%dtype")}
{read("%row", 8 * DTYPE, "%dtype.then")}
  %s1 = icmp eq i64 %dtype, %dtype.then
{read("%array", RANK_AT, "%rank32", "i32")}
  %rank = sext i32 %rank32 to i64
{read("%row", 8 * RANK, "%rank.then")}
  %s2 = icmp eq i64 %rank, %rank.then
{read("%array", FLAGS_AT, "%flags", "i32")}
  %need = and i32 %flags, {CONTIGUOUS}
  %s3 = icmp eq i32 %need, {CONTIGUOUS}
  %s4 = and i1 %s1, %s2
  %s5 = and i1 %s3, %s4
  br i1 %s5, label %sizes, label %miss
sizes:
{read("%array", DIMS_AT, "%dims", "ptr")}
{read("%row", 8 * DIMS, "%dims.then", "ptr")}
{
        loop(
            "d",
            "%rank",
            "fits",
            '''
  %d.at = mul i64 %d.i, 8
  %d.a = getelementptr i8, ptr %dims, i64 %d.at
  %d.b = getelementptr i8, ptr %dims.then, i64 %d.at
  %d.x = load i64, ptr %d.a
  %d.y = load i64, ptr %d.b
  %d.eq = icmp eq i64 %d.x, %d.y
  br i1 %d.eq, label %d.next, label %miss
''',
        )
    }
{read("%array", DATA_AT, "%data")}
{read("%row", 8 * SLOT, "%slot")}
  %place = getelementptr i64, ptr %block, i64 %slot
  store i64 %data, ptr %place
{read("%row", 8 * BYTES, "%bytes")}
  %end = add i64 %data, %bytes
{
        loop(
            "o",
            "%range.count",
            "apart",
            '''
  %o.at = mul i64 %o.i, 16
  %o.p = getelementptr i8, ptr %ranges, i64 %o.at
  %o.q = getelementptr i8, ptr %o.p, i64 8
  %o.lo = load i64, ptr %o.p
  %o.hi = load i64, ptr %o.q
  %o.a = icmp slt i64 %data, %o.hi
  %o.b = icmp sgt i64 %end, %o.lo
  %o.both = and i1 %o.a, %o.b
  br i1 %o.both, label %miss, label %o.next
''',
        )
    }
  br label %a.next"""
    pairs = """
  %{n}.at = mul i64 %{n}.i, 16
  %{n}.p = getelementptr i8, ptr %{table}, i64 %{n}.at
  %{n}.q = getelementptr i8, ptr %{n}.p, i64 8
  %{n}.where = load ptr, ptr %{n}.p
  %{n}.then = load {kind}, ptr %{n}.q
  %{n}.now = load {kind}, ptr %{n}.where
  %{n}.eq = icmp eq {kind} %{n}.now, %{n}.then
  br i1 %{n}.eq, label %{n}.next, label %{wrong}"""
    free = """
  %r.at = mul i64 %r.i, 16
  %r.p = getelementptr i8, ptr %set, i64 %r.at
  %r.where = load ptr, ptr %r.p
  %r.now = load i32, ptr %r.where
  %r.eq = icmp eq i32 %r.now, 1
  %r.q = getelementptr i8, ptr %r.p, i64 8
  %r.data = load i64, ptr %r.q
  %r.slot = add i64 %r.i, %first
  %r.place = getelementptr i64, ptr %block, i64 %r.slot
  store i64 %r.data, ptr %r.place
  br i1 %r.eq, label %r.next, label %s.next"""
    words = pairs.format(n="w", table="words", kind="i64", wrong="changed")
    counts = pairs.format(n="c", table="counts", kind="i32", wrong="miss")
    return f"""
declare void @prepare(ptr)
declare i32 @run(ptr, i64, i64)

define internal i64 @enter(ptr %record, ptr %tuple) {{
entry:
{read("%record", 8 * BLOCK, "%block", "ptr")}
{read("%record", 8 * ARGUMENTS, "%rows", "ptr")}
{read("%record", 8 * ARGUMENT_COUNT, "%arguments")}
{read("%record", 8 * WORDS, "%words", "ptr")}
{read("%record", 8 * WORD_COUNT, "%word.count")}
{read("%record", 8 * COUNTS, "%counts", "ptr")}
{read("%record", 8 * COUNT_COUNT, "%count.count")}
{read("%record", 8 * SETS, "%sets", "ptr")}
{read("%record", 8 * SET_COUNT, "%set.count")}
{read("%record", 8 * RESULTS, "%results")}
{read("%record", 8 * RESULT_SLOT, "%first")}
{read("%record", 8 * ARRAY_TYPE, "%ndarray")}
{read("%record", 8 * NONE, "%none")}
{read("%record", 8 * RANGES, "%ranges", "ptr")}
{read("%record", 8 * RANGE_COUNT, "%range.count")}
{read("%tuple", TUPLE_SIZE, "%given")}
  %number = icmp eq i64 %given, %arguments
  br i1 %number, label %look, label %miss
look:
{loop("a", "%arguments", "compare", argument)}
{loop("w", "%word.count", "references", words)}
{loop("c", "%count.count", "choose", counts)}
{
        loop(
            "s",
            "%set.count",
            "taken",
            f'''
  %set.words = mul i64 %results, 16
  %s.at = mul i64 %s.i, %set.words
  %set = getelementptr i8, ptr %sets, i64 %s.at
{loop("r", "%results", "go", free)}
{read("%record", 8 * PROGRAM, "%program", "ptr")}
{read("%record", 8 * LAUNCHES, "%launches")}
  call void @prepare(ptr %program)
  %status = call i32 @run(ptr %program, i64 0, i64 %launches)
  %fine = icmp eq i32 %status, 0
  br i1 %fine, label %done, label %failed
done:
{read("%program", 8 * runtime.MISSED, "%misses")}
  %often = icmp uge i64 %misses, {workers.MISSES}
  %told = sub i64 {ALONE}, %s.i
  %which.set = select i1 %often, i64 %told, i64 %s.i
  ret i64 %which.set
''',
        )
    }
  ret i64 {TAKEN}
miss:
  ret i64 {MISS}
failed:
  ret i64 {FAILED}
changed:
  %which = sub i64 {CHANGED}, %w.i
  ret i64 %which
}}

; the same as a built-in function of the tuple, whose self is the record's array
define ptr @entered(ptr %self, ptr %tuple) {{
{read("%self", DATA_AT, "%record", "ptr")}
{read("%record", 8 * TO_INT, "%to.int", "ptr")}
  %number = call i64 @enter(ptr %record, ptr %tuple)
  %object = call ptr %to.int(i64 %number)
  ret ptr %object
}}
"""


@functools.cache
def code() -> int:
    """The address of the built-in function."""
    known = runtime.addresses()
    body = jit.object_code(text())
    (where,) = jit.load([body], ["entered"], [(n, known[n]) for n in ("prepare", "run")])
    return where


class Entry:
    """A variant's way into its program, for calls like the one with arguments ``args``.

    Raises ValueError where such calls must be checked in Python.
    """

    TAKEN, ALONE = TAKEN, ALONE

    def __init__(self, program: Any, variant: Any, args: tuple[Any, ...]) -> None:
        self.program, self.numbers = program, program.numbers
        # objects whose addresses are compared
        self.kept: list[Any] = [a for a in args if not isinstance(a, Tensor)]
        # guards, which may hold with other words, and which words they have
        self.guards: list[tuple[Any, int, int]] = []
        self.kept_by: dict[Any, list[Any]] = {}  # what each guard's words are addresses of
        words, counts = self.conditions(variant)
        first = program.first_end
        sets = [[(id(a), address(a)) for a in arrays] for arrays in variant.sets]
        updated = [variant.inputs[n] for n, _, _ in variant.updates]
        known = [owner(a) for a in (*updated, *[t._array for t in variant.standing])]
        ranges = [(address(a), address(a) + a.nbytes) for a in known if type(a) is np.ndarray]
        self.tables = [
            table(rows) for rows in (self.argument_rows(variant, args), words, counts, sets, ranges)
        ]
        self.words = self.tables[1]
        quick = program.cost <= program.FREELY and not program.engines
        self.whole = program.native_only and quick
        record = self.record = np.zeros(RECORD_WORDS, np.int64)
        record[[ARGUMENTS, WORDS, COUNTS, SETS, RANGES]] = [address(t) for t in self.tables]
        record[[ARGUMENT_COUNT, WORD_COUNT, COUNT_COUNT, SET_COUNT, RANGE_COUNT]] = [
            len(args), len(words), len(counts), len(sets), len(ranges)
        ]  # fmt: skip
        record[RESULTS], record[RESULT_SLOT] = len(variant.sets[0]), first
        record[BLOCK], record[PROGRAM] = address(program.block), address(program.record)
        record[LAUNCHES] = program.count if self.whole else 0
        record[ARRAY_TYPE], record[NONE] = id(np.ndarray), id(None)
        record[TO_INT] = direct.address_of(ctypes.pythonapi.PyLong_FromLongLong)
        self.enter = direct.builtin(code(), direct.SINGLE, record)
        self.arguments = [(k, s) for k, kind, s in variant.sources if kind == "argument"]
        self.where = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        self.inputs = list(variant.inputs)
        # what is read and has gaps, as an expanded tensor does: copied in order for each call
        state = [(k, s._array) for k, kind, s in variant.sources if kind == "state"]
        self.gaps = [(k, a, a.copy("C")) for k, a in state if not is_in_order(a)]
        # the lists, not what is in them: references to results and gradients are counted
        self.sets, self.updated, self.gradients = variant.sets, updated, variant.buffers.arrays

    def argument_rows(self, variant: Any, args: tuple[Any, ...]) -> list[tuple[int, ...]]:
        """What arguments must be like."""
        slot_of = {s: k for k, kind, s in variant.sources if kind == "argument"}
        rows, tensors, arrays = [], 0, list[Any]()
        for a in args:
            if not isinstance(a, Tensor):
                several = isinstance(a, (list, dict, tuple, set, deque, np.ndarray, *BUFFERS))
                if several or fields(a) is not None:
                    raise ValueError("there may be tensors in it, or other content the next time")
                rows.append((id(a), *[0] * (ARGUMENT_WORDS - 1)))
                continue
            x = a._array
            check_array(x)
            if any([may_overlap(x, other) for other in arrays]):
                raise ValueError("arguments that share their memory")
            arrays.append(x)
            if a.requires_grad and not a._wants_grad:
                raise ValueError("an argument with a history")
            dims, d = np.array(x.shape, np.int64), x.dtype
            self.kept += [dims, d]
            slot = slot_of.get(
                tensors, len(self.program.block) - 1
            )  # the last is for what is unused
            flags = id(a._wants_grad), id(a._wants_grad)  # other views are looked at
            rows.append((0, id(type(a)), *flags, x.ndim, address(dims), id(d), slot, x.nbytes))
            tensors += 1
        return rows

    def conditions(self, variant: Any) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """(address, content) of words, and of counts of references, that must be as they are."""
        at, words, counts = slots(), [], []

        def holds(t: Tensor) -> None:
            words.append((id(t) + at["_array"], id(t._array)))
            self.kept += [t, t._array]

        for _, kind, source in variant.sources:
            if kind == "grad":
                words.append((id(source) + at["_grad"], id(source._grad)))
                check_array(source._grad._array)
                holds(source._grad)
            elif kind == "state":
                if type(source._array) is not np.ndarray:
                    raise ValueError("an array elsewhere")
                holds(source)
        for t, c in zip(variant.updated(), variant.counters, strict=True):
            check_array(t._array)
            words.append((id(t) + at["_counter"], id(c)))
        gradients = variant.buffers
        of_leaves = zip(variant.leaves, gradients.tensors, gradients.arrays, strict=True)
        for leaf, g, a in of_leaves:
            words += [(id(leaf) + at["_grad"], id(g)), (id(g) + at["_array"], id(a))]
            counts += [(id(g), 2), (id(a), 2)]
        words += [(id(leaf) + at["_grad"], id(None)) for leaf in variant.no_grads]
        for guard in variant.guards:
            found = guard.words()
            if found is None:
                continue
            self.kept_by[guard] = found.kept
            self.guards.append((guard, len(words), len(words) + len(found)))
            words += found
        return words, counts

    def refill(self) -> None:
        """New buffers for the results of the first set."""
        arrays = self.sets[0]
        arrays[:] = [np.empty(a.shape, a.dtype) for a in arrays]
        self.tables[3][0] = [(id(a), address(a)) for a in arrays]

    def fill_gaps(self) -> None:
        """Copy what has gaps to where the program reads it."""
        for k, a, copy in self.gaps:
            copy[...] = a
            self.program.block[k] = address(copy)

    def renew(self, number: int) -> bool:
        """Whether a call found another word where only learning rates changed since the last, or
        what the function does not look at, or what changed back; it is then known anew.
        """
        which = CHANGED - number
        found = [(g, start, end) for g, start, end in self.guards if start <= which < end]
        if not found or not found[0][0].holds():
            return False
        guard, start, end = found[0]
        now = guard.words()
        if now is None or len(now) != end - start:
            return False
        self.words[start:end], self.kept_by[guard] = now, now.kept
        return True

    def run_parts(self, number: int, args: tuple[Any, ...]) -> int:
        """Run a program that is not one native function, which has chosen the set ``number``."""
        for k, source in self.arguments:
            self.inputs[k] = args[self.where[source]]._array
        outputs = [*self.sets[number], *self.updated, *self.gradients]
        failed = self.program.run_parts(self.inputs, outputs)
        for k, _ in self.arguments:
            self.inputs[k] = None
        return FAILED if failed else number


def is_in_order(x: Any) -> bool:
    """Whether an array's elements lie one after another."""
    return bool(x.flags.c_contiguous and x.flags.aligned)


def check_array(x: Any) -> None:
    """Raise ValueError unless the array's elements lie one after another."""
    if type(x) is not np.ndarray or not is_in_order(x):
        raise ValueError("an array with gaps")


def table(rows: Any) -> Any:
    """Rows of words in memory."""
    return np.array([*rows] or [(0, 0)], np.int64)
