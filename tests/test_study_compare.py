"""Two studies side by side: what differs in what was done, and in what came out."""

import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from studies import make_study

from imil.atomic_files import write_json
from imil.errors import ImilError
from imil.study.compare import (
    compare,
    compare_data,
    compare_settings,
    compare_software,
    conclusion,
)
from imil.study.contrasts import contrasts, unpaired
from imil.study.plan import read_plan
from imil.study.plan_tables import Reader
from imil.study.report.number_format import VERDICTS
from imil.study.statistics import Interval, Spread
from imil.study.study_folder import StudyFolder

SMALL = {"arms": ("baseline", "imil"), "n": 30, "train": 20, "external": (), "subgroups": ()}


@pytest.fixture
def study(tmp_path):
    """A function that makes a small study under a name."""

    def make(name, **options):
        return make_study(tmp_path / name, name=name, **(SMALL | {"seeds": (0, 1)} | options))

    return make


def shown(a, b):
    console = Console(width=140)
    with console.capture() as captured:
        for part in compare(a, b):
            console.print(part)
    return captured.get()


def accuracy(study, arm, seed):
    table = pd.read_parquet(study.job(arm, seed, 0).run.predictions("end", "test"))
    return (table["predicted"] == table["label"]).mean()


def test_the_same_study_twice_has_no_difference_at_all(study):
    a, b = study("a"), study("b")
    text = shown(a, b)
    assert "Same data: every image and label is the same." in text
    assert "Same model, training settings and splits." in text
    assert "No difference shown: every interval includes zero." in text
    assert {(one.difference.value, one.paired) for one in contrasts(a, b)} == {(0.0, True)}


def test_differences_are_b_minus_a_and_paired_where_units_and_images_are_the_same(study):
    a, b = study("a"), study("b", effect=1.5)
    result = {(one.arm, one.measure): one for one in contrasts(a, b)}
    assert set(result) == {
        (arm, measure) for arm in ("baseline", "imil") for measure in ("accuracy", "auroc", "ece")
    }
    one = result["imil", "accuracy"]
    values = [[accuracy(study_, "imil", seed) for seed in (0, 1)] for study_ in (a, b)]
    assert one.paired
    assert (one.a, one.b) == pytest.approx(np.mean(values, axis=1))
    assert one.difference.value == pytest.approx(np.mean(values[1]) - np.mean(values[0]))


def test_other_seeds_are_named_and_not_paired(study):
    a, b = study("a"), study("b", seeds=(0, 1, 2))
    assert "Different seeds. A: 0 and 1; B: 0, 1 and 2." in shown(a, b)
    assert not any(one.paired for one in contrasts(a, b))
    assert "not paired" in shown(a, b)


def test_other_data_are_named_and_not_paired(study):
    a, b = study("a"), study("b", n=36)
    (line,) = compare_data(a, b)
    assert line == "Different data. A: 50 in data; B: 56 in data."
    assert not any(one.paired for one in contrasts(a, b))


def test_settings_that_differ_are_named_with_both_values(study):
    a, b = study("a"), study("b", epochs=12, round_at=8)
    lines = compare_settings(read_plan(a.plan), read_plan(b.plan))
    assert "Different training.epochs. A: 10; B: 12." in lines
    assert "Different training.imil_epoch. A: 7; B: 8." in lines
    assert len(lines) == 2


def test_arms_sets_and_readers_of_one_study_alone_are_named_and_not_compared(study):
    a = study("a", readers=("Lee",))
    b = study("b", arms=("baseline", "mixup", "imil"), external=("montgomery",))
    lines = " ".join(compare_settings(read_plan(a.plan), read_plan(b.plan)))
    assert "Only in B: arm MixUp." in lines
    assert "Only in B: external set montgomery." in lines
    assert "Only in A: reader Lee (web)." in lines
    assert {one.arm for one in contrasts(a, b)} == {"baseline", "imil"}
    assert {one.set for one in contrasts(a, b)} == {"test"}


CONTROLLED = ("baseline", "imil", "imil-random")


def test_an_arm_is_the_same_with_the_same_reader_however_many_others_read(study):
    a = study("a", arms=CONTROLLED, readers=("Lee",))
    b = study("b", arms=CONTROLLED, readers=("Lee", "Kim"))
    every = [one for one in contrasts(a, b) if one.measure == "accuracy"]
    assert [(one.arm, one.title) for one in every] == [
        ("baseline", "Baseline"),
        ("imil.Lee", "IMIL (Lee)"),
        ("imil-random", "Control: random squares (Lee)"),
    ]
    in_each = [[accuracy(a, "imil", n), accuracy(b, "imil.Lee", n)] for n in (0, 1)]
    assert (every[1].a, every[1].b) == pytest.approx(np.mean(in_each, axis=0))
    lines = compare_settings(read_plan(a.plan), read_plan(b.plan))
    assert lines[1:] == ["Only in B: arm IMIL (Kim).", "Only in B: reader Kim (web)."]
    assert contrasts(b, a)[1].difference.value == -every[1].difference.value


