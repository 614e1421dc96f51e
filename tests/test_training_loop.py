"""The loop of `imil train`: nothing around it changes what it computes, and Ctrl-C ends it."""

import signal

import pytest
import torch
from rich.console import Console

from imil.cli.exit_codes import errors_as_exit_codes
from imil.phantom.dataset import write_phantoms
from imil.preemption import SIGNALS, Preempted, deferred, immediate, signals_stop_training
from imil.run_folder import RunFolder
from imil.settings import resolve
from imil.training.run import Run
from imil.training.samples.prepared_data import prepare

SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NAME": "train",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "2",
    "SLURM_LOCALID": "2",
    "SLURM_NODELIST": "node[1-4]",
}


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return write_phantoms(tmp_path_factory.mktemp("drawn") / "films", n=20, size=32, seed=0)


def make_run(films, folder, **more):
    values = {"data": str(films), "model": "test_resnet", "image_size": 32, "epochs": 3}
    values |= {"batch_size": 8, "lr": 0.01, "reader": "none", "mix": "mixup"}
    settings = resolve({**values, "precision": "32", "device": "cpu"} | more)
    run_folder = RunFolder(folder)
    folder.mkdir(exist_ok=True)
    data = prepare(settings, run_folder, cache=folder / "cache", progress=lambda *_: None)
    return Run(run_folder, settings, data, Console(quiet=True))


def weights_after(run):
    run.train(None, None)
    return run.net.state_dict()


def assert_equal(one, other):
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_a_cluster_s_variables_change_nothing(films, tmp_path, monkeypatch):
    plain = weights_after(make_run(films, tmp_path / "plain"))
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    assert_equal(weights_after(make_run(films, tmp_path / "slurm")), plain)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_an_interrupted_training_goes_on_to_the_same_weights(films, tmp_path, schedule):
    how = {"lr_schedule": schedule}
    plain = weights_after(make_run(films, tmp_path / "plain", **how))
    run, steps = make_run(films, tmp_path / "run", **how), []
    step = run.module.training_step

    def interrupted(*args):
        steps.append(args)
        if len(steps) == 4:  # two an epoch: in the middle of the second
            signal.raise_signal(signal.SIGINT)
        return step(*args)

    run.module.training_step = interrupted
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run.train(None, None)
    finally:
        signal.signal(signal.SIGINT, before)
    assert torch.load(run.folder.last, weights_only=True)["epoch"] == 1
    assert_equal(weights_after(make_run(films, tmp_path / "run", **how)), plain)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_preempted_training_ends_its_epoch_and_goes_on_to_the_same_weights(
    films, tmp_path, number, monkeypatch
):
    monkeypatch.setattr("imil.training.checkpoints.Writer.due", lambda _self: False)
    plain = weights_after(make_run(films, tmp_path / "plain"))
    run, steps = make_run(films, tmp_path / "run"), []
    step = run.module.training_step

    def preempted(*args):
        steps.append(args)
        if len(steps) == 3:  # two an epoch: in the second
            signal.raise_signal(number)
        return step(*args)

    run.module.training_step = preempted
    with signals_stop_training(), pytest.raises(Preempted, match=number.name):
        run.train(None, None)
    assert len(steps) == 4
    assert torch.load(run.folder.last, weights_only=True)["epoch"] == 2
    assert_equal(weights_after(make_run(films, tmp_path / "run")), plain)


def test_a_signal_between_epochs_ends_the_command_at_once_with_its_exit_code(capsys):
    def wait_for_reader():
        with errors_as_exit_codes("imil resume runs/films"), signals_stop_training():
            with deferred(), immediate():
                signal.raise_signal(signal.SIGTERM)
                raise AssertionError("still waiting")

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stopped:
        wait_for_reader()
    assert stopped.value.code == 75
    assert capsys.readouterr().err == (
        "Stopped by SIGTERM; the run can be resumed. Continue with: imil resume runs/films\n"
    )
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_cosine_schedule_decays_from_the_learning_rate_to_zero(films, tmp_path):
    run, rates = make_run(films, tmp_path / "run", lr_schedule="cosine"), []
    make_optimizer = run.module.make_optimizer

    def recording():
        optimizer = make_optimizer()
        optimizer.register_step_pre_hook(
            lambda *_: rates.append(optimizer.param_groups[0]["lr"] / 0.01)
        )
        return optimizer

    run.module.make_optimizer = recording
    run.train(None, None)
    # six steps, (1 + cos(pi i / 6)) / 2
    assert rates == pytest.approx([1, 0.9330, 0.75, 0.5, 0.25, 0.0670], abs=1e-4)


@pytest.mark.parametrize(
    ("optimizer", "given", "decay"),
    [("adamw", "default", 0.01), ("sgd", "default", 0), ("adamw", 0.05, 0.05), ("sgd", 0.1, 0.1)],
)
def test_weight_decay_is_the_optimizers_own_if_it_is_not_given(
    films, tmp_path, optimizer, given, decay
):
    run = make_run(films, tmp_path / "run", optimizer=optimizer, weight_decay=given)
    assert run.module.make_optimizer().param_groups[0]["weight_decay"] == decay
