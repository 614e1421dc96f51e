"""Loss and accuracy by epoch, around the round, each arm beside the baseline."""

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
from imil.study.figures.caption_text import (
    band_sentence,
    fewer_trainings_sentence,
    mean_of_trainings,
)
from imil.study.figures.figure_inputs import FigureInputs, MissingData
from imil.study.figures.panel_layout import add_legend, set_title, small_multiples
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
    colour_sentence,
    group,
)
from imil.study.study_folder import Job

MEASURES = ("loss", "accuracy")
HEIGHTS = (0.8, 0.8)  # inches of their panels
Limits = dict[str, tuple[float, float]]


def draw(inputs: FigureInputs) -> Drawing:
    """Training loss and accuracy of the arms by epoch, with the rounds marked.

    Raises: MissingData: no training has written its history.
    """
    curves = {arm: _mean_curve(inputs.jobs(arm)) for arm in inputs.arms}
    baselines = {arm: _baseline(inputs, arm) for arm in curves}
    rounds = _rounds(inputs)
    tables = [table.assign(arm=arm.id, title=arm.title) for arm, table in curves.items()]
    return Drawing(
        "curves",
        "Training around the round" if rounds else "Training",
        _caption(inputs, rounds),
        _figure(curves, baselines, rounds),
        pd.concat(tables, ignore_index=True)[["arm", "title", *tables[0].columns[:-2]]],
    )


def _baseline(inputs: FigureInputs, arm: Arm) -> pd.DataFrame | None:
    """The curve of the baseline that the arm is compared with, over the arm's seeds and splits."""
    baseline = next((one for one in inputs.arms if one.id == arm.reference), None)
    units = inputs.units(arm)
    if baseline is None:
        return None
    jobs = [job for job in inputs.jobs(baseline) if job.unit in units]
    return _mean_curve(jobs) if jobs else None


def _mean_curve(jobs: Sequence[Job]) -> pd.DataFrame:
    """Epoch, trainings, and of loss and accuracy the mean, the lowest and the highest."""
    histories = []
    for job in jobs:
        try:
            histories.append(pd.read_csv(job.run.history).replace([np.inf, -np.inf], np.nan))
        except (OSError, ValueError) as error:
            raise DataError(f"{job.run.history} cannot be read: do the job again") from error
    if not any(len(history) for history in histories):
        raise MissingData("no training has finished an epoch")
    by_epoch = pd.concat(histories).groupby("epoch")
    columns: dict[str, pd.Series] = {"trainings": by_epoch.size()}
    for name in MEASURES:
        values = by_epoch[f"train_{name}"]
        columns |= {
            name: values.mean(),
            f"{name}_lowest": values.min(),
            f"{name}_highest": values.max(),
        }
    return pd.DataFrame(columns).reset_index()


def _rounds(inputs: FigureInputs) -> dict[Arm, list[int]]:
    """The rounds of each arm that has any: completed epochs before them."""
    rounds = {}
    for arm in (arm for arm in inputs.arms if arm.forks):
        settings = inputs.plan.settings(arm, inputs.plan.seeds[0])
        if held := [epoch for epoch in settings.imil_epoch if epoch < settings.epochs]:
            rounds[arm] = held
    return rounds


def _figure(
    curves: dict[Arm, pd.DataFrame],
    baselines: dict[Arm, pd.DataFrame | None],
    rounds: dict[Arm, list[int]],
) -> Figure:
    arms = [arm for arm in curves if arm.kind != "baseline"] or list(curves)
    cells = small_multiples(len(arms), heights=HEIGHTS, title=0.35, margin=0.4)
    limits = _limits(curves.values(), sorted({one for held in rounds.values() for one in held}))
    for i, arm in enumerate(arms):
        stacked = cells.add_axes(i)
        set_title(stacked[0], arm.title, cells.cell_width - 0.3, group(arm).colour)
        for axes, measure in zip(stacked, MEASURES, strict=True):
            _draw_panel(axes, measure, arm, curves[arm], baselines[arm])
            _limit(axes, measure, limits)
            for epoch in rounds.get(arm, []):
                axes.axvline(epoch, color=INK, linewidth=0.7, zorder=1)
            last = measure == MEASURES[-1] and cells.is_last(i)
            axes.tick_params(labelleft=cells.is_first(i), labelbottom=last)
            if cells.is_first(i):
                axes.set_ylabel(measure)
    cells.figure.supxlabel("completed epochs", color=GREY, fontsize=SMALL + 0.5)
    entries = _legend_entries(baseline=arms[0].kind != "baseline", rounds=bool(rounds))
    if entries:
        add_legend(cells.figure, entries, "outside upper left")
    return cells.figure


