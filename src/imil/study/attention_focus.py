"""How much of a network's attention lies in a mask: energy, pointing game, and the mask's area.

The mask is resized to the heat-map, not the other way round: each pixel of the heat-map gets the
share of it that the mask covers. So no part of a small lesion is lost, and the values are those
of a heat-map enlarged to the mask's size without smoothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imil.atomic_files import write_table
from imil.errors import DataError, ShapeError
from imil.study.study_folder import Job

HIT_SHARE = 0.5  # at least that share of the hottest pixels lies in the mask
COLUMNS = ["key", "mask", "energy", "area", "pointing"]
HeatMap = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Focus(NamedTuple):
    """One heat-map against one mask.

    Args:
        energy: share of the heat-map's sum inside the mask, in [0, 1]; NaN if the heat-map is 0
            everywhere.
        area: share of the image that the mask covers, in (0, 1]; the energy of a uniform
            heat-map.
        pointing: whether the hottest pixel lies in the mask; False if the heat-map is 0
            everywhere.
    """

    energy: float
    area: float
    pointing: bool


def focus(cams: Sequence[HeatMap], masks: Sequence[Mask | None]) -> list[Focus | None]:
    """The attention of each heat-map in its mask; None where the mask is missing or empty.

    Args:
        cams: N heat-maps (h, w), 0 or more.
        masks: N masks (H, W) of the whole image at any size, or None.
    Raises: ShapeError: N differs, or a heat-map is negative or not a number.
    Source: energy: Wang et al. 2020 (Score-CAM); pointing game: Zhang et al. 2018, without a
        tolerance around the mask.
    """
    if len(masks) != len(cams):
        raise ShapeError(
            f"{len(cams)} heat-maps and {len(masks)} masks: give the same number of both"
        )
    return [
        None if mask is None or not mask.any() else _focus(np.asarray(cam, np.float64), mask)
        for cam, mask in zip(cams, masks, strict=True)
    ]


def write_focus(
    path: Path,
    keys: Sequence[str],
    cams: Sequence[HeatMap],
    masks: Mapping[str, Sequence[Mask | None]],
) -> None:
    """Write a row per image and existing mask: key, mask, energy, area, pointing.

    Args:
        path: a Parquet file.
        keys: N names.
        cams: N heat-maps of the true class, (h, w).
        masks: for each mask column, N masks or None.
    Raises: ShapeError: as `focus`. DataError: it cannot be written.
    """
    rows = [
        (key, name, *of_mask)
        for name, of_images in masks.items()
        for key, of_mask in zip(keys, focus(cams, of_images), strict=True)
        if of_mask is not None
    ]
    types = {"key": "str", "mask": "str", "energy": "float64", "area": "float64"}
    table = pd.DataFrame(rows, columns=COLUMNS).astype(types | {"pointing": "bool"})
    write_table(path, table)


def summary(tables: Mapping[str, Sequence[pd.DataFrame]]) -> pd.DataFrame:
    """A row per arm and mask: arm, mask, images, blank, energy, area, ratio, pointing.

    `images` counts rows, so an image as often as it was tested on; `blank` counts those whose
    heat-map is 0 everywhere. They are misses in `pointing` and have no `energy`. `area` is the
    mean over all rows, so that it is the same for arms that were tested on the same images;
    `ratio` (mean energy / mean area; 1 is chance) is over the rows that are not blank, because
    masks of the others may be larger. NaN where there is no row.

    Args:
        tables: by arm, the tables that `write_focus` wrote, one per seed and split.
    """
    rows = [
        (arm, str(mask), *_summarise(part))
        for arm, parts in tables.items()
        if parts
        for mask, part in pd.concat(parts, ignore_index=True).groupby("mask", sort=False)
    ]
    names = ["arm", "mask", "images", "blank", "energy", "area", "ratio", "pointing"]
    return pd.DataFrame(rows, columns=names)


def covered(mask: Mask, height: int, width: int) -> NDArray[np.float64]:
    """The share of each of height × width equal parts that the mask covers, in [0, 1].

    >>> covered(np.array([[True, False, False]]), 1, 2).round(4).tolist()
    [[0.6667, 0.0]]
    """
    rows, cols = (_resize_weights(*one) for one in zip((height, width), mask.shape, strict=True))
    share: NDArray[np.float64] = rows @ mask.astype(np.float64) @ cols.T
    return share


def _focus(cam: NDArray[np.float64], mask: Mask) -> Focus:
    if cam.ndim != 2 or not np.isfinite(cam).all() or cam.min() < 0:
        raise ShapeError(
            f"invalid heat-map of shape {cam.shape}: expected (h, w) numbers of 0 or more"
        )
    share = covered(mask, *cam.shape)
    total, area = float(cam.sum()), float(share.mean())
    if not total:
        return Focus(math.nan, area, False)
    hottest = share[cam == cam.max()]  # several where the maximum is flat
    return Focus(float((cam * share).sum()) / total, area, bool(hottest.mean() >= HIT_SHARE))


def _resize_weights(parts: int, pixels: int) -> NDArray[np.float64]:
    """The share of each part that each pixel fills, (parts, pixels); rows sum to 1."""
    edges = np.linspace(0, pixels, parts + 1)
    at = np.arange(pixels)
    inside = np.minimum(edges[1:, None], at + 1) - np.maximum(edges[:-1, None], at)
    return np.asarray(np.clip(inside, 0, None) * (parts / pixels), np.float64)


def _summarise(part: pd.DataFrame) -> tuple[int, int, float, float, float, float]:
    rows = part[part["energy"].notna()]
    energy, ratio = float(rows["energy"].mean()), float(rows["energy"].mean() / rows["area"].mean())
    area, pointing = float(part["area"].mean()), float(part["pointing"].mean())
    return len(part), len(part) - len(rows), energy, area, ratio, pointing


def read_focus(jobs: Iterable[Job]) -> dict[Job, pd.DataFrame]:
    """The tables that `write_focus` wrote, of the jobs that have one.

    Raises: DataError: a file cannot be read.
    """
    tables = {}
    for job in jobs:
        if job.focus.exists():
            try:
                tables[job] = pd.read_parquet(job.focus)
            except (OSError, ValueError) as error:
                raise DataError(f"{job.focus} cannot be read: do the job again") from error
    return tables
