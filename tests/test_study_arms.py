"""The arms of a study: their names, and which of them need what."""

import pytest

from imil.errors import SettingsError
from imil.study.arms import CONTROLS, MIXED, TITLES, Arm, TreatmentRequest, arms


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
    own = ("baseline", "no-shortcut", *MIXED)
    assert (kind in own) + (arm.trunk == "baseline") == 1


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


BEST = TreatmentRequest("best", ("random", "inverted"), without_shortcut=True)
SHORTCUT = ["baseline", "no-shortcut", "imil"]


def test_a_treatment_has_an_arm_for_its_readings_for_each_control_and_without_the_shortcut():
    found = {arm.id: arm for arm in arms(SHORTCUT, ["Lee", "Kim"], [BEST])}
    assert list(found)[4:] == ["best", "best-random", "best-inverted", "best-no-shortcut"]
    assert {found[one].reader for one in list(found)[4:]} == {"Lee"}
    trunks = {name: arm.trunk for name, arm in found.items()}
    assert trunks["best"] == trunks["best-random"] == trunks["imil.Lee"] == "baseline"
    assert trunks["best-no-shortcut"] == "no-shortcut"
    assert trunks["no-shortcut"] == trunks["baseline"] == ""
    assert [name for name, arm in found.items() if not arm.planted] == [
        "no-shortcut",
        "best-no-shortcut",
    ]
    own_round = [name for name, arm in found.items() if arm.asks_reader]
    assert own_round == ["imil.Lee", "imil.Kim", "best-no-shortcut"]
    assert len({arm.title for arm in found.values()}) == len(found)


@pytest.mark.parametrize(
    ("kinds", "requests", "says"),
    [
        (["baseline"], [TreatmentRequest("best")], "'best' uses the readings of the arm 'imil'"),
        (["baseline", "imil"], [BEST], "needs the arm 'no-shortcut': add that arm"),
        (SHORTCUT, [TreatmentRequest("upweight")], "an arm 'upweight', which is the name"),
        (SHORTCUT, [TreatmentRequest("imil")], "an arm 'imil', which is the name"),
        (SHORTCUT, [TreatmentRequest("best")] * 2, "an arm 'best', which is the name"),
        (SHORTCUT, [BEST, TreatmentRequest("best-random")], "an arm 'best-random', which is"),
    ],
)
def test_treatments_without_what_they_need_are_refused_in_one_sentence(kinds, requests, says):
    with pytest.raises(SettingsError) as caught:
        arms(kinds, ["Lee"], requests)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
