"""Which format a file has that is not read, by its first bytes."""

from __future__ import annotations

LONGEST = 348  # bytes that tell the format; NIfTI's mark comes last
# position of the mark, mark, name
MARKS = (
    (0, b"BM", "a BMP image"),
    (0, b"GIF8", "a GIF image"),
    (8, b"WEBP", "a WebP image"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (0, b"\xff\x0a", "a JPEG XL image"),
    (4, b"ftypavif", "an AVIF image"),
    (4, b"ftyphei", "a HEIC image"),
    (4, b"ftypmif1", "a HEIC image"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR image"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x89HDF", "an HDF5 file"),
    (344, b"n+1\0", "a NIfTI file"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"%PDF", "a PDF"),
    (0, b"version https://git-lfs", "a pointer of Git LFS, whose file has not been fetched"),
)


def kind_of(start: bytes) -> str:
    """What the file is, such as `a DICOM file`; empty where it is not known.

    Args:
        start: its first bytes.

    >>> kind_of(b"GIF89a")
    'a GIF image'
    """
    if start[:1] == b"P" and start[1:2] in b"1234567" and start[2:3].isspace():
        return "a PNM image"
    return next((name for at, mark, name in MARKS if start[at : at + len(mark)] == mark), "")
