"""The reading room in a real browser: the real page, the real server, a store on a real file."""

import json
import sqlite3
from pathlib import Path

import pytest
from browsers import Desk, chromium
from rooms import link, make_store, serving

from imil.grid import Grid
from imil.store import name_round, room_queries
from imil.store.invitations import invitations, revoke
from imil.store.run_progress import Progress

GRID = Grid(4, 4)


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def store(tmp_path):
    made = make_store(tmp_path)
    yield made
    made.close()


@pytest.fixture
def address(store, tmp_path):
    with serving(tmp_path / "imil.sqlite") as found:
        yield found


@pytest.fixture
def desk(browser, store, address):
    """Dr. Lee at the first case."""
    sat = Desk(browser, address, link(store)).start()
    yield sat
    sat.context.close()


def stored(store, epoch=70):
    """The readings in the store by case number, oldest first."""
    found = {}
    for reading in store.readings(name_round("films", epoch)):
        found.setdefault(int(reading.case.rpartition("#")[2]), []).append(reading)
    return found


def test_whole_reading_by_mouse(desk, store):
    desk.click(6)
    desk.drag(7, 11)
    desk.press("Start the sentence")
    desk.page.keyboard.type("the letter")
    desk.press("Submit")
    desk.at(2)
    desk.click(1, pane=1)
    desk.press("Submit")
    desk.at(3)
    desk.press("Label looks wrong")
    desk.page.get_by_role("heading", name="Your readings").wait_for()
    desk.press("Finish the round")
    desk.page.get_by_role("heading", name="Thank you").wait_for()
    one, two, three = (stored(store)[number][-1] for number in (1, 2, 3))
    assert one.squares == (6, 7, 11)
    assert one.reason == "The model was focused on the letter, so I switched the focus towards …."
    assert one.seconds > 0
    assert (two.squares, three.verdict) == ((1,), "wrong label")
    assert [line["state"] for line in room_queries.rounds(store, "films", "Dr. Lee")] == ["closed"]
    desk.quiet()


def test_whole_reading_by_keyboard_alone(browser, store, address):
    desk = Desk(browser, address, link(store))
    desk.page.get_by_role("heading", name="Show the model where to look").wait_for()
    for _ in range(30):
        desk.keys("Tab")
        if desk.page.evaluate("document.activeElement.textContent") == "Start reading":
            break
    desk.keys("Enter")
    desk.at(1)
    desk.keys("g", "ArrowRight", "ArrowDown", "Space", "ArrowDown", "Space")
    assert desk.squares == (6, 10)
    desk.keys("Enter")
    desk.at(2)
    desk.keys("d")
    desk.page.keyboard.type("2 3, 6-7")
    desk.keys("Control+Enter")
    desk.at(3)
    desk.keys("Shift+S")
    desk.page.keyboard.type("cut off at the apex")
    desk.keys("Tab")
    desk.keys("Shift+S")
    desk.page.get_by_role("heading", name="Your readings").wait_for()
    desk.saved()
    one, two, three = (stored(store)[number][-1] for number in (1, 2, 3))
    assert (one.squares, two.squares) == ((6, 10), (2, 3, 6, 7))
    assert (three.verdict, three.reason) == ("skip", "cut off at the apex")
    desk.quiet()
    desk.context.close()


def test_each_step_can_be_undone_and_done_again(desk):
    desk.click(6)
    desk.drag(1, 2, 3)
    desk.press("All")
    steps = [desk.squares]
    for _ in range(4):
        desk.keys("Control+z")
        steps.append(desk.squares)
    assert steps == [GRID.check(range(1, 17)), (1, 2, 3, 6), (6,), (), ()]
    desk.keys("Control+y", "Control+y")
    assert desk.squares == (1, 2, 3, 6)


