"""The native function that checks whether a call is like the last one, and the words of memory that
it reads. See Note [Entry] in entry.py.
"""

from __future__ import annotations

import functools

from rushlight.compiler.backends.llvm import jit, runtime, workers
from rushlight.compiler.layout import (
    DATA_AT,
    DIMS_AT,
    DTYPE_AT,
    FLAGS_AT,
    RANK_AT,
    STRIDES_AT,
    TUPLE_ITEMS,
    TUPLE_SIZE,
    TYPE_AT,
    device_slots,
    slots,
)

# another call; no free result buffers; a check failed; the first word, or a later one, is another
MISS, TAKEN, FAILED, CHANGED = -1, -2, -3, -4
ALONE = -(1 << 40)  # a set's number below it: the program ran, as often before without workers

# words of the record
ARGUMENTS, ARGUMENT_COUNT, WORDS, WORD_COUNT, FRESH, FRESH_COUNT = range(6)
SETS, SET_COUNT, RESULTS, BLOCK, RESULT_SLOT, PROGRAM, LAUNCHES = range(6, 13)
ARRAY_TYPE, RANGES, RANGE_COUNT, TO_INT, NONE, FALSE, TENSOR_TYPE = range(13, 20)
GRADIENTS, GRADIENT_COUNT, GRADIENT_RANGES, SETTLED, DEVICE_TYPE, RECORD_WORDS = range(20, 26)
# words of an argument: OBJECT is the argument itself, or zero for a tensor like the one described;
# of a gradient: the leaf. TARGET is where else in the block its address belongs, FLAGS what its
# array's flags must have, STRIDES where its strides are, zero where flags tell, SAME which argument
# before it must be the same one; -1 for none
OBJECT, TYPE, WANTS_GRAD, TRACKED, RANK, DIMS, DTYPE, SLOT, BYTES, TARGET, FLAGS = range(11)
STRIDES, SAME, ARGUMENT_WORDS = range(11, 14)
ON_GPU = -1  # the rank of arrays there, whose kind stands in the place of a dtype
# words of a gradient that is made anew: its leaf, its array, and whether there is none before
LEAF, ARRAY, ABSENT, FRESH_WORDS = range(4)


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


def overlap(name: str, start: str, end: str) -> str:
    """IR: the body of a loop over ranges, which none of may have bytes in common with another."""
    return f"""
  %{name}.at = mul i64 %{name}.i, 16
  %{name}.p = getelementptr i8, ptr %ranges, i64 %{name}.at
  %{name}.q = getelementptr i8, ptr %{name}.p, i64 8
  %{name}.lo = load i64, ptr %{name}.p
  %{name}.hi = load i64, ptr %{name}.q
  %{name}.a = icmp slt i64 {start}, %{name}.hi
  %{name}.b = icmp sgt i64 {end}, %{name}.lo
  %{name}.both = and i1 %{name}.a, %{name}.b
  br i1 %{name}.both, label %miss, label %{name}.next
"""


def equal(name: str, words: str, others: str) -> str:
    """IR: the body of a loop over words, which are to be others."""
    return f"""
  %{name}.at = mul i64 %{name}.i, 8
  %{name}.a = getelementptr i8, ptr {words}, i64 %{name}.at
  %{name}.b = getelementptr i8, ptr {others}, i64 %{name}.at
  %{name}.x = load i64, ptr %{name}.a
  %{name}.y = load i64, ptr %{name}.b
  %{name}.eq = icmp eq i64 %{name}.x, %{name}.y
  br i1 %{name}.eq, label %{name}.next, label %miss
"""


