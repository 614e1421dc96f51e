"""What any way of training with IMIL must keep: one test, run by each adapter's test file.

An adapter's test gives `fit(samples, ask, store, imil_epoch, epochs)`: it trains a network of
its own for some epochs, with IMIL if `ask` is not None, and returns the weights and, for each
epoch, every training image as it was drawn. A framework's also takes `data`, which is drawn in
place of the samples. Both take `net`; `fits`, how often the same callback trains from the first
epoch; and `times`, how often it is attached. Where samples and networks are not PyTorch's, it has
functions `make_samples` and `make_flat_net` of its own.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from imil.cases import Reading
from imil.errors import SettingsError
from imil.grid import Grid
from imil.pytorch import CorrectedDataset
from imil.store import Store

N, SIZE, SEED = 24, 16, 3


class Films:
    """Bright images of three classes, some of whose labels no network can learn."""

    classes = ("none", "left", "right")

    def __init__(self, *, easy=False):
        rng = np.random.default_rng(SEED)
        self.targets = rng.integers(0, 3, N) * (not easy)
        self.images = rng.integers(100, 256, (N, SIZE, SIZE), dtype=np.uint8)  # nowhere black

    def __len__(self):
        return N

    def __getitem__(self, i):
        return self.images[i], int(self.targets[i])


def make_samples(*, noisy=False, easy=False):
    """The films; `noisy` adds a random transform that the view must not have.

    `easy` makes them all of one class, so that soon there is no mistake.
    """

    def view(image):
        return torch.from_numpy(image[None].astype(np.float32) / 255)

    def transform(image):
        return view(image) + 0.01 * torch.rand(1) * (torch.from_numpy(image[None]) > 0)

    return CorrectedDataset(
        Films(easy=easy),
        transform=transform if noisy else view,
        view=view,
        keys=[f"f{i}" for i in range(N)],
    )


def make_net():
    """Batch norm and dropout: both show whether a round leaves a trace."""
    torch.manual_seed(SEED)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Dropout2d(0.2),
        nn.Conv2d(6, 6, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )


def make_flat_net():
    """No layer gives a map of the image."""
    return nn.Sequential(nn.Flatten(), nn.Linear(SIZE**2, 3))


@dataclass
class Fixed:
    """A reader who always selects the same squares."""

    squares: tuple[int, ...] = (2, 3, 6)

    def __call__(self, cases):
        for case in cases:
            yield Reading(case.id, "fixed", "focus", self.squares)


def nobody(cases):
    """A reader who must not be asked."""
    raise AssertionError(f"asked {len(cases)} cases")
    yield


def samples_of(fit, **how):
    """The films as the framework takes them."""
    return getattr(fit, "make_samples", make_samples)(**how)


def check_no_trace_when_no_round_is_held(fit, tmp_path):
    """Beyond the last epoch: bit for bit as without."""
    plain, _ = fit(samples_of(fit, noisy=True), None, None, (), 3)
    store = Store(tmp_path / "a.sqlite")
    with_imil, _ = fit(samples_of(fit, noisy=True), nobody, store, (4,), 3)
    assert_equal(plain, with_imil)
    assert store.rounds() == []


def check_no_trace_when_there_is_no_outlier(fit, tmp_path):
    """A round that predicts everything, explains nothing and asks nobody: bit for bit."""
    plain, _ = fit(samples_of(fit, noisy=True, easy=True), None, None, (), 3)
    store = Store(tmp_path / "a.sqlite")
    with_imil, _ = fit(samples_of(fit, noisy=True, easy=True), nobody, store, (1, 2), 3)
    assert_equal(plain, with_imil)
    assert [(r.epoch, r.cases, r.state) for r in store.rounds()] == [
        (1, 0, "applied"),
        (2, 0, "applied"),
    ]


def check_no_trace_of_a_reader_who_keeps_everything(fit, tmp_path):
    """Outliers are explained and asked about, but nothing is blacked out: bit for bit."""
    plain, _ = fit(samples_of(fit, noisy=True), None, None, (), 3)
    store = Store(tmp_path / "a.sqlite")
    every = Fixed(tuple(range(1, 17)))
    with_imil, _ = fit(samples_of(fit, noisy=True), every, store, (1, 2), 3)
    assert_equal(plain, with_imil)
    assert all(r.cases > 0 for r in store.rounds())


def check_exactly_the_unselected_squares_go_black(fit, tmp_path):
    """From the next epoch on, in exactly the chosen samples; every other sample is untouched."""
    store = Store(tmp_path / "a.sqlite")
    _, drawn = fit(samples_of(fit), Fixed((2, 3, 6)), store, (2,), 4)
    films = Films()
    chosen = {int(case.key[1:]) for case in store.cases(store.rounds()[0].id)}
    assert 0 < len(chosen) <= 5
    keep = np.zeros((SIZE, SIZE), bool)  # squares 2, 3 and 6 of 4×4 on 16 pixels, by hand
    keep[0:4, 4:12] = True
    keep[4:8, 4:8] = True
    assert (keep == Grid().mask((2, 3, 6), SIZE, SIZE)).all()
    for epoch, images in enumerate(drawn, start=1):
        assert len(images) == N
        for i, image in images.items():
            expected = films.images[i].astype(np.float32) / 255
            if epoch > 2 and i in chosen:
                expected = np.where(keep, expected, 0)
            assert np.array_equal(image, expected), (epoch, i)


def check_a_second_round_shows_the_original_and_the_newest_reading_counts(fit, tmp_path):
    """Chosen again: original image, earlier squares marked, newest squares kept."""
    store = Store(tmp_path / "a.sqlite")
    answers = {1: (2, 3, 6), 2: (11,)}

    def ask(cases):
        squares = answers[store.rounds()[-1].epoch]
        yield from Fixed(squares)(cases)

    _, drawn = fit(samples_of(fit), ask, store, (1, 2), 3, num_outliers=N)
    first, second = (store.cases(r.id) for r in store.rounds())
    again = {c.key for c in first} & {c.key for c in second}
    assert again
    films = Films()
    for case in second:
        assert (case.image == films.images[int(case.key[1:])]).all()
        assert case.earlier == ((2, 3, 6) if case.key in again else None)
        keep = Grid().mask((11,), SIZE, SIZE)
        expected = np.where(keep, films.images[int(case.key[1:])], 0)
        shown = drawn[2][int(case.key[1:])] * 255
        assert np.array_equal(np.round(shown), expected)


def check_data_that_no_correction_reaches_is_refused(fit, tmp_path):
    """Before the first step: what is drawn is not what the rounds correct."""
    with pytest.raises(SettingsError, match="would never see a correction"):
        fit(samples_of(fit), nobody, Store(tmp_path / "s"), (1,), 1, data=samples_of(fit))


def check_a_model_that_cannot_be_explained_is_refused(fit, tmp_path):
    """Before the first round: no layer gives a heat-map."""
    with pytest.raises(SettingsError, match=r"no layer of \w+ gives a map of the image"):
        fit(
            samples_of(fit),
            nobody,
            Store(tmp_path / "s"),
            (1,),
            1,
            net=getattr(fit, "make_flat_net", make_flat_net)(),
        )


def check_a_callback_of_an_earlier_training_is_refused(fit, tmp_path):
    """The same object, whose rounds were another training's."""
    with pytest.raises(SettingsError, match=r"epoch 1.*(give|make) another"):
        fit(samples_of(fit), Fixed(), Store(tmp_path / "s"), (1,), 2, fits=2)


