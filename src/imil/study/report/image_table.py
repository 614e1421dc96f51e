"""The table of the images: how many of each class and subgroup are in each part."""

from __future__ import annotations

import pandas as pd

from imil.study.report.findings import Findings
from imil.study.report.number_format import percent
from imil.study.report.table_types import Row, Table, number

PARTS = {"train": "Training", "val": "Validation", "test": "Test"}


def image_table(findings: Findings) -> Table:
    """Images, patients, classes and subgroups of each part of the data and each external set."""
    parts = _parts(findings)
    rows = [Row("Images", [number(f"{len(images):,}") for images in parts.values()])]
    if findings.split_by_patient:
        rows.append(Row("Patients", [number(_patients(images)) for images in parts.values()]))
    for label, name in enumerate(findings.classes):
        cells = [number(_share(images["label"] == label)) for images in parts.values()]
        rows.append(Row(name, cells, starts_group=label == 0))
    for column in findings.plan.subgroups:
        values = set(findings.images[column].fillna("").astype(str))
        for i, group in enumerate(sorted(values, key=lambda value: (not value, value))):
            cells = [
                number(_share(images[column].fillna("") == group)) for images in parts.values()
            ]
            rows.append(Row(f"{column}: {group or 'not known'}", cells, starts_group=i == 0))
    more = "" if findings.plan.splits.count == 1 else ", of the first split"
    return Table(f"Images{more}", ["", *parts], rows)


def _parts(findings: Findings) -> dict[str, pd.DataFrame]:
    """Title of each part that has images, to its images."""
    data = findings.images[findings.images["set"] == "data"]
    data = data.merge(findings.first_split[["key", "split"]], on="key")
    parts = {title: data[data["split"] == name] for name, title in PARTS.items()}
    for name in findings.facts["images"]:
        if name != "data":
            title = f"External: {name.removeprefix('external-')}"
            parts[title] = findings.images[findings.images["set"] == name]
    return {title: images for title, images in parts.items() if len(images)}


def _patients(images: pd.DataFrame) -> str:
    known = images["patient"].fillna("")
    return f"{known[known != ''].nunique():,}" if (known != "").any() else "not known"


def _share(chosen: pd.Series[bool]) -> str:
    return f"{int(chosen.sum()):,} ({percent(float(chosen.mean()))})"
