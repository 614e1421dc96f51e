"""Readings as DICOM segmentations and structured reports: what they say, and to whom."""

import shutil
import subprocess

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")
highdicom = pytest.importorskip("highdicom")

from dicom_writer import make_dicom  # noqa: E402 - it needs pydicom
from rooms import add_round  # noqa: E402

from imil.cases import Reading  # noqa: E402
from imil.errors import DataError  # noqa: E402
from imil.exports.answers import answers  # noqa: E402
from imil.exports.dicom_objects import write_dicom_objects  # noqa: E402
from imil.grid import Grid  # noqa: E402
from imil.store import Store  # noqa: E402

GRID = Grid(3, 5)
SIZE = (35, 43)
STUDY = {
    "PatientID": "P-1",
    "PatientName": "Example^Person",
    "PatientBirthDate": "",
    "PatientSex": "O",
    "StudyInstanceUID": "1.2.826.0.1.5.1",
    "SeriesInstanceUID": "1.2.826.0.1.5.2",
    "StudyDate": "20250101",
    "StudyTime": "101010",
    "AccessionNumber": "",
    "ReferringPhysicianName": "",
    "StudyID": "1",
    "SeriesNumber": 1,
    "InstanceNumber": 1,
    "Modality": "OT",
    "Laterality": "",
    "ConversionType": "WSD",
    "PatientOrientation": ["L", "F"],
}


def film(number):
    return np.random.default_rng(number).integers(5, 250, SIZE).astype(np.uint8)


@pytest.fixture
def made(tmp_path):
    """The answers of a store whose images are DICOM files, and the files of its keys."""
    store = Store(tmp_path / "imil.sqlite")
    add_round(store, grid=GRID, film=film)
    given = [(1, "focus", (2, 15), (1,)), (2, "wrong label", (), ()), (3, "focus", (), (4, 5))]
    for number, verdict, squares, misleading in given:
        reader = "Dr. Lee^= 李" if number == 1 else "Wu"
        store.add(
            Reading(f"films@70#{number}", reader, verdict, squares, "why", misleading=misleading)
        )
    found = answers(store, "films")
    store.close()
    files = {}
    for n, answer in enumerate(found):
        path = tmp_path / f"{n}.dcm"
        files[answer.row.key] = make_dicom(
            path, film(n), **STUDY | {"SOPInstanceUID": f"1.2.826.0.1.6.{n}"}
        )
    return found, files


def test_the_segments_are_the_marked_squares_of_the_referenced_image(made, tmp_path):
    found, files = made
    assert write_dicom_objects(found, tmp_path / "out", "dicom-seg", files) == 2
    first, third = sorted((tmp_path / "out").iterdir())
    seg = highdicom.seg.segread(first)
    assert [one.SegmentLabel for one in seg.SegmentSequence] == ["relevant", "misleading"]
    assert (seg.PatientID, seg.StudyInstanceUID) == ("P-1", STUDY["StudyInstanceUID"])
    source = files[found[0].row.key]
    uid = pydicom.dcmread(source).SOPInstanceUID
    pixels = seg.get_pixels_by_source_instance([uid])[0]
    assert np.array_equal(pixels[..., 0] > 0, GRID.mask((2, 15), *SIZE))
    assert np.array_equal(pixels[..., 1] > 0, GRID.mask((1,), *SIZE))
    seg = highdicom.seg.segread(third)
    assert [one.SegmentLabel for one in seg.SegmentSequence] == ["misleading"]


def test_a_report_has_reader_verdict_and_the_square_of_each_region(made, tmp_path):
    found, files = made
    assert write_dicom_objects(found, tmp_path / "out", "dicom-sr", files) == 3
    report, flagged, _ = (
        highdicom.sr.srread(path) for path in sorted((tmp_path / "out").iterdir())
    )
    content = report.content
    groups = content.get_planar_roi_measurement_groups()
    boxes = []
    for group in groups:
        points = group.roi.value
        boxes.append((*points.min(axis=0), *points.max(axis=0)))
    expected = [GRID.box(square, *SIZE) for square in (2, 15, 1)]
    assert boxes == [(left, top, right, bottom) for top, left, bottom, right in expected]
    (image,) = content.get_image_measurement_groups()
    verdict = image.get_qualitative_evaluations()[0].value
    assert (verdict.value, verdict.scheme_designator) == ("focus", "99IMIL")
    (image,) = flagged.content.get_image_measurement_groups()
    assert image.get_qualitative_evaluations()[0].value.meaning == "Label of the image is wrong"
    text = str(report)
    assert "Dr. Lee" in text


