"""Images of a DICOMweb server, fetched for a command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imil.errors import SettingsError
from imil.output_text import log_line

Codes = Annotated[
    Path | None,
    typer.Option(
        help="A table of code and label, for reports in FHIR or DICOM.", show_default=False
    ),
]
Images = Annotated[
    Path | None,
    typer.Option(
        help="Of images on a DICOMweb server: the folder that they are fetched into.",
        show_default="beside the other output",
    ),
]


def fetch_images(
    server: str, labels: Path, folder: Path, *, label_column: str, codes: Path | None
) -> Path:
    """Fetch the images that a report names into a folder; returns their table.

    Raises: SettingsError, DataError: as `imil.data.dicomweb.fetch`.
    """
    # here: the command's help needs none of it
    from imil.count_bar import CountBar
    from imil.data.dicomweb import fetch, server_url
    from imil.data.reports.read import read_report
    from imil.terminal_console import TerminalConsole

    server_url(server)  # first: an address that cannot be used is said at once
    report = read_report(labels, label_column=label_column, codes=codes, on_server=True)
    for note in report.notes:
        typer.echo(log_line(note))
    with CountBar(TerminalConsole(stderr=True), "Fetching", transient=True) as bar:
        fetched = fetch(server, report, folder, progress=bar.update)
    if fetched.left_out:
        typer.echo(log_line(f"{fetched.left_out} reports have no image on the server."))
    typer.echo(log_line(f"{fetched.images} images are in {folder}."))
    return fetched.manifest


def check_labels(data: str, labels: Path | None, codes: Path | None, images: Path | None) -> None:
    """Raises: SettingsError: images on a server have no labels, or others have these flags."""
    from imil.data.dicomweb import is_dicomweb, server_url

    if is_dicomweb(data):
        server_url(data)
        if labels is None:
            raise SettingsError(
                f"{data} has images without labels: give --labels, a table that names them"
            )
        return
    for flag, value in (("--labels", labels), ("--codes", codes), ("--images", images)):
        if value is not None:
            raise SettingsError(
                f"{flag} is {value}, and DATA is not dicomweb+https://HOST/PATH: leave it out"
            )


def fetched_flags(
    server: str, labels: Path, folder: Path, label_column: str, codes: Path | None
) -> dict[str, str]:
    """The settings that `imil train` has with the images of a server, fetched into the folder."""
    manifest = fetch_images(server, labels, folder, label_column=label_column, codes=codes)
    return {"data": str(manifest), "image_column": "image", "label_column": "label"}
