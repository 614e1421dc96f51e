"""The command line, as a person types it: exit codes, one sentence for a mistake, nothing lost."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from processes import command
from terminals import IMIL, Terminal

from imil.cli.exit_codes import errors_as_exit_codes
from imil.cli.main import app
from imil.cli.study_command import study
from imil.errors import SettingsError
from imil.phantom.dataset import write_phantoms
from imil.store import Store

SMALL = [
    *("--model", "test_resnet", "--image-size", "32", "--epochs", "3", "--batch-size", "16"),
    *("--lr", "0.05", "--imil-epoch", "2", "--num-outliers", "4"),
]


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return write_phantoms(
        tmp_path_factory.mktemp("drawn") / "films", n=40, size=48, seed=0, letter=0.9
    )


@pytest.fixture
def imil(tmp_path):
    return lambda *words: run(tmp_path, *words)


def run(home, *words, **more):
    return command(words, home, IMIL_CACHE=str(home / "cache"), COLUMNS="120", **more)


@pytest.fixture(scope="module")
def trained(films, tmp_path_factory):
    """The folder of a finished run, and its output."""
    home = tmp_path_factory.mktemp("trained")
    result = run(home, "train", films, *SMALL, "--reader", "simulated", "--out", "run")
    assert result.returncode == 0, result.stderr
    return home / "run", result.stdout


def test_training_ends_with_a_table_and_the_uncertainty(trained):
    _, output = trained
    assert "before the round after epoch 2" in output
    assert re.search(r"at the end\s+│\s+[01]\.\d{3}", output)
    assert "95 % confidence interval" in output


def test_a_run_writes_all_its_files(trained):
    run, _ = trained
    for name in (
        "config.toml",
        "split.csv",
        "imil.sqlite",
        "history.csv",
        "metrics.json",
        "cases.html",
        "curve.png",
        "model.safetensors",
        "checkpoints/last.ckpt",
        "checkpoints/epoch-002.ckpt",
        "predictions/epoch-002/test.parquet",
        "predictions/end/train.parquet",
    ):
        assert (run / name).stat().st_size > 0, name
    assert "seed = 0" in (run / "config.toml").read_text()


def test_metrics_agree_with_the_prediction_files(trained):
    run, _ = trained
    metrics = json.loads((run / "metrics.json").read_text())
    for when, values in (
        ("end", metrics["end"]["test"]),
        ("epoch-002", metrics["rounds"][0]["before"]["test"]),
    ):
        table = pd.read_parquet(run / "predictions" / when / "test.parquet")
        assert values["accuracy"] == pytest.approx((table.label == table.predicted).mean())
        picked = np.where(table.label == 1, table.prob_1, table.prob_0)
        assert values["nll"] == pytest.approx(-np.log(picked).mean())
        assert values["n"] == len(table)
        assert set(values) >= {"accuracy", "auroc", "ece", "brier", "nll"}


def test_the_rounds_outliers_are_the_most_confident_mistakes_of_the_predictions(trained):
    run, _ = trained
    table = pd.read_parquet(run / "predictions" / "epoch-002" / "train.parquet")
    table["confidence"] = table[["prob_0", "prob_1"]].max(axis=1)
    wrong = table[table.predicted != table.label]
    expected = wrong.sort_values(["confidence", "key"], ascending=[False, True]).key[:4].tolist()
    store = Store(run / "imil.sqlite", readonly=True)
    assert [case.key for case in store.cases(store.rounds()[0].id)] == expected


def test_rounds_are_shown_as_a_table(trained, imil):
    run, _ = trained
    result = imil("rounds", run)
    assert result.returncode == 0
    assert "round after epoch 2: 4 of 4 cases read, applied, grid 4×4" in result.stdout
    assert result.stdout.count("focus") == 4


def test_resuming_a_finished_run_does_nothing(trained, imil):
    result = imil("resume", trained[0])
    assert result.returncode == 0
    assert "is finished" in result.stdout


def test_the_same_command_gives_the_same_numbers(trained, films, imil, tmp_path):
    result = imil("train", films, *SMALL, "--reader", "simulated", "--out", "run")
    assert result.returncode == 0
    for name in ("metrics.json", "history.csv", "model.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (trained[0] / name).read_bytes(), name


def test_a_run_can_be_replayed_from_its_store(trained, films, imil, tmp_path):
    store = trained[0] / "imil.sqlite"
    result = imil("train", films, *SMALL, "--reader", f"replay:{store}", "--out", "run")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "run/model.safetensors").read_bytes() == (
        trained[0] / "model.safetensors"
    ).read_bytes()


def _cut(path):
    path.write_bytes(path.read_bytes()[:200])


def _shorten(path):
    path.write_bytes(path.read_bytes()[:-30])


def _table(change):
    def spoil(films):
        table = pd.read_csv(films)
        change(table).to_csv(films, index=False)

    return spoil


def _image(spoil):
    return lambda films: spoil(films.parent / pd.read_csv(films).image[3])


def _set(column, value, rows=slice(None)):
    def change(table):
        table = table.astype({column: object})
        table.loc[rows, column] = value
        return table

    return _table(change)


BAD_DATA = {
    "missing file": (_image(lambda path: path.unlink()), "P00004.png"),
    "empty file": (_image(lambda path: path.write_bytes(b"")), "P00004.png"),
    "truncated file": (_image(_cut), "P00004.png"),
    "not an image": (_image(lambda path: path.write_text("hello")), "P00004.png"),
    "one class": (_table(lambda t: t[t.label == 0]), "class"),
    "label that is no class": (_set("label", "x7", 2), "label"),
    "fractional label": (_set("label", 0.5, 2), "0.5"),
    "no label": (_set("label", np.nan, 2), "label"),
    "duplicate": (_table(lambda t: pd.concat([t, t[:1]])), "P00001.png"),
    "no rows": (_table(lambda t: t[:0]), "manifest.csv"),
    "no image column": (_table(lambda t: t.rename(columns={"image": "picture"})), "picture"),
    "class missing from a split": (_table(lambda t: t[(t.split != "test") ^ (t.label == 0)]), "t"),
    "unknown split": (_set("split", "holdout", 2), "holdout"),
    "patient in two splits": (_set("patient", "P1"), "P1"),
    "fewer than a batch": (_table(lambda t: t.groupby(["split", "label"]).head(3)), "batch"),
    "mask of another size": (
        lambda films: Image.new("L", (9, 9)).save(
            films.parent / pd.read_csv(films).lung_mask[3]
        ),
        "9",
    ),
    "truncated mask": (
        lambda films: _shorten(films.parent / pd.read_csv(films).lung_mask[3]), "truncated",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_DATA)
def test_bad_data_gets_one_sentence_before_training_and_changes_nothing(what, imil, tmp_path):
    spoil, named = BAD_DATA[what]
    films = write_phantoms(tmp_path / "films", n=40, size=48, seed=0)
    spoil(films)
    check_refused(imil("train", films, *SMALL, "--reader", "none", "--out", "run"), named)
    left = [p.name for p in (tmp_path / "run").rglob("*")] if (tmp_path / "run").exists() else []
    assert left in ([], [".lock"])


def test_unreadable_images_can_be_skipped_and_are_listed(imil, tmp_path):
    films = write_phantoms(tmp_path / "films", n=44, size=48, seed=0)
    _cut(films.parent / pd.read_csv(films).image[3])
    result = imil("train", films, *SMALL, "--reader", "none", "--skip-bad", "--out", "run")
    assert result.returncode == 0, result.stderr
    assert "Left out: images/P00004.png" in result.stdout
    assert "43 images" in result.stdout


BAD_FLAGS = {
    "--lr -1": "--lr is -1",
    "--model resnet19": "did you mean resnet18",
    "--grid-size 65": "invalid grid of 65",
    "--reader psychic": "--reader is 'psychic'",
    "--reader replay:nowhere.csv": "nowhere.csv",
    "--reader simulated:luck=1": "invalid option 'luck=1'",
    "--weights nowhere.pt": "nowhere.pt is not a file",
    "--config nowhere.toml": "nowhere.toml cannot be read",
    "--imil-epoch never": "--imil-epoch",
    "--imil-epoch 1,--5": "--imil-epoch is '--5'",
    "--grid-size 33": "squares without a pixel at --image-size 32",
    "--model inception_v3": "cannot take images of --image-size 32",
    "--device tpu": "--device is 'tpu'",
    "--mask-columns shadow": "shadow",
}


@pytest.mark.parametrize("words", BAD_FLAGS)
def test_a_bad_flag_gets_one_sentence(words, films, imil):
    # the last of two values counts
    check_refused(imil("train", films, *SMALL, *words.split(), "--out", "run"), BAD_FLAGS[words])


@pytest.mark.parametrize(("reader", "refused"), [("simulated", True), ("none", False)])
def test_a_network_that_cannot_be_explained_is_refused_before_training(
    reader, refused, films, tmp_path, monkeypatch
):
    from torch import nn

    from imil.training.launch import new_run
    from imil.training.run_setup import set_up_run

    flat = nn.Sequential(nn.Flatten(), nn.Linear(32 * 32, 2))
    monkeypatch.setattr("imil.training.run_classifier.build", lambda *_, **__: flat)
    flags = {"data": str(films), "image_size": 32, "epochs": 2, "imil_epoch": 1, "reader": reader}
    settings, folder = set_up_run(flags | {"batch_size": 16}, None, tmp_path / "run")
    with pytest.raises(SettingsError, match="no layer of") if refused else nullcontext():
        new_run(settings, folder, tmp_path / "cache")
    assert (tmp_path / "run").exists() is not refused


def _readings(path, *rows):
    path.write_text("\n".join(["key,epoch,squares", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("images/P00001.png,,17", "outside a 4×4 grid"),
        ("elsewhere.png,,1", "no reading of a training image; its first is of 'elsewhere.png'"),
        ("images/P00001.png,1,1", "no reading for the round after epoch 2, only after 1"),
    ],
)
def test_readings_that_cannot_be_replayed_are_found_before_training(
    row, message, films, imil, tmp_path
):
    file = _readings(tmp_path / "readings.csv", row)
    check_refused(
        imil("train", films, *SMALL, "--reader", f"replay:{file}", "--out", "run"), message
    )
    assert not (tmp_path / "run").exists()


def test_a_refused_start_leaves_no_folder(films, imil, tmp_path):
    check_refused(imil("train", films, *SMALL, "--reader", "psychic"), "psychic")
    assert not list((tmp_path / "runs").glob("*"))


def test_a_configuration_file_may_set_everything_that_flags_set(films, imil, tmp_path):
    names = {"--imil-epoch": 'imil-epoch = "1,2"'}
    flags = dict(zip(SMALL[::2], SMALL[1::2], strict=True)) | {"--reader": "none"}
    lines = [names.get(flag, f"{flag[2:]} = {_toml(value)}") for flag, value in flags.items()]
    lines += [f'data = "{films}"', 'out = "there"', 'cache = "kept"', "skip-bad = true"]
    (tmp_path / "a.toml").write_text("\n".join(lines))
    result = imil("train", "--config", "a.toml", "--no-skip-bad")
    assert result.returncode == 0, result.stderr
    config = tomllib.loads((tmp_path / "there" / "config.toml").read_text())
    assert config["imil-epoch"] == [1, 2]
    assert config["skip-bad"] is False
    assert list((tmp_path / "kept").rglob("*.npy"))
    assert (config["device"], config["precision"]) != ("auto", "auto")
    assert "auto" not in (config["device"], config["precision"])


def _toml(value):
    return value if re.fullmatch(r"[\d.]+", value) else f'"{value}"'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("data = 5", "--data is 5"),
        ('data = ["a.csv"]', "--data is ['a.csv']"),
        ("weights = false", "--weights is false"),
        ("epochs = true", "--epochs is true"),
        ("out = 5", "--out is 5"),
    ],
)
def test_a_file_with_a_value_of_the_wrong_kind_gets_one_sentence(
    line, message, films, imil, tmp_path
):
    (tmp_path / "a.toml").write_text(line)
    words = [] if "data" in line else [films]
    check_refused(imil("train", *words, "--config", "a.toml"), message)


def test_a_run_that_was_killed_at_its_first_step_can_be_started_again(films, imil, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").touch()
    (tmp_path / "run" / ".config.toml.half").write_text("data")
    result = imil("train", films, *SMALL, "--reader", "none", "--out", "run")
    assert result.returncode == 0, result.stderr


def _config(*change):
    def spoil(run):
        text = (run / "config.toml").read_text()
        assert change[0] in text
        (run / "config.toml").write_text(text.replace(*change))

    return spoil


def _halved(name):
    return lambda run: (run / name).write_bytes((run / name).read_bytes()[:2000])


def _holed(name):
    """A sector in the middle of the pickle is zero."""

    def spoil(run):
        data = bytearray((run / name).read_bytes())
        at = data.index(b"optimizer")
        data[at : at + 512] = bytes(512)
        (run / name).write_bytes(data)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            _config("imil-epoch = [\n    2,", "imil-epoch = [\n    3,"),
            "imil-epoch [3], but the run",
        ),
        (_config('optimizer = "sgd"', 'optimizer = "adam"'), "optimizer adam, but the run"),
        (_config('model = "test_resnet"', 'model = "test_vit"'), "model test_vit, but the run"),
        (_halved("checkpoints/last.ckpt"), "last.ckpt is damaged"),
        (_holed("checkpoints/last.ckpt"), "last.ckpt is damaged"),
        (_halved("predictions/epoch-002/train.parquet"), "train.parquet cannot be read"),
    ],
    ids=["round", "optimizer", "model", "checkpoint", "sector of checkpoint", "predictions"],
)
def test_a_run_that_was_changed_or_damaged_is_not_resumed(spoil, message, trained, imil, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(trained[0], copy)
    (copy / "metrics.json").unlink()
    shutil.copy(copy / "checkpoints" / "epoch-002.ckpt", copy / "checkpoints" / "last.ckpt")
    spoil(copy)
    check_refused(imil("resume", "run"), message)


def test_a_checkpoint_of_another_model_is_refused_without_a_store(films, imil, tmp_path):
    words = ["train", films, *SMALL, "--reader", "none", "--out", "run"]
    assert imil(*words).returncode == 0
    (tmp_path / "run" / "metrics.json").unlink()
    _config('optimizer = "sgd"', 'optimizer = "adam"')(tmp_path / "run")
    check_refused(imil("resume", "run"), "another model or optimizer than")


def test_a_training_that_diverges_stops_and_says_so(films, imil):
    words = ["--reader", "none", "--lr", "100", "--momentum", "0.99", "--epochs", "60"]
    result = imil("train", films, *SMALL, *words, "--model", "test_vit", "--out", "run")
    check_refused(result, "training has diverged; train anew with a lower --lr")


def test_names_with_brackets_are_printed_unchanged(imil, tmp_path):
    films = write_phantoms(tmp_path / "films", n=40, size=48, seed=0)
    table = pd.read_csv(films)
    for i, name in enumerate(table.image):
        odd = name.replace(".png", "[left].png")
        (films.parent / name).rename(films.parent / odd)
        table.loc[i, "image"] = odd
    table["class_name"] = table["class_name"] + " [/x]"
    table.to_csv(films, index=False)
    _cut(films.parent / table.image[3])
    words = ["--reader", "simulated", "--skip-bad", "--out", "run[old]"]
    result = imil("train", films, *SMALL, *words)
    assert result.returncode == 0, result.stderr
    for shown in ("P00004[left].png", "Everything is in run[old]", "[/x]"):
        assert shown in result.stdout
    rounds = imil("rounds", "run[old]").stdout
    assert rounds.count("[left].png") == 4
    assert "[/x]" in rounds


def test_a_file_without_permission_is_one_sentence(capsys):
    with pytest.raises(SystemExit) as ended, errors_as_exit_codes():
        raise PermissionError(13, "Permission denied", "runs/locked")
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("imil: 'runs/locked' cannot be used (Permission denied)")
    with pytest.raises(BrokenPipeError), errors_as_exit_codes():  # without a file name
        raise BrokenPipeError(32, "Broken pipe")


def test_an_unavailable_device_is_refused_before_images_are_decoded(films, imil, tmp_path):
    absent = "mps" if torch.cuda.is_available() else "cuda"
    result = imil("train", films, *SMALL, "--device", absent, "--out", "run")
    check_refused(result, f"--device {absent} is not available on this machine")
    assert "cpu" in result.stderr
    assert not list((tmp_path / "cache").rglob("*.npy"))
    result = imil("train", films, *SMALL, "--device", "cpu", "--reader", "none", "--out", "run")
    assert result.returncode == 0, result.stderr


@pytest.mark.slow  # in a process that imports PyTorch anew
def test_without_a_network_the_message_suggests_a_file_of_weights(films, tmp_path):
    result = subprocess.run(
        [*IMIL, "train", films, *SMALL, "--weights", "imagenet", "--out", "run"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "empty")},
    )
    check_refused(result, "without a network, give --weights FILE")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train", "data is missing"),
        ("train nowhere.csv", "nowhere.csv"),
        ("resume nowhere", "there is no run in nowhere"),
        ("rounds nowhere", "there is no store"),
    ],
)
def test_missing_files_are_named(words, message, imil):
    check_refused(imil(*words.split()), message)


def test_a_folder_that_holds_a_run_is_left_as_it_is(trained, films, imil):
    run = trained[0]
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.name != ".lock"}
    again = imil("train", films, *SMALL, "--reader", "simulated", "--out", run)
    check_refused(again, "already holds this run: continue it with `imil resume")
    other = imil("train", films, *SMALL, "--reader", "simulated", "--seed", "3", "--out", run)
    check_refused(other, "holds a run with other settings (seed 0, now 3)")
    assert before == {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.name != ".lock"}


def test_a_folder_with_something_else_in_it_is_left_alone(films, imil, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    check_refused(imil("train", films, *SMALL, "--out", "run"), "is not empty")
    (tmp_path / "file").write_text("x")
    check_refused(imil("train", films, *SMALL, "--out", "file"), "is a file")


def test_a_folder_that_cannot_be_written_is_named_before_training(films, imil, tmp_path):
    (tmp_path / "file").write_text("x")
    check_refused(imil("train", films, *SMALL, "--reader", "none", "--out", "file/run"), "file/run")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="writes to /dev/full, as on a full disk")
def test_the_exit_code_says_what_it_was_where_no_sentence_can_be_written(monkeypatch):
    with open("/dev/full", "w", buffering=1) as full:  # noqa: PTH123 - no file with a name
        monkeypatch.setattr(sys, "stderr", full)
        with pytest.raises(SystemExit) as ended, errors_as_exit_codes():
            raise SettingsError("the store is on a full disk")
        monkeypatch.undo()
        with suppress(OSError):
            full.close()
    assert ended.value.code == 2


def test_a_full_disk_is_one_sentence_and_the_run_can_be_resumed_with_more_space(
    films, imil, tmp_path
):
    # the checkpoint is the first file of this size; a new store and its journal have 0.6 MB
    words = ["train", films, *SMALL, "--reader", "simulated", "--out", "run"]
    check_refused(
        run(tmp_path, *words, largest_file=1_400_000), "cannot be written (File too large)"
    )
    result = imil("resume", "run")
    assert result.returncode == 0, result.stderr
    assert "at the end" in result.stdout


def test_a_training_with_every_kind_of_setting_works(tmp_path, imil):
    films = write_phantoms(tmp_path / "films", n=60, size=48, seed=0)
    _table(lambda t: t.drop(columns="split"))(films)
    flags = "--model test_vit --channels 3 --precision bf16 --mix cutmix --optimizer adamw "
    flags += "--augment flip,crop"
    more = "--val-share 0.2 --grid-size 4x6 --imil-epoch 1,2 --reader random"
    result = imil("train", films, *SMALL, *flags.split(), *more.split(), "--out", "run")
    assert result.returncode == 0, result.stderr
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    assert {"train_loss", "val_loss", "val_accuracy"} <= set(history)
    rounds = Store(tmp_path / "run" / "imil.sqlite", readonly=True).rounds()
    assert [(r.epoch, str(r.settings.grid)) for r in rounds] == [(1, "4×6"), (2, "4×6")]


def check_refused(result, named):
    """Exit code 2, one sentence on standard error that names the trouble, no traceback."""
    assert result.returncode == 2, result.stderr + result.stdout
    assert "Traceback" not in result.stderr
    sentence = result.stderr.strip()
    assert sentence.startswith("imil: ")
    assert len(sentence.splitlines()) == 1
    assert named in sentence, sentence


def test_a_person_reads_stops_and_resumes_at_a_terminal(films, tmp_path):
    person = Terminal("train", films, *SMALL, "--out", "run", cwd=tmp_path)
    person.wait_for("ase 1 of 4")
    person.type("2 3 6 7")
    person.type("the letter, not the lung")
    person.wait_for("ase 2 of 4")
    person.type("17")
    person.wait_for("outside a 4×4 grid")
    person.type("q")
    person.wait_for("imil resume run")
    assert person.end() == 0
    store = Store(tmp_path / "run" / "imil.sqlite")
    held = store.rounds()[0]
    assert [r.squares for r in store.readings(held.id)] == [(2, 3, 6, 7)]
    assert store.readings(held.id)[0].reason == "the letter, not the lung"

    person = Terminal("resume", "run", cwd=tmp_path)
    person.wait_for("ase 2 of 4")
    person.type("w")
    person.wait_for("ase 3 of 4")
    person.wait_for("squares 1-16>")
    person.interrupt()
    person.wait_for("imil resume run")
    assert person.end() == 130

    person = Terminal("resume", "run", cwd=tmp_path)
    person.wait_for("ase 3 of 4")
    person.type("s")
    person.wait_for("ase 4 of 4")
    person.type("all")
    person.type("")  # no reason
    person.type("")  # done
    person.wait_for("at the end")
    assert person.end() == 0
    verdicts = [r.verdict for r in store.readings(held.id)]
    assert verdicts == ["focus", "wrong label", "skip", "focus"]
    assert (tmp_path / "run" / "cases" / "epoch-002-case-001.png").exists()


def test_ctrl_c_while_training_exits_with_130_and_prints_how_to_resume(films, tmp_path):
    person = Terminal("train", films, *SMALL, "--epochs", "5000", "--out", "run", cwd=tmp_path)
    while not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists():
        assert person.read(), person.seen
    person.interrupt()
    person.wait_for("imil resume")
    assert person.end() == 130


def test_two_processes_do_not_share_a_run(films, imil, tmp_path):
    person = Terminal("train", films, *SMALL, "--out", "run", cwd=tmp_path)
    person.wait_for("ase 1 of 4")
    check_refused(imil("resume", "run"), "is in use by another imil process")
    person.type("q")
    assert person.end() == 0


ALONE = [one.name for one in app.registered_commands]
STUDY = [f"study {one.name or one.callback.__name__}" for one in study.registered_commands]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("train films --epochs ten", "--epochs is 'ten': input should be a valid integer"),
        ("train films --lr=1,0", "--lr is '1,0': input should be a valid number"),
        ("train films --epochs 3 --epochs x", "--epochs is 'x'"),
        ("train films --epocs 3", "--epocs"),
        ("trai", "Did you mean 'train'?"),
        ("rounds a b", "extra argument"),
        ("study reader", "missing argument 'run'"),
        ("study run plan --jobs 0", "--jobs is '0': input should be greater than or equal to 1"),
    ],
)
def test_an_invalid_command_line_gets_one_sentence(words, says, imil):
    result = imil(*words.split())
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("imil: ")
    assert says in result.stderr
    assert "see `imil" in result.stderr


@pytest.mark.parametrize("words", ["", "study"])
def test_a_command_alone_shows_its_help(words, imil):
    result = imil(*words.split())
    assert result.returncode == 2
    assert "Usage" in result.stdout
    assert not result.stderr


def test_the_module_is_the_command():
    words = [sys.executable, "-m", "imil", "--version"]
    assert subprocess.run(words, capture_output=True, text=True).stdout.startswith("imil ")


@pytest.mark.parametrize("command", ALONE + STUDY)
def test_every_command_has_help_with_an_example(command, imil):
    result = imil(*command.split(), "--help")
    assert result.returncode == 0
    assert "Example" in result.stdout
    assert f"imil {command}" in result.stdout.split("Example")[1]


def test_help_loads_no_framework(imil):
    script = (
        "import sys\nfrom imil.cli.main import app\n"
        "try: app(['train', '--help'])\nexcept SystemExit: pass\n"
        "print({'torch', 'lightning', 'pandas', 'timm'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.strip().endswith("set()")


@pytest.mark.slow  # in a process that imports PyTorch anew
def test_what_training_imports_brings_no_trainer_metrics_signal_processing_or_drawing():
    script = (
        "import sys\nimport imil.training.launch\n"
        "names = ('lightning', 'torchmetrics', 'scipy.signal', 'scipy.stats', 'matplotlib')\n"
        "print({*names} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr


def test_the_installed_command_runs():
    result = subprocess.run([*IMIL, "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"imil \d+\.\d+\.\d+", result.stdout.strip())
