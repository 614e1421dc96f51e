"""A store with one round of images, for the benchmarks of the reading room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from imil.cases import Case, RoundSettings
from imil.store import Store, name_round


def make_store(
    place: Path | str, count: int, image: Callable[[int], np.ndarray], heat_map: np.ndarray
) -> Store:
    """A store with an open round of the run `films`, after epoch 70.

    Args:
        place: a folder, or the address of a database.
        count: of cases.
        image: the image of the case of that number, from 1 on.
        heat_map: of every case and class, (h, w) float32.
    """
    store = Store(place / "imil.sqlite" if isinstance(place, Path) else place)
    store.add_run("films", class_names=["normal", "TB"], settings={}, versions={})
    settings = RoundSettings(num_outliers=count)
    cases = [
        Case(
            id=f"{name_round('films', 70)}#{number}",
            run="films",
            epoch=70,
            round=name_round("films", 70),
            number=number,
            key=f"film-{number}",
            label=1,
            predicted=0,
            confidence=0.9,
            class_names=("normal", "TB"),
            grid=settings.grid,
            load_heat_map=lambda _which: heat_map,
            load_image=lambda number=number: image(number),
        )
        for number in range(1, count + 1)
    ]
    store.open_round("films", 70, settings, cases)
    return store
