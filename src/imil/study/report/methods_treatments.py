"""The sentences on treatments: what was done, with which controls and rounds, and what chose."""

from __future__ import annotations

from collections.abc import Iterator

from imil.round_settings import most_cases
from imil.study.arms import CONTROL_TITLES
from imil.study.phrases import count, listed
from imil.study.plan import Plan
from imil.study.plan_tables import Treatment
from imil.study.report.findings import Findings
from imil.study.report.number_format import percent
from imil.study.screening import candidates, screening_measure


def treatment_sentences(findings: Findings) -> Iterator[str]:
    """What else was done with the readings, and with which controls."""
    plan = findings.plan
    for one in plan.treatments:
        yield _what_was_done(one, plan)
        if "reader-free" in one.controls:
            yield (
                f"The control without a reader was the treatment {one.text_without_reader}: no "
                "reading plays a part in it."
            )
        if one.without_shortcut:
            yield (
                "It was also tried where no shortcut was planted, with a round of its own, to see "
                "what it costs."
            )
    shares = sorted({one.share_of_data for one in plan.treatments if one.share_of_data < 1})
    if shares:
        yield (
            f"Shares of {listed([percent(share) for share in shares])} of the training images were "
            "drawn with the seed, stratified by class and keeping the images of a patient "
            "together; a treatment of a share was compared with a baseline of the same images."
        )
    yield from _screening(findings)


def _what_was_done(one: Treatment, plan: Plan) -> str:
    """One treatment, its readings, and its controls."""
    what = "" if one.text == one.name else f" ({one.text})"
    readings = (
        f"rounds of its own with {plan.readers[0].name}{_settings(one, plan)}"
        if one.has_own_round
        else f"the readings of the arm IMIL ({plan.readers[0].name})"
    )
    controls = [CONTROL_TITLES[name] for name in one.controls]
    ending = f", and as controls with {listed(controls)}" if controls else ""
    return f"The treatment {one.name}{what} of imil was applied with {readings}{ending}."


def _settings(one: Treatment, plan: Plan) -> str:
    """What differs from the rounds of the other arms, such as ` (grid 2×2)`."""
    arm = next(arm for arm in plan.rows if arm.treatment == one.name)
    settings = plan.settings(arm, plan.seeds[0])
    texts = {
        "grid_size": f"grid {settings.grid_size.replace('x', '×')}",
        "num_outliers": f"{most_cases(settings)} cases",
        "budget": f"{most_cases(settings)} cases over all rounds",
        "imil_epoch": f"after epoch {listed([str(epoch) for epoch in settings.imil_epoch])}",
    }
    parts = [texts[name] for name in one.round_settings]
    if one.share_of_data < 1:
        parts.append(f"{percent(one.share_of_data)} of the training images")
    return f" ({'; '.join(parts)})"


def _screening(findings: Findings) -> Iterator[str]:
    """Which seeds chose the best treatment, and by what."""
    plan = findings.plan
    if plan.screening is None:
        return
    seeds = plan.screening.seeds
    measure = screening_measure(plan).title
    yield (
        f"The {count(len(candidates(plan)), 'treatment')} were screened with "
        f"{count(len(seeds), 'seed')} ({listed([str(seed) for seed in seeds])}): the one with the "
        f"largest mean gain in the test set ({measure}) was chosen. The other "
        f"{count(len(plan.seeds) - len(seeds), 'seed')} alone confirm it, so the choice does not "
        "flatter it; the test images are the same in both parts."
    )
