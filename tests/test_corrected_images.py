"""The corrected training set as a folder of images: what training is given, file by file."""

import csv

import numpy as np
import pytest
from typer.testing import CliRunner

from imil.cases import Case, Reading, RoundSettings
from imil.cli.main import app
from imil.data.table import read_data
from imil.grid import Grid
from imil.images.load import load_image
from imil.phantom.dataset import write_phantoms
from imil.rounds import restore
from imil.run_folder import RunFolder
from imil.settings import resolve
from imil.store import Store
from imil.training.samples.prepared_data import prepare

GRID = Grid(4, 4)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder after an applied round, and its data; nothing was trained."""
    base = tmp_path_factory.mktemp("corrected")
    write_phantoms(base / "films", n=12, size=48, seed=0)
    folder = RunFolder(base / "run")
    folder.path.mkdir()
    settings = resolve({"data": str(base / "films" / "manifest.csv"), "image_size": 32})
    settings.write(folder.config)
    data = prepare(settings, folder, cache=base / "cache", progress=lambda *_: None)
    samples, store = data.samples("train"), Store(folder.store)
    store.add_run("run", class_names=data.class_names, settings={}, versions={})
    cam = np.zeros((8, 8), np.float32)
    cases = [
        Case(
            id=f"run@2#{n + 1}",
            run="run",
            epoch=2,
            round="run@2",
            number=n + 1,
            key=samples.key(n),
            label=int(samples.labels[n]),
            predicted=0,
            confidence=0.9,
            class_names=data.class_names,
            grid=GRID,
            load_image=lambda n=n: samples.image(n),
            load_heat_map={"predicted": cam, "true": cam}.__getitem__,
        )
        for n in range(3)
    ]
    round_ = store.open_round("run", 2, RoundSettings(num_outliers=3, grid=GRID), cases)
    # two readers agree on 6; of the second case only what misleads is known
    store.add(Reading("run@2#1", "Lee", "focus", (5, 6)))
    store.add(Reading("run@2#1", "Wu", "focus", (6, 7)))
    store.add(Reading("run@2#2", "Lee", "focus", (), misleading=(1, 16)))
    store.add(Reading("run@2#3", "Lee", "wrong label"))
    store.mark(round_, "applied")
    yield folder, data, store
    store.close()


def export(run, out, *options):
    folder, data, _ = run
    cache = folder.path.parent / "cache"
    arguments = ["export", str(folder.path), "--as", "images", "--out", str(out)]
    result = CliRunner().invoke(app, [*arguments, "--cache", str(cache), *options])
    assert result.exit_code == 0, result.output
    assert f"{len(data.table)} images are in" in " ".join(result.output.split())
    with (out / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return {row["key"]: row for row in csv.DictReader(file)}


def test_each_file_has_the_pixels_that_training_is_given(run, tmp_path):
    _, data, store = run
    rows = export(run, tmp_path / "out")
    samples = data.samples("train")
    restore(samples, store, run="run", epoch=2)
    for i in range(len(samples)):
        row, given = rows[samples.key(i)], samples[i][0][0].numpy()
        np.testing.assert_array_equal(load_image(tmp_path / "out" / row["image"]), given)
    assert [rows[samples.key(i)]["squares"] for i in range(4)] == [
        "6",
        " ".join(map(str, range(2, 16))),
        "",
        "",
    ]
    assert rows[samples.key(0)]["grid"] == "4x4"


def test_at_full_size_squares_are_black_in_the_original(run, tmp_path):
    _, data, _ = run
    rows = export(run, tmp_path / "out", "--full-size")
    samples = data.samples("train")
    keep = GRID.mask((6,), 48, 48)
    first = load_image(tmp_path / "out" / rows[samples.key(0)]["image"])
    np.testing.assert_array_equal(first, np.where(keep, samples.image(0), 0))
    third = load_image(tmp_path / "out" / rows[samples.key(2)]["image"])
    np.testing.assert_array_equal(third, samples.image(2))


def test_the_folder_is_data_that_imil_reads(run, tmp_path):
    _, data, _ = run
    export(run, tmp_path / "out")
    for path in (tmp_path / "out" / "manifest.csv", tmp_path / "out"):
        if path.is_dir():
            (tmp_path / "out" / "manifest.csv").unlink()  # beside class folders it is refused
        table = read_data(path)
        assert sorted(table.class_names) == sorted(data.class_names)  # folders have no order
        assert sorted(table.splits) == sorted(data.split_of)
