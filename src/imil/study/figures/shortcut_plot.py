"""Accuracy with the planted shortcut for, without, and against: a row per arm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from imil.study.arms import Arm
from imil.study.figures.arm_rows import ArmRows, arm_rows
from imil.study.figures.caption_text import images_in_words, trainings
from imil.study.figures.figure_inputs import FigureInputs, MissingData
from imil.study.figures.panel_layout import PAGE_WIDTH, add_legend, plot_figure
from imil.study.figures.style import (
    BAND,
    BASELINE,
    DOTTED,
    GREY,
    INK,
    SMALL,
    Drawing,
    colour_sentence,
    group,
)
from imil.study.statistics.verdict import CLAIMS
from imil.study.study_folder import COUNTERFACTUAL, TEST

FOR, PLAIN, AGAINST = "accuracy_for", "accuracy", "accuracy_against"
MARKERS = {FOR: ">", PLAIN: "|", AGAINST: "o"}
WORDS = {FOR: "shortcut for the class", PLAIN: "image as it is", AGAINST: "against the class"}
Row = Any  # of `itertuples`, which nothing describes
Rows = Mapping[tuple[str, str], Row]  # by arm and measure
SPACING = 1.25  # rows apart, of those of other figures
BAND_WIDTH = 4.2  # points


def draw(inputs: FigureInputs) -> Drawing:
    """Each arm's accuracy with the shortcut for, without, and against, and its difference.

    Raises: MissingData: no training was tested with the shortcut.
    """
    table = inputs.shortcut
    arms = [arm for arm in inputs.plan.rows if table is not None and arm.id in set(table["arm"])]
    if table is None or not arms:
        raise MissingData("no training has predicted the test images with the shortcut")
    data = table[table["measure"].isin(MARKERS)].reset_index(drop=True)
    each: Iterable[Any] = data.itertuples()
    return Drawing(
        "shortcut",
        "Accuracy with the planted shortcut for and against the class",
        _caption(inputs, arms, data),
        _figure(arms, {(row.arm, row.measure): row for row in each}),
        data,
    )


def _figure(arms: Sequence[Arm], table: Rows) -> Figure:
    rows = arm_rows(arms)
    figure = plot_figure(PAGE_WIDTH, SPACING * rows.height + 0.75)
    grid = GridSpec(1, 2, figure=figure, width_ratios=(1.55, 1))
    left, right = (figure.add_subplot(grid[0, column]) for column in (0, 1))
    rows.set_up(left, names=True)
    _title(left, "Accuracy, %")
    for arm, y in zip(rows.arms, rows.positions, strict=True):
        _draw_arm(left, arm, y, table)
    left.set_xlim(0, 1.02)
    rows.set_up(right, names=False)
    _title(right, "Against, minus baseline, points")
    _draw_differences(right, rows, table)
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:g}".replace("-", "−")))
    add_legend(figure, _legend_entries(), "outside lower left")
    return figure


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=7, fontweight="bold", pad=3)


def _draw_arm(axes: Axes, arm: Arm, y: float, table: Rows) -> None:
    """The three accuracies with their intervals as bands, and a line from against to for."""
    colour = group(arm).colour
    ends = [table[arm.id, name].mean for name in (AGAINST, FOR)]
    axes.plot(ends, [y, y], color=colour, linewidth=0.9, zorder=2)
    for name in (FOR, PLAIN, AGAINST):
        row = table[arm.id, name]
        if np.isfinite([row.low, row.high]).all():
            axes.plot(
                [row.low, row.high], [y, y], color=colour, linewidth=BAND_WIDTH,
                alpha=BAND, solid_capstyle="butt", zorder=1,
            )  # fmt: skip
        axes.plot(
            row.mean, y, MARKERS[name], color=colour, zorder=3, markeredgewidth=0.9,
            markersize=7 if name == PLAIN else 4.2,
            markerfacecolor="white" if name == FOR else colour,
        )  # fmt: skip


def _draw_differences(axes: Axes, rows: ArmRows, table: Rows) -> None:
    """The difference of each arm that is compared with the baseline."""
    axes.axvline(0, color=BASELINE.colour, linewidth=0.8, zorder=1)
    for arm, y in zip(rows.arms, rows.positions, strict=True):
        row = table[arm.id, AGAINST]
        if arm.kind == "baseline":
            continue
        if row.reference != "baseline":
            _note(axes, y, "trained without the shortcut")
        elif not np.isfinite([row.diff_low, row.diff_high]).all():
            _note(axes, y, "cannot be compared")
        else:
            _draw_difference(axes, arm, y, row)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -0.05), max(high, 0.05))


def _note(axes: Axes, y: float, text: str) -> None:
    axes.text(
        0.99, y, text, transform=axes.get_yaxis_transform(), color=GREY, ha="right", va="center",
        fontsize=SMALL, fontstyle="italic",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )  # fmt: skip


def _draw_difference(axes: Axes, arm: Arm, y: float, row: Row) -> None:
    style = group(arm)
    if arm.kind == "no-shortcut":  # all of the gap
        axes.axvline(row.diff, color=INK, linewidth=0.9, linestyle=DOTTED, zorder=1)
    axes.plot(
        [row.diff_low, row.diff_high], [y, y], color=style.colour, linewidth=1.1,
        solid_capstyle="butt",
    )  # fmt: skip
    axes.plot(
        row.diff, y, "o", color=style.colour, markersize=4.2, markeredgewidth=0.9,
        markerfacecolor=style.colour if row.verdict in CLAIMS else "white",
    )  # fmt: skip


def _legend_entries() -> list[tuple[Line2D, str]]:
    def marker(name: str) -> Line2D:
        return Line2D(
            [], [], color=GREY, marker=MARKERS[name], linestyle="none", markeredgewidth=0.9,
            markersize=7 if name == PLAIN else 4.2,
            markerfacecolor="white" if name == FOR else GREY,
        )  # fmt: skip

    entries = [(marker(name), WORDS[name]) for name in (AGAINST, PLAIN, FOR)]
    band = Line2D([], [], color=GREY, linewidth=BAND_WIDTH, alpha=BAND)
    gap = Line2D([], [], color=INK, linestyle=DOTTED, linewidth=0.9)
    return [*entries, (band, "95 % CI"), (gap, "the whole gap")]


def _caption(inputs: FigureInputs, arms: Sequence[Arm], data: pd.DataFrame) -> str:
    units = [inputs.units(arm, COUNTERFACTUAL[0]) for arm in arms]
    sizes = [len(unit) for arm in arms for unit in inputs.predictions(arm, TEST)]
    caption = (
        f"Accuracy on {images_in_words(TEST, sizes)}, each tested with the planted shortcut "
        "arguing against its class (dot), as it is (stroke) and with the shortcut arguing for its "
        f"class (triangle), of {trainings(units)}. The line between dot and triangle is what the "
        "shortcut alone changes; bands are 95 % confidence intervals. Right: the accuracy against "
        "the class minus the baseline's, paired by training and image, with its interval. Filled "
        "markers: a difference is shown, corrected for the number of arms; open markers: none is, "
        "or there is only one training per arm."
    )
    if any(arm.kind == "no-shortcut" for arm in arms):
        caption += " Dotted line: the training without the shortcut, all of the gap."
    if any(arm.without_shortcut for arm in arms):
        caption += " Arms that are trained without the shortcut are not compared with the baseline."
    if max(map(len, units)) == 1:
        caption += " With one training per arm the arms cannot be ranked."
    return f"{caption} {colour_sentence(arms)}".strip()
