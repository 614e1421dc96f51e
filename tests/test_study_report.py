"""The report: the status at its top, its numbers, and that it loads nothing."""

import csv
import json
import re
from functools import partial
from html.parser import HTMLParser
from math import isfinite
from statistics import median

import numpy as np
import pandas as pd
import pytest
from browsers import chromium
from studies import make_study, small_study

from imil.study.phrases import duration
from imil.study.plan import read_plan
from imil.study.reader_sessions import agreed
from imil.study.reading_records import sessions
from imil.study.report import write_report
from imil.study.report.control_comparisons import compare_with_controls
from imil.study.report.findings import read_findings
from imil.study.report.latex import latex
from imil.study.report.number_format import probability
from imil.study.report.summary import minimum_detectable_difference
from imil.study.report.write import document
from imil.study.result_rows import whole_sets

pytestmark = pytest.mark.figures

HOSTILE = '<script>alert(1)</script> & "friends" </style><img src=https://evil.example/x>'
SHARES = ("accuracy", "sensitivity", "specificity")  # printed in percent
MAIN = ("accuracy", "auroc", "ece")
OTHER = ("adaptive_ece", "brier", "nll", "sensitivity", "specificity")
TABLE_1 = "Table 1. Test set: 40 images"
VALUE, DIFFERENCE = ("mean", "low", "high"), ("diff", "diff_low", "diff_high", "p")


