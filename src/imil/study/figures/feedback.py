"""Feedback from the image to its effect (the paper's Figure 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from imil.errors import DataError
from imil.fills import blackout
from imil.images.colours import Picture, overlay
from imil.images.montage import marks_as_text
from imil.images.render import grid_lines, percent, squares_as_text
from imil.study.figures.case_readings import (
    CaseReading,
    case_image,
    case_readings,
    simulated_sentence,
)
from imil.study.figures.figure_inputs import FigureInputs, MissingData
from imil.study.figures.image_layout import Box, add_axes, add_text, fixed_figure
from imil.study.figures.image_panels import panel_height, print_size, show_image
from imil.study.figures.panel_layout import PAGE_WIDTH
from imil.study.figures.style import BASELINE, GREY, IMIL, INK, LINE, SMALL, Drawing, hide_axes
from imil.study.figures.text_fit import fit_text
from imil.study.phrases import duration
from imil.study.study_folder import Job

MAX_CASES = 4  # as in the paper
LEFT, TOP, GAP = 0.08, 0.3, 0.08  # inches
HEADING, CASE_GAP = 0.22, 0.14  # inches: the line of text above a case, between two cases
PICTURE, BARS = 1.3, 1.3  # inches: the width of a picture, and of the bars
COLUMNS = ("Image", "Attention", "Squares selected", "Trained on from then on")
LAST_COLUMN = "Probability of true class"


@dataclass(frozen=True)
class TrueClassProbability:
    """The probability of the true class; None where it is not known.

    Args:
        before: before the round.
        end: at the end of the training that the round belongs to.
        baseline: at the end of the baseline, which is the same training without the round.
    """

    before: float | None
    end: float | None
    baseline: float | None


def draw(inputs: FigureInputs) -> Drawing:
    """Some cases from image to blackout, and the probability of the true class before and after.

    Raises: MissingData: no reader selected a square.
    """
    shown = _choose([one for one in case_readings(inputs) if one.reading.verdict == "focus"])
    if not shown:
        raise MissingData("no reader has selected a square")
    probabilities = [_probabilities(inputs, one) for one in shown]
    return Drawing(
        "feedback",
        "Feedback from the image to its effect",
        _caption(shown, probabilities, simulated_sentence(inputs, shown)),
        _figure(shown, probabilities),
        _table(shown, probabilities),
    )


def _choose(readings: Sequence[CaseReading]) -> list[CaseReading]:
    """The first cases of each reader's first training, in turn, each image once."""
    by_reader: dict[str, list[CaseReading]] = {}
    for one in readings:
        first = by_reader.setdefault(one.arm.id, [])
        if not first or first[0].job == one.job:
            first.append(one)
    shown: list[CaseReading] = []
    while any(by_reader.values()) and len(shown) < MAX_CASES:
        for waiting in by_reader.values():
            taken = {one.case.key for one in shown}
            new = next((one for one in waiting if one.case.key not in taken), None)
            waiting[:] = waiting[waiting.index(new) + 1 :] if new else []
            shown += [new] if new else []
    return shown[:MAX_CASES]


def _probabilities(inputs: FigureInputs, one: CaseReading) -> TrueClassProbability:
    before = _probability(inputs, one.job, one, f"epoch-{one.round.epoch:03}")
    if before is None and len(one.case.class_names) == 2:
        before = 1 - one.case.confidence  # it was a mistake
    base_job = inputs.folder.job("baseline", *one.job.unit)
    baseline = _probability(inputs, base_job, one, "end") if base_job.state == "done" else None
    return TrueClassProbability(before, _probability(inputs, one.job, one, "end"), baseline)


def _probability(inputs: FigureInputs, job: Job, one: CaseReading, when: str) -> float | None:
    try:
        predictions = inputs.predicted.read(job, "train", when)
    except DataError:
        return None
    if one.case.key not in predictions.keys:
        return None
    return float(predictions.probs[predictions.keys.index(one.case.key), one.case.label])


def _figure(shown: Sequence[CaseReading], probabilities: Sequence[TrueClassProbability]) -> Figure:
    pictures = [print_size(case_image(one), PICTURE) for one in shown]
    heights = [max(panel_height(picture, PICTURE), 0.9) for picture in pictures]
    figure = fixed_figure(PAGE_WIDTH, TOP + sum(height + HEADING + CASE_GAP for height in heights))
    lefts = [LEFT + i * (PICTURE + GAP) for i in range(5)]
    lefts[4] += 0.12
    known = any(
        value is not None for one in probabilities for value in (one.before, one.end, one.baseline)
    )
    for left, text in zip(lefts, [*COLUMNS, LAST_COLUMN] if known else COLUMNS, strict=False):
        add_text(figure, left, 0.1, text, fontweight="bold")
    top = TOP
    for one, picture, height, after in zip(shown, pictures, heights, probabilities, strict=True):
        heading = fit_text(_heading(one), PAGE_WIDTH - 2 * LEFT, size=SMALL + 0.5, max_lines=1)
        add_text(figure, LEFT, top + 0.03, heading, fontsize=SMALL + 0.5, color=GREY)
        top += HEADING
        for left, part in zip(lefts, _case_pictures(one, picture), strict=False):
            show_image(figure, Box(left, top, PICTURE, panel_height(picture, PICTURE)), part)
        _bars(figure, Box(lefts[4], top, BARS, min(height, 1.3)), after)
        top += height + CASE_GAP
    return figure


