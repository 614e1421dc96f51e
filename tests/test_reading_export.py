"""The study lead's results: case by reader on the page, and every reading as a table."""

import csv
import io
import json

import pytest
from browsers import ReaderBrowser, chromium
from rooms import KEY, add_round, link, make_store, reading, send, serving, visiting
from typer.testing import CliRunner

from imil.cli.main import app
from imil.readers.reading_table import load_rows
from imil.readers.replay import replay
from imil.reading_export import COLUMNS, export_rows, unanswered_looks
from imil.store.audit import newest
from imil.store.run_progress import Progress


@pytest.fixture
def store(tmp_path):
    opened = make_store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def address(store):
    with serving(store.path) as url:
        yield url


def look(browser, case, squares, number):
    where = f"/api/rounds/70/cases/{case}/first-look/{number:032x}"
    assert browser.put(where, json={"squares": squares, "seconds": 4}).status_code == 200


def read_blind_first(store, address):
    """Lee looks and answers case 1 twice; Wu answers it once, and only looks at case 2."""
    Progress(store).set_protocol("films", "blind-first", by="owner")
    with visiting(address, link(store, "Lee")) as lee, visiting(address, link(store, "Wu")) as wu:
        look(lee, 1, [5], 1)
        send(lee, 1, reading([6], reason="=HYPERLINK(1)"))
        send(lee, 1, reading([6, 7], seconds=9))
        look(wu, 1, [], 2)
        send(wu, 1, reading([], "skip"))
        look(wu, 2, [9], 3)


def test_every_reading_is_a_row_with_its_first_look(store, address):
    read_blind_first(store, address)
    rows = export_rows(store, "films")
    given = [(row.reader, row.squares, row.squares_before, row.final) for row in rows]
    assert given == [("Lee", "6", "5", "no"), ("Lee", "6 7", "5", "yes"), ("Wu", "", "none", "yes")]
    assert {(row.key, row.epoch, row.truth) for row in rows} == {(f"{KEY}/films/1", 70, "TB")}
    assert [row.first_look_seconds for row in rows] == [4, 4, 4]
    assert all(row.first_look_created <= row.created for row in rows)
    assert unanswered_looks(store, "films") == 1


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_an_exported_table_is_replayed_as_it_was_read(store, address, tmp_path, kind):
    read_blind_first(store, address)
    file = tmp_path / f"readings.{kind}"
    result = CliRunner().invoke(app, ["export", str(tmp_path), "--as", kind, "--out", str(file)])
    assert result.exit_code == 0, result.output
    (case, *_) = store.cases("films@70")
    answers = [(one.reader, one.verdict, one.squares) for one in replay(file)([case])]
    assert answers == [("Lee", "focus", (6, 7)), ("Wu", "skip", ())]
    lines = [one for one in newest(store, "films") if one.what == "export"]
    assert [one.detail for one in lines] == [f"readings, as {kind}"]
    if kind == "csv":
        with file.open(newline="", encoding="utf-8") as table:
            reasons = [row["reason"] for row in csv.DictReader(table)]
        assert "'=HYPERLINK(1)" in reasons, "a spreadsheet must not calculate it"
    assert "=HYPERLINK(1)" in [row.reason for row in load_rows(file)]


def test_the_export_goes_to_the_standard_output_and_says_what_it_lacks(store, address, tmp_path):
    read_blind_first(store, address)
    result = CliRunner().invoke(app, ["export", str(tmp_path)])
    assert result.exit_code == 0
    table = list(csv.DictReader(io.StringIO(result.stdout)))
    assert tuple(table[0]) == COLUMNS
    assert len(table) == 3
    assert "First looks without an answer, not in the table: 1" in result.stderr
    shown = CliRunner().invoke(app, ["export", str(tmp_path), "--as", "json"]).stdout
    assert [row["reader"] for row in json.loads(shown)] == ["Lee", "Lee", "Wu"]
    assert CliRunner().invoke(app, ["export", str(tmp_path), "--run", "x"]).exit_code == 2


def test_the_owner_gets_case_by_reader_and_a_table_without_keys(store, address):
    read_blind_first(store, address)
    add_round(store, run="other", epoch=70)
    with visiting(address, link(store, "owner", kind="owner")) as owner:
        got = owner.get("/api/rounds/70/results").json()
        assert got["readers"] == ["Lee", "Wu"]
        assert [case["used"] for case in got["cases"]] == [None] * 3, "not before it is closed"
        lee, wu = got["cases"][0]["answers"]
        assert (lee["reading"]["squares"], lee["firstLook"]["squares"]) == ([6, 7], [5])
        assert (lee["changes"], wu["reading"]["verdict"]) == (1, "skip")
        looked = got["cases"][1]["answers"][1]
        assert (looked["reading"], looked["firstLook"]["squares"]) == (None, [9])
        owner.post("/api/rounds/70/close", json={})
        closed = owner.get("/api/rounds/70/results").json()
        assert closed["cases"][0]["used"]["squares"] == [6, 7]
        table = owner.get("/api/readings.csv")
    assert table.headers["content-disposition"] == 'attachment; filename="readings.csv"'
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [(row["case"], row["reader"], row["squares"]) for row in rows] == [
        ("1", "Lee", "6"),
        ("1", "Lee", "6 7"),
        ("1", "Wu", ""),
    ]
    assert KEY not in table.text


def test_the_page_draws_every_answer_and_offers_the_table(store, address):
    read_blind_first(store, address)
    with chromium() as browser:
        owner = ReaderBrowser(browser, address, link(store, "owner", kind="owner"))
        owner.click_button("All answers")
        owner.page.get_by_role("heading", name="Round 1: all answers").wait_for()
        cell = owner.page.locator("tr[data-case='1'] td[data-reader='Lee']")
        assert cell.get_attribute("data-squares") == "6 7"
        cell.get_by_text("first look: 5").wait_for()
        cell.get_by_text("changed 1×").wait_for()
        outline = cell.locator(".grid-chosen").bounding_box()
        frame = cell.locator(".frame").bounding_box()
        # squares 6 and 7 are the two in the middle of the second of four rows
        across = (outline["x"] + outline["width"] / 2 - frame["x"]) / frame["width"]
        down = (outline["y"] + outline["height"] / 2 - frame["y"]) / frame["height"]
        assert (across, down) == pytest.approx((0.5, 0.375), abs=0.01)
        assert outline["width"] / frame["width"] == pytest.approx(0.5, abs=0.1)
        owner.wait_until("[...document.images].every((one) => one.naturalWidth > 0)")
        with owner.page.expect_download() as download:
            owner.page.get_by_role("link", name="Download all readings (CSV)").click()
        assert download.value.suggested_filename == "readings.csv"
        owner.check_no_errors()
        owner.context.close()
