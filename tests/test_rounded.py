"""Predictions in bfloat16 that choose as float32 does."""

from types import SimpleNamespace

import contract
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from imil.errors import ShapeError
from imil.outliers import choose, mistakes
from imil.phantom.dataset import write_phantoms
from imil.pytorch import TorchModel
from imil.pytorch import model as torch_model
from imil.run_folder import RunFolder
from imil.training.prediction_files import read_parts, read_predictions
from imil.training.prepared_data import prepare
from imil.training.rounded import write_rounded
from imil.training.run import Run
from imil.training.run_setup import set_up_run


class Samples:
    """Labels and keys, which are all that predictions need."""

    def __init__(self, labels):
        self.labels = labels

    def __len__(self):
        return len(self.labels)

    def key(self, i):
        return f"film {i:04}"


class Rounding:
    """A model whose logits are moved by up to `by` where they are asked for in bfloat16."""

    def __init__(self, probs, rng, by):
        self.exact = probs
        self.rough = probs * np.exp(rng.uniform(-by, by, probs.shape))
        self.rough /= self.rough.sum(axis=1, keepdims=True)
        self.asked = []

    def parts(self, samples, *, half=False):
        self.asked += [] if half else range(len(samples))
        of = self.rough if half else self.exact
        for start in range(0, len(of), 7):
            yield of[start : start + 7].copy()

    def predict(self, samples, rows):
        self.asked += rows
        return self.exact[rows]

    def predict_explained(self, samples, rows, classes):
        return self.predict(samples, rows), [
            [(i, of) for of in row] for i, row in zip(rows, classes.tolist(), strict=True)
        ]


def chosen(parts, samples, n):
    found = choose(mistakes, parts, samples.labels, samples.key, n)
    return found.positions, found.probs


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("predictions") / "train.parquet"


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 200),
    st.integers(2, 4),
    st.integers(1, 30),
    st.sampled_from([0.0, 0.005, 0.05]),
    st.sampled_from([0.1, 1.0, 30.0]),  # sure of everything, of something, of nothing
)
def test_the_choice_is_that_of_float32(path, seed, size, k, n, by, doubt):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(k, doubt), size)
    samples = Samples(rng.integers(0, k, size))
    maps = {}
    write_rounded(path, samples, Rounding(probs, rng, by), n, maps)
    assert all(one == at for at, one in maps.items())
    positions, there = chosen(read_parts(path), samples, n)
    wanted, exact = chosen([probs], samples, n)
    assert positions == wanted
    np.testing.assert_array_equal(there, exact)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_few_are_predicted_again_and_the_rest_stays_as_it_was(path):
    rng = np.random.default_rng(0)
    probs, samples = rng.dirichlet([1, 1], 1000), Samples(rng.integers(0, 2, 1000))
    model = Rounding(probs, rng, 0.01)
    write_rounded(path, samples, model, 20)
    assert 20 <= len(model.asked) == len(set(model.asked)) <= 42  # 28, and 14 more
    written, labels = read_predictions(path)
    expected = model.rough.copy()
    expected[model.asked] = probs[model.asked]
    np.testing.assert_array_equal(written, expected)
    np.testing.assert_array_equal(labels, samples.labels)


def test_where_bfloat16_is_far_off_all_is_predicted_in_float32(path):
    rng = np.random.default_rng(0)
    probs, samples = rng.dirichlet([1, 1], 100), Samples(rng.integers(0, 2, 100))
    write_rounded(path, samples, Rounding(probs, rng, 1.0), 5)
    np.testing.assert_array_equal(read_predictions(path)[0], probs)


@pytest.mark.parametrize("n", [1, 20])
def test_a_model_that_is_sure_of_nothing_is_not_asked_for_ever(path, n):
    """After the first epoch: everything is nearly a mistake, and what is surest a rounding."""
    rng = np.random.default_rng(0)
    probs = 0.5 + rng.normal(0, 0.002, (3000, 1)) * [1, -1]
    samples, model = Samples(rng.integers(0, 2, 3000)), Rounding(probs, rng, 0.01)
    model.turns = 0
    predict = model.predict

    def counted(samples, rows):
        model.turns += 1
        return predict(samples, rows)

    model.predict = counted
    write_rounded(path, samples, model, n)
    assert model.turns <= 12
    assert len(model.asked) <= 1.5 * len(samples)
    assert chosen(read_parts(path), samples, n)[0] == chosen([probs], samples, n)[0]


