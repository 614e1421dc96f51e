"""`imil predict`: classes of new images, decoded and seen as in training."""

from __future__ import annotations

import base64
import csv
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from safetensors.torch import save_file
from typer.testing import CliRunner

from imil.cli.main import app
from imil.errors import DataError, SettingsError
from imil.grid import Grid
from imil.images.relevance_map import relevance_map
from imil.phantom.dataset import write_phantoms
from imil.run_folder import RunFolder
from imil.settings import resolve
from imil.training.launch import new_run
from imil.training.network import build
from imil.training.outputs.prediction_files import read_predictions
from imil.training.predict_images import find_inputs, predict_images, write_csv
from imil.training.trained_model import Description, read_model, write_model

CPU = torch.device("cpu")
SIZE = 32


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    net = build("test_resnet", classes=2, image_size=SIZE, weights="none")
    path = tmp_path / "model.safetensors"
    write_model(
        path, net.state_dict(), Description("test_resnet", SIZE, 1, ("normal", "TB"), (2, 2), (3,))
    )
    return path


@pytest.fixture
def films(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    folder = tmp_path / "films" / "ward 3"
    folder.mkdir(parents=True)
    for name in ("a.png", "b.png", "c.png"):
        Pillow.fromarray(rng.integers(0, 256, (48, 40), np.uint8)).save(folder / name)
    return folder.parent


def test_file_describes_its_use(model_file: Path) -> None:
    description = read_model(model_file).description
    assert description == Description("test_resnet", SIZE, 1, ("normal", "TB"), (2, 2), (3,))


def test_predictions_equal_those_of_the_module(model_file: Path, films: Path) -> None:
    trained = read_model(model_file)
    predictions = predict_images(trained, find_inputs([films]), device=CPU)
    assert [path.name for path in predictions.images] == ["a.png", "b.png", "c.png"]
    np.testing.assert_allclose(predictions.probs.sum(axis=1), 1)
    one = predict_images(trained, [films / "ward 3" / "b.png"], device=CPU)
    np.testing.assert_allclose(one.probs[0], predictions.probs[1], atol=1e-6)


def test_only_the_field_of_view_counts(model_file: Path, films: Path) -> None:
    film = films / "ward 3" / "a.png"
    pixels = np.array(Pillow.open(film))
    outside, inside = pixels.copy(), pixels.copy()
    outside[:16] = 255 - outside[:16]  # square 3 is the lower left one
    inside[32:, :16] = 255 - inside[32:, :16]
    for name, changed in (("outside.png", outside), ("inside.png", inside)):
        Pillow.fromarray(changed).save(films / name)
    files = [film, films / "outside.png", films / "inside.png"]
    as_it_was, same, other = predict_images(read_model(model_file), files, device=CPU).probs
    np.testing.assert_allclose(same, as_it_was, atol=1e-6)
    assert np.abs(other - as_it_was).max() > 1e-4


def test_table_of_paths_is_relative_to_its_folder(films: Path) -> None:
    table = films / "new.csv"
    table.write_text("film,site\nward 3/a.png,x\nward 3\\c.png,y\n", encoding="utf-8")
    assert [path.name for path in find_inputs([table], "film")] == ["a.png", "c.png"]
    with pytest.raises(DataError, match=r"no column 'image' but film, site: .* --image-column"):
        find_inputs([table])


def test_unreadable_image_is_refused_or_listed(model_file: Path, films: Path) -> None:
    (films / "ward 3" / "b.png").write_bytes(b"no image")
    trained, files = read_model(model_file), find_inputs([films])
    with pytest.raises(DataError, match=r"b\.png.*--skip-bad"):
        predict_images(trained, files, device=CPU)
    predictions = predict_images(trained, files, device=CPU, skip_bad=True)
    assert [path.name for path in predictions.images] == ["a.png", "c.png"]
    assert [path.name for path, _ in predictions.bad] == ["b.png"]


def test_csv_has_a_line_per_image(model_file: Path, films: Path) -> None:
    trained = read_model(model_file)
    predictions = predict_images(trained, find_inputs([films]), device=CPU)
    file = io.StringIO()
    write_csv(file, predictions, trained.description.class_names)
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert len(rows) == 3
    for row in rows:
        best = max(("normal", "TB"), key=lambda name: float(row[f"prob_{name}"]))
        assert row["predicted"] == best
        assert row["confidence"] == row[f"prob_{best}"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_bytes(b"junk"), "not a safetensors file"),
        (lambda path: save_file({"a": torch.zeros(1)}, path), "does not say which model"),
        (
            lambda path: save_file({"a": torch.zeros(1)}, path, metadata={"imil": "{}"}),
            "is damaged",
        ),
    ],
)
def test_other_files_are_refused_in_a_sentence(tmp_path: Path, make, message: str) -> None:
    path = tmp_path / "model.safetensors"
    make(path)
    with pytest.raises(DataError, match=message):
        read_model(path)


def test_missing_input_and_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        find_inputs([tmp_path / "nowhere"])
    with pytest.raises(DataError, match="contains no image"):
        find_inputs([tmp_path])


def test_unknown_device_is_refused() -> None:
    from imil.training.hardware.device import training_device

    with pytest.raises(SettingsError, match="--device is 'tpu': give auto, cuda, mps, cpu"):
        training_device("tpu")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    base = tmp_path_factory.mktemp("run")
    films = write_phantoms(base / "films", n=60, size=48, seed=0, letter=1.0, test=0.25)
    settings = resolve(
        {"data": str(films), "model": "test_resnet", "image_size": SIZE, "epochs": 2}
        | {"batch_size": 16, "imil_epoch": [1], "reader": "simulated", "device": "cpu"}
        | {"precision": "32", "treatment": "field-of-view:reliance=0"}
    )
    new_run(settings, RunFolder(base / "run"), base / "cache")
    return RunFolder(base / "run")


def test_command_predicts_what_the_run_predicted(run_folder: RunFolder, tmp_path: Path) -> None:
    films = run_folder.path.parent / "films"
    written = read_predictions(run_folder.predictions("end", "test"))
    paths = [str(films / key) for key in written.keys]
    out = tmp_path / "predictions.csv"
    result = CliRunner().invoke(app, ["predict", str(run_folder.path), *paths, "--out", str(out)])
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"))))
    names = read_model(run_folder.weights).description.class_names
    probs = [[float(row[f"prob_{name}"]) for name in names] for row in rows]
    assert read_model(run_folder.weights).description.squares
    np.testing.assert_allclose(probs, written.probs, atol=1e-5)


def test_picture_shows_what_the_model_learns(run_folder: RunFolder) -> None:
    with Pillow.open(run_folder.learned_map) as picture:
        assert min(picture.size) > 400
    page = run_folder.page.read_text(encoding="utf-8")
    assert base64.b64encode(run_folder.learned_map.read_bytes()).decode() in page
    assert "decided by the treatment field-of-view:reliance=0" in page
    assert "trained on:" not in page


def test_map_tints_what_was_selected_and_blackens_what_is_covered() -> None:
    grey = np.full((64, 64), 100, np.uint8)
    picture = np.asarray(relevance_map(grey, Grid(2, 2), np.array([0, 1, 0.5, 0]), [4], title="t"))
    centre = picture[picture.shape[0] // 2 - 170 : picture.shape[0] // 2 + 170]
    blue, red = centre[..., 2].astype(int), centre[..., 0].astype(int)
    upper_right = (slice(20, 60), slice(340, 400))
    upper_left = (slice(20, 60), slice(60, 120))
    assert (blue - red)[upper_right].mean() > 60
    assert abs((blue - red)[upper_left].mean()) < 5
