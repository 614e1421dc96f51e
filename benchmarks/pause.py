"""What a round costs before the first case is on the screen, beside one bare forward pass.

    python benchmarks/pause.py [--full] [--out FILE.json]

A round predicts the whole training set, writes the file, chooses 20 cases and makes two
heat-maps of each; in bfloat16 in the pass that predicts what may be chosen again. The network has
learnt something by then: it is trained for some epochs, and a tenth of the labels swapped after
that, for confident mistakes. The limit is a forward pass over the same 530 decoded films, with
nothing else, in the precision that `imil train --precision auto` takes here: in batches of 64, as
in training and in imil, and in larger ones, which take more memory. All in turn, nine times, now
the pause first and now the passes. Then a whole round with its store, up to the reader's first
case: the seconds from the end of prediction, by when all cases are on disk. Readers are shown
originals, and a round reads, hashes and deflates them: once they are the decoded films, once drawn
films of 3000 pixels and 16 bits.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch
from benchmark_report import benchmark_parser, report_result
from decoding import draw
from rich.table import Table
from torch import Tensor

from imil.cases import Case, Image, Reading, RoundSettings
from imil.choices import choose_cases
from imil.grid import Grid
from imil.images.load import load_image
from imil.outliers import mistakes
from imil.predictions import Predictions, check_finite
from imil.pytorch import CorrectedDataset, TorchModel
from imil.rounds import run_round
from imil.store import Store
from imil.training.classifier import Classifier
from imil.training.hardware.bfloat16 import Bfloat16Model
from imil.training.hardware.device import precision
from imil.training.hardware.malloc_settings import keep_freed_memory
from imil.training.network import build
from imil.training.outputs.prediction_files import write_predictions
from imil.training.samples.augment import augment
from imil.training.samples.mixes import mix
from imil.training.samples.prepared_data import Pixels, to_pixels
from imil.treatments import find_treatment

FILMS, BATCH, CASES, TURNS, EPOCHS = 530, 64, 20, 9, 4
LARGER = 256  # films in a batch
LARGE = 3000  # pixels of an original
SMALL = [("resnet18", 112)]
FULL = [*SMALL, ("resnet50", 224), ("vit_small_patch16_224", 224)]


def films(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise, one half with a bright patch somewhere; their classes; a tenth of these swapped."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 128, (FILMS, size, size), np.uint8)
    truth, side = np.arange(FILMS) % 2, size // 4
    for i in np.flatnonzero(truth):
        top, left = rng.integers(0, size - side, 2)
        pixels[i, top : top + side, left : left + side] += 64
    return pixels, truth, np.where(rng.random(FILMS) < 0.1, 1 - truth, truth)


def train(net: Classifier, pixels: np.ndarray, labels: np.ndarray, half: bool) -> None:
    """Some epochs, so that the network is sure of most of them."""
    every, targets = torch.from_numpy(pixels)[:, None], torch.from_numpy(labels)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    net.train()
    for _ in range(EPOCHS):
        for batch in torch.randperm(FILMS).split(BATCH):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                logits = net(every[batch])
            torch.nn.functional.cross_entropy(logits.float(), targets[batch]).backward()
            optimizer.step()
    net.eval()


def bare(net: Classifier, pixels: np.ndarray, half: bool, batch: int) -> Tensor:
    """One forward pass in evaluation mode, in batches of so many films."""
    every = torch.from_numpy(pixels)[:, None]
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        return torch.cat([net(some) for some in every.split(batch)])


class Timed(TorchModel):
    """Records when all was predicted."""

    def predict(self, samples: CorrectedDataset) -> Predictions:
        predictions = super().predict(samples)
        self.predicted = perf_counter()
        return predictions


def first_case(net: Classifier, samples: CorrectedDataset) -> float:
    """Seconds from the end of prediction to the reader's first case, which is on disk by then."""
    model, asked_at = Timed(net, batch_size=BATCH), []
    model.check(samples)

    def ask(cases: Sequence[Case]) -> list[Reading]:
        cases[0].load_image()
        asked_at.append(perf_counter())
        return []

    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "imil.sqlite")
        store.add_run("run", class_names=samples.class_names, settings={}, versions={})
        settings = RoundSettings(CASES, Grid(4, 4))
        quiet = {"say": lambda _line: None}
        run_round(model, samples, ask, store, run="run", epoch=1, settings=settings, **quiet)
        store.close()
    return asked_at[0] - model.predicted


