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
from imil.study.arms import Arm
from imil.study.figures.film_pictures import height, outline, scale, scaled, show
from imil.study.figures.layout import WIDE, Box, fitted, sheet, write
from imil.study.figures.material import Lacking, Loaders, Material
from imil.study.figures.style import GREY, INK, SMALL, Drawing, group
from imil.study.phrases import count, listed
from imil.study.study_folder import Job, Predictions

MOST = 8  # images; with more classes not every one fits a page
BESIDE = 6  # arms beside original and baseline in a block
LEFT, TOP, GAP = 0.08, 0.12, 0.07  # inches
HEAD = SMALL + 0.3  # points
LINE, FOOT, BETWEEN = 0.105, 0.3, 0.14  # inches: of a title, an image's words, two blocks
WIDEST = 1.5  # inches of a column
READ = (
    "A heat-map (Grad-CAM) shows where the model finds what speaks for the true class: its "
    "attention, not truth. Each is scaled to its own maximum, so colours cannot be compared "
    "between images. Below: the predicted class with its probability, ✓ right, ✗ and bold wrong."
)


@dataclass(frozen=True, eq=False)
class Shown:
    """A test image: a row of the figure."""

    key: str
    label: int
    image: Image
    mask: NDArray[np.bool_] | None


@dataclass(frozen=True, eq=False)
class Seen:
    """What one arm made of one image."""

    cam: HeatMap
    predicted: int
    confidence: float


Cell = tuple[str, str]  # arm, key


def draw(material: Material) -> Drawing:
    """Test images in rows, the original and the arms in columns, with what each predicts.

    Raises: Lacking: there are no heat-maps, or nothing loads the images.
    """
    jobs = _jobs(material)
    found = {job.arm: _maps(job) for job in jobs.values()}
    keys = [
        key for key in next(iter(found.values())) if all(key in maps for maps in found.values())
    ]
    first = material.predicted.read(next(iter(jobs.values())))
    label = dict(zip(first.keys, first.labels.tolist(), strict=True))
    keys = sorted((key for key in keys if key in label), key=label.__getitem__)[:MOST]
    if not keys:
        raise Lacking("no test image has a heat-map of every arm")
    rows = [_row(material.loaders, key, label[key]) for key in keys]
    cells = {
        (arm.id, key): seen
        for arm, job in jobs.items()
        for key, seen in _seen(material.predicted.read(job), found[job.arm], keys).items()
    }
    return Drawing(
        "heat-maps",
        "Where the models look",
        _caption(material, jobs, rows, cells),
        _figure(material.classes, list(jobs), rows, cells),
        _table(material, jobs, rows, cells),
    )


def _row(loaders: Loaders, key: str, label: int) -> Shown:
    if loaders.load is None:
        raise Lacking("the images cannot be read where this report is made")
    return Shown(key, label, loaders.load(key), loaders.mask(key) if loaders.mask else None)


def _jobs(material: Material) -> dict[Arm, Job]:
    """One training an arm, all with the seed and split that most arms have heat-maps of."""
    by_unit: dict[tuple[int, int], dict[Arm, Job]] = {}
    for arm in material.arms:
        for job in material.jobs(arm):
            if job.heat_maps.exists():
                by_unit.setdefault(job.unit, {})[arm] = job
    if not by_unit:
        raise Lacking("no training has written heat-maps")
    order = {seed: i for i, seed in enumerate(material.plan.seeds)}
    first = sorted(by_unit, key=lambda unit: (unit[1], order[unit[0]]))
    return by_unit[max(first, key=lambda unit: len(by_unit[unit]))]


