"""What damaged files do: each must be one sentence or an image, in little memory and time.

    python benchmarks/fuzz.py [--full] [--minutes N] [--seed N] [--format NAME] [--keep FOLDER]

Files that the tests write are damaged at random (bytes, numbers, cuts, copied and removed parts)
and read in a process of their own, with a limit of memory. What is neither read nor refused by a
DataError of one line is a finding: an exception, a process that died, or more than 20 seconds.
With --atheris the inputs are chosen by the coverage of Python code (pip install atheris).
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import PIL.Image
from benchmark_report import benchmark_parser

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from imil.errors import DataError
from imil.grid import Grid

MEMORY = 2 << 30  # bytes of address space of the process that reads
SECONDS = 20  # of processor time for one file
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
SUFFIXES = {
    "png": ".png",
    "jpeg": ".jpg",
    "tiff": ".tif",
    "dicom": ".dcm",
    "nifti": ".nii",
    "gzip": ".nii.gz",
    "csv": ".csv",
    "coco": ".json",
    "fhir": ".json",
    "report": ".dcm",
}


def pillow(kind: str, pixels: np.ndarray, **options: object) -> bytes:
    """An image as Pillow writes it."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def dicom_seeds(folder: Path) -> Iterator[bytes]:
    """Small DICOM files in each transfer syntax that can be written here, and an enhanced one."""
    import pydicom
    from dicom_writer import make_dicom
    from pydicom.uid import (
        DeflatedExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        JPEG2000Lossless,
        JPEGLosslessSV1,
        JPEGLSLossless,
        RLELossless,
    )

    ramp = np.linspace(0, 4095, 24 * 20).reshape(24, 20).astype(np.uint16)
    colour = np.stack([ramp >> 4] * 3, axis=2).astype(np.uint8)
    path = folder / "seed.dcm"
    tags = {"WindowCenter": 2000, "WindowWidth": 3000, "PixelSpacing": [0.2, 0.2]}
    tags |= {"RescaleSlope": 1, "RescaleIntercept": -1000, "PatientOrientation": ["L", "F"]}
    for pixels in (ramp, colour):
        yield make_dicom(path, pixels, **(tags if pixels is ramp else {})).read_bytes()
        for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
            with contextlib.suppress(Exception):  # no encoder is installed for it
                dataset = pydicom.dcmread(make_dicom(path, pixels))
                dataset.compress(syntax)
                dataset.save_as(path)
                yield path.read_bytes()
    with contextlib.suppress(ImportError):
        import imagecodecs
        from pydicom.encaps import encapsulate

        dataset = pydicom.dcmread(make_dicom(path, ramp, **tags))
        dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        dataset["PixelData"].VR = "OB"
        dataset.PixelData = encapsulate([imagecodecs.ljpeg_encode(ramp, bitspersample=16)])
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(path, enforce_file_format=True)
        yield path.read_bytes()
    for name in ("SC_jpeg_no_color_transform.dcm", "JPEG-lossy.dcm", "JPGExtended.dcm"):
        one = Path(pydicom.__file__).parent / "data" / "test_files" / name
        if one.exists():  # JPEG, which nothing here writes
            yield one.read_bytes()
    for syntax in (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        dataset = pydicom.dcmread(make_dicom(path, ramp))
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(path, enforce_file_format=True)
        yield path.read_bytes()


def seeds(kind: str) -> list[bytes]:
    """Files of a format that are whole."""
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (24, 20), np.uint8)
    deep = rng.integers(0, 65536, (24, 20), np.uint16)
    colour = rng.integers(0, 256, (24, 20, 3), np.uint8)
    if kind == "png":
        return [pillow("PNG", one) for one in (grey, deep, colour)]
    if kind == "jpeg":
        return [pillow("JPEG", one, progressive=p) for one in (grey, colour) for p in (False, True)]
    if kind == "tiff":
        kinds = (None, "tiff_lzw", "tiff_adobe_deflate", "packbits")
        return [pillow("TIFF", one, compression=k) for one in (grey, deep, colour) for k in kinds]
    if kind == "dicom":
        with tempfile.TemporaryDirectory() as folder:
            return list(dicom_seeds(Path(folder)))
    if kind in ("nifti", "gzip"):
        from test_hostile_files import nifti

        mask, volume = (nifti(shape, bytes(8 * 6 * 8 * 4)) for shape in ((8, 6), (8, 6, 4)))
        return [one if kind == "nifti" else gzip.compress(one) for one in (mask, volume)]
    if kind == "csv":
        return [
            b"image,label,patient\na.png,0,x\nb.png,1,y\n",
            "sep=;\nimage;label\nä;é\n".encode(),
        ]
    if kind in ("fhir", "report"):
        return list(report_seeds(kind))
    polygon = {"image_id": 1, "id": 1, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]]}
    runs = polygon | {"id": 2, "segmentation": {"size": [20, 24], "counts": [5, 10, 465]}}
    images = [{"id": 1, "file_name": "a.png", "height": 20, "width": 24}]
    content = {"images": images, "annotations": [polygon, runs]}
    return [json.dumps(content | {"categories": [{"id": 1, "name": "x"}]}).encode()]


