"""The claims of a report: differences, controls, limitations, methods and the checklist."""

import re
from dataclasses import replace
from functools import partial
from math import ceil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from studies import small_study

from imil.heat_map_names import write_heat_map_method
from imil.round_options import CHOICE_NAMES
from imil.study.plan_tables import Reader
from imil.study.report.claim import checklist
from imil.study.report.control_comparisons import (
    ControlComparison,
    compare_with_controls,
    control_sentences,
)
from imil.study.report.findings import read_findings
from imil.study.report.limits import limits
from imil.study.report.methods import SHOWN, methods
from imil.study.report.number_format import difference
from imil.study.report.summary import minimum_detectable_difference, ranking, summary
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
    """A function that makes a small study and returns its findings."""
    return partial(small_study, tmp_path / "s")


def summary_text(findings):
    """The summary as one text."""
    test = whole_sets(findings.predictions)["test"]
    blocks = summary(findings, compare_with_controls(findings, test), "")
    return "\n".join(text for block in blocks for text in (block.heading, *block.items))


# ---------------------------------------------------------------------------- claims


def test_an_interval_that_includes_zero_shows_no_difference():
    assert difference("accuracy", row(0.015, -0.03, 0.061)) == (
        "accuracy +1.5 points, 95 % CI −3.0 to +6.1: no difference shown"
    )
    assert difference("ECE", row(-0.02, -0.05, 0.0, measure="ece")) == (
        "ECE −0.020, 95 % CI −0.050 to 0.000: no difference shown"
    )


def test_whether_more_is_better_depends_on_the_measure():
    assert verdict(row(0.1, 0.02, 0.2)) == "better"
    assert verdict(row(-0.1, -0.2, -0.02)) == "worse"
    assert verdict(row(0.1, 0.02, 0.2, measure="ece")) == "worse"
    assert verdict(row(-0.1, -0.2, -0.02, measure="nll")) == "better"


def test_a_difference_that_is_not_significant_after_correction_is_no_finding():
    result = row(0.1, 0.02, 0.2, p=0.08)
    assert verdict(result) == "not corrected"
    expected = "not significant after correction for the number of arms and for few trainings"
    assert difference("x", result).endswith(f": {expected} (p = 0.080)")


def test_one_training_per_arm_is_never_called_better():
    assert verdict(row(0.3, 0.2, 0.4, p=0.0001, pairs=1)) == "one training"


def test_a_measure_that_is_nan_is_not_compared():
    assert difference("AUROC", row(np.nan, np.nan, np.nan, measure="auroc")) == (
        "AUROC: not measured"
    )


def test_a_study_without_effect_says_that_no_difference_is_shown(study):
    findings = study(arms=("baseline", "mixup", "imil"), seeds=(0, 1, 2), n=60)
    findings.table.loc[:, ["diff_low", "diff_high"]] = [-0.1, 0.1]
    text = summary_text(findings)
    assert "No arm is shown to differ from the baseline in accuracy, AUROC or ECE" in text
    assert not re.search(r"\b(better|worse)\b", text)


def test_a_simulated_effect_is_shown_and_named(study):
    findings = study(effect=2.5, seeds=(0, 1, 2, 3), n=120)
    assert verdict(findings.row("imil", "accuracy")) == "better"
    assert (
        "Shown to differ from the baseline on the test set: IMIL (accuracy: better; AUROC: better"
        in (ranking(findings))
    )


def test_with_one_seed_the_rows_cannot_be_ranked(study):
    arms = ("baseline", "cutmix", "cutout", "mixup", "imil")
    findings = study(arms=arms, readers=("A", "B", "C"), seeds=(0,), effect=3.0, n=80)
    text = summary_text(findings)
    assert "With 7 arms and one seed the arms cannot be ranked" in text
    assert not re.search(r"\b(better|worse)\b", text)
    assert any(one.startswith("One training per arm") for one in limits(findings))


