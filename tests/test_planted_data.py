"""A shortcut planted into prepared data: who carries it, where, and what a reader is shown."""

from dataclasses import replace

import numpy as np
import pytest

from imil.data.shortcuts import carriers, plant
from imil.grid import Grid
from imil.images.load import load_image
from imil.phantom.dataset import write_phantoms
from imil.run_folder import RunFolder
from imil.settings import resolve
from imil.training.samples.planted_data import Mark, counterfactual_sets, plant_training
from imil.training.samples.prepared_data import prepare

MARK = Mark("letter", "upper-right")
CORNER = Grid(4, 4).mask([4], 32, 32)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_phantoms(folder / "films", n=40, size=64, seed=3)
    settings = resolve({"data": str(folder / "films/manifest.csv"), "image_size": 32})
    run = RunFolder(folder)
    return prepare(settings, run, cache=folder / "cache", progress=lambda _done, _total: None)


def marked(one, other):
    """Which images differ, and only in the corner of the letter."""
    differs = one != other
    assert not differs[:, ~CORNER].any()
    return differs.any(axis=(1, 2))


def test_training_images_carry_it_as_drawn_and_test_images_do_not(data):
    planted = plant_training(data, MARK, share=0.9, seed=5)
    drawn = carriers(data.table.keys, data.table.labels, 2, share=0.9, seed=5)
    trained = np.asarray(data.split_of) != "test"
    assert drawn[trained].any()
    assert drawn[~trained].any()  # or the test shows nothing
    assert (marked(planted.pixels, data.pixels) == (drawn & trained)).all()


def test_validation_images_carry_it_too(data):
    val = replace(data, split_of=("val",) * len(data.table))
    drawn = carriers(data.table.keys, data.table.labels, 2, share=0.9, seed=5)
    planted = plant_training(val, MARK, share=0.9, seed=5)
    assert (marked(planted.pixels, data.pixels) == drawn).all()


def test_a_reader_is_shown_it_on_the_original_at_full_resolution(data):
    planted = plant_training(data, MARK, share=0.9, seed=5)
    samples, before = planted.samples("train"), data.samples("train")
    with_mark = 0
    for i in range(len(samples)):
        row = data.table.keys.index(samples.key(i))
        film = load_image(data.table.images[row])
        assert (before.image(i) == film).all()
        carries = (planted.pixels[row] != data.pixels[row]).any()
        expected = plant(film, "letter", "upper-right") if carries else film
        assert (samples.image(i) == expected).all()
        with_mark += carries
    assert 0 < with_mark < len(samples)


def test_other_seeds_mark_other_images_and_nothing_is_written(data):
    before = np.array(data.pixels)
    one, other = (plant_training(data, MARK, share=0.7, seed=seed) for seed in (1, 2))
    assert (one.pixels != other.pixels).any()
    assert (np.asarray(data.pixels) == before).all()


def test_the_mark_argues_for_the_class_of_each_test_image_and_then_against(data):
    test = data.samples("test")
    sets = counterfactual_sets(data, MARK)
    originals = np.stack([test.dataset[i][0] for i in range(len(test))])
    for name, carry in (("test-for", test.labels == 1), ("test-against", test.labels == 0)):
        samples = sets[name]
        assert [samples.key(i) for i in range(len(samples))] == [
            test.key(i) for i in range(len(test))
        ]
        assert (samples.labels == test.labels).all()
        pixels = np.stack([samples.dataset[i][0] for i in range(len(samples))])
        assert (marked(pixels, originals) == carry).all()
    assert (sets["test-for"].image(0) != sets["test-against"].image(0)).any()
