"""`imil demo`: drawn films with a shortcut, a round, and what the reader's squares were worth."""

from __future__ import annotations

import json
import os
import sys
import webbrowser
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from rich.console import Console
from rich.table import Table

from imil.cases import Reader
from imil.errors import SettingsError
from imil.images.colours import overlay
from imil.images.montage import Panel, montage
from imil.metrics import accuracy
from imil.phantom.dataset import Variant, draw_test_variants, write_phantoms
from imil.pytorch import CorrectedDataset
from imil.readers.spec import ReaderSpec
from imil.run_folder import RunFolder
from imil.settings import TrainSettings, resolve
from imil.store import Store
from imil.terminal_console import TerminalConsole
from imil.training.fork import fork_run
from imil.training.launch import new_run
from imil.training.reader_factory import make_reader
from imil.training.run import Run
from imil.training.samples.prepared_data import Pixels, prepare, to_pixels
from imil.training.web_reader import reading_room

FILMS, SIDE, TEST = 1200, 64, 1 / 6
LETTER = 0.97  # share of the training films whose corner letter matches the label
DIFFICULTY = 0.0  # of seeing the lesions: a small network can learn them in a minute
SHOWN = 4  # test films in the picture of heat-maps
PANEL = 256  # pixels of a film in that picture
SETTINGS: dict[str, Any] = {
    "model": "test_resnet",
    "image_size": SIDE,
    "epochs": 16,
    "imil_epoch": [3],
    "batch_size": 32,
    "optimizer": "adamw",
    "lr": 0.003,
    "lr_schedule": "cosine",
    "treatment": "best",
}
INTRODUCTION = (
    "Chest films are drawn, half of them with a lesion. In the training films a letter in the "
    f"corner matches the label in {LETTER:.0%} of the cases: a shortcut. A small model trains. "
    f"After epoch {SETTINGS['imil_epoch'][0]}, the films that it gets most confidently wrong are "
    "shown to a reader, who selects the squares that the model should look at. Two more trainings "
    "go on from the same epoch: one without a reader, one with squares drawn at random."
)
READERS = {
    "console": "You are the reader. '?' shows what you can type.",
    "simulated": "The reader is simulated: it selects the lesion, or the lungs if there is none.",
    "web": "You are the reader, in your browser. If nobody opens the page within a minute of the "
    "round, a simulated reader answers.",
}
ARMS = {"none": "no reader", "random": "random squares", "reader": "the reader's squares"}
VARIANTS: tuple[Variant, ...] = ("for", "against", "without")
Accuracies = dict[Variant, dict[str, float]]  # letter -> arm -> accuracy


def default_reader() -> str:
    """The reader that this machine allows: a person in a browser or at a terminal, or a program."""
    if _has_browser():
        return "web"
    return "console" if sys.stdin.isatty() and sys.stdout.isatty() else "simulated"


def run_demo(reader: str, out: Path, seed: int, *, as_json: bool = False) -> Accuracies:
    """Draw, train three times, and print the comparison; returns the accuracies.

    Args:
        as_json: print one line of JSON, and nothing else on standard output.
    Raises: SettingsError: the folder is not new, the reader is unknown or none, or the seed is out
        of range.
    """
    console = TerminalConsole(stderr=as_json)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(f"--out {out} is not empty: give a new folder")
    if reader == "none":
        raise SettingsError("--reader is none: the demo trains without a reader too; give another")
    settings = resolve({"data": str(out.absolute()), "reader": reader, "seed": seed, **SETTINGS})
    console.print(INTRODUCTION)
    console.print(READERS.get(reader, f"The reader is '{reader}'."), markup=False)
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
    cache = out / "cache"
    new_run(settings, RunFolder(out / "run"), cache, room=_room, console=console)
    runs = {"reader": _trained(RunFolder(out / "run"), settings, cache)}
    for name in ("none", "random"):
        runs[name] = _train_control(name, out, settings, cache, console)
    result = _compare(runs, films)
    if as_json:
        print(json.dumps(result))  # noqa: T201 - what the option asks for
    console.print(_table(result))
    console.print(_sentence(result))
    picture = out / "heat-maps.png"
    _draw_heat_maps(runs, films, picture)
    console.print(f"Heat-maps before and after: {picture}. All files: {out}.", markup=False)
    return result


def _train_control(
    name: str, out: Path, settings: TrainSettings, cache: Path, console: Console
) -> Run:
    """The training without a reader, or with random squares, from the epoch of the round on."""
    folder = RunFolder(out / name)
    changed = settings.model_copy(update={"reader": ReaderSpec.parse(name)})
    console.print(f"The same training with {ARMS[name]}:")
    with folder.locked():
        changed.write(folder.config)
        fork_run(RunFolder(out / "run"), folder, settings.imil_epoch[0])
        data = prepare(changed, folder, cache=cache, progress=lambda *_: None)
        run = Run(folder, changed, data, console)
        store = run.open_store() if run.rounds else None
        reader = None
        if store is not None:
            reader = make_reader(
                changed.reader, reader_name="", seed=settings.seed, data=data, folder=folder.cases
            )
        run.train(reader, store)
        if store is not None:
            store.close()
    return run


