"""A round of a trained model's disagreements with a report, apart from any training."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from imil.atomic_files import atomic_write, write_json
from imil.cases import Case, Reader, Round, RoundSettings
from imil.data.image_cache import cache_folder
from imil.data.reports.report import Report
from imil.data.worklist_table import TABLE
from imil.errors import SettingsError
from imil.grid import Grid
from imil.library_versions import versions
from imil.output_text import write_csv
from imil.permissions import folder_mode
from imil.predictions import Predictions
from imil.pytorch import TorchModel
from imil.readers.spec import ReaderSpec
from imil.rounds import make_cases
from imil.run_folder import RunFolder
from imil.store import Store
from imil.store import round_state as states
from imil.training.discrepancy_folder import EPOCH, RECORD, finished_run
from imil.training.hardware.device import training_device
from imil.training.reader_factory import make_reader
from imil.training.samples.prepared_data import Prepared, decode_table
from imil.training.trained_model import read_model
from imil.training.worklist import read_worklist

BATCH = 64
WEB = ReaderSpec("web")


@dataclass(frozen=True)
class Request:
    """What `imil round open` is asked for.

    Args:
        model: the folder of a finished run.
        data: a folder or a table of images.
        report: the final labels.
        out: a new folder.
        num_outliers: the most cases.
        grid_size: None: as in the run.
        reader: who reads now; `web`: the round stays open for the reading room.
    """

    model: Path
    data: Path
    report: Report
    out: Path
    num_outliers: int
    grid_size: str | None = None
    reader: ReaderSpec = WEB
    reader_name: str = "reader"
    seed: int = 0
    image_column: str = "image"
    device: str = "auto"
    cache: Path | None = None


def open_discrepancies(request: Request, say: Callable[[str], None]) -> Round | None:
    """Open a round of the images for which model and report differ, the surest ones first.

    The folder gets a store, `worklist.csv` with every prediction, and a record of what it was made
    from. With a reader other than `web` the round is read and closed.

    Returns: None where model and report agree on every image; then nothing is written.
    Raises: DataError, SettingsError: something given cannot be used.
    """
    folder, settings = finished_run(request.model)
    if request.out.exists() and (not request.out.is_dir() or any(request.out.iterdir())):
        raise SettingsError(f"'{request.out}' is not an empty folder: give another --out")
    trained = read_model(folder.weights)
    worklist = read_worklist(
        request.data,
        request.report,
        trained.description.class_names,
        image_column=request.image_column,
    )
    for note in request.report.notes:
        say(note)
    if worklist.unused:
        say(f"{worklist.unused} reports have no image in the worklist, and are left out.")
    if worklist.unreported:
        say(
            f"{len(worklist.unreported)} images have no row in the report and are left out, "
            f"'{worklist.unreported[0]}' the first."
        )
    data = decode_table(
        worklist.table,
        settings,
        cache=cache_folder(request.cache),
        progress=lambda _done, _total: None,
    )
    data = replace(data, split_of=("train",) * len(data.table))
    module = trained.module.to(training_device(request.device))
    model = TorchModel(module, batch_size=BATCH, outputs="logits")
    samples = data.samples("train")
    predictions = model.predict(samples)
    differ = _differing(predictions)
    say(f"Model and report differ on {len(differ)} of {len(data.table)} images.")
    if not differ:
        return None
    grid = Grid.parse(request.grid_size or settings.grid_size)
    chosen = differ[: request.num_outliers]
    round_settings = RoundSettings(len(chosen), grid, "discrepancies", seed=request.seed)
    name = request.out.resolve().name
    cases = make_cases(model, samples, predictions, chosen, name, EPOCH, round_settings)
    reader = _reader(request, data)  # before anything is written: it may lack masks
    return _write(request, folder, data, predictions, cases, round_settings, reader)


def _differing(predictions: Predictions) -> list[int]:
    """Positions where prediction and label differ, the highest confidence first."""
    wrong = np.flatnonzero(predictions.predicted != predictions.labels)
    confidence = predictions.probs.max(axis=1)[wrong]
    return [int(i) for i in wrong[np.argsort(-confidence, kind="stable")]]


def _reader(request: Request, data: Prepared) -> Reader | None:
    """The reader who reads at once; None: the round stays open."""
    if request.reader.kind == "web":
        return None
    return make_reader(
        request.reader,
        reader_name=request.reader_name,
        seed=request.seed,
        data=data,
        folder=request.out / "cases",
    )


def _write(
    request: Request,
    folder: RunFolder,
    data: Prepared,
    predictions: Predictions,
    cases: list[Case],
    settings: RoundSettings,
    reader: Reader | None,
) -> Round:
    out = request.out
    out.mkdir(folder_mode(), parents=True, exist_ok=True)
    _write_predictions(out / TABLE, data, predictions)
    run = cases[0].run
    with closing(Store(RunFolder(out).store)) as store:
        recorded = {"model": str(folder.path.absolute()), "data": str(request.data.absolute())}
        names = data.class_names
        store.add_run(run, class_names=names, settings=recorded, versions=versions())
        round_ = store.open_round(run, EPOCH, settings, cases)
        write_json(out / RECORD, recorded)
        if reader is not None:
            for reading in reader(store.cases(round_.id)):
                store.add(reading)
            state = states.close_if_over(store, round_, at_page=False)
            round_ = replace(round_, state=state)
    return round_


def _write_predictions(path: Path, data: Prepared, predictions: Predictions) -> None:
    """A row for each image: path, key, label of the report, prediction, confidence, masks."""
    table, names = data.table, data.class_names
    heads = ["image", "key", "label", "predicted", "confidence", "differs", *table.masks]
    rows, masks_of = [], list(table.masks.values())
    for i, (image, key) in enumerate(zip(table.images, table.keys, strict=True)):
        label, predicted = int(predictions.labels[i]), int(predictions.predicted[i])
        sure = f"{float(predictions.probs[i].max()):.6f}"
        masks = ["" if (mask := one[i]) is None else str(mask.absolute()) for one in masks_of]
        differs = "yes" if label != predicted else "no"
        shown = [names[label], names[predicted], sure, differs]
        rows.append([str(image.absolute()), key, *shown, *masks])
    with atomic_write(path) as half, half.open("w", encoding="utf-8", newline="") as file:
        write_csv(file, [heads, *rows])
