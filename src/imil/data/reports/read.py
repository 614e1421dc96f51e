"""Read a report, whatever it is written in."""

from __future__ import annotations

from pathlib import Path

from imil.data.reports.codes import Codes
from imil.data.reports.fhir import SUFFIXES as FHIR
from imil.data.reports.fhir import read_fhir
from imil.data.reports.report import Report
from imil.data.reports.structured import read_structured
from imil.data.reports.table import read_report_table
from imil.data.table_columns import TABLES
from imil.errors import DataError, SettingsError


def read_report(
    path: Path, *, label_column: str = "label", codes: Path | None = None, on_server: bool = False
) -> Report:
    """The final labels in a table, in FHIR's DiagnosticReport, or in DICOM Structured Reports.

    Args:
        path: a CSV or Parquet table; FHIR in JSON (`.json`, `.ndjson`); or a DICOM file, or a
            folder of some.
        label_column: of a table.
        codes: a table of `code` and `label`, and `system` where codes need it; for FHIR and DICOM.
        on_server: the images are on a server, where no file names them.
    Raises: DataError, SettingsError: the report or the codes cannot be used.
    """
    if not path.exists():
        raise DataError(f"'{path}' does not exist: give a report")
    coded = path.is_dir() or path.suffix.lower() not in TABLES
    if not coded and codes is not None:
        raise SettingsError(f"--codes is {codes}, and '{path}' is a table of labels: leave it out")
    if not coded:
        return read_report_table(path, label_column, on_server=on_server)
    if codes is None:
        raise SettingsError(
            f"'{path}' has codes in place of labels: give --codes, a table with the columns code "
            "and label"
        )
    table = Codes.read(codes)
    fhir = path.is_file() and path.suffix.lower() in FHIR
    return read_fhir(path, table) if fhir else read_structured(path, table)
