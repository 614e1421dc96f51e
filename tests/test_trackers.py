"""A run in its tracker while it trains, under stable names."""

import csv
import json
import sqlite3

import pytest
from test_field_of_view import train

from imil.errors import ImilError, SettingsError
from imil.phantom.dataset import write_phantoms
from imil.training.launch import resume_run
from imil.training.trackers import run_tracker, tracker
from imil.training.trackers.tracker import markdown

HOW = {"model": "test_vit", "image_size": 32, "batch_size": 8, "epochs": 3}
ROUND = {"imil_epoch": [1], "num_outliers": 3}


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "films"
    return write_phantoms(folder, n=40, size=32, seed=0, letter=1.0, test=0.25)


def rows_of(out):
    with (out / "tracker.csv").open(newline="") as file:
        rows = [(row["name"], int(row["epoch"]), row["value"]) for row in csv.DictReader(file)]
    assert len({row[:2] for row in rows}) == len(rows), "sent twice"
    return {row[:2]: row[2] for row in rows}


@pytest.mark.slow
def test_a_run_is_shown_in_a_table_and_in_tensorboard_under_the_same_names(films, tmp_path):
    pytest.importorskip("tensorboard", reason="needs TensorBoard: pip install imil[tensorboard]")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out, other = tmp_path / "run", tmp_path / "other"
    train(films, out, **ROUND, **HOW, logger="csv", logger_images=True)
    rows = rows_of(out)
    metrics = json.loads((out / "metrics.json").read_text())
    before, end = metrics["rounds"][0]["before"], metrics["end"]
    assert float(rows["round/test/accuracy", 1]) == before["test"]["accuracy"]
    assert float(rows["end/train/nll", 3]) == end["train"]["nll"]
    assert {epoch for name, epoch in rows if name == "epoch/train_loss"} == {1, 2, 3}
    assert rows["round/cases", 1].count("\n") == 1 + metrics["rounds"][0]["cases"]
    assert float(rows["round/readings/cases", 1]) == metrics["rounds"][0]["cases"]
    assert rows["figures/curve", 3] == "curve.png"
    assert (out / rows["round/images", 1]).read_bytes().startswith(b"\x89PNG")

    train(films, other, **ROUND, **HOW, logger="tensorboard", logger_images=True)
    shown = EventAccumulator(str(other / "tensorboard")).Reload()
    tags = shown.Tags()
    pictures = {name for name, _ in rows if name.startswith("figures/") or name == "round/images"}
    assert set(tags["images"]) == pictures
    numbers = {name for name, _ in rows} - pictures - {"round/cases"}
    assert set(tags["scalars"]) == numbers
    assert tags["tensors"] == ["round/cases/text_summary"]
    (loss,) = [one.value for one in shown.Scalars("end/test/nll")]
    assert loss == pytest.approx(end["test"]["nll"], rel=1e-6)


@pytest.mark.slow
def test_a_run_is_shown_live_and_once_where_it_is_stopped_and_resumed(films, tmp_path, monkeypatch):
    out, seen = tmp_path / "run", []

    class Stop(Exception):
        pass

    class Stopping(run_tracker.RunTracker):
        def update(self, epoch, rows, store, run):
            super().update(epoch, rows, store, run)
            if epoch == 2 and not seen:
                seen.append(rows_of(out))
                raise Stop

    monkeypatch.setattr("imil.training.run.RunTracker", Stopping)
    with pytest.raises(Stop):
        train(films, out, **ROUND, **HOW, logger="csv")
    (live,) = seen
    assert ("epoch/train_loss", 2) in live
    assert ("round/readings/cases", 1) in live
    assert ("round/test/accuracy", 1) in live
    resume_run(out, None, tmp_path / "cache")
    rows = rows_of(out)  # each once
    assert live.items() <= rows.items()
    assert ("epoch/train_loss", 3) in rows
    assert ("end/test/accuracy", 3) in rows


