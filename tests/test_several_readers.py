"""Several readers of a round: who is waited for, how answers are merged, and what is said of it."""

import threading
from contextlib import contextmanager

import pytest
from browsers import ReaderBrowser, chromium
from reader_contract import make_case
from rooms import KEY, link, make_store, reading, send, serving, visiting
from test_web_reader import Films, WrongModel, start_round

from imil.cases import Correction, Reading, RoundSettings
from imil.errors import RoundPaused, SettingsError, StoreError
from imil.grid import Grid
from imil.merging import merged
from imil.reader_panel import ReaderPanel
from imil.readers.console import Console
from imil.readers.replay import replay
from imil.readers.web_page import Web
from imil.rounds import run_round
from imil.settings import resolve
from imil.store import Store, audit, round_state
from imil.store.invitations import invitations, invite, revoke
from imil.store.round_waiting import Waiting, waiting

GRID = Grid(4, 4)


def focus(reader, squares=(), misleading=(), case="c"):
    return Reading(case, reader, "focus", tuple(squares), misleading=tuple(misleading))


def other(reader, verdict="skip", case="c"):
    return Reading(case, reader, verdict)


def what_counts(*readings):
    one = merged(readings, GRID)["c"].reading
    return one.verdict, one.squares, one.misleading


# --- the rule -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "counts"),
    [
        ([focus("A", [1, 2]), focus("B", [2, 3]), focus("C", [2, 1])], ("focus", (1, 2), ())),
        ([focus("A", [1]), focus("B", [2])], ("skip", (), ())),  # half is not more than half
        ([focus("A", [1, 2]), other("B")], ("focus", (1, 2), ())),  # a skip outvotes nobody
        ([focus("A", [1], [9]), focus("B", [1], [9]), focus("C", [], [9])], ("focus", (1,), (9,))),
        ([focus("A", [1]), focus("B", [], [9]), focus("C", [], [9])], ("focus", (), (9,))),
        ([other("A"), other("B", "wrong label")], ("wrong label", (), ())),
        ([other("A"), other("B"), other("C", "wrong label")], ("skip", (), ())),
        # all squares would be misleading, and nothing be left of the image
        ([focus(n, [], {*range(1, 17)} - {i}) for i, n in enumerate("ABC", 1)], ("skip", (), ())),
    ],
)
def test_the_majority_of_those_who_marked_squares_decides(answers, counts):
    assert what_counts(*answers) == counts


def test_of_one_reader_the_newest_answer_counts_and_is_not_changed():
    first, second = focus("Lee", [1]), focus("Lee", [5, 6])
    assert merged([first, second], GRID)["c"].reading is second
    assert what_counts(focus("Wu", [5]), first, second) == ("focus", (5,), ())


def test_every_answer_that_is_not_what_counts_has_a_line():
    one = merged([focus("Lee", [1, 2]), other("Wu"), focus("Kim", [1, 2])], GRID)["c"]
    assert one.left_out == ("Wu",)
    assert one.sentence(3) == "Case 3: Lee: 1 2; Wu: skip; Kim: 1 2. Training uses: 1 2."
    assert merged([focus("Lee", [1]), focus("Wu", [1])], GRID)["c"].left_out == ()


def test_a_skip_in_nobodys_name_counts_only_alone():
    assert what_counts(other("nobody"), focus("Lee", [3])) == ("focus", (3,), ())
    assert what_counts(other("nobody")) == ("skip", (), ())


def test_the_joined_answer_keeps_names_reasons_and_time():
    lee = Reading("c", "Lee", "focus", (1,), "the letter", 4.0)
    wu = Reading("c", "Wu", "focus", (1,), "the clip", 6.0)
    joined = merged([lee, wu], GRID)["c"].reading
    assert (joined.reader, joined.seconds) == ("Lee, Wu", 10.0)
    assert joined.reason == "Lee: the letter; Wu: the clip"


# --- who is waited for --------------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    opened = make_store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def address(store):
    with serving(store.path) as url:
        yield url


