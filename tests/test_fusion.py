"""Several readers' squares become one selection by a rule, and their verdicts one verdict."""

import numpy as np
import pytest

from imil.cases import Reading, RoundSettings
from imil.errors import SettingsError, ShapeError
from imil.fusion import fuse, performance
from imil.grid import Grid
from imil.merging import merged, reader_performance, shares_text
from imil.reader_panel import ReaderPanel
from imil.staple import staple

GRID = Grid(4, 4)


def focus(reader, squares=(), misleading=(), case="c"):
    return Reading(case, reader, "focus", tuple(squares), misleading=tuple(misleading))


def other(reader, verdict="skip", case="c"):
    return Reading(case, reader, verdict)


def what_counts(fusion, *readings, grid=GRID, **panel):
    one = merged(readings, grid, ReaderPanel(fusion=fusion, **panel))["c"].reading
    return one.verdict, one.squares, one.misleading


@pytest.mark.parametrize(
    ("fusion", "squares"),
    [
        ("union", (1, 2, 3)),
        ("intersection", (2,)),
        ("majority", (1, 2)),
        ("at-least:1", (1, 2, 3)),
        ("at-least:2", (1, 2)),
        ("at-least:3", (2,)),
    ],
)
def test_each_rule_takes_its_squares(fusion, squares):
    answers = [focus("A", [1, 2]), focus("B", [2, 3]), focus("C", [1, 2])]
    assert what_counts(fusion, *answers) == ("focus", squares, ())


@pytest.mark.parametrize(
    ("fusion", "misleading"),
    [("union", (8, 9)), ("intersection", ()), ("majority", (9,)), ("at-least:2", (9,))],
)
def test_misleading_squares_are_fused_by_the_same_rule(fusion, misleading):
    answers = [focus("A", [1], [9]), focus("B", [1], [8, 9]), focus("C", [1])]
    assert what_counts(fusion, *answers) == ("focus", (1,), misleading)


def test_a_square_that_is_taken_as_both_is_what_more_readers_say():
    one, two = focus("A", [1, 2], [3]), focus("B", [1, 3], [2])
    assert what_counts("union", one, two) == ("focus", (1, 2, 3), ()), "selected in a tie"
    against = focus("C", [1], [2])
    assert what_counts("union", one, two, against) == ("focus", (1, 3), (2,))


def test_without_a_square_in_common_the_case_is_skipped():
    assert what_counts("intersection", focus("A", [1]), focus("B", [2])) == ("skip", (), ())


def test_soft_keeps_the_share_of_readers_who_keep_each_square():
    grid = Grid(2, 2)
    answers = [focus("A", [1, 2]), focus("B", [2]), focus("C", [], [1]), other("D")]
    one = merged(answers, grid, ReaderPanel(fusion="soft"))["c"]
    # C says "not here" alone: all squares but that one are kept
    assert one.shares == (1 / 3, 1, 1 / 3, 1 / 3)
    assert one.correction(grid).shares == one.shares
    assert one.reading.squares == (1, 2, 3, 4)
    assert shares_text(one.shares) == "1 (33 %) 2 (100 %) 3 (33 %) 4 (33 %)"
    assert one.sentence(7).endswith("Training uses: 1 (33 %) 2 (100 %) 3 (33 %) 4 (33 %).")


def test_one_reader_alone_has_no_shares():
    assert merged([focus("A", [1])], GRID, ReaderPanel(fusion="soft"))["c"].shares is None


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ([focus("A", [1]), other("B", "wrong label")], "focus"),  # half is no majority
        ([focus("A", [1]), other("B", "wrong label"), other("C", "wrong label")], "wrong label"),
        ([focus("A", [1]), other("B", "wrong label"), other("C")], "focus"),
        # who skips has no opinion
        (
            [focus("A", [1]), other("B"), other("C"), *(other(n, "not assessable") for n in "DE")],
            "not assessable",
        ),
        # two of three would not train on it; what they say most counts, the label in a tie
        ([focus("A", [1]), other("B", "not assessable"), other("C", "wrong label")], "wrong label"),
        ([other("A", "wrong label"), other("B")], "wrong label"),
    ],
)
def test_the_majority_of_verdicts_is_honoured(answers, verdict):
    assert what_counts("union", *answers)[0] == verdict


def test_the_arbiters_answer_counts_alone_and_is_not_fused():
    answers = [focus("A", [1]), focus("B", [2]), focus("Kim", [5])]
    panel = ReaderPanel(("A", "B"), fusion="union", arbiter="Kim")
    assert merged(answers, GRID, panel)["c"].reading is answers[2]
    assert merged(answers[:2], GRID, panel)["c"].reading.squares == (1, 2)


# --- STAPLE -------------------------------------------------------------------------------


def votes_of(seed, errors, n):
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.3
    votes = [np.where(rng.random(n) < error, ~truth, truth) for error in errors]
    return np.array(votes, float), truth


def test_staple_agrees_with_itk():
    sitk = pytest.importorskip("SimpleITK")
    votes, _ = votes_of(1, (0.1, 0.2, 0.05), 640)
    itk = sitk.STAPLEImageFilter()
    itk.SetForegroundValue(1)
    images = [sitk.GetImageFromArray(row.reshape(20, 32).astype(np.uint8)) for row in votes]
    truth = sitk.GetArrayFromImage(itk.Execute(images)).ravel()
    ours = staple(votes)
    assert ours.truth == pytest.approx(truth, abs=1e-5)
    assert ours.sensitivity == pytest.approx(itk.GetSensitivity(), abs=1e-5)
    assert ours.specificity == pytest.approx(itk.GetSpecificity(), abs=1e-5)


