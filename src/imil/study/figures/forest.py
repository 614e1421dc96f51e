"""Accuracy, AUROC and calibration error by arm, with intervals: values, and what differs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from imil.study.arms import Arm
from imil.study.figures.arm_rows import Rows, names, names_width, rows_of
from imil.study.figures.caption_text import heading, stem, trainings
from imil.study.figures.layout import WIDE, Box, key, place, sheet, write
from imil.study.figures.material import Lacking, Material
from imil.study.figures.style import (
    BASELINE,
    GREY,
    GROUPS,
    HINT,
    INK,
    SMALL,
    Drawing,
    group,
)
from imil.study.statistics.verdict import CLAIMS

MEASURES = {"accuracy": "Accuracy", "auroc": "AUROC", "ece": "Calibration error (ECE)"}
DOWN = ("ece",)  # the lower, the better
PERCENT = ("accuracy",)
COLUMNS = ["arm", "title", "measure", "n", "units", "mean", "low", "high"]
DIFFERENCES = ["diff", "diff_low", "diff_high", "p", "verdict"]
TOP, GAP = 0.32, 0.2  # inches


def draw(material: Material, of: str) -> Drawing:
    """Each arm's accuracy, AUROC and ECE on a set, and their difference from the baseline.

    Raises: Lacking: the results table has none of them.
    """
    tables = {name: material.rows(of, name) for name in MEASURES}
    arms = [arm for arm in material.arms_of(of) if any(arm.id in t.index for t in tables.values())]
    if not arms:
        raise Lacking("the results table has neither accuracy, AUROC nor ECE of this set")
    data = pd.concat([t.reset_index() for t in tables.values()], ignore_index=True)
    return Drawing(
        stem("forest", of),
        heading("Accuracy, AUROC and calibration by arm", of),
        _caption(material, of, arms),
        _figure(arms, tables),
        data[[*COLUMNS, *DIFFERENCES]],
    )


def _figure(arms: Sequence[Arm], tables: dict[str, pd.DataFrame]) -> Figure:
    values, others = rows_of(arms), [arm for arm in arms if arm.kind != "baseline"]
    differences = rows_of(others) if others else None
    second = TOP + values.height + 0.6
    figure = sheet(WIDE, second + (differences.height + 0.66 if differences else -0.3))
    first = names_width(arms)
    wide = (WIDE - first - 0.1 + GAP) / len(tables) - GAP
    for i, (name, table) in enumerate(tables.items()):
        left = first + i * (wide + GAP)
        shown = MEASURES[name]
        unit, points = (", %", ", points") if name in PERCENT else ("", "")
        write(figure, left, TOP - 0.22, f"{shown}{unit}", fontweight="bold")
        axes = place(figure, Box(left, TOP, wide, values.height))
        _values(axes, values, table)
        _numbers(axes, name)
        if differences:
            write(figure, left, second - 0.22, f"{shown}{points}", fontweight="bold")
            axes = place(figure, Box(left, second, wide, differences.height))
            _differences(axes, differences, table)
            _numbers(axes, name)
            _better(axes, low=name in DOWN)
    names(figure, values, first, TOP, "Value")
    if differences:
        names(figure, differences, first, second, "Minus baseline")
        _key(figure, first)
    return figure


def _values(axes: Axes, rows: Rows, table: pd.DataFrame) -> None:
    rows.frame(axes)
    for arm, y in zip(rows.arms, rows.at, strict=True):
        one = _of(table, arm, ["mean", "low", "high"])
        if arm.kind == "baseline" and np.isfinite(one[0]):
            axes.axvline(one[0], color=BASELINE.colour, linewidth=0.8, linestyle=HINT, zorder=1)
        _mark(axes, arm, y, one, filled=True)
    _widen(axes)


def _differences(axes: Axes, rows: Rows, table: pd.DataFrame) -> None:
    rows.frame(axes)
    axes.axvline(0, color=BASELINE.colour, linewidth=0.8, zorder=1)
    for arm, y in zip(rows.arms, rows.at, strict=True):
        one = _of(table, arm, ["diff", "diff_low", "diff_high"])
        shown = arm.id in table.index and table["verdict"][arm.id] in CLAIMS
        _mark(axes, arm, y, one, filled=shown)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -0.3 * high), max(high, -0.3 * low))  # both sides have their word
    _widen(axes)


def _numbers(axes: Axes, measure: str) -> None:
    """In percent what the tables have in percent."""
    if measure in PERCENT:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:g}".replace("-", "−")))


def _better(axes: Axes, *, low: bool) -> None:
    """Which side of zero is better."""
    left, right = ("better", "worse") if low else ("worse", "better")
    for text, x, side in ((f"← {left}", -4, "right"), (f"{right} →", 4, "left")):
        axes.annotate(
            text, (0, 0), xycoords=("data", "axes fraction"), xytext=(x, -13),
            textcoords="offset points", ha=side, va="top", color=GREY, fontsize=SMALL,
        )  # fmt: skip


def _of(table: pd.DataFrame, arm: Arm, names: list[str]) -> tuple[float, ...]:
    return tuple(float(table[name].get(arm.id, float("nan"))) for name in names)


def _mark(axes: Axes, arm: Arm, y: float, one: tuple[float, ...], *, filled: bool) -> None:
    value, low, high = one
    look = group(arm)
    if not np.isfinite(value):
        axes.text(
            0.5, y, "cannot be computed", transform=axes.get_yaxis_transform(), color=GREY,
            ha="center", va="center", fontsize=SMALL, fontstyle="italic",
        )  # fmt: skip
        return
    if np.isfinite([low, high]).all():
        axes.plot([low, high], [y, y], color=look.colour, linewidth=1.1, solid_capstyle="butt")
    axes.plot(
        value, y, look.mark, color=look.colour, markersize=4.2 if look.mark != "^" else 4.8,
        markerfacecolor=look.colour if filled else "white", markeredgewidth=0.9,
    )  # fmt: skip


def _widen(axes: Axes) -> None:
    """Room at both sides, so that no mark is cut."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    low, high = axes.get_xlim()
    room = 0.03 * (high - low)
    axes.set_xlim(low - room, high + room)


