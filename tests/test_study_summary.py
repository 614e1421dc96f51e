"""What a report claims: differences, controls, limits, methods and the checklist."""

import re
from dataclasses import replace
from functools import partial
from math import ceil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from studies import small_study

from imil.study.plan import Reader
from imil.study.report.claim import checklist
from imil.study.report.findings import find
from imil.study.report.limits import limits
from imil.study.report.methods import methods
from imil.study.report.number_format import difference
from imil.study.report.power import smallest
from imil.study.report.summary import ranking, summary
from imil.study.report.versus import Versus, judged, versus
from imil.study.result_rows import whole_sets
from imil.study.statistics import smallest_effect
from imil.study.statistics.resamples import RESAMPLES
from imil.study.statistics.verdict import verdict


def row(diff, low, high, p=0.001, measure="accuracy", pairs=3):
    return SimpleNamespace(
        measure=measure, diff=diff, diff_low=low, diff_high=high, p=p, pairs=pairs
    )


@pytest.fixture
def study(tmp_path):
    """A function that makes a small study and returns what there is to report of it."""
    return partial(small_study, tmp_path / "s")


def told(found):
    """The summary as one text."""
    said = summary(found, versus(found, whole_sets(found.predictions)["test"]), "")
    return "\n".join(sentence for one in said for sentence in (one.title, *one.said))


# ---------------------------------------------------------------------------- what is claimed


def test_an_interval_that_includes_zero_shows_no_difference_whatever_the_sign():
    assert difference("accuracy", row(0.015, -0.03, 0.061)) == (
        "accuracy +1.5 points, 95 % interval −3.0 to +6.1: no difference shown"
    )
    assert difference("ECE", row(-0.02, -0.05, 0.0, measure="ece")) == (
        "ECE −0.020, 95 % interval −0.050 to 0.000: no difference shown"
    )


def test_more_is_better_or_worse_as_the_measure_has_it():
    assert verdict(row(0.1, 0.02, 0.2)) == "better"
    assert verdict(row(-0.1, -0.2, -0.02)) == "worse"
    assert verdict(row(0.1, 0.02, 0.2, measure="ece")) == "worse"
    assert verdict(row(-0.1, -0.2, -0.02, measure="nll")) == "better"


def test_what_correction_takes_away_is_no_finding():
    found = row(0.1, 0.02, 0.2, p=0.08)
    assert verdict(found) == "not corrected"
    assert difference("x", found).endswith(
        ": not shown once corrected for the number of arms and for few trainings (p = 0.080)"
    )


def test_one_training_each_is_never_called_better():
    assert verdict(row(0.3, 0.2, 0.4, p=0.0001, pairs=1)) == "one training"


def test_what_was_not_measured_is_not_compared():
    assert difference("AUROC", row(np.nan, np.nan, np.nan, measure="auroc")) == (
        "AUROC: not measured"
    )


def test_a_study_without_effect_says_that_no_difference_is_shown(study):
    found = study(arms=("baseline", "mixup", "imil"), seeds=(0, 1, 2), n=60)
    found.table.loc[:, ["diff_low", "diff_high"]] = [-0.1, 0.1]
    said = told(found)
    assert "No arm is shown to differ from the baseline in accuracy, AUROC or ECE" in said
    assert not re.search(r"\b(better|worse)\b", said)


def test_an_effect_is_found_and_named(study):
    found = study(effect=2.5, seeds=(0, 1, 2, 3), n=120)
    assert verdict(found.row("imil", "accuracy")) == "better"
    assert (
        "Shown to differ from the baseline on the test set: IMIL (accuracy: better; AUROC: better"
        in (ranking(found))
    )


def test_with_one_seed_the_rows_cannot_be_ranked(study):
    arms = ("baseline", "cutmix", "cutout", "mixup", "imil")
    found = study(arms=arms, readers=("A", "B", "C"), seeds=(0,), effect=3.0, n=80)
    said = told(found)
    assert "With 7 rows and one seed the rows cannot be ranked" in said
    assert not re.search(r"\b(better|worse)\b", said)
    assert any(one.startswith("One training each") for one in limits(found))


def test_a_control_that_did_as_much_takes_the_credit_away(study):
    arms = ("baseline", "imil", "imil-random")
    found = study(arms=arms, effect={"imil": 2.5, "imil-random": 2.5}, seeds=(0, 1, 2), n=120)
    said = told(found)
    assert "“random squares” did as much, as far as can be seen" in said
    assert "cannot be put down to where the reader looked" in said


