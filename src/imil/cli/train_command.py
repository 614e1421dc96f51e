"""`imil train`: a table of images in, a trained model and its rounds out."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from imil.cli.exit_codes import errors_as_exit_codes
from imil.cli.options import cache_option, group_option
from imil.cli.server_images import Codes, Images, check_labels, fetched_flags
from imil.preemption import signals_stop_training

Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder of this run; must be new.",
        show_default="runs/DATA-MODEL",
        rich_help_panel="Output",
    ),
]
Cache = Annotated[Path | None, cache_option(panel="Output")]
Group = Annotated[bool, group_option(panel="Output")]
Continue = Annotated[
    Path | None,
    typer.Option(
        "--continue",
        metavar="ROUND",
        help="A folder of `imil round open`: go on from its model with what was read there; DATA "
        "and the model's settings come from it.",
        show_default=False,
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="Where DATA is dicomweb+https://HOST/PATH: the labels, as for imil fetch.",
        show_default=False,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(help="A TOML file with the same names as these flags; flags win."),
]


def train(
    context: typer.Context,
    config: Config = None,
    continue_: Continue = None,
    labels: Labels = None,
    codes: Codes = None,
    images: Images = None,
    out: Out = None,
    cache: Cache = None,
    group: Group = False,
    **settings: Any,
) -> None:
    """Train a model; after --imil-epoch epochs, a reader looks at its most confident mistakes.

    In these images everything but the squares that the reader selected is blacked out, and
    training continues. Defaults are the paper's, where it gives any. Stop whenever you like:
    `imil resume RUN` continues.

    [bold]Example[/bold]

        imil train films.csv --model resnet18 --image-size 112 --reader console
    """
    from imil.cli.settings_flags import given_flags  # here: it needs pydantic

    with errors_as_exit_codes():
        from imil.training.ranks.placement import place
        from imil.training.run_setup import (
            config_folders,
            given_data,
            resolve_settings,
            set_up_run,
        )

        folders = config_folders(config)
        flags = given_flags(context, settings)
        if continue_ is not None:
            from imil.errors import SettingsError
            from imil.training.continued import continued_flags

            for name, given in (("DATA", flags.get("data")), ("--config", config)):
                if given:
                    raise SettingsError(
                        f"{name} is {given}, and --continue takes the images and settings of its "
                        "round's model: leave one of them out"
                    )
            flags = continued_flags(continue_) | flags
        data = given_data(flags, config)
        check_labels(data, labels, codes, images)
        numbers, placement = place(resolve_settings(flags, config), os.environ)
        if placement.rank:
            from imil.training.ranks.follower import follow

            follow(placement)
            return
        from imil.training.launch import new_run, telling_others

        flags |= {"devices": numbers.devices, "nodes": numbers.nodes}
        with telling_others(placement):
            if labels is not None:
                to = images or Path("runs") / f"{labels.stem}-images"
                flags |= fetched_flags(data, labels, to, numbers.label_column, codes)
            resolved, folder = set_up_run(flags, config, out or folders.get("out"))
        hint = f"imil resume {shlex.quote(str(folder.path))}"
        with errors_as_exit_codes(hint), signals_stop_training():
            new_run(
                resolved,
                folder,
                cache or folders.get("cache"),
                placement=placement,
                continues=continue_,
            )


def train_without_settings() -> None:
    """Stand for `train` in the list of commands, where its flags are not needed."""


train_without_settings.__doc__ = train.__doc__
