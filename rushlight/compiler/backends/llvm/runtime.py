"""What runs a program: one native function that goes through its launches, alone or with workers.

A program is a table. Each launch is a kernel ``void (ptr at, i64 lo, i64 hi, ptr scratch)``, the
addresses of its operands, and how many units of work it has. A launch without a kernel is a check:
it ends the run where its operand is False.

Note [Claims]
A launch is cut into chunks, by its units and cost alone. The main thread writes down the job, then
the claim word ``generation << 32 | first << 16 | stop`` of the chunks that are left. Whoever swaps
it for one with fewer may run those in between, and counts them as done afterwards. The main thread
returns when all are done, so a job does not change while one of its chunks is claimed, and a late
worker finds nothing to claim.

A part of what is left is claimed at a time, one in ``WAYS``, twice as many as there are threads:
claims take time, and threads end together if the last are small. The main thread takes the first
chunks and workers the last, so that a thread reads what it wrote before as often as can be.

Note [Short programs]
A program that takes no longer than it takes to wake workers keeps the interpreter's lock, so that
no other begins or ends. It uses those workers that still wait for more to do, and counts the runs
in which they were fewer than it wants; see workers.py for when they are woken for it.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

from rushlight.compiler.backends.llvm import jit

# words of 8 bytes
LAUNCHES, PATCHES, PATCH_COUNT, BLOCK, SCRATCH, POOL = range(6)
SHORT, NEEDS, WANTS, MISSED, RECORD_WORDS = range(6, 11)
FUNCTION, OPERANDS, UNITS, CHUNKS, LAUNCH_WORDS = range(5)
SLOT, OFFSET, TARGET, PATCH_WORDS = range(4)
# words of the pool, each group in cache lines of its own
CLAIM, DONE, JOB, WAYS = 0, 16, 32, 33
ACTIVE, STOP, AWAKE, ENOUGH, ROOM, POOL_WORDS = 48, 49, 50, 51, 52, 64

GRACE = 20  # times its patience: how long a worker waits for its first work


def _word(pointer: str, index: int | str, name: str) -> str:
    """An address ``name``, that many words behind a pointer."""
    return f"  {name} = getelementptr inbounds i64, ptr {pointer}, i64 {index}"


def _read(pointer: str, index: int, name: str, kind: str = "i64") -> str:
    """A word's value."""
    return f"{_word(pointer, index, name + 'p')}\n  {name} = load {kind}, ptr {name}p"


