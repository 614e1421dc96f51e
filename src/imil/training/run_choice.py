"""What the choice of cases of a run needs: whether the data have it, and its providers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imil.choices import Provider, check_classes, choice, needs
from imil.data.table import Table
from imil.errors import SettingsError
from imil.images.load import load_mask
from imil.pytorch import CorrectedDataset, TorchModel
from imil.pytorch.choice_providers import model_providers
from imil.settings import TrainSettings
from imil.training.epoch_predictions import EpochPredictions


class LungMasks(Mapping[int, NDArray[np.bool_]]):
    """Position -> mask (H, W), loaded on access: all masks of large films may not fit in memory.

    Args:
        files: position -> file.
    """

    def __init__(self, files: Mapping[int, Path]) -> None:
        self._files = files

    def __getitem__(self, i: int) -> NDArray[np.bool_]:
        return load_mask(self._files[i])

    def __iter__(self) -> Iterator[int]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def needs_history(name: str) -> bool:
    """Whether the choice of that name needs the predictions of earlier epochs."""
    return "history" in needs(choice(name))


def check_choice(settings: TrainSettings, table: Table, rows: Sequence[int]) -> None:
    """Check before training that the data have what the choice of cases needs.

    Args:
        table: all images.
        rows: of the table: the training images.
    Raises: SettingsError: they lack something.
    """
    name, needed = settings.choice, needs(choice(settings.choice))
    check_classes(name, table.labels[list(rows)], table.class_names)
    patients = table.patients
    # no patient is in two folds
    if "out_of_fold_probs" in needed and patients and len({patients[i] for i in rows}) < 2:
        raise SettingsError(
            f"--choice {name} compares a patient with others, and all training images are of "
            f"'{patients[rows[0]]}': add patients, or give another --choice"
        )
    if "lung_masks" in needed and not lung_files(table, rows):
        columns = ", ".join(table.masks) or "none at all"
        raise SettingsError(
            f"--choice {name} needs lung masks, and no training image has one: name their column "
            f"with --mask-columns; it is the first with 'lung' in its name, of now {columns}"
        )
    if "history" in needed and settings.mix in ("mixup", "cutmix"):
        raise SettingsError(
            f"--choice {name} follows each image through training, and --mix {settings.mix} mixes "
            "them: give --mix none or cutout, or another --choice"
        )


def lung_files(table: Table, rows: Sequence[int]) -> dict[int, Path]:
    """Position among these rows -> mask, from the first mask column with `lung` in its name."""
    columns = (files for name, files in table.masks.items() if "lung" in name.lower())
    files = next(columns, ())
    return {i: path for i, row in enumerate(rows) if files and (path := files[row]) is not None}


def run_providers(
    settings: TrainSettings,
    table: Table,
    rows: Sequence[int],
    model: TorchModel,
    samples: CorrectedDataset,
    epochs: EpochPredictions | None,
) -> dict[str, Provider]:
    """Everything that a choice may need, made when it is asked for.

    Args:
        table, rows: as for `check_choice`.
        model: of the run.
        samples: of these rows.
        epochs: predictions of earlier epochs; None where the choice does not need them.
    """
    patients = table.patients
    groups = None if patients is None else [patients[i] for i in rows]
    providers = model_providers(model, samples, seed=settings.seed, groups=groups)
    providers["lung_masks"] = lambda _: LungMasks(lung_files(table, rows))
    if epochs is not None:
        providers["history"] = lambda _: epochs.history()
    return providers
