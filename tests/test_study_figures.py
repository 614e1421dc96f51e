"""The figures of a study: their numbers, their files, and which are left out and why."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ElementTree
from contextlib import closing
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from scipy.stats import mannwhitneyu
from slow_params import slow
from studies import make_study

from imil.grid import Grid
from imil.heat_map_names import write_heat_map_method
from imil.images.colours import overlay
from imil.images.load import load_image, load_mask
from imil.images.render import MISLEADING
from imil.metrics import auroc, expected_calibration_error, roc_points
from imil.predictions import Predictions
from imil.store import Store
from imil.study.figures import (
    Loaders,
    agreement_maps,
    attention_energy,
    draw_all,
    epoch_curves,
    feedback,
    forest_plot,
    heat_maps,
    reliability_diagrams,
    roc_figure,
)
from imil.study.figures.case_readings import case_readings
from imil.study.figures.figure_inputs import FigureInputs, MissingData
from imil.study.figures.focus_tables import focus_by_arm
from imil.study.figures.image_panels import draw_colour_bar
from imil.study.figures.panel_layout import column_count
from imil.study.figures.roc_curve import mean_curve
from imil.study.figures.style import figure_style
from imil.study.figures.text_fit import fit_text, text_width
from imil.study.plan import read_plan
from imil.study.plan_tables import Reader
from imil.study.report.findings import read_findings
from imil.study.report.write import plan_loaders
from imil.training.outputs.prediction_files import write_predictions

pytestmark = pytest.mark.figures

ROUND, EPOCHS = 7, 10
KINDS = ("baseline", "mixup", "imil", "imil-random")
READERS = ("Lee", "Novak")
ALWAYS = ("forest", "roc", "reliability", "curves", "heat-maps", "focus", "feedback", "agreement")
PER_SET = ("forest", "roc", "reliability")
MEASURES = ("accuracy", "auroc", "ece")
KAPPA = np.linspace(-0.1, 1, 16).reshape(4, 4)


def predictions(probs, labels):
    """Two classes from the probability of class 1, more from rows."""
    probs = np.asarray(probs, float)
    probs = probs if probs.ndim == 2 else np.stack([1 - probs, probs], axis=1)
    return Predictions(probs, np.asarray(labels, np.int64), tuple(map(str, range(len(probs)))))


def some(seed, n=60, classes=2):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    logits = rng.normal(size=(n, classes)).round(1)  # rounded: there are ties
    logits[np.arange(n), labels] += 0.8
    odds = np.exp(logits)
    return predictions(odds / odds.sum(1, keepdims=True), labels)


def table(plan, sets=("test", "external-montgomery"), **changed):
    """A results table: the arms in order, a tenth apart; the third differs from the first."""
    rows = []
    for of in sets:
        for measure in MEASURES:
            for i, arm in enumerate(plan.rows):
                value, diff = 0.5 + 0.1 * i, 0.1 * i if i else np.nan
                half = 0.05 if i in (2, 3) else 0.5
                rows.append(
                    {"arm": arm.id, "title": arm.title, "set": of, "subgroup": "", "n": 40,
                     "measure": measure, "units": 2, "mean": value, "low": value - 0.1,
                     "high": value + 0.1, "diff": diff, "diff_low": diff - half,
                     "diff_high": diff + half, "p": 0.001 if i == 2 else 0.5,
                     "verdict": {2: "better", 3: "not corrected"}.get(i, "none shown")} | changed
                )  # fmt: skip
    return pd.DataFrame(rows)


def loaders(plan):
    data = Path(plan.data).parent
    masks = pd.read_csv(plan.data, keep_default_na=False).set_index("image")["lesion_mask"]
    return Loaders(
        lambda key: load_image(data / key),
        lambda key: load_mask(data / masks[key]) if masks[key] else None,
    )


def write_train_predictions(study, plan):
    """Write predictions of training images, which `make_study` omits: 0.1, then 0.9 or 0.6."""
    for job in study.jobs([arm.id for arm in plan.rows], plan.seeds, plan.splits.count):
        split = pd.read_csv(study.splits(job.split)).query("split == 'train'")
        labels = split["label"].to_numpy()
        end = 0.6 if job.arm == "baseline" else 0.9
        for when, truth in (("end", end), (f"epoch-{ROUND:03}", 0.1)):
            probs = np.where(np.eye(2)[labels] > 0, truth, 1 - truth)
            predictions = Predictions(probs, labels, list(split["key"]))
            write_predictions(job.run.predictions(when, "train"), predictions)


def made(folder, **options):
    how = {"arms": KINDS, "readers": READERS, "seeds": (0, 1), "n": 40, "train": 40, "side": 32}
    study = make_study(folder, epochs=EPOCHS, round_at=ROUND, **how | options)
    return study, read_plan(study.plan)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    study, plan = made(tmp_path_factory.mktemp("study"))
    write_train_predictions(study, plan)
    return study, plan


@pytest.fixture(scope="module")
def drawn(study):
    """All figures, drawn once: those that were written, those that were left out."""
    folder, plan = study
    return draw_all(folder, plan, table(plan), loaders(plan), kappa=KAPPA)


@pytest.fixture
def inputs(study):
    folder, plan = study
    with figure_style():
        yield FigureInputs(folder, plan, table(plan), loaders(plan))


@pytest.fixture
def copy(study, tmp_path):
    """A copy of the study that a test may damage."""
    folder, plan = study
    shutil.copytree(folder.path, tmp_path / "study", ignore=shutil.ignore_patterns("figures"))
    return type(folder)(tmp_path / "study"), plan


def data_of(study, name):
    return pd.read_csv(study[0].figures / f"{name}.csv", keep_default_na=False)


def caption_of(drawn, name):
    return next(one.caption for one in drawn[0] if one.name == name)


# ------------------------------------------------------------------------------------- ROC curves


def test_a_roc_curve_goes_up_at_a_true_positive_and_right_at_a_false_positive():
    scores, positive = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    fpr, tpr = roc_points(scores, positive)
    assert fpr.tolist() == [0, 0, 0.5, 0.5, 1]
    assert tpr.tolist() == [0, 0.5, 0.5, 1, 1]


def test_the_area_under_a_roc_curve_is_the_share_of_concordant_pairs():
    unit = some(1)
    positive = unit.labels == 1
    fpr, tpr = roc_points(unit.probs[:, 1], positive)
    pairs = mannwhitneyu(unit.probs[positive, 1], unit.probs[~positive, 1]).statistic
    assert np.trapezoid(tpr, fpr) == pytest.approx(pairs / (positive.sum() * (~positive).sum()))


@pytest.mark.parametrize("classes", [2, 3])
def test_the_area_below_the_mean_curve_is_the_mean_auroc(classes):
    units = [some(seed, classes=classes) for seed in range(3)]
    curve = mean_curve(units)
    areas = [auroc(unit.probs, unit.labels) for unit in units]
    assert np.trapezoid(curve.tpr, curve.fpr) == pytest.approx(np.mean(areas), abs=1e-6)
    assert curve.curves == 3


def test_the_band_runs_from_the_lowest_to_the_highest_training():
    good, bad = predictions([0.9, 0.1], [1, 0]), predictions([0.1, 0.9], [1, 0])
    curve = mean_curve([good, bad])
    # below and above the step at each of the rates 0 and 1
    assert curve.fpr.tolist() == [0, 0, 1, 1]
    assert curve.high.tolist() == [0, 1, 1, 1]
    assert curve.low.tolist() == [0, 0, 0, 1]
    assert curve.tpr.tolist() == [0, 0.5, 0.5, 1]


def test_a_mean_curve_has_a_limited_number_of_points():
    rng = np.random.default_rng(0)
    labels = np.arange(8000) % 2
    unit = predictions(rng.beta(1 + labels, 2 - labels), labels)
    curve = mean_curve([unit])
    assert len(curve.fpr) == 2002
    area = np.trapezoid(curve.tpr, curve.fpr)
    assert area == pytest.approx(auroc(unit.probs, unit.labels), abs=1e-4)


def test_without_images_of_every_class_there_is_no_curve():
    assert mean_curve([predictions([0.9, 0.1], [1, 1])]) is None
    assert mean_curve([predictions([0.9, 0.1], [1, 1]), some(0)]).curves == 1


def test_the_roc_data_hold_every_arm_of_the_set(study, drawn):
    _, plan = study
    for name in ("roc", "roc-external-montgomery"):
        assert set(data_of(study, name)["arm"]) == {arm.id for arm in plan.rows}


def test_two_arms_share_one_panel(tmp_path):
    study, plan = made(tmp_path, arms=("baseline", "imil"), readers=("Lee",), seeds=(0,))
    with figure_style():
        drawing = roc_figure.draw(FigureInputs(study, plan, table(plan)), "test")
    assert len(drawing.figure.axes) == 1
    assert "no bands" in drawing.caption


def test_the_caption_mentions_no_band_where_there_is_none(tmp_path):
    study, plan = made(tmp_path, seeds=(0,), side=16, cases=2)
    with figure_style():
        caption = roc_figure.draw(FigureInputs(study, plan, table(plan)), "test").caption
    assert "With one training per arm there are no bands." in caption
    assert "its colours distinguish groups, not arms. Each small panel" in caption
    assert caption.count("band") == 1


def test_a_panel_holds_the_curve_of_its_arm(study, inputs):
    folder, plan = study
    panels = roc_figure.draw(inputs, "test").figure.axes[1:]  # after all arms together
    for axes, arm in zip(panels, plan.rows[1:], strict=True):
        units = [folder.job(arm.id, seed, 0).predictions() for seed in plan.seeds]
        across, up = axes.lines[-1].get_data()
        areas = [auroc(unit.probs, unit.labels) for unit in units]
        assert np.trapezoid(up, across) == pytest.approx(np.mean(areas), abs=1e-6)


# ------------------------------------------------------------------------------------ reliability


def test_a_bin_holds_its_upper_border_and_not_its_lower_one():
    # 15 bins: 0.8 is the border of the 12th and 13th
    result = reliability_diagrams.binned([predictions([0.8, 0.81, 0.2], [1, 0, 1])])
    twelfth, thirteenth = result.iloc[11], result.iloc[12]
    assert (twelfth["predictions"], twelfth["accuracy"]) == (2, 0.5)
    assert twelfth["confidence"] == pytest.approx(0.8)
    assert (thirteenth["predictions"], thirteenth["accuracy"]) == (1, 0)
    assert result["accuracy"].isna().sum() == 13


def test_the_gaps_weighted_by_their_predictions_are_the_calibration_error():
    unit = some(2, n=200)
    result = reliability_diagrams.binned([unit])
    gaps = (result["accuracy"] - result["confidence"]).abs() * result["predictions"] / 200
    assert gaps.sum() == pytest.approx(expected_calibration_error(unit.probs, unit.labels))


def test_the_printed_calibration_error_is_that_of_the_table(inputs):
    texts = [
        text.get_text() for text in reliability_diagrams.draw(inputs, "test").figure.findobj(Text)
    ]
    assert [f"ECE {0.5 + 0.1 * i:.3f}" in texts for i in range(5)] == [True] * 5


def test_a_bar_is_as_tall_as_the_accuracy_and_hatched_up_to_the_confidence(inputs):
    drawing = reliability_diagrams.draw(inputs, "test")
    tables = drawing.data.groupby("arm", sort=False)
    for axes, (_, of) in zip(drawing.figure.axes[::2], tables, strict=True):
        filled = of[of["predictions"] > 0]
        tops = [bar.get_y() + bar.get_height() for bar in axes.patches]
        assert tops[::2] == pytest.approx(filled["accuracy"].tolist())
        assert tops[1::2] == pytest.approx(filled["confidence"].tolist())
        assert [bar.get_x() for bar in axes.patches[::2]] == pytest.approx(filled["low"].tolist())


# ----------------------------------------------------------------------------------------- forest


def test_only_a_difference_that_is_shown_is_filled(inputs):
    figure = forest_plot.draw(inputs, "test").figure
    values, differences = figure.axes[0], figure.axes[1]
    filled = [
        line.get_markerfacecolor() != "white"
        for line in differences.lines
        if line.get_marker() != "None"
    ]
    assert filled == [False, True, False, False]  # mixup, Lee, Novak, random squares
    assert all(line.get_markerfacecolor() != "white" for line in values.lines)


def test_markers_and_bars_of_the_forest_plot_are_those_of_the_table(inputs):
    axes = forest_plot.draw(inputs, "test").figure.axes  # value and difference, measure by measure
    for i in range(3):
        assert marker_positions(axes[2 * i]) == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9])
        assert marker_positions(axes[2 * i + 1]) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    bars = [tuple(line.get_xdata()) for line in axes[1].lines if len(set(line.get_xdata())) == 2]
    ends = [(-0.4, 0.6), (0.15, 0.25), (0.25, 0.35), (-0.1, 0.9)]
    assert bars == [pytest.approx(one) for one in ends]
    words = [[text.get_text() for text in axes[i].texts] for i in (1, 3, 5)]
    assert words[0].pop(0) == "Minus baseline"  # above the names of the arms
    assert words == [["← worse", "better →"]] * 2 + [["← better", "worse →"]]  # ECE is the last


def marker_positions(axes):
    """The x of its markers."""
    return [line.get_xdata()[0] for line in axes.lines if line.get_marker() not in ("None", None)]


def test_accuracy_is_in_percent_as_in_the_table(inputs):
    figure = forest_plot.draw(inputs, "test").figure
    FigureCanvasAgg(figure).draw()
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert {"Accuracy, %", "Accuracy, points", "AUROC"} <= set(texts)
    ticks = [float(one.get_text()) for one in figure.axes[0].get_xticklabels()]
    assert max(ticks) > 50
    assert max(float(one.get_text()) for one in figure.axes[2].get_xticklabels()) < 2


def test_a_value_that_is_nan_is_named_and_not_drawn(study):
    folder, plan = study
    broken = table(plan, mean=np.nan, low=np.nan, high=np.nan)
    with figure_style():
        figure = forest_plot.draw(FigureInputs(folder, plan, broken), "test").figure
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["Value"] + ["cannot be computed"] * 5
    assert not figure.axes[0].lines


def test_the_forest_data_are_the_results(study, drawn):
    data = data_of(study, "forest")
    expected = table(study[1])
    expected = expected[expected["set"] == "test"].reset_index(drop=True)
    assert data["arm"].tolist() == expected["arm"].tolist()
    assert data["mean"].tolist() == pytest.approx(expected["mean"].tolist())


# ----------------------------------------------------------------------------------------- curves


def test_a_curve_is_the_mean_of_the_trainings_with_the_lowest_and_highest(copy):
    folder, plan = copy
    for seed, loss in ((0, 0.4), (1, 0.8)):
        history = folder.job("imil.Lee", seed, 0).run.history
        rows = {"epoch": range(1, EPOCHS + 1), "train_loss": loss, "train_accuracy": 1 - loss}
        pd.DataFrame(rows).to_csv(history, index=False)
    with figure_style():
        data = epoch_curves.draw(FigureInputs(folder, plan, table(plan))).data
    rows = data[data["arm"] == "imil.Lee"]
    assert rows[["loss", "loss_lowest", "loss_highest"]].to_numpy() == pytest.approx(
        np.tile([0.6, 0.4, 0.8], (EPOCHS, 1))
    )
    assert rows["accuracy"].to_numpy() == pytest.approx(0.4)
    assert rows["trainings"].tolist() == [2] * EPOCHS


def test_the_upper_panels_show_the_loss_and_the_lower_ones_the_accuracy(study, inputs):
    panels = epoch_curves.draw(inputs).figure.axes[:2]  # of MixUp
    for axes, what in zip(panels, ("train_loss", "train_accuracy"), strict=True):
        for line, arm in zip(axes.lines, ("baseline", "mixup"), strict=True):
            files = [study[0].job(arm, seed, 0).run.history for seed in (0, 1)]
            mean = pd.concat(map(pd.read_csv, files)).groupby("epoch")[what].mean()
            assert line.get_ydata() == pytest.approx(mean.to_numpy())


def test_the_round_is_marked_in_the_arms_that_have_one(inputs):
    figure = epoch_curves.draw(inputs).figure
    marked = [
        any(list(line.get_xdata()) == [ROUND, ROUND] for line in axes.lines) for axes in figure.axes
    ]
    assert marked == [False] * 2 + [True] * 6  # loss and accuracy of mixup, two readers, control
    # as many epochs before the round as after it
    assert figure.axes[0].get_xlim() == (2 * ROUND - EPOCHS, EPOCHS)


def test_a_training_that_diverged_is_still_drawn(copy):
    folder, plan = copy
    history = folder.job("mixup", 0, 0).run.history
    data = pd.read_csv(history)
    data.loc[3:, "train_loss"] = [np.inf] + [np.nan] * (len(data) - 4)
    data.to_csv(history, index=False)
    with figure_style():
        limits = (
            epoch_curves.draw(FigureInputs(folder, plan, table(plan))).figure.axes[0].get_ylim()
        )
    assert np.isfinite(limits).all()


# -------------------------------------------------------------------------- heat-maps, focus


def test_the_label_of_a_heat_map_is_the_prediction_of_its_training(study, drawn):
    folder, plan = study
    data = data_of(study, "heat-maps")
    assert len(data) == 4 * len(plan.rows)
    assert set(data["seed"]) == {plan.seeds[0]}
    for row in data.to_dict("records"):
        result = folder.job(row["arm"], row["seed"], row["split"]).predictions()
        probs = result.probs[result.keys.index(row["key"])]
        truth = result.labels[result.keys.index(row["key"])]
        assert row["predicted"] == ("normal", "TB")[probs.argmax()]
        assert row["confidence"] == pytest.approx(probs.max())
        assert row["right"] == (probs.argmax() == truth)


def test_a_column_shows_the_heat_maps_of_its_arm(study, inputs):
    folder, plan = study
    drawing = heat_maps.draw(inputs)
    panels = [np.asarray(axes.images[0].get_array()) for axes in drawing.figure.axes[:-1]]
    keys = drawing.data["key"].unique()
    films, rest = panels[: len(keys)], iter(panels[len(keys) :])  # the last axes: the colours
    for arm in plan.rows:
        maps = np.load(folder.job(arm.id, 0, 0).heat_maps)
        for film, key in zip(films, keys, strict=True):
            assert (next(rest) == np.asarray(overlay(film, maps[key]))).all(), (arm.id, key)
    assert not list(rest)


def test_the_outline_is_that_of_the_lesion(study):
    _, plan = study
    loaded, known = plan_loaders(plan), loaders(plan)
    key = next(key for key in pd.read_csv(plan.data)["image"] if known.mask(key) is not None)
    assert (loaded.mask(key) == known.mask(key)).all()
    assert (loaded.load(key) == known.load(key)).all()


def test_right_and_wrong_are_distinguished_by_a_mark_not_by_colour(inputs):
    drawing = heat_maps.draw(inputs)
    texts = [text.get_text() for text in drawing.figure.findobj(Text)]
    assert sum(text.startswith("✓") for text in texts) == drawing.data["right"].sum()
    assert sum(text.startswith("✗") for text in texts) == (~drawing.data["right"]).sum()


def test_an_arm_without_heat_maps_is_named(copy):
    folder, plan = copy
    for seed in plan.seeds:
        folder.job("mixup", seed, 0).heat_maps.unlink()
    with figure_style():
        drawing = heat_maps.draw(FigureInputs(folder, plan, table(plan), loaders(plan)))
    assert "without heat-maps of this training: MixUp." in drawing.caption
    assert "A heat-map (Grad-CAM) shows" in drawing.caption
    write_heat_map_method(folder.job("baseline", 0, 0).run.heat_map, "relevance")
    with figure_style():
        drawing = heat_maps.draw(FigureInputs(folder, plan, table(plan), loaders(plan)))
    assert "A heat-map (relevance propagation) shows" in drawing.caption
    assert "mixup" not in set(drawing.data["arm"])


def test_outlines_are_drawn_and_mentioned_only_where_masks_are_known(study, inputs):
    without = FigureInputs(*study, table(study[1]), Loaders(load=inputs.loaders.load))
    assert "lesions" in heat_maps.draw(inputs).caption
    drawing = heat_maps.draw(without)
    assert "lesions" not in drawing.caption
    assert not any(axes.collections for axes in drawing.figure.axes)


def test_more_arms_than_fit_are_split_into_blocks_that_start_with_the_baseline(tmp_path):
    kinds = ("baseline", "cutmix", "cutout", "mixup", "imil", "imil-random", "imil-inverted",
             "cutout-same", "upweight")  # fmt: skip
    study, plan = made(tmp_path, arms=kinds, readers=("Lee",), seeds=(0,), side=16)
    with figure_style():
        figure = heat_maps.draw(FigureInputs(study, plan, table(plan), loaders(plan))).figure
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert (texts.count("Image"), texts.count("Baseline"), texts.count("IMIL")) == (2, 2, 1)
    heads = [arm for arm in texts if arm in {arm.title for arm in plan.rows} | {"Image"}]
    at = [i for i, head in enumerate(heads) if head == "Image"][1]
    assert heads[1:at] == ["Baseline", "CutMix", "CutOut", "MixUp", "IMIL"]  # then the controls


def test_the_colour_bar_has_the_colours_of_an_overlay():
    figure = Figure()
    draw_colour_bar(figure, 0, 0.1)
    (shown,) = figure.axes[0].images
    seen = np.asarray(shown.get_array())[0]
    film = np.full((1, 1), 128, np.uint8)
    for value in (0.0, 1.0):
        expected = overlay(film, np.full((1, 1), value, np.float32))[0, 0]
        assert seen[-1 if value else 0].tolist() == expected.tolist()


def test_focus_is_the_mean_over_the_images_that_have_a_mask(copy):
    folder, plan = copy
    rows = [("a", 0.2, 0.1, True), ("b", 0.4, 0.3, False), ("c", np.nan, 0.2, False)]
    data = pd.DataFrame(rows, columns=["key", "energy", "area", "pointing"])
    data.insert(1, "mask", "lesion_mask")
    data.to_parquet(folder.job("imil.Lee", 1, 0).focus, index=False)
    with figure_style():
        drawing = attention_energy.draw(FigureInputs(folder, plan, table(plan)))
    rows = drawing.data.query("arm == 'imil.Lee' and seed == 1").iloc[0]
    assert (rows["images"], rows["energy"], rows["area"]) == pytest.approx((3, 0.3, 0.2))
    assert rows["pointing"] == pytest.approx(1 / 3)
    assert "chance" in drawing.caption


def test_the_large_marker_is_the_number_of_the_report(copy):
    """Of a training with one heat-map and one with three: the mean of four, not of two means."""
    folder, plan = copy
    for seed, values in ((0, [0.8]), (1, [0.2, 0.2, 0.2])):
        rows = [(str(i), "lesion_mask", value, 0.1, True) for i, value in enumerate(values)]
        names = ["key", "mask", "energy", "area", "pointing"]
        pd.DataFrame(rows, columns=names).to_parquet(folder.job("imil.Lee", seed, 0).focus)
    with figure_style():
        drawing = attention_energy.draw(FigureInputs(folder, plan, table(plan)))
    every = drawing.data.query("arm == 'imil.Lee'")
    assert every.loc[every["seed"].isna(), "energy"].tolist() == pytest.approx([0.35])
    result = focus_by_arm(read_findings(folder, plan).focus).query("arm == 'imil.Lee'")
    assert result["energy"].tolist() == pytest.approx([0.35])
    energy = drawing.figure.axes[0]
    assert any(list(line.get_xdata()) == pytest.approx([0.35]) for line in energy.lines)


def test_chance_is_drawn_for_the_energy_only(inputs):
    drawing = attention_energy.draw(inputs)
    upright = [
        [line for line in axes.lines if list(line.get_ydata()) == [0, 1]]
        for axes in drawing.figure.axes
    ]
    assert [len(lines) for lines in upright] == [1, 0, 1, 0]  # energy and pointing of two masks
    assert "the pointing game cannot be compared with the area" in drawing.caption
    assert "2×2 values" in drawing.caption  # a ResNet at 64 pixels


def test_markers_of_the_focus_are_the_means_and_chance_is_the_area(study, inputs):
    folder, plan = study
    axes = iter(attention_energy.draw(inputs).figure.axes)
    for mask in ("lesion_mask", "lung_mask"):
        files = {
            arm.id: pd.concat(pd.read_parquet(folder.job(arm.id, seed, 0).focus) for seed in (0, 1))
            for arm in plan.rows
        }
        loaded = {arm: one[one["mask"] == mask] for arm, one in files.items()}
        for what in ("energy", "pointing"):
            lines = next(axes).lines
            single = [line.get_xdata()[0] for line in lines if len(line.get_xdata()) == 1]
            assert single == pytest.approx([one[what].mean() for one in loaded.values()])
            chance = [line.get_xdata()[0] for line in lines if list(line.get_ydata()) == [0, 1]]
            area = np.mean([one["area"].mean() for one in loaded.values()])
            assert chance == ([pytest.approx(area)] if what == "energy" else [])


def test_a_blank_heat_map_of_an_image_with_two_masks_counts_once(copy):
    folder, plan = copy
    job = folder.job("mixup", 0, 0)
    rows = [("a", mask, np.nan, 0.1, False) for mask in ("lesion_mask", "lung_mask")]
    names = ["key", "mask", "energy", "area", "pointing"]
    pd.DataFrame(rows, columns=names).to_parquet(job.focus, index=False)
    with figure_style():
        drawing = attention_energy.draw(FigureInputs(folder, plan, table(plan)))
    assert "1 heat-map is zero everywhere" in drawing.caption


# ------------------------------------------------------------------------- feedback and agreement


def test_feedback_shows_each_image_once_and_each_reader_in_turn(study, drawn):
    data = data_of(study, "feedback")
    assert data["key"].is_unique
    assert data["arm"].tolist() == ["imil.Lee", "imil.Novak"] * 2


def test_feedback_shows_the_predicted_heat_map_and_what_was_trained_on(study, inputs):
    drawing = feedback.draw(inputs)
    first = drawing.data.iloc[0]
    path = study[0].job(first["arm"], int(first["seed"]), 0).run.store
    with closing(Store(path, readonly=True)) as store:
        (round_,) = store.rounds()
        case = next(case for case in store.cases(round_.id) if case.key == first["key"])
        squares = store.current_readings(round_.id)[case.id].squares
    panels = (np.asarray(axes.images[0].get_array()) for axes in drawing.figure.axes[:4])
    film, attention, _, trained_on = panels
    assert (attention == np.asarray(overlay(film, case.cam_predicted))).all()
    kept = Grid(4, 4).mask(squares, *film.shape[:2])
    assert (trained_on[kept] == film[kept]).all()
    assert not trained_on[~kept].any()  # a blackout
    assert film[~kept].any()


def test_feedback_has_the_probability_of_the_true_class_with_and_without_the_round(study, drawn):
    data = data_of(study, "feedback")
    assert data["truth_before"].tolist() == pytest.approx([0.1] * 4)
    assert data["truth_end"].tolist() == pytest.approx([0.9] * 4)
    assert data["truth_end_baseline"].tolist() == pytest.approx([0.6] * 4)
    assert "say nothing about new images" in caption_of(drawn, "feedback")


def test_feedback_uses_the_reader_name_of_the_study(inputs, monkeypatch):
    """In a store the name may be another: of a session on the page, or a program's."""
    monkeypatch.setattr(
        feedback,
        "case_readings",
        lambda of: [
            replace(one, reading=replace(one.reading, reader="Dr. Nobody"))
            for one in case_readings(of)
        ],
    )
    drawing = feedback.draw(inputs)
    assert drawing.data["reader"].tolist() == [*READERS, *READERS]
    words = " ".join(one.get_text() for one in drawing.figure.texts)
    assert all(f"· {one} in" in words for one in READERS)
    assert "Nobody" not in words


