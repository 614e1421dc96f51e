"""Small files that ask for much memory or time, read in a process that has little of both."""

import gzip
import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import PIL.Image
import pyarrow
import pyarrow.parquet
import pytest
from tiff_writer import DEFLATE, GREY, LZW, RGB, Tiff

from imil.images.budget import MAX_BYTES, MAX_PIXELS

MEMORY = 2 << 30  # bytes of address space, of which libraries take half a gigabyte
SECONDS = 20  # of processor time for each file; what was found took minutes or had no end
READ = """
import resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
from imil.errors import DataError
from imil.data.table_columns import read_columns
from imil.images.load import image_size, load_image
from pathlib import Path
for path in map(Path, sys.argv[2:]):
    start = time.process_time()
    try:
        if path.suffix == ".parquet":
            result = len(read_columns(path, {"image", "label"})[1]["image"])
        else:
            size, image = image_size(path), load_image(path)
            assert size == image.shape[:2]
            result = f"{image.shape} {image.max()}"
    except DataError as error:
        result = str(error)
    print(path.name, f"{time.process_time() - start:.1f}", result, sep="|", flush=True)
"""


def read(*paths):
    """What the reading of each file ended with; checks that none took too long."""
    command = [sys.executable, "-c", READ, str(MEMORY), *map(str, paths)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    results = {}
    for line in done.stdout.splitlines():
        name, seconds, result = line.split("|", 2)
        assert float(seconds) < SECONDS, f"{name} took {seconds} s"
        results[name] = result
    assert list(results) == [path.name for path in paths]
    return results


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, depth, colour, *chunks, data=b"\0" * 1000):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    end = chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + end


def jpeg(**options):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    PIL.Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def jpeg_of_scans(count):
    """A progressive JPEG whose last scan comes so often."""
    data = jpeg(progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + b"\xff\xd9"


def jpeg_of_size(height, width):
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def tiff(*, size=None, tags=(), **options):
    """A TIFF of few pixels, and another size or other values in its directory."""
    pixels = np.zeros((16, 16, options.pop("samples", 1)), np.uint16)
    data = bytearray(Tiff(**options).encode(pixels))
    for tag, value in {**({256: size, 257: size, 278: size} if size else {}), **dict(tags)}.items():
        (at,) = struct.unpack("<I", data[4:8])
        (entries,) = struct.unpack("<H", data[at : at + 2])
        for entry in range(at + 2, at + 2 + 12 * entries, 12):
            if struct.unpack("<H", data[entry : entry + 2])[0] == tag:
                data[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, value)
    return bytes(data)


def tiff_of_directories(count):
    directory = struct.pack("<H", 1) + struct.pack("<HHII", 256, 4, 1, 16)
    size = len(directory) + 4
    parts = [directory + struct.pack("<I", 8 + size * (i + 1)) for i in range(count - 1)]
    return b"II*\0" + struct.pack("<I", 8) + b"".join(parts) + directory + bytes(4)


def deflate_bomb(size):
    """A TIFF of 16×16 pixels, whose strip inflates to so many bytes."""
    data = Tiff(compression=DEFLATE).encode(np.zeros((16, 16, 1), np.uint16))
    packer = zlib.compressobj()
    strip = b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush()
    longer = bytearray(data + strip)
    (at,) = struct.unpack("<I", data[4:8])
    for entry in range(at + 2, at + 2 + 12 * struct.unpack("<H", data[at : at + 2])[0], 12):
        tag = struct.unpack("<H", data[entry : entry + 2])[0]
        value = {273: len(data), 279: len(strip)}.get(tag)
        if value is not None:
            longer[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, value)
    return bytes(longer)


ROWS = f"expected at most {MAX_PIXELS:,}"
BYTES = f"expected at most {MAX_BYTES / 1e6:.0f} MB"


def files():
    """Name -> the file, and a part of what is said of it."""
    return {
        "rgb16-deflate.tif": (
            tiff(size=9800, photometric=RGB, bits=16, samples=3, compression=8),
            BYTES,
        ),
        "rgba16.png": (png(10_000, 10_000, 16, 6), BYTES),
        "pixels.png": (png(2**31 - 1, 2**31 - 1, 8, 0), ROWS),
        "text.png": (png(8, 8, 8, 0, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 27)))), ""),
        "icc.png": (png(8, 8, 8, 0, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 27)))), ""),
        "chunks.png": (png(8, 8, 8, 0, *[chunk(b"tEXt", b"a\0b")] * 50_000), "(8, 8) 0"),
        "inflated.png": (png(8, 8, 8, 0, data=bytes(1 << 27)), "(8, 8) 0"),
        "scans.jpg": (jpeg_of_scans(300), "more than 100 scans"),
        "size.jpg": (jpeg_of_size(65_500, 65_500), ROWS),
        "grey.jpg": (jpeg_of_size(9_900, 10_000), "truncated"),
        "directories.tif": (tiff_of_directories(20_000), "several images"),
        "tile.tif": (tiff(tile=16, tags={322: 1 << 31, 323: 1 << 31}), "damaged"),
        "tile-lzw.tif": (
            tiff(tile=16, compression=LZW, tags={322: 1 << 20, 323: 1 << 20}),
            "damaged",
        ),
        "wide.tif": (tiff(size=2**32 - 1), ROWS),
        "strips.tif": (tiff(size=9_000, tags={278: 1}, photometric=GREY), "damaged"),
        "samples.tif": (tiff(tags={277: 60_000}), "damaged"),
        "strip-bomb.tif": (deflate_bomb(1 << 28), "(16, 16) 0"),
    }


