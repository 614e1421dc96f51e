"""Start or resume a run, and print what a person at the terminal needs to know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from imil.atomic_files import atomic_write, write_json
from imil.cases import Reader, RoundSettings
from imil.count_bar import CountBar
from imil.data.image_cache import cache_folder
from imil.errors import DataError, RoundParked, SettingsError
from imil.grid import Grid
from imil.notebook.reading_frame import Notebook
from imil.parking import check_answered, how_to_go_on
from imil.reader_panel import ReaderPanel
from imil.readers.parked import Parked
from imil.readers.replay import Replay
from imil.round_settings import check_rounds
from imil.run_folder import RunFolder
from imil.run_store import database_run
from imil.settings import TrainSettings, flag_name, load_config, resolve
from imil.store import Store, schema_version
from imil.store.content_check import check_content
from imil.store.round_waiting import waiting_sentence
from imil.store_claim import claim_name, move_store, store_place
from imil.terminal_console import TerminalConsole
from imil.training.hardware.device import resolve_auto
from imil.training.imagenet_weights import with_revision
from imil.training.outputs.terminal_tables import accuracy_interval, result_table
from imil.training.ranks.placement import ALONE, Placement, place
from imil.training.reader_factory import make_reader
from imil.training.run import Run
from imil.training.run_classifier import check_checkpoint
from imil.training.samples.prepared_data import Prepared, prepare
from imil.training.several_readers import SeveralReaders
from imil.training.web_reader import reading_room

if TYPE_CHECKING:
    from imil.training.ranks.leader import Leader

# settings that may change when a run is resumed
CHANGEABLE = (
    *("data", "reader", "reader_name", "store", "wait", "deadline", "protocol"),
    *("logger", "logger_images", "device", "devices", "nodes", "low_memory"),
    *("readers", "quorum", "overlap", "arbiter", "disagreement"),  # of the rounds to come
)
Room = Callable[[Run, Store, Console], AbstractContextManager[Reader]]


def new_run(
    settings: TrainSettings,
    folder: RunFolder,
    cache: Path | None,
    *,
    room: Room = reading_room,
    console: Console | None = None,
    placement: Placement = ALONE,
    continues: Path | None = None,
) -> dict[str, Any]:
    """Train from the start; returns the metrics.

    Args:
        settings, folder: as `set_up_run` gives them.
        cache: the folder of decoded images; None for the usual one.
        room: opens the web reader's reading room.
        console: None for the terminal.
        placement: of this process, rank 0.
        continues: folder of a round of discrepancies, which the training begins with.
    """
    console, is_new = console or TerminalConsole(), not folder.path.exists()
    settings = resolve_auto(settings)
    weights = with_revision(settings.model, settings.weights)
    settings = settings.model_copy(update={"weights": weights})
    try:
        with telling_others(placement), folder.locked():
            with atomic_write(folder.config) as half:  # first: from here on the run can be resumed
                settings.write(half)
            if continues is not None:
                write_json(folder.continued, {"round": str(continues.absolute())})
            with ExitStack() as ranks:
                try:
                    claim_name(settings, folder)  # a database that cannot be used is said at once
                    leader = _leader(ranks, placement, settings, folder)
                    data = _prepare(settings, folder, cache, console, leader)
                    run = Run(folder, settings, data, console, leader=leader)
                    reader = _local_reader(run)
                except Exception:
                    folder.clear()  # nothing was trained: leave the folder as it was
                    raise
                path = escape(str(folder.path))
                console.print(f"[bold]{path}[/bold]: {_summary(settings, data)}")
                return _train(run, reader, console, room)
    except Exception:
        if is_new and not folder.config.exists():
            folder.remove_if_empty()
        raise


def resume_run(
    path: Path,
    reader: str | None,
    cache: Path | None,
    *,
    reader_name: str | None = None,
    store: str | None = None,
    wait: str | None = None,
    devices: int | None = None,
    nodes: int | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any] | None:
    """Resume a run; returns the metrics, or None where it is finished already.

    Args:
        path: the run's folder.
        reader: another reader than before; None keeps it.
        reader_name, wait, devices, nodes: another value than before, likewise.
        cache: the folder of decoded images; None for the usual one.
        store: the store again, with its password; or another one that the run was copied to.
        environment: variables that say which rank this process is; one that is not rank 0 does
            its part of the training.
    Raises:
        StoreError: the store cannot be used.
        SettingsError: there is no run in that folder, or its settings were changed.
        RoundUnanswered: its parked round is not answered; nothing was changed.
        RoundParked: another round was opened, and the run is parked.
    """
    folder, console = RunFolder(path), TerminalConsole()
    if not folder.config.exists():
        raise SettingsError(f"there is no run in {path}: name a folder that `imil train` made")
    given: dict[str, str | int | None] = {"reader": reader, "reader_name": reader_name}
    given |= {"store": store, "wait": wait, "devices": devices, "nodes": nodes}
    changes = {name: value for name, value in given.items() if value is not None}
    settings, placement = place(resolve(load_config(folder.config) | changes), environment)
    if placement.rank and not folder.metrics.exists():
        from imil.training.ranks.follower import follow

        follow(placement)
        return None
    with telling_others(placement), folder.locked():
        if folder.metrics.exists():
            console.print(f"{path} is finished: see {folder.metrics}", markup=False)
            return None
        check_rounds(settings)
        if store is not None:
            move_store(folder, settings.store if settings.store != "run" else None)
        claim_name(settings, folder)
        check_answered(folder, settings)  # first: what follows takes minutes with many images
        settings = resolve_auto(settings)
        with ExitStack() as ranks:
            leader = _leader(ranks, placement, settings, folder)
            data = _prepare(settings, folder, cache, console, leader)
            console.print(
                f"[bold]{escape(str(path))}[/bold] is resumed: {_summary(settings, data)}"
            )
            _check_unchanged(settings, folder)
            run = Run(folder, settings, data, console, leader=leader)
            check_checkpoint(folder, run.module)
            return _train(run, _local_reader(run), console, reading_room)


@contextmanager
def telling_others(placement: Placement) -> Iterator[None]:
    """As `imil.training.ranks.meeting.telling_others`, which one device does not import."""
    if placement.size == 1:
        yield
        return
    from imil.training.ranks import meeting

    with meeting.telling_others(placement):
        yield


def _leader(
    ranks: ExitStack, placement: Placement, settings: TrainSettings, folder: RunFolder
) -> Leader | None:
    """The leader of the other ranks, which end with the stack; None if there are none."""
    folder.stopped.unlink(missing_ok=True)
    if placement.size == 1:
        return None
    from imil.training.ranks.leader import leading  # here: one device needs none of it

    return ranks.enter_context(leading(placement, settings, folder))


def _check_unchanged(settings: TrainSettings, folder: RunFolder) -> None:
    """Raises: SettingsError: config.toml differs from the settings that the run started with."""
    place = store_place(settings, folder)
    if schema_version(place) is None:
        return
    name = database_run(folder).get("run") if settings.store != "run" else None
    store = Store(place, readonly=True)
    check_content(store, name)
    runs = [row for row in store.runs() if name in (None, row["name"])]
    started_with: dict[str, Any] = next((run["settings"] for run in runs), {})
    store.close()
    for name, value in settings.model_dump(mode="json").items():
        before = started_with.get(name, value)
        if name == "wait" and value != before and "live" in (value, before):
            raise SettingsError(
                f"--wait {value} cannot continue a run that was started with {before}: its "
                "readings take effect at other times; leave --wait out"
            )
        if name not in CHANGEABLE and before not in (value, "auto"):
            raise SettingsError(
                f"{folder.config} has {flag_name(name)} {value}, but the run was started with "
                f"{before}: change it back, or train again with another --out"
            )


def _local_reader(run: Run) -> Reader | None:
    """The reader, checked before training; None where there is none, or it needs the store."""
    if run.settings.reader.kind in ("none", "web", "notebook"):
        return None
    panel = run.panel
    if run.settings.reader.kind == "console":
        _check_name(panel, run.settings.reader_name)
    if run.settings.reader.is_simulated and panel.readers:
        return SeveralReaders(
            {name: _named_reader(run, name) for name in panel.readers},
            RoundSettings(seed=run.settings.seed, panel=panel),
        )
    reader = _named_reader(run, run.settings.reader_name)
    if isinstance(reader, Replay) and run.rounds:
        _check_replay(reader, run)
    return reader


def _named_reader(run: Run, name: str) -> Reader:
    return make_reader(
        run.settings.reader,
        reader_name=name,
        seed=run.settings.seed,
        data=run.data,
        folder=run.folder.cases,
    )


def _check_name(panel: ReaderPanel, name: str) -> None:
    """Raises: SettingsError: who reads at the console is none of the round's readers."""
    if panel.readers and name not in panel.readers:
        raise SettingsError(
            f"--reader-name is '{name}', and --readers names {', '.join(panel.readers)}: give the "
            "name of the one who reads now"
        )


