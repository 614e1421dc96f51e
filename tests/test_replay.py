"""Readings given before: from tables as people write them, and from another run's store."""

import json
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reader_contract import check_reader, make_case

from imil.cases import VERDICTS, Reading, RoundSettings
from imil.errors import DataError, ImilError
from imil.grid import Grid
from imil.readers.reading_row import Row
from imil.readers.reading_table import load_rows, write_rows
from imil.readers.replay import NOBODY, replay, write_readings
from imil.store import Store

CASES = [make_case(n) for n in range(1, 5)]
TABLE = '''\
key,squares,verdict,reason,seconds,reader,colour
film-1,2 3 6 7,focus,"The letter, ""L""",12.5,anna,red
film-2,,skip,,,,
film-3,5-8,,,,ben,
'''


def table(tmp_path, text, name="readings.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def answers(readings):
    return [(r.case[-2:], r.verdict, r.squares) for r in readings]


def content(readings):
    """All of a reading but its id and time."""
    names = ("case", "reader", "verdict", "squares", "reason", "seconds", "squares_before")
    return [tuple(getattr(reading, name) for name in names) for reading in readings]


# --- tables -------------------------------------------------------------------------------


def test_keeps_the_contract_of_readers(tmp_path):
    path = table(tmp_path, TABLE)
    readings = check_reader(lambda: replay(path), CASES)
    assert len(readings) == len(CASES)


def test_the_readings_of_a_csv_are_replayed(tmp_path):
    first, second, third, _ = replay(table(tmp_path, TABLE))(CASES)
    assert content([first, second, third]) == [
        ("r@70#1", "anna", "focus", (2, 3, 6, 7), 'The letter, "L"', 12.5, None),
        ("r@70#2", "replay", "skip", (), "", 0.0, None),
        ("r@70#3", "ben", "focus", (5, 6, 7, 8), "", 0.0, None),
    ]


def test_a_case_that_the_file_does_not_have_is_skipped_and_the_reason_given(tmp_path):
    *_, last = replay(table(tmp_path, TABLE))(CASES)
    assert (last.reader, last.verdict) == (NOBODY, "skip")
    assert "readings.csv" in last.reason


def test_only_key_and_squares_are_required(tmp_path):
    path = table(tmp_path, "squares,key\nall,film-1\n")
    assert next(replay(path)(CASES)).squares == tuple(range(1, 17))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("key;squares\r\nfilm-1;2 3\r\n;\r\n\r\n", "utf-8"),
        ("key, squares\nfilm-1,2 3", "utf-8-sig"),
        ('"key","squares"\n"film-1","2,3"\n', "utf-8"),
        ("sep=;\r\nkey;squares\r\nfilm-1;2 3\r\n", "utf-8-sig"),
        ("key\tsquares\nfilm-1\t2 3\n", "utf-8"),
        ("Key,Squares \u200b\nfilm-1\u00a0,2\u00a03\n\u00a0,\u200b\n", "utf-8"),
    ],
    ids=["semicolons and empty rows", "byte order mark", "quoted", "declared", "tabs", "invisible"],
)
def test_tables_written_by_spreadsheets_are_read(tmp_path, text, encoding):
    path = table(tmp_path, text, encoding=encoding)
    assert next(replay(path)(CASES)).squares == (2, 3)


