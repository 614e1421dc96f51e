"""Pixels of every kind of file: each is written here by hand, and its pixels are known."""

import itertools
import struct
import zlib

import numpy as np
import PIL.Image
import pytest
from tiff_writer import (
    CMYK,
    DEFLATE,
    GREY,
    GREY_WHITE_IS_0,
    LZW,
    NONE,
    OLD_DEFLATE,
    PACKBITS,
    PALETTE,
    RGB,
    SHORT,
    Tiff,
)

from imil.images.load import image_size, load_image

HEIGHT, WIDTH = 21, 13
ASSOCIATED, UNASSOCIATED = 1, 2
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
ADAM7.append((1, 0, 2, 1))


def random(*shape, bits=8, seed=0):
    return np.random.default_rng(seed).integers(0, 2**bits, shape, np.uint16)


def shown(colours, bits, alpha=None):
    """The pixels that a person is to see, of colours (H, W, C) with that many bits."""
    top = 2**bits - 1
    values = colours.astype(float) * (255 / top if bits < 8 else 1)
    if alpha is not None:
        values = np.floor(values * (alpha / top)[..., None] + 0.5)
    image = np.rint(values).astype(np.uint8 if bits <= 8 else np.uint16)
    if image.shape[2] == 3 and (image == image[..., :1]).all():
        image = image[..., :1]
    return image.squeeze(2) if image.shape[2] == 1 else image


def upright(pixels, orientation):
    """By the definition of the standard: where the stored row 0 and column 0 are shown."""
    row, col = {1: "tl", 2: "tr", 3: "br", 4: "bl", 5: "lt", 6: "rt", 7: "rb", 8: "lb"}[orientation]
    if row in "lr":
        pixels, row, col = pixels.swapaxes(0, 1), col, row
    pixels = pixels[::-1] if row == "b" else pixels
    return pixels[:, ::-1] if col == "r" else pixels


def check_equal(image, expected, of=""):
    assert image.dtype == expected.dtype, of
    np.testing.assert_array_equal(image, expected, err_msg=str(of))


def tiff_kinds():
    """Photometric interpretation, bits and extra samples that make sense together."""
    alphas = [(), (ASSOCIATED,), (UNASSOCIATED,)]
    for kind, extra in itertools.product([GREY_WHITE_IS_0, GREY, RGB], alphas):
        for bits in (1, 2, 4, 8, 12, 16):
            if bits in (8, 16) or not extra:
                yield kind, bits, extra
    yield from ((PALETTE, bits, ()) for bits in (1, 2, 4, 8))
    yield CMYK, 8, ()


def tiff_case(kind, bits, extra, orientation, seed):
    """Samples (H, W, S), further tags, and the pixels that they are."""
    count = {GREY_WHITE_IS_0: 1, GREY: 1, RGB: 3, PALETTE: 1, CMYK: 4}[kind]
    samples = random(HEIGHT, WIDTH, count + len(extra), bits=bits, seed=seed)
    colours, top = samples[..., :count], 2**bits - 1
    more = ()
    if kind == PALETTE:
        table = random(3, 2**bits, bits=8, seed=seed + 1)
        more = ((320, SHORT, tuple(int(value) * 257 for value in table.ravel())),)
        expected = shown(table.T[colours[..., 0]], 8)
    elif kind == CMYK:
        ink, key = 255 - colours[..., :3].astype(float), 255 - colours[..., 3:].astype(float)
        expected = np.rint(ink * key / 255)
    else:
        colours = top - colours if kind == GREY_WHITE_IS_0 else colours
        expected = shown(colours, bits, samples[..., -1] if extra == (UNASSOCIATED,) else None)
    return samples, more, upright(expected, orientation)


def tiff_combinations():
    rng = np.random.default_rng(0)
    layouts = [(0, 0), (4, 0), (0, 16)]  # rows of a strip, side of a tile
    compressions = (NONE, LZW, DEFLATE, OLD_DEFLATE, PACKBITS)
    options = [tiff_kinds(), compressions, *[(False, True)] * 3, "<>"]
    for i, ((kind, bits, extra), compression, predictor, separate, big, order) in enumerate(
        itertools.product(*options)
    ):
        if predictor and (compression == NONE or bits not in (8, 16)):
            continue
        rows, tile = layouts[rng.integers(3)]
        yield (
            i,
            Tiff(
                kind,
                bits,
                extra,
                separate and (kind in (RGB, CMYK) or bool(extra)),
                order,
                compression,
                predictor,
                tile,
                rows,
                big,
                bool(rng.integers(2)),
                int(rng.integers(1, 9)),
            ),
        )


