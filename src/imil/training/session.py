"""A person's session with a run: starting it, going on with it, and what they are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from imil.cases import Reader
from imil.errors import ImilError, SettingsError
from imil.store import Store
from imil.training.asking import make_reader, reading_room
from imil.training.cache import cache_folder
from imil.training.data import Prepared, prepare
from imil.training.device import training_device
from imil.training.folder import RunFolder, replacing
from imil.training.run import Run
from imil.training.settings import TrainSettings, load_config, resolve
from imil.training.tables import how_sure, result_table

Room = Callable[[Run, Store, Console], AbstractContextManager[Reader]]


def settle(
    flags: Mapping[str, Any], config: Path | None, out: Path | None
) -> tuple[TrainSettings, RunFolder]:
    """The resolved settings and the new run's folder.

    Raises: SettingsError: a setting is wrong, or the folder holds a run already.
    """
    settings = resolve(_absolute(flags, config))
    folder = RunFolder(out or _free(Path("runs"), settings))
    if folder.config.exists():
        raise SettingsError(_taken(folder, settings))
    if folder.path.exists() and not folder.path.is_dir():
        raise SettingsError(f"--out {folder.path} is a file: give a folder")
    if folder.path.is_dir() and any(p.name != ".lock" for p in folder.path.iterdir()):
        raise SettingsError(f"--out {folder.path} is not empty: give a new folder")
    return settings, folder


def new_run(
    settings: TrainSettings,
    folder: RunFolder,
    cache: Path | None,
    *,
    room: Room = reading_room,
) -> dict[str, Any]:
    """Train from the start; returns the metrics. `room` opens the web reader's reading room."""
    console = Console()
    with folder.held():
        with replacing(folder.config) as half:  # first: from here on the run can be resumed
            settings.write(half)
        try:
            data = _prepare(settings, folder, cache, console)
            run = Run(folder, settings, data, console)
            reader = _reader(run)
        except ImilError:
            folder.clear()  # nothing was trained: the next try finds it as it was
            raise
        console.print(f"[bold]{folder.path}[/bold]: {_summary(settings, data)}")
        return _train(run, reader, console, room)


def continue_run(path: Path, reader: str | None, cache: Path | None) -> dict[str, Any] | None:
    """Go on with a run; returns the metrics, or None where nothing is left to do.

    Raises: SettingsError: there is no run in that folder.
    """
    folder, console = RunFolder(path), Console()
    if not folder.config.exists():
        raise SettingsError(f"there is no run in {path}: name a folder that `imil train` made")
    with folder.held():
        if folder.metrics.exists():
            console.print(f"{path} is finished: see {folder.metrics}")
            return None
        settings = resolve({**load_config(folder.config), **_given(reader)})
        data = _prepare(settings, folder, cache, console)
        console.print(f"[bold]{path}[/bold] goes on: {_summary(settings, data)}")
        run = Run(folder, settings, data, console)
        return _train(run, _reader(run), console, reading_room)


def _absolute(flags: Mapping[str, Any], config: Path | None) -> dict[str, Any]:
    """The flags with the paths of files in full: a run can be resumed from anywhere."""
    values = ({} if config is None else load_config(config)) | dict(flags)
    if "data" in values:
        values["data"] = str(Path(values["data"]).absolute())
    if values.get("weights", "none") not in ("none", "imagenet"):
        values["weights"] = str(Path(values["weights"]).absolute())
    kind, _, file = str(values.get("reader", "")).partition(":")
    if kind == "replay" and file:
        values["reader"] = f"replay:{Path(file).absolute()}"
    return values


def _given(reader: str | None) -> dict[str, str]:
    return {} if reader is None else {"reader": reader}


def _reader(run: Run) -> Reader | None:
    """The reader that needs no store; whatever is wrong with it is said before training."""
    if run.settings.reader in ("none", "web"):
        return None
    return make_reader(
        run.settings.reader,
        person=run.settings.reader_name,
        seed=run.settings.seed,
        data=run.data,
        folder=run.folder.cases,
    )


def _train(run: Run, reader: Reader | None, console: Console, room: Room) -> dict[str, Any]:
    if run.settings.reader != "none" and not run.rounds:
        first = run.settings.imil_epoch[0]
        console.print(
            f"No round will be held: imil-epoch {first} does not come before the last epoch, "
            f"{run.settings.epochs}."
        )
    store = run.open_store() if run.rounds else None
    with ExitStack() as stack:
        if store is not None and run.settings.reader == "web":
            reader = stack.enter_context(room(run, store, console))
        metrics = run.train(reader, store)
    console.print(result_table(metrics))
    console.print(how_sure(metrics))
    page = f": start with {run.folder.page.name}" if run.folder.page.exists() else ""
    console.print(f"Everything is in {run.folder.path}{page}.")
    return metrics


def _prepare(
    settings: TrainSettings, folder: RunFolder, cache: Path | None, console: Console
) -> Prepared:
    training_device(settings.device)  # said before hours of decoding, if there is none
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Decoding", total=None)
        data = prepare(
            settings,
            folder,
            cache=cache_folder(cache),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    for key, reason in data.bad:
        console.print(f"Left out: {key}: {reason}")
    return data


def _summary(settings: TrainSettings, data: Prepared) -> str:
    counts = ", ".join(f"{data.split_of.count(name)} {name}" for name in data.splits)
    return (
        f"{settings.model} at {settings.image_size} px on {len(data.table)} images ({counts}), "
        f"classes {', '.join(data.class_names)}, seed {settings.seed}"
    )


def _free(parent: Path, settings: TrainSettings) -> Path:
    """runs/films-resnet50, or the first free runs/films-resnet50-2, -3 …"""
    stem = f"{Path(settings.data).resolve().stem}-{settings.model.replace('/', '-')}"
    number, path = 1, parent / stem
    while path.exists():
        number += 1
        path = parent / f"{stem}-{number}"
    return path


def _taken(folder: RunFolder, settings: TrainSettings) -> str:
    there = load_config(folder.config)
    now = settings.model_dump(mode="json")
    odd = [name for name in now if name in there and there[name] != now[name]]
    if not odd:
        return (
            f"{folder.path} holds this run already: go on with `imil resume {folder.path}`, "
            "or give another --out"
        )
    flag = odd[0].replace("_", "-")
    return (
        f"{folder.path} holds a run with other settings ({flag} {there[odd[0]]}, now "
        f"{now[odd[0]]}): give another --out"
    )
