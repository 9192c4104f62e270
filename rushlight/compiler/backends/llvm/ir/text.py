"""LLVM IR as text: names, constants, blocks with room for what is hoisted into them."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

NAMES = {
    "float32": "float",
    "float64": "double",
    "bool": "i1",
    "int8": "i8",
    "uint8": "i8",
    "int16": "i16",
    "uint16": "i16",
    "uint32": "i32",
    "uint64": "i64",
    "float16": "i16",  # halves are bits: all that is done with them is converting
    "bfloat16": "i16",
    "int32": "i32",
    "int64": "i64",
}
COMMON = "linkonce_odr"  # the linkage of functions that other modules may have too, see jit.py
MOST = 512  # of these that are remembered
MANGLED = {"float": "f32", "double": "f64"}


@functools.cache
def scalar_type(d: np.dtype[Any]) -> str:
    """The IR type of one element in a register."""
    return NAMES[d.name]


def vector_type(element: str, lanes: int) -> str:
    """The IR type of ``lanes`` elements; 0 lanes are one element."""
    return f"<{lanes} x {element}>" if lanes else element


def mangled(element: str, lanes: int) -> str:
    """The type's suffix in names of intrinsics."""
    e = MANGLED.get(element, element)
    return f"v{lanes}{e}" if lanes else e


def literal(value: Any, element: str) -> str:
    """A constant of one element."""
    if element in ("float", "double"):
        if element == "float":
            with np.errstate(over="ignore"):
                value = float(np.float32(value))
        return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"
    if element == "i1":
        return "true" if value else "false"
    return str(int(value))


def splat_literal(value: Any, element: str, lanes: int) -> str:
    """A constant in all lanes."""
    one = literal(value, element)
    return f"splat ({element} {one})" if lanes else one


class Module:
    """Declarations and functions."""

    def __init__(self, width: int) -> None:
        self.width = width  # bits of a vector register
        self.exact = False  # whether products are rounded before they are added
        self.declarations: set[str] = set()
        self.functions: dict[str, str] = {}
        self.signatures: dict[str, list[str]] = {}  # types of the arguments

    def common(self, key: Any, write: Callable[[Module], str]) -> str:
        """The name of the function that ``write`` adds to a module, with all that it calls: once
        for all modules, if ``key`` tells what it depends on. Its linkage is ``COMMON``.
        """
        found = _common.get((self.width, key))
        if found is None:
            if len(_common) >= MOST:
                _common.clear()
            alone = Module(self.width)
            found = _common[self.width, key] = write(alone), alone
        name, alone = found
        self.declarations |= alone.declarations
        self.functions.update(alone.functions)
        self.signatures.update(alone.signatures)
        return name

    def text(self) -> str:
        """All of it."""
        widths = " ".join([f'"{k}-vector-width"="{self.width}"' for k in ("prefer", "min-legal")])
        # with a frame pointer the stack is aligned for spilled vectors: they cross no cache lines
        attributes = f'attributes #0 = {{ nounwind "frame-pointer"="all" {widths} }}'
        notes = ["!0 = distinct !{!0, !1}", '!1 = !{!"llvm.loop.unroll.disable"}', "!2 = !{}"]
        return (
            "\n".join([*sorted(self.declarations), *self.functions.values(), attributes, *notes])
            + "\n"
        )


_common: dict[Any, tuple[str, Module]] = {}
Lines = list[Any]


class Function:
    """One function in the making. ``here`` is where lines go; nested lists are places kept open."""

    def __init__(
        self,
        module: Module,
        name: str,
        signature: str,
        result: str = "void",
        linkage: str = "private",
    ) -> None:
        self.module, self.name = module, name
        module.signatures[name] = [a.split()[0] for a in signature.split(", ") if a]
        self.head = f"define {linkage} {result} @{name}({signature}) #0 {{"
        self.root: Lines = ["entry:"]
        self.here = self.root
        self.count = 0
        self.block = "entry"

    def name_of(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def __call__(self, text: str, into: Lines | None = None) -> str:
        """An instruction with a result."""
        name = "%" + self.name_of("v")
        (self.here if into is None else into).append(f"  {name} = {text}")
        return name

    def do(self, text: str) -> None:
        """An instruction without a result."""
        self.here.append("  " + text)

    def label(self, name: str) -> None:
        """Start a block."""
        self.here.append(f"{name}:")
        self.block = name

    def intrinsic(
        self,
        name: str,
        suffix: str,
        result: str,
        arguments: list[tuple[str, str]],
        into: Lines | None = None,
        flags: str = "",
    ) -> str:
        """Call an intrinsic function."""
        full = f"@llvm.{name}.{suffix}"
        types = ", ".join([t for t, _ in arguments])
        self.module.declarations.add(f"declare {result} {full}({types})")
        return self(
            f"call {flags}{result} {full}({', '.join([f'{t} {v}' for t, v in arguments])})", into
        )

    def loop(
        self,
        stop: int | str,
        step: int,
        carried: list[tuple[str, str]],
        body: Callable[[str, list[str]], list[str]],
        start: int | str = 0,
    ) -> list[str]:
        """``for i in range(start, stop, step)``, at least once; ``carried``: (type, initial
        value) of what the body passes on.
        """
        head, done = self.name_of("L"), self.name_of("D")
        before = self.block
        self.do(f"br label %{head}")
        self.label(head)
        i = "%" + self.name_of("i")
        phis: Lines = []
        self.here.append(phis)
        names = ["%" + self.name_of("p") for _ in carried]
        new = body(i, names)
        following = self(f"add nsw i64 {i}, {step}")
        more = self(f"icmp slt i64 {following}, {stop}")
        self.do(f"br i1 {more}, label %{head}, label %{done}, !llvm.loop !0")
        phis.append(f"  {i} = phi i64 [ {start}, %{before} ], [ {following}, %{self.block} ]")
        for name, (kind, first), value in zip(names, carried, new, strict=True):
            phis.append(f"  {name} = phi {kind} [ {first}, %{before} ], [ {value}, %{self.block} ]")
        self.label(done)
        return new

    def end(self, last: str = "ret void") -> None:
        """Close the function and add it to the module."""
        self.do(last)
        self.module.functions[self.name] = "\n".join([self.head, *flattened(self.root), "}"])


def flattened(lines: Lines) -> list[str]:
    """Nested lists of lines in order."""
    result: list[str] = []
    for line in lines:
        if isinstance(line, str):
            result.append(line)
        else:
            result += flattened(line)
    return result
