"""The training curve of a run, drawn from its history.csv."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from imil.atomic_files import atomic_write

# Okabe and Ito: distinguishable with any colour vision
SPLITS = {"train": ("training", "#0072b2"), "val": ("validation", "#d55e00")}
GREY, FAINT = "0.35", "0.9"
MIN_DISTANCE = 0.07  # of the axis' height, between the labels of two lines


def draw_training_curve(history: Path, rounds: list[int], path: Path) -> None:
    """Draw loss and accuracy by epoch, with a vertical line at each round.

    Args:
        history: the run's history.csv: epoch, train_loss, train_accuracy, and val_ if present.
        rounds: completed epochs before each round.
        path: a PNG, replaced atomically.
    """
    table = pd.read_csv(history)
    figure = Figure(figsize=(9, 3.4), dpi=160, layout="constrained")
    for axes, measure in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        _draw_lines(axes, table, measure)
        _draw_rounds(axes, rounds)
    with atomic_write(path) as file:
        figure.savefig(file, format="png")


def _draw_lines(axes: Axes, table: pd.DataFrame, measure: str) -> None:
    """One line per split, with its name at its end."""
    epochs = table["epoch"].to_numpy(float)
    last = float(epochs[-1]) if len(epochs) else 1.0
    ends: dict[str, float] = {}
    for split, (_, colour) in SPLITS.items():
        if f"{split}_{measure}" in table and len(table):
            values = table[f"{split}_{measure}"].to_numpy(float)
            marker = "o" if len(table) < 3 else None  # a line of one point is invisible
            axes.plot(epochs, values, color=colour, linewidth=1.7, marker=marker, markersize=4)
            if np.isfinite(values[-1]):
                ends[split] = float(values[-1])
    axes.set_title(measure.capitalize(), loc="left", fontsize=11, fontweight="bold")
    axes.set_xlabel("completed epochs", color=GREY)
    axes.set_xlim(0, max(last, 1.0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=GREY, labelsize=9)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("0.7")
    _label_lines(axes, ends, last)


def _label_lines(axes: Axes, ends: dict[str, float], last: float) -> None:
    """The names of the lines at their ends, moved apart where they would overlap."""
    bottom, top = axes.get_ylim()
    heights = dict(ends)
    if len(heights) == 2:
        low, high = sorted(heights, key=lambda split: heights[split])
        missing = MIN_DISTANCE * (top - bottom) - (heights[high] - heights[low])
        if missing > 0:
            heights[low], heights[high] = heights[low] - missing / 2, heights[high] + missing / 2
    for split, height in heights.items():
        name, colour = SPLITS[split]
        axes.annotate(
            name,
            (last, height),
            xytext=(6, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            annotation_clip=False,
        )


def _draw_rounds(axes: Axes, rounds: list[int]) -> None:
    """A line at each round; with one label, as labels of close rounds would overlap."""
    for epoch in rounds:
        axes.axvline(epoch, color="0.45", linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    if rounds:
        axes.annotate(
            "round" if len(rounds) == 1 else "rounds",
            (min(rounds), 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            color=GREY,
            fontsize=8.5,
            va="bottom",
        )
