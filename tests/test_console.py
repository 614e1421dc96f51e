"""The console reader: with a scripted person, and as a real program at a pipe and a terminal."""

import io
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reader_contract import check_reader, make_case

from imil.errors import DataError
from imil.grid import Grid
from imil.images.render import MISLEADING
from imil.readers.console import HELP, Console
from imil.readers.picture_viewer import open_picture

CASES = [make_case(n) for n in range(1, 5)]


class Person:
    """Types the lines, one a question, and remembers what was on the screen."""

    def __init__(self, *lines):
        self.lines = list(lines)
        self.screen = []
        self.shown = []
        self.time = 0.0

    def ask(self, prompt):
        self.screen.append(prompt)
        if not self.lines and prompt.startswith("y: done all the same"):
            return "y"
        if not self.lines:
            raise EOFError
        line = self.lines.pop(0)
        self.time += 1.5  # seconds a line
        if isinstance(line, type):
            raise line
        if isinstance(line, Exception):
            raise line
        return line

    def console(self, folder, **options):
        return Console(
            "anna",
            folder,
            ask=self.ask,
            say=self.screen.append,
            show=self.shown.append,
            clock=lambda: self.time,
            **options,
        )

    def read(self, folder, cases=CASES):
        return list(self.console(folder)(cases))

    @property
    def text(self):
        return "\n".join(self.screen)


def answers(readings):
    return [(r.case[-2:], r.verdict, r.squares) for r in readings]


def answer_to(tmp_path, *lines):
    """What one person who types these lines says to one case."""
    return answers(Person(*lines).read(tmp_path, CASES[:1]))


# --- answers ------------------------------------------------------------------------------


def test_keeps_the_contract_of_readers(tmp_path):
    lines = ["2 3 6 7", "because of the letter", "s", "u", "5-8", "", "all", "", "w", ""]
    readings = check_reader(lambda: Person(*lines).console(tmp_path), CASES)
    assert len(readings) == 5


@pytest.mark.parametrize(
    ("typed", "squares"),
    [
        ("2 3 6 7", (2, 3, 6, 7)),
        ("5-8", (5, 6, 7, 8)),
        ("7,2 , 3-3", (2, 3, 7)),
        ("ALL", tuple(range(1, 17))),
        ("  16 ", (16,)),
    ],
)
def test_squares_are_parsed_as_a_person_writes_them(tmp_path, typed, squares):
    assert answer_to(tmp_path, typed, "") == [("#1", "focus", squares)]


@pytest.mark.parametrize(
    ("typed", "verdict"),
    [
        ("s", "skip"),
        ("w", "wrong label"),
        ("n", "not assessable"),
        (" S ", "skip"),
        ("Wrong  label", "wrong label"),
    ],
)
def test_a_key_gives_the_verdict(tmp_path, typed, verdict):
    assert answer_to(tmp_path, typed) == [("#1", verdict, ())]


@pytest.mark.parametrize(
    ("typed", "squares", "misleading"),
    [
        ("2 3 -4", (2, 3), (4,)),
        ("-3 -4", (), (3, 4)),
        ("-3-5, 8", (8,), (3, 4, 5)),
        ("5 - 8 -1", (5, 6, 7, 8), (1,)),
        ("5-8", (5, 6, 7, 8), ()),
    ],
)
def test_a_minus_before_a_number_marks_it_as_misleading(tmp_path, typed, squares, misleading):
    [reading] = Person(typed, "").read(tmp_path, CASES[:1])
    assert (reading.verdict, reading.squares, reading.misleading) == ("focus", squares, misleading)


def test_misleading_squares_are_said_and_drawn_before_the_reason_is_asked(tmp_path):
    def drawn():
        with Image.open(tmp_path / "epoch-070-case-001.png") as picture:
            return (np.asarray(picture) == MISLEADING).all(axis=-1).sum()

    class Looking(Person):
        def ask(self, prompt):
            self.screen.append(f"{drawn()} orange")
            return super().ask(prompt)

    person = Looking("2 -4", "u", "2 -3", "why")
    [reading] = person.read(tmp_path, CASES[:1])
    assert (reading.misleading, reading.reason) == ((3,), "why")
    orange = [line for line in person.screen if line.endswith("orange")]
    assert [line == "0 orange" for line in orange[:4]] == [True, False, True, False]
    assert "  look at        2" in person.screen
    assert "  misleading     4 (u: change it)" in person.screen


