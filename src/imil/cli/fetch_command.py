"""`imil fetch`: images from a DICOMweb server, with labels."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from imil.cli.exit_codes import errors_as_exit_codes
from imil.cli.options import Group
from imil.cli.server_images import Codes, fetch_images
from imil.output_text import log_line


def fetch(
    server: Annotated[
        str,
        typer.Argument(help="dicomweb+https://HOST/PATH of a DICOMweb server.", show_default=False),
    ],
    labels: Annotated[
        Path,
        typer.Argument(
            help="A table with a label and SOPInstanceUID, StudyInstanceUID, AccessionNumber or "
            "PatientID; or reports in FHIR or DICOM, with --codes.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="A new or empty folder.", show_default=False)
    ],
    label_column: Annotated[str, typer.Option(help="Column of labels.")] = "label",
    codes: Codes = None,
    group: Group = False,
) -> None:
    """Fetch DICOM images from a server, with the labels of a table.

    OUT gets the files and a manifest.csv, which `imil train` takes. They are as confidential as
    on the server: `imil deidentify` removes what identifies patients. After an interruption the
    same command goes on.

    [bold]Example[/bold]

        imil fetch dicomweb+https://pacs.example.org/dicom-web labels.csv films/
    """
    with errors_as_exit_codes():
        manifest = fetch_images(server, labels, out, label_column=label_column, codes=codes)
        typer.echo(log_line(f"Train with imil train {shlex.quote(str(manifest))}"))
