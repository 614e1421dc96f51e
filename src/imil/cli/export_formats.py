"""What `imil export` writes in each format."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from imil.atomic_files import atomic_write
from imil.errors import DataError, ImilError, SettingsError
from imil.exports.answers import Answer, answers, check_images
from imil.exports.coco import as_coco
from imil.exports.fiftyone import write_fiftyone
from imil.exports.label_studio import PREFIX, as_label_studio
from imil.exports.masks import check_nibabel, write_masks
from imil.output_text import log_line, terminal_text
from imil.reading_export import (
    as_csv,
    as_json,
    as_parquet,
    columns_of,
    export_rows,
    record_export,
    unanswered_looks,
)
from imil.run_folder import RunFolder
from imil.run_store import run_store
from imil.store import Store
from imil.store.find_run import find_run
from imil.suspects import SUSPECT_COLUMNS, suspects

TABLES = ("csv", "json", "parquet")
DICOM = ("dicom-seg", "dicom-sr")
FOLDERS = ("fiftyone", "masks-png", "masks-nifti", "images", *DICOM)


@dataclass(frozen=True)
class Request:
    """What a person asked `imil export` for; the names are those of its options."""

    source: str
    as_: str
    out: Path | None
    run: str | None = None
    image_prefix: str | None = None
    suspected: bool = False
    full_size: bool = False
    cache: Path | None = None
    to: str | None = None


def write_export(request: Request) -> str:
    """Write what was asked for; returns the lines for the person who asked.

    Raises: SettingsError, DataError, StoreError: it cannot be written, or options do not fit.
    """
    if request.to is not None and request.out is None and request.as_ in DICOM:
        with TemporaryDirectory() as folder:
            return write_export(replace(request, out=Path(folder)))
    _check(request)
    if request.as_ == "images":
        return _images(request)
    found = run_store(request.source)
    store = Store(found.place, readonly=True)
    what = "suspected label errors" if request.suspected else "readings"
    try:
        name = find_run(store, request.run or found.run)
        content: str | bytes | None
        if request.suspected:
            content, count = _suspects(store, name, request.as_)
        elif request.as_ in TABLES:
            content, count = _table(store, name, request.as_)
        else:
            given = answers(store, name)
            content, count = _marks(given, name, request), len(given)
        record_export(store, name, "owner", f"{what}, as {request.as_}")
        unanswered = 0 if request.suspected else unanswered_looks(store, name)
    finally:
        store.close()
    lines = []
    if request.out is None:
        assert isinstance(content, str)
        sys.stdout.write(terminal_text(content) if sys.stdout.isatty() else content)
    else:
        if content is not None:
            with atomic_write(request.out) as half:
                half.write_bytes(content.encode() if isinstance(content, str) else content)
        where = request.out if request.to is None else request.to
        if request.to is not None:
            from imil.data.dicomweb import store_files

            files = sorted(request.out.glob("*.dcm"))
            store_files(request.to, files)
            count = len(files)
        lines.append(f"{count} {what} of {name} are in {where}.")
    if unanswered:
        lines.append(f"First looks without an answer, not in the table: {unanswered}")
    return "".join(f"{log_line(line)}\n" for line in lines)


def _check(request: Request) -> None:
    """Raises: SettingsError, DataError: an option is missing, or has no effect."""
    kind, out = request.as_, request.out
    if out is None and kind in (*FOLDERS, "parquet"):
        what = "folder" if kind in FOLDERS else "file"
        raise SettingsError(f"--as {kind} is not text: name the {what} to write with --out")
    exists = out is not None and kind in FOLDERS and out.exists()
    if out is not None and exists and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(f"--out {out} is not an empty folder: give a new one")
    if request.image_prefix is not None and kind != "label-studio":
        raise SettingsError(
            f"--image-prefix has no effect with --as {kind}: give --as label-studio, or leave it "
            "out"
        )
    if request.suspected and kind not in ("csv", "json"):
        raise SettingsError(
            f"--suspects is a table, and --as {kind} is none: give --as csv or json, or leave it "
            "out"
        )
    if request.to is not None:
        if kind not in DICOM:
            raise SettingsError(
                f"--to stores DICOM objects, and --as {kind} is none: give --as dicom-seg or "
                "dicom-sr, or leave it out"
            )
        from imil.data.dicomweb import server_url

        server_url(request.to)
    if request.full_size and kind != "images":
        raise SettingsError(
            f"--full-size has no effect with --as {kind}: give --as images, or leave it out"
        )
    if kind == "masks-nifti":
        check_nibabel()
    if kind in DICOM:
        from imil.exports.dicom_objects import check_highdicom  # here: it needs pydicom

        check_highdicom()


def _table(store: Store, name: str, kind: str) -> tuple[str | bytes, int]:
    rows = export_rows(store, name)
    if kind == "parquet":
        return as_parquet(rows), len(rows)
    text = as_csv(rows, columns_of(rows)) if kind == "csv" else as_json(rows)
    return text, len(rows)


def _suspects(store: Store, name: str, kind: str) -> tuple[str, int]:
    rows = suspects(store, name)
    return (as_csv(rows, SUSPECT_COLUMNS) if kind == "csv" else as_json(rows)), len(rows)


def _marks(given: list[Answer], name: str, request: Request) -> str | None:
    """The text of a file; None where a folder was written."""
    if request.as_ != "masks-nifti":
        check_images(given, request.as_)
    if request.as_ == "coco":
        return as_coco(given, name)
    if request.as_ == "label-studio":
        prefix = PREFIX if request.image_prefix is None else request.image_prefix
        return as_label_studio(given, prefix=prefix)
    assert request.out is not None
    if request.as_ in DICOM:
        from imil.exports.dicom_objects import write_dicom_objects

        write_dicom_objects(given, request.out, _dicom_kind(request.as_), _files(request.source))
    elif request.as_ == "fiftyone":
        write_fiftyone(given, request.out, _files(request.source))
    else:
        png = request.as_ == "masks-png"
        files = {} if png else _files(request.source)
        write_masks(given, request.out, "png" if png else "nifti", files)
    return None


def _dicom_kind(kind: str) -> Literal["dicom-seg", "dicom-sr"]:
    return "dicom-seg" if kind == "dicom-seg" else "dicom-sr"


def _files(source: str) -> dict[str, Path]:
    """Key of each sample to its file; empty where the run's data cannot be found."""
    from imil.data.table import read_data
    from imil.data.worklist_table import worklist_files
    from imil.settings import load_config, resolve

    path = Path(source)
    folder = RunFolder(path if path.is_dir() else path.parent)
    with suppress(ImilError):  # FiftyOne then asks for the images by their keys
        if found := worklist_files(folder.path):
            return found
        settings = resolve(load_config(folder.config))
        table = read_data(Path(settings.data), settings.columns())
        return {key: path.absolute() for key, path in zip(table.keys, table.images, strict=True)}
    return {}


