"""A frame of a DICOM file to grey or RGB, as a viewer shows it.

pydicom is loaded when the first one comes. Only the tags of `TAGS` are read: nothing that
names a patient is in memory, in messages or in logs. The pixels are never mirrored or turned.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from imil.cases import Image
from imil.errors import DataError
from imil.geometry import Geometry
from imil.images.budget import check_budget, decoding
from imil.images.dicom_file import INSTALL, errors_without_text, read_tags
from imil.images.dicom_frame import check_frame
from imil.images.dicom_geometry import TAGS as GEOMETRY
from imil.images.dicom_geometry import geometry_of
from imil.images.dicom_grey import displayed, modality_values
from imil.images.dicom_groups import GROUPS, of_frame
from imil.images.file_parts import FilePart

GREY, PALETTE = ("MONOCHROME1", "MONOCHROME2"), "PALETTE COLOR"
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT")
# what decides about pixels, and nothing else
TAGS = [
    *("SOPClassUID", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration"),
    *("NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("ModalityLUTSequence", "RescaleIntercept", "RescaleSlope"),
    *("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in ("Red", "Green", "Blue")),
    *(f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    *GROUPS,
]
PLUGINS = ("pylibjpeg", "pyjpegls", "pydicom", "pillow", "gdcm")
JPEG = tuple(f"1.2.840.10008.1.2.4.{kind}" for kind in (50, 51, 57, 70))
PIXELS = ["PixelData", "FloatPixelData", "DoubleFloatPixelData"]


def load_dicom(file: IO[bytes], part: FilePart | None = None) -> Image:
    """The image as a viewer shows it: uint8 or uint16, (H, W) if grey or (H, W, 3).

    Grey values pass the modality LUT and the first VOI LUT or window; without one, they keep their
    steps, from 0 for the darkest. MONOCHROME1 is inverted, padding is black.

    Args:
        part: of a file of several frames, the one that is meant; the first is 1.
    Raises: DataError: it is not an image of at most 16 bits, or damaged, or what decodes it is not
        installed; it has several frames and none is given, or not this one.
    """
    with _decoded_frame(file, part) as (pixels, colours, dataset):
        if colours in GREY:
            return displayed(pixels, dataset, inverted=colours == "MONOCHROME1")
        return _coloured(pixels, dataset, colours)


def load_values(file: IO[bytes]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The values after the modality LUT, (frames, H, W), and where there is none (padding).

    The values are those that a volume is made of: Hounsfield units in a CT.

    Raises: DataError: as `load_dicom`, or its grey values are not MONOCHROME2.
    """
    header = read_tags(file, TAGS)
    with errors_without_text():
        height, width = _checked_size(header)
        frames = _frames(header)
        with decoding(max(frames * _frame_bytes(header), os.fstat(file.fileno()).st_size)):
            dataset = _with_pixels(file)
            values, padding = [], []
            for index in range(frames):
                one = of_frame(_copied(dataset), index)
                check_frame(one, height, width, index)
                pixels, colours = _decoded(one, index)
                if colours != "MONOCHROME2":
                    raise DataError(f"has the colours {colours[:16]!r}: expected MONOCHROME2")
                made, empty = modality_values(pixels, one)
                values.append(made)
                padding.append(empty)
            return np.stack(values), np.stack(padding)


@contextmanager
def _decoded_frame(
    file: IO[bytes], part: FilePart | None
) -> Iterator[tuple[NDArray[Any], str, Any]]:
    """The stored values of a frame, their photometric interpretation, and the frame's header."""
    header = read_tags(file, TAGS)
    with errors_without_text():
        height, width = _checked_size(header)
        index = _index(header, part)
        with decoding(max(_frame_bytes(header), os.fstat(file.fileno()).st_size)):
            dataset = of_frame(_with_pixels(file), index)
            check_frame(dataset, height, width, index)
            yield *_decoded(dataset, index), dataset


def _with_pixels(file: IO[bytes]) -> Any:
    dataset = read_tags(file, TAGS + PIXELS)
    if dataset.get("Rows") is None:  # pydicom drops all of a data set that ends too early
        raise DataError("is truncated: its pixels have no end")
    _decoder(dataset.file_meta.TransferSyntaxUID)
    return dataset


def _copied(dataset: Any) -> Any:
    """The data set again, so that what one frame says is not taken for the next."""
    from pydicom import Dataset

    copied = Dataset()
    copied.update(dict(dataset.items()))
    copied.file_meta = dataset.file_meta
    return copied


def dicom_size(file: IO[bytes], part: FilePart | None = None) -> tuple[int, int]:
    """Height and width of the image, from the header alone. Raises: DataError: as `load_dicom`."""
    dataset = read_tags(file, TAGS)
    with errors_without_text():
        size = _checked_size(dataset)
        _index(dataset, part)
        return size


def dicom_geometry(file: IO[bytes], part: FilePart | None = None) -> Geometry:
    """Size of a pixel, laterality and directions. Raises: DataError: as `load_dicom`."""
    dataset = read_tags(file, [*TAGS, *GEOMETRY])
    with errors_without_text():
        return geometry_of(of_frame(dataset, _index(dataset, part)))


