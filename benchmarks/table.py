"""Write the table of eager times in README.md and README.zh.md from benchmarks/results.json."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BETWEEN = re.compile(r"(<!-- eager table -->\n).*?(<!-- end -->)", re.DOTALL)
HEADS = {
    "README.md": ("operation", "time / torch's", "goal"),
    "README.zh.md": ("运算", "耗时 / torch 耗时", "目标"),
}


def table(results, heads):
    """Return a Markdown table with two operations a row."""
    cells = [
        (f"`{name}`", f"{row['ratio']:.2f}", f"{row['target'] or '':}")
        for name, row in results.items()
    ]
    half = (len(cells) + 1) // 2
    left, right = cells[:half], [*cells[half:], ("", "", "")][:half]
    lines = ["| " + " | ".join((*heads, *heads)) + " |", "|---|---:|---:|---|---:|---:|"]
    lines += ["| " + " | ".join((*a, *b)) + " |" for a, b in zip(left, right, strict=True)]
    return "\n".join(lines) + "\n"


def main():
    record = json.loads((ROOT / "benchmarks/results.json").read_text(encoding="utf-8"))
    for name, heads in HEADS.items():
        page = ROOT / name
        text = page.read_text(encoding="utf-8")
        if not BETWEEN.search(text):
            raise SystemExit(f"{name}: no <!-- eager table --> ... <!-- end --> to fill")
        rows = table(record["eager"], heads)
        page.write_text(
            BETWEEN.sub(lambda m, rows=rows: m[1] + rows + m[2], text), encoding="utf-8"
        )
        print(f"Updated the table in {name}")


if __name__ == "__main__":
    main()