def test_staple_finds_who_is_good_also_where_answers_are_missing():
    votes, truth = votes_of(2, (0.05, 0.05, 0.05, 0.35), 3000)
    votes[0, :1000] = votes[1, 1000:2000] = np.nan
    result = staple(votes)
    assert ((result.truth > 0.5) == truth).mean() > 0.95
    assert result.sensitivity == pytest.approx([0.95, 0.95, 0.95, 0.65], abs=0.04)
    assert result.specificity == pytest.approx([0.95, 0.95, 0.95, 0.65], abs=0.04)


def test_staple_of_readers_who_always_agree_is_what_they_say():
    result = staple(np.array([[1.0, 0, 0, 1], [1, 0, 0, 1]]))
    assert result.truth == pytest.approx([1, 0, 0, 1])
    assert [*result.sensitivity, *result.specificity] == pytest.approx([1] * 4)


def test_staple_refuses_a_square_that_nobody_judged():
    with pytest.raises(ShapeError, match="at least one"):
        staple(np.array([[np.nan, 1], [np.nan, 0]]))


def careless(case, right):
    """Two careful readers and one who selects at random squares."""
    wrong = tuple((np.random.default_rng(case).permutation(16)[:5] + 1).tolist())
    name = f"c{case}"
    return [
        focus("Lee", right, case=name),
        focus("Wu", right, case=name),
        focus("X", wrong, case=name),
    ]


def test_the_rule_staple_pools_all_cases_of_the_round():
    readings = [one for case in range(8) for one in careless(case, (6, 7))]
    # with one careful reader against the careless one, a majority of two needs both
    readings += [focus("Lee", [10, 11], case="last"), focus("X", [1, 2], case="last")]
    what = merged(readings, GRID, ReaderPanel(fusion="staple"))
    assert what["last"].reading.squares == (10, 11)
    assert what["c0"].reading.squares == (6, 7)
    alone = merged(readings[-2:], GRID, ReaderPanel(fusion="staple"))
    assert alone["last"].reading.squares != (10, 11), "one case says nothing about the readers"
    of = {
        one.reader: one for one in reader_performance(readings, GRID, ReaderPanel(fusion="staple"))
    }
    assert of["Lee"].sensitivity > 0.95
    assert of["X"].sensitivity < 0.7
    assert str(of["Lee"]).startswith("Lee: sensitivity 1.00, specificity ")
    assert reader_performance(readings, GRID, ReaderPanel()) == []


def test_staple_with_no_squares_at_all_takes_none():
    assert fuse("staple", {"c": {}}, GRID) == {"c": ()}
    assert performance({"c": {"Lee": (1,)}}, GRID) == []


# --- the settings -------------------------------------------------------------------------


@pytest.mark.parametrize("fusion", ["mean", "at-least", "at-least:", "at-least:0", "at-least:x"])
def test_an_unknown_rule_is_refused(fusion):
    with pytest.raises(SettingsError, match="unknown fusion"):
        ReaderPanel(fusion=fusion)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"readers": ("Lee", "Wu"), "quorum": 3}, "quorum of 3 readings cannot be reached by 2"),
        ({"readers": ("Lee", "lee")}, "named twice"),
        ({"readers": ("owner",)}, "reserved"),
        ({"readers": ("Lee",), "overlap": 0.5}, "name two or more"),
        ({"overlap": 1.5}, "invalid overlap 1.5"),
        ({"quorum": 0}, "invalid quorum 0"),
        ({"readers": ("Lee", "Wu"), "fusion": "at-least:3"}, "cannot be met by 2 readings"),
        ({"readers": ("A", "B", "C"), "quorum": 2, "fusion": "at-least:3"}, "cannot be met"),
        ({"readers": ("Lee", "Wu"), "arbiter": "Wu"}, "one of the readers"),
        ({"flagged": "hide"}, "invalid flagged 'hide'"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(given, message):
    with pytest.raises(SettingsError, match=message):
        ReaderPanel(**given)


def test_a_round_keeps_its_panel():
    panel = ReaderPanel(("Lee", "Wu"), 2, 0.5, "soft", "remove", "Kim", 0.3)
    settings = RoundSettings(panel=panel)
    assert RoundSettings.from_dict(settings.as_dict()) == settings


def test_rounds_of_older_stores_keep_their_rules():
    older = {"num_outliers": 3, "grid": [4, 4], "choice": "confident_mistakes", "seed": 0}
    answers = [focus("Lee", [1, 2]), other("Wu", "wrong label"), other("Kim", "wrong label")]
    newest = RoundSettings.from_dict(older).panel
    assert merged(answers, GRID, newest)["c"].reading is answers[2]
    marks = RoundSettings.from_dict(older | {"merge": "majority", "wait_for": 2}).panel
    assert marks.quorum == 2
    assert merged(answers, GRID, marks)["c"].reading.squares == (1, 2)
    assert merged(answers, GRID, ReaderPanel())["c"].reading.verdict == "wrong label"
