"""ROC curves of all arms (the paper's Figure 3)."""

from __future__ import annotations

from math import ceil, isnan

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from imil.study.arms import Arm
from imil.study.figures.caption_text import band, fewer, heading, mean_of, stem
from imil.study.figures.layout import WIDE, Box, key, place, sheet, title
from imil.study.figures.material import Lacking, Material
from imil.study.figures.roc_curve import MeanCurve, mean_curve
from imil.study.figures.style import (
    BAND,
    BASELINE,
    DASHED,
    GREY,
    HINT,
    INK,
    LINE,
    SMALL,
    Drawing,
    colours,
    group,
    shares,
)

LEFT, TOP, GAP = 0.42, 0.52, (0.2, 0.36)
Curves = dict[Arm, MeanCurve]


def draw(material: Material, of: str) -> Drawing:
    """ROC curves of the arms on a set: all together, then each beside the baseline's.

    Raises: Lacking: no training has images of every class.
    """
    found = {arm: mean_curve(material.predictions(arm, of)) for arm in material.arms_of(of)}
    curves = {arm: curve for arm, curve in found.items() if curve is not None}
    if not curves:
        raise Lacking("a ROC curve needs images of every class")
    figure = _figure(material, of, curves)
    return Drawing(
        stem("roc", of), heading("ROC curves", of), _caption(material, of, curves), figure,
        pd.concat([_table(arm, curve) for arm, curve in curves.items()], ignore_index=True),
    )  # fmt: skip


def _figure(material: Material, of: str, curves: Curves) -> Figure:
    beside = [arm for arm in curves if arm.kind != "baseline"]
    small = beside if len(beside) > 1 else []  # two arms need one panel
    large, boxes, size = _places(len(small))
    figure = sheet(*size)
    axes = place(figure, large)
    if small:
        title(figure, large, "All arms", INK)
        _together(axes, curves)
        _range(axes, [material.mean(arm, of, "auroc") for arm in curves])
    else:
        only = (beside or list(curves))[0]
        title(figure, large, only.title, group(only).colour)
        _cell(axes, only, curves[only], _base(material, of, only))
        _areas(axes, material, of, only, both=material.baseline is not None)
    axes.set_xlabel("false-positive rate (1 − specificity)")
    axes.set_ylabel("true-positive rate (sensitivity)")
    for i, (arm, box) in enumerate(zip(small, boxes, strict=True)):
        title(figure, box, arm.title, group(arm).colour)
        axes = place(figure, box)
        _cell(axes, arm, curves[arm], _base(material, of, arm))
        _areas(axes, material, of, arm, both=False)
        below = any(_above(box, other) for other in boxes[i + 1 :])
        axes.tick_params(labelleft=box.left == LEFT, labelbottom=not below)
    _key(figure, bool(beside))
    return figure


def _base(material: Material, of: str, arm: Arm) -> MeanCurve | None:
    """The baseline's curve over the seeds and splits that the arm has as well."""
    base = material.baseline
    if base is None or base == arm:
        return None
    units = material.units(arm, of)
    there = zip(material.units(base, of), material.predictions(base, of), strict=True)
    return mean_curve([one for unit, one in there if unit in units])


