"""A person's session with a run: starting it, going on with it, and what they are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from imil.atomic_files import atomic_write
from imil.cases import Reader
from imil.data.image_cache import cache_folder
from imil.errors import DataError, SettingsError
from imil.grid import Grid
from imil.readers.replay import Replay
from imil.store import Store
from imil.training.device import resolve_auto
from imil.training.prepared_data import Prepared, prepare
from imil.training.reader_factory import make_reader, reading_room
from imil.training.run import Run
from imil.training.run_folder import RunFolder
from imil.training.settings import TrainSettings, load_config, resolve
from imil.training.terminal_tables import how_sure, result_table

BEGUN = (".lock", ".config.toml.half")  # what a run leaves that is killed at its first step
# what a run may be resumed with other than it was begun with
FREE = ("data", "reader", "reader_name", "protocol", "device", "low_memory")
PLACES = ("out", "cache")  # flags of `imil train` that are no settings of the training
Room = Callable[[Run, Store, Console], AbstractContextManager[Reader]]


def places(config: Path | None) -> dict[str, Path]:
    """The folders `out` and `cache` that a configuration names.

    Raises: SettingsError: one is no text.
    """
    found = {} if config is None else load_config(config)
    for name in PLACES:
        if not isinstance(found.get(name, ""), str):
            raise SettingsError(f"--{name} is {found[name]!r}: give the path of a folder")
    return {name: Path(found[name]) for name in PLACES if name in found}


def settle(
    flags: Mapping[str, Any], config: Path | None, out: Path | None
) -> tuple[TrainSettings, RunFolder]:
    """The resolved settings and the new run's folder.

    Raises: SettingsError: a setting is wrong, or the folder holds a run already.
    """
    settings = resolve(_absolute(flags, config))
    settings.check_grid()
    folder = RunFolder(out or _free(Path("runs"), settings))
    if folder.config.exists():
        raise SettingsError(_taken(folder, settings))
    if folder.path.exists() and not folder.path.is_dir():
        raise SettingsError(f"--out {folder.path} is a file: give a folder")
    if folder.path.is_dir() and any(p.name not in BEGUN for p in folder.path.iterdir()):
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
    console, fresh = Console(), not folder.path.exists()
    settings = resolve_auto(settings)
    try:
        with folder.held():
            with atomic_write(folder.config) as half:  # first: from here on the run can be resumed
                settings.write(half)
            try:
                data = _prepare(settings, folder, cache, console)
                run = Run(folder, settings, data, console)
                reader = _reader(run)
            except Exception:
                folder.clear()  # nothing was trained: the next try finds it as it was
                raise
            console.print(f"[bold]{escape(str(folder.path))}[/bold]: {_summary(settings, data)}")
            return _train(run, reader, console, room)
    except Exception:
        if fresh and not folder.config.exists():
            folder.leave()
        raise


def continue_run(path: Path, reader: str | None, cache: Path | None) -> dict[str, Any] | None:
    """Go on with a run; returns the metrics, or None where nothing is left to do.

    Raises: SettingsError: there is no run in that folder.
    """
    folder, console = RunFolder(path), Console()
    if not folder.config.exists():
        raise SettingsError(f"there is no run in {path}: name a folder that `imil train` made")
    with folder.held():
        if folder.metrics.exists():
            console.print(f"{path} is finished: see {folder.metrics}", markup=False)
            return None
        settings = resolve_auto(resolve({**load_config(folder.config), **_given(reader)}))
        data = _prepare(settings, folder, cache, console)
        console.print(f"[bold]{escape(str(path))}[/bold] goes on: {_summary(settings, data)}")
        _check_unchanged(settings, folder)
        run = Run(folder, settings, data, console)
        run.check_checkpoint()
        return _train(run, _reader(run), console, reading_room)


def _check_unchanged(settings: TrainSettings, folder: RunFolder) -> None:
    """Raises: SettingsError: config.toml says other than the run was begun with."""
    if not folder.store.exists():
        return
    store = Store(folder.store, readonly=True)
    begun: dict[str, Any] = next((run["settings"] for run in store.runs()), {})
    store.close()
    for name, now in settings.model_dump(mode="json").items():
        before = begun.get(name, now)
        if name not in FREE and before not in (now, "auto"):
            flag = name.replace("_", "-")
            raise SettingsError(
                f"{folder.config} says {flag} {now}, and the run was begun with {before}: put "
                "it back, or train anew with another --out"
            )


def _absolute(flags: Mapping[str, Any], config: Path | None) -> dict[str, Any]:
    """The flags with the paths of files in full: a run can be resumed from anywhere."""
    values = ({} if config is None else load_config(config)) | dict(flags)
    for name in PLACES:
        values.pop(name, None)
    for name in ("data", "weights"):  # what is no text is refused later, with the other settings
        if isinstance(values.get(name), str) and values[name] not in ("none", "imagenet"):
            values[name] = str(Path(values[name]).absolute())
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
    reader = make_reader(
        run.settings.reader,
        person=run.settings.reader_name,
        seed=run.settings.seed,
        data=run.data,
        folder=run.folder.cases,
    )
    if isinstance(reader, Replay) and run.rounds:
        _check_replay(reader, run)
    return reader


def _check_replay(reader: Replay, run: Run) -> None:
    usable = reader.usable(run.rounds, Grid.parse(run.settings.grid_size))
    samples = run.samples["train"]
    if not {row.key for row in usable} & {samples.key(i) for i in range(len(samples))}:
        raise DataError(
            f"{reader.path} has no reading of a training image, '{usable[0].key}' the first that "
            "it has: give readings of these images, by the same names"
        )


def _train(run: Run, reader: Reader | None, console: Console, room: Room) -> dict[str, Any]:
    if run.settings.reader != "none" and not run.rounds:
        first = run.settings.imil_epoch[0]
        console.print(
            f"No round will be held: imil-epoch {first} does not come before the last epoch, "
            f"{run.settings.epochs}."
        )
    elif run.rounds and (late := [e for e in run.settings.imil_epoch if e not in run.rounds]):
        console.print(
            f"No round will be held after epoch {', '.join(map(str, late))}: the last epoch is "
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
    console.print(f"Everything is in {run.folder.path}{page}.", markup=False)
    return metrics


def _prepare(
    settings: TrainSettings, folder: RunFolder, cache: Path | None, console: Console
) -> Prepared:
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
        console.print(f"Left out: {key}: {reason}", markup=False)
    return data


def _summary(settings: TrainSettings, data: Prepared) -> str:
    counts = ", ".join(f"{data.split_of.count(name)} {name}" for name in data.splits)
    return (
        f"{settings.model} at {settings.image_size} px on {len(data.table)} images ({counts}), "
        f"classes {escape(', '.join(data.class_names))}, seed {settings.seed}"
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
    odd = [name for name in now if there.get(name, now[name]) != now[name] != "auto"]
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
