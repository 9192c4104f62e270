"""Build the pages and an API reference into a folder: `python scripts/build_docs.py build/docs`.

Pages are Markdown, readable as they are; here they become HTML, and links between them follow. A
link that leads nowhere stops the build. The reference comes from docstrings, by pdoc.
"""

import re
import shutil
import sys
import warnings
from pathlib import Path

import pdoc
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r'(href|src)="(?!https?:|#|mailto:)([^"#]+)')
PAGE = """<!doctype html>
<html lang="{language}"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #1f2328; background: #fff;
       font: 1rem/1.6 system-ui, "Noto Sans CJK SC", sans-serif }}
code, pre {{ font: 0.9rem/1.5 ui-monospace, monospace; background: #f6f8fa; border-radius: 4px }}
code {{ padding: 0 0.2em }} pre {{ padding: 0.8rem; overflow-x: auto }} pre code {{ padding: 0 }}
table {{ border-collapse: collapse; display: block; overflow-x: auto }}
th, td {{ border: 1px solid #d0d7de; padding: 0.3rem 0.7rem }} img {{ max-width: 100% }}
</style>
<nav><a href="{top}README.html">rushlight</a> · <a href="{top}README.zh.html">中文</a> ·
<a href="{top}docs/tutorial.html">tutorial</a> ·
<a href="{top}docs/architecture.html">architecture</a> ·
<a href="{top}docs/differences.html">differences</a> ·
<a href="{top}api/rushlight.html">API</a></nav>
{body}
</html>
"""


def pages():
    return [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]


def build_page(page, out):
    """Write one page; copy what it shows or links to that is not a page."""
    text = page.read_text(encoding="utf-8")
    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)

    def turn(match):
        target = (page.parent / match[2]).resolve()
        if not target.exists():
            raise SystemExit(f"{page.relative_to(ROOT)} links to {match[2]}, which is not there")
        if target.suffix == ".md":
            return f'{match[1]}="{match[2].removesuffix(".md")}.html'
        copy(target, out)
        return match[0]

    relative = page.relative_to(ROOT)
    html = PAGE.format(
        language="zh" if ".zh" in page.name else "en",
        title=text.splitlines()[0].lstrip("# "),
        top="../" * (len(relative.parts) - 1),
        body=LINK.sub(turn, body),
    )
    destination = (out / relative).with_suffix(".html")
    destination.parent.mkdir(parents=True, exist_ok=True)
    destination.write_text(html, encoding="utf-8")


def copy(target, out):
    destination = out / target.relative_to(ROOT)
    destination.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(target, destination, dirs_exist_ok=True, ignore=ignore)
    else:
        shutil.copy(target, destination)


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/docs").resolve()
    for page in pages():
        build_page(page, out)
    pdoc.render.configure(docformat="google")
    # Inside Tensor, `int` and `float` are methods, so pdoc fails on annotations that name them.
    warnings.filterwarnings("ignore", "Error parsing type annotation")
    pdoc.pdoc("rushlight", "!rushlight.ops", output_directory=out / "api")
    print(f"Built {len(pages())} pages and the API reference: {out}/README.html")


if __name__ == "__main__":
    main()
