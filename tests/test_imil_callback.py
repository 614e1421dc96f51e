"""IMIL in a training loop of the user's own."""

import threading
from dataclasses import replace

import contract
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from imil.cases import Reading
from imil.errors import DataError, RoundPaused, SettingsError, ShapeError
from imil.outliers import confident_mistakes
from imil.pytorch import IMIL, CorrectedDataset, TorchModel
from imil.round_options import check_epochs
from imil.store import Store


def fit(samples, ask, store, imil_epoch, epochs, *, num_outliers=5, net=None, fits=1, times=1):
    net = net or contract.make_net()
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    loader = DataLoader(Positions(samples), 8, shuffle=True)
    imil = ask and IMIL(
        samples, net, ask, store=store, imil_epoch=imil_epoch, num_outliers=num_outliers
    )
    drawn = []
    torch.manual_seed(1)
    for epoch in [*range(epochs)] * fits:
        drawn.append({})
        net.train()
        for i, images, labels in loader:
            drawn[-1] |= {int(n): image[0].numpy() for n, image in zip(i, images, strict=True)}
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images), labels).backward()
            optimizer.step()
        if imil:
            for _ in range(times):
                imil.after_epoch(epoch + 1)
    return net.state_dict(), drawn


class Positions(torch.utils.data.Dataset):
    """The samples with their positions, so that a test sees which was drawn."""

    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, i):
        return i, *self.samples[i]


@pytest.mark.parametrize("check", contract.LOOP_CHECKS, ids=lambda check: check.__name__)
def test_the_contract(check, tmp_path):
    check(fit, tmp_path)


@pytest.mark.parametrize("mode", [True, False])
def test_a_round_leaves_modes_gradients_and_random_states_as_they_were(tmp_path, mode):
    net = contract.make_net()
    net.train(mode)
    net[1].eval()  # a frozen batch norm, as fine-tuning has it
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = torch.get_rng_state()
    imil = IMIL(
        contract.make_samples(),
        net,
        contract.Fixed(),
        store=tmp_path / "s",
        imil_epoch=1,
    )
    assert imil.after_epoch(1).cases > 0
    assert [m.training for m in net.modules()] == [
        mode if m is not net[1] else False for m in net.modules()
    ]
    assert all((p.grad == 1).all() for p in net.parameters())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_reader_who_stops_is_later_shown_only_the_unread_cases(tmp_path):
    samples, net = contract.make_samples(), contract.make_net()

    def two(cases):
        yield from contract.Fixed()(cases[:2])

    imil = IMIL(samples, net, two, store=tmp_path / "s", imil_epoch=1, num_outliers=5)
    with pytest.raises(RoundPaused, match="3 of 5 cases unread"):
        imil.after_epoch(1)
    assert all(samples.corrected(i) is None for i in range(len(samples)))  # not half a round
    shown = []

    def rest(cases):
        shown.extend(case.number for case in cases)
        yield from contract.Fixed()(cases)

    again = IMIL(samples, net, rest, store=tmp_path / "s", imil_epoch=1, num_outliers=5)
    assert again.restore(1).state == "applied"
    assert shown == [3, 4, 5]
    assert sum(samples.corrected(i) is not None for i in range(len(samples))) == 5


@pytest.mark.parametrize("threadsafe", [True, False])
def test_originals_are_read_by_several_threads_only_where_threadsafe(tmp_path, threadsafe):
    films, readers = contract.Films(), set()

    def original(i):
        readers.add(threading.get_ident())
        return films[i][0]

    samples = CorrectedDataset(films, original=original, threadsafe=threadsafe)
    imil = IMIL(samples, contract.make_net(), contract.Fixed(), store=tmp_path / "s", imil_epoch=1)
    imil.begin()
    readers.clear()
    imil.after_epoch(1)
    assert readers
    assert (threading.get_ident() in readers) != threadsafe


def test_corrections_come_back_from_the_store_alone(tmp_path):
    net = contract.make_net()
    first, later = contract.make_samples(), contract.make_samples()
    IMIL(first, net, contract.Fixed(), store=tmp_path / "s", imil_epoch=1).after_epoch(1)
    IMIL(later, net, contract.nobody, store=tmp_path / "s", imil_epoch=1).restore(2)
    kept = [first.corrected(i) for i in range(len(first))]
    assert [later.corrected(i) for i in range(len(later))] == kept
    assert any(kept)


