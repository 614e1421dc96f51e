"""Real processes that start quickly: forked from a server with all modules imported."""

import multiprocessing
import os
import resource
import sys
from dataclasses import dataclass

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["imil.cli.main", "imil.training.launch"])


@dataclass
class CommandResult:
    """Exit code and output of a command."""

    returncode: int
    stdout: str
    stderr: str


def start(target, *args, **kwargs):
    """Run a function in its own process; returns the exit code, negative if a signal ended it."""
    process = CONTEXT.Process(target=target, args=args, kwargs=kwargs)
    process.start()
    process.join(240)
    return process.exitcode


def command(words, cwd, *, largest_file=None, **environment):
    """Run `imil` with these words, as a shell would; larger files fail as on a full disk."""
    out, err = cwd / ".stdout", cwd / ".stderr"
    code = start(_command, list(map(str, words)), cwd, environment, out, err, largest_file)
    return CommandResult(code, out.read_text(), err.read_text())


def _command(words, cwd, environment, out, err, largest_file):
    os.chdir(cwd)
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
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
