"""DICOM files without what identifies a patient: by dicom-anonymizer, and checked afterwards.

dicom-anonymizer applies the basic profile of PS3.15, annex E, to the elements at the top of a
file. Here the items of sequences that it keeps get the same, UIDs and pseudonyms are consistent
across files, nothing around the data set is kept, and the result is searched for what the
original said of the patient.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imil.atomic_files import atomic_write
from imil.data.burned_in import burned_in_reason
from imil.data.dicom_headers import dicom_files
from imil.errors import DataError, SettingsError
from imil.images.dicom_header_values import frame_names, opened_dicom
from imil.permissions import folder_mode

INSTALL = "pip install 'imil[deidentify]'"
EDITION = "dicomfields_2026c"  # of PS3.15, in dicom-anonymizer 2.1
METHOD = "DICOM PS3.15 basic profile, by dicom-anonymizer"
# what names a person, of which each word is searched for in the result
PERSONS = (
    *("PatientName", "PatientBirthName", "PatientMotherBirthName", "OtherPatientNames"),
    *("ReferringPhysicianName", "OperatorsName", "PerformingPhysicianName"),
)
# what names a patient, a visit or a place, searched for whole
IDENTIFIERS = (
    *("PatientID", "PatientBirthDate", "OtherPatientIDs", "PatientAddress"),
    *("PatientTelephoneNumbers", "AccessionNumber", "StudyID", "AdmissionID"),
    *("InstitutionName", "InstitutionAddress", "DeviceSerialNumber"),
)
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
LEAST = 4  # letters of what is searched for
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
# value representations of text, and those that may hide some
SEARCHED = (
    *("AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"),
    *("OB", "UN"),
)


@dataclass(frozen=True)
class Deidentified:
    """Files that were written, and those that were not.

    Args:
        written: source -> new file and its pseudonym of the patient.
        left_out: source -> why it was not written.
    """

    written: dict[Path, tuple[Path, str]]
    left_out: dict[Path, str]


def deidentify(
    files: Sequence[Path],
    out: Path,
    *,
    remove: Iterable[str] = (),
    keep_burned_in: bool = False,
) -> Deidentified:
    """Write each DICOM file without what identifies a patient, as OUT/000001.dcm and so on.

    The numbers are drawn, so their order says nothing. Files with text in their pixels, files that
    still say something of the patient afterwards, and what is no image are left out.

    Args:
        files: DICOM files.
        out: a folder; new or empty.
        remove: keywords of further elements to remove, such as `BodyPartExamined`.
        keep_burned_in: write files that say or seem to have text in their pixels too.
    Raises: SettingsError: dicom-anonymizer is not installed, an unknown keyword, or a folder that
        is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(f"'{out}' is not an empty folder: give a new one")
    further = _checked_keywords(remove)
    patients: dict[str, str] = {}
    result = Deidentified({}, {})
    numbers = list(range(1, len(files) + 1))
    secrets.SystemRandom().shuffle(numbers)
    with _profile() as apply:
        out.mkdir(folder_mode(), parents=True, exist_ok=True)
        for path, number in zip(files, numbers, strict=True):
            target = out / f"{number:06}.dcm"
            try:
                if not keep_burned_in:
                    _check_pixels(path)
                patient = _write(path, target, apply, further, patients)
                result.written[path] = target, patient
            except DataError as error:
                result.left_out[path] = str(error)
    return result


def find_dicom_files(folder: Path) -> list[Path]:
    """All DICOM files below a folder. Raises: DataError: there are none."""
    found = dicom_files(folder)
    if not found:
        raise DataError(f"'{folder}' has no DICOM files: give a folder or a table of some")
    return found


@contextmanager
def _profile() -> Iterator[Callable[[Any], None]]:
    """What applies the basic profile to a data set; within the block, a UID gets one new UID."""
    try:
        from dicomanonymizer import simpledicomanonymizer as anonymizer
    except ImportError:
        raise SettingsError(f"dicom-anonymizer is not installed: {INSTALL}") from None
    actions = anonymizer.initialize_actions(EDITION)

    def apply(dataset: Any) -> None:
        anonymizer.anonymize_dataset(dataset, base_rules_gen=lambda: dict(actions))

    anonymizer.dictionary.clear()  # of old and new UIDs, for all of the process
    try:
        yield apply
    finally:
        anonymizer.dictionary.clear()