@pytest.fixture
def misleading_alone(monkeypatch):
    """Lee's readings mark squares 4 and 16 as misleading and select none."""

    def changed(of):
        return [
            replace(one, reading=replace(one.reading, squares=(), misleading=(4, 16)))
            if one.reading.verdict == "focus" and one.arm.reader == "Lee"
            else one
            for one in case_readings(of)
        ]

    for module in (feedback, agreement_maps):
        monkeypatch.setattr(module, "case_readings", changed)


def test_feedback_hatches_misleading_squares_and_covers_them_alone(inputs, misleading_alone):
    drawing = feedback.draw(inputs)
    row = drawing.data.iloc[0]
    assert (row["reader"], row["squares"], row["misleading"]) == ("Lee", "", "4 16")
    film, _, marked, trained_on = (
        np.asarray(axes.images[0].get_array()) for axes in drawing.figure.axes[:4]
    )
    covered = Grid(4, 4).mask([4, 16], *film.shape[:2])
    assert not trained_on[covered].any()
    assert (trained_on[~covered] == film[~covered]).all()
    orange = (marked == MISLEADING).all(axis=-1)
    assert orange[covered].any()
    assert not orange[~covered].any()
    assert "hatched in orange those marked as misleading" in drawing.caption


def test_readings_of_misleading_squares_alone_agree_with_nobody(inputs, misleading_alone):
    with pytest.raises(MissingData, match="in no case two readers selected squares"):
        agreement_maps.draw(inputs)


