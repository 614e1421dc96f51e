"""A real kernel of a notebook, and what a page would show of its output."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager

import pytest

TIMEOUT = 120.0  # seconds; a busy machine imports PyTorch slowly


class Kernel:
    """Runs cells; `shown` is the HTML below the cells, as a page would have it now."""

    def __init__(self, manager, client):
        self._manager, self._client = manager, client
        self.shown, self.updates = {}, 0  # display id -> HTML; how often one was replaced
        self.text, self.error = "", None

    def start(self, code):
        """Run a cell and do not wait for it."""
        self.error = None
        self._cell = self._client.execute(code, store_history=False)

    def run(self, code):
        """Run a cell to its end; returns the error that it ended with, or None."""
        self.start(code)
        return self.wait()

    def wait(self):
        """Wait for the end of the cell."""
        self.wait_until(lambda: False)
        return self.error

    def wait_until(self, condition):
        """Take up messages until the condition is true, or the cell ends."""
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < deadline, f"never came: {self.text}"
            message = self._client.get_iopub_msg(timeout=TIMEOUT)
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != self._cell:
                continue
            if kind in ("display_data", "update_display_data", "execute_result"):
                name = content.get("transient", {}).get("display_id", len(self.shown))
                self.shown[name] = content["data"].get("text/html", content["data"])
                self.updates += kind == "update_display_data"
            elif kind == "stream":
                self.text += content["text"]
            elif kind == "error":
                self.error = f"{content['ename']}: {content['evalue']}"
                self.traceback = content["traceback"]
            elif kind == "status" and content["execution_state"] == "idle":
                return

    def interrupt(self):
        """As the button of the notebook does."""
        self._manager.interrupt_kernel()


@contextmanager
def kernel(folder, **environment):
    """A kernel in a folder, until the block ends."""
    client_module = pytest.importorskip(
        "jupyter_client", reason="needs a notebook's kernel: pip install ipykernel"
    )
    pytest.importorskip("ipykernel", reason="needs a notebook's kernel: pip install ipykernel")
    known = {name: value for name, value in os.environ.items() if not name.startswith("VSCODE_")}
    manager, client = client_module.manager.start_new_kernel(
        startup_timeout=TIMEOUT,
        cwd=str(folder),
        env=known | {"IPYTHONDIR": str(folder / "ipython"), **environment},
    )
    try:
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
