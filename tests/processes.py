"""Real processes that start in a blink: forked from a server that has everything imported."""

import multiprocessing
import os
import sys
from dataclasses import dataclass

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["imil.cli.main", "imil.training.session"])


@dataclass
class Said:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def start(target, *args, **kwargs):
    """The exit code of a function in a process of its own; negative if a signal ended it."""
    process = CONTEXT.Process(target=target, args=args, kwargs=kwargs)
    process.start()
    process.join(240)
    return process.exitcode


def command(words, cwd, **environment):
    """Run `imil` with these words, as a shell would."""
    out, err = cwd / ".stdout", cwd / ".stderr"
    code = start(_command, list(map(str, words)), cwd, environment, out, err)
    return Said(code, out.read_text(), err.read_text())


def _command(words, cwd, environment, out, err):
    os.chdir(cwd)
    os.environ.update(environment)
    for number, path in ((0, os.devnull), (1, out), (2, err)):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC if number else os.O_RDONLY
        os.dup2(os.open(path, flags), number)
    sys.stdin, sys.stdout, sys.stderr = map(os.fdopen, range(3), "rww")
    sys.argv = ["imil", *words]
    from imil.cli.main import main

    try:
        main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