def test_blind_first_hides_the_opinion_and_keeps_both_selections(browser, store, address):
    Progress(store).set_protocol("films", "blind-first", by="owner")
    desk = Desk(browser, address, link(store)).start()
    assert desk.page.get_by_text("TB").count() > 0  # the ground truth
    assert desk.page.get_by_text("90 %").count() == 0
    assert desk.page.locator(".heat").count() == 0
    desk.click(6)
    desk.press("Show the model’s opinion")
    desk.page.get_by_text("90 %").wait_for()
    desk.keys("Control+z")
    assert desk.squares == (6,)  # the first look cannot be undone into
    desk.click(7)
    desk.press("Submit")
    desk.at(2)
    desk.saved()
    (reading,) = stored(store)[1]
    assert (reading.squares_before, reading.squares) == ((6,), (6, 7))
    desk.quiet()
    desk.context.close()


def test_readings_made_offline_are_sent_once_when_the_network_is_back(desk, store):
    desk.fetched(2)
    desk.context.set_offline(True)
    desk.click(6)
    desk.press("Submit")
    desk.at(2)
    desk.click(7)
    desk.press("Submit")
    desk.page.get_by_text("Offline: 2 readings kept here").wait_for()
    assert stored(store) == {}
    desk.context.set_offline(False)
    desk.saved()
    assert {number: [one.squares for one in all_] for number, all_ in stored(store).items()} == {
        1: [(6,)],
        2: [(7,)],
    }


def test_readings_that_a_locked_store_refuses_are_sent_once_when_it_is_free(
    browser, store, tmp_path, monkeypatch
):
    monkeypatch.setattr("imil.web.app.PATIENCE", 0.3)
    with serving(store.path) as address:
        desk = Desk(browser, address, link(store)).start()
        other = sqlite3.connect(store.path, isolation_level=None)  # another process's
        other.execute("BEGIN IMMEDIATE")
        for number in (1, 2):
            desk.at(number)
            desk.click(5 + number)
            desk.press("Submit")
        desk.page.get_by_text("2 readings kept here").wait_for()
        desk.page.get_by_text("cannot reach its store just now").wait_for()
        assert stored(store) == {}
        other.execute("ROLLBACK")
        other.close()
        desk.saved()
        assert desk.page.get_by_text("cannot reach its store just now").count() == 0
        desk.context.close()
    assert {number: [one.squares for one in all_] for number, all_ in stored(store).items()} == {
        1: [(6,)],
        2: [(7,)],
    }


def test_an_answer_that_came_too_late_can_be_kept(desk, store):
    desk.fetched(2)
    desk.context.set_offline(True)
    desk.click(6)
    desk.page.get_by_label("Reason", exact=True).last.fill("the apex, 100 % sure")
    desk.press("Submit")
    desk.at(2)
    store.mark(store.find_round("films", 70), "closed")
    desk.context.set_offline(False)
    desk.page.get_by_text("Case 1 was not stored").wait_for()
    with desk.page.expect_download() as kept:
        desk.page.get_by_role("link", name="Keep a copy").click()
    assert kept.value.suggested_filename == "case-1.json"
    copy = json.loads(Path(kept.value.path()).read_text(encoding="utf-8"))
    assert (copy["round"], copy["case"]) == ("70", 1)
    assert (copy["answer"]["squares"], copy["answer"]["reason"]) == ([6], "the apex, 100 % sure")
    assert "closed" in copy["refused"]
    desk.press("Understood")
    assert desk.page.get_by_text("was not stored").count() == 0
    assert stored(store) == {}
    desk.page.goto(desk.address)
    desk.page.get_by_role("heading", name="The round is closed").wait_for()
    desk.page.get_by_text("closed before a reading of yours was stored").wait_for()


def test_pictures_of_the_review_come_when_the_network_is_back(desk):
    last = "performance.getEntriesByType('resource').some((one) => one.name.endsWith('thanks.js'))"
    desk.until(last)  # of the pages that come after the first film
    desk.context.set_offline(True)
    desk.page.get_by_role("button", name="Overview").click()
    desk.page.get_by_role("heading", name="Your readings").wait_for()
    desk.until("[...document.images].every((img) => img.complete)")
    loaded = "[...document.querySelectorAll('.thumb img')].map((img) => img.naturalWidth > 0)"
    maps = "document.querySelectorAll('.heat-thumb').length"
    assert not all(desk.page.evaluate(loaded))
    assert desk.page.evaluate(maps) < 3
    desk.context.set_offline(False)
    desk.until(f"{loaded}.every(Boolean)")
    assert len(desk.page.evaluate(loaded)) == 6
    desk.until(f"{maps} === 3")


