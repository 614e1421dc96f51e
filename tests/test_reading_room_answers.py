"""What counts as an answer in the reading room, and how it is undone."""

from contextlib import contextmanager

import numpy as np
import pytest
from browsers import ReaderBrowser, chromium
from rooms import link, make_store, serving
from slow_params import slow

from imil.store import name_round
from imil.store.run_progress import Progress


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@contextmanager
def reading(browser, folder, protocol="paper", start=True, **options):
    """A reader's browser at the first case, and the store."""
    store = make_store(folder, **options)
    Progress(store).set_protocol("films", protocol, by="owner")
    with serving(folder / "imil.sqlite") as address:
        reader = ReaderBrowser(browser, address, link(store))
        if start:
            reader.start()
        yield reader, store
        reader.context.close()
    store.close()


def answers(store):
    """Case number, verdict and squares of the stored readings, oldest first."""
    readings = store.readings(name_round("films", 70))
    return [(int(one.case.rpartition("#")[2]), one.verdict, one.squares) for one in readings]


def case_number(reader):
    return reader.page.get_attribute("imil-case", "data-case")


TWICE = """() => {
    const key = { key: "N", code: "KeyN", shiftKey: true, bubbles: true };
    for (const _ of [1, 2]) document.body.dispatchEvent(new KeyboardEvent("keydown", key));
}"""


def double_click(reader, name):
    box = reader.page.get_by_role("button", name=name, exact=True).bounding_box()
    reader.page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def test_a_double_click_answers_once_and_what_was_just_shown_is_not_answered(browser, tmp_path):
    with reading(browser, tmp_path) as (reader, store):
        double_click(reader, "Label looks wrong")
        reader.wait_for_case(2)
        reader.page.evaluate(TWICE)  # both before anything else happens, on the slowest machine too
        reader.wait_for_case(3)
        double_click(reader, "Skip")
        assert case_number(reader) == "3", "a skip without a reason is asked for twice"
        reader.wait_until_saved()
        assert answers(store) == [(1, "wrong label", ()), (2, "not assessable", ())]
        reader.check_no_errors()


def test_a_double_click_shows_the_prediction_and_submits_nothing(browser, tmp_path):
    with reading(browser, tmp_path, "blind-first") as (reader, store):
        reader.click(6)
        double_click(reader, "Show the model’s prediction")
        reader.page.get_by_text("90 %").wait_for()
        reader.wait_until_ready()
        assert case_number(reader) == "1"
        assert answers(store) == []
        reader.click_button("Submit")
        reader.wait_for_case(2)
        reader.wait_until_saved()
        assert answers(store) == [(1, "focus", (6,))]


def test_nothing_is_answered_before_the_heat_map_is_on_the_screen(browser, tmp_path):
    with reading(browser, tmp_path, start=False) as (reader, store):
        held, released = [], []

        def answer(route):
            return route.continue_() if released else held.append(route)

        reader.page.route("**/heat-map/**", answer)
        reader.click_button("Start reading")
        reader.page.wait_for_selector("imil-case[data-state=painted]")
        reader.click(6)
        reader.press_keys("Enter")
        reader.page.get_by_text("the model’s prediction is not on the screen yet").wait_for()
        released.append(True)
        for route in held:
            route.continue_()
        reader.wait_for_case(1)
        reader.click_button("Submit")
        reader.wait_for_case(2)
        reader.wait_until_saved()
        assert answers(store) == [(1, "focus", (6,))]


@pytest.mark.slow
def test_answers_are_undone_one_after_the_other_on_other_cases_and_after_a_reload(
    browser, tmp_path
):
    with reading(browser, tmp_path) as (reader, store):
        reader.click(6, 4, 4)
        reader.page.fill("#reason", "the apex")
        reader.click_button("Submit (1 selected, 1 misleading)")
        reader.wait_for_case(2)
        reader.click_button("Label looks wrong")
        reader.wait_for_case(3)
        shown = reader.page.locator(".top-bar .answer")
        assert shown.text_content() == "Case 2: label looks wrong · Undo"
        reader.wait_until_saved()
        reader.page.reload()
        reader.wait_for_case(3)
        double_click(reader, "Undo the answer to case 2")
        reader.wait_for_case(2)
        assert shown.text_content() == "Case 1: square 6; misleading 4 · Undo"
        reader.press_keys("u")
        reader.wait_for_case(1)
        assert (reader.squares, reader.page.input_value("#reason")) == ((6,), "the apex")
        assert shown.text_content() == ""
        reader.wait_until_saved()
        reader.page.reload()
        reader.wait_for_case(1)
        assert reader.squares == (6,)
        reader.click_button("Overview")
        reader.page.get_by_text("3 cases of 3 still to read").wait_for()
        # the store keeps what was said; the newest reading of each case leaves its film unchanged
        assert answers(store)[:2] == [(1, "focus", (6,)), (2, "wrong label", ())]
        assert sorted(answers(store)[2:]) == [(1, "skip", ()), (2, "skip", ())]
        reader.check_no_errors()