@pytest.mark.parametrize(("in_case", "in_table"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_keys_and_readers_are_equal_in_either_unicode_form(tmp_path, in_case, in_table):
    case = replace(CASES[0], key=unicodedata.normalize(in_case, "größe.png"))
    rows = ("größe.png,2,Jörg", "film-2,3,Ann")
    text = unicodedata.normalize(in_table, "\n".join(("key,squares,reader", *rows)))
    reader = unicodedata.normalize(in_case, "Jörg")
    assert next(replay(table(tmp_path, text), reader=reader)([case])).squares == (2,)


@pytest.mark.parametrize(
    ("column", "meant"),
    [("verdicts", "verdict"), ("epcoh", "epoch"), ("Misleading squares", "misleading")],
)
def test_a_misspelt_column_is_refused(tmp_path, column, meant):
    path = table(tmp_path, f"key,squares,{column}\nfilm-1,2,3\n")
    with pytest.raises(DataError, match=f"column '{column}' .* looks like '{meant}': rename it"):
        replay(path)


def test_json_takes_squares_as_text_list_or_number(tmp_path):
    entries = [
        {"key": "film-1", "squares": "2 3"},
        {"key": "film-2", "squares": [7, 2], "squares_before": []},
        {"key": "film-3", "squares": 4, "verdict": "focus", "seconds": 3, "reason": "größer"},
        {"key": "film-4", "verdict": "not assessable"},
    ]
    readings = list(replay(table(tmp_path, json.dumps(entries), "r.JSON"))(CASES))
    assert answers(readings) == [
        ("#1", "focus", (2, 3)),
        ("#2", "focus", (2, 7)),
        ("#3", "focus", (4,)),
        ("#4", "not assessable", ()),
    ]
    assert readings[1].squares_before == ()
    assert readings[2].reason == "größer"


def test_the_last_row_of_a_sample_counts(tmp_path):
    path = table(tmp_path, "key,squares\nfilm-1,1\nfilm-1,2\n")
    assert next(replay(path)(CASES)).squares == (2,)


def test_a_row_with_an_epoch_is_for_that_round_only(tmp_path):
    path = table(tmp_path, "key,epoch,squares\nfilm-1,70,1\nfilm-1,90,2\nfilm-1,,3\n")
    reader = replay(path)
    chosen = [next(reader([make_case(1, epoch=epoch)])).squares for epoch in (70, 90, 50)]
    assert chosen == [(1,), (2,), (3,)]


def test_a_file_about_other_samples_is_refused_before_the_first_answer(tmp_path):
    path = table(tmp_path, "key,squares\nother,1\n")
    with pytest.raises(DataError, match="film-1"):
        next(replay(path)(CASES))


def test_a_file_about_other_rounds_says_how_to_use_it(tmp_path):
    path = table(tmp_path, "key,epoch,squares\nfilm-1,50,1\n")
    with pytest.raises(DataError, match=r"after epoch 70, only after 50.*leave the column"):
        next(replay(path)(CASES))


def test_the_open_cases_of_a_resumed_round_may_all_be_missing_from_the_file(tmp_path):
    [reading] = replay(table(tmp_path, TABLE))(CASES[3:])
    assert reading.verdict == "skip"


def test_a_round_of_which_the_file_has_nothing_may_be_skipped_as_a_whole(tmp_path):
    path = table(tmp_path, "key,epoch,squares\nother,,1\nfilm-1,50,2\n")
    readings = list(replay(path, strict=False)(CASES))
    assert [(one.reader, one.verdict) for one in readings] == [(NOBODY, "skip")] * len(CASES)
    assert {one.reason for one in readings} == {"readings.csv has no reading of it"}


def test_what_counts_is_one_row_for_a_sample_and_round(tmp_path):
    path = table(tmp_path, "key,epoch,squares\nfilm-1,70,1\nfilm-2,,2\nfilm-1,70,3\nfilm-1,,4\n")
    rows = replay(path).rows
    assert [(row.key, row.epoch, row.squares) for row in rows] == [
        ("film-1", 70, "3"),
        ("film-2", None, "2"),
        ("film-1", None, "4"),
    ]


# --- several readers ----------------------------------------------------------------------

BOTH = "key,squares,reader\nfilm-1,1,Dr. Lee\nfilm-2,2,\nfilm-1,3,Wu\n"


def test_of_several_readers_the_named_one_answers(tmp_path):
    path = table(tmp_path, BOTH)
    for name, chosen in (("Dr. Lee", (1,)), ("Dr-Lee", (1,)), ("Wu", (3,))):
        first, second, *_ = replay(path, reader=name)(CASES)
        assert first.squares == chosen
        assert second.reader == NOBODY, "whose row 3 is nobody can know"
    every = [(one.reader, one.squares) for one in list(replay(path)(CASES))[:3]]
    assert every == [("Dr. Lee", (1,)), ("Wu", (3,)), ("replay", (2,))], "else each answers"
    assert list(replay(path, reader="all").rows) == list(replay(path).rows)


@pytest.mark.parametrize("more", ["", "film-3,1,Dr Lee\n"], ids=["another", "two alike"])
def test_a_name_that_no_one_or_two_readers_have_is_refused_with_the_names(tmp_path, more):
    path = table(tmp_path, BOTH + more)
    with pytest.raises(DataError, match=r"Dr\. Lee, Wu.*--reader-name") as caught:
        replay(path, reader="Dr-Lee" if more else "reader")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["key,squares\nfilm-1,1\n", "key,squares,reader\nfilm-1,1,Lee\n"])
def test_the_only_reader_need_not_be_named(tmp_path, text):
    assert next(replay(table(tmp_path, text), reader="somebody else")(CASES)).squares == (1,)


def test_a_skip_of_an_earlier_replay_is_not_a_reading(tmp_path):
    path = table(tmp_path, f"key,squares,verdict,reader\nfilm-1,1,,Lee\nfilm-2,,skip,{NOBODY}\n")
    reader = replay(path, reader="A")
    assert [reader.has_reading(case) for case in CASES[:2]] == [True, False]


def test_a_square_outside_the_grid_of_its_case_names_the_row(tmp_path):
    path = table(tmp_path, "key,squares\nfilm-1,1\nfilm-2,17\n")
    reader = replay(path)(CASES)
    assert next(reader).squares == (1,)
    with pytest.raises(DataError, match=r"readings\.csv, row 3.*\{17\}"):
        next(reader)
    larger = [make_case(2, grid=Grid(4, 6))]
    assert next(replay(path)(larger)).squares == (17,)


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ({"key": ""}, "''"),
        ({"squares": "2 x"}, "'2 x'"),
        ({"squares": "8-5"}, "'8-5'"),
        ({"squares": ""}, "film-1"),
        ({"squares": " , "}, "film-1"),
        ({"verdict": "dunno"}, "'dunno'"),
        ({"epoch": "1.5"}, "'1.5'"),
        ({"epoch": "-1"}, "'-1'"),
        ({"seconds": "nan"}, "'nan'"),
        ({"seconds": "-2"}, "'-2'"),
        ({"squares_before": "99999"}, "'99999'"),
    ],
)
@pytest.mark.parametrize("name", ["readings.csv", "readings.json"])
def test_a_bad_row_is_named_with_its_value_before_training_starts(tmp_path, row, value, name):
    good = {"key": "film-0", "squares": "1", "verdict": "", "epoch": "", "seconds": ""}
    rows = [good, good | {"key": "film-1", "squares_before": ""} | row]
    if name.endswith("json"):
        text, place = json.dumps(rows), "entry 2"
    else:
        head = list(rows[1])
        lines = [",".join(f'"{r.get(h, "")}"' for h in head) for r in rows]
        text, place = "\n".join([",".join(head), *lines]), "row 3"
    with pytest.raises(DataError) as caught:
        replay(table(tmp_path, text, name))
    assert f"{name}, {place}: " in str(caught.value)
    assert value in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.csv", b"", "no column 'key'"),
        ("a.csv", b"key,verdict\nx,skip\n", "no column 'squares'"),
        ("a.csv", b"key,squares\n\xff\xfe,1\n", "UTF-8"),
        ("a.csv", b"key,squares\n" + b"x" * 200_000 + b",1\n", "not a valid CSV"),
        ("a.json", b"{", "not valid JSON"),
        ("a.json", b'{"key": "x"}', "list"),
        ("a.json", b'["x"]', "list"),
        ("a.json", b'[{"key": 7, "squares": "1"}]', "entry 1"),
        ("a.json", b'[{"key": "x", "squares": [true]}]', "'True'"),
        ("a.json", b'[{"key": "x", "squares": [1.5]}]', "'1.5'"),
        ("a.json", b'[{"key": "x", "squares": {"a": 1}}]', "squares"),
        ("a.json", b'[{"key": "x", "squares": "1", "verdict": ["skip"]}]', "verdict"),
        (
            "a.csv",
            b"key,squares\nx,2,3,6,7\n",
            "row 2 has 5 cells, .* names 2 columns: quote cells",
        ),
        ("a.csv", b"key,squares,squares\nx,2,9\n", "two columns 'squares'"),
        ("a.xlsx", b"PK\x03\x04", r"\.csv"),
        ("a.sqlite", b"SQLite format 3\0 and no more", "store"),
    ],
)
def test_a_file_without_valid_readings_is_an_error(tmp_path, name, data, says):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ImilError, match=says):
        replay(tmp_path / name)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no readings at"):
        replay(tmp_path / "nowhere.csv")