def look() -> str:
    """IR: the function ``look(record, item, row)``: the address of the elements of a tensor, or of
    an array, which is also put into the block; 0 where it is not like the one that the row
    describes. On a GPU, the address of the object that stands for the memory.
    """
    at = slots()
    of_device = device_slots() or {"kind": 0, "memory": 0}  # which then no row asks for
    return f"""
define internal i64 @look(ptr %record, ptr %item, ptr %row) {{
entry:
{read("%record", 8 * BLOCK, "%block", "ptr")}
{read("%record", 8 * ARRAY_TYPE, "%ndarray")}
{read("%record", 8 * DEVICE_TYPE, "%of.gpus")}
{read("%record", 8 * NONE, "%none")}
{read("%item", TYPE_AT, "%type")}
{read("%row", 8 * TYPE, "%type.then")}
  %t1 = icmp eq i64 %type, %type.then
  br i1 %t1, label %same, label %miss
same:
  %bare = icmp eq i64 %type, %ndarray
  br i1 %bare, label %shape, label %known
known:
{read("%item", at["_wants_grad"], "%wants")}
{read("%row", 8 * WANTS_GRAD, "%wants.then")}
  %t2 = icmp eq i64 %wants, %wants.then
{read("%item", at["_array"], "%held", "ptr")}
{read("%item", at["_tracked"], "%tracked")}
{read("%row", 8 * TRACKED, "%tracked.then")}
  br i1 %t2, label %history, label %miss
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
  %array = phi ptr [%item, %same], [%held, %history], [%held, %based]
{read("%row", 8 * DTYPE, "%dtype.then")}
{read("%row", 8 * RANK, "%rank.then")}
{read("%array", TYPE_AT, "%kind")}
  %on.gpu = icmp eq i64 %rank.then, {ON_GPU}
  %kind.then = select i1 %on.gpu, i64 %of.gpus, i64 %ndarray
  %t3 = icmp eq i64 %kind, %kind.then
  br i1 %t3, label %where, label %miss
where:
  br i1 %on.gpu, label %device, label %host
device:
{read("%array", of_device["kind"], "%alike")}
{read("%array", of_device["memory"], "%memory")}
  %g1 = icmp eq i64 %alike, %dtype.then
  br i1 %g1, label %found, label %miss
host:
{read("%array", DTYPE_AT, "%dtype")}
  %s1 = icmp eq i64 %dtype, %dtype.then
{read("%array", RANK_AT, "%rank32", "i32")}
  %rank = sext i32 %rank32 to i64
  %s2 = icmp eq i64 %rank, %rank.then
{read("%array", FLAGS_AT, "%flags", "i32")}
{read("%row", 8 * FLAGS, "%needed", "i32")}
  %there = and i32 %flags, %needed
  %s3 = icmp eq i32 %there, %needed
  %s4 = and i1 %s1, %s2
  %s5 = and i1 %s3, %s4
  br i1 %s5, label %sizes, label %miss
sizes:
{read("%array", DIMS_AT, "%dims", "ptr")}
{read("%row", 8 * DIMS, "%dims.then", "ptr")}
{loop("d", "%rank", "apart", equal("d", "%dims", "%dims.then"))}
{read("%row", 8 * STRIDES, "%strides.then", "ptr")}
  %by.rows = icmp eq ptr %strides.then, null
  br i1 %by.rows, label %fits, label %strided
strided:
{read("%array", STRIDES_AT, "%strides", "ptr")}
{loop("e", "%rank", "fits", equal("e", "%strides", "%strides.then"))}
{read("%array", DATA_AT, "%address")}
  br label %found
found:
  %data = phi i64 [%address, %fits], [%memory, %device]
{read("%row", 8 * SLOT, "%slot")}
  %place = getelementptr i64, ptr %block, i64 %slot
  store i64 %data, ptr %place
  ret i64 %data
miss:
  ret i64 0
}}
"""


def argument() -> str:
    """IR: the body of the loop over arguments: each is the object it was, or a tensor like the one
    described, no other argument, and apart from all ranges.
    """
    return f"""
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
{read("%row", 8 * SAME, "%same.as")}
  %once = icmp slt i64 %same.as, 0
  br i1 %once, label %alone, label %twice
twice:
  %same.at = mul i64 %same.as, 8
  %same.to = add i64 %same.at, {TUPLE_ITEMS}
{read("%tuple", "%same.to", "%same.item", "ptr")}
  %same.eq = icmp eq ptr %same.item, %item
  br i1 %same.eq, label %a.next, label %miss
alone:
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
  %data = call i64 @look(ptr %record, ptr %item, ptr %row)
  %fits = icmp ne i64 %data, 0
  br i1 %fits, label %apart.from, label %miss
apart.from:
{read("%row", 8 * BYTES, "%bytes")}
  %end = add i64 %data, %bytes
{loop("o", "%range.count", "apart", overlap("o", "%data", "%end"))}
  br label %a.next"""


