"""`imil cache`: the decoded images that trainings keep."""

from __future__ import annotations

import typer

from imil.cli.exit_codes import errors_as_exit_codes
from imil.cli.options import Cache

cache = typer.Typer(name="cache", help="List or delete the decoded images.", no_args_is_help=True)


@cache.command("list")
def list_(cache: Cache = None) -> None:
    """List the files of decoded images: size, number, side, name.

    [bold]Example[/bold]

        imil cache list
    """
    with errors_as_exit_codes():
        from imil.data.cache_entries import cache_entries
        from imil.data.image_cache import cache_folder
        from imil.output_text import log_line

        folder = cache_folder(cache)
        entries = cache_entries(folder)
        total = sum(entry.bytes for entry in entries) / 1e6
        typer.echo(log_line(f"{folder}: {len(entries)} files, {total:,.0f} MB"))
        for entry in entries:
            images = "?" if entry.images is None else f"{entry.images}"
            size = "?" if entry.size is None else f"{entry.size}"
            line = f"{entry.bytes / 1e6:>10,.1f} MB  {images:>8} images  {size:>5} px"
            typer.echo(f"{line}  {entry.path.name}")


@cache.command()
def clear(cache: Cache = None) -> None:
    """Delete all decoded images; a training that needs some decodes them again.

    [bold]Example[/bold]

        imil cache clear
    """
    with errors_as_exit_codes():
        from imil.data.cache_entries import clear_cache
        from imil.data.image_cache import cache_folder
        from imil.output_text import log_line

        folder = cache_folder(cache)
        count = clear_cache(folder)
        typer.echo(log_line(f"Deleted {count} files of decoded images in {folder}."))
