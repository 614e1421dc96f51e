"""Small trainings whose rounds are answered through the store, as a page does."""

from contextlib import contextmanager
from hashlib import sha256

from sqlalchemy import update

from imil.asked_cases import Wrapped
from imil.cases import Reading
from imil.readers.web_page import Web
from imil.run_folder import RunFolder
from imil.settings import resolve
from imil.store import Store, round_state, schema
from imil.store.clock import now
from imil.training.launch import new_run

SMALL = {"model": "test_resnet", "image_size": 32, "epochs": 5, "batch_size": 15, "lr": 0.05}
SMALL |= {"imil_epoch": (2, 4), "num_outliers": 3, "reader": "web", "device": "cpu"}
SMALL |= {"precision": "32"}


def start(films, folder, **more):
    """Train in `folder`; returns the metrics. Rounds that are waited for are answered at once."""
    settings = resolve({"data": str(films)} | SMALL | more).with_absolute_paths(films.parent)
    cache = films.parent / "cache"
    return new_run(settings, RunFolder(folder), cache, room=answered_room)


@contextmanager
def answered_room(_run, store, _console):
    """In place of a reading room: a reader answers as soon as a round is open."""
    web = Web(store, interval=0)

    def ask(cases):
        answer(store)
        yield from web(cases)

    yield Wrapped(web, ask)


def newest(store):
    """The newest round."""
    return store.rounds()[-1]


def squares_of(case):
    """What the reader selects in each case."""
    return (case.number, case.number + 5)


def read(store, case, reader="Dr. Lee"):
    """Store the reader's answer to a case."""
    identity = sha256(case.id.encode()).hexdigest()[:32]
    store.add(Reading(case.id, reader, "focus", squares_of(case), seconds=2.0, id=identity))


def answer(store, reader="Dr. Lee"):
    """Answer every case of the newest round, and finish it."""
    round_ = newest(store)
    for case in store.cases(round_.id):
        read(store, case, reader)
    round_state.finish(store, round_.run, round_.epoch, round_.id, reader)


def open_days_ago(store, days):
    """Let the newest round have been opened so long ago."""
    table = schema.rounds
    with store.write() as db:
        old = update(table).where(table.c.id == newest(store).id).values(opened=now(days=-days))
        db.execute(old)


@contextmanager
def opened(folder):
    """The store of a run."""
    store = Store(folder / "imil.sqlite")
    try:
        yield store
    finally:
        store.close()


def contents(folder):
    """Name -> bytes of every file of a folder, but those that come with an open store or run."""
    passing = (".lock", "-shm", "-wal")
    files = [one for one in folder.rglob("*") if one.is_file() and not one.name.endswith(passing)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
