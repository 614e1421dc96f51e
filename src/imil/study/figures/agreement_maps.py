"""Agreement of readers on squares: over all cases, and case by case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from imil.grid import Grid
from imil.study.figures.case_readings import (
    CaseReading,
    case_image,
    case_readings,
    simulated_sentence,
)
from imil.study.figures.figure_inputs import FigureInputs, MissingData
from imil.study.figures.image_layout import Box, add_axes, add_text, fixed_figure
from imil.study.figures.image_panels import HALO, panel_height, print_size, show_image
from imil.study.figures.panel_layout import PAGE_WIDTH
from imil.study.figures.style import GREY, IMIL, INK, SMALL, Drawing, hide_axes
from imil.study.figures.text_fit import fit_text
from imil.study.phrases import count

MAX_CASES = 12  # shown individually
COLUMNS = 6
LEFT, TOP, LARGE, GAP = 0.1, 0.3, 2.1, 0.1  # inches
MAX_NUMBERED = 8  # columns of a grid; with more, numbers do not fit
BLUES = LinearSegmentedColormap.from_list("share", ["#ffffff", "#9fcbe6", IMIL.colour, "#00395c"])


@dataclass(frozen=True, eq=False)
class SharedCase:
    """A case in which several readers selected squares.

    Args:
        readings: one per reader.
        counts: how many readers selected each square, (squares,).
    """

    readings: tuple[CaseReading, ...]
    counts: NDArray[np.int64]

    @property
    def share(self) -> NDArray[np.float64]:
        """The share of its readers who selected each square, (squares,)."""
        return self.counts / len(self.readings)


def draw(inputs: FigureInputs) -> Drawing:
    """The share of readers who selected each square, and their agreement in it.

    Raises: MissingData: in no case two readers selected squares.
    """
    readings = case_readings(inputs)
    if len({one.arm.reader for one in readings}) < 2:
        raise MissingData("agreement needs two readers")
    cases, grid = _shared_cases(readings)
    if not cases:
        raise MissingData("in no case two readers selected squares")
    share = np.mean([case.share for case in cases], axis=0).reshape(grid.rows, grid.cols)
    fits = inputs.kappa is not None and inputs.kappa.shape == share.shape
    kappa = inputs.kappa if fits else None
    return Drawing(
        "agreement",
        "Where readers agree",
        _caption(cases, fits, simulated_sentence(inputs, readings)),
        _figure(cases, grid, share, kappa),
        _table(cases, grid, share, kappa),
    )


def _shared_cases(readings: Sequence[CaseReading]) -> tuple[list[SharedCase], Grid]:
    """The cases in which two or more readers selected squares, on the grid of the first.

    A case with the same readings in several trainings, as in a replay, counts once.
    """
    focus = [one for one in readings if one.reading.squares]
    grid = focus[0].case.grid if focus else Grid()
    by_case: dict[tuple[object, ...], list[CaseReading]] = {}
    for one in focus:
        if one.case.grid == grid:
            case_id = (one.job.split, one.job.seed, one.round.epoch, one.case.key)
            by_case.setdefault(case_id, []).append(one)
    distinct: dict[object, list[CaseReading]] = {}
    for of_case in by_case.values():
        answers = frozenset((one.arm.reader, one.reading.squares) for one in of_case)
        distinct.setdefault((of_case[0].case.key, answers), of_case)
    cases = []
    for of_case in distinct.values():
        if len(of_case) > 1:
            counts = np.zeros(grid.squares, np.int64)
            for one in of_case:
                counts[np.asarray(one.reading.squares) - 1] += 1
            cases.append(SharedCase(tuple(of_case), counts))
    return cases, grid


def _figure(
    cases: Sequence[SharedCase],
    grid: Grid,
    share: NDArray[np.float64],
    kappa: NDArray[np.float64] | None,
) -> Figure:
    small = (PAGE_WIDTH - 2 * LEFT + GAP) / COLUMNS - GAP
    shown = cases[:MAX_CASES]
    pictures = [print_size(case_image(case.readings[0]), small) for case in shown]
    rows = [range(i, min(i + COLUMNS, len(shown))) for i in range(0, len(shown), COLUMNS)]
    heights = [max(panel_height(pictures[i], small) for i in row) for row in rows]
    below = TOP + LARGE + 0.5
    figure = fixed_figure(PAGE_WIDTH, below + sum(heights) + 0.2 * len(rows) + 0.06)
    _draw_grid(
        figure, Box(LEFT, TOP, LARGE, LARGE), "Share of readers, all cases", share, percent=True
    )
    if kappa is not None:
        box = Box(LEFT + LARGE + 0.35, TOP, LARGE, LARGE)
        _draw_grid(figure, box, "Agreement beyond chance (κ)", kappa, percent=False)
    add_text(figure, LEFT, below - 0.26, "Number of readers who selected the square, by case",
          fontweight="bold")  # fmt: skip
    top = below
    for row, height in zip(rows, heights, strict=True):
        for i in row:
            left = LEFT + (i % COLUMNS) * (small + GAP)
            box = Box(left, top, small, panel_height(pictures[i], small))
            _draw_case(show_image(figure, box, pictures[i]), shown[i], grid, pictures[i].shape[:2])
            case = shown[i].readings[0].case
            text = fit_text(
                f"{case.true_name}, {len(shown[i].readings)} readers",
                small,
                size=SMALL,
                max_lines=1,
            )
            add_text(figure, left, top + box.height + 0.03, text, fontsize=SMALL, color=GREY)
        top += height + 0.2
    return figure


def _draw_grid(
    figure: Figure, box: Box, heading: str, values: NDArray[np.float64], *, percent: bool
) -> None:
    """A grid coloured from white (0 or less) to dark blue (1), with its values."""
    add_text(figure, box.left, box.top - 0.2, heading, fontweight="bold")
    axes = add_axes(figure, box)
    axes.imshow(values, cmap=BLUES, vmin=0, vmax=1, aspect="auto")
    hide_axes(axes)
    rows, cols = values.shape
    for edge in range(rows + 1):
        axes.axhline(edge - 0.5, color="0.8", linewidth=0.6, clip_on=False)
    for edge in range(cols + 1):
        axes.axvline(edge - 0.5, color="0.8", linewidth=0.6, clip_on=False)
    if max(rows, cols) > MAX_NUMBERED:
        return
    for (row, col), value in np.ndenumerate(values):
        text = f"{100 * value:.0f} %" if percent else f"{value:.2f}".replace("-", "−")
        dark = np.isfinite(value) and value > 0.5
        axes.text(
            col, row, text if np.isfinite(value) else "–", ha="center", va="center",
            color="white" if dark else INK, fontsize=SMALL + 1,
        )  # fmt: skip


def _draw_case(axes: Axes, case: SharedCase, grid: Grid, size: tuple[int, ...]) -> None:
    """The image with its squares in blue, the stronger the more readers selected them."""
    tall, wide = size
    for square, (votes, share) in enumerate(zip(case.counts, case.share, strict=True), 1):
        top, left, bottom, right = grid.box(square, tall, wide)
        axes.fill_between(
            [left - 0.5, right - 0.5], top - 0.5, bottom - 0.5, facecolor="#3fb4f0",
            alpha=0.5 * float(share), linewidth=0,
        )  # fmt: skip
        if votes and max(grid.rows, grid.cols) <= MAX_NUMBERED:
            axes.text(
                (left + right) / 2, (top + bottom) / 2, f"{votes}", ha="center", va="center",
                color="white", fontsize=SMALL, fontweight="bold",
                path_effects=[withStroke(linewidth=1.4, foreground=HALO)],
            )  # fmt: skip
    axes.set_xlim(-0.5, wide - 0.5)
    axes.set_ylim(tall - 0.5, -0.5)


def _table(
    cases: Sequence[SharedCase],
    grid: Grid,
    share: NDArray[np.float64],
    kappa: NDArray[np.float64] | None,
) -> pd.DataFrame:
    """A row per square over all cases (`key` empty), then one per square and case."""
    values = kappa.ravel() if kappa is not None else [float("nan")] * grid.squares
    squares = range(1, grid.squares + 1)
    rows: list[dict[str, object]] = [
        {"seed": "", "split": "", "key": "", "readers": "", "square": square, "selected": "",
         "share": one, "kappa": value}
        for square, one, value in zip(squares, share.ravel(), values, strict=True)
    ]  # fmt: skip
    for case in cases:
        first = case.readings[0]
        rows += [
            {"seed": first.job.seed, "split": first.job.split, "key": first.case.key,
             "readers": len(case.readings), "square": square, "selected": int(votes),
             "share": float(one), "kappa": float("nan")}
            for square, votes, one in zip(squares, case.counts, case.share, strict=True)
        ]  # fmt: skip
    return pd.DataFrame(rows)


def _caption(cases: Sequence[SharedCase], kappa: bool, simulated: str) -> str:
    readers = {one.arm.reader for case in cases for one in case.readings}
    images = {one.case.key for case in cases for one in case.readings}
    units = {one.job.unit for case in cases for one in case.readings}
    over = f" in {count(len(units), 'training')}" if len(units) > 1 else ""
    right = (
        "Right: Fleiss's kappa of each square, over the cases in which every reader selected "
        "squares: 1 is full agreement, 0 is chance, – is undefined. "
        if kappa
        else ""
    )
    first = f"the first {MAX_CASES} cases" if len(cases) > MAX_CASES else "the cases"
    return (
        f"Squares selected by {len(readers)} readers in {count(len(cases), 'case')} "
        f"({count(len(images), 'image')}{over}) in which at least two of them selected squares; "
        "readings that are the same in several trainings count once."
        f"{simulated} Left: the share of a case's readers who selected the square, mean over "
        f"cases. {right}Below: {first}, with the number of readers who selected each square."
    )
