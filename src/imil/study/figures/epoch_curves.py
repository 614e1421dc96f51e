"""Training around the round: loss and accuracy by epoch, each arm beside the baseline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from imil.errors import DataError
from imil.study.arms import Arm
from imil.study.figures.caption_text import band, fewer, mean_of
from imil.study.figures.layout import WIDE, Box, cells, key, place, sheet, title, write
from imil.study.figures.material import Lacking, Material
from imil.study.figures.style import (
    BAND,
    BASELINE,
    DASHED,
    FAINT,
    GREY,
    INK,
    LINE,
    SMALL,
    Drawing,
    colours,
    group,
)
from imil.study.study_folder import Job

WHAT = ("loss", "accuracy")
LEFT, TOP, GAP = 0.46, 0.52, (0.18, 0.36)
HALF, BETWEEN = 0.8, 0.12  # inches: the height of each of a cell's two panels, and between them
Limits = dict[str, tuple[float, float]]


def draw(material: Material) -> Drawing:
    """Training loss and accuracy of the arms, epoch by epoch, with the rounds marked.

    Raises: Lacking: no training has written its history.
    """
    found = {arm: _curve(material.jobs(arm)) for arm in material.arms}
    rounds = _rounds(material)
    data = [table.assign(arm=arm.id, title=arm.title) for arm, table in found.items()]
    return Drawing(
        "curves",
        "Training around the round" if rounds else "Training",
        _caption(material, rounds),
        _figure(found, {arm: _baseline(material, arm) for arm in found}, rounds),
        pd.concat(data, ignore_index=True)[["arm", "title", *data[0].columns[:-2]]],
    )


def _baseline(material: Material, arm: Arm) -> pd.DataFrame | None:
    """The baseline's curve over the seeds and splits that the arm has as well."""
    base, units = material.baseline, material.units(arm)
    if base is None or base == arm:
        return None
    jobs = [job for job in material.jobs(base) if job.unit in units]
    return _curve(jobs) if jobs else None


def _curve(jobs: Sequence[Job]) -> pd.DataFrame:
    """Epoch, trainings, and of loss and accuracy the mean, the lowest and the highest."""
    tables = []
    for job in jobs:
        try:
            tables.append(pd.read_csv(job.run.history).replace([np.inf, -np.inf], np.nan))
        except (OSError, ValueError) as error:
            raise DataError(f"{job.run.history} cannot be read: do the job again") from error
    if not any(len(table) for table in tables):
        raise Lacking("no training has written down an epoch")
    grouped = pd.concat(tables).groupby("epoch")
    values: dict[str, pd.Series] = {"trainings": grouped.size()}
    for what in WHAT:
        of = grouped[f"train_{what}"]
        values |= {what: of.mean(), f"{what}_lowest": of.min(), f"{what}_highest": of.max()}
    return pd.DataFrame(values).reset_index()


def _rounds(material: Material) -> list[int]:
    settings = material.plan.settings(material.plan.rows[0], material.plan.seeds[0])
    held = any(arm.forks for arm in material.arms)
    return [epoch for epoch in settings.imil_epoch if epoch < settings.epochs] if held else []


def _figure(
    found: dict[Arm, pd.DataFrame], bases: dict[Arm, pd.DataFrame | None], rounds: list[int]
) -> Figure:
    shown = [arm for arm in found if arm.kind != "baseline"] or list(found)
    height = 2 * HALF + BETWEEN
    grid = cells(len(shown), width=WIDE, height=height, left=LEFT, top=TOP, gap=GAP)
    width = max(grid.boxes[min(len(shown), grid.columns) - 1].right + 0.08, 3.5)
    figure = sheet(width, grid.bottom + 0.42)
    limits = _limits(found.values(), rounds)
    for i, (arm, box) in enumerate(zip(shown, grid.boxes, strict=True)):
        title(figure, box, arm.title, group(arm).colour)
        for n, what in enumerate(WHAT):
            part = Box(box.left, box.top + n * (HALF + BETWEEN), box.width, HALF)
            axes = place(figure, part)
            _panel(axes, what, arm, {"arm": found[arm], "baseline": bases[arm]}, limits)
            _mark(axes, rounds if arm.forks else [])
            axes.tick_params(labelleft=grid.first(i), labelbottom=n == 1 and grid.last(i))
            if grid.first(i):
                axes.set_ylabel(what)
    write(figure, LEFT, grid.bottom + 0.2, "completed epochs", color=GREY, fontsize=SMALL + 0.5)
    _key(figure, beside=shown[0].kind != "baseline", rounds=bool(rounds))
    return figure


