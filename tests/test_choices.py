"""The choices of cases, on arrays worked out by hand, and what all of them have in common."""

import inspect
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imil.choices import CHOICES, needs
from imil.choices.among_mistakes import (
    class_balanced,
    diverse,
    early_mistakes,
    moving_average,
    out_of_fold,
)
from imil.choices.any_sample import auto, likely_label_errors, off_lung, random, uncertain
from imil.round_options import CHOICE_NAMES

KEYS = list("abcdefgh")
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])


def of_second(*probabilities):
    """Probabilities of two classes, from those of the second."""
    second = np.array(probabilities)
    return np.stack([1 - second, second], axis=1)


RIGHT = of_second(0.1, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9)


def test_class_balanced_takes_the_classes_in_turn():
    probs = of_second(0.9, 0.8, 0.7, 0.1, 0.4, 0.35, 0.9, 0.9)
    # by hand, most confident first: 0 (.9), 1 (.8), 2 (.7), 5 (.65), 4 (.6)
    assert class_balanced(probs, LABELS, KEYS, 4) == [0, 5, 1, 4]
    assert class_balanced(probs, LABELS, KEYS, 8) == [0, 5, 1, 4, 2]


def test_diverse_takes_the_farthest_each_time():
    probs = of_second(0.9, 0.8, 0.7, 0.6, 0.9, 0.9, 0.9, 0.9)
    features = np.array([[0, 0], [0, 1], [5, 0], [0, 9], *[[99, 99]] * 4], float)
    # by hand: 0; 3 is 9 away; then 2, 5 from 0; then 1
    assert diverse(probs, LABELS, KEYS, 3, features=features) == [0, 3, 2]
    assert diverse(probs, LABELS, KEYS, 8, features=features) == [0, 3, 2, 1]
    assert diverse(probs, LABELS, KEYS, 3, features=np.zeros((8, 2))) == [0, 1, 2]


def test_diverse_looks_among_the_most_confident_only():
    n = 12
    probs = np.stack([np.full(n, 0.05), np.linspace(0.95, 0.6, n)], axis=1)
    features = np.arange(n, dtype=float)[:, None]
    # by hand: n = 2 looks at ten, of which the last is the farthest from the first
    keys = [f"{i:02}" for i in range(n)]
    assert diverse(probs, np.zeros(n, int), keys, 2, features=features) == [0, 9]


def test_out_of_fold_takes_the_mistakes_of_the_other_models():
    other = of_second(0.1, 0.7, 0.1, 0.1, 0.9, 0.2, 0.9, 0.9)
    assert out_of_fold(RIGHT, LABELS, KEYS, 3, out_of_fold_probs=other) == [5, 1]


def test_auto_takes_mistakes_alone_where_there_are_enough():
    messages = []
    probs = of_second(0.9, 0.8, 0.7, 0.1, 0.9, 0.9, 0.9, 0.9)
    assert auto(probs, LABELS, KEYS, 2, out_of_fold_probs=RIGHT, say=messages.append) == [0, 1]
    assert messages == []


def test_auto_adds_mistakes_out_of_fold_once_each_and_says_so():
    messages = []
    probs = of_second(0.1, 0.9, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9)
    other = of_second(0.1, 0.99, 0.6, 0.1, 0.9, 0.3, 0.1, 0.9)
    # by hand: 1 is a mistake; out of fold 1 (again), 6 (.9), 5 (.7), 2 (.6)
    chosen = auto(probs, LABELS, KEYS, 3, out_of_fold_probs=other, say=messages.append)
    assert chosen == [1, 6, 5]
    assert messages == [
        "Choice auto: 1 mistake, fewer than 3 cases; 2 mistakes out of fold are added."
    ]


