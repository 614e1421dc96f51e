"""Images from a real DICOMweb server, and DICOM objects to it."""

import csv
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("dicomweb_client")

from dicom_writer import make_dicom  # noqa: E402 - it needs pydicom
from orthanc_server import orthanc  # noqa: E402
from rooms import add_round  # noqa: E402
from test_dicom_objects import STUDY, film  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from imil.cases import Reading  # noqa: E402
from imil.cli.main import app  # noqa: E402
from imil.data.dicomweb import absolute_data, server_url, store_files  # noqa: E402
from imil.data.table import read_data  # noqa: E402
from imil.errors import DataError, SettingsError  # noqa: E402
from imil.exports.answers import answers  # noqa: E402
from imil.exports.dicom_objects import write_dicom_objects  # noqa: E402
from imil.images.load import load_image  # noqa: E402
from imil.store import Store  # noqa: E402
from imil.training.predict_images import find_inputs  # noqa: E402

pytestmark = pytest.mark.process  # Orthanc


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with four images of two patients, its address, and the files."""
    folder = tmp_path_factory.mktemp("orthanc")
    files = []
    for n in range(4):
        tags = {"PatientID": f"P-{n // 2}", "StudyInstanceUID": f"1.2.826.0.1.5.{n}"}
        tags |= {"SeriesInstanceUID": f"1.2.826.0.1.5.{n}.1", "AccessionNumber": f"A{n}"}
        path = folder / f"{n}.dcm"
        make_dicom(path, film(n), **STUDY | tags | {"SOPInstanceUID": f"1.2.826.0.1.6.{n}"})
        files.append(path)
    with orthanc(folder) as address:
        store_files(f"dicomweb+{address}/dicom-web", files)
        yield address, files


def fetch(address, table, out):
    command = ["fetch", f"dicomweb+{address}/dicom-web", str(table), str(out)]
    return CliRunner().invoke(app, command)


def save(path, heads, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([heads, *rows])
    return path


@pytest.mark.parametrize(
    ("keyword", "values", "expected"),
    [
        ("SOPInstanceUID", ["1.2.826.0.1.6.2", "1.2.826.0.1.6.0"], [2, 0]),
        ("AccessionNumber", ["A1", "A3"], [1, 3]),
        ("StudyInstanceUID", ["1.2.826.0.1.5.3", "1.2.826.0.1.5.2"], [3, 2]),
        ("PatientID", ["P-1", "P-0"], [2, 3, 0, 1]),
    ],
)
def test_images_come_with_their_labels_pixel_for_pixel(server, tmp_path, keyword, values, expected):
    address, files = server
    rows = list(zip(values, ("sick", "well"), strict=True))
    table = save(tmp_path / "l.csv", [keyword, "label"], rows)
    result = fetch(address, table, tmp_path / "out")
    assert result.exit_code == 0, result.output
    data = read_data(tmp_path / "out" / "manifest.csv")
    labels = [data.class_names[label] for label in data.labels]
    assert labels == [("sick", "well")[i * 2 // len(expected)] for i in range(len(expected))]
    for image, n in zip(data.images, expected, strict=True):
        assert np.array_equal(load_image(image), load_image(files[n]))
        assert pydicom.dcmread(image).SOPInstanceUID == f"1.2.826.0.1.6.{n}"
    assert len(set(data.patients)) == len({n // 2 for n in expected})


def test_a_segmentation_is_listed_with_the_study_of_its_image(server, tmp_path):
    address, files = server
    store = Store(tmp_path / "imil.sqlite")
    add_round(store, film=lambda _: film(0), cases=1)
    store.add(Reading("films@70#1", "Lee", "focus", (6,)))
    given = answers(store, "films")
    store.close()
    for kind in ("dicom-seg", "dicom-sr"):
        write_dicom_objects(given, tmp_path / kind, kind, {given[0].row.key: files[0]})
        store_files(f"dicomweb+{address}/dicom-web", sorted((tmp_path / kind).iterdir()))
    study = pydicom.dcmread(files[0]).StudyInstanceUID
    series = httpx.get(f"{address}/dicom-web/studies/{study}/series", timeout=60).json()
    modalities = sorted(one["00080060"]["Value"][0] for one in series)
    assert modalities == ["OT", "SEG", "SR"]
    # and they are no images to train on
    table = save(tmp_path / "l.csv", ["StudyInstanceUID", "label"], [[study, 0]])
    result = fetch(address, table, tmp_path / "out")
    assert "1 images are in" in result.output


@pytest.mark.parametrize(
    ("heads", "rows", "message"),
    [
        (["PatientID", "label"], [["P-9", "a"]], "has no image for row 1"),
        (["PatientID", "label"], [["P-*", "a"]], "or one with * ?"),
        (["PatientID", "label"], [["P-0", "a"], ["P-0", "b"]], "has two rows of one image"),
        (["film", "label"], [["P-0", "a"]], "has none of the columns SOPInstanceUID"),
        (["PatientID", "finding"], [["P-0", "a"]], "has no column 'label'"),
    ],
)
def test_a_table_that_does_not_fit_is_a_sentence(server, tmp_path, heads, rows, message):
    result = fetch(server[0], save(tmp_path / "l.csv", heads, rows), tmp_path / "out")
    assert (result.exit_code, message in result.output) == (2, True), result.output
    assert not (tmp_path / "out").exists()


def test_an_interrupted_fetch_goes_on_and_fetches_nothing_twice(server, tmp_path, monkeypatch):
    from imil.data import dicomweb

    address, _ = server
    table = save(tmp_path / "l.csv", ["PatientID", "label"], [["P-0", "a"], ["P-1", "b"]])
    fetched, retrieve = [], dicomweb._retrieve

    def interrupted(client, one, path):
        if len(fetched) == 3:
            raise KeyboardInterrupt
        fetched.append(one.uid)
        retrieve(client, one, path)

    monkeypatch.setattr(dicomweb, "_retrieve", interrupted)
    assert fetch(address, table, tmp_path / "out").exit_code != 0
    assert not (tmp_path / "out" / "manifest.csv").exists()
    fetched.clear()
    other = save(tmp_path / "m.csv", ["PatientID", "label"], [["P-0", "a"]])
    assert "holds another fetch" in fetch(address, other, tmp_path / "out").output
    result = fetch(address, table, tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert len(fetched) == 1
    assert len(read_data(tmp_path / "out" / "manifest.csv")) == 4
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".csv"] + [".dcm"] * 4


def test_a_training_takes_its_images_from_the_server(server, tmp_path, monkeypatch):
    address, _ = server
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "l.csv", ["AccessionNumber", "label"], [[f"A{n}", n % 2] for n in range(4)])
    small = ["--model", "test_resnet", "--image-size", "32", "--epochs", "1", "--device", "cpu"]
    where = ["train", f"dicomweb+{address}/dicom-web"]
    words = [*where, *small, "--reader", "none", "--batch-size", "2", "--test-share", "0.25"]
    result = CliRunner().invoke(app, words)
    assert (result.exit_code, "give --labels" in result.output) == (2, True), result.output
    result = CliRunner().invoke(app, [*words, "--labels", "l.csv", "--out", "run"])
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "runs" / "l-images").glob("*.dcm"))) == 4
    config = (tmp_path / "run" / "config.toml").read_text()
    assert f'data = "{tmp_path}/runs/l-images/manifest.csv"' in config
    again = CliRunner().invoke(app, [*words, "--labels", "l.csv", "--out", "second"])
    assert "runs/l-images' has images that were fetched: use its manifest.csv" in again.output
    assert not (tmp_path / "second").exists()
    # the trained model against a report, of images on the same server
    for label in (0, 1):
        save(tmp_path / "r.csv", ["AccessionNumber", "label"], [[f"A{n}", label] for n in range(4)])
        words = ["round", "open", "run", where[1], "--discrepancies", "r.csv", "--device", "cpu"]
        result = CliRunner().invoke(app, [*words, "--out", f"d{label}"])
        assert result.exit_code == 0, result.output
        assert len(list((tmp_path / f"d{label}-images").glob("*.dcm"))) == 4
    cases = [
        len(pd.read_csv(path).query("differs == 'yes'"))
        for path in tmp_path.glob("d?/worklist.csv")
    ]
    assert sum(cases) == 4  # each image differs from one of the labels
    # and its readings can be exported for the images that were fetched
    folder = next(path for path in ("d0", "d1") if (tmp_path / path / "imil.sqlite").exists())
    store = Store(tmp_path / folder / "imil.sqlite")
    store.add(Reading(store.cases(store.rounds()[0].id)[0].id, "Lee", "focus", (6,)))
    store.close()
    words = ["export", folder, "--as", "dicom-sr", "--out", "sr"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    (report,) = (tmp_path / "sr").iterdir()
    assert pydicom.dcmread(report).StudyInstanceUID.startswith("1.2.826.0.1.5.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--labels", "l.csv"], "--labels is l.csv, and DATA is not dicomweb+https"),
        (["--codes", "c.csv"], "--codes is c.csv, and DATA is not"),
        (["--images", "i"], "--images is i, and DATA is not"),
    ],
)
def test_flags_of_a_server_without_one_are_refused(words, message, tmp_path):
    result = CliRunner().invoke(app, ["train", str(tmp_path), *words])
    assert (result.exit_code, message in result.output.replace("\n", " ")) == (2, True)


def test_what_takes_no_server_says_to_fetch_first(tmp_path):
    server = "dicomweb+https://pacs/dicom-web"
    with pytest.raises(DataError, match="is a server: fetch its images first"):
        read_data(server)
    assert absolute_data(tmp_path, server) == server
    assert absolute_data(tmp_path, "films.csv") == str(tmp_path / "films.csv")
    with pytest.raises(DataError, match="is a server"):
        find_inputs([Path(server)])


def test_a_server_that_does_not_answer_is_a_sentence_without_what_was_asked(server, tmp_path):
    table = save(tmp_path / "l.csv", ["PatientID", "label"], [["SECRET-1", "a"]])
    wrong = fetch("http://127.0.0.1:9", table, tmp_path / "out")
    assert wrong.exit_code == 2
    assert "the DICOMweb server at 127.0.0.1:9 cannot be reached" in wrong.output
    missing = fetch(f"{server[0]}/other", table, tmp_path / "out")
    assert "answers 404" in missing.output
    assert "SECRET" not in wrong.output + missing.output


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("https://pacs/dicom-web", "expected dicomweb"),
        ("dicomweb+ftp://pacs", "expected dicomweb"),
        ("dicomweb+http://pacs/dicom-web", "without encryption"),
        ("dicomweb+https://me:word@pacs/", "~/.netrc for pacs"),
    ],
)
def test_an_address_that_is_not_safe_is_refused(address, message):
    with pytest.raises(SettingsError, match=message) as error:
        server_url(address)
    assert "word" not in str(error.value).replace("password", "")


def test_an_export_of_a_run_is_stored_on_the_server(server, tmp_path):
    from imil.settings import TrainSettings

    address, _ = server
    run = tmp_path / "run"
    run.mkdir()
    store = Store(run / "imil.sqlite")
    add_round(store, film=film, cases=2)
    keys = [case.key for case in store.cases("films@70")]
    for number in (1, 2):
        store.add(Reading(f"films@70#{number}", "Lee", "focus", (6,)))
    store.close()
    study = {"StudyInstanceUID": "1.2.826.0.1.9", "PatientID": "P-9"}
    for n, key in enumerate(keys):
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        more = study | {"SOPInstanceUID": f"1.2.826.0.1.9.1.{n}"}
        make_dicom(tmp_path / key, film(n), **STUDY | more)
    save(tmp_path / "t.csv", ["image", "label"], [[keys[0], 0], [keys[1], 1]])
    TrainSettings(data=str(tmp_path / "t.csv")).write(run / "config.toml")
    words = ["export", str(run), "--as", "dicom-seg", "--to", f"dicomweb+{address}/dicom-web"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "2 readings of films are in dicomweb+http" in result.output
    found = httpx.get(f"{address}/dicom-web/studies/1.2.826.0.1.9/instances", timeout=60).json()
    assert [one["00080060"]["Value"] for one in found] == [["SEG"], ["SEG"]]
    words[3] = "coco"
    assert "--to stores DICOM objects" in CliRunner().invoke(app, words).output
