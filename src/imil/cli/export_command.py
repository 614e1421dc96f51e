"""`imil export`: the readings of a run, or its corrected images, for other tools."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from imil.cli.exit_codes import errors_as_exit_codes
from imil.cli.options import Cache

Format = Literal[
    "csv",
    "json",
    "parquet",
    "coco",
    "label-studio",
    "fiftyone",
    "masks-png",
    "masks-nifti",
    "dicom-seg",
    "dicom-sr",
    "images",
]


def export(
    source: Annotated[
        str,
        typer.Argument(
            help="The run's folder, its store, or the address of a database.", show_default=False
        ),
    ],
    as_: Annotated[Format, typer.Option("--as", help="What to write, see above.")] = "csv",
    out: Annotated[
        Path | None,
        typer.Option(help="File or folder to write.", show_default="the standard output, for text"),
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="Which run of the store; the newest if not given.")
    ] = None,
    suspected: Annotated[
        bool,
        typer.Option(
            "--suspects",
            help="csv, json: the images whose label looks wrong to a reader, instead.",
        ),
    ] = False,
    image_prefix: Annotated[
        str | None,
        typer.Option(
            help="label-studio: put before each image's name to give its address.",
            show_default="/data/local-files/?d=",
        ),
    ] = None,
    full_size: Annotated[
        bool,
        typer.Option("--full-size", help="images: at their own size and depth, not as trained on."),
    ] = False,
    to: Annotated[
        str | None,
        typer.Option(help="dicom-seg, dicom-sr: store on this server, dicomweb+https://HOST/PATH."),
    ] = None,
    cache: Cache = None,
) -> None:
    """Write every reading of a run for other tools.

    csv, json and parquet are tables of all readings. A changed answer has a row of its own; the
    column `final` marks the one that counts. The other formats have each reader's newest answer:
    coco, label-studio and fiftyone as boxes on the images, masks-png and masks-nifti as masks of
    the images' size, dicom-seg and dicom-sr as DICOM objects that refer to the images. images is
    the training set as training uses it: corrected images are black outside their squares.

    All but fiftyone, images and the two of DICOM can be given to `imil train --reader replay:FILE`.

    [bold]Examples[/bold]

        imil export runs/films-resnet18 --as coco --out readings.json

        imil export runs/films-resnet18 --suspects --out suspects.csv
    """
    with errors_as_exit_codes():
        from imil.cli.export_formats import Request, write_export

        print(
            write_export(
                Request(
                    source,
                    as_,
                    out,
                    run,
                    image_prefix,
                    suspected=suspected,
                    full_size=full_size,
                    cache=cache,
                    to=to,
                )
            ),
            file=sys.stderr,
            end="",
        )
