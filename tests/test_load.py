"""Loading image files: against bytes written by hand, and libraries that `load` does not use."""

import io
import os
import struct
import warnings
import zlib

import numpy as np
import PIL.Image
import pytest
import tifffile

from imil.errors import DataError
from imil.images.load import MAX_PIXELS, image_size, load_image, load_mask

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # PNG colour types
ADAM7 = [
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
]


def random(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(pixels, colour, *, interlaced=False, extra=b""):
    """A PNG written by hand; each row is filtered by `Sub`, so that pixel width matters."""
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    height, width, channels = pixels.shape
    step = channels * pixels.itemsize

    def scanlines(part):
        for row in part.astype(part.dtype.newbyteorder(">")):
            line = np.frombuffer(row.tobytes(), np.uint8)
            yield (
                b"\1" + (line - np.concatenate([np.zeros(step, np.uint8), line[:-step]])).tobytes()
            )

    parts = [pixels[y::dy, x::dx] for y, x, dy, dx in ADAM7] if interlaced else [pixels]
    data = b"".join(line for part in parts if part.size for line in scanlines(part))
    head = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, colour, 0, 0, interlaced)
    body = extra + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body


def saved(path, image, **options):
    image.save(path, **options)
    return path


def written(path, data):
    path.write_bytes(data)
    return path


