"""What is installed is pinned by content, and comes from wherever pip is set up to look."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-cuda.txt"])
def test_every_pin_has_its_hashes_and_no_address(name):
    text = (ROOT / name).read_text()
    assert not re.search(r"https?:|--(extra-)?index-url|--find-links|^-[if]\b", text, re.MULTILINE)
    pins = re.split(r"^(?=\w)", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE), flags=re.M)[1:]
    assert len(pins) > 5
    assert all(re.match(r"[\w.\[\]-]+==\S+.*--hash=sha256:[0-9a-f]{64}", pin, re.S) for pin in pins)
