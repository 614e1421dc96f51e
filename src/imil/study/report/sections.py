"""The sections around the results: study, controls, focus, subgroups, methods, checklist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import isfinite

from imil.round_settings import most_cases
from imil.study.figures.focus_tables import blank_sentence, focus_by_arm, resolution_sentence
from imil.study.phrases import count, duration, listed
from imil.study.report.claim import Item
from imil.study.report.control_comparisons import ControlComparison
from imil.study.report.findings import MASKS, Findings
from imil.study.report.image_table import image_table
from imil.study.report.limits import missing_trainings
from imil.study.report.number_format import SHARES, value
from imil.study.report.page import Block, Section, Status, Term
from imil.study.report.result_tables import (
    difference_text,
    grouped_arms,
    main_table,
    other_table,
    subgroup_table,
)
from imil.study.report.table_types import Cell, Row, Table, number
from imil.study.statistics import MEASURES
from imil.study.study_folder import Job

SUBGROUP_MEASURES = ("accuracy", "auroc")  # of subgroups; the other measures are folded


def status(findings: Findings) -> Status:
    """How far the study is."""
    lines = [] if findings.finished else missing_trainings(findings)
    return Status(findings.finished, findings.states["done"], len(findings.jobs), lines)


def study_section(findings: Findings) -> Section:
    """What was done, in a few lines, and the images."""
    settings, plan = findings.settings, findings.plan
    size = f"{settings.image_size}×{settings.image_size}"
    terms = [
        Term("Arms", listed([arm.title for arm in plan.rows])),
        Term("Model", f"{settings.model}, {size} pixels, {count(settings.epochs, 'epoch')}"),
        Term("Round", _round(findings)),
        Term("Seeds", listed([str(seed) for seed in plan.seeds])),
        Term("Splits", f"{plan.splits.count}, with {findings.test_images}"),
        Term("Running time", _running_time(list(findings.jobs))),
    ]
    block = Block(terms=[term for term in terms if term.text], tables=[image_table(findings)])
    return Section("Study", [block])


def _round(findings: Findings) -> str:
    if not findings.imil_arms:
        return "none"
    settings = findings.settings
    epochs = listed([str(epoch) for epoch in settings.imil_epoch])
    return (
        f"after epoch {epochs}, up to {count(most_cases(settings), 'case')} on a "
        f"{settings.grid_size.replace('x', '×')} grid, read by "
        f"{listed([reader.name for reader in findings.plan.readers])}"
    )


def _running_time(jobs: Sequence[Job]) -> str:
    seconds = sum(float(job.status.get("seconds", 0)) for job in jobs)
    return f"{duration(seconds)}, summed over all processes" if seconds else ""


def controls_section(findings: Findings, comparisons: Sequence[ControlComparison]) -> Section:
    """IMIL and treatments minus each control: what remains for the reader's judgement."""
    if not comparisons:
        text = "No control was run: it is not known whether the reader's squares are the cause of "
        text += "a difference."
        return Section("Controls", [Block(paragraphs=[text])] if findings.imil_arms else [])
    by_pair: dict[str, list[Cell]] = {}
    for one in comparisons:
        name = f"{one.arm.title} − {one.control.title.removeprefix('Control: ')}"
        by_pair.setdefault(name, []).append(Cell(css="number", difference=difference_text(one)))
    measures = list(dict.fromkeys(one.measure for one in comparisons))
    heads = [f"{MEASURES[m].title}{', points' if m in SHARES else ''}" for m in measures]
    note = (
        "With 95 % confidence intervals. p is that of no difference, corrected for the number of "
        "controls."
    )
    why = (
        "A gain supports a method only where it is larger than what the same cases give without "
        "the reader's judgement: with squares drawn at random, with the squares that the reader "
        "did not select, with a random box, or unchanged and oversampled."
    )
    rows = [Row(name, cells) for name, cells in by_pair.items()]
    title = "IMIL minus its controls"
    if any(one.arm.kind == "treatment" for one in comparisons):
        title = "IMIL and treatments minus their controls"
    table = Table(title, ["Test set", *heads], rows, note, "results")
    return Section("Controls", [Block(paragraphs=[why], tables=[table])])


def external_section(findings: Findings) -> Section:
    """The sets that were never trained on."""
    tables = []
    for set_name in findings.external_sets:
        name = set_name.removeprefix("external-")
        tables.append(main_table(findings, set_name, f"External set {name}"))
        title = f"Other measures on the external set {name}"
        tables.append(other_table(findings, set_name, title))
    return Section("External sets", [Block(tables=tables)] if tables else [])


