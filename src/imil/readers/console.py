"""The paper's reader: a person at a terminal, with one picture per case."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from PIL.Image import Image as Picture

from imil.cases import Case, Reading, Verdict
from imil.errors import DataError, RoundPaused, SettingsError, SquareError
from imil.images.render import case_panel, percent, squares_as_text
from imil.output_text import terminal_text
from imil.readers.picture_viewer import open_picture
from imil.square_text import read_signed, signed_squares

Step = Literal["next", "undo", "quit"]

WIDTH = 79  # characters; one less than a terminal of 80 columns
VERDICTS: dict[str, Verdict] = {
    "s": "skip",
    "skip": "skip",
    "w": "wrong label",
    "wrong label": "wrong label",
    "n": "not assessable",
    "not assessable": "not assessable",
}
UNDO, QUIT, SHOW_HELP = ("u", "undo"), ("q", "quit"), ("?", "h", "help")
HELP = """\
  Which squares should the model look at to get this case right? All others
  will be blacked out when training continues.
    2 3 6 7   these squares        5-8   a range        all   the whole image
    -3 -4     these squares mislead the model; with others, or alone: then only
              they are blacked out
    s         skip: the image stays as it is
    w         wrong label: the ground truth is wrong
    n         not assessable: the image cannot be read
    u         undo: back to the previous case, to change your answer
    q         save and stop; your answers are stored, the rest stays open
    ?         this help
  After the squares you may give a reason; at that question, u goes back to the
  squares."""
FORM = """\
  Why? One sentence, or Enter for none. The usual form: "The model was focused
  on ... so I switched the focus towards ..."\
"""
INVALID_REASON = "  type a sentence, or Enter for none (u: back to the squares)"


def _show_text(text: str) -> None:
    """Write a line; characters that the terminal cannot show become question marks."""
    text = terminal_text(text)
    encoding = sys.stdout.encoding or "ascii"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    sys.stdout.flush()