@contextmanager
def people(store, address, *names):
    """A browser of each name; the owner's has the owner's link."""
    browsers = {}
    for name in names:
        kind = "owner" if name == "owner" else "reader"
        secret = link(store, name, kind=kind)
        browsers[name] = visiting(address, secret)
    opened = {name: context.__enter__() for name, context in browsers.items()}
    try:
        yield opened.values()
    finally:
        for context in browsers.values():
            context.__exit__(None, None, None)


def read_all(browser, squares=(6,)):
    for case in (1, 2, 3):
        assert send(browser, case, reading(squares)).status_code == 200


def finish(browser, **given):
    return browser.post("/api/rounds/70/finish", json=given)


def test_one_readers_finish_closes_only_their_own_reading(store, address):
    with people(store, address, "Lee", "Wu", "Kim", "owner") as (lee, wu, kim, owner):
        read_all(lee)
        assert finish(lee).json() == {"state": "open", "waitsFor": 2}
        assert send(lee, 1, reading([7])).status_code == 200, "until it closes, it may be changed"
        (round_,) = owner.get("/api/lobby").json()["rounds"]
        assert round_["waitsFor"] == "Wu, Kim"
        assert [one["finished"] for one in round_["readers"]] == [True, False, False]
        read_all(wu)
        assert finish(wu).json() == {"state": "open", "waitsFor": 1}
        read_all(kim)
        assert finish(kim).json() == {"state": "closed", "waitsFor": 0}
    lines = [line.detail for line in audit.newest(store, "films") if line.what == "finish"]
    assert lines[::-1][0] == "round 70: 3 of 3 cases read; it waits for Wu, Kim"


def test_a_round_waits_for_the_number_it_was_opened_for_and_for_all_who_have_begun(tmp_path):
    store = Store(tmp_path / "imil.sqlite")
    store.add_run("films", class_names=["normal", "TB"], settings={}, versions={})
    cases = [make_case(n, run="films") for n in (1, 2, 3)]
    store.open_round("films", 70, RoundSettings(panel=ReaderPanel(quorum=2)), cases)
    with serving(store.path) as address:
        with people(store, address, "Lee", "Wu", "Kim", "Abe") as (lee, wu, kim, _abe):
            read_all(lee)
            assert finish(lee).json() == {"state": "open", "waitsFor": 1}
            send(kim, 1)
            read_all(wu)
            assert finish(wu).json() == {"state": "open", "waitsFor": 1}, "Kim has begun"
            read_all(kim)
            assert finish(kim).json() == {"state": "closed", "waitsFor": 0}
    store.close()


def test_revoking_the_last_link_that_is_waited_for_closes_the_round(store, address):
    with people(store, address, "Lee", "Wu", "owner") as (lee, wu, owner):
        send(wu, 1)
        read_all(lee)
        assert finish(lee).json()["state"] == "open"
        wus = next(one.id for one in invitations(store, "films") if one.name == "Wu")
        assert owner.delete(f"/api/invitations/{wus}").status_code == 200
        assert lee.get("/api/session").json()["rounds"][0]["state"] == "closed"
    assert len(store.readings("films@70")) == 4, "what Wu read stays"


def test_the_link_that_a_run_gets_by_itself_is_waited_for_only_if_it_was_opened(store, address):
    automatic = link(store, "reader")
    assert waiting(store, "films@70").readers == ("reader",)
    link(store, "Lee")
    assert waiting(store, "films@70").readers == ("Lee",)
    with visiting(address, automatic):
        assert waiting(store, "films@70").readers == ("reader", "Lee")


def test_the_owner_closes_a_round_and_the_audit_names_who_had_not_finished(store, address):
    with people(store, address, "Lee", "Wu", "owner") as (lee, wu, owner):
        read_all(lee)
        finish(lee)
        send(wu, 1)
        assert owner.post("/api/rounds/70/close", json={}).json() == {"state": "closed"}
        late = send(wu, 2, reading([9]))
        assert late.status_code == 409
        found = {line["what"]: line["detail"] for line in owner.get("/api/audit").json()}
    assert found["close"] == "round 70: by the owner, 3 of 3 cases read; not finished: Wu (1 of 3)"
    assert found["refused"] == "round 70, case 2: focus 9, after the round was closed"


