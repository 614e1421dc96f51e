"""DICOM series as volumes: order by position, Hounsfield units, and what is refused."""

import csv
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pydicom = pytest.importorskip("pydicom")

from dicom_writer import make_dicom, padded  # noqa: E402 - it needs pydicom

from imil.cli.main import app  # noqa: E402
from imil.data.file_hashes import hash_files  # noqa: E402
from imil.data.table import read_data  # noqa: E402
from imil.errors import DataError  # noqa: E402
from imil.exports.dicom_objects import _source  # noqa: E402
from imil.images.load import image_geometry, image_size, load_image  # noqa: E402
from imil.images.volumes import load_volume, volume_layout  # noqa: E402
from imil.store import Store  # noqa: E402

AXIAL = [1, 0, 0, 0, 1, 0]
NAMES = ("c.dcm", "a.dcm", "d.dcm", "b.dcm")  # from the feet


def values(k, shape=(6, 8)):
    """Stored values of the k-th slice from the feet."""
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape) + 100 * k


def write(path, k, **tags):
    """A slice of a CT, 2.5 mm above the last; its InstanceNumber says the opposite."""
    defaults = {
        "SeriesInstanceUID": "1.2.9",
        "ImagePositionPatient": [-100, -90, 30 + 2.5 * k],
        "ImageOrientationPatient": AXIAL,
        "PixelSpacing": [0.5, 0.75],
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
        "InstanceNumber": 99 - k,
        "PatientID": "someone",
    }
    pixels = tags.pop("pixels", values(k))
    return make_dicom(path, pixels, **(defaults | tags))


@pytest.fixture
def series(tmp_path):
    folder = tmp_path / "ct"
    folder.mkdir()
    for k, name in enumerate(NAMES):
        write(folder / name, k)
    return folder


def part(path, name):
    return path.with_name(f"{path.name}#{name}")


def test_slices_are_ordered_by_position_and_not_by_name_or_number(series):
    for k in range(4):
        image = load_image(part(series, f"slice={k + 1}"))
        assert np.array_equal(image, values(k))  # from 0 for the lowest of the volume
    assert image_size(part(series, "slice=1")) == (6, 8)
    geometry = image_geometry(part(series, "slice=1"))
    assert (geometry.right, geometry.bottom, geometry.spacing) == ("L", "P", (0.5, 0.75))


def test_values_are_hounsfield_units_and_the_affine_is_in_millimetres(series):
    volume, layout = load_volume(series), volume_layout(series)
    assert volume.values.shape == (8, 6, 4) == layout.shape
    assert (volume.low, volume.high) == (-1024, 47 + 300 - 1024)
    assert np.array_equal(volume.values[:, :, 2].T, values(2) - 1024)
    assert layout.spacing == (0.75, 0.5, 2.5)
    # column 1, row 2, slice 3 lies at x 0.75, y 1, z 7.5 mm from the first; NIfTI mirrors x and y
    assert np.allclose(layout.affine @ [1, 2, 3, 1], [100 - 0.75, 90 - 1, 30 + 7.5, 1])


@pytest.mark.parametrize(
    ("tags", "zero"),
    [
        ({"Modality": "CT"}, -1024),
        ({"Modality": "CT", "RescaleType": "HU"}, -1024),
        ({"Modality": "CT", "RescaleType": "US"}, None),
        ({"Modality": "MR"}, None),
        ({}, None),
        ({"Modality": "CT", "RescaleSlope": 0.5}, None),  # a step is no unit then
    ],
)
def test_a_slice_says_what_its_values_are_in_hounsfield_units(series, tags, zero):
    for k, name in enumerate(NAMES):
        write(series / name, k, **tags)
    assert image_geometry(part(series, "slice=3")).hounsfield == zero
    if zero is not None:
        shown = load_image(part(series, "slice=3")).astype(int)
        assert np.array_equal(shown + zero, values(2) - 1024)


def test_padding_is_the_lowest_value_of_what_is_no_padding(series):
    pixels = values(0)
    pixels[0] = -2000
    write(series / NAMES[0], 0, pixels=pixels, PixelPaddingValue=-2000)
    assert load_volume(series).low == 8 - 1024
    assert (load_image(part(series, "slice=1"))[0] == 0).all()


def test_each_slice_may_have_its_own_slope(series):
    write(series / NAMES[3], 3, RescaleSlope=0.5, RescaleIntercept=10)
    volume = load_volume(series)
    assert volume.values.dtype == np.float32
    assert np.allclose(volume.values[:, :, 3].T, values(3) * 0.5 + 10)


