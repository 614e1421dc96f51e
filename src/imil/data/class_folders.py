"""Folders of images, as the columns that a table of them would have."""

from __future__ import annotations

import re
from pathlib import Path

from imil.data.table_columns import TextColumns
from imil.errors import DataError
from imil.images.load import SUFFIXES

# images that are not read: who has them beside others should know
OTHERS = (".bmp", ".dcm", ".gif", ".jp2", ".nii", ".npy", ".webp")
# a set that was divided before us: one word for each way to write it
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
# Shenzhen: CHNCXR_0001_0.png; Montgomery: MCUCXR_0001_0.png; the last digit is the label
FILM = re.compile(r"(CHN|MCU)CXR_\d{4}_([01])", re.IGNORECASE)
FILM_CLASSES = ("normal", "TB")


def read_folder(folder: Path) -> TextColumns:
    """The columns `image` (paths from the folder), `label`, `class_name`, perhaps `split`.

    Args:
        folder: with a folder of images for each class; or with such folders in folders named
            train, val and test; or as Shenzhen and Montgomery are distributed (`CXR_png/`).
    Raises: DataError: it holds none of these, or something that would be taken for a class or
        left out without a word.
    """
    for films in (folder / "CXR_png", folder):
        if films.name == "CXR_png" and films.is_dir():
            return _films(films, folder)
    inside = _folders(folder)
    splits = [sub for sub in inside if sub.name.lower() in SPLITS]
    if splits:
        odd = next((sub for sub in inside if sub not in splits), None)
        if odd is not None:
            raise DataError(
                f"'{odd}' lies beside the split '{splits[0].name}': take it out, or give a table"
            )
        for outer in (folder, *splits):
            _refuse_images(outer)
        return _columns(
            folder, [(SPLITS[sub.name.lower()], c) for sub in splits for c in _folders(sub)]
        )
    if inside and (tables := _tables(folder)):
        raise DataError(
            f"'{folder}' holds a table beside folders: give the table itself, {tables[0]}, or "
            "move it elsewhere if each folder is a class"
        )
    if inside:
        _refuse_images(folder)
    return _columns(folder, [("", sub) for sub in inside])


def _columns(folder: Path, classes: list[tuple[str, Path]]) -> TextColumns:
    """One row an image, by split and class folder."""
    if not classes:
        raise DataError(f"'{folder}' has no folder of images for each class{_hint(folder)}")
    number = {name: i for i, name in enumerate(sorted({sub.name for _, sub in classes}))}
    columns: TextColumns = {"image": [], "label": [], "class_name": [], "split": []}
    for split, sub in classes:
        images = _images(sub)
        if not images:
            kinds = ", ".join(SUFFIXES)
            raise DataError(f"the class folder '{sub}' holds no image ({kinds}){_hint(folder)}")
        for image in images:
            cells = (image.relative_to(folder).as_posix(), str(number[sub.name]), sub.name, split)
            for name, cell in zip(columns, cells, strict=True):
                columns[name].append(cell)
    if not any(columns["split"]):
        del columns["split"]
    return columns


def _refuse_images(folder: Path) -> None:
    """Raises: DataError: images lie beside its folders, and would be left out."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix.lower() in (*SUFFIXES, *OTHERS) and not _hidden(path):
            raise DataError(
                f"'{path}' lies beside folders of images, in none of them: move it into the folder "
                "of its class, or take it out"
            )


def _films(films: Path, folder: Path) -> TextColumns:
    """The Shenzhen or Montgomery set; the file's name carries the label."""
    images = _images(films)
    if not images:
        raise DataError(f"'{films}' holds no image: unpack the whole download")
    columns: TextColumns = {"image": [], "label": [], "class_name": []}
    for image in images:
        match = FILM.fullmatch(image.stem)
        if not match:
            raise DataError(
                f"'{image}' is not named as the Shenzhen and Montgomery films are "
                "(CHNCXR_0001_0.png, MCUCXR_0001_0.png): move it elsewhere"
            )
        columns["image"].append(image.relative_to(folder).as_posix())
        columns["label"].append(match[2])
        columns["class_name"].append(FILM_CLASSES[int(match[2])])
    return columns


def _folders(folder: Path) -> list[Path]:
    return sorted(sub for sub in folder.iterdir() if sub.is_dir() and not _hidden(sub))


def _images(folder: Path) -> list[Path]:
    """Every image in it, however deep; not what computers leave there (`._a.png`, Thumbs.db)."""
    if "mask" in folder.name.lower():
        raise DataError(
            f"'{folder}' would be trained on as if it held films: move the masks elsewhere, or "
            "give a table that names them in a column"
        )
    inside = sorted(path for path in folder.iterdir() if not _hidden(path))
    found: list[Path] = []
    for path in inside:
        if path.suffix.lower() in OTHERS:
            raise DataError(
                f"'{path}' is no {', '.join(SUFFIXES)}: save it as one of these, or take it out"
            )
        if path.suffix.lower() in SUFFIXES and path.is_file():
            _check_name(path)
            found.append(path)
        elif path.is_dir() and not path.is_symlink():  # a link may lead in a circle
            found += _images(path)
    return found


def _check_name(path: Path) -> None:
    """Raises: DataError: a table cannot hold the path."""
    name = str(path)
    try:
        name.encode()
        good = not any(end in name for end in "\r\n")
    except UnicodeEncodeError:  # of an archive in another encoding
        good = False
    if not good:
        raise DataError(
            f"the name {name!a} is not in UTF-8, or has a line break: rename file or folder"
        )


def _hidden(path: Path) -> bool:
    return path.name.startswith((".", "__"))


def _hint(folder: Path) -> str:
    """What was perhaps meant."""
    tables = _tables(folder)
    return f": give the table itself, {tables[0]}" if tables else ""


def _tables(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in (".csv", ".parquet"))
