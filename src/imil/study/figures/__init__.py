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
    curves,
    feedback,
    forest,
    heat_maps,
    reliability,
    roc,
)
from imil.study.figures.caption_text import heading, stem
from imil.study.figures.material import Loaders, Material
from imil.study.figures.style import Drawing, look
from imil.study.plan import Plan
from imil.study.study_folder import TEST, StudyFolder
from imil.study.study_predictions import StudyPredictions

__all__ = ["Drawn", "LeftOut", "Loaders", "draw_all"]


class Drawn(NamedTuple):
    """A figure that was written: name of its files, title, and caption."""

    name: str
    title: str
    caption: str


class LeftOut(NamedTuple):
    """A figure that was not: what it would have been, and why not, in a sentence."""

    name: str
    reason: str


class _Wanted(NamedTuple):
    name: str
    title: str
    draw: Callable[[Material], Drawing]


def draw_all(
    folder: StudyFolder,
    plan: Plan,
    results: pd.DataFrame,
    loaders: Loaders | None = None,
    *,
    kappa: NDArray[np.float64] | None = None,
    predictions: StudyPredictions | None = None,
) -> tuple[list[Drawn], list[LeftOut]]:
    """The figures that were written to the study's folder, and those that could not be drawn.

    Args:
        folder: the study; it may be unfinished.
        plan: what it was to do.
        results: the results table of `imil.study.result_rows.results`.
        loaders: how to get at images and lesion masks.
        kappa: Fleiss's in each square, (rows, cols) of the grid, NaN where there is none; over
            the cases that every reader answered with squares.
        predictions: of the study, where some are read already.
    Raises: DataError: a figure cannot be written.
    """
    material = Material(folder, plan, results, loaders or Loaders(), kappa, predictions)
    drawn: list[Drawn] = []
    left: list[LeftOut] = []
    with look():
        for wanted in _wanted(plan):
            try:
                drawing = wanted.draw(material)
            except ImilError as error:
                _forget(folder, wanted.name)
                left.append(LeftOut(wanted.title, f"{error}."))
            else:
                drawing.write(folder.figures)
                drawn.append(Drawn(drawing.name, drawing.title, drawing.caption))
    return drawn, left


def _wanted(plan: Plan) -> Iterator[_Wanted]:
    """In the order of the report: how good, how, where they look, what readers said."""
    sets = [TEST, *(f"external-{name}" for name in plan.external)]
    by_set = (
        ("forest", "Forest plot", forest.draw),
        ("roc", "ROC curves", roc.draw),
        ("reliability", "Reliability diagrams", reliability.draw),
    )
    for name, title, draw in by_set:
        for of in sets:
            yield _Wanted(stem(name, of), heading(title, of), partial(draw, of=of))
    yield _Wanted("curves", "Training curves", curves.draw)
    yield _Wanted("heat-maps", "Heat-maps", heat_maps.draw)
    yield _Wanted("focus", "Focus", attention_energy.draw)
    yield _Wanted("feedback", "Feedback", feedback.draw)
    yield _Wanted("agreement", "Agreement", agreement_maps.draw)


def _forget(folder: StudyFolder, name: str) -> None:
    """Remove what an earlier drawing left: it no longer shows the study."""
    for kind in ("png", "svg", "csv"):
        (folder.figures / f"{name}.{kind}").unlink(missing_ok=True)