# --- one transaction ----------------------------------------------------------------------


def test_finish_and_a_first_reading_at_the_same_moment_have_one_order(tmp_path):
    """Either the reading came first, and is waited for, or it is refused."""
    for attempt in range(12):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        store = make_store(folder)
        for name in ("Lee", "Wu"):
            invite(store, "films", name, by="owner")
        revoked = invitations(store, "films")[1].id
        for case in (1, 2, 3):
            store.add(Reading(f"films@70#{case}", "Lee", "focus", (1,)))
        revoke(store, "films", revoked, by="owner")  # Wu may begin, and is not waited for
        invite(store, "films", "reader", by="owner")
        start, outcome = threading.Barrier(2), {}

        def first_reading(store=store, start=start, outcome=outcome):
            start.wait()
            try:
                store.add(Reading("films@70#1", "reader", "focus", (2,)))
                outcome["reading"] = True
            except StoreError:
                outcome["reading"] = False

        thread = threading.Thread(target=first_reading)
        thread.start()
        start.wait()
        outcome["state"] = round_state.finish(store, "films", 70, "films@70", "Lee").state
        thread.join()
        assert outcome["reading"] or outcome["state"] == "closed", outcome
        stored = [one.reader for one in store.readings("films@70")]
        assert ("reader" in stored) == outcome["reading"]
        store.close()


@pytest.mark.parametrize(
    "again", [reading([7]), reading([], "skip"), reading([6], reason="another")]
)
def test_the_same_id_with_another_answer_is_a_conflict(store, address, again):
    with visiting(address, link(store)) as lee:
        assert send(lee, 1, reading([6]), reading_id="a" * 32).status_code == 200
        refused = send(lee, 1, again, reading_id="a" * 32)
        assert refused.status_code == 409
        assert "stored with another answer (6)" in refused.json()["detail"]
        same = send(lee, 1, reading([6], seconds=9), reading_id="a" * 32)
        assert same.status_code == 200
    assert [one.squares for one in store.readings("films@70")] == [(6,)]


def test_the_owner_can_reopen_a_round_until_it_is_applied(store, address):
    with people(store, address, "Lee", "owner") as (lee, owner):
        read_all(lee)
        assert finish(lee).json()["state"] == "closed"
        assert owner.post("/api/rounds/70/reopen", json={}).json() == {"state": "open"}
        assert send(lee, 1, reading([9])).status_code == 200
        assert waiting(store, "films@70").readers == ("Lee",), "has to finish again"
        assert finish(lee).json()["state"] == "closed"
        assert round_state.apply(store, store.find_round("films", 70)) == []
        refused = owner.post("/api/rounds/70/reopen", json={})
        assert refused.status_code == 409
        assert "applied" in refused.json()["detail"]
    what = [line.what for line in audit.newest(store, "films")]
    assert what.count("reopen") == 1


