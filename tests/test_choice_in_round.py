"""A round with another choice of cases than the paper's: a short function of arrays."""

import inspect

import contract
import numpy as np
import pytest

from imil.cases import RoundSettings
from imil.choices import CHOICES, needs
from imil.choices.among_mistakes import diverse, out_of_fold
from imil.errors import SettingsError
from imil.outliers import confident_mistakes, mistakes, rank
from imil.predictions import Predictions
from imil.pytorch import IMIL
from imil.rounds import run_round
from imil.store import Store


def most_concentrated(probs, labels, keys, n, rng, *, heat_maps):
    """Mistakes whose heat-map of the predicted class covers the least area."""
    positions = mistakes(probs, labels, keys)
    cams = heat_maps(positions, probs[positions].argmax(axis=1))
    return rank(positions, -np.array([cam.mean() for cam in cams]), keys, n)


def random_mistakes(probs, labels, keys, n, rng):
    """Mistakes at random, for comparison."""
    return rng.permutation(mistakes(probs, labels, keys))[:n]


OTHERS = [most_concentrated, random_mistakes]


class Model:
    """Predicts from a table; each heat-map is as bright as the class's number and the position."""

    def __init__(self, probs):
        self.probs = probs

    def predict(self, samples):
        return Predictions.of(samples, self.probs)

    def explain(self, samples, indices, classes):
        return [
            np.full((4, 4), (i + of) / 100, np.float32)
            for i, of in zip(indices, classes, strict=True)
        ]


@pytest.fixture
def hold(tmp_path, monkeypatch):
    """Hold a round with a choice; returns the positions of its cases, in order."""

    def held(choose, probs, *, n=3, seed=0, epoch=1, **arrays):
        monkeypatch.setitem(CHOICES, choose.__name__, choose)
        store = Store(tmp_path / f"{choose.__name__}-{seed}-{epoch}")
        samples = contract.make_samples()
        store.add_run("r", class_names=samples.class_names, settings={}, versions={})
        providers = {name: lambda _, array=array: array for name, array in arrays.items()}
        round_ = run_round(
            Model(probs),
            samples,
            contract.Fixed(),
            store,
            run="r",
            epoch=epoch,
            settings=RoundSettings(n, choice=choose.__name__, seed=seed),
            providers=providers,
        )
        assert round_.state == "applied"
        return [int(case.key[1:]) for case in store.cases(round_.id)]

    return held


def probs_with(confidence):
    """Right everywhere with 0.8, but for these positions: wrong with this confidence."""
    labels = contract.make_samples().labels
    wrong = {i: (labels[i] + 1) % 3 for i in confidence}
    probs = np.full((len(labels), 3), 0.1)
    probs[np.arange(len(labels)), labels] = 0.8
    for i, other in wrong.items():
        probs[i] = (1 - confidence[i]) / 2
        probs[i, other] = confidence[i]
    return probs


@pytest.mark.parametrize("choose", OTHERS, ids=lambda choose: choose.__name__)
def test_a_choice_takes_at_most_twenty_lines(choose):
    assert len(inspect.getsource(choose).splitlines()) <= 20


def test_diverse_cases_lie_far_apart(hold):
    probs = probs_with({0: 0.9, 1: 0.8, 2: 0.7, 3: 0.6})
    features = np.zeros((len(probs), 2))
    features[[0, 1, 2, 3]] = [[0, 0], [0, 1], [5, 0], [0, 9]]  # by hand: 0; 3 is 9 away; then 2
    assert hold(diverse, probs, features=features) == [0, 3, 2]


def test_out_of_fold_cases_are_the_mistakes_of_the_other_models(hold):
    other = probs_with({7: 0.7, 4: 0.9})
    assert hold(out_of_fold, probs_with({}), out_of_fold_probs=other) == [4, 7]


def test_heat_maps_of_any_sample_are_available_to_every_choice(hold):
    assert hold(most_concentrated, probs_with({9: 0.9, 2: 0.6, 20: 0.7})) == [2, 9, 20]


def test_a_random_choice_depends_on_seed_and_epoch_alone(hold):
    probs = probs_with(dict.fromkeys(range(20), 0.6))
    first = hold(random_mistakes, probs, n=10)
    others = [
        hold(random_mistakes, probs, n=10, seed=1),
        hold(random_mistakes, probs, n=10, epoch=2),
    ]
    expected = RoundSettings().rng(1).permutation(20)[:10].tolist()
    assert first == expected
    assert all(other != first for other in others)


def test_what_a_choice_needs_is_read_from_its_parameters():
    assert needs(confident_mistakes) == ()
    assert needs(diverse) == ("features",)


def test_a_need_without_a_provider_is_refused_before_training(tmp_path):
    options = {"store": tmp_path / "s", "choice": "moving_average"}
    samples, net = contract.make_samples(), contract.make_net()
    with pytest.raises(SettingsError, match="'moving_average' needs history, for which there is"):
        IMIL(samples, net, contract.Fixed(), **options)
    IMIL(samples, net, contract.Fixed(), **options, providers={"history": lambda _: None})


@pytest.mark.parametrize("name", ["auto", "diverse", "out_of_fold"])
def test_a_callback_needs_no_provider_for_what_its_model_gives(tmp_path, name):
    samples, net = contract.make_samples(), contract.make_net()
    options = {"store": tmp_path / "s", "choice": name, "imil_epoch": 1, "num_outliers": 3}
    round_ = IMIL(samples, net, contract.Fixed(), **options).after_epoch(1)
    assert (round_.settings.choice, round_.cases) == (name, 3)


def test_providers_that_are_given_come_before_those_of_the_model(tmp_path):
    samples, net = contract.make_samples(), contract.make_net()
    other = probs_with({7: 0.7, 4: 0.9})
    imil = IMIL(
        samples,
        net,
        contract.Fixed(),
        store=tmp_path / "s",
        choice="out_of_fold",
        providers={"out_of_fold_probs": lambda _: other},
        imil_epoch=1,
    )
    round_ = imil.after_epoch(1)
    assert [case.key for case in imil.store.cases(round_.id)] == ["f4", "f7"]


def test_a_choice_that_compares_classes_is_refused_where_there_is_one(tmp_path):
    samples, net = contract.make_samples(easy=True), contract.make_net()
    with pytest.raises(SettingsError, match="'auto' compares classes, and all training samples"):
        IMIL(samples, net, contract.Fixed(), store=tmp_path / "s", choice="auto")


def test_an_unknown_choice_is_refused_before_training(tmp_path):
    samples, net = contract.make_samples(), contract.make_net()
    with pytest.raises(SettingsError, match="unknown choice of cases 'clever': expected one of"):
        IMIL(samples, net, contract.Fixed(), store=tmp_path / "s", choice="clever")


@pytest.mark.parametrize("positions", [[1, 1], [24], [-1], [0, 1, 2, 3]])
def test_invalid_positions_are_refused(hold, positions):
    def wrong(probs, labels, keys, n, rng):
        return positions

    with pytest.raises(SettingsError, match="expected at most 3 such positions"):
        hold(wrong, probs_with({}))