def report_seeds(kind: str) -> Iterator[bytes]:
    """Clinical reports, in FHIR or as DICOM Structured Reports."""
    import test_reports as made

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seed"
        if kind == "fhir":
            of = {"imagingStudy": made.refer("ImagingStudy/s1")}
            code = made.report(made.TB, **of)
            yield made.bundle(path, made.study("s1", "1.2.3"), code).read_bytes()
            yield made.bundle(path, made.study("s1", accession="A1"), code).read_bytes()
            return
        items = made.item("SCT", made.TB), made.item("SCT", "1", within=[made.item("DCM", "2")])
        yield made.structured(path, *items, evidence=["1.5", "1.6"]).read_bytes()
        yield made.structured(path, items[0]).read_bytes()


def damaged(data: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    """The data with one to eight changes."""
    result = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        size = len(result)
        if size < 8:
            return bytes(result)
        at, length = int(rng.integers(size)), int(min(rng.integers(1, 64), size))
        match int(rng.integers(7)):
            case 0:
                result[at] = int(rng.integers(256))
            case 1:
                result[at] ^= 1 << int(rng.integers(8))
            case 2:
                width = int(rng.choice((1, 2, 4)))
                value = int(rng.choice(INTERESTING)) & ((1 << 8 * width) - 1)
                order = "little" if rng.integers(2) else "big"
                result[at : at + width] = value.to_bytes(width, order)
            case 3:
                del result[at : at + length]
            case 4:
                result[at:at] = result[at : at + length]
            case 5:
                other = others[int(rng.integers(len(others)))]
                start = int(rng.integers(len(other)))
                result[at : at + length] = other[start : start + length]
            case _:
                if rng.integers(4) == 0:
                    del result[at:]
    return bytes(result)


def reading(kind: str) -> Callable[[Path], object]:
    """What reads a file of the format, as imil does."""
    if kind == "csv":
        from imil.data.table import read_data

        return read_data
    if kind == "coco":
        from imil.readers.reading_files import load_readings

        return lambda path: [row.on(Grid(4, 4)) for row in load_readings(path, 0.01)]
    if kind in ("fhir", "report"):
        from test_reports import CODES

        from imil.data.reports.fhir import read_fhir
        from imil.data.reports.structured import read_structured

        read_report = read_fhir if kind == "fhir" else read_structured
        return lambda path: read_report(path, CODES)
    if kind in ("nifti", "gzip"):
        from imil.images.load import load_image
        from imil.images.nifti import load_nifti_mask

        def read_both(path: Path) -> None:
            with contextlib.suppress(DataError):
                load_nifti_mask(path)
            load_image(path.with_name(f"{path.name}#slice=2"))

        return read_both
    from imil.images.dicom_header_values import says_burned_in
    from imil.images.load import image_geometry, image_size, load_image

    def read(path: Path) -> None:
        for one in (image_size, load_image, image_geometry, says_burned_in):
            with contextlib.suppress(DataError):
                one(path)
        load_image(path)

    return read


def try_one(read: Callable[[Path], object], path: Path) -> str:
    """`read`, `refused`, or what is wrong."""
    # of processor time; then the process dies, and its parent knows which file it was
    signal.setitimer(signal.ITIMER_PROF, 2 * SECONDS)
    start = time.process_time()
    try:
        read(path)
        result = "read"
    except DataError as error:
        result = "refused" if "\n" not in str(error) else f"several lines: {error!r}"
    except Exception as error:
        result = f"{type(error).__name__}: {error}"[:300]
    seconds = time.process_time() - start
    return f"took {seconds:.0f} s" if seconds > SECONDS else result


def work(kind: str, seed: int, until: float, path: Path) -> None:
    """Damage and read files until then; a line of JSON for each finding, and one at the end."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    rng, whole, read = np.random.default_rng(seed), seeds(kind), reading(kind)
    counts = {"read": 0, "refused": 0}
    while time.time() < until:
        data = damaged(whole[int(rng.integers(len(whole)))], whole, rng)
        path.write_bytes(data)
        result = try_one(read, path)
        if result in counts:
            counts[result] += 1
        else:
            print(json.dumps({"finding": result, "data": data.hex()}), flush=True)
    print(json.dumps(counts), flush=True)


def fuzz(kind: str, seed: int, minutes: float, keep: Path | None) -> dict[str, object]:
    """How many files were read and refused, and what was found."""
    until = time.time() + 60 * minutes
    total, findings = {"read": 0, "refused": 0}, []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"fuzz{SUFFIXES[kind]}")
        while time.time() < until:
            command = [sys.executable, __file__, "--worker", kind, str(seed), str(until), str(path)]
            environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            for line in done.stdout.splitlines():
                value = json.loads(line)
                if "finding" in value:
                    findings.append((value["finding"], bytes.fromhex(value["data"])))
                else:
                    total = {name: total[name] + value[name] for name in total}
            if done.returncode:
                reason = done.stderr.strip().splitlines()[-1:] or [""]
                findings.append((f"exit {done.returncode} {reason[0]}", path.read_bytes()))
                seed += 1_000_003  # the same seed would end at the same file
    for what in dict.fromkeys(what for what, _ in findings):
        print(f"  {kind}: {what}")
    for number, (_, data) in enumerate(findings):
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{kind}-{number}{SUFFIXES[kind]}").write_bytes(data)
    return {**total, "findings": [what for what, _ in findings]}


def fuzz_by_coverage(kind: str, minutes: float) -> None:
    """Let atheris choose the inputs; ends the process."""
    import atheris

    with atheris.instrument_imports(include=["imil", "pydicom", "nibabel"]):
        read = reading(kind)
    folder = Path(tempfile.mkdtemp())
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(seeds(kind)):
        (corpus / str(number)).write_bytes(data)
    path = folder / f"fuzz{SUFFIXES[kind]}"

    def one(data: bytes) -> None:
        path.write_bytes(data)
        result = try_one(read, path)
        if result not in ("read", "refused"):
            raise RuntimeError(result)

    limits = [f"-max_total_time={int(60 * minutes)}", "-rss_limit_mb=2048", "-max_len=65536"]
    atheris.Setup([sys.argv[0], str(corpus), *limits], one)
    atheris.Fuzz()


def main() -> int:
    if sys.argv[1:2] == ["--worker"]:
        kind, seed, until, path = sys.argv[2:]
        work(kind, int(seed), float(until), Path(path))
        return 0
    parser = benchmark_parser(__doc__, "ten minutes for each format instead of six seconds")
    parser.add_argument("--minutes", type=float, help="for each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=list(SUFFIXES), action="append")
    parser.add_argument("--keep", type=Path, help="folder for the files of findings")
    parser.add_argument("--atheris", action="store_true", help="choose inputs by coverage")
    arguments = parser.parse_args()
    minutes = arguments.minutes or (10 if arguments.full else 0.1)
    results = {}
    for kind in arguments.format or SUFFIXES:
        if arguments.atheris:
            fuzz_by_coverage(kind, minutes)
        results[kind] = found = fuzz(kind, arguments.seed, minutes, arguments.keep)
        print(
            f"{kind:6} {found['read']:>8,} read {found['refused']:>8,} refused "
            f"{len(found['findings'])} findings",
            flush=True,
        )
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1))
    return int(any(found["findings"] for found in results.values()))


if __name__ == "__main__":
    sys.exit(main())
