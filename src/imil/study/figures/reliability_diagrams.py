"""Reliability diagrams: accuracy by confidence, one diagram per arm."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, isnan

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from imil.metrics import BINS, calibration_bins, is_correct
from imil.predictions import Predictions
from imil.study.arms import Arm
from imil.study.figures.caption_text import (
    figure_title,
    file_stem,
    mean_of_trainings,
    trainings,
)
from imil.study.figures.figure_inputs import FigureInputs
from imil.study.figures.panel_layout import set_title, small_multiples
from imil.study.figures.style import (
    DOTTED,
    GREY,
    INK,
    LINE,
    SMALL,
    Drawing,
    colour_sentence,
    group,
    unit_axes,
)

BAR_OPACITY = 0.3
FEW = 10  # predictions; a bin with fewer is drawn white
Y_LIMIT = 1.1  # of the accuracy's axis: the ECE is printed above 1
HEIGHTS = (1.7, 0.28)  # inches of a diagram, and of the histogram below


def draw(inputs: FigureInputs, set_name: str) -> Drawing:
    """Accuracy by confidence, one cell per arm, with a histogram of confidence."""
    tables = {arm: binned(inputs.predictions(arm, set_name)) for arm in inputs.arms_of(set_name)}
    lowest = floor(BINS / len(inputs.classes)) / BINS  # the confidence is never less than 1 / K
    errors = [inputs.mean(arm, set_name, "ece") for arm in tables]
    data = [table.assign(arm=arm.id, title=arm.title) for arm, table in tables.items()]
    return Drawing(
        file_stem("reliability", set_name),
        figure_title("Reliability diagrams", set_name),
        _caption(inputs, set_name),
        _figure(tables, errors, lowest),
        pd.concat(data, ignore_index=True)[["arm", "title", *data[0].columns[:-2]]],
    )


def binned(units: Sequence[Predictions]) -> pd.DataFrame:
    """Mean confidence and accuracy in each bin of confidence, pooled over trainings.

    Returns: columns low, high (above low, up to high), predictions, confidence, accuracy (NaN
        in an empty bin).
    Source: Guo et al. 2017, eq. 1 and 2; bins as in `imil.metrics.calibration`.
    """
    probs = np.concatenate([unit.probs for unit in units])
    labels = np.concatenate([unit.labels for unit in units])
    confidence = probs.max(axis=1)
    index = calibration_bins(confidence)
    count = np.bincount(index, minlength=BINS)
    nonempty = np.where(count, count, np.nan)
    correct = is_correct(probs, labels).astype(float)
    return pd.DataFrame(
        {
            "low": np.arange(BINS) / BINS,
            "high": np.arange(1, BINS + 1) / BINS,
            "predictions": count,
            "confidence": np.bincount(index, confidence, BINS) / nonempty,
            "accuracy": np.bincount(index, correct, BINS) / nonempty,
        }
    )


def _figure(tables: dict[Arm, pd.DataFrame], errors: list[float], lowest: float) -> Figure:
    cells = small_multiples(len(tables), heights=HEIGHTS, title=0.5, margin=0.15)
    shares = [table["predictions"] / table["predictions"].sum() for table in tables.values()]
    largest = max(float(share.max()) for share in shares)
    for i, (arm, table) in enumerate(tables.items()):
        diagram, histogram = cells.add_axes(i)
        set_title(diagram, arm.title, cells.cell_width - 0.3, group(arm).colour)
        _draw_bars(diagram, arm, table, lowest)
        if not isnan(errors[i]):
            _print_error(diagram, errors[i])
        _draw_histogram(histogram, table, lowest, largest)
        diagram.tick_params(labelbottom=False, labelleft=cells.is_first(i))
        histogram.tick_params(labelbottom=cells.is_last(i))
        if cells.is_first(i):
            diagram.set_ylabel("accuracy")
            histogram.set_ylabel("share", rotation=0, ha="right", va="center")
    cells.figure.supxlabel("confidence of the predicted class", color=GREY, fontsize=SMALL + 0.5)
    return cells.figure


def _draw_bars(axes: Axes, arm: Arm, table: pd.DataFrame, lowest: float) -> None:
    """Bars up to the accuracy, hatched between accuracy and mean confidence: the gap."""
    unit_axes(axes, x_low=lowest)
    axes.set_ylim(0, Y_LIMIT)
    axes.spines["left"].set_bounds(0, 1)
    axes.plot([lowest, 1], [lowest, 1], color=INK, linewidth=0.7, linestyle=DOTTED, zorder=4)
    colour = group(arm).colour
    for row in table[table["predictions"] > 0].to_dict("records"):
        width, accuracy = row["high"] - row["low"], row["accuracy"]
        few = row["predictions"] < FEW
        axes.bar(
            row["low"], accuracy, width, align="edge", edgecolor=LINE, linewidth=0.4,
            facecolor="white" if few else to_rgba(colour, BAR_OPACITY),
        )  # fmt: skip
        axes.bar(
            row["low"], row["confidence"] - accuracy, width, bottom=accuracy, align="edge",
            linewidth=0, facecolor="none", edgecolor=INK, hatch="///////",
        )  # fmt: skip
        axes.plot(
            [row["low"], row["high"]], [accuracy, accuracy], color=colour, solid_capstyle="butt",
            linewidth=0.9 if few else 2, zorder=3, clip_on=False,
        )  # fmt: skip


def _print_error(axes: Axes, error: float) -> None:
    axes.text(
        0.0, 1.0, f"ECE {error:.3f}", transform=axes.transAxes, va="top", fontsize=SMALL + 0.5
    )  # fmt: skip


def _draw_histogram(axes: Axes, table: pd.DataFrame, lowest: float, largest: float) -> None:
    """The share of predictions in each bin of confidence."""
    unit_axes(axes, x_low=lowest, y=False)
    axes.bar(
        table["low"], table["predictions"] / table["predictions"].sum(),
        table["high"] - table["low"], align="edge", color=LINE, edgecolor="white", linewidth=0.4,
    )  # fmt: skip
    axes.set_ylim(0, largest)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _caption(inputs: FigureInputs, set_name: str) -> str:
    arms = inputs.arms_of(set_name)
    units = [inputs.units(arm, set_name) for arm in arms]
    several = max(map(len, units)) > 1
    pooled = f"the pooled predictions of {trainings(units)}"
    source = pooled if several else mean_of_trainings(units)
    mean = "ECE is the mean over trainings, as in the table. " if several else ""
    return (
        f"Reliability diagrams on {inputs.images(set_name, arms)}: accuracy in {BINS} equal bins "
        f"of confidence, {source}. The dotted line is perfect calibration; hatching is the gap to "
        f"the mean confidence in the bin. Bins with fewer than {FEW} predictions are white: their "
        "accuracy is imprecise. Below each diagram, the share of predictions in each bin, at the "
        f"same scale for all arms. {mean}{colour_sentence(arms)}"
    ).strip()