def _case_pictures(one: CaseReading, picture: Picture) -> list[Picture]:
    """Image, heat-map, squares, and corrected image."""
    reading, grid = one.reading, one.case.grid
    selected = grid.mask(reading.kept_squares(grid), *picture.shape[:2])
    return [
        picture,
        overlay(picture, one.case.cam_predicted),
        np.asarray(
            grid_lines(picture, grid, squares=reading.squares, misleading=reading.misleading)
        ),
        blackout(picture, selected),
    ]


def _heading(one: CaseReading) -> str:
    case, reading = one.case, one.reading
    took = f" in {duration(reading.seconds)}" if reading.seconds >= 1 else ""
    reason = f" · “{reading.reason}”" if reading.reason else ""
    return (
        f"{case.true_name}, predicted {case.predicted_name} {percent(case.confidence)} · "
        f"{one.arm.reader}{took}: {marks_as_text(reading.squares, reading.misleading)}{reason}"
    )


def _bars(figure: Figure, box: Box, probabilities: TrueClassProbability) -> None:
    values = [
        ("before the round", probabilities.before, LINE),
        ("at the end", probabilities.end, IMIL.colour),
        ("baseline, at its end", probabilities.baseline, BASELINE.colour),
    ]
    values = [one for one in values if one[1] is not None]
    if not values:
        return
    axes = add_axes(figure, box)
    hide_axes(axes)
    axes.set_xlim(0, 1)
    axes.set_ylim(2.75, -0.75)
    for y, (text, value, colour) in enumerate(values):
        assert value is not None
        axes.barh(y, 1, height=0.26, facecolor="none", edgecolor=LINE, linewidth=0.5)
        axes.barh(y, value, height=0.26, color=colour)
        axes.text(0, y - 0.22, text, fontsize=SMALL, color=GREY, va="bottom")
        axes.text(
            1, y - 0.22, _percent(value), fontsize=SMALL, color=INK, ha="right", va="bottom",
            fontweight="bold",
        )  # fmt: skip


def _percent(share: float) -> str:
    """As `percent`, but a small share is not printed as zero."""
    return "<0.1 %" if 0 < share < 0.0005 else percent(share)


def _table(
    shown: Sequence[CaseReading], probabilities: Sequence[TrueClassProbability]
) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "arm": one.arm.id,
                "seed": one.job.seed,
                "split": one.job.split,
                "round": one.round.epoch,
                "case": one.case.number,
                "key": one.case.key,
                "class": one.case.true_name,
                "predicted": one.case.predicted_name,
                "confidence": one.case.confidence,
                "reader": one.arm.reader,
                "squares": squares_as_text(one.reading.squares),
                "misleading": squares_as_text(one.reading.misleading),
                "grid": str(one.case.grid).replace("×", "x"),
                "seconds": one.reading.seconds,
                "reason": one.reading.reason,
                "truth_before": after.before,
                "truth_end": after.end,
                "truth_end_baseline": after.baseline,
            }
            for one, after in zip(shown, probabilities, strict=True)
        ]
    )


def _caption(
    shown: Sequence[CaseReading], probabilities: Sequence[TrueClassProbability], simulated: str
) -> str:
    readers = len({one.arm.id for one in shown})
    rounds = "the reader's round" if readers == 1 else f"the rounds of {readers} readers"
    bars = (
        " Bars: the probability of the true class of the original image before the round, at the "
        "end of the training, and at the end of the baseline, which is the same training without "
        "the round. The model was trained on these images: the bars say nothing about new images."
        if any(one.end is not None for one in probabilities)
        else ""
    )
    hatched = any(one.reading.misleading for one in shown)
    marks = ", and hatched in orange those marked as misleading" if hatched else ""
    return (
        f"Training images from {rounds}: the first cases in which squares were selected, in the "
        f"order of the round.{simulated} From left to right: the image; the heat-map of the "
        "predicted class (the model's attention, not ground truth), scaled to its own maximum; "
        f"the squares that the reader selected{marks}; the image that the model was trained on "
        f"from then on.{bars}"
    )