def pause(net: Classifier, samples: CorrectedDataset, file: Path, half: bool) -> dict[str, float]:
    """Seconds of each part of the pause."""
    model = TorchModel(net, batch_size=BATCH)
    model.check(samples)  # when training begins
    marks = [perf_counter()]
    predictions = (Bfloat16Model(model, CASES) if half else model).predict(samples)
    write_predictions(file, predictions)
    marks.append(perf_counter())
    check_finite(predictions.probs, predictions.keys)
    mistakes(predictions.probs, predictions.labels, predictions.keys)  # counted for the summary
    rng = np.random.default_rng(0)
    chosen = choose_cases("confident_mistakes", predictions, CASES, rng, {})
    marks.append(perf_counter())
    assert len(chosen) == CASES
    pairs = [
        (i, int(of))
        for i in chosen
        for of in (predictions.probs[i].argmax(), predictions.labels[i])
        if (i, int(of)) not in predictions.heat_maps
    ]
    model.explain(samples, [i for i, _ in pairs], [of for _, of in pairs])
    marks.append(perf_counter())
    return dict(zip(("predict", "choose", "explain"), np.diff(marks).tolist(), strict=True))


def compare(model: str, size: int, originals: list[Path]) -> dict[str, object]:
    """Medians of all turns."""
    pixels, truth, labels = films(size)
    torch.manual_seed(0)
    net = Classifier(
        build(model, classes=2, image_size=size, weights="none").to(
            memory_format=torch.channels_last
        ),
        optimizer="sgd",
        lr=0.001,
        momentum=0,
        mix=mix("none", 2),
        augment=augment(()),
        treatment=find_treatment("imil"),
    )

    def original(i: int) -> Image:
        film = load_image(originals[i % len(originals)])
        film[0, 0] = i  # no two are stored as one
        return film

    def training_set(original: Callable[[int], Image] | None) -> CorrectedDataset:
        return CorrectedDataset(
            Pixels(pixels, np.arange(FILMS), labels),
            transform=to_pixels,
            view=to_pixels,
            labels=labels,
            class_names=("normal", "TB"),
            keys=[f"{i:03}" for i in range(FILMS)],
            original=original,
            threadsafe=True,
        )

    samples, large = training_set(None), training_set(original)
    half = precision("auto", torch.device("cpu")) == "bf16-mixed"
    train(net, pixels, truth, half)
    passes: dict[int, list[float]] = {BATCH: [], LARGER: []}
    pauses = []
    accuracy = (bare(net, pixels, half, BATCH).argmax(1).numpy() == truth).mean()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "train.parquet"
        for turn in range(TURNS):
            if turn % 2:
                pauses.append(pause(net, samples, file, half))
            for batch, spent in passes.items():
                began = perf_counter()
                bare(net, pixels, half, batch)
                spent.append(perf_counter() - began)
            if not turn % 2:
                pauses.append(pause(net, samples, file, half))
    parts = {name: median(one[name] for one in pauses) for name in pauses[0]}
    whole = [sum(one.values()) for one in pauses]
    return {
        "model": model,
        "size": size,
        "half": half,
        "accuracy": float(accuracy),
        "pause": median(whole),
        "forward_pass": {batch: median(spent) for batch, spent in passes.items()},
        **parts,
        "first_case": median(first_case(net, samples) for _ in range(TURNS)),
        "first_case_large": median(first_case(net, large) for _ in range(TURNS)),
        "ratios": {
            batch: [one / limit for one, limit in zip(whole, spent, strict=True)]
            for batch, spent in passes.items()
        },
    }


def main() -> None:
    """Measure, print a table and a line of JSON."""
    args = benchmark_parser(__doc__, "ResNet-50 and ViT-S at 224 px too").parse_args()
    keep_freed_memory()  # as `imil train` does
    with tempfile.TemporaryDirectory() as folder:
        originals = draw(Path(folder), LARGE, "png", CASES)
        rows = [compare(*one, originals) for one in (FULL if args.full else SMALL)]
    kind = "bfloat16" if rows[0]["half"] else "float32"
    table = Table(title=f"The pause of a round: {FILMS} films, {CASES} cases, {kind}; seconds")
    table.add_column("model", no_wrap=True)
    for column in ("pause", "first case", f"{LARGE} px", "batches", "bare pass"):
        table.add_column(column, justify="right")
    table.add_column("pause / pass", justify="right", no_wrap=True)
    ratios = {}
    for row in rows:
        name = f"{row['model']}, {row['size']} px"
        ours = [name, *(f"{row[part]:.2f}" for part in ("pause", "first_case", "first_case_large"))]
        for batch, each in row["ratios"].items():
            spread = f"{median(each):.2f}\n{min(each):.2f}-{max(each):.2f}"
            table.add_row(*ours, str(batch), f"{row['forward_pass'][batch]:.2f}", spread)
            ours = [""] * len(ours)
            ratios[f"{name}, batches of {batch}"] = each
    report_result("pause", table, rows, ratios, args.out)


if __name__ == "__main__":
    main()
