"""IR to machine code, with a cache of object files on disk."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

CPU_VARIABLE = "RUSHLIGHT_CPU"  # "x86-64-v3" makes AVX2 code, for tests


@functools.cache
def target() -> tuple[Any, str, str]:
    """llvmlite's binding, initialised, with the CPU's name and features."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    forced = os.environ.get(CPU_VARIABLE, "")
    if forced:
        return llvm, forced, ""
    return llvm, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def vector_bits() -> int:
    """Width of the CPU's vector registers."""
    _, cpu, features = target()
    if "+avx512vl" in features.split(",") or cpu == "x86-64-v4":
        return 512
    return 256 if "+avx2" in features.split(",") or cpu == "x86-64-v3" else 128


def machine() -> Any:
    """A target machine that makes code for this process."""
    llvm, cpu, features = target()
    made = llvm.Target.from_default_triple().create_target_machine(
        cpu=cpu, features=features, opt=2, reloc="pic", codemodel="jitdefault", jit=True
    )
    return made


def cache_folder() -> Path | None:
    """Where object code is kept: RUSHLIGHT_CACHE_DIR (empty: nowhere), else the user's cache
    folder.
    """
    named = os.environ.get("RUSHLIGHT_CACHE_DIR")
    if named is not None:
        return Path(named) / "objects" if named else None
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "rushlight" / "objects"


def key_of(ir: str) -> str:
    """What an object file depends on."""
    llvm, cpu, features = target()
    text = "\0".join([ir, cpu, features, str(llvm.llvm_version_info), "1"])
    return hashlib.sha256(text.encode()).hexdigest()


def load(path: Path) -> bytes | None:
    """A cached object, or None where there is none that is whole. Files end with their content's
    hash.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return None
    body, seal = data[:-32], data[-32:]
    return body if hashlib.sha256(body).digest() == seal else None


def save(path: Path, body: bytes) -> None:
    """Write a cached object at once; failures do not matter."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(body + hashlib.sha256(body).digest())
        os.replace(name, path)
    except OSError:
        pass


def object_code(ir: str) -> bytes:
    """Machine code for IR, from the cache if it is there."""
    folder = cache_folder()
    path = None if folder is None else folder / key_of(ir)
    found = None if path is None else load(path)
    if found is not None:
        return found
    llvm = target()[0]
    module = llvm.parse_assembly(ir)
    module.verify()
    body: bytes = machine().emit_object(module)
    if path is not None:
        save(path, body)
    return body


class Code:
    """Loaded machine code."""

    def __init__(self, ir: str) -> None:
        llvm = target()[0]
        declare_library(llvm)
        self.body = object_code(ir)  # LLVM reads it where it is
        self.file = llvm.ObjectFileRef.from_data(self.body)
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine())
        self.engine.add_object_file(self.file)
        self.engine.finalize_object()

    def function(self, name: str) -> Any:
        """A function ``int32 name(void *)``, called without releasing the interpreter's lock when
        ``name`` is quick.
        """
        return ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)(
            self.engine.get_function_address(name)
        )


@functools.cache
def declare_library(llvm: Any) -> None:
    """Tell the linker where the C library's functions are that it does not find by itself."""
    from rushlight.compiler.backends.llvm.math import LIBRARY

    library = ctypes.CDLL(ctypes.util.find_library("m"))
    for name in sorted(LIBRARY):
        for symbol in (name, name + "f"):
            if not llvm.address_of_symbol(symbol):
                llvm.add_symbol(
                    symbol, ctypes.cast(getattr(library, symbol), ctypes.c_void_p).value
                )
