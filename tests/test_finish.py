"""Treatments of the trained model: its last layer is fitted anew, or loses a direction."""

import json

import numpy as np
import pytest
import torch
from rich.console import Console
from scipy.special import softmax
from test_field_of_view import READINGS, films, settings  # noqa: F401
from test_field_of_view import train as train_run
from torch import nn

from imil.cases import Reading
from imil.errors import SettingsError
from imil.grid import Grid
from imil.out_of_fold import fit_and_predict, fit_linear
from imil.pytorch import CorrectedDataset, TorchModel
from imil.run_folder import RunFolder
from imil.training.launch import resume_run
from imil.training.run import Run
from imil.training.samples.prepared_data import prepare
from imil.treatments import LastLayer, Project
from imil.treatments.projection import projected, spanned

GRID = Grid(2, 2)
N = 60


def make_samples(rng):
    """Square 1 says the class in all images, square 4 in most."""
    labels = np.arange(N) % 2
    images = torch.from_numpy(rng.uniform(0, 0.2, (N, 1, 4, 4))).float()
    images[labels == 1, :, :2, :2] += 0.5
    images[(labels == 1) & (np.arange(N) > 12), :, 2:, 2:] += 0.5
    return CorrectedDataset(
        [(image, int(label)) for image, label in zip(images, labels, strict=True)]
    )


def make_model(weights=((0.0, 0.0, 0.0, 0.0), (9.0, 0.0, 0.0, 2.0))):
    """The logits are weighted means of the four squares."""
    layer = nn.Linear(4, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weights))
        layer.bias.copy_(torch.tensor([0.0, -3.0]))
    return TorchModel(nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), layer))


def readings(selected):
    return {
        i: Reading(f"c{i}", "Lee", "focus", tuple(np.flatnonzero(row) + 1))
        for i, row in enumerate(selected)
    }


def rng():
    return np.random.default_rng(0)


@pytest.fixture
def samples():
    return make_samples(rng())


def test_a_projection_takes_out_a_direction_and_leaves_the_centre():
    weights, intercepts = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([1.0, 0.0])
    direction, centre = np.array([[0.6, 0.8]]), np.array([2.0, 1.0])
    got = projected(weights, intercepts, direction, centre)
    np.testing.assert_allclose(centre @ got[0] + got[1], centre @ weights + intercepts)
    np.testing.assert_allclose(direction @ got[0], 0, atol=1e-12)
    across = np.array([-0.8, 0.6])
    np.testing.assert_allclose(across @ got[0], across @ weights)


