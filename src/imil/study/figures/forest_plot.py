"""Forest plot: accuracy, AUROC and calibration error by arm, values and differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from imil.study.arms import Arm
from imil.study.figures.arm_rows import ArmRows, arm_rows
from imil.study.figures.caption_text import figure_title, file_stem, trainings
from imil.study.figures.figure_inputs import FigureInputs, MissingData
from imil.study.figures.panel_layout import PAGE_WIDTH, add_legend, plot_figure
from imil.study.figures.style import (
    BASELINE,
    DOTTED,
    GREY,
    GROUPS,
    INK,
    SMALL,
    Drawing,
    group,
)
from imil.study.statistics.verdict import CLAIMS

MEASURES = {"accuracy": "Accuracy", "auroc": "AUROC", "ece": "Calibration error (ECE)"}
LOWER_IS_BETTER = ("ece",)
PERCENT = ("accuracy",)
COLUMNS = ["arm", "title", "measure", "n", "units", "mean", "low", "high"]
DIFFERENCES = ["diff", "diff_low", "diff_high", "p", "verdict"]
MARKERS = ("circle", "squares", "diamonds", "triangles")  # of `GROUPS`


def draw(inputs: FigureInputs, set_name: str) -> Drawing:
    """Each arm's accuracy, AUROC and ECE on a set, and their difference from the baseline.

    Raises: MissingData: the results table has none of them.
    """
    tables = {name: inputs.rows(set_name, name) for name in MEASURES}
    arms = [
        arm
        for arm in inputs.arms_of(set_name)
        if any(arm.id in table.index for table in tables.values())
    ]
    if not arms:
        raise MissingData("the results table has neither accuracy, AUROC nor ECE of this set")
    data = pd.concat([table.reset_index() for table in tables.values()], ignore_index=True)
    return Drawing(
        file_stem("forest", set_name),
        figure_title("Accuracy, AUROC and calibration by arm", set_name),
        _caption(inputs, set_name, arms),
        _figure(arms, tables),
        data[[*COLUMNS, *DIFFERENCES]],
    )


def _figure(arms: Sequence[Arm], tables: dict[str, pd.DataFrame]) -> Figure:
    blocks = [arm_rows(arms)]
    if others := [arm for arm in arms if arm.kind != "baseline"]:
        blocks.append(arm_rows(others))
    figure = plot_figure(PAGE_WIDTH, 0.2 + sum(rows.height + 0.55 for rows in blocks), hspace=0.06)
    heights = [rows.height for rows in blocks]
    grid = GridSpec(len(blocks), len(tables), figure=figure, height_ratios=heights)
    for column, (measure, table) in enumerate(tables.items()):
        unit, points = (", %", ", points") if measure in PERCENT else ("", "")
        axes = figure.add_subplot(grid[0, column])
        blocks[0].set_up(axes, names=column == 0, heading="Value")
        _title(axes, f"{MEASURES[measure]}{unit}")
        _draw_values(axes, blocks[0], table)
        _format_ticks(axes, measure)
        if len(blocks) > 1:
            axes = figure.add_subplot(grid[1, column])
            blocks[1].set_up(axes, names=column == 0, heading="Minus baseline")
            _title(axes, f"{MEASURES[measure]}{points}")
            _draw_differences(axes, blocks[1], table)
            _format_ticks(axes, measure)
            _label_sides(axes, lower_is_better=measure in LOWER_IS_BETTER)
    if len(blocks) > 1:
        add_legend(figure, _legend_entries(), "outside lower left")
    return figure


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=7, fontweight="bold", pad=3)


def _draw_values(axes: Axes, rows: ArmRows, table: pd.DataFrame) -> None:
    for arm, y in zip(rows.arms, rows.positions, strict=True):
        estimate = _numbers(table, arm, ["mean", "low", "high"])
        if arm.kind == "baseline" and np.isfinite(estimate[0]):
            axes.axvline(
                estimate[0], color=BASELINE.colour, linewidth=0.8, linestyle=DOTTED, zorder=1
            )
        _draw_estimate(axes, arm, y, estimate, filled=True)
    _widen(axes)


def _draw_differences(axes: Axes, rows: ArmRows, table: pd.DataFrame) -> None:
    axes.axvline(0, color=BASELINE.colour, linewidth=0.8, zorder=1)
    for arm, y in zip(rows.arms, rows.positions, strict=True):
        estimate = _numbers(table, arm, ["diff", "diff_low", "diff_high"])
        shown = arm.id in table.index and table["verdict"][arm.id] in CLAIMS
        _draw_estimate(axes, arm, y, estimate, filled=shown)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -0.3 * high), max(high, -0.3 * low))  # room for a label on both sides
    _widen(axes)


def _format_ticks(axes: Axes, measure: str) -> None:
    """Percent where the tables have percent."""
    if measure in PERCENT:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:g}".replace("-", "−")))


def _label_sides(axes: Axes, *, lower_is_better: bool) -> None:
    """Which side of zero is better."""
    left, right = ("better", "worse") if lower_is_better else ("worse", "better")
    for text, x, side in ((f"← {left}", -4, "right"), (f"{right} →", 4, "left")):
        axes.annotate(
            text, (0, 0), xycoords=("data", "axes fraction"), xytext=(x, -13),
            textcoords="offset points", ha=side, va="top", color=GREY, fontsize=SMALL,
        )  # fmt: skip


def _numbers(table: pd.DataFrame, arm: Arm, names: list[str]) -> tuple[float, ...]:
    return tuple(float(table[name].get(arm.id, float("nan"))) for name in names)


def _draw_estimate(
    axes: Axes, arm: Arm, y: float, estimate: tuple[float, ...], *, filled: bool
) -> None:
    value, low, high = estimate
    style = group(arm)
    if not np.isfinite(value):
        axes.text(
            0.5, y, "cannot be computed", transform=axes.get_yaxis_transform(), color=GREY,
            ha="center", va="center", fontsize=SMALL, fontstyle="italic",
        )  # fmt: skip
        return
    if np.isfinite([low, high]).all():
        axes.plot([low, high], [y, y], color=style.colour, linewidth=1.1, solid_capstyle="butt")
    axes.plot(
        value, y, style.marker, color=style.colour, markeredgewidth=0.9,
        markersize=4.2 if style.marker != "^" else 4.8,
        markerfacecolor=style.colour if filled else "white",
    )  # fmt: skip


def _widen(axes: Axes) -> None:
    """Room at both sides, so that no marker is cut."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    low, high = axes.get_xlim()
    room = 0.03 * (high - low)
    axes.set_xlim(low - room, high + room)


