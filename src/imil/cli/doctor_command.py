"""`imil doctor`: what is installed, what this machine has, and what is missing."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from imil.cli.exit_codes import errors_as_exit_codes
from imil.cli.options import Cache


def doctor(
    cache: Cache = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what is installed, which device a run would take, and what is missing.

    Nothing is changed, and the exit code is 0 whatever is missing.

    [bold]Example[/bold]

        imil doctor
    """
    with errors_as_exit_codes():
        from imil.installation import report

        found = report(cache)
        if json:
            from json import dumps

            typer.echo(dumps(found, indent=2))
        else:
            _print(found)


def _print(found: dict[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    from imil.terminal_console import TerminalConsole

    console = TerminalConsole(highlight=False)
    console.print(f"imil {found['imil']} on Python {found['python']}, {found['machine']['system']}")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("extra", "for", "state", "packages"):
        table.add_column(title, no_wrap=title == "extra", overflow="fold")
    for feature in found["features"]:
        state = "[green]complete[/]" if feature["complete"] else "[yellow]incomplete[/]"
        table.add_row(
            feature["extra"] or "(none)", feature["purpose"], state, _packages(feature["packages"])
        )
    console.print(table)
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in (*_machine_lines(found["machine"]), *_program_lines(found["programs"])):
        facts.add_row(name, value)
    console.print(facts)
    for feature in found["features"]:
        if feature["install"]:
            console.print(f"\nFor {feature['purpose']}:")
            console.print(f"  {feature['install']}", soft_wrap=True)


def _packages(packages: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {one['installed']}"
        if one["fits"]
        else f"[yellow]{name}{one['required']} ({one['installed'] or 'missing'})[/]"
        for name, one in packages.items()
    )


def _machine_lines(machine: dict[str, Any]) -> list[tuple[str, str]]:
    device, memory, cache = machine["device"], machine["memory"], machine["cache"]
    return [
        ("device", device.get("why_not") or _device(device)),
        ("memory", memory.get("why_not") or _memory(memory)),
        ("cache", cache.get("why_not") or _cache(cache)),
    ]


def _device(device: dict[str, Any]) -> str:
    free = f", {_size(device['free_bytes'])} free" if device["free_bytes"] else ""
    name = f" ({device['name']}{free})" if device["name"] else ""
    bits = "bfloat16" if device["precision"] == "bf16" else "float32"
    return f"{device['device']}{name}, {bits}: what --device auto and --precision auto take"


def _memory(memory: dict[str, Any]) -> str:
    return f"{_size(memory['free_bytes'])} free of {_size(memory['granted_bytes'])}"


def _cache(cache: dict[str, Any]) -> str:
    free, used = _size(cache["free_bytes"]), _size(cache["used_bytes"])
    return f"{cache['folder']}: {used} of decoded images, {free} free on its disk"


def _program_lines(programs: dict[str, str | None]) -> list[tuple[str, str]]:
    from imil.installation import PROGRAMS

    return [
        (name, path or f"[yellow]not found[/]; for {PROGRAMS[name][1]}")
        for name, path in programs.items()
    ]


def _size(number: int | None) -> str:
    """Bytes as a person reads them."""
    if number is None:
        return "unknown"
    return f"{number / 1e9:,.1f} GB" if number >= 1e8 else f"{number / 1e6:,.1f} MB"
