"""The energy of the heat-maps in lesions and lungs, beside its chance level; pointing game."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from imil.study.arms import Arm
from imil.study.figures.arm_rows import ArmRows, arm_rows, names_width
from imil.study.figures.caption_text import number_range, trainings
from imil.study.figures.figure_inputs import FigureInputs, MissingData
from imil.study.figures.focus_tables import (
    blank_sentence,
    focus_by_arm,
    resolution_sentence,
)
from imil.study.figures.panel_layout import PAGE_WIDTH, add_legend, plot_figure
from imil.study.figures.style import DOTTED, GREY, INK, Drawing, group
from imil.study.figures.text_fit import fit_text
from imil.study.phrases import listed
from imil.study.study_folder import Job

MASKS = {"lesion_mask": "lesion", "lung_mask": "lung"}
MEASURES = {"energy": "Energy in the {}", "pointing": "Pointing game, {}"}
MIN_COLUMNS = 4  # fewer panels do not grow to fill the page
GAP = 0.2  # inches between panels


def draw(inputs: FigureInputs) -> Drawing:
    """Share of heat-map energy in the masks, and pointing game, of each training.

    Raises: MissingData: no test image has a mask.
    """
    focus = inputs.predicted.focus
    jobs = [job for arm in inputs.arms for job in inputs.jobs(arm)]
    tables = {job: focus[job] for job in jobs if job in focus}
    data = _data(tables)
    if data.empty:
        raise MissingData("no test image has a lesion or lung mask")
    ids = set(data["arm"])
    arms = [arm for arm in inputs.arms if arm.id in ids]
    titles = {arm.id: arm.title for arm in arms}
    data.insert(1, "title", [titles[arm] for arm in data["arm"]])
    masks = data["mask"].unique().tolist()
    return Drawing(
        "focus",
        "Attention inside lesions and lungs",
        _caption(inputs, arms, data) + blank_sentence(tables),
        _figure(arms, masks, data),
        data,
    )


def _data(tables: Mapping[Job, pd.DataFrame]) -> pd.DataFrame:
    """By arm: a row per training and mask, and one over all trainings, without seed and split."""
    over_all = focus_by_arm(tables).assign(seed=nan, split=nan)
    if over_all.empty:
        return over_all
    parts = [over_all]
    for job in tables:
        parts.append(focus_by_arm({job: tables[job]}).assign(seed=job.seed, split=job.split))
    integers = {"seed": "Int64", "split": "Int64"}
    data = pd.concat([part.astype(integers) for part in parts if len(part)], ignore_index=True)
    order = {arm: i for i, arm in enumerate(over_all["arm"].unique())}
    return data.sort_values("arm", key=lambda arm: arm.map(order), kind="stable", ignore_index=True)


def _figure(arms: Sequence[Arm], masks: Sequence[str], data: pd.DataFrame) -> Figure:
    rows = arm_rows(arms)
    panels = [(mask, measure) for mask in masks for measure in MEASURES]
    figure = plot_figure(PAGE_WIDTH, rows.height + 0.85)
    columns = max(len(panels), MIN_COLUMNS)
    width = (PAGE_WIDTH - names_width(arms)) / columns - GAP
    grid = GridSpec(1, columns, figure=figure)
    for i, (mask, measure) in enumerate(panels):
        axes = figure.add_subplot(grid[0, i])
        rows.set_up(axes, names=i == 0)
        title = fit_text(MEASURES[measure].format(_mask_name(mask)), width, bold=True)
        axes.set_title(title, loc="left", fontsize=7, fontweight="bold", pad=4)
        _draw_panel(axes, rows, data[data["mask"] == mask], measure)
    add_legend(figure, _legend_entries(several=_several_trainings(data)), "outside lower left")
    return figure


def _draw_panel(axes: Axes, rows: ArmRows, data: pd.DataFrame, measure: str) -> None:
    over_all = data["seed"].isna()
    top = float(data[measure].max())
    if measure == "energy":  # the maximum of a coarse map is not uniformly distributed
        area = float(data.loc[over_all, "area"].mean())
        axes.axvline(area, color=INK, linewidth=0.9, linestyle=DOTTED, zorder=1)
        top = max(top, area)
    for arm, y in zip(rows.arms, rows.positions, strict=True):
        of_arm = data["arm"] == arm.id
        values = data.loc[of_arm & ~over_all, measure].dropna().to_numpy()
        style = group(arm)
        if len(values) > 1:
            below = np.full(len(values), y + 0.26)
            axes.plot(
                values, below, "o", color=style.colour, markersize=1.8, alpha=0.7, clip_on=False
            )
        mean = data.loc[of_arm & over_all, measure].to_numpy()
        heights = np.full(len(mean), y - 0.04)
        axes.plot(mean, heights, style.marker, color=style.colour, markersize=4.2, clip_on=False)
    axes.set_xlim(0, min(1.12 * top, 1.0) if top > 0 else 1)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:g} %"))


def _legend_entries(*, several: bool) -> list[tuple[Line2D, str]]:
    chance = Line2D([], [], color=INK, linestyle=DOTTED, linewidth=0.9)
    entries = [(chance, "chance level of the energy: the area of the mask")]
    if several:
        entries = [(_dot(4.4), "mean"), (_dot(2.2), "one training"), *entries]
    return entries


def _dot(size: float) -> Line2D:
    return Line2D([], [], color=GREY, marker="o", markersize=size, linestyle="none")


def _several_trainings(data: pd.DataFrame) -> bool:
    """Whether any arm was trained more than once."""
    return bool(data.dropna(subset="seed").groupby(["arm", "mask"]).size().max() > 1)


def _mask_name(mask: str) -> str:
    return MASKS.get(mask, mask.removesuffix("_mask").replace("_", " "))


def _caption(inputs: FigureInputs, arms: Sequence[Arm], data: pd.DataFrame) -> str:
    counts = []
    over_all = data["seed"].isna()
    for mask, rows in data.groupby("mask", sort=False):
        images = number_range(rows.loc[~over_all, "images"].tolist())
        area = 100 * rows.loc[over_all, "area"].mean()
        counts.append(f"{images} with a {_mask_name(str(mask))} mask (area {area:.2g} %)")
    units = [inputs.units(arm) for arm in arms]
    markers = " Large markers: means; small dots: trainings." if _several_trainings(data) else ""
    settings = inputs.plan.settings(arms[0], inputs.plan.seeds[0])
    return (
        "Energy: share of the heat-map's energy inside the mask; pointing game: share of images "
        f"whose heat-map has its maximum inside. Test images: {listed(counts)}. Heat-maps are "
        f"{inputs.folder.heat_maps_by} of the true class, of {trainings(units)}.{markers} Dotted "
        "lines: the share of the image that the mask covers, which is the chance level of the "
        f"energy: that of a uniform heat-map. {resolution_sentence(settings)}"
    )
