"""Folders of images, read as the columns of a table."""

from __future__ import annotations

import re
from pathlib import Path

from imil.data.cell_text import clean
from imil.data.folder_entries import UNSUPPORTED, FolderTree, is_image, visible
from imil.data.table_columns import TextColumns
from imil.errors import DataError
from imil.images.load import SUFFIXES

# names of split folders, and of splits in a table
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
FILM_NAME = re.compile(r"(CHN|MCU)CXR_\d{4}_([01])", re.IGNORECASE)
FILM_CLASSES = ("normal", "TB")


def read_class_folders(folder: Path) -> TextColumns:
    """The columns `image` (paths from the folder), `label`, `class_name`, perhaps `split`.

    Args:
        folder: with a folder of images for each class; or with such folders in folders named
            train, val and test; or as Shenzhen and Montgomery are distributed (`CXR_png/`).
    Raises: DataError: it holds none of these, or something that would be mistaken for a class or
        left out silently.
    """
    for films in (folder / "CXR_png", folder):
        if films.name == "CXR_png" and films.is_dir():
            return _film_columns(films, folder)
    subfolders = _subfolders(folder)
    splits = [sub for sub in subfolders if sub.name.lower() in SPLITS]
    if splits:
        return _columns(folder, _classes_in_splits(folder, subfolders, splits))
    if subfolders and (tables := _tables(folder)):
        raise DataError(
            f"'{folder}' holds a table beside folders: give the table itself, {tables[0]}, or "
            "move it elsewhere if each folder is a class"
        )
    if subfolders:
        _refuse_loose_images(folder)
    return _columns(folder, [("", sub) for sub in subfolders])


def _classes_in_splits(
    folder: Path, subfolders: list[Path], splits: list[Path]
) -> list[tuple[str, Path]]:
    """The split and the folder of each class in each split folder."""
    other = next((sub for sub in subfolders if sub not in splits), None)
    if other is not None:
        raise DataError(
            f"'{other}' lies beside the split '{splits[0].name}': move it elsewhere, or give a "
            "table"
        )
    for outer in (folder, *splits):
        _refuse_loose_images(outer)
    return [(SPLITS[sub.name.lower()], one) for sub in splits for one in _subfolders(sub)]


def _columns(folder: Path, classes: list[tuple[str, Path]]) -> TextColumns:
    """One row per image, by split and class folder."""
    if not classes:
        raise DataError(f"'{folder}' has no folder of images for each class{_table_hint(folder)}")
    class_names = sorted({clean(sub.name) for _, sub in classes})
    label_of = {name: i for i, name in enumerate(class_names)}
    columns: TextColumns = {"image": [], "label": [], "class_name": [], "split": []}
    tree = FolderTree()
    for split, sub in classes:
        images = find_images(sub, tree)
        if not images:
            kinds = ", ".join(SUFFIXES)
            raise DataError(
                f"the class folder '{sub}' contains no image ({kinds}){_table_hint(folder)}"
            )
        for image in images:
            name = clean(sub.name)
            cells = (image.relative_to(folder).as_posix(), str(label_of[name]), name, split)
            for column, cell in zip(columns, cells, strict=True):
                columns[column].append(cell)
    if not any(columns["split"]):
        del columns["split"]
    return columns


def _refuse_loose_images(folder: Path) -> None:
    """Raises: DataError: images lie beside the folders, and would be left out."""
    for path in visible(folder):
        if path.is_file() and (path.suffix.lower() in UNSUPPORTED or is_image(path)):
            raise DataError(
                f"'{path}' lies beside the folders of the classes: move it into the folder of its "
                "class, or elsewhere"
            )


def _film_columns(films: Path, folder: Path) -> TextColumns:
    """The Shenzhen or Montgomery set, whose file names contain the label."""
    images = find_images(films)
    if not images:
        raise DataError(f"'{films}' contains no image: unpack the whole download")
    columns: TextColumns = {"image": [], "label": [], "class_name": []}
    for image in images:
        match = FILM_NAME.fullmatch(image.stem)
        if not match:
            raise DataError(
                f"'{image}' is not named as the Shenzhen and Montgomery films are "
                "(CHNCXR_0001_0.png, MCUCXR_0001_0.png): move it elsewhere"
            )
        columns["image"].append(image.relative_to(folder).as_posix())
        columns["label"].append(match[2])
        columns["class_name"].append(FILM_CLASSES[int(match[2])])
    return columns


def _subfolders(folder: Path) -> list[Path]:
    return [sub for sub in visible(folder) if sub.is_dir()]


def find_images(folder: Path, tree: FolderTree | None = None) -> list[Path]:
    """Every image in it, at any depth and behind links, without hidden files (`._a.png`).

    Args:
        folder: where to look.
        tree: the folders that are read already.
    Raises: DataError: it is a folder of masks, was read already, or holds something that cannot
        be read and is not known to be harmless.
    """
    tree = tree or FolderTree()
    tree.enter(folder)
    if "mask" in folder.name.lower():
        raise DataError(
            f"'{folder}' would be trained on as if it contained films: move the masks elsewhere, "
            "or give a table that names them in a column"
        )
    images: list[Path] = []
    for path in visible(folder):
        if path.is_dir():
            images += find_images(path, tree)
        elif is_image(path):
            _check_name(path)
            images.append(path)
    return images


def _check_name(path: Path) -> None:
    """Raises: DataError: a table cannot hold the path."""
    name = str(path)
    try:
        name.encode()
        is_valid = not any(end in name for end in "\r\n")
    except UnicodeEncodeError:  # from an archive in another encoding
        is_valid = False
    if not is_valid:
        raise DataError(
            f"the name {name!a} is not UTF-8, or has a line break: rename the file or folder"
        )


def _table_hint(folder: Path) -> str:
    """The end of a message, where the folder holds a table that may have been meant."""
    tables = _tables(folder)
    return f": give the table itself, {tables[0]}" if tables else ""


def _tables(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in (".csv", ".parquet"))
