"""`imil predict`: classes of new images, decoded and seen as in training."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from safetensors.torch import save_file

from imil.errors import DataError, SettingsError
from imil.training.network import build
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
    with pytest.raises(DataError, match="no column 'image' but film, site: .* --image-column"):
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
    from imil.training.device import training_device

    with pytest.raises(SettingsError, match="--device is 'tpu': give auto, cuda, mps, cpu"):
        training_device("tpu")
