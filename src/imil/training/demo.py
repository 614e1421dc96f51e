"""`imil demo`: draw films with a shortcut in them, train, correct, compare."""

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
from imil.readers.spec import ReaderSpec
from imil.run_folder import RunFolder
from imil.settings import resolve
from imil.store import Store
from imil.training.launch import new_run
from imil.training.reader_factory import make_reader
from imil.training.run import Run
from imil.training.web_reader import reading_room

FILMS, SIDE, TEST = 500, 128, 0.4
LETTER = 0.85  # share of the training films whose corner letter goes with the label
DIFFICULTY = 0.1  # of seeing the lesions: large and dense, but the letter is still easier
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
    f"corner matches the label in {LETTER:.0%} of the cases, a shortcut; in the test films it "
    "carries no information. A small model trains. Halfway, the films that it gets most "
    "confidently wrong are shown to a reader, who selects the squares that the model should look "
    "at; the rest is blacked out, and training continues."
)
READERS = {
    "console": "You are the reader. '?' shows what you can type.",
    "simulated": "The reader is simulated: it selects the lesion, or the lungs if there is none.",
    "web": "You are the reader, in your browser. If nobody opens the page within a minute of the "
    "round, a simulated reader answers.",
}


def default_reader() -> str:
    """The reader that this machine allows: a person in a browser or at a terminal, or a program."""
    if _has_browser():
        return "web"
    return "console" if sys.stdin.isatty() and sys.stdout.isatty() else "simulated"


def run_demo(reader: str, out: Path, seed: int) -> dict[str, Any]:
    """Draw, train, hold a round, and print the comparison; returns the metrics.

    Raises: SettingsError: the folder is not new, the reader is unknown, or the seed is out of
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
    console.print(_comparison(metrics))
    return metrics


def _room(run: Run, store: Store, console: Console) -> AbstractContextManager[Reader]:
    """The reading room in the person's own browser, with a simulated reader as fallback."""
    fallback = make_reader(
        ReaderSpec("simulated"),
        reader_name="",
        seed=run.settings.seed,
        data=run.data,
        folder=run.folder.cases,
    )
    return reading_room(run, store, console, fallback=fallback, open_link=webbrowser.open)


def _has_browser() -> bool:
    has_screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    try:
        return has_screen and webbrowser.get() is not None
    except webbrowser.Error:
        return False


def _comparison(metrics: dict[str, Any]) -> str:
    """What one run with one seed shows, and what it does not."""
    before = metrics["rounds"][0]["before"]["test"] if metrics["rounds"] else None
    if before is None:
        return "No round was held, so there is nothing to compare."
    change = metrics["end"]["test"]["accuracy"] - before["accuracy"]
    return (
        f"Test accuracy went from {before['accuracy']:.3f} before the round to "
        f"{metrics['end']['test']['accuracy']:.3f} at the end ({change:+.3f}). Some of that is "
        "the training that continued: `imil demo --reader none` shows how much, and other seeds "
        "show how much is chance."
    )


def unused_folder() -> Path:
    """runs/demo, or the first of runs/demo-2, -3 … that does not exist."""
    parent = Path("runs")
    number, path = 1, parent / "demo"
    while path.exists():
        number += 1
        path = parent / f"demo-{number}"
    return path