def test_a_loop_may_hold_rounds_whenever_it_likes(tmp_path):
    samples, net = contract.make_samples(), contract.make_net()
    how = {"store": tmp_path / "s", "imil_epoch": None}
    imil = IMIL(samples, net, contract.Fixed(), **how)
    assert [imil.after_epoch(epoch) for epoch in (1, 70)] == [None, None]
    assert imil.hold_round(3, num_outliers=2).cases == 2

    def stops(cases):
        yield from contract.Fixed()(cases[:1])

    later = IMIL(contract.make_samples(), net, stops, **how)
    later.restore(3)
    with pytest.raises(RoundPaused, match="1 of 2 cases unread"):
        later.hold_round(5, num_outliers=2)
    again = IMIL(contract.make_samples(), net, contract.Fixed(), **how)
    assert (again.restore(5).epoch, again.restore(6)) == (
        5,
        None,
    )  # nobody says when, but 5 is open


def test_a_budget_is_shared_by_the_rounds(tmp_path):
    def cases(name, budget, imil_epoch, **more):
        samples, net = contract.make_samples(), contract.make_net()
        store = Store(tmp_path / name)
        how = {"store": store, "imil_epoch": imil_epoch, "budget": budget} | more
        imil = IMIL(samples, net, contract.Fixed(), **how)
        return [imil.after_epoch(epoch).cases for epoch in imil.imil_epoch]

    assert cases("one", 6, 1) == [6]
    assert cases("two", 6, (1, 2)) == [3, 3]
    assert cases("three", 5, (1, 2, 3)) == [2, 2, 1]


def test_a_budget_goes_to_the_rounds_that_are_left(tmp_path):
    samples, net, said = contract.make_samples(), contract.make_net(), []
    how = {"store": tmp_path / "s", "imil_epoch": (1, 2, 3), "budget": 5}
    imil = IMIL(samples, net, contract.Fixed(), **how, say=said.append)
    assert imil.hold_round(1, num_outliers=1).cases == 1  # it leaves one
    assert imil.restore(3).cases == 4  # none was held after epoch 2
    assert imil.hold_round(4) is None
    assert said[-1] == "No round is held after epoch 4: all 5 cases are used."


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"budget": 5, "imil_epoch": None}, "a budget is split over the rounds of imil_epoch"),
        ({"budget": 5, "num_outliers": 3}, "budget and num_outliers contradict each other"),
        ({"budget": 1, "imil_epoch": (1, 2)}, "a budget of 1 cases does not suffice for 2 rounds"),
        ({"budget": 2.5}, "a budget of 2.5 cases does not suffice"),
    ],
)
def test_a_budget_that_cannot_be_split_is_refused(tmp_path, given, message):
    with pytest.raises(SettingsError, match=message):
        IMIL(contract.make_samples(), contract.make_net(), None, store=tmp_path / "s", **given)


def test_any_verdict_but_focus_leaves_the_sample_unchanged(tmp_path):
    samples = contract.make_samples()

    def doubt(cases):
        for case in cases:
            yield Reading(case.id, "r", "wrong label")

    imil = IMIL(samples, contract.make_net(), doubt, store=tmp_path / "s", imil_epoch=1)
    assert imil.after_epoch(1).state == "applied"
    assert all(samples.corrected(i) is None for i in range(len(samples)))


def test_a_skipped_case_keeps_its_earlier_correction(tmp_path):
    samples, net = contract.make_samples(), contract.make_net()
    store = Store(tmp_path / "s")

    def ask(cases):
        for case in cases:
            focus = store.rounds()[-1].epoch == 1
            yield Reading(case.id, "r", *(("focus", (4,)) if focus else ("skip",)))

    imil = IMIL(samples, net, ask, store=store, imil_epoch=[1, 2])
    imil.after_epoch(1)
    kept = [samples.corrected(i) for i in range(len(samples))]
    imil.after_epoch(2)
    assert [samples.corrected(i) for i in range(len(samples))] == kept


