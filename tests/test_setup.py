"""What `make setup` does not do."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.process


def test_an_environment_of_another_folder_is_not_emptied_through_a_link(tmp_path):
    other, project = tmp_path / "other", tmp_path / "project"
    other.mkdir()
    (other / "kept.txt").write_text("kept")
    (project / "tools").mkdir(parents=True)
    shutil.copy(ROOT / "tools" / "setup.py", project / "tools")
    for name in ("requirements.txt", "requirements-cuda.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, project)
    (project / ".venv").symlink_to(other)
    command = [sys.executable, project / "tools" / "setup.py"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert (
        done.stderr
        == f"{project}/.venv is a link to {other}: remove the link, then run this again\n"
    )
    assert (other / "kept.txt").read_text() == "kept"
