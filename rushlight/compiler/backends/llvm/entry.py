"""The way into a program for a call like the last one: one native function checks that it is.

Note [Entry]
What a program depends on lies in memory: which array a parameter's tensor holds, which gradient a
leaf has, how many references a result buffer has. A call hands over its tuple of arguments, as to
any built-in function; it compares words of memory with what they were, reads the arrays' addresses
into the block, finds result buffers that nobody holds, and runs the program. This relies on where
CPython and NumPy keep these things, see layout.py; where they are elsewhere, calls are checked in
Python. Of an array on a GPU, its kind says what it is like, and whose memory it is stands for where
that lies: the program reads its address itself.

Gradients come and go, and so do the tensors that they are: those that a program reads are looked at
as arguments are, by way of their leaves. Where one lies elsewhere than at the last call, it is made
sure that it is still apart from the others and from what is written to (``SETTLED``). A gradient
that a call makes anew is written to memory that nobody holds, or only a plain gradient that is just
the leaf's.
"""

from __future__ import annotations

import ctypes
from collections import deque
from typing import Any

import numpy as np

from rushlight.compiler.backends.llvm import direct, entry_code as code
from rushlight.compiler.held import BUFFERS
from rushlight.compiler.layout import ALIGNED, CONTIGUOUS, WRITEABLE, device_slots, slots
from rushlight.compiler.memory import address
from rushlight.compiler.objects import fields
from rushlight.compiler.parts import extent, laid, same_strides
from rushlight.compiler.program import empty
from rushlight.compiler.storages import may_overlap
from rushlight.core.device_array import DeviceArray, kind_of
from rushlight.core.tensor import Tensor
from rushlight.core.window import packed_strides
from rushlight.gpu import Memory
from rushlight.ops.view import owner


