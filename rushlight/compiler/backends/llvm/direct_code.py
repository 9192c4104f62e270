"""The text of the functions that ``direct`` makes: each takes its arguments apart as Python hands
them over, and calls a loop, a kernel or a program.

They are Python's built-in functions: ``ptr self`` is an array of words, which says what to call and
where Python's own functions and objects are; ``args`` are the arguments, ``count`` of them.
"""

from __future__ import annotations

MOST = 16  # arrays, and numbers
SCRATCH = 4096  # bytes
FAILED = MOST  # the word among the numbers
# what ``self`` holds; the first ones always
(
    TO_WORD, TO_DOUBLE, INCREF, COMPLAIN, OCCURRED, SAVE, RESTORE, KIND, TRUE, FALSE, CODE, ARRAYS,
) = range(12)  # fmt: skip
HEADER = object.__basicsize__
TYPE = HEADER - 8  # where an object says what it is
# where NumPy's objects have their address, number of dims, sizes and flags
DATA, DIMS, SIZES, FLAGS = HEADER, HEADER + 8, HEADER + 16, HEADER + 48
PLAIN = 0x101  # the flags of contiguous and aligned arrays


def _word(index: int, name: str, kind: str) -> str:
    """A word of ``self``."""
    return f"""  {name}p = getelementptr inbounds i64, ptr %words, i64 {index}
  {name} = load {kind}, ptr {name}p"""


SELF = f"""  %field = getelementptr inbounds i8, ptr %self, i64 {HEADER}
  %words = load ptr, ptr %field
{_word(TO_WORD, "%to.word", "ptr")}
{_word(INCREF, "%incref", "ptr")}
{_word(COMPLAIN, "%complain", "ptr")}
{_word(OCCURRED, "%occurred", "ptr")}
{_word(KIND, "%ndarray", "ptr")}
{_word(TRUE, "%true", "ptr")}
{_word(FALSE, "%false", "ptr")}"""

# around the loop, if it lets other threads run
GIVE_LOCK = f"""{_word(SAVE, "%save", "ptr")}
{_word(RESTORE, "%restore", "ptr")}
  %thread = call ptr %save()"""
TAKE_LOCK = "  call void %restore(ptr %thread)"


def _freely(ir: str) -> str:
    """The same function, under a name that ends so, for a loop that lets other threads run."""
    call = next(line for line in ir.splitlines() if "call void %code" in line)
    return ir.replace(call, f"{GIVE_LOCK}\n{call}\n{TAKE_LOCK}").replace(
        "(ptr %self", ".freely(ptr %self"
    )


NO_ARRAY = """no.array:
  %told = call i32 %complain()
  ret ptr null"""


def _checked(name: str, then: str) -> str:
    """Go on only if an object is an array."""
    return f"""  %{name}.type.p = getelementptr inbounds i8, ptr %{name}, i64 {TYPE}
  %{name}.type = load ptr, ptr %{name}.type.p
  %{name}.is = icmp eq ptr %{name}.type, %ndarray
  br i1 %{name}.is, label %{then}, label %no.array
{then}:"""


def _converted(kind: str, least: str) -> str:
    """Go on only if %value is what Python's function found, which is -1 where it raised."""
    return f"""  %odd = {kind} %value, {least}
  br i1 %odd, label %ask, label %taken
ask:
  %error = call ptr %occurred()
  %raised = icmp ne ptr %error, null
  br i1 %raised, label %refused, label %taken
refused:
  ret ptr null
taken:"""


