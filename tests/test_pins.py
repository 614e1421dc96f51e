"""What is installed is pinned by content, and comes from wherever pip is set up to look."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


PINS = ["requirements.txt", "requirements-cuda.txt", "tools/lock-requirements.txt"]


@pytest.mark.parametrize("name", PINS)
def test_every_pin_has_its_hashes_and_no_address(name):
    text = (ROOT / name).read_text()
    assert not re.search(r"https?:|--(extra-)?index-url|--find-links|^-[if]\b", text, re.MULTILINE)
    pins = re.split(r"^(?=\w)", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE), flags=re.M)[1:]
    assert pins
    assert all(re.match(r"[\w.\[\]-]+==\S+.*--hash=sha256:[0-9a-f]{64}", pin, re.S) for pin in pins)


def tool(name):
    """A module of the folder tools."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_pin_has_a_known_advisory(tmp_path):
    advisories = tool("advisories")
    assert advisories.affected(ROOT / "requirements.txt") == []
    old = tmp_path / "requirements.txt"
    old.write_text("jinja2==3.1.5\nJinja2==3.1.6\ntorch==2.5.1+cpu\nnumpy==2.0\n")
    found = [line.split(":")[0] for line in advisories.affected(old)]
    assert found == ["jinja2 3.1.5", "torch 2.5.1+cpu"]


def test_only_wheels_are_installed():
    for name in ("setup", "lock"):
        text = (ROOT / "tools" / f"{name}.py").read_text()
        assert '"--only-binary"' in text
        assert '"--require-hashes"' in text


def test_the_list_beside_the_wheel_names_every_pin_with_its_hashes(tmp_path):
    path = tool("sbom").write_sbom(tmp_path)
    listed = json.loads(path.read_text())
    assert (listed["bomFormat"], listed["metadata"]["component"]["name"]) == ("CycloneDX", "imil")
    pins = re.findall(r"^([\w.-]+)==([\w.+-]+)", (ROOT / "requirements.txt").read_text(), re.M)
    assert [(one["name"], one["version"]) for one in listed["components"]] == pins
    assert all(
        one["hashes"] and one["purl"].startswith("pkg:pypi/") for one in listed["components"]
    )