@pytest.fixture
def study(tmp_path):
    """A function that makes a small study and returns its findings."""
    return partial(small_study, tmp_path / "s")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A finished study with everything in it, and the files of its report."""
    made = make_study(
        tmp_path_factory.mktemp("r") / "s",
        arms=("baseline", "cutmix", "imil", "imil-random"),
        readers=("Lee", "Wu"),
        seeds=(0, 1, 2),
        n=40,
        train=30,
        effect={"imil.Wu": 2.5},
        name=HOSTILE,
        external=("montgomery",),
        subgroups=("sex",),
        warnings=["a pair of images is <b>the same</b>"],
    )
    write_report(made, read_plan(made.plan))
    return made


@pytest.fixture(scope="module")
def findings(written):
    """The findings of that study."""
    return read_findings(written, read_plan(written.plan))


def number(cell):
    """The first number of a cell."""
    return float(cell.split()[0].replace("−", "-"))


def same(text, rows, names):
    """Whether the decimal numbers in a text are those of the rows, as exactly as it prints them."""
    result = re.findall(r"[+-]?\d+\.\d+", text.replace("−", "-"))
    results = [(row.measure, name, getattr(row, name)) for row in rows for name in names]
    results = [one for one in results if isfinite(one[2])]  # the baseline has no difference
    assert len(result) == len(results), text
    for one, (measure, name, value) in zip(map(float, result), results, strict=True):
        if name == "p":
            exact = 0.0051 if value >= 0.1 else 0.001
        else:
            value, exact = (100 * value, 0.051) if measure in SHARES else (value, 0.00051)
        assert one == pytest.approx(value, abs=exact), (measure, name, text)


class Page(HTMLParser):
    """A page as a browser parses it: tags, words, and tables as rows of cells."""

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


@pytest.fixture(scope="module")
def page(written):
    """That report as a browser parses it."""
    return Page(written.report.read_text(encoding="utf-8"))


# ---------------------------------------------------------------------------- the page


def test_an_unfinished_study_says_so_at_the_top(study):
    findings = study(waiting=[("imil", 0, 0)], failed=[("baseline", 1, 0)])
    text = Page(document(findings, [], [])).text
    top = text[: text.index("Main result")]
    assert "Not finished: 2 of 4 trainings are done." in top
    assert "imil, seed 0, split 0" in top
    assert "Failed: baseline, seed 1, split 0: the loss is not a number: lower the lr" in top


def test_a_training_without_results_on_an_external_set_is_named_at_the_top(study):
    findings = study(external=("montgomery",))
    findings.study.job("imil", 1, 0).run.predictions("end", "external-montgomery").unlink()
    text = Page(document(findings, [], [])).text
    assert "Finished:" not in text
    assert (
        "1 training not yet tested on the external set montgomery: imil, seed 1, split 0."
        in text[: text.index("Summary")]
    )


def test_test_images_are_counted_per_split_and_in_total(study):
    findings = study(n=20, train=20, splits=3)
    keys = {}
    for split in range(3):
        table_ = pd.read_csv(findings.study.splits(split))
        keys[split] = set(table_.loc[table_["split"] == "test", "key"])
    every = len(set.union(*keys.values()))
    assert every > 20
    text = f"20 test images per split, {every} in total"
    page = Page(document(findings, [], []))
    assert text in page.text[: page.text.index("Summary")]
    assert f"Table 1. Test set: {text}" in page.tables
    assert text in latex(findings)


def test_a_study_without_finished_trainings_has_a_report(study):
    findings = study(waiting=[(arm, seed, 0) for arm in ("baseline", "imil") for seed in (0, 1)])
    text = Page(document(findings, [], [])).text
    assert "Not finished: 0 of 4 trainings are done." in text
    assert "Nothing to compare yet" in text
    rows = Page(document(findings, [], [])).tables[
        "The 44 items of the CLAIM checklist, 2024 update"
    ]
    states = {row[0].split()[0]: row[2:] for row in rows[1:]}
    for number in ("31", "32", "37", "38", "39"):
        assert states[number][0] == "for the authors"
        assert states[number][1]


def test_a_missing_baseline_is_given_as_the_reason(study):
    findings = study(waiting=[("baseline", 0, 0), ("baseline", 1, 0)])
    text = Page(document(findings, [], [])).text
    assert "Nothing can be compared: no training of the baseline is done." in text
    assert "one training per arm" not in text.lower()


def test_an_external_set_has_its_table(study):
    findings = study(external=("montgomery",))
    assert "External set montgomery: 12 images" in Page(document(findings, [], [])).tables


def test_a_finished_study_says_so(written):
    assert "Finished: all 15 trainings are done." in Page(written.report.read_text()).text


def test_the_page_is_self_contained(written):
    page = Page(written.report.read_text(encoding="utf-8"))
    for tag, at in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "base")
        assert not [name for name in at if name.startswith("on")]
        assert at.get("src", "data:").startswith("data:")
        assert at.get("href", "#").startswith("#")
    assert page.open == []
    assert "url(" not in written.report.read_text(encoding="utf-8")


def test_hostile_names_stay_text(written):
    source = written.report.read_text(encoding="utf-8")
    page = Page(source)
    assert HOSTILE in page.text
    assert "a pair of images is <b>the same</b>" in page.text.replace("A pair", "a pair")
    assert source.count("<style>") == source.count("</style>") == 1
    assert "evil.example" not in json.dumps([at for tag, at in page.tags if tag == "img"])


def test_every_table_has_scoped_headings_and_every_picture_alternative_text(written):
    tags = Page(written.report.read_text(encoding="utf-8")).tags
    assert {at.get("scope") for tag, at in tags if tag == "th"} == {"col", "row"}
    assert all(at["alt"] for tag, at in tags if tag == "img")
    assert len([1 for tag, _ in tags if tag == "table"]) == len(
        [1 for tag, _ in tags if tag == "caption"]
    )
    assert [at["lang"] for tag, at in tags if tag == "html"] == ["en"]


def test_the_first_table_has_the_numbers_of_the_prediction_files(written):
    rows = Page(written.report.read_text(encoding="utf-8")).tables[TABLE_1]
    cells = {row[0].removesuffix(" 3 trainings"): row[1:] for row in rows[1:]}
    named = {"baseline": "Baseline", "cutmix": "CutMix", "imil.Lee": "IMIL (Lee)",
             "imil.Wu": "IMIL (Wu)", "imil-random": "Control: random squares (Lee)"}  # fmt: skip
    assert list(cells) == list(named.values())
    at = {}
    for arm in named:
        stored = [
            pd.read_parquet(written.job(arm, seed, 0).run.predictions("end", "test"))
            for seed in (0, 1, 2)
        ]
        at[arm] = 100 * np.mean([(one["predicted"] == one["label"]).mean() for one in stored])
    for arm, title in named.items():
        assert number(cells[title][0]) == pytest.approx(at[arm], abs=0.051)
        if arm != "baseline":
            assert number(cells[title][1]) == pytest.approx(at[arm] - at["baseline"], abs=0.051)


def test_the_first_table_has_the_standard_deviation_and_the_verdict(written):
    rows = Page(written.report.read_text(encoding="utf-8")).tables[TABLE_1]
    results = pd.read_csv(written.path / "table.csv", keep_default_na=False)
    results = results[
        (results["set"] == "test")
        & (results["subgroup"] == "")
        & (results["measure"] == "accuracy")
    ]
    for row, of in zip(rows[1:], results.to_dict("records"), strict=True):
        assert f"± {100 * float(of['sd']):.1f}" in row[1]
        if of["verdict"] == "none shown":
            assert "no difference shown" in row[2]


def csv_row(written):
    """A function that finds a row of table.csv."""
    every = pd.read_csv(written.path / "table.csv", keep_default_na=False, na_values=["", "nan"])
    every["subgroup"] = every["subgroup"].fillna("")
    at = {(r.title, r.measure, r.set, r.subgroup): r for r in every.itertuples()}
    return lambda title, measure, of="test", subgroup="": at[title, measure, of, subgroup]


def by_arm(rows):
    """Cells by the arm's title, without the headings."""
    return {row[0].removesuffix(" 3 trainings"): row[1:] for row in rows[1:]}


