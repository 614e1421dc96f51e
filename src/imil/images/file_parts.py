"""Names of images within a file of several: `us.dcm#frame=3`, `ct.nii.gz#slice=40`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

NAME = re.compile(r"(.+)#(frame|slice|slices)=(\d{1,6})(?:-(\d{1,6}))?", re.DOTALL)


@dataclass(frozen=True)
class FilePart:
    """An image within a file.

    Args:
        kind: `frame`, `slice`, or `slices` for neighbours as channels.
        first: its number, as the name gives it.
        last: of neighbours, the last; otherwise as `first`.
    """

    kind: str
    first: int
    last: int

    def __str__(self) -> str:
        """As in a name.

        >>> str(FilePart("slices", 3, 5)), str(FilePart("frame", 2, 2))
        ('slices=3-5', 'frame=2')
        """
        numbers = f"{self.first}-{self.last}" if self.kind == "slices" else f"{self.first}"
        return f"{self.kind}={numbers}"


def shown_part(path: Path) -> Path:
    """The name of what a reader is shown: of neighbours as channels, the one in the middle.

    >>> shown_part(Path("ct.nii.gz#slices=39-41")).name
    'ct.nii.gz#slice=40'
    """
    file, part = split_part(path)
    if part is None or part.kind != "slices":
        return path
    return file.with_name(f"{file.name}#slice={(part.first + part.last) // 2}")


def split_part(path: str | os.PathLike[str]) -> tuple[Path, FilePart | None]:
    """The file that a name belongs to, and the image within it; None if it is the whole file.

    A file that is called so is a file.

    >>> split_part("a/us.dcm#frame=3")
    (PosixPath('a/us.dcm'), FilePart(kind='frame', first=3, last=3))
    >>> split_part("a/#1.png")
    (PosixPath('a/#1.png'), None)
    """
    name = os.fspath(path)
    match = NAME.fullmatch(name) if "#" in name else None
    if match is None or (match[2] == "slices") != (match[4] is not None) or Path(name).exists():
        return Path(name), None
    first, last = int(match[3]), int(match[4] or match[3])
    return Path(match[1]), FilePart(match[2], first, last)
