"""Columns that may mean what an optional one means, under another word: a question, by their cells.

Only where to ignore the column would change the split: a patient with several images, or cells that
are all names of splits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from imil.data.class_folders import SPLITS
from imil.data.column_names import SEPARATORS, normalise
from imil.errors import DataError

# names as `normalise` gives them, also followed by what a patient's name is followed by
PATIENT = {"subject", "participant", "person", "pat", "pid", "mrn", "case", "volunteer", "proband"}
PATIENT_ENDS = ("", "id", "ids", "no", "nr", "number", "num", "key", "code", "name", "uid")
SPLIT = {"fold", "subset", "partition", "phase", "stage", "set", "usage", "mode", "purpose"}
SPLIT |= {"dataset", "group", "split"}


def synonyms_of(field: str, names: Collection[str], used: Collection[str]) -> list[str]:
    """The columns whose names may mean `patient` or `split`, and that are used for nothing.

    >>> synonyms_of("patient", ["image", "Subject ID", "sex", "subject_age"], ["image"])
    ['Subject ID']
    """
    return [name for name in names if name not in used and _is_synonym(field, name)]


def ask_about_patients(cells: Mapping[str, Sequence[str]], names: Sequence[str]) -> None:
    """Raises: DataError: one of these columns has a value in several rows, as patients have."""
    for name in names:
        values = [cell for cell in cells[name] if cell]
        if 1 < len(set(values)) < len(values):
            raise DataError(
                f"column '{name}' may identify the patient, and {len(values)} images have "
                f"{len(set(values))} values of it: give --patient-column {quoted(name)}, so that "
                "no patient is in two splits, or --patient-column none to leave it unused"
            )


def ask_about_splits(cells: Mapping[str, Sequence[str]], names: Sequence[str]) -> None:
    """Raises: DataError: all cells of one of these columns are names of splits."""
    for name in names:
        values = {cell.lower() for cell in cells[name]}
        if len({SPLITS.get(value) for value in values}) > 1 and values <= set(SPLITS):
            raise DataError(
                f"column '{name}' holds {', '.join(sorted(values))}: give --split-column "
                f"{quoted(name)} to split by it, or --split-column none to leave it unused"
            )


def quoted(name: str) -> str:
    """As a shell takes it."""
    return f'"{name}"' if any(not (c.isalnum() or c in "_-.,") for c in name) else name


def _is_synonym(field: str, name: str) -> bool:
    if field == "split":
        return normalise(name) in SPLIT or any(
            word.casefold() in SPLIT for word in SEPARATORS.split(name)
        )
    plain = normalise(name)
    return any(plain == word + end for word in PATIENT for end in PATIENT_ENDS)
