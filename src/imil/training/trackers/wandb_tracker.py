"""A run in Weights & Biases, without a network unless it is asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from imil.output_text import escaped_html
from imil.run_folder import RunFolder

PROJECT = "imil"
MODE = "WANDB_MODE"  # wandb's own variable
EPOCH = "epoch"  # the axis of every number


class WandbTracker:
    """A run of the project `imil`, in the folder `wandb` of the run, for `wandb sync`.

    It is made to be sent, so it is never local.

    Args:
        folder: of the run.
        settings: of the training.
        run: what it was called before; empty: a new one.
    """

    local = False

    def __init__(self, folder: RunFolder, settings: Mapping[str, str], run: str) -> None:
        import wandb

        self._wandb = wandb
        self._run = wandb.init(
            project=PROJECT,
            name=folder.name,
            id=run or None,
            resume="allow" if run else None,
            dir=str(folder.path),
            config=dict(settings),
            mode=os.environ.get(MODE, "offline"),
            reinit="create_new",  # a run of the user's stays open
            # neither what is printed, which has keys of images, nor code, nor names of machines
            settings=wandb.Settings(
                console="off", disable_code=True, disable_git=True, x_disable_meta=True, silent=True
            ),
        )
        self._run.define_metric("*", step_metric=EPOCH)
        self.id = str(self._run.id)

    def number(self, name: str, value: float, epoch: int) -> None:
        """A number after so many epochs."""
        self._run.log({name: value, EPOCH: epoch})

    def table(self, name: str, rows: Sequence[Sequence[str]], epoch: int) -> None:
        """A table as HTML: a `wandb.Table` would be copied into the user's home folder too."""
        lines = ("".join(f"<td>{escaped_html(cell)}</td>" for cell in row) for row in rows)
        html = f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
        self._run.log({name: self._wandb.Html(html, inject=False), EPOCH: epoch})

    def figure(self, name: str, file: Path, epoch: int) -> None:
        """A PNG file."""
        self._run.log({name: self._wandb.Image(str(file)), EPOCH: epoch})

    def flush(self) -> None:
        """Nothing: a process of its own writes at once."""

    def close(self, *, finished: bool) -> None:
        """End the run."""
        self._run.finish(exit_code=0 if finished else 1)
