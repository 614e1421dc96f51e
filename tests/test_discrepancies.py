"""A model's disagreements with a report: opened as a round, read, and trained on."""

import csv
import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from imil.cases import Reading
from imil.cli.main import app
from imil.images.load import load_image
from imil.phantom.dataset import write_phantoms
from imil.store import Store

SMALL = [
    *("--model", "test_resnet", "--image-size", "32", "--epochs", "3", "--batch-size", "16"),
    *("--lr", "0.05", "--device", "cpu"),
]


def imil(home, *words, code=0):
    """The output of a command."""
    environment = {"IMIL_CACHE": str(home / "cache"), "COLUMNS": "200"}
    result = CliRunner().invoke(app, [str(word) for word in words], env=environment)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A finished run, and a worklist with a report that is right."""
    home = tmp_path_factory.mktemp("home")
    films = write_phantoms(home / "films", n=32, size=48, seed=0)
    write_phantoms(home / "new", n=16, size=48, seed=1)
    imil(home, "train", films, *SMALL, "--reader", "none", "--out", home / "run")
    new = pd.read_csv(home / "new" / "manifest.csv")
    names = {0: "normal", 1: "lesion"}
    rows = [[Path(row.image).name, names[row.label]] for row in new.itertuples()]
    write_report(home / "report.csv", rows)
    return home


def write_report(path, rows, heads=("image", "label")):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([heads, *rows])
    return path


def report_rows(home):
    with (home / "report.csv").open() as file:
        return list(csv.reader(file))[1:]


def round_open(home, out, *more, data=None, report=None, code=0):
    where = data or home / "new" / "manifest.csv"
    given = ["--discrepancies", report or home / "report.csv", "--out", out, "--device", "cpu"]
    return imil(home, "round", "open", home / "run", where, *given, *more, code=code)


def predicted(home):
    """Image name -> class and confidence, by `imil predict`."""
    text = home / "predicted.csv"
    if not text.exists():
        imil(home, "predict", home / "run", home / "new" / "manifest.csv", "--out", text)
    rows = pd.read_csv(text)
    return {Path(row.image).name: (row.predicted, row.confidence) for row in rows.itertuples()}


def test_the_cases_are_where_model_and_report_differ_the_surest_first(home, tmp_path):
    output = round_open(home, tmp_path / "d")
    expected = predicted(home)
    labels = dict(report_rows(home))
    differ = {name: expected[name] for name in labels if expected[name][0] != labels[name]}
    assert f"Model and report differ on {len(differ)} of 16 images." in output
    with closing(Store(tmp_path / "d" / "imil.sqlite", readonly=True)) as store:
        (round_,) = store.rounds()
        cases = store.cases(round_.id)
    order = sorted(differ, key=lambda name: -differ[name][1])
    assert [Path(case.key).name for case in cases] == order[:20]
    assert all(case.true_name == labels[Path(case.key).name] for case in cases)
    assert all(case.predicted_name != case.true_name for case in cases)
    listed = pd.read_csv(tmp_path / "d" / "worklist.csv")
    assert (listed["differs"] == "yes").sum() == len(differ)
    assert len(listed) == 16


def test_a_report_in_fhir_names_the_studies_of_dicom_files(home, tmp_path):
    make_dicom = pytest.importorskip("dicom_writer").make_dicom
    new = pd.read_csv(home / "new" / "manifest.csv")
    resources = []
    for n, row in enumerate(new.itertuples()):
        pixels = load_image(home / "new" / row.image)
        uids = {"StudyInstanceUID": f"1.2.7.{n}", "SOPInstanceUID": f"1.2.8.{n}"}
        make_dicom(tmp_path / f"{n:02}.dcm", pixels, **uids)
        identifier = {"system": "urn:dicom:uid", "value": f"urn:oid:1.2.7.{n}"}
        coding = {"system": "http://snomed.info/sct", "code": "1" if row.label else "2"}
        resources.append(
            {
                "resourceType": "DiagnosticReport",
                "status": "final" if n else "preliminary",
                "imagingStudy": [{"identifier": identifier}],
                "conclusionCode": [{"coding": [coding]}],
            }
        )
    extra = json.loads(json.dumps(resources[-1]).replace("1.2.7.15", "1.2.7.99"))
    report, codes = tmp_path / "r.ndjson", tmp_path / "codes.csv"
    report.write_text("\n".join(map(json.dumps, [*resources, extra])))
    codes.write_text("code,label\n1,lesion\n2,normal\n")
    output = round_open(
        home, tmp_path / "d", "--codes", codes, data=tmp_path / "worklist", report=report, code=2
    )
    assert "worklist' does not exist" in output
    worklist = tmp_path / "worklist"
    worklist.mkdir()
    for path in tmp_path.glob("*.dcm"):
        path.rename(worklist / path.name)
    output = round_open(home, tmp_path / "d", "--codes", codes, data=worklist, report=report)
    assert "1 reports are not final, and left out." in output
    assert "1 reports have no image in the worklist, and are left out." in output
    assert "1 images have no row in the report and are left out, '00.dcm' the first." in output
    listed = pd.read_csv(tmp_path / "d" / "worklist.csv")
    labels = ["lesion" if label else "normal" for label in new["label"][1:]]
    assert listed["label"].tolist() == labels


def test_a_model_and_a_report_that_agree_open_nothing(home, tmp_path):
    rows = [[name, of[0]] for name, of in predicted(home).items()]
    report = write_report(tmp_path / "r.csv", rows)
    assert "There is nothing to read." in round_open(home, tmp_path / "d", report=report)
    assert not (tmp_path / "d").exists()


@pytest.fixture
def read(home, tmp_path):
    """A round with four cases, of which one was said to have a wrong label."""
    rows = [
        [name, "lesion" if of[0] == "normal" else "normal"] for name, of in predicted(home).items()
    ]
    report = write_report(tmp_path / "r.csv", rows)
    round_open(home, tmp_path / "d", "--num-outliers", "4", report=report)
    with closing(Store(tmp_path / "d" / "imil.sqlite")) as store:
        (round_,) = store.rounds()
        cases = store.cases(round_.id)
        given = [("focus", (6, 7)), ("wrong label", ()), ("skip", ()), ("focus", (1,))]
        for case, (verdict, squares) in zip(cases, given, strict=True):
            store.add(Reading(case.id, "Lee", verdict, squares))
    return tmp_path / "d", cases


def test_training_goes_on_from_the_model_with_what_was_read(home, read, tmp_path):
    folder, cases = read
    out = tmp_path / "next"
    output = imil(home, "train", "--continue", folder, "--epochs", "2", "--out", out)
    assert "before the round after epoch 0" in output
    table = pd.read_csv(folder / "training.csv")
    assert len(table) == 32 + 3  # the case with a wrong label is left out
    splits = pd.read_csv(home / "run" / "split.csv")["split"].value_counts()
    assert (table["split"] == "test").sum() == splits["test"]
    assert (table["split"] == "train").sum() == splits["train"] + 3
    names = {Path(image).name for image in table["image"][32:]}
    assert names == {Path(cases[i].key).name for i in (0, 2, 3)}
    with closing(Store(out / "imil.sqlite", readonly=True)) as store:
        (round_,) = store.rounds()
        assert (round_.epoch, round_.state) == (0, "applied")
        readings = store.current_readings(round_.id).values()
        assert [(one.verdict, one.squares) for one in readings] == [
            ("focus", (6, 7)),
            ("wrong label", ()),
            ("skip", ()),
            ("focus", (1,)),
        ]
    metrics = json.loads((out / "metrics.json").read_text())
    before = metrics["rounds"][0]["before"]["test"]
    end_of_model = json.loads((home / "run" / "metrics.json").read_text())["end"]["test"]
    assert before == end_of_model  # it goes on from the model
    model, next_model = (load_file(one / "model.safetensors") for one in (home / "run", out))
    assert any((model[name] != next_model[name]).any() for name in model)


def test_the_corrections_are_those_that_were_read(home, read, tmp_path):
    from imil.data.image_cache import cache_folder
    from imil.rounds import restore
    from imil.run_folder import RunFolder
    from imil.settings import load_config, resolve
    from imil.training.samples.prepared_data import prepare

    folder, cases = read
    imil(home, "train", "--continue", folder, "--epochs", "1", "--out", tmp_path / "next")
    run = RunFolder(tmp_path / "next")
    settings = resolve(load_config(run.config))
    data = prepare(settings, run, cache=cache_folder(home / "cache"), progress=lambda *_: None)
    samples = data.samples("train")
    with closing(Store(run.store)) as store:
        restore(samples, store, run="next", epoch=0)
    corrected = {
        Path(samples.key(i)).name: samples.corrected(i).squares
        for i in range(len(samples))
        if samples.corrected(i)
    }
    assert corrected == {
        Path(cases[0].key).name: (6, 7),
        Path(cases[3].key).name: (1,),
    }


def test_an_interrupted_training_is_resumed_with_its_round(home, read, tmp_path, monkeypatch):
    from imil.training import run as run_module

    folder, _ = read
    out = tmp_path / "next"

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run_module.Run, "_fit", stop)
        imil(home, "train", "--continue", folder, "--epochs", "2", "--out", out, code=130)
    imil(home, "resume", out)
    with closing(Store(out / "imil.sqlite", readonly=True)) as store:
        assert [(one.epoch, one.state) for one in store.rounds()] == [(0, "applied")]
        assert len(store.readings("next@0")) == 4


def test_cases_that_nobody_read_are_asked_for(home, tmp_path):
    round_open(home, tmp_path / "d")
    words = ["train", "--continue", tmp_path / "d", "--out", tmp_path / "next"]
    assert "are unread: read them with `imil serve" in imil(home, *words, code=2)
    assert not (tmp_path / "next").exists()


def test_a_simulated_reader_reads_at_once(home, tmp_path):
    output = round_open(home, tmp_path / "d", "--reader", "simulated", "--num-outliers", "3")
    assert "cases are read" in output
    with closing(Store(tmp_path / "d" / "imil.sqlite", readonly=True)) as store:
        (round_,) = store.rounds()
        assert round_.state == "closed"
        assert store.unread(round_.id) == []


@pytest.mark.parametrize(
    ("rows", "heads", "message"),
    [
        ([["000001.png", "cancer"]], None, "expected one of the model's classes, normal, lesion"),
        ([["no.png", "lesion"]], None, "1 rows of"),
        ([["X", "lesion"], ["X", "lesion"]], None, "two rows of one image"),
        ([["X", ""]], None, "row 1 of"),
        ([["X", "lesion"]], ("name", "label"), "has none of the columns image, key, file"),
        ([["X", "lesion"]], ("image", "finding"), "has no column 'label' but image, finding"),
    ],
)
def test_a_report_that_does_not_fit_is_a_sentence(home, tmp_path, rows, heads, message):
    name = report_rows(home)[0][0]
    rows = [[name if cell in ("X", "000001.png") else cell for cell in row] for row in rows]
    report = write_report(tmp_path / "r.csv", rows, heads or ("image", "label"))
    assert message in round_open(home, tmp_path / "d", report=report, code=2)
    assert not (tmp_path / "d").exists()


def test_images_without_a_report_are_left_out_and_counted(home, tmp_path):
    report = write_report(tmp_path / "r.csv", report_rows(home)[:12])
    assert "4 images have no row in the report" in round_open(home, tmp_path / "d", report=report)


def test_a_worklist_of_dicom_files_is_named_by_its_headers(home, tmp_path):
    pytest.importorskip("pydicom")
    from dicom_writer import make_dicom
    from PIL import Image

    rows = []
    (tmp_path / "w").mkdir()
    for n, (name, label) in enumerate(report_rows(home)):
        pixels = np.asarray(Image.open(next((home / "new").rglob(name))))
        uid = f"1.2.3.{n}"
        make_dicom(tmp_path / "w" / f"{n}.dcm", pixels, SOPInstanceUID=uid, PatientID=f"P{n}")
        rows.append([uid, label])
    report = write_report(tmp_path / "r.csv", rows, ("SOPInstanceUID", "label"))
    one = round_open(home, tmp_path / "a", report=report, data=tmp_path / "w")
    other = round_open(home, tmp_path / "b")
    assert one.splitlines()[0] == other.splitlines()[0]
    for path in (tmp_path / "a").rglob("*"):
        assert not path.is_file() or b"1.2.3." not in path.read_bytes()


def test_settings_that_contradict_are_a_sentence(home, read, tmp_path):
    folder, _ = read
    words = ["train", "--continue", folder, "--out", tmp_path / "next"]
    assert "leave one of them out" in imil(home, *words, home / "films", code=2)
    assert "--continue brings a round" in imil(
        home, *words, "--reader", "simulated", "--imil-epoch", "1", "--budget", "4", code=2
    )
    assert "has no round of discrepancies" in imil(
        home, "train", "--continue", home / "run", code=2
    )
    assert "is not a finished run" in imil(
        home, "round", "open", folder, folder, "--discrepancies", home / "report.csv", code=2
    )
