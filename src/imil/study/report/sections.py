"""What stands around the results: status, data, controls, focus, limits, methods, checklist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import isfinite

import pandas as pd

from imil.study.figures.attention_energy import blank, rough, summed_up
from imil.study.phrases import count, duration, listed
from imil.study.report.claim import Item
from imil.study.report.findings import MASKS, Findings
from imil.study.report.html import (
    Cell,
    Line,
    Piece,
    el,
    items,
    join,
    lines,
    paragraphs,
    section,
    small,
    table,
)
from imil.study.report.limits import missing
from imil.study.report.number_format import (
    SHARES,
    percent,
    probability,
    signed,
    signed_interval,
    value,
)
from imil.study.report.result_tables import grouped, shown_text
from imil.study.report.summary import Paragraph
from imil.study.report.versus import Versus
from imil.study.statistics import MEASURES
from imil.study.statistics.verdict import CLAIMS, verdict
from imil.study.study_folder import TEST, Job

PARTS = {"train": "Training", "val": "Validation", "test": "Test"}


def status(found: Findings) -> Piece:
    """Whether the study is finished, first of all."""
    done, every = found.states["done"], len(found.jobs)
    if found.finished:
        return el("p", f"Finished: all {every} trainings are done.", at={"class": "status done"})
    head = el("p", el("strong", f"Not finished: {done} of {every} trainings are done."))
    tail = el("p", "What follows is drawn from those that are done and will change.")
    said = {"class": "status unfinished", "role": "note", "aria-label": "The study is not finished"}
    return el("div", head, items(missing(found)), tail, at=said)


def found_section(paragraphs_: Sequence[Paragraph]) -> Piece:
    """The summary."""
    said = []
    for one in paragraphs_:
        said += [el("h3", one.title), items(one.said)]
    return section("Summary", *said)


def done_section(found: Findings) -> Piece:
    """What was done, in a few lines, and who the images are of."""
    s, plan = found.settings, found.plan
    facts = [
        ("Arms", listed([arm.title for arm in plan.rows])),
        ("Model", f"{s.model}, {s.image_size}×{s.image_size} pixels, {count(s.epochs, 'epoch')}"),
        ("Round", _round(found)),
        ("Seeds", listed([str(seed) for seed in plan.seeds])),
        ("Splits", f"{plan.splits.count}, with {found.test_images}"),
        ("Worked", _worked(list(found.jobs))),
    ]
    terms = [piece for name, said in facts if said for piece in (el("dt", name), el("dd", said))]
    return section("What was done", el("dl", *terms), _data_table(found))


def _round(found: Findings) -> str:
    if not found.readers:
        return "none"
    s = found.settings
    epochs = listed([str(epoch) for epoch in s.imil_epoch])
    return (
        f"after epoch {epochs}, up to {count(s.num_outliers, 'case')} on a "
        f"{s.grid_size.replace('x', '×')} grid, read by "
        f"{listed([reader.name for reader in found.plan.readers])}"
    )


def _worked(jobs: Sequence[Job]) -> str:
    seconds = sum(float(job.status.get("seconds", 0)) for job in jobs)
    return f"{duration(seconds)} of running, all processes added" if seconds else ""


def _data_table(found: Findings) -> Piece:
    """How many images of each class and group are in each part."""
    own = found.images[found.images["set"] == "data"].merge(found.split[["key", "split"]], on="key")
    parts = [(title, own[own["split"] == name]) for name, title in PARTS.items()]
    for name in found.facts["images"]:
        if name != "data":
            title = f"External: {name.removeprefix('external-')}"
            parts.append((title, found.images[found.images["set"] == name]))
    parts = [(title, part) for title, part in parts if len(part)]
    made = [Line("Images", [Cell(f"{len(part):,}", "n") for _, part in parts])]
    if found.by_patient:
        made.append(Line("Patients", [Cell(_patients(part), "n") for _, part in parts]))
    for label, name in enumerate(found.classes):
        cells = [Cell(_share(part["label"] == label), "n") for _, part in parts]
        made.append(Line(name, cells, begins=label == 0))
    for column in found.plan.subgroups:
        every = sorted(set(found.images[column].fillna("").astype(str)), key=lambda v: (not v, v))
        for i, of in enumerate(every):
            cells = [Cell(_share(part[column].fillna("") == of), "n") for _, part in parts]
            made.append(Line(f"{column}: {of or 'not known'}", cells, begins=i == 0))
    more = "" if found.plan.splits.count == 1 else ", of the first split"
    return table(f"The images{more}", ["", *(title for title, _ in parts)], made)


def _patients(part: pd.DataFrame) -> str:
    known = part["patient"].fillna("")
    return f"{known[known != ''].nunique():,}" if (known != "").any() else "not known"


def _share(wanted: pd.Series[bool]) -> str:
    return f"{int(wanted.sum()):,} ({percent(float(wanted.mean()))})"


def controls_section(found: Findings, against: Sequence[Versus]) -> Piece:
    """IMIL minus each control: what is left for the reader's judgement."""
    if not against:
        said = "No control was run. Whether the reader's squares cause a difference is not known."
        return section("Controls", el("p", said)) if found.readers else Piece()
    pairs = dict.fromkeys((one.arm, one.control) for one in against)
    made = []
    for arm, control in pairs:
        cells = [_versus(one) for one in against if (one.arm, one.control) == (arm, control)]
        made.append(Line(f"{arm.title} − {control.title.removeprefix('Control: ')}", cells))
    measures = list(dict.fromkeys(one.measure for one in against))
    heads = ["Test set", *(f"{MEASURES[one].title}{_unit(one)}" for one in measures)]
    said = "With 95 % intervals. p is that of no difference, corrected for the number of controls."
    why = (
        "An improvement is believed only where it is larger than what the same cases give without "
        "the reader's judgement: with squares drawn at random, with the squares that the reader "
        "did not select, with a random box, or left as they are and drawn more often."
    )
    made_table = table("IMIL minus its controls", heads, made, note=said, kind="results")
    return section("Controls", el("p", why), made_table)


