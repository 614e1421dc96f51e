"""The limitations of a study, as its folder shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import isfinite

import numpy as np

from imil.study.phrases import count, listed
from imil.study.report.findings import Findings, Row
from imil.study.report.number_format import interval, percent, signed, value
from imil.study.result_rows import BASE
from imil.study.statistics.verdict import verdict
from imil.study.study_folder import TEST

FEW_SEEDS = 5  # below, the variance between trainings is itself poorly known
FEW_SPLITS = 4
FEW_IMAGES = 200  # below, an accuracy of 0.8 is known to no better than ±5.5 points (Wilson)
FEW_IN_GROUP = 30
IMBALANCED = 0.3  # share of the rarer of two classes
RARE = 0.05  # share of the images for which a class is predicted
CHANCE = 0.5  # AUROC of random predictions
PRECISIONS = {"32": "float32", "bf16": "bfloat16"}


def limits(findings: Findings) -> list[str]:
    """Every limitation that the folder shows, the most serious first."""
    return [
        *_unfinished(findings),
        *filter(None, [baseline_at_chance(findings)]),
        *_one_class_predicted(findings),
        *_few_trainings(findings),
        *_few_splits(findings),
        *_different_devices(findings),
        *_few_images(findings),
        *_class_imbalance(findings),
        *_patients(findings),
        *map(str, findings.facts.get("warnings", [])),
        *_fewer_cases(findings),
        *_readers(findings),
        *_shortcut(findings),
        *_design(findings),
        *_multiple_comparisons(findings),
    ]


def missing_trainings(findings: Findings) -> list[str]:
    """What is not done, one line per state or set; failed jobs with their reason."""
    lines = []
    for state, words in (("running", "running"), ("waiting", "not started or stopped")):
        names = [job.name for job, job_state in findings.jobs.items() if job_state == state]
        if names:
            lines.append(f"{count(len(names), 'training')} {words}: {'; '.join(names)}.")
    for job, job_state in findings.jobs.items():
        if job_state == "failed":
            lines.append(f"Failed: {job.name}: {job.status.get('error', 'no reason is known')}")
    for name, jobs in findings.untested.items():
        lines.append(
            f"{count(len(jobs), 'training')} not yet tested on the external set {name}: "
            f"{'; '.join(job.name for job in jobs)}. Run the study again."
        )
    return lines


def baseline_at_chance(findings: Findings) -> str:
    """That the baseline is not shown to be better than chance, if its AUROC allows for that."""
    row = findings.row(BASE, "auroc")
    if row is None or not row.low <= CHANCE:
        return ""
    return (
        "The baseline is not shown to be better than chance: AUROC "
        f"{value('auroc', row.mean)}, 95 % CI {interval('auroc', row.low, row.high)}, where "
        f"{CHANCE} is chance. Such a comparison says nothing about IMIL: train longer, or with "
        "another learning rate."
    )


def _unfinished(findings: Findings) -> Iterator[str]:
    left = len(findings.jobs) - findings.states["done"]
    if left:
        yield (
            f"The study is not finished: {count(left, 'training')} of {len(findings.jobs)} "
            f"{'is' if left == 1 else 'are'} missing, and arms are compared over the seeds and "
            "splits that they share."
        )
    for name, jobs in findings.untested.items():
        yield f"Not every training was tested on the external set {name}: {len(jobs)} are missing."


def _one_class_predicted(findings: Findings) -> Iterator[str]:
    """Arms whose networks almost always predict the same of two classes."""
    if len(findings.classes) != 2:
        return
    for arm in findings.plan.rows:
        rows = [findings.row(arm.id, name) for name in ("sensitivity", "specificity")]
        means = [float(row.mean) for row in rows if row is not None]
        if means and min(means) <= RARE and max(means) >= 1 - RARE:
            predicted = findings.classes[int(means[0] > means[1])]
            yield (
                f"{arm.title} predicts {predicted} for nearly every test image. Its accuracy then "
                "reflects the class prevalence, and the intervals of its calibration errors, "
                "Brier score and negative log-likelihood are too narrow for a set with another "
                "prevalence."
            )


def _few_trainings(findings: Findings) -> Iterator[str]:
    seeds = len(findings.plan.seeds)
    if not findings.paired_trainings:
        yield findings.not_comparable
    elif findings.paired_trainings < 2:
        yield (
            "One training per arm: the variation between seeds is not known, so the effect of an "
            "arm cannot be separated from random variation between trainings."
        )
    elif findings.paired_trainings == 2:
        yield (
            "Two trainings per arm: the variation between trainings is poorly known. In simulated "
            "studies a 95 % interval then has a coverage of as little as 86 %."
        )
    elif seeds < FEW_SEEDS:
        yield (
            f"Few seeds: {seeds}. The variation between trainings is estimated from few trainings."
        )


def _few_splits(findings: Findings) -> Iterator[str]:
    splits = findings.plan.splits.count
    if 1 < splits < FEW_SPLITS:
        yield (
            f"Few splits: {splits}. Trainings on the same split share their images, so only the "
            "means of the splits are independent, and intervals are wide."
        )
    if splits == 1:
        yield (
            "One split: every arm was tested on the same images; another sample of test images may "
            "give another ranking."
        )


def _different_devices(findings: Findings) -> Iterator[str]:
    """That trainings ran on different devices, or in different precision."""
    by_unit: dict[tuple[int, int], list[str]] = {}
    for job in (job for job, state in findings.jobs.items() if state == "done"):
        status = job.status
        if "device" in status and "precision" in status:
            precision = PRECISIONS.get(status["precision"], status["precision"])
            by_unit.setdefault(job.unit, []).append(f"on {status['device']} in {precision}")
    counts = Counter(name for names in by_unit.values() for name in names)
    if len(counts) < 2:
        return
    mixed = sum(len(set(names)) > 1 for names in by_unit.values())
    effect = (
        f"for {mixed} of {len(by_unit)} seeds and splits the arms differ in this, and results may "
        "differ for this reason alone"
        if mixed
        else "arms with the same seed and split do not differ in this"
    )
    trainings = listed([f"{n} {name}" for name, n in counts.most_common()])
    yield f"Trainings differ in device or precision: {trainings}; {effect}."


def _few_images(findings: Findings) -> Iterator[str]:
    if findings.smallest_test_size >= FEW_IMAGES:
        return
    row = findings.row(BASE, "accuracy")
    precision = ""
    if row is not None and isfinite(row.low):
        half_width = signed("accuracy", (row.high - row.low) / 2)[1:]
        precision = f"; the baseline's accuracy is known to about ±{half_width} points"
    yield f"Few cases: {findings.test_images}{precision}."


def _class_imbalance(findings: Findings) -> Iterator[str]:
    images = findings.images[findings.images["set"] == "data"]
    sizes = np.bincount(images["label"].to_numpy(np.int64), minlength=len(findings.classes))
    shares = sizes / sizes.sum()
    if shares.min() < IMBALANCED * 2 / len(shares):
        rarest, commonest = (findings.classes[int(i)] for i in (shares.argmin(), shares.argmax()))
        yield (
            f"Class imbalance: {percent(shares.min())} of the images are {rarest}; always "
            f"predicting {commonest} gives an accuracy of {percent(shares.max())}."
        )


def _patients(findings: Findings) -> Iterator[str]:
    if findings.patients_overlap:
        yield (
            "Patients are in more than one part of a split: their images are in training and test, "
            "which makes the results of every arm too good."
        )
    elif not findings.split_by_patient:
        yield (
            "Patients are not known: images of one patient may be in training and test, which "
            "would make the results of every arm too good."
        )


def _fewer_cases(findings: Findings) -> Iterator[str]:
    few = [session for session in findings.sessions if len(session.answers) < session.wanted]
    if few:
        numbers = listed([f"{len(s.answers)} of {s.wanted} to {s.reader}" for s in few])
        yield (
            f"Fewer outliers than requested: over all trainings {numbers} were shown, as the model "
            "made fewer mistakes."
        )
    for session in findings.sessions:
        unread = len(session.answers) - len(session.read)
        if unread:
            cases = count(unread, "case")
            yield f"{cases} of {len(session.answers)} were not read by {session.reader}."


def _readers(findings: Findings) -> Iterator[str]:
    sessions = findings.sessions
    if not sessions:
        return
    simulated = [session.reader for session in sessions if session.simulated]
    if simulated:
        yield (
            f"Simulated readers: {listed(simulated)} {'is' if len(simulated) == 1 else 'are'} "
            "simulated from the masks. This says nothing about how people read."
        )
    people = [session.reader for session in sessions if not session.simulated]
    if len(sessions) == 1:
        yield (
            f"One reader: whether others would select the same squares as {sessions[0].reader} is "
            "not known."
        )
    elif len(people) == 1:
        yield f"One human reader: {people[0]}; agreement between people is not known."


def _shortcut(findings: Findings) -> Iterator[str]:
    """What a planted shortcut cannot show."""
    if findings.plan.shortcut is None:
        return
    yield (
        "Planted shortcut: it is drawn, looks the same in every image that carries it, and always "
        "lies in the same place. Shortcuts of real images are fainter, vary, and may overlap the "
        "disease: that an arm cures this one does not show that it cures those."
    )
    yield (
        "The shortcut is tested on the test set alone, with images of the same source as those "
        "that were trained on: a shortcut of another hospital is not tested."
    )


def _design(findings: Findings) -> Iterator[str]:
    if findings.imil_arms and not findings.controls:
        yield (
            "No control: if IMIL differs from the baseline, it is not known whether the reader's "
            "squares are the cause."
        )
    for arm in findings.treatment_arms:
        if not findings.controls_of(arm):
            yield (
                f"No control of the treatment {arm.treatment}: if it differs from the baseline, it "
                "is not known whether the reader's squares are the cause."
            )
    if not findings.plan.external:
        yield "No external set: performance on images from other sources is not known."
    small = [
        f"{name} ({n})"
        for name in findings.subgroups
        if (n := int(findings.results_of(TEST, name)["n"].max())) < FEW_IN_GROUP
    ]
    if small:
        yield f"Small subgroups, with imprecise results: {listed(small)} test images."


def _multiple_comparisons(findings: Findings) -> Iterator[str]:
    """How many differences were tested, and how many chance alone would show."""
    rows: Iterator[Row] = findings.table[findings.table["arm"] != BASE].itertuples()
    measured = [row for row in rows if verdict(row) != "not measured"]
    if len(measured) < 2:
        return
    outside = sum(row.diff_low > 0 or row.diff_high < 0 for row in measured)
    yield (
        f"Multiple comparisons: {len(measured):,} differences from the baseline were computed, "
        f"over all measures, sets and subgroups; the intervals of {outside:,} exclude zero, where "
        f"about {round(len(measured) / 20):,} would by chance if no arm differed at all. Each p is "
        "corrected for the number of arms, but not for that of measures, sets and subgroups."
    )