@pytest.mark.parametrize(
    ("axes", "along", "right"),
    [
        ([0, 1, 0, 0, 0, -1], [1, 0, 0], "P"),  # sagittal: from the right
        ([1, 0, 0, 0, 0, -1], [0, 1, 0], "L"),  # coronal: from the front
        ([-1, 0, 0, 0, 1, 0], [0, 0, 1], "R"),  # axial, mirrored: from the feet all the same
    ],
)
def test_other_planes_are_ordered_along_their_normal(tmp_path, axes, along, right):
    folder = tmp_path / "mr"
    folder.mkdir()
    for k, name in enumerate(NAMES):
        place = (3.0 * k * np.array(along)).tolist()
        write(folder / name, k, ImageOrientationPatient=axes, ImagePositionPatient=place)
    assert [load_image(part(folder, f"slice={n}"))[0, 0] for n in (1, 2, 3, 4)] == [
        0,
        100,
        200,
        300,
    ]
    assert image_geometry(part(folder, "slice=1")).right == right
    assert np.allclose(volume_layout(folder).spacing[2], 3)


def test_a_tilted_gantry_is_in_the_affine(series):
    for k, name in enumerate(NAMES):
        write(series / name, k, ImagePositionPatient=[0, 0.4 * k, 2 * k])
    affine = volume_layout(series).affine
    assert np.allclose(affine[:3, 2], [0, -0.4, 2])


def enhanced(path, order=(2, 0, 3, 1)):
    """One file, whose frames lie at these places; the third has another slope."""
    from pydicom import Dataset, Sequence

    def macro(**tags):
        one = Dataset()
        for name, value in tags.items():
            setattr(one, name, value)
        return Sequence([one])

    frames = []
    for n, k in enumerate(order):
        group = Dataset()
        group.PlanePositionSequence = macro(ImagePositionPatient=[0, 0, 5.0 * k])
        if n == 2:
            group.PixelValueTransformationSequence = macro(RescaleSlope=2, RescaleIntercept=-7)
        frames.append(group)
    shared = Dataset()
    shared.PlaneOrientationSequence = macro(ImageOrientationPatient=AXIAL)
    shared.PixelMeasuresSequence = macro(PixelSpacing=[1, 1])
    pixels = np.stack([values(k) for k in order])
    make_dicom(path, pixels[0], frames=len(order), SharedFunctionalGroupsSequence=[shared])
    dataset = pydicom.dcmread(path)
    dataset.PerFrameFunctionalGroupsSequence = frames
    dataset.PixelData = padded(pixels.tobytes())
    dataset.save_as(path)
    return path


def test_an_enhanced_file_is_a_volume_too(tmp_path):
    path = enhanced(tmp_path / "e.dcm")
    volume = load_volume(path)
    for k in (0, 1, 2):
        assert np.array_equal(volume.values[:, :, k].T, values(k))
    assert np.array_equal(volume.values[:, :, 3].T, values(3) * 2 - 7)  # that of its frame alone
    assert load_image(part(path, "frame=1")).shape == load_image(part(path, "slice=3")).shape
    assert volume_layout(path).spacing == (1, 1, 5)


def spoil(folder, how):
    """Make the series one that is refused."""
    if how == "gap":
        (folder / NAMES[1]).unlink()
    if how == "twice":
        write(folder / "e.dcm", 2)
    if how == "shifted":
        write(folder / NAMES[2], 2, ImagePositionPatient=[-80, -90, 35])
    if how == "orientation":
        write(folder / NAMES[2], 2, ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    if how == "size":
        write(folder / NAMES[2], 2, pixels=values(2, (6, 6)))
    if how == "spacing":
        write(folder / NAMES[2], 2, PixelSpacing=[0.5, 0.5])
    if how == "series":
        write(folder / NAMES[2], 2, SeriesInstanceUID="1.2.8")
    if how == "place":
        write(folder / NAMES[2], 2, ImagePositionPatient=None)
    if how == "axes":
        write(folder / NAMES[2], 2, ImageOrientationPatient=[1, 0, 0, 1, 0, 0])
    if how == "colour":
        write(folder / NAMES[2], 2, PhotometricInterpretation="MONOCHROME1")
    if how == "cut":
        data = (folder / NAMES[2]).read_bytes()
        (folder / NAMES[2]).write_bytes(data[:-20])
    if how == "text":
        (folder / "notes.txt").write_text("x")
    if how == "one":
        for name in NAMES[1:]:
            (folder / name).unlink()
    if how == "none":
        for name in NAMES:
            (folder / name).unlink()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("gap", "has a gap: 'c.dcm' and 'd.dcm' are 5 mm apart, others"),
        ("twice", "has two slices in one place, 'd.dcm' and 'e.dcm'"),
        ("shifted", "has 'd.dcm', which is shifted"),
        ("orientation", "has slices of different orientations"),
        ("size", r"different sizes \(6 × 8 pixels in 'a.dcm', 6 × 6 in 'd.dcm'\)"),
        ("spacing", "has slices of different pixel spacings"),
        ("series", "has files of several series, 'd.dcm' the first of another"),
        ("place", "has 'd.dcm' without ImagePositionPatient"),
        ("axes", "the place of 'd.dcm' is no place"),
        ("colour", "has 'd.dcm', which has the colours 'MONOCHROME1'"),
        ("cut", r"damaged|truncated"),
        ("text", "has 'notes.txt', which is not a DICOM file"),
        ("one", "has one slice: expected a series of several"),
        ("none", "is a folder without a DICOM file"),
    ],
)
def test_what_is_no_stack_is_refused_in_a_sentence(series, how, message):
    spoil(series, how)
    with pytest.raises(DataError, match=message) as error:
        load_image(part(series, "slice=1"))
    text = str(error.value)
    assert "\n" not in text
    assert text.count(str(series)) == 1
    assert "someone" not in text


