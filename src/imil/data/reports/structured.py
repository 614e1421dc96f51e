"""DICOM Structured Reports: labels from their codes.

A report is for the images that its evidence names, or else for those of its own study.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imil.data.dicom_headers import dicom_files
from imil.data.reports.codes import Code, Codes
from imil.data.reports.report import Entry, Name, Report, final_reports
from imil.errors import DataError
from imil.images.dicom_header_values import opened_dicom


def read_structured(path: Path, codes: Codes) -> Report:
    """The complete and verified reports in a file, or below a folder; other files are not used.

    Raises: DataError: a file cannot be read, there is no report, or a code has a modifier, which
        may negate it.
    """
    entries: list[Entry] = []
    drafts = unknown = number = 0
    for file in dicom_files(path) if path.is_dir() else [path]:
        with opened_dicom(file) as dataset:
            if dataset.get("Modality") != "SR":
                continue
            number += 1
            flags = (dataset.get("CompletionFlag"), dataset.get("VerificationFlag"))
            if flags != ("COMPLETE", "VERIFIED"):
                drafts += 1
                continue
            label = codes.one_label(_codes(dataset, codes), "the report")
            if label is None:
                unknown += 1
            else:
                entries.append(Entry(_images(dataset), label))
    if not number:
        raise DataError(f"'{path}' has no DICOM Structured Report: give a file or folder of some")
    return final_reports(path, entries, drafts, unknown)


def _codes(dataset: Any, codes: Codes) -> Iterator[Code]:
    """The codes of all items of the content.

    Raises: DataError: one that has a label has items of its own.
    """
    items = list(dataset.get("ContentSequence") or [])
    while items:
        item = items.pop()
        within = list(item.get("ContentSequence") or [])
        items += within
        for concept in item.get("ConceptCodeSequence") or []:
            code = (
                str(concept.get("CodingSchemeDesignator") or "").strip(),
                str(concept.get("CodeValue") or concept.get("LongCodeValue") or "").strip(),
            )
            if within and codes.label(code) is not None:
                raise DataError(
                    f"has code {code[1]} with a modifier, which may negate it: leave out that "
                    "report, or give its label in a table"
                )
            yield code


def _images(dataset: Any) -> tuple[Name, ...]:
    evidence = dataset.get("CurrentRequestedProcedureEvidenceSequence") or []
    uids = [
        str(instance.ReferencedSOPInstanceUID)
        for study in evidence
        for series in study.get("ReferencedSeriesSequence") or []
        for instance in series.get("ReferencedSOPSequence") or []
    ]
    if uids:
        return tuple(("SOPInstanceUID", uid) for uid in dict.fromkeys(uids))
    return (("StudyInstanceUID", str(dataset.get("StudyInstanceUID") or "")),)
