"""Each command of `imil study` but `run`, once, on a study that is made up."""

import pytest
from processes import command
from studies import make_study


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def study(place):
    """A study of which one of two trainings is not done."""
    arms, waiting = ("baseline", "imil"), [("imil", 0, 0)]
    options = {
        "external": (),
        "subgroups": (),
        "n": 20,
        "train": 20,
        "side": 16,
        "readers": ["Lee"],
    }
    make_study(place / "whole", arms=arms, seeds=(0,), **options)
    return make_study(place / "half", arms=arms, seeds=(0,), waiting=waiting, **options)


def output_of(words, place):
    """The standard output of a command that succeeds, in one line."""
    result = command(["study", *words], place)
    assert result.returncode == 0, result.stderr
    return " ".join(result.stdout.split())


def test_report_writes_the_report(place, study):
    assert output_of(["report", "half"], place) == "The report is half/report.html."
    assert study.report.exists()
    assert (study.figures / "forest.svg").exists()


def test_status_shows_the_progress_and_the_time_left(place, study):
    text = output_of(["status", "half"], place)
    assert "1 of 2 jobs done" in text
    assert text.endswith("About 18 s of work left.")  # 3 of 10 epochs that took 60 s


def test_compare_shows_two_studies(place, study):
    text = output_of(["compare", "whole", "half"], place)
    assert "Same data" in text
    assert "No difference shown" in text


def test_reader_shows_what_was_read_in_a_job(place, study):
    text = output_of(["reader", "whole/jobs/imil/seed-0-split-0"], place)
    assert "Lee" in text
    assert "8 of 8 cases" in text


def test_init_writes_a_plan_and_never_over_a_file(place):
    words = ["init", "quick", "--data", "scans.csv", "--out", "mine.toml"]
    assert "imil study run mine.toml" in output_of(words, place)
    plan = (place / "mine.toml").read_text("utf-8")
    assert 'data = "scans.csv"' in plan
    again = command(["study", *words], place)
    assert again.returncode == 2
    assert again.stderr == "imil: mine.toml already exists: give another --out\n"
    assert (place / "mine.toml").read_text("utf-8") == plan


@pytest.mark.parametrize("name", ["report", "status", "reader"])
def test_a_folder_without_a_study_is_refused_in_one_sentence(place, name):
    result = command(["study", name, "nowhere"], place)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "nowhere" in result.stderr