def test_auto_fills_up_with_what_is_least_sure_out_of_fold():
    messages = []
    probs = of_second(0.9, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9)
    other = of_second(0.52, 0.7, 0.1, 0.45, 0.9, 0.6, 0.9, 0.7)
    # by hand: 0 is a mistake; out of fold 1 (.7) and 0; margins 0: .04, 3: .1, 5: .2, 1 and 7: .4
    chosen = auto(probs, LABELS, KEYS, 5, out_of_fold_probs=other, say=messages.append)
    assert chosen == [0, 1, 3, 5, 7]
    (message,) = messages
    assert message.endswith("1 mistake out of fold is added, and 3 images of least certainty.")
    assert len(auto(probs, LABELS, KEYS, 50, out_of_fold_probs=other, say=print)) == len(LABELS)


def test_a_moving_average_remembers_earlier_epochs():
    # by hand, weights .36, .6, 1 of 1.96: 0 has (.36*1 + .6*1)/1.96 = .49, 1 (1*1)/1.96 = .51
    history = np.stack([RIGHT, RIGHT, RIGHT])
    history[:2, 0] = [0, 1]
    history[2, 0] = [1, 0]
    history[:2, 1] = [1, 0]
    history[2, 1] = [0, 1]
    assert moving_average(RIGHT, LABELS, KEYS, 8, history=history) == [1]


def test_early_mistakes_may_be_right_by_now():
    history = np.stack([RIGHT] * 9)
    history[:5, 2] = [0.3, 0.7]
    history[:3, 6] = [0.9, 0.1]
    history[5:, 0] = [0.0, 1.0]
    # by hand, mean of five: 2 has .7 for the other class, 6 .9 * 3/5 + .1 * 2/5 = .58, 0 none
    assert early_mistakes(RIGHT, LABELS, KEYS, 8, history=history) == [2, 6]


def test_off_lung_ranks_by_the_energy_outside_the_lungs():
    lungs = np.zeros((8, 8), bool)
    lungs[:, :4] = True  # the left half, twice as fine as the heat-maps
    maps = {
        0: np.eye(4, dtype=np.float32),  # by hand: 2 of 4 outside
        3: np.full((4, 4), 0.5, np.float32) * [1, 1, 1, 0],  # 1 of 3 outside
        4: np.full((4, 4), 0.5, np.float32) * [0, 0, 0, 1],  # all outside
        5: np.zeros((4, 4), np.float32),
    }
    explained = []

    def heat_maps(positions, classes):
        explained.extend(zip(positions, classes, strict=True))
        return [maps[i] for i in positions]

    masks = dict.fromkeys(maps, lungs)
    assert off_lung(RIGHT, LABELS, KEYS, 8, heat_maps=heat_maps, lung_masks=masks) == [4, 0, 3]
    assert explained == [(0, 0), (3, 0), (4, 1), (5, 1)]
    assert off_lung(RIGHT, LABELS, KEYS, 8, heat_maps=heat_maps, lung_masks={}) == []


def test_likely_label_errors_are_below_their_class_and_not_below_another():
    # by hand: class 0 has a mean of (.9+.8+.4+.1)/4 = .55, class 1 (.9+.8+.45+.75)/4 = .725
    other = of_second(0.1, 0.2, 0.6, 0.9, 0.9, 0.8, 0.45, 0.75)
    # 2: .4 < .55, but .6 < .725; 3: .1 < .55 and .9 >= .725; 6: .45 < .725 and .55 >= .55
    chosen = likely_label_errors(RIGHT, LABELS, KEYS, 8, out_of_fold_probs=other)
    assert chosen == [3, 6]
    assert likely_label_errors(RIGHT, LABELS, KEYS, 1, out_of_fold_probs=other) == [3]


def test_uncertain_takes_the_smallest_margins():
    probs = np.array([[0.5, 0.3, 0.2], [0.4, 0.35, 0.25], [0.4, 0.4, 0.2]])
    assert uncertain(probs, np.array([0, 0, 0]), list("abc"), 2) == [2, 1]


