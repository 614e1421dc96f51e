"""`imil predict`: the classes of new images, by a trained network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imil.cli.exit_codes import errors_as_exit_codes
from imil.output_text import log_line, terminal_text


def predict(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="The folder of a finished run, or its model.safetensors.",
            show_default=False,
        ),
    ],
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Images, folders of images, or tables with a column of paths.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="A CSV file to write.", show_default="standard output"),
    ] = None,
    image_column: Annotated[str, typer.Option(help="Column of paths in a table.")] = "image",
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out unreadable images, and list them.")
    ] = False,
    device: Annotated[
        str, typer.Option(help="Where to predict: auto (a GPU if there is one), cpu, cuda or mps.")
    ] = "auto",
) -> None:
    """Predict the classes of new images.

    One line per image: its path, the predicted class, the confidence and the probability of each
    class. The images are decoded as in training, and only the squares that the network was trained
    to see are used.

    [bold]Example[/bold]

        imil predict runs/films-resnet18 new-films/ --out predictions.csv
    """
    with errors_as_exit_codes():
        import sys
        from io import StringIO

        from imil.atomic_files import atomic_write
        from imil.run_folder import RunFolder
        from imil.training.hardware.device import training_device
        from imil.training.predict_images import find_inputs, predict_images, write_csv
        from imil.training.trained_model import read_model

        where = training_device(device)
        trained = read_model(RunFolder(model).weights if model.is_dir() else model)
        files = find_inputs(images, image_column)
        predictions = predict_images(trained, files, device=where, skip_bad=skip_bad)
        for path, reason in predictions.bad:
            print(log_line(f"Left out: {path}: {reason}"), file=sys.stderr)
        names = trained.description.class_names
        if out is None:
            text = StringIO()
            write_csv(text, predictions, names)
            shown = text.getvalue()
            sys.stdout.write(terminal_text(shown) if sys.stdout.isatty() else shown)
            return
        with atomic_write(out) as half, half.open("w", encoding="utf-8", newline="") as file:
            write_csv(file, predictions, names)