@pytest.mark.parametrize(
    ("caption", "of", "measures", "names"),
    [
        (TABLE_1, "test", MAIN, ("mean", "sd", *VALUE[1:], *DIFFERENCE)),
        ("Table 2. Other measures on the test set: 40 images", "test", OTHER, VALUE + DIFFERENCE),
        (
            "External set montgomery: 20 images",
            "external-montgomery",
            MAIN,
            ("mean", "sd", *VALUE[1:], *DIFFERENCE),
        ),
        (
            "Other measures on the external set montgomery: 20 images",
            "external-montgomery",
            OTHER,
            VALUE + DIFFERENCE,
        ),
    ],
)
def test_every_number_of_a_table_is_that_of_the_csv(written, page, caption, of, measures, names):
    row = csv_row(written)
    cells = by_arm(page.tables[caption])
    assert len(cells) == 5
    for title, text in cells.items():
        same(" ".join(text), [row(title, measure, of) for measure in measures], names)


def test_every_p_of_the_networks_is_that_of_the_csv_files(written, page):
    row = csv_row(written)
    units = pd.read_csv(written.path / "units.csv").query("set == 'test'")
    cells = {line[0]: line[1:] for line in page.tables["Table 3. Tests of the networks, p"][1:]}
    assert len(cells) == 4  # the baseline is what they are compared with
    for title, text in cells.items():
        for measure, together, each in zip(
            ("accuracy", "auroc"), text[::2], text[1::2], strict=True
        ):
            one = row(title, measure)
            rows_of_arm = units.query("arm == @one.arm and measure == @measure").sort_values("seed")
            assert together == probability(one.p_networks)
            assert each == ", ".join(map(probability, rows_of_arm["p"]))


@pytest.mark.parametrize(
    ("heading", "measure"),
    [
        ("Accuracy, %", "accuracy"),
        ("AUROC", "auroc"),
        ("ECE", "ece"),
        ("Adaptive ECE", "adaptive_ece"),
        ("Brier score", "brier"),
        ("Negative log-likelihood", "nll"),
        ("Sensitivity, %", "sensitivity"),
        ("Specificity, %", "specificity"),
    ],
)
def test_every_number_of_a_subgroup_is_that_of_the_csv(written, page, heading, measure):
    row = csv_row(written)
    rows = page.tables[f"{heading}, by sex (test images in brackets)"]
    for title, text in by_arm(rows).items():
        rows_of_arm = [row(title, measure, subgroup=f"sex={one}") for one in "FM"]
        assert rows[0][1:] == [f"F ({rows_of_arm[0].n})", f"M ({rows_of_arm[1].n})"]
        for cell, one in zip(text, rows_of_arm, strict=True):
            same(cell, [one], VALUE + DIFFERENCE)


def test_accuracy_and_auroc_of_subgroups_are_open_and_the_rest_is_folded(written):
    source = written.report.read_text(encoding="utf-8")
    groups = source[source.index('<h2 id="subgroups"') : source.index('<h2 id="focus"')]
    folds = r"<details><summary>Other measures, by sex[^<]*table.csv[^<]*</summary>(.*?)</details>"
    (rest,) = re.findall(folds, groups, re.DOTALL)
    assert rest.count("<table") == 6
    assert groups.count("<table") == 8
    assert "Accuracy" not in rest


def test_the_file_with_subgroups_of_external_sets_is_named_if_there_are_any(written, study):
    text = "Subgroups of the external sets are in table.csv."
    assert text in Page(written.report.read_text(encoding="utf-8")).text
    assert text not in Page(document(study(subgroups=("sex",)), [], [])).text