def check_a_callback_that_is_attached_twice_is_refused_or_holds_one_round(fit, tmp_path):
    """To one training; `fit.twice` is the error where it is refused."""
    asked, store = [], Store(tmp_path / "s")

    def ask(cases):
        asked.extend(cases)
        yield from Fixed()(cases)

    twice = getattr(fit, "twice", None)
    if twice is None:
        fit(samples_of(fit), ask, store, (1,), 2, times=2)
        assert len(asked) == 5
        assert [(held.epoch, held.state) for held in store.rounds()] == [(1, "applied")]
    else:
        kind, message = twice
        with pytest.raises(kind, match=message):
            fit(samples_of(fit), ask, store, (1,), 2, times=2)
        assert asked == []


def check_a_training_that_begins_anew_needs_a_store_of_its_own(fit, tmp_path):
    """A callback, or its store, that has been through a training."""
    store = Store(tmp_path / "s")
    fit(samples_of(fit), Fixed(), store, (1,), 1)
    with pytest.raises(SettingsError, match="already has a round after epoch 1"):
        fit(samples_of(fit), nobody, store, (1,), 1)


def assert_equal(one, other):
    """Weights, buffers and their names are the same to the last bit."""
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


CHECKS = [
    check_no_trace_when_no_round_is_held,
    check_no_trace_when_there_is_no_outlier,
    check_no_trace_of_a_reader_who_keeps_everything,
    check_exactly_the_unselected_squares_go_black,
    check_a_second_round_shows_the_original_and_the_newest_reading_counts,
]
LOOP_CHECKS = [
    *CHECKS,
    check_a_model_that_cannot_be_explained_is_refused,
    check_a_callback_of_an_earlier_training_is_refused,
    check_a_callback_that_is_attached_twice_is_refused_or_holds_one_round,
    check_a_training_that_begins_anew_needs_a_store_of_its_own,
]
FRAMEWORK_CHECKS = [*LOOP_CHECKS, check_data_that_no_correction_reaches_is_refused]
