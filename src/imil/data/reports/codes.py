"""A table of codes: which label a coded conclusion stands for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from imil.data.column_names import find_column
from imil.data.table_columns import read_columns, read_names
from imil.errors import DataError

# one system under its name in DICOM (PS3.16, chapter 8) and its address in FHIR
SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "SRT": "http://snomed.info/srt",
    "LN": "http://loinc.org",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "RADLEX": "http://radlex.org",
    "I10": "http://hl7.org/fhir/sid/icd-10",
    "I10C": "http://hl7.org/fhir/sid/icd-10-cm",
}
NAMES = {address.casefold(): name for name, address in SYSTEMS.items()}
Code = tuple[str, str]  # system, code
ANY = ""  # system


def system_name(text: str) -> str:
    """A system's name in DICOM, where it has one.

    >>> system_name("http://snomed.info/sct")
    'SCT'
    """
    return NAMES.get(text.strip().casefold(), text.strip())


class Codes:
    """Which label a code stands for.

    Args:
        labels: of system and code; the system `ANY` is all systems.
    """

    def __init__(self, labels: Mapping[Code, str]) -> None:
        self._labels = dict(labels)

    @classmethod
    def read(cls, path: Path) -> Codes:
        """The table's columns `code` and `label`, and `system` where there is one.

        Raises: DataError: it cannot be read, or a cell is missing or contradicts another.
        """
        names = read_names(path)
        found = {name: find_column(names, name) for name in ("code", "label", "system")}
        code, label, system = found.values()
        if code is None or label is None:
            missing = "code" if code is None else "label"
            raise DataError(f"'{path}' has no column '{missing}' but {', '.join(names)}: add it")
        cells = read_columns(path, {name for name in found.values() if name})[1]
        systems = cells[system] if system else [ANY] * len(cells[code])
        labels: dict[Code, str] = {}
        for row, (one, means, of) in enumerate(
            zip(cells[code], cells[label], systems, strict=True), start=1
        ):
            if not one or not means:
                raise DataError(f"row {row} of '{path}' has no code or no label: add it")
            key = (system_name(of), one)
            if labels.setdefault(key, means) != means:
                raise DataError(
                    f"row {row} of '{path}' gives code {one} the label '{means}', and an earlier "
                    f"row '{labels[key]}': keep one"
                )
        return cls(labels)

    def label(self, code: Code) -> str | None:
        """The label of one code, or None."""
        system, value = code
        own = self._labels.get((system_name(system), value))
        return own if own is not None else self._labels.get((ANY, value))

    def one_label(self, codes: Iterable[Code], which: str) -> str | None:
        """The label of all codes together; None where none has one.

        Args:
            which: the report, for the message.
        Raises: DataError: they have several labels.
        """
        labels = sorted({label for code in codes if (label := self.label(code)) is not None})
        if len(labels) > 1:
            raise DataError(
                f"{which} has codes of the labels {', '.join(labels)}: expected one label; "
                "correct the table of codes, or leave out that report"
            )
        return labels[0] if labels else None
