"""Draws `docs/images/treatments.png`: what the model sees of a corrected image, by treatment.

    python tools/treatment_figure.py

The films are phantoms and the squares are those over the lungs; only the arrangement is drawn here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from imil.grid import Grid
from imil.images.render import grid_lines
from imil.phantom.dataset import draw
from imil.treatments import Batch, Cover, Exchange, SquareCutMix, SquareMixUp, Treatment

TARGET = Path(__file__).parents[1] / "docs/images/treatments.png"
MAX_BYTES = 300_000  # bytes
SIDE, GAP, CAPTION, COLUMNS = 192, 14, 46, 5  # pixels
PAPER, INK = (255, 255, 255), (24, 24, 28)
GRID, SEED = Grid(4, 4), 4
CORNER = (1, 4)  # the squares that letters are in
PANELS: tuple[tuple[str, Treatment], ...] = (
    ("cover:fill=black\n(imil)", Cover()),
    ("cover:fill=mean", Cover(fill="mean")),
    ("cover:fill=blur", Cover(fill="blur")),
    ("cover:fill=noise", Cover(fill="noise")),
    ("cover:fill=linear", Cover(fill="linear")),
    ("cover:fill=other", Cover(fill="other")),
    ("cover:fill=mean,\nsoft=0.5,jitter=0.25", Cover(fill="mean", soft=0.5, jitter=0.25)),
    ("exchange\n(in every image)", Exchange(probability=1)),
    ("exchange:\nsquares=random", Exchange(probability=1, squares="random")),
    ("square-cutmix", SquareCutMix()),
    ("square-mixup", SquareMixUp()),
)


def main() -> None:
    """Draw the figure."""
    phantom = draw(1, np.random.default_rng(SEED), size=SIDE, letter="L", difficulty=0.2)
    other = draw(0, np.random.default_rng(SEED + 1), size=SIDE, letter="R")
    squares = selected(phantom.lung)
    panels = [
        ("original with its\nselected squares", grid_lines(phantom.image, GRID, squares=squares))
    ]
    for name, treatment in PANELS:
        image = treated(treatment, phantom.image, other.image, squares)
        panels.append((name, Image.fromarray(image)))
    seen = GRID.mask(set(range(1, GRID.squares + 1)) - set(CORNER), SIDE, SIDE)
    panels.append(("field-of-view\n(in every image)", Image.fromarray(phantom.image * seen)))
    page = figure(panels)
    page.quantize(128, dither=Image.Dither.NONE).save(TARGET, optimize=True)
    size = TARGET.stat().st_size
    print(f"{TARGET} {size:,} bytes")
    assert size <= MAX_BYTES, f"the figure has {size:,} bytes, and {MAX_BYTES:,} are the limit"


def selected(lungs: np.ndarray) -> tuple[int, ...]:
    """The squares of which lungs cover a quarter or more."""
    return tuple(int(i) + 1 for i in np.flatnonzero(GRID.shares(lungs) >= 0.25))


def treated(
    treatment: Treatment, image: np.ndarray, other: np.ndarray, squares: tuple[int, ...]
) -> np.ndarray:
    """The image as the model sees it, (SIDE, SIDE) uint8."""
    keep = torch.from_numpy(GRID.mask(squares, *image.shape))[None]
    grids = torch.tensor([[GRID.rows, GRID.cols]])
    labels, rows = torch.tensor([1]), torch.tensor([0])
    batch = Batch(torch.from_numpy(image)[None, None], labels, rows, keep, grids, 2)

    def other_images(n: int) -> Batch:
        images = torch.from_numpy(other).expand(n, 1, -1, -1)
        return Batch(images, torch.zeros(n, dtype=torch.int64), torch.ones(n, dtype=torch.int64))

    rng = torch.Generator().manual_seed(SEED)
    return treatment.batch(batch, other_images, rng).images[0, 0].numpy()


def figure(panels: list[tuple[str, Image.Image]]) -> Image.Image:
    """The panels in rows, each with its caption below."""
    rows = -(-len(panels) // COLUMNS)
    size = COLUMNS * (SIDE + GAP) + GAP, rows * (SIDE + CAPTION) + GAP
    page = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(page)
    for i, (name, panel) in enumerate(panels):
        left, top = GAP + i % COLUMNS * (SIDE + GAP), GAP + i // COLUMNS * (SIDE + CAPTION)
        page.paste(panel.convert("RGB").resize((SIDE, SIDE)), (left, top))
        at = left, top + SIDE + 4
        pen.multiline_text(at, name, INK, ImageFont.load_default(size=14), spacing=3)
    return page


if __name__ == "__main__":
    main()
