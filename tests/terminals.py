"""A person at a terminal, for commands that ask."""

import os
import pty
import select
import signal
import sys
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
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored if pytest runs in the background
            os.execv(IMIL[0], [*IMIL, *map(str, words)])
        self.seen = ""

    def wait_for(self, text):
        """Read until the text appears after what was read before, or the program ends."""
        while text not in self.seen:
            assert self.read(), self.seen[-2000:]
        self.seen = self.seen[self.seen.index(text) + len(text) :]

    def read(self):
        """Wait for more output; False if the program has ended."""
        try:
            more = os.read(self.fd, 65536)
        except OSError:
            return False
        self.seen += more.decode(errors="replace")
        return bool(more)

    def interrupt(self):
        """Ctrl-C, again where it came between a prompt and its first read, which loses it."""
        os.kill(self.pid, signal.SIGINT)
        while not select.select([self.fd], [], [], 10)[0]:
            os.kill(self.pid, signal.SIGINT)

    def type(self, line):
        os.write(self.fd, f"{line}\n".encode())

    def end(self):
        """The exit code, once all output is read."""
        while self.read():
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