def test_files_that_ask_for_too_much_are_refused_with_little_memory_in_little_time(tmp_path):
    paths, corpus = [], files()
    for name, (data, _) in corpus.items():
        assert len(data) < 4 << 20
        paths.append(tmp_path / name)
        paths[-1].write_bytes(data)
    results = read(*paths)
    for name, (_, expected) in corpus.items():
        assert expected in results[name], name
        assert "not enough memory" not in results[name], name


def test_devices_and_pipes_are_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    paths = [tmp_path / "pipe.png"]
    for device in ("zero", "random", "null", "full"):
        paths.append(tmp_path / f"{device}.png")
        paths[-1].symlink_to(f"/dev/{device}")
    for name, result in read(*paths).items():
        assert "is not a regular file" in result, name


def test_a_parquet_file_of_too_many_rows_or_too_long_cells_is_refused(tmp_path):
    many = pyarrow.table({"image": pyarrow.array(np.zeros(50_000_000, np.int8))})
    pyarrow.parquet.write_table(many, tmp_path / "rows.parquet")
    text = pyarrow.array(["x" * (2 << 20)])
    long = pyarrow.DictionaryArray.from_arrays(np.zeros(1_000_000, np.int32), text)
    pyarrow.parquet.write_table(pyarrow.table({"image": long}), tmp_path / "cells.parquet")
    for path in tmp_path.iterdir():
        assert path.stat().st_size < 4 << 20
    results = read(tmp_path / "rows.parquet", tmp_path / "cells.parquet")
    assert "has 50,000,000 rows: expected at most 5,000,000" in results["rows.parquet"]
    assert "has a cell of more than" in results["cells.parquet"]


@pytest.mark.slow
def test_the_largest_files_that_are_read_fit_into_the_same_memory(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (8, 30_000), np.uint8).tobytes()
    rgb = b"".join(b"\0" + rows[30_000 * (i % 8) :][:30_000] for i in range(10_000))
    (tmp_path / "rgb.png").write_bytes(png(10_000, 10_000, 8, 2, data=rgb))
    deep = b"".join(b"\0" + rows[: 6 * 5_000] for _ in range(10_000))
    (tmp_path / "deep.png").write_bytes(png(5_000, 10_000, 16, 2, data=deep))
    samples = np.broadcast_to(rng.integers(0, 65536, (8, 5_000, 3), np.uint16), (8, 5_000, 3))
    large = np.tile(samples, (1250, 1, 1))
    data = Tiff(RGB, 16, compression=DEFLATE, predictor=True).encode(large)
    (tmp_path / "deep.tif").write_bytes(data)
    results = read(*sorted(tmp_path.iterdir()))
    assert results["rgb.png"].startswith("(10000, 10000, 3)")
    assert results["deep.png"].startswith("(10000, 5000, 3)")
    assert results["deep.tif"].startswith("(10000, 5000, 3)")


def nifti(shape, data=b"", *, bits=64, code=64):
    """A NIfTI file of one file that says it has that size."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, len(shape), *shape, *[1] * (7 - len(shape)))
    struct.pack_into("<hh", header, 70, code, bits)
    struct.pack_into("<8f", header, 76, *[1.0] * 8)
    struct.pack_into("<f", header, 108, 352.0)
    header[344:348] = b"n+1\0"
    return bytes(header) + data


READ_MASK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
from imil.errors import DataError
from imil.images.nifti import load_nifti_mask
from pathlib import Path
for path in map(Path, sys.argv[2:]):
    try:
        print(path.name, load_nifti_mask(path).shape, sep="|")
    except DataError as error:
        print(path.name, error, sep="|")
"""


def test_nifti_masks_that_ask_for_too_much_are_a_sentence(tmp_path):
    pytest.importorskip("nibabel")
    masks = {
        "volume.nii": (nifti((400, 400, 400)), "expected a mask of one slice"),
        "large.nii": (nifti((32767, 32767)), "expected at most"),
        "bomb.nii.gz": (gzip.compress(nifti((30000, 3000), bytes(1 << 28))), "expected at most"),
        "cut.nii": (nifti((64, 64), bytes(100)), "damaged"),
        "negative.nii": (nifti((-4, 64)), ""),
        "text.nii": (b"A" * 1000, "damaged"),
        "good.nii.gz": (gzip.compress(nifti((8, 6), bytes(8 * 6 * 8))), "(6, 8)"),
    }
    for name, (data, _) in masks.items():
        (tmp_path / name).write_bytes(data)
    paths = [str(tmp_path / name) for name in masks]
    command = [sys.executable, "-c", READ_MASK, str(MEMORY), *paths]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    results = dict(line.split("|", 1) for line in done.stdout.splitlines())
    assert list(results) == list(masks)
    for name, (_, expected) in masks.items():
        assert expected in results[name], results[name]
