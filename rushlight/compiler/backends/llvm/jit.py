"""IR to machine code, with a cache of object files on disk.

Note [Common functions]
Kernels of convolutions consist of functions, many of which are those of other kernels too: the
gradients turn and transform the same images as the layer. A function whose linkage is ``COMMON`` is
compiled alone, once, and called by all kernels that would contain it. Its symbol ends in a hash of
its text; so does that of a kernel, of what is left of its module.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import itertools
import os
import platform
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rushlight.compiler.backends.llvm.ir.text import COMMON
from rushlight.compiler.disk import cache_folder, load_file, save

FUNCTION = re.compile(r"^define .*?^}\n", re.DOTALL | re.MULTILINE)
START = f"define {COMMON} "
SYMBOL = re.compile(r"@([\w.]+)")
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


def on_x86() -> bool:
    """Whether the processor is x86."""
    return platform.machine().lower() in ("x86_64", "amd64", "i686")


def vector_bits() -> int:
    """Width of the CPU's vector registers."""
    _, cpu, features = target()
    if "+avx512vl" in features.split(",") or cpu == "x86-64-v4":
        return 512
    return 256 if "+avx2" in features.split(",") or cpu == "x86-64-v3" else 128


def converts_halves() -> bool:
    """Whether the CPU has instructions that make float16 of float32, and back."""
    _, cpu, features = target()
    return not on_x86() or "+f16c" in features.split(",") or cpu in ("x86-64-v3", "x86-64-v4")


def machine() -> Any:
    """A target machine that makes code for this process."""
    llvm, cpu, features = target()
    made = llvm.Target.from_default_triple().create_target_machine(
        cpu=cpu, features=features, opt=2, reloc="pic", codemodel="jitdefault", jit=True
    )
    return made


@functools.cache
def machines(_: tuple[str, str]) -> list[Any]:
    """Target machines for a CPU and its features that nobody uses now: what they learn about these
    takes as long as a small kernel.
    """
    return []


def key_of(ir: str) -> str:
    """What an object file depends on."""
    llvm, cpu, features = target()
    text = "\0".join([ir, cpu, features, str(llvm.llvm_version_info), "1"])
    return hashlib.sha256(text.encode()).hexdigest()


def object_code(ir: str) -> bytes:
    """Machine code for IR, from the cache if it is there."""
    return cached(ir) or compiled(ir)


def object_codes(irs: Sequence[str]) -> list[bytes]:
    """Machine code for several modules. What the cache lacks is compiled on all processors."""
    found = [cached(ir) for ir in irs]
    missing = [ir for ir, body in zip(irs, found, strict=True) if body is None]
    if len(missing) > 1:
        from concurrent.futures import ThreadPoolExecutor  # takes time to load

        with ThreadPoolExecutor(min(len(missing), os.cpu_count() or 1)) as threads:
            made = list(threads.map(compiled, missing))
    else:
        made = [compiled(ir) for ir in missing]
    new = iter(made)
    return [body or next(new) for body in found]


def place_of(ir: str) -> Path | None:
    """Where the machine code for IR is kept."""
    folder = cache_folder()
    return None if folder is None else folder / key_of(ir)


def cached(ir: str) -> bytes | None:
    """Machine code for IR from the cache, if it is there."""
    path = place_of(ir)
    return None if path is None else load_file(path)


def compiled(ir: str) -> bytes:
    """Machine code for IR, which is added to the cache."""
    path = place_of(ir)
    llvm = target()[0]
    module = llvm.parse_assembly(ir, llvm.create_context())  # contexts are not for several threads
    module.verify()
    free = machines(target()[1:])
    made = free.pop() if free else machine()  # for one thread at a time
    body: bytes = made.emit_object(module)
    free.append(made)
    if path is not None:
        save(path, body)
    return body


def load(
    bodies: Sequence[bytes], names: Sequence[str], symbols: Sequence[tuple[str, int]] = ()
) -> list[int]:
    """Load machine code, which may call ``symbols``, for the rest of the process; the addresses of
    functions in it.
    """
    library = target()[0].JITLibraryBuilder()
    for body in bodies:
        library.add_object_img(body)
    for name in names:
        library.export_symbol(name)
    for name, place in (*library_functions(), *symbols):
        library.import_symbol(name, place)
    loaded = library.link(linker(), f"part{next(_count)}")
    _loaded.append(loaded)
    return [loaded[name] for name in names]


