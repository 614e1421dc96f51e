"""Predictions in bfloat16 that choose as float32 does."""

import contract
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from imil.errors import ShapeError
from imil.outliers import confident_mistakes
from imil.phantom.dataset import write_phantoms
from imil.predictions import Predictions
from imil.pytorch import TorchModel
from imil.pytorch import model as torch_model
from imil.run_folder import RunFolder
from imil.training.hardware.bfloat16 import Bfloat16Model
from imil.training.run import Run
from imil.training.run_predictions import RunPredictions
from imil.training.run_setup import set_up_run
from imil.training.samples.prepared_data import prepare


class Samples:
    """Labels and keys, which are all that predictions need."""

    def __init__(self, labels):
        self.labels = labels

    def __len__(self):
        return len(self.labels)

    def key(self, i):
        return f"film {i:04}"


class Rounding:
    """A model whose logits are moved by up to `by` where bfloat16 is asked for."""

    def __init__(self, probs, rng, by):
        self.exact = probs
        self.rough = probs * np.exp(rng.uniform(-by, by, probs.shape))
        self.rough /= self.rough.sum(axis=1, keepdims=True)
        self.repeated = []
        self.passes = 0

    def probs(self, samples, rows=None, *, bfloat16=False):
        if bfloat16:
            return self.rough.copy()
        self.passes += 1
        rows = range(len(samples)) if rows is None else rows
        self.repeated += rows
        return self.exact[list(rows)]

    def predict_and_explain(self, samples, rows, classes):
        return self.probs(samples, rows), [
            [(i, of) for of in row] for i, row in zip(rows, classes.tolist(), strict=True)
        ]


def chosen(predictions, n):
    positions = confident_mistakes(predictions.probs, predictions.labels, predictions.keys, n)
    return positions, predictions.probs[positions]


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 200),
    st.integers(2, 4),
    st.integers(1, 30),
    st.sampled_from([0.0, 0.005, 0.05]),
    st.sampled_from([0.1, 1.0, 30.0]),  # sure of everything, of something, of nothing
)
def test_the_choice_is_that_of_float32(seed, size, k, n, by, doubt):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(k, doubt), size)
    samples = Samples(rng.integers(0, k, size))
    predictions = Bfloat16Model(Rounding(probs, rng, by), n).predict(samples)
    assert all(cam == pair for pair, cam in predictions.heat_maps.items())
    positions, rows = chosen(predictions, n)
    expected, exact = chosen(Predictions.of(samples, probs), n)
    assert positions == expected
    assert predictions.heat_maps or not positions
    np.testing.assert_array_equal(rows, exact)


def test_few_are_predicted_again_and_the_others_stay_in_bfloat16():
    rng = np.random.default_rng(0)
    probs, samples = rng.dirichlet([1, 1], 1000), Samples(rng.integers(0, 2, 1000))
    model = Rounding(probs, rng, 0.01)
    predictions = Bfloat16Model(model, 20).predict(samples)
    assert 20 <= len(model.repeated) == len(set(model.repeated)) <= 42  # 28, and 14 more
    expected = model.rough.copy()
    expected[model.repeated] = probs[model.repeated]
    np.testing.assert_array_equal(predictions.probs, expected)
    np.testing.assert_array_equal(predictions.labels, samples.labels)


def test_where_bfloat16_is_far_off_all_is_predicted_in_float32():
    rng = np.random.default_rng(0)
    probs, samples = rng.dirichlet([1, 1], 100), Samples(rng.integers(0, 2, 100))
    predictions = Bfloat16Model(Rounding(probs, rng, 1.0), 5).predict(samples)
    np.testing.assert_array_equal(predictions.probs, probs)


@pytest.mark.parametrize("n", [1, 20])
def test_a_model_that_is_sure_of_nothing_is_not_repeated_for_ever(n):
    """After the first epoch: everything is nearly a mistake, and rounding decides the order."""
    rng = np.random.default_rng(0)
    probs = 0.5 + rng.normal(0, 0.002, (3000, 1)) * [1, -1]
    samples, model = Samples(rng.integers(0, 2, 3000)), Rounding(probs, rng, 0.01)
    predictions = Bfloat16Model(model, n).predict(samples)
    assert model.passes <= 13
    assert len(model.repeated) <= 1.5 * len(samples)
    assert chosen(predictions, n)[0] == chosen(Predictions.of(samples, probs), n)[0]


def test_a_model_that_makes_no_mistakes_predicts_once():
    labels = np.arange(50) % 2
    model = Rounding(np.eye(2)[labels] * 0.98 + 0.01, np.random.default_rng(0), 0.001)
    Bfloat16Model(model, 20).predict(Samples(labels))
    assert not model.repeated


