"""Each change of a round's state: finished by a reader, closed, reopened, applied.

Each function decides in one transaction, so that a reading, a finish and a change of state that
come at the same moment have one order.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select, update

from imil.cases import Reading, Round, RoundSettings, State
from imil.errors import StoreError
from imil.merging import merged, reader_performance
from imil.reader_names import NOBODY
from imil.store import schema
from imil.store.audit import record
from imil.store.clock import closing_time, is_past, now
from imil.store.round_waiting import (
    Waiting,
    asked_in,
    count_cases,
    read_by,
    readings_in,
    waiting,
    waiting_in,
)
from imil.store.statements import insert, lock_round, retry_interrupted
from imil.store.store import Store

TRAINING = "training"  # who closes and applies a round in the audit, where no person does


class CasesUnread(StoreError):
    """A reader wants to finish a round with cases unread."""


class AllSkipped(StoreError):
    """A reader wants to finish a round of which they skipped every case, and was not asked."""


class RoundApplied(StoreError):
    """The training uses the round's readings already."""


@dataclass(frozen=True)
class Finished:
    """A round after one of its readers has finished."""

    state: State
    waiting: Waiting


@retry_interrupted
def finish(
    store: Store, run: str, epoch: int, round_id: str, reader: str, *, skips_all: bool = False
) -> Finished:
    """Finish a reader's own reading; the round closes if nobody else is waited for.

    Args:
        skips_all: the reader was asked, and means to skip every case.
    Raises:
        CasesUnread: the reader has not answered every case.
        AllSkipped: the reader skipped every case, without `skips_all`.
    """
    with store.write() as db:
        state = _locked(db, round_id)
        if state != "open":
            return Finished(state, waiting_in(db, round_id, at_page=True))
        cases = _check_answers(db, round_id, reader, skips_all=skips_all)
        row = {"round": round_id, "reader": reader, "at": now()}
        made = insert(db, schema.finishes).values(row).on_conflict_do_nothing()
        new = db.execute(made).rowcount
        still = waiting_in(db, round_id, at_page=True)
        if new:
            counts = f"{cases} of {cases} cases read"
            record(db, run, reader, "finish", f"round {epoch}: {counts}; it waits for {still}")
        if still.over:
            _close(db, round_id)
            everybody = ", ".join(still.finished)
            record(db, run, reader, "close", f"round {epoch}: all have finished: {everybody}")
        return Finished(_state(db, round_id), still)


@retry_interrupted
def close_if_over(store: Store, round_: Round, *, at_page: bool) -> State:
    """The round's state, after closing it if nobody is waited for, or its deadline has passed.

    At a page it stays open until somebody has finished. Args: as `waiting`.
    """
    if round_.settings.deadline is not None:
        state = close_if_overdue(store, round_)
        if state != "open":
            return state
    still = waiting(store, round_.id, at_page=at_page)
    if at_page and not still.may_close:
        return state_of(store, round_.id)  # without the lock: it is asked for twice a second
    with store.write() as db:
        state = _locked(db, round_.id)
        still = waiting_in(db, round_.id, at_page=at_page)
        over = still.may_close if at_page else still.over or not round_.cases
        if over and state == "open":
            _close(db, round_.id)
            names = ", ".join(still.finished) or NOBODY
            detail = f"round {round_.epoch}: all have finished: {names}"
            record(db, round_.run, TRAINING, "close", detail)
        return _state(db, round_.id)


@retry_interrupted
def close_if_overdue(store: Store, round_: Round) -> State:
    """The round's state, after closing it if its deadline has passed."""
    with store.read() as db:  # without the lock, as above
        state, closes = _state(db, round_.id), _closing_time(db, round_.id)
    if state != "open" or not is_past(closes):
        return state
    with store.write() as db:
        if _locked(db, round_.id) == "open" and is_past(_closing_time(db, round_.id)):
            why = f"its deadline of {round_.settings.deadline} has passed"
            _close_early(db, round_.run, round_.epoch, round_.id, by=TRAINING, why=why)
        return _state(db, round_.id)


