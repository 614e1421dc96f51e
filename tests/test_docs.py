"""The documentation agrees with the code: links, files, commands, modules, names."""

import importlib
import inspect
import re
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from imil.cli.main import app
from imil.settings import TrainSettings, flag_name

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src/imil"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FILE = r"`([\w./-]+\.(?:py|js|css|html|md|toml|cff|png))`"
# files that a run, a study or a user makes
MADE = {
    *("config.toml", "plan.toml", "quick.toml", "cases.html", "report.html"),
    *("cases.png", "curve.png", "learned.png", "studies/quick/report.html"),
}
MADE_FOLDERS = {
    *("cases", "predictions", "splits", "figures", "jobs", "tensorboard"),
    *("mlflow", "tracker", "wandb"),
    *("CXR_png", "ClinicalReadings"),
}
NOT_MODULES = {
    "imil.NAME",  # an arm of a study
    "imil.keras.IMIL",  # importing Keras starts a process; test_keras.py does
}
RENAMED = "CHANGELOG.md"  # names modules that are gone


def pages(*left_out):
    """A parameter for each page but some."""
    kept = [page for page in PAGES if page.name not in left_out]
    return pytest.mark.parametrize("page", kept, ids=[str(p.relative_to(ROOT)) for p in kept])


def anchors(page):
    """The names under which the headings of a page can be linked to, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pages()
def test_every_relative_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name) if name else page
        assert path.exists(), f"there is no {target}"
        if anchor:
            assert anchor in anchors(path), f"{path.name} has no heading #{anchor}"


@pages(RENAMED)
def test_every_file_that_is_named_exists(page):
    for name in set(re.findall(FILE, page.read_text())) - MADE:
        homes = (ROOT, PACKAGE, page.parent)
        assert any((home / name).exists() for home in homes), f"there is no file {name}"


@pages(RENAMED)
def test_every_folder_that_is_named_exists(page):
    for name in set(re.findall(r"`((?:\w+/)*\w+)/`", page.read_text())):
        homes = (ROOT, PACKAGE)
        made = name.partition("/")[0] in MADE_FOLDERS
        assert made or any((home / name).is_dir() for home in homes), f"there is no folder {name}"


@pages(RENAMED)
def test_every_module_and_name_that_is_mentioned_can_be_imported(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for dotted in set(re.findall(r"(?<![\w./])imil(?:\.[A-Za-z_]\w*)+(?![\w-])", text)):
        if dotted not in NOT_MODULES and not dotted.endswith(".sqlite"):
            resolve(dotted)


def resolve(dotted):
    """The module or attribute of that name."""
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith("imil"):
                pytest.skip(f"needs {error.name}, which is not installed")
            continue
        for name in parts[n:]:
            value = getattr(value, name)
        return value
    raise ModuleNotFoundError(dotted)


def code(page):
    """The code of a page, a line or a span a line."""
    text = page.read_text()
    blocks = re.findall(r"^```.*?\n(.*?)^```", text, re.M | re.S)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    return "\n".join([*blocks, *spans])


def commands(*words):
    """The commands of `imil`, or of one of its commands."""
    command = get_command(app)
    for word in words:
        command = command.commands[word]
    return set(command.commands)


@pages(RENAMED)
def test_every_command_that_is_named_is_known(page):
    for words in re.findall(r"^(?:\$ )?imil ((?:[a-z]+ ?)+)", code(page), re.M):
        first, *rest = words.split()
        assert first in commands(), f"there is no command: imil {first}"
        if first == "study" and rest:
            assert rest[0] in commands("study"), f"there is no command: imil study {rest[0]}"


@pages(RENAMED)
def test_every_make_target_that_is_named_exists(page):
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for target in re.findall(r"^make ([a-z-]+)", code(page), re.M):
        assert target in known, f"there is no target: make {target}"


def listed_names():
    """Module, name and parameters (None: not a callable) of each row of the API page."""
    for section in (ROOT / "docs/api.md").read_text().split("\n## `")[1:]:
        module = section.partition("`")[0]
        for name, parameters in re.findall(r"^\| `(\w+)(?:\(([^)]*)\))?` \|", section, re.M):
            yield pytest.param(module, name, parameters, id=f"{module}.{name}")


@pytest.mark.parametrize(("module", "name", "parameters"), list(listed_names()))
def test_the_api_page_gives_the_signature_of_each_name(module, name, parameters):
    value = getattr(importlib.import_module(module), name)
    if parameters:
        given = inspect.signature(value).parameters.values()
        text = [parameter.name for parameter in given]
        marks = [i for i, one in enumerate(given) if one.kind is one.KEYWORD_ONLY][:1]
        for i in marks:
            text.insert(i, "*")
        assert parameters == ", ".join(text)


@pytest.mark.parametrize("module", ["imil", "imil.pytorch", "imil.readers"])
def test_the_api_page_has_every_public_name(module):
    listed = {param.values[1] for param in listed_names() if param.values[0] == module}
    assert listed == set(importlib.import_module(module).__all__)


def test_the_training_page_has_every_setting_with_its_default_and_help():
    table = (ROOT / "docs/training.md").read_text().split("## All settings")[1]
    rows = re.findall(r"^\| `([a-z-]+)` \| (?:\(required\)|`(.*?)`) \| (.*) \|$", table, re.M)
    expected = [
        (flag_name(name), typed(field), field.description)
        for name, field in TrainSettings.model_fields.items()
    ]
    assert rows == expected, "write the table anew: python tools/settings_table.py"


def typed(field):
    """The default of a setting as one types it; empty where there is none."""
    if field.is_required():
        return ""
    value = field.default
    if isinstance(value, bool):
        return str(value).lower()
    return (",".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value)


def test_the_citation_has_the_version_of_the_package():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_every_decision_is_in_the_list_of_decisions():
    folder = ROOT / "docs/decisions"
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text())
    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))


@pytest.mark.parametrize("picture", sorted((ROOT / "docs/images").glob("*.png")), ids=str)
def test_a_picture_that_documents_show_is_small_and_used(picture):
    assert any(f"images/{picture.name}" in page.read_text() for page in PAGES)
    assert picture.stat().st_size <= 650_000