def test_a_gain_is_not_attributed_to_the_reader_if_a_control_gains_too(study):
    arms = ("baseline", "imil", "imil-random")
    findings = study(arms=arms, effect={"imil": 2.5, "imil-random": 2.5}, seeds=(0, 1, 2), n=120)
    text = summary_text(findings)
    assert "“random squares” also improved, and IMIL is not shown to gain more" in text
    assert "cannot be attributed to the squares that the reader selected" in text


def test_a_control_without_a_shown_gain_is_not_called_improved(study):
    """The intervals of IMIL minus control and control minus baseline both include zero."""
    findings = study(arms=("baseline", "imil", "imil-random"), effect=2.5, seeds=(0, 1, 2), n=120)
    (control,) = findings.controls
    findings.table.loc[findings.table["arm"] == control.id, ["diff_low", "diff_high"]] = [-0.1, 0.1]
    gain = ControlComparison(findings.imil_arms[0], control, "accuracy", 0.03, -0.02, 0.08, 0.4, 3)
    text = " ".join(control_sentences(findings, findings.imil_arms[0], [gain]))
    assert "also improved" not in text
    assert (
        "It is not shown that IMIL gains more in accuracy than “random squares” (IMIL minus "
        "“random squares” +3.0 points, 95 % CI −2.0 to +8.0: no difference shown)."
    ) in text


def test_the_minimum_detectable_difference_names_an_arm_and_its_trainings(study):
    findings = study(
        arms=("baseline", "mixup", "imil"), readers=("Lee", "Wu"), seeds=(0, 1, 2), n=60,
        waiting=[("imil.Lee", 0, 0), ("imil.Wu", 0, 0)],
    )  # fmt: skip
    group = whole_sets(findings.predictions)["test"]
    text = minimum_detectable_difference(findings, group)
    effects = {
        arm.id: smallest_effect(
            group.delta(arm.id, "baseline", "accuracy").difference, level=0.05 / 3
        )
        for arm in findings.plan.rows[1:]
    }
    worst = max(("imil.Lee", "imil.Wu"), key=effects.__getitem__)
    rest = [ceil(100 * min(effect, 1)) for arm, effect in effects.items() if arm != worst]
    title = "IMIL (Lee)" if worst == "imil.Lee" else "IMIL (Wu)"
    assert text.startswith(
        f"Between {title} and the baseline (2 trainings of each; a rough estimate, as the "
        "trainings are few): with 60 test images and 2 seeds, "
    )
    assert "four of five such studies, corrected for 3 arms." in text
    assert text.endswith(f"For the other arms it is {min(rest)} to {max(rest)} points.")


def test_a_gain_larger_than_the_controls_is_reported(study):
    findings = study(arms=("baseline", "imil", "imil-random"), effect=2.5, seeds=(0, 1, 2), n=120)
    text = summary_text(findings)
    assert "Controls against the baseline, accuracy: “random squares” " in text
    assert "Its gain in accuracy is larger than that of “random squares” (+" in text
    assert "also improved" not in text


def test_without_a_control_the_cause_is_not_determined(study):
    findings = study(effect=2.5)
    assert "No control was run: the cause of a difference cannot be determined." in summary_text(
        findings
    )
    assert any(one.startswith("No control") for one in limits(findings))


# ------------------------------------------------------------- limitations, methods, CLAIM


def test_overlapping_patients_are_detected_in_the_split_itself(study):
    findings = study(n=60)
    assert "no patient is in two parts" in "\n".join(methods(findings))
    images = pd.read_parquet(findings.study.images)
    images["patient"] = "P1"  # became known after the split was drawn
    images.to_parquet(findings.study.images)
    findings = read_findings(findings.study, findings.plan)
    assert "no patient is in two parts" not in "\n".join(methods(findings))
    assert "Patients are in more than one part of a split" in "\n".join(limits(findings))
    answers = {item.number: item.answer for item in checklist(findings)}
    assert answers[20].startswith("Image; images of a patient are in more than one part.")