def gradient(at: dict[str, int]) -> str:
    """IR: the body of the loop over gradients: each is like the one described, and its address goes
    into the block. One that lies elsewhere than before is to be compared with the others.
    """
    return f"""
  %g.at = mul i64 %g.i, {8 * ARGUMENT_WORDS}
  %g.row = getelementptr i8, ptr %gradients, i64 %g.at
{read("%g.row", 8 * OBJECT, "%g.leaf", "ptr")}
{read("%g.leaf", at["_grad"], "%g.item", "ptr")}
  %g.data = call i64 @look(ptr %record, ptr %g.item, ptr %g.row)
  %g.fits = icmp ne i64 %g.data, 0
  br i1 %g.fits, label %g.known, label %miss
g.known:
{read("%g.row", 8 * TARGET, "%g.target")}
  %g.place = getelementptr i64, ptr %block, i64 %g.target
  store i64 %g.data, ptr %g.place
  %g.range = mul i64 %g.i, 16
  %g.lo = getelementptr i8, ptr %gradient.ranges, i64 %g.range
  %g.then = load i64, ptr %g.lo
  %g.there = icmp eq i64 %g.data, %g.then
  br i1 %g.there, label %g.next, label %g.moved
g.moved:
{read("%g.row", 8 * BYTES, "%g.bytes")}
  %g.end = add i64 %g.data, %g.bytes
  %g.hi = getelementptr i8, ptr %g.lo, i64 8
  store i64 %g.data, ptr %g.lo
  store i64 %g.end, ptr %g.hi
  store i64 0, ptr %settled
  br label %g.next"""


def gradients_apart() -> str:
    """IR: the body of the loop over gradients, where some moved: none shares bytes with a range."""
    return f"""
  %h.at = mul i64 %h.i, 16
  %h.lo = getelementptr i8, ptr %gradient.ranges, i64 %h.at
  %h.hi = getelementptr i8, ptr %h.lo, i64 8
  %h.data = load i64, ptr %h.lo
  %h.end = load i64, ptr %h.hi
  %h.count = add i64 %other.ranges, %h.i
{loop("k", "%h.count", "h.done", overlap("k", "%h.data", "%h.end"))}
  br label %h.next"""


def fresh_gradient(at: dict[str, int]) -> str:
    """IR: the body of the loop over gradients that are made anew: the leaf has none, or one that
    nobody else holds, on the array that the program writes.
    """
    return f"""
  %f.at = mul i64 %f.i, {8 * FRESH_WORDS}
  %f.row = getelementptr i8, ptr %fresh, i64 %f.at
{read("%f.row", 8 * LEAF, "%f.leaf", "ptr")}
{read("%f.row", 8 * ARRAY, "%f.array", "ptr")}
{read("%f.row", 8 * ABSENT, "%f.absent")}
{read("%f.leaf", at["_grad"], "%f.item", "ptr")}
  %f.count = load i32, ptr %f.array
  %f.none = icmp ne i64 %f.absent, 0
  br i1 %f.none, label %f.absence, label %f.presence
f.absence:
  %f.word = ptrtoint ptr %f.item to i64
  %f.a = icmp eq i64 %f.word, %none
  %f.b = icmp eq i32 %f.count, 1
  %f.c = and i1 %f.a, %f.b
  br i1 %f.c, label %f.next, label %miss
f.presence:
{read("%f.item", TYPE_AT, "%f.type")}
  %f.d = icmp eq i64 %f.type, %tensor.type
  br i1 %f.d, label %f.plain, label %miss
f.plain:
  %f.holders = load i32, ptr %f.item
{read("%f.item", at["_array"], "%f.own", "ptr")}
{read("%f.item", at["_wants_grad"], "%f.wants")}
{read("%f.item", at["_node"], "%f.node")}
{read("%f.item", at["_link"], "%f.link")}
  %f.e = icmp eq i32 %f.holders, 1
  %f.f = icmp eq i32 %f.count, 2
  %f.g = icmp eq ptr %f.own, %f.array
  %f.h = icmp eq i64 %f.wants, %false
  %f.v = icmp eq i64 %f.node, %none
  %f.j = icmp eq i64 %f.link, %none
  %f.k = and i1 %f.e, %f.f
  %f.l = and i1 %f.g, %f.h
  %f.m = and i1 %f.v, %f.j
  %f.o = and i1 %f.k, %f.l
  %f.p = and i1 %f.m, %f.o
  br i1 %f.p, label %f.next, label %miss"""


