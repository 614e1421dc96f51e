"""How much of the models' attention lies in lesions and lungs, beside what chance would give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from imil.errors import DataError
from imil.study.arms import Arm
from imil.study.figures.layout import WIDE, Box, fitted, key, place, sheet, write
from imil.study.figures.material import Lacking, Material
from imil.study.figures.rows import Rows, names, names_width, rows_of
from imil.study.figures.style import GREY, HINT, INK, Drawing, group
from imil.study.figures.words import listed, span, trainings

MASKS = {"lesion_mask": "lesion", "lung_mask": "lung"}
WHAT = {"energy": "Energy in the {}", "pointing": "Hottest point in the {}"}
TOP, GAP = 0.38, 0.24  # inches


def draw(material: Material) -> Drawing:
    """Share of heat-map energy in the masks, and pointing game, of each training.

    Raises: Lacking: no test image has a mask.
    """
    data = _means(material)
    there = set(data["arm"])
    arms = [arm for arm in material.arms if arm.id in there]
    masks = data["mask"].unique().tolist()
    return Drawing(
        "focus", "How much attention lies where it belongs",
        _caption(material, arms, data), _figure(arms, masks, data), data,
    )  # fmt: skip


def _means(material: Material) -> pd.DataFrame:
    """One row a training and mask: means over the images that have the mask."""
    found = []
    for arm in material.arms:
        for job in material.jobs(arm):
            if not job.focus.exists():
                continue
            try:
                table = pd.read_parquet(job.focus)
            except (OSError, ValueError) as error:
                raise DataError(f"{job.focus} cannot be read: do the job again") from error
            for mask, of in table.groupby("mask", sort=False):
                row = {"arm": arm.id, "title": arm.title, "seed": job.seed, "split": job.split}
                row |= {"mask": mask, "images": len(of)}
                row |= {name: float(of[name].mean()) for name in ("energy", "pointing", "area")}
                found.append(row)
    if not found:
        raise Lacking("no test image has a lesion or lung mask")
    return pd.DataFrame(found)


def _figure(arms: Sequence[Arm], masks: Sequence[str], data: pd.DataFrame) -> Figure:
    rows = rows_of(arms)
    panels = [(mask, what) for mask in masks for what in WHAT]
    first = names_width(arms)
    figure = sheet(WIDE, TOP + rows.height + 0.56)
    wide = (WIDE - first - 0.12 + GAP) / max(len(panels), 4) - GAP
    names(figure, rows, first, TOP)
    for i, (mask, what) in enumerate(panels):
        left = first + i * (wide + GAP)
        heading = fitted(WHAT[what].format(_word(mask)), wide, bold=True)
        write(figure, left, TOP - 0.1, heading, fontweight="bold", va="baseline")
        axes = place(figure, Box(left, TOP, wide, rows.height))
        _panel(axes, rows, data[data["mask"] == mask], what)
    entries = [(_dot(4.4), "mean"), (_dot(2.2), "one training")]
    if data.groupby(["arm", "mask"]).size().max() == 1:
        entries = []
    chance = Line2D([], [], color=INK, linestyle=HINT, linewidth=0.9)
    entries.append((chance, "chance: the share of the image that the mask covers"))
    key(figure, first, figure.get_size_inches()[1] - 0.12, entries)
    return figure


def _panel(axes: Axes, rows: Rows, data: pd.DataFrame, what: str) -> None:
    rows.frame(axes)
    area = float(data["area"].mean())
    axes.axvline(area, color=INK, linewidth=0.9, linestyle=HINT, zorder=1)
    for arm, y in zip(rows.arms, rows.at, strict=True):
        values = data.loc[data["arm"] == arm.id, what].dropna().to_numpy()
        if not len(values):
            continue
        look = group(arm)
        if len(values) > 1:
            below = np.full(len(values), y + 0.26)
            axes.plot(
                values, below, "o", color=look.colour, markersize=1.8, alpha=0.7, clip_on=False
            )
        mean = values.mean()
        axes.plot(mean, y - 0.04, look.mark, color=look.colour, markersize=4.2, clip_on=False)
    top = max(float(data[what].max()), area)
    axes.set_xlim(0, min(1.12 * top, 1.0) if top > 0 else 1)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:g} %"))


def _dot(size: float) -> Line2D:
    return Line2D([], [], color=GREY, marker="o", markersize=size, linestyle="none")


def _word(mask: str) -> str:
    return MASKS.get(mask, mask.removesuffix("_mask").replace("_", " "))


def _caption(material: Material, arms: Sequence[Arm], data: pd.DataFrame) -> str:
    counts = []
    for mask, of in data.groupby("mask", sort=False):
        images, chance = span(of["images"].tolist()), 100 * of["area"].mean()
        counts.append(f"{images} with a {_word(str(mask))} mask (chance {chance:.2g} %)")
    units = [material.units(arm) for arm in arms]
    several = max(map(len, units)) > 1
    marks = " Large marks are means, small dots single trainings." if several else ""
    return (
        "Share of the heat-maps' energy inside the mask, and share of images whose hottest point "
        f"lies inside, over the test images: {listed(counts)}. Heat-maps are Grad-CAM of the true "
        f"class, of {trainings(units)}.{marks} Dotted lines: the share of the image that the mask "
        "covers, which is what a heat-map without any focus would give."
    )
