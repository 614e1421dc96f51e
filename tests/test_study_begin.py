"""The start of a study: what is refused before its first job, and the state of the folder then."""

import pytest
from rich.console import Console

from imil.errors import DataError, SettingsError
from imil.study.jobs.runner import begin, hold
from imil.study.plan import make_plan
from imil.study.study_folder import StudyFolder

PLAN = {"name": "A", "data": "films.csv", "arms": ["baseline", "imil"], "readers": [{"name": "A"}]}


@pytest.fixture
def folder(tmp_path):
    """An empty folder for a study; `films.csv` is nowhere."""
    (tmp_path / "study").mkdir()
    return StudyFolder(tmp_path / "study")


def plan(folder, **more):
    return make_plan(PLAN | more, base=folder.path.parent)


def start(folder, **more):
    begin(plan(folder, **more), folder, folder.path.parent / "cache", Console(quiet=True))


def test_a_study_is_run_by_one_process_at_a_time(folder):
    says = f"imil study status {folder.path}"
    with hold(folder), pytest.raises(SettingsError, match=says), hold(folder):
        pass
    with hold(folder):  # free again
        pass


def test_a_folder_with_other_files_is_refused(folder):
    (folder.path / "notes.txt").write_text("")
    with pytest.raises(SettingsError, match="is not empty and does not contain a study"):
        start(folder)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"data": "other.csv"}, "a study with another 'data'"),
        ({"splits": {"seed": 1}}, "a study with another 'splits'"),
        ({"splits": {"count": 3}, "seeds": [0, 1]}, "films.csv"),  # more of both is accepted
        ({"readers": [{"name": "A", "reader": "simulated:miss=0.5"}]}, "'A' has other settings"),
    ],
)
def test_a_plan_may_only_be_extended(folder, more, says):
    plan(folder).write(folder.plan)
    folder.facts.write_text("{}")
    with pytest.raises((SettingsError, DataError), match=says):
        start(folder, **more)


def test_a_check_that_fails_leaves_the_folder_as_it_was(folder):
    def files():
        return {path.name: path.read_bytes() for path in folder.path.iterdir()}

    with pytest.raises(DataError, match=r"films\.csv"):
        start(folder)
    assert files() == {}
    plan(folder).write(folder.plan)  # as an interruption during the checks leaves it
    with pytest.raises(DataError, match=r"films\.csv"):
        start(folder)
    assert files() == {}
    plan(folder).write(folder.plan)
    folder.facts.write_text("{}")
    before = files()
    with pytest.raises(DataError, match=r"films\.csv"):
        start(folder, seeds=[0, 1])
    assert files() == before


def test_an_arm_keeps_its_name_if_a_new_reader_is_not_accepted(folder):
    plan(folder).write(folder.plan)
    folder.facts.write_text("{}")
    folder.arm("imil").mkdir(parents=True)
    with pytest.raises(DataError, match=r"films\.csv"):
        start(folder, readers=[{"name": "A"}, {"name": "B", "reader": "inverted"}])
    assert folder.arm("imil").exists(), "where the plan in the folder looks for A's readings"
    assert not folder.arm("imil.A").exists()