def _check_replay(reader: Replay, run: Run) -> None:
    known = run.settings.round_when == "schedule"
    epochs = run.rounds if known else {row.epoch for row in reader.rows if row.epoch is not None}
    usable = reader.usable(epochs, Grid.parse(run.settings.grid_size))
    samples = run.samples["train"]
    if not {row.key for row in usable} & {samples.key(i) for i in range(len(samples))}:
        raise DataError(
            f"{reader.path} has no reading of a training image; its first is of "
            f"'{usable[0].key}': give readings of these images, by the same names"
        )


def _train(run: Run, reader: Reader | None, console: Console, room: Room) -> dict[str, Any]:
    _print_missing_rounds(run, console)
    store = run.open_store() if run.has_store else None
    with ExitStack() as stack:
        if store is not None and run.settings.reader.kind == "web":
            if run.settings.wait == "park":
                reader = Parked(store)
            else:
                reader = stack.enter_context(room(run, store, console))
        if store is not None and run.settings.reader.kind == "notebook":
            reader = Notebook(store, run.settings.reader_name)
        try:
            metrics = run.train(reader, store)
        except RoundParked:
            if store is not None:
                _print_parked(run, store, console)
            raise
    console.print(result_table(metrics))
    console.print(accuracy_interval(metrics))
    page = f": start with {run.folder.page.name}" if run.folder.page.exists() else ""
    console.print(f"Everything is in {run.folder.path}{page}.", markup=False)
    return metrics


