"""Write docs/operators.md: what each public function does, found by calling it.

    python scripts/operators.py            write the page
    python scripts/operators.py --check    fail if functions came or went since it was written

The functions and their arguments are the samples in tests/ops/samples, which the generic tests
compare with PyTorch. This script does not need PyTorch: gradients of both orders are compared with
finite differences, and a compiled call with an eager one.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

import rushlight
from rushlight.autograd.gradcheck import gradcheck, gradgradcheck
from rushlight.overrides import get_overridable_functions, resolve_name

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.ops.calls import Call, array_of, find, finish, perform, quiet  # noqa: E402
from tests.ops.samples import load  # noqa: E402

PAGE = ROOT / "docs" / "operators.md"
GROUPS = {
    "bool": ["bool"],
    "int": ["uint8", "int8", "int32", "int64"],
    "half": ["float16", "bfloat16"],
    "float": ["float32", "float64"],
    "complex": ["complex64", "complex128"],
}
TITLES = {
    "": "torch",
    "Tensor": "torch.Tensor",
    "nn.functional": "torch.nn.functional",
    "linalg": "torch.linalg",
    "fft": "torch.fft",
    "special": "torch.special",
    "signal.windows": "torch.signal.windows",
    "masked": "torch.masked",
}
HEAD = """# Operators

Every public function, found by calling it with the samples of its tests (`tests/ops/samples`).
`python scripts/operators.py` writes this page again.

- **eager**: all samples run; the tests compare them with PyTorch: values, dtypes, shared memory,
  methods, in-place and `out=` forms, errors, gradients.
- **gradient**, **second order**: "yes" agrees with finite differences; "torch" is compared with
  PyTorch's only, as differences do not exist there (jumps, elements that are not read). Empty: no
  derivative, or none is sampled.
- **compiled**: `torch.compile(..., fullgraph=True)` captures the call and gives the same result.
  Empty: it needs values while tracing (`item`, data-dependent shapes), or takes no tensor.
- **dtypes** in which the first sample runs; a group is named when all its members do.

Layers, optimizers and distributions are built from these. What has no samples is named at the end.
"""
REST = """## Without samples

Random functions, whose streams are compared in `tests/random`; functions of sparse tensors
(`tests/sparse`); decompositions that are unique but for a sign or a phase (`tests/linalg`); and
what makes memory without values, moves tensors, or is about a tensor rather than its elements
(`tests/tensor_api`, `tests/autograd`).
"""


def operands(name, op):
    """Return a function of the first sample's tensors that require grad, and those tensors."""
    call = Call.new(rushlight, "float64" if op.base.startswith("int") else op.base)
    args, kwargs = call.arguments(op.samples[0])
    inputs = call.track()

    def function(*tensors):
        result = finish(call, find(rushlight, name), args, kwargs)
        if result.error is not None:
            raise result.error
        return [t for t in result.tensors() if t.is_floating_point() or t.is_complex()]

    return function, inputs


def gradients(name, op):
    """Return what is known of the gradient and of its gradient: "yes", "torch" or "" each."""
    if not op.grad or name.endswith("_"):  # in place: leaves cannot be written to
        return "", ""
    function, inputs = operands(name, op)
    if not inputs or not any(t.requires_grad for t in function(*inputs)):
        return "", ""
    if not op.differences:
        return "torch", "torch" if op.second else ""
    with quiet():
        gradcheck(function, inputs, fast_mode=True)
        if op.second:
            gradgradcheck(function, inputs, fast_mode=True)
    return "yes", "yes" if op.second else ""


def eager(name, op):
    """Whether every sample runs."""
    return all(perform(rushlight, name, sample, op.base).error is None for sample in op.samples)


def compiled(name, op):
    """Whether a compiled call gives what the eager one does."""
    eager = perform(rushlight, name, op.samples[0], op.base)
    call = Call.new(rushlight, op.base)
    args, kwargs = call.arguments(op.samples[0])
    function = find(rushlight, name)
    if not call.tensors:
        return False
    tensors = list(call.tensors)

    def run(*tensors):
        return finish(call, function, args, kwargs).tensors()

    program = rushlight.compile(run, fullgraph=True)
    try:
        with quiet():
            program(*tensors)
            got = program(*tensors)
    except RuntimeError:
        return False
    except Exception as error:
        print(f"\n{name} under compile: {error!r}", file=sys.stderr)
        return False
    expected = eager.tensors()
    return len(got) == len(expected) > 0 and all(
        a.dtype == b.dtype and same(a, b) for a, b in zip(got, expected, strict=True)
    )