def test_a_round_that_is_reopened_while_it_is_applied_is_asked_again(tmp_path):
    store = Store(tmp_path / "imil.sqlite")
    store.add_run("films", class_names=["normal", "TB"], settings={}, versions={})
    asked = []

    def ask(cases):
        asked.append([case.number for case in cases])
        for case in cases:
            yield Reading(case.id, "Lee", "focus", (6,))

    real = round_state.close_if_over

    def close_and_reopen(store, round_, *, at_page):
        state = real(store, round_, at_page=at_page)
        if len(asked) == 1:
            asked.append("reopened")
            round_state.reopen(store, "films", 70, round_.id, by="owner")
        return state

    samples = Films()
    settings = RoundSettings(num_outliers=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(round_state, "close_if_over", close_and_reopen)
        result = run_round(
            WrongModel(), samples, ask, store, run="films", epoch=70, settings=settings
        )
    assert result.state == "applied"
    assert set(samples.kept) == {0, 1}
    store.close()


# --- skipping, names ----------------------------------------------------------------------


def test_who_skips_every_case_is_asked_before_finishing(store, address):
    with visiting(address, link(store)) as lee:
        for case in (1, 2, 3):
            send(lee, case, reading([], "skip"))
        asked = finish(lee)
        assert asked.status_code == 428
        assert asked.json()["detail"].startswith("You skipped all 3 cases")
        assert lee.get("/api/session").json()["rounds"][0]["state"] == "open"
        assert finish(lee, skipsAll=True).json()["state"] == "closed"


def test_the_page_asks_who_skips_every_case_and_says_that_others_are_waited_for(store, address):
    link(store, "Wu")
    with visiting(address, link(store)) as lee:
        for case in (1, 2, 3):
            send(lee, case, reading([], "skip"))
    with chromium() as browser:
        page = ReaderBrowser(browser, address, link(store))
        page.page.get_by_role("button", name="Start reading").click()
        page.page.get_by_role("heading", name="Your readings").wait_for()
        questions = []

        def answer(dialog):
            questions.append(dialog.message)
            dialog.dismiss() if len(questions) == 1 else dialog.accept()

        page.page.on("dialog", answer)
        page.click_button("Finish the round")
        page.page.wait_for_selector(".finish .primary:not([disabled])")
        assert waiting(store, "films@70").finished == (), "the question was answered with no"
        page.click_button("Finish the round")
        page.page.get_by_text("The round is still open: it closes when every reader").wait_for()
        assert waiting(store, "films@70") == Waiting(("Wu",), 0, ("Dr. Lee",))
        assert questions[0].startswith("You skipped all 3 cases")
        page.context.close()


@pytest.mark.parametrize("name", ["owner", "Owner", " nobody ", "ALL"])
def test_a_reader_cannot_have_a_name_that_the_program_writes(store, name):
    with pytest.raises(SettingsError, match="reserved"):
        invite(store, "films", name, by="owner")
    if name.strip().casefold() != "all":
        with pytest.raises(SettingsError, match=r"--reader-name is .* reserved"):
            resolve({"data": "films.csv", "reader_name": name})


# --- the same for page, console and replay, and after an interruption ---------------------


def test_lee_marks_squares_wu_skips_and_lees_squares_are_applied(tmp_path):
    store = Store(tmp_path / "imil.sqlite")
    store.add_run("films", class_names=["normal", "TB"], settings={}, versions={})
    samples, results, said = Films(), [], []
    with serving(store.path) as address:
        with people(store, address, "Lee", "Wu", "owner") as (lee, wu, owner):
            web = Web(store, interval=0.02, say=said.append)
            thread = start_round(store, samples, results=results, reader=web)
            read_all(lee, [1, 2])
            finish(lee)
            for case in (1, 2, 3):
                send(wu, case, reading([], "skip"))
            assert thread.is_alive()
            finish(wu, skipsAll=True)
            thread.join()
            (round_,) = owner.get("/api/lobby").json()["rounds"]
    assert results[0].state == "applied"
    assert samples.kept == {i: Correction(GRID, (1, 2)) for i in range(3)}
    assert round_["merged"][0] == "Case 1: Lee: 1 2; Wu: skip. Training uses: 1 2."
    merges = [line.detail for line in audit.newest(store, "films") if line.what == "merge"]
    assert len(merges) == 3
    assert said[-1] == "The round after epoch 70 is finished by Lee, Wu; it waits for nobody."
    store.close()


def test_a_resumed_round_of_the_page_still_waits_for_the_others(store, address):
    """All cases are read by one reader; the other is asked for nothing less."""
    with people(store, address, "Lee", "Wu") as (lee, wu):
        read_all(lee)
        finish(lee)
        results = []
        thread = threading.Thread(
            target=lambda: results.append(
                run_round(
                    WrongModel(),
                    Keyed(),
                    Web(store, interval=0.02),
                    store,
                    run="films",
                    epoch=70,
                    settings=RoundSettings(num_outliers=3),
                )
            )
        )
        thread.start()
        read_all(wu)
        assert store.find_round("films", 70).state == "open"
        finish(wu)
        thread.join()
    assert results[0].state == "applied"


class Keyed(Films):
    """The samples of the cases that `make_store` opens."""

    def key(self, i):
        return f"{KEY}/films/{i + 1}"


def console(name, folder, *lines):
    typed = iter(lines)
    return Console(name, folder, ask=lambda _: next(typed), say=lambda _: None, show=None)


def hold(store, ask, samples, **panel):
    return run_round(
        WrongModel(),
        samples,
        ask,
        store,
        run="films",
        epoch=70,
        settings=RoundSettings(num_outliers=2, panel=ReaderPanel(**panel)),
    )


@pytest.fixture
def empty(tmp_path):
    made = Store(tmp_path / "imil.sqlite")
    made.add_run("films", class_names=["normal", "TB"], settings={}, versions={})
    yield made
    made.close()


def test_several_readers_at_the_console_are_asked_one_after_the_other(empty, tmp_path):
    samples = Films()
    lee = console("Lee", tmp_path, "1", "", "2", "", "")
    assert hold(empty, lee, samples, quorum=2).state == "open"
    assert str(waiting(empty, "films@70", at_page=False)) == "1 more reader"
    wu = console("Wu", tmp_path, "1 3", "", "s", "")
    assert hold(empty, wu, samples, quorum=2).state == "applied"
    assert samples.kept == {0: Correction(GRID, (1,)), 1: Correction(GRID, (2,))}


def test_the_console_asks_again_who_skipped_everything_and_did_not_say_that_it_is_meant(
    empty, tmp_path
):
    with pytest.raises(RoundPaused, match="every case was skipped"):
        hold(empty, console("Lee", tmp_path, "s", "s", "q"), Films())
    assert empty.find_round("films", 70).state == "open"
    assert hold(empty, console("Lee", tmp_path, "s", "s", "y"), Films()).state == "applied"


def test_an_answer_at_the_console_after_the_page_closed_the_round_is_told(empty):
    said = []

    def ask(cases):
        yield Reading(cases[0].id, "Lee", "focus", (1,))
        round_state.close(empty, "films", 70, "films@70", by="owner")
        yield Reading(cases[1].id, "Lee", "focus", (2,))

    samples, settings = Films(), RoundSettings(num_outliers=2)
    result = run_round(
        WrongModel(),
        samples,
        ask,
        empty,
        run="films",
        epoch=70,
        settings=settings,
        say=said.append,
    )
    assert (result.state, set(samples.kept)) == ("applied", {0})
    late = "The answer of Lee to case 2 came after the round was closed, and is not used."
    assert said[-1] == late
    assert "refused" in [line.what for line in audit.newest(empty, "films")]


TABLE = """key,squares,verdict,reader
film-0,1 2,,Lee
film-0,2 3,,Wu
film-0,2,,Kim
film-1,5,,Lee
"""


def test_all_readers_of_a_replayed_file_are_merged(empty, tmp_path):
    (tmp_path / "readings.csv").write_text(TABLE)
    samples = Films()
    assert hold(empty, replay(tmp_path / "readings.csv"), samples).state == "applied"
    assert samples.kept == {0: Correction(GRID, (2,)), 1: Correction(GRID, (5,))}
    assert len(empty.readings("films@70")) == 4


def test_a_replay_that_was_interrupted_within_a_case_loses_no_reader(empty, tmp_path):
    (tmp_path / "readings.csv").write_text(TABLE)
    reader = replay(tmp_path / "readings.csv", reader="all")

    class Stopped:
        def __call__(self, cases):
            yield next(reader(cases))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hold(empty, Stopped(), Films())
    samples = Films()
    assert hold(empty, reader, samples).state == "applied"
    assert samples.kept[0] == Correction(GRID, (2,))
    stored = [(one.reader, one.case[-1]) for one in empty.readings("films@70")]
    assert sorted(stored) == [("Kim", "1"), ("Lee", "1"), ("Lee", "2"), ("Wu", "1")]


def test_a_round_that_was_applied_before_rules_had_names_keeps_its_rule():
    older = {"num_outliers": 3, "grid": [4, 4], "choice": "confident_mistakes", "seed": 0}
    settings = RoundSettings.from_dict(older)
    answers = [focus("Lee", [1, 2]), other("Wu")]
    assert merged(answers, GRID, settings.panel)["c"].reading is answers[1]
    assert RoundSettings.from_dict(RoundSettings().as_dict()) == RoundSettings()
