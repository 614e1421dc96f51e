"""How fast `imil train` trains, beside the bare step that it is made of and what one would write.

    python benchmarks/training_step.py [--full] [--model NAME] [--steps N] [--precision 32]
        [--keras PYTHON] [--out FILE.json]

The first two run in one process, an epoch of one beside an epoch of the other; the rest in
processes of their own, one after the other; those that read films read the same drawn ones:

- `bare step, tuned`: one batch on the device; forward, backward, update; memory kept and in
  channels-last, as imil trains, but without the deterministic algorithms that imil asks for: the
  limit;
- `imil train`: what the command does, with everything on (flips and crops, a bar, checkpoints, the
  callback), every epoch after the round;
- `bare step`: as PyTorch does it by itself;
- `Lightning`: a Trainer over a folder of classes with two loader workers;
- `Keras`: on TensorFlow, the paper's own stack, where --keras names a Python that has both.

All in the precision that `imil train --precision auto` takes here, or in float32. By default an
epoch has two steps, so that what it costs besides them weighs more than in a real one: the paper's
has nine.
"""

from __future__ import annotations

import copy
import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter

from benchmark_report import benchmark_parser, on_device, report_result

BATCH = 64
ROUND = 1
STEPS = 2  # of an epoch
# on a GPU, which is through with these in 0.02 s, each is trained on under so many names
TIMES = 10
EPOCHS = 30  # on a GPU
SMALL = [("resnet18", 112, 2, 9)]  # model, pixels, turns, epochs on a CPU
FULL = [*SMALL, ("resnet50", 224, 1, 4), ("vit_small_patch16_224", 224, 1, 4)]
KERAS = {"resnet50": "ResNet50"}  # what Keras has of these
EPOCH_DONE, PEAK = "done: epoch ", "on the device, GiB: "


class Bare:
    """The bare step: one batch on the device; forward, backward, update, and nothing else."""

    def __init__(self, net, size: int, precision_setting: str = "auto") -> None:
        import torch

        from imil.training.hardware.device import precision, training_device

        self.device = training_device("auto")
        self.half = precision(precision_setting, self.device) != "32-true"
        self.net = net.to(self.device).train()
        fused = self.device.type == "cuda" or None
        self.optimizer = torch.optim.SGD(net.parameters(), lr=0.001, fused=fused)
        like = next(p for p in net.parameters() if p.ndim == 4)
        layout = torch.channels_last if _is_last(like) else torch.contiguous_format
        images = torch.rand(BATCH, 3, size, size, device=self.device)
        self.images = images.to(memory_format=layout)
        self.labels = torch.arange(BATCH, device=self.device) % 2

    def seconds(self, steps: int) -> float:
        """How long so many steps take."""
        import torch

        with nondeterministic_algorithms():
            began = perf_counter()
            for _ in range(steps):
                self.optimizer.zero_grad()
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
                    loss = torch.nn.functional.cross_entropy(self.net(self.images), self.labels)
                loss.backward()
                self.optimizer.step()
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            return perf_counter() - began


@contextmanager
def nondeterministic_algorithms() -> Iterator[None]:
    """A block in which PyTorch takes the algorithms that it likes; a Trainer may have forbidden it.

    What its determinism costs is imil's, not the limit's: on a GPU, convolutions are tried out too.
    """
    import torch

    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn_benchmark = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.backends.cudnn.benchmark = cudnn_benchmark


def times() -> int:
    """How often each film is trained on in an epoch here."""
    from imil.training.hardware.device import training_device

    return TIMES if training_device("auto").type == "cuda" else 1


def _is_last(weight) -> bool:
    import torch

    return weight.is_contiguous(memory_format=torch.channels_last)


def bare_step(precision_setting: str, model: str, size: int) -> None:
    """Print the images per second of the bare step as PyTorch does it by itself."""
    import timm

    bare = Bare(timm.create_model(model, num_classes=2), size, precision_setting)
    bare.seconds(1)
    steps = 3 if bare.device.type == "cpu" else 100
    rate = BATCH * steps / bare.seconds(steps)
    print(f"{PEAK}{on_device() or 0}", rate, sep="\n")