# --- stores -------------------------------------------------------------------------------


def add_run(store, run, *rounds):
    """A run with one round of four cases for each (epoch, readings of case numbers)."""
    store.add_run(run, class_names=["normal", "TB"], settings={}, versions={})
    for epoch, readings in rounds:
        cases = [make_case(n, run=run, epoch=epoch) for n in range(1, 5)]
        store.open_round(run, epoch, RoundSettings(), cases)
        for number, verdict, squares in readings:
            case = f"{run}@{epoch}#{number}"
            before = (5,) if number == 2 else () if number == 4 else None
            store.add(Reading(case, "anna", verdict, squares, f"why {number}", number / 3, before))


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "imil.sqlite")
    yield made
    made.close()


ROUNDS = (
    (50, [(1, "focus", (1,)), (2, "focus", (2, 3)), (1, "wrong label", ())]),
    (70, [(1, "focus", (16,)), (4, "not assessable", ())]),
)


@pytest.mark.parametrize("name", ["", "imil.sqlite"], ids=["folder", "file"])
def test_the_current_readings_of_a_store_are_replayed_in_the_same_round(tmp_path, store, name):
    add_run(store, "old", *ROUNDS)
    reader = replay(tmp_path / name)
    after_50 = list(reader([make_case(n, run="new", epoch=50) for n in range(1, 5)]))
    after_70 = list(reader([make_case(n, run="new", epoch=70) for n in range(1, 5)]))
    assert answers(after_50)[:2] == [("#1", "wrong label", ()), ("#2", "focus", (2, 3))]
    assert answers(after_70)[::3] == [("#1", "focus", (16,)), ("#4", "not assessable", ())]
    assert [r.verdict for r in (*after_50[2:], *after_70[1:3])] == ["skip"] * 4
    assert (after_50[1].reader, after_50[1].reason, after_50[1].seconds) == ("anna", "why 2", 2 / 3)


