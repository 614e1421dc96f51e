"""How fast images are decoded to the training size, beside others' decoders on all cores.

    python benchmarks/decoding.py [--full] [--out FILE.json]

Three kinds of drawn films: JPEG of 512 pixels, JPEG of 3000 pixels, PNG of 3000 pixels and 16 bits.
imil does it whole: hashes every file, decodes, writes the cache and waits for the disk, in a thread
a core, but eight at most. Its rivals only decode, in a thread for every core: Pillow, Pillow that
reads JPEGs at a fraction of their size but not below the size that is wanted (`draft`: faster, and
coarser), and OpenCV, whole and reduced to half, where it is installed. All in turn, three times.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import PIL.Image
from benchmark_report import benchmark_parser, report_result
from rich.table import Table as Shown

from imil.data.image_cache import decode_images
from imil.data.table import Table

SIZE, TURNS = 224, 3
SMALL = [("JPEG, 512 px", 512, "jpg", 200), ("PNG, 3000 px, 16 bits", 3000, "png", 6)]
FULL = [
    ("JPEG, 512 px", 512, "jpg", 662),
    ("JPEG, 3000 px", 3000, "jpg", 60),
    ("PNG, 3000 px, 16 bits", 3000, "png", 40),
]
Decoder = Callable[[Path], np.ndarray]


def draw(folder: Path, side: int, kind: str, n: int) -> list[Path]:
    """Soft pictures with the noise of a film."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:side, 0:side] / side
    paths = []
    for i in range(n):
        bright = 0.5 + 0.4 * np.sin(i + 3 * x) * np.cos(i * y)
        bright += 0.01 * rng.standard_normal((side, side), np.float32)
        deepest = 65535 if kind == "png" else 255
        pixels = (bright.clip(0, 1) * deepest).astype(np.uint16 if kind == "png" else np.uint8)
        paths.append(folder / f"{i:04}.{kind}")
        options = {"compress_level": 4} if kind == "png" else {"quality": 90}
        PIL.Image.fromarray(pixels).save(paths[-1], **options)
    return paths


def with_pillow(path: Path) -> np.ndarray:
    """As most would write it."""
    image = PIL.Image.open(path)
    return _small(image)


def with_draft(path: Path) -> np.ndarray:
    """A JPEG at the smallest size that the decoder offers and that is large enough."""
    image = PIL.Image.open(path)
    image.draft("L", (SIZE, SIZE))
    return _small(image)


def _small(image: PIL.Image.Image) -> np.ndarray:
    if image.mode == "I;16":
        deep = np.asarray(image, np.float32)
        small = PIL.Image.fromarray(deep).resize((SIZE, SIZE), PIL.Image.Resampling.BILINEAR)
        return (np.asarray(small) / 257).astype(np.uint8)
    return np.asarray(image.convert("L").resize((SIZE, SIZE), PIL.Image.Resampling.BILINEAR))


def rivals(kind: str) -> Iterator[tuple[str, Decoder]]:
    """Name and function of each."""
    yield "Pillow", with_pillow
    if kind == "jpg":
        yield "Pillow, draft", with_draft
    try:
        import cv2
    except ImportError:
        return
    cv2.setNumThreads(1)  # the films are spread over the cores

    def read(path: Path, flags: int) -> np.ndarray:
        return cv2.resize(cv2.imread(str(path), flags), (SIZE, SIZE), interpolation=cv2.INTER_AREA)

    yield "OpenCV", lambda path: read(path, cv2.IMREAD_UNCHANGED)
    if kind == "jpg":
        yield "OpenCV, reduced", lambda path: read(path, cv2.IMREAD_REDUCED_GRAYSCALE_2)


def in_threads(decoder: Decoder, paths: list[Path]) -> float:
    """Seconds for all films."""
    began = perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(decoder, paths))
    return perf_counter() - began


def ours(paths: list[Path]) -> tuple[float, float]:
    """Seconds, and by how many MiB this process grew; to be called in a new one."""
    table = Table(
        keys=tuple(path.name for path in paths),
        images=tuple(paths),
        labels=np.arange(len(paths)) % 2,
        class_names=("normal", "TB"),
        splits=None,
        patients=None,
        masks={},
    )
    before = _peak()
    with tempfile.TemporaryDirectory() as cache:
        began = perf_counter()
        decode_images(table, size=SIZE, folder=Path(cache))
        seconds = perf_counter() - began
    return seconds, _peak() - before


def _peak() -> float:
    """The most memory that this process has had, in MiB; of what started it, nothing counts."""
    status = Path("/proc/self/status")
    if not status.exists():
        raise SystemExit("memory is read from /proc: run this on Linux")
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


def compare(paths: list[Path], kind: str) -> Iterator[tuple[str, list[float], float | None]]:
    """Name, seconds of each turn, and growth in memory."""
    turns: dict[str, list[float]] = {}
    grown = []
    for _ in range(TURNS):
        with get_context("spawn").Pool(1) as fresh:
            seconds, more = fresh.apply(ours, (paths,))
        turns.setdefault("imil, whole", []).append(seconds)
        grown.append(more)
        for name, decoder in rivals(kind):
            turns.setdefault(name, []).append(in_threads(decoder, paths))
    for name, seconds in turns.items():
        yield name, seconds, max(grown) if name.startswith("imil") else None


def main() -> None:
    """Measure, print a table and a line of JSON."""
    args = benchmark_parser(__doc__, "662 films of 512 pixels, and more large ones").parse_args()
    shown = Shown(title=f"Decoding to {SIZE} pixels on {os.cpu_count()} cores")
    for column in ("films", "way", "ms a film", "imil / way", "MiB more"):
        shown.add_column(column, justify="left" if column in ("films", "way") else "right")
    rows, ratios = [], {}
    for films, side, kind, n in FULL if args.full else SMALL:
        with tempfile.TemporaryDirectory() as folder:
            paths = draw(Path(folder), side, kind, n)
            results = list(compare(paths, kind))
        whole = results[0][1]
        for way, seconds, more in results:
            each_turn = [w / s for s, w in zip(seconds, whole, strict=True)]
            if way == "Pillow":
                ratios[films] = each_turn
            each = 1000 * median(seconds) / n
            rows.append({"films": films, "n": n, "way": way, "ms": each, "imil_is": each_turn})
            rows[-1] |= {} if more is None else {"mib_more": more}
            memory = "" if more is None else f"{more:.0f}"
            shown.add_row(f"{n} {films}", way, f"{each:.2f}", f"{median(each_turn):.2f}", memory)
    report_result("decoding", shown, rows, ratios, args.out)


if __name__ == "__main__":
    main()
