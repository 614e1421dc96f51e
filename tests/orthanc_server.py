"""An Orthanc server of the tests' own, with DICOMweb, from a distribution's packages."""

import json
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

PLUGINS = Path("/usr/share/orthanc/plugins")
WANTED = ("libOrthancDicomWeb.so", "libOrthancGdcm.so")
START = 60  # seconds; it takes 0.2, but the machine may be busy


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def orthanc(folder):
    """The address of a server with an empty storage in that folder, until the block ends."""
    binary = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if binary is None or not (PLUGINS / WANTED[0]).exists():
        pytest.skip("needs a DICOMweb server: apt install orthanc orthanc-dicomweb orthanc-gdcm")
    port = free_port()
    configuration = {
        "Name": "tests",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(PLUGINS / name) for name in WANTED if (PLUGINS / name).exists()],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with (folder / "orthanc.log").open("w") as log:
        process = subprocess.Popen(
            [binary, folder / "orthanc.json"], stdout=log, stderr=log, cwd=folder
        )
    try:
        _wait(process, port, folder / "orthanc.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def _wait(process, port, log):
    until = time.monotonic() + START
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()[-2000:]
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"Orthanc did not start in {START} s")
