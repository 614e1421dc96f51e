"""Two studies side by side: what differs in what was done, and in what came out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import hypot, isfinite
from typing import Any

import numpy as np
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from imil.study.arms import Arm
from imil.study.phrases import count, listed
from imil.study.plan import Plan, Reader, read_plan
from imil.study.report.number_format import SHARES, plain, signed, signed_interval
from imil.study.report.versus import MAIN, called
from imil.study.result_rows import Group, delta, whole_sets
from imil.study.statistics import MEASURES, Interval, Spread
from imil.study.study_folder import StudyFolder
from imil.study.study_predictions import StudyPredictions, Units

HERE = ("device", "precision", "threads")  # of job.json: each changes the last bits of a sum
UNSAID = ("name", "arms", "seeds", "external", "readers")  # of a plan, compared by themselves


@dataclass(frozen=True)
class Contrast:
    """One arm, set and measure in both studies.

    Args:
        arm, title: as in a study that has the readers of both.
        a, b: means over seeds and splits.
        units: in how many seeds and splits each of them has it, at least.
        found: b minus a, with its 95 % interval.
        paired: whether it was paired by training and image.
    """

    arm: str
    title: str
    set: str
    measure: str
    a: float
    b: float
    units: int
    found: Interval
    paired: bool


def compare(a: StudyFolder, b: StudyFolder) -> list[RenderableType]:
    """What a terminal shows of two studies, part by part.

    Raises: SettingsError, DataError: one of them is no study, or cannot be read.
    """
    plans = read_plan(a.plan), read_plan(b.plan)
    every = contrasts(a, b)
    return [
        Text.from_markup(f"[bold]A[/bold]  {escape(plans[0].name)}  [dim]{escape(str(a.path))}"),
        Text.from_markup(f"[bold]B[/bold]  {escape(plans[1].name)}  [dim]{escape(str(b.path))}"),
        Text(),
        *(Text(f"• {line}") for line in same_data(a, b)),
        *(Text(f"• {line}") for line in same_settings(*plans)),
        *(Text(f"• {line}") for line in same_software(a, b)),
        Text(),
        *_tables(every),
        Text(closing(every)),
    ]


def same_data(a: StudyFolder, b: StudyFolder) -> list[str]:
    """Whether both studies have the same images, in sentences."""
    one, other = a.read_facts(), b.read_facts()
    if one["fingerprint"] == other["fingerprint"]:
        return ["Same data: every image and label is the same."]
    sizes = [
        listed([f"{n:,} in {name}" for name, n in facts["images"].items()])
        for facts in (one, other)
    ]
    said = [f"Other data. A: {sizes[0]}; B: {sizes[1]}."]
    if one["classes"] != other["classes"]:
        said.append(f"Other classes. A: {listed(one['classes'])}; B: {listed(other['classes'])}.")
    return said


def same_settings(a: Plan, b: Plan) -> list[str]:
    """Which settings differ, in sentences."""
    said = [
        f"Other {name}. A: {_said(one)}; B: {_said(other)}." for name, one, other in _changed(a, b)
    ]
    if not said:
        said = ["Same model, training settings and splits."]
    if a.seeds != b.seeds:
        seeds = [listed([str(seed) for seed in plan.seeds]) for plan in (a, b)]
        said.append(f"Other seeds. A: {seeds[0]}; B: {seeds[1]}.")
    said += list(_only(a, b))
    return said


def same_software(a: StudyFolder, b: StudyFolder) -> list[str]:
    """Which versions differ, and which device, precision and threads, in sentences."""
    one, other = (study.read_facts().get("versions", {}) for study in (a, b))
    differ = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    said = []
    if differ:
        ours, theirs = (
            listed([f"{name} {of.get(name, 'not known')}" for name in differ])
            for of in (one, other)
        )
        said.append(f"Other versions. A: {ours}; B: {theirs}.")
    here = _here(a), _here(b)
    known = [name for name in HERE if here[0][name] and here[1][name]]
    for name in known:
        ours, theirs = (listed(of[name]) for of in here)
        if ours != theirs:
            said.append(f"Other {name}. A: {ours}; B: {theirs}.")
    return said or [f"Same {listed(['versions', *known])}."]


def contrasts(a: StudyFolder, b: StudyFolder) -> list[Contrast]:
    """Every arm, set and main measure that both studies have."""
    plans = read_plan(a.plan), read_plan(b.plan)
    one, other = (
        whole_sets(StudyPredictions(study, plan)) for study, plan in zip((a, b), plans, strict=True)
    )
    return [
        _contrast(both, measure, (one[which], mine.id), (other[which], theirs.id))
        for which in one
        if which in other
        for measure in MAIN
        for both, mine, theirs in _shared(*plans)
        if one[which].arms.get(mine.id) and other[which].arms.get(theirs.id)
    ]


def closing(every: Sequence[Contrast]) -> str:
    """What the differences show, in a sentence."""
    if not every:
        return "The two studies share no arm with a training that is done: nothing is compared."
    shown = [one for one in every if one.found.excludes_zero]
    if not shown:
        return "No difference shown: every interval includes zero."
    named = listed([f"{one.title} ({called(one.measure)}, {one.set})" for one in shown])
    return (
        f"The interval excludes zero for {named}; {count(len(every), 'difference')} "
        f"{'was' if len(every) == 1 else 'were'} looked at, and about one in twenty does so by "
        "chance."
    )


def _changed(a: Plan, b: Plan) -> Iterator[tuple[str, Any, Any]]:
    """The settings that differ: name, and the value of each."""
    values = [_flat(plan) for plan in (a, b)]
    for name in {**values[0], **values[1]}:
        one, other = (of.get(name, "not set") for of in values)
        if one != other:
            yield name, one, other


def _said(value: Any) -> str:
    """A setting as it is read aloud."""
    return listed([str(one) for one in value]) or "none" if isinstance(value, list) else str(value)


def _flat(plan: Plan) -> dict[str, Any]:
    """What a plan sets, by dotted name, defaults of the training included."""
    held = plan.model_dump(mode="json", exclude=set(UNSAID) | {"data", "training"})
    baseline = next(arm for arm in plan.rows if arm.kind == "baseline")
    settings = plan.settings(baseline, 0).model_dump(mode="json")
    training = {name: value for name, value in settings.items() if name not in _ELSEWHERE}
    return dict(_dotted({"training": training, **held}))


# set by the plan for each job, or said in the lines on data
_ELSEWHERE = ("data", "seed", "mix", "reader", "reader_name", "test_share", "val_share")


def _dotted(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _here(study: StudyFolder) -> dict[str, list[str]]:
    """What the trainings that are done ran on; nothing where it is not known."""
    plan = read_plan(study.plan)
    jobs = study.jobs([arm.id for arm in plan.rows], plan.seeds, plan.splits.count)
    done = [status for job in jobs if (status := job.status)["state"] == "done"]
    return {name: sorted({str(of[name]) for of in done if name in of}) for name in HERE}


def _rows(plan: Plan, other: Plan) -> dict[Arm, Arm]:
    """The arms of a plan, by what they are called where both plans' readers are.

    Where each has one reader alone, the one is compared with the other, whatever their names.
    """
    alone = max(len(plan.readers), len(other.readers)) < 2
    return {Arm(arm.kind, "" if alone else arm.reader, alone): arm for arm in plan.rows}


def _shared(a: Plan, b: Plan) -> list[tuple[Arm, Arm, Arm]]:
    """The arms that both have: for both, in the first, in the second."""
    ours, theirs = _rows(a, b), _rows(b, a)
    return [(both, arm, theirs[both]) for both, arm in ours.items() if both in theirs]


def _only(a: Plan, b: Plan) -> Iterator[str]:
    """What one of the two has and the other has not, and who reads in another way."""
    ways = [{one.name: _way(one) for one in plan.readers} for plan in (a, b)]
    kinds: tuple[tuple[str, list[dict[Any, str]]], ...] = (
        ("arm", [{one: one.title for one in rows} for rows in (_rows(a, b), _rows(b, a))]),
        ("external set", [{name: name for name in plan.external} for plan in (a, b)]),
        ("reader", [{name: f"{name} ({way})" for name, way in of.items()} for of in ways]),
    )
    for what, (ours, theirs) in kinds:
        for name, mine, other in (("A", ours, theirs), ("B", theirs, ours)):
            extra = [called for one, called in mine.items() if one not in other]
            if extra:
                yield f"Only in {name}: {what}{'s' if len(extra) > 1 else ''} {listed(extra)}."
    for name, way in ways[0].items():
        if ways[1].get(name, way) != way:
            yield f"Other reader {name}. A: {way}; B: {ways[1][name]}."


def _way(reader: Reader) -> str:
    """How a reader reads, such as `replay:lee.csv, otherwise web`."""
    more = "" if reader.otherwise == "skip" else f", otherwise {reader.otherwise}"
    return f"{reader.reader}{more}"


def _contrast(
    arm: Arm, measure: str, ours: tuple[Group, str], theirs: tuple[Group, str]
) -> Contrast:
    """Of the arm, which each group has under an id of its own."""
    (a, mine), (b, other) = ours, theirs
    one, two = a.spread(mine, measure), b.spread(other, measure)
    together = matched(a.arms[mine], b.arms[other])
    if together:
        found: Interval = delta(b.arms[other], a.arms[mine], measure, a.patients).difference
    else:
        found = unpaired(one, two)
    units = min(one.units, two.units)
    return Contrast(arm.id, arm.title, a.set, measure, one.mean, two.mean, units, found, together)


def unpaired(a: Spread, b: Spread) -> Interval:
    """b minus a of two independent samples, its interval from the interval of each.

    Two studies that share images are not independent; the interval is then too wide, not too
    narrow, as what is hard for one is hard for the other.

    Source: Zou and Donner 2008, Statistics in Medicine 27:1693, eq. 7 (MOVER).
    """
    value = b.mean - a.mean
    down = hypot(b.mean - b.interval.low, a.interval.high - a.mean)
    up = hypot(b.interval.high - b.mean, a.mean - a.interval.low)
    return Interval(value, value - down, value + up)


def matched(a: Units, b: Units) -> bool:
    """Whether the trainings of two studies belong together: same units, images and labels."""
    return set(a) == set(b) and all(
        a[unit].keys == b[unit].keys and np.array_equal(a[unit].labels, b[unit].labels)
        for unit in a
    )


def _tables(every: Sequence[Contrast]) -> Iterator[RenderableType]:
    for which in dict.fromkeys(one.set for one in every):
        own = [one for one in every if one.set == which]
        for measure in MAIN:
            rows = [one for one in own if one.measure == measure]
            if rows:
                yield _table(which, measure, rows)
                yield Text()


def _table(which: str, measure: str, rows: Sequence[Contrast]) -> Table:
    name = "test set" if which == "test" else which.replace("external-", "external set ")
    unit = ", %" if measure in SHARES else ""
    table = Table(title=f"{MEASURES[measure].title}{unit}, {name}", title_justify="left")
    table.add_column("Arm")
    for head in ("A", "B", "B − A", "95 % interval"):
        table.add_column(head, justify="right")
    table.add_column("")
    for one in rows:
        table.add_row(
            Text(one.title),
            plain(measure, one.a),
            plain(measure, one.b),
            signed(measure, one.found.value),
            _ends(one),
            Text(f"{_word(one)}, {'paired' if one.paired else 'not paired'}"),
        )
    return table


def _ends(one: Contrast) -> str:
    if not isfinite(one.found.low):
        return "–"
    return signed_interval(one.measure, one.found.low, one.found.high)


def _word(one: Contrast) -> str:
    if not isfinite(one.found.low):
        return "not measured"
    if not one.found.excludes_zero:
        return "no difference shown"
    if one.units < 2:
        return "one training each: it may be luck"
    better = (one.found.value > 0) == MEASURES[one.measure].higher_is_better
    return f"B is {'better' if better else 'worse'}"
