"""Trainings with other choices of cases and other times of rounds, stopped and resumed."""

from io import StringIO

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from imil.errors import SettingsError
from imil.phantom.dataset import write_phantoms
from imil.pytorch import TorchModel
from imil.round_options import CHOICE_NAMES
from imil.run_folder import RunFolder
from imil.settings import resolve
from imil.store import Store
from imil.training.checkpoints import Writer
from imil.training.fork import fork_run
from imil.training.launch import new_run
from imil.training.outputs.prediction_files import read_predictions
from imil.training.reader_factory import make_reader
from imil.training.run import Run
from imil.training.samples.prepared_data import prepare

N = 40
SMALL = {"model": "test_resnet", "image_size": 32, "epochs": 6, "batch_size": 15, "lr": 0.05}
SMALL |= {"imil_epoch": 3, "num_outliers": 4, "reader": "simulated", "device": "cpu"}
SMALL |= {"precision": "32"}
STALL = {"round_when": "stall", "patience": 1, "val_share": 0.2, "lr": 0.5, "epochs": 8}
FEW = {"round_when": "few-mistakes", "patience": 2}


class Stopped(BaseException):
    """In place of a kill: whatever is not on disk by now is lost."""


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "films"
    write_phantoms(folder, n=N, size=32, seed=0)
    table = pd.read_csv(folder / "manifest.csv").drop(columns="split")  # --val-share needs none
    table.to_csv(folder / "films.csv", index=False)
    return folder / "films.csv"


@pytest.fixture(autouse=True)
def checkpoint_after_every_epoch(monkeypatch):
    monkeypatch.setattr(Writer, "due", lambda _: True)


def prepared(films, folder, *, marks=(), **more):
    folder.mkdir(exist_ok=True)
    settings = resolve({"data": str(films)} | SMALL | more)
    run_folder, console = RunFolder(folder), Console(file=StringIO(), width=200)
    data = prepare(settings, run_folder, cache=folder / "cache", progress=lambda *_: None)
    return Run(run_folder, settings, data, console, marks=marks)


def train(films, folder, *, stop_at=None, **more):
    """Train, or go on; returns the run, its rounds, and the keys of each round's cases.

    Args:
        stop_at: number of the training step, or of the reading, before which it is stopped.
    """
    run = prepared(films, folder, **more)
    reader = make_reader(
        run.settings.reader, reader_name="r", seed=run.settings.seed, data=run.data, folder=folder
    )
    store = run.open_store()
    if isinstance(stop_at, int):
        stop_before_step(run, stop_at)
    if stop_at == "reading":
        reader = stopped_reader(reader)
    try:
        run.train(reader, store)
        rounds = store.rounds()
        return run, rounds, [[case.key for case in store.cases(one.id)] for one in rounds]
    finally:
        store.close()


def stop_before_step(run, number):
    step, steps = run.module.training_step, []

    def stopping(*args):
        steps.append(args)
        if len(steps) == number:
            raise Stopped
        return step(*args)

    run.module.training_step = stopping


def stopped_reader(reader):
    def ask(cases):
        for n, reading in enumerate(reader(cases)):
            if n == 1:
                raise Stopped
            yield reading

    return ask


def assert_resumes(films, tmp_path, stops, **how):
    """A run that was stopped at these points ends as one that was not."""
    run, rounds, cases = train(films, tmp_path / "whole", **how)
    for stop in stops:
        with pytest.raises(Stopped):
            train(films, tmp_path / "stopped", stop_at=stop, **how)
    again, rounds_again, cases_again = train(films, tmp_path / "stopped", **how)
    assert [one.epoch for one in rounds_again] == [one.epoch for one in rounds]
    assert cases_again == cases
    assert all(len(of_round) > 0 for of_round in cases)
    for name, weight in run.net.state_dict().items():
        assert torch.equal(again.net.state_dict()[name], weight), name
    history = [one.folder.history.read_text() for one in (run, again)]
    assert history[0] == history[1]
    return run, rounds


# what the others need is given in the same way, which tests without a training check
IN_EVERY_SUITE = ("auto", "diverse", "off_lung")
CHOICES_OF_RUNS = [
    name if name in IN_EVERY_SUITE else pytest.param(name, marks=pytest.mark.slow)
    for name in CHOICE_NAMES
]


@pytest.mark.parametrize("name", CHOICES_OF_RUNS)
def test_each_choice_holds_a_round(films, tmp_path, name):
    _, rounds, cases = train(films, tmp_path / "run", choice=name, epochs=4)
    assert [(one.epoch, one.state, one.settings.choice) for one in rounds] == [(3, "applied", name)]
    assert len(set(cases[0])) == len(cases[0]) <= 4
    if name != "likely_label_errors":  # of so few films none need be likely
        assert cases[0]


