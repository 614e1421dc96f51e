"""Small DICOM files, made by pydicom: an image, and whatever else its header is to say."""

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")


def make_dicom(path, pixels, *, syntax=None, frames=None, **tags):
    """Write an image as a Secondary Capture; tags are given by their keywords."""
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax or ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = "1.2.3"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    dataset.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
    if frames is not None:
        dataset.NumberOfFrames = frames
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset["PixelData"] = pydicom.DataElement(
        0x7FE00010, "OW" if dataset.BitsAllocated == 16 else "OB", padded(pixels.tobytes())
    )
    dataset.save_as(path, enforce_file_format=True)
    return path


def padded(data):
    """Bytes of an even number."""
    return data + b"\0" * (len(data) % 2)