def same(a, b):
    """Whether two tensors are equal but for rounding."""
    x, y = (array_of(t) for t in (a, b))
    return x.shape == y.shape and np.allclose(x, y, rtol=1e-6, atol=1e-9, equal_nan=True)


def dtypes(name, op):
    """Return the dtypes of the first sample, in groups."""
    if not any(spec.dtype is None for spec in specs_of(op.samples[0])):
        return "as given"
    words = []
    for group, names in GROUPS.items():
        good = [d for d in names if works(name, op, d)]
        words += [group] if good == names else good
    return ", ".join(words)


def works(name, op, dtype):
    """Whether the first sample runs; an error that is no refusal is shown."""
    try:
        return perform(rushlight, name, op.samples[0], dtype).error is None
    except Exception as error:
        print(f"\n{name} in {dtype}: {error!r}", file=sys.stderr)
        return False


def specs_of(sample):
    """Return the tensors that a sample asks for."""
    call = Call.new(rushlight, "float64")
    call.arguments(sample)
    return call.specs


def row(name, op):
    """Return a function's line of the table."""
    with quiet():
        short = name.rpartition(".")[2] if not name.startswith("_") else name
        runs, captured = ("yes" if f(name, op) else "" for f in (eager, compiled))
        cells = f"`{short}`", runs, *gradients(name, op), captured, dtypes(name, op)
        return f"| {' | '.join(cells)} |"


def sections(ops):
    """Return {namespace: {name: op}} in the page's order, of what rushlight has."""
    found = {space: {} for space in TITLES}
    for name in sorted(ops):
        space = name.rpartition(".")[0]
        if find(rushlight, name) is not None:
            found[space][name] = ops[name]
    return found


def page(ops):
    """Return the whole page."""
    parts, count = [HEAD], 0
    for space, members in sections(ops).items():
        parts.append(
            f"## {TITLES[space]}\n\n"
            "| function | eager | gradient | second order | compiled | dtypes |\n"
            "|---|---|---|---|---|---|"
        )
        for name, op in members.items():
            parts.append(row(name, op))
            count += 1
            print(f"\r{count} {name:60.60}", end="", file=sys.stderr)
        parts[-1] += "\n"
    print(file=sys.stderr)
    return "\n".join([*parts, rest(ops)])


def rest(ops):
    """Return the end of the page: the functions and methods of tensors that have no samples."""
    sampled = {find(rushlight, name) for name in ops}
    short = {name.rpartition(".")[2].rstrip("_") for name in ops}
    found = {}
    for functions in get_overridable_functions().values():
        for function in functions:
            home, _, name = (resolve_name(function) or "_").rpartition(".")
            home = "torch" if home == "torch.functional" else home
            known = function in sampled or name.rstrip("_") in short
            if home.removeprefix("torch").removeprefix(".") in TITLES and not known:
                if not name.startswith("_"):
                    found.setdefault(home, set()).add(name)
    return REST + "".join(
        f"\n`{home}`: {', '.join(f'`{name}`' for name in sorted(names))}\n"
        for home, names in sorted(found.items())
    )


def listed(text):
    """Return the functions that the page lists, with their namespaces."""
    found, space = set(), ""
    titles = {title: space for space, title in TITLES.items()}
    for line in text.partition(REST)[0].splitlines():
        if line.startswith("## "):
            space = titles[line[3:]]
        elif line.startswith("| `"):
            name = line.split("`")[1]
            found.add(f"{space}.{name}" if space else name)
    return found


def check():
    """Fail if the page lists other functions than there are."""
    ops, text = load(), PAGE.read_text(encoding="utf-8")
    expected = {name for members in sections(ops).values() for name in members}
    found = listed(text)
    if not text.endswith(rest(ops)):
        raise SystemExit(
            "docs/operators.md is out of date at its end; run python scripts/operators.py"
        )
    if expected != found:
        raise SystemExit(
            f"docs/operators.md is out of date: lacks {sorted(expected - found)}, has "
            f"{sorted(found - expected)} too many; run python scripts/operators.py"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare names, write nothing")
    if parser.parse_args().check:
        check()
    else:
        PAGE.write_text(page(load()), encoding="utf-8")
