"""The report's files, made from the study's folder; figures of images need the images too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imil.atomic_files import atomic_write, write_table
from imil.cases import Image
from imil.data.table import read_data
from imil.errors import ImilError
from imil.images.load import load_image, load_mask
from imil.study.arms import Arm
from imil.study.figures import Drawn, LeftOut, Loaders, draw_all
from imil.study.phrases import count
from imil.study.plan import Plan
from imil.study.reader_sessions import agreed
from imil.study.report.claim import checklist
from imil.study.report.control_comparisons import compare_with_controls
from imil.study.report.findings import Findings, read_findings
from imil.study.report.latex import latex
from imil.study.report.limits import limits
from imil.study.report.methods import methods
from imil.study.report.page import Block, Section, figures_section, render_page
from imil.study.report.reader_tables import kappa_of_squares, readers_section
from imil.study.report.result_tables import main_table, networks_table, other_table
from imil.study.report.sections import (
    claim_section,
    controls_section,
    external_section,
    focus_section,
    limits_section,
    methods_section,
    software_section,
    status,
    study_section,
    subgroups_section,
)
from imil.study.report.shortcut_section import shortcut_section
from imil.study.report.summary import (
    minimum_detectable_difference,
    network_differences,
    ranking,
    summary,
)
from imil.study.result_rows import Group, unit_results, whole_sets
from imil.study.screening import confirmation_table
from imil.study.study_folder import TEST, StudyFolder


def write_report(study: StudyFolder, plan: Plan, *, loaders: Loaders | None = None) -> None:
    """Write report.html, table.csv, units.csv, table.tex and the figures.

    Where the plan has a shortcut, also shortcut.csv; where it has a screening, confirmation.csv.

    Args:
        study: the folder, finished or not; every result comes from the predictions in it.
        plan: what the study was to do.
        loaders: load images and masks, for the figures that show some; None: from the plan's
            data.
    Raises: DataError: a file of the study is missing or damaged, or cannot be written.
    """
    findings = read_findings(study, plan)
    kappa = kappa_of_squares(agreed(findings.sessions))
    loaders = loaders or plan_loaders(plan)
    drawn, left_out = draw_all(
        study,
        plan,
        findings.table,
        loaders,
        kappa=kappa,
        predictions=findings.predictions,
        shortcut=findings.shortcut,
    )
    with atomic_write(study.report) as file:
        file.write_text(document(findings, drawn, left_out), encoding="utf-8")
    write_table(study.path / "table.csv", findings.table)
    write_table(study.path / "units.csv", unit_results(whole_sets(findings.predictions).values()))
    if plan.shortcut is not None:
        write_table(study.shortcut_table, findings.shortcut)
    if plan.screening is not None:
        write_table(study.confirmation_table, confirmation_table(findings.predictions))
    with atomic_write(study.path / "table.tex") as file:
        file.write_text(latex(findings), encoding="utf-8")


def plan_loaders(plan: Plan) -> Loaders:
    """Loaders of images and lesion masks by key; empty where the data cannot be read."""
    settings = plan.settings(Arm("baseline"), plan.seeds[0])
    try:
        table = read_data(Path(plan.data), settings.columns())
    except ImilError:
        return Loaders()
    positions = {key: i for i, key in enumerate(table.keys)}
    lesions = next(iter(table.masks.values()), None)  # the best mask comes first

    def load(key: str) -> Image:
        return load_image(table.images[positions[key]])

    def mask(key: str) -> NDArray[np.bool_] | None:
        file = None if lesions is None else lesions[positions[key]]
        return None if file is None else load_mask(file)

    return Loaders(load, mask)


def document(findings: Findings, drawn: Sequence[Drawn], left_out: Sequence[LeftOut]) -> str:
    """The page.

    Args:
        drawn, left_out: figures that were drawn, and those that were not, with the reason.
    """
    test = whole_sets(findings.predictions)[TEST]
    comparisons = compare_with_controls(findings, test)
    detectable = minimum_detectable_difference(findings, test)
    sections = [
        Section("Summary", summary(findings, comparisons, detectable)),
        study_section(findings),
        _results_section(findings, test),
        shortcut_section(findings),
        figures_section(findings.study.figures, drawn, left_out),
        controls_section(findings, comparisons),
        external_section(findings),
        subgroups_section(findings),
        focus_section(findings),
        readers_section(findings.sessions, agreed(findings.sessions)),
        limits_section(limits(findings)),
        methods_section(methods(findings)),
        claim_section(checklist(findings)),
        software_section(findings),
    ]
    return render_page(findings.plan.name, _subtitle(findings), status(findings), sections)


def _subtitle(findings: Findings) -> str:
    plan = findings.plan
    parts = [
        count(len(plan.rows), "arm"),
        count(len(plan.seeds), "seed"),
        count(plan.splits.count, "split"),
        findings.test_images,
    ]
    return f"{' · '.join(parts)} · report of a study with imil"


def _results_section(findings: Findings, test: Group) -> Section:
    if TEST not in findings.sets:
        return Section("Results", [Block(paragraphs=["No training is done yet."])])
    texts = [ranking(findings), network_differences(findings, test)]
    tables = [
        main_table(findings, TEST, "Table 1. Test set"),
        other_table(findings, TEST, "Table 2. Other measures on the test set"),
        networks_table(findings, unit_results([test])),
    ]
    return Section("Results", [Block(paragraphs=[t for t in texts if t], tables=tables)])
