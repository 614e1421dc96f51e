"""What may name a patient: text in pixels, and DICOM files that are de-identified."""

import csv
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import pytest
from typer.testing import CliRunner

pydicom = pytest.importorskip("pydicom")

from dicom_writer import make_dicom  # noqa: E402 - it needs pydicom
from test_dicom import SECRETS  # noqa: E402

from imil.cli.main import app  # noqa: E402
from imil.data.burned_in import burned_in_reason, describe_burned_in  # noqa: E402
from imil.data.table import read_data  # noqa: E402
from imil.images.load import load_image  # noqa: E402
from imil.images.text_lines import count_text_lines  # noqa: E402
from imil.phantom.film import draw  # noqa: E402

TEXT = "MUELLER ANNA 03.02.1961"


def film(seed=0, depth=8):
    """A drawn film with a marker."""
    return draw(1, np.random.default_rng(seed), size=256, letter="R", depth=depth).image


def with_text(pixels, size=14, value=None, text=TEXT):
    image = PIL.Image.fromarray(pixels)
    PIL.ImageDraw.Draw(image).text(
        (8, 20),
        text,
        fill=int(pixels.max()) if value is None else value,
        font=PIL.ImageFont.load_default(size),
    )
    return np.asarray(image)


# --- text in the pixels -------------------------------------------------------------------


@pytest.mark.parametrize("size", [12, 16, 24, 40])
@pytest.mark.parametrize("value", [None, 0])
def test_rows_of_letters_are_found(size, value):
    grey = np.tile(np.linspace(120, 180, 700).astype(np.uint8), (300, 1))
    assert count_text_lines(with_text(grey, size, 255 if value is None else value)) >= 1


def test_a_film_with_a_marker_has_no_text():
    for seed in range(6):
        assert count_text_lines(film(seed)) == 0
    assert count_text_lines(film(0, 16)) == 0
    assert count_text_lines(np.zeros((5, 5), np.uint8)) == 0
    assert count_text_lines(with_text(film(1), text="R AP")) == 0


def test_text_in_a_real_ultrasound_is_found():
    data_store = pytest.importorskip("data_store")
    image = load_image(Path(data_store.__file__).parent / "data" / "gdcm-US-ALOKA-16.dcm")
    assert count_text_lines(image)


def test_no_text_is_found_in_real_sections_and_films_without():
    data_store = pytest.importorskip("data_store")
    for name in ("693_UNCR.dcm", "RG3_UNCR.dcm", "MR2_UNCR.dcm"):
        assert count_text_lines(load_image(Path(data_store.__file__).parent / "data" / name)) == 0


@pytest.mark.parametrize("tag", ["BurnedInAnnotation", "RecognizableVisualFeatures"])
def test_what_the_header_says_counts(tmp_path, tag):
    says = make_dicom(tmp_path / "a.dcm", film(), **{tag: "YES"})
    not_ = make_dicom(tmp_path / "b.dcm", film(), **{tag: "NO"})
    assert burned_in_reason(says) == "its header says so"
    assert burned_in_reason(not_) == ""
    (sentence,) = describe_burned_in(["a", "b"], [says, not_])
    assert sentence.startswith("1 image says or seems to have text in the pixels: 'a' (its header")
    assert describe_burned_in(["b"], [not_]) == []


def test_training_reports_them_when_asked(tmp_path):
    from imil.run_folder import RunFolder
    from imil.settings import TrainSettings
    from imil.training.samples.prepared_data import prepare

    for n in range(8):
        pixels = film(n) if n else with_text(film(0))
        PIL.Image.fromarray(pixels).save(tmp_path / f"{n}.png")
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "label"], *[[f"{n}.png", n % 2] for n in range(8)]])

    def notes(**more):
        settings = TrainSettings(
            data=str(tmp_path / "t.csv"), image_size=32, test_share=0.5, **more
        )
        folder = RunFolder(tmp_path / str(len(more)))
        folder.path.mkdir()
        return prepare(settings, folder, cache=tmp_path / "cache", progress=lambda *_: None).notes

    assert notes() == ()
    (note,) = notes(check_burned_in=True)
    assert "'0.png' (" in note


# --- files without what identifies a patient ----------------------------------------------


@pytest.fixture
def patients(tmp_path):
    """A folder of four files of two patients, a nested name and private elements among them."""
    pytest.importorskip("dicomanonymizer")
    from pydicom import Dataset, Sequence

    (tmp_path / "in").mkdir()
    for n in range(4):
        item = Dataset()
        item.PatientName = "Mustermann^Erika"
        item.ReferencedSOPInstanceUID = f"1.2.826.0.1.7.{(n + 1) % 4}"
        own = {"PatientID": f"MRN-47{n // 2}", "SOPInstanceUID": f"1.2.826.0.1.7.{n}"}
        path = make_dicom(
            tmp_path / "in" / f"Mustermann-{n}.dcm",
            film(n, 16),
            **SECRETS | own,
            SpecimenDescriptionSequence=Sequence([item]),  # the profile keeps what is in it
            PixelSpacing=[0.2, 0.2],
        )
        dataset = pydicom.dcmread(path)
        dataset.private_block(0x0011, "Klinik-am-See", create=True).add_new(1, "LO", "Mustermann")
        dataset.file_meta.SourceApplicationEntityTitle = "STATION-C3PO"
        dataset.preamble = b"Mustermann".ljust(128)
        dataset.save_as(path)
    return tmp_path / "in"