def test_the_controls_table_is_imil_minus_the_control(written, page, findings):
    (text,) = by_arm(page.tables["IMIL minus its controls"]).values()
    same(
        " ".join(text),
        compare_with_controls(findings, whole_sets(findings.predictions)["test"]),
        DIFFERENCE,
    )
    imil, control = (
        np.mean([(one["predicted"] == one["label"]).mean() for one in stored(written, arm)])
        for arm in ("imil.Lee", "imil-random")
    )
    assert number(text[0]) == pytest.approx(100 * (imil - control), abs=0.051)


def stored(study, arm, splits=(0,), seeds=(0, 1, 2)):
    """The test predictions of an arm's trainings as they lie in their files."""
    for job in (study.job(arm, seed, split) for split in splits for seed in seeds):
        yield pd.read_parquet(job.run.predictions("end", "test"))


def test_the_focus_table_has_the_means_of_the_files(study):
    findings = study(seeds=(0,))
    rows = [
        ("a", "lesion_mask", 0.2, 0.1, True),
        ("b", "lesion_mask", 0.4, 0.3, False),
        ("c", "lesion_mask", np.nan, 0.5, False),
        ("a", "lung_mask", 0.6, 0.25, True),
    ]
    names = ["key", "mask", "energy", "area", "pointing"]
    pd.DataFrame(rows, columns=names).to_parquet(findings.study.job("imil", 0, 0).focus)
    text = Page(document(findings, [], [])).tables["Where the networks look"]
    assert [row[1:] for row in text if row[0] == "IMIL"] == [
        # energy and ratio of the two that are not blank, area and pointing of all three
        ["lesions", "30.0 %", "30.0 %", "1.50", "33.3 %", "3", "1"],
        ["lungs", "60.0 %", "25.0 %", "2.40", "100.0 %", "1", "0"],
    ]


def test_the_tables_of_readers_match_the_stores(written, page):
    plan = read_plan(written.plan)
    heads, *rows = page.tables["Readings"]
    for row, one in zip(rows, sessions(written, plan), strict=True):
        text = dict(zip(heads, row, strict=True))
        given = [answer.reading for answer in one.read]
        for verdict in ("focus", "skip", "wrong label", "not assessable"):
            n = sum(reading.verdict == verdict for reading in given)
            assert text[verdict.capitalize()].split()[0] == str(n)
        assert text["Squares"] == f"{median(len(g.squares) for g in given if g.squares):g}"
        times = [answer.seconds for answer in one.read]
        assert (text["Time per case"], text["Total time"]) == (
            duration(median(times)), duration(sum(times))
        )  # fmt: skip
    agreement = agreed(sessions(written, plan))
    (pair,) = agreement.pairs
    (cells,) = page.tables["Each pair of readers"][1:]
    assert cells[1:] == [str(pair.cases), f"{pair.kappa:.2f}", f"{pair.jaccard:.2f}"]
    known = {case: f"{one:.2f}" for case, one in agreement.jaccard.items() if one is not None}
    assert dict(page.tables["Overlap by case"][1:]) == known


def test_the_page_has_all_its_sections_in_their_order(written, page):
    heads = re.findall(r"<h2[^>]*>([^<]*)</h2>", written.report.read_text(encoding="utf-8"))
    assert heads == [
        "Summary", "Study", "Results", "Figures", "Controls", "External sets", "Subgroups",
        "Focus", "Readers", "Limitations", "Methods", "CLAIM checklist", "Software, seeds, data",
    ]  # fmt: skip
    last = page.text[page.text.rindex(heads[-1]) :]
    facts = written.read_facts()
    for name, number_ in facts["versions"].items():
        assert f"{name} {number_}" in last
    assert facts["fingerprint"] in last


def test_the_minimum_detectable_difference_is_in_the_summary(page, findings):
    text = minimum_detectable_difference(findings, whole_sets(findings.predictions)["test"])
    assert text.startswith("Between IMIL (")
    summary = page.text[page.text.index("Main result") : page.text.index("Table 1.")]
    assert text in summary


