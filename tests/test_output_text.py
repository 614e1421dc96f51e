"""Hostile text of others, through every output: what a person opens does nothing but show it."""

import csv
import io
import logging
import unicodedata
from html import unescape

import numpy as np
import pytest
from studies import small_study
from test_case_report import a_case, a_round

from imil.cases import Reading
from imil.cli.exit_codes import errors_as_exit_codes
from imil.data.splits import read_splits, write_splits
from imil.data.table import Table
from imil.errors import DataError
from imil.output_text import LogFormatter, html_text, log_line
from imil.readers.console import _show_text
from imil.readers.reading_row import Row
from imil.readers.reading_table import load_rows, write_rows
from imil.round_tables import round_tables
from imil.store import Store
from imil.study.reader_sessions import session
from imil.study.report.latex import latex
from imil.terminal_console import TerminalConsole
from imil.training.outputs.case_report import write_case_report
from imil.training.predict_images import ImagePredictions, write_csv
from imil.web.server import _configure_log
from imil.web.sign_in import _error_page

HOSTILE = {
    "clears the screen": "\x1b[2J\x1b[H",
    "names the window": "\x1b]0;root\x07",
    "has an eight-bit control": "\x9b31m",
    "goes back over a line": "fine\r\x08\x08imil: ok",
    "writes a line of its own": "a\nimil: all is well",
    "turns the direction of writing": "film\u202egnp.exe\u2066",
    "is calculated": '=HYPERLINK("http://evil.example","click")',
    "is calculated after a plus": "+cmd|' /C calc'!A0",
    "is calculated after a minus": "-2+3+cmd|' /C calc'!A0",
    "is calculated after an at sign": "@SUM(1+1)",
    "is calculated after a tab": "\t=1+1",
    "looks as if it were guarded": "'=1+1",
    "is a script": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "is markup of the terminal": "[link=http://evil.example][bold]here[/bold][/link]",
    "is LaTeX": r"\input{/etc/passwd} $x^2$ % {\write18{id}}",
}
ALL = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def unseen(text, allowed="\n"):
    """The characters that a person does not see but a program obeys."""
    kinds = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return {c for c in text if unicodedata.category(c) in kinds and c not in allowed}


@pytest.fixture
def store(tmp_path):
    with_text = Store(tmp_path / "imil.sqlite")
    yield with_text
    with_text.close()


def with_round(store, text):
    """A round whose class, key, reason and reader are the text."""
    names = ("normal", text)
    readings = [Reading("run@10#1", text, "focus", (1,), reason=text, seconds=2.0)]
    a_round(store, [a_case(key=text, names=names)], readings, names=names)


@ALL
def test_a_terminal_gets_no_escape_sequence_and_no_link(store, text):
    with_round(store, text)
    screen = io.StringIO()
    console = TerminalConsole(file=screen, force_terminal=True, color_system=None, width=400)
    for part in [*round_tables(store), *session(store.path)]:
        console.print(part)
    assert unseen(screen.getvalue()) == set()
    assert "evil.example]" in screen.getvalue() or "evil.example]" not in text


@ALL
def test_the_reader_at_the_console_sees_plain_text(capsys, text):
    _show_text(f"  ground truth   {text}")
    assert unseen(capsys.readouterr().out, "\n\t") == set()


@ALL
def test_an_error_is_one_line_of_plain_text(capsys, text):
    with pytest.raises(SystemExit), errors_as_exit_codes(f"imil resume {text}"):
        raise DataError(f"'{text}' cannot be read")
    written = capsys.readouterr().err
    assert unseen(written) == set()
    assert written.count("\n") == 1


@ALL
def test_a_log_gets_one_line_of_plain_text(text, monkeypatch):
    log = logging.getLogger("imil.web")
    monkeypatch.setattr(log, "handlers", [])
    _configure_log()
    record = log.makeRecord("imil.web", logging.WARNING, "", 0, "from %s", (text,), None)
    assert isinstance(log.handlers[0].formatter, LogFormatter)
    assert unseen(log.handlers[0].format(record), "") == set()


@ALL
def test_a_spreadsheet_calculates_nothing_and_every_text_comes_back(tmp_path, text):
    row = Row(text, 10, "focus", "1", None, text, 2.0, text)
    write_rows(tmp_path / "readings.csv", [row])
    back = load_rows(tmp_path / "readings.csv")[0]
    assert (back.key, back.reason, back.reader) == (text, text, text)

    keys = (text, f"{text} 2")
    table = Table(keys, ("a.png", "b.png"), np.array([0, 1]), ("normal", text), None, None, {})
    write_splits(tmp_path / "split.csv", table, ["train", "test"])
    assert read_splits(tmp_path / "split.csv", table) == ("train", "test")

    predictions = io.StringIO()
    write_csv(predictions, ImagePredictions((text,), np.array([[0.1, 0.9]]), ()), ("a", text))
    texts = [(tmp_path / name).read_bytes().decode() for name in ("readings.csv", "split.csv")]
    for written in (*texts, predictions.getvalue()):
        for line in csv.reader(io.StringIO(written, newline="")):
            assert not [cell for cell in line if cell.startswith(FORMULA)]


@ALL
def test_a_page_has_the_text_and_nothing_hidden(store, tmp_path, text):
    with_round(store, text)
    write_case_report(store, "run", tmp_path / "cases.html")
    written = (tmp_path / "cases.html").read_text("utf-8")
    message = _error_page(404, text).body.decode()
    for html in (written, message):
        assert unseen(html, "\n\t") == set()
        assert "<script>alert" not in html
        assert "<img src=x" not in html
    assert str(html_text(text)) in unescape(message)


def test_every_character_that_is_not_seen_is_written_out():
    joiners = "\u200c\u200d"
    for character in map(chr, range(0x110000)):
        kind = unicodedata.category(character)
        hidden = kind in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in joiners
        if kind != "Cn":  # not known to this Python's version of Unicode
            assert (log_line(f"a{character}") != f"a{character}") == hidden, hex(ord(character))


@pytest.mark.figures
def test_latex_has_the_text_and_runs_no_command(tmp_path):
    name = HOSTILE["is LaTeX"] + HOSTILE["turns the direction of writing"]
    written = latex(small_study(tmp_path, name=name))
    assert unseen(written) == set()
    for command in (r"\input{", r"\write18", " $x^2$", " % {"):
        assert command not in written
    assert r"\textbackslash{}input\{/etc/passwd\}" in written
