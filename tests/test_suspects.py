"""`imil export --suspects` and `imil rounds --agreement`."""

import csv
import io
import json

import pytest
from rooms import NAMES
from test_reader_panel import open_round
from typer.testing import CliRunner

from imil.cases import Reading
from imil.cli.main import app
from imil.reader_panel import ReaderPanel
from imil.store import Store
from imil.store.audit import newest
from imil.suspects import suspects


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "imil.sqlite")
    made.add_run("films", class_names=NAMES, settings={}, versions={})
    open_round(made, ReaderPanel(("Lee", "Wu", "Kim"), fusion="staple"), cases=3)
    yield made
    made.close()


def add(store, number, reader, verdict="focus", squares=(), reason=""):
    store.add(Reading(f"films@70#{number}", reader, verdict, squares, reason))


def imil(*words):
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    return result.stdout


def fill(store):
    add(store, 1, "Lee", "wrong label", reason="scar, not TB")
    add(store, 1, "Wu", "wrong label")
    add(store, 1, "Kim", squares=(6,))
    add(store, 2, "Lee", "wrong label")
    add(store, 2, "Lee", squares=(6, 7))  # changed
    add(store, 2, "Wu", squares=(6,))
    add(store, 2, "Kim", "wrong label", reason="normal")
    for name in ("Lee", "Wu", "Kim"):
        add(store, 3, name, squares=(6,))


def test_each_image_whose_label_somebody_doubts_is_a_row(store, tmp_path):
    fill(store)
    rows = list(csv.DictReader(io.StringIO(imil("export", tmp_path, "--suspects"))))
    assert [(row["case"], row["readers"], row["majority"]) for row in rows] == [
        ("1", "Lee; Wu", "yes"),
        ("2", "Kim", "no"),
    ]
    first = rows[0]
    assert (first["key"], first["label"], first["predicted"]) == ("film-1", "normal", "TB")
    assert float(first["confidence"]) == pytest.approx(0.987)
    assert (first["answered"], first["reasons"]) == ("3", "Lee: scar, not TB")
    as_json = json.loads(imil("export", tmp_path, "--suspects", "--as", "json"))
    assert [row["case"] for row in as_json] == [1, 2]
    exported = [line.detail for line in newest(store, "films") if line.what == "export"]
    assert exported[0] == "suspected label errors, as json"


def test_without_a_doubt_there_is_no_row(store):
    add(store, 1, "Lee", squares=(1,))
    assert suspects(store, "films") == []


def test_agreement_is_shown_with_the_performance_of_each_reader(store, tmp_path):
    fill(store)
    shown = " ".join(imil("rounds", tmp_path, "--agreement").split())
    # the only case in which all three selected squares has the same one
    assert "Fleiss's kappa 1.00 over 1 case in which all selected squares" in shown
    assert "same verdict in 33 % of the cases" in shown
    assert "Sensitivity" in shown
    assert "Lee and Wu" in shown


def test_agreement_of_one_reader_is_said_to_need_two(store, tmp_path):
    add(store, 1, "Lee", squares=(1,))
    assert "needs two readers" in imil("rounds", tmp_path, "--agreement")
