"""The paper's reader: a person at a terminal, with one picture per case."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from imil.cases import Case, Reading, Verdict
from imil.errors import DataError, SquareError
from imil.images.render import case_panel, percent, squares_as_text
from imil.readers.picture_viewer import open_picture

Step = Literal["next", "undo", "quit"]

WIDTH = 79  # of a terminal of 80 columns
VERDICTS: dict[str, Verdict] = {
    "s": "skip",
    "skip": "skip",
    "w": "wrong label",
    "wrong label": "wrong label",
    "n": "not assessable",
    "not assessable": "not assessable",
}
UNDO, QUIT, ASKS_HELP = ("u", "undo"), ("q", "quit"), ("?", "h", "help")
HELP = """\
  Which squares should the model look at to get this case right? All others
  will be black when it trains on.
    2 3 6 7   these squares        5-8   a range        all   the whole image
    s         skip: the image stays as it is
    w         wrong label: the ground truth is not true
    n         not assessable: nobody could read this image
    u         undo: back to the previous case, to answer it again
    q         save and stop; what you answered is stored, the rest waits
    ?         this help
  After the squares you may give your reason; there, u goes back to the squares."""
FORM = """\
  Why? One sentence, Enter for none. The usual form: "The model was focused on
  ... so I switched the focus towards ..."\
"""
NO_REASON = "  a reason is a sentence: write one, or Enter for none (u: back to the squares)"


def _show_text(text: str) -> None:
    """Write a line; letters that the terminal does not have become question marks."""
    letters = sys.stdout.encoding or "ascii"
    sys.stdout.write(text.encode(letters, "replace").decode(letters) + "\n")
    sys.stdout.flush()


class Console:
    """A person at a terminal, who sees a picture and types the squares and a reason.

    A reading is yielded as soon as it is complete. `u` goes back as many cases as one likes,
    and a new answer is a new reading. Ctrl-C is not caught: what was answered is stored by then.

    Args:
        reader: the person's name.
        folder: takes one PNG per case, such as `epoch-070-case-007.png`; made if
            missing.
        ask: puts a question and returns the answer; EOFError means `q`.
        say: shows a text.
        show: opens a picture; None: it is only named.
        clock: seconds, for the time that a case takes.
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

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """Readings as they are given; fewer than cases if the person stops."""
        if cases:
            self._say(
                f"\n{len(cases)} {'case' if len(cases) == 1 else 'cases'} to read. "
                "Type ? for help, q to stop: every answer is kept at once."
            )
        given: dict[str, Reading] = {}
        at = 0
        while at < len(cases):
            case = cases[at]
            self._present(case, max(c.number for c in cases), given.get(case.id))
            reading, step = self._answer(case, given.get(case.id), first=at == 0)
            if reading:
                given[case.id] = reading
                yield reading
            if step == "quit":
                self._say(f"\nStopped. {len(given)} of {len(cases)} answered and stored.")
                return
            at += -1 if step == "undo" else 1
            if at == len(cases) and self._takes_back(case):
                at -= 1

    def _present(self, case: Case, total: int, given: Reading | None) -> None:
        """Draw, write and open the picture; say what the case is."""
        # the epoch, so that a later round does not overwrite an earlier one's pictures
        path = self.folder / f"epoch-{case.epoch:03d}-case-{case.number:03d}.png"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            case_panel(case).save(path, compress_level=1)  # thrice as fast: a person waits
        except OSError as error:
            raise DataError(
                f"the picture {path} cannot be written ({error.strerror or error}): "
                "free some space or give another folder; every answer so far is stored"
            ) from error
        self._say(f"\ncase {case.number} of {total}")
        self._fact("predicted", f"{case.predicted_name} ({percent(case.confidence)})")
        self._fact("ground truth", case.true_name)
        if case.earlier:
            self._fact("earlier round", squares_as_text(case.earlier))
        if given:
            self._fact("your answer", f"{_in_words(given)} (Enter keeps it)")
        self._say(f"  {'picture':<14} {path}")  # never broken: a path can be clicked
        if self._show:
            self._show(path)

    def _fact(self, name: str, value: str) -> None:
        self._say(textwrap.fill(f"  {name:<14} {value}", WIDTH, subsequent_indent=" " * 17))

    def _answer(
        self, case: Case, given: Reading | None, *, first: bool
    ) -> tuple[Reading | None, Step]:
        """The reading, if there is one, and where to go from here."""
        began = self._clock()

        def reading(verdict: Verdict, squares: tuple[int, ...] = (), reason: str = "") -> Reading:
            took = self._clock() - began
            return Reading(case.id, self.reader, verdict, squares, reason, took).checked(case.grid)

        while True:
            said = self._line(f"  squares 1-{case.grid.squares}> ")
            word = "q" if said is None else " ".join(said.lower().split())
            if word in QUIT:
                return None, "quit"
            if word in UNDO and not first:
                return None, "undo"
            if word in VERDICTS:
                return reading(VERDICTS[word]), "next"
            if not word and given:
                return None, "next"
            squares = self._squares(case, word)
            if squares:
                reason, step = self._reason()
                if step != "undo":  # there it goes back to the squares
                    return reading("focus", squares, reason), step

    def _squares(self, case: Case, word: str) -> tuple[int, ...]:
        """The squares that are meant; none, after help or one line, if the input is another."""
        try:
            squares = () if word in (*ASKS_HELP, *UNDO) else case.grid.read(word)
        except SquareError as error:
            self._say(_one_line(str(error)))
            return ()
        if word in ASKS_HELP:
            self._say(HELP)
        elif word in UNDO:
            self._say("  this is the first case here: there is none before it to go back to")
        elif not squares:
            self._say("  no square given: type squares such as 2 3 6 7, s to skip, ? for help")
        return squares

    def _reason(self) -> tuple[str, Step]:
        """The reader's sentence, or nothing, and where to go from here."""
        self._say(FORM)
        while True:
            said = self._line("  because> ")
            word = "q" if said is None else said.lower()
            if word in UNDO:
                return "", "undo"
            if said is None or word in QUIT:
                return "", "quit"
            if len(word) != 1 and word != "help":
                return said, "next"
            self._say(NO_REASON)

    def _takes_back(self, last: Case) -> bool:
        """Whether the person goes back to the last case before the round is closed."""
        while True:
            said = self._line(f"\nThat was the last case. Enter: done, u: back to {last.number}> ")
            if not said or said.lower() in QUIT:
                return False
            if said.lower() in UNDO:
                return True
            self._say(_one_line(f"'{said}' is neither Enter nor u"))

    def _line(self, prompt: str) -> str | None:
        """What was typed, without what cannot be shown or stored; None at the end of input."""
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
                self._say("  that line holds bytes that are no text: type it again")
                continue
            return "".join(c if c.isprintable() else " " for c in typed).strip()


def _in_words(reading: Reading) -> str:
    return squares_as_text(reading.squares) if reading.squares else reading.verdict


def _one_line(text: str) -> str:
    return f"  {text}" if len(text) <= WIDTH - 2 else f"  {text[: WIDTH - 5]}..."