def _places(n: int) -> tuple[Box, list[Box], tuple[float, float]]:
    """A large box, n small ones beside and below it, and the figure's size, in inches."""
    if n == 0:
        return Box(LEFT, TOP, 3.0, 3.0), [], (LEFT + 3.1, TOP + 3.4)
    right = ceil(n / 2) if n <= 6 else min((2, 3), key=lambda r: (-(n - 2 * r) % (r + 2), r))
    count = right + 2
    side = (WIDE - LEFT - 0.1 + GAP[0]) / max(count, 4) - GAP[0]
    step = side + GAP[0], side + GAP[1]
    spots = [(row, col) for row in (0, 1) for col in range(2, count)]
    spots += [(2 + i // count, i % count) for i in range(max(0, n - len(spots)))]
    boxes = [Box(LEFT + c * step[0], TOP + r * step[1], side, side) for r, c in spots[:n]]
    rows = max(2, 1 + spots[n - 1][0])
    # where panels lie below the large one, its axis needs their place
    large = Box(LEFT, TOP, 2 * side + GAP[0] - 0.1, 2 * side + GAP[1] - 0.34 * (rows > 2))
    return large, boxes, (LEFT + count * step[0] - GAP[0] + 0.1, TOP + rows * step[1] + 0.04)


def _above(box: Box, other: Box) -> bool:
    return abs(box.left - other.left) < 0.01 and other.top > box.top


def _together(axes: Axes, curves: Curves) -> None:
    """Every curve in one panel, thin: how far they are apart at all."""
    _frame(axes)
    for arm, curve in curves.items():
        if arm.kind == "baseline":
            _baseline(axes, curve, linewidth=1.4)
        else:
            _line(axes, arm, curve, linewidth=0.8)


def _range(axes: Axes, areas: list[float]) -> None:
    known = [area for area in areas if not isnan(area)]
    if known:
        _note(axes, f"AUROC {min(known):.3f} to {max(known):.3f}", INK)


def _cell(axes: Axes, arm: Arm, curve: MeanCurve, base: MeanCurve | None) -> None:
    _frame(axes)
    colour = group(arm).colour
    if base is not None:
        _baseline(axes, base, linewidth=1.0)
    axes.fill_between(curve.fpr, curve.low, curve.high, color=colour, alpha=BAND, linewidth=0)
    _line(axes, arm, curve, linewidth=1.2)


def _line(axes: Axes, arm: Arm, curve: MeanCurve, *, linewidth: float) -> None:
    colour = group(arm).colour
    axes.plot(curve.fpr, curve.tpr, color=colour, linewidth=linewidth, clip_on=False)


def _baseline(axes: Axes, curve: MeanCurve, *, linewidth: float) -> None:
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


def _frame(axes: Axes) -> None:
    shares(axes)
    axes.plot([0, 1], [0, 1], color=LINE, linewidth=0.7, linestyle=HINT, zorder=1)


def _areas(axes: Axes, material: Material, of: str, arm: Arm, *, both: bool) -> None:
    said = [("AUROC", arm)]
    if both and material.baseline is not None and material.baseline != arm:
        said = [("baseline", material.baseline), *said]
    for i, (word, whose) in enumerate(said):
        area = material.mean(whose, of, "auroc")
        if not isnan(area):
            _note(axes, f"{word} {area:.3f}", group(whose).colour, line=i)


def _note(axes: Axes, text: str, colour: str, line: int = 0) -> None:
    y = 0.05 + 0.055 * line
    axes.text(0.98, y, text, ha="right", color=colour, fontsize=SMALL + 0.5)


def _key(figure: Figure, beside: bool) -> None:
    entries = [(Line2D([], [], color=BASELINE.colour, linestyle=DASHED, linewidth=1.2), "baseline")]
    if beside:
        arm = Line2D([], [], color=GREY, linewidth=1.3)
        entries.append((arm, "the arm named above"))
    entries.append((Line2D([], [], color=LINE, linestyle=HINT, linewidth=0.9), "chance"))
    key(figure, LEFT, 0.14, entries)


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


def _caption(material: Material, of: str, curves: Curves) -> str:
    units = [material.units(arm, of) for arm in curves]
    count = len(material.classes)
    what = (
        f"Positive is {material.classes[1]}."
        if count == 2
        else f"Curves are the mean of each of the {count} classes against the rest."
    )
    panels = "The baseline is dashed."
    if len(curves) > 2:
        banded = any(arm.kind == "baseline" and one.curves > 1 for arm, one in curves.items())
        tell = "groups, not arms, and its band is the baseline's" if banded else "groups, not arms"
        panels = (
            f"The large panel shows all arms together: its colours tell {tell}. Each small panel "
            "shows one arm beside the baseline (dashed)."
        )
    vertical = " at each false-positive rate" if max(map(len, units)) > 1 else ""
    bands = band(units)
    if vertical:
        bands += (
            " They show how trainings differ, not how uncertain a curve is because images are few."
        )
    where = material.images(of, list(curves))
    areas = "AUROC is the mean over trainings; its" if max(map(len, units)) > 1 else "The AUROC's"
    return (
        f"ROC curves on {where}: {mean_of(units)}{vertical}. {what} {bands} {panels}{fewer(units)} "
        f"{colours(curves)} {areas} intervals are in the table."
    )
