"""The page of a run's cases: one self-contained HTML file, and a picture of the first cases."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image as Pillow

from imil.atomic_files import atomic_write
from imil.cases import Case, Reading, Round
from imil.fills import blackout
from imil.heat_map_names import HEAT_MAP_NAMES
from imil.html_templates import html_templates
from imil.images.montage import percent, squares_as_text
from imil.images.render import grid_lines, overlay, resize_to_height, review_strip
from imil.store import Store

TEMPLATES = Path(__file__).parent / "templates"
PAPERS = "imil"  # the treatment whose result the last picture is
PNG_CASES = 4  # as in the paper's Figure 5
HEIGHT = 256  # pixels: enough to judge a case, and a page of twenty cases is below 2 MB
STATES = {
    "open": "paused: continue with imil resume",
    "closed": "read, not yet applied",
    "applied": "applied to the training set",
}


class PictureView(NamedTuple):
    """A picture as a data URI, with its caption."""

    caption: str
    source: str


class ReadingView(NamedTuple):
    """The reading of a case."""

    verdict: str
    reader: str
    time: str
    reason: str


class CaseView(NamedTuple):
    """A case as the page shows it; its reading is None where it is unread."""

    number: int
    key: str
    predicted: str
    confidence: str
    ground_truth: str
    pictures: list[PictureView]
    reading: ReadingView | None


class RoundView(NamedTuple):
    """A round as the page shows it."""

    epoch: int
    read: int
    state: str
    grid: str
    cases: list[CaseView]


def write_case_report(
    store: Store,
    run: str,
    path: Path,
    learned_map: Path | None = None,
    *,
    method: str = HEAT_MAP_NAMES["grad-cam"],
) -> None:
    """Write the page of a run's cases, and the first of them as a PNG beside it.

    Each case is shown as in the paper's Figure 5: image, heat-map, squares, and what the model
    is trained on from then on; with another treatment than the paper's, the squares alone. Without
    a case there is no PNG.

    Args:
        store: has the rounds.
        run: name of the run.
        path: an HTML file, replaced atomically; the PNG has the same name.
        learned_map: a PNG of what the model learns from the squares, where there is one.
        method: that drew the heat-maps, as people read it.
    """
    rounds = [
        (round_, store.cases(round_.id), store.current_readings(round_.id))
        for round_ in store.rounds(run)
    ]
    settings: dict[str, Any] = next(
        (row["settings"] for row in store.runs() if row["name"] == run), {}
    )
    treatment = settings.get("treatment", PAPERS)
    page = (
        html_templates(TEMPLATES)
        .get_template("cases.html")
        .render(
            run=run,
            rounds=[_round(*round_, treatment == PAPERS) for round_ in rounds],
            learned=_learned(learned_map),
            method=method,
            treatment=None if treatment == PAPERS else treatment,
        )
    )
    with atomic_write(path) as file:
        file.write_text(page, encoding="utf-8")
    pairs = [(case, readings.get(case.id)) for _, cases, readings in rounds for case in cases]
    corrected = [pair for pair in pairs if pair[1] is not None and pair[1].verdict == "focus"]
    _write_png((corrected or pairs)[:PNG_CASES], path.with_suffix(".png"))


def _write_png(pairs: list[tuple[Case, Reading | None]], path: Path) -> None:
    """The cases as strips, one below the other."""
    if not pairs:
        path.unlink(missing_ok=True)  # of an earlier state of the run
        return
    with atomic_write(path) as file:
        stacked(pairs).save(file, format="png")


def stacked(pairs: Sequence[tuple[Case, Reading | None]]) -> Pillow.Image:
    """The cases as strips, one below the other, RGB.

    Args:
        pairs: of case and reading, at least one; None: it is unread.
    """
    strips = [
        review_strip(case, reading.squares, reading.verdict, misleading=reading.misleading)
        if reading
        else review_strip(case, (), None)
        for case, reading in pairs
    ]
    width = max(strip.width for strip in strips)
    tops = np.cumsum([0, *(strip.height for strip in strips)]).tolist()
    picture = Pillow.new("RGB", (width, tops[-1]), strips[0].getpixel((0, 0)))
    for strip, top in zip(strips, tops, strict=False):
        picture.paste(strip, (0, top))
    return picture


def _round(
    round_: Round, cases: list[Case], readings: dict[str, Reading], blacked_out: bool
) -> RoundView:
    graded = round_.settings.panel.fusion == "soft"  # squares are kept in part
    return RoundView(
        round_.epoch,
        len(readings),
        STATES[round_.state],
        str(round_.settings.grid),
        [_case(case, readings.get(case.id), blacked_out and not graded) for case in cases],
    )


def _case(case: Case, reading: Reading | None, blacked_out: bool) -> CaseView:
    return CaseView(
        case.number,
        case.key,
        case.predicted_name,
        percent(case.confidence),
        case.true_name,
        [PictureView(name, _data_uri(p)) for name, p in _pictures(case, reading, blacked_out)],
        _reading(reading) if reading else None,
    )


def _reading(reading: Reading) -> ReadingView:
    return ReadingView(reading.verdict, reading.reader, _time(reading.seconds), reading.reason)


def _pictures(
    case: Case, reading: Reading | None, blacked_out: bool
) -> list[tuple[str, Pillow.Image]]:
    """The four pictures of a case with their captions; of a volume, one of its slabs."""
    if case.grid.slabs is not None:
        return [("one slice of each slab", _slabs(case, reading))]
    image = resize_to_height(case.image, HEIGHT)
    if reading is None or reading.verdict != "focus":
        reading = None
    squares, misleading = (reading.squares, reading.misleading) if reading else ((), ())
    kept = reading.kept_squares(case.grid) if reading else case.earlier
    trained_on = image
    if kept:
        trained_on = blackout(image, case.grid.mask(kept, *image.shape[:2]))
    selected = squares_as_text(squares) if squares else "none selected"
    if misleading:
        selected += f"; hatched: misleading {squares_as_text(misleading)}"
    treatment = "blackout" if reading else "as before" if kept else "unchanged"
    return [
        ("image", Pillow.fromarray(image)),
        (
            f"attention for {case.predicted_name}",
            Pillow.fromarray(overlay(image, case.cam_predicted)),
        ),
        (
            f"squares: {selected}",
            grid_lines(image, case.grid, squares=squares, misleading=misleading),
        ),
        (
            f"trained on: {treatment}" if blacked_out else "the squares alone",
            Pillow.fromarray(trained_on),
        ),
    ]


def _slabs(case: Case, reading: Reading | None) -> Pillow.Image:
    if reading is None:
        return review_strip(case, (), None)
    return review_strip(case, reading.squares, reading.verdict, misleading=reading.misleading)


def _learned(path: Path | None) -> str | None:
    """The picture as a data URI."""
    if path is None or not path.exists():
        return None
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _data_uri(picture: Pillow.Image) -> str:
    content = io.BytesIO()
    picture.convert("RGB").save(content, "JPEG", quality=86)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()


def _time(seconds: float) -> str:
    """A reading time in one or two units.

    >>> _time(0.2), _time(8.4), _time(95)
    ('under 1 s', '8 s', '1 min 35 s')
    """
    whole = round(seconds)
    if seconds < 1:
        return "under 1 s"
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"
