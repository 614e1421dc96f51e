"""`imil train`: a table of images in, a trained model and its rounds out."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from imil.cli.exit_codes import ending
from imil.cli.options import Cache


def train(
    data: Annotated[
        str | None,
        typer.Argument(
            help="A table of images (CSV or Parquet), a folder with one folder per class, or the "
            "Shenzhen or Montgomery folder as it is distributed.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of this run; must be new.", show_default="runs/DATA-MODEL"),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="A TOML file with the same names as these flags; flags win."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Any model that timm knows.", show_default="resnet50")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Weights to start from: none (random), imagenet (needs a network), or a file.",
            show_default="none",
        ),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Pixels a side that the model sees.", show_default="224")
    ] = None,
    channels: Annotated[
        int | None, typer.Option(help="1 for grey images, 3 for colour.", show_default="1")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training set.", show_default="100")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images a step.", show_default="64")
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option(help="sgd, adam or adamw.", show_default="sgd")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.", show_default="0.001")] = None,
    momentum: Annotated[
        float | None, typer.Option(help="Momentum of SGD.", show_default="0")
    ] = None,
    imil_epoch: Annotated[
        str | None,
        typer.Option(
            help="Hold a round after this many epochs; several as 50,70,90.", show_default="70"
        ),
    ] = None,
    num_outliers: Annotated[
        int | None,
        typer.Option(help="Mistakes put to the reader in a round.", show_default="20"),
    ] = None,
    grid_size: Annotated[
        str | None,
        typer.Option(help="Squares a side, or rows x columns as 4x6.", show_default="4"),
    ] = None,
    reader: Annotated[
        str | None,
        typer.Option(
            help="Who answers: console (you, here), web (a page; its link is printed), simulated "
            "(from the mask columns), random or inverted (controls), replay:FILE (CSV, JSON or "
            "another run's store), none.",
            show_default="console",
        ),
    ] = None,
    reader_name: Annotated[
        str | None,
        typer.Option(
            help="Name stored with readings at the console and of played readers; of a replay with "
            "several readers, whose are used.",
            show_default="reader; a played one's kind",
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="In the reading room: paper, or blind-first (the model's opinion after your own).",
            show_default="paper",
        ),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            help="Random changes of each image: flip, crop or flip,crop.", show_default="none"
        ),
    ] = None,
    mix: Annotated[
        str | None,
        typer.Option(help="none, mixup, cutmix or cutout.", show_default="none"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Every random choice comes from it.", show_default="0")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="auto (bfloat16 where the hardware has it), 32 or bf16.", show_default="auto"
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="Where to train: auto (a GPU if there is one), cpu, cuda or mps.",
            show_default="auto",
        ),
    ] = None,
    test_share: Annotated[
        float | None,
        typer.Option(help="Share held back for testing.", show_default="0.2"),
    ] = None,
    val_share: Annotated[
        float | None, typer.Option(help="Share held back for validation.", show_default="0")
    ] = None,
    low_memory: Annotated[
        bool | None,
        typer.Option(
            "--low-memory/--no-low-memory",
            help="Give memory back after each step (a third less of it on a CPU), and hold no "
            "images on a GPU; slower.",
        ),
    ] = None,
    skip_bad: Annotated[
        bool | None,
        typer.Option(
            "--skip-bad/--no-skip-bad", help="Go on without unreadable images, and list them."
        ),
    ] = None,
    image_column: Annotated[
        str | None, typer.Option(help="Column of image paths.", show_default="image")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Column of labels.", show_default="label")
    ] = None,
    split_column: Annotated[
        str | None,
        typer.Option(help="Column of train, val, test, if there is one.", show_default="split"),
    ] = None,
    patient_column: Annotated[
        str | None,
        typer.Option(
            help="Column of patients, if there is one: none is in two splits.",
            show_default="patient",
        ),
    ] = None,
    class_name_column: Annotated[
        str | None,
        typer.Option(help="Column of class names, if there is one.", show_default="class_name"),
    ] = None,
    mask_columns: Annotated[
        str | None,
        typer.Option(
            help="Columns of mask files for the simulated reader, best first.",
            show_default="lesion_mask,lung_mask",
        ),
    ] = None,
    cache: Cache = None,
) -> None:
    """Train a model; after --imil-epoch epochs, a reader looks at its most confident mistakes.

    In these images everything but the squares that the reader selected goes black, and training
    goes on. Defaults are the paper's, where it gives any. Stop whenever you like: `imil resume RUN`
    goes on.

    [bold]Example[/bold]

        imil train films.csv --model resnet18 --image-size 112 --reader console
    """
    flags: dict[str, Any] = {
        name.rstrip("_"): value
        for name, value in locals().items()
        if name not in ("out", "config", "cache") and value is not None
    }
    with ending():
        # here: `imil --help` needs no framework
        from imil.training.launch import new_run, places, settle

        named = places(config)
        settings, folder = settle(flags, config, out or named.get("out"))
        with ending(f"imil resume {shlex.quote(str(folder.path))}"):
            new_run(settings, folder, cache or named.get("cache"))
