"""What readers did: counted and timed from stores that are written by hand."""

from contextlib import closing
from dataclasses import replace

import pytest
from reader_contract import make_case
from rich.console import Console
from studies import make_study

from imil.cases import Reading, RoundSettings
from imil.errors import SettingsError
from imil.readers.replay import NOBODY
from imil.store import Store
from imil.study.plan import read_plan
from imil.study.reader_sessions import agreed, session, session_lines
from imil.study.reading_records import run_sessions, sessions
from imil.study.report.reader_tables import readers_section


def make_reading(number, verdict="focus", squares=(), reader="Lee", seconds=10.0, reason=""):
    return Reading(f"run@70#{number}", reader, verdict, squares, reason, seconds)


@pytest.fixture
def run(tmp_path):
    """A run with a round of four cases of twenty; a function adds readings."""
    store = Store(tmp_path / "imil.sqlite")
    store.add_run("run", class_names=("normal", "TB"), settings={}, versions={})
    cases = [make_case(number, run="run") for number in (1, 2, 3, 4)]
    store.open_round("run", 70, RoundSettings(num_outliers=20), cases)

    def add(*readings):
        for reading in readings:
            store.add(reading)
        return tmp_path

    yield add
    store.close()


def shown(parts):
    console = Console(width=120)
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    return captured.get()


def test_verdicts_are_counted_and_times_added(run):
    path = run(
        make_reading(1, squares=(1, 2), seconds=10),
        make_reading(2, squares=(3,), seconds=20),
        make_reading(3, "skip", seconds=60),
    )
    (one,) = run_sessions(path)
    assert one.reader == "Lee"
    assert one.verdicts == {"focus": 2, "skip": 1, "wrong label": 0, "not assessable": 0}
    assert (one.total, one.median_seconds, one.median_squares) == (90, 20, 1.5)
    assert (len(one.answers), len(one.read), one.wanted) == (4, 3, 20)


def test_a_changed_reading_counts_once_with_its_last_verdict_and_longest_time(run):
    path = run(
        make_reading(1, squares=(1,), seconds=30), make_reading(1, "wrong label", seconds=45)
    )
    (one,) = run_sessions(path)
    assert one.verdicts["focus"] == 0
    assert one.verdicts["wrong label"] == 1
    assert one.total == 45
    assert "1 answer was changed later." in session_lines(one)


def test_each_reader_of_a_round_has_a_session_over_the_same_cases(run):
    path = run(
        make_reading(1, squares=(1,)),
        make_reading(1, squares=(2,), reader="Wu"),
        make_reading(2, squares=(5,), reader="Wu"),
    )
    result = {one.reader: one for one in run_sessions(path)}
    assert set(result) == {"Lee", "Wu"}
    assert [len(result[name].read) for name in ("Lee", "Wu")] == [1, 2]
    assert result["Lee"].read[0].reading.squares == (1,)


def test_a_case_that_a_replay_does_not_have_is_not_read(run):
    (one,) = run_sessions(run(make_reading(1, "skip", reader=NOBODY, seconds=0)))
    assert one.read == ()
    assert one.seconds == ()


def test_readings_of_a_file_without_names_are_read(run):
    path = run(
        make_reading(1, squares=(1,), reader="replay"),
        make_reading(2, "skip", reader=NOBODY, seconds=0),
    )
    (one,) = run_sessions(path)
    assert [answer.key for answer in one.read] == ["film-1"]
    assert (one.reader, one.total) == ("replay", 10)


def test_a_time_of_zero_is_not_a_measured_time(run):
    path = run(make_reading(1, squares=(1,), seconds=0), make_reading(2, squares=(2,), seconds=0))
    (one,) = run_sessions(path)
    assert one.seconds == ()
    assert session_lines(one)[0] == "Lee read 2 of 4 cases."
    assert shown(session(path)).count("–") == 2


def test_missing_times_are_counted_and_not_averaged(run):
    path = run(make_reading(1, squares=(1,), seconds=30), make_reading(2, squares=(2,), seconds=0))
    (one,) = run_sessions(path)
    assert (one.seconds, one.median_seconds) == ((30,), 30)
    assert "For 1 of these cases no time was measured." in session_lines(one)


def test_a_program_has_no_time(run):
    (one,) = run_sessions(run(make_reading(1, squares=(1,), reader="simulated", seconds=5)))
    assert one.simulated
    assert one.seconds == ()


def test_a_program_with_a_name_is_distinguished_from_a_person(tmp_path):
    for name, of in (("hasty", "simulated:miss=0.3"), ("Lee", "web")):
        with closing(Store(tmp_path / f"{name}.sqlite")) as store:
            settings = {"reader": of, "reader_name": name}
            store.add_run("run", class_names=("normal", "TB"), settings=settings, versions={})
            store.open_round("run", 70, RoundSettings(num_outliers=1), [make_case(1, run="run")])
            store.add(make_reading(1, squares=(1,), reader=name, seconds=0))
    assert session_lines(run_sessions(tmp_path / "hasty.sqlite")[0])[0] == (
        "hasty, a program, read 1 of 1 case."
    )
    assert session_lines(run_sessions(tmp_path / "Lee.sqlite")[0])[0] == "Lee read 1 of 1 case."


