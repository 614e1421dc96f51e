"""Plans to start from: they are packaged, load, and are what they say."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from processes import command

import imil
from imil.errors import SettingsError
from imil.phantom.dataset import write_phantoms
from imil.study.arms import CONTROLS, Arm
from imil.study.plan import read_plan
from imil.study.plan_templates import NAMES, init
from imil.study.study_folder import StudyFolder
from imil.treatments import TREATMENTS

ROOT = Path(imil.__file__).parents[2]
MIXES = {"cutmix", "cutout", "mixup"}
SMALL = {
    "seeds": "[0]",
    "model": '"test_resnet"',
    "image-size": "32",
    "epochs": "3",
    "imil-epoch": "2",
    "batch-size": "16",
}


def plan(tmp_path, name, data="films.csv"):
    path = tmp_path / f"{name}.toml"
    path.write_text(init(name, data), encoding="utf-8")
    return read_plan(path)


@pytest.mark.parametrize("name", NAMES)
def test_a_template_is_a_plan_of_the_data_it_is_given(tmp_path, name):
    assert plan(tmp_path, name, "../other films.csv").data == f"{tmp_path}/../other films.csv"
    assert "films.csv" not in init(name, "scans.parquet").replace("scans.parquet", "")


@pytest.mark.parametrize("data", ['a "quoted" name.csv', "C:\\films\\new.csv", "Röntgen.csv"])
def test_any_file_name_is_written_as_valid_toml(tmp_path, data):
    assert plan(tmp_path, "quick", data).data == str(tmp_path / data)


@pytest.mark.parametrize("name", NAMES)
def test_a_template_has_comments(name):
    lines = init(name, "films.csv").splitlines()
    assert lines[0].startswith("# ")
    # one comment serves several tables of treatments
    before = init(name, "films.csv").split("[[treatments]]")[0].splitlines()
    assert sum("#" in line for line in before) > len(before) / 3
    assert max(map(len, lines)) <= 100


def test_the_papers_plan_has_its_seven_rows_and_settings(tmp_path):
    """Table 1 and section 3.3.2, as this project cites them: docs/paper.md."""
    result = plan(tmp_path, "paper")
    kinds = [arm.kind for arm in result.rows]
    assert kinds == ["baseline", "cutmix", "cutout", "mixup", "imil", "imil", "imil"]
    settings = result.settings(result.rows[-1], 0)
    assert (settings.model, settings.image_size) == ("resnet50", 224)
    assert (settings.batch_size, settings.optimizer, settings.lr) == (64, "sgd", 0.001)
    assert (settings.momentum, settings.epochs, settings.imil_epoch) == (0.0, 100, (70,))
    assert (settings.num_outliers, settings.grid_size) == (20, "4x4")
    assert (result.seeds, result.splits.count, result.splits.test_share) == ((0,), 1, 0.2)


def test_the_papers_plan_trains_490_epochs_instead_of_700(tmp_path):
    result = plan(tmp_path, "paper")
    epochs = result.settings(Arm("baseline"), 0).epochs
    assert sum(epochs - (result.round if arm.forks else 0) for arm in result.rows) == 490
    assert epochs * len(result.rows) == 700


@pytest.mark.parametrize(
    ("name", "size", "epochs", "at", "rivals"),
    [("quick", 64, 20, 14, MIXES), ("small", 112, 100, 70, set())],
)
def test_the_other_plans_have_every_control(tmp_path, name, size, epochs, at, rivals):
    result = plan(tmp_path, name)
    assert {arm.kind for arm in result.rows} == {"baseline", "imil", *rivals, *CONTROLS}
    settings = result.settings(Arm("imil", "simulated"), 0)
    assert (settings.model, settings.image_size) == ("resnet18", size)
    assert (settings.epochs, settings.imil_epoch) == (epochs, (at,))
    assert settings.reader.kind == "simulated"
    assert len(result.seeds) == 3


def trainings(found):
    """Arms, trainings, and epochs of a seed: of the plan, and as its comments count them."""
    epochs = sum(found.settings(arm, 0).epochs - found.fork_epoch(arm) for arm in found.rows)
    return len(found.rows), len(found.rows) * len(found.seeds), epochs


@pytest.mark.parametrize("name", ["sweeps", "method"])
def test_the_comments_count_the_trainings(tmp_path, name):
    found = plan(tmp_path, name)
    arms, jobs, epochs = trainings(found)
    says = " ".join(init(name, "films.csv").split("\nname =")[0].replace("\n#", "").split())
    seeds = len(found.seeds)
    assert f"{arms} arms with {seeds} seeds are {jobs} trainings" in says
    assert f"{epochs} epochs a seed" in says
    assert f"in {epochs / found.settings(Arm('baseline'), 0).epochs:.1f} whole trainings" in says


def test_the_sweeps_vary_one_setting_at_a_time(tmp_path):
    found = plan(tmp_path, "sweeps")
    common = found.settings(Arm("baseline"), 0)
    values = {"grid_size": {common.grid_size}, "num_outliers": {common.num_outliers}}
    values |= {"imil_epoch": {common.imil_epoch}, "share": {1.0}}
    for arm in (arm for arm in found.rows if arm.kind == "treatment"):
        own = found.settings(arm, 0)
        changed = {
            name
            for name in values
            if name != "share" and getattr(own, name) not in {getattr(common, name)}
        }
        for name in changed:
            values[name].add(getattr(own, name))
        values["share"].add(arm.share)
        assert len(changed) + (arm.share < 1) == 1
        assert own.treatment == "imil"
    assert values["grid_size"] == {f"{n}x{n}" for n in (2, 3, 4, 6, 8, 14)}
    assert values["num_outliers"] == {5, 10, 20, 40, 80}
    assert values["imil_epoch"] == {(30,), (50,), (70,), (90,), (50, 70)}
    assert values["share"] == {0.25, 0.5, 1.0}


def test_the_plan_of_methods_has_every_treatment_and_screens_on_half_of_the_seeds(tmp_path):
    found = plan(tmp_path, "method")
    assert len(found.screening.seeds) == len(found.seeds) / 2
    used = {one.text.partition(":")[0] for one in found.treatments}
    assert used | {"imil"} == set(TREATMENTS)
    for one in found.treatments:
        assert one.text == "up-weight" or {"random", "inverted"} <= set(one.controls)


def test_an_unknown_template_is_refused_in_one_sentence():
    with pytest.raises(
        SettingsError,
        match="unknown plan 'large': expected one of paper, quick, small, shortcut, method, sweeps",
    ):
        init("large", "films.csv")


def test_templates_are_in_the_installed_package(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        assert {f"imil/study/plans/{name}.toml" for name in NAMES} <= set(packed.namelist())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paper", "quick"])  # small has fewer of quick's arms
def test_every_arm_of_a_template_can_be_trained_and_reported(tmp_path, name):
    """With a small network and few epochs; all else is the template's."""
    write_phantoms(tmp_path / "films", n=60, size=48, seed=3)
    text = init(name, "films/manifest.csv")
    for key, small in SMALL.items():
        text, result = re.subn(rf"(?m)^{key} = [^#\n]*", f"{key} = {small}", text)
        assert result == 1
    (tmp_path / "plan.toml").write_text(text, encoding="utf-8")
    words = ["study", "run", "plan.toml", "--out", "study", "--threads", "1", "--cache", "cache"]
    said = command(words, tmp_path)
    assert said.returncode == 0, said.stdout + said.stderr
    plan = read_plan(tmp_path / "study" / "plan.toml")
    folder = StudyFolder(tmp_path / "study")
    assert {folder.job(arm.id, 0, 0).state for arm in plan.rows} == {"done"}
    assert "Finished" in folder.report.read_text(encoding="utf-8")
