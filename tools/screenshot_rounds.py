"""Rounds of phantoms for the screenshots of the documentation (screenshots.py)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFilter
from scipy.ndimage import gaussian_filter

from imil.cases import Case, RoundSettings
from imil.grid import Grid
from imil.phantom.dataset import CLASS_NAMES, LETTERS, Phantom, draw
from imil.phantom.stack import Stack, draw_stack
from imil.reader_panel import PANEL, ReaderPanel
from imil.store import Store, name_round
from imil.store.run_progress import Progress

CASES = 8
SIDE = 1024  # pixels of a phantom
INPUT = 224  # pixels of the model's input
SLICES, STACK_SIDE = 24, 256  # of a volume
ANSWERS = ["6 10"] * CASES  # squares; those of the lesion, for phantoms


def add_phantom_run(store: Store, panel: ReaderPanel = PANEL) -> None:
    """Add a run whose model looks at the letter in the corner."""
    run = "phantoms"
    store.add_run(run, class_names=CLASS_NAMES, settings={}, versions={})
    Progress(store).report(run, state="waiting", epoch=70, epochs=100)
    cases = [phantom_case(run, number) for number in range(1, CASES + 1)]
    store.open_round(run, 70, RoundSettings(num_outliers=CASES, panel=panel), cases)


def phantom_case(run: str, number: int) -> Case:
    """A phantom with a lesion that the model predicts to be normal, by its letter."""
    phantom = draw(1, np.random.default_rng(number), size=SIDE, letter=LETTERS[0], depth=16)
    shares = RoundSettings().grid.shares(phantom.lesion)
    ANSWERS[number - 1] = " ".join(str(i) for i, share in enumerate(shares, 1) if share > 0.04)
    letter = np.zeros((INPUT, INPUT), np.float32)
    letter[8:32, 6:30] = 1
    heat_maps = {
        "predicted": blur(letter + 0.35 * input_mask(phantom, lung=True)),
        "true": blur(input_mask(phantom, lung=False) + 0.5 * letter),
    }
    return Case(
        id=f"{name_round(run, 70)}#{number}",
        run=run,
        epoch=70,
        round=name_round(run, 70),
        number=number,
        key=f"phantom {number}",
        label=1,
        predicted=0,
        confidence=0.985 - 0.012 * number,
        class_names=CLASS_NAMES,
        grid=RoundSettings().grid,
        load_heat_map=heat_maps.__getitem__,
        load_image=lambda: phantom.image,
        earlier=(6, 10) if number == 2 else None,
    )


def input_mask(phantom: Phantom, *, lung: bool) -> NDArray[np.float32]:
    """The lower lung, or the lesion, at the size of the model's input."""
    mask = phantom.lung & (np.arange(SIDE)[:, None] > 0.6 * SIDE) if lung else phantom.lesion
    small = Pillow.fromarray(mask.astype(np.uint8) * 255).resize((INPUT, INPUT))
    return np.asarray(small, np.float32) / np.float32(255)


def blur(map_: NDArray[np.float32]) -> NDArray[np.float32]:
    """As coarse as the last feature map of a network."""
    picture = Pillow.fromarray((map_ / map_.max() * 255).astype(np.uint8))
    values = np.asarray(picture.filter(ImageFilter.GaussianBlur(13)), np.float32)
    coarse: NDArray[np.float32] = values / values.max()
    return coarse


def finish(store: Store, run: str) -> None:
    """Mark the run as finished, with its results."""
    progress = Progress(store)
    progress.add_result(run, 70, {"accuracy": 0.871, "auroc": 0.934, "ece": 0.082})
    progress.add_result(run, 100, {"accuracy": 0.902, "auroc": 0.951, "ece": 0.047})
    progress.report(run, state="finished", epoch=100, epochs=100)
    for round_ in store.rounds(run):
        store.mark(round_, "closed")


def volume_case(run: str, grid: Grid) -> tuple[Case, Stack]:
    """A volume with a lesion that the model predicts to be normal, and the phantom that it is."""
    drawn = draw_stack(1, np.random.default_rng(0), slices=SLICES, size=STACK_SIDE, lesion_slices=6)
    here = np.flatnonzero(drawn.lesion.any(axis=(1, 2)))
    elsewhere = np.zeros((SLICES, 64, 64), np.float32)
    elsewhere[here[0] - 3 : here[0] + 3, 38:50, 12:24] = 1
    true = np.zeros_like(elsewhere)
    true[here, 18:32, 40:54] = 1
    elsewhere, true = (gaussian_filter(one, (1.5, 6, 6)) for one in (elsewhere, true))
    elsewhere, true = elsewhere / elsewhere.max(), true / true.max()
    case = Case(
        id=f"{name_round(run, 70)}#1",
        run=run,
        epoch=70,
        round=name_round(run, 70),
        number=1,
        key="volume 1",
        label=1,
        predicted=0,
        confidence=0.97,
        class_names=CLASS_NAMES,
        grid=grid,
        load_heat_map={"predicted": elsewhere, "true": true}.__getitem__,
        load_image=lambda: drawn.volume,
    )
    return case, drawn
