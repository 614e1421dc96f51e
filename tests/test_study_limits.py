"""What a report says of trainings that were not done alike."""

import pytest
from studies import small_study

from imil.study.report.limits import limits

CUDA, CPU = ("cuda", "bf16"), ("cpu", "32")


@pytest.fixture
def said(tmp_path):
    """What is said of the baseline and IMIL with two seeds, each trained on that."""

    def of(baseline, imil):
        found = small_study(tmp_path / "s")
        for arm, trained in (("baseline", baseline), ("imil", imil)):
            for seed, how in enumerate(trained):
                given = dict(zip(("device", "precision"), how, strict=False))
                found.study.job(arm, seed, 0).mark("done", seconds=1.0, **given)
        return [one for one in limits(found) if one.startswith("Not all trainings")]

    return of


def test_arms_that_are_compared_and_were_trained_otherwise_are_counted(said):
    (one,) = said([CUDA, CUDA], [CUDA, CPU])
    assert one == (
        "Not all trainings were done alike: 3 on cuda in bfloat16 and 1 on cpu in float32; for 1 "
        "of 2 seeds and splits the arms differ in this, and may differ in their results for this "
        "alone."
    )


def test_seeds_that_were_trained_elsewhere_do_less_harm(said):
    (one,) = said([CUDA, CPU], [CUDA, CPU])
    assert one.endswith("; arms with the same seed and split do not differ in this.")


def test_the_same_device_in_another_precision_is_another(said):
    (one,) = said([CUDA, ("cuda", "32")], [CUDA, CUDA])
    assert "3 on cuda in bfloat16 and 1 on cuda in float32" in one


def test_nothing_is_said_where_all_are_alike_or_nothing_is_known(said):
    assert said([CPU, CPU], [CPU, ()]) == []
