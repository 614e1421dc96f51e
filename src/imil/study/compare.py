"""Two studies side by side for a terminal: how their data, settings and results differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from imil.study.contrasts import Contrast, comparable_arms, contrasts
from imil.study.phrases import count, listed
from imil.study.plan import Plan, read_plan
from imil.study.plan_tables import Reader
from imil.study.report.control_comparisons import MAIN, measure_name
from imil.study.report.number_format import SHARES, VERDICTS, plain, signed, signed_interval
from imil.study.statistics import MEASURES
from imil.study.study_folder import StudyFolder

MACHINE = ("device", "precision", "threads")  # of job.json: each changes the last bits of a sum
# fields of a plan that have lines of their own
SEPARATE = ("name", "arms", "seeds", "external", "readers")
# settings that the plan gives each job, or that the lines on data compare
NOT_TRAINING = ("data", "seed", "mix", "reader", "reader_name", "test_share", "val_share")


def compare(a: StudyFolder, b: StudyFolder) -> list[RenderableType]:
    """What a terminal shows of two studies, part by part.

    Raises: SettingsError, DataError: one of them is not a study, or cannot be read.
    """
    plans = read_plan(a.plan), read_plan(b.plan)
    rows = contrasts(a, b)
    return [
        Text.from_markup(f"[bold]A[/bold]  {escape(plans[0].name)}  [dim]{escape(str(a.path))}"),
        Text.from_markup(f"[bold]B[/bold]  {escape(plans[1].name)}  [dim]{escape(str(b.path))}"),
        Text(),
        *(Text(f"• {line}") for line in compare_data(a, b)),
        *(Text(f"• {line}") for line in compare_settings(*plans)),
        *(Text(f"• {line}") for line in compare_software(a, b)),
        Text(),
        *_tables(rows),
        Text(conclusion(rows)),
    ]


def compare_data(a: StudyFolder, b: StudyFolder) -> list[str]:
    """Whether both studies have the same images, in sentences."""
    facts_a, facts_b = a.read_facts(), b.read_facts()
    if facts_a["fingerprint"] == facts_b["fingerprint"]:
        return ["Same data: every image and label is the same."]
    sizes = [
        listed([f"{n:,} in {name}" for name, n in facts["images"].items()])
        for facts in (facts_a, facts_b)
    ]
    lines = [f"Different data. A: {sizes[0]}; B: {sizes[1]}."]
    if facts_a["classes"] != facts_b["classes"]:
        classes = [listed(facts["classes"]) for facts in (facts_a, facts_b)]
        lines.append(f"Different classes. A: {classes[0]}; B: {classes[1]}.")
    return lines


def compare_settings(a: Plan, b: Plan) -> list[str]:
    """Which settings differ, in sentences."""
    lines = [
        f"Different {name}. A: {_setting_text(value_a)}; B: {_setting_text(value_b)}."
        for name, value_a, value_b in _different_settings(a, b)
    ]
    if not lines:
        lines = ["Same model, training settings and splits."]
    if a.seeds != b.seeds:
        seeds = [listed([str(seed) for seed in plan.seeds]) for plan in (a, b)]
        lines.append(f"Different seeds. A: {seeds[0]}; B: {seeds[1]}.")
    lines += list(_only_in_one(a, b))
    return lines


def compare_software(a: StudyFolder, b: StudyFolder) -> list[str]:
    """Which versions differ, and which device, precision and threads, in sentences."""
    versions_a, versions_b = (study.read_facts().get("versions", {}) for study in (a, b))
    differ = [
        name
        for name in {**versions_a, **versions_b}
        if versions_a.get(name) != versions_b.get(name)
    ]
    lines = []
    if differ:
        text_a, text_b = (
            listed([f"{name} {versions.get(name, 'not known')}" for name in differ])
            for versions in (versions_a, versions_b)
        )
        lines.append(f"Different versions. A: {text_a}; B: {text_b}.")
    machine_a, machine_b = _machine(a), _machine(b)
    known = [name for name in MACHINE if machine_a[name] and machine_b[name]]
    for name in known:
        text_a, text_b = listed(machine_a[name]), listed(machine_b[name])
        if text_a != text_b:
            lines.append(f"Different {name}. A: {text_a}; B: {text_b}.")
    return lines or [f"Same {listed(['versions', *known])}."]


def conclusion(rows: Sequence[Contrast]) -> str:
    """What the differences show, in a sentence."""
    if not rows:
        return "The two studies share no arm with a training that is done: nothing is compared."
    shown = [one for one in rows if one.difference.excludes_zero]
    if not shown:
        return "No difference shown: every interval includes zero."
    names = listed([f"{one.title} ({measure_name(one.measure)}, {one.set})" for one in shown])
    return (
        f"The interval excludes zero for {names}; {count(len(rows), 'difference')} "
        f"{'was' if len(rows) == 1 else 'were'} compared, and about one in twenty intervals "
        "excludes zero by chance."
    )


def _different_settings(a: Plan, b: Plan) -> Iterator[tuple[str, Any, Any]]:
    """The settings that differ: name, and the value in each plan."""
    settings_a, settings_b = _settings_by_name(a), _settings_by_name(b)
    for name in {**settings_a, **settings_b}:
        value_a, value_b = settings_a.get(name, "not set"), settings_b.get(name, "not set")
        if value_a != value_b:
            yield name, value_a, value_b


def _setting_text(value: Any) -> str:
    return listed([str(one) for one in value]) or "none" if isinstance(value, list) else str(value)


def _settings_by_name(plan: Plan) -> dict[str, Any]:
    """The settings of a plan, by dotted name, defaults of the training included."""
    of_plan = plan.model_dump(mode="json", exclude=set(SEPARATE) | {"data", "training"})
    baseline = next(arm for arm in plan.rows if arm.kind == "baseline")
    settings = plan.settings(baseline, 0).model_dump(mode="json")
    training = {name: value for name, value in settings.items() if name not in NOT_TRAINING}
    return dict(_dotted({"training": training, **of_plan}))


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _machine(study: StudyFolder) -> dict[str, list[str]]:
    """Device, precision and threads of the finished trainings; empty where not recorded."""
    plan = read_plan(study.plan)
    jobs = study.jobs([arm.id for arm in plan.rows], plan.seeds, plan.splits.count)
    done = [status for job in jobs if (status := job.status)["state"] == "done"]
    return {
        name: sorted({str(status[name]) for status in done if name in status}) for name in MACHINE
    }


def _only_in_one(a: Plan, b: Plan) -> Iterator[str]:
    """Arms, external sets and readers that only one plan has, and readers that differ."""
    readers_a, readers_b = ({r.name: _reader_text(r) for r in plan.readers} for plan in (a, b))
    kinds: tuple[tuple[str, list[dict[Any, str]]], ...] = (
        ("arm", [{arm: arm.title for arm in comparable_arms(*two)} for two in ((a, b), (b, a))]),
        ("external set", [{name: name for name in plan.external} for plan in (a, b)]),
        ("reader", [{n: f"{n} ({t})" for n, t in of.items()} for of in (readers_a, readers_b)]),
    )
    for kind, (of_a, of_b) in kinds:
        for study, names, other in (("A", of_a, of_b), ("B", of_b, of_a)):
            extra = [text for name, text in names.items() if name not in other]
            if extra:
                yield f"Only in {study}: {kind}{'s' if len(extra) > 1 else ''} {listed(extra)}."
    for name, text in readers_a.items():
        if readers_b.get(name, text) != text:
            yield f"Different reader {name}. A: {text}; B: {readers_b[name]}."


def _reader_text(reader: Reader) -> str:
    """How a reader reads, such as `replay:lee.csv, otherwise web`."""
    otherwise = "" if reader.otherwise == "skip" else f", otherwise {reader.otherwise}"
    return f"{reader.reader}{otherwise}"


def _tables(rows: Sequence[Contrast]) -> Iterator[RenderableType]:
    for name in dict.fromkeys(one.set for one in rows):
        for measure in MAIN:
            of_table = [row for row in rows if (row.set, row.measure) == (name, measure)]
            if of_table:
                yield _table(name, measure, of_table)
                yield Text()


def _table(of: str, measure: str, rows: Sequence[Contrast]) -> Table:
    name = "test set" if of == "test" else of.replace("external-", "external set ")
    unit = ", %" if measure in SHARES else ""
    table = Table(title=f"{MEASURES[measure].title}{unit}, {name}", title_justify="left")
    table.add_column("Arm")
    for head in ("A", "B", "B − A", "95 % interval"):
        table.add_column(head, justify="right")
    table.add_column("")
    for row in rows:
        table.add_row(
            Text(row.title),
            plain(measure, row.a),
            plain(measure, row.b),
            signed(measure, row.difference.value),
            _interval_text(row),
            Text(f"{_verdict_text(row)}, {'paired' if row.paired else 'not paired'}"),
        )
    return table


def _interval_text(row: Contrast) -> str:
    if not isfinite(row.difference.low):
        return "–"
    return signed_interval(row.measure, row.difference.low, row.difference.high)


def _verdict_text(row: Contrast) -> str:
    if not isfinite(row.difference.low):
        return "not measured"
    if not row.difference.excludes_zero:
        return "no difference shown"
    if row.units < 2:
        return VERDICTS["one training"]
    better = (row.difference.value > 0) == MEASURES[row.measure].higher_is_better
    return f"B is {'better' if better else 'worse'}"
