"""The same image under two names, by the files' content: in two splits, or with two labels."""

from __future__ import annotations

from collections.abc import Sequence

from imil.data.near_duplicates import identical_files
from imil.data.table import Table
from imil.errors import DataError

ORDER = ("train", "val", "test")
SET_NAMES = {"train": "training", "val": "validation", "test": "test"}
IN_ERROR = 3  # pairs that an error names
IN_WARNING = 5  # pairs that a warning names


def check_identical_images(
    table: Table, contents: Sequence[str], split_of: Sequence[str]
) -> list[str]:
    """A sentence about images that are in one split twice, with one label; empty if there are none.

    Args:
        table: of N images.
        contents: N hashes of the files' contents; "" is not known.
        split_of: `train`, `val` or `test` of each.
    Raises: DataError: the same image has two labels, or is in two splits.
    """
    names = [f"'{key}'" for key in table.keys]
    classes = [table.class_names[label] for label in table.labels.tolist()]
    check_one_label(names, contents, classes)
    check_one_split(names, contents, split_of)
    return describe_identical(names, contents)


def check_one_label(names: Sequence[str], contents: Sequence[str], classes: Sequence[str]) -> None:
    """Check that equal images have equal labels.

    Args:
        names: N, as a message gives them.
        contents: N hashes of the files' contents.
        classes: N names of classes.
    Raises: DataError: the same image has two labels.
    """
    pairs = []
    for rows in _groups(contents):
        other = next((i for i in rows if classes[i] != classes[rows[0]]), None)
        if other is not None:
            pairs.append(
                f"{names[rows[0]]} is {classes[rows[0]]} and {names[other]} is {classes[other]}"
            )
    if pairs:
        raise DataError(
            f"the same image has two labels under two names ({_some(pairs)}): keep the right one"
        )


def check_one_split(
    names: Sequence[str],
    contents: Sequence[str],
    split_of: Sequence[str],
    number: int | None = None,
) -> None:
    """Check that equal images are in one split.

    Args:
        names: N, as a message gives them.
        contents: N hashes of the files' contents.
        split_of: `train`, `val` or `test` of each.
        number: which of several splits of the data it is.
    Raises: DataError: the same image is in two.
    """
    of = "" if number is None else f" of split {number}"
    pairs = []
    for rows in _groups(contents):
        first_in: dict[str, int] = {}
        for i in rows:
            first_in.setdefault(split_of[i], i)
        if len(first_in) > 1:
            # the first and the last: of three, training and test
            *_, last = here = sorted(first_in, key=ORDER.index)
            sets = f"in the {SET_NAMES[here[0]]} and the {SET_NAMES[last]} set"
            pairs.append(f"{names[first_in[here[0]]]} and {names[first_in[last]]}, {sets}{of}")
    if pairs:
        raise DataError(
            f"the same image is in two splits under two names ({_some(pairs)}): "
            "remove one of the two, or, where the split is drawn, give both the same patient"
        )


def describe_identical(names: Sequence[str], contents: Sequence[str]) -> list[str]:
    """A sentence about images that occur more than once; empty if there are none.

    Args:
        names: N, as a message gives them.
        contents: N hashes of the files' contents, which passed the checks.
    """
    groups = _groups(contents)
    if not groups:
        return []
    pairs = ", ".join(f"{names[i]} and {names[j]}" for i, j, *_ in groups[:IN_WARNING])
    what = "1 image occurs" if len(groups) == 1 else f"{len(groups)} images occur"
    return [f"{what} more than once, never in two splits: {pairs}"]


def _groups(contents: Sequence[str]) -> list[tuple[int, ...]]:
    """Rows of equal files; a content that is not known equals no other."""
    return [rows for rows in identical_files(contents) if contents[rows[0]]]


def _some(pairs: Sequence[str]) -> str:
    more = f"; and {len(pairs) - IN_ERROR} more" if len(pairs) > IN_ERROR else ""
    return "; ".join(pairs[:IN_ERROR]) + more