@pytest.mark.slow
@pytest.mark.process  # its own: git
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of MLflow's own
def test_a_run_is_shown_in_mlflow_in_a_database_of_its_folder(films, tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="needs MLflow: pip install imil[mlflow]")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "run"
    train(films, out, **ROUND, **HOW, logger="mlflow", logger_images=True)
    metrics = json.loads((out / "metrics.json").read_text())
    database = sqlite3.connect(out / "mlflow.db")
    query = "select key, step, value from metrics"
    shown = {(name, step): value for name, step, value in database.execute(query)}
    assert shown["round/test/accuracy", 1] == metrics["rounds"][0]["before"]["test"]["accuracy"]
    assert shown["end/test/nll", 3] == metrics["end"]["test"]["nll"]
    assert ("epoch/train_loss", 2) in shown
    parameters = dict(database.execute("select key, value from params"))
    assert parameters["model"] == "test_vit"
    assert not {"data", "reader_name", "store"} & parameters.keys()
    assert database.execute("select status from runs").fetchall() == [("FINISHED",)]
    database.close()
    files = {path.name for path in (out / "mlflow").rglob("*") if path.is_file()}
    assert {"cases-001.md", "round-001.png", "curve.png", "cases.png"} <= files
    assert {path.name for path in tmp_path.iterdir()} == {"run", "cache"}, "written elsewhere"


@pytest.mark.slow
@pytest.mark.process  # of wandb's own
@pytest.mark.parametrize("images", [False, True])
def test_a_run_is_shown_in_wandb_without_a_network_and_without_names_of_images(
    films, tmp_path, monkeypatch, images
):
    pytest.importorskip("wandb", reason="needs Weights & Biases: pip install imil[wandb]")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    out = tmp_path / "run"
    train(films, out, **ROUND, **HOW, logger="wandb", logger_images=images)
    (folder,) = (out / "wandb").glob("offline-run-*")
    sent = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    for name in (b"epoch/train_loss", b"round/test/accuracy", b"round/readings/cases", b"end/test"):
        assert name in sent
    keys = [line.split(",")[0] for line in (out / "split.csv").read_text().splitlines()[1:]]
    assert not [key for key in keys if key.encode() in sent]
    pictures = {path.name.split("_")[0] for path in folder.rglob("*.png")}
    assert {path.name for path in tmp_path.iterdir()} <= {"run", "cache", "home"}
    elsewhere = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert {path.suffix for path in elsewhere} <= {".log"}  # of wandb's service
    assert not [path for path in elsewhere if b"round/" in path.read_bytes()]
    assert pictures == ({"curve", "cases", "learned", "images"} if images else {"curve"})


@pytest.mark.slow
def test_a_tracker_that_fails_stops_no_training(films, tmp_path, monkeypatch, capsys):
    def fails(*_args):
        raise OSError("no space left\nanywhere")

    monkeypatch.setattr(run_tracker.CsvTracker, "number", fails)
    metrics = train(films, tmp_path / "run", imil_epoch=[9], **HOW, logger="csv")
    assert metrics["end"]["test"]
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("The tracker csv failed (OSError: no space left): training goes on") == 1


@pytest.mark.parametrize("logger", ["tensorboard", "mlflow", "wandb"])
def test_a_logger_that_is_not_installed_is_refused_before_training(
    logger, films, tmp_path, monkeypatch
):
    monkeypatch.setattr(tracker, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=f"needs {logger}, which is not installed: pip install"):
        train(films, tmp_path / "run", model="test_vit", image_size=32, logger=logger)


def test_what_a_cell_of_a_table_holds_does_not_end_it():
    text = markdown([("case", "image"), ("1", "a|b\nc.png")])
    assert text == "| case | image |\n| --- | --- |\n| 1 | a\\|b c.png |"


def test_a_damaged_record_of_what_was_sent_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "tracker.json").write_text("{")
    with pytest.raises(ImilError, match=r"tracker.json is damaged: delete it"):
        run_tracker._sent(tmp_path / "tracker.json", "csv")