def imil(
    precision_setting: str, model: str, size: int, epochs: int, films: str, place: str
) -> None:
    """Train as `imil train` does, every epoch beside as many bare steps in the same process."""
    from rich.console import Console

    from imil.readers.spec import ReaderSpec
    from imil.training.reader_factory import make_reader
    from imil.training.run import Run
    from imil.training.run_setup import set_up_run
    from imil.training.samples.prepared_data import prepare

    class Beside:
        def __init__(self, run) -> None:
            self.bare, self.writer = (
                Bare(copy.deepcopy(run.net), size, precision_setting),
                run.writer,
            )
            self.steps = len(run.samples["train"]) // BATCH
            self.limits, self.spent = [], []

        def __call__(self, epoch: int) -> None:
            """Called when training begins and after each epoch."""
            if epoch:
                self.writer.settle()  # a checkpoint's time is ours, not the limit's
                self.spent.append(perf_counter() - self.began)
            if epoch < epochs:
                self.limits.append(self.bare.seconds(self.steps))
            self.began = perf_counter()

    flags = {"data": films, "model": model, "image_size": size, "epochs": epochs}
    flags |= {"augment": ["flip", "crop"], "imil_epoch": [ROUND], "reader": "simulated"}
    flags |= {"precision": precision_setting}
    settings, folder = set_up_run(flags, None, Path(place) / "run")
    console = Console(file=io.StringIO(), force_terminal=True)  # its bar is drawn, unseen
    folder.path.mkdir()
    data = prepare(settings, folder, cache=Path(place) / "cache", progress=lambda *_: None)
    run = Run(folder, settings, data, console)
    reader = make_reader(
        ReaderSpec("simulated"), reader_name="reader", seed=0, data=data, folder=folder.cases
    )
    beside = Beside(run)
    run.train(reader, run.open_store(), after_rounds=[beside])
    pairs = zip(beside.limits[ROUND:], beside.spent[ROUND:], strict=True)
    print(f"{PEAK}{on_device() or 0}")
    drawn = len(run.samples["train"])
    print(json.dumps([(drawn / limit, drawn / spent) for limit, spent in pairs]))


def lightning(precision_setting: str, model: str, size: int, epochs: int, films: str) -> None:
    """Train as many would write it; says when each epoch ends."""
    import lightning.pytorch as pl
    import timm
    import torch
    from torchvision import datasets, transforms

    from imil.training.hardware.device import precision, training_device

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
            print(f"{EPOCH_DONE}{self.current_epoch + 1}", flush=True)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.001)

    ways = [transforms.Resize((size, size)), transforms.RandomHorizontalFlip()]
    ways += [transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.25] * 3)]
    folder = datasets.ImageFolder(films, transforms.Compose(ways))
    loader = torch.utils.data.DataLoader(
        folder, BATCH, shuffle=True, num_workers=2, persistent_workers=True
    )
    chosen = precision(precision_setting, training_device("auto"))
    with tempfile.TemporaryDirectory() as place:
        pl.Trainer(max_epochs=epochs, precision=chosen, default_root_dir=place).fit(Net(), loader)
    print(f"{PEAK}{on_device() or 0}")


def keras(model: str, size: int, epochs: int, films: str, half: bool) -> None:
    """Train with Keras on TensorFlow; says when each epoch ends."""
    import keras as k
    import tensorflow as tf

    if half:
        k.mixed_precision.set_global_policy("mixed_bfloat16")
    data = k.utils.image_dataset_from_directory(
        films, image_size=(size, size), batch_size=BATCH, verbose=False
    )
    flip = k.layers.RandomFlip("horizontal")
    data = data.cache().map(lambda x, y: (flip(x, training=True), y)).prefetch(tf.data.AUTOTUNE)
    net = getattr(k.applications, KERAS[model])(
        weights=None, classes=2, input_shape=(size,) * 2 + (3,)
    )
    net.compile(k.optimizers.SGD(0.001), "sparse_categorical_crossentropy", metrics=["accuracy"])
    ends = k.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, _logs: print(f"{EPOCH_DONE}{epoch + 1}", flush=True)
    )
    net.fit(data, epochs=epochs, verbose=0, callbacks=[ends])