@pytest.mark.slow  # builds another study
def test_a_report_over_two_splits_counts_the_trainings_of_both(tmp_path):
    study = make_study(
        tmp_path / "s", arms=("baseline", "imil"), seeds=(0, 1), splits=2, n=20, train=20, side=16,
        external=(), subgroups=(),
    )  # fmt: skip
    write_report(study, read_plan(study.plan))
    page = Page(study.report.read_text(encoding="utf-8"))
    assert "1 seed" not in page.text
    assert "2 seeds · 2 splits · 20 test images per split" in page.text
    assert "Images, of the first split" in page.tables
    assert "training of seed 0 on split 0" in page.text  # the heat-maps
    assert "the 20 test images of each of 2 splits" in page.text  # the figures
    (rows,) = (rows for caption, rows in page.tables.items() if caption.startswith("Table 1."))
    at = [(t["predicted"] == t["label"]).mean() for t in stored(study, "imil", (0, 1), (0, 1))]
    assert rows[2][0] == "IMIL 4 trainings"
    assert number(rows[2][1]) == pytest.approx(100 * np.mean(at), abs=0.051)
    units = pd.read_csv(study.path / "units.csv").query("arm == 'imil' and measure == 'accuracy'")
    assert units.sort_values(["split", "seed"])["value"].tolist() == pytest.approx(at)


def test_each_training_is_in_a_file_that_the_note_names(written):
    every = pd.read_csv(written.path / "units.csv")
    assert list(every.columns) == ["arm", "set", "seed", "split", "measure", "value", "diff", "p"]
    assert len(every) == 5 * 3 * 2 * 8  # arms, seeds, sets, measures
    assert "units.csv beside this report" in Page(written.report.read_text("utf-8")).text


def test_readers_are_listed_with_their_agreement(written):
    page = Page(written.report.read_text(encoding="utf-8"))
    rows = page.tables["Readings"]
    assert [row[0] for row in rows] == ["Reader", "Lee", "Wu"]
    assert all(row[1:3] == ["24", "24"] for row in rows[1:])  # 8 cases in each of 3 trainings
    assert [row[0] for row in page.tables["Each pair of readers"]] == ["Readers", "Lee and Wu"]
    assert (written.figures / "agreement.svg").exists()


def test_the_results_table_is_written_beside_the_page(written):
    table_ = pd.read_csv(written.path / "table.csv", keep_default_na=False)
    assert set(table_["arm"]) == {"baseline", "cutmix", "imil.Lee", "imil.Wu", "imil-random"}
    with (written.path / "table.csv").open(newline="") as file:
        assert len(next(csv.reader(file))) == 19


def test_figures_are_in_the_page_and_in_their_folder(written):
    tags = Page(written.report.read_text(encoding="utf-8")).tags
    drawn = len(list(written.figures.glob("*.svg")))
    assert len([1 for tag, _ in tags if tag == "img"]) == drawn > 5


def test_a_browser_fetches_nothing_and_the_page_fits_a_phone(written):
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 390, "height": 800})
        page, requests, errors = context.new_page(), [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: errors.append(message.text))
        page.goto(written.report.as_uri())
        assert [one for one in requests if not one.startswith("data:")] == [written.report.as_uri()]
        assert errors == []
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        # on a phone a figure keeps its size, so that it can be read, and scrolls
        wide = "[...document.images].every(i => i.offsetWidth >= i.getAttribute('width'))"
        assert page.evaluate(wide)
        page.set_viewport_size({"width": 1200, "height": 800})
        assert page.evaluate("[...document.images].every(i => i.offsetWidth <= 1056)")


def test_dark_and_light_schemes_have_enough_contrast(written):
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


# ---------------------------------------------------------------------------- LaTeX


def test_the_latex_table_is_valid_and_escaped(written):
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
    assert not re.search(r"(?<!\\)[#%](?! needs|\n)", source)  # at an end it hides the new line


def test_the_latex_table_has_the_numbers_of_the_csv_and_shown_differences_in_bold(written, page):
    row = csv_row(written)
    source = (written.path / "table.tex").read_text(encoding="utf-8").replace("$-$", "-")
    bold = []
    for title in by_arm(page.tables[TABLE_1]):
        first, second = source.split(f"\n{title} & ")[1].splitlines()[:2]
        rows = [row(title, measure) for measure in MAIN]
        same(first, rows, ("mean", "diff"))
        same(second, rows, ("low", "high", "diff_low", "diff_high"))
        for cell, one in zip(first.split(" & ")[1::2], rows, strict=True):
            shown = one.verdict in ("better", "worse")
            assert ("textbf" in cell) == shown, (title, one.measure)
            bold.append(shown)
    assert set(bold) == {True, False}
