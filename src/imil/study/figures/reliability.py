"""Reliability diagrams: is a model right as often as it is sure?"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, isnan

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from imil.metrics import BINS, calibration_bins, is_correct
from imil.study.arms import Arm
from imil.study.figures.caption_text import heading, mean_of, stem, trainings
from imil.study.figures.layout import WIDE, Box, Cells, cells, place, sheet, title, write
from imil.study.figures.material import Material
from imil.study.figures.style import GREY, HINT, INK, LINE, SMALL, Drawing, colours, group, shares
from imil.study.study_folder import Predictions

TINT = 0.3  # opacity of a bar
FEW = 10  # predictions; a bin with fewer is drawn open
LEFT, TOP, GAP = 0.42, 0.36, (0.18, 0.42)
HEADROOM = 1.1  # of the accuracy's axis: the ECE stands above 1
HEIGHT, STRIP = 1.66, 0.28  # inches of a cell, and of the histogram at its foot


def draw(material: Material, of: str) -> Drawing:
    """Accuracy by confidence, one cell an arm, with a histogram of confidence."""
    tables = {arm: binned(material.predictions(arm, of)) for arm in material.arms_of(of)}
    low = floor(BINS / len(material.classes)) / BINS  # nobody is surer of another class
    figure = _figure(tables, [material.mean(arm, of, "ece") for arm in tables], low)
    data = [table.assign(arm=arm.id, title=arm.title) for arm, table in tables.items()]
    names = ["arm", "title", *data[0].columns[:-2]]
    return Drawing(
        stem("reliability", of),
        heading("Reliability diagrams", of),
        _caption(material, of),
        figure,
        pd.concat(data, ignore_index=True)[names],
    )


def binned(units: Sequence[Predictions]) -> pd.DataFrame:
    """Mean confidence and accuracy in each bin of confidence, all trainings together.

    Returns: columns low, high (above low, up to high), predictions, confidence, accuracy (NaN
        in an empty bin).
    Source: Guo et al. 2017, eq. 1 and 2; bins as in `imil.metrics.calibration`.
    """
    probs = np.concatenate([unit.probs for unit in units])
    labels = np.concatenate([unit.labels for unit in units])
    sure = probs.max(axis=1)
    index = calibration_bins(sure)
    count = np.bincount(index, minlength=BINS)
    filled = np.where(count, count, np.nan)
    right = is_correct(probs, labels).astype(float)
    return pd.DataFrame(
        {
            "low": np.arange(BINS) / BINS,
            "high": np.arange(1, BINS + 1) / BINS,
            "predictions": count,
            "confidence": np.bincount(index, sure, BINS) / filled,
            "accuracy": np.bincount(index, right, BINS) / filled,
        }
    )


def _figure(tables: dict[Arm, pd.DataFrame], errors: list[float], low: float) -> Figure:
    height = HEIGHT + STRIP + 0.06
    grid = cells(len(tables), width=WIDE, height=height, left=LEFT, top=TOP, gap=GAP)
    figure = sheet(grid.boxes[min(len(tables), grid.columns) - 1].right + 0.08, grid.bottom + 0.42)
    most = max(float((t["predictions"] / t["predictions"].sum()).max()) for t in tables.values())
    for i, (arm, table) in enumerate(tables.items()):
        box = grid.boxes[i]
        title(figure, box, arm.title, group(arm).colour)
        upper = place(figure, Box(box.left, box.top, box.width, HEIGHT))
        _bars(upper, arm, table, low)
        if not isnan(errors[i]):
            _said(upper, errors[i])
        lower = place(figure, Box(box.left, box.top + HEIGHT + 0.06, box.width, STRIP))
        _histogram(lower, table, low, most)
        upper.tick_params(labelbottom=False, labelleft=grid.first(i))
        lower.tick_params(labelbottom=grid.last(i))
        _name_axes(grid, i, upper, lower)
    write(figure, LEFT, grid.bottom + 0.2, "confidence of the predicted class", color=GREY)
    return figure


def _bars(axes: Axes, arm: Arm, table: pd.DataFrame, low: float) -> None:
    """A bar up to the accuracy; hatching from there to the mean confidence, which is the gap."""
    shares(axes, x_low=low)
    axes.set_ylim(0, HEADROOM)
    axes.spines["left"].set_bounds(0, 1)
    axes.plot([low, 1], [low, 1], color=INK, linewidth=0.7, linestyle=HINT, zorder=4)
    colour = group(arm).colour
    for row in table[table["predictions"] > 0].to_dict("records"):
        wide, right = row["high"] - row["low"], row["accuracy"]
        few = row["predictions"] < FEW
        tint = "white" if few else to_rgba(colour, TINT)
        axes.bar(
            row["low"], right, wide, align="edge", facecolor=tint, edgecolor=LINE, linewidth=0.4
        )
        axes.bar(
            row["low"], row["confidence"] - right, wide, bottom=right, align="edge",
            linewidth=0, facecolor="none", edgecolor=INK, hatch="///////",
        )  # fmt: skip
        axes.plot(
            [row["low"], row["high"]], [right, right], color=colour, solid_capstyle="butt",
            linewidth=0.9 if few else 2, zorder=3, clip_on=False,
        )  # fmt: skip


def _said(axes: Axes, error: float) -> None:
    axes.text(
        0.0, 1.0, f"ECE {error:.3f}", transform=axes.transAxes, va="top", fontsize=SMALL + 0.5
    )  # fmt: skip


def _histogram(axes: Axes, table: pd.DataFrame, low: float, most: float) -> None:
    """How many predictions are how sure, downwards."""
    shares(axes, x_low=low, y=False)
    axes.bar(
        table["low"], table["predictions"] / table["predictions"].sum(),
        table["high"] - table["low"], align="edge", color=LINE, edgecolor="white", linewidth=0.4,
    )  # fmt: skip
    axes.set_ylim(0, most)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _name_axes(grid: Cells, i: int, upper: Axes, lower: Axes) -> None:
    if grid.first(i):
        upper.set_ylabel("accuracy")
        lower.set_ylabel("share", rotation=0, ha="right", va="center")


def _caption(material: Material, of: str) -> str:
    arms = material.arms_of(of)
    units = [material.units(arm, of) for arm in arms]
    several = max(map(len, units)) > 1
    pooled = f"the predictions of {trainings(units)} taken together" if several else mean_of(units)
    mean = "ECE is the mean over trainings, as in the table. " if several else ""
    return (
        f"Reliability diagrams on {material.images(of, arms)}: accuracy in {BINS} equal bins of "
        f"confidence, {pooled}. On the dotted line a model is right as often as it is sure; "
        "hatching is the gap to its mean confidence in the bin. Bins with fewer than "
        f"{FEW} predictions are white: their height says little. Below each diagram, the share of "
        f"predictions in each bin, to one scale for all arms. {mean}{colours(arms)}"
    ).strip()
