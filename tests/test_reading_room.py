"""The reading room in Chromium: the page, the server and a store in a file."""

import json
import sqlite3
from pathlib import Path

import pytest
from browsers import ReaderBrowser, chromium
from rooms import link, make_store, serving
from slow_params import slow

from imil.grid import Grid
from imil.store import name_round, room_queries
from imil.store.invitations import invitations, revoke
from imil.store.run_progress import Progress

GRID = Grid(4, 4)


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture
def store(tmp_path):
    made = make_store(tmp_path)
    yield made
    made.close()


@pytest.fixture
def address(store, tmp_path):
    with serving(tmp_path / "imil.sqlite") as url:
        yield url


@pytest.fixture
def reader(browser, store, address):
    """Dr. Lee's browser at the first case."""
    opened = ReaderBrowser(browser, address, link(store)).start()
    yield opened
    opened.context.close()


def stored(store, epoch=70):
    """The readings in the store by case number, oldest first."""
    by_case = {}
    for reading in store.readings(name_round("films", epoch)):
        by_case.setdefault(int(reading.case.rpartition("#")[2]), []).append(reading)
    return by_case


def stored_squares(store):
    """The squares of the stored readings by case number, oldest first."""
    return {number: [one.squares for one in readings] for number, readings in stored(store).items()}


def test_a_round_is_read_by_mouse(reader, store):
    reader.click(6)
    reader.drag(7, 11)
    reader.click_button("Insert template")
    reader.page.keyboard.type("the letter")
    reader.click_button("Submit")
    reader.page.get_by_text("The reason has an unfilled gap").wait_for()
    reader.page.keyboard.type("the apex")  # the gap is selected
    reader.click_button("Submit")
    reader.wait_for_case(2)
    reader.click_button("Side by side")
    reader.click(1, pane=1)
    reader.click_button("Submit")
    reader.wait_for_case(3)
    reader.click_button("Label looks wrong")
    reader.page.get_by_role("heading", name="Your readings").wait_for()
    reader.click_button("Finish the round")
    reader.page.get_by_role("heading", name="Thank you").wait_for()
    reader.wait_until("document.querySelector('.learned img')?.naturalWidth > 0")
    one, two, three = (stored(store)[number][-1] for number in (1, 2, 3))
    assert one.squares == (6, 7, 11)
    sentence = "The model was focused on the letter, so I switched the focus towards the apex."
    assert one.reason == sentence
    assert one.seconds > 0
    assert (two.squares, three.verdict) == ((1,), "wrong label")
    assert [line["state"] for line in room_queries.rounds(store, "films", "Dr. Lee")] == ["closed"]
    reader.check_no_errors()


def test_a_round_is_read_by_keyboard_alone(browser, store, address):
    reader = ReaderBrowser(browser, address, link(store))
    reader.page.get_by_role("heading", name="Show the model where to look").wait_for()
    for _ in range(30):
        reader.press_keys("Tab")
        if reader.page.evaluate("document.activeElement.textContent") == "Start reading":
            break
    reader.press_keys("Enter")
    reader.wait_for_case(1)
    reader.press_keys("g", "ArrowRight", "ArrowDown", "Space", "ArrowDown", "Space")
    assert reader.squares == (6, 10)
    reader.press_keys("Enter")
    reader.wait_for_case(2)
    reader.press_keys("d")
    reader.page.keyboard.type("2 3, 6-7")
    reader.press_keys("Control+Enter")
    reader.wait_for_case(3)
    reader.press_keys("e")
    reader.page.keyboard.type("cut off at the apex")
    reader.press_keys("Escape", "Shift+S")
    reader.page.get_by_role("heading", name="Your readings").wait_for()
    reader.wait_until_saved()
    one, two, three = (stored(store)[number][-1] for number in (1, 2, 3))
    assert (one.squares, two.squares) == ((6, 10), (2, 3, 6, 7))
    assert (three.verdict, three.reason) == ("skip", "cut off at the apex")
    reader.check_no_errors()
    reader.context.close()


