"""The page of a run's cases: one HTML file that needs nothing but itself."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from imil.atomic_files import atomic_write
from imil.cases import Case, Reading, Round
from imil.fills import fill
from imil.images.render import (
    fitted,
    grid_lines,
    overlay,
    percent,
    review_strip,
    squares_as_text,
)
from imil.store import Store

IN_FIGURE = 4  # cases in the PNG, as in the paper's Figure 5
SIDE = 256  # pixels high: enough to judge a case, and twenty cases stay below 2 MB
STATES = {
    "open": "paused: it goes on with imil resume",
    "closed": "read, not yet applied",
    "applied": "applied to the training set",
}


def cases_page(store: Store, run: str, path: Path) -> None:
    """Write the page of a run's cases, and the first of them as a PNG beside it.

    Each case is shown as in the paper's Figure 5: image, heat-map, squares, and what the model
    is trained on from then on. Without a case there is no PNG.

    Args:
        store: holds the rounds.
        run: name of the run.
        path: an HTML file, replaced whole; the PNG has the same name.
    """
    rounds = [(r, store.cases(r.id), store.newest_readings(r.id)) for r in store.rounds(run)]
    body = "\n".join(_round(*one) for one in rounds) or "<p>No round was held.</p>"
    with atomic_write(path) as half:
        half.write_text(PAGE.format(run=html.escape(run), body=body), encoding="utf-8")
    pairs = [(case, standing.get(case.id)) for _, cases, standing in rounds for case in cases]
    corrected = [pair for pair in pairs if pair[1] is not None and pair[1].verdict == "focus"]
    _figure((corrected or pairs)[:IN_FIGURE], path.with_suffix(".png"))


def _figure(pairs: list[tuple[Case, Reading | None]], path: Path) -> None:
    """The cases as strips, one below the other."""
    if not pairs:
        path.unlink(missing_ok=True)  # of an earlier drawing
        return
    strips = [
        review_strip(case, said.squares if said else (), said.verdict if said else None)
        for case, said in pairs
    ]
    width, tops = max(s.width for s in strips), np.cumsum([0, *(s.height for s in strips)])
    sheet = Pillow.new("RGB", (width, int(tops[-1])), strips[0].getpixel((0, 0)))
    for strip, top in zip(strips, tops.tolist(), strict=False):
        sheet.paste(strip, (0, top))
    with atomic_write(path) as half:
        sheet.save(half, format="png")


def _round(round_: Round, cases: list[Case], standing: dict[str, Reading]) -> str:
    shown = "\n".join(_case(case, standing.get(case.id), round_) for case in cases)
    if not cases:
        shown = "<p>The model made no mistake on the training set, so nobody was asked.</p>"
    return (
        f"<section>\n<h2>Round after epoch {round_.epoch}</h2>\n"
        f'<p class="quiet">{len(standing)} of {len(cases)} cases read · {STATES[round_.state]} · '
        f"grid {round_.settings.grid}</p>\n{shown}\n</section>"
    )


def _case(case: Case, reading: Reading | None, round_: Round) -> str:
    pictures = "".join(
        f'<figure><img src="{_source(picture)}" alt="{html.escape(name)}" loading="lazy">'
        f"<figcaption>{html.escape(name)}</figcaption></figure>"
        for name, picture in _pictures(case, reading, round_)
    )
    return (
        f'<article>\n<h3><span class="quiet">{case.number}</span> predicted '
        f"<b>{html.escape(case.predicted_name)}</b> {percent(case.confidence)} · "
        f"ground truth <b>{html.escape(case.true_name)}</b>"
        f'<span class="key">{html.escape(case.key)}</span></h3>\n'
        f'<div class="row">{pictures}</div>\n{_said(reading)}\n</article>'
    )


def _pictures(case: Case, reading: Reading | None, round_: Round) -> list[tuple[str, Pillow.Image]]:
    """The four pictures of a case with what is written below each."""
    image = fitted(case.image, SIDE)
    focus = reading is not None and reading.verdict == "focus"
    squares = reading.squares if reading is not None and focus else None
    kept = squares or case.earlier
    done = image
    if kept:
        done = fill(round_.settings.fill)(image, case.grid.mask(kept, *image.shape[:2]))
    marked = squares_as_text(squares) if squares else "none selected"
    trained = round_.settings.fill if squares else "as before" if kept else "unchanged"
    return [
        ("image", Pillow.fromarray(image)),
        (f"attention for {case.predicted_name}", _heat(case, image)),
        (f"squares: {marked}", grid_lines(image, case.grid, squares=squares)),
        (f"trained on: {trained}", Pillow.fromarray(done)),
    ]


def _heat(case: Case, image: np.ndarray) -> Pillow.Image:
    return Pillow.fromarray(overlay(image, case.cam_predicted))


def _source(picture: Pillow.Image) -> str:
    held = io.BytesIO()
    picture.convert("RGB").save(held, "JPEG", quality=86)
    return "data:image/jpeg;base64," + base64.b64encode(held.getvalue()).decode()


def _said(reading: Reading | None) -> str:
    """What the reader said, in their own words where there are any."""
    if reading is None:
        return '<p class="said"><span class="verdict unread">unread</span></p>'
    kind = reading.verdict.replace(" ", "-")
    reason = f" <q>{html.escape(reading.reason)}</q>" if reading.reason else ""
    return (
        f'<p class="said"><span class="verdict {kind}">{html.escape(reading.verdict)}</span> '
        f"{html.escape(reading.reader)}, {_time(reading.seconds)}{reason}</p>"
    )


def _time(seconds: float) -> str:
    """The time as a person says it.

    >>> _time(0.2), _time(8.4), _time(95)
    ('under 1 s', '8 s', '1 min 35 s')
    """
    whole = round(seconds)
    if seconds < 1:
        return "under 1 s"
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Cases of {run}</title>
<style>
:root {{ color-scheme: dark; }}
body {{ background: #121214; color: #d9dade; font: 15px/1.5 system-ui, sans-serif;
  max-width: 70rem; margin: 2.5rem auto; padding: 0 1.25rem; }}
h1 {{ font-size: 1.6rem; margin: 0 0 .4rem; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.25rem; margin: 2.5rem 0 0; }}
h3 {{ font-size: 1rem; font-weight: 400; margin: 0 0 .6rem; }}
h1, h2, b {{ color: #fff; font-weight: 600; }}
p {{ margin: .3rem 0; }}
.quiet, .key, figcaption {{ color: #9da0a8; }}
.key {{ float: right; font-size: .85rem; overflow-wrap: anywhere; }}
article {{ border-top: 1px solid #2c2d33; padding: 1.1rem 0 1.3rem; margin-top: 1rem;
  break-inside: avoid; }}
.row {{ display: grid; grid-template-columns: repeat(4, 1fr); gap: .8rem; }}
figure {{ margin: 0; min-width: 0; }}
img {{ max-width: 100%; max-height: 17rem; display: block; outline: 1px solid #3e3e44; }}
figcaption {{ font-size: .85rem; padding-top: .3rem; overflow-wrap: anywhere; }}
.said {{ margin-top: .6rem; }}
.verdict {{ border: 1px solid currentColor; border-radius: 3px; padding: 0 .45rem;
  margin-right: .4rem; color: #9da0a8; }}
.focus {{ color: #40c8ff; }}
.wrong-label, .not-assessable {{ color: #f0b44c; }}
q {{ color: #fff; margin-left: .4rem; overflow-wrap: anywhere; }}
@media (max-width: 40rem) {{ .row {{ grid-template-columns: repeat(2, 1fr); }}
  .key {{ float: none; display: block; }} }}
</style>
</head>
<body>
<h1>Cases of {run}</h1>
<p class="quiet">The training images that the model got most confidently wrong. From left to
right: the image; a heat-map of the model's attention, which is not truth; the squares that the
reader selected; what the model is trained on from then on.</p>
{body}
</body>
</html>
"""