def test_the_errors_of_misleading_squares_say_what_to_do(tmp_path):
    person = Person("3 -3", "-1-16", "s")
    person.read(tmp_path, CASES[:1])
    assert "squares 3 are both selected and misleading: mark each square once" in person.text
    assert (
        "all 16 squares are misleading: leave one to look at, or answer not assessable"
        in person.text
    )


def test_the_reason_is_kept_in_the_reader_s_own_words(tmp_path):
    words = "The model was focused on the létter ☺ so I switched the focus towards the hilum."
    [reading] = Person("1", f"  {words}\t").read(tmp_path, CASES[:1])
    assert reading.reason == words
    assert reading.reader == "anna"


def test_no_reason_is_requested_where_no_square_was_selected(tmp_path):
    person = Person("s", "w", "n", "s")
    assert len(person.read(tmp_path)) == 4
    assert "because" not in person.text


def test_control_characters_are_removed_from_a_reason(tmp_path):
    [reading] = Person("1", "a\x1b[31m b\udce9 c").read(tmp_path, CASES[:1])
    assert reading.reason == "a [31m b  c"


def test_the_time_is_measured_per_case(tmp_path):
    # 1.5 s a line: squares and reason; a typing error, then skip
    readings = Person("1", "", "17", "s").read(tmp_path, CASES[:2])
    assert [reading.seconds for reading in readings] == [3.0, 3.0]


SENSELESS = [
    "17",
    "8-5",
    "",
    "   ",
    ",",
    "zero",
    "0",
    "--3",
    "3 -3",
    "-1-16",
    "-17",
    "-x",
    "2 3 x",
    "2;3",
    "s s",
    "9" * 500,
    "\x1b[A",
]


@pytest.mark.parametrize("typed", SENSELESS)
def test_invalid_input_gets_one_line_and_the_question_again(tmp_path, typed):
    plain, person = Person("s"), Person(typed, "s")
    assert answers(person.read(tmp_path, CASES[:1])) == [("#1", "skip", ())]
    plain.read(tmp_path, CASES[:1])
    question = next(i for i, line in enumerate(plain.screen) if line.endswith("1-16> "))
    line, again = person.screen[question + 1 : question + 3]
    assert again == person.screen[question]
    assert "\n" not in line
    assert len(line) < 80
    assert [*person.screen[: question + 1], *person.screen[question + 3 :]] == plain.screen


def test_a_line_that_cannot_be_decoded_is_requested_again(tmp_path):
    bad = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
    assert answer_to(tmp_path, bad, "s") == [("#1", "skip", ())]


def test_help_is_available_at_each_question(tmp_path):
    person = Person("?", "1", "?", "", "?", "")
    assert answers(person.read(tmp_path, CASES[:1])) == [("#1", "focus", (1,))]
    assert HELP in person.screen


# --- undo and stopping --------------------------------------------------------------------


def test_undo_asks_the_previous_case_again_as_a_new_reading(tmp_path):
    readings = Person("1", "", "u", "2", "", "s", "s", "s", "").read(tmp_path)
    assert answers(readings)[:3] == [
        ("#1", "focus", (1,)),
        ("#1", "focus", (2,)),
        ("#2", "skip", ()),
    ]
    assert len({reading.id for reading in readings}) == len(readings) == 5


def test_undo_goes_back_several_steps_and_enter_keeps_an_answer(tmp_path):
    person = Person("1", "", "s", "w", "u", "u", "u", "16", "", "", "", "n", "")
    assert answers(person.read(tmp_path)) == [
        ("#1", "focus", (1,)),
        ("#2", "skip", ()),
        ("#3", "wrong label", ()),
        ("#1", "focus", (16,)),
        ("#4", "not assessable", ()),
    ]
    assert person.text.count("Enter keeps it") == 5  # 3, 2, 1, and 2, 3 on the way forward


def test_undo_at_the_first_case_says_so_in_one_line(tmp_path):
    person = Person("u", "s")
    assert answers(person.read(tmp_path, CASES[:1])) == [("#1", "skip", ())]
    [line] = [line for line in person.screen if "first case" in line]
    assert len(line) < 80


