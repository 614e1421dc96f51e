"""The training curve and the page of cases, made from a run's files."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from imil.cases import Case, Reading, RoundSettings
from imil.grid import Grid
from imil.store import Store
from imil.training.outputs.case_report import write_case_report
from imil.training.outputs.training_curve import draw_training_curve

HOSTILE = '<script>alert("x")</script> & "Ärztin"'
NAMES = ("normal", "lesion")


def a_case(number=1, *, run="run", epoch=10, level=200, names=NAMES, key=None, earlier=None):
    image = np.full((64, 64), level, np.uint8)
    cam = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    return Case(
        id=f"{run}@{epoch}#{number}",
        run=run,
        epoch=epoch,
        round=f"{run}@{epoch}",
        number=number,
        key=key or f"film-{number}.png",
        label=1,
        predicted=0,
        confidence=0.876,
        class_names=names,
        grid=Grid(2, 2),
        load_heat_map=lambda _which: cam,
        load_image=lambda: image,
        earlier=earlier,
    )


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "imil.sqlite")
    yield store
    store.close()


def a_round(store, cases, readings=(), *, run="run", epoch=10, names=NAMES, state="open"):
    store.add_run(run, class_names=names, settings={}, versions={})
    round_ = store.open_round(run, epoch, RoundSettings(grid=Grid(2, 2)), cases)
    for reading in readings:
        store.add(reading)
    return round_ if state == "open" else store.mark(round_, state)


class Page(HTMLParser):
    """The page as a browser parses it: tags, pictures, text."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.sources, self.links, self.words = [], [], [], []
        self.hidden = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.hidden = tag == "style"
        self.sources += [value for name, value in attrs if name == "src"]
        self.links += [value for name, value in attrs if name == "href"]

    def handle_endtag(self, tag):
        self.hidden = False

    def handle_data(self, data):
        if not self.hidden:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))

    @property
    def pictures(self):
        return [
            np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))))
            for source in self.sources
        ]


def height(path):
    with Image.open(path) as picture:
        return picture.height


def draw(store, tmp_path, run="run"):
    write_case_report(store, run, tmp_path / "cases.html")
    return Page(tmp_path / "cases.html")


def test_a_case_shows_its_pictures_and_its_reading(store, tmp_path):
    reading = Reading(a_case().id, "Dr Lee", "focus", (1,), reason="upper lobe", seconds=72)
    a_round(store, [a_case()], [reading], state="applied")
    page = draw(store, tmp_path)
    for text in (
        "Round after epoch 10", "1 of 1 cases read", "applied", "film-1.png", "normal 87.6 %",
        "ground truth lesion", "squares: 1", "trained on: blackout", "focus", "Dr Lee",
        "1 min 12 s", "upper lobe",
    ):  # fmt: skip
        assert text in page.text, text
    image, heat, _, black = page.pictures
    assert image.min() > 190  # the film is 200 everywhere
    assert (heat[..., 0].astype(int) - heat[..., 2]).max() > 20  # colours over grey
    half = len(black) // 2
    assert black[: half - 8, : half - 8].min() > 190  # square 1 is kept
    assert black[half + 8 :].max() < 10
    assert black[:, half + 8 :].max() < 10


def test_the_page_is_self_contained_and_has_no_script(store, tmp_path):
    a_round(store, [a_case()])
    page = draw(store, tmp_path)
    assert "script" not in page.tags
    assert page.links == []
    assert len(page.sources) == 4
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)


def test_hostile_names_stay_text(store, tmp_path):
    case = a_case(run=HOSTILE, names=(HOSTILE, "b" + HOSTILE), key=HOSTILE)
    reading = Reading(case.id, HOSTILE, "focus", (2,), reason=HOSTILE)
    a_round(store, [case], [reading], run=HOSTILE, names=case.class_names)
    page = draw(store, tmp_path, run=HOSTILE)
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) >= 6  # run, key, both classes, reader, reason: all readable
    assert "<script" not in (tmp_path / "cases.html").read_text(encoding="utf-8")


def test_a_paused_round_shows_its_unread_case_unchanged(store, tmp_path):
    read = Reading(a_case(1).id, "A", "focus", (4,))
    a_round(store, [a_case(1), a_case(2)], [read])
    page = draw(store, tmp_path)
    assert "1 of 2 cases read" in page.text
    assert "paused" in page.text
    assert "unread" in page.text
    assert page.pictures[7].min() > 190  # the fourth picture of case 2


