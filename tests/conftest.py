"""What every test needs: one thread, a guard against processes, the real films, a plain user."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import process_guard
import pytest
from hypothesis import settings

# before anything imports a library that starts threads: with a worker on each core, more than
# one thread per worker only makes them wait for each other
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# Keras chooses its backend when it is first imported, which another library may do before a test
os.environ.setdefault("KERAS_BACKEND", "torch")

# a busy machine is slow and not wrong
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# a commit to the store waits for the disk: the tests' files lie in memory where there is room
MEMORY = Path("/dev/shm")
ROOM = 4 << 30  # bytes; the suite leaves about a tenth of that
if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# collecting imports all libraries, which makes millions of objects and hardly any garbage: a
# third of its time went into looking for it
gc.disable()

# no test may write the key of the person who runs it
os.environ.setdefault("IMIL_KEY_FILE", str(Path(tempfile.gettempdir(), f"imil-key-{os.getpid()}")))

NOBODY = 65534  # the user without rights on every Unix

# Under `--dist loadfile` a file is one worker's; the longest begin first, so that none is left
# alone at the end. The order is all that counts: measured with `--durations`, longest first.
LONGEST_FIRST = (
    "test_docs_code.py",
    "test_reading_room.py",
    "test_killed.py",
    "test_study_run.py",
    "test_study_figures.py",
    "test_reading_room_keys.py",
    "test_reading_room_answers.py",
    "test_reading_room_film.py",
    "test_cli.py",
    "test_study_report.py",
    "test_study_templates.py",
    "test_reading_room_layouts.py",
    "test_run_rounds.py",
    "test_reading_room_squares.py",
    "test_demo.py",
    "test_timm_families.py",
    "test_web_access.py",
    "test_web_schemathesis.py",
    "test_web_train.py",
    "test_examples.py",
    "test_study_summary.py",
    "test_study_statistics_coverage.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers() -> int:
    """Three for two cores: browsers and processes are waited for half of the time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 1) * 3 // 2)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests that use a browser or start a process; give workers the longest files first."""
    for item in items:
        for mark in process_guard.marks(item):
            item.add_marker(mark)
    if hasattr(config, "workerinput"):  # a worker of pytest-xdist
        rank = {name: position for position, name in enumerate(LONGEST_FIRST)}
        items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


def pytest_collection_finish() -> None:
    """Look for garbage again, but not among what was imported."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Fail a test whose fixtures start a process, if it is not marked so."""
    with process_guard.guard(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test that starts a process and is not marked so."""
    with process_guard.guard(item):
        return (yield)


@pytest.fixture(scope="session")
def shenzhen():
    """The folder of the 662 Shenzhen films and their manifest.csv."""
    folder = os.environ.get("IMIL_SHENZHEN")
    if not folder:
        pytest.skip(
            "reads the 662 real Shenzhen films, which are no part of the project: get them and set "
            "IMIL_SHENZHEN to their folder, as docs/ARCHITECTURE.md says under Tests"
        )
    assert Path(folder, "manifest.csv").is_file(), f"IMIL_SHENZHEN={folder} holds no manifest.csv"
    return Path(folder)


@pytest.fixture
def guarded(tmp_path):
    """A folder whose permissions hold for this test, also where root runs it."""
    if os.geteuid() != 0:
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp())  # pytest's own lies where only root may go
    os.chown(folder, NOBODY, -1)
    os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        os.seteuid(0)
        shutil.rmtree(folder)
