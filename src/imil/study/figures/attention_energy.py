"""How much of the models' attention lies in lesions and lungs, beside what chance would give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, nan

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from imil.errors import DataError
from imil.settings import TrainSettings
from imil.study.arms import Arm
from imil.study.attention_focus import summary
from imil.study.figures.arm_rows import Rows, names, names_width, rows_of
from imil.study.figures.caption_text import span, trainings
from imil.study.figures.layout import WIDE, Box, fitted, key, place, sheet, write
from imil.study.figures.material import Lacking, Material
from imil.study.figures.style import GREY, HINT, INK, Drawing, group
from imil.study.phrases import listed
from imil.study.study_folder import Job

MASKS = {"lesion_mask": "lesion", "lung_mask": "lung"}
WHAT = {"energy": "Energy in the {}", "pointing": "Hottest point in the {}"}
TOP, GAP = 0.38, 0.24  # inches
STRIDE = 32  # pixels of the image for one value of a ResNet's last map (He et al. 2015)


def draw(material: Material) -> Drawing:
    """Share of heat-map energy in the masks, and pointing game, of each training.

    Raises: Lacking: no test image has a mask.
    """
    tables = read_focus(job for arm in material.arms for job in material.jobs(arm))
    data = _data(tables)
    if data.empty:
        raise Lacking("no test image has a lesion or lung mask")
    there = set(data["arm"])
    arms = [arm for arm in material.arms if arm.id in there]
    titles = {arm.id: arm.title for arm in arms}
    data.insert(1, "title", [titles[arm] for arm in data["arm"]])
    masks = data["mask"].unique().tolist()
    caption = _caption(material, arms, data) + blank(tables)
    return Drawing(
        "focus", "How much attention lies where it belongs", caption,
        _figure(arms, masks, data), data,
    )  # fmt: skip


def read_focus(jobs: Iterable[Job]) -> dict[Job, pd.DataFrame]:
    """What `imil.study.attention_focus.write_focus` wrote for those jobs that have it.

    Raises: DataError: a file cannot be read.
    """
    found = {}
    for job in jobs:
        if job.focus.exists():
            try:
                found[job] = pd.read_parquet(job.focus)
            except (OSError, ValueError) as error:
                raise DataError(f"{job.focus} cannot be read: do the job again") from error
    return found


def summed_up(tables: Mapping[Job, pd.DataFrame]) -> pd.DataFrame:
    """A row per arm and mask, over all trainings: `imil.study.attention_focus.summary`."""
    arms = dict.fromkeys(job.arm for job in tables)
    return summary({arm: [tables[job] for job in tables if job.arm == arm] for arm in arms})


def blank(tables: Mapping[Job, pd.DataFrame]) -> str:
    """How many heat-maps are zero everywhere, whatever masks their image has; or nothing."""
    n = sum(one.loc[one["energy"].isna(), "key"].nunique() for one in tables.values())
    if not n:
        return ""
    said = "1 heat-map is" if n == 1 else f"{n:,} heat-maps are"
    return f" {said} zero everywhere: left out of energy, and no hit in pointing."


def rough(settings: TrainSettings) -> str:
    """Why pointing cannot be compared with chance."""
    side = ceil(settings.image_size / STRIDE)
    size = f", {side}×{side} values" if settings.model.startswith("resnet") else ""
    return (
        f"The networks' own maps are coarse{size}, and enlarged smoothly: their hottest place may "
        "be a corner of the image, so pointing cannot be compared with the area."
    )


def _data(tables: Mapping[Job, pd.DataFrame]) -> pd.DataFrame:
    """Arm by arm a row a training and mask, and where `seed` and `split` are empty, of all."""
    every = summed_up(tables).assign(seed=nan, split=nan)
    if every.empty:
        return every
    parts = [every]
    for job in tables:
        parts.append(summed_up({job: tables[job]}).assign(seed=job.seed, split=job.split))
    whole = {"seed": "Int64", "split": "Int64"}
    data = pd.concat([part.astype(whole) for part in parts if len(part)], ignore_index=True)
    order = {arm: i for i, arm in enumerate(every["arm"].unique())}
    return data.sort_values("arm", key=lambda arm: arm.map(order), kind="stable", ignore_index=True)


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
    if not _several(data):
        entries = []
    chance = Line2D([], [], color=INK, linestyle=HINT, linewidth=0.9)
    entries.append((chance, "chance, for energy: the share of the image that the mask covers"))
    key(figure, first, figure.get_size_inches()[1] - 0.12, entries)
    return figure


def _panel(axes: Axes, rows: Rows, data: pd.DataFrame, what: str) -> None:
    rows.frame(axes)
    every = data["seed"].isna()
    top = float(data[what].max())
    if what == "energy":  # the hottest place of a coarse map lies anywhere but evenly
        area = float(data.loc[every, "area"].mean())
        axes.axvline(area, color=INK, linewidth=0.9, linestyle=HINT, zorder=1)
        top = max(top, area)
    for arm, y in zip(rows.arms, rows.at, strict=True):
        mine = data["arm"] == arm.id
        values = data.loc[mine & ~every, what].dropna().to_numpy()
        look = group(arm)
        if len(values) > 1:
            below = np.full(len(values), y + 0.26)
            axes.plot(
                values, below, "o", color=look.colour, markersize=1.8, alpha=0.7, clip_on=False
            )
        mean = data.loc[mine & every, what].to_numpy()
        at = np.full(len(mean), y - 0.04)
        axes.plot(mean, at, look.mark, color=look.colour, markersize=4.2, clip_on=False)
    axes.set_xlim(0, min(1.12 * top, 1.0) if top > 0 else 1)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:g} %"))


def _several(data: pd.DataFrame) -> bool:
    """Whether any arm was trained more than once."""
    return bool(data.dropna(subset="seed").groupby(["arm", "mask"]).size().max() > 1)


def _dot(size: float) -> Line2D:
    return Line2D([], [], color=GREY, marker="o", markersize=size, linestyle="none")


def _word(mask: str) -> str:
    return MASKS.get(mask, mask.removesuffix("_mask").replace("_", " "))


def _caption(material: Material, arms: Sequence[Arm], data: pd.DataFrame) -> str:
    counts = []
    every = data["seed"].isna()
    for mask, of in data.groupby("mask", sort=False):
        images, area = span(of.loc[~every, "images"].tolist()), 100 * of.loc[every, "area"].mean()
        counts.append(f"{images} with a {_word(str(mask))} mask (which covers {area:.2g} %)")
    units = [material.units(arm) for arm in arms]
    marks = " Large marks are means, small dots single trainings." if _several(data) else ""
    settings = material.plan.settings(arms[0], material.plan.seeds[0])
    return (
        "Share of the heat-maps' energy inside the mask, and share of images whose hottest point "
        f"lies inside, over the test images: {listed(counts)}. Heat-maps are Grad-CAM of the true "
        f"class, of {trainings(units)}.{marks} Dotted lines, for energy: the share of the image "
        "that the mask covers, which is chance: the energy of a heat-map without any focus. "
        f"{rough(settings)}"
    )
