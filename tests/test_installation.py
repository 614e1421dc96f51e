"""`imil doctor`: what is installed, what the machine has, and what is missing."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from imil import installation
from imil.cli.main import app
from imil.installation import NOT_FEATURES, PURPOSES, features

ROOT = Path(__file__).parent.parent
LINES = [
    "numpy>=1.26",
    'rich>=13.7; extra == "train"',
    "torch>=2.6; extra == 'train'",
    'imil[train]; extra == "ray"',
    'ray>=2.40; extra == "ray"',
    'imil[train,web]; extra == "all"',
    'uvicorn; extra == "web"',
    'pytest>=9; extra == "dev"',
]
VERSIONS = {"numpy": "2.0.0", "rich": "13.6.9", "ray": "2.40.0"}


def test_every_extra_is_a_feature_that_names_what_it_lacks():
    found = {feature.extra: feature for feature in features(LINES, VERSIONS.get)}
    assert list(found) == ["", "train", "web", "ray"]
    assert found[""].missing == ()
    assert found[""].install == ""
    assert [package.name for package in found["train"].missing] == ["rich", "torch"]
    assert found["train"].install == "pip install 'rich>=13.7' 'torch>=2.6'"
    assert [package.name for package in found["ray"].packages] == ["ray", "rich", "torch"]
    assert found["ray"].install == "pip install 'rich>=13.7' 'torch>=2.6'"
    assert found["web"].install == "pip install 'uvicorn'"


@pytest.mark.parametrize(
    ("required", "installed", "fits"),
    [
        (">=2.6", "2.13.0+cpu", True),
        (">=2.6", "2.5.9", False),
        (">=1.0.9", "1.0.31", True),
        (">=2.6", None, False),
        ("", "0.1", True),
        (">=9", "9.2.0", True),
    ],
)
def test_versions_are_compared_as_numbers(required, installed, fits):
    assert installation.Package("a", required, installed).fits is fits


def test_every_extra_of_the_project_says_what_it_is_for():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert set(extras) - set(NOT_FEATURES) <= set(PURPOSES)


def test_what_cannot_be_found_out_is_said_in_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(installation, "find_spec", lambda name: None)
    found = installation.machine(tmp_path / "none" / "cache")
    assert found["device"] == {"why_not": "PyTorch is not installed"}
    assert found["cache"]["folder"] == str(tmp_path / "none" / "cache")
    assert found["cache"]["used_bytes"] == 0
    assert found["cache"]["free_bytes"] > 0
    assert not (tmp_path / "none").exists()


def test_a_torch_that_cannot_be_imported_is_no_traceback(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "PyTorch" in installation.machine(None)["device"]["why_not"]


def test_a_program_is_found_under_any_of_its_names():
    found = installation.programs({"google-chrome": "/opt/chrome"}.get)
    assert found["browser"] == "/opt/chrome"
    assert found["openssl"] is None


def test_the_command_prints_a_table_or_json_and_exits_with_0(monkeypatch, tmp_path):
    monkeypatch.setattr(installation, "requires", lambda name: LINES)
    monkeypatch.setattr(installation, "installed_version", VERSIONS.get)
    monkeypatch.setattr(installation.features, "__defaults__", (VERSIONS.get,))
    run = CliRunner().invoke
    shown = run(app, ["doctor", "--cache", str(tmp_path)], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert "  pip install 'rich>=13.7' 'torch>=2.6'" in shown.stdout.splitlines()
    assert "torch>=2.6 (missing)" in shown.stdout
    assert "rich>=13.7 (13.6.9)" in shown.stdout
    assert str(tmp_path) in shown.stdout
    as_json = json.loads(run(app, ["doctor", "--json", "--cache", str(tmp_path)]).stdout)
    assert as_json["machine"]["cache"]["folder"] == str(tmp_path)
    train = next(one for one in as_json["features"] if one["extra"] == "train")
    assert not train["complete"]
    assert train["packages"]["torch"] == {"required": ">=2.6", "installed": None, "fits": False}


@pytest.mark.slow  # in a process that imports PyTorch anew
def test_asking_loads_no_framework_but_pytorch():
    code = (
        "import sys; from imil import installation; installation.report();"
        "print(*{'lightning', 'transformers', 'keras', 'skorch', 'ignite'} & {*sys.modules})"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.strip() == ""


@pytest.mark.process
@pytest.mark.parametrize(
    ("missing", "words", "extra"),
    [("torch", ["study", "status", "here"], "train"), ("fastapi", ["serve", "run"], "web")],
)
def test_a_command_that_lacks_a_package_says_what_to_install(missing, words, extra):
    program = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv = ['imil', *{words!r}]\n"
        "from imil.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    sentence = f"imil: this needs {missing}, which is not installed: pip install 'imil[{extra}]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", sentence)
