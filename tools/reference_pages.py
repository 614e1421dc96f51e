"""Pages of the documentation site that come from the program: names, commands, examples.

Each function gives the path of a page in the site and its text. The public names are those of
docs/api.md, in its order; their text is their docstring, read by Sphinx. Commands and flags are
read from the program's own declarations.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from imil.cli.main import app

ROOT = Path(__file__).resolve().parents[1]


def python_pages() -> dict[str, str]:
    """A page per module of the API page."""
    pages = {}
    for section in (ROOT / "docs/api.md").read_text().split("\n## `")[1:]:
        module = section.partition("`")[0]
        rows = re.findall(r"^\| ((?:`[^`]*`(?:, )?)+) \| (.*) \|$", section, re.M)
        blocks = [
            _autodoc(module, name, text)
            for cell, text in rows
            for name in re.findall(r"`(\w+)(?:\([^)]*\))?`", cell)
        ]
        head = f"# `{module}`\n\n```{{eval-rst}}\n.. currentmodule:: {module}\n\n"
        pages[f"python/{module}.md"] = head + "\n\n".join(blocks) + "\n```\n"
    return pages


def _autodoc(module: str, name: str, row: str) -> str:
    """What Sphinx makes of a name: its docstring; of a value, what the API page says."""
    value = getattr(importlib.import_module(module), name)
    if isinstance(value, type):
        return f".. autoclass:: {module}.{name}\n   :members:"
    if callable(value):
        return f".. autofunction:: {module}.{name}"
    text = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", row)  # without links of Markdown
    return f".. py:data:: {module}.{name}\n\n   {text}"


def command_pages() -> dict[str, str]:
    """A page per command of `imil`; the commands of a group share its page."""
    group = get_command(app)
    context = group.context_class(group, info_name="imil")
    pages = {}
    for name in group.commands:
        _, command, _ = group.resolve_command(context, [name])
        pages[f"commands/{name}.md"] = "\n".join(_command(command, context, name))
    return pages


def _command(command: Any, parent: Any, name: str) -> Iterator[str]:
    """Markdown of a command, and of those in it."""
    context = command.context_class(command, info_name=name, parent=parent)
    depth = context.command_path.count(" ")
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"{'#' * depth} `{context.command_path}`\n"
    yield from _help(command)
    yield f"```text\n{context.command_path} {usage}\n```\n"
    shown = [one for one in command.get_params(context) if not getattr(one, "hidden", False)]
    panels: dict[str, list[Any]] = {}
    for one in shown:
        title = "Arguments" if one.param_type_name == "argument" else "Options"
        panels.setdefault(getattr(one, "rich_help_panel", None) or title, []).append(one)
    if not hasattr(command, "commands"):
        for title, parameters in panels.items():
            yield f"{'#' * (depth + 1)} {title}\n"
            for one in parameters:
                yield _parameter(one, context)
    for inner in getattr(command, "commands", {}).values():
        yield from _command(inner, context, inner.name or "")


def _help(command: Any) -> Iterator[str]:
    """The paragraphs of a command's help; what is indented is an example, and so are its lines."""
    text = re.sub(r"\[/?\w+\]", "", inspect.cleandoc(command.help or ""))
    examples: list[str] = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith((" ", "imil ")):
            examples.append(inspect.cleandoc(paragraph))
        elif paragraph not in ("Example", "Examples"):
            yield f"{_plain(paragraph)}\n"
    if examples:
        lines = "\n".join(examples)
        yield f"```text\n{lines}\n```\n"


def _parameter(parameter: Any, context: Any) -> str:
    """A definition: how it is written, and what it does."""
    names, told = parameter.get_help_record(context)
    told = re.sub(r"\s+", " ", told).strip() or "(no more is said about it)"
    return f"`{names}`\n: {_plain(told)}\n"


def _plain(text: str) -> str:
    """Text of the command line in Markdown, with nothing in it that Markdown would read."""
    return re.sub(r"([*_<\[\\])", r"\\\1", text)


def example_pages() -> dict[str, str]:
    """A page per complete example, with its source."""
    pages = {}
    for path in sorted((ROOT / "examples").glob("*.py")):
        text = path.read_text()
        heading = re.search(r"^# # (.+)", text, re.M)  # of a notebook's script
        about = ast.get_docstring(ast.parse(text)) or (heading and heading[1]) or path.name
        title = about.split("\n")[0].rstrip(".")
        body = f"`examples/{path.name}`\n\n```python\n{text}```\n"
        pages[f"examples/{path.stem}.md"] = f"# {title}\n\n{body}"
    return pages
