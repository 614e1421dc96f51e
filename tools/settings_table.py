"""Writes the table of all settings in `docs/training.md` from `imil.settings`.

python tools/settings_table.py
"""

from __future__ import annotations

from pathlib import Path

from pydantic.fields import FieldInfo

from imil.cli.settings_flags import default_text
from imil.settings import TrainSettings, flag_name

PAGE = Path(__file__).parents[1] / "docs/training.md"
HEAD = "| setting | default | what |\n|---|---|---|\n"
END = "\n\n"  # an empty line ends a table


def main() -> None:
    """Write the table into the page."""
    before, rest = PAGE.read_text().split(HEAD)
    after = rest.partition(END)[2]
    PAGE.write_text((before + settings_table() + "\n" + after).rstrip("\n") + "\n")


def settings_table() -> str:
    """A row per setting: its name, its default, its help."""
    rows = [
        f"| `{flag_name(name)}` | {_default(field)} | {field.description} |\n"
        for name, field in TrainSettings.model_fields.items()
    ]
    return HEAD + "".join(rows)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "(required)"
    text = default_text(field)
    return f"`{text.lower() if isinstance(field.default, bool) else text}`"


if __name__ == "__main__":
    main()
