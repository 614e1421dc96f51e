"""The report's files, made from the study's folder; figures of images need the images too."""

from __future__ import annotations

from collections.abc import Sequence

from imil.atomic_files import atomic_write, write_table
from imil.study.figures import Drawn, LeftOut, Loaders, draw_all
from imil.study.phrases import count
from imil.study.plan import Plan
from imil.study.reader_sessions import agreed
from imil.study.report.claim import checklist
from imil.study.report.figure_section import figures_section
from imil.study.report.findings import Findings, find
from imil.study.report.html import Piece, el, folded, join, section
from imil.study.report.latex import latex
from imil.study.report.limits import limits
from imil.study.report.loaders import loaders as loaders_of
from imil.study.report.methods import methods
from imil.study.report.page import contents, page
from imil.study.report.power import smallest
from imil.study.report.reader_section import in_squares, readers_section
from imil.study.report.result_tables import group_table, main_table, networks_table, other_table
from imil.study.report.sections import (
    claim_section,
    controls_section,
    done_section,
    external_section,
    focus_section,
    found_section,
    limits_section,
    methods_section,
    software_section,
    status,
    subgroups_section,
)
from imil.study.report.summary import networks, ranking, summary
from imil.study.report.versus import versus
from imil.study.result_rows import Group, unit_results, whole_sets
from imil.study.statistics import MEASURES
from imil.study.study_folder import TEST, StudyFolder

GROUPED = ("accuracy", "auroc")  # of subgroups; the other measures are folded


def write_report(study: StudyFolder, plan: Plan, *, loaders: Loaders | None = None) -> None:
    """Write report.html, table.csv, units.csv, table.tex and the figures.

    Args:
        study: the folder, finished or not; every result comes from the predictions in it.
        plan: what the folder's study was to do.
        loaders: how to get at images and masks, for the figures that show some; None: from the
            plan's data.
    Raises: DataError: a file of the study is missing or damaged, or cannot be written.
    """
    found = find(study, plan)
    kappa = in_squares(agreed(found.sessions))
    drawn, left = draw_all(
        study,
        plan,
        found.table,
        loaders or loaders_of(plan),
        kappa=kappa,
        predictions=found.predictions,
    )
    with atomic_write(study.report) as half:
        half.write_text(document(found, drawn, left), encoding="utf-8")
    write_table(study.path / "table.csv", found.table)
    write_table(study.path / "units.csv", unit_results(whole_sets(found.predictions).values()))
    with atomic_write(study.path / "table.tex") as half:
        half.write_text(latex(found), encoding="utf-8")


def document(found: Findings, drawn: Sequence[Drawn], left: Sequence[LeftOut]) -> str:
    """The page.

    Args:
        drawn, left: figures that were drawn, and those that were not, with the reason.
    """
    test = whole_sets(found.predictions)[TEST]
    against = versus(found, test)
    body = join(
        found_section(summary(found, against, smallest(found, test))),
        done_section(found),
        section("Results", *_results(found, test)),
        figures_section(found.study.figures, drawn, left),
        controls_section(found, against),
        external_section(_external(found)),
        subgroups_section(found, _groups(found)),
        focus_section(found),
        readers_section(found.sessions, agreed(found.sessions)),
        limits_section(limits(found)),
        methods_section(methods(found)),
        claim_section(checklist(found)),
        software_section(found),
    )
    return page(found.plan.name, el("header", *_head(found), contents(body)), el("main", body))


def _head(found: Findings) -> list[Piece]:
    plan = found.plan
    parts = [
        count(len(plan.rows), "arm"),
        count(len(plan.seeds), "seed"),
        count(plan.splits.count, "split"),
        found.test_images,
    ]
    lead = el("p", f"{' · '.join(parts)} · report of a study with imil", at={"class": "lead"})
    return [el("h1", plan.name), lead, status(found)]


def _results(found: Findings, test: Group) -> list[Piece]:
    if TEST not in found.sets:
        return [el("p", "No training is done yet.")]
    return [
        el("p", ranking(found)),
        el("p", networks(found, test)),
        main_table(found, TEST, "Table 1. Test set"),
        other_table(found, TEST, "Table 2. Other measures on the test set"),
        networks_table(found, unit_results([test])),
    ]


def _external(found: Findings) -> list[Piece]:
    made = []
    for which in (which for which in found.sets if which != TEST):
        name = which.removeprefix("external-")
        made.append(main_table(found, which, f"External set {name}"))
        made.append(other_table(found, which, f"Other measures on the external set {name}"))
    return made


def _groups(found: Findings) -> list[Piece]:
    made = []
    for column in found.plan.subgroups:
        if any(name.startswith(f"{column}=") for name in found.subgroups):
            tables = {measure: group_table(found, column, measure) for measure in MEASURES}
            shown = [tables.pop(measure) for measure in GROUPED]
            rest = folded(
                f"Other measures, by {column} (they are in table.csv too)", *tables.values()
            )
            made += [el("h3", column), *shown, rest]
    return made
