"""Real processes that start quickly: forked from a server with all modules imported."""

import atexit
import gc
import multiprocessing
import os
import resource
import signal
import sys
from dataclasses import dataclass
from multiprocessing import forkserver, reduction

_forked = []
_real_context = multiprocessing.get_context
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(  # what commands import, and late; a name that is gone is left out
    [
        "pytest",
        "imil.cli.main",
        "imil.training.launch",
        "imil.training.outputs.training_curve",
        "imil.training.outputs.case_report",
        "imil.study.checks.preflight",
        "imil.study.jobs.runner",
        "imil.study.jobs.workers",
        "imil.study.report",
        "alembic.command",
        "alembic.context",
        "matplotlib.backends.backend_agg",
        "matplotlib.backends.backend_svg",
        "pandas.io.formats.csvs",
        "pyarrow.dataset",
        "pyarrow.pandas_compat",
        "sqlalchemy.dialects.postgresql",
    ]
)


@dataclass
class CommandResult:
    """Exit code and output of a command."""

    returncode: int
    stdout: str
    stderr: str


class Descriptor:
    """A file descriptor that a process which is forked from the server gets too, as `fd`."""

    def __init__(self, fd):
        self.fd = fd

    def __reduce__(self):
        return _received, (reduction.DupFd(self.fd),)


def _received(sent):
    return Descriptor(sent.detach())


def start(target, *args, **kwargs):
    """The exit code of a function in a process of its own; negative if a signal ended it."""
    process = fork(target, *args, **kwargs)
    process.join()
    return process.exitcode


def fork(target, *args, **kwargs):
    """A process in which the function runs."""
    forkserver.ensure_running()
    server = vars(forkserver._forkserver)
    known = {name: server.get(name) for name in ("_forkserver_address", "_forkserver_authkey")}
    process = CONTEXT.Process(target=_begin, args=(known, target, args, kwargs))
    process.start()
    _forked.append(process)
    return process


@atexit.register
def _end_all():
    """A test that failed may leave one that waits for a person, and Python would wait for it."""
    for process in _forked:
        if process.is_alive():
            process.kill()


def _begin(server, target, args, kwargs):
    """Call the target where processes that it spawns are forked from the same server too.

    They are as clean as spawned ones, and need not import everything again.
    """
    # Ctrl-C is ignored where pytest runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.freeze()  # what the server has imported is not garbage: leave its memory shared
    vars(forkserver._forkserver).update(server, ensure_running=lambda: None)
    multiprocessing.get_context = _get_context
    target(*args, **kwargs)


def _get_context(method=None):
    return _real_context("forkserver" if method == "spawn" else method)


def begin(words, cwd, out, **environment):
    """A process in which `imil` runs with these words; a file takes all that it writes."""
    return fork(_command, list(map(str, words)), cwd, environment, out, out, None)


def command(words, cwd, *, largest_file=None, **environment):
    """Run `imil` with these words, as a shell would; larger files fail as on a full disk."""
    out, err = cwd / ".stdout", cwd / ".stderr"
    code = start(_command, list(map(str, words)), cwd, environment, out, err, largest_file)
    return CommandResult(code, out.read_text(), err.read_text())


def _command(words, cwd, environment, out, err, largest_file):
    os.chdir(cwd)
    if largest_file is not None:
        multiprocessing.get_context = _real_context  # spawned processes inherit the limit
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    os.environ.update(environment)
    for number, path in ((0, os.devnull), (1, out), (2, err)):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND if number else os.O_RDONLY
        os.dup2(os.open(path, flags), number)
    sys.stdin, sys.stdout, sys.stderr = map(os.fdopen, range(3), "rww")
    sys.argv = ["imil", *words]
    from imil.cli.main import main

    try:
        main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
