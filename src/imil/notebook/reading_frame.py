"""The reader in a notebook: the reading room in a frame below the cell that trains.

rounds = IMIL(train, model, "notebook", store="run/imil.sqlite")  # or Notebook(store, "Dr. Lee")
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from imil.cases import Case, Reader, Reading, Round
from imil.errors import RoundPaused, SettingsError
from imil.notebook.cell_output import CellOutput
from imil.notebook.kernel import NotebookPage, Through, check_in_notebook, notebook_page
from imil.output_text import escaped_html
from imil.reader_names import AUTOMATIC, check_reader_name
from imil.readers.web_page import Web
from imil.store import Store
from imil.store.invitations import invite, revoke
from imil.web.installed import check_web_installed

NAME = "notebook"  # as the name of a reader
HEIGHT = 820  # pixels; the room's tools and one film
SCRIPT = (Path(__file__).parent / "reading_frame.js").read_text(encoding="utf-8")


def reader_named(ask: Reader | str, store: Store) -> Reader:
    """The reader itself, or the one that a text names.

    Raises: SettingsError: it is not `notebook`, or this is not a notebook.
    """
    if isinstance(ask, str):
        if ask != NAME:
            raise SettingsError(
                f"the reader is {ask!r}: give 'notebook', or a reader such as "
                "imil.readers.Console('Dr. Lee', folder)"
            )
        return Notebook(store)
    if not callable(ask):
        raise SettingsError(
            f"the reader is a {type(ask).__name__}, and must be callable with cases: give "
            "'notebook', or a reader such as imil.readers.Console('Dr. Lee', folder)"
        )
    return ask


@dataclass
class Notebook:
    """A person in a notebook: each round shows the reading room in a frame, and waits for it.

    The room is served on this machine while a round is open. The kernel stays interruptible:
    an interruption ends the room, keeps what was read, and raises `RoundPaused`.

    Args:
        store: the store of the training.
        reader: the person's name, stored with the readings.
        height: of the frame, in pixels.
        through: how the page reaches the kernel's machine, see `imil.notebook.kernel`.
    Raises: SettingsError: this is not a notebook, or the web part is not installed.
    """

    store: Store
    reader: str = AUTOMATIC
    height: int = HEIGHT
    through: Through = "auto"
    _page: NotebookPage = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_in_notebook("give another reader, such as imil.readers.Console")
        check_reader_name(self.reader)
        check_web_installed("the reader notebook")
        self._page = notebook_page(self.through)

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """Readings as they come; each is in the store already.

        Raises: RoundPaused: the kernel was interrupted. SettingsError: the round has readers, and
            this is none of them.
        """
        if not cases:
            return
        round_ = self.store.round_of(cases[0])
        self._check_reader(round_)
        with room_in_frame(self.store, round_, self.reader, self._page, self.height) as web:
            try:
                yield from web(cases)
            except KeyboardInterrupt:
                raise RoundPaused(self._interrupted(round_)) from None

    def open_cases(self, cases: Sequence[Case], readings: Sequence[Reading]) -> list[Case]:
        """All of them: what is read may still be changed."""
        return list(cases)

    def _check_reader(self, round_: Round) -> None:
        panel = round_.settings.panel
        names = [*panel.readers, *filter(None, [panel.arbiter])]
        if names and self.reader not in names:
            raise SettingsError(
                f"the round is read by {', '.join(names)}, and the notebook's reader is "
                f"{self.reader!r}: give Notebook(store, reader=...) one of these names"
            )

    def _interrupted(self, round_: Round) -> str:
        read = len(self.store.current_readings(round_.id))
        return (
            f"the round after epoch {round_.epoch} was interrupted with {read} of {round_.cases} "
            "cases read; every reading so far is stored: train on from the same model, with "
            "after_epoch or restore, to go on"
        )


@contextmanager
def room_in_frame(
    store: Store, round_: Round, reader: str, page: NotebookPage, height: int = HEIGHT
) -> Iterator[Web]:
    """A reader at the reading room, which is served and shown while the block runs.

    Its link is revoked at the end: what a notebook saves of the frame opens nothing.

    Args:
        store: where the training and the room meet.
        round_: the round that is shown.
        reader: name of the person.
        page: of the notebook.
        height: of the frame, in pixels.
    """
    from imil.web.child_server import start_server_process
    from imil.web.server import ServerConfig

    # before the server, which would otherwise make a link of its own that nobody opens
    invitation, secret = invite(store, round_.run, reader, by=reader)
    introduction = secrets.token_urlsafe(16) if page.prefix else None
    config = ServerConfig(
        framed_by=" ".join(page.framed_by) or None,
        behind_proxy="127.0.0.1" if page.prefix else None,
        introduction=introduction,
    )
    output = CellOutput()
    try:
        with start_server_process(store.path, round_.run, config=config) as room:
            path = f"in/{secret}" + (f"?host={introduction}" if introduction else "")

            def show() -> None:
                output.show(frame_html(round_, reader, room.port, path, page, height))

            def check_server() -> None:
                before = room.process
                room.restart_if_ended(print)
                if room.process is not before:  # maybe at another port, and it knows no host name
                    show()

            show()
            yield Web(store, check_server=check_server)
    finally:
        revoke(store, round_.run, invitation.id, by=reader)
        output.show(_ended(store, round_))


def frame_html(
    round_: Round, reader: str, port: int, path: str, page: NotebookPage, height: int
) -> str:
    """The frame, a link to the same, and the script that finds out the page's host.

    Args:
        round_, reader: whose round it is.
        port: of the room, on this machine.
        path: below the room's address.
        page: of the notebook.
        height: of the frame, in pixels.
    """
    box = f"imil-room-{secrets.token_hex(4)}"
    address = {"port": port, "path": path, "prefix": page.prefix}
    hint = (
        ""
        if page.prefix is None
        else (" Where it shows 404, install jupyter-server-proxy in the notebook's server.")
    )
    frame = (
        f'<iframe title="Reading room" style="width:100%;height:{height}px;border:1px solid '
        '#8888"></iframe>'
        if page.framed_by
        else ""
    )
    script = SCRIPT.replace("BOX", _in_script(box)).replace("ADDRESS", _in_script(address))
    return (
        f'<div id="{box}"><p>Round after epoch {round_.epoch}: {round_.cases} cases for '
        f"{escaped_html(reader)}. Training waits; interrupting the kernel keeps what is read. "
        f'<a href="http://127.0.0.1:{port}/{path}" target="_blank" rel="noopener noreferrer">Open '
        f"the reading room in a tab</a>.{hint}</p>{frame}<script>{script}</script></div>"
    )


def _in_script(value: object) -> str:
    """The value as JavaScript that cannot end its script element."""
    return json.dumps(value).replace("<", "\\u003c")


def _ended(store: Store, round_: Round) -> str:
    read = len(store.current_readings(round_.id))
    now = store.find_round(round_.run, round_.epoch) or round_
    state = "is open" if now.state == "open" else "is closed"
    return (
        f"<p>The round after epoch {round_.epoch} {state}: {read} of {round_.cases} cases are "
        "read.</p>"
    )