def _unit(measure: str) -> str:
    return ", points" if measure in SHARES else ""


def _versus(one: Versus) -> Cell:
    shows = verdict(one)
    if shows == "not measured":
        return Cell("–", "n faint")
    p = f"p {'' if one.p < 0.001 else '= '}{probability(one.p)}" if isfinite(one.p) else ""
    inside = lines(
        signed(one.measure, one.diff),
        small(signed_interval(one.measure, one.diff_low, one.diff_high)),
        small(p) if p else "",
        el("small", shown_text(one), at={"class": "word"}),
    )
    return Cell(inside, "n shown" if shows in CLAIMS else "n faint")


def focus_section(found: Findings) -> Piece:
    """Where the trained networks look, on test images with masks."""
    summed = summed_up(found.focus)
    if summed.empty:
        return Piece()
    made: list[Line] = []
    order = [*MASKS, *summed["mask"]]  # lesions first
    for mask in (mask for mask in dict.fromkeys(order) if mask in set(summed["mask"])):
        own = summed[summed["mask"] == mask].set_index("arm")
        for i, (arm, _) in enumerate((a, b) for a, b in grouped(found) if a.id in own.index):
            row = own.loc[arm.id]
            cells = [
                Cell(MASKS.get(str(mask), str(mask))),
                *(Cell(value("accuracy", float(row[one])), "n") for one in ("energy", "area")),
                Cell(f"{row['ratio']:.2f}" if isfinite(row["ratio"]) else "–", "n"),
                Cell(value("accuracy", float(row["pointing"])), "n"),
                *(Cell(f"{int(row[one]):,}", "n") for one in ("images", "blank")),
            ]
            made.append(Line(arm.title, cells, begins=i == 0 and bool(made)))
    heads = ["Arm", "Mask", "Energy inside", "Area", "Energy / area", "Pointing", "Heat-maps"]
    heads.append("of which blank")
    said = (
        "Energy inside: share of the heat-map's energy that lies in the mask; area: share of the "
        "image that the mask covers, which is what a heat-map without any focus would have inside; "
        "pointing: how often the hottest place lies in the mask. Heat-maps are of the true class. "
        f"{rough(found.settings)}{blank(found.focus)}"
    )
    return section("Focus", table("Where the networks look", heads, made, note=said))