def close_all_overdue(store: Store, run: str) -> None:
    """Close every round of the run whose deadline has passed, as a page does that is looked at."""
    for round_ in store.rounds(run):
        if round_.state == "open" and is_past(round_.closes):
            close_if_overdue(store, round_)


@retry_interrupted
def close(
    store: Store, run: str, epoch: int, round_id: str, *, by: str, why: str = "by the owner"
) -> State:
    """Close a round, also before all finish; unread cases are skipped. The audit has the `why`."""
    with store.write() as db:
        if _locked(db, round_id) == "open":
            _close_early(db, run, epoch, round_id, by=by, why=why)
        return _state(db, round_id)


def _close_early(db: Connection, run: str, epoch: int, round_id: str, *, by: str, why: str) -> None:
    """Close a round, also if readers are still waited for, and note who had not finished."""
    cases, read = count_cases(db, round_id), read_by(db, round_id)
    left = waiting_in(db, round_id, at_page=True).readers
    late = ", ".join(
        f"{name} ({read.get(name, 0)} of {len(asked_in(db, round_id, name))})" for name in left
    )
    _close(db, round_id)
    detail = f"round {epoch}: {why}, {_count_read(db, round_id)} of {cases} cases read"
    record(db, run, by, "close", detail + (f"; not finished: {late}" if late else ""))


def _count_read(db: Connection, round_id: str) -> int:
    """How many cases of the round anybody has answered."""
    read = select(func.count(schema.readings.c.case.distinct())).join(schema.cases)
    return int(db.execute(read.where(schema.cases.c.round == round_id)).scalar_one())


def is_answered(store: Store, round_: Round) -> bool:
    """Whether training may take up a round at a page: it is closed, or would be when asked."""
    if state_of(store, round_.id) != "open" or is_past(round_.closes):
        return True
    return waiting(store, round_.id).may_close


def deadline_sentence(store: Store, round_: Round) -> str | None:
    """What the deadline led to, for the log; None where the round was closed before it."""
    table = schema.rounds.c
    with store.read() as db:
        closed = db.execute(select(table.closed).where(table.id == round_.id)).scalar_one()
        closes, read = _closing_time(db, round_.id), _count_read(db, round_.id)
    if closes is None or closed is None or closed < closes:
        return None
    which = f"The deadline of {round_.settings.deadline} of the round after epoch {round_.epoch}"
    if not read:
        return f"{which} has passed without a reading: training goes on without corrections."
    left = round_.cases - read
    rest = f"; the other {left} stay as they were" if left else ""
    return f"{which} has passed: {read} of {round_.cases} cases are read{rest}."


@retry_interrupted
def reopen(store: Store, run: str, epoch: int, round_id: str, *, by: str) -> State:
    """Open a closed round again: every reader has to finish anew.

    Raises: RoundApplied: the training uses its readings already.
    """
    with store.write() as db:
        state = _locked(db, round_id)
        if state == "applied":
            raise RoundApplied(
                f"round {epoch} is applied: the training uses its readings, and it stays closed"
            )
        if state == "closed":
            table = schema.rounds
            # opened anew: a deadline that has passed would close it at once
            values = {"state": "open", "closed": None, "opened": now()}
            db.execute(update(table).where(table.c.id == round_id).values(values))
            db.execute(delete(schema.finishes).where(schema.finishes.c.round == round_id))
            record(db, run, by, "reopen", f"round {epoch}")
        return "open"


@retry_interrupted
def apply(store: Store, round_: Round) -> list[str] | None:
    """Mark a closed round as applied; None where it was reopened meanwhile.

    Returns: one line for each case in which a reader's answer is not what the training uses, and
        with STAPLE one on the readers' performance; they are in the audit too.
    """
    table = schema.rounds
    with store.write() as db:
        closed = update(table).where(table.c.id == round_.id, table.c.state == "closed")
        if not db.execute(closed.values(state="applied")).rowcount:
            return None
        lines = _lines(round_.settings, readings_in(db, round_.id), _numbers(db, round_.id))
        for line in lines:
            record(db, round_.run, TRAINING, "merge", f"round {round_.epoch}: {line}")
    return lines