def check_equal(image, expected):
    assert image.dtype == expected.dtype
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize(
    ("at_least", "times"), [(1, 8), (60, 8), (61, 4), (121, 2), (241, 1), (481, 1)]
)
def test_a_jpeg_may_be_decoded_smaller_averaged_over_boxes_and_upright(tmp_path, at_least, times):
    exif = PIL.Image.Exif()
    exif[274] = 6  # on its side
    coarse = np.kron(random(60, 80) // 2 + 60, np.ones((8, 8), np.uint8))
    path = saved(tmp_path / "a.jpg", PIL.Image.fromarray(coarse), exif=exif, quality=100)
    small = load_image(path, at_least=at_least)
    assert small.shape == (640 // times, 480 // times)
    boxes = load_image(path).reshape(640 // times, times, 480 // times, times).mean(axis=(1, 3))
    np.testing.assert_allclose(small, boxes, atol=2)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("colour", "shape"), [(GREY, (13, 9)), (RGB, (13, 9, 3))])
def test_a_png_is_loaded_bit_for_bit(tmp_path, dtype, interlaced, colour, shape):
    pixels = random(*shape, dtype=dtype)
    path = written(tmp_path / "a.png", png(pixels, colour, interlaced=interlaced))
    check_equal(load_image(path), pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("colour", "channels"), [(GREY_ALPHA, 1), (RGBA, 3)])
def test_transparent_pixels_are_black_and_opaque_ones_unchanged(tmp_path, dtype, colour, channels):
    pixels = random(6, 5, channels + 1, dtype=dtype)
    full = np.iinfo(dtype).max
    pixels[..., -1] = full
    pixels[0, :, -1] = 0
    pixels[1, :, -1] = full // 3
    expected = pixels[..., :-1].astype(float)
    expected[0] = 0
    expected[1] = np.floor(expected[1] / 3 + 0.5)
    path = written(tmp_path / "a.png", png(pixels, colour))
    check_equal(load_image(path), expected.astype(dtype).squeeze())


def test_a_colour_file_whose_channels_are_equal_is_grey(tmp_path):
    for dtype in (np.uint8, np.uint16):
        grey = random(5, 4, dtype=dtype)
        path = written(tmp_path / "a.png", png(np.dstack([grey] * 3), RGB))
        check_equal(load_image(path), grey)


def test_a_palette_becomes_rgb(tmp_path):
    colours = np.array([[0, 0, 0], [255, 128, 0], [1, 2, 3]], np.uint8)
    index = np.array([[0, 1], [2, 1]], np.uint8)
    palette = chunk(b"PLTE", colours.tobytes())
    check_equal(
        load_image(written(tmp_path / "a.png", png(index, PALETTE, extra=palette))), colours[index]
    )
    holes = palette + chunk(b"tRNS", bytes([255, 0, 255]))
    path = written(tmp_path / "b.png", png(index, PALETTE, extra=holes))
    colours[1] = 0
    check_equal(load_image(path), colours[index])


def test_one_bit_becomes_0_and_255(tmp_path):
    bits = random(7, 11) > 127
    for name in ("a.png", "a.tif"):
        path = saved(tmp_path / name, PIL.Image.fromarray(bits))
        check_equal(load_image(path), bits.astype(np.uint8) * 255)


def test_a_jpeg_of_cmyk_becomes_rgb(tmp_path):
    cyan_magenta_yellow_black = PIL.Image.new("CMYK", (16, 8), (255, 0, 0, 0))
    image = load_image(saved(tmp_path / "a.jpg", cyan_magenta_yellow_black, quality=100))
    assert image.shape == (8, 16, 3)
    np.testing.assert_allclose(image[4, 4], [0, 255, 255], atol=3)


def test_a_grey_jpeg_is_grey(tmp_path):
    path = saved(tmp_path / "a.jpg", PIL.Image.new("L", (16, 8), 77))
    check_equal(load_image(path), np.full((8, 16), 77, np.uint8))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(9, 13), (9, 13, 3)])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "options",
    [{}, {"compression": "zlib", "predictor": True}, {"rowsperstrip": 2}, {"bigtiff": True}],
)
def test_a_tiff_is_loaded_bit_for_bit(tmp_path, dtype, shape, order, options):
    pixels = random(*shape, dtype=dtype)
    photometric = "rgb" if len(shape) == 3 else "minisblack"
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, photometric=photometric, byteorder=order, **options
    )
    check_equal(load_image(tmp_path / "a.tif"), pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_of_separate_planes_is_loaded_bit_for_bit(tmp_path, dtype):
    planes = random(3, 9, 13, dtype=dtype)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate")
    check_equal(load_image(tmp_path / "a.tif"), np.moveaxis(planes, 0, 2))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_that_stores_white_as_0_is_inverted(tmp_path, dtype):
    pixels = random(9, 13, dtype=dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite")
    check_equal(load_image(tmp_path / "a.tif"), np.iinfo(dtype).max - pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_in_a_tiff_is_composited_on_black(tmp_path, dtype):
    pixels = random(4, 5, 4, dtype=dtype)
    pixels[..., 3] = np.iinfo(dtype).max
    pixels[0, :, 3] = 0
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=["unassalpha"])
    pixels[0] = 0
    check_equal(load_image(tmp_path / "a.tif"), pixels[..., :3])


def upright(pixels, orientation):
    """By the definition of the standard: where the stored row 0 and column 0 are shown."""
    row, col = {1: "tl", 2: "tr", 3: "br", 4: "bl", 5: "lt", 6: "rt", 7: "rb", 8: "lb"}[orientation]
    if row in "lr":  # the stored rows are shown as columns
        pixels, row, col = pixels.swapaxes(0, 1), col, row
    pixels = pixels[::-1] if row == "b" else pixels
    return pixels[:, ::-1] if col == "r" else pixels


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "16-bit RGB png", "tif", "16-bit RGB tif"])
def test_orientation_is_applied(tmp_path, kind, orientation):
    exif = PIL.Image.Exif()
    exif[274] = orientation
    raw = exif.tobytes().removeprefix(b"Exif\0\0")
    path = tmp_path / f"a.{kind[-3:]}"
    blocks = np.kron(random(2, 3) // 2 + 60, np.ones((8, 8), np.uint8))  # what JPEG keeps
    pixels, close = random(9, 13), 0
    if kind == "jpg":
        pixels, close = blocks, 2
        saved(path, PIL.Image.fromarray(pixels), exif=exif.tobytes(), quality=100)
    elif kind == "png":
        written(path, png(pixels, GREY, extra=chunk(b"eXIf", raw)))
    elif kind == "16-bit RGB png":
        pixels = random(9, 13, 3, dtype=np.uint16)
        written(path, png(pixels, RGB, extra=chunk(b"eXIf", raw)))
    else:
        pixels = random(9, 13, 3, dtype=np.uint16) if "RGB" in kind else pixels
        photometric = "rgb" if "RGB" in kind else "minisblack"
        tag = (274, "H", 1, orientation, True)
        tifffile.imwrite(path, pixels, photometric=photometric, extratags=[tag], metadata=None)
    shown = load_image(path)
    np.testing.assert_allclose(shown.astype(int), upright(pixels, orientation), atol=close)
    assert image_size(path) == shown.shape[:2]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("exif", [b"Exif\0\0nonsense", b"Exif\0\0MM\0*\0\0\0\x08\0\x09", b""])
def test_damaged_exif_is_ignored(tmp_path, exif):
    path = saved(tmp_path / "a.jpg", PIL.Image.new("L", (16, 8), 77), exif=exif)
    check_equal(load_image(path), np.full((8, 16), 77, np.uint8))
    assert image_size(path) == (8, 16)


def test_a_mask_is_true_where_it_is_not_black(tmp_path):
    pixels = np.array([[0, 1], [255, 0]], np.uint8)
    expected = pixels > 0
    for mode in ("L", "RGB"):
        path = saved(tmp_path / "a.png", PIL.Image.fromarray(pixels).convert(mode))
        check_equal(load_mask(path), expected)
    saved(tmp_path / "a.png", PIL.Image.fromarray(expected))
    check_equal(load_mask(tmp_path / "a.png"), expected)
    one_channel = np.zeros((2, 2, 3), np.uint8)
    one_channel[..., 2] = pixels
    check_equal(load_mask(saved(tmp_path / "a.png", PIL.Image.fromarray(one_channel))), expected)


def refusal(path):
    """The error message; checks that it is one line and names the file."""
    with pytest.raises(DataError) as caught:
        load_image(path)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    return sentence


def test_a_missing_file_is_refused(tmp_path):
    assert "does not exist" in refusal(tmp_path / "a.png")
    assert "does not exist" in refusal(written(tmp_path / "file", b"x") / "a.png")


def test_a_folder_an_empty_file_and_a_text_are_refused(tmp_path):
    assert "is a folder" in refusal(tmp_path)
    assert "is empty" in refusal(written(tmp_path / "a.png", b""))
    assert "is not an image" in refusal(written(tmp_path / "b.png", b"patient,finding\n1,TB\n"))
    os.mkfifo(tmp_path / "pipe")
    assert "is not a regular file" in refusal(tmp_path / "pipe")


def test_a_file_without_read_permission_is_refused(guarded):
    path = written(guarded / "a.png", png(random(4, 4), GREY))
    path.chmod(0)
    assert "permission denied" in refusal(path)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.int32, np.uint32, np.int8])