def _trained(folder: RunFolder, settings: TrainSettings, cache: Path) -> Run:
    data = prepare(settings, folder, cache=cache, progress=lambda *_: None)
    run = Run(folder, settings, data, TerminalConsole(quiet=True))
    run.load_trained()
    return run


def _compare(runs: dict[str, Run], films: Path) -> Accuracies:
    """Accuracy on the test films with the letter for and against the label, and without."""
    result: Accuracies = {}
    for variant in VARIANTS:
        samples = _samples(runs["reader"], films, variant)
        result[variant] = {
            name: round(float(accuracy(runs[name].model.probs(samples), samples.labels)), 4)
            for name in ARMS
        }
    return result


def _samples(run: Run, films: Path, variant: Variant) -> CorrectedDataset:
    """The test films with the letter as the variant has it."""
    images, labels = draw_test_variants(films, variant, size=SIDE, difficulty=DIFFICULTY)
    return CorrectedDataset(
        Pixels(images, np.arange(len(images)), labels),
        transform=to_pixels,
        view=to_pixels,
        labels=labels,
        class_names=run.data.class_names,
    )


def _table(result: Accuracies) -> Table:
    table = Table(title="Test accuracy, by what the corner letter says")
    for heading in ("training with", "letter for", "letter against", "no letter"):
        table.add_column(heading, justify="left" if heading == "training with" else "right")
    for arm, title in ARMS.items():
        table.add_row(title, *(f"{result[variant][arm]:.3f}" for variant in VARIANTS))
    return table


def _sentence(result: Accuracies) -> str:
    """What happened, for this seed."""
    against = result["against"]
    gain = against["reader"] - against["none"]
    return (
        f"Where the letter contradicts the film, {against['none']:.0%} are right without a reader, "
        f"{against['random']:.0%} with random squares and {against['reader']:.0%} with the "
        f"reader's squares ({100 * gain:+.0f} points): one seed on drawn films, which shows how it "
        "works and not how much it brings on yours."
    )


def _draw_heat_maps(runs: dict[str, Run], films: Path, path: Path) -> None:
    """A row per arm: where its model looks in films whose letter contradicts the label."""
    samples = _samples(runs["reader"], films, "against")
    lesions = np.flatnonzero(samples.labels == 1)[:SHOWN].tolist()
    panels = []
    for name in ARMS:
        probs = runs[name].model.probs(samples, lesions)
        predicted = probs.argmax(axis=1)
        cams = runs[name].model.explain(samples, lesions, predicted.tolist())
        for i, cam, of, row in zip(lesions, cams, predicted, probs, strict=True):
            film: NDArray[np.uint8] = np.asarray(
                Pillow.fromarray(samples.image(i)).resize((PANEL, PANEL))
            )
            caption = f"predicted {samples.class_names[of]}, {row[of]:.0%}"
            panels.append(Panel(Pillow.fromarray(overlay(film, cam)), caption))
    rows = [
        montage(f"{title}: films with a lesion, whose letter says normal", panels[i : i + SHOWN])
        for i, title in zip(range(0, len(panels), SHOWN), ARMS.values(), strict=True)
    ]
    canvas = Pillow.new("RGB", (max(r.width for r in rows), sum(r.height for r in rows)))
    tops = np.cumsum([0, *(row.height for row in rows)])
    for row, top in zip(rows, tops.tolist(), strict=False):
        canvas.paste(row, (0, top))
    canvas.save(path)


def _room(run: Run, store: Store, console: Console) -> AbstractContextManager[Reader]:
    """The reading room in the person's own browser, with a simulated reader as fallback."""
    fallback = make_reader(
        ReaderSpec("simulated"),
        reader_name="",
        seed=run.settings.seed,
        data=run.data,
        folder=run.folder.cases,
    )
    folder = run.folder.path
    return reading_room(
        run, store, console, fallback=fallback, open_link=partial(_open, folder=folder)
    )


def _open(link: str, folder: Path) -> None:
    from imil.web.redirect_file import open_link  # here: the web part may be missing

    open_link(link, folder)


def _has_browser() -> bool:
    has_screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    try:
        return has_screen and webbrowser.get() is not None
    except webbrowser.Error:
        return False


def unused_folder() -> Path:
    """runs/demo, or the first of runs/demo-2, -3 … that does not exist."""
    parent = Path("runs")
    number, path = 1, parent / "demo"
    while path.exists():
        number += 1
        path = parent / f"demo-{number}"
    return path
