"""DICOM files that ask for much memory or time, or lie: one sentence, in a process with little."""

import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

from dicom_writer import make_dicom  # noqa: E402 - it needs pydicom
from pydicom.encaps import encapsulate  # noqa: E402
from pydicom.uid import (  # noqa: E402
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)
from test_hostile_files import jpeg_of_size, read  # noqa: E402

PIXELS = np.arange(400, dtype=np.uint16).reshape(20, 20)
UNDEFINED = 0xFFFFFFFF


def element(group, number, vr, data, length=None):
    """An element in explicit VR, little endian; its length may be a lie."""
    head = struct.pack("<HH", group, number) + vr
    size = len(data) if length is None else length
    long = vr in (b"OB", b"OW", b"SQ", b"UN", b"UT")
    return head + (struct.pack("<HI", 0, size) if long else struct.pack("<H", size)) + data


def with_pixels(path, data, syntax, **tags):
    """A file whose pixel data are these bytes."""
    make_dicom(path, PIXELS, **tags)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset["PixelData"].VR = "OB"
    dataset.PixelData = data
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, enforce_file_format=True)
    return path


def inserted(path, more):
    """A file with elements of group 0x0009 between its header and its pixels."""
    make_dicom(path, PIXELS)
    data = path.read_bytes()
    at = data.index(struct.pack("<HH", 0x0028, 0x0002))
    path.write_bytes(data[:at] + more + data[at:])
    return path


def nested(depth):
    """A private sequence within itself so many times."""
    start = struct.pack("<HH2sHI", 0x0009, 0x1001, b"SQ", 0, UNDEFINED)
    start += struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return start * depth + end * depth


def deflated(path, size):
    make_dicom(path, PIXELS)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    data = path.read_bytes()
    (length,) = struct.unpack("<I", data[140:144])
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = element(0x0009, 0x1001, b"UN", b"", size)
    body = packer.compress(zeros)
    body += b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush()
    path.write_bytes(data[: 144 + length] + body)
    return path


def rle(path, run):
    """One segment of runs that decode to more than the frame."""
    frame = struct.pack("<16I", 2, 64, 64 + len(run), *[0] * 13) + run + run
    return with_pixels(path, encapsulate([frame]), RLELossless)


def j2k(height, width):
    """The head of a JPEG 2000 code stream of that size, and its end."""
    size = struct.pack(">HIIIIIIII", 0, width, height, 0, 0, width, height, 0, 0)
    siz = b"\xff\x51" + struct.pack(">H", 41) + size + struct.pack(">HBBB", 1, 15, 1, 1)
    return b"\xff\x4f" + siz + b"\xff\xd9"


