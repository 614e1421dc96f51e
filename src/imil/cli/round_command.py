"""`imil round`: rounds apart from a training, such as a model's disagreements with a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imil.cli.exit_codes import errors_as_exit_codes
from imil.cli.options import Cache, Group
from imil.cli.server_images import Codes, Images, fetch_images
from imil.output_text import log_line

round_ = typer.Typer(
    name="round",
    help="Open a round of a trained model, apart from a training.",
    no_args_is_help=True,
)


@round_.callback()
def about() -> None:
    """Open a round of a trained model, apart from a training."""


@round_.command("open")
def open_(
    model: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="The folder of a finished run.", show_default=False),
    ],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A folder of images, a table of them, or dicomweb+https://HOST/PATH.",
            show_default=False,
        ),
    ],
    discrepancies: Annotated[
        Path,
        typer.Option(
            metavar="REPORT",
            help="Final labels: a table, by image or by what names it in DICOM; or reports in FHIR "
            "or DICOM, with --codes.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the round; must be new.", show_default="RUN-discrepancies"),
    ] = None,
    num_outliers: Annotated[int, typer.Option(min=1, help="The most cases.")] = 20,
    grid_size: Annotated[
        str | None, typer.Option(help="Squares: 4 for 4×4, or 4x6.", show_default="as in the run")
    ] = None,
    reader: Annotated[
        str,
        typer.Option(help="Who reads: web (later, with imil serve), or as for imil train."),
    ] = "web",
    reader_name: Annotated[str, typer.Option(help="Name stored with the readings.")] = "reader",
    seed: Annotated[int, typer.Option(min=0, help="Of a simulated reader.")] = 0,
    image_column: Annotated[str, typer.Option(help="Column of paths in DATA.")] = "image",
    label_column: Annotated[str, typer.Option(help="Column of labels in the report.")] = "label",
    codes: Codes = None,
    images: Images = None,
    device: Annotated[str, typer.Option(help="Where to predict: auto, cpu, cuda or mps.")] = "auto",
    cache: Cache = None,
    group: Group = False,
) -> None:
    """Open a round of the images for which a trained model and a report differ.

    The cases are those in which the model was surest. They are read as in any round, and
    `imil train --continue` goes on from the model with what was read.

    [bold]Examples[/bold]

        imil round open runs/films-resnet18 worklist/ --discrepancies report.csv

        imil serve runs/films-resnet18-discrepancies

        imil train --continue runs/films-resnet18-discrepancies
    """
    with errors_as_exit_codes():
        from imil.data.dicomweb import is_dicomweb
        from imil.data.reports.read import read_report
        from imil.errors import SettingsError
        from imil.readers.spec import ReaderSpec
        from imil.training.discrepancies import Request, open_discrepancies

        folder = out or model.with_name(f"{model.resolve().name}-discrepancies")
        if is_dicomweb(data):
            to = images or folder.with_name(f"{folder.resolve().name}-images")
            fetched = fetch_images(data, discrepancies, to, label_column=label_column, codes=codes)
            # its rows have the report's labels
            data, discrepancies, codes = str(fetched), fetched, None
            image_column, label_column = "image", "label"
        elif images is not None:
            raise SettingsError(
                f"--images is {images}, and {data} is not on a server: leave it out"
            )
        report = read_report(discrepancies, label_column=label_column, codes=codes)
        request = Request(
            *(model, Path(data), report, folder, num_outliers, grid_size),
            *(ReaderSpec.parse(reader), reader_name, seed, image_column, device, cache),
        )
        opened = open_discrepancies(request, lambda line: typer.echo(log_line(line)))
        if opened is None:
            typer.echo("There is nothing to read.")
        elif opened.state == "open":
            typer.echo(
                log_line(f"{opened.cases} cases are in {folder}: read them with imil serve.")
            )
        else:
            typer.echo(
                log_line(
                    f"{opened.cases} cases are read, in {folder}: go on with imil train "
                    f"--continue {folder}"
                )
            )
