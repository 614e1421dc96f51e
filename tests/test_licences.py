"""The licences of what the extras install: listed, and refused where they bind the user."""

import importlib.util
from email.message import Message
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SPEC = importlib.util.spec_from_file_location("licences", ROOT / "tools" / "licences.py")
licences = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(licences)


class Package:
    """An installed package, as importlib.metadata shows it."""

    version = "1.0"

    def __init__(self, name, requires=(), classifiers=(), **fields):
        self.name, self.requires, self.metadata = name, list(requires), Message()
        for field, value in fields.items():
            self.metadata[field.replace("_", "-")] = value
        for text in classifiers:
            self.metadata["Classifier"] = f"License :: OSI Approved :: {text}"


PROJECT = {
    "name": "imil",
    "dependencies": ["plain"],
    "optional-dependencies": {"a": ["one[deep]; python_version > '3'"], "all": ["imil[a]"]},
}


@pytest.mark.parametrize(
    ("stated", "refused"),
    [
        ("GPL-3.0-only", True),
        ("GPLv2+", True),
        ("AGPL-3.0-or-later", True),
        ("GNU General Public License v3 (GPLv3)", True),
        ("MIT AND GPL-2.0-only", True),
        ("MIT OR GPL-2.0-only", False),
        ("LGPL-3.0-only", False),
        ("GNU Lesser General Public License v3 (LGPLv3)", False),
        ("GNU Library or Lesser General Public License (LGPL)", False),
        ("Apache-2.0", False),
    ],
)
def test_only_what_binds_the_user_is_refused(stated, refused):
    assert licences.refused(stated) is refused


def test_a_package_that_an_extra_brings_in_is_found_and_refused():
    packages = [
        Package("plain", License_Expression="MIT"),
        Package("one", ["Two_Three>=1; extra == 'deep'", "tests; extra == 'test'"], License="BSD"),
        Package("two-three", classifiers=["GNU General Public License v3 (GPLv3)"]),
        Package("tests", License="GPL"),  # of an extra that nobody asked for
    ]
    lines, faults = licences.report(PROJECT, packages)
    assert "plain 1.0: MIT (imil)" in lines
    assert len(faults) == 1
    assert faults[0].startswith("two-three 1.0, of a, all: GNU General Public License v3")
    assert "tests 1.0: GPL (no extra)" in lines


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("Copyright 2023\n\nLicensed under the Apache License, Version 2.0", False),
        ("Copyright 2023\n\nunder the terms of the GNU General Public License", True),
    ],
)
def test_where_the_metadata_name_no_licence_its_file_is_read(text, refused):
    package = Package("one", License_File="LICENSE")
    package.read_text = {"licenses/LICENSE": text}.get
    assert licences.licence(package) == text.split("\n")[-1]
    assert licences.refused(licences.licence(package)) is refused


@pytest.mark.parametrize(
    ("version", "files", "refused"),
    [
        ("0.22.4", ["docutils/core.py"], False),
        ("0.22.4", ["docutils/core.py", "tools/editors/emacs/rst.el"], True),
        ("0.22.4", None, True),  # without a list of files
        ("0.99", ["docutils/core.py"], True),  # whose licences nobody has read
    ],
)
def test_a_file_under_the_gpl_that_is_not_installed_is_an_exception(version, files, refused):
    package = Package("docutils", classifiers=["GNU General Public License (GPL)"])
    package.version = version
    package.files = files and [Path(one) for one in files]
    project = {"name": "imil", "dependencies": ["docutils"]}
    assert bool(licences.report(project, [package])[1]) is refused


def test_what_is_missing_or_states_no_licence_is_named():
    lines, faults = licences.report(PROJECT, [Package("plain")])
    assert lines[:2] == ["not installed, of a: one", "not installed, of all: one"]
    assert [fault.split(";")[0] for fault in faults] == ["plain 1.0, of imil: not stated"]


def test_every_package_installed_here_has_a_licence_that_is_allowed():
    lines, faults = licences.report(
        licences.tomllib.loads((ROOT / "pyproject.toml").read_text())["project"],
        metadata.distributions(),
    )
    assert faults == []
    assert any(line.startswith("sqlalchemy ") and line.endswith("MIT (imil)") for line in lines)
