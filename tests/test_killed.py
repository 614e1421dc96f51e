"""kill -9 at any moment: nothing stored is lost or asked again, and the weights come out equal.

A process that is killed leaves its files as they are at that moment. So one run is stopped just
before or after the n-th call of many functions, its files are copied at each of these points, and
each copy is gone on with. At a few points a process kills itself with a real `kill -9`.
"""

import importlib
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from processes import start
from safetensors.torch import load_file

from imil.phantom.dataset import write_phantoms
from imil.store import Store

# where it is killed: module, name there, which call, before or after
POINTS = [
    ("imil.training.samples.prepared_data", "decode_images", 1, "before"),
    ("imil.data.decoded_file", "resize_to_square", 7, "before"),  # while decoding
    ("imil.training.samples.prepared_data", "decode_images", 1, "after"),
    ("imil.training.samples.prepared_data", "write_splits", 1, "before"),
    ("imil.training.samples.prepared_data", "write_splits", 1, "after"),
    ("imil.training.classifier", "Classifier.training_step", 1, "before"),
    ("imil.training.classifier", "Classifier.training_step", 5, "after"),  # in epoch 3
    ("pathlib", "Path.replace", 2, "after"),
    ("pathlib", "Path.replace", 4, "before"),
    ("pathlib", "Path.replace", 5, "after"),
    ("pathlib", "Path.replace", 6, "before"),
    ("imil.training.checkpoints", "Writer.write", 2, "after"),  # handed over to the writer
    ("torch", "save", 3, "after"),  # written, not in place
    ("pathlib", "Path.hardlink_to", 1, "before"),  # the round's is there, the newest is older
    ("pathlib", "Path.hardlink_to", 1, "after"),
    ("imil.pytorch.model", "TorchModel.probs", 2, "after"),
    ("imil.rounds", "choose_cases", 1, "before"),
    ("imil.rounds", "_explain", 1, "after"),
    ("alembic.op", "create_table", 1, "before"),  # while the store is made
    ("alembic.op", "create_table", 7, "after"),
    ("alembic.op", "add_column", 3, "after"),
    ("imil.store.creation", "_rename_new", 1, "before"),
    ("imil.store.creation", "_rename_new", 1, "after"),
    ("imil.store", "Store.open_round", 1, "before"),
    ("imil.store", "Store.open_round", 1, "after"),
    ("imil.store", "Store.add", 1, "before"),
    ("imil.store", "Store.add", 2, "after"),  # between two readings
    ("imil.store", "Store.add", 4, "after"),
    ("imil.store.round_state", "close_if_over", 1, "before"),
    ("imil.store.round_state", "close_if_over", 1, "after"),
    ("imil.pytorch.corrections", "Corrections.set", 2, "after"),  # while correcting
    ("imil.store.round_state", "apply", 1, "before"),
    ("imil.store.round_state", "apply", 1, "after"),
    ("imil.store", "Store.open_round", 2, "after"),  # in the second round
    ("imil.store", "Store.add", 6, "after"),
    ("imil.training.trained_model", "save", 1, "after"),  # after the last epoch
    ("imil.training.run", "write_results", 1, "before"),
]
ONE_POINT = threading.Lock()
# each point is a run to its end: `make test` takes every fourth
MATRIX = [
    point if i % 4 == 0 else pytest.param(point, marks=pytest.mark.slow)
    for i, point in enumerate(POINTS)
]
KILLED = [  # with a real `kill -9`
    ("imil.data.decoded_file", "resize_to_square", 7, "before"),
    ("imil.store", "Store.add", 2, "after"),
    pytest.param(("torch", "save", 3, "after"), marks=pytest.mark.slow),
    pytest.param(("alembic.op", "create_table", 7, "after"), marks=pytest.mark.slow),
]


def run(films, out, point=None, *, resumes=False, epochs=4, rounds=(2, 3), rarely=False):
    """Train, or go on; killed at the point if one is given.

    `rarely` writes no checkpoint but those of rounds and of the last epoch.
    """
    if rarely:
        from imil.training.checkpoints import Writer

        Writer.due = lambda _self: False
    if point is not None:
        _at([point], lambda _point: os.kill(os.getpid(), signal.SIGKILL))
    torch.set_num_threads(1)
    os.chdir(out.parent)
    from imil.training.launch import new_run, resume_run
    from imil.training.run_setup import set_up_run

    cache = out.parent / "cache"
    if resumes:
        resume_run(out, None, cache)
        return
    settings, folder = set_up_run(
        {
            "data": str(films),
            "model": "test_resnet",
            "image_size": 32,
            "epochs": epochs,
            "batch_size": 16,
            "lr": 0.05,
            "imil_epoch": list(rounds),
            "num_outliers": 4,
            "reader": "simulated",
            "mix": "mixup",  # draws random numbers in every step
        },
        None,
        out,
    )
    new_run(settings, folder, cache)


def _at(points, act):
    """Call `act` with each point when it is reached."""
    for module, name in dict.fromkeys(point[:2] for point in points):
        home = importlib.import_module(module)
        *path, last = name.split(".")
        for part in path:
            home = getattr(home, part)
        of_this = {point[2:]: point for point in points if point[:2] == (module, name)}
        setattr(home, last, _acting(getattr(home, last), of_this, act))


def _acting(function, points, act):
    calls = 0

    def acting(*args, **kwargs):
        nonlocal calls
        calls += 1
        call = calls
        if (call, "before") in points:
            act(points[call, "before"])
        result = function(*args, **kwargs)
        if (call, "after") in points:
            act(points[call, "after"])
        return result

    return acting


def name_of(point):
    return f"{point[1]}-{point[3]}-{point[2]}"