def test_a_model_that_makes_no_mistakes_is_asked_once(path):
    labels = np.arange(50) % 2
    model = Rounding(np.eye(2)[labels] * 0.98 + 0.01, np.random.default_rng(0), 0.001)
    write_rounded(path, Samples(labels), model, 20)
    assert not model.asked


def test_a_model_that_has_diverged_leaves_no_file(tmp_path):
    probs, samples = np.full((9, 2), np.nan), Samples(np.zeros(9, np.int64))
    with pytest.raises(ShapeError, match="training has diverged"):
        write_rounded(
            tmp_path / "train.parquet", samples, Rounding(probs, np.random.default_rng(0), 0), 5
        )
    assert not list(tmp_path.iterdir())


def test_a_network_gives_both(path):
    net, samples = contract.make_net(), contract.make_samples()
    model = TorchModel(net, batch_size=5)
    exact = model.predict(samples)
    rough = np.concatenate(list(model.parts(samples, half=True)))
    assert 0 < np.abs(rough - exact).max() < 0.02
    np.testing.assert_allclose(model.predict(samples, [7, 2]), exact[[7, 2]], atol=1e-6)
    write_rounded(path, samples, model, 3)
    positions, _ = chosen(read_parts(path), samples, 3)
    assert positions == chosen([exact], samples, 3)[0]


def test_what_is_predicted_again_is_explained_in_the_same_pass(path):
    net, samples = contract.make_net(), contract.make_samples()
    model = TorchModel(net)
    model.check(samples)
    passes, maps = [], {}
    net.register_forward_hook(lambda _net, args, _out: passes.append(len(args[0])))
    write_rounded(path, samples, model, 3)
    without = len(passes)
    write_rounded(path, samples, model, 3, maps)
    assert len(passes) == 2 * without, "no pass more"
    positions, probs = chosen(read_parts(path), samples, 3)
    pairs = [
        (i, of)
        for i, row in zip(positions, probs, strict=True)
        for of in (row.argmax(), samples.labels[i])
    ]
    made = model.explain(samples, *map(list, zip(*pairs, strict=True)))
    for pair, cam in zip(pairs, made, strict=True):
        np.testing.assert_allclose(maps[pair], cam, atol=1e-5)


def test_a_look_in_bfloat16_leaves_no_weights_behind_for_a_training_around_it():
    net, samples = contract.make_net(), contract.make_samples()
    with torch.autocast("cpu", torch.bfloat16):
        list(TorchModel(net).parts(samples, half=True))
        net(samples.view(0)[None]).sum().backward()
    assert all(weight.grad is not None for weight in net.parameters())


@pytest.mark.parametrize(
    ("half", "before_round", "rough"),
    [(True, True, ["train"]), (True, False, []), (False, True, [])],
)
def test_only_a_round_of_a_training_in_bfloat16_is_chosen_from_it(
    tmp_path, half, before_round, rough
):
    seen = []

    class Model:
        def parts(self, samples, *, half=False):
            seen.extend([samples.name] * half)
            yield np.eye(2)[samples.labels]

    samples = {name: Samples(np.arange(8) % 2) for name in ("train", "test")}
    for name, one in samples.items():
        one.name = name
    run = SimpleNamespace(
        samples=samples,
        folder=RunFolder(tmp_path),
        settings=SimpleNamespace(num_outliers=20),
        model=Model(),
        _maps=None,
        _half=half,
    )
    Run._predict_all(run, "epoch-070", before_round=before_round)
    assert seen == rough
    assert sorted(one.name for one in tmp_path.rglob("*.*")) == ["test.parquet", "train.parquet"]


def test_a_round_of_such_a_training_takes_its_heat_maps_from_there(tmp_path, monkeypatch):
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
