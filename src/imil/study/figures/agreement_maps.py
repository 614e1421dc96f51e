"""Which squares readers agree on: over all cases, and case by case."""

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
from imil.study.figures.case_readings import Read, film, readings, simulated
from imil.study.figures.film_pictures import height, scaled, show
from imil.study.figures.layout import WIDE, Box, fitted, place, sheet, write
from imil.study.figures.material import Lacking, Material
from imil.study.figures.style import GREY, IMIL, INK, SMALL, Drawing, quiet
from imil.study.phrases import count

MOST = 12  # cases shown one by one
ACROSS = 6
LEFT, TOP, LARGE, GAP = 0.1, 0.3, 2.1, 0.1  # inches
NUMBERED = 8  # columns of a grid; past that a number has no room
BLUES = LinearSegmentedColormap.from_list("share", ["#ffffff", "#9fcbe6", IMIL.colour, "#00395c"])


@dataclass(frozen=True, eq=False)
class Together:
    """A case that several readers answered with squares.

    Args:
        reads: one a reader.
        chosen: how many selected each square, (squares,).
    """

    reads: tuple[Read, ...]
    chosen: NDArray[np.int64]

    @property
    def share(self) -> NDArray[np.float64]:
        """The share of its readers that selected each square, (squares,)."""
        return self.chosen / len(self.reads)


def draw(material: Material) -> Drawing:
    """The share of readers that selected each square, and the agreement in it.

    Raises: Lacking: no case was answered with squares by two readers.
    """
    found = readings(material)
    if len({one.arm.reader for one in found}) < 2:
        raise Lacking("agreement needs two readers")
    cases, grid = _together(found)
    if not cases:
        raise Lacking("no case was answered with squares by two readers")
    share = np.mean([case.share for case in cases], axis=0).reshape(grid.rows, grid.cols)
    fits = material.kappa is not None and material.kappa.shape == share.shape
    kappa = material.kappa if fits else None
    return Drawing(
        "agreement",
        "Where readers agree",
        _caption(cases, fits, simulated(material, found)),
        _figure(cases, grid, share, kappa),
        _table(cases, grid, share, kappa),
    )


def _together(found: Sequence[Read]) -> tuple[list[Together], Grid]:
    """The cases that two or more readers answered with squares, on the grid of the first.

    Where all answers are those of another training, as where they are replayed, a case counts once.
    """
    focus = [one for one in found if one.reading.verdict == "focus"]
    grid = focus[0].case.grid if focus else Grid()
    by_case: dict[tuple[object, ...], list[Read]] = {}
    for one in focus:
        if one.case.grid == grid:
            name = (one.job.split, one.job.seed, one.round.epoch, one.case.key)
            by_case.setdefault(name, []).append(one)
    distinct: dict[object, list[Read]] = {}
    for reads in by_case.values():
        said = frozenset((one.arm.reader, one.reading.squares) for one in reads)
        distinct.setdefault((reads[0].case.key, said), reads)
    cases = []
    for reads in distinct.values():
        if len(reads) > 1:
            chosen = np.zeros(grid.squares, np.int64)
            for one in reads:
                chosen[np.asarray(one.reading.squares) - 1] += 1
            cases.append(Together(tuple(reads), chosen))
    return cases, grid


def _figure(
    cases: Sequence[Together],
    grid: Grid,
    share: NDArray[np.float64],
    kappa: NDArray[np.float64] | None,
) -> Figure:
    small = (WIDE - 2 * LEFT + GAP) / ACROSS - GAP
    shown = cases[:MOST]
    pictures = [scaled(film(case.reads[0]), small) for case in shown]
    lines = [range(i, min(i + ACROSS, len(shown))) for i in range(0, len(shown), ACROSS)]
    talls = [max(height(pictures[i], small) for i in line) for line in lines]
    below = TOP + LARGE + 0.5
    figure = sheet(WIDE, below + sum(talls) + 0.2 * len(lines) + 0.06)
    _grid(figure, Box(LEFT, TOP, LARGE, LARGE), "Share of readers, all cases", share, percent=True)
    if kappa is not None:
        box = Box(LEFT + LARGE + 0.35, TOP, LARGE, LARGE)
        _grid(figure, box, "Agreement beyond chance (κ)", kappa, percent=False)
    write(figure, LEFT, below - 0.26, "Readers that selected the square, case by case",
          fontweight="bold")  # fmt: skip
    top = below
    for line, tall in zip(lines, talls, strict=True):
        for i in line:
            left = LEFT + (i % ACROSS) * (small + GAP)
            box = Box(left, top, small, height(pictures[i], small))
            _case(show(figure, box, pictures[i]), shown[i], grid, pictures[i].shape[:2])
            case = shown[i].reads[0].case
            words = fitted(
                f"{case.true_name}, {len(shown[i].reads)} readers", small, size=SMALL, most=1
            )
            write(figure, left, top + box.height + 0.03, words, fontsize=SMALL, color=GREY)
        top += tall + 0.2
    return figure