def check_tiff(path, i, tiff):
    samples, more, expected = tiff_case(
        tiff.photometric, tiff.bits, tiff.extra, tiff.orientation, i
    )
    written = Tiff(**(vars(tiff) | {"more": more}))
    path.write_bytes(written.encode(samples))
    image = load_image(path)
    if tiff.photometric == CMYK:
        assert np.abs(image.astype(float) - expected).max() <= 1, tiff
    elif tiff.extra == (ASSOCIATED,) and image.ndim == 2 and expected.ndim == 3:
        check_equal(image, expected[..., 0], tiff)
    else:
        check_equal(image, expected, tiff)
    assert image_size(path) == image.shape[:2], tiff


def test_every_tiff_is_read_as_it_was_written(tmp_path):
    for i, tiff in list(tiff_combinations())[::5]:
        check_tiff(tmp_path / "a.tif", i, tiff)


@pytest.mark.slow
def test_every_combination_of_tiff_is_read_as_it_was_written(tmp_path):
    for i, tiff in tiff_combinations():
        check_tiff(tmp_path / "a.tif", i, tiff)


def png(samples, depth, colour, *, interlaced=False, extra=b""):
    """A PNG written by hand, of samples (H, W, S)."""

    def lines(part):
        flat = part.reshape(len(part), -1)
        if depth == 16:
            packed = flat.astype(">u2").view(np.uint8)
        else:
            ones = np.unpackbits(flat.astype(np.uint8)[..., None], axis=2)[..., 8 - depth :]
            packed = np.packbits(ones.reshape(len(flat), -1), axis=1)
        return b"".join(b"\0" + row.tobytes() for row in packed)

    height, width = samples.shape[:2]
    parts = [samples[y::dy, x::dx] for y, x, dy, dx in ADAM7] if interlaced else [samples]
    data = zlib.compress(b"".join(lines(part) for part in parts if part.size))
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    body = extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_combinations():
    for colour, depths in PNG_DEPTHS.items():
        clear = (False, True) if colour in (0, 2, 3) else (False,)
        yield from itertools.product([colour], depths, [False, True], clear, [1, 6, 7])


@pytest.mark.parametrize(
    ("colour", "depth", "interlaced", "clear", "turn"), list(png_combinations())
)
def test_every_png_is_read_as_it_was_written(tmp_path, colour, depth, interlaced, clear, turn):
    samples = random(HEIGHT, WIDTH, PNG_CHANNELS[colour], bits=depth)
    exif = PIL.Image.Exif()
    exif[274] = turn
    extra = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    alpha = samples[..., -1] if colour in (4, 6) else None
    colours = samples[..., :-1] if colour in (4, 6) else samples
    if colour == 3:
        table = random(2**depth, 3, seed=1).astype(np.uint8)
        extra += chunk(b"PLTE", table.tobytes())
        extra += chunk(b"tRNS", b"\0") if clear else b""
        table[0] = 0 if clear else table[0]
        expected = shown(table[samples[..., 0]], 8)
    else:
        clear_value = tuple(int(value) for value in samples[3, 5])
        high = 0 if depth == 16 else 1 << 12  # bits above the depth are ignored: PNG 1.2, 4.2.9
        extra += (
            chunk(b"tRNS", struct.pack(f">{len(clear_value)}H", *(v | high for v in clear_value)))
            if clear
            else b""
        )
        kept = ~(samples == clear_value).all(axis=2, keepdims=True) if clear else 1
        expected = shown(colours * kept, depth, alpha)
    path = tmp_path / "a.png"
    path.write_bytes(png(samples, depth, colour, interlaced=interlaced, extra=extra))
    check_equal(load_image(path), upright(expected, turn))


JPEG_KINDS = ("L", "RGB", "CMYK")


def jpeg_combinations():
    options = [JPEG_KINDS, (0, 2), (False, True), (0, 1), (1, 3, 6)]
    yield from itertools.product(*options)


@pytest.mark.parametrize(
    ("mode", "subsampling", "steps", "restart", "turn"), list(jpeg_combinations())
)
def test_every_jpeg_is_read_as_it_was_written(tmp_path, mode, subsampling, steps, restart, turn):
    y, x = np.mgrid[0:40, 0:56] / 56
    smooth = np.stack([60 + 150 * x, 200 - 120 * y, 90 + 80 * x * y, 20 * x], axis=2)
    stored = smooth.round().astype(np.uint8)[..., : {"L": 1, "RGB": 3, "CMYK": 4}[mode]]
    exif = PIL.Image.Exif()
    exif[274] = turn
    image = PIL.Image.frombytes(mode, (56, 40), stored.tobytes())
    options = {"restart_marker_rows": restart} if restart else {}
    image.save(
        tmp_path / "a.jpg",
        quality=98,
        subsampling=subsampling,
        progressive=steps,
        exif=exif,
        **options,
    )
    expected = stored.astype(float)
    if mode == "CMYK":
        expected = (255 - expected[..., :3]) * (255 - expected[..., 3:]) / 255
    result = load_image(tmp_path / "a.jpg")
    check_close = np.abs(result - upright(expected.squeeze(), turn)).max()
    assert check_close <= 6
    assert image_size(tmp_path / "a.jpg") == result.shape[:2]
