"""The terminal as Rich writes to it, with what others wrote made visible."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from imil.output_text import terminal_text


class TerminalConsole(Console):
    """A console of Rich that passes no escape sequence on from the text that it is given."""

    def render_str(self, text: str, **options: Any) -> Text:
        """The text with styles; what is made visible counts in the width of a column."""
        return super().render_str(terminal_text(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """What is printed, from whatever object; Rich's own control codes are marked as such."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=terminal_text(segment.text))
