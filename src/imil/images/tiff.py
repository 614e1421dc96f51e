"""TIFF files: what is read is checked in the header, and everything else is refused by its name."""

from __future__ import annotations

from typing import IO

import numpy as np
import PIL.Image
from PIL.TiffImagePlugin import TiffImageFile

from imil.cases import Image
from imil.errors import DataError
from imil.images import tiff_header as tags
from imil.images.budget import check_budget
from imil.images.pixel_operations import Pixels, apply_orientation, composite_on_black, invert
from imil.images.tiff_header import TiffHeader
from imil.images.tiff_samples import COMPRESSIONS, DEPTHS, Samples, read_samples

SAVE_AS = "save it as unsigned 8- or 16-bit grey or RGB"
SAVE_PLAIN = "save it without compression, or with deflate (ZIP)"
SEVERAL = "contains several images: save each in a file of its own"
# of samples that are colours: TIFF 6.0, PhotometricInterpretation
WHITE_IS_0, BLACK_IS_0, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
COLOURS = {WHITE_IS_0: 1, BLACK_IS_0: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3}
COLOUR_NAMES = {4: "a transparency mask", 8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*"}
COLOUR_NAMES |= {32803: "a colour filter array", 32844: "LogL", 32845: "LogLuv", 34892: "raw"}
ASSOCIATED, UNASSOCIATED = 1, 2  # ExtraSamples: alpha that the colours are multiplied by, or not
# Pillow decodes these, to 1 or 8 bits
BY_PILLOW = {2: "CCITT", 3: "CCITT fax 3", 4: "CCITT fax 4", 6: "old JPEG", 7: "JPEG"}
OTHER_COMPRESSIONS = {33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 34887: "LERC"}
OTHER_COMPRESSIONS |= {22610: "JPEG XR", 34934: "JPEG XR", 50002: "JPEG XL", 52546: "JPEG XL"}
OTHER_COMPRESSIONS |= {32766: "NeXT", 32771: "word-aligned", 32809: "ThunderScan", 34676: "SGILog"}


def read_tiff(file: IO[bytes]) -> Image:
    """The only image of a TIFF, (H, W) or (H, W, 3), turned upright.

    Raises: DataError: it is not an image of unsigned values of at most 8 bits or of 16, or too
        large, or damaged.
    """
    header = checked_header(file)
    if header.number(tags.COMPRESSION, 1) in COMPRESSIONS:
        budget = check_tiff_budget(header)
        pixels = _grey_or_rgb(read_samples(file, header, budget), header)
        return apply_orientation(pixels, header.orientation)
    return _by_pillow(file, header)


def checked_header(file: IO[bytes]) -> TiffHeader:
    """The header of a TIFF that can be read.

    Raises: DataError: it cannot, and why.
    """
    header = tags.read_header(file)
    if header.frames() > 1:
        raise DataError(SEVERAL)
    kinds = set(header.numbers(tags.FORMAT, (1,), most=tags.MOST_TAGS))
    if kinds - {1, 4}:  # unsigned, undefined
        raise DataError(f"contains signed or floating-point values: {SAVE_AS}")
    colours = header.number(tags.PHOTOMETRIC)
    if colours not in COLOURS:
        name = COLOUR_NAMES.get(colours, f"of photometric interpretation {colours}")
        raise DataError(f"is {name}, neither grey nor RGB: {SAVE_AS}")
    if header.bits not in DEPTHS:
        raise DataError(f"contains {header.bits}-bit values: {SAVE_AS}")
    if header.number(tags.SAMPLES, 1) < COLOURS[colours]:
        raise DataError(f"is damaged: {header.number(tags.SAMPLES, 1)} samples are no colour")
    _check_compression(header, colours)
    check_tiff_budget(header)
    return header


def check_tiff_budget(header: TiffHeader) -> int:
    """The bytes that a decoded file may have.

    Raises: DataError: this one has more.
    """
    return check_budget(
        header.number(tags.HEIGHT),
        header.number(tags.WIDTH),
        header.number(tags.SAMPLES, 1) * (2 if header.bits > 8 else 1),
    )


def _check_compression(header: TiffHeader, colours: int) -> None:
    """Raises: DataError: it cannot be decoded at its full depth."""
    kind, predictor = header.number(tags.COMPRESSION, 1), header.number(tags.PREDICTOR, 1)
    if kind in COMPRESSIONS:
        if colours == YCBCR:
            raise DataError(f"contains YCbCr values: {SAVE_AS}")
        if predictor not in (1, 2) or (predictor == 2 and header.bits not in (8, 16)):
            raise DataError(f"has predictor {predictor} of {header.bits}-bit values: {SAVE_PLAIN}")
        return
    if kind not in BY_PILLOW:
        other = OTHER_COMPRESSIONS.get(kind, f"number {kind}")
        raise DataError(f"has a compression that is not supported ({other}): {SAVE_PLAIN}")
    if header.bits > 8:
        raise DataError(f"is a {header.bits}-bit {BY_PILLOW[kind]} in a TIFF: {SAVE_PLAIN}")


def _by_pillow(file: IO[bytes], header: TiffHeader) -> Image:
    """What Pillow decodes of a compressed TIFF, which it turns upright itself."""
    name = BY_PILLOW[header.number(tags.COMPRESSION)]
    file.seek(0)
    try:
        image = TiffImageFile(file)
    except (SyntaxError, KeyError):
        raise DataError(f"is a {name} in a TIFF of a kind not supported: {SAVE_PLAIN}") from None
    image.load()
    if image.mode == "1":
        return np.array(image).astype(np.uint8) * np.uint8(255)
    if image.mode in ("L", "RGB"):  # Pillow has inverted what stores white as 0
        return np.array(image)
    if image.mode in ("CMYK", "YCbCr"):
        return np.array(image.convert("RGB"))
    raise DataError(f"contains {image.mode} values, compressed by {name}: {SAVE_PLAIN}")


def _grey_or_rgb(samples: Samples, header: TiffHeader) -> Pixels:
    """Grey or RGB from the samples; only alpha that is declared counts."""
    kind, bits = header.number(tags.PHOTOMETRIC), header.bits
    if kind == PALETTE:
        return _colours_of_palette(samples, header)
    if bits < 8:
        samples = samples * np.uint8(255 // (2**bits - 1))
    if kind == WHITE_IS_0:
        top = max(bits, 8)
        samples = np.dstack([invert(samples[..., :1], top), samples[..., 1:]])
    pixels = _without_extra(samples, COLOURS[kind], header)
    if kind == CMYK:
        if pixels.dtype != np.uint8:
            raise DataError(f"contains 16-bit CMYK values: {SAVE_AS}")
        image = PIL.Image.frombytes("CMYK", pixels.shape[1::-1], pixels.tobytes())
        return np.array(image.convert("RGB"))
    return pixels


def _without_extra(samples: Samples, colours: int, header: TiffHeader) -> Pixels:
    """The colours, over black where they have alpha; (H, W) of a single one.

    Raises: DataError: a further sample is not declared, and would change what is seen.
    """
    extra = header.numbers(tags.EXTRA, ())
    count = samples.shape[2] - colours
    extra = (extra + [0] * count)[:count]
    for i, meaning in enumerate(extra):
        values = samples[..., colours + i]
        if meaning not in (ASSOCIATED, UNASSOCIATED) and (values != values.flat[0]).any():
            raise DataError(
                f"has {samples.shape[2]} samples a pixel, and sample {colours + i + 1} is not "
                "declared to be alpha: save it as grey or RGB, with or without alpha"
            )
    shown = samples[..., :colours]
    if UNASSOCIATED in extra:
        alpha = samples[..., [colours + extra.index(UNASSOCIATED)]]
        return composite_on_black(np.concatenate([shown, alpha], axis=2))
    return shown[..., 0] if colours == 1 else shown


def _colours_of_palette(samples: Samples, header: TiffHeader) -> Pixels:
    table = header.numbers(tags.COLOUR_MAP, (), most=3 << 16)
    if header.bits > 8 or len(table) != 3 * 2**header.bits or samples.shape[2] != 1:
        raise DataError(f"has a palette of {len(table)} values for {header.bits} bits: {SAVE_AS}")
    colours = np.array(table).reshape(3, -1).T
    if colours.max() > 255:  # but for some writers, who store 8 bits
        colours = colours >> 8
    return colours.astype(np.uint8)[samples[..., 0]]
