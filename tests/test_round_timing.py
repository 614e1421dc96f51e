"""When the rounds of a run are held, and how many cases each has."""

import pytest

from imil.cases import Round, RoundSettings
from imil.errors import SettingsError
from imil.round_options import cases_of_round
from imil.round_settings import check_rounds
from imil.settings import resolve
from imil.training.round_timing import DueRounds, RoundTiming, check_validation, round_timing


def rows(name, values):
    return [{"epoch": i + 1, name: value} for i, value in enumerate(values)]


def held_rounds(timing, history):
    """The epochs of the rounds of a training with this history."""
    held = []
    for done in range(1, len(history) + 1):
        if timing.reason(history[:done], held) is not None:
            held.append(done)
    return held


def settings(**more):
    return resolve({"data": "films.csv", **more})


def stall(*epochs, patience):
    return RoundTiming("stall", epochs, patience, mistakes=0, images=100)


def few(*epochs, mistakes, patience=1):
    return RoundTiming("few-mistakes", epochs, patience, mistakes, images=100)


def test_a_schedule_is_its_epochs_whatever_the_history():
    timing = RoundTiming("schedule", (2, 5), patience=1, mistakes=100, images=100)
    assert held_rounds(timing, rows("val_loss", [1.0] * 6)) == [2, 5]


@pytest.mark.parametrize(
    ("losses", "patience", "expected"),
    [
        ([0.9, 0.8, 0.7, 0.8, 0.7, 0.6], 2, [5]),  # equal is not lower: 4 and 5 are no better
        ([0.9, 0.8, 0.7, 0.8, 0.6, 0.7], 2, []),
        ([0.5, 0.6, 0.6, 0.6, 0.6, 0.6], 1, [2]),
        ([0.5, 0.6, 0.6, 0.6, 0.6, 0.6], 4, [5]),
    ],
)
def test_a_loss_stalls_when_it_has_not_been_lower_for_some_epochs(losses, patience, expected):
    assert held_rounds(stall(9, patience=patience), rows("val_loss", losses)) == expected


def test_a_round_is_held_no_later_than_its_epoch():
    falling = rows("val_loss", [1 - epoch / 10 for epoch in range(8)])
    assert held_rounds(stall(3, 7, patience=2), falling) == [3, 7]


def test_there_are_as_many_rounds_as_epochs_and_what_was_before_one_does_not_count_after_it():
    # the best of epochs 1 to 3 is 0.5; after the round 0.9 is the first, then nothing is lower
    losses = rows("val_loss", [0.5, 0.6, 0.6, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9])
    assert held_rounds(stall(20, 30, patience=2), losses) == [3, 6]


def test_mistakes_are_counted_in_the_training_accuracy():
    # of 100 images wrong: 30, 21, 20, 19
    accuracies = rows("train_accuracy", [0.70, 0.79, 0.80, 0.81])
    assert held_rounds(few(9, mistakes=20), accuracies) == [3]
    assert held_rounds(few(9, mistakes=18), accuracies) == []


def test_rounds_that_are_not_on_schedule_lie_some_epochs_apart():
    accuracies = rows("train_accuracy", [1.0] * 7)
    assert held_rounds(few(20, 30, mistakes=20, patience=4), accuracies) == [1, 5]
    assert held_rounds(few(2, 3, mistakes=20, patience=4), accuracies) == [1, 3]  # its latest


def test_the_settings_say_how_many_mistakes_are_few():
    def mistakes(**more):
        return round_timing(settings(**more), (50, 70), 100).mistakes

    assert mistakes() == 20
    assert mistakes(mistakes=7) == 7
    assert mistakes(budget=21) == 11  # the cases of the first round


def test_a_budget_is_split_evenly_the_first_rounds_having_the_remainder():
    def shares(budget, rounds):
        used = []
        for left in range(rounds, 0, -1):
            used.append(cases_of_round(budget, sum(used), left))
        return used

    assert shares(20, 1) == [20]
    assert shares(20, 2) == [10, 10]
    assert shares(20, 3) == [7, 7, 6]
    assert shares(3, 3) == [1, 1, 1]


def test_what_a_round_leaves_goes_to_the_next():
    held = []
    due = DueRounds(round_timing(settings(budget=20), (50, 70), 100), list, lambda: held)
    given = settings(budget=20)
    assert due.cases(50, given) == 10
    held.append(Round("r@50", "r", 50, RoundSettings(10), "applied", cases=3))
    assert due.cases(70, given) == 17
    assert due.cases(50, given) == 10  # a run that goes on from before the round


def test_a_round_that_was_begun_is_due_also_if_nothing_else_says_so():
    rounds = [Round("r@4", "r", 4, RoundSettings(), "open", cases=3)]
    falling = rows("val_loss", [1 - epoch / 10 for epoch in range(8)])
    due = DueRounds(stall(9, patience=2), lambda: falling, lambda: rounds)
    assert [epoch for epoch in range(9) if epoch in due] == [4]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"budget": 10, "num_outliers": 5}, "--budget 10 and --num-outliers 5 contradict"),
        ({"budget": 1, "imil_epoch": "5,7"}, "a budget of 1 cases does not suffice for 2 rounds"),
        ({"patience": 3}, "--patience 3 has no effect with --round-when schedule"),
        ({"mistakes": 3, "round_when": "stall"}, "--mistakes 3 has no effect with --round-when st"),
        ({"round_when": "few-mistakes", "mix": "mixup"}, "and --mix mixup mixes images of two"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given, message):
    with pytest.raises(SettingsError, match=message):
        check_rounds(settings(**given))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"budget": 2, "imil_epoch": "5,7"},
        {"patience": 3, "round_when": "stall", "mix": "mixup"},
        {"mistakes": 3, "patience": 3, "round_when": "few-mistakes", "mix": "cutout"},
    ],
)
def test_settings_that_fit_are_accepted(given):
    check_rounds(settings(**given))


def test_stall_needs_a_validation_set():
    with pytest.raises(SettingsError, match="and there is none: give --val-share"):
        check_validation(settings(round_when="stall"), ["train", "test"])
    check_validation(settings(round_when="stall"), ["train", "val", "test"])
    check_validation(settings(), ["train", "test"])