def _checked_size(dataset: Any) -> tuple[int, int]:
    """Height and width. Raises: DataError: it is not an image that is read."""
    missing = [
        name
        for name in (
            "Rows",
            "Columns",
            "BitsAllocated",
            "SamplesPerPixel",
            "PhotometricInterpretation",
        )
        if dataset.get(name) is None
    ]
    if missing:
        raise DataError(f"is a DICOM file without an image (it has no {missing[0]}): leave it out")
    bits, samples = int(dataset.BitsAllocated), int(dataset.SamplesPerPixel)
    colours = str(dataset.PhotometricInterpretation)
    if bits not in (8, 16):
        raise DataError(f"has pixels of {bits} bits: expected 8 or 16; convert it")
    if samples != (3 if colours in COLOURS else 1) or colours not in (*GREY, PALETTE, *COLOURS):
        raise DataError(
            f"has {samples} samples of the photometric interpretation "
            f"{colours[:16]!r}: expected grey, palette, RGB or YBR"
        )
    height, width = int(dataset.Rows), int(dataset.Columns)
    check_budget(height, width, samples * bits // 8)
    return height, width


def _index(dataset: Any, part: FilePart | None) -> int:
    """Which frame is meant, from 0."""
    frames = _frames(dataset)
    if part is None and frames > 1:
        raise DataError(
            f"has {frames} frames: name the one to use in a table, such as "
            f"'name.dcm#frame=1' to '#frame={frames}', in a row each"
        )
    if part is None:
        return 0
    if part.kind != "frame" or not 1 <= part.first <= frames:
        raise DataError(f"has no '{part}': expected 'frame=1' to 'frame={frames}'")
    return part.first - 1


def _frames(dataset: Any) -> int:
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames < 1:
        raise DataError(f"is damaged: it has {frames} frames")
    return frames


def _frame_bytes(dataset: Any) -> int:
    """Bytes of a decoded frame."""
    pixels = int(dataset.Rows) * int(dataset.Columns)
    return pixels * int(dataset.SamplesPerPixel) * int(dataset.BitsAllocated) // 8


def _decoder(syntax: Any) -> Any:
    """What decodes a transfer syntax. Raises: DataError: nothing does, whatever is installed."""
    from pydicom.pixels.decoders.base import get_decoder

    try:
        return get_decoder(syntax)
    except NotImplementedError:
        raise DataError(
            f"has the transfer syntax {str(syntax)[:64]}, which is not read: convert it, for "
            "example with dcmdjpeg"
        ) from None


def _decoded(dataset: Any, index: int) -> tuple[NDArray[Any], str]:
    """The stored values of a frame, (H, W) or (H, W, 3), and their photometric interpretation."""
    syntax = dataset.file_meta.TransferSyntaxUID
    decoder = _decoder(syntax)
    failed: Exception | None = None
    for plugin in _plugins(decoder):
        try:
            pixels, meta = decoder.as_array(dataset, index=index, raw=False, decoding_plugin=plugin)
            return pixels, str(meta["photometric_interpretation"])
        except Exception as error:
            failed = failed or error
    if (values := _by_imagecodecs(dataset, index)) is None:
        raise _undecodable(syntax, failed)
    return values, str(dataset.PhotometricInterpretation)


def _plugins(decoder: Any) -> tuple[str, ...]:
    """What decodes the syntax, in the order in which it is tried.

    GDCM ends the process at some damaged frames (of JPEG-LS, one byte suffices), so it is the last.
    Only JPEG has kinds that one decoder reads and another does not; elsewhere what the first
    refuses is damaged, and another might show a part of it.
    """
    if not decoder.is_encapsulated:
        return ("",)
    order = [name for name in PLUGINS if name in decoder.available_plugins]
    return tuple(order) if decoder.UID in JPEG else tuple(order[:1])


def _undecodable(syntax: Any, error: Exception | None) -> DataError:
    what = "no decoder is installed for it" if error is None else type(error).__name__
    return DataError(
        f"cannot be decoded ({syntax.name}: {what}): it is damaged, or needs another decoder; "
        f"{INSTALL}, or pip install imagecodecs, or convert it"
    )


def _by_imagecodecs(dataset: Any, index: int) -> NDArray[Any] | None:
    """A grey JPEG of 12 bits or without loss, which few decoders read; None where this fails."""
    jpeg = dataset.file_meta.TransferSyntaxUID in (
        *("1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"),
    )
    if not jpeg or int(dataset.SamplesPerPixel) != 1:
        return None
    try:
        import imagecodecs
        from pydicom.encaps import get_frame

        frame = get_frame(
            dataset.PixelData, index, number_of_frames=int(dataset.get("NumberOfFrames") or 1)
        )
        values: NDArray[Any] = imagecodecs.jpeg_decode(frame)
    except Exception:  # ImportError, or any error of the decoder
        return None
    if values.shape != (int(dataset.Rows), int(dataset.Columns)):
        return None
    signed = int(dataset.get("PixelRepresentation") or 0)
    return values.view(f"i{values.itemsize}") if signed else values


def _coloured(pixels: NDArray[Any], dataset: Any, colours: str) -> Image:
    if colours == PALETTE:
        from pydicom.pixels.processing import apply_color_lut

        if not dataset.file_meta.TransferSyntaxUID.is_little_endian:
            _swap_palette(dataset)
        pixels = apply_color_lut(pixels, dataset)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype not in (np.uint8, np.uint16):
        raise DataError("is damaged: its colours are not of 8 or 16 bits")
    return np.ascontiguousarray(pixels)


def _swap_palette(dataset: Any) -> None:
    """Give a palette of words the byte order that pydicom takes it to have."""
    for colour in ("Red", "Green", "Blue"):
        element = dataset.get(f"{colour}PaletteColorLookupTableData")
        if element and len(element) % 2 == 0:
            swapped = np.frombuffer(element, ">u2").astype("<u2").tobytes()
            setattr(dataset, f"{colour}PaletteColorLookupTableData", swapped)