def test_undoing_a_changed_answer_brings_back_the_one_before(browser, tmp_path):
    with reading(browser, tmp_path, cases=1) as (reader, store):
        reader.click(6)
        reader.click_button("Submit")
        reader.click_button("Change case 1")
        reader.wait_for_case(1)
        assert "Your answer: square 6." in reader.page.text_content(".verdict")
        reader.click_button("Not assessable")
        reader.page.get_by_role("heading", name="Your readings").wait_for()
        reader.click_button("Undo the answer to case 1")
        reader.wait_for_case(1)
        reader.wait_until_saved()
        assert answers(store) == [
            *((1, "focus", (6,)), (1, "not assessable", ()), (1, "focus", (6,))),
        ]
        reader.click_button("Overview")
        reader.page.get_by_text("All 1 cases read").wait_for()


def test_what_covers_the_film_takes_its_own_clicks(browser, tmp_path):
    with reading(browser, tmp_path, "blind-first", start=False) as (reader, store):
        fails = [
            "**/api/images/*",
            lambda route: route.fulfill(status=500, json={"detail": "Busy."}),
        ]
        reader.page.route(*fails)
        reader.click_button("Start reading")
        reader.page.get_by_text("Busy.").first.wait_for()
        reader.click_button("Side by side")
        middle = {"x": 40, "y": 40}
        for pane in (0, 1):
            reader.page.locator(".pane").nth(pane).locator(".overlay").last.click(position=middle)
        reader.press_keys("a", "Shift+L", "Shift+S", "Shift+S")
        assert (case_number(reader), reader.squares) == ("1", ())
        assert "film is not on the screen yet" in reader.page.text_content(".verdict")
        reader.page.unroute("**/api/images/*")
        reader.click_button("Try again")
        reader.wait_for_case(1)
        reader.press_keys("r")
        reader.page.locator(".pane .view-label").first.click()
        reader.page.locator(".first-look").click()
        assert reader.squares == ()
        assert answers(store) == []


def test_numbers_that_are_marked_as_wrong_select_nothing_and_are_not_submitted(browser, tmp_path):
    with reading(browser, tmp_path) as (reader, store):
        reader.press_keys("d")
        reader.page.keyboard.type("3 9")
        assert reader.squares == (3, 9)
        reader.page.keyboard.type("9")
        assert reader.squares == ()
        reader.press_keys("Control+Enter")
        error = reader.page.locator("#numbers-error")
        assert "“99” is outside the 4×4 grid" in error.text_content()
        reader.page.locator("#reason").focus()
        assert reader.page.input_value("#numbers") == "3 99", "what is wrong stays to be mended"
        reader.click_button("Submit")
        assert "“99” is outside" in reader.page.locator(".verdict .message").text_content()
        assert case_number(reader) == "1"
        reader.press_keys("Backspace", "Control+Enter")  # the field has the focus, all selected
        reader.page.keyboard.type("3 9")
        reader.press_keys("Control+Enter")
        reader.wait_for_case(2)
        reader.wait_until_saved()
        assert answers(store) == [(1, "focus", (3, 9))]


@pytest.mark.parametrize("bits", [16, *slow(8)])
def test_photographs_in_colour_are_painted_as_they_are_stored(browser, tmp_path, bits):
    inks = np.array([[90, 50, 40], [30, 60, 20], [200, 180, 90], [120, 121, 122]], np.uint8)
    blocks = np.kron(inks.reshape(2, 2, 3), np.ones((32, 32, 1), np.uint8)).astype(np.uint8)
    film = blocks if bits == 8 else blocks.astype(np.uint16) * 257
    with reading(browser, tmp_path, cases=1, film=lambda _: film) as (reader, _):
        seen = reader.page.evaluate(
            """() => [1, 4, 13, 16].map((square) => {
                const canvas = document.querySelector("canvas.film");
                const box = document.querySelector("#square-" + square).getBoundingClientRect();
                const { x, y, width } = canvas.getBoundingClientRect();
                const scale = canvas.width / width;
                const [left, top] = [box.x + box.width / 2 - x, box.y + box.height / 2 - y];
                const context = canvas.getContext("2d");
                return [...context.getImageData(left * scale, top * scale, 1, 1).data.slice(0, 3)];
            })"""
        )
        assert seen == inks.tolist()