def test_feedback_without_predictions_of_training_images_uses_the_case_alone(copy):
    folder, plan = copy
    for path in folder.path.rglob("train.parquet"):
        path.unlink()
    with figure_style():
        drawing = feedback.draw(FigureInputs(folder, plan, table(plan)))
    data = drawing.data
    # with two classes the probabilities sum to 1
    assert (data["truth_before"] + data["confidence"]).tolist() == pytest.approx([1] * 4)
    assert data["truth_end"].isna().all()
    assert "Bars" not in drawing.caption


def test_agreement_counts_the_readers_who_selected_each_square(study, drawn):
    folder, _ = study
    data = data_of(study, "agreement")
    cases = data[data["key"] != ""].astype({"seed": float, "selected": float})
    for (seed, key), of in cases.groupby(["seed", "key"]):
        counts = np.zeros(16)
        for reader in READERS:
            counts[np.array(squares_of(folder.job(f"imil.{reader}", int(seed), 0), key)) - 1] += 1
        assert of.sort_values("square")["selected"].tolist() == counts.tolist()
    every = data[data["key"] == ""]["share"].tolist()
    assert every == pytest.approx(cases.groupby("square")["share"].mean().tolist())
    assert every != [0] * 16


def test_agreement_is_drawn_in_the_squares_that_were_selected(inputs):
    drawing = agreement_maps.draw(inputs)
    every, case = drawing.data.iloc[:16], drawing.data.iloc[16:32]
    shares, first = drawing.figure.axes[:2]
    drawn_shares = np.asarray(shares.images[0].get_array()).ravel()
    assert drawn_shares == pytest.approx(every["share"].to_numpy())
    tall, wide = first.images[0].get_array().shape[:2]
    seen = np.zeros((4, 4))
    for texts in first.texts:
        x, y = texts.get_position()
        seen[int(4 * y / tall), int(4 * x / wide)] = int(texts.get_text())
    assert seen.ravel().tolist() == case["selected"].tolist()
    assert set(case["selected"]) == {0, 1, 2}
    for square, (tint, share) in enumerate(zip(first.collections, case["share"], strict=True), 1):
        assert tint.get_alpha() == pytest.approx(0.5 * share)
        top, left, bottom, right = Grid(4, 4).box(square, tall, wide)
        lies = tint.get_paths()[0].get_extents().extents + 0.5  # a pixel's middle is its number
        assert lies == pytest.approx([left, top, right, bottom])