def _images(request: Request) -> str:
    folder = RunFolder(Path(request.source))
    if request.run is not None or not (folder.config.exists() and folder.splits.exists()):
        raise DataError(
            f"--as images needs the folder of one run, and {request.source} is none: give a folder "
            "that `imil train` made, and no --run"
        )
    from imil.data.image_cache import cache_folder
    from imil.settings import load_config, resolve
    from imil.training.outputs.corrected_images import corrected_images, write_corrected_images
    from imil.training.samples.prepared_data import prepare

    settings = resolve(load_config(folder.config))
    quiet = lambda _done, _all: None  # noqa: E731 - a name for what does nothing
    data = prepare(settings, folder, cache=cache_folder(request.cache), progress=quiet)
    found = run_store(request.source)
    store = None if found.is_missing else Store(found.place, readonly=True)
    try:
        images = corrected_images(data, store, found.run or folder.name)
    finally:
        if store is not None:
            store.close()
    assert request.out is not None
    count = write_corrected_images(images, request.out, full_size=request.full_size, progress=quiet)
    if store is not None:
        record_export(store, found.run or folder.name, "owner", "images, corrected")
    text = f"{len(data.table)} images are in {request.out}, {count} of them corrected.\n"
    if count and settings.treatment != "imil":
        text += (
            f"The run's treatment is {settings.treatment}; the files have the blackout of the "
            "readings, as in the paper.\n"
        )
    return "".join(f"{log_line(line)}\n" for line in text.splitlines())
