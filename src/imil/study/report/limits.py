"""What limits a study, found in its own folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import isfinite

import numpy as np

from imil.study.phrases import count, listed
from imil.study.reading_records import Session
from imil.study.report.findings import Findings, Row
from imil.study.report.number_format import interval, percent, signed, value
from imil.study.result_rows import BASE
from imil.study.statistics.verdict import verdict
from imil.study.study_folder import TEST

FEW_SEEDS = 5  # below, the spread between trainings is itself hardly known
FEW_SPLITS = 4
FEW_IMAGES = 200  # below, an accuracy of 0.8 is known to no better than ±5.5 points (Wilson)
FEW_IN_GROUP = 30
UNEVEN = 0.3  # share of the rarest of two classes
HARDLY = 0.05  # of a class's images that are called so
CHANCE = 0.5  # AUROC of a guess
PRECISIONS = {"32": "float32", "bf16": "bfloat16"}


def limits(found: Findings) -> list[str]:
    """Every limit that the folder shows, the heaviest first."""
    return [
        *_unfinished(found),
        *filter(None, [unlearnt(found)]),
        *_one_class(found),
        *_trainings(found),
        *_machines(found),
        *_images(found),
        *map(str, found.facts.get("warnings", [])),
        *_rounds(found),
        *_readers(found),
        *_design(found),
        *_many(found),
    ]


def unlearnt(found: Findings) -> str:
    """That the baseline may have learnt nothing, if its AUROC does not rule that out."""
    row = found.row(BASE, "auroc")
    if row is None or not row.low <= CHANCE:
        return ""
    return (
        "The baseline is not shown to have learnt anything: AUROC "
        f"{value('auroc', row.mean)}, 95 % interval {interval('auroc', row.low, row.high)}, where "
        f"{CHANCE} is chance. Arms that know nothing say nothing of IMIL: train longer, or with "
        "another learning rate."
    )


def _one_class(found: Findings) -> Iterator[str]:
    """Arms whose networks hardly ever say one of the two classes."""
    if len(found.classes) != 2:
        return
    for arm in found.plan.rows:
        rows = [found.row(arm.id, name) for name in ("sensitivity", "specificity")]
        means = [float(row.mean) for row in rows if row is not None]
        if means and min(means) <= HARDLY and max(means) >= 1 - HARDLY:
            said = found.classes[int(means[0] > means[1])]
            yield (
                f"{arm.title} calls nearly every test image {said}. What it gets right is then the "
                "mix of classes, and the intervals of its calibration errors, Brier score and "
                "negative log-likelihood are too narrow for a set with another mix."
            )


def missing(found: Findings) -> list[str]:
    """What is not done, one line a state or set; failed jobs with their reason."""
    said = []
    for state, called in (("running", "running"), ("waiting", "not begun or stopped")):
        names = [job.name for job, of in found.jobs.items() if of == state]
        if names:
            said.append(f"{count(len(names), 'training')} {called}: {'; '.join(names)}.")
    for job, of in found.jobs.items():
        if of == "failed":
            said.append(f"Failed: {job.name}: {job.status.get('error', 'no reason is known')}")
    for name, jobs in found.untested.items():
        said.append(
            f"{count(len(jobs), 'training')} not yet tested on the external set {name}: "
            f"{'; '.join(job.name for job in jobs)}. Run the study again."
        )
    return said


def _unfinished(found: Findings) -> Iterator[str]:
    left = len(found.jobs) - found.states["done"]
    if left:
        yield (
            f"The study is not finished: {count(left, 'training')} of {len(found.jobs)} "
            f"{'is' if left == 1 else 'are'} missing, and arms are compared over the seeds and "
            "splits that they share."
        )
    for of, jobs in found.untested.items():
        yield f"Not every training was tested on the external set {of}: {len(jobs)} are missing."


def _trainings(found: Findings) -> Iterator[str]:
    seeds = len(found.plan.seeds)
    if not found.units:
        yield found.incomparable
    elif found.units < 2:
        yield (
            "One training each: how much an arm changes from seed to seed is not known, so no "
            "arm can be told from the luck of its training."
        )
    elif found.units == 2:
        yield (
            "Two trainings each: how much an arm changes from training to training is hardly "
            "known. In simulated studies a 95 % interval then covers the truth in as few as 86 %."
        )
    elif seeds < FEW_SEEDS:
        yield (
            f"Few seeds: {seeds}. How much an arm changes from training to training is estimated "
            "from few trainings."
        )
    if 1 < found.plan.splits.count < FEW_SPLITS:
        yield (
            f"Few splits: {found.plan.splits.count}. Trainings of a split share their images, so "
            "only the means of the splits count as independent, and intervals are wide."
        )
    if found.plan.splits.count == 1:
        yield (
            "One split: every arm was tested on the same images; another draw of test images may "
            "give another order."
        )


def _machines(found: Findings) -> Iterator[str]:
    """That trainings were done on different devices, or in different precision."""
    how: dict[tuple[int, int], list[str]] = {}
    for job in (job for job, state in found.jobs.items() if state == "done"):
        done = job.status
        if "device" in done and "precision" in done:
            precision = PRECISIONS.get(done["precision"], done["precision"])
            how.setdefault(job.unit, []).append(f"on {done['device']} in {precision}")
    counts = Counter(one for of_unit in how.values() for one in of_unit)
    if len(counts) < 2:
        return
    mixed = sum(len(set(of_unit)) > 1 for of_unit in how.values())
    said = (
        f"for {mixed} of {len(how)} seeds and splits the arms differ in this, and may differ in "
        "their results for this alone"
        if mixed
        else "arms with the same seed and split do not differ in this"
    )
    named = listed([f"{n} {one}" for one, n in counts.most_common()])
    yield f"Not all trainings were done alike: {named}; {said}."


def _images(found: Findings) -> Iterator[str]:
    if found.tested < FEW_IMAGES:
        half = ""
        row = found.row(BASE, "accuracy")
        if row is not None and isfinite(row.low):
            width = (row.high - row.low) / 2
            half = (
                f"; the baseline's accuracy is known to about ±{signed('accuracy', width)[1:]} "
                "points"
            )
        yield f"Few cases: {found.test_images}{half}."
    own = found.images[found.images["set"] == "data"]
    sizes = np.bincount(own["label"].to_numpy(np.int64), minlength=len(found.classes))
    shares = sizes / sizes.sum()
    if shares.min() < UNEVEN * 2 / len(shares):
        rarest, commonest = (found.classes[int(i)] for i in (shares.argmin(), shares.argmax()))
        yield (
            f"Uneven classes: {percent(shares.min())} of the images are {rarest}; whoever always "
            f"says {commonest} has an accuracy of {percent(shares.max())}."
        )
    if found.apart:
        yield (
            "Patients are in more than one part of a split: their images are trained and tested "
            "on, which makes every arm look better than it is."
        )
    elif not found.by_patient:
        yield (
            "Patients are not known: images of one patient may lie in training and test, which "
            "would make every arm look better than it is."
        )


def _rounds(found: Findings) -> Iterator[str]:
    few = [one for one in found.sessions if len(one.answers) < one.wanted]
    if few:
        said = listed([f"{len(one.answers)} of {one.wanted} to {one.reader}" for one in few])
        yield (
            f"Fewer outliers than asked: of the cases asked for over all trainings, {said} were "
            "put, as the model made fewer mistakes."
        )
    for one in found.sessions:
        left = len(one.answers) - len(one.read)
        if left:
            yield f"{count(left, 'case')} of {len(one.answers)} were not read by {one.reader}."


def _readers(found: Findings) -> Iterator[str]:
    if not found.sessions:
        return
    played = [one.reader for one in found.sessions if one.simulated]
    if played:
        yield (
            f"Simulated readers: {listed(played)} {'is' if len(played) == 1 else 'are'} played by "
            "a program that knows the masks. This says nothing of how people read."
        )
    people: list[Session] = [one for one in found.sessions if not one.simulated]
    if len(found.sessions) == 1:
        who = found.sessions[0].reader
        yield f"One reader: whether others would have selected as {who} did is not known."
    elif len(people) == 1:
        yield f"One person read: {people[0].reader}; agreement between people is not known."


def _design(found: Findings) -> Iterator[str]:
    if found.readers and not found.controls:
        yield (
            "No control: if IMIL differs from the baseline, it is not known whether the reader's "
            "squares are the cause."
        )
    if not found.plan.external:
        yield "No external set: how the arms do on images from elsewhere is not known."
    small = [
        f"{name} ({n})"
        for name in found.subgroups
        if (n := int(found.of(TEST, name)["n"].max())) < FEW_IN_GROUP
    ]
    if small:
        yield f"Small subgroups, of which little can be said: {listed(small)} test images."


def _many(found: Findings) -> Iterator[str]:
    """How many differences were looked at, and how many chance alone would show."""
    rows: Iterator[Row] = found.table[found.table["arm"] != BASE].itertuples()
    measured = [row for row in rows if verdict(row) != "not measured"]
    if len(measured) < 2:
        return
    outside = sum(row.diff_low > 0 or row.diff_high < 0 for row in measured)
    yield (
        f"{len(measured):,} differences from the baseline were looked at, over all measures, sets "
        f"and subgroups; the intervals of {outside:,} exclude zero, where about "
        f"{round(len(measured) / 20):,} would by chance if no arm differed at all. Each p is "
        "corrected for the number of arms, but not for that of measures, sets and subgroups."
    )
