"""The main table for a paper: table.tex, a float that needs the packages booktabs and graphicx."""

from __future__ import annotations

from imil.study.arms import Arm
from imil.study.phrases import count
from imil.study.report.findings import Findings, Row
from imil.study.report.number_format import SHARES, plain, signed
from imil.study.report.result_tables import grouped
from imil.study.report.versus import MAIN
from imil.study.result_rows import BASE
from imil.study.statistics import MEASURES
from imil.study.statistics.verdict import CLAIMS, verdict
from imil.study.study_folder import TEST

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{one: f"\\{one}" for one in "&%$#_"},
    "−": "$-$",
    "–": "--",
    "<": "$<$",
    ">": "$>$",
}


def latex(found: Findings) -> str:
    """The test set's main table: per arm a line of means and one of intervals.

    Differences that are shown, also once corrected for the number of arms, are bold.
    """
    body: list[str] = []
    for arm, begins in grouped(found):
        rows = {row.measure: row for row in found.rows(arm.id, MAIN)}
        if rows:
            body += [r"\addlinespace"] * begins + _lines(arm, rows)
    heads = " & ".join(
        rf"\multicolumn{{2}}{{c}}{{{escape(MEASURES[one].title)}{_unit(one)}}}" for one in MAIN
    )
    rules = "".join(rf"\cmidrule(lr){{{2 * i}-{2 * i + 1}}}" for i in range(1, len(MAIN) + 1))
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,graphicx}",
            r"\begin{table}[htbp]",
            r"\centering",
            rf"\caption{{{_caption(found)}}}",
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


def escape(said: str) -> str:
    """Text that LaTeX prints as it is.

    >>> escape("50 % of R&D_1")
    '50 \\\\% of R\\\\&D\\\\_1'
    """
    return "".join(SPECIAL.get(one, one) for one in " ".join(said.split()))


def _caption(found: Findings) -> str:
    said = (
        f"{found.plan.name}: {found.test_images}, {_trainings(found)}. Means with 95 % intervals; "
        "differences from the baseline, paired by training and image. Bold: a difference is shown, "
        "also once corrected for the number of arms."
    )
    if found.units == 1:
        said += " With one training per arm the rows cannot be ranked."
    if not found.finished:
        said += f" Not finished: {found.states['done']} of {len(found.jobs)} trainings are done."
    return escape(said)


def _trainings(found: Findings) -> str:
    """How often arms were trained; where one is not finished, that is no one number."""
    units = found.of(TEST)["units"]
    if units.empty:
        return "no training"
    low, high = int(units.min()), int(units.max())
    return f"{count(high, 'training') if low == high else f'{low} to {high} trainings'} per arm"


def _unit(measure: str) -> str:
    return r" (\%)" if measure in SHARES else ""


def _lines(arm: Arm, rows: dict[str, Row]) -> list[str]:
    first, second = [escape(arm.title)], [""]
    for measure in MAIN:
        row = rows[measure]
        first.append(escape(plain(measure, row.mean)))
        second.append(_ends(plain(measure, row.low), plain(measure, row.high)))
        if arm.id == BASE or verdict(row) == "not measured":
            first.append("--")
            second.append("")
            continue
        delta = escape(signed(measure, row.diff))
        bold = verdict(row) in CLAIMS
        first.append(rf"\textbf{{{delta}}}" if bold else delta)
        second.append(_ends(signed(measure, row.diff_low), signed(measure, row.diff_high)))
    return [" & ".join(first) + r" \\", " & ".join(second) + r" \\"]


def _ends(low: str, high: str) -> str:
    return rf"{{\scriptsize [{escape(low)}, {escape(high)}]}}"