@functools.cache
def linker() -> Any:
    """What puts machine code into memory."""
    return target()[0].create_lljit_compiler(machine(), use_jit_link=False)


_loaded: list[Any] = []
_count = itertools.count()
_kernels: dict[str, int] = {}  # the addresses of kernels and common functions, by their keys
_lock = threading.Lock()


def kernels(irs: Sequence[str]) -> list[int]:
    """The address of ``@kernel`` in each module. Equal modules are compiled once, different ones on
    all processors.
    """
    texts = dict[str, str]()
    keys = [separate(ir, texts)["kernel"] for ir in irs]
    new = {key: text for key, text in texts.items() if key not in _kernels}
    link({**dict.fromkeys(texts, b""), **machine_code(new)})  # to those that are loaded, too
    return [_kernels[key] for key in keys]


def machine_code(texts: dict[str, str]) -> dict[str, bytes]:
    """The machine code of modules, by the symbols of their functions."""
    return dict(zip(texts, object_codes([*texts.values()]), strict=True))


def separate(ir: str, texts: dict[str, str]) -> dict[str, str]:
    """The symbols of ``kernel`` and of the common functions in a module; ``texts`` gets modules in
    which each of them is alone, by their symbols.
    """
    symbols, found = separated(ir)
    texts.update(found)
    return symbols


@functools.lru_cache(256)
def separated(ir: str) -> tuple[dict[str, str], dict[str, str]]:
    """What ``separate`` returns, and adds to ``texts``."""
    common = dict[str, str]()
    rest, symbols = without_common(ir, common) if START in ir else (ir, {})
    key = symbols["kernel"] = f"k{key_of(rest)[:32]}"
    return symbols, {key: rest.replace("@kernel(", f"@{key}("), **common}


def without_common(ir: str, common: dict[str, str]) -> tuple[str, dict[str, str]]:
    """A module that calls its common functions from elsewhere, and their symbols; ``common`` gets
    their modules.
    """
    lines, own = FUNCTION.sub("", ir).splitlines(), list[str]()
    calls: dict[str, tuple[str, str]] = {}  # name -> symbol, declaration
    for text in FUNCTION.findall(ir):  # each behind those that it calls
        used = set(SYMBOL.findall(text))
        text = SYMBOL.sub(lambda m: f"@{calls[m[1]][0]}" if m[1] in calls else m[0], text)
        needed = [calls[name][1] for name in sorted(used & calls.keys())]
        if not text.startswith(START):
            own += [*needed, text]
            continue
        needed += [x for x in lines if x[:1] in ("a", "!") or used & {*SYMBOL.findall(x)}]
        head = text.split("{")[0]
        (name,) = SYMBOL.findall(head)
        symbol = f"{name}_{key_of(text + repr(needed))[:32]}"
        head, text = [x.replace(f"@{name}(", f"@{symbol}(") for x in (head, text)]
        calls[name] = symbol, head.replace(START, "declare ")
        common[symbol] = "\n".join([*needed, text.replace(START, "define ")])
    symbols = {name: symbol for name, (symbol, _) in calls.items()}
    return "\n".join([*lines, *own]) + "\n", symbols


def link(bodies: dict[str, bytes]) -> list[int]:
    """The addresses of functions, which are loaded if they are not yet there."""
    with _lock:
        new = {key: body for key, body in bodies.items() if key not in _kernels}
        if new:
            there = [(key, _kernels[key]) for key in bodies if key in _kernels]
            _kernels.update(zip(new, load([*new.values()], [*new], there), strict=True))
        return [_kernels[key] for key in bodies]


def forget() -> None:
    """Compile, or read from disk, every kernel anew; what was loaded stays loaded."""
    _kernels.clear()


@functools.cache
def library_functions() -> list[tuple[str, int]]:
    """The C library's functions that kernels may call, and where they are."""
    from rushlight.compiler.backends.llvm.ir.math import LIBRARY

    # what this process has loaded: NumPy needs all of them too
    library = ctypes.CDLL("ucrtbase" if os.name == "nt" else None)
    symbols = [symbol for name in sorted(LIBRARY) for symbol in (name, name + "f")]
    places = [ctypes.cast(getattr(library, symbol), ctypes.c_void_p).value for symbol in symbols]
    return [(symbol, place or 0) for symbol, place in zip(symbols, places, strict=True)]
