"""The images of a made-up study: small films with lungs, lesions and their masks."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

NAMES = ("normal", "TB", "nodule", "effusion")


@dataclass(frozen=True)
class Options:
    """What `make_study` was called with."""

    n: int
    train: int
    classes: int
    effect: float | Mapping[str, float]
    skill: float
    spread: float
    positives: float
    cases: int
    requested: int
    side: int
    seed: int


def write_images(data: Path, name: str, count: int, options: Options) -> pd.DataFrame:
    """A manifest and its images and masks; returns the table with masks as (h, w) in `lesion`."""
    folder = data / name
    for kind in ("images", "lung_masks", "lesion_masks"):
        (folder / kind).mkdir(parents=True)
    rng = np.random.default_rng([options.seed, *name.encode()])
    labels = _labels(count, options)
    rows = []
    for number, label in enumerate(rng.permutation(labels).tolist()):
        film, lungs, lesion = _draw(rng, options.side, label)
        files = {kind: f"{name}/{kind}/{number:04}.png" for kind in ("images", "lung_masks")}
        files["lesion_masks"] = f"{name}/lesion_masks/{number:04}.png" if label else ""
        for kind, pixels in (("images", film), ("lung_masks", lungs), ("lesion_masks", lesion)):
            if files[kind]:
                Image.fromarray(pixels).save(data / files[kind])
        rows.append(
            {
                "image": files["images"],
                "label": label,
                "class_name": NAMES[label],
                "patient": f"P{number:04}",
                "lesion_mask": files["lesion_masks"],
                "lung_mask": files["lung_masks"],
                "sex": str(rng.choice(["F", "M"], p=[0.35, 0.65])),
                "age_band": str(rng.choice(["0-29", "30-59", "60+", ""], p=[0.4, 0.4, 0.15, 0.05])),
            }
        )
    with (data / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return pd.DataFrame(rows).assign(content=[_content(data / row["image"]) for row in rows])


def _labels(count: int, options: Options) -> np.ndarray:
    if options.classes > 2:
        return np.arange(count) % options.classes
    return (np.arange(count) < max(1, round(count * options.positives))).astype(int)


def _draw(rng: np.random.Generator, side: int, label: int) -> tuple[np.ndarray, ...]:
    """A film of two lungs, the mask of the lungs and that of a lesion: uint8 (side, side)."""
    y, x = np.mgrid[:side, :side] / side
    lungs = np.zeros((side, side), bool)
    for centre in (0.3, 0.7):
        lungs |= ((x - centre) / 0.15) ** 2 + ((y - 0.5) / 0.32) ** 2 < 1
    at = (rng.choice([0.3, 0.7]) + rng.uniform(-0.06, 0.06), rng.uniform(0.3, 0.7))
    lesion = ((x - at[0]) / 0.07) ** 2 + ((y - at[1]) / 0.09) ** 2 < 1
    film = 150 + 30 * (y - 0.5) - 80 * lungs + 70 * (lesion & (label > 0))
    film = film + rng.normal(0, 7, film.shape)
    return film.clip(0, 255).astype(np.uint8), lungs.astype("u1") * 255, lesion.astype("u1") * 255


def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rng_of(*what: int) -> np.random.Generator:
    """Randomness that depends on these numbers alone."""
    return np.random.default_rng(list(what))
