"""The status table of a study."""

from rich.console import Console
from studies import make_study

from imil.study.jobs.runner import hold
from imil.study.jobs.status import status_table
from imil.study.plan import read_plan
from imil.study.report.findings import read_findings


def counts(folder):
    """Jobs done, running, failed and waiting, by arm."""
    table = status_table(read_plan(folder.plan), folder)
    columns = [list(column.cells) for column in table.columns[1:5]]
    return list(zip(*columns, strict=True))


def test_a_name_with_brackets_is_shown_as_it_is(tmp_path):
    folder = make_study(
        tmp_path / "study", arms=["baseline", "imil"], seeds=[0], external=(), n=12, train=12
    )
    plan = read_plan(folder.plan).model_copy(update={"name": "Chest [fold 2] [/b]"})
    with (console := Console(width=100)).capture() as shown:
        console.print(status_table(plan, folder))
    assert "Chest [fold 2] [/b]: 2 of 2 jobs done" in shown.get()


def test_a_job_is_running_only_while_a_process_runs_the_study(tmp_path):
    folder = make_study(
        tmp_path / "study", arms=["baseline", "imil"], seeds=[0, 1], external=(), n=12, train=12
    )
    folder.job("imil", 1, 0).mark("running", seconds=3.0)
    plan = read_plan(folder.plan)
    with hold(folder):
        assert counts(folder) == [("2", "", "", ""), ("1", "1", "", "")]
        assert read_findings(folder, plan).states == {"done": 3, "running": 1}
    # killed
    assert counts(folder) == [("2", "", "", ""), ("1", "", "", "1")]
    assert read_findings(folder, plan).states == {"done": 3, "waiting": 1}
