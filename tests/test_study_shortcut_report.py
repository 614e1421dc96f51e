"""What a report says of a planted shortcut: its sentences, tables, methods and limits."""

import re
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from shortcut_studies import AREA, ARMS, PULL, copy_predictions, findings_of, shortcut_study

from imil.study.figures import shortcut_plot
from imil.study.figures.figure_inputs import FigureInputs, MissingData
from imil.study.figures.style import figure_style
from imil.study.plan_tables import Treatment
from imil.study.report.limits import limits
from imil.study.report.methods import methods
from imil.study.report.shortcut_findings import conclusions, gap_is_shown
from imil.study.report.shortcut_section import shortcut_section
from imil.study.report.summary import summary
from imil.study.result_rows import results
from imil.study.statistics.verdict import verdict
from imil.study.study_folder import StudyFolder

ALONE = (Treatment(name="best"),)  # without controls
CLOSES = r"\bcloses? \d"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study with a shortcut, whose tests with it each test writes anew."""
    return shortcut_study(tmp_path_factory.mktemp("s") / "s")


@pytest.fixture
def study(made):
    """A function: the findings, given the pull of the shortcut on some of the arms."""
    return partial(findings_of, made)


def of_arm(findings, arm):
    """The sentence on an arm."""
    starts = (arm, f"It is not shown that {arm} ")
    return next(text for text in conclusions(findings) if text.startswith(starts))


def test_an_arm_whose_controls_do_nothing_closes_the_gap(study):
    findings = study({"best": 0.3})
    assert gap_is_shown(findings)
    text = of_arm(findings, "best")
    assert re.match(r"best closes \d+ %, 95 % CI \d+ to \d+, of the gap", text)
    # it predicts what the baseline does but for chance: its own interval includes zero
    assert "no control is shown to: “best, random squares” " in text
    assert "not shown to be better" not in text
    # the same study: IMIL follows the shortcut as the baseline does
    assert of_arm(findings, "IMIL").startswith("It is not shown that IMIL closes the gap")


def test_a_control_that_does_as_well_takes_the_claim_away(study):
    text = of_arm(study({"best": 0.3, "best-random": 0.4}), "best")
    assert not re.search(CLOSES, text)
    assert "But so has the control “best, random squares”" in text
    assert "cannot be attributed to the squares that the reader selected" in text


def test_a_control_that_is_not_done_leaves_the_cause_open(study):
    text = of_arm(study({"best": 0.3}, waiting=["best-random"]), "best")
    assert not re.search(CLOSES, text)
    assert "It is not known yet whether “best, random squares” does as well" in text


def test_without_a_control_the_cause_is_not_known(study):
    text = of_arm(study({"best": 0.3}, treatments=ALONE), "best")
    assert not re.search(CLOSES, text)
    assert "No control was run" in text


def test_one_training_per_arm_closes_nothing(study):
    texts = conclusions(study({"best": 0.3}, seeds=(0,)))
    assert not any(re.search(CLOSES, text) for text in texts)
    assert any("one training per arm: may be random variation" in text for text in texts)


def test_a_baseline_that_does_not_follow_the_shortcut_has_no_gap_to_close(study):
    findings = study(dict.fromkeys(["baseline", "imil", "imil-random", "best"], 0.0))
    texts = conclusions(findings)
    assert not gap_is_shown(findings)
    assert any("this study cannot tell whether an arm cures it" in text for text in texts)
    assert not any(re.search(CLOSES, text) for text in texts)


def test_a_missing_training_without_the_shortcut_is_said(study):
    arms = tuple(arm for arm in ARMS if arm != "no-shortcut")
    texts = conclusions(study({"best": 0.3}, arms=arms, treatments=ALONE))
    assert any("No training without the shortcut can be compared" in text for text in texts)
    assert any(text.startswith("best against the baseline:") for text in texts)


def test_a_study_of_which_nothing_is_tested_yet_says_so(study):
    findings = study({}, treatments=(), waiting=ARMS)
    section = shortcut_section(findings)
    assert section.blocks[0].items == [
        "No training of the baseline was tested with the shortcut yet."
    ]
    assert len(section.blocks) == 1


def test_a_treatment_that_changed_nothing_is_named_with_its_reason(made, tmp_path):
    shutil.copytree(made.path, tmp_path / "s")
    findings = findings_of(StudyFolder(tmp_path / "s"), {}, seeds=(0, 1))
    copy_predictions(findings, "best", "baseline")
    text = of_arm(findings, "best")
    assert text == (
        "best changed nothing: in 2 trainings its predictions are exactly those of Baseline. What "
        "it reports in 2 of them: “No square is covered.”"
    )


def test_a_control_that_changed_nothing_is_called_no_test_of_other_squares(made, tmp_path):
    shutil.copytree(made.path, tmp_path / "s")
    findings = findings_of(StudyFolder(tmp_path / "s"), {"best": 0.3})
    copy_predictions(findings, "best-random", "baseline")
    text = of_arm(findings, "best")
    assert "“best, random squares” changed nothing, the predictions are exactly" in text
    assert "no control is shown to" not in text


def test_what_a_treatment_costs_is_compared_with_the_training_without_the_shortcut(study):
    text = next(t for t in conclusions(study({})) if t.startswith("Where no shortcut is planted"))
    assert "best against the same training without it: accuracy" in text


def test_the_energy_leaves_blank_heat_maps_out_and_stands_beside_the_area(study):
    findings = study({})
    row = findings.shortcut_row("baseline", "energy")
    energy = np.linspace(0.1, 0.3, row.n)[1:] * PULL
    assert row.mean == pytest.approx(energy.mean())
    assert row.low < row.mean < row.high
    assert row.area == pytest.approx(AREA)
    assert verdict(findings.shortcut_row("no-shortcut", "energy")) == "better"  # less is better
    assert np.isnan(findings.shortcut_row("baseline", "shift").area)
    assert any("by their area they would hold 6.2 %" in text for text in conclusions(findings))


def test_the_section_has_a_row_per_arm_and_the_summary_its_sentences(study):
    findings = study({"best": 0.3}, seeds=(0, 1))
    first, tables = shortcut_section(findings).blocks
    against, followed, controls = tables.tables
    titles = [arm.title for arm in findings.plan.rows]
    assert [row.head for row in against.rows] == [row.head for row in followed.rows] == titles
    assert [row.head for row in controls.rows] == [
        "IMIL − random squares",
        "best − best, random squares",
    ]
    assert {len(row.cells) for row in against.rows} == {len(against.heads) - 1}
    row = findings.shortcut_row("best", "accuracy_against")
    cell = against.rows[titles.index("best")].cells[0]
    assert cell.estimate.mean == f"{100 * row.mean:.1f}"
    assert "90 % of the training images of TB and into 10 % of the others" in first.paragraphs[0]
    findings = replace(findings, table=results(findings.predictions))
    blocks = {block.heading: block.items for block in summary(findings, [], "")}
    assert blocks["Planted shortcut"] == first.items
    assert "best" in blocks
    assert all("best" not in text for text in blocks["Other arms"])


def test_methods_and_limits_say_what_was_planted(study):
    findings = study({})
    text = " ".join(methods(findings))
    assert "a white letter R, 12 % of the side high, in the upper right corner" in text
    assert "of TB carried it with a probability of 90 %" in text
    assert "percentile bootstrap of 2,000 resamples" in text
    assert "The treatment best of imil was applied with the readings of the arm IMIL" in text
    assert any(one.startswith("Planted shortcut:") for one in limits(findings))


# ---------------------------------------------------------------------------- the figure


def inputs_of(findings, table):
    """The figure's inputs with that table of the shortcut."""
    return FigureInputs(findings.study, findings.plan, findings.table, shortcut=table)


