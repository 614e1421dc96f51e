"""Nothing in the folder that a command is started in is executed, whatever its files are called."""

import os
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest
from rooms import make_store
from terminals import IMIL

from imil.phantom.dataset import write_phantoms

# each leaves its name, and does not break what imports it
PLANTED = "import pathlib, sys\npathlib.Path({marks!r}, {name!r}).touch()\n"
PLAN = """
name = "planted"
data = "films/manifest.csv"
arms = ["baseline"]
seeds = [0, 1]

[training]
model = "test_resnet"
image-size = 32
epochs = 2
batch-size = 8
imil-epoch = 1
num-outliers = 2

[[readers]]
name = "A"
"""
TRAIN = (
    "train films/manifest.csv --model test_resnet --image-size 32 --epochs 2 --imil-epoch 1 "
    "--num-outliers 2 --batch-size 8 --out run"
)
# the words, what is printed when every child process is there, and what shows that it was reached
COMMANDS = {
    "train": (f"{TRAIN} --reader web", "Watch and invite"),
    "serve": ("serve store --port 0", "a reader's link"),
    "study": ("study run plan.toml --jobs 2 --threads 1 --out study", "report is"),
    "demo": ("demo --reader web --out demo", "Watch and invite"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with films, a store and a plan, and a module of every name that can be imported."""
    folder = tmp_path_factory.mktemp("planted")
    write_phantoms(folder / "films", n=40, size=48, seed=0)
    (folder / "store").mkdir()
    make_store(folder / "store").close()
    (folder / "plan.toml").write_text(PLAN)
    marks = folder / "marks"
    marks.mkdir()
    for name in {*sys.stdlib_module_names, *packages_distributions(), "sitecustomize"}:
        planted = PLANTED.format(marks=str(marks), name=name.replace("/", "-"))
        (folder / f"{name.partition('/')[0]}.py").write_text(planted)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_modules_beside_the_data_are_not_executed(place, command):
    words, last = COMMANDS[command]
    environment = os.environ | {"IMIL_CACHE": str(place / "cache"), "COLUMNS": "200"}
    process = subprocess.Popen(
        [*IMIL, *words.split()],
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if last in line:
                break
        assert last in lines[-1], "".join(lines)
    finally:
        process.terminate()
        process.stdout.close()
        process.wait()
    assert sorted(path.name for path in (place / "marks").iterdir()) == []


@pytest.mark.slow  # in processes that import PyTorch anew
def test_the_module_searches_the_working_folder_for_nothing_but_itself(tmp_path):
    for name in ("typer", "rich", "click", "sqlalchemy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('executed')")
    words = [sys.executable, "-m", "imil", "train", "nothing.csv"]
    result = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 2, result.stderr
    assert "nothing.csv" in result.stderr
