"""A finished run in a tracker, under stable names."""

import csv
import json

import pytest
from test_field_of_view import train

from imil.errors import SettingsError
from imil.phantom.dataset import write_phantoms
from imil.training import trackers


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "films"
    return write_phantoms(folder, n=40, size=32, seed=0, letter=1.0, test=0.25)


@pytest.mark.slow
def test_a_run_is_shown_in_a_table_and_in_tensorboard_under_the_same_names(films, tmp_path):
    pytest.importorskip("tensorboard", reason="needs TensorBoard: pip install imil[tensorboard]")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "run"
    how = {"model": "test_vit", "image_size": 32, "batch_size": 8, "epochs": 2}
    train(films, out, imil_epoch=[1], num_outliers=3, logger="csv", **how)
    with (out / "tracker.csv").open(newline="") as file:
        rows = {(row["name"], int(row["epoch"])): row["value"] for row in csv.DictReader(file)}
    metrics = json.loads((out / "metrics.json").read_text())
    before, end = metrics["rounds"][0]["before"], metrics["end"]
    assert float(rows["round/test/accuracy", 1]) == before["test"]["accuracy"]
    assert float(rows["end/train/nll", 2]) == end["train"]["nll"]
    assert ("epoch/train_loss", 1) in rows
    assert ("epoch/train_loss", 2) in rows
    assert rows["round/cases", 1].count("\n") == 1 + metrics["rounds"][0]["cases"]
    assert rows["figures/curve", 2] == "curve.png"

    folder = trackers.RunFolder(out)
    trackers.track_run("tensorboard", folder, folder.store, folder.name)
    shown = EventAccumulator(str(out / "tensorboard")).Reload()
    tags = shown.Tags()
    assert {name for name, _ in rows if not name.startswith(("figures/", "round/cases"))} == set(
        tags["scalars"]
    )
    assert {name for name, _ in rows if name.startswith("figures/")} == set(tags["images"])
    assert tags["tensors"] == ["round/cases/text_summary"]
    (loss,) = [one.value for one in shown.Scalars("end/test/nll")]
    assert loss == pytest.approx(end["test"]["nll"], rel=1e-6)


def test_a_logger_that_is_not_installed_is_refused_before_training(films, tmp_path, monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="needs tensorboard, which is not installed: pip inst"):
        train(films, tmp_path / "run", model="test_vit", image_size=32, logger="tensorboard")
