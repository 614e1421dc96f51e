"""What a report says of images: labels, by what names the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imil.errors import DataError

IMAGE = "image"  # stands for a path or a file name; otherwise a keyword of `NAMED_BY`
Name = tuple[str, str]  # IMAGE or a keyword, and its value


@dataclass(frozen=True)
class Entry:
    """A label, and the images that it is for.

    Args:
        names: an image is meant that has one of them.
        label: as the report has it, or as a table of codes translates it.
    """

    names: tuple[Name, ...]
    label: str


@dataclass(frozen=True)
class Report:
    """Entries of a report.

    Args:
        source: its file or folder.
        entries: in the order of the source.
        what: an entry is: `row` or `report`.
        complete: every entry must have an image; otherwise entries without one are left out.
        notes: on what was left out, a sentence each.
    """

    source: Path
    entries: tuple[Entry, ...]
    what: str
    complete: bool
    notes: tuple[str, ...] = ()

    @property
    def keywords(self) -> frozenset[str]:
        """What images are named by."""
        return frozenset(keyword for entry in self.entries for keyword, _ in entry.names)

    def by_name(self) -> dict[Name, int]:
        """The number of the entry, from 0, of each name.

        Raises: DataError: two entries are of the same image, and rows of a table or of different
            labels.
        """
        numbers: dict[Name, int] = {}
        for number, entry in enumerate(self.entries):
            for name in entry.names:
                first = numbers.setdefault(name, number)
                label = self.entries[first].label
                if first != number and (self.complete or label != entry.label):
                    raise DataError(
                        f"'{self.source}' has two {self.what}s of one image, '{entry.label}' in "
                        f"{self.what} {number + 1} and '{label}' in {self.what} {first + 1}: give "
                        "each image once"
                    )
        return numbers


def final_reports(source: Path, entries: Sequence[Entry], drafts: int, unknown: int) -> Report:
    """The report of several clinical ones, with notes on those that were left out.

    Args:
        drafts: reports that are not final.
        unknown: final ones without a code of the table.
    Raises: DataError: none is left.
    """
    left_out = ((drafts, "not final"), (unknown, "without a code of the table"))
    notes = [f"{count} reports are {why}, and left out." for count, why in left_out if count]
    if not entries:
        raise DataError(f"'{source}' has no final report with a code. {' '.join(notes)}".strip())
    report = Report(source, tuple(entries), "report", complete=False, notes=tuple(notes))
    report.by_name()
    return report
