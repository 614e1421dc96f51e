"""Named readers: their cases, for whom a round waits, and when an arbiter decides."""

from contextlib import ExitStack

import pytest
from browsers import ReaderBrowser, chromium
from reader_contract import make_case
from rooms import NAMES, link, reading, send, serving, visiting
from test_web_reader import Films, WrongModel

from imil.assignment import asked_numbers
from imil.cases import Reading, RoundSettings
from imil.disputes import disputed
from imil.errors import RoundClosed, SettingsError
from imil.grid import Grid
from imil.reader_panel import ReaderPanel
from imil.round_agreement import round_agreement
from imil.round_settings import check_rounds, reader_panel
from imil.rounds import run_round
from imil.settings import resolve
from imil.store import Store, round_state
from imil.store.invitations import invitations, invite, revoke
from imil.store.round_waiting import asked, waiting
from imil.training.several_readers import SeveralReaders

THREE = ("Lee", "Wu", "Kim")


def asked_of(panel, cases, seed=0, epoch=70):
    settings = RoundSettings(seed=seed, panel=panel)
    return {name: asked_numbers(settings, epoch, cases, name) for name in panel.readers}


# --- who is asked for what ----------------------------------------------------------------


def test_all_named_readers_get_all_cases_each_in_an_order_of_their_own():
    orders = asked_of(ReaderPanel(THREE), 20)
    assert all(sorted(order) == list(range(1, 21)) for order in orders.values())
    assert len(set(orders.values())) == 3
    assert asked_of(ReaderPanel(THREE), 20) == orders, "by the seed alone"
    assert asked_of(ReaderPanel(THREE), 20, seed=1) != orders
    assert asked_of(ReaderPanel(THREE), 20, epoch=71) != orders


def test_who_is_not_named_gets_all_cases_in_the_rounds_order():
    for panel in (ReaderPanel(), ReaderPanel(THREE, overlap=0.5)):
        assert asked_numbers(RoundSettings(panel=panel), 70, 4, "Guest") == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("quorum", "overlap", "cases"), [(2, 0.3, 20), (1, 0, 7), (None, 0.25, 16), (2, 0.5, 9)]
)
def test_cases_are_shared_evenly_and_each_has_its_readers(quorum, overlap, cases):
    orders = asked_of(ReaderPanel(THREE, quorum, overlap), cases)
    readers_of = [sum(n in order for order in orders.values()) for n in range(1, cases + 1)]
    for_all = round(overlap * cases)
    each = quorum or 1
    assert sorted(readers_of) == sorted([3] * for_all + [each] * (cases - for_all))
    counts = [len(order) for order in orders.values()]
    assert max(counts) - min(counts) <= 1


# --- for whom a round waits ---------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "imil.sqlite")
    made.add_run("films", class_names=NAMES, settings={}, versions={})
    yield made
    made.close()


def open_round(store, panel, cases=3):
    made = [make_case(n, run="films") for n in range(1, cases + 1)]
    return store.open_round("films", 70, RoundSettings(panel=panel), made)


def invited(store, *names):
    return {name: invite(store, "films", name, by="owner")[0].id for name in names}


def answer(store, name, numbers=(1, 2, 3), squares=(1,), verdict="focus"):
    for number in numbers:
        given = squares if verdict == "focus" else ()
        store.add(Reading(f"films@70#{number}", name, verdict, given))


def finish(store, name):
    return round_state.finish(store, "films", 70, "films@70", name)


def test_a_round_waits_for_its_named_readers_and_not_for_others(store):
    open_round(store, ReaderPanel(("Lee", "Wu")))
    ids = invited(store, "Lee", "Wu", "Guest")
    assert waiting(store, "films@70").readers == ("Lee", "Wu")
    answer(store, "Lee")
    assert finish(store, "Lee").waiting.readers == ("Wu",)
    answer(store, "Guest", [1])
    assert waiting(store, "films@70").readers == ("Wu", "Guest"), "who has begun is waited for"
    revoke(store, "films", ids["Guest"], by="owner")
    answer(store, "Wu")
    assert finish(store, "Wu").state == "closed"


def test_a_named_reader_without_a_link_yet_is_waited_for(store):
    open_round(store, ReaderPanel(("Lee", "Wu")))
    invited(store, "Lee")
    answer(store, "Lee")
    assert finish(store, "Lee").waiting.readers == ("Wu",)


