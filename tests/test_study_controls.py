"""The controls: which images they are about, and what is done with those."""

from contextlib import closing

import pytest
from reader_contract import make_case

from imil.cases import Reading, RoundSettings
from imil.grid import Grid
from imil.store import Store
from imil.study.controls import Oversample, RandomBox, Recorded, SkipAll
from imil.training.classifier import EpochOrder


class Selects:
    """A reference that selects a square of these cases, and skips the others."""

    def __init__(self, *numbers):
        self.keys = {make_case(number).key for number in numbers}

    def squares(self, case):
        """One square, or none."""
        return (3,) if case.key in self.keys else ()


def drawn(order):
    """What is drawn in twenty epochs."""
    result = []
    for epoch in range(20):
        order.set_epoch(epoch)
        result += order
    return result


@pytest.mark.parametrize(
    ("epoch", "oversampled"),
    [(1, []), (2, [0, 3]), (3, [0, 3])],  # the round follows the second epoch
)
def test_what_the_reader_changed_is_drawn_five_times_as_often_once_its_round_is_held(
    tmp_path, epoch, oversampled
):
    order, expected = EpochOrder(4, seed=0), EpochOrder(4, seed=0)
    expected.oversample(oversampled, 5)
    with closing(Store(tmp_path / "imil.sqlite")) as store:
        for run, epochs, numbers in (("r", 2, (1, 2, 4)), ("other", 1, (3,))):
            store.add_run(run, class_names=("normal", "TB"), settings={}, versions={})
            cases = [make_case(number, run=run, epoch=epochs) for number in numbers]
            store.open_round(run, epochs, RoundSettings(), cases)
        keys = ["film-2", "film-3", "film-4", "film-1"]
        often = Oversample(order, keys, store, "r", Selects(1, 2, 3))
        often(epoch)
    assert drawn(order) == drawn(expected)


def test_of_misleading_squares_alone_a_control_is_given_all_others(tmp_path):
    with closing(Store(tmp_path / "imil.sqlite")) as store:
        store.add_run("r", class_names=("normal", "TB"), settings={}, versions={})
        cases = [make_case(number) for number in (1, 2, 3)]
        store.open_round("r", 70, RoundSettings(), cases)
        store.add(Reading("r@70#1", "Lee", "focus", misleading=(4, 16)))
        store.add(Reading("r@70#2", "Lee", "focus", (6,), misleading=(4,)))
    recorded = Recorded(tmp_path / "imil.sqlite")
    assert recorded.squares(cases[0]) == (1, 2, 3, *range(5, 16))
    assert recorded.squares(cases[1]) == (6,)
    assert recorded.squares(cases[2]) == ()


def test_every_case_has_a_box_of_its_own_in_every_seed():
    cases = [make_case(number, grid=Grid(64, 64)) for number in (1, 2, 3)]
    boxes = [RandomBox(seed, Selects()).squares(case) for seed in (0, 1) for case in cases]
    assert len(set(boxes)) == 6
    assert boxes == [RandomBox(seed, Selects()).squares(case) for seed in (0, 1) for case in cases]


def test_what_the_reader_skipped_the_controls_leave_alone():
    cases = [make_case(number, grid=Grid(64, 64)) for number in (1, 2)]
    boxed, left = list(RandomBox(0, Selects(2))(cases)), list(SkipAll(Selects(2))(cases))
    assert [one.verdict for one in boxed] == ["skip", "focus"]
    assert boxed[0].reason == left[0].reason == "the reference selects no square"
    assert [one.verdict for one in left] == ["skip", "skip"]
    assert left[1].reason == "drawn 5 times as often instead"
