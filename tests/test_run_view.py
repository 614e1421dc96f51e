"""A run as figures and tables in the output of a cell."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from browsers import chromium
from PIL import Image
from rooms import make_store

from imil.cases import Reading
from imil.errors import SettingsError
from imil.notebook import RunView
from imil.round_numbers import round_numbers

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def run(tmp_path):
    """A run's folder with a round, one of whose three cases is read, and with measures."""
    folder = tmp_path / "films"
    folder.mkdir()
    store = make_store(folder)
    (round_,) = store.rounds("films")
    first = store.cases(round_.id)[0]
    store.add(Reading(first.id, HOSTILE, "focus", (2, 3), seconds=4.0))
    store.close()
    test = {"accuracy": 0.5, "auroc": None, "n": 7}
    measures = {"rounds": [{"epoch": 70, "before": {"test": test}}], "end": {"test": test}}
    (folder / "metrics.json").write_text(json.dumps(measures))
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "curve.png")
    return folder


def test_a_run_is_shown_with_its_measures_cases_answers_and_curve(run):
    view = RunView(run)
    assert repr(view) == "RunView(films: 1 rounds)"
    html = view._repr_html_()
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>.*?</tr>", html)]
    assert ["before the round after epoch 70", "0.500", "–", "7"] in rows
    assert ["3", "1", "1", "0", "0", "0", "2", "4"] in rows  # as `round_numbers` names them
    assert html.count("data:image/jpeg") == 3
    assert html.count("data:image/png") == 1
    answers = [row for row in rows if len(row) == 8 and row[5] in ("focus", "unread")]
    assert [row[5:7] for row in answers] == [
        ["focus", "squares 2 3"],
        ["unread", ""],
        ["unread", ""],
    ]


def test_nothing_of_a_name_is_executed_and_nothing_is_loaded(run):
    html = RunView(run, pictures=0)._repr_html_()
    assert HOSTILE not in html
    assert "&lt;script&gt;" in html
    tags = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attributes):
            tags.append((tag, dict(attributes)))

    Parser().feed(html)
    assert not {"script", "iframe", "link", "object"} & {tag for tag, _ in tags}
    sources = [one["src"] for _, one in tags if "src" in one]
    assert all(source.startswith("data:image/") for source in sources)


def test_a_store_alone_is_shown_and_an_empty_folder_refused(run, tmp_path):
    assert "Round after epoch 70" in RunView(run / "imil.sqlite")._repr_html_()
    with pytest.raises(SettingsError, match="has no store and no measures of a run"):
        RunView(tmp_path / "empty")


def test_the_numbers_of_a_round_count_the_answer_that_counts(run):
    store = make_store(run.parent)
    (round_,) = store.rounds("films")
    one, two, three = store.cases(round_.id)
    store.add(Reading(one.id, "Lee", "skip", seconds=1.0))
    store.add(Reading(one.id, "Lee", "focus", (1, 2, 3), seconds=2.0))
    store.add(Reading(two.id, "Lee", "focus", (1,), seconds=4.0))
    store.add(Reading(three.id, "Wu", "wrong label", seconds=9.0))
    assert round_numbers(store, round_) == {
        "round/readings/cases": 3,
        "round/readings/readers": 2,
        "round/readings/focus": 2,
        "round/readings/skip": 0,
        "round/readings/wrong_label": 1,
        "round/readings/not_assessable": 0,
        "round/readings/squares": 2.0,
        "round/readings/seconds": 4.0,
    }
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "text"), [("light", (0, 0, 0)), ("dark", (255, 255, 255))])
def test_the_text_has_the_colour_of_the_page_in_both_themes(run, scheme, text):
    page = "<!doctype html><meta name=color-scheme content='light dark'><body>"
    with chromium() as browser:
        tab = browser.new_context(color_scheme=scheme).new_page()
        tab.set_content(page + RunView(run)._repr_html_())
        for part in ("h3", "th", "td", "p, summary"):
            colour = tab.evaluate(
                "(part) => getComputedStyle(document.querySelector('.imil-run ' + part)).color",
                part.split(",")[-1],
            )
            assert tuple(map(int, re.findall(r"\d+", colour)[:3])) == text, part