class Console:
    """A person at a terminal, who sees a picture and types the squares and a reason.

    A reading is yielded as soon as it is complete. `u` goes back any number of cases, and a new
    answer is a new reading. Ctrl-C is not caught: earlier answers are stored by then.

    Args:
        reader: the person's name.
        folder: for one PNG per case, such as `epoch-070-case-007.png`; created if missing.
        ask: prints a question and returns the answer; EOFError means `q`.
        say: prints a text.
        show: opens a picture; None: only its path is printed.
        clock: current time in seconds, for the time per case.
    Source: paper 3.1, steps 5-7; the form of the reason: 3.3.5.
    """

    def __init__(
        self,
        reader: str,
        folder: Path,
        *,
        ask: Callable[[str], str] = input,
        say: Callable[[str], None] = _show_text,
        show: Callable[[Path], None] | None = open_picture,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reader, self.folder = reader, Path(folder)
        self._ask, self._say, self._show, self._clock = ask, say, show, clock
        self._earlier: dict[str, Reading] = {}  # this person's answers of an interrupted round
        self._means_skips = False  # the person was asked, and skips every case

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """Readings as they are given; fewer than cases if the person stops."""
        if cases:
            self._say(
                f"\n{len(cases)} {'case' if len(cases) == 1 else 'cases'} to read. "
                "Type ? for help, q to stop; every answer is stored at once."
            )
        answers: dict[str, Reading] = {}
        position = 0
        while position < len(cases):
            case = cases[position]
            previous = answers.get(case.id)
            self._show_case(case, max(c.number for c in cases), previous)
            reading, step = self._read_case(case, previous, first=position == 0)
            if reading:
                answers[case.id] = reading
                yield reading
            if step == "quit":
                self._say(f"\nStopped. {len(answers)} of {len(cases)} answered and stored.")
                return
            position += -1 if step == "undo" else 1
            if position == len(cases) and self._wants_undo(case, {**self._earlier, **answers}):
                position -= 1

    def open_cases(self, cases: Sequence[Case], readings: Sequence[Reading]) -> list[Case]:
        """The cases that this person has not read, also where others have.

        All of them, where the person skipped every one and did not say that it was meant.
        """
        own = {reading.case: reading for reading in readings if reading.reader == self.reader}
        self._earlier = own
        left = [case for case in cases if case.id not in own]
        if not left and not self._means_skips and _skips_all(own.values()):
            return list(cases)
        return left

    def _show_case(self, case: Case, total: int, previous: Reading | None) -> None:
        """Draw, write and open the picture; print what is known about the case."""
        path = self._write_picture(case, previous)
        self._show_facts(case, total, previous)
        self._say(f"  {'picture':<14} {path}")  # not wrapped, so that a terminal makes a link of it
        if self._show:
            self._show(path)

    def _write_picture(self, case: Case, previous: Reading | None) -> Path:
        """Draw and write the picture, with the squares of the answer where there is one.

        Raises: DataError: it cannot be written.
        """
        # the epoch, since the pictures of different rounds must not overwrite each other
        path = self.folder / f"epoch-{case.epoch:03d}-case-{case.number:03d}.png"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _panel(case, previous).save(path, compress_level=1)  # a person is waiting
        except OSError as error:
            raise DataError(
                f"the picture {path} cannot be written ({error.strerror or error}): "
                "free some space, or give another folder; every answer so far is stored"
            ) from error
        return path

    def _show_facts(self, case: Case, total: int, previous: Reading | None) -> None:
        """Print what is known about the case."""
        self._say(f"\ncase {case.number} of {total}")
        self._print_fact("predicted", f"{case.predicted_name} ({percent(case.confidence)})")
        self._print_fact("ground truth", case.true_name)
        if case.earlier:
            self._print_fact("earlier round", squares_as_text(case.earlier))
        if previous:
            self._print_fact("your answer", f"{_answer_text(previous)} (Enter keeps it)")

    def _print_fact(self, name: str, value: str) -> None:
        self._say(textwrap.fill(f"  {name:<14} {value}", WIDTH, subsequent_indent=" " * 17))

    def _read_case(
        self, case: Case, previous: Reading | None, *, first: bool
    ) -> tuple[Reading | None, Step]:
        """The reading, if there is one, and the next step."""
        start = self._clock()
        while True:
            line = self._input_line(f"  squares 1-{case.grid.squares}> ")
            word = "q" if line is None else " ".join(line.lower().split())
            if word in QUIT:
                return None, "quit"
            if word in UNDO and not first:
                return None, "undo"
            if word in VERDICTS:
                seconds = self._clock() - start
                return Reading(case.id, self.reader, VERDICTS[word], seconds=seconds), "next"
            if not word and previous:
                return None, "next"
            marked = self._parse_squares(case, word)
            if marked:
                if marked.misleading:
                    self._confirm(case, marked)
                reason, step = self._ask_reason()
                if step != "undo":  # undo goes back to the squares
                    seconds = self._clock() - start
                    return self._focus(case, marked, reason, seconds), step
                if marked.misleading:
                    self._write_picture(case, previous)  # as it was

    def _focus(self, case: Case, marked: Reading, reason: str, seconds: float) -> Reading:
        """The finished answer; a new one, so that its time is that of its end."""
        squares, misleading = marked.squares, marked.misleading
        return Reading(
            case.id, self.reader, "focus", squares, reason, seconds, misleading=misleading
        )

    def _parse_squares(self, case: Case, word: str) -> Reading | None:
        """The squares that were typed; None, after the help or an error, if there are none."""
        if word in SHOW_HELP:
            self._say(HELP)
        elif word in UNDO:
            self._say("  this is the first case: there is no previous one to go back to")
        elif not word.replace(",", "").strip():
            self._say("  no square given: type squares such as 2 3 6 7, s to skip, ? for help")
        else:
            try:
                squares, misleading = read_signed(word, case.grid)
                answer = Reading(case.id, self.reader, "focus", squares, misleading=misleading)
                return answer.checked(case.grid)
            except (SettingsError, SquareError) as error:
                self._say(_one_line(str(error)))
        return None

    def _confirm(self, case: Case, marked: Reading) -> None:
        """Say what was marked, and draw it into the case's picture."""
        path = self._write_picture(case, marked)
        self._print_fact(
            "look at", squares_as_text(marked.squares) or "all but the misleading ones"
        )
        self._print_fact("misleading", f"{squares_as_text(marked.misleading)} (u: change it)")
        self._say(f"  {'picture':<14} {path}")

    def _ask_reason(self) -> tuple[str, Step]:
        """The reader's sentence, or "", and the next step."""
        self._say(FORM)
        while True:
            line = self._input_line("  because> ")
            word = "q" if line is None else line.lower()
            if word in UNDO:
                return "", "undo"
            if line is None or word in QUIT:
                return "", "quit"
            if len(word) != 1 and word != "help":
                return line, "next"
            self._say(INVALID_REASON)

    def _wants_undo(self, last: Case, answers: Mapping[str, Reading]) -> bool:
        """Whether the person goes back to the last case before the round is closed.

        Who has skipped every case must say so once more: then nothing is used for training.
        """
        skipped = _skips_all(answers.values())
        prompt = f"\nThat was the last case. Enter: done, u: back to case {last.number}> "
        if skipped:
            self._say(f"\nYou skipped every case ({len(answers)}): nothing is used for training.")
            prompt = f"y: done all the same, u: back to case {last.number}> "
        while True:
            line = self._input_line(prompt)
            word = "q" if line is None else line.lower()
            if word in UNDO:
                return True
            if skipped and word in QUIT:
                raise RoundPaused("every case was skipped, and that this is meant was not said")
            if word in (("y", "yes") if skipped else ("", *QUIT)):
                self._means_skips = skipped
                return False
            expected = "type y or u" if skipped else "press Enter, or type u"
            self._say(_one_line(f"invalid answer '{line}': {expected}"))

    def _input_line(self, prompt: str) -> str | None:
        """The line typed, without control characters; None at the end of input."""
        while True:
            try:
                typed = self._ask(prompt)
            except EOFError:
                return None
            except RuntimeError:
                if sys.stdin is not None:
                    raise
                return None  # standard input was closed before the command began
            except UnicodeDecodeError:
                self._say("  the line contains invalid characters: type it again")
                continue
            return "".join(c if c.isprintable() else " " for c in typed).strip()


def _skips_all(answers: Iterable[Reading]) -> bool:
    return all(answer.verdict == "skip" for answer in answers)


def _answer_text(reading: Reading) -> str:
    if reading.misleading:
        return signed_squares(reading.squares, reading.misleading)
    return squares_as_text(reading.squares) if reading.squares else reading.verdict


def _panel(case: Case, answer: Reading | None) -> Picture:
    """The picture of a case, with the misleading squares of an answer that has some."""
    if answer is None or not answer.misleading:
        return case_panel(case)
    return case_panel(case, squares=answer.squares, misleading=answer.misleading)


def _one_line(text: str) -> str:
    return f"  {text}" if len(text) <= WIDTH - 2 else f"  {text[: WIDTH - 5]}..."