def test_readings_that_are_replayed_in_every_seed_count_once(tmp_path):
    study, plan = made(tmp_path, readers=("simulated-a", "simulated-b"), cases=3)
    with figure_style():
        drawing = agreement_maps.draw(FigureInputs(study, plan, table(plan)))
    assert drawing.data["key"].nunique() == 1 + 3  # and all together
    assert len(drawing.data) == 16 * 4
    assert "in 3 cases (3 images)" in drawing.caption


def squares_of(job, key):
    with closing(Store(job.run.store, readonly=True)) as store:
        (round_,) = store.rounds()
        case = next(case for case in store.cases(round_.id) if case.key == key)
        return store.current_readings(round_.id)[case.id].squares


def test_simulated_readers_are_called_simulated(tmp_path, drawn):
    assert "simulated" not in caption_of(drawn, "feedback")
    study, plan = made(tmp_path, readers=("simulated", "Lee"), seeds=(0,))
    with figure_style():
        inputs = FigureInputs(study, plan, table(plan))
        assert "Simulated readers: simulated." in agreement_maps.draw(inputs).caption


@pytest.mark.parametrize("kind", ["random", "inverted:miss=0.1"])
def test_every_simulated_reader_is_called_simulated(tmp_path, kind):
    study, plan = made(tmp_path, readers=(Reader(name="P", reader=kind),), seeds=(0,), side=16)
    with figure_style():
        caption = feedback.draw(FigureInputs(study, plan, table(plan))).caption
    assert "The reader is simulated." in caption