def test_a_model_that_has_diverged_is_refused_with_the_sample():
    probs, samples = np.full((9, 2), np.nan), Samples(np.zeros(9, np.int64))
    with pytest.raises(ShapeError, match="'film 0000' is not a number: training has diverged"):
        Bfloat16Model(Rounding(probs, np.random.default_rng(0), 0), 5).predict(samples)


def test_a_network_predicts_and_explains_in_both():
    net, samples = contract.make_net(), contract.make_samples()
    model = TorchModel(net, batch_size=5)
    exact = model.probs(samples)
    rough = model.probs(samples, bfloat16=True)
    assert 0 < np.abs(rough - exact).max() < 0.02
    np.testing.assert_allclose(model.probs(samples, [7, 2]), exact[[7, 2]], atol=1e-6)
    rounded = Bfloat16Model(model, 3)
    assert chosen(rounded.predict(samples), 3)[0] == chosen(model.predict(samples), 3)[0]
    np.testing.assert_array_equal(
        rounded.explain(samples, [7], [1])[0], model.explain(samples, [7], [1])[0]
    )


def test_samples_that_are_predicted_again_are_explained_in_the_same_pass():
    net, samples = contract.make_net(), contract.make_samples()
    model = TorchModel(net)
    model.check(samples)
    passes = []
    net.register_forward_hook(lambda _net, args, _out: passes.append(len(args[0])))
    assert not Bfloat16Model(model, 3, heat_maps=False).predict(samples).heat_maps
    without = len(passes)
    predictions = Bfloat16Model(model, 3).predict(samples)
    assert len(passes) == 2 * without, "no additional pass"
    positions, probs = chosen(predictions, 3)
    pairs = [
        (i, of)
        for i, row in zip(positions, probs, strict=True)
        for of in (row.argmax(), samples.labels[i])
    ]
    made = model.explain(samples, *map(list, zip(*pairs, strict=True)))
    for pair, cam in zip(pairs, made, strict=True):
        np.testing.assert_allclose(predictions.heat_maps[pair], cam, atol=1e-5)


def test_a_pass_in_bfloat16_leaves_no_cached_weights_to_a_training_around_it():
    net, samples = contract.make_net(), contract.make_samples()
    with torch.autocast("cpu", torch.bfloat16):
        TorchModel(net).probs(samples, bfloat16=True)
        net(samples.view(0)[None]).sum().backward()
    assert all(weight.grad is not None for weight in net.parameters())


@pytest.mark.parametrize(("half", "rough"), [(True, ["train"]), (False, [])])
def test_only_the_training_set_of_a_training_in_bfloat16_is_predicted_in_it(tmp_path, half, rough):
    seen = []

    class Model:
        def probs(self, samples, rows=None, *, bfloat16=False):
            seen.extend([samples.name] * bfloat16)
            return np.eye(2)[samples.labels]

        def predict(self, samples):
            return Predictions.of(samples, self.probs(samples))

    samples = {name: Samples(np.arange(8) % 2) for name in ("train", "test")}
    for name, one in samples.items():
        one.name = name
    predictions = RunPredictions(
        RunFolder(tmp_path),
        Model(),
        samples,
        marks=(70,),
        rounds=(70,),
        num_outliers=20,
        bfloat16=half,
    )
    predictions.before_round(70)
    assert seen == rough
    assert sorted(one.name for one in tmp_path.rglob("*.*")) == ["test.parquet", "train.parquet"]
    assert len(predictions.train) == 8


def test_a_round_after_bfloat16_takes_its_heat_maps_from_the_predictions(tmp_path, monkeypatch):
    films = write_phantoms(tmp_path / "films", n=40, size=48, seed=0)
    flags = {"data": str(films), "model": "test_resnet", "image_size": 32, "epochs": 2}
    flags |= {"batch_size": 16, "device": "cpu", "reader": "random", "imil_epoch": 1}
    settings, folder = set_up_run({**flags, "precision": "bf16"}, None, tmp_path / "run")
    folder.path.mkdir()
    data = prepare(settings, folder, cache=tmp_path / "cache", progress=lambda *_: None)
    looked, made = [], []
    look, explain = torch_model.look_for_layer, TorchModel.explain
    monkeypatch.setattr(torch_model, "look_for_layer", lambda *a: looked.append(1) or look(*a))
    monkeypatch.setattr(
        TorchModel, "explain", lambda self, s, i, of: made.extend(i) or explain(self, s, i, of)
    )
    run = Run(folder, settings, data, Console(quiet=True))
    store, read = run.open_store(), []
    run.train(lambda cases: read.extend(cases) or contract.Fixed()(cases), store)
    assert read
    assert all(case.cam_true.any() or case.cam_predicted.any() for case in read)
    assert (len(looked), len(made)) == (1, 0)
