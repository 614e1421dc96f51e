"""The reader that a run's settings name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from imil.cases import Case, Reader, Reading
from imil.errors import SettingsError
from imil.readers.console import Console as AtConsole
from imil.readers.replay import replay
from imil.readers.simulated import Inverted, RandomSquares, Simulated
from imil.readers.web_page import Web
from imil.store import Store
from imil.training.prepared_data import Prepared

if TYPE_CHECKING:
    from imil.training.run import Run


@contextmanager
def reading_room(
    run: Run,
    store: Store,
    console: Console,
    *,
    otherwise: Reader | None = None,
    show: Callable[[str], object] | None = None,
) -> Iterator[Reader]:
    """A reader at a web page, served beside the training while the block runs.

    Args:
        run: from here the page knows what to call the run, and the protocol.
        store: where the training and the page meet.
        console: is told the links.
        otherwise: answers if nobody opens the page within a minute.
        show: is given the reader's link, to open it.
    Raises: SettingsError: the web part is not installed.
    """
    check_web()
    from imil.web.child_server import start_server_process

    with start_server_process(store.path, run.name, protocol=run.settings.protocol) as room:
        for line in room.messages:
            console.print(line)
        if room.links.reader:
            console.print(f"Read here:        {room.links.reader}", soft_wrap=True)
            if show is not None:
                show(room.links.reader)
        console.print(f"Watch and invite: {room.links.owner}", soft_wrap=True)
        yield Web(
            store,
            otherwise=otherwise,
            say=console.print,
            keep_up=lambda: room.restart_if_ended(partial(console.print, soft_wrap=True)),
        )


def check_web() -> None:
    """Find out now whether a page could be served later.

    Raises: SettingsError: the web part is not installed.
    """
    try:
        import imil.web.child_server  # noqa: F401
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"--reader web needs {error.name}: pip install 'imil[web]', or use another reader"
        ) from error


SKILLS = ("miss", "false", "threshold")  # numbers; "one-region" stands alone
PLAYED = ("simulated", "random", "inverted")
UNNAMED = ("", "reader")  # the second is --reader-name's default


def make_reader(
    name: str, *, person: str, seed: int, data: Prepared, folder: Path, strict: bool = True
) -> Reader:
    """The reader of that name.

    Args:
        name: `console`, `replay:FILE`, or one that is played from masks: `simulated`, `random`
            or `inverted`, with skills as in `simulated:miss=0.2,false=0.05,one-region`.
        person: the name stored with the readings; a played reader that is given none has that
            of its kind. It says whose readings are replayed where a file has those of several,
            and a played reader of another name rolls other dice.
        seed: of a played reader.
        data: holds the masks.
        folder: where the console puts its pictures.
        strict: whether a replay stops at a round of which it has no case.
    Raises:
        SettingsError: no such reader or skill, or no masks to play from.
        DataError, StoreError: the file to replay cannot be used.
    """
    kind, _, rest = name.partition(":")
    if kind == "replay" and rest:
        return replay(Path(rest), reader=person, strict=strict)
    if name == "console":
        return AtConsole(person, folder)
    if kind not in PLAYED:
        raise SettingsError(
            f"--reader is '{name}': give console, web, simulated, random, inverted, none or "
            "replay:FILE"
        )
    if not any(path for column in data.table.masks.values() for path in column):
        raise SettingsError(
            f"--reader {kind} selects squares by masks, and the data has none: give "
            "--mask-columns, or another --reader"
        )
    seed = _seed_of(person, seed)
    simulated = Simulated(masks=data.masks, seed=seed, **skills(rest))
    player: Reader = simulated
    if kind == "random":
        player = RandomSquares(seed=seed, reference=simulated)
    elif kind == "inverted":
        player = Inverted(reference=simulated)
    return player if person in UNNAMED else _named(person, player)


def _named(person: str, player: Reader) -> Reader:
    """The same reader under that name: one of its own would roll other dice."""

    def read(cases: Sequence[Case]) -> Iterator[Reading]:
        return (replace(reading, reader=person) for reading in player(cases))

    return read


def _seed_of(person: str, seed: int) -> int:
    """The seed of that player: two in a study must not overlook the same squares by chance."""
    if person in UNNAMED:
        return seed
    return int.from_bytes(hashlib.sha256(json.dumps([seed, person]).encode()).digest()[:8])


def skills(text: str) -> dict[str, Any]:
    """The skills of a played reader, as `Simulated` takes them.

    Args:
        text: such as `miss=0.2,one-region`; empty: none.
    Raises: SettingsError: there is no such skill, or its value is no number.
    """
    found: dict[str, Any] = {}
    for word in filter(None, text.split(",")):
        name, _, value = word.strip().partition("=")
        try:
            if name == "one-region" and not value:
                found["one_region"] = True
            else:
                found[SKILLS[SKILLS.index(name)]] = float(value)
        except ValueError:
            raise SettingsError(
                f"'{word}' is no skill of a simulated reader: give miss=0.2, false=0.05, "
                "threshold=0.1 or one-region"
            ) from None
    return found