def _legend_entries() -> list[tuple[Line2D, str]]:
    def marker(fill: str) -> Line2D:
        return Line2D(
            [], [], color=GREY, marker="o", markersize=4.2, markerfacecolor=fill, linewidth=1.1,
            markeredgewidth=0.9,
        )  # fmt: skip

    return [
        (marker(GREY), "a difference is shown"),
        (marker("white"), "no difference is shown"),
        (Line2D([], [], color=INK, linestyle=DOTTED, linewidth=0.9), "the baseline's value"),
    ]


def _caption(inputs: FigureInputs, set_name: str, arms: Sequence[Arm]) -> str:
    units = [inputs.units(arm, set_name) for arm in arms]
    compared = sum(arm.kind != "baseline" for arm in arms)
    groups = {group(arm) for arm in arms}
    markers = ", ".join(
        f"{one.title} {marker}"
        for one, marker in zip(GROUPS, MARKERS, strict=True)
        if one in groups
    )
    values = "Values are means over trainings; bars" if max(map(len, units)) > 1 else "Bars"
    caption = (
        "Accuracy, area under the ROC curve (AUROC) and expected calibration error (ECE, 15 bins) "
        f"on {inputs.images(set_name, arms)}, of {trainings(units)}. {values} are 95 % confidence "
        f"intervals. Markers: {markers}. Higher is better for accuracy and AUROC, lower for ECE."
    )
    if compared:
        caption += (
            " Differences are paired by seed and split. Filled markers: a difference is shown; "
            "open markers: none is, as the interval includes zero, the difference is not "
            "significant after correction for the number of arms, or there is only one training "
            "per arm."
        )
    if compared > 1:
        caption += (
            f" The intervals are not adjusted for the {compared} comparisons; the filling of the "
            "markers is."
        )
    if max(map(len, units)) == 1:
        caption += " With one training per arm the arms cannot be ranked."
    return caption