@retry_interrupted
def merged_lines(store: Store, round_id: str) -> list[str]:
    """As `apply` returns them."""
    settings = schema.rounds.c.settings
    with store.read() as db:
        stored = db.execute(select(settings).where(schema.rounds.c.id == round_id)).scalar_one()
        numbers, readings = _numbers(db, round_id), readings_in(db, round_id)
    return _lines(RoundSettings.from_dict(stored), readings, numbers)


def _lines(settings: RoundSettings, readings: list[Reading], numbers: dict[str, int]) -> list[str]:
    of_cases = merged(readings, settings.grid, settings.panel)
    ordered = sorted(of_cases, key=numbers.__getitem__)
    lines = [of_cases[one].sentence(numbers[one]) for one in ordered if of_cases[one].left_out]
    of_readers = reader_performance(readings, settings.grid, settings.panel)
    if of_readers:
        lines.append(f"By STAPLE over all cases: {'; '.join(map(str, of_readers))}.")
    return lines


def refuse(store: Store, run: str, epoch: int, number: int, reader: str, what: str) -> None:
    """Note in the audit that an answer came after the round was closed, and is not stored."""
    with store.write() as db:
        detail = f"round {epoch}, case {number}: {what}, after the round was closed"
        record(db, run, reader, "refused", detail)


def _check_answers(db: Connection, round_id: str, reader: str, *, skips_all: bool) -> int:
    """The number of cases that the reader was asked for, and has answered. Raises: as `finish`."""
    asked = set(asked_in(db, round_id, reader))
    numbers = {case: number for case, number in _numbers(db, round_id).items() if number in asked}
    if not numbers and count_cases(db, round_id):
        raise CasesUnread("you are not asked for any case of this round now: come back later")
    newest = {one.case: one for one in readings_in(db, round_id) if one.reader == reader}
    unread = sorted(number for case, number in numbers.items() if case not in newest)
    if unread:
        shown = ", ".join(map(str, unread[:10])) + (" …" if len(unread) > 10 else "")
        word = "case" if len(unread) == 1 else "cases"
        raise CasesUnread(f"you have not read {word} {shown}: read or skip them first")
    if not skips_all and all(one.verdict == "skip" for one in newest.values()):
        every = "the only case" if len(numbers) == 1 else f"all {len(numbers)} cases"
        raise AllSkipped(
            f"you skipped {every}, so that nothing of yours is used for training: finish all the "
            "same, or go back and read them?"
        )
    return len(numbers)


def _numbers(db: Connection, round_id: str) -> dict[str, int]:
    """Case to its number."""
    cases = schema.cases.c
    query = select(cases.id, cases.number).where(cases.round == round_id)
    return {row.id: row.number for row in db.execute(query.order_by(cases.number))}


def _close(db: Connection, round_id: str) -> None:
    table = schema.rounds
    db.execute(update(table).where(table.c.id == round_id).values(state="closed", closed=now()))


def _state(db: Connection, round_id: str) -> State:
    query = select(schema.rounds.c.state).where(schema.rounds.c.id == round_id)
    state: State = db.execute(query).scalar_one()
    return state


def _locked(db: Connection, round_id: str) -> State:
    """The state, which no other transaction changes until this one ends."""
    state = lock_round(db, round_id)
    assert state is not None, round_id
    return state


def _closing_time(db: Connection, round_id: str) -> str | None:
    table = schema.rounds.c
    row = db.execute(select(table.opened, table.settings).where(table.id == round_id)).one()
    return closing_time(row.opened, row.settings.get("deadline"))


@retry_interrupted
def state_of(store: Store, round_id: str) -> State:
    """The round's state now."""
    with store.read() as db:
        return _state(db, round_id)
