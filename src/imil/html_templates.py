"""Jinja2 templates of the HTML pages: how all of them are read."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from imil.output_text import html_text


def html_templates(folder: Path) -> Environment:
    """The templates of a folder; a name that is missing is an error, and all text is escaped."""
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,  # names may be hostile
        undefined=StrictUndefined,
        finalize=html_text,
        trim_blocks=True,
        lstrip_blocks=True,
    )
