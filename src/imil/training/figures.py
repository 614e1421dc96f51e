"""Figures of a run, drawn from its files alone: the training curve, and the rounds' cases."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from imil.cases import Case, Reading, Round
from imil.images.render import percent, review_strip, squares_as_text
from imil.store import Store
from imil.training.folder import replacing

COLOURS = {"train": "#0072b2", "val": "#d55e00"}  # Okabe and Ito: told apart by all eyes
MARGIN = 1.02  # room for the names at the ends of the lines
IN_FIGURE = 4  # cases in cases.png, as in the paper's Figure 5
STRIP = 256  # pixels high, on the page


def training_curve(history: Path, rounds: list[int], path: Path) -> None:
    """Draw loss and accuracy by epoch, with a line at each round.

    Args:
        history: the run's history.csv.
        rounds: completed epochs before each round.
        path: a PNG, replaced whole.
    """
    table = pd.read_csv(history)
    figure = Figure(figsize=(9, 3.4), dpi=160, layout="constrained")
    for axes, what in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        _draw(axes, table, what, rounds)
    with replacing(path) as half:
        figure.savefig(half, format="png")


def _draw(axes: Axes, table: pd.DataFrame, what: str, rounds: list[int]) -> None:
    last = float(table["epoch"].iloc[-1])
    for split, colour in COLOURS.items():
        if f"{split}_{what}" in table:
            values = table[f"{split}_{what}"]
            mark = "o" if len(table) < 3 else None
            axes.plot(table["epoch"], values, color=colour, linewidth=1.6, marker=mark)
            name = {"train": "training", "val": "validation"}[split]
            axes.annotate(
                name,
                (last, values.iloc[-1]),
                xytext=(5, 0),
                textcoords="offset points",
                color=colour,
                va="center",
            )
    for epoch in rounds:
        axes.axvline(epoch, color="0.45", linewidth=0.9, linestyle=(0, (4, 3)))
        axes.annotate(
            "round",
            (epoch, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, -3),
            textcoords="offset points",
            color="0.35",
            fontsize=8,
            va="top",
        )
    axes.set(xlabel="completed epochs", title=what.capitalize())
    axes.set_xlim(left=min(1.0, last - 1), right=max(last, 2.0) * MARGIN)
    axes.spines[["top", "right"]].set_visible(False)


def cases_page(store: Store, run: str, path: Path) -> None:
    """Write the page of a run's cases, and the first of them as a PNG beside it.

    Each case is shown as in the paper's Figure 5: image, heat-map, squares, and what the model
    sees from then on. The page needs nothing but itself.

    Args:
        store: holds the rounds.
        run: name of the run.
        path: an HTML file, replaced whole.
    """
    rounds = store.rounds(run)
    body = "\n".join(_round(store, round_) for round_ in rounds)
    with replacing(path) as half:
        half.write_text(PAGE.format(run=html.escape(run), body=body), encoding="utf-8")
    strips = [_strip(case, reading) for case, reading in _first(store, rounds)]
    if strips:
        with replacing(path.with_suffix(".png")) as half:
            _stacked(strips).save(half, format="png")


def _first(store: Store, rounds: list[Round]) -> list[tuple[Case, Reading | None]]:
    """The first cases that were read, or the first of all where none was."""
    pairs = [
        (case, store.standing(r.id).get(case.id)) for r in rounds for case in store.cases(r.id)
    ]
    corrected = [pair for pair in pairs if pair[1] is not None and pair[1].verdict == "focus"]
    return (corrected or pairs)[:IN_FIGURE]


def _strip(case: Case, reading: Reading | None) -> Image.Image:
    squares = reading.squares if reading else ()
    return review_strip(case, squares, reading.verdict if reading else None, height=STRIP)


def _stacked(strips: list[Image.Image]) -> Image.Image:
    width = max(strip.width for strip in strips)
    sheet = Image.new("RGB", (width, sum(strip.height for strip in strips)))
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return sheet


def _round(store: Store, round_: Round) -> str:
    standing = store.standing(round_.id)
    cases = "\n".join(_case(case, standing.get(case.id)) for case in store.cases(round_.id))
    nothing = "<p>The model made no mistake, so nobody was asked.</p>" if not round_.cases else ""
    return (
        f"<h2>Round after epoch {round_.epoch}</h2>\n"
        f"<p>{len(standing)} of {round_.cases} cases read, {round_.state}, "
        f"grid {round_.settings.grid}.</p>\n{nothing}{cases}"
    )


def _case(case: Case, reading: Reading | None) -> str:
    picture = io.BytesIO()
    _strip(case, reading).convert("RGB").save(picture, "JPEG", quality=88)
    source = base64.b64encode(picture.getvalue()).decode()
    opinion = f"{case.predicted_name} {percent(case.confidence)}, in truth {case.true_name}"
    said = "unread"
    if reading is not None:
        squares = f" {squares_as_text(reading.squares)}" if reading.squares else ""
        said = f"{reading.verdict}{squares}, {reading.reader}, {reading.seconds:.0f} s"
    reason = f"<q>{html.escape(reading.reason)}</q>" if reading and reading.reason else ""
    return (
        f'<figure><img src="data:image/jpeg;base64,{source}" alt="case {case.number}: image, '
        f'heat-map, squares, what the model sees"><figcaption><b>{case.number}</b> '
        f"{html.escape(case.key)}: {html.escape(opinion)} · {html.escape(said)} {reason}"
        "</figcaption></figure>"
    )


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Cases of {run}</title>
<style>
body {{ background: #14171a; color: #d7dadd; font: 15px/1.5 system-ui, sans-serif;
  max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }}
h1, h2 {{ font-weight: 600; color: #fff; }}
figure {{ margin: 0 0 1.6rem; }}
img {{ max-width: 100%; border-radius: 4px; display: block; }}
figcaption {{ padding-top: .4rem; overflow-wrap: anywhere; }}
q {{ color: #f0c674; }}
</style>
<h1>Cases of {run}</h1>
<p>From left to right: the image; the heat-map, which is the model's attention, not truth; the
squares that the reader selected; what the model sees from then on.</p>
{body}
</html>
"""