def test_what_a_proxy_answers_in_the_rooms_place_loses_no_reading(desk, store):
    page = "<!doctype html><title>Sign on</title>"
    answers = [
        {"status": status, "content_type": "text/html", "body": page} for status in (404, 200)
    ]

    def in_its_place(route):
        route.fulfill(**answers.pop(0)) if answers else route.fallback()

    desk.context.route("**/readings/*", in_its_place)
    desk.click(6)
    desk.press("Submit")
    desk.at(2)
    desk.page.get_by_text("1 reading kept here").wait_for()
    desk.saved()
    assert not answers
    assert [one.squares for one in stored(store)[1]] == [(6,)]


def test_a_closed_tab_loses_neither_squares_nor_reason_nor_time(desk, store):
    desk.click(6, 10)
    desk.page.get_by_label("Reason", exact=True).last.fill("apex")
    desk.page.wait_for_timeout(700)
    desk.page.close()
    desk.page = desk.tab()
    desk.page.goto(desk.address)
    desk.at(1)
    assert desk.squares == (6, 10)
    assert desk.page.input_value("#reason") == "apex"
    desk.press("Submit")
    desk.at(2)
    desk.saved()
    ((reading,),) = stored(store).values()
    assert reading.seconds >= 0.7


def test_two_readers_read_the_same_cases_each_for_themselves(browser, store, address):
    lee = Desk(browser, address, link(store)).start()
    silva = Desk(browser, address, link(store, "Dr. Silva")).start()
    lee.click(6)
    silva.click(11)
    lee.press("Submit")
    silva.press("Submit")
    lee.at(2)
    silva.at(2)
    lee.saved()
    silva.saved()
    assert {one.reader: one.squares for one in stored(store)[1]} == {
        "Dr. Lee": (6,),
        "Dr. Silva": (11,),
    }
    lee.context.close()
    silva.context.close()


def test_the_same_case_in_two_tabs_stores_both_answers(desk, store):
    desk.click(6)
    other = desk.tab()
    other.goto(desk.page.url)
    other.wait_for_selector("imil-case[data-state=painted]")
    other.keyboard.press("Enter")
    other.wait_for_selector("imil-case[data-case='2']")
    desk.page.bring_to_front()
    desk.page.get_by_text("answered in another tab").wait_for()
    desk.click(7)
    desk.keys("Enter")
    desk.at(2)
    desk.saved()
    assert [one.squares for one in stored(store)[1]] == [(6,), (6, 7)]


def test_a_revoked_link_shuts_the_door_and_keeps_what_was_read(desk, store):
    (invitation,) = invitations(store, "films")
    revoke(store, "films", invitation.id, by="owner")
    desk.click(6)
    desk.press("Submit")
    desk.page.get_by_text("Signed out, 1 reading kept here").wait_for()
    desk.page.reload()
    desk.page.get_by_role("heading", name="Open the link you were given").wait_for()
    desk.page.goto(f"{desk.address}/in/{link(store)}")
    desk.saved()
    assert stored(store)[1][0].squares == (6,)


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1024, 768), (390, 844)])
def test_every_size_shows_both_panes_and_reads_by_touch(browser, store, address, width, height):
    desk = Desk(browser, address, link(store), width, height, has_touch=True).start()
    one, two = (desk.page.locator(".pane").nth(i).bounding_box() for i in (0, 1))
    stacked = two["y"] >= one["y"] + one["height"]
    assert stacked == (width < height)
    assert desk.page.evaluate("document.documentElement.scrollWidth") <= width
    desk.page.touchscreen.tap(*desk.place(6))
    assert desk.squares == (6,)
    small = desk.page.evaluate(
        """[...document.querySelectorAll("button, select, input, textarea, a, summary")]
        .filter((one) => one.checkVisibility() && !one.closest("label"))
        .map((one) => [one.textContent, one.getBoundingClientRect()])
        .filter(([, box]) => Math.min(box.width, box.height) < 24).map(([text]) => text)"""
    )
    assert small == []
    desk.press("Submit")
    desk.at(2)
    desk.context.close()