DIRECT = f"""
define ptr @direct(ptr %self, ptr %args, i64 %count) {{
entry:
  %at = alloca [{MOST + 1} x i64], align 64
  %numbers = alloca [{MOST + 1} x i64], align 64
  %scratch = alloca [{SCRATCH} x i8], align 64
{SELF}
{_word(CODE, "%code", "ptr")}
{_word(ARRAYS, "%arrays", "i64")}
  %failed = getelementptr inbounds i64, ptr %numbers, i64 {FAILED}
  store i64 0, ptr %failed
  br label %array
array:
  %i = phi i64 [0, %entry], [%i.next, %known]
  %i.arg = getelementptr inbounds ptr, ptr %args, i64 %i
  %object = load ptr, ptr %i.arg
{_checked("object", "known")}
  %data.field = getelementptr inbounds i8, ptr %object, i64 {HEADER}
  %data = load i64, ptr %data.field
  %i.place = getelementptr inbounds i64, ptr %at, i64 %i
  store i64 %data, ptr %i.place
  %i.next = add i64 %i, 1
  %i.more = icmp ult i64 %i.next, %arrays
  br i1 %i.more, label %array, label %number
number:
  %k = phi i64 [%arrays, %known], [%k.next, %taken]
  %k.arg = getelementptr inbounds ptr, ptr %args, i64 %k
  %integer = load ptr, ptr %k.arg
  %value = call i64 %to.word(ptr %integer)
{_converted("icmp eq i64", "-1")}
  %which = sub i64 %k, %arrays
  %k.place = getelementptr inbounds i64, ptr %numbers, i64 %which
  store i64 %value, ptr %k.place
  %k.next = add i64 %k, 1
  %k.more = icmp ult i64 %k.next, %count
  br i1 %k.more, label %number, label %run
run:
  %last = getelementptr inbounds i64, ptr %at, i64 %arrays
  %numbers.address = ptrtoint ptr %numbers to i64
  store i64 %numbers.address, ptr %last
  call void %code(ptr %at, i64 0, i64 %value, ptr %scratch)
  %reason = load i64, ptr %failed
  %fine = icmp eq i64 %reason, 0
  %answer = select i1 %fine, ptr %true, ptr %false
  call void %incref(ptr %answer)
  ret ptr %answer
{NO_ARRAY}
}}
"""


ARRAYS_ALONG = ("x", "index", "y")


def _field(name: str, place: int, result: str, kind: str) -> str:
    """A field of one of NumPy's objects."""
    return f"""  {result}p = getelementptr inbounds i8, ptr %{name}, i64 {place}
  {result} = load {kind}, ptr {result}p"""


def _array(k: int, name: str) -> str:
    """What is known of an argument; ``%ok.<name>`` says whether it is plain and of x's dims."""
    return f"""  %{name}.arg = getelementptr inbounds ptr, ptr %args, i64 {k}
  %{name} = load ptr, ptr %{name}.arg
{_checked(name, f"known.{name}")}
{_field(name, DATA, f"%{name}.data", "i64")}
{_field(name, DIMS, f"%{name}.dims", "i32")}
{_field(name, SIZES, f"%{name}.sizes", "ptr")}
{_field(name, FLAGS, f"%{name}.flags", "i32")}
  %{name}.place = getelementptr inbounds i64, ptr %at, i64 {k}
  store i64 %{name}.data, ptr %{name}.place
  %{name}.bits = and i32 %{name}.flags, {PLAIN}
  %{name}.plain = icmp eq i32 %{name}.bits, {PLAIN}"""


def _number(k: int, name: str, value: str) -> str:
    """A number of the loop."""
    return f"""  %{name}.place = getelementptr inbounds i64, ptr %numbers, i64 {k}
  store i64 {value}, ptr %{name}.place"""


