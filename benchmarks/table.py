"""Write the tables of times on the pages from the figures beside this file."""

import json
import re
from pathlib import Path

from workloads import ALL

HERE = Path(__file__).resolve().parent
EAGER_HEADS = {
    "README.md": ("operation", "time / torch's", "goal"),
    "README.zh.md": ("运算", "耗时 / torch 耗时", "目标"),
}
STEPS_HEADS = {
    "README.md": (
        "step", "eager", "compiled", "goal", "eager, 2 threads", "compiled, 2 threads",
        "first two calls (five)", "with a cache", "memory",
    ),
    "README.zh.md": (
        "训练步或推理", "即时执行", "编译后", "目标", "即时执行，2 线程", "编译后，2 线程",
        "前两次调用（五次）", "有缓存时", "内存",
    ),
}  # fmt: skip

PARTS_HEADS = {
    "docs/compiler.md": (
        "step", "us", "matrix products", "at", "convolution", "attention", "recurrence", "the rest",
    ),
}  # fmt: skip


GPU_HEADS = {
    "docs/cuda.md": (
        "step",
        "PyTorch, us",
        "eager",
        "compiled",
        "compiled, us",
        "first four calls",
    ),
}


def eager_table(record, heads):
    """Return a Markdown table with two operations a row."""
    cells = [
        (f"`{name}`", f"{row['ratio']:.2f}", f"{row['target'] or '':}")
        for name, row in record["eager"].items()
    ]
    half = (len(cells) + 1) // 2
    left, right = cells[:half], [*cells[half:], ("", "", "")][:half]
    lines = ["| " + " | ".join((*heads, *heads)) + " |", "|---|---:|---:|---|---:|---:|"]
    lines += ["| " + " | ".join((*a, *b)) + " |" for a, b in zip(left, right, strict=True)]
    return "\n".join(lines) + "\n"


def steps_table(record, heads):
    """Return a Markdown table with a workload a row."""
    one, two = record["threads"]["1"], record["threads"]["2"]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    for name, rows in one.items():
        own, memory = rows["rushlight compile"], rows["torch"]["memory"]
        cells = [
            f"`{name}`",
            *[f"{rows[e]['ratio']:.2f}" for e in ("rushlight", "rushlight compile")],
            f"{ALL[name][1]:g}",
            *[f"{two[name][e]['ratio']:.2f}" for e in ("rushlight", "rushlight compile")],
            f"{own['captured']:.1f} s ({own['first']:.1f})",
            f"{own['captured_warm']:.1f} s ({own['warm']:.1f})",
            f"{own['memory'] / max(1, memory):.2f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def parts_table(record, heads):
    """Return a Markdown table with a workload a row: shares of its time."""
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    for name, row in record["steps"].items():
        total = sum(row["us"].values())
        products, *others = [f"{us / total:.0%}" if us else "" for us in row["us"].values()]
        at = f"{row['peak']:.0%} of peak" if products else ""
        lines.append("| " + " | ".join([f"`{name}`", f"{total:.0f}", products, at, *others]) + " |")
    return "\n".join(lines) + "\n"


def gpu_table(record, heads):
    """Return a Markdown table with a workload a row."""
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    for name, rows in record["steps"].items():
        own = rows["rushlight compile"]
        cells = [
            name,
            f"{rows['torch']['us']:.0f}",
            f"{rows['rushlight']['ratio']:.2f}",
            f"{own['ratio']:.2f}",
            f"{own['us']:.0f}",
            f"{own['first']:.1f} s",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return f"{record['machine']}:\n\n" + "\n".join(lines) + "\n"


def fill(page, mark, rows):
    """Put a table between a page's marks."""
    between = re.compile(rf"(<!-- {mark} table -->\n).*?(<!-- end -->)", re.DOTALL)
    text = page.read_text(encoding="utf-8")
    if not between.search(text):
        raise SystemExit(f"{page.name}: no <!-- {mark} table --> ... <!-- end --> to fill")
    page.write_text(between.sub(lambda m: m[1] + rows + m[2], text), encoding="utf-8")
    print(f"Updated the {mark} table in {page.name}")


def main():
    tables = (
        ("eager", "results.json", eager_table, EAGER_HEADS),
        ("steps", "steps.json", steps_table, STEPS_HEADS),
        ("steps on Intel", "steps_intel.json", steps_table, STEPS_HEADS),
        ("parts", "parts.json", parts_table, PARTS_HEADS),
        ("gpu", "gpu.json", gpu_table, GPU_HEADS),
    )
    for mark, file, make, pages in tables:
        record = json.loads((HERE / file).read_text(encoding="utf-8"))
        for name, heads in pages.items():
            fill(HERE.parent / name, mark, make(record, heads))


if __name__ == "__main__":
    main()