def run(words: list[object]) -> tuple[str, dict[int, float], tuple[float, float]]:
    """What a child says last, when its epochs ended, and its peak memory: here, on the device."""
    with tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(
            list(map(str, words)),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        ends, line, gib_on_device = {}, "", 0.0
        for line in child.stdout:
            if match := re.match(rf"{EPOCH_DONE}(\d+)", line):
                ends[int(match[1])] = monotonic()
            elif line.startswith(PEAK):
                gib_on_device = float(line.removeprefix(PEAK))
        _, status, used = os.wait4(child.pid, 0)
        if status:
            errors.seek(0)
            raise ChildProcessError(f"{' '.join(map(str, words))}:\n{errors.read()[-2000:]}")
    return line, ends, (used.ru_maxrss / 2**20, gib_on_device)


def films(place: Path, trained: int) -> tuple[Path, Path]:
    """A table of drawn films, and those that are trained on in folders of classes."""
    from imil.phantom.dataset import write_phantoms

    folder, classes = place / "films", place / "classes"
    table = write_phantoms(folder, n=trained * 5 // 4, size=512, test=0.2)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    learnt = [row for row in rows if row["split"] == "train"]
    assert len(learnt) == trained
    again = [_renamed(row, folder, number) for number in range(1, times()) for row in learnt]
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows + again)
    for row in learnt + again:
        of_class = classes / row["label"]
        of_class.mkdir(parents=True, exist_ok=True)
        (of_class / Path(row["image"]).name).symlink_to(folder / row["image"])
    return table, classes


def _renamed(row: dict[str, str], folder: Path, number: int) -> dict[str, str]:
    """The same film under another name: it is decoded and drawn like any other."""
    image = Path(row["image"])
    name = image.with_name(f"{number}-{image.name}")
    (folder / name).symlink_to(folder / image)
    return row | {"image": str(name)}


def compare(
    model: str,
    size: int,
    turns: int,
    epochs: int,
    steps: int,
    drawn: tuple[Path, Path],
    precision_setting: str,
    other: str | None,
) -> list[dict[str, object]]:
    """A row for each way, over all turns."""
    import torch

    from imil.training.hardware.device import precision, training_device

    table, classes = drawn
    child_command, results = (
        [sys.executable, __file__, "--precision", precision_setting, "--child"],
        {},
    )
    epochs = EPOCHS if torch.cuda.is_available() else epochs
    half = precision(precision_setting, training_device("auto")) != "32-true"

    def add(way: str, rate: float, of_limit: float, gib: tuple[float, float]) -> None:
        results.setdefault(way, []).append((rate, of_limit, gib))

    def add_epochs(way: str, words: list[object]) -> None:
        try:
            _, ends, gib = run(words)
        except ChildProcessError as error:  # a rival that fails must not cost what was measured
            print(f"{way} failed: {error}", file=sys.stderr)
            return
        first, newest = min(epoch for epoch in ends if epoch > ROUND), max(ends)
        rate = times() * steps * BATCH * (newest - first) / (ends[newest] - ends[first])
        add(way, rate, rate / limit, gib)

    for _ in range(turns):
        with tempfile.TemporaryDirectory() as place:
            line, _, gib = run([*child_command, "imil", model, size, epochs, table, place])
        pairs = json.loads(line)
        limit = median(limit for limit, _ in pairs)
        for bare, ours in pairs:
            add("bare step, tuned", bare, 1.0, gib)
            add("imil train", ours, ours / bare, gib)
        line, _, gib = run([*child_command, "bare", model, size])
        add("bare step", float(line), float(line) / limit, gib)
        add_epochs("Lightning", [*child_command, "lightning", model, size, epochs, classes])
        if other and model in KERAS:
            words = [other, __file__, "--child", "keras", model, size, epochs, classes, int(half)]
            add_epochs("Keras", words)
        print(f"{model}: a turn is over", file=sys.stderr)
    return [
        {
            "model": model,
            "size": size,
            "way": way,
            "images_per_second": median(rate for rate, _, _ in each),
            "of_limit": [of_limit for _, of_limit, _ in each],
            "peak_gib": max(gib for _, _, (gib, _) in each),
            "peak_gib_on_device": max(gib for _, _, (_, gib) in each) or None,
        }
        for way, each in results.items()
    ]


def main() -> None:
    """Measure, print a table and a line of JSON."""
    parser = benchmark_parser(__doc__, "ResNet-50 and ViT-S at 224 px too")
    parser.add_argument("--model", choices=[name for name, *_ in FULL], help="one alone")
    parser.add_argument("--steps", type=int, default=STEPS, help="of an epoch, in place of 2")
    parser.add_argument("--precision", choices=["auto", "32"], default="auto")
    parser.add_argument("--keras", help="a Python that has Keras and TensorFlow")
    parser.add_argument("--child", nargs="+", help="one way, measured in this process")
    args = parser.parse_args()
    if args.child:
        kind, model, size, *more = args.child
        if kind != "keras":
            from imil.pytorch.torchvision_import import import_torchvision

            import_torchvision()
        if kind == "imil":
            imil(args.precision, model, int(size), int(more[0]), *more[1:])
        elif kind == "lightning":
            lightning(args.precision, model, int(size), int(more[0]), more[1])
        elif kind == "keras":
            keras(model, int(size), int(more[0]), more[1], more[2] == "1")
        else:
            bare_step(args.precision, model, int(size))
        return
    from rich.table import Table

    table = Table(title=f"Training, batches of {BATCH}")
    for column in ("model", "way", "images/s", "of the limit", "GiB", "on GPU"):
        table.add_column(column, justify="left" if column in ("model", "way") else "right")
    rows = []
    with tempfile.TemporaryDirectory() as place:
        drawn = films(Path(place), args.steps * BATCH)
        for model, size, turns, epochs in FULL if args.full or args.model else SMALL:
            if args.model not in (None, model):
                continue
            how = args.steps, drawn, args.precision, args.keras
            for row in compare(model, size, turns, epochs, *how):
                rows.append(row)
                shares = sorted(row["of_limit"])
                spread = f" ({shares[0]:.2f}-{shares[-1]:.2f})" if len(shares) > 1 else ""
                table.add_row(
                    f"{model}, {size} px",
                    row["way"],
                    f"{row['images_per_second']:.1f}",
                    f"{median(shares):.2f}{spread}",
                    f"{row['peak_gib']:.1f}",
                    f"{row['peak_gib_on_device'] or '':.3}",
                )
    ratios = {
        f"{row['model']}, {row['size']} px": [1 / share for share in row["of_limit"]]
        for row in rows
        if row["way"] == "imil train"
    }
    report_result("training_step", table, rows, ratios, args.out, precision_setting=args.precision)


if __name__ == "__main__":
    main()
