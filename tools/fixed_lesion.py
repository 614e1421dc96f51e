"""What a reader adds to `best`: a study of drawn films in which the model relies on two squares.

    python tools/fixed_lesion.py FOLDER [--films 1200]
    imil study run FOLDER/fixed-lesion.toml --jobs 2 --out FOLDER/study

All lesions lie in one square of the grid, and a letter that agrees with the class is planted into
another. A network relies on both, so what it relies on cannot say which of them is the shortcut;
readers can. The study compares `best` with the same treatment without a reader, which covers
whatever the network relies on. Writes the films, their table and the plan.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image

from imil.grid import Grid
from imil.phantom.dataset import CLASS_NAMES
from imil.phantom.film import Phantom, draw

SIDE, SEED = 64, 0
SQUARE = 6  # of a 4×4 grid, from 1: in the lung on the left of the film
PLAN = """\
name = "All lesions in one square"
data = "films.csv"
arms = ["baseline", "no-shortcut", "imil"]
seeds = [1, 2, 3, 4, 5, 6]
subgroups = []

[shortcut]
kind = "letter"
place = "upper-right"
share = 0.97

[training]
model = "test_resnet"
weights = "none"
image-size = 64
epochs = 16
imil-epoch = 3
choice = "auto"
num-outliers = 20
grid-size = "4x4"
batch-size = 32
optimizer = "adamw"
lr = 0.003
lr-schedule = "cosine"

[splits]
count = 1
test-share = 0.2
seed = 0

[[readers]]
name = "simulated"
reader = "simulated"

[[treatments]]
name = "best"
controls = ["reader-free"]
"""


def film(label: int, rng: np.random.Generator, inside: np.ndarray) -> Phantom:
    """A drawn film; where it has lesions, all of them lie inside.

    Args:
        inside: bool (SIDE, SIDE).
    """
    while True:
        drawn = draw(label, rng, size=SIDE, difficulty=0)
        if not label or (drawn.lesion.any() and not (drawn.lesion & ~inside).any()):
            return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="new folder")
    parser.add_argument("--films", type=int, default=1200)
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    (folder / "films").mkdir(parents=True)
    inside = Grid(4, 4).mask({SQUARE}, SIDE, SIDE)
    with (folder / "films.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("image", "label", "lung_mask", "lesion_mask"))
        for i in range(arguments.films):
            drawn = film(i % 2, np.random.default_rng((SEED, i)), inside)
            names = [f"films/{i:04}{part}.png" for part in ("", "-lung", "-lesion")]
            for name, pixels in zip(names, drawn, strict=True):
                scale = 255 if pixels.dtype == bool else 1
                Image.fromarray(pixels.astype(np.uint8) * scale).save(folder / name)
            table.writerow((names[0], CLASS_NAMES[i % 2], *names[1:]))
    (folder / "fixed-lesion.toml").write_text(PLAN, encoding="utf-8")


if __name__ == "__main__":
    main()
