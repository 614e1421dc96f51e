"""The arms of a study: their names, and which of them need what."""

import pytest

from imil.errors import SettingsError
from imil.study.arms import CONTROLS, MIXED, TITLES, Arm, arms


def ids(kinds, readers=()):
    return [arm.id for arm in arms(kinds, readers)]


def test_arms_come_in_the_order_they_are_named():
    assert ids(["baseline", "mixup", "cutout"]) == ["baseline", "mixup", "cutout"]


def test_imil_has_an_arm_for_each_reader_and_controls_have_one():
    kinds = ["baseline", "imil-random", "imil", "upweight"]
    names = ["baseline", "imil-random", "imil.Lee", "imil.Kim", "upweight"]
    assert ids(kinds, ["Lee", "Kim"]) == names
    result = {arm.id: arm for arm in arms(kinds, ["Lee", "Kim"])}
    assert result["imil-random"].reader == result["upweight"].reader == "Lee"
    assert result["baseline"].reader == ""


def test_the_only_reader_is_not_named_in_an_arm():
    (_, imil, control) = arms(["baseline", "imil", "imil-inverted"], ["Lee"])
    assert (imil.id, imil.title) == ("imil", "IMIL")
    assert (control.id, control.title) == ("imil-inverted", "Control: inverted squares")
    assert (imil.reader, control.reader) == ("Lee", "Lee")


def test_arms_of_several_readers_have_their_names():
    titles = [arm.title for arm in arms(["baseline", "imil", "upweight"], ["Lee", "Kim"])]
    assert titles == [
        "Baseline",
        "IMIL (Lee)",
        "IMIL (Kim)",
        "Control: drawn five times (Lee)",
    ]


@pytest.mark.parametrize("kind", list(TITLES))
def test_an_arm_differs_from_the_first_epoch_or_continues_from_the_baseline(kind):
    arm = Arm(kind)
    assert arm.is_control == (kind in CONTROLS)
    assert (kind == "baseline") + (kind in MIXED) + arm.forks == 1


def test_no_two_arms_have_the_same_name_or_title():
    kinds = list(TITLES)
    result = arms(kinds, ["Lee", "Kim"])
    assert len({arm.id for arm in result}) == len({arm.title for arm in result}) == len(kinds) + 1


@pytest.mark.parametrize(
    ("kinds", "readers", "says"),
    [
        (["baseline", "mixup", "mixup"], [], "the arm 'mixup' is given twice"),
        (["mixup", "cutout"], [], "the arm 'baseline' is missing"),
        ([], [], "the arm 'baseline' is missing"),
        (["baseline", "imil"], [], "the arm 'imil' needs a reader"),
        (["baseline", "cutout-same", "imil"], [], "the arm 'cutout-same' needs a reader"),
        (["baseline", "upweight"], ["Lee"], "the control 'upweight' needs the arm 'imil'"),
    ],
)
def test_invalid_arms_are_refused_in_one_sentence(kinds, readers, says):
    with pytest.raises(SettingsError) as caught:
        arms(kinds, readers)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
