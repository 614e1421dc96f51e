"""What `imil demo` does: draw films with a shortcut in them, train, correct, compare."""

from __future__ import annotations

import os
import sys
import webbrowser
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rich.console import Console

from imil.cases import Reader
from imil.errors import SettingsError
from imil.phantom.dataset import write_phantoms
from imil.store import Store
from imil.training.launch import new_run
from imil.training.reader_factory import make_reader, reading_room
from imil.training.run import Run
from imil.training.run_folder import RunFolder
from imil.training.settings import resolve

FILMS, SIDE, TEST = 500, 128, 0.4
LETTER = 0.85  # share of the training films whose corner letter goes with the label
DIFFICULTY = 0.1  # of seeing the lesions: they are large and dense, and yet the letter is easier
SETTINGS: dict[str, Any] = {
    "model": "test_resnet",
    "image_size": SIDE,
    "epochs": 12,
    "imil_epoch": [6],
    "batch_size": 16,
    "optimizer": "adam",
    "lr": 0.0001,
}
STORY = (
    "Chest films are drawn, half of them with a lesion. In the training films a letter in the "
    f"corner goes with the label in {LETTER:.0%} of the cases, a shortcut; in the test films it "
    "says nothing. A small model trains. Halfway, the films that it gets most confidently wrong "
    "are shown to a reader, who selects the squares that the model should look at; the rest goes "
    "black, and training goes on."
)
READERS = {
    "console": "You are the reader. '?' shows what you can type.",
    "simulated": "The reader is simulated: it selects the lesion, or the lungs if there is none.",
    "web": "You are the reader, in your browser. If nobody opens the page within a minute of the "
    "round, a simulated reader answers.",
}


def default_reader() -> str:
    """Who can be asked on this machine: a person in a browser, at a terminal, or nobody."""
    if _has_browser():
        return "web"
    return "console" if sys.stdin.isatty() and sys.stdout.isatty() else "simulated"


def run_demo(reader: str, out: Path, seed: int) -> dict[str, Any]:
    """Draw, train, ask, compare, and say so in plain words; returns the metrics.

    Raises: SettingsError: the folder is not new; there is no such reader, or the seed is out of
        range.
    """
    console = Console()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(f"--out {out} is not empty: give a new folder")
    settings = resolve({"data": str(out.absolute()), "reader": reader, "seed": seed, **SETTINGS})
    console.print(STORY)
    console.print(READERS.get(reader, f"The reader is '{reader}'."))
    films = write_phantoms(
        out / "films",
        n=FILMS,
        size=SIDE,
        seed=seed,
        letter=LETTER,
        test=TEST,
        difficulty=DIFFICULTY,
    )
    settings = settings.model_copy(update={"data": str(films.absolute())})
    metrics = new_run(settings, RunFolder(out / "run"), out / "cache", room=_room)
    console.print(_verdict(metrics))
    return metrics


def _room(run: Run, store: Store, console: Console) -> AbstractContextManager[Reader]:
    """The reading room in the person's own browser, with a simulated reader in reserve."""
    reserve = make_reader(
        "simulated", person="", seed=run.settings.seed, data=run.data, folder=run.folder.cases
    )
    return reading_room(run, store, console, otherwise=reserve, show=webbrowser.open)


def _has_browser() -> bool:
    screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    try:
        return screen and webbrowser.get() is not None
    except webbrowser.Error:
        return False


def _verdict(metrics: dict[str, Any]) -> str:
    """What one run with one seed shows, and what it does not."""
    before = metrics["rounds"][0]["before"]["test"] if metrics["rounds"] else None
    if before is None:
        return "No round was held, so there is nothing to compare."
    change = metrics["end"]["test"]["accuracy"] - before["accuracy"]
    return (
        f"Test accuracy went from {before['accuracy']:.3f} before the round to "
        f"{metrics['end']['test']['accuracy']:.3f} at the end ({change:+.3f}). Some of that is "
        "the training that went on: `imil demo --reader none` shows how much, and other seeds "
        "show how much is chance."
    )


def free_folder() -> Path:
    """runs/demo, or the first free runs/demo-2, -3 …"""
    parent = Path("runs")
    number, path = 1, parent / "demo"
    while path.exists():
        number += 1
        path = parent / f"demo-{number}"
    return path
