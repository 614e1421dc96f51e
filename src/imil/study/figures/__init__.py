"""The figures of a study: PNG and SVG, each with its numbers as CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imil.errors import ImilError
from imil.study.figures import (
    agreement_maps,
    attention_energy,
    epoch_curves,
    feedback,
    forest_plot,
    heat_maps,
    reliability_diagrams,
    roc_figure,
    shortcut_plot,
)
from imil.study.figures.caption_text import figure_title, file_stem
from imil.study.figures.figure_inputs import FigureInputs, Loaders
from imil.study.figures.style import Drawing, figure_style
from imil.study.plan import Plan
from imil.study.study_folder import TEST, StudyFolder
from imil.study.study_predictions import StudyPredictions

__all__ = ["Drawn", "LeftOut", "Loaders", "draw_all"]


class Drawn(NamedTuple):
    """A figure that was written: name of its files, title, caption."""

    name: str
    title: str
    caption: str


class LeftOut(NamedTuple):
    """A figure that could not be drawn: its title, and the reason in a sentence."""

    name: str
    reason: str


class _Figure(NamedTuple):
    name: str
    title: str
    draw: Callable[[FigureInputs], Drawing]


def draw_all(
    folder: StudyFolder,
    plan: Plan,
    results: pd.DataFrame,
    loaders: Loaders | None = None,
    *,
    kappa: NDArray[np.float64] | None = None,
    predictions: StudyPredictions | None = None,
    shortcut: pd.DataFrame | None = None,
) -> tuple[list[Drawn], list[LeftOut]]:
    """The figures that were written to the study's folder, and those that could not be drawn.

    Args:
        folder: the study; it may be unfinished.
        plan: its plan.
        results: the results table of `imil.study.result_rows.results`.
        loaders: of images and lesion masks.
        kappa: Fleiss's kappa of each square, (rows, cols), NaN where it cannot be computed; over
            the cases in which every reader selected squares.
        predictions: of the study, where some are read already.
        shortcut: the results with a planted shortcut, `imil.study.shortcut_rows`.
    Raises: DataError: a figure cannot be written.
    """
    inputs = FigureInputs(folder, plan, results, loaders or Loaders(), kappa, predictions, shortcut)
    drawn: list[Drawn] = []
    left_out: list[LeftOut] = []
    with figure_style():
        for figure in _figures(plan):
            try:
                drawing = figure.draw(inputs)
            except ImilError as error:
                _remove_files(folder, figure.name)
                left_out.append(LeftOut(figure.title, f"{error}."))
            else:
                drawing.write(folder.figures)
                drawn.append(Drawn(drawing.name, drawing.title, drawing.caption))
    return drawn, left_out


def _figures(plan: Plan) -> Iterator[_Figure]:
    """In the order of the report: shortcut, performance, training, attention, readers."""
    if plan.shortcut is not None:
        yield _Figure("shortcut", "Planted shortcut", shortcut_plot.draw)
    sets = [TEST, *(f"external-{name}" for name in plan.external)]
    by_set = (
        ("forest", "Forest plot", forest_plot.draw),
        ("roc", "ROC curves", roc_figure.draw),
        ("reliability", "Reliability diagrams", reliability_diagrams.draw),
    )
    for name, title, draw in by_set:
        for set_name in sets:
            yield _Figure(
                file_stem(name, set_name),
                figure_title(title, set_name),
                partial(draw, set_name=set_name),
            )
    yield _Figure("curves", "Training curves", epoch_curves.draw)
    yield _Figure("heat-maps", "Heat-maps", heat_maps.draw)
    yield _Figure("focus", "Focus", attention_energy.draw)
    yield _Figure("feedback", "Feedback", feedback.draw)
    yield _Figure("agreement", "Agreement", agreement_maps.draw)


def _remove_files(folder: StudyFolder, name: str) -> None:
    """Remove the files of an earlier drawing: they no longer show the study."""
    for suffix in ("png", "svg", "csv"):
        (folder.figures / f"{name}.{suffix}").unlink(missing_ok=True)
