"""The sdist, installed where nothing else is, on each Python that this machine has."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = [pytest.mark.process, pytest.mark.slow]


def run(*words, cwd):
    """Exit code, standard output and standard error of a program that sees no other packages."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([*map(str, words)], cwd=cwd, env=kept, capture_output=True, text=True)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    assert built.returncode == 0, built.stderr
    return next(folder.glob("imil-*.tar.gz"))


def python(version):
    """A Python of this version; the test is skipped where there is none."""
    shims = Path.home() / ".pyenv" / "versions"
    programs = [shutil.which(f"python{version}"), *shims.glob(f"{version}.*/bin/python")]
    for program in filter(None, programs):
        if run(program, "-c", "", cwd=ROOT).returncode == 0:
            return program
    pytest.skip(f"installs into an empty environment of Python {version}, which is not here")


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_it_installs_into_an_empty_environment(version, sdist, tmp_path):
    made = run(python(version), "-m", "venv", tmp_path / "env", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    programs = tmp_path / "env" / "bin"
    installed = run(programs / "pip", "install", "-q", sdist, cwd=tmp_path)
    if "No matching distribution found for hatchling" in installed.stderr:
        pytest.skip("installs from a package index, which cannot be reached")
    assert installed.returncode == 0, installed.stderr

    imported = run(programs / "python", "-c", "import imil, imil.store, imil.rounds", cwd=tmp_path)
    assert (imported.returncode, imported.stderr) == (0, "")
    imil = programs / "imil"
    assert run(imil, "--version", cwd=tmp_path).stdout.startswith("imil ")
    doctor = run(imil, "doctor", cwd=tmp_path)
    assert (doctor.returncode, doctor.stderr) == (0, "")
    assert "imil train" in doctor.stdout
    for words, extra in ((("train", "films"), "train"), (("serve", "run"), "web")):
        refused = run(imil, *words, cwd=tmp_path)
        assert refused.returncode == 2
        assert refused.stderr.startswith("imil: this needs ")
        assert refused.stderr.endswith(f"which is not installed: pip install 'imil[{extra}]'\n")
