"""Images from a DICOMweb server, and DICOM objects to one.

Addresses are `dicomweb+https://HOST/PATH`. Messages name the server and its answer, never what was
asked for, which identifies patients.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from imil.atomic_files import atomic_write, write_json
from imil.data.reports.report import Report
from imil.errors import DataError, SettingsError
from imil.json_files import read_json
from imil.permissions import folder_mode

SCHEME = "dicomweb+"
INSTALL = "pip install 'imil[dicomweb]'"
LOCAL = ("localhost", "127.0.0.1", "::1")
TAGS = {
    "SOPInstanceUID": "00080018",
    "StudyInstanceUID": "0020000D",
    "AccessionNumber": "00080050",
    "PatientID": "00100020",
}
SERIES, MODALITY = "0020000E", "00080060"
NO_IMAGES = ("SEG", "SR", "PR", "KO", "RTSTRUCT", "RTPLAN", "RTDOSE", "DOC", "AU", "ECG")
WILDCARDS = "*?\\"  # in a value, these would find other images
MANIFEST, UNFINISHED = "manifest.csv", "unfinished.json"
TIMEOUT = 60  # seconds without an answer


def is_dicomweb(text: str) -> bool:
    """Whether the text is meant as the address of a server.

    >>> is_dicomweb("dicomweb+https://pacs/dicom-web")
    True
    """
    return text.startswith(SCHEME)


def absolute_data(base: Path, data: str) -> str:
    """Data that were named from the folder `base`: an absolute path, or a server's address."""
    return data if is_dicomweb(data) else str((base / data).absolute())


def refuse_server(data: str | Path) -> None:
    """Raises: DataError: the data are on a server, where only some commands take them from."""
    if is_dicomweb(text := str(data)):
        address = text.replace(":/", "://", 1) if isinstance(data, Path) else text
        raise DataError(f"'{address}' is a server: fetch its images first, with imil fetch")


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


@dataclass(frozen=True)
class Fetched:
    """What was fetched.

    Args:
        manifest: the table of the images, with their labels.
        images: how many.
        left_out: how many reports have no image on the server.
    """

    manifest: Path
    images: int
    left_out: int


def fetch(
    address: str,
    report: Report,
    out: Path,
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Fetched:
    """Fetch the images that a report names, with their labels.

    A fetch that was interrupted goes on where it was when it is asked for again.

    Args:
        address: of the server.
        report: names images by keywords of `NAMED_BY`; of a study or a patient, all images are
            fetched.
        out: a new or empty folder, or that of an interrupted fetch; gets the files as 000001.dcm,
            and manifest.csv, which `imil train` takes.
        progress: is called with the numbers of images done, and of all.
    Raises: SettingsError, DataError: the address or the report cannot be used, the server does not
        answer, or has no image for a row of a table.
    """
    url = server_url(address)
    unfinished = out / UNFINISHED
    if (out / MANIFEST).exists():
        raise SettingsError(
            f"'{out}' has images that were fetched: use its {MANIFEST}, or give a new folder"
        )
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not unfinished.exists())):
        raise SettingsError(f"'{out}' is not an empty folder: give a new one")
    with _server(url) as client:
        wanted, left_out = _wanted(client, report)
        plan = {"server": url, "images": [list(one) for one in wanted]}
        if unfinished.exists():
            if read_json(unfinished, "give a new folder") != plan:
                raise SettingsError(
                    f"'{out}' holds another fetch that was interrupted, or the server's images "
                    "have changed since: give a new folder"
                )
        else:
            out.mkdir(folder_mode(), parents=True, exist_ok=True)
            write_json(unfinished, plan)
        for number, one in enumerate(wanted, start=1):
            path = out / _file_name(number)
            if not path.exists():
                _retrieve(client, one, path)
            progress(number, len(wanted))
    with atomic_write(out / MANIFEST) as half:
        rows = [[_file_name(number), one.label] for number, one in enumerate(wanted, start=1)]
        with half.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["image", "label"], *rows])
    unfinished.unlink()
    return Fetched(out / MANIFEST, len(wanted), left_out)


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


class _Instance(NamedTuple):
    """An image on the server: its UIDs, and the label that it gets."""

    study: str
    series: str
    uid: str
    label: str


def _file_name(number: int) -> str:
    return f"{number:06}.dcm"


def _wanted(client: Any, report: Report) -> tuple[list[_Instance], int]:
    """The images of a report, each once, and how many entries have none.

    Raises: DataError: a row of a table has no image, an image has two labels, or a name cannot be
        asked for.
    """
    numbers = report.by_name()
    found: dict[str, _Instance] = {}
    with_images: set[int] = set()
    for (keyword, value), number in numbers.items():
        entry = report.entries[number]
        if not value or set(value) & set(WILDCARDS):
            raise DataError(
                f"{report.what} {number + 1} of '{report.source}' has no {keyword}, or one with "
                f"{' '.join(WILDCARDS)}: correct it"
            )
        for one in _instances(client, keyword, value):
            study, uid = (_text(one, TAGS[tag]) for tag in ("StudyInstanceUID", "SOPInstanceUID"))
            instance = _Instance(study, _text(one, SERIES), uid, entry.label)
            if found.setdefault(instance.uid, instance) != instance:
                raise DataError(
                    f"'{report.source}' gives an image two labels, '{entry.label}' in "
                    f"{report.what} {number + 1}: give each image once"
                )
            with_images.add(number)
    missing = set(numbers.values()) - with_images
    if missing and (report.complete or not found):
        raise DataError(
            f"the server has no image for {report.what} {min(missing) + 1} of '{report.source}': "
            f"remove the {report.what}, or send the image to the server"
        )
    return list(found.values()), len(missing)


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


def _retrieve(client: Any, one: _Instance, path: Path) -> None:
    # any transfer syntax: the file as the server has it
    dataset = client.retrieve_instance(
        one.study, one.series, one.uid, media_types=(("application/dicom", "*"),)
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