# ``self`` holds in ARRAYS whether the index has an entry for each element
ALONG = f"""
define ptr @along(ptr %self, ptr %args, i64 %count) {{
entry:
  %at = alloca [4 x i64], align 64
  %numbers = alloca [{MOST + 1} x i64], align 64
{SELF}
{_word(CODE, "%code", "ptr")}
{_word(ARRAYS, "%each.word", "i64")}
  %each = icmp ne i64 %each.word, 0
{chr(10).join([_array(k, name) for k, name in enumerate(ARRAYS_ALONG)])}
  %dim.arg = getelementptr inbounds ptr, ptr %args, i64 3
  %dim.object = load ptr, ptr %dim.arg
  %dim = call i64 %to.word(ptr %dim.object)
  %low.arg = getelementptr inbounds ptr, ptr %args, i64 4
  %low.object = load ptr, ptr %low.arg
  %low = call i64 %to.word(ptr %low.object)
  %dims = zext i32 %x.dims to i64
  %alike = icmp eq i32 %x.dims, %y.dims
  %index.alike = icmp eq i32 %index.dims, %y.dims
  %index.vector = icmp eq i32 %index.dims, 1
  %index.right = select i1 %each, i1 %index.alike, i1 %index.vector
  %inside = icmp ult i64 %dim, %dims
  %a = and i1 %x.plain, %index.plain
  %b = and i1 %y.plain, %alike
  %c = and i1 %inside, %index.right
  %ab = and i1 %a, %b
  %abc = and i1 %ab, %c
  br i1 %abc, label %size, label %no
size:
  %d = phi i64 [0, %known.y], [%d.next, %size]
  %lead = phi i64 [1, %known.y], [%lead.next, %size]
  %inner = phi i64 [1, %known.y], [%inner.next, %size]
  %n = phi i64 [0, %known.y], [%n.next, %size]
  %m = phi i64 [0, %known.y], [%m.next, %size]
  %wrong = phi i1 [false, %known.y], [%wrong.next, %size]
  %x.size.p = getelementptr inbounds i64, ptr %x.sizes, i64 %d
  %x.size = load i64, ptr %x.size.p
  %y.size.p = getelementptr inbounds i64, ptr %y.sizes, i64 %d
  %y.size = load i64, ptr %y.size.p
  %index.d = select i1 %each, i64 %d, i64 0
  %index.size.p = getelementptr inbounds i64, ptr %index.sizes, i64 %index.d
  %index.size = load i64, ptr %index.size.p
  %here = icmp eq i64 %d, %dim
  %before = icmp ult i64 %d, %dim
  %after = icmp ugt i64 %d, %dim
  %lead.more = mul i64 %lead, %x.size
  %lead.next = select i1 %before, i64 %lead.more, i64 %lead
  %inner.more = mul i64 %inner, %x.size
  %inner.next = select i1 %after, i64 %inner.more, i64 %inner
  %n.next = select i1 %here, i64 %x.size, i64 %n
  %m.next = select i1 %here, i64 %y.size, i64 %m
  %unlike = icmp ne i64 %x.size, %y.size
  %there = xor i1 %here, true
  %unlike.there = and i1 %unlike, %there
  %index.unlike = icmp ne i64 %index.size, %y.size
  %index.counts = or i1 %each, %here
  %index.wrong = and i1 %index.unlike, %index.counts
  %wrong.here = or i1 %unlike.there, %index.wrong
  %wrong.next = or i1 %wrong, %wrong.here
  %d.next = add i64 %d, 1
  %d.more = icmp ult i64 %d.next, %dims
  br i1 %d.more, label %size, label %check
check:
  %all.but = mul i64 %lead.next, %inner.next
  %both = mul i64 %n.next, %m.next
  %no.rest = icmp eq i64 %all.but, 0
  %no.length = icmp eq i64 %both, 0
  %nothing = or i1 %no.rest, %no.length
  %unfit = or i1 %wrong.next, %nothing
  br i1 %unfit, label %no, label %run
run:
{_number(0, "n", "%n.next")}
{_number(1, "m", "%m.next")}
{_number(2, "inner", "%inner.next")}
{_number(3, "lowest", "%low")}
{_number(FAILED, "failed", "0")}
  %last = getelementptr inbounds i64, ptr %at, i64 3
  %numbers.address = ptrtoint ptr %numbers to i64
  store i64 %numbers.address, ptr %last
  call void %code(ptr %at, i64 0, i64 %lead.next, ptr null)
  %reason = load i64, ptr %failed.place
  %fine = icmp eq i64 %reason, 0
  %answer = select i1 %fine, ptr %true, ptr %false
  call void %incref(ptr %answer)
  ret ptr %answer
no:
  %error = call ptr %occurred()
  %raised = icmp ne ptr %error, null
  %answer.no = select i1 %raised, ptr null, ptr %false
  call void %incref(ptr %answer.no)
  ret ptr %answer.no
{NO_ARRAY}
}}
"""


# what else ``self`` holds for elementwise kernels, and then for each operand how far apart its
# elements lie, and the word of the block that its address becomes
FN, OPERANDS, GIVEN, BYTES, KERNEL, UNIT, STEPS = range(FALSE + 1, FALSE + 8)
BLOCK = 64  # words of a block for runtime.py's functions
MOST_GIVEN, ROOM = 12, 512  # operands that may be copied, and bytes of a unit of one

