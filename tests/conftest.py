"""What every test needs: torchvision mended, the real films if they are there, a plain user."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from imil.pytorch.torchvision_import import import_torchvision

import_torchvision()  # before Lightning or torchmetrics import it

# a busy machine is slow and not wrong
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

NOBODY = 65534  # the user without rights on every Unix


@pytest.fixture(scope="session")
def shenzhen():
    """The folder of the 662 Shenzhen films and their manifest.csv."""
    folder = os.environ.get("IMIL_SHENZHEN")
    if not folder:
        pytest.skip(
            "reads the 662 real Shenzhen films, which are no part of the project: get them and set "
            "IMIL_SHENZHEN to their folder, as docs/ARCHITECTURE.md says under Tests"
        )
    assert Path(folder, "manifest.csv").is_file(), f"IMIL_SHENZHEN={folder} holds no manifest.csv"
    return Path(folder)


@pytest.fixture
def guarded(tmp_path):
    """A folder whose permissions hold for this test, also where root runs it."""
    if os.geteuid() != 0:
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp())  # pytest's own lies where only root may go
    os.chown(folder, NOBODY, -1)
    os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        os.seteuid(0)
        shutil.rmtree(folder)