def test_the_default_chooses_as_it_did_before_there_was_a_setting(films, tmp_path):
    run, _, cases = train(films, tmp_path / "run", epochs=4)
    predictions = read_predictions(run.folder.predictions("epoch-003", "train"))
    wrong = np.flatnonzero(predictions.predicted != predictions.labels)
    confidence = predictions.probs.max(axis=1)
    expected = sorted(wrong, key=lambda i: (-confidence[i], predictions.keys[i]))[:4]
    assert cases[0] == [predictions.keys[i] for i in expected]


def test_auto_fills_up_with_mistakes_out_of_fold(films, tmp_path, monkeypatch):
    """A network that has learnt all training images leaves no mistakes of its own."""

    def certain(self, samples, rows=None, **_):
        labels = samples.labels if rows is None else samples.labels[list(rows)]
        return np.eye(2)[labels] * 0.98 + 0.01

    monkeypatch.setattr(TorchModel, "probs", certain)
    run, _, cases = train(films, tmp_path / "run", choice="auto", epochs=4)
    assert cases[0]
    assert f"0 mistakes, fewer than 4 cases; {len(cases[0])} mistake" in run.console.file.getvalue()


# three steps an epoch: in epoch 3, in the round after it, and in epoch 4 after the round
STOPS = [8, "reading", 2]


@pytest.mark.parametrize(
    "name", ["moving_average", pytest.param("early_mistakes", marks=pytest.mark.slow)]
)
def test_a_history_survives_a_kill(films, tmp_path, name):
    assert_resumes(films, tmp_path, STOPS, choice=name)


def test_an_arm_of_a_study_has_the_history_of_the_training_that_it_continues(films, tmp_path):
    how = {"choice": "moving_average", "epochs": 4}
    _, _, whole = train(films, tmp_path / "whole", **how)
    baseline = prepared(films, tmp_path / "baseline", reader="none", marks=(3,), **how)
    baseline.train(None, None)
    arm = RunFolder(tmp_path / "arm")
    fork_run(baseline.folder, arm, 3)
    _, _, cases = train(films, arm.path, **how)
    assert cases == whole


@pytest.mark.slow
def test_rounds_on_stall_are_the_same_after_a_kill(films, tmp_path):
    how = STALL | {"imil_epoch": [6, 7], "budget": 5, "num_outliers": 20}
    run, rounds = assert_resumes(films, tmp_path, [2, 4, "reading", 2], **how)
    losses = pd.read_csv(run.folder.history).val_loss.tolist()
    # by hand, patience being 1: the first epoch whose loss is not below the lowest so far
    first = next(i for i in range(1, 6) if losses[i] >= min(losses[:i])) + 1
    assert rounds[0].epoch == first < 6  # not only at the latest
    assert rounds[0].settings.num_outliers == 3
    assert rounds[1].settings.num_outliers == 5 - rounds[0].cases
    assert run.folder.at(first).exists()


def test_rounds_at_few_mistakes(films, tmp_path):
    how = FEW | {"imil_epoch": [4, 5], "mistakes": N}  # always few
    run, rounds, _ = train(films, tmp_path / "run", **how)
    assert [one.epoch for one in rounds] == [1, 3]
    assert "A round is held after epoch 1: " in run.console.file.getvalue()
    metrics = run.folder.metrics.read_text()
    assert '"epoch": 1' in metrics
    assert '"epoch": 3' in metrics


@pytest.mark.slow
def test_readings_of_early_rounds_are_replayed_after_whatever_epoch(films, tmp_path):
    how = FEW | {"imil_epoch": [4, 5], "mistakes": N}
    first, _, cases = train(films, tmp_path / "first", **how)
    reader = f"replay:{first.folder.store}"
    settings = resolve({"data": str(films)} | SMALL | how | {"reader": reader})
    folder, console = RunFolder(tmp_path / "second"), Console(file=StringIO())
    new_run(settings, folder, tmp_path / "cache", console=console)
    store = Store(folder.store, readonly=True)
    readings = [one for held in store.rounds() for one in store.readings(held.id)]
    assert len(readings) == sum(map(len, cases))
    assert {one.verdict for one in readings} == {"focus"}


def test_stall_without_a_validation_set_is_refused_before_training(films, tmp_path):
    with pytest.raises(SettingsError, match="--round-when stall follows the loss of a validation"):
        train(films, tmp_path / "run", **STALL | {"val_share": 0})


def test_off_lung_without_lung_masks_is_refused_before_training(films, tmp_path):
    with pytest.raises(SettingsError, match="--choice off_lung needs lung masks"):
        train(films, tmp_path / "run", choice="off_lung", mask_columns="lesion_mask")
    assert not RunFolder(tmp_path / "run").last.exists()


def test_one_round_of_six_and_two_of_three_have_as_many_cases(films, tmp_path):
    for name, epochs in (("one", [4]), ("two", [2, 4])):
        how = {"budget": 6, "num_outliers": 20, "imil_epoch": epochs}
        _, rounds, cases = train(films, tmp_path / name, choice="random", **how)
        assert [one.epoch for one in rounds] == epochs
        assert [len(of_round) for of_round in cases] == [6 // len(epochs)] * len(epochs)