def test_a_control_of_which_nothing_is_shown_is_not_said_to_do_as_much(study):
    """The intervals of IMIL minus control and control minus baseline both include zero."""
    found = study(arms=("baseline", "imil", "imil-random"), effect=2.5, seeds=(0, 1, 2), n=120)
    (own,) = found.controls
    found.table.loc[found.table["arm"] == own.id, ["diff_low", "diff_high"]] = [-0.1, 0.1]
    gain = Versus(found.readers[0], own, "accuracy", 0.03, -0.02, 0.08, 0.4, 3)
    said = " ".join(judged(found, found.readers[0], [gain]))
    assert "did as much" not in said
    assert (
        "That IMIL gains more in accuracy than “random squares” is not shown (IMIL minus “random "
        "squares” +3.0 points, 95 % interval −2.0 to +8.0: no difference shown)."
    ) in said


def test_how_much_could_have_been_seen_is_said_of_a_named_arm_with_its_own_trainings(study):
    found = study(
        arms=("baseline", "mixup", "imil"), readers=("Lee", "Wu"), seeds=(0, 1, 2), n=60,
        waiting=[("imil.Lee", 0, 0), ("imil.Wu", 0, 0)],
    )  # fmt: skip
    group = whole_sets(found.predictions)["test"]
    said = smallest(found, group)
    effects = {
        arm.id: smallest_effect(
            group.delta(arm.id, "baseline", "accuracy").difference, level=0.05 / 3
        )
        for arm in found.plan.rows[1:]
    }
    worst = max(("imil.Lee", "imil.Wu"), key=effects.__getitem__)
    rest = [ceil(100 * min(effect, 1)) for arm, effect in effects.items() if arm != worst]
    title = "IMIL (Lee)" if worst == "imil.Lee" else "IMIL (Wu)"
    assert said.startswith(
        f"Between {title} and the baseline (2 trainings of each, from which this is estimated only "
        "roughly): with 60 test images and 2 seeds, "
    )
    assert "four of five such studies, corrected for 3 arms." in said
    assert said.endswith(f"For the other arms it is {min(rest)} to {max(rest)} points.")


def test_a_gain_over_a_control_is_said_beside_it(study):
    found = study(arms=("baseline", "imil", "imil-random"), effect=2.5, seeds=(0, 1, 2), n=120)
    said = told(found)
    assert "Controls against the baseline, accuracy: “random squares” " in said
    assert "Its gain in accuracy is more than that of “random squares” (+" in said
    assert "did as much" not in said


def test_without_a_control_the_cause_is_left_open(study):
    found = study(effect=2.5)
    assert "No control was run: what would cause a difference cannot be said." in told(found)
    assert any(one.startswith("No control") for one in limits(found))


# ---------------------------------------------------------------------------- limits, CLAIM


def test_that_no_patient_is_in_two_parts_is_said_of_the_split_itself(study):
    found = study(n=60)
    assert "no patient is in two parts" in "\n".join(methods(found))
    images = pd.read_parquet(found.study.images)
    images["patient"] = "P1"  # found out when the split had been drawn
    images.to_parquet(found.study.images)
    found = find(found.study, found.plan)
    assert "no patient is in two parts" not in "\n".join(methods(found))
    assert "Patients are in more than one part of a split" in "\n".join(limits(found))
    answers = {item.number: item.answer for item in checklist(found)}
    assert answers[20].startswith("By image; images of a patient are in more than one part.")


def test_an_arm_that_calls_everything_one_class_is_named(study):
    found = study(n=60)
    assert "calls nearly every" not in "\n".join(limits(found))
    own = found.table["arm"] == "imil"
    for measure, mean in (("sensitivity", 0.02), ("specificity", 0.97)):
        found.table.loc[own & (found.table["measure"] == measure), "mean"] = mean
    assert "IMIL calls nearly every test image normal." in "\n".join(limits(found))