def run(*arguments):
    return CliRunner().invoke(app, ["deidentify", *map(str, arguments)])


def test_no_planted_identifier_is_in_any_byte_of_the_result(patients, tmp_path):
    result = run(patients, tmp_path / "out")
    assert result.exit_code == 0, result.output
    written = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in written] == [f"00000{n}.dcm" for n in range(1, 5)]
    secrets = [*SECRETS.values(), "MRN-47", "1.2.826.0.1.7.", "Mustermann", "Erika", "Zuweiser"]
    assert len(SECRETS) >= 30
    for path in written:
        data = path.read_bytes()
        for secret in secrets:
            assert secret.encode() not in data, f"{secret} in {path.name}"


def test_pixels_patients_and_references_stay(patients, tmp_path):
    key = tmp_path / "key.csv"
    assert run(patients, tmp_path / "out", "--key", key).exit_code == 0
    with key.open() as file:
        sources = {row["file"]: Path(row["source"]) for row in csv.DictReader(file)}
    made = {}
    for name, source in sources.items():
        one, before = pydicom.dcmread(tmp_path / "out" / name), pydicom.dcmread(source)
        assert np.array_equal(one.pixel_array, before.pixel_array)
        assert one.PixelSpacing == before.PixelSpacing
        assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
        made[int(source.stem[-1])] = one
    assert made[0].PatientID == made[1].PatientID != made[2].PatientID == made[3].PatientID
    assert len({one.StudyInstanceUID for one in made.values()}) == 1
    for n in range(4):
        item = made[n].SpecimenDescriptionSequence[0]
        assert item.ReferencedSOPInstanceUID == made[(n + 1) % 4].SOPInstanceUID


def test_a_table_keeps_its_labels_and_patients(patients, tmp_path):
    rows = [[f"in/Mustermann-{n}.dcm", ("sick", "well")[n % 2]] for n in range(4)]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "label"], *rows])
    assert run(tmp_path / "t.csv", tmp_path / "out").exit_code == 0
    table = read_data(tmp_path / "out" / "manifest.csv")
    assert table.class_names == ("sick", "well")
    assert sorted(table.labels.tolist()) == [0, 0, 1, 1]
    assert len(set(table.patients)) == 2
    for image, label in zip(table.images, table.labels.tolist(), strict=True):
        n = next(n for n in range(4) if np.array_equal(load_image(image), shown(patients, n)))
        assert label == n % 2
    assert "Mustermann" not in (tmp_path / "out" / "manifest.csv").read_text()


def shown(folder, n):
    return load_image(folder / f"Mustermann-{n}.dcm")


def test_what_still_names_the_patient_is_not_written(tmp_path):
    pytest.importorskip("dicomanonymizer")
    (tmp_path / "in").mkdir()
    kept = {"PatientName": "Mustermann^Erika", "BodyPartExamined": "HAND MUSTERMANN"}
    make_dicom(tmp_path / "in" / "a.dcm", film(), **kept)
    result = run(tmp_path / "in", tmp_path / "out")
    assert result.exit_code == 2
    assert "still has an identifier of the original in BodyPartExamined" in result.output
    assert "Mustermann" not in result.output.title().replace(str(tmp_path), "")
    assert list((tmp_path / "out").iterdir()) == []
    assert run(tmp_path / "in", tmp_path / "out", "--remove", "BodyPartExamined").exit_code == 0


def test_files_with_text_in_their_pixels_are_left_out_unless_asked_for(tmp_path):
    pytest.importorskip("dicomanonymizer")
    (tmp_path / "in").mkdir()
    make_dicom(tmp_path / "in" / "a.dcm", with_text(film(3)))
    make_dicom(tmp_path / "in" / "b.dcm", film(4))
    result = run(tmp_path / "in", tmp_path / "out")
    assert result.exit_code == 2
    assert "1 of 2 files were left out" in result.output
    assert len(list((tmp_path / "out").iterdir())) == 1
    assert run(tmp_path / "in", tmp_path / "all", "--keep-burned-in").exit_code == 0
    assert len(list((tmp_path / "all").iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--remove", "PixelData"], "other than the pixels"),
        (["--remove", "Nonsense"], "expected the keyword"),
    ],
)
def test_a_wrong_request_is_a_sentence(tmp_path, arguments, message):
    (tmp_path / "in").mkdir()
    make_dicom(tmp_path / "in" / "a.dcm", film())
    result = run(tmp_path / "in", tmp_path / "out", *arguments)
    assert (result.exit_code, message in result.output) == (2, True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    assert "is not an empty folder" in run(tmp_path / "in", tmp_path / "full").output