def test_an_export_that_is_repeated_has_the_same_uids(made, tmp_path):
    found, files = made
    for kind in ("dicom-seg", "dicom-sr"):
        uids = []
        for n in range(2):
            folder = tmp_path / f"{kind}{n}"
            write_dicom_objects(found, folder, kind, files)
            read = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
            uids.append([(one.SOPInstanceUID, one.SeriesInstanceUID) for one in read])
        assert uids[0] == uids[1]
        assert len({instance for instance, _ in uids[0]}) == len(uids[0])


def test_a_report_of_a_frame_refers_to_the_frame(made, tmp_path):
    found, files = made
    key = found[0].row.key
    frames = np.stack([film(n) for n in range(3)])
    path = make_dicom(tmp_path / "us.dcm", frames[0], frames=3, **STUDY)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = frames.tobytes() + b"\0"
    dataset.save_as(path)
    files[key] = tmp_path / "us.dcm#frame=2"
    write_dicom_objects(found[:1], tmp_path / "out", "dicom-sr", files)
    (written,) = (tmp_path / "out").iterdir()
    (region, *_) = highdicom.sr.srread(written).content.get_planar_roi_measurement_groups()
    assert region.reference_type is not None
    assert "Referenced Frame Number" in str(pydicom.dcmread(written))
    with pytest.raises(DataError, match="has several frames without a position in space"):
        write_dicom_objects(found[:1], tmp_path / "seg", "dicom-seg", files)


def test_a_segmentation_of_a_frame_refers_to_the_frame(tmp_path):
    pytest.importorskip("data_store", reason="pydicom-data, which has the file, is missing")
    from pydicom.data import get_testdata_file

    source = pydicom.dcmread(get_testdata_file("eCT_Supplemental.dcm"))
    store = Store(tmp_path / "imil.sqlite")
    size = source.Rows, source.Columns
    add_round(store, grid=GRID, film=lambda _: np.zeros(size, np.uint8), cases=1)
    store.add(Reading("films@70#1", "Wu", "focus", (2, 15), "why"))
    found = answers(store, "films")
    store.close()
    files = {found[0].row.key: f"{source.filename}#frame=2"}
    write_dicom_objects(found, tmp_path / "out", "dicom-seg", files)
    (written,) = (tmp_path / "out").iterdir()
    seg = highdicom.seg.segread(written)
    pixels = seg.get_pixels_by_source_frame(source.SOPInstanceUID, [1, 2])
    assert not pixels[0].any()
    assert np.array_equal(pixels[1, :, :, 0] > 0, GRID.mask((2, 15), *size))
    assert errors_of(written) == []


def errors_of(path):
    """What dciodvfy calls an error; none where it is not installed."""
    if shutil.which("dciodvfy") is None:
        return []
    done = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True)
    return [line for line in done.stderr.splitlines() if line.startswith("Error")]


@pytest.mark.parametrize("spacing", [["0", "0"], ["0.2", "0"]])
def test_a_pixel_spacing_of_zero_is_not_passed_on(made, tmp_path, spacing):
    found, files = made
    source = files[found[0].row.key]
    dataset = pydicom.dcmread(source)
    dataset.PixelSpacing = spacing
    dataset.save_as(source)
    write_dicom_objects(found[:1], tmp_path / "out", "dicom-seg", files)
    (written,) = (tmp_path / "out").iterdir()
    groups = pydicom.dcmread(written).SharedFunctionalGroupsSequence[0]
    assert "PixelSpacing" not in str(groups.get("PixelMeasuresSequence"))
    assert errors_of(written) == []


@pytest.mark.parametrize("kind", ["dicom-seg", "dicom-sr"])
def test_the_objects_pass_dciodvfy(made, tmp_path, kind):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy checks DICOM objects, and is missing: apt install dicom3tools")
    found, files = made
    write_dicom_objects(found, tmp_path / "out", kind, files)
    for path in (tmp_path / "out").iterdir():
        assert errors_of(path) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda files, key, folder: files.pop(key), "was not found: give the run's folder"),
        (
            lambda files, key, folder: files.update(
                {key: make_dicom(folder / "s.dcm", film(0)[:9], **STUDY)}
            ),
            "has 9 × 43 pixels, and the reader saw 35 × 43",
        ),
        (
            lambda files, key, folder: files.update(
                {key: make_dicom(folder / "s.dcm", film(0), StudyInstanceUID="")}
            ),
            "has no StudyInstanceUID",
        ),
        (
            lambda files, key, folder: (
                (folder / "s.dcm").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500)),
                files.update({key: folder / "s.dcm"}),
            ),
            "is not a DICOM file",
        ),
    ],
)
def test_what_cannot_be_referred_to_is_a_sentence(made, tmp_path, change, message):
    found, files = made
    change(files, found[0].row.key, tmp_path)
    with pytest.raises(DataError, match=message):
        write_dicom_objects(found, tmp_path / "out", "dicom-seg", files)
