"""What a run's model learns from the readings of all rounds, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imil.atomic_files import atomic_write
from imil.cases import Image, Reading
from imil.images.relevance_map import relevance_map, selected_shares
from imil.merging import Merged
from imil.pytorch import CorrectedDataset
from imil.run_folder import RunFolder
from imil.store import Store
from imil.training.treatment_files import read_field

MOST_IMAGES = 500  # of which the mean is taken


def draw_learned_map(store: Store, run: str, samples: CorrectedDataset, folder: RunFolder) -> bool:
    """Draw the share of readings that selected each square, and the covered ones, on the mean.

    The newest reading of each case counts, in all rounds with the grid of the newest one.

    Returns: whether there was a reading with selected squares; otherwise nothing is drawn.
    """
    rounds = [round_ for round_ in store.rounds(run) if round_.state != "open"]
    if not rounds:
        return False
    grid = rounds[-1].settings.grid
    if grid.slabs is not None:  # of volumes there is no picture
        return False
    newest: dict[str, Merged | None] = {}
    for round_ in rounds:
        if round_.settings.grid == grid:
            what_counts = store.merged(round_.id)
            newest |= {case.key: what_counts.get(case.id) for case in store.cases(round_.id)}
    # misleading squares alone say nothing about the others
    counted = [one for merged in newest.values() if merged is not None for one in _used(merged)]
    focused = [one.squares for one in counted if one.squares]
    if not focused:
        return False
    readings_word = "1 reading" if len(focused) == 1 else f"{len(focused)} readings"
    picture = relevance_map(
        mean_image(samples),
        grid,
        selected_shares(focused, grid),
        _covered(folder.field_of_view, grid.squares),
        title=f"What the model learns from the squares of {readings_word}",
    )
    with atomic_write(folder.learned_map) as half:
        picture.save(half, format="png")
    return True


def _used(counts: Merged) -> Sequence[Reading]:
    """The readings whose squares training uses: of shares, all."""
    return counts.answers if counts.shares is not None else [counts.reading]


def mean_image(samples: CorrectedDataset) -> Image:
    """The mean of the training images as the model sees them, uint8 (S, S) or (S, S, 3)."""
    rows = np.unique(np.linspace(0, len(samples) - 1, min(len(samples), MOST_IMAGES)).astype(int))
    views = np.stack([samples.view(int(i)).numpy() for i in rows])
    mean: Image = np.rint(views.mean(axis=0)).astype(np.uint8)
    return mean[0] if mean.shape[0] == 1 else mean.transpose(1, 2, 0)


def _covered(field_of_view: Path, squares: int) -> list[int]:
    if not field_of_view.exists():
        return []
    _, seen = read_field(field_of_view)
    return sorted({*range(1, squares + 1)} - set(seen))