@pytest.mark.figures
def test_a_line_joins_the_accuracies_with_the_shortcut_against_and_for_the_class(study, tmp_path):
    findings = study({}, seeds=(0,))
    with figure_style():
        drawing = shortcut_plot.draw(inputs_of(findings, findings.shortcut))
        drawing.write(tmp_path)
    values, differences = drawing.figure.axes
    ends = [tuple(line.get_xdata()) for line in values.lines]
    for arm in findings.plan.rows:
        names = ("accuracy_against", "accuracy_for")
        rows = [findings.shortcut_row(arm.id, name) for name in names]
        assert tuple(row.mean for row in rows) in ends, arm.id
    assert set(drawing.data["measure"]) == {"accuracy_for", "accuracy", "accuracy_against"}
    # one training per arm: no marker is filled
    dots = [line for line in differences.lines if line.get_marker() == "o"]
    assert {dot.get_markerfacecolor() for dot in dots} == {"white"}
    assert len(dots) == len(findings.plan.rows) - 2  # baseline, and the one without the shortcut
    assert "With one training per arm the arms cannot be ranked." in drawing.caption
    assert {one.suffix for one in tmp_path.iterdir()} == {".png", ".svg", ".csv"}


@pytest.mark.figures
def test_the_figure_is_left_out_where_nothing_was_tested_with_the_shortcut(study):
    findings = study({}, seeds=(0,))
    with pytest.raises(MissingData, match="no training has predicted the test images with the"):
        shortcut_plot.draw(inputs_of(findings, findings.shortcut.iloc[:0]))
