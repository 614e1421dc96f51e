"""A person at a terminal, for commands that ask."""

import fcntl
import os
import select
import signal
import sys
import termios
from pathlib import Path

from processes import Descriptor, fork

IMIL = [str(Path(sys.executable).with_name("imil"))]


class Terminal:
    """A person at a terminal."""

    def __init__(self, *words, cwd):
        self.fd, theirs = os.openpty()
        self.process = fork(_command, list(map(str, words)), cwd, Descriptor(theirs))
        os.close(theirs)
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
        os.kill(self.process.pid, signal.SIGINT)
        while not select.select([self.fd], [], [], 10)[0]:
            os.kill(self.process.pid, signal.SIGINT)

    def type(self, line):
        os.write(self.fd, f"{line}\n".encode())

    def end(self):
        """The exit code, once all output is read."""
        while self.read():
            pass
        self.process.join()
        os.close(self.fd)
        return self.process.exitcode


def _command(words, cwd, terminal):
    """Run `imil` with these words at the terminal."""
    terminal = terminal.fd
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(terminal, number)
    os.close(terminal)
    sys.stdin, sys.stdout, sys.stderr = map(os.fdopen, range(3), "rww")
    os.chdir(cwd)
    os.environ.update(IMIL_CACHE=str(cwd / "cache"), COLUMNS="100", TERM="xterm")
    os.environ.pop("DISPLAY", None)
    sys.argv = ["imil", *words]
    from imil.cli.main import main

    try:
        main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
