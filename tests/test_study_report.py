"""The report: what stands on top, that its numbers are right, and that it needs only itself."""

import csv
import html
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from browsers import chromium
from studies import make_study

from imil.study.plan import read_plan
from imil.study.report import write_report
from imil.study.report.findings import find
from imil.study.report.html import el, table, text
from imil.study.report.write import document

HOSTILE = '<script>alert(1)</script> & "friends" </style><img src=https://evil.example/x>'
NONE = {"external": (), "subgroups": ()}


@pytest.fixture
def study(tmp_path):
    """A function that makes a study and returns what there is to report of it."""

    def make(**asked):
        given = {"arms": ("baseline", "imil"), "seeds": (0, 1), "n": 24, "train": 24, **NONE}
        made = make_study(tmp_path / "s", **(given | asked))
        return find(made, read_plan(made.plan))

    return make


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A finished study with everything in it, and its report's files."""
    made = make_study(
        tmp_path_factory.mktemp("r") / "s",
        arms=("baseline", "cutmix", "imil", "imil-random"),
        readers=("Lee", "Wu"),
        seeds=(0, 1),
        n=40,
        train=30,
        name=HOSTILE,
        external=(),
        subgroups=("sex",),
        warnings=["a pair of images is <b>the same</b>"],
    )
    write_report(made, read_plan(made.plan))
    return made


def number(cell):
    """The first number of a cell."""
    return float(cell.split()[0].replace("−", "-"))


