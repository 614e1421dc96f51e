"""Build the documentation site: make docs.

    python tools/docs_site.py [--to site]

The pages are docs/*.md, as they are, with CHANGELOG.md, CONTRIBUTING.md and SECURITY.md, and pages
from the program's own declarations (reference_pages.py). They are gathered in site/source, where
links between them are rewritten, and built into site/html. The lists of docs/index.md are the
navigation: each heading a group, each link a page. A warning is an error.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

from reference_pages import command_pages, example_pages, python_pages
from sphinx.cmd.build import build_main

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
# pages that lie elsewhere in the repository: path there -> path in the site
ELSEWHERE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "report-a-vulnerability.md",
    "README.md": "index.md",
}
LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)\s]*)?\))")


def main() -> int:
    """Build the site; returns the exit code of Sphinx."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=ROOT / "site")
    to = parser.parse_args().to
    source = to / "source"
    gather(source)
    strict = ["-W", "--keep-going", "--quiet", "-j", "auto"]
    folders = ["-c", str(DOCS), "-d", str(to / "doctrees"), str(source), str(to / "html")]
    code = build_main(["-b", "html", *strict, *folders])
    if code == 0:
        print(f"open {os.path.relpath(to / 'html/index.html')}")
    return code


def gather(source: Path) -> None:
    """Write the sources of the site into a folder; files that did not change keep their time."""
    files = {page: text.encode() for page, text in pages().items()}
    files |= {
        f"images/{path.name}": path.read_bytes() for path in sorted((DOCS / "images").glob("*.png"))
    }
    for old in source.rglob("*"):
        if old.is_file() and str(old.relative_to(source)) not in files:
            old.unlink()
    for name, content in files.items():
        path = source / name
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def pages() -> dict[str, str]:
    """Path in the site and text of each page."""
    made = {"python": python_pages(), "commands": command_pages(), "examples": example_pages()}
    texts = {in_site(path): linked(path) for path in written_pages()}
    texts["commands.md"] = "# Commands\n\nEvery command of `imil`, with its flags.\n"
    texts["examples.md"] = (
        "# Examples\n\nComplete programs on drawn films, from the folder `examples`.\n"
    )
    texts["index.md"] += navigation(texts["index.md"])
    texts["commands.md"] += toctree("", made["commands"])
    texts["examples.md"] += toctree("", made["examples"])
    texts["api.md"] += "\n## Docstrings\n" + toctree("", made["python"])
    texts["decisions/README.md"] += toctree(
        "", [Path(one).name for one in texts if one.startswith("decisions/0")]
    )
    for group in made.values():
        texts |= group
    return texts


def written_pages() -> list[Path]:
    """The pages that people wrote, in the repository."""
    elsewhere = [ROOT / name for name in ELSEWHERE if name != "README.md"]
    return [*sorted(DOCS.rglob("*.md")), *elsewhere]


def in_site(path: Path) -> str:
    """Where a file of the repository is in the site."""
    name = path.relative_to(ROOT).as_posix()
    if name.startswith("examples/"):
        return Path(name).with_suffix(".md").as_posix()
    return ELSEWHERE.get(name, name.removeprefix("docs/"))


def linked(page: Path) -> str:
    """The text of a page, with links as they are in the site."""
    home = Path(in_site(page)).parent

    def moved(match: re.Match[str]) -> str:
        target = (page.parent / match[2]).resolve()
        return match[1] + os.path.relpath(in_site(target), home) + match[3]

    return LINK.sub(moved, page.read_text())


def navigation(index: str) -> str:
    """The tables of contents that Sphinx takes: of each heading of the index, its list of links."""
    trees = []
    for section in index.split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        links = re.findall(r"^- \[[^\]]+\]\(([^)#]+)\)", body, re.M)
        if title == "Reference":
            links.insert(1, "commands.md")
        if title == "How-to guides":
            links.append("examples.md")
        trees.append(toctree(title, links))
    return "".join(trees)


def toctree(caption: str, entries: object) -> str:
    """A table of contents that only the navigation shows, or a list on the page without caption."""
    options = f":caption: {caption}\n:hidden:\n" if caption else ":maxdepth: 1\n"
    return f"\n```{{toctree}}\n{options}\n" + "\n".join(entries) + "\n```\n"  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
