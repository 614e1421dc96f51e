"""The screening chooses a treatment on some seeds, and the other seeds alone say how good it is."""

from itertools import product

import numpy as np
import pytest
from studies import make_study

from imil.errors import SettingsError
from imil.metrics import auroc
from imil.study.plan import make_plan, read_plan
from imil.study.report.confirmation import confirmation_blocks
from imil.study.report.findings import Findings
from imil.study.result_rows import results
from imil.study.screening import COLUMNS, candidates, confirm, confirmation_table
from imil.study.study_predictions import StudyPredictions

TREATMENTS = [
    {"name": "good", "treatment": "cover:fill=blur", "controls": ["random"]},
    {"name": "bad", "treatment": "cover:fill=mean"},
    {"name": "half", "treatment": "imil", "share-of-data": 0.5},
]
SEEDS = (0, 1, 2, 3)
SMALL = {"n": 60, "train": 24, "external": (), "subgroups": (), "seeds": SEEDS}


def study(folder, **options):
    """What its finished trainings predict."""
    more = {
        "treatments": TREATMENTS,
        "screening": {"seeds": [1, 3], **options.pop("screening", {})},
    }
    effect = {"good": 1.0, "bad": -1.0, "half": 9.0, "good-random": 9.0}
    made = make_study(
        folder, arms=("baseline", "imil"), effect=effect, tables=more, **SMALL | options
    )
    return StudyPredictions(made, read_plan(made.plan))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return study(tmp_path_factory.mktemp("whole"))


def gain(predictions, arm, seeds):
    """Mean difference in AUROC from the baseline over these seeds, by hand."""
    units = predictions.by_set["test"]
    return np.mean(
        [
            float(auroc(units[arm][seed, 0].probs, units[arm][seed, 0].labels))
            - float(auroc(units["baseline"][seed, 0].probs, units["baseline"][seed, 0].labels))
            for seed in seeds
        ]
    )


def test_only_treatments_of_all_images_with_the_readers_squares_are_candidates(whole):
    assert [arm.id for arm in candidates(whole.plan)] == ["imil", "good", "bad"]


def test_the_choice_is_of_the_screening_and_the_result_of_the_other_seeds(whole):
    found = confirm(whole)
    gains = {arm: gain(whole, arm, (1, 3)) for arm in ("imil", "good", "bad")}
    assert found.arm == max(gains, key=gains.get) == "good"
    assert found.screening_diff == pytest.approx(gains["good"])
    assert found.diff == pytest.approx(gain(whole, "good", (0, 2)))
    assert found.diff_low < found.diff < found.diff_high
    assert 0 < found.p <= 1
    assert (found.measure, found.candidates, found.screening_seeds, found.seeds) == (
        "auroc",
        3,
        2,
        2,
    )


def test_the_other_seeds_have_no_part_in_the_choice_nor_the_screening_in_the_result(whole):
    before = confirm(whole)
    changed = StudyPredictions(whole.study, whole.plan)
    units = changed.by_set["test"]
    for seed in (0, 2):  # now the other treatment is the best of all seeds together
        units["good"] = {**units["good"], (seed, 0): units["bad"][seed, 0]}
    after = confirm(changed)
    assert (after.arm, after.screening_diff) == ("good", before.screening_diff)
    assert after.diff == pytest.approx(gain(whole, "bad", (0, 2)))


def test_for_a_measure_of_which_less_is_better_the_largest_fall_is_chosen(tmp_path):
    lower = study(tmp_path, screening={"measure": "nll"})
    found = confirm(lower)
    assert (found.arm, found.measure) == ("good", "nll")
    assert found.screening_diff < 0


def test_nothing_is_chosen_before_the_screening_is_done(tmp_path):
    waiting = [("bad", 3, 0)]
    missing = study(tmp_path, waiting=waiting)
    assert confirm(missing) is None
    assert list(confirmation_table(missing).columns) == list(COLUMNS)
    assert len(confirmation_table(missing)) == 0


def sentence(predictions):
    findings = Findings(predictions.study, predictions.plan, results(predictions), predictions)
    (text,) = confirmation_blocks(findings)[0].items
    return text


def test_the_report_says_in_a_sentence_what_was_chosen_and_confirmed(whole, tmp_path):
    found = confirm(whole)
    text = sentence(whole)
    assert text.startswith("Of 3 treatments, good gained most in AUROC over the 2 seeds of the")
    assert "over the 2 other seeds, which had no part in the choice, the difference is" in text
    assert f"{found.diff:+.3f}"[1:] in text
    others = product(("imil", "good", "bad", "baseline"), (0, 2), (0,))
    assert "no other seed is done" in sentence(study(tmp_path, waiting=list(others)))


@pytest.mark.parametrize(
    ("screening", "says"),
    [
        ({"seeds": [0, 1, 2]}, "[screening] has every seed of the plan"),
        ({"seeds": [7]}, "[screening] has the seed 7, which is not in seeds [0, 1, 2]"),
        ({"seeds": [0, 0]}, "contains a seed twice"),
        ({"seeds": []}, "screening.seeds is []"),
        ({"seeds": [0], "measure": "luck"}, "unknown measure 'luck' of [screening]"),
        ({"seeds": [0], "measure": "auroc_against"}, "unknown measure 'auroc_against'"),
        (3, "screening is 3: write [screening] above its lines"),
    ],
)
def test_a_screening_that_cannot_choose_is_refused_in_one_sentence(tmp_path, screening, says):
    values = {
        "name": "A",
        "data": "a.csv",
        "arms": ["baseline", "imil"],
        "readers": [{"name": "A"}],
    }
    with pytest.raises(SettingsError) as caught:
        make_plan(values | {"seeds": [0, 1, 2], "screening": screening}, base=tmp_path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_screening_without_a_treatment_is_refused(tmp_path):
    values = {"name": "A", "data": "a.csv", "arms": ["baseline"], "seeds": [0, 1]}
    with pytest.raises(SettingsError, match="chooses a treatment, and the plan has none"):
        make_plan(values | {"screening": {"seeds": [0]}}, base=tmp_path)
