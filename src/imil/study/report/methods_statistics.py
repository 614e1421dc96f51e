"""The paragraph on statistics, as `imil.study.statistics` computes them."""

from __future__ import annotations

from collections.abc import Iterator

from imil.study.phrases import listed
from imil.study.report.findings import Findings
from imil.study.report.number_format import percent
from imil.study.statistics.resamples import RESAMPLES
from imil.study.statistics.standard_error import BETWEEN_WEIGHT, NOISE_SHARE, P_DF_FACTOR


def statistics_sentences(findings: Findings) -> Iterator[str]:
    """Measures, intervals, tests and corrections."""
    yield _measures(findings)
    yield from _intervals(findings)
    yield (
        "Differences from the baseline are paired by seed, split and image; the standard error of "
        "a difference in accuracy, sensitivity or specificity is never less than that of one "
        "discordant image in each direction (after Bonett and Price 2012), so that arms that are "
        "right on the same images have an interval too."
    )
    yield (
        "The p of a difference is from the t distribution of its interval"
        f"{_degrees_of_freedom(findings)}, with Holm's correction for the number of arms. Whether "
        "the trained networks differ was tested by the exact McNemar test (accuracy) and by that "
        "of DeLong et al. (1988; AUROC) for each training"
        f"{_combination(findings)}, with the same correction."
    )
    if findings.plan.subgroups:
        names = listed([f"“{name}”" for name in findings.plan.subgroups])
        yield f"The same analysis was done in subgroups by {names}."
    yield (
        "A difference whose interval includes zero is reported as “no difference shown”; one whose "
        "corrected p is 0.05 or more is not reported as a finding either."
    )
    if _single_training(findings):
        yield "Nor is any with one training per arm."


def _single_training(findings: Findings) -> bool:
    return len(findings.plan.seeds) * findings.plan.splits.count == 1


def _measures(findings: Findings) -> str:
    two_classes = len(findings.classes) == 2
    scope = f" of class {findings.classes[1]}" if two_classes else ", averaged over classes"
    return (
        "Measures were accuracy, area under the receiver operating characteristic curve (AUROC), "
        "expected calibration error (ECE) with 15 bins of equal width and with bins of equal "
        f"mass, Brier score, negative log-likelihood, sensitivity and specificity{scope}."
    )


def _intervals(findings: Findings) -> Iterator[str]:
    """As `imil.study.statistics.standard_error` and `wilson` compute them."""
    patients = ", all images of a patient together" if findings.split_by_patient else ""
    resampled = f"images were resampled {RESAMPLES:,} times within their class{patients}"
    if _single_training(findings):
        yield (
            "95 % confidence intervals account for the sampling of images, not for the variation "
            f"between trainings: {resampled}."
        )
    else:
        units = "the means of the splits" if findings.plan.splits.count > 1 else "trainings"
        yield (
            "Results are means over seeds and splits. 95 % confidence intervals account for the "
            f"sampling of images and for the variation between trainings: {resampled}, the same in "
            f"every training, and the variance of {units} beyond what their images explain was "
            "added, with a t distribution (Obuchowski and Rockette 1995; degrees of freedom after "
            "Hillis 2007). To be conservative, only "
            f"{percent(NOISE_SHARE)} of the variance that the images explain is subtracted, and "
            f"the remainder counts {BETWEEN_WEIGHT:g} times in the degrees of freedom. So the "
            "standard error is never less than that from the images alone."
        )
    yield (
        "Accuracy, AUROC, sensitivity and specificity have Wilson score intervals with that "
        "standard error."
    )


def _degrees_of_freedom(findings: Findings) -> str:
    """The limit of `StandardError.p`."""
    if _single_training(findings):
        return ""
    return f", with no more than {P_DF_FACTOR:g} times the degrees of freedom of the trainings"


def _combination(findings: Findings) -> str:
    """How the p-values of an arm's trainings are combined, as `combined` does it."""
    if _single_training(findings):
        return ""
    return (
        "; the one-sided p-values of an arm's trainings were combined for each direction "
        "separately as twice their lower median (Rüschendorf 1982), and the smaller of the two "
        "was doubled"
    )
