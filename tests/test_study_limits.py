"""The limitations of trainings on different devices or in different precision."""

import pytest
from studies import small_study

from imil.study.report.limits import limits

CUDA, CPU = ("cuda", "bf16"), ("cpu", "32")


@pytest.fixture
def limitations(tmp_path):
    """A function: the limitations where the baseline and IMIL were trained on those devices."""

    def with_devices(baseline, imil):
        findings = small_study(tmp_path / "s")
        for arm, trained in (("baseline", baseline), ("imil", imil)):
            for seed, how in enumerate(trained):
                given = dict(zip(("device", "precision"), how, strict=False))
                findings.study.job(arm, seed, 0).mark("done", seconds=1.0, **given)
        return [one for one in limits(findings) if one.startswith("Trainings differ")]

    return with_devices


def test_arms_with_the_same_seed_on_different_devices_are_counted(limitations):
    (one,) = limitations([CUDA, CUDA], [CUDA, CPU])
    assert one == (
        "Trainings differ in device or precision: 3 on cuda in bfloat16 and 1 on cpu in float32; "
        "for 1 of 2 seeds and splits the arms differ in this, and results may differ for this "
        "reason alone."
    )


def test_seeds_on_different_devices_do_not_confound_the_arms(limitations):
    (one,) = limitations([CUDA, CPU], [CUDA, CPU])
    assert one.endswith("; arms with the same seed and split do not differ in this.")


def test_a_different_precision_on_the_same_device_counts(limitations):
    (one,) = limitations([CUDA, ("cuda", "32")], [CUDA, CUDA])
    assert "3 on cuda in bfloat16 and 1 on cuda in float32" in one


def test_there_is_no_limitation_where_all_are_the_same_or_nothing_is_known(limitations):
    assert limitations([CPU, CPU], [CPU, ()]) == []
