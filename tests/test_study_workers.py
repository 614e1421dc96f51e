"""Where a study's jobs are done: what becomes of one that is killed or goes wrong."""

import os
import signal

import pytest

from imil.study.jobs import workers
from imil.study.jobs.workers import KILLED, outcome, processes, threads_of


def die(_task):
    os.kill(os.getpid(), signal.SIGKILL)


def fail(_task):
    raise ValueError("one line\nand another")


def refuse(_task):
    return "the data are gone"


def live(_task):
    return ""


@pytest.fixture(scope="module")
def pool():
    """One process, and another in its place where it is killed."""
    with processes(1) as result:
        yield result


@pytest.mark.parametrize(
    ("do", "says"),
    [
        pytest.param(die, KILLED, marks=pytest.mark.slow),
        (fail, "ValueError: one line"),
        (refuse, "the data are gone"),
        (live, ""),
    ],
)
def test_a_failure_is_one_sentence_and_the_next_job_is_done(monkeypatch, pool, do, says):
    for one, expected in ((do, says), (live, "")):
        monkeypatch.setattr(workers, "do", one)
        assert outcome(pool.submit(None)) == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_a_process_that_may_use_one_processor_gets_one_thread():
    """More threads than processors wait for each other: ten times slower on a cluster's share."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(allowed)[:1]))
    try:
        assert threads_of(1) == threads_of(2) == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert threads_of(1) == len(allowed)
