"""Heat-maps of test images × arms (the paper's Figure 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from imil.cases import HeatMap, Image
from imil.errors import DataError
from imil.images.colours import Picture, overlay
from imil.images.render import percent
from imil.predictions import Predictions
from imil.study.arms import Arm
from imil.study.figures.figure_inputs import FigureInputs, Loaders, MissingData
from imil.study.figures.image_layout import Box, add_text, fixed_figure
from imil.study.figures.image_panels import (
    draw_colour_bar,
    draw_outline,
    panel_height,
    print_size,
    show_image,
)
from imil.study.figures.panel_layout import PAGE_WIDTH
from imil.study.figures.style import GREY, INK, SMALL, Drawing, group
from imil.study.figures.text_fit import fit_text
from imil.study.phrases import count, listed
from imil.study.study_folder import Job

MAX_IMAGES = 8  # more do not fit a page
MAX_ARMS = 6  # beside image and baseline in a block
LEFT, TOP, GAP = 0.08, 0.12, 0.07  # inches
TITLE_SIZE = SMALL + 0.3  # points
LINE, LABEL, BLOCK_GAP = 0.105, 0.3, 0.14  # inches: a title's line, an image's label
MAX_COLUMN = 1.5  # inches
HOW_TO_READ = (
    "A heat-map ({}) shows the model's attention, not ground truth: the regions that support "
    "the true class. Each is scaled to its own maximum, so colours cannot be compared between "
    "images. Below: the predicted class with its probability; ✓ correct, ✗ and bold: wrong."
)


@dataclass(frozen=True, eq=False)
class ImageRow:
    """A test image: a row of the figure."""

    key: str
    label: int
    image: Image
    mask: NDArray[np.bool_] | None


@dataclass(frozen=True, eq=False)
class ArmResult:
    """Heat-map and prediction of an arm for an image."""

    cam: HeatMap
    predicted: int
    confidence: float


Cell = tuple[str, str]  # arm, key


def draw(inputs: FigureInputs) -> Drawing:
    """Test images in rows, the image and the arms in columns, with their predictions.

    Raises: MissingData: there are no heat-maps, or the images cannot be loaded.
    """
    jobs = _jobs(inputs)
    heat_maps = {job.arm: _read_heat_maps(job) for job in jobs.values()}
    first_maps = next(iter(heat_maps.values()))
    keys = [key for key in first_maps if all(key in maps for maps in heat_maps.values())]
    first = inputs.predicted.read(next(iter(jobs.values())))
    labels = dict(zip(first.keys, first.labels.tolist(), strict=True))
    keys = sorted((key for key in keys if key in labels), key=labels.__getitem__)[:MAX_IMAGES]
    if not keys:
        raise MissingData("no test image has a heat-map of every arm")
    rows = [_row(inputs.loaders, key, labels[key]) for key in keys]
    cells = {
        (arm.id, key): result
        for arm, job in jobs.items()
        for key, result in _results(inputs.predicted.read(job), heat_maps[job.arm], keys).items()
    }
    return Drawing(
        "heat-maps",
        "Where the models look",
        _caption(inputs, jobs, rows, cells),
        _figure(inputs.classes, list(jobs), rows, cells),
        _table(inputs, jobs, rows, cells),
    )


def _row(loaders: Loaders, key: str, label: int) -> ImageRow:
    if loaders.load is None:
        raise MissingData("the images cannot be read on this machine")
    return ImageRow(key, label, loaders.load(key), loaders.mask(key) if loaders.mask else None)


def _jobs(inputs: FigureInputs) -> dict[Arm, Job]:
    """One training per arm, all with the seed and split for which most arms have heat-maps."""
    by_unit: dict[tuple[int, int], dict[Arm, Job]] = {}
    for arm in inputs.arms:
        for job in inputs.jobs(arm):
            if job.heat_maps.exists():
                by_unit.setdefault(job.unit, {})[arm] = job
    if not by_unit:
        raise MissingData("no training has written heat-maps")
    order = {seed: i for i, seed in enumerate(inputs.plan.seeds)}
    units = sorted(by_unit, key=lambda unit: (unit[1], order[unit[0]]))
    return by_unit[max(units, key=lambda unit: len(by_unit[unit]))]


def _read_heat_maps(job: Job) -> dict[str, HeatMap]:
    try:
        with np.load(job.heat_maps) as file:
            return {key: file[key].astype(np.float32) for key in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{job.heat_maps} cannot be read: do the job again") from error


def _results(
    predictions: Predictions, maps: dict[str, HeatMap], keys: Sequence[str]
) -> dict[str, ArmResult]:
    positions = {key: i for i, key in enumerate(predictions.keys)}
    probs = {key: predictions.probs[positions[key]] for key in keys}
    return {key: ArmResult(maps[key], int(p.argmax()), float(p.max())) for key, p in probs.items()}


def _figure(
    classes: Sequence[str],
    arms: Sequence[Arm],
    rows: Sequence[ImageRow],
    cells: dict[Cell, ArmResult],
) -> Figure:
    blocks = _blocks(arms)
    columns = 1 + max(map(len, blocks))
    width = min((PAGE_WIDTH - 2 * LEFT + GAP) / columns - GAP, MAX_COLUMN)
    pictures = [print_size(row.image, width) for row in rows]
    block_height = sum(panel_height(picture, width) + LABEL for picture in pictures)
    title_heights = [
        0.06 + LINE * max(_name(arm, width).count("\n") + 1 for arm in b) for b in blocks
    ]
    total = TOP + sum(title_heights) + len(blocks) * (block_height + BLOCK_GAP) + 0.2
    figure = fixed_figure(max(2 * LEFT + columns * (width + GAP) - GAP, 3.5), total)
    y = TOP
    for block, title_height in zip(blocks, title_heights, strict=True):
        y += title_height
        for c, arm in enumerate([None, *block]):
            left = LEFT + c * (width + GAP)
            add_text(
                figure, left, y - 0.06, _name(arm, width), fontsize=TITLE_SIZE, fontweight="bold",
                color=group(arm).colour if arm else INK, va="baseline", linespacing=1.1,
            )  # fmt: skip
            _column(
                figure, left, y, width, arm, classes, list(zip(rows, pictures, strict=True)), cells
            )
        y += block_height + BLOCK_GAP
    draw_colour_bar(figure, LEFT, total - 0.14)
    return figure


def _name(arm: Arm | None, inches: float) -> str:
    return fit_text(arm.title if arm else "Image", inches, size=TITLE_SIZE, max_lines=3, bold=True)


def _column(
    figure: Figure,
    left: float,
    top: float,
    width: float,
    arm: Arm | None,
    classes: Sequence[str],
    rows: Sequence[tuple[ImageRow, Picture]],
    cells: dict[Cell, ArmResult],
) -> None:
    """A column: the images, with the heat-maps of an arm or without."""
    for row, picture in rows:
        box = Box(left, top, width, panel_height(picture, width))
        result = cells[arm.id, row.key] if arm else None
        axes = show_image(figure, box, overlay(picture, result.cam) if result else picture)
        if row.mask is not None and row.mask.any():
            draw_outline(axes, row.mask, (picture.shape[0], picture.shape[1]))
        _label(figure, box, classes, row, result)
        top += box.height + LABEL


def _blocks(arms: Sequence[Arm]) -> list[list[Arm]]:
    """The columns beside the image, the baseline first in each block.

    Too many are split: between groups, so that IMIL stays beside other augmentations, and a group
    that is too large into equal parts.
    """
    baseline = [arm for arm in arms if arm.kind == "baseline"]
    blocks: list[list[Arm]] = [[]]
    for _, same in groupby((arm for arm in arms if arm.kind != "baseline"), key=group):
        members = list(same)
        size = ceil(len(members) / ceil(len(members) / MAX_ARMS))
        for part in (members[i : i + size] for i in range(0, len(members), size)):
            if len(blocks[-1]) + len(part) > MAX_ARMS:
                blocks.append([])
            blocks[-1] += part
    return [baseline + block for block in blocks]


def _label(
    figure: Figure, box: Box, classes: Sequence[str], row: ImageRow, result: ArmResult | None
) -> None:
    """Below an image: the true class, or the predicted one with its probability and a mark."""
    if result is None:
        lines, wrong = (classes[row.label], "ground truth"), False
    else:
        wrong = result.predicted != row.label
        mark = "✗" if wrong else "✓"
        lines = (classes[result.predicted], f"{mark} {percent(result.confidence)}")
    name = fit_text(lines[0], box.width, size=SMALL, max_lines=1, bold=wrong or result is None)
    add_text(
        figure, box.left, box.top + box.height + 0.03, name, fontsize=SMALL,
        fontweight="bold" if wrong or result is None else "normal",
    )  # fmt: skip
    add_text(
        figure, box.left, box.top + box.height + 0.13, lines[1], fontsize=SMALL,
        color=INK if wrong else GREY, fontweight="bold" if wrong else "normal",
    )  # fmt: skip


def _table(
    inputs: FigureInputs,
    jobs: dict[Arm, Job],
    rows: Sequence[ImageRow],
    cells: dict[Cell, ArmResult],
) -> pd.DataFrame:
    records = []
    for row in rows:
        for arm, job in jobs.items():
            result = cells[arm.id, row.key]
            records.append(
                {
                    "key": row.key,
                    "class": inputs.classes[row.label],
                    "arm": arm.id,
                    "title": arm.title,
                    "seed": job.seed,
                    "split": job.split,
                    "predicted": inputs.classes[result.predicted],
                    "confidence": result.confidence,
                    "right": result.predicted == row.label,
                }
            )
    return pd.DataFrame(records)


def _caption(
    inputs: FigureInputs,
    jobs: dict[Arm, Job],
    rows: Sequence[ImageRow],
    cells: dict[Cell, ArmResult],
) -> str:
    job = next(iter(jobs.values()))
    per_class = [sum(row.label == k for row in rows) for k in range(len(inputs.classes))]
    each = f", {max(per_class)} of each class" if len(set(per_class)) == 1 else ""
    sentences = [
        f"{count(len(rows), 'test image')}{each}, sampled with the seed of the splits and not "
        f"picked by hand, with the heat-map of each arm's training of seed {job.seed}"
        + (f" on split {job.split}." if inputs.plan.splits.count > 1 else "."),
        HOW_TO_READ.format(inputs.folder.heat_maps_by),
    ]
    if any(row.mask is not None and row.mask.any() for row in rows):
        sentences.append("Blue outlines: lesions, where known.")
    if any(not result.cam.any() for result in cells.values()):
        sentences.append("A panel without colour has a heat-map of 0: nothing supports the class.")
    missing = [arm.title for arm in inputs.arms if arm not in jobs]
    if missing:
        sentences.append(f"Not shown, without heat-maps of this training: {listed(missing)}.")
    return " ".join(sentences)
