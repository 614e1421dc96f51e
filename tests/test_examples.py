"""The examples run as they are; flags, plans, arms and columns that the pages show exist."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from imil.study.arms import TITLES
from imil.study.plan import make_plan
from imil.study.result_rows import COLUMNS, UNIT_COLUMNS
from imil.study.shortcut_rows import COLUMNS as SHORTCUT_COLUMNS

ROOT = Path(__file__).parent.parent
# examples of frameworks that need not be installed
NEEDS = {
    "huggingface_trainer.py": ["transformers", "accelerate"],
    "skorch_net.py": ["skorch"],
    "fastai_learner.py": ["fastai"],
    "ignite_trainer.py": ["ignite"],
    "monai_trainer.py": ["ignite", "monai"],
    "accelerate_loop.py": ["accelerate"],
    "keras_paper.py": ["keras"],
}


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("plain_loop.py", "round after epoch 2: 5 films corrected"),
        ("lightning_callback.py", "5 films corrected"),
        *((one, "5 films corrected") for one in NEEDS),
    ],
)
@pytest.mark.slow  # each in a process that imports its framework
def test_an_example_runs_as_it_is(name, output, tmp_path):
    for framework in NEEDS.get(name, []):
        if importlib.util.find_spec(framework) is None:
            pytest.skip(f"needs {framework}, which is not installed")
    more = ["2"] if name == "keras_paper.py" else []  # epochs, of 100
    result = subprocess.run(
        [sys.executable, ROOT / "examples" / name, tmp_path, *more],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert output in result.stdout


@pytest.mark.parametrize(
    ("page", "commands"),
    [
        ("training.md", ["train", "demo"]),
        ("data.md", ["train"]),
        ("study.md", ["study init", "study run"]),
    ],
)
def test_the_docs_name_every_flag_and_command_that_they_show(page, commands):
    shown = (ROOT / "docs" / page).read_text()
    known = "".join(
        subprocess.run(
            [Path(sys.executable).with_name("imil"), *words.split(), "--help"],
            capture_output=True,
            text=True,
            env={"COLUMNS": "200", "TERM": "dumb"},
        ).stdout
        for words in commands
    )
    # flags of other programs
    shown = re.sub(r"^#SBATCH .*$|`mlflow ui .*?`", "", shown, flags=re.M)
    for flag in set(re.findall(r"--[a-z][a-z-]+", shown)):
        assert flag in known, f"{page} shows {flag}"


def test_the_plan_that_the_docs_show_is_one():
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/study.md").read_text(), re.S)
    values = tomllib.loads("\n".join(blocks))
    plan = make_plan(
        {"name": "A", "data": "a.csv", "arms": ["baseline", "no-shortcut", "imil"]} | values,
        base=ROOT,
    )
    assert [arm.id for arm in plan.rows] == [
        *("baseline", "no-shortcut", "imil.Lee", "imil.careless"),
        *("half", "half-random", "half-inverted", "half-no-shortcut"),
    ]


def test_the_docs_name_every_arm_of_a_study_and_no_other():
    table = (ROOT / "docs/study.md").read_text().split("| arm |")[1].split("\n\n")[0]
    first = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert re.findall(r"`([a-z-]+)`", "".join(first)) == list(TITLES)


@pytest.mark.parametrize(
    ("file", "columns"),
    [("table.csv", COLUMNS), ("units.csv", UNIT_COLUMNS), ("shortcut.csv", SHORTCUT_COLUMNS)],
)
def test_the_docs_name_every_column_of_a_table(file, columns):
    page = (ROOT / "docs/study-report.md").read_text()
    table = page.split(f"`{file}` holds")[1].split("| column |")[1].split("\n\n")[0]
    missing = set(columns) - set(re.findall(r"`([a-z_]+)`", table))
    assert not missing