def test_the_limits_are_those_of_the_folder(study):
    said = "\n".join(
        limits(study(cases=5, asked=9, positives=0.2, warnings=["2 images are alike"]))
    )
    for start in (
        "Two trainings each: how much an arm changes",
        "One split:",
        "Few cases: 24 test images; the baseline's",
        "Uneven classes: 21 % of the images are TB; whoever always says normal has an accuracy",
        "2 images are alike",
        "Fewer outliers than asked: of the cases asked for over all trainings, 10 of 18",
        "Simulated readers: simulated is played by a program",
        "One reader:",
        "No external set:",
    ):
        assert start in said


def test_a_baseline_at_chance_is_said_first(study):
    start = "The baseline is not shown to have learnt anything: AUROC 0."
    guessing = study(n=132, skill=0)
    assert limits(guessing)[0].startswith(start)
    assert start in told(guessing)


def test_a_baseline_that_has_learnt_is_not_doubted(study):
    found = study(n=132)
    assert "learnt" not in told(found) + "".join(limits(found))


def test_a_study_of_many_seeds_readers_and_images_has_none_of_these_limits(study):
    found = study(
        seeds=range(5),
        n=200,
        train=20,
        readers=("Lee", "Wu"),
        arms=("baseline", "imil", "imil-random"),
        external=("montgomery",),
        cases=2,
    )
    said = "\n".join(limits(found))
    for start in ("seeds:", "Few cases", "Uneven", "Fewer", "Simulated", "One reader",
                  "No external", "No control", "not finished"):  # fmt: skip
        assert start not in said


def test_the_methods_name_what_was_done(study):
    found = study(arms=("baseline", "cutmix", "imil", "upweight"), external=("montgomery",))
    said = " ".join(methods(found))
    for words in (
        "48 images of 2 classes: normal (24) and TB (24)",
        "24 to train on and 24 to test on",
        "montgomery (12 images)",
        "resnet18 (timm) was trained from random weights with stochastic gradient descent",
        "learning rate 0.001, no momentum",
        "10 epochs with a batch size of 64",
        "trained with 2 seeds",
        "After epoch 7",
        "4×4 grid",
        "reader simulated was simulated",
        "CutMix",
        "drawn five times as often",
        "McNemar",
        "torch 2.6.0",
        "Seeds of training: 0 and 1",
    ):
        assert words in said


def test_the_methods_say_how_intervals_and_p_values_were_computed(study):
    said = " ".join(methods(study()))
    for words in (
        f"resampled {RESAMPLES} times",
        "only 50 % of what the images explain is taken off, and what is left counts 2 times",
        "never less than what the images alone bring",
        "after Hillis 2007",
        "Wilson's interval",
        "Bonett and Price 2012",
        "each direction by itself, twice the lower median",
    ):
        assert words in said


def test_the_methods_name_the_random_changes_of_images(study):
    found = study()
    assert "In every epoch" not in " ".join(methods(found))
    training = found.plan.training | {"augment": ["flip", "crop"]}
    changed = replace(found, plan=found.plan.model_copy(update={"training": training}))
    assert (
        "In every epoch half of the training images were mirrored left to right, and each training "
        "image was moved by up to an eighth of its side"
    ) in " ".join(methods(changed))


def test_the_methods_of_one_training_each_speak_of_one(study):
    said = " ".join(methods(study(seeds=(0,))))
    assert "not for other trainings" in said
    assert "median" not in said


LEAST = "the squares that hold 5 % or more of the mask of the lesions, or else of the lungs"


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("simulated", f"selects {LEAST}, and always selects one at least."),
        ("simulated:false=0", f"selects {LEAST}, and always selects one at least."),
        ("simulated:miss=0.3", f"{LEAST}, overlooks each of them with a probability of 0.3, and"),
        (
            "simulated:miss=0.3,false=0.2",
            "probability of 0.3, adds each other one with a probability of 0.2, and always",
        ),
        (
            "simulated:threshold=0.125,one-region",
            "selects the squares that hold 12.5 % or more of the largest region of the mask of",
        ),
        ("simulated:threshold=0", "selects the squares that hold any part of the mask of"),
        (
            "random:miss=0.3",
            f"squares drawn at random, as many as a reader would that selects {LEAST}, overlooks",
        ),
        ("inverted", f"exactly the squares that a reader would leave out that selects {LEAST},"),
    ],
)
def test_the_methods_say_what_each_kind_of_played_reader_selects(study, kind, says):
    found = study(readers=(Reader(name="P", reader=kind),))
    said = " ".join(methods(found))
    assert "The reader P was simulated: it selects" in said
    assert says in said