def test_an_arm_that_predicts_one_class_is_a_limitation(study):
    findings = study(n=60)
    assert "for nearly every" not in "\n".join(limits(findings))
    own = findings.table["arm"] == "imil"
    for measure, mean in (("sensitivity", 0.02), ("specificity", 0.97)):
        findings.table.loc[own & (findings.table["measure"] == measure), "mean"] = mean
    assert "IMIL predicts normal for nearly every test image." in "\n".join(limits(findings))


def test_the_limitations_are_those_of_the_folder(study):
    text = "\n".join(
        limits(study(cases=5, requested=9, positives=0.2, warnings=["2 images are alike"]))
    )
    for start in (
        "Two trainings per arm: the variation between trainings",
        "One split:",
        "Few cases: 24 test images; the baseline's",
        "Class imbalance: 21 % of the images are TB; always predicting normal gives an accuracy",
        "2 images are alike",
        "Fewer outliers than requested: over all trainings 10 of 18",
        "Simulated readers: simulated is simulated from the masks",
        "One reader:",
        "No external set:",
    ):
        assert start in text


def test_a_baseline_at_chance_is_the_first_limitation(study):
    start = "The baseline is not shown to be better than chance: AUROC 0."
    guessing = study(n=132, skill=0)
    assert limits(guessing)[0].startswith(start)
    assert start in summary_text(guessing)


def test_a_baseline_above_chance_is_no_limitation(study):
    findings = study(n=132)
    assert "better than chance" not in summary_text(findings) + "".join(limits(findings))


def test_a_large_study_has_none_of_these_limitations(study):
    findings = study(
        seeds=range(5),
        n=200,
        train=20,
        readers=("Lee", "Wu"),
        arms=("baseline", "imil", "imil-random"),
        external=("montgomery",),
        cases=2,
    )
    text = "\n".join(limits(findings))
    for start in ("seeds:", "Few cases", "imbalance", "Fewer", "Simulated", "One reader",
                  "No external", "No control", "not finished"):  # fmt: skip
        assert start not in text


def test_the_methods_name_what_was_done(study):
    findings = study(arms=("baseline", "cutmix", "imil", "upweight"), external=("montgomery",))
    text = " ".join(methods(findings))
    for words in (
        "48 images of 2 classes: normal (24) and TB (24)",
        "24 for training and 24 for test",
        "montgomery (12 images)",
        "resnet18 (timm) was trained from random weights with stochastic gradient descent",
        "learning rate 0.001, no momentum",
        "10 epochs with a batch size of 64",
        "trained with 2 seeds",
        "After epoch 7",
        "4×4 grid",
        "reader simulated was simulated",
        "CutMix",
        "oversampled five times",
        "McNemar",
        "torch 2.6.0",
        "Seeds of training: 0 and 1",
    ):
        assert words in text


def test_the_methods_say_how_intervals_and_p_values_were_computed(study):
    text = " ".join(methods(study()))
    for words in (
        f"resampled {RESAMPLES} times",
        "only 50 % of the variance that the images explain is subtracted",
        "the remainder counts 2 times in the degrees of freedom",
        "never less than that from the images alone",
        "after Hillis 2007",
        "Wilson score intervals",
        "Bonett and Price 2012",
        "for each direction separately as twice their lower median",
    ):
        assert words in text


def test_the_methods_name_the_augmentations(study):
    findings = study()
    assert "In every epoch" not in " ".join(methods(findings))
    training = findings.plan.training | {"augment": ["flip", "crop"]}
    changed = replace(findings, plan=findings.plan.model_copy(update={"training": training}))
    assert (
        "In every epoch half of the training images were flipped horizontally, and each training "
        "image was shifted by up to an eighth of its side"
    ) in " ".join(methods(changed))


