"""What the reading room says: of answers given, of training and saving, of what to select."""

from contextlib import ExitStack

import pytest
from browsers import ReaderBrowser, chromium
from rooms import link, make_store, serving

from imil.store.run_progress import Progress


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture
def store(tmp_path):
    made = make_store(tmp_path, cases=1)
    yield made
    made.close()


def test_a_server_that_has_ended_is_noticed_on_every_page(browser, store):
    Progress(store).report("films", state="running", epoch=70, epochs=100)
    with ExitStack() as server, Progress(store).alive("films"):
        address = server.enter_context(serving(store.path))
        reader = ReaderBrowser(browser, address, link(store)).start()
        reader.click_button("Label looks wrong")
        reader.click_button("Finish the round")
        lead = reader.page.locator(".finished .lead")
        lead.get_by_text("The model is training (epoch 70 of 100)").wait_for()
        assert "other" not in lead.text_content(), "a lone reader waits for nobody"
        server.close()
        reader.page.evaluate("window.dispatchEvent(new Event('focus'))")
        reader.page.get_by_text("Server not reached since").wait_for()
        lead.get_by_text("it is not known how training is").wait_for()
        assert "training (epoch" not in lead.text_content()
        reader.context.close()


def test_a_lone_reader_is_not_told_to_wait_for_others(browser, store):
    Progress(store).report("films", state="waiting", epoch=70, epochs=100)
    with serving(store.path) as address, Progress(store).alive("films"):
        reader = ReaderBrowser(browser, address, link(store)).start()
        reader.click_button("Label looks wrong")
        reader.click_button("Finish the round")
        lead = reader.page.locator(".finished .lead")
        lead.get_by_text("Training goes on when it has taken up the readings").wait_for()
        assert "other" not in lead.text_content()
        reader.context.close()


def test_a_case_that_is_changed_shows_the_answer_that_was_given(browser, store):
    with serving(store.path) as address:
        reader = ReaderBrowser(browser, address, link(store)).start()
        reader.click_button("Label looks wrong")
        reader.click_button("Change case 1")
        reader.wait_for_case(1)
        given = reader.page.locator(".verdict .given")
        assert "Your answer: label looks wrong." in given.text_content()
        pressed = reader.page.locator(".others [aria-pressed=true]")
        assert pressed.all_text_contents() == ["Label looks wrong"]
        reader.context.close()


def test_practice_follows_the_protocol_of_the_study(browser, store):
    Progress(store).set_protocol("films", "blind-first", by="owner")
    with serving(store.path) as address:
        reader = ReaderBrowser(browser, address, link(store))
        reader.page.get_by_role("button", name="Try a practice case").click()
        reader.wait_for_case(1)
        assert reader.page.locator(".heat").count() == 0
        assert reader.page.get_by_text("93 %").count() == 0
        reader.click(7, 11)
        reader.click_button("Show the model’s prediction")
        reader.page.get_by_text("93 %").wait_for()
        reader.wait_until_ready()
        reader.click_button("Submit")
        assert "Correct" in reader.page.locator("dialog.practice").text_content()
        reader.check_no_errors()
        reader.context.close()


@pytest.mark.parametrize(("truth", "said"), [("normal", True), ("TB", False)])
def test_a_normal_film_says_what_to_select(browser, tmp_path, monkeypatch, truth, said):
    monkeypatch.setattr("rooms.NAMES", ("other", truth))
    store = make_store(tmp_path, cases=1)
    with serving(store.path) as address:
        reader = ReaderBrowser(browser, address, link(store)).start()
        hint = reader.page.get_by_text("Select the region that has to be free of findings")
        assert (hint.count() > 0) == said
        reader.context.close()
    store.close()
