"""Text of others at the borders where it leaves the program: one function for each.

Keys, class names, reasons and addresses may hold whatever a file or a stranger put there: escape
sequences of terminals, formulas of spreadsheets, markup, marks that turn the direction of writing.
What cannot be seen is written out, as in `\\x1b`.
"""

from __future__ import annotations

import csv
import html
import logging
import re
from collections.abc import Iterable
from typing import Any, TextIO

# controls, format characters such as marks of direction, surrogates and breaks of lines; but not
# the joiners without width (U+200C, U+200D), without which Persian and Hindi are not written
UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b"
    "\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0001\U000e0020-\U000e007f]"
)
FORMULA = re.compile(r"'*[=+\-@\t\r\n|%]")  # what spreadsheets calculate; OWASP, "CSV injection"
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_"},
    "−": "$-$",
    "–": "--",
    "<": "$<$",
    ">": "$>$",
}


def terminal_text(text: str) -> str:
    r"""Text for a terminal; line breaks stay.

    >>> terminal_text("a\x1b[2Jb\u202ec")
    'a\\x1b[2Jb\\u202ec'
    """
    return _visible(text, keep="\n\t")


def log_line(text: str) -> str:
    r"""Text for a log, or for a message of one line.

    >>> log_line("a\nINFO all is well")
    'a\\nINFO all is well'
    """
    return _visible(text, keep="")


def csv_cell(value: Any) -> Any:
    """The cell of a table that a spreadsheet may open; `csv_value` reads it back.

    Numbers stay as they are; text that a spreadsheet would calculate gets an apostrophe before it.

    >>> [csv_cell("=1+1"), csv_cell(-2.5), csv_cell("-2.5"), csv_cell("'@x")]
    ["'=1+1", -2.5, '-2.5', "''@x"]
    """
    is_formula = isinstance(value, str) and FORMULA.match(value) and not NUMBER.fullmatch(value)
    return f"'{value}" if is_formula else value


def csv_value(cell: str) -> str:
    """The text that `csv_cell` wrote.

    >>> csv_value("'=1+1"), csv_value("''@x"), csv_value("'tis")
    ('=1+1', "'@x", "'tis")
    """
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def write_csv(file: TextIO, rows: Iterable[Iterable[Any]]) -> None:
    """Write rows of cells that a spreadsheet does not calculate."""
    plain = csv.writer(file, lineterminator="\n")
    quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        cells = [csv_cell(cell) for cell in row]
        # Python before 3.13 does not quote a lone carriage return, which ends a row
        lines = quoted if any("\r" in str(cell) for cell in cells) else plain
        lines.writerow(cells)


def html_text(value: Any) -> Any:
    """A value in an HTML page, before it is escaped; for `finalize` of Jinja2.

    Text that is marked as HTML, and what is not text, stays as it is.
    """
    is_plain = isinstance(value, str) and not hasattr(value, "__html__")
    return _visible(value, keep="\n\t") if is_plain else value


def escaped_html(text: str) -> str:
    """Text as HTML, where no template writes it."""
    return html.escape(_visible(text, keep="\n\t"))


def latex_text(text: str) -> str:
    r"""Text for LaTeX, on one line.

    >>> latex_text("50 % of R&D_1")
    '50 \\% of R\\&D\\_1'
    """
    one_line = _visible(" ".join(text.split()), keep="")
    return "".join(LATEX_SPECIAL.get(character, character) for character in one_line)


class LogFormatter(logging.Formatter):
    """Writes each message on one line; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """The message with its time."""
        record.message = log_line(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the library's name
        """The traceback."""
        return terminal_text(super().formatException(ei))


def _visible(text: str, *, keep: str) -> str:
    """The text with what cannot be seen written out, but for the characters of `keep`."""
    if text.isprintable():
        return text

    def written_out(found: re.Match[str]) -> str:
        character = found[0]
        if character in keep:
            return character
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")

    return UNSEEN.sub(written_out, text)