class Entry:
    """A variant's way into its program, for calls like the one with arguments ``args``.

    Raises ValueError where such calls must be checked in Python.
    """

    TAKEN, ALONE = code.TAKEN, code.ALONE

    def __init__(self, program: Any, variant: Any, args: tuple[Any, ...]) -> None:
        self.program, self.numbers = program, program.numbers
        self.unread = len(program.block) - 1  # where addresses go that nothing reads
        # objects whose addresses are compared
        self.kept: list[Any] = [a for a in args if not isinstance(a, (Tensor, np.ndarray))]
        self.strides = [i.strides for i in variant.graph.inputs]
        # guards, which may hold with other words, and which words they have
        self.guards: list[tuple[Any, int, int]] = []
        self.kept_by: dict[Any, list[Any]] = {}  # what each guard's words are addresses of
        words = self.conditions(variant)
        first = program.first_end
        sets = [[(id(a), place(a)) for a in arrays] for arrays in variant.sets]
        known = [s for _, kind, s in variant.updates if kind == "state"]
        whole = [owner(t._array) for t in (*known, *variant.standing)]
        self.kept += [x for x in whole if type(x) is Memory]
        ranges = [(place(a), place(a) + reach(a)) for a in whole if place(a)]
        gradients = self.gradient_rows(variant)
        buffers = zip(variant.leaves, variant.buffers.arrays, variant.absent, strict=True)
        fresh = [(id(leaf), id(a), absent) for leaf, a, absent in buffers]
        # of gradients it is not known yet where they are
        moving = [(0, 0)] * len(gradients)
        arguments = self.argument_rows(variant, args)
        parts: list[Any] = [arguments, words, fresh, sets, [*ranges, *moving], gradients]
        self.tables = [table(rows) for rows in parts]
        self.words = self.tables[1]
        self.whole = program.at_once
        record = self.record = np.zeros(code.RECORD_WORDS, np.int64)
        tables = [code.ARGUMENTS, code.WORDS, code.FRESH, code.SETS, code.RANGES, code.GRADIENTS]
        record[tables] = [address(t) for t in self.tables]
        counts = [
            code.ARGUMENT_COUNT,
            code.WORD_COUNT,
            code.FRESH_COUNT,
            code.SET_COUNT,
            code.RANGE_COUNT,
            code.GRADIENT_COUNT,
        ]
        record[counts] = [*map(len, parts)]
        record[code.GRADIENT_RANGES] = record[code.RANGES] + 16 * len(ranges)
        record[code.RESULTS], record[code.RESULT_SLOT] = len(variant.sets[0]), first
        record[code.BLOCK], record[code.PROGRAM] = address(program.block), address(program.record)
        record[code.LAUNCHES] = program.count if self.whole else 0
        record[code.ARRAY_TYPE], record[code.TENSOR_TYPE] = id(np.ndarray), id(Tensor)
        record[code.DEVICE_TYPE] = id(DeviceArray)
        record[code.NONE], record[code.FALSE] = id(None), id(False)
        record[code.TO_INT] = direct.address_of(ctypes.pythonapi.PyLong_FromLongLong)
        self.enter = direct.builtin(code.address(), direct.SINGLE, record)
        self.arguments = [(k, s) for k, kind, s in variant.sources if kind == "argument"]
        self.where = [i for i, a in enumerate(args) if isinstance(a, (Tensor, np.ndarray))]
        self.inputs = list(variant.inputs)
        self.changing = [k for k, kind, _ in variant.sources if kind == "number"]
        # what is read and has gaps, as an expanded tensor does: copied in order for each call
        state = [(k, s._array) for k, kind, s in variant.sources if kind == "state"]
        on_host = [(k, a) for k, a in state if type(a) is np.ndarray]
        lie = [same_strides(a, self.strides[k]) for k, a in on_host]
        copied = [where for where, fine in zip(on_host, lie, strict=True) if not fine]
        self.gaps = [(k, a, laid(a, self.strides[k])) for k, a in copied]
        # the lists, not what is in them: references to results and gradients are counted
        self.sets, self.updated, self.fresh = variant.sets, variant.updated, variant.buffers.arrays
        self.gradients, self.values = variant.gradients, variant.graph.results

    def argument_rows(self, variant: Any, args: tuple[Any, ...]) -> list[tuple[int, ...]]:
        """What arguments must be like."""
        slot_of = {s: k for k, kind, s in variant.sources if kind == "argument"}
        rows, tensors, arrays = list[tuple[int, ...]](), 0, list[Any]()
        for a in args:
            if variant.of_arrays:
                rows.append((0, id(np.ndarray), 0, 0, *self.array_row(a, slot_of.get(tensors))))
                tensors += 1
                continue
            if not isinstance(a, Tensor):
                several = isinstance(a, (list, dict, tuple, set, deque, np.ndarray, *BUFFERS))
                if several or fields(a) is not None:
                    raise ValueError("there may be tensors in it, or other content the next time")
                rows.append((id(a), *[0] * (code.ARGUMENT_WORDS - 1)))
                continue
            x, first = a._array, next(k for k, other in enumerate(args) if other is a)
            if first < len(rows):
                rows.append((*[0] * (code.ARGUMENT_WORDS - 1), first))
                tensors += 1
                continue
            if any([may_overlap(x, other) for other in arrays]):
                raise ValueError("arguments that share their memory")
            arrays.append(x)
            if a.requires_grad and not a._wants_grad:
                raise ValueError("an argument with a history")
            flags = id(a._wants_grad), id(a._wants_grad)  # other views are looked at
            rows.append((0, id(type(a)), *flags, *self.array_row(x, slot_of.get(tensors))))
            tensors += 1
        return rows

    def array_row(self, x: Any, slot: int | None) -> tuple[int, ...]:
        """The words of an argument that are about its array, which is input ``slot``, if any."""
        strides = None if is_in_order(x) else getattr(x, "strides", None)
        check_array(x, strides if slot is None else self.strides[slot])
        like = self.described(x.shape, x.dtype, getattr(x, "kind", None))
        flags, further = self.laid(strides)
        where = self.unread if slot is None else slot, reach(x), self.unread, flags
        return *like, *where, further, -1

    def laid(self, strides: Any) -> tuple[int, int]:
        """The flags, and where the strides are, that an array must have to lie so."""
        if strides is None:
            return CONTIGUOUS, 0
        words = np.array(strides, np.int64)
        self.kept.append(words)
        return ALIGNED, address(words)

    def described(self, shape: Any, d: Any, kind: Any) -> tuple[int, int, int]:
        """The words of an argument that say what its array is like; ``kind``: on a GPU."""
        if kind is not None and not device_slots():
            raise ValueError("arrays on GPUs are not known here")
        dims, d = np.array(shape, np.int64), d if kind is None else kind
        self.kept += [dims, d]
        return len(shape) if kind is None else code.ON_GPU, address(dims), id(d)

    def gradient_rows(self, variant: Any) -> list[tuple[int, ...]]:
        """What gradients that the program reads must be like."""
        targets = {n: self.program.first_end + len(variant.sets[0]) + k
                   for k, (n, _, _) in enumerate(variant.updates)}  # fmt: skip
        rows: list[Any] = []
        no = id(False)
        for k, leaf in variant.gradients.items():
            v = variant.graph.inputs[k].value
            d, kind = np.dtype(v.dtype), None
            if v.driver is not None:
                kind = kind_of(tuple(v.shape), packed_strides(v.shape, d.itemsize), d, v.driver)
            self.kept.append(leaf)
            flags, strides = self.laid(self.strides[k])
            flags |= WRITEABLE if k in targets else 0
            like = id(leaf), id(Tensor), no, no, *self.described(v.shape, d, kind), k
            size = int(np.prod(v.shape, dtype=np.int64)) * d.itemsize if kind is None else 1
            if self.strides[k] is not None:
                size = extent(v.shape, self.strides[k], d.itemsize)
            rows.append((*like, size, targets.get(k, self.unread), flags, strides, -1))
        return rows

    def conditions(self, variant: Any) -> list[tuple[int, int]]:
        """(address, content) of words that must be as they are."""
        at, words = slots(), []

        def holds(t: Tensor) -> None:
            words.append((id(t) + at["_array"], id(t._array)))
            self.kept += [t, t._array]

        for _, kind, source in variant.sources:
            if kind == "state":
                if type(source._array) not in (np.ndarray, DeviceArray):
                    raise ValueError("an array elsewhere")
                holds(source)
        for k, kind, source in variant.updates:
            if kind == "state":
                check_array(source._array, self.strides[k])
                words.append((id(source) + at["_counter"], id(source._counter)))
        self.kept += variant.leaves
        fresh = {*map(id, variant.leaves)}
        without = [leaf for leaf in variant.no_grads if id(leaf) not in fresh]
        words = [*[(id(leaf) + at["_grad"], id(None)) for leaf in without], *words]
        self.kept += without
        for guard in variant.guards:
            found = guard.words()
            if found is None:
                continue
            self.kept_by[guard] = found.kept
            self.guards.append((guard, len(words), len(words) + len(found)))
            words += found
        return words

    def refill(self) -> None:
        """New buffers for the results of the first set."""
        arrays = self.sets[0]
        arrays[:] = [empty(v) for v in self.values]
        self.tables[3][0] = [(id(a), place(a)) for a in arrays]

    def fill_gaps(self) -> None:
        """Copy what has gaps to where the program reads it."""
        for k, a, copy in self.gaps:
            copy[...] = a
            self.program.block[k] = address(copy)

    def renew(self, number: int) -> bool:
        """Whether a call found another word where only learning rates changed since the last, or
        what the function does not look at, or what changed back; it is then known anew.
        """
        which = code.CHANGED - number
        if not self.guards or which < self.guards[0][1]:
            return False
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
            a = args[self.where[source]]
            self.inputs[k] = a if type(a) is np.ndarray else a._array
        for k, leaf in self.gradients.items():
            self.inputs[k] = leaf._grad._array
        for k in self.changing:
            self.inputs[k] = self.numbers[k]
        outputs = [*self.sets[number], *self.updated(), *self.fresh]
        failed = self.program.run_parts(self.inputs, outputs)
        for k in (*[k for k, _ in self.arguments], *self.gradients):
            self.inputs[k] = None
        return code.FAILED if failed else number


def is_in_order(x: Any) -> bool:
    """Whether an array's elements lie one after another."""
    return bool(x.flags.c_contiguous and (type(x) is DeviceArray or x.flags.aligned))


def check_array(x: Any, strides: Any) -> None:
    """Raise ValueError unless the array has strides, or, for None, lies row by row."""
    known = type(x) in (np.ndarray, DeviceArray)
    if not known or not (is_in_order(x) if strides is None else same_strides(x, strides)):
        raise ValueError("an array that lies otherwise")


def place(x: Any) -> int:
    """Where an array lies, or the object that stands for a GPU's memory; 0 where nobody knows."""
    if type(x) is np.ndarray:
        return address(x)
    memory = x.memory if type(x) is DeviceArray else x
    return id(memory) if type(memory) is Memory else 0


def reach(x: Any) -> int:
    """How far what ``place`` says goes on."""
    if type(x) is not np.ndarray:
        return 1
    return int(x.nbytes) if is_in_order(x) else extent(x.shape, x.strides, x.itemsize)


def table(rows: Any) -> Any:
    """Rows of words in memory."""
    return np.array([*rows] or [(0, 0)], np.int64)
