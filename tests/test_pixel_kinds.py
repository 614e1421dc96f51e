"""Files that would be read as another picture, or are called damaged and are not."""

import io
import struct

import numpy as np
import PIL.Image
import pytest
import tifffile
from tiff_writer import GREY, RGB, SHORT, Tiff

from imil.errors import DataError
from imil.images.load import image_size, load_image


def random(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def refusal(path):
    """The error message; checks that it is one line, names the file, and does not say damaged."""
    with pytest.raises(DataError) as caught:
        load_image(path)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    return sentence


def written(path, data):
    path.write_bytes(data)
    return path


STACKS = {
    "ImageJ": {"imagej": True, "truncate": True},
    "tifffile": {"truncate": True, "photometric": "minisblack"},
    "OME": {"ome": True, "truncate": False, "photometric": "minisblack"},
}


@pytest.mark.parametrize("kind", STACKS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_stack_is_refused_however_its_slices_are_listed(tmp_path, kind, dtype):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, random(5, 32, 24, dtype=dtype), **STACKS[kind])
    assert "contains several images" in refusal(path)
    with pytest.raises(DataError, match="contains several images"):
        image_size(path)


def test_a_stack_of_metamorph_is_refused(tmp_path):
    planes = (33629, 4, (0,) * 6)
    data = Tiff(more=(planes,)).encode(random(9, 7, 1))
    assert "contains several images" in refusal(written(tmp_path / "a.tif", data))


def test_a_single_image_of_imagej_and_ome_is_read(tmp_path):
    pixels = random(32, 24, dtype=np.uint16)
    for options in ({"imagej": True}, {"ome": True}, {"metadata": {"axes": "YX"}}):
        tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
        np.testing.assert_array_equal(load_image(tmp_path / "a.tif"), pixels)


@pytest.mark.parametrize("kind", [GREY, RGB])
def test_a_sample_that_is_not_declared_is_refused_unless_it_is_the_same_everywhere(tmp_path, kind):
    samples = random(9, 7, {GREY: 2, RGB: 4}[kind]).astype(np.uint16)
    for extra in ((), (0,)):
        path = written(tmp_path / "a.tif", Tiff(kind, extra=extra).encode(samples))
        assert "not declared to be alpha" in refusal(path)
    samples[..., -1] = 255
    path = written(tmp_path / "a.tif", Tiff(kind).encode(samples))
    np.testing.assert_array_equal(load_image(path), samples[..., :-1].squeeze())


def jpeg(pixels, **options):
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def smooth(height, width, channels):
    y, x = np.mgrid[0:height, 0:width]
    planes = [(40 + x + y * (i + 1)) % 200 for i in range(channels)]
    return np.stack(planes, axis=2).squeeze().astype(np.uint8)


JPEGS = {
    "grey": (smooth(96, 80, 1), {}),
    "colour": (smooth(96, 80, 3), {}),
    "subsampled": (smooth(96, 80, 3), {"subsampling": 2}),
    "restarts": (smooth(96, 80, 1), {"restart_marker_rows": 2}),
    "progressive": (smooth(96, 80, 3), {"progressive": True}),
    "progressive grey": (smooth(96, 80, 1), {"progressive": True}),
}


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_that_was_cut_short_and_closed_is_refused(tmp_path, kind):
    pixels, options = JPEGS[kind]
    whole = jpeg(pixels, **options)
    image = load_image(written(tmp_path / "whole.jpg", whole)).astype(int)
    start = whole.index(b"\xff\xda") + 14
    read = []
    for cut in range(start, len(whole) - 2, 7):
        path = written(tmp_path / "a.jpg", whole[:cut] + b"\xff\xd9")
        try:
            differs = load_image(path) != image
            load_image(path, at_least=10)
        except DataError:
            continue
        read.append(cut)
        # the last block, and what is interpolated beside it
        assert not differs[:-17].any()
        assert not differs[:, :-17].any()
    assert len(read) < 15
    assert min(read, default=cut) > start + 0.9 * (len(whole) - start)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("value", [126, 127, 128, 129])
@pytest.mark.parametrize("steps", [False, True])
def test_a_whole_jpeg_of_a_middle_grey_is_read(tmp_path, mode, value, steps):
    size = 1 if mode == "L" else len(mode)
    image = PIL.Image.new(mode, (37, 29), value if size == 1 else (value,) * size)
    image.save(tmp_path / "a.jpg", progressive=steps)
    assert load_image(tmp_path / "a.jpg").shape[:2] == (29, 37)
    assert load_image(tmp_path / "a.jpg", at_least=5).size


def with_frame(marker, bits):
    data = bytearray(jpeg(smooth(16, 16, 1)))
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4] = marker, bits
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (with_frame(0xC1, 12), "is a 12-bit JPEG"),
        (with_frame(0xC3, 8), "is a lossless JPEG"),
        (with_frame(0xC3, 16), "is a lossless JPEG"),
        (with_frame(0xF7, 8), "is a JPEG-LS"),
        (with_frame(0xC5, 8), "is a hierarchical JPEG"),
        (b"\0" * 128 + b"DICM" + b"\0" * 99, "is a DICOM file"),
        (b"BM" + bytes(60), "is a BMP image"),
        (b"GIF89a" + bytes(60), "is a GIF image"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "is a WebP image"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "is a JPEG 2000 image"),
        (b"P5\n2 2\n255\n1234", "is a PNM image"),
        (b"\x1f\x8b\x08" + bytes(20), "is a gzip archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "has not been fetched"),
        (Tiff(4).encode(random(9, 7, 1)), "is a transparency mask"),
        (Tiff(8).encode(random(9, 7, 3)), r"is CIE L\*a\*b\*"),
        (Tiff(compression=34712).encode(random(9, 7, 1)), "not supported .JPEG 2000."),
        (Tiff(compression=7, bits=12).encode(random(9, 7, 1)), "is a 12-bit JPEG in a TIFF"),
        (Tiff(more=((339, SHORT, (3,)),), bits=16).encode(random(9, 7, 1)), "floating-point"),
        (Tiff(bits=6).encode(random(9, 7, 1) // 4), "contains 6-bit values"),
        (Tiff(5, 16).encode(random(9, 7, 4).astype(np.uint16)), "16-bit CMYK"),
    ],
)
def test_a_whole_file_that_cannot_be_read_says_what_it_is(tmp_path, data, message):
    path = written(tmp_path / "a.tif", data)
    with pytest.raises(DataError, match=message):
        load_image(path)
    assert "damaged" not in refusal(path)


def test_a_tiff_with_another_directory_is_refused_at_once(tmp_path):
    data = bytearray(Tiff().encode(random(9, 7, 1)))
    (first,) = struct.unpack("<I", data[4:8])
    (entries,) = struct.unpack("<H", data[first : first + 2])
    at = first + 2 + 12 * entries
    data[at : at + 4] = struct.pack("<I", first)  # itself: an endless chain
    assert "contains several images" in refusal(written(tmp_path / "a.tif", bytes(data)))
