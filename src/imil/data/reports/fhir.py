"""FHIR's DiagnosticReport: labels from its coded conclusions (R4, R4B and R5).

A report names its images by the UID of their study (`imagingStudy`, in R5 `study`) or by the
accession number. Resources that it refers to are looked for in the same file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from imil.data.reports.codes import Code, Codes
from imil.data.reports.report import Entry, Name, Report, final_reports
from imil.errors import DataError

SUFFIXES = (".json", ".ndjson")
MAX_BYTES = 500_000_000
FINAL = ("final", "amended", "corrected", "appended")
UID_SYSTEM, UID_PREFIX = "urn:dicom:uid", "urn:oid:"
ACCESSION = "ACSN"  # of HL7's table 0203
STUDIES = ("imagingStudy", "study")  # R4, R5
Resource = Mapping[str, Any]
Known = Mapping[str, Resource]


def read_fhir(path: Path, codes: Codes) -> Report:
    """The final reports in a Bundle, one DiagnosticReport, or a file with a resource a line.

    Raises: DataError: the file cannot be read, or a report does not name its images.
    """
    known: dict[str, Resource] = {}
    reports: list[Resource] = []
    for address, resource in _resources(path):
        kind, name = _text(resource, "resourceType"), _text(resource, "id")
        if kind and name:
            known[f"{kind}/{name}"] = resource
        if address:
            known[address] = resource
        if kind == "DiagnosticReport":
            reports.append(resource)
    if not reports:
        raise DataError(f"'{path}' has no DiagnosticReport: give a Bundle that has some")
    entries: list[Entry] = []
    drafts = unknown = 0
    for number, report in enumerate(reports, start=1):
        if _text(report, "status") not in FINAL:
            drafts += 1
            continue
        which = f"report {number} of '{path}'"
        label = codes.one_label(_codes(report), which)
        if label is None:
            unknown += 1
            continue
        names = _images(report, known)
        if not names:
            raise DataError(
                f"{which} names neither a study by its UID ({UID_SYSTEM}) nor an accession number: "
                "add the ImagingStudy that it refers to, or leave out that report"
            )
        entries.append(Entry(names, label))
    return final_reports(path, entries, drafts, unknown)


def _resources(path: Path) -> Iterator[tuple[str, Resource]]:
    """The resources with their full addresses, "" where none is given."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"'{path}' has more than {MAX_BYTES / 1e6:.0f} MB: split it")
        text = path.read_text(encoding="utf-8-sig")
        lines = text.splitlines() if path.suffix.lower() == ".ndjson" else [text]
        values = [json.loads(line) for line in lines if line.strip()]
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError):
        raise DataError(f"'{path}' is not valid JSON: expected FHIR in JSON, UTF-8") from None
    for value in values:
        resource = _mapping(value)
        yield "", resource
        for entry in _list(resource, "entry"):
            yield _text(entry, "fullUrl"), _mapping(entry.get("resource"))


def _codes(report: Resource) -> Iterator[Code]:
    for concept in _list(report, "conclusionCode"):
        for coding in _list(concept, "coding") or _list(_mapping(concept.get("concept")), "coding"):
            yield _text(coding, "system"), _text(coding, "code")


def _images(report: Resource, known: Known) -> tuple[Name, ...]:
    """The studies' UIDs, or else the accession numbers, that a report names."""
    references = [reference for field in STUDIES for reference in _list(report, field)]
    identifiers = [one for ref in references for one in _identifiers(ref, report, known)]
    uids = [
        _text(one, "value").removeprefix(UID_PREFIX)
        for one in identifiers
        if _text(one, "system") == UID_SYSTEM
    ]
    if any(uids):
        return tuple(("StudyInstanceUID", uid) for uid in dict.fromkeys(filter(None, uids)))
    for reference in _list(report, "basedOn"):
        identifiers += _identifiers(reference, report, known)
    identifiers += _list(report, "identifier")
    numbers = [
        _text(one, "value")
        for one in identifiers
        for coding in _list(_mapping(one.get("type")), "coding")
        if _text(coding, "code") == ACCESSION
    ]
    return tuple(("AccessionNumber", number) for number in dict.fromkeys(filter(None, numbers)))


def _identifiers(reference: Resource, report: Resource, known: Known) -> Sequence[Resource]:
    """The identifiers of a resource that is referred to, in the file or in the reference."""
    address = _text(reference, "reference")
    own = {f"#{_text(one, 'id')}": one for one in _list(report, "contained")}
    relative = "/".join(address.split("/")[-2:])  # of an address with a server
    target = own.get(address) or known.get(address) or known.get(relative) or {}
    logical = reference.get("identifier")
    return [*_list(target, "identifier"), *([_mapping(logical)] if logical else [])]


def _mapping(value: Any) -> Resource:
    """The value, empty where it is no object."""
    return value if isinstance(value, dict) else {}


def _list(value: Resource, field: str) -> list[Resource]:
    """The objects in a list, which may be missing."""
    found = value.get(field)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _text(value: Resource, field: str) -> str:
    found = value.get(field)
    return found.strip() if isinstance(found, str) else ""