def test_a_session_shows_cases_times_and_reasons(run):
    path = run(
        make_reading(1, squares=(2, 3), seconds=20, reason="opacity, not the [marker]"),
        make_reading(2, squares=(1,), seconds=100),
    )
    text = shown(session(path))
    assert "Lee read 2 of 4 cases in 2 min: 1 min per case (median; 20 s to 1 min 40 s)." in text
    assert "20 were asked for; the model made fewer mistakes." in text
    assert "opacity, not the [marker]" in text
    assert text.count("unread") == 2
    assert "film-1" in text


def test_a_session_of_several_rounds_shows_the_round_of_each_case(run, tmp_path):
    path = run(
        make_reading(1, squares=(2, 3), seconds=20), make_reading(1, squares=(2,), seconds=12)
    )
    with closing(Store(tmp_path / "imil.sqlite")) as store:
        cases = [make_case(number, run="run", epoch=90) for number in (1, 2)]
        store.open_round("run", 90, RoundSettings(num_outliers=5), cases)
        store.add(Reading("run@90#1", "Lee", "skip", seconds=100))
    (one,) = run_sessions(path)
    assert (one.wanted, len(one.answers), one.seconds) == (25, 6, (20, 100))
    text = shown(session(path))
    assert "Lee read 2 of 6 cases in 2 min: 1 min per case (median; 20 s to 1 min 40 s)." in text
    lines = {line.split()[1]: line for line in text.splitlines() if "film-" in line}
    assert list(lines) == ["70/1", "70/2", "70/3", "70/4", "90/1", "90/2"]
    assert "20 s" in lines["70/1"]  # the longest of a case's times, with its last squares
    assert "2 3" not in lines["70/1"]
    assert "skip" in lines["90/1"]
    assert "1 min 40 s" in lines["90/1"]
    assert "unread" in lines["90/2"]


def test_a_session_can_be_read_from_a_store_file(run):
    path = run(make_reading(1, squares=(1,)))
    assert shown(session(path / "imil.sqlite")) == shown(session(path))


def test_a_folder_without_a_round_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(SettingsError, match="give the folder of a run that had a round"):
        run_sessions(tmp_path)


def test_a_study_has_a_session_per_reader_over_all_its_jobs(tmp_path):
    study = make_study(
        tmp_path / "s",
        arms=("baseline", "imil"),
        readers=("Lee", "simulated"),
        seeds=(0, 1),
        n=20,
        train=20,
        cases=5,
        requested=8,
        external=(),
    )
    lee, program = sessions(study, read_plan(study.plan))
    assert (lee.reader, lee.simulated, program.simulated) == ("Lee", False, True)
    assert (len(lee.answers), lee.wanted) == (10, 16)
    assert program.total == 0


def test_the_time_of_an_answer_replayed_in_several_jobs_counts_once(run):
    (one,) = run_sessions(
        run(make_reading(1, squares=(1,), seconds=12), make_reading(2, squares=(4,), seconds=8))
    )
    again = tuple(replace(answer, run="seed-1-split-0") for answer in one.answers)
    twice = replace(one, answers=one.answers + again)
    assert twice.total == 20
    assert len(twice.read) == 4


def test_readers_of_a_round_agree_as_their_squares_do(run):
    path = run(
        make_reading(1, squares=(1, 2)),
        make_reading(1, squares=(2, 3), reader="Wu"),
        make_reading(2, squares=(5,)),
        make_reading(2, squares=(5,), reader="Wu"),
        make_reading(3, "skip"),
        make_reading(3, squares=(1,), reader="Wu"),
    )
    result = agreed(run_sessions(path))
    (pair,) = result.pairs
    assert (pair.readers, pair.cases) == (("Lee", "Wu"), 2)
    assert pair.jaccard == pytest.approx((1 / 3 + 1) / 2)
    # 32 squares: both 2, Lee alone 1, Wu alone 1, neither 28
    chance = (3 / 32) ** 2 + (29 / 32) ** 2
    assert pair.kappa == pytest.approx((30 / 32 - chance) / (1 - chance))
    assert result.same_verdict == pytest.approx(2 / 3)


def test_agreement_on_misleading_squares_is_a_sentence_of_its_own(run):
    path = run(
        replace(make_reading(1, squares=(1,)), misleading=(4, 8)),
        replace(make_reading(1, squares=(1,), reader="Wu"), misleading=(4,)),
        make_reading(2, squares=(5,)),
        make_reading(2, squares=(6,), reader="Wu"),
    )
    of_run = run_sessions(path)
    found = agreed(of_run)
    marks = found.misleading
    assert (marks.cases, marks.marked, marks.jaccard) == (2, 1, 0.5)
    texts = [text for block in readers_section(of_run, found).blocks for text in block.paragraphs]
    (sentence,) = [text for text in texts if "misleading" in text]
    assert "In 1 case some reader marked squares as misleading: their overlap" in sentence
    assert "is 0.50; over the 2 cases" in sentence
    assert "1 -4 -8" in shown(session(path))


def test_one_reader_alone_has_no_agreement(run):
    assert agreed(run_sessions(run(make_reading(1, squares=(1,))))) is None


def test_answers_that_were_replayed_in_another_run_count_once(run):
    path = run(make_reading(1, squares=(1, 2)), make_reading(1, squares=(2, 3), reader="Wu"))
    once = run_sessions(path)
    twice = [
        replace(one, answers=one.answers + tuple(replace(a, run="another") for a in one.answers))
        for one in once
    ]
    assert agreed(twice).pairs == agreed(once).pairs