def subgroups_section(findings: Findings) -> Section:
    """The tables of each grouping; most measures are folded."""
    blocks = []
    for column in findings.plan.subgroups:
        if any(name.startswith(f"{column}=") for name in findings.subgroups):
            tables = {name: subgroup_table(findings, column, name) for name in MEASURES}
            shown = [tables.pop(measure) for measure in SUBGROUP_MEASURES]
            title = f"Other measures, by {column} (also in table.csv)"
            blocks.append(
                Block(column, tables=shown, folded_title=title, folded=[*tables.values()])
            )
    if not blocks:
        return Section("Subgroups")
    first = (
        "Subgroups are small and many: by chance alone about one interval in twenty excludes zero. "
        "A difference that is shown in one subgroup and not in another does not show that the "
        "subgroups differ."
    )
    texts, table = [first], findings.table
    if (table["set"].isin(findings.external_sets) & (table["subgroup"] != "")).any():
        texts.append("Subgroups of the external sets are in table.csv.")
    return Section("Subgroups", [Block(paragraphs=texts), *blocks])


def focus_section(findings: Findings) -> Section:
    """Where the trained networks look, on test images with masks."""
    summary = focus_by_arm(findings.focus)
    if summary.empty:
        return Section("Focus")
    rows: list[Row] = []
    masks = set(summary["mask"])
    for mask in (name for name in dict.fromkeys([*MASKS, *summary["mask"]]) if name in masks):
        of_mask = summary[summary["mask"] == mask].set_index("arm")
        arms = [arm for arm, _ in grouped_arms(findings) if arm.id in of_mask.index]
        for i, arm in enumerate(arms):
            row = of_mask.loc[arm.id]
            cells = [
                Cell(MASKS.get(str(mask), str(mask))),
                *(number(value("accuracy", float(row[name]))) for name in ("energy", "area")),
                number(f"{row['ratio']:.2f}" if isfinite(row["ratio"]) else "–"),
                number(value("accuracy", float(row["pointing"]))),
                *(number(f"{int(row[name]):,}") for name in ("images", "blank")),
            ]
            rows.append(Row(arm.title, cells, starts_group=i == 0 and bool(rows)))
    heads = ["Arm", "Mask", "Energy inside", "Area", "Energy / area", "Pointing game", "Heat-maps"]
    heads.append("of which blank")
    note = (
        "Energy inside: share of the heat-map's energy inside the mask; area: share of the image "
        "that the mask covers, which is the energy inside expected of a uniform heat-map; pointing "
        "game: share of heat-maps whose maximum lies in the mask. Heat-maps are of the true class. "
        f"{resolution_sentence(findings.settings)}{blank_sentence(findings.focus)}"
    )
    table = Table("Where the networks look", heads, rows, note)
    return Section("Focus", [Block(tables=[table])])


def limits_section(limits: Sequence[str]) -> Section:
    """The limitations that the study's folder shows."""
    items = [_sentence(limit) for limit in limits]
    return Section("Limitations", [Block(items=items)] if items else [])


def _sentence(text: str) -> str:
    text = text.strip()
    ended = text if text.endswith((".", "!", "?")) else f"{text}."
    return ended[:1].upper() + ended[1:]


def methods_section(paragraphs: Sequence[str]) -> Section:
    """The paragraphs on methods."""
    first = "These paragraphs are meant to be pasted into a paper. They are generated from the "
    first += "study's folder: check them."
    return Section("Methods", [Block(paragraphs=[first]), Block(quote=paragraphs)])


def claim_section(items: Sequence[Item]) -> Section:
    """The CLAIM checklist."""
    states = Counter(item.state for item in items)
    first = (
        f"Of {len(items)} items the study's folder answers {states['answered']}, answers "
        f"{states['in part']} in part, and leaves {states['for the authors']} to the authors. "
        "Items are paraphrased from Tejani et al., Radiology: Artificial Intelligence 2024; use "
        "the original for a submission."
    )
    rows, part = [], ""
    for item in items:
        starts = item.part != part
        cells = [
            Cell(item.request),
            Cell(item.state, item.state.replace(" ", "-")),
            Cell(item.answer),
        ]
        rows.append(Row(str(item.number), cells, item.part if starts else "", starts))
        part = item.part
    heads = ["Item", "What to report", "State", "Answer"]
    title = "The 44 items of the CLAIM checklist, 2024 update"
    table = Table(title, heads, rows, css="claim")
    return Section("CLAIM checklist", [Block(paragraphs=[first], tables=[table])])


def software_section(findings: Findings) -> Section:
    """Versions, seeds, and the hash of the data."""
    facts = findings.facts
    versions = [f"{name} {number_}" for name, number_ in facts.get("versions", {}).items()]
    terms = [
        Term("Software", ", ".join(versions)),
        Term("Seeds of training", ", ".join(map(str, findings.plan.seeds))),
        Term("Seed of the splits", str(findings.plan.splits.seed)),
        Term("Started", str(facts.get("created", ""))),
        Term("Data (SHA-256)", str(facts.get("fingerprint", "")), code=True),
        Term("Images", ", ".join(f"{name}: {n:,}" for name, n in facts["images"].items())),
    ]
    block = Block(terms=[term for term in terms if term.text])
    return Section("Software, seeds, data", [block])