IR = f"""
declare void @llvm.x86.sse2.pause()
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare i64 @llvm.smin.i64(i64, i64)

; addresses that may differ from call to call: *target = block[slot] + offset
define void @prepare(ptr %record) {{
entry:
{_read("%record", PATCHES, "%patches", "ptr")}
{_read("%record", PATCH_COUNT, "%count")}
{_read("%record", BLOCK, "%block", "ptr")}
  %some = icmp sgt i64 %count, 0
  br i1 %some, label %loop, label %out
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %row = mul i64 %i, {PATCH_WORDS}
{_word("%patches", "%row", "%patch")}
{_read("%patch", SLOT, "%slot")}
{_read("%patch", OFFSET, "%offset")}
{_read("%patch", TARGET, "%target", "ptr")}
{_word("%block", "%slot", "%from")}
  %base = load i64, ptr %from
  %address = add i64 %base, %offset
  store i64 %address, ptr %target
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %loop, label %out
out:
  ret void
}}

; launches start to stop - 1; 0, or 1 where a check failed
define i32 @run(ptr %record, i64 %start, i64 %stop) {{
entry:
{_read("%record", LAUNCHES, "%launches", "ptr")}
{_read("%record", SCRATCH, "%scratch", "ptr")}
{_read("%record", POOL, "%taken", "ptr")}
{_read("%record", SHORT, "%near", "ptr")}
  %some = icmp slt i64 %start, %stop
  %is.short = icmp ne ptr %near, null
  %asks = and i1 %some, %is.short
  br i1 %asks, label %ask, label %begin
ask:
{_read("%record", NEEDS, "%needs")}
{_read("%record", WANTS, "%wants")}
{_read("%near", ROOM, "%room")}
{_read("%near", ENOUGH, "%enough")}
{_read("%near", ACTIVE, "%elsewhere")}
{_word("%near", AWAKE, "%awake.p")}
  %awake = load atomic i64, ptr %awake.p monotonic, align 8
  %useful = call i64 @llvm.smin.i64(i64 %wants, i64 %enough)
  %free = icmp eq i64 %elsewhere, 0
  %fits = icmp uge i64 %room, %needs
  %can = and i1 %free, %fits
  %any = call i64 @llvm.smin.i64(i64 %awake, i64 %useful)
  %helped = icmp sgt i64 %any, 0
  %uses = and i1 %can, %helped
  %found = select i1 %uses, ptr %near, ptr null
  %all = icmp eq i64 %any, %useful
  %full = and i1 %uses, %all
  br i1 %full, label %begin, label %miss
miss:
{_read("%record", MISSED, "%misses")}
  %one.more = add i64 %misses, 1
  store i64 %one.more, ptr %missesp
  br label %begin
begin:
  %pool = phi ptr [%taken, %entry], [%found, %ask], [%found, %miss]
  %alone = icmp eq ptr %pool, null
  br i1 %some, label %loop, label %out
loop:
  %i = phi i64 [%start, %begin], [%next, %continue]
  %row = mul i64 %i, {LAUNCH_WORDS}
{_word("%launches", "%row", "%launch")}
{_read("%launch", FUNCTION, "%f", "ptr")}
{_read("%launch", OPERANDS, "%at", "ptr")}
{_read("%launch", UNITS, "%units")}
{_read("%launch", CHUNKS, "%chunks")}
  %is.check = icmp eq ptr %f, null
  br i1 %is.check, label %check, label %compute
check:
  %place = load ptr, ptr %at
  %truth = load i8, ptr %place
  %fails = icmp eq i8 %truth, 0
  br i1 %fails, label %failed, label %continue
compute:
  %few = icmp slt i64 %chunks, 2
  %serial = or i1 %few, %alone
  br i1 %serial, label %here, label %share
here:
  call void %f(ptr %at, i64 0, i64 %units, ptr %scratch)
  br label %continue
share:
  call void @shared(ptr %pool, ptr %launch, i64 %chunks, ptr %scratch)
  br label %continue
continue:
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %stop
  br i1 %more, label %loop, label %out
failed:
  ret i32 1
out:
  ret i32 0
}}

; a kernel on arrays of n elements, at least one unit of them: see calls.py
define void @flat(ptr %block) {{
{_read("%block", 0, "%n")}
{_read("%block", 3, "%size")}
  %units = udiv i64 %n, %size
  call void @row(ptr %block, i64 %units)
  ret void
}}

; the same, where it is known how many whole units there are
define private void @row(ptr %block, i64 %units) {{
entry:
{_read("%block", 0, "%n")}
{_read("%block", 1, "%operands")}
{_read("%block", 2, "%f", "ptr")}
{_read("%block", 3, "%size")}
{_word("%block", 4, "%at")}
{_word("%at", "%operands", "%steps")}
  call void %f(ptr %at, i64 0, i64 %units, ptr null)
  %done = mul i64 %units, %size
  %rest = icmp ult i64 %done, %n
  br i1 %rest, label %shift, label %out
shift:
  %ahead = sub i64 %n, %size
  br label %loop
loop:
  %i = phi i64 [0, %shift], [%next, %loop]
{_word("%at", "%i", "%place")}
{_word("%steps", "%i", "%from")}
  %start = load i64, ptr %place
  %step = load i64, ptr %from
  %bytes = mul i64 %step, %ahead
  %moved = add i64 %start, %bytes
  store i64 %moved, ptr %place
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %operands
  br i1 %more, label %loop, label %last
last:
  call void %f(ptr %at, i64 0, i64 1, ptr null)
  br label %out
out:
  ret void
}}

; flat again and again, on rows of arrays: behind its block are the numbers of rows nearby and
; farther apart, how far apart both lie for each operand, and where the first ones are
define void @rows(ptr %block) {{
entry:
{_read("%block", 1, "%operands")}
{_word("%block", 4, "%at")}
{_word("%at", "%operands", "%steps")}
{_word("%steps", "%operands", "%counts")}
{_read("%counts", 0, "%nearby")}
{_read("%counts", 1, "%farther")}
{_word("%counts", 2, "%near")}
{_word("%near", "%operands", "%far")}
{_word("%far", "%operands", "%base")}
{_read("%block", 0, "%n")}
{_read("%block", 3, "%size")}
  %units = udiv i64 %n, %size
  br label %group
group:
  %i = phi i64 [0, %entry], [%i.next, %group.end]
  br label %row
row:
  %j = phi i64 [0, %group], [%j.next, %run]
  br label %operand
operand:
  %k = phi i64 [0, %row], [%k.next, %operand]
{_word("%base", "%k", "%start.p")}
{_word("%near", "%k", "%near.p")}
{_word("%far", "%k", "%far.p")}
{_word("%at", "%k", "%place")}
  %start = load i64, ptr %start.p
  %near.step = load i64, ptr %near.p
  %far.step = load i64, ptr %far.p
  %near.bytes = mul i64 %near.step, %j
  %far.bytes = mul i64 %far.step, %i
  %there = add i64 %start, %near.bytes
  %address = add i64 %there, %far.bytes
  store i64 %address, ptr %place
  %k.next = add i64 %k, 1
  %k.more = icmp ult i64 %k.next, %operands
  br i1 %k.more, label %operand, label %run
run:
  call void @row(ptr %block, i64 %units)
  %j.next = add i64 %j, 1
  %j.more = icmp ult i64 %j.next, %nearby
  br i1 %j.more, label %row, label %group.end
group.end:
  %i.next = add i64 %i, 1
  %i.more = icmp ult i64 %i.next, %farther
  br i1 %i.more, label %group, label %out
out:
  ret void
}}

; a kernel on n elements of arrays, of which it writes to the one that has no step: the last unit
; goes elsewhere first, since elements must not be done again, and is copied to its place at the end
define void @write(ptr %block) {{
entry:
{_read("%block", 0, "%n")}
{_read("%block", 1, "%operands")}
{_read("%block", 2, "%f", "ptr")}
{_read("%block", 3, "%size")}
{_read("%block", 4, "%bytes")}
{_read("%block", 5, "%to")}
{_read("%block", 6, "%aside")}
{_word("%block", 7, "%at")}
{_word("%at", "%operands", "%steps")}
{_word("%steps", "%operands", "%ahead")}
  %units = udiv i64 %n, %size
  %rest = urem i64 %n, %size
  %some = icmp ne i64 %rest, 0
  br i1 %some, label %shift, label %whole
shift:
  %further = sub i64 %n, %size
  br label %loop
loop:
  %i = phi i64 [0, %shift], [%next, %loop]
{_word("%at", "%i", "%place")}
{_word("%steps", "%i", "%from")}
{_word("%ahead", "%i", "%there")}
  %start = load i64, ptr %place
  %step = load i64, ptr %from
  %distance = mul i64 %step, %further
  %moved = add i64 %start, %distance
  %written = icmp slt i64 %step, 0
  %address = select i1 %written, i64 %aside, i64 %moved
  store i64 %address, ptr %there
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %operands
  br i1 %more, label %loop, label %last
last:
  call void %f(ptr %ahead, i64 0, i64 1, ptr null)
  br label %whole
whole:
  call void %f(ptr %at, i64 0, i64 %units, ptr null)
  br i1 %some, label %copy, label %out
copy:
  %skipped = sub i64 %size, %rest
  %skipped.bytes = mul i64 %skipped, %bytes
  %source.address = add i64 %aside, %skipped.bytes
  %source = inttoptr i64 %source.address to ptr
  %done = mul i64 %units, %size
  %done.bytes = mul i64 %done, %bytes
  %target.address = add i64 %to, %done.bytes
  %target = inttoptr i64 %target.address to ptr
  %length = mul i64 %rest, %bytes
  call void @llvm.memcpy.p0.p0.i64(ptr %target, ptr %source, i64 %length, i1 false)
  br label %out
out:
  ret void
}}

; some chunks of a launch
define internal void @chunk(ptr %launch, i64 %first, i64 %stop, i64 %chunks, ptr %scratch) {{
{_read("%launch", FUNCTION, "%f", "ptr")}
{_read("%launch", OPERANDS, "%at", "ptr")}
{_read("%launch", UNITS, "%units")}
  %low = mul i64 %units, %first
  %lo = udiv i64 %low, %chunks
  %high = mul i64 %units, %stop
  %hi = udiv i64 %high, %chunks
  call void %f(ptr %at, i64 %lo, i64 %hi, ptr %scratch)
  ret void
}}

; the main thread's part of a launch, see Note [Claims]
define internal void @shared(ptr %pool, ptr %launch, i64 %chunks, ptr %scratch) {{
entry:
{_word("%pool", CLAIM, "%claim")}
{_word("%pool", DONE, "%done")}
{_word("%pool", JOB, "%job")}
{_read("%pool", WAYS, "%ways")}
  store ptr %launch, ptr %job
  store atomic i64 0, ptr %done monotonic, align 8
  %old = load atomic i64, ptr %claim monotonic, align 8
  %past = lshr i64 %old, 32
  %generation = add i64 %past, 1
  %shifted = shl i64 %generation, 32
  %first = or i64 %shifted, %chunks
  store atomic i64 %first, ptr %claim release, align 8
  br label %look
look:
  %now = load atomic i64, ptr %claim acquire, align 8
  %end = and i64 %now, 65535
  %upper = lshr i64 %now, 16
  %begin = and i64 %upper, 65535
  %left = sub i64 %end, %begin
  %none = icmp eq i64 %left, 0
  br i1 %none, label %wait, label %try
try:
  %more.than = sub i64 %left, 1
  %share = udiv i64 %more.than, %ways
  %taken = add i64 %share, 1
  %after = add i64 %begin, %taken
  %further = shl i64 %taken, 16
  %less = add i64 %now, %further
  %swap = cmpxchg ptr %claim, i64 %now, i64 %less acq_rel acquire
  %mine = extractvalue {{ i64, i1 }} %swap, 1
  br i1 %mine, label %work, label %look
work:
  call void @chunk(ptr %launch, i64 %begin, i64 %after, i64 %chunks, ptr %scratch)
  %before = atomicrmw add ptr %done, i64 %taken acq_rel
  br label %look
wait:
  %count = load atomic i64, ptr %done acquire, align 8
  %all = icmp eq i64 %count, %chunks
  br i1 %all, label %out, label %spin
spin:
  call void @llvm.x86.sse2.pause()
  br label %wait
out:
  ret void
}}

; a worker: runs chunks until the pool has been inactive for a while (0), or is to stop (1)
define i32 @work(ptr %pool, ptr %scratch, i64 %patience) {{
entry:
{_read("%pool", WAYS, "%ways")}
{_word("%pool", CLAIM, "%claim")}
{_word("%pool", DONE, "%done")}
{_word("%pool", JOB, "%job")}
{_word("%pool", ACTIVE, "%active")}
{_word("%pool", STOP, "%stop")}
{_word("%pool", AWAKE, "%awake")}
  %others = atomicrmw add ptr %awake, i64 1 acq_rel
  ; whoever woke this worker may wait for the lock that it had
  %grace = mul i64 %patience, {-GRACE}
  br label %look
look:
  %idle = phi i64 [%grace, %entry], [0, %work], [%idle, %try], [%longer, %spin]
  %now = load atomic i64, ptr %claim acquire, align 8
  %end = and i64 %now, 65535
  %upper = lshr i64 %now, 16
  %begin = and i64 %upper, 65535
  %left = sub i64 %end, %begin
  %none = icmp eq i64 %left, 0
  br i1 %none, label %rest, label %try
try:
  %more.than = sub i64 %left, 1
  %share = udiv i64 %more.than, %ways
  %taken = add i64 %share, 1
  %from = sub i64 %end, %taken
  %less = sub i64 %now, %taken
  %swap = cmpxchg ptr %claim, i64 %now, i64 %less acq_rel acquire
  %mine = extractvalue {{ i64, i1 }} %swap, 1
  br i1 %mine, label %work, label %look
work:
  %launch = load ptr, ptr %job
{_read("%launch", CHUNKS, "%chunks")}
  call void @chunk(ptr %launch, i64 %from, i64 %end, i64 %chunks, ptr %scratch)
  %before = atomicrmw add ptr %done, i64 %taken acq_rel
  br label %look
rest:
  %ends = load atomic i64, ptr %stop acquire, align 8
  %ending = icmp ne i64 %ends, 0
  br i1 %ending, label %stopped, label %stay
stay:
  %running = load atomic i64, ptr %active acquire, align 8
  %runs = icmp ne i64 %running, 0
  %more = add i64 %idle, 1
  %longer = select i1 %runs, i64 0, i64 %more
  %tired = icmp sgt i64 %longer, %patience
  br i1 %tired, label %sleep, label %spin
spin:
  call void @llvm.x86.sse2.pause()
  br label %look
sleep:
  %left.s = atomicrmw sub ptr %awake, i64 1 acq_rel
  ret i32 0
stopped:
  %left.e = atomicrmw sub ptr %awake, i64 1 acq_rel
  ret i32 1
}}
"""


