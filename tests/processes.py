"""Real processes that start fast: forked from a server that has everything imported."""

import gc
import multiprocessing
import os
import resource
import sys
from dataclasses import dataclass
from multiprocessing import forkserver

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(  # what commands import, and late; a name that is gone is left out
    [
        "imil.cli.main",
        "imil.training.launch",
        "imil.training.training_curve",
        "imil.training.case_report",
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
class Said:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def start(target, *args, **kwargs):
    """The exit code of a function in a process of its own; negative if a signal ended it."""
    forkserver.ensure_running()
    server = vars(forkserver._forkserver)
    known = {name: server.get(name) for name in ("_forkserver_address", "_forkserver_authkey")}
    process = CONTEXT.Process(target=_begin, args=(known, target, args, kwargs))
    process.start()
    process.join()
    return process.exitcode


def _begin(server, target, args, kwargs):
    """Call the target where processes that it spawns are forked from the same server too.

    They are as clean as spawned ones, and need not import everything again.
    """
    gc.freeze()  # what the server has imported is not garbage: leave its memory shared
    vars(forkserver._forkserver).update(server, ensure_running=lambda: None)
    multiprocessing.get_context = _get_context
    target(*args, **kwargs)


def _get_context(method=None, _real=multiprocessing.get_context):
    return _real("forkserver" if method == "spawn" else method)


def command(words, cwd, *, largest_file=None, **environment):
    """Run `imil` with these words, as a shell would; a larger file fails as on a full disk."""
    out, err = cwd / ".stdout", cwd / ".stderr"
    code = start(_command, list(map(str, words)), cwd, environment, out, err, largest_file)
    return Said(code, out.read_text(), err.read_text())


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