class Page(HTMLParser):
    """What a browser would see of a page: tags, words, and tables as rows of cells."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.tables = {}  # by caption
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)
        if tag == "table":
            self.caption, self.rows = "", []
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes nothing"
        if tag == "table":
            self.tables[self.caption] = self.rows

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)
        if "caption" in self.open:
            self.caption += data
        elif {"td", "th"} & set(self.open):
            self.rows[-1][-1] = f"{self.rows[-1][-1]} {data}".strip()

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


# ---------------------------------------------------------------------------- the page


def test_an_unfinished_study_says_so_before_anything_else(study):
    found = study(waiting=[("imil", 0, 0)], failed=[("baseline", 1, 0)])
    said = Page(document(found, [], [])).text
    top = said[: said.index("In short")] if "In short" in said else said
    assert "Not finished: 2 of 4 trainings are done." in top
    assert "imil, seed 0, split 0" in top
    assert "Failed: baseline, seed 1, split 0: the loss is not a number: lower the lr" in top


def test_a_study_in_which_nothing_is_done_has_a_report_too(study):
    found = study(waiting=[(arm, seed, 0) for arm in ("baseline", "imil") for seed in (0, 1)])
    said = Page(document(found, [], [])).text
    assert "Not finished: 0 of 4 trainings are done." in said
    assert "Nothing to compare yet" in said


def test_an_external_set_has_its_table(study):
    found = study(external=("montgomery",))
    assert "External set montgomery: 12 images" in Page(document(found, [], [])).tables


def test_a_finished_study_says_so(written):
    assert "Finished: all 10 trainings are done." in Page(written.report.read_text()).text


def test_the_page_needs_nothing_but_itself(written):
    page = Page(written.report.read_text(encoding="utf-8"))
    for tag, at in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "base")
        assert not [name for name in at if name.startswith("on")]
        assert at.get("src", "data:").startswith("data:")
        assert at.get("href", "#").startswith("#")
    assert page.open == []
    assert "url(" not in written.report.read_text(encoding="utf-8")


def test_hostile_names_are_text(written):
    source = written.report.read_text(encoding="utf-8")
    page = Page(source)
    assert HOSTILE in page.text
    assert "a pair of images is <b>the same</b>" in page.text.replace("A pair", "a pair")
    assert source.count("<style>") == source.count("</style>") == 1
    assert "evil.example" not in json.dumps([at for tag, at in page.tags if tag == "img"])


def test_every_table_has_scoped_headings_and_every_picture_a_text(written):
    tags = Page(written.report.read_text(encoding="utf-8")).tags
    assert {at.get("scope") for tag, at in tags if tag == "th"} == {"col", "row"}
    assert all(at["alt"] for tag, at in tags if tag == "img")
    assert len([1 for tag, _ in tags if tag == "table"]) == len(
        [1 for tag, _ in tags if tag == "caption"]
    )
    assert [at["lang"] for tag, at in tags if tag == "html"] == ["en"]


def test_the_first_table_holds_the_numbers_of_the_files(written):
    rows = Page(written.report.read_text(encoding="utf-8")).tables["Table 1. Test set: 40 images"]
    cells = {row[0].removesuffix(" 2 trainings"): row[1:] for row in rows[1:]}
    named = {"baseline": "Baseline", "cutmix": "CutMix", "imil.Lee": "IMIL (Lee)",
             "imil.Wu": "IMIL (Wu)", "imil-random": "Control: random squares"}  # fmt: skip
    assert list(cells) == list(named.values())
    at = {}
    for arm in named:
        stored = [
            pd.read_parquet(written.job(arm, seed, 0).run.predictions("end", "test"))
            for seed in (0, 1)
        ]
        at[arm] = 100 * np.mean([(one["predicted"] == one["label"]).mean() for one in stored])
    for arm, title in named.items():
        assert number(cells[title][0]) == pytest.approx(at[arm], abs=0.051)
        if arm != "baseline":
            assert number(cells[title][1]) == pytest.approx(at[arm] - at["baseline"], abs=0.051)


def test_readers_are_told_with_time_verdicts_and_agreement(written):
    page = Page(written.report.read_text(encoding="utf-8"))
    rows = page.tables["What the readers did"]
    assert [row[0] for row in rows] == ["Reader", "Lee", "Wu"]
    assert all(row[1:3] == ["16", "16"] for row in rows[1:])  # 8 cases in each of 2 trainings
    assert [row[0] for row in page.tables["Each two readers"]] == ["Readers", "Lee and Wu"]
    assert (written.figures / "agreement.svg").exists()


def test_the_tidy_table_is_written_beside_the_page(written):
    table_ = pd.read_csv(written.path / "table.csv", keep_default_na=False)
    assert set(table_["arm"]) == {"baseline", "cutmix", "imil.Lee", "imil.Wu", "imil-random"}
    with (written.path / "table.csv").open(newline="") as file:
        assert len(next(csv.reader(file))) == 17


def test_figures_are_in_the_page_and_in_their_folder(written):
    tags = Page(written.report.read_text(encoding="utf-8")).tags
    drawn = len(list(written.figures.glob("*.svg")))
    assert len([1 for tag, _ in tags if tag == "img"]) == drawn > 5


def test_a_browser_fetches_nothing_and_the_page_is_never_wider_than_a_phone(written):
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 390, "height": 800})
        page, asked, errors = context.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: errors.append(message.text))
        page.goto(written.report.as_uri())
        assert [one for one in asked if not one.startswith("data:")] == [written.report.as_uri()]
        assert errors == []
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")


def test_dark_and_light_both_can_be_read(written):
    script = """() => {
        const light = (c) => { const v = c.match(/[0-9.]+/g).slice(0, 3).map((x) => {
            const s = x / 255; return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };
        const back = light(getComputedStyle(document.body).backgroundColor);
        return Math.min(...[...document.querySelectorAll('p, td, th, small, a, dt, caption')].map(
            (one) => { const ink = light(getComputedStyle(one).color);
                const [a, b] = ink > back ? [ink, back] : [back, ink];
                return (a + 0.05) / (b + 0.05); })); }"""
    with chromium() as browser:
        for scheme in ("light", "dark"):
            page = browser.new_context(color_scheme=scheme).new_page()
            page.goto(written.report.as_uri())
            assert page.evaluate(script) >= 4.5  # WCAG 2.2, 1.4.3


# ---------------------------------------------------------------------------- LaTeX and pieces


def test_the_latex_table_is_whole_and_escapes_what_latex_would_read(written):
    source = (written.path / "table.tex").read_text(encoding="utf-8")
    for name in ("table", "tabular"):
        assert source.count(rf"\begin{{{name}}}") == source.count(rf"\end{{{name}}}") == 1
    bare = re.sub(r"\\[{}]", "", source)
    assert bare.count("{") == bare.count("}")
    body = source[source.index(r"\midrule") : source.index(r"\bottomrule")]
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len(lines) == 2 * 5  # means and intervals of five arms
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {6}
    assert r"\& ''friends''" in source or r'\& "friends"' in source
    assert not re.search(r"(?<!\\)[#%](?! needs)", source)


def test_text_becomes_no_markup_and_markup_stays():
    assert text("<b>") == "&lt;b&gt;"
    assert el("p", el("b", "a & b"), "<i>") == "<p><b>a &amp; b</b>&lt;i&gt;</p>"
    assert html.escape('"x"') in el("img", at={"alt": '"x"'})
    assert "&lt;caption" in table("<caption", [], [])