# where there is no such instruction, waiting is a barrier for the compiler and nothing else
DECLARED = (
    "declare void @llvm.x86.sse2.pause()",
    'define internal void @pause() {\n  fence syncscope("singlethread") seq_cst\n  ret void\n}',
)


@functools.cache
def addresses() -> dict[str, int]:
    """Where the runtime's functions are."""
    text = IR if jit.on_x86() else IR.replace(*DECLARED).replace("@llvm.x86.sse2.pause", "@pause")
    names = ("prepare", "run", "work", "flat", "rows", "write")
    return dict(zip(names, jit.load([jit.object_code(text)], names), strict=True))


@functools.cache
def functions() -> dict[str, Any]:
    """The runtime's functions; "run" keeps the interpreter's lock, "run freely" does not."""
    at, pointer, number = addresses(), ctypes.c_void_p, ctypes.c_int64
    return {
        "prepare": ctypes.PYFUNCTYPE(None, pointer)(at["prepare"]),
        "run": ctypes.PYFUNCTYPE(ctypes.c_int32, pointer, number, number)(at["run"]),
        "run freely": ctypes.CFUNCTYPE(ctypes.c_int32, pointer, number, number)(at["run"]),
        "flat": ctypes.PYFUNCTYPE(None, pointer)(at["flat"]),
        "rows": ctypes.PYFUNCTYPE(None, pointer)(at["rows"]),
        "write": ctypes.PYFUNCTYPE(None, pointer)(at["write"]),
        "work": ctypes.CFUNCTYPE(ctypes.c_int32, pointer, pointer, number)(at["work"]),
    }
