"""`imil deidentify`: DICOM files without what identifies a patient."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imil.cli.exit_codes import errors_as_exit_codes
from imil.output_text import log_line


def deidentify(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="A folder of DICOM files, or a table of some with labels.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="A new or empty folder.", show_default=False)
    ],
    remove: Annotated[
        list[str] | None,
        typer.Option(help="Keyword of a further element to remove; may be given several times."),
    ] = None,
    keep_burned_in: Annotated[
        bool,
        typer.Option(
            "--keep-burned-in",
            help="Write files too that say or seem to have text in their pixels.",
        ),
    ] = False,
    key: Annotated[
        Path | None,
        typer.Option(
            help="A CSV file to write, with the source of each file: keep it apart from OUT.",
            show_default="none is written",
        ),
    ] = None,
) -> None:
    """Write DICOM images without what identifies a patient.

    Headers are cleaned by the basic profile of DICOM PS3.15, and searched afterwards for what the
    original said of the patient. Files get new names and UIDs, patients pseudonyms. Of a table,
    OUT has a manifest.csv with the labels, which `imil train` takes. Files that are not written are
    listed, and the exit code is then 2. Pixels stay as they are.

    [bold]Example[/bold]

        imil deidentify labels.csv shared-films/
    """
    with errors_as_exit_codes():
        from imil.data.deidentify_data import deidentify_data, write_key
        from imil.errors import DataError

        if key is not None and key.exists():
            raise DataError(f"--key {key} exists already: give a new file")
        result = deidentify_data(source, out, remove=remove or (), keep_burned_in=keep_burned_in)
        if key is not None:
            write_key(key, result)
        for reason in result.left_out.values():
            typer.echo(log_line(f"Left out: {reason}"), err=True)
        typer.echo(log_line(f"{len(result.written)} files written to {out}."))
        if result.left_out:
            raise DataError(
                f"{len(result.left_out)} of {len(result.left_out) + len(result.written)} files "
                "were left out, for the reasons above: remove what they ask for, and try again"
            )