def test_so_many_readings_as_the_quorum_says_close_a_round(store):
    open_round(store, ReaderPanel(THREE, quorum=2))
    invited(store, *THREE)
    assert str(waiting(store, "films@70")) == "2 more readers"
    answer(store, "Kim")
    finish(store, "Kim")
    assert str(waiting(store, "films@70")) == "1 more reader"
    answer(store, "Lee")
    assert finish(store, "Lee").state == "closed"


def test_with_shared_cases_everybody_who_is_needed_is_waited_for_by_name(store):
    panel = ReaderPanel(THREE, quorum=1, overlap=0)
    open_round(store, panel, cases=6)
    invited(store, *THREE)
    assert waiting(store, "films@70").readers == THREE
    for name in THREE:
        own = asked(store, "films@70", name)
        assert len(own) == 2
        answer(store, name, own[:1])
        with pytest.raises(Exception, match="you have not read case"):
            finish(store, name)
        answer(store, name, own[1:])
        state = finish(store, name).state
    assert state == "closed"


def test_named_readers_without_a_page_must_all_have_answered_their_cases(store):
    open_round(store, ReaderPanel(("Lee", "Wu")))
    answer(store, "Lee")
    still = waiting(store, "films@70", at_page=False)
    assert (still.readers, still.finished) == (("Wu",), ("Lee",))
    answer(store, "Wu")
    assert waiting(store, "films@70", at_page=False).over


# --- the arbiter --------------------------------------------------------------------------

GRID = Grid(4, 4)


def focus(case, reader, *squares):
    return Reading(case, reader, "focus", squares)


@pytest.mark.parametrize(
    ("answers", "is_disputed"),
    [
        ([focus("c", "Lee", 1, 2), focus("c", "Wu", 1, 2)], False),
        ([focus("c", "Lee", 1, 2), focus("c", "Wu", 1)], False),  # overlap 0.5: not above
        ([focus("c", "Lee", 1, 2, 3), focus("c", "Wu", 1)], True),  # overlap 1/3
        ([focus("c", "Lee", 1), Reading("c", "Wu", "skip")], True),  # verdicts differ
        ([Reading("c", n, "wrong label") for n in THREE], False),
        ([focus("c", "Lee", 1)], False),
        # pairs: 1, 0 and 0
        ([focus("c", "Lee", 1), focus("c", "Wu", 1), focus("c", "Kim", 2)], True),
        # the newest answer of each counts, and the arbiter's own does not
        ([focus("c", "Lee", 9), focus("c", "Lee", 1), focus("c", "Wu", 1)], False),
        ([focus("c", "Lee", 1), focus("c", "Wu", 1), focus("c", "Dr. A", 7)], False),
    ],
)
def test_readers_differ_above_the_disagreement_or_in_their_verdicts(answers, is_disputed):
    panel = ReaderPanel(arbiter="Dr. A", disagreement=0.5)
    assert disputed(answers, GRID, panel) == (["c"] if is_disputed else [])
    assert disputed(answers, GRID, ReaderPanel()) == []


ARBITRATED = ReaderPanel(("Lee", "Wu"), arbiter="Kim", disagreement=0.5)


def test_the_arbiter_is_asked_where_readers_differ_once_they_have_finished(store):
    open_round(store, ARBITRATED)
    invited(store, *THREE)
    assert waiting(store, "films@70").readers == ("Lee", "Wu")
    answer(store, "Lee")
    answer(store, "Wu", [1, 3])
    answer(store, "Wu", [2], squares=(7,))
    assert asked(store, "films@70", "Kim") == ()
    with pytest.raises(RoundClosed, match="the arbiter Kim is asked for cases in which"):
        answer(store, "Kim", [2])
    finish(store, "Lee")
    still = finish(store, "Wu").waiting
    assert str(still) == "Kim, the arbiter of 1 case in which the readers differ"
    assert asked(store, "films@70", "Kim") == (2,)
    with pytest.raises(RoundClosed, match="the arbiter Kim decides where they differ"):
        answer(store, "Lee", [2])
    with pytest.raises(RoundClosed):
        answer(store, "Kim", [1])
    answer(store, "Kim", [2], squares=(12,))
    assert finish(store, "Kim").state == "closed"
    kept = {case[-1]: one.squares for case, one in store.current_readings("films@70").items()}
    assert kept == {"1": (1,), "2": (12,), "3": (1,)}