def _grid(
    figure: Figure, box: Box, heading: str, values: NDArray[np.float64], *, percent: bool
) -> None:
    """A grid coloured from white (0 or less) to dark blue (1), with its numbers."""
    write(figure, box.left, box.top - 0.2, heading, fontweight="bold")
    axes = place(figure, box)
    axes.imshow(values, cmap=BLUES, vmin=0, vmax=1, aspect="auto")
    quiet(axes)
    rows, cols = values.shape
    for edge in range(rows + 1):
        axes.axhline(edge - 0.5, color="0.8", linewidth=0.6, clip_on=False)
    for edge in range(cols + 1):
        axes.axvline(edge - 0.5, color="0.8", linewidth=0.6, clip_on=False)
    if max(rows, cols) > NUMBERED:
        return
    for (row, col), value in np.ndenumerate(values):
        text = f"{100 * value:.0f} %" if percent else f"{value:.2f}".replace("-", "−")
        dark = np.isfinite(value) and value > 0.5
        axes.text(
            col, row, text if np.isfinite(value) else "–", ha="center", va="center",
            color="white" if dark else INK, fontsize=SMALL + 1,
        )  # fmt: skip


def _case(axes: Axes, case: Together, grid: Grid, size: tuple[int, ...]) -> None:
    """The film with its squares in blue, the stronger the more readers selected them."""
    tall, wide = size
    for square, (votes, share) in enumerate(zip(case.chosen, case.share, strict=True), 1):
        top, left, bottom, right = grid.box(square, tall, wide)
        axes.fill_between(
            [left - 0.5, right - 0.5], top - 0.5, bottom - 0.5, facecolor="#3fb4f0",
            alpha=0.5 * float(share), linewidth=0,
        )  # fmt: skip
        if votes and max(grid.rows, grid.cols) <= NUMBERED:
            axes.text(
                (left + right) / 2, (top + bottom) / 2, f"{votes}", ha="center", va="center",
                color="white", fontsize=SMALL, fontweight="bold",
                path_effects=[withStroke(linewidth=1.4, foreground="#0c0c0e")],
            )  # fmt: skip
    axes.set_xlim(-0.5, wide - 0.5)
    axes.set_ylim(tall - 0.5, -0.5)


def _table(
    cases: Sequence[Together],
    grid: Grid,
    share: NDArray[np.float64],
    kappa: NDArray[np.float64] | None,
) -> pd.DataFrame:
    """One row a square over all cases (`case` empty), then one a square and case."""
    values = kappa.ravel() if kappa is not None else [float("nan")] * grid.squares
    squares = range(1, grid.squares + 1)
    rows: list[dict[str, object]] = [
        {"seed": "", "split": "", "key": "", "readers": "", "square": square, "selected": "",
         "share": one, "kappa": value}
        for square, one, value in zip(squares, share.ravel(), values, strict=True)
    ]  # fmt: skip
    for case in cases:
        first = case.reads[0]
        rows += [
            {"seed": first.job.seed, "split": first.job.split, "key": first.case.key,
             "readers": len(case.reads), "square": square, "selected": int(votes),
             "share": float(one), "kappa": float("nan")}
            for square, votes, one in zip(squares, case.chosen, case.share, strict=True)
        ]  # fmt: skip
    return pd.DataFrame(rows)


def _caption(cases: Sequence[Together], kappa: bool, simulated: str) -> str:
    readers = {one.arm.reader for case in cases for one in case.reads}
    films = {one.case.key for case in cases for one in case.reads}
    units = {one.job.unit for case in cases for one in case.reads}
    over = f" in {count(len(units), 'training')}" if len(units) > 1 else ""
    right = (
        "Right: Fleiss's kappa in each square, over the cases that every reader answered with "
        "squares: 1 is full agreement, 0 what chance would give, – that it cannot be computed. "
        if kappa
        else ""
    )
    first = f"the first {MOST} cases" if len(cases) > MOST else "the cases"
    return (
        f"Squares selected by {len(readers)} readers in {count(len(cases), 'case')} "
        f"({count(len(films), 'image')}{over}) that at least two of them answered with squares; "
        "answers that are the same in several trainings count once."
        f"{simulated} Left: the share of a case's readers that selected the square, the mean over "
        f"cases. {right}Below: {first}, with how many readers selected each square."
    )