# a kernel does whole units: fewer elements are copied to where there is room for one, amid others
# that are no zeros, and so is the result
SHORT = f"""
  %short = icmp ult i64 %n, %unit
  br i1 %short, label %few, label %many
few:
  call void @llvm.memset.p0.i64(ptr %scratch, i8 1, i64 {MOST_GIVEN * ROOM}, i1 false)
  store i64 %unit, ptr %block
  br label %copy
copy:
  %c = phi i64 [0, %few], [%c.next, %copied]
  %c.arg = getelementptr inbounds ptr, ptr %args, i64 %c
  %c.object = load ptr, ptr %c.arg
  %c.data.field = getelementptr inbounds i8, ptr %c.object, i64 {DATA}
  %c.step.at = add i64 %c, {STEPS}
  %c.step.place = getelementptr inbounds i64, ptr %words, i64 %c.step.at
  %c.step = load i64, ptr %c.step.place
  %c.at.at = add i64 %c.step.at, %given
  %c.at.place = getelementptr inbounds i64, ptr %words, i64 %c.at.at
  %c.at.word = load i64, ptr %c.at.place
  %c.at = add i64 %c.at.word, 4
  %c.offset = mul i64 %c, {ROOM}
  %c.room = getelementptr inbounds i8, ptr %scratch, i64 %c.offset
  %c.bytes = mul i64 %c.step, %n
  %c.none = icmp eq i64 %c.step, 0
  br i1 %c.none, label %copied, label %move
move:
  %c.data = load ptr, ptr %c.data.field
  call void @llvm.memcpy.p0.p0.i64(ptr %c.room, ptr %c.data, i64 %c.bytes, i1 false)
  %c.place = getelementptr inbounds i64, ptr %block, i64 %c.at
  store ptr %c.room, ptr %c.place
  br label %copied
copied:
  %c.next = add i64 %c, 1
  %c.more = icmp ult i64 %c.next, %given
  br i1 %c.more, label %copy, label %unit.only
unit.only:
  call void %fn(ptr %block)
  %to = load ptr, ptr %c.data.field
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %c.room, i64 %c.bytes, i1 false)
  call void %incref(ptr %true)
  ret ptr %true
many:"""


def _elementwise(name: str, head: int, more: str, last: str, short: str = "") -> str:
    """``f(*given, ..., n)``: writes the block that runtime.py's function wants, with ``head`` words
    ahead of the addresses, and calls it. What is given are arrays and numbers.
    """
    return f"""
define ptr @{name}(ptr %self, ptr %args, i64 %count) {{
entry:
  %block = alloca [{BLOCK} x i64], align 64
  %numbers = alloca [{BLOCK} x double], align 64
  %scratch = alloca [{MOST_GIVEN * ROOM} x i8], align 64
{SELF}
{_word(TO_DOUBLE, "%to.double", "ptr")}
{_word(FN, "%fn", "ptr")}
{_word(OPERANDS, "%operands", "i64")}
{_word(GIVEN, "%given", "i64")}
{_word(BYTES, "%bytes", "i64")}
{_word(KERNEL, "%kernel", "i64")}
{_word(UNIT, "%unit", "i64")}
  %n.which = sub i64 %count, 1
  %n.arg = getelementptr inbounds ptr, ptr %args, i64 %n.which
  %n.object = load ptr, ptr %n.arg
  %n = call i64 %to.word(ptr %n.object)
  store i64 %n, ptr %block
{_entry(1, "%operands")}
{_entry(2, "%kernel")}
{_entry(3, "%unit")}
{more}
  br label %operand
operand:
  %i = phi i64 [0, %{last}], [%i.next, %known]
  %arg = getelementptr inbounds ptr, ptr %args, i64 %i
  %object = load ptr, ptr %arg
  %step.at = add i64 %i, {STEPS}
  %step.place = getelementptr inbounds i64, ptr %words, i64 %step.at
  %step = load i64, ptr %step.place
  %at.at = add i64 %step.at, %given
  %at.place = getelementptr inbounds i64, ptr %words, i64 %at.at
  %at.word = load i64, ptr %at.place
  %is.number = icmp eq i64 %step, 0
  br i1 %is.number, label %number, label %array
number:
  %value = call double %to.double(ptr %object)
{_converted("fcmp oeq double", "-1.0")}
  %number.place = getelementptr inbounds double, ptr %numbers, i64 %i
  store double %value, ptr %number.place
  %number.address = ptrtoint ptr %number.place to i64
  br label %known
array:
{_checked("object", "found")}
  %data.field = getelementptr inbounds i8, ptr %object, i64 {DATA}
  %data = load i64, ptr %data.field
  br label %known
known:
  %address = phi i64 [%number.address, %taken], [%data, %found]
  %at = add i64 %at.word, {head}
  %place = getelementptr inbounds i64, ptr %block, i64 %at
  store i64 %address, ptr %place
  %after = add i64 %at, %operands
  %after.place = getelementptr inbounds i64, ptr %block, i64 %after
  store i64 %step, ptr %after.place
  %i.next = add i64 %i, 1
  %i.more = icmp ult i64 %i.next, %given
  br i1 %i.more, label %operand, label %run
run:
{short}
  call void %fn(ptr %block)
  call void %incref(ptr %true)
  ret ptr %true
{NO_ARRAY}
}}

declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
"""


