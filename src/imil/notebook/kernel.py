"""Whether this process is the kernel of a notebook, and how its page reaches a port of it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

from imil.errors import SettingsError

Through = Literal["auto", "port", "proxy", "link"]
LOOPBACK = ("localhost", "127.0.0.1")
SAME_ORIGIN = "'self'"  # a source of frame-ancestors
ANY_PORT = tuple(f"http://{name}:*" for name in LOOPBACK)


@dataclass(frozen=True)
class NotebookPage:
    """The page that shows the notebook.

    Args:
        framed_by: who may show the reading room in a frame, as sources of `frame-ancestors`; empty:
            nobody, so that the room is opened by a link.
        prefix: path of the notebook's server, below which `proxy/PORT/` leads to a port of this
            machine; None: the page's host has that port itself.
    """

    framed_by: tuple[str, ...] = ()
    prefix: str | None = None


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")  # a kernel has imported it
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None


def check_in_notebook(remedy: str) -> None:
    """Raises: SettingsError: this is not a notebook; `remedy` says what to do instead."""
    if not in_notebook():
        raise SettingsError(
            "the reader notebook shows the reading room inside a notebook, and this program is "
            f"not the kernel of one: {remedy}"
        )


def notebook_page(
    through: Through = "auto",
    *,
    environment: Mapping[str, str] | None = None,
    server: Mapping[str, Any] | None = None,
) -> NotebookPage:
    """How the page of this kernel's notebook reaches the kernel's machine.

    Args:
        through: `port`: the page's host, which must be this machine; `proxy`: jupyter-server-proxy,
            in the notebook's server; `link`: the room is opened beside the notebook; `auto`:
            `proxy` below JupyterHub and where the server is for other machines or has https,
            `port` where it is for this machine alone, and `link` where no server is found, as in
            VS Code, whose page would not send the room's cookie.
        environment: of the kernel; None: of this process.
        server: what a Jupyter server says about itself; None: the one that started this kernel.
    Raises: SettingsError: there is no such `through`.
    """
    if through not in get_args(Through):
        raise SettingsError(
            f"invalid through {through!r}: give {', '.join(get_args(Through)[:-1])} or link"
        )
    given = os.environ if environment is None else environment
    if through == "link" or (through == "auto" and any(one.startswith("VSCODE_") for one in given)):
        return NotebookPage()
    known = server if server is not None else _server(given)
    if hub := given.get("JUPYTERHUB_SERVICE_PREFIX"):
        through = "proxy" if through == "auto" else through
        known = {**known, "base_url": hub}
    if through == "auto" and known:
        through = _way(known)
    if through == "proxy":
        return NotebookPage(
            (SAME_ORIGIN,), f"/{known.get('base_url', '/').strip('/')}/".replace("//", "/")
        )
    if through == "port":
        port = known.get("port")
        return NotebookPage(
            tuple(f"http://{name}:{port}" for name in LOOPBACK) if port else ANY_PORT
        )
    return NotebookPage()


def _way(server: Mapping[str, Any]) -> Through:
    """How the page of that server reaches this machine."""
    if server.get("hostname") in LOOPBACK and not server.get("secure"):
        return "port"
    return "proxy" if find_spec("jupyter_server_proxy") else "link"


def _server(environment: Mapping[str, str]) -> dict[str, Any]:
    """Address of the Jupyter server that started this kernel; empty where it is not found."""
    try:
        from jupyter_core.paths import jupyter_runtime_dir
    except ImportError:
        return {}
    process = environment.get("JPY_PARENT_PID") or os.getppid()
    file = Path(jupyter_runtime_dir()) / f"jpserver-{process}.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {
        name: found[name] for name in ("hostname", "port", "base_url", "secure") if name in found
    }
