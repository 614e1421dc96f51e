"""Images from a DICOMweb server, and DICOM objects to one.

Addresses are `dicomweb+https://HOST/PATH`. Messages name the server and its answer, never what was
asked for, which identifies patients.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from imil.atomic_files import atomic_write
from imil.data.column_names import find_column
from imil.data.table_columns import read_columns, read_names
from imil.errors import DataError, SettingsError
from imil.permissions import folder_mode

SCHEME = "dicomweb+"
INSTALL = "pip install 'imil[dicomweb]'"
LOCAL = ("localhost", "127.0.0.1", "::1")
# what names the images of a row, in the order in which it is looked for
NAMED_BY = ("SOPInstanceUID", "StudyInstanceUID", "AccessionNumber", "PatientID")
TAGS = {
    "SOPInstanceUID": "00080018",
    "StudyInstanceUID": "0020000D",
    "AccessionNumber": "00080050",
    "PatientID": "00100020",
}
SERIES, MODALITY = "0020000E", "00080060"
NO_IMAGES = ("SEG", "SR", "PR", "KO", "RTSTRUCT", "RTPLAN", "RTDOSE", "DOC", "AU", "ECG")
WILDCARDS = "*?\\"  # in a value, these would find other images
MANIFEST = "manifest.csv"
TIMEOUT = 60  # seconds without an answer


def is_dicomweb(text: str) -> bool:
    """Whether the text is meant as the address of a server.

    >>> is_dicomweb("dicomweb+https://pacs/dicom-web")
    True
    """
    return text.startswith(SCHEME)


def server_url(text: str) -> str:
    """The address without its prefix. Raises: SettingsError: it is none, or not encrypted.

    >>> server_url("dicomweb+http://localhost:8042/dicom-web")
    'http://localhost:8042/dicom-web'
    """
    url = text.removeprefix(SCHEME)
    parts = urlsplit(url)
    if not is_dicomweb(text) or parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(
            f"'{text[:200]}' is not the address of a DICOMweb server: expected "
            "dicomweb+https://HOST/PATH"
        )
    if parts.username or parts.password:
        raise SettingsError(
            "the address of a DICOMweb server has a name or password, which logs would keep: put "
            f"them into ~/.netrc for {parts.hostname}"
        )
    if parts.scheme == "http" and parts.hostname not in LOCAL:
        raise SettingsError(
            f"{parts.hostname} would get images of patients without encryption: give "
            "dicomweb+https://, or a server on this machine"
        )
    return url


def fetch(address: str, labels: Path, out: Path, *, label_column: str = "label") -> int:
    """Fetch the images that a table names, with their labels; returns how many.

    Args:
        address: of the server.
        labels: a table with a label, and one of `NAMED_BY` to name an image or all of a study or
            patient.
        out: a new or empty folder; gets the files as 000001.dcm, and manifest.csv, which `imil
            train` takes.
    Raises: SettingsError, DataError: the address or the table cannot be used, the server does not
        answer, or has no image for a row.
    """
    url = server_url(address)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(f"'{out}' is not an empty folder: give a new one")
    keyword, rows = _rows(labels, label_column)
    with _server(url) as client:
        found: list[tuple[str, list[dict[str, Any]]]] = []
        for number, (value, label) in enumerate(rows, start=1):
            instances = _instances(client, keyword, value)
            if not instances:
                raise DataError(
                    f"the server has no image for row {number} of '{labels}': remove the row, or "
                    "send the image to the server"
                )
            found.append((label, instances))
        out.mkdir(folder_mode(), parents=True, exist_ok=True)
        listed: list[list[str]] = []
        for label, instances in found:
            for one in instances:
                name = f"{len(listed) + 1:06}.dcm"
                _retrieve(client, one, out / name)
                listed.append([name, label])
    with atomic_write(out / MANIFEST) as half:
        with half.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["image", "label"], *listed])
    return len(listed)


def store_files(address: str, files: Sequence[Path]) -> None:
    """Store DICOM files on a server.

    Raises: SettingsError, DataError: the address cannot be used, or the server refuses one.
    """
    url = server_url(address)
    with _server(url) as client:
        from pydicom import dcmread

        for path in files:
            answer = client.store_instances([dcmread(path)])
            if answer.get("FailedSOPSequence"):
                raise DataError(
                    f"the server at {urlsplit(url).netloc} did not take {path.name}: see its log"
                )


def _rows(labels: Path, label_column: str) -> tuple[str, list[tuple[str, str]]]:
    """Which keyword names the images, and value and label of each row."""
    names = read_names(labels)
    label = find_column(names, label_column)
    named = [(key, column) for key in NAMED_BY if (column := find_column(names, key))]
    if label is None or not named:
        missing = label_column if label is None else f"{', '.join(NAMED_BY)} (one of them)"
        raise DataError(f"'{labels}' has no column {missing}, but {', '.join(names)}: add it")
    keyword, column = named[0]
    cells = read_columns(labels, {label, column})[1]
    rows = list(zip(cells[column], cells[label], strict=True))
    for number, (value, text) in enumerate(rows, start=1):
        if not value or not text or set(value) & set(WILDCARDS):
            raise DataError(
                f"row {number} of '{labels}' has no {keyword} or no label, or one with "
                f"{' '.join(WILDCARDS)}: correct it"
            )
    if len({value for value, _ in rows}) < len(rows):
        raise DataError(f"'{labels}' has a {keyword} twice: give each once")
    return keyword, rows


def _instances(client: Any, keyword: str, value: str) -> list[dict[str, Any]]:
    """What the server knows of the images with that value, exactly; in the order of their UIDs."""
    found = client.search_for_instances(
        search_filters={keyword: value}, fields=[keyword, "Modality"], get_remaining=True
    )
    return sorted(
        (
            one
            for one in found
            if _text(one, TAGS[keyword]) == value and _text(one, MODALITY) not in NO_IMAGES
        ),
        key=lambda one: _text(one, TAGS["SOPInstanceUID"]),
    )


def _text(one: dict[str, Any], tag: str) -> str:
    values = one.get(tag, {}).get("Value") or [""]
    return str(values[0]).strip()


def _retrieve(client: Any, one: dict[str, Any], path: Path) -> None:
    study, series, instance = (
        _text(one, tag) for tag in (TAGS["StudyInstanceUID"], SERIES, TAGS["SOPInstanceUID"])
    )
    # any transfer syntax: the file as the server has it
    dataset = client.retrieve_instance(
        study, series, instance, media_types=(("application/dicom", "*"),)
    )
    with atomic_write(path) as half:
        dataset.save_as(half, enforce_file_format=True)


@contextmanager
def _server(url: str) -> Iterator[Any]:
    """A client of the server. What goes wrong becomes a DataError without what was asked for."""
    try:
        import requests
        from dicomweb_client.api import DICOMwebClient
    except ImportError:
        raise SettingsError(f"dicomweb-client is not installed: {INSTALL}") from None
    for name in ("dicomweb_client", "urllib3", "pydicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they quote what is asked for
    host = urlsplit(url).netloc
    client = DICOMwebClient(url, timeout=TIMEOUT)
    client.set_http_retry_params(retry=False)
    try:
        yield client
    except requests.HTTPError as error:
        code = error.response.status_code if error.response is not None else "an error"
        raise DataError(f"the DICOMweb server at {host} answers {code}: see its log") from None
    except requests.RequestException as error:
        raise DataError(
            f"the DICOMweb server at {host} cannot be reached ({type(error).__name__}): check its "
            "address"
        ) from None
    except (DataError, SettingsError, OSError):
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"the DICOMweb server at {host} sends what cannot be read ({type(error).__name__})"
        ) from None