def test_random_samples_depend_on_the_generator_and_the_keys_alone():
    first = random(RIGHT, LABELS, KEYS, 3, np.random.default_rng(1))
    backwards = random(RIGHT, LABELS, KEYS[::-1], 3, np.random.default_rng(1))
    assert [KEYS[i] for i in first] == [KEYS[::-1][i] for i in backwards]
    draws = {tuple(random(RIGHT, LABELS, KEYS, 3, np.random.default_rng(s))) for s in range(9)}
    assert len(draws) > 5


@st.composite
def trained(draw):
    """Everything that a choice may be given, of few distinct values: ranks are often equal."""
    n, classes = draw(st.integers(1, 14)), draw(st.integers(2, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))

    def probs(*shape):
        raw = rng.integers(1, 4, (*shape, classes)).astype(float)
        return raw / raw.sum(axis=-1, keepdims=True)

    maps = rng.integers(0, 2, (n, 3, 3)).astype(np.float32)
    return {
        "probs": probs(n),
        "labels": rng.integers(0, classes, n),
        "keys": [f"k{i:02}" for i in rng.permutation(n)],
        "n": draw(st.integers(1, 16)),
        "extra": {
            "out_of_fold_probs": probs(n),
            "history": probs(7, n),
            "features": rng.integers(0, 3, (n, 2)).astype(np.float32),
            "heat_maps": lambda positions, _: [maps[i] for i in positions],
            "lung_masks": {i: rng.random((5, 5)) > 0.5 for i in range(0, n, 2)},
            "say": lambda _: None,
        },
    }


def run(name, case, seed=0):
    """The keys of the cases that the choice of this name chooses, in order."""
    choose, (probs, labels, keys, n, extra) = CHOICES[name], case.values()
    given = {need: extra[need] for need in needs(choose)}
    chosen = choose(probs, labels, keys, n, np.random.default_rng(seed), **given)
    return [int(i) for i in chosen]


@pytest.mark.parametrize("name", CHOICES)
@given(case=trained())
def test_positions_are_unique_at_most_n_and_repeatable(name, case):
    chosen = run(name, case)
    assert len(set(chosen)) == len(chosen) <= case["n"]
    assert set(chosen) <= set(range(len(case["labels"])))
    assert run(name, case) == chosen
    assert run(name, case, seed=1) == chosen or name == "random"


@pytest.mark.parametrize("name", CHOICES)
@given(case=trained(), seed=st.integers(0, 99))
def test_the_same_cases_are_chosen_in_whatever_order_the_samples_are(name, case, seed):
    """Equal ranks are ordered by key."""
    order = np.random.default_rng(seed).permutation(len(case["labels"]))
    extra, back = case["extra"], {int(i): new for new, i in enumerate(order)}
    shuffled = {
        "probs": case["probs"][order],
        "labels": case["labels"][order],
        "keys": [case["keys"][i] for i in order],
        "n": case["n"],
        "extra": {
            "out_of_fold_probs": extra["out_of_fold_probs"][order],
            "history": extra["history"][:, order],
            "features": extra["features"][order],
            "heat_maps": lambda at, of: extra["heat_maps"]([int(order[i]) for i in at], of),
            "lung_masks": {back[i]: mask for i, mask in extra["lung_masks"].items()},
            "say": lambda _: None,
        },
    }
    assert [int(order[i]) for i in run(name, shuffled)] == run(name, case)


def test_the_names_that_the_settings_list_are_those_of_the_choices():
    assert tuple(CHOICES) == CHOICE_NAMES


def test_the_page_lists_every_choice_with_what_it_needs():
    page = (Path(__file__).parents[1] / "docs" / "choices.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    listed = {row[1].strip(" `"): set(row[3].split("`")[1::2]) for row in rows}
    of_each_round = {"say", "heat_maps"}
    assert listed == {name: {*needs(choose)} - of_each_round for name, choose in CHOICES.items()}


@pytest.mark.parametrize("choose", CHOICES.values(), ids=CHOICES)
def test_every_choice_says_what_it_returns(choose):
    assert inspect.getdoc(choose).splitlines()[0].endswith(".")
