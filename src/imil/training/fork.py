"""Beginning a run where another one was before its round."""

from __future__ import annotations

import shutil
from collections.abc import Collection

import pandas as pd

from imil.atomic_files import link_or_copy, write_table
from imil.run_folder import RunFolder


def fork_run(
    source: RunFolder, target: RunFolder, epoch: int, *, without: Collection[str] = ()
) -> None:
    """Copy to `target` the state of `source` before its round after `epoch` completed epochs.

    Nothing is copied if the target has started already. Its checkpoint comes last: where that
    exists, all else is there.

    Args:
        without: splits whose predictions are not copied; they are predicted again.
    """
    if target.last.exists():
        return
    before, copy = (
        folder.predictions(f"epoch-{epoch:03}", "test").parent for folder in (source, target)
    )
    left = [source.predictions("end", name).name for name in without]
    shutil.copytree(before, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*left))
    write_table(target.history, pd.read_csv(source.history).head(epoch))
    target.last.parent.mkdir(parents=True, exist_ok=True)
    link_or_copy(source.at(epoch), target.last)