def test_the_methods_name_the_masks_and_the_grid_that_the_plan_names(study):
    found = study(readers=(Reader(name="P", reader="simulated"),))
    training = found.plan.training | {"mask_columns": ["tumour", "lung_mask"], "grid_size": "2x5"}
    changed = replace(found, plan=found.plan.model_copy(update={"training": training}))
    assert (
        "selects the squares that hold 8 % or more of the mask “tumour”, or else of the lungs,"
    ) in " ".join(methods(changed))


@pytest.mark.parametrize(
    ("otherwise", "says"),
    [("skip", "left as they were"), *((by, "put to a person") for by in ("console", "web"))],
)
def test_the_methods_say_what_became_of_cases_that_a_file_does_not_have(study, otherwise, says):
    found = study(readers=("Lee",))
    replayed = Reader(name="Lee", reader="replay:lee.csv", otherwise=otherwise)
    changed = replace(found, plan=found.plan.model_copy(update={"readers": (replayed,)}))
    said = " ".join(methods(changed))
    assert (
        f"The readings of Lee came from a file and were used wherever the same case came up; "
        f"other cases were {says}" in said
    )
    assert ("heat-map" in said) == (otherwise != "skip"), "what a file's reader saw is not known"


def test_the_methods_say_what_a_person_was_shown(study):
    found = study(readers=("Lee", "Wu"))
    people = (Reader(name="Lee", reader="web"), Reader(name="Wu", reader="console"))
    changed = replace(found, plan=found.plan.model_copy(update={"readers": people}))
    said = " ".join(methods(changed))
    assert (
        "Lee read the cases of each training, in a browser, with both labels and the Grad-CAM "
        "heat-maps of the predicted and of the true class. Wu read the cases of each training, at "
        "a terminal, with both labels and the Grad-CAM heat-map of the predicted class."
    ) in said


def test_the_methods_tell_of_fewer_cases_only_where_fewer_were_put(study):
    assert "Fewer cases" not in " ".join(methods(study()))


def test_the_methods_count_the_cases_that_changed_nothing(study):
    found = study(readers=("Lee", "Wu"), arms=("baseline", "imil", "cutout-same"), cases=7, asked=9)
    said = " ".join(methods(found))
    assert "Fewer cases were put where the model made fewer mistakes." in said
    (lee, _) = found.sessions
    others = [one.reading.verdict for one in lee.answers if one.reading.verdict != "focus"]
    skipped = others.count("skip")
    assert (
        f"Of 14 cases put to Lee over all trainings, {len(others)} stayed as they were ({skipped} "
        f"skipped or not read, {len(others) - skipped} with another verdict)"
    ) in said
    assert (
        "Controls are about the cases in which Lee selected squares, and leave the others as they "
        "were. They tell"
    ) in said
    assert "a random box of 14/64 of the side" in said


def test_the_checklist_has_its_44_items_and_says_what_is_left_to_the_authors(study):
    items = checklist(study())
    assert [item.number for item in items] == list(range(1, 45))
    state = {item.number: item.state for item in items}
    assert {state[n] for n in (1, 2, 3, 4, 11, 34, 41, 44)} == {"for the authors"}
    assert {state[n] for n in (9, 20, 22, 24, 26, 29, 33)} == {"answered"}
    assert all(item.answer for item in items)


def test_the_checklist_claims_no_more_than_the_methods_of_one_training_each(study):
    def answer(found):
        return checklist(found)[29 - 1].answer

    one = study(seeds=(0,))
    assert answer(one).startswith("95 % intervals for other images, not for other trainings, with")
    assert "standard deviation" not in answer(one)
    several = replace(one, plan=one.plan.model_copy(update={"seeds": (0, 1)}))
    assert answer(several).startswith("95 % intervals for other images and other trainings, with")
    assert "standard deviation over trainings in table.csv" in answer(several)


def test_the_checklist_says_of_a_network_without_residual_blocks_nothing_untrue(study):
    found = study()
    assert checklist(found)[24 - 1].answer == (
        "At random, from each seed, as timm does; where timm would start the last normalisation "
        "of a residual block at zero, at one."
    )


def test_the_checklist_does_not_say_how_the_source_chose_its_images(study):
    assert checklist(study())[10 - 1].answer == (
        "Whole images were used. For the authors: say it of the source."
    )