def _checked_keywords(keywords: Iterable[str]) -> list[str]:
    keywords = list(keywords)
    if keywords:
        try:
            from pydicom.datadict import tag_for_keyword
        except ImportError:
            raise SettingsError(f"pydicom is not installed: {INSTALL}") from None
        for keyword in keywords:
            if tag_for_keyword(keyword) is None or keyword in PIXELS:
                raise SettingsError(
                    f"--remove {keyword}: expected the keyword of an element other than the "
                    "pixels, such as BodyPartExamined"
                )
    return keywords


def _check_pixels(path: Path) -> None:
    frames = frame_names(path)
    # of a film or loop, text is in every frame; the first and the last are looked at
    for name in dict.fromkeys((frames[0], frames[-1])):
        if reason := burned_in_reason(name):
            raise DataError(
                f"'{path}' says or seems to have text in its pixels ({reason}): look at it, and "
                "give --keep-burned-in if it names no patient"
            )


def _write(
    path: Path,
    target: Path,
    apply: Callable[[Any], None],
    further: Sequence[str],
    patients: dict[str, str],
) -> str:
    """Write a file; returns the pseudonym of its patient.

    Args:
        patients: PatientID -> pseudonym; what is new is added.
    Raises: DataError: the file cannot be de-identified.
    """
    with opened_dicom(path) as dataset:
        if not any(keyword in dataset for keyword in PIXELS):
            raise DataError("has no pixels: only images are de-identified")
        known = _identity(dataset)
        identifier = str(dataset.get("PatientID") or "").strip()
        pseudonym = f"P-{secrets.token_hex(6)}"
        patient = patients.setdefault(identifier, pseudonym) if identifier else pseudonym
        syntax = dataset.file_meta.TransferSyntaxUID
        for one in _datasets(dataset):
            apply(one)
            for keyword in further:
                if keyword in one:
                    delattr(one, keyword)
        dataset.PatientID, dataset.PatientName = patient, patient
        dataset.PatientIdentityRemoved, dataset.DeidentificationMethod = "YES", METHOD
        _replace_surroundings(dataset, syntax)
        _check_result(dataset, known)
        with atomic_write(target) as half:
            dataset.save_as(half, enforce_file_format=True)
    return patient


def _replace_surroundings(dataset: Any, syntax: Any) -> None:
    """Nothing of the preamble and of the group before the data set is kept."""
    from pydicom.dataset import FileMetaDataset

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta, dataset.preamble = meta, b"\0" * 128


def _datasets(dataset: Any) -> Iterator[Any]:
    """The data set, and then those within the sequences that are left in it."""
    yield dataset
    for element in list(dataset):
        if element.VR == "SQ":
            for item in element.value or []:
                yield from _datasets(item)


@dataclass(frozen=True)
class _Identity:
    words: re.Pattern[str] | None
    uids: frozenset[str]

    def is_in(self, text: str) -> bool:
        named = self.words is not None and self.words.search(text) is not None
        return named or text.strip("\0 ") in self.uids


def _identity(dataset: Any) -> _Identity:
    """What the header says that names the patient or a visit."""
    words: set[str] = set()
    uids: set[str] = set()
    for one in _datasets(dataset):
        for keyword in PERSONS:
            for text in _texts(one.get(keyword)):
                words.update(re.split(r"[\^=,;\s]+", text))
        for keyword in IDENTIFIERS:
            words.update(text.strip() for text in _texts(one.get(keyword)))
        for keyword in UIDS:
            uids.update(_texts(one.get(keyword)))
    words = {word for word in words if len(word) >= LEAST}
    found = "|".join(map(re.escape, sorted(words)))
    pattern = re.compile(rf"(?<!\w)(?:{found})(?!\w)", re.IGNORECASE) if found else None
    return _Identity(pattern, frozenset(uids))


def _texts(value: Any) -> Iterator[str]:
    """The text of an element's value, of each of several."""
    if isinstance(value, bytes):
        yield value.decode("latin-1")
    elif isinstance(value, list | tuple) or type(value).__name__ == "MultiValue":
        for one in value:
            yield from _texts(one)
    elif value is not None:
        yield str(value)


def _check_result(dataset: Any, known: _Identity) -> None:
    """Raises: DataError: an element still says what names the patient."""
    for one in _datasets(dataset):
        for element in one:
            if element.keyword in PIXELS or element.VR not in SEARCHED:
                continue
            if any(known.is_in(text) for text in _texts(element.value)):
                name = element.keyword or f"({element.tag.group:04x},{element.tag.element:04x})"
                raise DataError(
                    f"still has an identifier of the original in {name}: look at it, and give "
                    f"--remove {name} if it is not needed"
                )