def test_each_selection_can_be_undone_and_redone(reader):
    reader.click(6)
    reader.drag(1, 2, 3)
    reader.click_button("All")
    steps = [reader.squares]
    for _ in range(4):
        reader.press_keys("Control+z")
        steps.append(reader.squares)
    assert steps == [GRID.check(range(1, 17)), (1, 2, 3, 6), (6,), (), ()]
    reader.press_keys("Control+y", "Control+y")
    assert reader.squares == (1, 2, 3, 6)


def test_shortcuts_can_be_changed_and_restored(reader):
    def change(button, key=None):
        reader.press_keys("?")
        reader.page.get_by_role("heading", name="Keyboard shortcuts").wait_for()
        reader.click_button(button)
        if key:
            reader.page.get_by_text("press a key").wait_for()
            reader.press_keys(key)
            name = f"{button.partition(':')[0]}: {key.upper()}"
            reader.page.get_by_role("button", name=name).wait_for()
        reader.click_button("Close")
        reader.page.locator("dialog").wait_for(state="detached")

    change("Select all squares: A", "q")
    reader.press_keys("a")
    assert reader.squares == ()
    reader.press_keys("q")
    assert len(reader.squares) == 16
    change("Restore defaults")
    reader.press_keys("x", "a")
    assert len(reader.squares) == 16


def test_blind_first_hides_the_prediction_and_stores_both_selections(browser, store, address):
    Progress(store).set_protocol("films", "blind-first", by="owner")
    reader = ReaderBrowser(browser, address, link(store)).start()
    assert reader.page.get_by_text("TB").count() > 0  # the ground truth
    assert reader.page.get_by_text("90 %").count() == 0
    assert reader.page.locator(".heat").count() == 0
    reader.click(6)
    reader.click_button("Show the model’s prediction")
    reader.page.get_by_text("90 %").wait_for()
    reader.wait_until_ready()
    reader.press_keys("Control+z")
    assert reader.squares == (6,)  # the first look cannot be undone into
    reader.click(7)
    reader.click_button("Submit")
    reader.wait_for_case(2)
    reader.wait_until_saved()
    (reading,) = stored(store)[1]
    assert (reading.squares_before, reading.squares) == ((6,), (6, 7))
    reader.check_no_errors()
    reader.context.close()


def test_readings_made_offline_are_sent_once_when_the_connection_is_back(reader, store):
    reader.wait_for_next_image()
    reader.context.set_offline(True)
    reader.click(6)
    reader.click_button("Submit")
    reader.wait_for_case(2)
    reader.click(7)
    reader.click_button("Submit")
    reader.page.get_by_text("Offline: 2 readings not sent yet").wait_for()
    assert stored(store) == {}
    reader.context.set_offline(False)
    reader.wait_until_saved()
    assert {
        number: [one.squares for one in readings] for number, readings in stored(store).items()
    } == {
        1: [(6,)],
        2: [(7,)],
    }


def test_readings_refused_by_a_locked_store_are_sent_once_when_it_is_unlocked(
    browser, store, tmp_path, monkeypatch
):
    monkeypatch.setattr("imil.web.app.STORE_TIMEOUT", 0.3)
    with serving(store.path) as address:
        reader = ReaderBrowser(browser, address, link(store)).start()
        other = sqlite3.connect(store.path, isolation_level=None)  # of another process
        other.execute("BEGIN IMMEDIATE")
        for number in (1, 2):
            reader.wait_for_case(number)
            reader.click(5 + number)
            reader.click_button("Submit")
        reader.page.get_by_text("2 readings not sent yet").wait_for()
        reader.page.get_by_text("cannot access its store at the moment").wait_for()
        assert stored(store) == {}
        other.execute("ROLLBACK")
        other.close()
        reader.wait_until_saved()
        assert reader.page.get_by_text("cannot access its store at the moment").count() == 0
        reader.context.close()
    assert {
        number: [one.squares for one in readings] for number, readings in stored(store).items()
    } == {
        1: [(6,)],
        2: [(7,)],
    }