def _entry(k: int, value: str) -> str:
    """A word of the block."""
    return f"""  %block{k} = getelementptr inbounds i64, ptr %block, i64 {k}
  store i64 {value}, ptr %block{k}"""


def _address(k: int, which: int) -> str:
    """The address of one of the arguments behind the operands as word k of the block."""
    return f"""  %which{k} = add i64 %given, {which}
  %arg{k} = getelementptr inbounds ptr, ptr %args, i64 %which{k}
  %object{k} = load ptr, ptr %arg{k}
{_checked(f"object{k}", f"known{k}")}
  %data.field{k} = getelementptr inbounds i8, ptr %object{k}, i64 {DATA}
  %data{k} = load i64, ptr %data.field{k}
{_entry(k, f"%data{k}")}"""


FLAT = _elementwise("flat", 4, "", "entry", SHORT)
WRITE = _elementwise(
    "write", 7, f"{_entry(4, '%bytes')}\n{_address(5, 0)}\n{_address(6, 1)}", "known6"
)


# what else ``self`` holds where addresses of arrays go into a block: where that is, a function and
# what it is called with, another one, a number for it, and the word of the block for each argument
SLOTS, FIRST, RECORD, SECOND, LAUNCHES, WHICH = range(FALSE + 1, FALSE + 7)


def _placed(name: str, then: str) -> str:
    """``f(*arrays)``: writes their addresses into the block, and goes on."""
    return f"""
define ptr @{name}(ptr %self, ptr %args, i64 %count) {{
entry:
{SELF}
{_word(SLOTS, "%slots", "ptr")}
{_word(FIRST, "%first", "ptr")}
{_word(RECORD, "%record", "ptr")}
{_word(SECOND, "%second", "ptr")}
{_word(LAUNCHES, "%launches", "i64")}
  br label %array
array:
  %i = phi i64 [0, %entry], [%i.next, %known]
  %i.arg = getelementptr inbounds ptr, ptr %args, i64 %i
  %object = load ptr, ptr %i.arg
{_checked("object", "known")}
  %data.field = getelementptr inbounds i8, ptr %object, i64 {DATA}
  %data = load i64, ptr %data.field
  %which.at = add i64 %i, {WHICH}
  %which.place = getelementptr inbounds i64, ptr %words, i64 %which.at
  %which = load i64, ptr %which.place
  %slot.place = getelementptr inbounds i64, ptr %slots, i64 %which
  store i64 %data, ptr %slot.place
  %i.next = add i64 %i, 1
  %i.more = icmp ult i64 %i.next, %count
  br i1 %i.more, label %array, label %run
run:
  call void %first(ptr %record)
{then}
  %answer = select i1 %fine, ptr %true, ptr %false
  call void %incref(ptr %answer)
  ret ptr %answer
{NO_ARRAY}
}}
"""


ROWS = _placed("rows", "  %fine = icmp eq i64 %count, %count")
PROGRAM = _placed(
    "program",
    """  %failed = call i32 %second(ptr %record, i64 0, i64 %launches)
  %fine = icmp eq i32 %failed, 0""",
)


TEXTS = {
    "direct": DIRECT, "direct.freely": _freely(DIRECT), "along": ALONG,
    "along.freely": _freely(ALONG), "flat": FLAT, "write": WRITE, "rows": ROWS, "program": PROGRAM,
}  # fmt: skip
