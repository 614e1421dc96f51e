"""The documentation site: it builds without a warning, loads nothing, and lists every page."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from imil.settings import TrainSettings, flag_name

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
# what a page loads: scripts, styles, fonts, images; a link that one follows is none of it
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc\s*=\s*["']?([^"'\s>]+)"""
    r"""|<link\b(?=[^>]*rel=["'](?!search|next|prev|index|author|license)[^>]*)"""
    r"""[^>]*\bhref\s*=\s*["']?([^"'\s>]+)""",
    re.I,
)
IN_STYLES = re.compile(r"""(?:url\(|@import\s+)\s*["']?((?:https?:)?//[^"')\s]+)""", re.I)


def listed():
    """The pages that the lists of the index name, relative to docs."""
    text = (DOCS / "index.md").read_text()
    return re.findall(r"^- \[[^\]]+\]\(([^)#]+)\)", text, re.M)


def test_every_page_is_in_the_navigation():
    decisions = {one for one in PAGES if re.match(r"\d{4}-", one.name)}  # listed by their own page
    expected = {one.relative_to(DOCS).as_posix() for one in PAGES if one not in decisions}
    names = listed()
    assert len(names) == len(set(names))
    assert set(names) - {"../SECURITY.md", "../CHANGELOG.md", "../CONTRIBUTING.md"} == (
        expected - {"index.md"}
    )


def screenshots():
    """The module that makes the pictures; its names are read, and no browser starts."""
    spec = importlib.util.spec_from_file_location("screenshots", ROOT / "tools/screenshots.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_picture_that_a_page_shows_is_there_and_has_a_script_that_makes_it():
    pytest.importorskip("playwright", reason="needs Playwright: make setup brings it")
    made = screenshots()
    known = {f"room-{name}.png" for name in made.ROOM} | {made.REPORT} | set(made.FIGURES)
    shown = set()
    for page in [ROOT / "README.md", *PAGES]:
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text()):
            assert (page.parent / target).is_file(), f"{page.name} shows {target}"
            shown.add(Path(target).name)
    assert shown <= known
    assert {"room-case.png", "room-keys.png", "study-report.png"} <= shown


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` does."""
    pytest.importorskip("sphinx", reason="needs Sphinx: make setup brings it")
    folder = tmp_path_factory.mktemp("site")
    tool = [sys.executable, ROOT / "tools/docs_site.py", "--to", folder]
    built = subprocess.run(tool, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "html"


@pytest.mark.process
@pytest.mark.slow  # half a minute
def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(site):
    outside = []
    for path in [*site.rglob("*.html"), *site.rglob("*.css"), *site.rglob("*.svg")]:
        text = path.read_text()
        loaded = [a or b for a, b in LOADED.findall(text)] if path.suffix == ".html" else []
        loaded += IN_STYLES.findall(text)
        outside += [(path.name, one) for one in loaded if re.match(r"(?:https?:)?//", one)]
    assert outside == []
    assert (site / "searchindex.js").stat().st_size > 10_000


@pytest.mark.process
@pytest.mark.slow
def test_the_site_has_every_page_command_and_public_name(site):
    index = (site / "index.html").read_text()
    for name in listed():
        file = {
            "../SECURITY.md": "report-a-vulnerability",
            "../CHANGELOG.md": "changelog",
            "../CONTRIBUTING.md": "contributing",
        }.get(name, name.removesuffix(".md"))
        assert (site / f"{file}.html").is_file(), name
        assert f'href="{file}.html"' in index, name
    train = (site / "commands/train.html").read_text()
    for name, field in TrainSettings.model_fields.items():
        assert field.is_required() or f"--{flag_name(name)}" in train
    assert 'id="imil.pytorch.IMIL"' in (site / "python/imil.pytorch.html").read_text()


def test_what_is_loaded_from_elsewhere_would_be_noticed():
    assert LOADED.findall('<script async src="https://a.b/c.js"></script>')[0][0].startswith("http")
    assert LOADED.findall("<link rel='stylesheet' href='//a.b/c.css'>")[0][1] == "//a.b/c.css"
    assert LOADED.findall('<a href="https://a.b">') == []
    assert IN_STYLES.findall("@font-face { src: url('https://a.b/c.woff2') }")
