"""A person at a terminal, for commands that ask."""

import os
import pty
import select
import sys
import time
from pathlib import Path

IMIL = [str(Path(sys.executable).with_name("imil"))]


class Terminal:
    """A person at a terminal."""

    def __init__(self, *words, cwd):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.environ.update(IMIL_CACHE=str(cwd / "cache"), COLUMNS="100", TERM="xterm")
            os.environ.pop("DISPLAY", None)
            os.execv(IMIL[0], [*IMIL, *map(str, words)])
        self.output = ""

    def wait_for(self, text, seconds=120):
        """Read until the text appears after what was read before."""
        end = time.monotonic() + seconds
        while text not in self.output:
            assert time.monotonic() < end, f"no {text!r} in {self.output[-2000:]!r}"
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    self.output += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:  # the program has ended
                    assert text in self.output, self.output[-2000:]
        self.output = self.output[self.output.index(text) + len(text) :]

    def type(self, line):
        os.write(self.fd, f"{line}\n".encode())

    def end(self):
        """The exit code, once all output is read."""
        while True:
            try:
                if not os.read(self.fd, 65536):
                    break
            except OSError:
                break
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