def test_values_other_than_8_or_16_bit_are_refused(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((9, 13), dtype))
    assert "save it as unsigned 8- or 16-bit" in refusal(tmp_path / "a.tif")


def test_nan_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((9, 13), np.nan, np.float32))
    assert "floating-point" in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize("shape", [(4, 9, 13), (4, 9, 13, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_several_pages_are_refused(tmp_path, shape, dtype):
    photometric = "rgb" if len(shape) == 4 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", np.ones(shape, dtype), photometric=photometric)
    assert "several images" in refusal(tmp_path / "a.tif")


def test_a_volume_in_one_page_is_refused(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        random(16, 32, 32),
        photometric="minisblack",
        volumetric=True,
        tile=(16, 16, 16),
    )
    assert "several images" in refusal(tmp_path / "a.tif")


def test_a_decompression_bomb_is_refused_before_it_is_decoded_without_a_warning(tmp_path):
    side = int(MAX_PIXELS**0.5) + 1
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, GREY, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    path = written(tmp_path / "a.png", b"\x89PNG\r\n\x1a\n" + head + data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "at most 100,000,000" in refusal(path)


def test_a_large_image_is_read_without_pillow_s_warning(tmp_path):
    side = 9600  # 92 million: past Pillow's 89
    path = saved(tmp_path / "a.png", PIL.Image.new("1", (side, side)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_image(path).shape == (side, side)


def files(folder):
    """One of every kind, small."""
    grey, colour = random(24, 16), random(24, 16, 3)
    deep, deep_colour = random(24, 16, dtype=np.uint16), random(24, 16, 3, dtype=np.uint16)
    yield written(folder / "grey.png", png(grey, GREY)), grey.shape
    yield written(folder / "colour16.png", png(deep_colour, RGB)), colour.shape
    yield (
        written(folder / "alpha16.png", png(random(24, 16, 2, dtype=np.uint16), GREY_ALPHA)),
        grey.shape,
    )
    yield saved(folder / "grey.jpg", PIL.Image.fromarray(grey)), grey.shape
    yield saved(folder / "steps.jpg", PIL.Image.fromarray(colour), progressive=True), colour.shape
    for name, pixels in {"grey": grey, "deep": deep, "colour16": deep_colour}.items():
        photometric = "rgb" if pixels.ndim == 3 else "minisblack"
        for kind, options in {"raw": {}, "zip": {"compression": "zlib", "rowsperstrip": 5}}.items():
            path = folder / f"{name}-{kind}.tif"
            tifffile.imwrite(path, pixels, photometric=photometric, **options)
            yield path, pixels.shape


@pytest.mark.filterwarnings("ignore")  # of the decoders
def test_a_truncated_file_is_refused_unless_every_pixel_is_present(tmp_path):
    for path, shape in files(tmp_path):
        whole, image = path.read_bytes(), load_image(path)
        assert image.shape == shape
        for cut in range(1, 60):
            short = written(tmp_path / f"cut{path.suffix}", whole[: len(whole) * cut // 60])
            if short.stat().st_size < len(whole) - 20:  # PNG: check sums and the end mark
                refusal(short)
            else:
                check_equal(load_image(short), image) if path.suffix == ".png" else refusal(short)


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_gives_an_image_or_a_data_error(tmp_path):
    rng = np.random.default_rng(0)
    for path, _ in files(tmp_path):
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(60):
            damaged = whole.copy()
            damaged[rng.integers(0, min(len(whole), 400), 3)] = rng.integers(0, 256, 3)
            try:
                image = load_image(written(tmp_path / f"bad{path.suffix}", damaged.tobytes()))
            except DataError:
                continue
            assert image.dtype in (np.uint8, np.uint16)
            assert image.ndim == 2 or image.shape[2:] == (3,)


def test_the_size_comes_from_the_header_alone(tmp_path):
    whole = png(random(40, 30), GREY)
    assert image_size(written(tmp_path / "a.png", whole[:60])) == (40, 30)
    buffer = io.BytesIO()
    PIL.Image.fromarray(random(40, 30)).save(buffer, "JPEG")
    assert image_size(written(tmp_path / "a.jpg", buffer.getvalue()[:400])) == (40, 30)
    with pytest.raises(DataError, match="is not an image"):
        image_size(written(tmp_path / "b.png", b"text"))