def test_undo_at_the_reason_goes_back_to_the_squares(tmp_path):
    assert answer_to(tmp_path, "1", "u", "2", "") == [("#1", "focus", (2,))]


def test_a_single_letter_is_not_accepted_as_a_reason(tmp_path):
    [reading] = Person("1", "s", "a real one").read(tmp_path, CASES[:1])
    assert reading.reason == "a real one"


def test_the_last_case_can_be_undone_too(tmp_path):
    person = Person("s", "u", "1", "", "what", "")
    assert answers(person.read(tmp_path, CASES[:1])) == [("#1", "skip", ()), ("#1", "focus", (1,))]
    assert not person.lines


@pytest.mark.parametrize("stop", ["q", "Q", "quit", EOFError])
def test_stopping_keeps_what_was_answered(tmp_path, stop):
    person = Person("1", "", stop, "never read")
    assert answers(person.read(tmp_path)) == [("#1", "focus", (1,))]
    assert "1 of 4" in person.screen[-1]
    assert person.lines == ["never read"]


@pytest.mark.parametrize("stop", ["q", EOFError])
def test_stopping_at_the_reason_keeps_the_squares(tmp_path, stop):
    [reading] = Person("1 2", stop, "never read").read(tmp_path)
    assert (reading.squares, reading.reason) == ((1, 2), "")


def test_ctrl_c_is_not_swallowed(tmp_path):
    reader = Person("s", KeyboardInterrupt).console(tmp_path)(CASES)
    assert next(reader).verdict == "skip"
    with pytest.raises(KeyboardInterrupt):
        next(reader)


def test_a_reading_is_yielded_before_the_next_case_is_shown(tmp_path):
    person = Person("s", "s")
    reader = person.console(tmp_path)(CASES)
    next(reader)
    assert [path.name for path in person.shown] == ["epoch-070-case-001.png"]
    assert "case 2 of 4" not in person.text


# --- what is on the screen ----------------------------------------------------------------


def test_each_case_has_its_picture_opened_and_named(tmp_path):
    person = Person("s", "s", "s", "s")
    person.read(tmp_path / "new" / "folder")
    paths = [tmp_path / "new" / "folder" / f"epoch-070-case-00{n}.png" for n in range(1, 5)]
    assert person.shown == paths
    assert all(str(path) in person.text for path in paths)
    with Image.open(paths[0]) as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")


def test_a_case_is_introduced_as_in_the_paper(tmp_path):
    person = Person()
    person.read(tmp_path, [replace(CASES[2], earlier=(2, 3, 6, 7, 8)), CASES[3]])
    shown = person.text.split("case 3 of 4")[1]
    assert [line.split(maxsplit=1) for line in shown.splitlines()[1:3]] == [
        ["predicted", "TB (98.7 %)"],
        ["ground", "truth   normal"],
    ]
    assert "2 3 6-8" in shown


def test_nothing_but_a_path_is_wider_than_the_terminal(tmp_path):
    names = ("Pneumothorax, small, apical, " * 6, "Infiltrate of the left lower lobe " * 5)
    case = replace(
        make_case(7, grid=Grid(64, 64)), class_names=names, earlier=tuple(range(1, 300, 2))
    )
    person = Person(*SENSELESS, "4097", "?", "u", "1", "?", "x" * 200, "?", "what" * 30, "u", "")
    person.read(tmp_path, [case])
    lines = [line for line in person.text.splitlines() if str(tmp_path) not in line]
    assert max(map(len, lines)) < 80


def test_characters_that_the_terminal_cannot_show_are_replaced(tmp_path, monkeypatch):
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", screen)
    case = replace(CASES[0], class_names=("normal", "结核"))
    person = Person("17", "s")
    list(Console("anna", tmp_path, ask=person.ask, show=None)([case]))
    monkeypatch.undo()
    screen.seek(0)
    assert "predicted      ?? (98.7 %)" in screen.read()


def test_a_picture_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"case-001\.png cannot be written"):
        Person("s").read(tmp_path / "file")