def _limits(tables: Iterable[pd.DataFrame], rounds: list[int]) -> Limits:
    """Common axis limits of all arms, so that they can be compared."""
    table = pd.concat(list(tables))
    last = int(table["epoch"].max())
    # as many epochs before the round as after it: earlier ones are the same for all arms
    first = max(0, 2 * rounds[0] - last) if rounds else 0
    shown = table[table["epoch"] >= first]
    limits: Limits = {"epoch": (first, last)}
    for name in MEASURES:
        low, high = float(shown[f"{name}_lowest"].min()), float(shown[f"{name}_highest"].max())
        room = 0.06 * (high - low) or 0.05
        finite = np.isfinite([low, high]).all()
        limits[name] = (low - room, high + room) if finite else (0, 1)
    return limits


def _limit(axes: Axes, measure: str, limits: Limits) -> None:
    axes.set_xlim(*limits["epoch"])
    axes.set_ylim(*limits[measure])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=3, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    axes.grid(axis="y", color=FAINT, linewidth=0.6)


def _draw_panel(
    axes: Axes, measure: str, arm: Arm, curve: pd.DataFrame, baseline: pd.DataFrame | None
) -> None:
    if baseline is not None:
        _draw_curve(axes, baseline, measure, LINE, BASELINE.colour, linestyle=DASHED)
    colour = group(arm).colour
    _draw_curve(axes, curve, measure, colour, colour, linestyle="-")


def _draw_curve(
    axes: Axes, table: pd.DataFrame, measure: str, fill: str, colour: str, *, linestyle: object
) -> None:
    epochs = table["epoch"].to_numpy()
    low, high = table[f"{measure}_lowest"].to_numpy(), table[f"{measure}_highest"].to_numpy()
    axes.fill_between(epochs, low, high, color=fill, alpha=BAND, linewidth=0)
    marker = "o" if len(epochs) < 3 else None  # a line of one point is invisible
    axes.plot(
        epochs, table[measure].to_numpy(), color=colour, linestyle=linestyle, linewidth=1.1,
        marker=marker, markersize=3,
    )  # fmt: skip


def _legend_entries(*, baseline: bool, rounds: bool) -> list[tuple[Line2D, str]]:
    entries = []
    if baseline:
        line = Line2D([], [], color=BASELINE.colour, linestyle=DASHED, linewidth=1.2)
        entries = [(line, "baseline"), (Line2D([], [], color=GREY), "the arm named above")]
    if rounds:
        vertical = Line2D(
            [], [], color=INK, linestyle="none", marker="|", markersize=9, markeredgewidth=0.8
        )
        entries.append((vertical, "round"))
    return entries


def _caption(inputs: FigureInputs, rounds: dict[Arm, list[int]]) -> str:
    units = [inputs.units(arm) for arm in inputs.arms]
    beside = ", each arm beside the baseline (dashed)" if len(inputs.arms) > 1 else ""
    caption = f"Training loss and accuracy by epoch: {mean_of_trainings(units)}{beside}."
    epochs = {epoch for held in rounds.values() for epoch in held}
    if epochs:
        lines, which = (
            (f"The vertical line marks the round after epoch {min(epochs)}", "it")
            if len(epochs) == 1
            else ("The vertical lines mark the rounds", "the first")
        )
        caption += (
            f" {lines}; up to {which} the arms with a round and the baseline are the same "
            f"training. Shown are the epochs around {which}; the data file has all."
        )
    return (
        f"{caption} {band_sentence(units)}{fewer_trainings_sentence(units)} Loss and accuracy are "
        "of the training images as each arm sees them: where an arm alters them, they cannot be "
        f"compared with another arm's. {colour_sentence(inputs.arms)}"
    ).strip()
