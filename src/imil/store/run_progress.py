"""Progress and results of a run: written by the training, shown by the reading room."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any, Literal

from sqlalchemy import bindparam, select

from imil.errors import StoreError
from imil.store import schema
from imil.store.audit import record
from imil.store.clock import now
from imil.store.machine_key import TAG, has_tag, tag
from imil.store.statements import insert, retry_interrupted
from imil.store.store import Store

Protocol = Literal["paper", "blind-first"]
ReportedState = Literal["running", "waiting", "parked", "finished"]
ObservedState = Literal["running", "waiting", "parked", "finished", "gone"]
LASTING = ("parked", "finished")  # without a heartbeat
HEARTBEAT = 10.0  # seconds
GONE_AFTER = 45.0  # seconds without a heartbeat after which the training counts as ended

_ROW = select(schema.progress).where(schema.progress.c.run == bindparam("of"))


@dataclass(frozen=True)
class Training:
    """Progress of a run; `gone` if its heartbeat stopped before it had finished."""

    state: ObservedState
    epoch: int | None
    epochs: int | None


class Progress:
    """The progress of the runs of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def report(
        self,
        run: str,
        *,
        state: ReportedState | None = None,
        epoch: int | None = None,
        epochs: int | None = None,
    ) -> None:
        """Record progress; what is None stays as it was. Each report is a heartbeat too.

        Args:
            state: `running`, `waiting` for readers, `parked` until they have finished, or
                `finished`.
            epoch: completed epochs.
            epochs: how many there will be.
        """
        values = {"state": state, "epoch": epoch, "epochs": epochs}
        given = {name: value for name, value in values.items() if value is not None}
        self._put(run, given | {"heartbeat": now()})

    @contextmanager
    def alive(self, run: str) -> Iterator[None]:
        """Record a heartbeat every ten seconds while the block runs."""
        done = Event()

        def beat() -> None:
            while not done.wait(HEARTBEAT):
                with suppress(StoreError):  # a locked store must not end the training
                    self.report(run)

        thread = Thread(target=beat, name="imil-heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def training(self, run: str) -> Training:
        """Progress of the run."""
        row = self._row(run)
        state: ObservedState = row.get("state") or "gone"
        if state not in LASTING and (row.get("heartbeat") or "") < now(seconds=-GONE_AFTER):
            state = "gone"
        return Training(state, row.get("epoch"), row.get("epochs"))

    def set_protocol(self, run: str, protocol: Protocol, *, by: str) -> None:
        """Choose whether readers see the model's opinion at once (`paper`) or after their own."""
        if self.protocol(run) != protocol:
            self._put(run, {"protocol": protocol})
            with self._store.write() as db:
                record(db, run, by, "protocol", protocol)

    def protocol(self, run: str) -> Protocol:
        """Whether readers see the model's opinion at once or after their own."""
        return "blind-first" if self._row(run).get("protocol") == "blind-first" else "paper"

    def set_address(self, run: str, address: str) -> None:
        """Record the reading room's address, for links, with the mark of this machine."""
        self._put(run, {"address": f"{address}#{tag('address', run, address)}"})

    def address(self, run: str) -> str | None:
        """The reading room's last address, if this machine recorded it.

        Another one's may be anybody's, and a link to it would carry a fresh secret there.
        """
        address, _, mark = (self._row(run).get("address") or "").rpartition("#")
        marked = len(mark) == TAG and has_tag(mark, "address", run, address)
        return address if marked else None

    def add_result(
        self, run: str, epoch: int, metrics: Mapping[str, float], *, split: str = "test"
    ) -> None:
        """Record an evaluation's metrics; the page shows the first and the last of a run."""
        finite = {name: _finite(value) for name, value in metrics.items()}
        row = {"run": run, "epoch": epoch, "split": split, "metrics": finite, "created": now()}
        with self._store.write() as db:
            db.execute(schema.results.insert().values(row))

    @retry_interrupted
    def results(self, run: str, *, split: str = "test") -> list[tuple[int, dict[str, Any]]]:
        """Completed epochs and metrics of every evaluation, oldest first."""
        table = schema.results.c
        query = select(table.epoch, table.metrics).where(table.run == run, table.split == split)
        with self._store.read() as db:
            return [(row.epoch, row.metrics) for row in db.execute(query.order_by(table.sequence))]

    @retry_interrupted
    def _row(self, run: str) -> dict[str, Any]:
        with self._store.read() as db:
            row = db.execute(_ROW, {"of": run}).mappings().one_or_none()
        return dict(row) if row else {}

    @retry_interrupted
    def _put(self, run: str, values: Mapping[str, object]) -> None:
        with self._store.write() as db:
            made = insert(db, schema.progress).values(run=run, **values)
            db.execute(made.on_conflict_do_update(index_elements=["run"], set_=dict(values)))


def _finite(value: float) -> float | None:
    # JSON has no NaN; an AUROC of one class alone is one
    return float(value) if math.isfinite(value) else None