def test_a_round_without_cases_says_so_and_has_no_picture(store, tmp_path):
    (tmp_path / "cases.png").write_bytes(b"outdated")
    a_round(store, [], state="applied")
    page = draw(store, tmp_path)
    assert "there were no cases to read" in page.text
    assert page.sources == []
    assert not (tmp_path / "cases.png").exists()


def test_a_run_without_rounds_says_so(store, tmp_path):
    assert "There was no round" in draw(store, tmp_path).text


@pytest.mark.parametrize("verdict", ["skip", "wrong label", "not assessable"])
def test_a_verdict_without_squares_leaves_the_image_unchanged(store, tmp_path, verdict):
    a_round(store, [a_case()], [Reading(a_case().id, "A", verdict)])
    page = draw(store, tmp_path)
    assert verdict in page.text
    assert "trained on: unchanged" in page.text
    assert page.pictures[3].min() > 190


def test_a_skipped_case_keeps_the_squares_of_an_earlier_round(store, tmp_path):
    case = a_case(earlier=(1,))
    a_round(store, [case], [Reading(case.id, "A", "skip")])
    page = draw(store, tmp_path)
    assert "trained on: as before" in page.text
    assert page.pictures[3][-1, -1].max() < 10


def test_only_the_latest_reading_is_shown(store, tmp_path):
    first, second = (Reading(a_case().id, "A", "focus", (i,), reason=f"say {i}") for i in (1, 4))
    a_round(store, [a_case()], [first, second])
    page = draw(store, tmp_path)
    assert "say 4" in page.text
    assert "say 1" not in page.text


def test_the_picture_shows_the_first_corrected_cases_one_below_the_other(store, tmp_path):
    cases = [a_case(n) for n in range(1, 7)]
    readings = [Reading(c.id, "A", "focus" if c.number > 1 else "skip", (1,)) for c in cases]
    a_round(store, cases, readings)
    draw(store, tmp_path)
    four = height(tmp_path / "cases.png")
    other = tmp_path / "one"
    other.mkdir()
    a_round(store, [a_case(1, run="one")], run="one")
    write_case_report(store, "one", other / "cases.html")
    assert four == 4 * height(other / "cases.png")


def test_every_round_of_the_run_is_on_the_page_and_no_other_run(store, tmp_path):
    a_round(store, [a_case()], state="applied")
    a_round(store, [a_case(epoch=20)], epoch=20)
    a_round(store, [a_case(run="other", epoch=30)], run="other", epoch=30)
    text = draw(store, tmp_path).text
    assert text.index("Round after epoch 10") < text.index("Round after epoch 20")
    assert "epoch 30" not in text


def curve(tmp_path, lines, rounds=()):
    history = tmp_path / "history.csv"
    history.write_text("\n".join(lines) + "\n")
    draw_training_curve(history, list(rounds), tmp_path / "curve.png")
    return np.asarray(Image.open(tmp_path / "curve.png").convert("RGB")).astype(int)


def pixels_of_colour(pixels, colour):
    return int((np.abs(pixels - np.array(colour)).max(axis=2) < 24).sum())


BLUE, ORANGE = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)
HEAD = "epoch,train_loss,train_accuracy"


def test_the_curve_draws_validation_only_where_there_is_one(tmp_path):
    train = curve(tmp_path, [HEAD, "1,0.7,0.5", "2,0.5,0.7", "3,0.4,0.8"])
    both = curve(
        tmp_path,
        [HEAD + ",val_loss,val_accuracy", "1,0.7,0.5,0.8,0.4", "2,0.5,0.7,0.6,0.6"],
    )
    assert pixels_of_colour(train, BLUE) > 1000
    assert pixels_of_colour(train, ORANGE) == 0
    assert pixels_of_colour(both, ORANGE) > 1000


def test_each_round_is_a_line_in_the_curve(tmp_path):
    lines = [HEAD, *(f"{e},{1 / e},{1 - 1 / (e + 1)}" for e in range(1, 11))]
    grey = [
        pixels_of_colour(curve(tmp_path, lines, rounds), (115, 115, 115))
        for rounds in ((), (4,), (4, 7))
    ]
    assert grey[0] + 200 < grey[1]
    assert grey[1] + 200 < grey[2]


@pytest.mark.parametrize(
    "rows", [[], ["1,0.7,0.5"], ["1,0.7,0.5", "2,,0.5"], ["1,0.5,0.5", "2,0.5,0.5"]]
)
def test_a_curve_of_few_or_missing_values_still_draws(tmp_path, rows):
    assert curve(tmp_path, [HEAD, *rows], [1]).shape[2] == 3