def test_three_classes_span_two_directions():
    means = np.array([[1.0, 0, 0, 5], [0, 1, 0, 5], [0, 0, 1, 5]])
    directions = spanned(means)
    np.testing.assert_allclose(directions @ directions.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(directions @ [1, 1, 1, 0], 0, atol=1e-12)
    assert spanned(means[:1]).shape == (0, 4)


def test_what_an_irrelevant_square_says_is_projected_out_of_the_logits(samples):
    model = make_model()
    views = model.views(samples, range(N))
    before, changed = model.logits(views), views.clone()
    changed[:, :, :2, :2] += 1
    evidence = Project(reliance=1).finish(readings(READINGS), GRID, model, samples, rng())
    assert evidence["squares"] == [1]
    assert evidence["directions"] == 1
    assert "square 1 moves, projected out" in evidence["sentence"]
    json.dumps(evidence)
    after = model.logits(views)
    moved = model.logits(changed) - after
    np.testing.assert_allclose(moved[:, 0], moved[:, 1], atol=1e-4)  # nothing of 9
    np.testing.assert_allclose(after.mean(axis=0), before.mean(axis=0), atol=0.5)
    brighter = views.clone()
    brighter[:, :, 2:, 2:] += 1
    np.testing.assert_allclose((model.logits(brighter) - after)[:, 1], 2, atol=1e-4)


def test_a_model_that_uses_no_irrelevant_square_stays_as_it_is(samples):
    model = make_model(weights=((0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 2.0)))
    before = model.last_layer(samples).weight.clone()
    evidence = Project(reliance=1).finish(readings(READINGS), GRID, model, samples, rng())
    assert evidence["sentence"].startswith("The model relies on no square")
    assert torch.equal(model.last_layer(samples).weight, before)


def test_corrected_images_teach_the_last_layer_to_do_without_the_shortcut(samples):
    """Of images with the other class's square 1, more are right; 0: originals alone."""

    def accuracy_against(share):
        model = make_model()
        read = readings([[0, 0, 0, 1]] * 30)
        LastLayer(share=share).finish(read, GRID, model, samples, rng())
        rows = np.arange(20, N)
        views = model.views(samples, rows.tolist())
        views[:, :, :2, :2] = views[:, :, :2, :2].roll(1, 0)  # classes alternate
        return (model.logits(views).argmax(axis=1) == samples.labels[rows]).mean()

    assert accuracy_against(0) < 0.5
    assert accuracy_against(0.9) > 0.9


def test_a_count_is_as_many_samples():
    features = rng().normal(size=(20, 3)) + np.arange(20)[:, None] % 2
    labels = np.arange(20) % 2
    slopes, intercepts = fit_linear(features, labels, 2)
    probs = softmax(features @ slopes + intercepts, axis=1)
    np.testing.assert_allclose(probs, fit_and_predict(features, labels, features, 2), atol=1e-9)
    half = fit_linear(features, labels, 2, counts=np.full(20, 0.5), penalty=0.5)
    np.testing.assert_allclose(half[0], slopes, atol=1e-3)  # the same problem, halved
    heavy = fit_linear(features, labels, 2, counts=np.where(labels == 1, 9.0, 1.0))
    # an intercept without penalty: the mean probability is the weighted share of the class
    weighted = softmax(features @ heavy[0] + heavy[1], axis=1)[:, 1]
    counts = np.where(labels == 1, 9.0, 1.0)
    assert (weighted * counts).sum() / counts.sum() == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize("treatment", [LastLayer(), Project()])
def test_a_model_without_a_linear_last_layer_is_refused_before_training(samples, treatment):
    conv = nn.Sequential(nn.Conv2d(1, 2, 4), nn.Flatten())
    with pytest.raises(SettingsError, match="the model has no linear last layer"):
        treatment.check(TorchModel(conv), samples, GRID)
    treatment.check(make_model(), samples, GRID)


def test_one_logit_for_two_classes_is_given_what_sets_them_apart(samples):
    one = TorchModel(nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4, 1)))
    two = make_model()
    for model in (one, two):
        LastLayer().finish(readings([[0, 0, 0, 1]] * 6), GRID, model, samples, rng())
    np.testing.assert_allclose(one.probs(samples), two.probs(samples), atol=1e-5)


@pytest.mark.parametrize(
    "treatment",
    [
        "project:reliance=0,irrelevant=0.2",
        pytest.param("last-layer", marks=pytest.mark.slow),
    ],
)
def test_a_run_is_saved_and_predicts_with_the_changed_layer_also_when_it_was_stopped(
    films,  # noqa: F811
    tmp_path,
    monkeypatch,
    treatment,
):
    values = {"treatment": treatment, "imil_epoch": [1]}
    plain = train_run(films, tmp_path / "plain", reader="none")
    whole = train_run(films, tmp_path / "whole", **values)
    assert whole["end"]["test"] != plain["end"]["test"]
    rows = json.loads(RunFolder(tmp_path / "whole").treatment.read_text())
    assert [row["epoch"] for row in rows] == [4]

    def stop(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_finish", stop)
        with pytest.raises(KeyboardInterrupt):
            train_run(films, tmp_path / "part", **values)
    assert resume_run(tmp_path / "part", None, tmp_path / "cache")["end"] == whole["end"]
    folder, chosen = RunFolder(tmp_path / "whole"), settings(films, **values)
    data = prepare(chosen, folder, cache=tmp_path / "cache", progress=lambda *_: None)
    run = Run(folder, chosen, data, Console(quiet=True))
    run.load_trained()
    predictions = run.model.predict(run.samples["test"])
    share = (predictions.predicted == predictions.labels).mean()
    assert share == pytest.approx(whole["end"]["test"]["accuracy"])
