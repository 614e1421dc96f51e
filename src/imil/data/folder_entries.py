"""What lies in a folder of images: nothing is left out that is not known to be no image."""

from __future__ import annotations

from pathlib import Path

from imil.errors import DataError
from imil.images.load import DICOM_MARK, SUFFIXES

# image formats that are not supported: an error, lest they be left out silently
UNSUPPORTED = (".bmp", ".gif", ".jp2", ".nii", ".npy", ".webp")
# the first bytes of PNG, JPEG and TIFF (both byte orders, classic and BigTIFF)
MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# files that no image is in, by name and by suffix
HARMLESS_NAMES = {
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
    *("readme", "license", "licence", "copying", "citation", "authors", "changelog", "notice"),
    "dicomdir",  # lists the DICOM files of a medium, which are found themselves
    *("md5sum", "md5sums", "sha1sums", "sha256sums", "makefile", "dvc.lock"),
}
HARMLESS_SUFFIXES = {
    *(".txt", ".md", ".rst", ".html", ".htm", ".pdf", ".doc", ".docx", ".rtf", ".odt", ".log"),
    *(".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".cff", ".bib"),
    *(".csv", ".tsv", ".xls", ".xlsx", ".ods", ".parquet", ".pq"),
    *(".py", ".ipynb", ".r", ".m", ".sh", ".md5", ".sha1", ".sha256", ".dvc"),
}


def is_hidden(path: Path) -> bool:
    """Whether the system or a program put it there: `.DS_Store`, `._a.png`, `__MACOSX`."""
    return path.name.startswith((".", "__"))


def visible(folder: Path) -> list[Path]:
    """The entries that are not hidden, sorted.

    Raises: DataError: one is a link to nothing, or neither a file nor a folder.
    """
    entries = sorted(path for path in folder.iterdir() if not is_hidden(path))
    for path in entries:
        if path.is_symlink() and not path.exists():
            raise DataError(
                f"'{path}' is a link to '{path.readlink()}', which cannot be followed: fetch the "
                "file (such as with git annex get or dvc pull), or remove the link"
            )
        if not (path.is_file() or path.is_dir()):
            raise DataError(f"'{path}' is neither a file nor a folder: move it elsewhere")
    return entries


def is_image(path: Path) -> bool:
    """Whether a file is an image, by its suffix or else by its content; False if it is harmless.

    Raises: DataError: it is an image that is not supported, or unknown.
    """
    name, suffix = path.name.lower(), path.suffix.lower()
    if suffix in UNSUPPORTED or name.endswith(".nii.gz"):
        raise DataError(
            f"'{path}' has an unsupported format: save it as one of {', '.join(SUFFIXES)}, or "
            "move it elsewhere"
        )
    if suffix in SUFFIXES:
        return True
    if name in HARMLESS_NAMES:
        return False
    if _starts_as_image(path):
        return True
    if suffix in HARMLESS_SUFFIXES:
        return False
    raise DataError(
        f"'{path}' is not a PNG, JPEG, TIFF or DICOM, and may be what must not be left out: "
        "save it as one of those, or move it elsewhere"
    )


def _starts_as_image(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(132)
            return start.startswith(MAGIC) or start[128:] == DICOM_MARK
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror or error}") from error


class FolderTree:
    """Folders that were entered, so that each is entered once, whatever the links."""

    def __init__(self) -> None:
        self._entered: dict[Path, Path] = {}

    def enter(self, folder: Path) -> None:
        """Note that the folder is read.

        Raises: DataError: it has been read already, under another name.
        """
        first = self._entered.setdefault(folder.resolve(), folder)
        if first != folder:
            raise DataError(
                f"'{first}' and '{folder}' are the same folder, and its images would be read "
                "twice: remove the link"
            )