def test_without_a_desktop_the_picture_is_only_named(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("subprocess.Popen", None)  # calling it would fail
    monkeypatch.setattr("sys.platform", "linux")
    open_picture(Path("x.png"))


@pytest.mark.process
@pytest.mark.parametrize("works", [True, False])
def test_the_desktop_viewer_is_started_without_waiting_for_it(tmp_path, monkeypatch, works):
    viewer = tmp_path / "xdg-open"
    viewer.write_text(
        f'#!/bin/sh\necho "$1" > "{tmp_path}/opened.tmp"\n'
        f'mv "{tmp_path}/opened.tmp" "{tmp_path}/opened"\n'
        if works
        else "no program"
    )
    viewer.chmod(0o755)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("sys.platform", "linux")
    open_picture(Path("a film.png"))
    if works:
        for _ in range(500):
            if (tmp_path / "opened").exists():
                break
            time.sleep(0.01)
        assert (tmp_path / "opened").read_text() == "a film.png\n"


# --- as a program -------------------------------------------------------------------------

PROGRAM = """
import sys
import time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from reader_contract import make_case
from imil.cases import RoundSettings
from imil.readers.console import Console
from imil.store import Store

folder = Path(sys.argv[1])
store = Store(folder / "imil.sqlite")
store.add_run("r", class_names=["normal", "TB"], settings={}, versions={})
if store.find_round("r", 70) is None:
    store.open_round("r", 70, RoundSettings(), [make_case(n) for n in range(1, 4)])
for reading in Console("anna", folder / "pictures", show=None)(store.unread("r@70")):
    store.add(reading)
"""


def program(tmp_path, **options):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(Path(__file__).parent)]
    return subprocess.Popen(command, **options)


def stored(tmp_path):
    from imil.store import Store

    store = Store(tmp_path / "imil.sqlite", readonly=True)
    try:
        return answers(store.readings("r@70"))
    finally:
        store.close()


def test_a_program_at_a_pipe_continues_where_the_input_ended(tmp_path):
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "encoding": "utf-8"}
    with program(tmp_path, **pipe) as first:
        out, _ = first.communicate("2 3\nThe reason.\n")
    assert first.returncode == 0
    assert "1 of 3 answered" in out
    assert stored(tmp_path) == [("#1", "focus", (2, 3))]
    with program(tmp_path, **pipe) as second:
        out, _ = second.communicate("s\n5-8\n")
    assert "case 2 of 3" in out
    assert "case 1 of 3" not in out
    assert stored(tmp_path)[1:] == [("#2", "skip", ()), ("#3", "focus", (5, 6, 7, 8))]


@pytest.mark.parametrize("end", ["\x03", signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_a_program_at_a_terminal_loses_no_answer_however_it_ends(tmp_path, end):
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    mine, theirs = pty.openpty()
    with program(
        tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=pty_leader
    ) as process:
        os.close(theirs)
        screen = read_until(mine, b"squares 1-16> ")
        os.write(mine, b"6 7\n")
        screen += read_until(mine, b"because> ")
        os.write(mine, b"\n")
        screen += read_until(mine, b"squares 1-16> ")
        if isinstance(end, str):
            press_until_it_ends(process, mine, end)
        else:
            process.send_signal(end)
        process.wait()
    os.close(mine)
    assert process.returncode != 0
    assert b"case 2 of 3" in screen
    assert stored(tmp_path) == [("#1", "focus", (6, 7))]


def press_until_it_ends(process, terminal, key):
    """As a person would: a key pressed between the prompt and the wait for input is lost."""
    while process.poll() is None:
        os.write(terminal, key.encode())
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.5)


def pty_leader():
    """Make the pseudo-terminal on standard input the one that sends Ctrl-C, and take it."""
    import fcntl
    import termios

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored where pytest is in the background
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def read_until(descriptor, sign):
    seen = b""
    while not seen.endswith(sign):
        seen += os.read(descriptor, 1)
    return seen


def test_the_picture_of_a_deep_film_is_that_of_its_own_range(tmp_path):
    film = np.full((40, 40), 30000, np.uint16)
    film[:, 20:] = 30100
    Person("s").read(tmp_path, [make_case(1, image=film)])
    with Image.open(tmp_path / "epoch-070-case-001.png") as picture:
        pixels = np.asarray(picture)[400, 30:700, 0]
    assert (pixels[0], pixels[-1]) == (0, 255)


def test_a_standard_input_that_was_closed_is_the_end_of_input(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    assert answers(Person("1", "", RuntimeError("input(): lost sys.stdin")).read(tmp_path)) == [
        ("#1", "focus", (1,))
    ]