def test_a_round_without_a_disputed_case_does_not_wait_for_the_arbiter(store):
    open_round(store, ARBITRATED)
    invited(store, *THREE)
    for name in ("Lee", "Wu"):
        answer(store, name)
        state = finish(store, name).state
    assert state == "closed"


def test_an_arbiter_whose_link_is_revoked_is_not_waited_for(store):
    open_round(store, ARBITRATED)
    ids = invited(store, *THREE)
    answer(store, "Lee")
    answer(store, "Wu", squares=(7,))
    finish(store, "Lee")
    assert finish(store, "Wu").waiting.readers == ("Kim",)
    revoke(store, "films", ids["Kim"], by="owner")
    assert waiting(store, "films@70").over


def test_the_arbiter_does_not_count_among_the_readers_who_agree(store):
    round_ = open_round(store, ARBITRATED)
    invited(store, *THREE)
    answer(store, "Lee")
    answer(store, "Wu", squares=(2,))
    for name in ("Lee", "Wu"):
        finish(store, name)
    answer(store, "Kim", squares=(2,))
    assert round_agreement(store, round_).agreement.readers == ("Lee", "Wu")


# --- at the page --------------------------------------------------------------------------


def test_at_the_page_each_reader_gets_their_own_cases_and_nobody_elses_answer(store):
    panel = ReaderPanel(("Lee", "Wu"), quorum=1, overlap=0, arbiter="Kim")
    open_round(store, panel, cases=4)
    with serving(store.path) as address, ExitStack() as stack:
        lee, wu, kim = (stack.enter_context(visiting(address, link(store, name))) for name in THREE)
        own = [case["number"] for case in lee.get("/api/rounds/70").json()["cases"]]
        assert own == list(asked(store, "films@70", "Lee"))
        summary = lee.get("/api/session").json()["rounds"][0]
        assert (summary["cases"], summary["read"]) == (2, 0)
        stored = send(lee, own[0], reading([6])).json()
        assert (stored["read"], stored["cases"]) == (1, 2)
        (foreign, *_) = {1, 2, 3, 4} - set(own)
        assert send(lee, foreign, reading([6])).status_code == 404
        assert lee.get(f"/api/rounds/70/cases/{foreign}/heat-map/true").status_code == 404
        others = wu.get("/api/rounds/70").json()["cases"]
        assert all(case["reading"] is None and case["selections"] is None for case in others)
        assert kim.get("/api/session").json()["rounds"] == [], "not yet"


def test_at_the_page_the_arbiter_sees_all_selections_of_disputed_cases_by_name(store):
    open_round(store, ARBITRATED)
    with serving(store.path) as address, ExitStack() as stack:
        lee, wu, kim = (stack.enter_context(visiting(address, link(store, name))) for name in THREE)
        for browser, squares in ((lee, [1, 2]), (wu, [12])):
            send(browser, 1, reading(squares))
            send(browser, 2, reading([6]))
            send(browser, 3, reading([6]))
            finished = browser.post("/api/rounds/70/finish", json={})
        assert finished.json() == {"state": "open", "waitsFor": 1}
        (case,) = kim.get("/api/rounds/70").json()["cases"]
        assert case["number"] == 1
        shown = [(one["reader"], one["reading"]["squares"]) for one in case["selections"]]
        assert shown == [("Lee", [1, 2]), ("Wu", [12])]
        refused = send(lee, 1, reading([3]))
        assert refused.status_code == 409
        assert send(kim, 1, reading([5])).json()["cases"] == 1
        assert kim.post("/api/rounds/70/finish", json={}).json()["state"] == "closed"
    assert store.current_readings("films@70")["films@70#1"].squares == (5,)


# --- in a training ------------------------------------------------------------------------


def fixed(name, squares):
    def ask(cases):
        return (Reading(case.id, name, "focus", squares) for case in cases)

    return ask


