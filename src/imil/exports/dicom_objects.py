"""Readings as DICOM objects that refer to the images: segmentations and structured reports.

highdicom makes them. They have the patient and the study of the image that they refer to, for so a
viewer finds them; reader, verdict and reason are theirs.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from imil.atomic_files import atomic_write
from imil.errors import DataError, SettingsError
from imil.exports.answers import MISLEADING, RELEVANT, Answer, safe_names
from imil.images.dicom_header_values import opened_dicom
from imil.images.dicom_volume import slice_file
from imil.images.file_parts import FilePart, split_part
from imil.images.opened_file import slice_named
from imil.images.volumes import is_nifti

Kind = Literal["dicom-seg", "dicom-sr"]
INSTALL = "pip install 'imil[dicom-export]'"
SCHEME = "99IMIL"  # of our own codes; 99 marks a private one
MEANINGS = {
    RELEVANT: "Region relevant to the classification",
    MISLEADING: "Region misleading the classification",
}
VERDICTS = {
    "focus": "Regions are marked",
    "skip": "Skipped by the reader",
    "wrong label": "Label of the image is wrong",
    "not assessable": "Image cannot be assessed",
}
SERIES_NUMBERS: dict[Kind, int] = {"dicom-seg": 9001, "dicom-sr": 9002}
MAX_VOXELS = 400_000_000  # of a file with several frames: bytes of a segment, while it is made
NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")


def check_highdicom() -> None:
    """Raises: SettingsError: highdicom is not installed."""
    try:
        import highdicom  # noqa: F401 - found out before the first file is written
    except ImportError:
        raise SettingsError(
            f"DICOM objects need highdicom, which is not installed: {INSTALL}"
        ) from None


def write_dicom_objects(
    given: Sequence[Answer], folder: Path, kind: Kind, files: Mapping[str, Path]
) -> int:
    """Write an object for each answer; returns how many.

    A segmentation has a segment for the relevant and one for the misleading squares, so answers
    without squares have none; a report has every answer.

    Args:
        given: of `imil.exports.answers.answers`.
        folder: is made.
        kind: `dicom-seg` or `dicom-sr`.
        files: key -> the image that a case was made from.
    Raises: SettingsError: highdicom is not installed. DataError: an image is not DICOM, was not
        found, or lacks what an object that refers to it needs.
    """
    check_highdicom()
    make = _segmentation if kind == "dicom-seg" else _report
    chosen = [one for one in given if kind == "dicom-sr" or _marked(one)]
    sources = [_source(answer, files) for answer in chosen]  # all, before anything is written
    stems = safe_names([answer.row.key for answer in chosen])
    readers = safe_names([answer.row.reader.replace("/", "_") for answer in chosen])
    for answer, (path, part), stem, reader in zip(chosen, sources, stems, readers, strict=True):
        with opened_dicom(path) as dataset, _quiet():
            _check_source(dataset, answer, part, kind)
            try:
                made = make(answer, dataset, part)
            except (AttributeError, KeyError, TypeError, ValueError) as error:  # of highdicom
                other = "masks-png" if kind == "dicom-sr" else "dicom-sr, or masks-png"
                raise DataError(
                    f"has a header that {kind} cannot be made from ({type(error).__name__}): give "
                    f"--as {other}"
                ) from None
            made.SpecificCharacterSet = "ISO_IR 192"  # UTF-8: names of readers have any letters
            name = f"{answer.row.epoch:03}-{answer.row.case:03}-{stem}-{reader}.dcm"
            with atomic_write(folder / name) as half:
                made.save_as(half, enforce_file_format=True)
    return len(chosen)


def _marked(answer: Answer) -> bool:
    return bool(answer.squares(RELEVANT) or answer.squares(MISLEADING))


def _source(answer: Answer, files: Mapping[str, Path]) -> tuple[Path, FilePart | None]:
    path = files.get(answer.row.key)
    if path is None:
        raise DataError(
            f"the image '{answer.row.key}' was not found: give the run's folder, with its data "
            "where they were"
        )
    with slice_named(path) as volume:
        if volume is not None and not is_nifti(volume[0].name):
            return slice_file(*volume)
    file, part = split_part(path)
    with opened_dicom(file):  # says so if it is none
        return file, part


def _check_source(dataset: Any, answer: Answer, part: FilePart | None, kind: Kind) -> None:
    missing = [name for name in NEEDED if not dataset.get(name)]
    if missing:
        raise DataError(f"has no {missing[0]}, which an object that refers to it needs: add it")
    size = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    if size != (answer.height, answer.width):
        raise DataError(
            f"has {size[0]} × {size[1]} pixels, and the reader saw {answer.height} × "
            f"{answer.width}: give the images of the run"
        )
    if part is not None and kind == "dicom-seg":
        from highdicom.spatial import get_image_coordinate_system

        if get_image_coordinate_system(dataset) is None:
            raise DataError(
                "has several frames without a position in space, which a segmentation of them "
                "needs: give --as dicom-sr, or masks-png"
            )
        if int(dataset.NumberOfFrames) * size[0] * size[1] > MAX_VOXELS:
            raise DataError(
                f"has {dataset.NumberOfFrames} frames of {size[0]} × {size[1]} pixels, too many "
                "for a segmentation: give --as dicom-sr, or masks-png"
            )
    if any(float(value) <= 0 for value in dataset.get("PixelSpacing") or []):
        del dataset.PixelSpacing  # unknown: a copy of it would not be valid
    # type 2: to be there, and may be empty; of those alone highdicom copies what is there
    for name in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate"):
        if name not in dataset:
            setattr(dataset, name, "")
    for name in ("StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"):
        if name not in dataset:
            setattr(dataset, name, "")


def _uid(*sources: object) -> Any:
    """The same UID for the same answer, so that an export may be repeated."""
    from pydicom.uid import UID

    digest = hashlib.sha256("\0".join(map(str, sources)).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def _code(value: str, meaning: str) -> Any:
    from highdicom.sr.coding import CodedConcept

    return CodedConcept(value.replace(" ", "-")[:16], SCHEME, meaning)


def _common(answer: Answer, dataset: Any, kind: Kind, instance: int) -> dict[str, Any]:
    """What every object states: who made it, and its numbers."""
    row = answer.row
    identity = (dataset.SOPInstanceUID, row.reader, row.epoch, row.case, row.created, kind)
    return {
        "series_instance_uid": _uid(dataset.StudyInstanceUID, row.reader, kind),
        "series_number": SERIES_NUMBERS[kind],
        "sop_instance_uid": _uid(*identity),
        "instance_number": instance,
        "manufacturer": "imil",
        "manufacturer_model_name": "imil",
        "software_versions": version("imil"),
        "device_serial_number": "0",
    }


def _segmentation(answer: Answer, dataset: Any, part: FilePart | None) -> Any:
    from highdicom.seg import Segmentation, SegmentDescription
    from pydicom.sr.codedict import codes

    kinds = [kind for kind in (RELEVANT, MISLEADING) if answer.squares(kind)]
    size = answer.height, answer.width
    frames, at = (1, 0) if part is None else (int(dataset.NumberOfFrames), part.first - 1)
    masks = np.zeros((frames, *size, len(kinds)), np.uint8)  # frames without a square are left out
    for i, kind in enumerate(kinds):
        masks[at, :, :, i] = answer.grid.mask(answer.squares(kind), *size)
    made = Segmentation(
        source_images=[dataset],
        pixel_array=masks,
        segmentation_type="BINARY",
        segment_descriptions=[
            SegmentDescription(
                segment_number=number,
                segment_label=kind,
                segmented_property_category=codes.SCT.SpatialAndRelationalConcept,
                segmented_property_type=_code(kind, MEANINGS[kind]),
                algorithm_type="MANUAL",
            )
            for number, kind in enumerate(kinds, start=1)
        ],
        content_creator_name=_person(answer.row.reader),
        content_label="IMIL",
        content_description=f"Squares of a grid of {answer.grid.rows}x{answer.grid.cols}",
        **_common(answer, dataset, "dicom-seg", answer.row.case),
    )
    if "ImageOrientationPatient" not in dataset:  # then it is required, and may be empty
        made.PatientOrientation = dataset.get("PatientOrientation")
    return made


def _report(answer: Answer, dataset: Any, part: FilePart | None) -> Any:
    from highdicom.sr import (
        ComprehensiveSR,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
        PersonObserverIdentifyingAttributes,
    )
    from pydicom.sr.codedict import codes

    person = PersonObserverIdentifyingAttributes(name=_person(answer.row.reader))
    observer = ObserverContext(codes.DCM.Person, person)
    content = MeasurementReport(
        observation_context=ObservationContext(observer_person_context=observer),
        procedure_reported=_code("imil-reading", "Reading of a case in a round of IMIL"),
        imaging_measurements=list(_groups(answer, dataset, part)),
    )
    common = _common(answer, dataset, "dicom-sr", answer.row.case)
    return ComprehensiveSR(
        evidence=[dataset],
        content=content,
        institution_name=None,
        is_complete=True,
        is_final=True,
        is_verified=False,
        **{name: value for name, value in common.items() if name != "device_serial_number"},
    )


def _groups(answer: Answer, dataset: Any, part: FilePart | None) -> Iterator[Any]:
    """The verdict on the image, and a region for each marked square."""
    from highdicom.sr import (
        ImageRegion,
        MeasurementsAndQualitativeEvaluations,
        PlanarROIMeasurementsAndQualitativeEvaluations,
        QualitativeEvaluation,
        SourceImageForMeasurementGroup,
        SourceImageForRegion,
        TrackingIdentifier,
    )

    row = answer.row
    frames = None if part is None else [part.first]
    where = (dataset.SOPClassUID, dataset.SOPInstanceUID, frames)
    verdict = QualitativeEvaluation(
        name=_code("verdict", "Verdict of the reader"),
        value=_code(row.verdict, VERDICTS[row.verdict]),
    )
    yield MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(_uid(*where, row.reader, row.created), "image"),
        source_images=[SourceImageForMeasurementGroup(*where)],
        qualitative_evaluations=[verdict],
    )
    for kind in (RELEVANT, MISLEADING):
        for square in answer.squares(kind):
            top, left, bottom, right = answer.grid.box(square, answer.height, answer.width)
            corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
            yield PlanarROIMeasurementsAndQualitativeEvaluations(
                tracking_identifier=TrackingIdentifier(
                    _uid(*where, row.reader, row.created, kind, square), f"square {square}"
                ),
                referenced_region=ImageRegion(
                    graphic_type="POLYLINE",
                    graphic_data=np.array(corners, float),
                    source_image=SourceImageForRegion(*where),
                ),
                qualitative_evaluations=[
                    QualitativeEvaluation(
                        name=_code("meaning", "Meaning of the region"),
                        value=_code(kind, MEANINGS[kind]),
                    )
                ],
            )


def _person(reader: str) -> str:
    """The reader's name as a person name of DICOM: a family name of at most 64 characters."""
    plain = "".join(" " if one in "^=\\" or not one.isprintable() else one for one in reader)
    return f"{plain.strip()[:62] or 'reader'}^"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings, which may quote a header."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