def _limits(tables: Iterable[pd.DataFrame], rounds: list[int]) -> Limits:
    """What the panels of all arms run from and to: they are to be compared."""
    every = pd.concat(list(tables))
    last = int(every["epoch"].max())
    # as many epochs before the round as there are after it: what is earlier is the same anyway
    first = max(0, 2 * rounds[0] - last) if rounds else 0
    seen = every[every["epoch"] >= first]
    limits: Limits = {"epoch": (first, last)}
    for what in WHAT:
        low, high = float(seen[f"{what}_lowest"].min()), float(seen[f"{what}_highest"].max())
        room = 0.06 * (high - low) or 0.05
        known = np.isfinite([low, high]).all()
        limits[what] = (low - room, high + room) if known else (0, 1)
    return limits


def _panel(
    axes: Axes, what: str, arm: Arm, tables: dict[str, pd.DataFrame | None], limits: Limits
) -> None:
    table, base = tables["arm"], tables["baseline"]
    assert table is not None
    if base is not None:
        _line(axes, base, what, LINE, BASELINE.colour, linestyle=DASHED)
    colour = group(arm).colour
    _line(axes, table, what, colour, colour, linestyle="-")
    axes.set_xlim(*limits["epoch"])
    axes.set_ylim(*limits[what])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=3, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    axes.grid(axis="y", color=FAINT, linewidth=0.6)


def _line(
    axes: Axes, table: pd.DataFrame, what: str, fill: str, colour: str, *, linestyle: object
) -> None:
    epochs = table["epoch"].to_numpy()
    low, high = table[f"{what}_lowest"].to_numpy(), table[f"{what}_highest"].to_numpy()
    axes.fill_between(epochs, low, high, color=fill, alpha=BAND, linewidth=0)
    mark = "o" if len(epochs) < 3 else None  # a line of one point is invisible
    axes.plot(
        epochs, table[what].to_numpy(), color=colour, linestyle=linestyle, linewidth=1.1,
        marker=mark, markersize=3,
    )  # fmt: skip


def _mark(axes: Axes, rounds: list[int]) -> None:
    for epoch in rounds:
        axes.axvline(epoch, color=INK, linewidth=0.7, zorder=1)


def _key(figure: Figure, *, beside: bool, rounds: bool) -> None:
    entries = []
    if beside:
        line = Line2D([], [], color=BASELINE.colour, linestyle=DASHED, linewidth=1.2)
        entries = [(line, "baseline"), (Line2D([], [], color=GREY), "the arm named above")]
    if rounds:
        upright = Line2D(
            [], [], color=INK, linestyle="none", marker="|", markersize=9, markeredgewidth=0.8
        )
        entries.append((upright, "round"))
    key(figure, LEFT, 0.14, entries)


def _caption(material: Material, rounds: list[int]) -> str:
    units = [material.units(arm) for arm in material.arms]
    beside = ", each arm beside the baseline (dashed)" if len(material.arms) > 1 else ""
    said = f"Training loss and accuracy by epoch: {mean_of(units)}{beside}."
    if rounds:
        marked, until = (
            (f"The vertical line marks the round after epoch {rounds[0]}", "it")
            if len(rounds) == 1
            else ("The vertical lines mark the rounds", "the first")
        )
        said += (
            f" {marked}; up to {until} the arms that have it and the baseline are one training. "
            f"Shown are the epochs around {until}; the data file has all."
        )
    return (
        f"{said} {band(units)}{fewer(units)} The numbers are of the training images as each arm "
        "sees them: where an arm alters them, its level says nothing beside another's. "
        f"{colours(material.arms)}"
    ).strip()
