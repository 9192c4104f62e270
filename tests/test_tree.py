"""The tree as a whole: who imports what, that docstrings' examples run, and figures worth watching.

Sizes and import time are reported, not bounded: run ``pytest tests/test_tree.py -rP`` to read them.
"""

import ast
import contextlib
import importlib
import inspect
import io
import pkgutil
import re
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest
import torch

import rushlight

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "rushlight"
SOURCES = sorted(PACKAGE.rglob("*.py"))


def imported_names(path):
    """Yield (line, dotted name) for every import in a file, also those inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            module = node.module + "." if node.module == "rushlight" else node.module
            names = [alias.name for alias in node.names] if module.endswith(".") else [""]
            yield from ((node.lineno, module + name) for name in names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_stay_inside(path):
    """No file imports torch, nor the top-level package, which sits above them all."""
    for line, name in imported_names(path):
        where = f"{path.relative_to(ROOT)}:{line} imports {name}"
        assert name.split(".")[0] not in {"torch", "torchvision"}, where
        first, _, rest = name.partition(".")
        assert first != "rushlight" or is_module(rest), f"{where}; import what defines it"


def is_module(name):
    path = PACKAGE.joinpath(*name.split("."))
    return bool(name) and (path.with_suffix(".py").exists() or path.is_dir())


def test_import_is_light():
    """Heavy libraries wait until something needs them; the time itself is reported."""
    program = """
import sys, time
import numpy, ml_dtypes
start = time.perf_counter()
import rushlight
print(f"{time.perf_counter() - start:.3f}")
print(*sys.modules)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    seconds, modules = run.stdout.splitlines()
    print(f"import rushlight: {seconds} s, after numpy and ml_dtypes")
    loaded = set(modules.split())
    heavy = {"torch", "scipy.linalg", "scipy.special", "llvmlite", "PIL", "matplotlib", "cupy"}
    assert not loaded & (heavy | {"multiprocessing.pool", "pandas", "tqdm"})


def test_report_sizes():
    """Lines of code by folder, and the longest files."""
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    folders = Counter()
    for path, count in lines.items():
        folders[str(path.parent.relative_to(ROOT))] += count
    for folder, count in sorted(folders.items()):
        print(f"{count:6d} {folder}")
    print(f"{sum(folders.values()):6d} in all; the longest files:")
    for path in sorted(lines, key=lines.get, reverse=True)[:8]:
        print(f"{lines[path]:6d} {path.relative_to(ROOT)}")


# -- examples in docstrings ----------------------------------------------------------------------
#
# Two forms count, both under a line "Example:" (or "Examples:"). With prompts (>>>) it is a
# doctest. Without, it is a program: it has to run, and its asserts have to hold.

HEADING = re.compile(r"^( *)Examples?::?[ ]*$", re.MULTILINE)


def module_names(folder=PACKAGE, prefix="rushlight"):
    yield prefix
    for info in pkgutil.iter_modules([str(folder)]):
        if info.ispkg:
            yield from module_names(folder / info.name, f"{prefix}.{info.name}")
        elif info.name != "__main__":
            yield f"{prefix}.{info.name}"


def package_modules():
    for name in module_names():
        with contextlib.suppress(ImportError):  # test_modules_import reports it
            yield importlib.import_module(name)


@pytest.mark.parametrize("name", list(module_names()))
def test_modules_import(name):
    importlib.import_module(name)


def documented_objects():
    """Yield (name, object) for each function, class and method the package defines, once."""
    seen = set()
    for module in package_modules():
        yield module.__name__, module
        for name, value in sorted(vars(module).items()):
            yield from documented_members(module.__name__, name, value, seen)


def documented_members(owner, name, value, seen):
    home = getattr(value, "__module__", None) or ""
    if id(value) in seen or not isinstance(home, str) or not home.startswith("rushlight"):
        return
    seen.add(id(value))
    yield f"{owner}.{name}", value
    if inspect.isclass(value):
        for attribute, member in sorted(vars(value).items()):
            member = getattr(member, "__func__", member)
            yield from documented_members(f"{owner}.{name}", attribute, member, seen)


def examples(docstring):
    """Return the blocks of code under the Example headings of a docstring."""
    text = inspect.cleandoc(docstring)
    blocks = []
    for match in HEADING.finditer(text):
        indent = len(match[1])
        block = []
        for line in text[match.end() :].splitlines()[1:]:
            if line.strip() and len(line) - len(line.lstrip()) <= indent:
                break
            block.append(line)
        blocks.append(textwrap.dedent("\n".join(block)).strip("\n"))
    return [block for block in blocks if block]


def collect_examples():
    """Return (block, module whose names it may use) for every example there is."""
    found = []
    for name, value in documented_objects():
        docstring = value.__dict__.get("__doc__") if inspect.isclass(value) else value.__doc__
        module = value if inspect.ismodule(value) else importlib.import_module(value.__module__)
        for number, block in enumerate(examples(docstring) if isinstance(docstring, str) else ()):
            label = f"{name}-{number}" if number else name
            found.append(pytest.param(block, module, id=label))
    return found


def run_doctest(block, names):
    import doctest

    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    test = doctest.DocTestParser().get_doctest(block, names, "example", None, None)
    report = io.StringIO()
    doctest.DocTestRunner(optionflags=flags, verbose=False).run(test, out=report.write)
    assert not report.getvalue(), report.getvalue()


@pytest.mark.parametrize(("block", "module"), collect_examples())
def test_example(block, module, tmp_path, monkeypatch):
    """An example may use torch, nn, F, rushlight (or rl), and the names of its own module."""
    monkeypatch.chdir(tmp_path)
    names = {**vars(module), "__name__": "example", "torch": rushlight, "rushlight": rushlight}
    names.update(rl=rushlight, nn=rushlight.nn, F=rushlight.nn.functional)
    if ">>>" in block:
        run_doctest(block, names)
    else:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(block, "example", "exec"), names)


@pytest.mark.parametrize("place", [rushlight, rushlight.Tensor, rushlight.nn.functional])
def test_everything_public_says_what_it_does(place):
    public = {name: getattr(place, name) for name in dir(place) if not name.startswith("_")}
    assert [name for name, value in public.items() if callable(value) and not value.__doc__] == []
    first = {name: (inspect.getdoc(v) or "").split("\n\n")[0] for name, v in public.items()}
    assert [name for name, lines in first.items() if "\n " in lines] == []  # indented, in help()


@pytest.mark.parametrize(
    "folder", ["core", "ops", "tensor_api", "compiler", "compiler/backends/llvm"]
)
def test_maps_are_true(folder):
    """The docstring of a large package names each of its files, and none that is not there."""
    path = PACKAGE / folder
    text = ast.get_docstring(ast.parse((path / "__init__.py").read_text(encoding="utf-8")))
    named = set(re.findall(r"``([a-z]\w*)``", text))
    files = {info.name for info in pkgutil.iter_modules([str(path)]) if info.name[0] != "_"}
    assert files - named == set()
    assert {name for name in named - files if not is_module(name)} == set()


def test_the_package_shows_no_modules_of_its_parts():
    """``dir(rushlight)`` has PyTorch's names, and files of this folder; ``random`` is the
    namespace.
    """
    names = {name for name in dir(rushlight) if name[0] != "_" and not hasattr(torch, name)}
    own = {"Any", "TorchVersion", "get_printoptions", "is_autocast_available"}
    assert {name for name in names - own if not is_module(name)} == set()
    assert rushlight.random.__name__ == "rushlight.random"