# ------------------------------------------------------------------------------ all of them: files


def test_every_figure_is_written_as_png_svg_and_csv(study, drawn):
    names = [one.name for one in drawn[0]]
    assert drawn[1] == []
    assert sorted(names) == sorted([*ALWAYS, *(f"{name}-external-montgomery" for name in PER_SET)])
    for name in names:
        path = study[0].figures / name
        with Image.open(path.with_suffix(".png")) as picture:
            assert picture.width > 600
            assert round(picture.info["dpi"][0]) == 200
        drawing = ElementTree.parse(path.with_suffix(".svg")).getroot()
        assert drawing.findall(".//{http://www.w3.org/2000/svg}text"), name  # text is text
        assert len(pd.read_csv(path.with_suffix(".csv"))) > 0


@pytest.mark.parametrize("of", [roc_figure, *slow(reliability_diagrams, heat_maps, agreement_maps)])
def test_drawing_again_gives_the_same_bytes_with_any_user_style(study, drawn, tmp_path, of):
    folder, plan = study
    with mpl.rc_context({"font.size": 30, "savefig.dpi": 50, "svg.fonttype": "path"}):
        before = dict(mpl.rcParams)
        with figure_style():
            inputs = FigureInputs(folder, plan, table(plan), loaders(plan), KAPPA)
            drawing = (
                of.draw(inputs, "test")
                if of in (roc_figure, reliability_diagrams)
                else of.draw(inputs)
            )
            drawing.write(tmp_path)
        assert dict(mpl.rcParams) == before
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"{drawing.name}.{kind}" for kind in ("csv", "png", "svg")]
    for name in names:
        assert (tmp_path / name).read_bytes() == (folder.figures / name).read_bytes(), name