def test_controls_of_different_readers_are_not_the_same_arm(study):
    a = study("a", arms=CONTROLLED, readers=("Lee", "Kim"))
    b = study("b", arms=CONTROLLED, readers=("Kim", "Lee"))
    assert {one.arm for one in contrasts(a, b)} == {"baseline", "imil.Lee", "imil.Kim"}
    lines = compare_settings(read_plan(a.plan), read_plan(b.plan))
    assert "Only in A: arm Control: random squares (Lee)." in lines
    assert "Only in B: arm Control: random squares (Kim)." in lines


def test_a_reader_of_another_kind_is_named(study):
    a = study("a", readers=("Lee",))
    b = study("b", readers=(Reader(name="Lee", reader="simulated:miss=0.3"),))
    assert compare_settings(read_plan(a.plan), read_plan(b.plan))[1:] == [
        "Different reader Lee. A: web; B: simulated:miss=0.3."
    ]
    assert {one.arm for one in contrasts(a, b)} == {"baseline", "imil"}


def test_versions_device_and_precision_that_differ_are_named(study):
    a, b = study("a"), study("b")
    assert compare_software(a, b) == ["Same versions."]  # the others are not recorded
    for study_, device in ((a, "cpu"), (b, "cuda")):
        for arm in ("baseline", "imil"):
            study_.job(arm, 0, 0).mark("done", device=device, precision="32", threads=2)
    assert compare_software(a, a) == ["Same versions, device, precision and threads."]
    b.job("imil", 1, 0).mark("done", device="cpu", precision="bf16", threads=2)
    facts = b.read_facts()
    facts["versions"] = facts["versions"] | {"torch": "2.7.0", "scipy": "1.15.0"}
    write_json(b.facts, facts)
    assert compare_software(a, b) == [
        "Different versions. A: torch 2.6.0 and scipy not known; B: torch 2.7.0 and scipy 1.15.0.",
        "Different device. A: cpu; B: cpu and cuda.",
        "Different precision. A: 32; B: 32 and bf16.",
    ]
    assert "Different device. A: cpu; B: cpu and cuda." in shown(a, b)


def test_an_arm_that_is_not_done_in_one_is_not_compared(study):
    a = study("a")
    b = study("b", waiting=[("imil", 0, 0), ("imil", 1, 0)])
    assert {one.arm for one in contrasts(a, b)} == {"baseline"}


def test_studies_without_a_common_arm_are_not_compared(study):
    a = study("a")
    b = study("b", waiting=[(arm, seed, 0) for arm in ("baseline", "imil") for seed in (0, 1)])
    assert contrasts(a, b) == []
    assert "share no arm" in conclusion([])
    assert "share no arm" in shown(a, b)


def test_an_unpaired_interval_is_that_of_two_independent_means():
    # symmetric intervals: half-widths 3 and 4 give 5 (Zou & Donner 2008)
    a = Spread(10.0, 1.0, Interval(10.0, 7.0, 13.0), 3)
    b = Spread(12.0, 1.0, Interval(12.0, 8.0, 16.0), 4)
    result = unpaired(a, b)
    assert (result.value, result.low, result.high) == pytest.approx((2.0, -3.0, 7.0))
    assert not result.excludes_zero


def test_an_unpaired_interval_keeps_the_skew_of_each():
    # below: b's lower arm 5 and a's upper 12; above: b's upper 8 and a's lower 6
    a = Spread(0.0, 1.0, Interval(0.0, -6.0, 12.0), 3)
    b = Spread(20.0, 1.0, Interval(20.0, 15.0, 28.0), 3)
    result = unpaired(a, b)
    assert (result.low, result.high) == pytest.approx((20 - 13, 20 + 10))
    assert result.excludes_zero


@pytest.mark.parametrize(
    ("seeds", "effect", "says"),
    [
        ((0, 1), -3.0, "│ B is worse, paired"),
        ((0,), 3.0, f"│ {VERDICTS['one training']}, paired"),
    ],
)
def test_a_line_has_a_then_b_then_b_minus_a_with_its_interval(study, seeds, effect, says):
    a, b = (study(name, n=120, seeds=seeds, effect=of) for name, of in (("a", 0), ("b", effect)))
    lines = [line for line in shown(a, b).splitlines() if line.startswith("│ IMIL")]
    every = [one for one in contrasts(a, b) if one.arm == "imil"]
    for one, line in zip(every, lines, strict=True):
        by, digits = (100, 1) if one.measure == "accuracy" else (1, 3)
        means = [f"{by * mean:.{digits}f}" for mean in (one.a, one.b)]
        ends = (one.b - one.a, one.difference.low, one.difference.high)
        signed = [f"{by * end:+.{digits}f}".replace("-", "−") for end in ends]
        assert re.findall(r"[+−]?\d+\.\d+", line) == [*means, *signed]
        assert says in line


def test_a_difference_is_shown_with_the_better_study(study):
    a, b = study("a", n=120), study("b", n=120, effect=3.0)
    text = shown(a, b)
    assert "B is better, paired" in text
    assert "about one in twenty intervals excludes zero by chance" in " ".join(text.split())


def test_a_folder_without_a_study_is_refused_in_one_sentence(study, tmp_path):
    with pytest.raises(ImilError, match="cannot be read"):
        compare(study("a"), StudyFolder(tmp_path / "nothing"))