def take_snapshots(films, home):
    """Train in `home / "live"`, and copy that folder to `home / NAME` at each point.

    The training stops all of its threads at a point, as a kill would, until the copy is made.
    """
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            _at(POINTS, lambda point: _stop(home, point))
            run(films, home / "live" / "run")
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    while os.WIFSTOPPED(status := os.waitpid(pid, os.WUNTRACED)[1]):
        point = home / "point"
        shutil.copytree(home / "live", home / point.readlink())
        point.unlink()
        os.kill(pid, signal.SIGCONT)
    sys.exit(os.waitstatus_to_exitcode(status))


def _stop(home, point):
    with ONE_POINT:  # threads may reach points at once
        (home / "point").symlink_to(name_of(point))
        os.kill(os.getpid(), signal.SIGSTOP)
        while (home / "point").is_symlink():  # the signal may stop another thread first
            time.sleep(0.001)


def digest(folder):
    """Equal for folders with the same files."""
    total = sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(folder)} {content}\n".encode())
    return total.hexdigest()


def readings(out):
    path = out / "imil.sqlite"
    if not path.exists() or not path.stat().st_size:
        return []
    store = Store(path)
    result = [reading for held in store.rounds() for reading in store.readings(held.id)]
    store.close()
    return result


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return write_phantoms(tmp_path_factory.mktemp("drawn") / "films", n=40, size=48, seed=0)


@pytest.fixture(scope="module")
def uninterrupted(films, tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert start(run, films, out) == 0
    return out


def test_the_run_that_is_not_killed_holds_two_rounds_of_four(uninterrupted):
    assert [r.case.rpartition("#")[0] for r in readings(uninterrupted)] == ["run@2"] * 4 + [
        "run@3"
    ] * 4


@pytest.fixture(scope="module")
def snapshots(films, tmp_path_factory):
    """A folder with the files of one run at every point, each under the point's name."""
    home = tmp_path_factory.mktemp("snapshots")
    (home / "live").mkdir()
    assert start(take_snapshots, films, home) == 0
    return home


@pytest.fixture(scope="module")
def resumed(films, snapshots):
    """Go on from a snapshot: the run, and the readings before; once where several are equal."""
    done = {}

    def resume(point):
        home = snapshots / name_of(point)
        files = digest(home)
        if files not in done:
            stored = readings(home / "run")
            assert start(run, films, home / "run", resumes=True) == 0
            done[files] = home / "run", stored
        return done[files]

    return resume


@pytest.mark.parametrize("point", MATRIX, ids=name_of)
def test_a_run_goes_on_to_the_same_end_from_wherever_it_was(uninterrupted, resumed, point):
    out, stored = resumed(point)
    check_the_end(out, stored, uninterrupted)


@pytest.mark.parametrize("point", KILLED, ids=name_of)
def test_a_killed_run_goes_on_to_the_same_end(films, uninterrupted, tmp_path, point):
    out = tmp_path / "run"
    assert start(run, films, out, point) == -signal.SIGKILL
    stored = readings(out)
    assert start(run, films, out, resumes=True) == 0
    check_the_end(out, stored, uninterrupted)


def check_the_end(out, stored, uninterrupted):
    """Nothing was lost or asked again, and everything is as in the run that was not killed."""
    ended = readings(out)
    assert ended[: len(stored)] == stored  # none lost, none altered
    assert len({r.case for r in ended}) == len(ended)  # none asked again
    assert [(r.case, r.squares) for r in ended] == [
        (r.case, r.squares) for r in readings(uninterrupted)
    ]
    expected = load_file(uninterrupted / "model.safetensors")
    weights = load_file(out / "model.safetensors")
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert (out / "metrics.json").read_text() == (uninterrupted / "metrics.json").read_text()
    for name in ("history.csv", "split.csv"):
        assert (out / name).read_bytes() == (uninterrupted / name).read_bytes(), name


def test_a_run_goes_on_from_a_checkpoint_of_epochs_ago(films, tmp_path):
    long = {"epochs": 7, "rounds": (2,), "rarely": True}
    # two steps an epoch: in the sixth, four after the round's checkpoint
    in_epoch_6 = ("imil.training.classifier", "Classifier.training_step", 12, "before")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, killed = tmp_path / "a" / "run", tmp_path / "b" / "run"
    assert start(run, films, whole, **long) == 0
    assert start(run, films, killed, in_epoch_6, **long) == -signal.SIGKILL
    assert torch.load(killed / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] < 3
    assert start(run, films, killed, resumes=True, **long) == 0
    expected = load_file(whole / "model.safetensors")
    weights = load_file(killed / "model.safetensors")
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    for name in ("history.csv", "metrics.json"):
        assert (killed / name).read_text() == (whole / name).read_text(), name


def test_a_run_killed_again_and_again_finishes(films, uninterrupted, tmp_path):
    out = tmp_path / "run"
    deaths = [
        ("imil.training.samples.prepared_data", "decode_images", 1, "before"),
        ("imil.training.classifier", "Classifier.training_step", 3, "after"),
        ("imil.store", "Store.open_round", 1, "after"),
        ("imil.store", "Store.add", 1, "after"),
        ("imil.store", "Store.add", 1, "after"),
        ("imil.store.round_state", "close_if_over", 1, "after"),
        ("imil.training.run", "write_results", 1, "before"),
    ]
    for i, point in enumerate(deaths):
        assert start(run, films, out, point, resumes=i > 0) == -signal.SIGKILL, point
    assert start(run, films, out, resumes=True) == 0
    expected = load_file(uninterrupted / "model.safetensors")
    weights = load_file(out / "model.safetensors")
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_half_written_files_are_swept_away(uninterrupted):
    assert not list(uninterrupted.rglob("*.half"))
    assert Path(uninterrupted / "checkpoints" / "epoch-002.ckpt").exists()
