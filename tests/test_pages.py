"""What the pages promise: their programs run, and their links lead somewhere.

Where what a program prints has changed for good: python -m tests.test_pages docs/compiler.md
"""

import contextlib
import io
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
PROGRAM = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def relative(path):
    return str(path.relative_to(ROOT))


TRANSLATED = ROOT / "docs/tutorial.zh.md"


@pytest.mark.parametrize("page", [p for p in PAGES if p != TRANSLATED], ids=relative)
def test_programs_run(page, tmp_path, monkeypatch):
    """The Python blocks of a page run in order, in one namespace, as a reader would type them."""
    monkeypatch.chdir(tmp_path)
    text, names = page.read_text(encoding="utf-8"), {"__name__": "page"}
    for match in PROGRAM.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        program = "\n" * line + match[1]  # so that a traceback names the page's own lines
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(program, relative(page), "exec"), names)
        assert printed.getvalue().strip() == expected_output(text[match.end() :])


def test_the_tutorial_shows_the_same_in_both_languages():
    """So that one need not run, and translating one's text is all there is to keep up."""
    english, chinese = (ROOT / f"docs/tutorial{end}.md" for end in ("", ".zh"))
    blocks = re.compile(r"^```\w+\n.*?^```", re.MULTILINE | re.DOTALL)
    assert blocks.findall(english.read_text("utf-8")) == blocks.findall(chinese.read_text("utf-8"))


def expected_output(rest):
    """Return the text block that follows a program directly: its output."""
    block = re.match(r"\n+```text\n(.*?)^```", rest, re.MULTILINE | re.DOTALL)
    return block[1].strip() if block else ""


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:", "#", "mailto:")):
            path = (page.parent / target.split("#")[0]).resolve()
            assert path.exists(), f"{relative(page)} links to {target}, which is not there"


def rewrite(page):
    """Replace the output blocks of a page by what its programs print now."""
    text, names, out, at = page.read_text(encoding="utf-8"), {"__name__": "page"}, [], 0
    for match in PROGRAM.finditer(text):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(match[1], relative(page), "exec"), names)
        block = re.compile(r"\n+```text\n(.*?)^```", re.MULTILINE | re.DOTALL).match(
            text, match.end()
        )
        if block:
            out += [text[at : block.start(1)], printed.getvalue().strip() + "\n"]
            at = block.end(1)
    page.write_text("".join([*out, text[at:]]), encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        rewrite(ROOT / name)
