"""The films of tools/fixed_lesion.py, on which a method's page says what a reader adds."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from imil.grid import Grid
from imil.images.load import load_image, load_mask
from imil.study.plan import read_plan

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.process


def test_all_lesions_lie_in_one_square_and_the_plan_can_be_read(tmp_path):
    folder = tmp_path / "study"
    command = [sys.executable, ROOT / "tools" / "fixed_lesion.py", folder, "--films", "4"]
    subprocess.run(command, check=True)
    with (folder / "films.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["normal", "lesion"] * 2
    for row in rows:
        assert load_image(folder / row["image"]).shape == (64, 64)
        lesion = load_mask(folder / row["lesion_mask"])
        assert lesion.any() == (row["label"] == "lesion")
        assert np.flatnonzero(Grid(4, 4).shares(lesion)).tolist() in ([], [5])
        assert load_mask(folder / row["lung_mask"]).any()
    plan = read_plan(folder / "fixed-lesion.toml")
    assert (plan.data, len(plan.seeds)) == (str(folder / "films.csv"), 6)
