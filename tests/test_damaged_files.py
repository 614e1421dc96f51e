"""Files of a run, a study and the cache that are damaged or hostile: one sentence, or made anew."""

import json

import pytest

from imil.data.file_hashes import hash_files
from imil.errors import DataError, ImilError, SettingsError
from imil.readers.reading_table import load_rows
from imil.run_folder import RunFolder
from imil.settings import load_toml, resolve
from imil.study.plan import make_plan
from imil.study.study_folder import StudyFolder
from imil.training.outputs.prediction_files import read_metrics
from imil.training.treatment_files import read_decisions, read_field

DEEP = "[" * 100_000 + "]" * 100_000
JSON = {
    "empty": "",
    "cut off": '{"state": "do',
    "too deep": DEEP,
    "a number without end": "9" * 10_000,
    "no object": "[1, 2]",
    "null": "null",
    "other names": '{"a": 1}',
    "other kinds": '{"state": ["done"], "grid": "x", "squares": 5, "classes": 1}',
}
DAMAGED = pytest.mark.parametrize("text", JSON.values(), ids=JSON)


@DAMAGED
@pytest.mark.parametrize("more", ["", '{"NAME": [[1, 2], 5]}', '{"NAME": ["a", "b"]}'])
def test_a_damaged_index_of_hashes_is_made_anew(tmp_path, text, more):
    image = tmp_path / "a.png"
    image.write_bytes(b"pixels")
    index = tmp_path / "hashes.json"
    index.write_text(more.replace("NAME", str(image)) or text)
    hashes, read = hash_files([image], index, lambda *_: None)
    assert (len(hashes[0]), read) == (64, 1)


@DAMAGED
def test_a_damaged_status_of_a_job_is_named(tmp_path, text):
    job = StudyFolder(tmp_path).job("imil", 0, 0)
    job.path.mkdir(parents=True)
    (job.path / "job.json").write_text(text)
    with pytest.raises(DataError, match=r"job\.json is damaged: delete it"):
        _ = job.state


@pytest.mark.parametrize("change", [{"seconds": "long"}, {"seconds": 1e300}, {"error": [1]}])
def test_a_status_with_an_entry_of_another_kind_is_named(tmp_path, change):
    job = StudyFolder(tmp_path).job("imil", 0, 0)
    job.path.mkdir(parents=True)
    (job.path / "job.json").write_text(json.dumps({"state": "failed"} | change))
    with pytest.raises(DataError, match=r"job\.json is damaged: delete it"):
        _ = job.status


@DAMAGED
def test_damaged_files_of_a_run_and_a_study_are_named(tmp_path, text):
    study, run = StudyFolder(tmp_path), RunFolder(tmp_path)
    for path, read in (
        (study.facts, study.read_facts),
        (run.field_of_view, lambda: read_field(run.field_of_view)),
        (run.treatment, lambda: read_decisions(run.treatment)),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=f"{path.name} is damaged"):
            read()
    if text not in (JSON["other names"], JSON["other kinds"]):  # metrics of any names are metrics
        run.metrics.write_text(text)
        with pytest.raises(DataError, match=r"metrics\.json is damaged"):
            read_metrics(run)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + DEEP,
        "a = " + "{a=" * 100_000 + "1" + "}" * 100_000,
        "seed = " + "9" * 10_000,
        "\x00",
    ],
    ids=["lists", "tables", "digits", "zero byte"],
)
def test_hostile_toml_is_refused_in_a_sentence(tmp_path, text):
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(SettingsError, match=r"config\.toml is not valid TOML"):
        load_toml(tmp_path / "config.toml")


@pytest.mark.parametrize("name", ["seed", "lr", "epochs", "imil-epoch", "grid-size", "model"])
def test_a_number_without_end_is_refused_in_a_line(tmp_path, name):
    (tmp_path / "config.toml").write_text(f"{name} = 0x{'f' * 20_000}")
    values = {key.replace("-", "_"): v for key, v in load_toml(tmp_path / "config.toml").items()}
    for read in (
        lambda: resolve({"data": "films"} | values),
        lambda: make_plan({"data": "films", "training": values}, base=tmp_path),
    ):
        with pytest.raises(ImilError) as refused:
            read()
        assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "text", [DEEP, '[{"key": "a", "squares": "1", "seconds": 1' + "0" * 400 + "}]"]
)
def test_a_hostile_table_of_readings_is_refused_in_a_sentence(tmp_path, text):
    (tmp_path / "readings.json").write_text(text)
    with pytest.raises(DataError):
        load_rows(tmp_path / "readings.json")
