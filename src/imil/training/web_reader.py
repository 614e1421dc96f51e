"""The reader at a web page, served beside the training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from imil.cases import Reader
from imil.readers.web_page import Web
from imil.store import Store
from imil.web.installed import check_web_installed

if TYPE_CHECKING:
    from imil.training.run import Run


@contextmanager
def reading_room(
    run: Run,
    store: Store,
    console: Console,
    *,
    fallback: Reader | None = None,
    open_link: Callable[[str], object] | None = None,
) -> Iterator[Reader]:
    """A reader at a web page, which is served while the block runs.

    Args:
        run: gives the page its title and the protocol.
        store: where the training and the page meet.
        console: prints the links.
        fallback: answers if nobody opens the page within a minute.
        open_link: is called with the reader's link, to open it in a browser.
    Raises: SettingsError: the web part is not installed.
    """
    check_web_installed()
    from imil.web.child_server import start_server_process

    panel = run.panel
    names = [*panel.readers, *filter(None, [panel.arbiter])]
    protocol = run.settings.protocol
    with start_server_process(store.path, run.name, protocol=protocol, readers=names) as room:
        for line in room.messages:
            console.print(line)
        if room.links.reader:
            console.print(f"Read here:        {room.links.reader}", soft_wrap=True)
            if open_link is not None:
                open_link(room.links.reader)
        for name, link in room.links.named.items():
            role = "decides" if name == panel.arbiter else "reads"
            console.print(f"{name} {role} here: {link}", markup=False, soft_wrap=True)
        console.print(f"Watch and invite: {room.links.owner}", soft_wrap=True)
        yield Web(
            store,
            fallback=fallback,
            say=partial(console.print, markup=False, soft_wrap=True),
            check_server=lambda: room.restart_if_ended(partial(console.print, soft_wrap=True)),
        )