def word() -> str:
    """IR: the body of the loop over words of memory, each of which must be what it was."""
    return """
  %w.at = mul i64 %w.i, 16
  %w.p = getelementptr i8, ptr %words, i64 %w.at
  %w.q = getelementptr i8, ptr %w.p, i64 8
  %w.where = load ptr, ptr %w.p
  %w.then = load i64, ptr %w.q
  %w.now = load i64, ptr %w.where
  %w.eq = icmp eq i64 %w.now, %w.then
  br i1 %w.eq, label %w.next, label %changed"""


def free_result() -> str:
    """IR: the body of the loop over a set's result buffers, which nobody else may hold."""
    return """
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


def text() -> str:
    """The function ``int entered(arguments)``: the number of a set, or what is wrong."""
    at = slots()
    return f"""
declare void @prepare(ptr)
declare i32 @run(ptr, i64, i64)
{look()}
define internal i64 @enter(ptr %record, ptr %tuple) {{
entry:
{read("%record", 8 * BLOCK, "%block", "ptr")}
{read("%record", 8 * ARGUMENTS, "%rows", "ptr")}
{read("%record", 8 * ARGUMENT_COUNT, "%arguments")}
{read("%record", 8 * WORDS, "%words", "ptr")}
{read("%record", 8 * WORD_COUNT, "%word.count")}
{read("%record", 8 * FRESH, "%fresh", "ptr")}
{read("%record", 8 * FRESH_COUNT, "%fresh.count")}
{read("%record", 8 * GRADIENTS, "%gradients", "ptr")}
{read("%record", 8 * GRADIENT_COUNT, "%gradient.count")}
{read("%record", 8 * GRADIENT_RANGES, "%gradient.ranges", "ptr")}
  %settled = getelementptr i8, ptr %record, i64 {8 * SETTLED}
{read("%record", 8 * SETS, "%sets", "ptr")}
{read("%record", 8 * SET_COUNT, "%set.count")}
{read("%record", 8 * RESULTS, "%results")}
{read("%record", 8 * RESULT_SLOT, "%first")}
{read("%record", 8 * TENSOR_TYPE, "%tensor.type")}
{read("%record", 8 * NONE, "%none")}
{read("%record", 8 * FALSE, "%false")}
{read("%record", 8 * RANGES, "%ranges", "ptr")}
{read("%record", 8 * RANGE_COUNT, "%range.count")}
  %other.ranges = sub i64 %range.count, %gradient.count
{read("%tuple", TUPLE_SIZE, "%size")}
  %number = icmp eq i64 %size, %arguments
  br i1 %number, label %look, label %miss
look:
{loop("f", "%fresh.count", "read", fresh_gradient(at))}
{loop("g", "%gradient.count", "whether", gradient(at))}
  %is.settled = load i64, ptr %settled
  %is.apart = icmp ne i64 %is.settled, 0
  br i1 %is.apart, label %given, label %moved
moved:
{loop("h", "%gradient.count", "settle", gradients_apart())}
  store i64 1, ptr %settled
  br label %given
given:
{loop("a", "%arguments", "compare", argument())}
{loop("w", "%word.count", "choose", word())}
{
        loop(
            "s",
            "%set.count",
            "taken",
            f'''
  %set.words = mul i64 %results, 16
  %s.at = mul i64 %s.i, %set.words
  %set = getelementptr i8, ptr %sets, i64 %s.at
{loop("r", "%results", "go", free_result())}
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
def address() -> int:
    """The address of the built-in function."""
    known = runtime.addresses()
    body = jit.object_code(text())
    (where,) = jit.load([body], ["entered"], [(n, known[n]) for n in ("prepare", "run")])
    return where