def corpus(folder):
    """File -> a part of what is said of it; None: it is an image."""
    big = {"Rows": 65535, "Columns": 65535}
    many = b"".join(
        element(0x0009 + 2 * (i // 60000), 0x1000 + i % 60000, b"LO", b"x" * 8)
        for i in range(100_000)
    )
    make = {
        "rows": (lambda p: make_dicom(p, PIXELS, **big), "expected at most 100,000,000"),
        "frames": (lambda p: make_dicom(p, PIXELS, frames=2**31 - 1), "frames: name the one"),
        "negative-frames": (
            lambda p: make_dicom(p, PIXELS, frames=-5),
            "damaged: it has -5 frames",
        ),
        "no-rows": (lambda p: make_dicom(p, PIXELS, Rows=0), "0 × 20 pixels"),
        "samples": (lambda p: make_dicom(p, PIXELS, SamplesPerPixel=60000), "samples"),
        "bits": (lambda p: make_dicom(p, PIXELS, BitsAllocated=65528), "has pixels of"),
        "high-bit": (lambda p: make_dicom(p, PIXELS, HighBit=60000), "damaged"),
        "photometric": (
            lambda p: replaced(p, b"MONOCHROME2", b"\x1b[31mNAMED\n"),
            "photometric interpretation",
        ),
        "window": (
            lambda p: make_dicom(p, PIXELS, WindowCenter="1e308", WindowWidth="1e308"),
            None,
        ),
        "slope": (
            lambda p: make_dicom(p, PIXELS, RescaleSlope="1e308", RescaleIntercept="0"),
            None,
        ),
        "nested": (lambda p: inserted(p, nested(50_000)), "damaged"),
        "elements": (lambda p: inserted(p, many), None),
        "length": (
            lambda p: inserted(p, element(0x0009, 0x1001, b"UN", b"x", UNDEFINED - 1)),
            "without an image",
        ),
        "text": (lambda p: inserted(p, element(0x0009, 0x1001, b"UT", b"A" * 3_000_000)), None),
        "bomb": (lambda p: deflated(p, 1 << 30), "inflates to more than 384 MB"),
        "rle-bomb": (lambda p: rle(p, b"\x81\xff" * 500_000), "damaged"),
        "rle-empty": (lambda p: rle(p, b""), "truncated or damaged"),
        "jpeg": (
            lambda p: with_pixels(
                p,
                encapsulate([jpeg_of_size(65_500, 65_500)]),
                JPEGBaseline8Bit,
                BitsAllocated=8,
                BitsStored=8,
                HighBit=7,
            ),
            "has 65500 × 65500 pixels",
        ),
        "j2k": (
            lambda p: with_pixels(p, encapsulate([j2k(2**31, 2**31)]), JPEG2000Lossless),
            "has 2147483648 × 2147483648 pixels",
        ),
        "j2k-empty": (
            lambda p: with_pixels(p, encapsulate([j2k(20, 20)]), JPEG2000Lossless),
            "cannot be decoded",
        ),
        "fragments": (
            lambda p: with_pixels(p, b"\xfe\xff\x00\xe0\xff\xff\xff\x7f" * 100, RLELossless),
            "damaged",
        ),
        "no-pixels": (lambda p: with_pixels(p, encapsulate([b"\0\0"]), RLELossless), "damaged"),
        "jls-bits": (jls_of_24_bits, "has 24 bits, its header says 16"),
        "padding": (lambda p: make_dicom(p, PIXELS, PixelPaddingValue=7), None),
        "syntax": (
            lambda p: replaced(p, b"1.2.840.10008.1.2.1\0", b"1.2.3" + b".4" * 7 + b"\0"),
            "not read",
        ),
    }
    files = {}
    for name, (write, expected) in make.items():
        path = folder / f"{name}.dcm"
        write(path)
        assert path.stat().st_size < 4 << 20, name
        files[path] = expected
    return files


def jls_of_24_bits(path):
    """A JPEG-LS that GDCM ends the process at."""
    dataset = pydicom.dcmread(make_dicom(path, PIXELS))
    dataset.compress(JPEGLSLossless)
    dataset.save_as(path)
    data, start = path.read_bytes(), b"\xff\xf7\x00\x0b"
    assert start + b"\x10" in data
    path.write_bytes(data.replace(start + b"\x10", start + b"\x18"))
    return path


def replaced(path, old, new):
    """A file in which the first of these bytes are others, just as many."""
    make_dicom(path, PIXELS)
    data = path.read_bytes()
    assert old in data
    assert len(old) == len(new)
    path.write_bytes(data.replace(old, new, 1))
    return path


@pytest.mark.slow  # as many processes as files
def test_dicom_files_that_ask_for_too_much_are_a_sentence_in_little_memory(tmp_path):
    files = corpus(tmp_path)
    results = read(*files)
    wrong = {
        path.name: results[path.name]
        for path, expected in files.items()
        if (expected or "(20, 20) ") not in results[path.name]
    }
    assert wrong == {}
    for result in results.values():
        assert "\n" not in result
        assert "\x1b" not in result
        assert len(result) < 400


@pytest.mark.parametrize("kind", ["native", "rle"])
def test_every_cut_of_a_file_is_a_sentence(tmp_path, kind):
    path = make_dicom(tmp_path / "a.dcm", PIXELS)
    if kind == "rle":
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless)
        dataset.save_as(path)
    data = path.read_bytes()
    from imil.errors import DataError
    from imil.images.load import image_geometry, image_size, load_image

    for end in range(132, len(data) - 1, 7):
        path.write_bytes(data[:end])
        with pytest.raises(DataError) as error:
            load_image(path)
        assert "\n" not in str(error.value)
        for ask in (image_size, image_geometry):
            with suppress(DataError):  # anything else fails the test
                ask(path)