def test_the_methods_name_the_choice_of_cases(study):
    assert tuple(SHOWN) == CHOICE_NAMES
    findings, asked = study(requested=5), "were shown to a reader"
    expected = f"Of the misclassified images, the 5 with the highest confidence {asked}"
    assert expected in " ".join(methods(findings))
    training = findings.plan.training | {"choice": "off_lung"}
    changed = replace(findings, plan=findings.plan.model_copy(update={"training": training}))
    expected = f"The 5 images with the largest share of the heat-map outside the lungs {asked}"
    assert expected in " ".join(methods(changed))


def test_the_methods_name_rounds_shares_and_the_screening(study):
    treatments = [
        {"name": "wide", "treatment": "imil", "grid-size": 2, "controls": ["random"]},
        {"name": "late", "treatment": "imil", "imil-epoch": [8, 9], "budget": 12},
        {"name": "half", "treatment": "imil", "share-of-data": 0.5},
        {"name": "exchange", "controls": ["reader-free"]},
    ]
    tables = {"treatments": treatments, "screening": {"seeds": [1]}}
    text = " ".join(methods(study(seeds=(0, 1, 2), tables=tables)))
    for words in (
        "wide (imil) of imil was applied with rounds of its own with simulated (grid 2×2), and as",
        "rounds of its own with simulated (after epoch 8 and 9; 12 cases over all rounds).",
        "rounds of its own with simulated (50 % of the training images).",
        "The control without a reader was the treatment exchange:squares=random: no reading",
        "Shares of 50 % of the training images were drawn with the seed, stratified by class",
        "The 4 treatments were screened with 1 seed (1): the one with the largest mean gain",
        "in the test set (AUROC) was chosen. The other 2 seeds alone confirm it",
    ):
        assert words in text


def test_the_methods_of_one_training_per_arm_do_not_mention_combining(study):
    text = " ".join(methods(study(seeds=(0,))))
    assert "not for the variation between trainings" in text
    assert "median" not in text


LEAST = "the squares that contain 5 % or more of the mask of the lesions, or else of the lungs"


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("simulated", f"selects {LEAST}, and always selects at least one."),
        ("simulated:false=0", f"selects {LEAST}, and always selects at least one."),
        ("simulated:miss=0.3", f"{LEAST}, misses each of them with a probability of 0.3, and"),
        (
            "simulated:miss=0.3,false=0.2",
            "probability of 0.3, adds each other one with a probability of 0.2, and always",
        ),
        (
            "simulated:threshold=0.125,one-region",
            "selects the squares that contain 12.5 % or more of the largest region of the mask of",
        ),
        ("simulated:threshold=0", "selects the squares that contain any part of the mask of"),
        (
            "random:miss=0.3",
            f"squares at random, as many as a reader who selects {LEAST}, misses",
        ),
        ("inverted", f"exactly the squares that are left out by a reader who selects {LEAST},"),
    ],
)
def test_the_methods_say_what_each_kind_of_simulated_reader_selects(study, kind, says):
    findings = study(readers=(Reader(name="P", reader=kind),))
    text = " ".join(methods(findings))
    assert "The reader P was simulated: it selects" in text
    assert says in text


def test_the_methods_name_the_masks_and_the_grid_that_the_plan_names(study):
    findings = study(readers=(Reader(name="P", reader="simulated"),))
    training = findings.plan.training | {
        "mask_columns": ["tumour", "lung_mask"],
        "grid_size": "2x5",
    }
    changed = replace(findings, plan=findings.plan.model_copy(update={"training": training}))
    assert (
        "selects the squares that contain 8 % or more of the mask “tumour”, or else of the lungs,"
    ) in " ".join(methods(changed))