def test_several_programs_answer_one_round_and_an_interrupted_one_is_continued(store):
    panel = ReaderPanel(("one", "two"), fusion="union")
    settings = RoundSettings(num_outliers=2, panel=panel)
    readers = {"one": fixed("one", (1,)), "two": fixed("two", (2,))}
    samples, several = Films(), SeveralReaders(readers, settings)

    class Stopped(SeveralReaders):
        def __call__(self, cases):
            yield next(super().__call__(cases))
            raise KeyboardInterrupt

    def hold(ask):
        return run_round(
            WrongModel(), samples, ask, store, run="films", epoch=70, settings=settings
        )

    with pytest.raises(KeyboardInterrupt):
        hold(Stopped(readers, settings))
    assert hold(several).state == "applied"
    assert [one.squares for one in samples.kept.values()] == [(1, 2)] * 2
    assert len(store.readings("films@70")) == 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"readers": "2", "quorum": 3, "reader": "web"}, "quorum of 3 readings cannot be reached"),
        ({"readers": "Lee,Wu", "reader": "none"}, "--reader is none"),
        ({"quorum": 2, "reader": "simulated"}, "--quorum 2 waits for people"),
        ({"readers": "Lee,Wu", "overlap": 0.5, "reader": "console"}, "--overlap 0.5"),
        ({"overlap": 0.5, "reader": "web"}, "name two or more"),
        ({"arbiter": "Kim", "reader": "console"}, "--arbiter Kim sees the selections"),
        ({"disagreement": 0.3, "reader": "web"}, "no effect without --arbiter"),
    ],
)
def test_settings_that_cannot_work_together_are_refused(given, message):
    with pytest.raises(SettingsError, match=message):
        check_rounds(resolve({"data": "films.csv", **given}))


@pytest.mark.parametrize(
    ("readers", "names"),
    [
        ("3", ("reader 1", "reader 2", "reader 3")),
        ("Dr. Lee, Dr. Wu", ("Dr. Lee", "Dr. Wu")),
        (["Dr. Lee"], ("Dr. Lee",)),
        (2, ("reader 1", "reader 2")),
        ([], ()),
    ],
)
def test_readers_are_names_or_a_number(readers, names):
    settings = resolve({"data": "films.csv", "readers": readers})
    assert reader_panel(settings).readers == names


def test_invitations_are_made_for_named_readers_who_have_none(store, tmp_path):
    from imil.web.child_server import create_links

    invited(store, "Lee")
    links = create_links(store.path, "films", "http://room", readers=["Lee", "Wu", "Kim"])
    assert links.reader is None
    assert list(links.named) == ["Wu", "Kim"]
    have = [one.name for one in invitations(store, "films") if one.kind == "reader"]
    assert sorted(have) == ["Kim", "Lee", "Wu"]


# --- on the screen ------------------------------------------------------------------------


def test_the_page_shows_the_arbiter_the_selections_and_the_owner_the_agreement(store):
    open_round(store, ARBITRATED)
    invited(store, "Lee", "Wu")
    answer(store, "Lee")
    answer(store, "Wu", [1, 3])
    answer(store, "Wu", [2], squares=(7, 8))
    for name in ("Lee", "Wu"):
        finish(store, name)
    with serving(store.path) as address, chromium() as browser:
        kim = ReaderBrowser(browser, address, link(store, "Kim"))
        kim.page.get_by_role("button", name="Start reading").click()
        kim.page.get_by_role("heading", name="The readers differ").wait_for()
        shown = kim.page.locator(".selections li").all()
        given = [
            (one.get_attribute("data-reader"), one.get_attribute("data-squares")) for one in shown
        ]
        assert given == [("Lee", "1"), ("Wu", "7 8")]
        assert kim.page.locator(".count").inner_text() == "1 of 1"
        kim.context.close()
        owner = ReaderBrowser(browser, address, link(store, "owner", kind="owner"))
        owner.page.get_by_text("Agreement of 2 readers").click()
        text = owner.page.locator(".agreement").inner_text()
        # cases 1 and 3: the same; case 2: nothing in common
        assert "overlap (Jaccard) 0.67" in text
        assert "Krippendorff’s alpha" in text
        assert owner.page.locator(".kappas span").count() == 16
        waits = "Waits for Kim, the arbiter of 1 case in which the readers differ."
        assert owner.page.get_by_text(waits).is_visible()
        owner.context.close()