def limits_section(said: Sequence[str]) -> Piece:
    """The limits that the study's folder shows."""
    return section("Limits", items(map(_sentence, said)))


def _sentence(said: str) -> str:
    said = said.strip()
    ended = said if said.endswith((".", "!", "?")) else f"{said}."
    return ended[:1].upper() + ended[1:]


def methods_section(said: Sequence[str]) -> Piece:
    """The paragraphs on methods."""
    first = (
        "These paragraphs can be pasted into a paper. They say what the folder shows; check them."
    )
    return section("Methods", el("p", first), el("blockquote", paragraphs(said)))


def claim_section(every: Sequence[Item]) -> Piece:
    """The checklist."""
    states = Counter(item.state for item in every)
    first = (
        f"Of {len(every)} items the study's folder answers {states['answered']}, answers "
        f"{states['in part']} in part, and leaves {states['for the authors']} to the authors. "
        "Items in our own words, after Tejani et al., Radiology: Artificial Intelligence 2024; "
        "use the original for a submission."
    )
    made, before = [], ""
    for item in every:
        state = Cell(item.state, item.state.replace(" ", "-"))
        head = join(f"{item.number} ", small(item.part) if item.part != before else "")
        made.append(Line(head, [item.asks, state, item.answer], item.part != before))
        before = item.part
    heads = ["Item", "What is to be reported", "State", "Answer"]
    return section(
        "CLAIM checklist",
        el("p", first),
        table("The 44 items of the CLAIM checklist, 2024 update", heads, made, kind="claim"),
    )


def software_section(found: Findings) -> Piece:
    """Versions, seeds, and what identifies the data."""
    facts = found.facts
    versions = [f"{name} {number}" for name, number in facts.get("versions", {}).items()]
    terms = [
        ("Software", ", ".join(versions)),
        ("Seeds of training", ", ".join(map(str, found.plan.seeds))),
        ("Seed of the splits", str(found.plan.splits.seed)),
        ("Begun", str(facts.get("created", ""))),
        ("Data (SHA-256)", el("code", str(facts.get("fingerprint", "")))),
        ("Images", ", ".join(f"{name}: {n:,}" for name, n in facts["images"].items())),
    ]
    inside = [piece for name, said in terms if said for piece in (el("dt", name), el("dd", said))]
    return section("Software, seeds, data", el("dl", *inside))


def subgroups_section(found: Findings, tables: Sequence[Piece]) -> Piece:
    """One table a grouping and measure, with how many differences were looked at."""
    if not tables:
        return Piece()
    first = (
        "Groups are small and many: by chance alone about one interval in twenty excludes zero. "
        "What is shown in one group and not in another is no difference between the groups."
    )
    elsewhere = any(name and of != TEST for of, name in _parts(found))
    more = "Subgroups of the external sets are in table.csv." if elsewhere else ""
    return section("Subgroups", paragraphs(filter(None, [first, more])), *tables)


def _parts(found: Findings) -> set[tuple[str, str]]:
    """The sets and subgroups that there are results of; the subgroup is empty for everyone."""
    return set(zip(found.table["set"], found.table["subgroup"], strict=True))


def external_section(tables: Sequence[Piece]) -> Piece:
    """The sets that were never trained on."""
    return section("External sets", *tables)