def test_the_caption_is_in_the_metadata_of_the_files(study, drawn):
    one = drawn[0][0]
    with Image.open(study[0].figures / f"{one.name}.png") as picture:
        assert picture.info["Description"] == one.caption
    drawing = (study[0].figures / f"{one.name}.svg").read_text(encoding="utf-8")
    assert f"<title>{one.title}</title>" in drawing


def test_captions_have_the_number_of_trainings_and_the_meaning_of_bands(drawn):
    for name in (*PER_SET, "curves", "focus"):
        assert "2 trainings per arm (2 seeds)" in caption_of(drawn, name), name
    for name in ("roc", "curves"):
        assert "from the lowest to the highest training" in caption_of(drawn, name)
    assert "its colours distinguish groups, not arms, and its band is the baseline's" in caption_of(
        drawn, "roc"
    )
    assert "Filled markers: a difference is shown" in caption_of(drawn, "forest")
    assert "the 40 test images" in caption_of(drawn, "forest")
    assert "the 20 images of the external set montgomery" in caption_of(
        drawn, "forest-external-montgomery"
    )


@pytest.mark.parametrize(
    "readers",
    [
        ("Reader-" + "x" * 33, "A_very_" + "long_" * 6),
        pytest.param(READERS, marks=pytest.mark.slow),
    ],
)
def test_nothing_is_cut_or_overlaps(tmp_path, study, readers):
    folder, plan = study if readers == READERS else made(tmp_path, readers=readers, seeds=(0,))
    with figure_style():
        inputs = FigureInputs(folder, plan, table(plan), loaders(plan), np.full((4, 4), -0.05))
        for draw in (
            epoch_curves.draw,
            heat_maps.draw,
            attention_energy.draw,
            feedback.draw,
            agreement_maps.draw,
        ):
            check_no_overlap(draw(inputs).figure)
        for draw in (forest_plot.draw, roc_figure.draw, reliability_diagrams.draw):
            check_no_overlap(draw(inputs, "test").figure)


