"""What the README and the examples show, run as shown."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("plain_loop.py", "round after epoch 2: 5 films corrected"),
        ("lightning_callback.py", "5 films corrected"),
    ],
)
def test_an_example_runs_as_it_is(name, said, tmp_path):
    ran = subprocess.run(
        [sys.executable, ROOT / "examples" / name, tmp_path], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert said in ran.stdout


def test_every_file_that_the_docs_link_to_is_there():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_docs_name_every_flag_and_command_that_they_show():
    known = subprocess.run(
        [Path(sys.executable).with_name("imil"), "train", "--help"],
        capture_output=True,
        text=True,
        env={"COLUMNS": "200", "TERM": "dumb"},
    ).stdout
    for page in (ROOT / "docs" / name for name in ("training.md", "data.md")):
        for flag in set(re.findall(r"--[a-z][a-z-]+", page.read_text())):
            assert flag in known, f"{page.name} shows {flag}"