def _maps(job: Job) -> dict[str, HeatMap]:
    try:
        with np.load(job.heat_maps) as file:
            return {key: file[key].astype(np.float32) for key in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{job.heat_maps} cannot be read: do the job again") from error


def _seen(
    predictions: Predictions, maps: dict[str, HeatMap], keys: Sequence[str]
) -> dict[str, Seen]:
    at = {key: i for i, key in enumerate(predictions.keys)}
    probs = {key: predictions.probs[at[key]] for key in keys}
    return {key: Seen(maps[key], int(p.argmax()), float(p.max())) for key, p in probs.items()}


def _figure(
    classes: Sequence[str], arms: Sequence[Arm], rows: Sequence[Shown], cells: dict[Cell, Seen]
) -> Figure:
    blocks = _blocks(arms)
    across = 1 + max(map(len, blocks))
    wide = min((WIDE - 2 * LEFT + GAP) / across - GAP, WIDEST)
    pictures = [scaled(row.image, wide) for row in rows]
    tall = sum(height(picture, wide) + FOOT for picture in pictures)
    heads = [0.06 + LINE * max(_name(arm, wide).count("\n") + 1 for arm in b) for b in blocks]
    whole = TOP + sum(heads) + len(blocks) * (tall + BETWEEN) + 0.2
    figure = sheet(max(2 * LEFT + across * (wide + GAP) - GAP, 3.5), whole)
    y = TOP
    for block, head in zip(blocks, heads, strict=True):
        y += head
        for c, arm in enumerate([None, *block]):
            left = LEFT + c * (wide + GAP)
            write(
                figure, left, y - 0.06, _name(arm, wide), fontsize=HEAD, fontweight="bold",
                color=group(arm).colour if arm else INK, va="baseline", linespacing=1.1,
            )  # fmt: skip
            _column(
                figure, left, y, wide, arm, classes, list(zip(rows, pictures, strict=True)), cells
            )
        y += tall + BETWEEN
    scale(figure, LEFT, whole - 0.14)
    return figure


def _name(arm: Arm | None, inches: float) -> str:
    return fitted(arm.title if arm else "Image", inches, size=HEAD, most=3, bold=True)


def _column(
    figure: Figure,
    left: float,
    top: float,
    wide: float,
    arm: Arm | None,
    classes: Sequence[str],
    rows: Sequence[tuple[Shown, Picture]],
    cells: dict[Cell, Seen],
) -> None:
    """The images one below the other, with the arm's heat-maps, or without."""
    for row, picture in rows:
        box = Box(left, top, wide, height(picture, wide))
        seen = cells[arm.id, row.key] if arm else None
        axes = show(figure, box, overlay(picture, seen.cam) if seen else picture)
        if row.mask is not None and row.mask.any():
            outline(axes, row.mask, (picture.shape[0], picture.shape[1]))
        _words(figure, box, classes, row, seen)
        top += box.height + FOOT


def _blocks(arms: Sequence[Arm]) -> list[list[Arm]]:
    """The columns beside the original, the baseline at the head of each block.

    Too many are broken: between groups, so that IMIL stays beside its rivals, and a group that is
    too large in equal parts.
    """
    base = [arm for arm in arms if arm.kind == "baseline"]
    blocks: list[list[Arm]] = [[]]
    for _, same in groupby((arm for arm in arms if arm.kind != "baseline"), key=group):
        own = list(same)
        size = ceil(len(own) / ceil(len(own) / BESIDE))
        for part in (own[i : i + size] for i in range(0, len(own), size)):
            if len(blocks[-1]) + len(part) > BESIDE:
                blocks.append([])
            blocks[-1] += part
    return [base + block for block in blocks]


def _words(figure: Figure, box: Box, classes: Sequence[str], row: Shown, seen: Seen | None) -> None:
    """Below an image: the truth, or what was predicted, how surely, and whether rightly."""
    if seen is None:
        lines, wrong = (classes[row.label], "ground truth"), False
    else:
        wrong = seen.predicted != row.label
        mark = "✗" if wrong else "✓"
        lines = (classes[seen.predicted], f"{mark} {percent(seen.confidence)}")
    name = fitted(lines[0], box.width, size=SMALL, most=1, bold=wrong or seen is None)
    write(
        figure, box.left, box.top + box.height + 0.03, name, fontsize=SMALL,
        fontweight="bold" if wrong or seen is None else "normal",
    )  # fmt: skip
    write(
        figure, box.left, box.top + box.height + 0.13, lines[1], fontsize=SMALL,
        color=INK if wrong else GREY, fontweight="bold" if wrong else "normal",
    )  # fmt: skip


def _table(
    material: Material, jobs: dict[Arm, Job], rows: Sequence[Shown], cells: dict[Cell, Seen]
) -> pd.DataFrame:
    found = []
    for row in rows:
        for arm, job in jobs.items():
            seen = cells[arm.id, row.key]
            found.append(
                {
                    "key": row.key,
                    "class": material.classes[row.label],
                    "arm": arm.id,
                    "title": arm.title,
                    "seed": job.seed,
                    "split": job.split,
                    "predicted": material.classes[seen.predicted],
                    "confidence": seen.confidence,
                    "right": seen.predicted == row.label,
                }
            )
    return pd.DataFrame(found)


def _caption(
    material: Material, jobs: dict[Arm, Job], rows: Sequence[Shown], cells: dict[Cell, Seen]
) -> str:
    job = next(iter(jobs.values()))
    per_class = [sum(row.label == k for row in rows) for k in range(len(material.classes))]
    each = f", {max(per_class)} of each class" if len(set(per_class)) == 1 else ""
    said = [
        f"{count(len(rows), 'test image')}{each}, drawn by the seed of the splits and not picked "
        f"by hand, with the heat-map of each arm's training of seed {job.seed}"
        + (f" on split {job.split}." if material.plan.splits.count > 1 else "."),
        READ,
    ]
    if any(row.mask is not None and row.mask.any() for row in rows):
        said.append("Blue outlines: lesions, where they are known.")
    if any(not seen.cam.any() for seen in cells.values()):
        said.append("A panel without colour has a heat-map of 0: nothing speaks for the class.")
    missing = [arm.title for arm in material.arms if arm not in jobs]
    if missing:
        said.append(f"Not shown, having no heat-maps of this training: {listed(missing)}.")
    return " ".join(said)
