"""ROC curves of all arms (the paper's Figure 3)."""

from __future__ import annotations

from math import ceil, isnan

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D

from imil.study.arms import Arm
from imil.study.figures.caption_text import (
    band_sentence,
    fewer_trainings_sentence,
    figure_title,
    file_stem,
    mean_of_trainings,
)
from imil.study.figures.figure_inputs import FigureInputs, MissingData
from imil.study.figures.panel_layout import (
    PAGE_WIDTH,
    add_legend,
    make_square,
    plot_figure,
    set_title,
)
from imil.study.figures.roc_curve import MeanCurve, mean_curve
from imil.study.figures.style import (
    BAND,
    BASELINE,
    DASHED,
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

SINGLE = 3.4  # inches: the width of a figure of one panel
MIN_COLUMNS = 4  # fewer columns do not grow to fill the page
Curves = dict[Arm, MeanCurve]
Place = tuple[int, int]  # row, column


def draw(inputs: FigureInputs, set_name: str) -> Drawing:
    """ROC curves of the arms on a set: all in one panel, then each beside the baseline's.

    Raises: MissingData: no training has images of every class.
    """
    means = {arm: mean_curve(inputs.predictions(arm, set_name)) for arm in inputs.arms_of(set_name)}
    curves = {arm: curve for arm, curve in means.items() if curve is not None}
    if not curves:
        raise MissingData("a ROC curve needs images of every class")
    return Drawing(
        file_stem("roc", set_name),
        figure_title("ROC curves", set_name),
        _caption(inputs, set_name, curves),
        _figure(inputs, set_name, curves),
        pd.concat([_table(arm, curve) for arm, curve in curves.items()], ignore_index=True),
    )


def _figure(inputs: FigureInputs, set_name: str, curves: Curves) -> Figure:
    others = [arm for arm in curves if arm.kind != "baseline"]
    if len(others) > 1:
        figure, square = _several_panels(inputs, set_name, curves, others)
    else:
        figure, square = _one_panel(inputs, set_name, curves, (others or list(curves))[0])
    add_legend(figure, _legend_entries(arm=bool(others)), "outside upper left")
    make_square(figure, square)
    return figure


def _one_panel(
    inputs: FigureInputs, set_name: str, curves: Curves, arm: Arm
) -> tuple[Figure, Axes]:
    figure = plot_figure(SINGLE, SINGLE)
    axes = figure.add_subplot()
    set_title(axes, arm.title, SINGLE - 0.6, group(arm).colour)
    _draw_arm(axes, arm, curves[arm], _baseline(inputs, set_name, arm))
    _print_areas(axes, inputs, set_name, arm, baseline=inputs.baseline is not None)
    _label_axes(axes)
    return figure, axes


def _several_panels(
    inputs: FigureInputs, set_name: str, curves: Curves, arms: list[Arm]
) -> tuple[Figure, Axes]:
    """A large panel of two rows and columns with all arms, and a small one for each arm."""
    places, columns = _places(len(arms))
    rows = max(2, 1 + places[-1][0])
    width = PAGE_WIDTH * min(1.0, columns / MIN_COLUMNS)
    figure = plot_figure(width, width * rows / columns)
    grid = GridSpec(rows, columns, figure=figure)
    large = figure.add_subplot(grid[:2, :2])
    set_title(large, "All arms", 2.0, INK)
    _draw_all_arms(large, curves)
    _print_range(large, [inputs.mean(arm, set_name, "auroc") for arm in curves])
    _label_axes(large)
    small = large
    for arm, (row, column) in zip(arms, places, strict=True):
        small = figure.add_subplot(grid[row, column])
        set_title(small, arm.title, width / columns - 0.25, group(arm).colour)
        _draw_arm(small, arm, curves[arm], _baseline(inputs, set_name, arm))
        _print_areas(small, inputs, set_name, arm, baseline=False)
        below = any(r > row and c == column for r, c in places)
        small.tick_params(labelleft=column == 0, labelbottom=not below)
    return figure, small


def _places(n: int) -> tuple[list[Place], int]:
    """Places for n small panels beside and below a large one of 2 × 2; number of columns."""
    right = ceil(n / 2) if n <= 6 else min((2, 3), key=lambda r: (-(n - 2 * r) % (r + 2), r))
    columns = right + 2
    places = [(row, column) for row in (0, 1) for column in range(2, columns)]
    places += [(2 + i // columns, i % columns) for i in range(max(0, n - len(places)))]
    return places[:n], columns


def _baseline(inputs: FigureInputs, set_name: str, arm: Arm) -> MeanCurve | None:
    """The baseline's curve over the seeds and splits that the arm has as well."""
    baseline = inputs.baseline
    if baseline is None or baseline == arm:
        return None
    units = inputs.units(arm, set_name)
    pairs = zip(
        inputs.units(baseline, set_name), inputs.predictions(baseline, set_name), strict=True
    )
    return mean_curve([predictions for unit, predictions in pairs if unit in units])


def _label_axes(axes: Axes) -> None:
    axes.set_xlabel("false-positive rate (1 − specificity)")
    axes.set_ylabel("true-positive rate (sensitivity)")


def _draw_all_arms(axes: Axes, curves: Curves) -> None:
    """Every curve in one panel, thin."""
    _set_up(axes)
    for arm, curve in curves.items():
        if arm.kind == "baseline":
            _draw_baseline(axes, curve, linewidth=1.4)
        else:
            _draw_curve(axes, arm, curve, linewidth=0.8)


def _draw_arm(axes: Axes, arm: Arm, curve: MeanCurve, baseline: MeanCurve | None) -> None:
    _set_up(axes)
    colour = group(arm).colour
    if baseline is not None:
        _draw_baseline(axes, baseline, linewidth=1.0)
    axes.fill_between(curve.fpr, curve.low, curve.high, color=colour, alpha=BAND, linewidth=0)
    _draw_curve(axes, arm, curve, linewidth=1.2)


def _set_up(axes: Axes) -> None:
    unit_axes(axes)
    axes.plot([0, 1], [0, 1], color=LINE, linewidth=0.7, linestyle=DOTTED, zorder=1)


def _draw_curve(axes: Axes, arm: Arm, curve: MeanCurve, *, linewidth: float) -> None:
    colour = group(arm).colour
    axes.plot(curve.fpr, curve.tpr, color=colour, linewidth=linewidth, clip_on=False)


def _draw_baseline(axes: Axes, curve: MeanCurve, *, linewidth: float) -> None:
    axes.fill_between(curve.fpr, curve.low, curve.high, color=LINE, alpha=BAND, linewidth=0)
    axes.plot(
        curve.fpr,
        curve.tpr,
        color=BASELINE.colour,
        linewidth=linewidth,
        linestyle=DASHED,
        zorder=3,
        clip_on=False,
    )


def _print_range(axes: Axes, areas: list[float]) -> None:
    known = [area for area in areas if not isnan(area)]
    if known:
        _print(axes, f"AUROC {min(known):.3f} to {max(known):.3f}", INK)


def _print_areas(
    axes: Axes, inputs: FigureInputs, set_name: str, arm: Arm, *, baseline: bool
) -> None:
    lines = [("AUROC", arm)]
    if baseline and inputs.baseline is not None and inputs.baseline != arm:
        lines = [("baseline", inputs.baseline), *lines]
    for i, (name, line_arm) in enumerate(lines):
        area = inputs.mean(line_arm, set_name, "auroc")
        if not isnan(area):
            _print(axes, f"{name} {area:.3f}", group(line_arm).colour, line=i)


def _print(axes: Axes, text: str, colour: str, line: int = 0) -> None:
    y = 0.05 + 0.055 * line
    axes.text(0.98, y, text, ha="right", color=colour, fontsize=SMALL + 0.5)


def _legend_entries(*, arm: bool) -> list[tuple[Line2D, str]]:
    entries = [(Line2D([], [], color=BASELINE.colour, linestyle=DASHED, linewidth=1.2), "baseline")]
    if arm:
        entries.append((Line2D([], [], color=GREY, linewidth=1.3), "the arm named above"))
    return [*entries, (Line2D([], [], color=LINE, linestyle=DOTTED, linewidth=0.9), "chance")]


def _table(arm: Arm, curve: MeanCurve) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "arm": arm.id,
            "title": arm.title,
            "false_positive_rate": curve.fpr,
            "true_positive_rate": curve.tpr,
            "lowest": curve.low,
            "highest": curve.high,
            "trainings": curve.curves,
        }
    )


def _caption(inputs: FigureInputs, set_name: str, curves: Curves) -> str:
    units = [inputs.units(arm, set_name) for arm in curves]
    several = max(map(len, units)) > 1
    classes = len(inputs.classes)
    positive = (
        f"The positive class is {inputs.classes[1]}."
        if classes == 2
        else f"Curves are the mean of each of the {classes} classes against the rest."
    )
    vertical = " at each false-positive rate" if several else ""
    bands = band_sentence(units)
    if several:
        bands += " They show the variation between trainings, not the sampling error of the images."
    mean = "AUROC is the mean over trainings; its" if several else "The AUROC's"
    return (
        f"ROC curves on {inputs.images(set_name, list(curves))}: {mean_of_trainings(units)}"
        f"{vertical}. {positive} {bands} {_panels_sentence(curves)}"
        f"{fewer_trainings_sentence(units)} {colour_sentence(curves)} {mean} intervals are in the "
        "table."
    )


def _panels_sentence(curves: Curves) -> str:
    if len(curves) <= 2:
        return "The baseline is dashed."
    has_band = any(arm.kind == "baseline" and curve.curves > 1 for arm, curve in curves.items())
    band = ", and its band is the baseline's" if has_band else ""
    return (
        "The large panel shows all arms together: its colours distinguish groups, not arms"
        f"{band}. Each small panel shows one arm beside the baseline (dashed)."
    )