def test_a_changed_file_is_seen_at_once(series):
    assert load_image(part(series, "slice=4")).max() == 347
    write(series / NAMES[3], 3, pixels=values(3) + 1000)
    assert load_image(part(series, "slice=4")).max() == 1347


def test_the_hash_of_a_series_is_that_of_its_contents(series, tmp_path):
    def digests():
        names = [part(series, "slice=1"), part(series, "slice=2"), series]
        return hash_files(names, tmp_path / "index.json", lambda _done, _of: None)[0]

    first = digests()
    assert len(set(first)) == 3
    assert all(first)
    (series / NAMES[0]).rename(series / "z.dcm")
    assert digests() == first
    write(series / "z.dcm", 0, pixels=values(0) + 1)
    assert not set(digests()) & set(first)


def test_slices_of_a_patient_stay_in_one_split_and_no_identifier_is_kept(tmp_path):
    for n in range(4):
        (tmp_path / str(n)).mkdir()
        for k, name in enumerate(NAMES):
            write(tmp_path / str(n) / name, k, PatientID=f"secret {n // 2}")
    rows = [[f"{n}/#slice={k}", n % 2] for n in range(4) for k in (2, 3)]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "label"], *rows])
    table = read_data(tmp_path / "t.csv")
    assert table.patients == ("patient 1",) * 4 + ("patient 2",) * 4


def test_an_export_refers_to_the_file_of_the_slice(series, tmp_path):
    class Row:
        key = "ct#slices=1-3"

    class Answer:
        row = Row()

    path = part(series, "slices=1-3")
    assert _source(Answer(), {Row.key: path}) == (series / NAMES[1], None)
    file, frame = _source(Answer(), {Row.key: part(enhanced(tmp_path / "e.dcm"), "slice=1")})
    assert (file.name, str(frame)) == ("e.dcm", "frame=2")


def test_a_round_on_slices_of_a_ct_with_their_neighbours(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for n in range(6):
        (tmp_path / str(n)).mkdir()
        for k, name in enumerate(NAMES):
            noise = rng.integers(0, 2000, (24, 20)).astype(np.int16)
            write(tmp_path / str(n) / name, k, pixels=noise, PatientID=str(n))
    rows = [[f"{n}#slices=2-4", n % 2] for n in range(6)]
    for name, header, lines in (
        ("t.csv", ["image", "label"], rows),
        ("r.csv", ["key", "squares"], [[row[0], "1 2"] for row in rows]),
    ):
        with (tmp_path / name).open("w", newline="") as file:
            csv.writer(file).writerows([header, *lines])
    monkeypatch.chdir(tmp_path)
    words = ["train", "t.csv", "--reader", "replay:r.csv", "--out", "run", "--cache", "cache"]
    words += ["--model", "test_resnet", "--image-size", "32", "--epochs", "2", "--imil-epoch", "1"]
    words += ["--batch-size", "4", "--device", "cpu", "--test-share", "0.4", "--channels", "3"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    with closing(Store(tmp_path / "run" / "imil.sqlite", readonly=True)) as store:
        (round_,) = store.rounds("run")
        cases = store.cases(round_.id)
        assert cases
        for case in cases:
            assert np.array_equal(case.image, load_image(case.key.replace("slices=2-4", "slice=3")))
            assert (case.geometry.right, case.geometry.spacing) == ("L", (0.5, 0.75))


def test_a_real_ct_of_five_slices():
    """A CT of pydicom's own tests, cut to 16 × 16 pixels: 2.5 mm apart, air to soft tissue."""
    folder = Path(pydicom.__file__).parent / "data/test_files/dicomdirtests/98892001/CT5N"
    volume, layout = load_volume(folder), volume_layout(folder)
    assert layout.shape == (16, 16, 5)
    assert np.allclose(layout.spacing, (0.488281, 0.488281, 2.5), atol=1e-3)
    heights = {}
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        heights[float(dataset.ImagePositionPatient[2])] = dataset
    for k, height in enumerate(sorted(heights)):
        dataset = heights[height]
        expected = dataset.pixel_array * dataset.RescaleSlope + dataset.RescaleIntercept
        assert np.array_equal(volume.values[:, :, k].T, expected)
