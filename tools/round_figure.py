"""Draws `docs/images/round.png`: a round in five steps, from a run of `imil demo`.

    imil demo --reader simulated --out runs/figure
    python tools/round_figure.py runs/figure --case 6

Films, predictions, heat-map and squares are those of the run; only the arrangement is drawn here.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from imil.cases import Case, Reading
from imil.fills import blackout
from imil.images.colours import overlay, to_uint8
from imil.images.render import grid_lines
from imil.store import Store

TARGET = Path(__file__).parents[1] / "docs/images/round.png"
MAX_BYTES = 300_000  # bytes
SIDE, GAP, TOP, BOTTOM = 240, 28, 44, 66  # pixels
PAPER, INK, QUIET = (255, 255, 255), (24, 24, 28), (92, 94, 102)
RIGHT, WRONG = (46, 150, 92), (212, 64, 52)
STEPS = (
    ("Predict", "The model predicts every\ntraining image (red: wrong)"),
    ("Choose", "The mistakes that it is\nsurest of become cases"),
    ("Explain", "Grad-CAM shows what\nthe prediction depends on"),
    ("Ask", "A reader selects the squares\nwhere it should look"),
    ("Correct", "All other squares become\nblack; training goes on"),
)


def main() -> None:
    """Draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("demo", type=Path, help="folder that `imil demo --out` was given")
    parser.add_argument("--case", type=int, default=1, help="number of the case to show")
    args = parser.parse_args()
    store = Store(args.demo / "run/imil.sqlite", readonly=True)
    round_ = store.rounds()[0]
    cases, readings = store.cases(round_.id), store.current_readings(round_.id)
    case = cases[args.case - 1]
    table = args.demo / f"run/predictions/epoch-{round_.epoch:03}/train.parquet"
    picture = figure(
        [
            predictions(pd.read_parquet(table), args.demo / "films", cases[:2]),
            mistakes(cases[:4] if case in cases[:4] else [*cases[:3], case]),
            Image.fromarray(overlay(film(case), case.cam_predicted)),
            grid_lines(film(case), case.grid, squares=readings[case.id].squares),
            corrected(case, readings[case.id]),
        ]
    )
    picture.quantize(256, dither=Image.Dither.NONE).save(TARGET, optimize=True)
    size = TARGET.stat().st_size
    print(f"{TARGET} {size:,} bytes")
    assert size <= MAX_BYTES, f"the figure has {size:,} bytes, and {MAX_BYTES:,} are the limit"
    store.close()


def figure(panels: list[Image.Image]) -> Image.Image:
    """The panels side by side, each with its number, title and caption."""
    width = len(panels) * SIDE + (len(panels) + 1) * GAP
    page = Image.new("RGB", (width, TOP + SIDE + BOTTOM), PAPER)
    pen = ImageDraw.Draw(page)
    for i, (panel, (title, caption)) in enumerate(zip(panels, STEPS, strict=True)):
        left = GAP + i * (SIDE + GAP)
        page.paste(panel.resize((SIDE, SIDE)), (left, TOP))
        pen.text((left, 12), f"{i + 1}  {title}", INK, ImageFont.load_default(size=22))
        pen.multiline_text(
            (left, TOP + SIDE + 8), caption, QUIET, ImageFont.load_default(size=17), spacing=5
        )
        if i:
            arrow(pen, left - GAP, TOP + SIDE // 2)
    return page


def arrow(pen: ImageDraw.ImageDraw, left: int, middle: int) -> None:
    """An arrow in the gap that begins at `left`."""
    pen.polygon([(left + 8, middle - 9), (left + 20, middle), (left + 8, middle + 9)], QUIET)


def film(case: Case, side: int = SIDE) -> np.ndarray:
    """The image of a case, (side, side), uint8."""
    picture = Image.fromarray(to_uint8(case.image))
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC))


def predictions(table: pd.DataFrame, films: Path, cases: list[Case]) -> Image.Image:
    """Nine films of the training set, those of the cases among them, framed by right or wrong."""
    keys = table[table.label == table.predicted].key[:7].tolist()
    keys[2:2], keys[6:6] = [cases[0].key], [cases[1].key]
    wrong = set(table[table.label != table.predicted].key)
    tiles = [Image.open(films / key).convert("RGB") for key in keys]
    return mosaic(tiles, 3, [WRONG if key in wrong else RIGHT for key in keys])


def mistakes(cases: list[Case]) -> Image.Image:
    """Four cases with prediction and confidence."""
    page = mosaic([Image.fromarray(film(case)).convert("RGB") for case in cases], 2, [WRONG] * 4)
    pen, half = ImageDraw.Draw(page), SIDE // 2
    for i, case in enumerate(cases):
        text = f"{case.predicted_name} {case.confidence:.0%}"
        at = (i % 2 * half + half // 2, (i // 2 + 1) * half - 10)
        pen.text(
            at,
            text,
            PAPER,
            ImageFont.load_default(size=15),
            anchor="ms",
            stroke_width=2,
            stroke_fill=INK,
        )
    return page


def mosaic(
    tiles: list[Image.Image], columns: int, frames: list[tuple[int, int, int]]
) -> Image.Image:
    """The tiles in rows, each with a frame of its colour."""
    side = SIDE // columns
    page = Image.new("RGB", (SIDE, SIDE), PAPER)
    pen = ImageDraw.Draw(page)
    for i, (tile, colour) in enumerate(zip(tiles, frames, strict=True)):
        left, top = i % columns * side, i // columns * side
        page.paste(tile.resize((side - 4, side - 4), Image.Resampling.LANCZOS), (left + 2, top + 2))
        pen.rectangle((left + 1, top + 1, left + side - 3, top + side - 3), outline=colour, width=3)
    return page


def corrected(case: Case, reading: Reading) -> Image.Image:
    """The image as the model is trained on from then on."""
    image = film(case)
    return Image.fromarray(blackout(image, case.grid.mask(reading.squares, *image.shape[:2])))


if __name__ == "__main__":
    main()