def test_fewer_mistakes_than_num_outliers_are_reported_in_one_line(tmp_path):
    lines = []
    imil = IMIL(
        contract.make_samples(),
        contract.make_net(),
        contract.Fixed(),
        store=tmp_path / "s",
        imil_epoch=1,
        num_outliers=500,
        say=lines.append,
    )
    held = imil.after_epoch(1)
    assert len(lines) == 1
    assert f"the round has {held.cases} cases" in lines[0]


def test_predictions_that_are_passed_are_not_made_again(tmp_path, monkeypatch):
    samples, net = contract.make_samples(), contract.make_net()
    model, passes = TorchModel(net), []
    ready, real = model.predict(samples), TorchModel.probs
    monkeypatch.setattr(TorchModel, "probs", lambda *a, **k: passes.append(1) or real(*a, **k))

    def hold(name, predictions):
        store = Store(tmp_path / name)
        imil = IMIL(samples, net, contract.Fixed(), store=store, imil_epoch=(1, 2), num_outliers=5)
        rounds = [imil.after_epoch(1, predictions), imil.after_epoch(2)]
        return [(c.key, c.confidence) for r in rounds for c in store.cases(r.id)]

    made = hold("without", None)
    assert len(passes) == 2
    assert hold("value", ready) == made
    assert len(passes) == 2 + 1, "that of the second round"
    assert hold("array", ready.probs) == made


def test_heat_maps_that_are_passed_are_not_made_again(tmp_path):
    samples, net = contract.make_samples(), contract.make_net()
    model = TorchModel(net)
    predictions, (cam,) = model.predict(samples), model.explain(samples, [0], [1])
    at = confident_mistakes(predictions.probs, predictions.labels, predictions.keys, 1)[0]
    pair = (at, int(samples.labels[at]))

    def hold(name, predictions):
        store = Store(tmp_path / name)
        imil = IMIL(samples, model, contract.Fixed(), store=store, imil_epoch=1, num_outliers=2)
        return store.cases(imil.after_epoch(1, predictions).id)

    made = hold("without", predictions)
    passed = hold("with", replace(predictions, heat_maps={pair: np.full_like(cam, 0.5)}))
    assert samples.key(at) == made[0].key == passed[0].key
    assert (passed[0].cam_true == 0.5).all(), "as it was given"
    np.testing.assert_array_equal(passed[0].cam_predicted, made[0].cam_predicted)
    np.testing.assert_array_equal(passed[1].cam_true, made[1].cam_true)


def make_imil(folder, **options):
    samples, net = contract.make_samples(), contract.make_net()
    return IMIL(samples, net, contract.Fixed(), store=folder / "s", imil_epoch=1, **options)


def test_predictions_that_are_logits_are_refused(tmp_path):
    imil = make_imil(tmp_path)
    logits = np.log(imil.model.probs(imil.samples)) + 7
    with pytest.raises(SettingsError, match="`predictions` have values from"):
        imil.after_epoch(1, logits)
    assert imil.store.rounds() == []


def test_predictions_of_other_samples_are_refused(tmp_path):
    imil = make_imil(tmp_path)
    predictions = imil.model.predict(imil.samples)
    with pytest.raises(SettingsError, match="not of the 24 training samples in their order"):
        imil.after_epoch(1, replace(predictions, keys=predictions.keys[::-1]))
    with pytest.raises(ShapeError, match="do not match"):
        imil.after_epoch(1, predictions.probs[1:])
    assert imil.store.rounds() == []


def test_the_seed_of_the_choice_is_in_the_store(tmp_path):
    imil = make_imil(tmp_path, seed=7)
    assert imil.after_epoch(1).settings.seed == 7
    assert imil.store.rounds()[0].settings == imil.settings


@pytest.mark.parametrize("epoch", [0, -1, [3, 0]])
def test_an_epoch_below_1_is_refused(tmp_path, epoch):
    with pytest.raises(SettingsError, match="counts completed epochs"):
        IMIL(
            contract.make_samples(),
            contract.make_net(),
            contract.Fixed(),
            store=tmp_path / "s",
            imil_epoch=epoch,
        )