def test_a_reading_of_a_closed_round_can_be_downloaded(reader, store):
    reader.wait_for_next_image()
    reader.context.set_offline(True)
    reader.click(6)
    reader.page.get_by_label("Reason", exact=True).last.fill("the apex, 100 % sure")
    reader.click_button("Submit")
    reader.wait_for_case(2)
    store.mark(store.find_round("films", 70), "closed")
    reader.context.set_offline(False)
    reader.page.get_by_text("Case 1 was not saved").wait_for()
    with reader.page.expect_download() as download:
        reader.page.get_by_role("link", name="Download a copy").click()
    assert download.value.suggested_filename == "case-1.json"
    copy = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert (copy["round"], copy["case"]) == ("70", 1)
    assert (copy["answer"]["squares"], copy["answer"]["reason"]) == ([6], "the apex, 100 % sure")
    assert "closed" in copy["refused"]
    reader.click_button("Dismiss")
    assert reader.page.get_by_text("was not saved").count() == 0
    assert stored(store) == {}
    reader.page.goto(reader.address)
    reader.page.get_by_role("heading", name="The round is closed").wait_for()
    reader.page.get_by_text("closed before any of your readings was stored").wait_for()


def test_images_of_the_review_load_when_the_connection_is_back(reader):
    reader.wait_for_module("finished.js")  # the last one that the page loads after the first image
    reader.context.set_offline(True)
    reader.page.get_by_role("button", name="Overview").click()
    reader.page.get_by_role("heading", name="Your readings").wait_for()
    reader.wait_until("[...document.images].every((img) => img.complete)")
    loaded = "[...document.querySelectorAll('.thumb img')].map((img) => img.naturalWidth > 0)"
    maps = "document.querySelectorAll('.heat-thumb').length"
    assert not all(reader.page.evaluate(loaded))
    assert reader.page.evaluate(maps) < 3
    reader.context.set_offline(False)
    reader.wait_until(f"{loaded}.every(Boolean)")
    assert len(reader.page.evaluate(loaded)) == 6
    reader.wait_until(f"{maps} === 3")


def test_responses_of_a_proxy_lose_no_reading(reader, store):
    page = "<!doctype html><title>Sign on</title>"
    answers = [
        {"status": status, "content_type": "text/html", "body": page} for status in (404, 200)
    ]

    def proxy_response(route):
        route.fulfill(**answers.pop(0)) if answers else route.fallback()

    reader.context.route("**/readings/*", proxy_response)
    reader.click(6)
    reader.click_button("Submit")
    reader.wait_for_case(2)
    reader.page.get_by_text("1 reading not sent yet").wait_for()
    reader.wait_until_saved()
    assert not answers
    assert [one.squares for one in stored(store)[1]] == [(6,)]


def test_a_closed_tab_keeps_squares_reason_and_time(reader, store):
    reader.click(6, 10)
    reader.page.get_by_label("Reason", exact=True).last.fill("apex")
    reader.page.wait_for_timeout(700)  # time passes on the case
    reader.page.close()
    reader.page = reader.open_tab()
    reader.page.goto(reader.address)
    reader.wait_for_case(1)
    assert reader.squares == (6, 10)
    assert reader.page.input_value("#reason") == "apex"
    reader.click_button("Submit")
    reader.wait_for_case(2)
    reader.wait_until_saved()
    ((reading,),) = stored(store).values()
    assert reading.seconds >= 0.7


def test_two_readers_read_the_same_cases_independently(browser, store, address):
    lee = ReaderBrowser(browser, address, link(store)).start()
    silva = ReaderBrowser(browser, address, link(store, "Dr. Silva")).start()
    lee.click(6)
    silva.click(11)
    lee.click_button("Submit")
    silva.click_button("Submit")
    lee.wait_for_case(2)
    silva.wait_for_case(2)
    lee.wait_until_saved()
    silva.wait_until_saved()
    assert {one.reader: one.squares for one in stored(store)[1]} == {
        "Dr. Lee": (6,),
        "Dr. Silva": (11,),
    }
    lee.context.close()
    silva.context.close()