@pytest.mark.parametrize(
    ("otherwise", "says"),
    [("skip", "left unchanged"), *((by, "shown to a person") for by in ("console", "web"))],
)
def test_the_methods_say_what_happened_to_cases_that_a_replayed_file_lacks(study, otherwise, says):
    findings = study(readers=("Lee",))
    replayed = Reader(name="Lee", reader="replay:lee.csv", otherwise=otherwise)
    changed = replace(findings, plan=findings.plan.model_copy(update={"readers": (replayed,)}))
    text = " ".join(methods(changed))
    assert (
        f"The readings of Lee came from a file and were used wherever the same case was selected; "
        f"other cases were {says}" in text
    )
    assert ("heat-map" in text) == (otherwise != "skip"), "what a file's reader saw is not known"


def test_the_methods_say_what_a_person_was_shown(study):
    findings = study(readers=("Lee", "Wu"))
    people = (Reader(name="Lee", reader="web"), Reader(name="Wu", reader="console"))
    changed = replace(findings, plan=findings.plan.model_copy(update={"readers": people}))
    text = " ".join(methods(changed))
    assert (
        "Lee read the cases of each training, in a browser, with both labels and the Grad-CAM "
        "heat-maps of the predicted and of the true class. Wu read the cases of each training, at "
        "a terminal, with both labels and the Grad-CAM heat-map of the predicted class."
    ) in text
    job = findings.study.job("imil-Lee", 0, 0).run
    job.heat_map.parent.mkdir(parents=True, exist_ok=True)
    write_heat_map_method(job.heat_map, "relevance")
    assert "with both labels and the relevance propagation heat-map" in " ".join(methods(changed))


def test_the_methods_mention_fewer_cases_only_where_there_were_fewer(study):
    assert "Fewer cases" not in " ".join(methods(study()))


def test_the_methods_count_the_uncorrected_cases(study):
    findings = study(
        readers=("Lee", "Wu"), arms=("baseline", "imil", "cutout-same"), cases=7, requested=9
    )
    text = " ".join(methods(findings))
    assert "Fewer cases were shown where the model made fewer mistakes." in text
    (lee, _) = findings.sessions
    others = [one.reading.verdict for one in lee.answers if one.reading.verdict != "focus"]
    skipped = others.count("skip")
    assert (
        f"Of 14 cases shown to Lee over all trainings, {len(others)} were left unchanged "
        f"({skipped} skipped or not read, {len(others) - skipped} with another verdict)"
    ) in text
    assert (
        "Controls use the cases in which Lee selected squares, and leave the others unchanged. "
        "They show"
    ) in text
    assert "a random box of 14/64 of the side" in text


def test_the_checklist_has_its_44_items_and_their_states(study):
    items = checklist(study())
    assert [item.number for item in items] == list(range(1, 45))
    state = {item.number: item.state for item in items}
    assert {state[n] for n in (1, 2, 3, 4, 11, 34, 41, 44)} == {"for the authors"}
    assert {state[n] for n in (9, 20, 22, 24, 26, 29, 33)} == {"answered"}
    assert all(item.answer for item in items)


def test_the_checklist_agrees_with_the_methods_for_one_training_per_arm(study):
    def answer(findings):
        return checklist(findings)[29 - 1].answer

    one = study(seeds=(0,))
    assert answer(one).startswith(
        "95 % confidence intervals over images, not over other trainings,"
    )
    assert "standard deviation" not in answer(one)
    several = replace(one, plan=one.plan.model_copy(update={"seeds": (0, 1)}))
    assert answer(several).startswith("95 % confidence intervals over images and trainings, with")
    assert "standard deviation over trainings in table.csv" in answer(several)


def test_the_checklist_describes_the_initialisation_of_any_network(study):
    findings = study()
    assert checklist(findings)[24 - 1].answer == (
        "Random, from each seed, as in timm; where timm would initialise the last normalisation of "
        "a residual block to zero, to one."
    )


def test_the_checklist_does_not_say_how_the_source_chose_its_images(study):
    assert checklist(study())[10 - 1].answer == (
        "Whole images were used. For the authors: how the source selected its images."
    )
