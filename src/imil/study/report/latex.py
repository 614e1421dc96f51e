"""The main table for a paper, table.tex: a float that needs the packages booktabs and graphicx."""

from __future__ import annotations

from imil.output_text import latex_text
from imil.study.arms import Arm
from imil.study.phrases import count
from imil.study.report.control_comparisons import MAIN
from imil.study.report.findings import Findings, Row
from imil.study.report.number_format import SHARES, plain, signed
from imil.study.report.result_tables import grouped_arms
from imil.study.result_rows import BASE
from imil.study.statistics import MEASURES
from imil.study.statistics.verdict import CLAIMS, verdict
from imil.study.study_folder import TEST


def latex(findings: Findings) -> str:
    """The main table of the test set: per arm a line of means and one of intervals.

    Differences that are shown, after correction for the number of arms, are bold.
    """
    body: list[str] = []
    for arm, starts_group in grouped_arms(findings):
        rows = {row.measure: row for row in findings.rows(arm.id, MAIN)}
        if rows:
            body += [r"\addlinespace"] * starts_group + _lines(arm, rows)
    titles = [f"{latex_text(MEASURES[name].title)}{_unit(name)}" for name in MAIN]
    heads = " & ".join(rf"\multicolumn{{2}}{{c}}{{{title}}}" for title in titles)
    rules = "".join(rf"\cmidrule(lr){{{2 * i}-{2 * i + 1}}}" for i in range(1, len(MAIN) + 1))
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,graphicx}",
            r"\begin{table}[htbp]",
            r"\centering",
            rf"\caption{{{_caption(findings)}}}",
            r"\label{tab:study}",
            r"\smallskip",
            r"\small",
            # never wider than the page or the column
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{@{{}}l{'r' * 2 * len(MAIN)}@{{}}}}",
            r"\toprule",
            rf" & {heads} \\",
            rules,
            "Arm" + " & mean & difference" * len(MAIN) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def _caption(findings: Findings) -> str:
    text = (
        f"{findings.plan.name}: {findings.test_images}, {_trainings(findings)}. Means with 95 % "
        "confidence intervals; differences from the baseline, paired by training and image. Bold: "
        "a difference is shown, after correction for the number of arms."
    )
    if findings.paired_trainings == 1:
        text += " With one training per arm the arms cannot be ranked."
    if not findings.finished:
        done, total = findings.states["done"], len(findings.jobs)
        text += f" Not finished: {done} of {total} trainings are done."
    return latex_text(text)


def _trainings(findings: Findings) -> str:
    """The number of trainings per arm; a range where some arms are not finished."""
    units = findings.results_of(TEST)["units"]
    if units.empty:
        return "no training"
    low, high = int(units.min()), int(units.max())
    return f"{count(high, 'training') if low == high else f'{low} to {high} trainings'} per arm"


def _unit(measure: str) -> str:
    return r" (\%)" if measure in SHARES else ""


def _lines(arm: Arm, rows: dict[str, Row]) -> list[str]:
    first, second = [latex_text(arm.title)], [""]
    for measure in MAIN:
        row = rows[measure]
        first.append(latex_text(plain(measure, row.mean)))
        second.append(_interval(plain(measure, row.low), plain(measure, row.high)))
        if arm.id == BASE or verdict(row) == "not measured":
            first.append("--")
            second.append("")
            continue
        delta = latex_text(signed(measure, row.diff))
        bold = verdict(row) in CLAIMS
        first.append(rf"\textbf{{{delta}}}" if bold else delta)
        second.append(_interval(signed(measure, row.diff_low), signed(measure, row.diff_high)))
    return [" & ".join(first) + r" \\", " & ".join(second) + r" \\"]


def _interval(low: str, high: str) -> str:
    return rf"{{\scriptsize [{latex_text(low)}, {latex_text(high)}]}}"