def test_the_same_case_in_two_tabs_stores_both_readings(reader, store):
    reader.click(6)
    other = reader.open_tab()
    other.goto(reader.page.url)
    other.wait_for_selector("imil-case[data-ready]")
    other.keyboard.press("Enter")
    other.wait_for_selector("imil-case[data-case='2']")
    reader.page.bring_to_front()
    reader.page.get_by_text("submitted in another tab").wait_for()
    reader.click(7)
    reader.press_keys("Enter")
    reader.wait_for_case(2)
    reader.wait_until_saved()
    assert [one.squares for one in stored(store)[1]] == [(6,), (6, 7)]


def test_a_revoked_link_signs_out_and_keeps_unsent_readings(reader, store):
    (invitation,) = invitations(store, "films")
    revoke(store, "films", invitation.id, by="owner")
    reader.click(6)
    reader.click_button("Submit")
    reader.page.get_by_text("Signed out, 1 reading not sent yet").wait_for()
    reader.page.reload()
    reader.page.get_by_role("heading", name="Sign in with your link").wait_for()
    reader.page.goto(f"{reader.address}/in/{link(store)}")
    reader.click_button("Open the reading room")
    reader.wait_until_saved()
    assert stored(store)[1][0].squares == (6,)


@pytest.mark.parametrize(("width", "height"), [(390, 844), *slow((1440, 900), (1024, 768))])
def test_every_screen_size_takes_touch(browser, store, address, width, height):
    reader = ReaderBrowser(browser, address, link(store), width, height, has_touch=True).start()
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= width
    reader.page.touchscreen.tap(*reader.center_of(6))
    assert reader.squares == (6,)
    small = reader.page.evaluate(
        """[...document.querySelectorAll("button, select, input, textarea, a, summary")]
        .filter((one) => one.checkVisibility() && !one.closest("label"))
        .map((one) => [one.textContent, one.getBoundingClientRect()])
        .filter(([, box]) => Math.min(box.width, box.height) < 40).map(([text]) => text)"""
    )
    assert small == []
    reader.click_button("Submit")
    reader.wait_for_case(2)
    reader.context.close()


def test_signing_out_leaves_nothing_in_the_browser_and_uses_the_link_up(reader, store):
    reader.click(6)
    reader.page.on("dialog", lambda dialog: dialog.accept())
    reader.page.get_by_title("Sign out").click()
    reader.page.get_by_role("heading", name="Sign in with your link").wait_for()
    assert reader.page.evaluate("Object.keys(localStorage)") == []
    assert reader.context.cookies() == []
    reader.page.go_back()
    reader.page.get_by_role("heading", name="Sign in with your link").wait_for()


def test_the_owner_gives_a_reader_a_new_link(browser, reader, store, address):
    owner = ReaderBrowser(browser, address, link(store, "owner", kind="owner"))
    owner.page.on("dialog", lambda dialog: dialog.accept())
    owner.click_button("New link")
    new = owner.page.get_by_label("Link for Dr. Lee").input_value()
    owner.check_no_errors()
    owner.context.close()
    reader.page.reload()
    reader.page.get_by_role("heading", name="Sign in with your link").wait_for()
    reader.page.goto(new)
    reader.click_button("Open the reading room")
    reader.wait_for_case(1)


def test_without_input_the_reader_is_warned_and_then_signed_out(browser, store, address):
    reader = ReaderBrowser(browser, address)
    reader.page.clock.install()
    secret = link(store)
    reader.page.goto(f"{address}/in/{secret}")
    reader.click_button("Open the reading room")
    reader.start()
    reader.page.clock.fast_forward("25:30")
    reader.page.get_by_text("Without input you will be signed out").wait_for()
    reader.page.clock.fast_forward("05:30")
    reader.page.get_by_role("heading", name="Sign in with your link").wait_for()
    assert reader.page.evaluate("fetch('/api/session').then(({ status }) => status)") == 401
    reader.page.goto(f"{address}/in/{secret}")
    reader.click_button("Open the reading room")
    reader.wait_for_case(1)
    reader.context.close()