def check_no_overlap(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    wide, high = canvas.get_width_height()
    assert wide <= 7.2 * figure.dpi  # a printed page
    hidden = {id(label) for axes in figure.axes for label in hidden_labels(axes)}
    boxes = [
        (text.get_text(), text.get_window_extent())
        for text in figure.findobj(Text)
        if text.get_text().strip() and text.get_visible() and id(text) not in hidden
    ]
    places = [(f"panel {i}", axes.get_window_extent()) for i, axes in enumerate(figure.axes)]
    for texts, box in boxes + places:
        assert min(box.x0, box.y0) > -1, texts
        assert box.x1 < wide + 1, texts
        assert box.y1 < high + 1, texts
    for (one, a), (other, b) in [*combinations(boxes, 2), *combinations(places, 2)]:
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        down = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert min(across, down) < 1.5, f"'{one}' lies on '{other}'"


def hidden_labels(axes):
    """Labels of ticks beyond the axis, which are not drawn."""
    for i, axis in enumerate((axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for label in axis.get_ticklabels():
            if not low <= label.get_position()[i] <= high:
                yield label


def test_a_name_with_special_characters_is_drawn_unchanged(copy, tmp_path):
    folder, plan = copy
    facts = folder.read_facts() | {"classes": ["$\\frac{1$", "<b>&"]}
    folder.facts.write_text(json.dumps(facts), encoding="utf-8")
    with figure_style():
        heat_maps.draw(FigureInputs(folder, plan, table(plan), loaders(plan))).write(tmp_path)
    drawing = ElementTree.parse(tmp_path / "heat-maps.svg").getroot()
    texts = [text.text for text in drawing.findall(".//{http://www.w3.org/2000/svg}text")]
    assert "$\\frac{1$" in texts
    assert "<b>&" in texts


# ------------------------------------------------------------------------------- what is left out


def test_a_figure_without_data_is_left_out_with_the_reason(tmp_path):
    study, plan = made(tmp_path, readers=("Lee",), seeds=(0,), external=())
    for job in study.jobs([arm.id for arm in plan.rows], plan.seeds, 1):
        job.focus.unlink()
    study.figures.mkdir()
    old = study.figures / "focus.png"
    old.write_bytes(b"outdated")
    done, left = draw_all(study, plan, table(plan))
    assert [one.name for one in done] == ["forest", "roc", "reliability", "curves", "feedback"]
    assert dict(left) == {
        "Heat-maps": "the images cannot be read on this machine.",
        "Focus": "no test image has a lesion or lung mask.",
        "Agreement": "agreement needs two readers.",
    }
    assert not old.exists()


@pytest.mark.slow  # draws all figures once more
def test_a_damaged_file_leaves_out_its_figure_only(tmp_path):
    study, plan = made(
        tmp_path, arms=("baseline", "imil"), readers=("Lee",), seeds=(0,), external=(), side=16
    )
    study.job("imil", 0, 0).heat_maps.write_bytes(b"half")
    done, left = draw_all(study, plan, table(plan), loaders(plan))
    assert [one.name for one in done] == list(ALWAYS[:4] + ALWAYS[5:7])
    reason = dict(left)["Heat-maps"]
    assert reason.endswith("heat-maps.npz cannot be read: do the job again.")


def test_a_study_without_finished_trainings_has_no_figures(tmp_path):
    everything = [(arm, 0, 0) for arm in ("baseline", "imil")]
    study, plan = made(
        tmp_path, arms=("baseline", "imil"), readers=("Lee",), seeds=(0,), waiting=everything
    )
    done, left = draw_all(study, plan, pd.DataFrame())
    assert done == []
    assert {one.reason for one in left} == {"no training is done yet: run the study first."}


def test_an_unfinished_study_is_drawn_with_its_finished_trainings(tmp_path):
    waiting = [("mixup", 0, 0), ("mixup", 1, 0), ("imil", 1, 0)]
    study, plan = made(tmp_path, readers=("Lee",), waiting=waiting)
    with figure_style():
        drawing = roc_figure.draw(FigureInputs(study, plan, table(plan)), "test")
    assert "1 to 2 trainings per arm" in drawing.caption
    assert set(drawing.data["arm"]) == {"baseline", "imil", "imil-random"}


def test_an_arm_is_compared_with_the_baseline_of_the_same_seeds(tmp_path):
    study, plan = made(tmp_path, readers=("Lee",), waiting=[("imil", 0, 0)])
    with figure_style():
        inputs = FigureInputs(study, plan, table(plan))
        beside, curve = epoch_curves.draw(inputs), roc_figure.draw(inputs, "test")
    history = pd.read_csv(study.job("baseline", 1, 0).run.history)
    panel = beside.figure.axes[2]  # the loss of IMIL, after loss and accuracy of MixUp
    assert panel.lines[0].get_ydata().tolist() == history["train_loss"].tolist()
    unit = study.job("baseline", 1, 0).predictions()
    dashed = curve.figure.axes[2].lines[1]  # after the line of chance
    area = np.trapezoid(dashed.get_ydata(), dashed.get_xdata())
    assert area == pytest.approx(auroc(unit.probs, unit.labels), abs=1e-6)
    assert "the same seeds and splits" in beside.caption
    assert "the same seeds and splits" in curve.caption


def test_a_set_without_predictions_is_left_out(study):
    folder, plan = study
    with figure_style(), pytest.raises(MissingData, match="no training has predicted this set"):
        roc_figure.draw(FigureInputs(folder, plan, table(plan)), "external-nowhere")


# -------------------------------------------------------------------------------------- the layout


@pytest.mark.parametrize(
    "text", ["Baseline", "Control: inverted squares", "IMIL (" + "x" * 40 + ")"]
)
@pytest.mark.parametrize("max_lines", [1, 2, 3])
def test_a_title_fits_its_cell_and_keeps_both_ends(text, max_lines):
    lines = fit_text(text, 1.2, max_lines=max_lines).split("\n")
    assert len(lines) <= max_lines
    assert max(text_width(line, 7.0) for line in lines) <= 1.2
    assert lines[0][0] == text[0]
    assert lines[-1][-1] == text[-1]


def test_the_number_of_columns_leaves_few_empty_places():
    assert [column_count(n) for n in range(1, 14)] == [1, 2, 3, 4, 5, 3, 4, 4, 5, 5, 4, 4, 5]
