"""How fast `imil train` trains, beside the bare step that it is made of and what one would write.

    python benchmarks/training_step.py [--full] [--out FILE.json]

Each way runs in a process of its own, all in turn and three times over, on the same films:

- `bare step`: one batch, forward, backward, update, as PyTorch does it by itself;
- `bare step, tuned`: the same with the memory kept and in channels-last, as imil trains: its limit;
- `imil train`: the command, with everything on, from the second epoch to the last;
- `Lightning, ImageFolder`: a Trainer, a folder of classes, two loader workers.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter

from telling import questions, tell

BATCH, STEPS, EPOCHS, TURNS = 64, 5, 4, 3
SMALL = [("resnet18", 112)]
FULL = [*SMALL, ("resnet50", 224), ("vit_small_patch16_224", 224)]
FILMS = 320  # 256 of them to train on
SAID = "Epoch "


def bare(model: str, size: int, tuned: bool) -> None:
    """Print the images per second of the bare step."""
    from imil.pytorch.vision import import_torchvision

    import_torchvision()
    if tuned:
        from imil.training.buffers import keep_buffers

        keep_buffers()
    import timm
    import torch

    net = timm.create_model(model, num_classes=2)
    images, labels = torch.rand(BATCH, 3, size, size), torch.arange(BATCH) % 2
    if tuned:
        net = net.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001)
    seconds = []
    for _ in range(STEPS + 2):
        began = perf_counter()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()
        seconds.append(perf_counter() - began)
    print(BATCH / median(seconds[2:]))


def lightning(model: str, size: int, films: str) -> None:
    """Train as many would write it; says when each epoch ends."""
    from imil.pytorch.vision import import_torchvision

    import_torchvision()
    import lightning.pytorch as pl
    import timm
    import torch
    from torchvision import datasets, transforms

    class Net(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = timm.create_model(model, num_classes=2)

        def training_step(self, batch, _index):
            images, labels = batch
            loss = torch.nn.functional.cross_entropy(self.net(images), labels)
            self.log("loss", loss, prog_bar=True)
            return loss

        def on_train_epoch_end(self) -> None:
            print(f"{SAID}{self.current_epoch + 1}", flush=True)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.001)

    ways = [transforms.Resize((size, size)), transforms.ToTensor()]
    ways += [transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    folder = datasets.ImageFolder(films, transforms.Compose(ways))
    loader = torch.utils.data.DataLoader(folder, BATCH, shuffle=True, num_workers=2)
    with tempfile.TemporaryDirectory() as place:
        pl.Trainer(max_epochs=EPOCHS, default_root_dir=place).fit(Net(), loader)


def run(words: list[str], images: int | None) -> tuple[float, float]:
    """Images per second and peak GiB of a child, by what it prints or by when its epochs end."""
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    times, last = [], ""
    for line in child.stdout:
        if line.startswith(SAID):
            times.append(monotonic())
        last = line
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
    rate = float(last) if images is None else images / median(b - a for a, b in pairwise(times))
    return rate, used.ru_maxrss / 2**20


def films(place: Path) -> tuple[Path, Path, int]:
    """A table of drawn films, the trained ones in folders of classes, and how many these are."""
    from imil.training.phantom import write_phantoms

    folder, classes = place / "films", place / "classes"
    table = write_phantoms(folder, n=FILMS, size=512, test=0.2)
    with table.open() as file:
        trained = [row for row in csv.DictReader(file) if row["split"] == "train"]
    for row in trained:
        of_class = classes / row["label"]
        of_class.mkdir(parents=True, exist_ok=True)
        (of_class / Path(row["image"]).name).symlink_to(folder / row["image"])
    return table, classes, len(trained)


def compare(
    model: str, size: int, place: Path, table: Path, classes: Path, images: int
) -> list[dict[str, object]]:
    """A row for each way: the median of its turns."""
    me = [sys.executable, __file__, "--child"]
    found: dict[str, list[tuple[float, float]]] = {}
    for turn in range(TURNS):
        out = place / f"{model}-{turn}"
        imil = [sys.executable, "-c", "from imil.cli.main import main; main()", "train", table]
        imil += ["--model", model, "--image-size", size, "--epochs", EPOCHS, "--reader", "none"]
        imil += ["--out", out, "--cache", place / "cache"]
        for name, words, of in (
            ("bare step", [*me, "bare", model, size], None),
            ("bare step, tuned", [*me, "tuned", model, size], None),
            ("imil train", imil, images),
            ("Lightning, ImageFolder", [*me, "lightning", model, size, classes], images),
        ):
            found.setdefault(name, []).append(run(list(map(str, words)), of))
    limit = median(rate for rate, _ in found["bare step, tuned"])
    return [
        {
            "model": model,
            "size": size,
            "way": name,
            "images_per_second": median(rate for rate, _ in turns),
            "lowest": min(rate for rate, _ in turns),
            "highest": max(rate for rate, _ in turns),
            "of_limit": median(rate for rate, _ in turns) / limit,
            "peak_gib": max(peak for _, peak in turns),
        }
        for name, turns in found.items()
    ]


def main() -> None:
    """Measure, print a table and a line of JSON."""
    parser = questions(__doc__, "ResNet-50 and ViT-S at 224 px too")
    parser.add_argument("--child", nargs="+", help="one way, measured in this process")
    asked = parser.parse_args()
    if asked.child:
        kind, model, size, *more = asked.child
        if kind == "lightning":
            lightning(model, int(size), *more)
        else:
            bare(model, int(size), kind == "tuned")
        return
    from rich.table import Table

    table = Table(title=f"Training in float32, batches of {BATCH}")
    for column in ("model", "way", "images/s", "lowest-highest", "of the limit", "peak GiB"):
        table.add_column(column, justify="left" if column in ("model", "way") else "right")
    rows = []
    with tempfile.TemporaryDirectory() as place:
        drawn = films(Path(place))
        for model, size in FULL if asked.full else SMALL:
            for row in compare(model, size, Path(place), *drawn):
                rows.append(row)
                table.add_row(
                    f"{model}, {size} px",
                    row["way"],
                    f"{row['images_per_second']:.1f}",
                    f"{row['lowest']:.1f}-{row['highest']:.1f}",
                    f"{row['of_limit']:.2f}",
                    f"{row['peak_gib']:.1f}",
                )
    tell("training_step", table, rows, asked.out)


if __name__ == "__main__":
    main()
