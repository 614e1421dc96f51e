"""The store: runs, rounds, cases, images and readings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import finalize

from sqlalchemy import Connection, func, select, text, update

from imil.cases import Case, HeatMap, Image, Reading, Round, RoundSettings, State, Which
from imil.errors import NotFound, StoreBusy, StoreError
from imil.merging import Merged, merged
from imil.store import schema
from imil.store.clock import closing_time
from imil.store.database import BUSY_TIMEOUT, REMEDIES, connect, database_errors, transaction
from imil.store.reading_insert import insert_reading
from imil.store.row_mapping import (
    Row,
    case_of,
    case_row,
    damaged_rows,
    image_row,
    inflate,
    reading_of,
    round_of,
)
from imil.store.statements import insert, lock_run, retry_interrupted
from imil.store_address import DatabaseUrl, Location, location
from imil.threads import in_order


class Store:
    """A store in a SQLite file or a PostgreSQL database, created if it does not exist.

    Safe to use from several processes and threads at once; a file on one machine alone.

    Args:
        path: the file, usually `imil.sqlite` in the run's folder; or the address of a database,
            as `postgresql+psycopg://USER@HOST/DATABASE`.
        readonly: open an existing store and change nothing.
        patience: seconds to wait for another process that is writing, or for the server.
    Raises: StoreError: it cannot be opened, or is not a store. SettingsError: invalid address.
    """

    def __init__(
        self, path: Location | str, *, readonly: bool = False, patience: float = BUSY_TIMEOUT
    ) -> None:
        self.path = location(path)
        if readonly and isinstance(self.path, Path) and not self.path.is_file():
            raise StoreError(f"there is no store at {self.path}: name a run folder or its store")
        self._engine = connect(self.path, readonly=readonly, patience=patience)
        self._identity = _identity(self.path) if isinstance(self.path, Path) else None
        # a store that is not closed, such as a callback's, releases its file when collected
        finalize(self, self._engine.dispose)
        self._patience = patience
        self._write_lock = Lock()

    def close(self) -> None:
        """Release the file, or the connections."""
        self._engine.dispose()

    @retry_interrupted
    def compact(self) -> None:
        """Write the file, or the tables, anew without what was deleted; empty a file's journal.

        Raises: StoreBusy: another process is using it.
        """
        if isinstance(self.path, DatabaseUrl):
            with database_errors(self.path), self._engine.connect() as connection:
                outside = connection.execution_options(isolation_level="AUTOCOMMIT")
                for table in schema.metadata.sorted_tables:
                    outside.execute(text(f"VACUUM FULL {table.name}"))
            return
        with database_errors(self.path), self._engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            for statement in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
                raw.execute(statement).fetchall()

    def check(self) -> None:
        """Check that the file is there and can be read. Raises: StoreError: it cannot."""
        self._check_file()
        with self.read() as db:
            db.execute(select(schema.runs.c.name).limit(1)).first()

    def _check_file(self) -> None:
        # an open file that was deleted takes what is written, and nobody finds it again
        if isinstance(self.path, Path) and _identity(self.path) != self._identity:
            raise StoreError(
                f"the store {self.path} was deleted or replaced since it was opened: put it back, "
                "and start again"
            )

    @retry_interrupted
    def add_run(
        self,
        run: str,
        *,
        class_names: Sequence[str],
        settings: Mapping[str, Any],
        versions: Mapping[str, str],
    ) -> None:
        """Record a run; recording it again changes nothing.

        Raises: StoreError: a run of that name has other classes.
        """
        with self.write() as db:
            row = {
                "name": run,
                "created": _now(),
                "class_names": list(class_names),
                "settings": dict(settings),
                "versions": dict(versions),
            }
            db.execute(insert(db, schema.runs).values(row).on_conflict_do_nothing())
            stored = db.execute(
                select(schema.runs.c.class_names).where(schema.runs.c.name == run)
            ).scalar_one()
        if stored != list(class_names):
            raise StoreError(
                f"run '{run}' in {self.path} has the classes {stored}, now {list(class_names)}: "
                "give the run another name"
            )

    @retry_interrupted
    def runs(self) -> list[dict[str, Any]]:
        """Every run as recorded, oldest first."""
        with self.read() as db:
            rows = db.execute(select(schema.runs).order_by(schema.runs.c.created))
            return [dict(row) for row in rows.mappings()]

    def open_round(
        self, run: str, epoch: int, settings: RoundSettings, cases: Sequence[Case]
    ) -> Round:
        """The new round with all its cases, in one transaction, after their images.

        Images are large: each is written while others are decoded, and few are held in memory.
        A process that is stopped meanwhile leaves images and no round; the next attempt reuses
        them.

        Raises: StoreError: another process has opened it meanwhile.
        """
        round_id = name_round(run, epoch)
        if all(case.threadsafe for case in cases):
            rows = in_order(lambda case: image_row(case.image), cases)
        else:  # read in this thread, deflated in others
            rows = in_order(image_row, (case.image for case in cases))
        images = [self._add_image(row) for row in rows]
        opened = _now()
        self._add_round(round_id, run, epoch, settings, cases, images, opened)
        closes = closing_time(opened, settings.deadline)
        return Round(round_id, run, epoch, settings, "open", len(cases), closes)

    @retry_interrupted
    def _add_round(
        self,
        round_id: str,
        run: str,
        epoch: int,
        settings: RoundSettings,
        cases: Sequence[Case],
        images: Sequence[str],
        opened: str,
    ) -> None:
        """Store a round and its cases; `images` are the names of theirs."""
        with self.write() as db:
            lock_run(db, run)
            existing = select(schema.rounds.c.id).where(schema.rounds.c.id == round_id)
            if db.execute(existing).first():
                raise StoreError(
                    f"another process has opened round {round_id} in {self.path} meanwhile: let "
                    "one training at a time use this run, and go on from the checkpoint of one"
                )
            db.execute(
                schema.rounds.insert().values(
                    id=round_id,
                    run=run,
                    epoch=epoch,
                    settings=settings.as_dict(),
                    state="open",
                    opened=opened,
                )
            )
            self._keep_images(db, cases, images)
            for case, image in zip(cases, images, strict=True):
                db.execute(schema.cases.insert().values(case_row(round_id, case, image)))

    def _keep_images(self, db: Connection, cases: Sequence[Case], images: Sequence[str]) -> None:
        """Store again what another run's erasure has deleted since, and let it delete no more."""
        table = schema.images.c
        query = select(table.sha256).where(table.sha256.in_(images))
        stored = set(db.execute(query.with_for_update(read=True, key_share=True)).scalars())
        for case, image in zip(cases, images, strict=True):
            if image not in stored:
                again = insert(db, schema.images).values(image_row(case.image))
                db.execute(again.on_conflict_do_nothing())

    @retry_interrupted
    def _add_image(self, row: Row) -> str:
        """Store an image; returns its name."""
        with self.write() as db:
            db.execute(insert(db, schema.images).values(row).on_conflict_do_nothing())
        return str(row["sha256"])

    def find_round(self, run: str, epoch: int) -> Round | None:
        """The round of that run after that epoch, or None."""
        return next((r for r in self.rounds(run) if r.epoch == epoch), None)

    @retry_interrupted
    def rounds(self, run: str | None = None) -> list[Round]:
        """The rounds of a run, or of all runs, in order of epochs."""
        counted = (
            select(func.count())
            .where(schema.cases.c.round == schema.rounds.c.id)
            .scalar_subquery()
            .label("cases")
        )
        query = select(schema.rounds, counted)
        if run is not None:
            query = query.where(schema.rounds.c.run == run)
        with self.read() as db:
            rows = db.execute(query.order_by(schema.rounds.c.run, schema.rounds.c.epoch))
            with damaged_rows(self.path):
                return [round_of(row) for row in rows.mappings()]

    def round_of(self, case: Case) -> Round:
        """The round that a case belongs to, in its state now.

        Raises: NotFound: the store does not have it.
        """
        round_ = self.find_round(case.run, case.epoch)
        if round_ is None:
            raise NotFound(f"{self.path} has no round of case '{case.id}'")
        return round_

    @retry_interrupted
    def mark(self, round_: Round, state: State) -> Round:
        """The round in its new state: `closed` (no more readings) or `applied`."""
        closed = {"closed": _now()} if state == "closed" else {}
        with self.write() as db:
            db.execute(
                update(schema.rounds)
                .where(schema.rounds.c.id == round_.id)
                .values(state=state, **closed)
            )
        return replace(round_, state=state)

    @retry_interrupted
    def cases(self, round_id: str) -> list[Case]:
        """The cases of a round in reading order; images and heat-maps are read when looked at."""
        case, round_ = schema.cases.c, schema.rounds.c
        columns = [one for one in case if one.name not in ("cam_predicted", "cam_true")]
        query = (
            select(*columns, round_.run, round_.epoch, round_.settings, schema.runs.c.class_names)
            .join(schema.rounds, round_.id == case.round)
            .join(schema.runs, schema.runs.c.name == round_.run)
            .where(case.round == round_id)
            .order_by(case.number)
        )
        with self.read() as db:
            rows = db.execute(query).mappings()
            with damaged_rows(self.path):
                return [case_of(row, self.image, self.heat_map) for row in rows]

    def unread(self, round_id: str) -> list[Case]:
        """The cases of a round that have no reading yet, in reading order."""
        read = {reading.case for reading in self.readings(round_id)}
        return [case for case in self.cases(round_id) if case.id not in read]

    @retry_interrupted
    def image(self, sha256: str) -> Image:
        """An image as it was shown, pixel for pixel.

        Raises: NotFound: there is none of that name.
        """
        with self.read() as db:
            query = select(schema.images).where(schema.images.c.sha256 == sha256)
            row = db.execute(query).mappings().one_or_none()
        if row is None:
            raise NotFound(f"the store {self.path} has no image {sha256[:12]}…")
        with damaged_rows(self.path):
            return inflate(row["pixels"], row["dtype"], row["shape"])

    @retry_interrupted
    def heat_map(self, case_id: str, which: Which) -> HeatMap:
        """A case's heat-map of the predicted or of the true class.

        Raises: NotFound: there is no such case.
        """
        case = schema.cases.c
        column = case.cam_predicted if which == "predicted" else case.cam_true
        query = select(column.label("data"), case.cam_shape).where(case.id == case_id)
        with self.read() as db:
            row = db.execute(query).one_or_none()
        if row is None:
            raise NotFound(f"the store {self.path} has no case '{case_id}'")
        with damaged_rows(self.path):
            return inflate(row.data, "float32", row.cam_shape)

    @retry_interrupted
    def add(self, reading: Reading) -> None:
        """Store a reading; it is on disk when this returns. The same id is stored once.

        Raises:
            RoundClosed: its round is closed.
            StoreError: no such case, or the id belongs to another reading.
            SquareError, SettingsError: the reading is invalid for the case's grid.
        """
        with self.write() as db:
            insert_reading(db, reading)

    @retry_interrupted
    def readings(self, round_id: str) -> list[Reading]:
        """Every reading of a round, oldest first, those that were changed later included."""
        query = (
            select(schema.readings)
            .join(schema.cases, schema.cases.c.id == schema.readings.c.case)
            .where(schema.cases.c.round == round_id)
            .order_by(schema.readings.c.sequence)
        )
        with self.read() as db:
            with damaged_rows(self.path):
                return [reading_of(row) for row in db.execute(query).mappings()]

    def current_readings(self, round_id: str) -> dict[str, Reading]:
        """Case id -> the reading that counts: of one reader the newest, of several merged."""
        return {case: one.reading for case, one in self.merged(round_id).items()}

    def merged(self, round_id: str) -> dict[str, Merged]:
        """Case id -> the answers of its readers, and what counts by the round's rule."""
        settings = self._settings_of(round_id)
        if settings is None:
            return {}
        return merged(self.readings(round_id), settings.grid, settings.panel)

    @retry_interrupted
    def _settings_of(self, round_id: str) -> RoundSettings | None:
        query = select(schema.rounds.c.settings).where(schema.rounds.c.id == round_id)
        with self.read() as db:
            stored = db.execute(query).scalar_one_or_none()
        return None if stored is None else RoundSettings.from_dict(stored)

    def read(self) -> AbstractContextManager[Connection]:
        """A transaction that sees one state of the store, whatever others write meanwhile."""
        return transaction(self._engine, self.path)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that changes the store: all of it is on disk afterwards, or nothing.

        Raises: StoreBusy: locked, full or write-protected.
        """
        with self._one_writer():
            self._check_file()
            with transaction(self._engine, self.path, writes=True) as db:
                yield db

    @contextmanager
    def _one_writer(self) -> Iterator[None]:
        """One writer of this process to a file at a time.

        SQLite's waiting writers sleep up to 0.1 s between attempts, and a lock wakes the next one
        at once. A server has writers of different rounds at the same time.
        """
        if isinstance(self.path, DatabaseUrl):
            yield
            return
        if not self._write_lock.acquire(timeout=self._patience):
            raise StoreBusy(f"the store {self.path} {REMEDIES['locked']}")
        try:
            yield
        finally:
            self._write_lock.release()


def name_round(run: str, epoch: int) -> str:
    """The id of a round: one for each run and epoch, and readable in a log."""
    return f"{run}@{epoch}"


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one at the same path; None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
