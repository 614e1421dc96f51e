"""The sentences that captions share."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from imil.study.phrases import count
from imil.study.study_folder import TEST

Unit = tuple[int, int]  # seed, split


def span(numbers: Collection[int]) -> str:
    """The number, or from the smallest to the largest.

    >>> span([3, 3]), span([2, 3])
    ('3', '2 to 3')
    """
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def trainings(units: Sequence[Collection[Unit]]) -> str:
    """How often each arm was trained, from the units of each arm.

    >>> trainings([[(0, 0), (1, 0)], [(0, 0), (1, 0)]])
    '2 trainings per arm (2 seeds)'
    >>> trainings([[(0, 0), (0, 1), (1, 0), (1, 1)]])
    '4 trainings per arm (2 seeds × 2 splits)'
    """
    counts = [len(of) for of in units]
    said = f"{span(counts)} {'training' if max(counts) == 1 else 'trainings'} per arm"
    every = {unit for of in units for unit in of}
    seeds, splits = ({unit[i] for unit in every} for i in (0, 1))
    if max(counts) == 1:
        return said
    if len(splits) == 1:
        return f"{said} ({count(len(seeds), 'seed')})"
    return f"{said} ({count(len(seeds), 'seed')} × {count(len(splits), 'split')})"


def mean_of(units: Sequence[Collection[Unit]]) -> str:
    """What a curve or a bar stands for.

    >>> mean_of([[(0, 0)]]), mean_of([[(0, 0), (1, 0)]])
    ('one training per arm', 'the mean of 2 trainings per arm (2 seeds)')
    """
    if max(len(of) for of in units) == 1:
        return "one training per arm"
    return f"the mean of {trainings(units)}"


def band(units: Sequence[Collection[Unit]]) -> str:
    """What the bands are."""
    if max(len(of) for of in units) == 1:
        return "With one training per arm there are no bands."
    return "Bands run from the lowest to the highest training."


def fewer(units: Sequence[Collection[Unit]]) -> str:
    """What stands beside an arm of which not every training is done, or nothing.

    >>> fewer([[(0, 0)], [(0, 0)]])
    ''
    """
    if len({frozenset(of) for of in units}) == 1:
        return ""
    return (
        " Where an arm has fewer trainings, the baseline beside it has the same seeds and splits."
    )


def images(of: str, numbers: Collection[int]) -> str:
    """The images of a set.

    >>> images("test", [132]), images("external-montgomery", [138])
    ('the 132 test images', 'the 138 images of the external set montgomery')
    """
    if of == TEST:
        return f"the {span(numbers)} test images"
    return f"the {span(numbers)} images of the external set {of.removeprefix('external-')}"


def heading(title: str, of: str) -> str:
    """A figure's title; the test set goes without saying."""
    return title if of == TEST else f"{title}, external set {of.removeprefix('external-')}"


def stem(name: str, of: str) -> str:
    """A figure's name in files."""
    return name if of == TEST else f"{name}-{of}"