def _key(figure: Figure, left: float) -> None:
    """What filled and open marks mean, below the differences."""

    def mark(fill: str) -> Line2D:
        return Line2D(
            [], [], color=GREY, marker="o", markersize=4.2, markerfacecolor=fill, linewidth=1.1,
            markeredgewidth=0.9,
        )  # fmt: skip

    entries = [
        (mark(GREY), "a difference is shown"),
        (mark("white"), "none is shown"),
        (Line2D([], [], color=INK, linestyle=HINT, linewidth=0.9), "the baseline's value"),
    ]
    key(figure, left, figure.get_size_inches()[1] - 0.12, entries)


def _caption(material: Material, of: str, arms: Sequence[Arm]) -> str:
    units = [material.units(arm, of) for arm in arms]
    compared = sum(arm.kind != "baseline" for arm in arms)
    marks = ", ".join(
        f"{one.title} {word}"
        for one, word in zip(GROUPS, ("circle", "squares", "diamonds", "triangles"), strict=True)
        if one in {group(arm) for arm in arms}
    )
    values = "Values are means over trainings; bars" if max(map(len, units)) > 1 else "Bars"
    said = (
        "Accuracy, area under the ROC curve (AUROC) and expected calibration error (ECE, 15 bins) "
        f"on {material.images(of, arms)}, of {trainings(units)}. {values} are 95 % intervals. "
        f"Marks: {marks}. Higher is better for accuracy and AUROC, lower for ECE."
    )
    if compared:
        said += (
            " Differences are paired by seed and split. Filled marks: a difference is shown; open "
            "marks: none is, as the interval includes zero, the difference is gone once corrected "
            "for the number of arms, or there is but one training of each arm."
        )
    if compared > 1:
        said += (
            f" The intervals are not widened for the {compared} comparisons; what the marks say is "
            "corrected for them."
        )
    if max(map(len, units)) == 1:
        said += " With one training per arm the arms cannot be ranked."
    return said