def test_a_new_training_does_not_use_another_training_s_readings(tmp_path):
    def begin(run="run"):
        samples, net = contract.make_samples(), contract.make_net()
        return IMIL(samples, net, contract.Fixed(), store=tmp_path / "s", run=run, imil_epoch=2)

    first = begin()
    first.begin()
    first.after_epoch(1)
    first.after_epoch(2)
    for say in (lambda imil: imil.begin(), lambda imil: imil.after_epoch(1)):
        with pytest.raises(SettingsError, match="already has a round after epoch 2: to continue"):
            say(begin())
    assert first.after_epoch(2).state == "applied"  # its own
    begin().restore(2)
    other = begin("another")
    other.begin()
    assert other.after_epoch(2).cases > 0


@pytest.mark.parametrize("epoch", [70.5, "70", None, [70, "80"]])
def test_an_epoch_that_is_not_a_whole_number_is_refused(epoch):
    with pytest.raises(SettingsError, match="expected a whole number such as 70"):
        check_epochs(epoch)


def test_epochs_may_come_from_numpy():
    assert check_epochs(np.int64(70)) == (70,)
    assert check_epochs(np.array([90, 70])) == (70, 90)


class Raw:
    """Three images, as a data set gives them."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.images[i], i


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([np.zeros((8, 8), np.int16)] * 3, "raw images of int16 cannot be shown"),
        ([np.zeros((8, 8, 4), np.uint8)] * 3, "cannot be shown"),
        ([np.zeros((n, n), np.uint8) for n in (8, 9, 9)], r"the view of '1' is \(1, 9, 9\)"),
    ],
)
def test_images_that_a_round_cannot_show_are_refused_before_training(tmp_path, images, message):
    def view(image):
        return torch.zeros(1, *image.shape[:2])

    samples = CorrectedDataset(Raw(images), view=view)
    with pytest.raises(DataError, match=message):
        IMIL(samples, contract.make_net(), contract.Fixed(), store=tmp_path / "s").begin()


def test_a_round_that_is_too_late_to_hold_is_reported(tmp_path):
    lines = []
    imil = IMIL(
        contract.make_samples(),
        contract.make_net(),
        contract.Fixed(),
        store=tmp_path / "s",
        imil_epoch=[1, 3],
        say=lines.append,
    )
    imil.restore(2)
    assert lines == ["No round will be held after epoch 1: 2 are done already."]


def test_samples_whose_keys_have_changed_are_refused(tmp_path):
    fit(contract.make_samples(), contract.Fixed(), tmp_path / "s", 1, 1)
    films = contract.Films()
    samples = CorrectedDataset(films, keys=[f"moved/{i}" for i in range(len(films))])
    imil = IMIL(samples, contract.make_net(), contract.Fixed(), store=tmp_path / "s", imil_epoch=1)
    with pytest.raises(DataError, match="has no such sample: give the keys that it had then"):
        imil.restore(1)


@pytest.mark.parametrize("say", [lambda imil: imil.begin(), lambda imil: imil.after_epoch(1)])
def test_a_model_without_heat_maps_is_refused_before_training(tmp_path, say):
    samples = contract.make_samples()
    flat = nn.Sequential(nn.Flatten(), nn.Linear(contract.SIZE**2, 3))
    imil = IMIL(samples, flat, contract.Fixed(), store=tmp_path / "s")
    with pytest.raises(SettingsError, match="no layer of Sequential gives a map"):
        say(imil)
    imil = IMIL(samples, contract.make_net(), contract.Fixed(), store=tmp_path / "s", layer="44")
    with pytest.raises(SettingsError, match="unknown layer '44' of Sequential"):
        say(imil)
    imil = IMIL(samples, contract.make_net(), contract.Fixed(), store=tmp_path / "s", layer="7")
    with pytest.raises(SettingsError, match=r"layer '7' gives .* which is not a map of the image"):
        say(imil)
    imil = IMIL(samples, contract.make_net(), contract.Fixed(), store=tmp_path / "s", layer="4")
    assert say(imil) is None
