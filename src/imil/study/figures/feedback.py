"""Feedback from the image to what came of it (the paper's Figure 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from imil.errors import DataError
from imil.fills import fill
from imil.images.colours import Picture, overlay
from imil.images.render import grid_lines, percent, squares_as_text
from imil.study.figures.case_readings import Read, film, readings, simulated
from imil.study.figures.film_pictures import height, scaled, show
from imil.study.figures.layout import WIDE, Box, fitted, place, sheet, write
from imil.study.figures.material import Lacking, Material
from imil.study.figures.style import BASELINE, GREY, IMIL, INK, LINE, SMALL, Drawing, quiet
from imil.study.phrases import duration
from imil.study.study_folder import Job

MOST = 4  # cases, as in the paper
LEFT, TOP, GAP = 0.08, 0.3, 0.08  # inches
HEAD, BETWEEN = 0.22, 0.14  # inches: a case's line of words, and between two cases
PICTURE, BARS = 1.3, 1.3  # inches: the width of a picture, and of what came of it
COLUMNS = ("Image", "Attention", "Squares selected", "Trained on from then on")
LAST = "Probability of the truth"


@dataclass(frozen=True)
class Came:
    """The probability of the true class; None where it is not known.

    Args:
        before: before the round.
        end: at the end of the training that the round belongs to.
        without: at the end of the baseline, which is the same training without the round.
    """

    before: float | None
    end: float | None
    without: float | None


def draw(material: Material) -> Drawing:
    """Some cases from image to blackout, and the probability of the truth before and after.

    Raises: Lacking: no reader selected a square.
    """
    shown = _chosen([one for one in readings(material) if one.reading.verdict == "focus"])
    if not shown:
        raise Lacking("no reader has selected a square")
    came = [_came(material, one) for one in shown]
    return Drawing(
        "feedback",
        "Feedback from the image to what came of it",
        _caption(shown, came, simulated(material, shown)),
        _figure(shown, came),
        _table(shown, came),
    )


def _chosen(found: Sequence[Read]) -> list[Read]:
    """The most confident mistakes of each reader's first training, in turn, each image once."""
    by_reader: dict[str, list[Read]] = {}
    for one in found:
        same = by_reader.setdefault(one.arm.id, [])
        if not same or same[0].job == one.job:
            same.append(one)
    shown: list[Read] = []
    while any(by_reader.values()) and len(shown) < MOST:
        for waiting in by_reader.values():
            taken = {one.case.key for one in shown}
            new = next((one for one in waiting if one.case.key not in taken), None)
            waiting[:] = waiting[waiting.index(new) + 1 :] if new else []
            shown += [new] if new else []
    return shown[:MOST]


def _came(material: Material, one: Read) -> Came:
    before = _truth(material, one.job, one, f"epoch-{one.round.epoch:03}")
    if before is None and len(one.case.class_names) == 2:
        before = 1 - one.case.confidence  # it was a mistake
    base = material.folder.job("baseline", *one.job.unit)
    without = _truth(material, base, one, "end") if base.state == "done" else None
    return Came(before, _truth(material, one.job, one, "end"), without)


def _truth(material: Material, job: Job, one: Read, when: str) -> float | None:
    try:
        found = material.predicted.read(job, "train", when)
    except DataError:
        return None
    if one.case.key not in found.keys:
        return None
    return float(found.probs[found.keys.index(one.case.key), one.case.label])


def _figure(shown: Sequence[Read], came: Sequence[Came]) -> Figure:
    pictures = [scaled(film(one), PICTURE) for one in shown]
    talls = [max(height(picture, PICTURE), 0.9) for picture in pictures]
    figure = sheet(WIDE, TOP + sum(tall + HEAD + BETWEEN for tall in talls))
    lefts = [LEFT + i * (PICTURE + GAP) for i in range(5)]
    lefts[4] += 0.12
    known = any(value is not None for one in came for value in (one.before, one.end, one.without))
    for left, text in zip(lefts, [*COLUMNS, LAST] if known else COLUMNS, strict=False):
        write(figure, left, 0.1, text, fontweight="bold")
    top = TOP
    for one, picture, tall, after in zip(shown, pictures, talls, came, strict=True):
        words = fitted(_words(one), WIDE - 2 * LEFT, size=SMALL + 0.5, most=1)
        write(figure, LEFT, top + 0.03, words, fontsize=SMALL + 0.5, color=GREY)
        top += HEAD
        for left, part in zip(lefts, _parts(one, picture), strict=False):
            show(figure, Box(left, top, PICTURE, height(picture, PICTURE)), part)
        _bars(figure, Box(lefts[4], top, BARS, min(tall, 1.3)), after)
        top += tall + BETWEEN
    return figure


def _parts(one: Read, picture: Picture) -> list[Picture]:
    """Image, heat-map, squares, and what was trained on."""
    squares, grid = one.reading.squares, one.case.grid
    kept = grid.mask(squares, *picture.shape[:2])
    return [
        picture,
        overlay(picture, one.case.cam_predicted),
        np.asarray(grid_lines(picture, grid, squares=squares)),
        fill(one.round.settings.fill)(picture, kept),
    ]


def _words(one: Read) -> str:
    case, said = one.case, one.reading
    took = f" in {duration(said.seconds)}" if said.seconds >= 1 else ""
    reason = f" · “{said.reason}”" if said.reason else ""
    return (
        f"{case.true_name}, predicted {case.predicted_name} {percent(case.confidence)} · "
        f"{one.arm.reader}{took}: squares {squares_as_text(said.squares)}{reason}"
    )


def _bars(figure: Figure, box: Box, came: Came) -> None:
    values = [
        ("before the round", came.before, LINE),
        ("at the end", came.end, IMIL.colour),
        ("baseline, at its end", came.without, BASELINE.colour),
    ]
    values = [one for one in values if one[1] is not None]
    if not values:
        return
    axes = place(figure, box)
    quiet(axes)
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
    """As `percent`, but what is nearly nothing is not nothing."""
    return "<0.1 %" if 0 < share < 0.0005 else percent(share)


def _table(shown: Sequence[Read], came: Sequence[Came]) -> pd.DataFrame:
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
                "grid": str(one.case.grid).replace("×", "x"),
                "seconds": one.reading.seconds,
                "reason": one.reading.reason,
                "truth_before": after.before,
                "truth_end": after.end,
                "truth_end_baseline": after.without,
            }
            for one, after in zip(shown, came, strict=True)
        ]
    )


def _caption(shown: Sequence[Read], came: Sequence[Came], simulated: str) -> str:
    readers = len({one.arm.id for one in shown})
    whose = "the reader's round" if readers == 1 else f"the rounds of {readers} readers"
    bars = (
        " Bars: the probability of the true class of the original image before the round, at the "
        "end of the training, and at the end of the baseline, which is the same training without "
        "the round. The model was trained on these images: the bars say nothing about new ones."
        if any(one.end is not None for one in came)
        else ""
    )
    return (
        f"Training images from {whose}: the most confident mistakes in which squares were "
        f"selected, picked by that order alone.{simulated} From left to right: the image; the "
        "heat-map of the predicted class (the model's attention, not truth), scaled to its own "
        "maximum; the squares that the reader selected; what the model was trained on from then "
        f"on.{bars}"
    )