def test_two_readers_of_a_reading_room_are_distinguished(tmp_path, store):
    add_run(store, "old", (70, [(1, "focus", (1,)), (2, "focus", (2,))]))
    store.add(Reading("old@70#1", "ben", "focus", (9,), "later than anna"))
    anna, ben = (list(replay(tmp_path, reader=name)(CASES)) for name in ("anna", "ben"))
    assert [one.squares for one in anna] == [(1,), (2,), (), ()]
    assert [one.squares for one in ben] == [(9,), (), (), ()]


def test_of_several_runs_one_must_be_named(tmp_path, store):
    add_run(store, "a", (70, [(1, "focus", (1,))]))
    add_run(store, "b", (70, [(1, "focus", (2,))]))
    with pytest.raises(DataError, match="a, b"):
        replay(tmp_path)
    with pytest.raises(DataError, match="no run 'c'"):
        replay(tmp_path, run="c")
    assert next(replay(tmp_path, run="b")(CASES)).squares == (2,)


@pytest.mark.parametrize("name", ["out.csv", "out.json"])
def test_written_readings_are_replayed_as_they_were_stored(tmp_path, store, name):
    add_run(store, "old", *ROUNDS)
    assert write_readings(tmp_path / name, store, "old") == 5
    for epoch in (50, 70):
        cases = [make_case(n, epoch=epoch) for n in range(1, 5)]
        by_file, by_store = (list(replay(p)(cases)) for p in (tmp_path / name, tmp_path))
        given = [i for i, reading in enumerate(by_store) if reading.reader == "anna"]
        assert len(given) == 2
        assert content(by_file[i] for i in given) == content(by_store[i] for i in given)


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\r\n\t"))
SQUARES = st.lists(st.integers(1, 16), unique=True).map(lambda s: " ".join(map(str, s)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.builds(
            Row,
            key=WORDS.filter(bool),
            epoch=st.none() | st.integers(0, 10**6),
            verdict=st.sampled_from(VERDICTS),
            squares=SQUARES.filter(bool),
            squares_before=st.none() | SQUARES,
            reason=WORDS,
            seconds=st.floats(0, 1e6),
            reader=WORDS.filter(bool),
            place=st.just(""),
        ),
        max_size=3,
    )
)
@pytest.mark.parametrize("name", ["a.csv", "a.json"])
def test_no_row_is_changed_by_being_written_and_read(tmp_path, name, rows):
    write_rows(tmp_path / name, rows)
    assert [replace(row, place="") for row in load_rows(tmp_path / name)] == rows


def test_writing_refuses_what_it_cannot_do(tmp_path, store):
    add_run(store, "r", (70, []))
    with pytest.raises(DataError, match="no run 'x'"):
        write_readings(tmp_path / "a.csv", store, "x")
    with pytest.raises(DataError, match=r"\.csv"):
        write_readings(tmp_path / "a.xlsx", store, "r")
    with pytest.raises(DataError, match="cannot be written"):
        write_readings(tmp_path / "no" / "a.csv", store, "r")