def _print_parked(run: Run, store: Store, console: Console) -> None:
    round_ = store.rounds(run.name)[-1]
    for line in how_to_go_on(run.folder.path, round_, waiting_sentence(store, round_.id)):
        console.print(line, markup=False, soft_wrap=True)


def _print_missing_rounds(run: Run, console: Console) -> None:
    """Say which rounds will not be held because training ends before them."""
    settings = run.settings
    if settings.reader.kind == "none":
        return
    late = [epoch for epoch in settings.imil_epoch if epoch not in run.rounds]
    if not run.rounds:
        console.print(
            f"No round will be held: imil-epoch {late[0]} does not come before the last epoch, "
            f"{settings.epochs}."
        )
    elif late:
        console.print(
            f"No round will be held after epoch {', '.join(map(str, late))}: the last epoch is "
            f"{settings.epochs}."
        )


def _prepare(
    settings: TrainSettings,
    folder: RunFolder,
    cache: Path | None,
    console: Console,
    leader: Leader | None,
) -> Prepared:
    with CountBar(console, "Decoding", transient=True) as bar:
        data = prepare(settings, folder, cache=cache_folder(cache), progress=bar.update)
    for key, reason in data.bad:
        console.print(f"Left out: {key}: {reason}", markup=False)
    for note in data.notes:
        console.print(f"Note: {note}.", markup=False)
    if leader is not None:
        leader.begin(settings, folder, cache_folder(cache), data)
    return data


def _summary(settings: TrainSettings, data: Prepared) -> str:
    counts = ", ".join(f"{data.split_of.count(name)} {name}" for name in data.splits)
    ranks = settings.devices * settings.nodes
    on = f" on {ranks} devices" if ranks > 1 else ""
    return (
        f"{settings.model}{on} at {settings.image_size} px on {len(data.table)} images ({counts}), "
        f"classes {escape(', '.join(data.class_names))}, seed {settings.seed}"
    )
