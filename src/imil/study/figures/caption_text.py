"""Sentences that captions share."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from imil.study.phrases import count
from imil.study.study_folder import TEST

Unit = tuple[int, int]  # seed, split


def number_range(numbers: Collection[int]) -> str:
    """The number, or the range from the smallest to the largest.

    >>> number_range([3, 3]), number_range([2, 3])
    ('3', '2 to 3')
    """
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def trainings(units: Sequence[Collection[Unit]]) -> str:
    """The number of trainings per arm, from the units of each arm.

    >>> trainings([[(0, 0), (1, 0)], [(0, 0), (1, 0)]])
    '2 trainings per arm (2 seeds)'
    >>> trainings([[(0, 0), (0, 1), (1, 0), (1, 1)]])
    '4 trainings per arm (2 seeds × 2 splits)'
    """
    counts = [len(arm_units) for arm_units in units]
    text = f"{number_range(counts)} {'training' if max(counts) == 1 else 'trainings'} per arm"
    distinct = {unit for arm_units in units for unit in arm_units}
    seeds, splits = ({unit[i] for unit in distinct} for i in (0, 1))
    if max(counts) == 1:
        return text
    if len(splits) == 1:
        return f"{text} ({count(len(seeds), 'seed')})"
    return f"{text} ({count(len(seeds), 'seed')} × {count(len(splits), 'split')})"


def mean_of_trainings(units: Sequence[Collection[Unit]]) -> str:
    """What a curve or a bar shows.

    >>> mean_of_trainings([[(0, 0)]]), mean_of_trainings([[(0, 0), (1, 0)]])
    ('one training per arm', 'the mean of 2 trainings per arm (2 seeds)')
    """
    if max(map(len, units)) == 1:
        return "one training per arm"
    return f"the mean of {trainings(units)}"


def band_sentence(units: Sequence[Collection[Unit]]) -> str:
    """What the bands show."""
    if max(map(len, units)) == 1:
        return "With one training per arm there are no bands."
    return "Bands run from the lowest to the highest training."


def fewer_trainings_sentence(units: Sequence[Collection[Unit]]) -> str:
    """How arms with fewer trainings are compared, or nothing.

    >>> fewer_trainings_sentence([[(0, 0)], [(0, 0)]])
    ''
    """
    if len({frozenset(arm_units) for arm_units in units}) == 1:
        return ""
    return (
        " Where an arm has fewer trainings, it is compared with the baseline of the same seeds and "
        "splits."
    )


def images_in_words(set_name: str, numbers: Collection[int]) -> str:
    """The images of a set.

    >>> images_in_words("test", [132]), images_in_words("external-montgomery", [138])
    ('the 132 test images', 'the 138 images of the external set montgomery')
    """
    if set_name == TEST:
        return f"the {number_range(numbers)} test images"
    name = set_name.removeprefix("external-")
    return f"the {number_range(numbers)} images of the external set {name}"


def figure_title(title: str, set_name: str) -> str:
    """A figure's title; the external set is named."""
    return (
        title if set_name == TEST else f"{title}, external set {set_name.removeprefix('external-')}"
    )


def file_stem(name: str, set_name: str) -> str:
    """The name of a figure's files."""
    return name if set_name == TEST else f"{name}-{set_name}"
