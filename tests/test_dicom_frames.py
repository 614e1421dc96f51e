"""Images within a file: frames of DICOM files as samples, by `#frame=3` in their names."""

import csv
from pathlib import Path

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

from dicom_writer import make_dicom, padded  # noqa: E402 - it needs pydicom
from pydicom.uid import RLELossless  # noqa: E402

from imil.data.file_hashes import hash_files  # noqa: E402
from imil.data.table import read_data  # noqa: E402
from imil.errors import DataError  # noqa: E402
from imil.images.dicom import dicom_geometry  # noqa: E402
from imil.images.load import image_geometry, image_size, load_image  # noqa: E402


def real(name):
    """A file of pydicom-data."""
    data_store = pytest.importorskip("data_store")
    return Path(data_store.__file__).parent / "data" / name


def part(path, number):
    return path.with_name(f"{path.name}#frame={number}")


def stack(path, count=4, **tags):
    """A file of several frames, each all of one value."""
    pixels = np.stack([np.full((20, 30), 100 * n, np.uint16) for n in range(count)])
    make_dicom(path, pixels[0], frames=count, PixelData=b"", **tags)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = padded(pixels.tobytes())
    dataset.save_as(path)
    return path


EMRI = ("", "_RLE", "_big_endian", "_jpeg_2k_lossless", "_jpeg_ls_lossless")


@pytest.mark.parametrize("name", [f"emri_small{kind}.dcm" for kind in EMRI])
def test_each_frame_of_an_enhanced_file_is_an_image(name):
    expected = pydicom.dcmread(real("emri_small.dcm")).pixel_array
    shown = [load_image(part(real(name), n)) for n in range(1, 11)]
    assert image_size(part(real(name), 10)) == expected.shape[1:]
    for image, stored in zip(shown, expected, strict=True):
        # the window of the file is monotonous, so the order of values stays
        order = np.argsort(stored, axis=None, kind="stable")
        assert (np.diff(image.ravel()[order].astype(int)) >= 0).all()
    assert not np.array_equal(shown[0], shown[9])


@pytest.mark.parametrize("name", ["color3d_jpeg_baseline.dcm", "OBXXXX1A_rle_2frame.dcm"])
def test_the_last_frame_is_that_of_pydicom(name):
    from pydicom.pixels import apply_color_lut, pixel_array

    header = pydicom.dcmread(real(name), stop_before_pixels=True)
    expected = pixel_array(real(name), index=int(header.NumberOfFrames) - 1)
    if header.PhotometricInterpretation == "PALETTE COLOR":
        expected = apply_color_lut(expected, header)
    assert np.array_equal(load_image(part(real(name), int(header.NumberOfFrames))), expected)


def test_a_file_of_several_frames_says_how_one_is_named(tmp_path):
    path = stack(tmp_path / "a.dcm")
    for read in (load_image, image_size, image_geometry):
        with pytest.raises(DataError, match=r"has 4 frames: name the one .* '#frame=4'"):
            read(path)
    for name in ("a.dcm#frame=0", "a.dcm#frame=5", "a.dcm#slice=1"):
        with pytest.raises(DataError, match="expected 'frame=1' to 'frame=4'"):
            load_image(tmp_path / name)


def test_only_files_of_frames_have_parts(tmp_path):
    import PIL.Image

    PIL.Image.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="name the file alone"):
        load_image(tmp_path / "a.png#frame=1")
    PIL.Image.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / "b.png#frame=1", "png")
    assert load_image(tmp_path / "b.png#frame=1").shape == (4, 4)  # a file that is called so


def test_a_frame_beyond_the_end_of_a_file_that_was_cut_off_is_refused(tmp_path):
    path = stack(tmp_path / "a.dcm")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 30])
    with pytest.raises(DataError, match="truncated"):
        load_image(part(path, 4))


def test_a_compressed_frame_that_is_not_there_is_a_sentence(tmp_path):
    path = stack(tmp_path / "a.dcm", 3)
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless)
    dataset.NumberOfFrames = 9
    dataset.save_as(path)
    with pytest.raises(DataError, match=r"damaged|truncated"):
        load_image(part(path, 9))


def write_groups(path):
    """An enhanced file: frame 2 has another window, slope and spacing than the file."""
    from pydicom import Dataset, Sequence

    def group(spacing, window, slope):
        one, measures, voi, values = Dataset(), Dataset(), Dataset(), Dataset()
        measures.PixelSpacing = [spacing, spacing]
        voi.WindowCenter, voi.WindowWidth = window
        values.RescaleSlope, values.RescaleIntercept = slope, 0
        one.PixelMeasuresSequence = Sequence([measures])
        one.FrameVOILUTSequence = Sequence([voi])
        one.PixelValueTransformationSequence = Sequence([values])
        return one

    shared, first, second = group(0.5, (100, 200), 1), Dataset(), group(0.25, (200, 400), 2)
    stack(
        path,
        2,
        SharedFunctionalGroupsSequence=Sequence([shared]),
        PerFrameFunctionalGroupsSequence=Sequence([first, second]),
    )
    return path


def test_a_frames_own_window_slope_and_spacing_count(tmp_path):
    path = write_groups(tmp_path / "a.dcm")
    assert image_geometry(part(path, 1)).spacing == (0.5, 0.5)
    assert image_geometry(part(path, 2)).spacing == (0.25, 0.25)
    # 100 × 2 in the window around 200, which is half of the range: PS3.3 C.11.2.1.2
    expected = ((200 - 199.5) / 399 + 0.5) * 65535
    assert load_image(part(path, 2))[0, 0] == round(expected)
    assert load_image(part(path, 1))[0, 0] == round(((0 - 99.5) / 199 + 0.5) * 65535)


def save_table(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["image", "label"], *rows])
    return path


def test_frames_of_a_file_are_samples_of_one_patient(tmp_path):
    stack(tmp_path / "a.dcm", PatientID="A")
    stack(tmp_path / "b.dcm", PatientID="A", StudyID="2")
    stack(tmp_path / "c.dcm")
    rows = [[f"{name}.dcm#frame={n}", n % 2] for name in "abc" for n in (1, 2)]
    table = read_data(save_table(tmp_path / "t.csv", rows))
    assert table.keys[0] == "a.dcm#frame=1"
    assert table.patients == ("patient 1",) * 4 + ("patient 2",) * 2
    hashes, read = hash_files(table.images, tmp_path / "hashes.json", lambda _done, _all: None)
    assert len(set(hashes)) == 6
    assert read == 3  # each file once


def test_a_name_beyond_ascii_is_found_in_either_form(tmp_path):
    import unicodedata

    name = unicodedata.normalize("NFD", "Thorax-Übersicht.dcm")
    stack(tmp_path / name)
    composed = unicodedata.normalize("NFC", name)
    table = read_data(
        save_table(tmp_path / "t.csv", [[f"{composed}#frame={n}", n % 2] for n in (1, 2)])
    )
    assert [load_image(path)[0, 0] for path in table.images] == [0, 0]
    assert image_size(table.images[1]) == (20, 30)


def test_frames_are_trained_on_and_shown_in_a_round(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from imil.cli.main import app
    from imil.store import Store

    rng = np.random.default_rng(0)
    frames = rng.integers(0, 4096, (8, 40, 40)).astype(np.uint16)
    make_dicom(tmp_path / "us.dcm", frames[0], frames=8, PixelSpacing=[0.3, 0.2])
    dataset = pydicom.dcmread(tmp_path / "us.dcm")
    dataset.PixelData = frames.tobytes()
    dataset.save_as(tmp_path / "us.dcm")
    splits = ["train"] * 4 + ["test"] * 4
    rows = [[f"us.dcm#frame={n + 1}", n % 2, splits[n], n] for n in range(8)]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "label", "split", "patient"], *rows])
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "r.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["key", "squares"], *[[row[0], "1 2"] for row in rows]])
    arguments = ["train", "t.csv", "--reader", "replay:r.csv", "--out", "run", "--cache", "cache"]
    arguments += ["--model", "test_resnet", "--image-size", "32", "--epochs", "2"]
    arguments += ["--imil-epoch", "1", "--batch-size", "2", "--device", "cpu"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    store = Store(tmp_path / "run" / "imil.sqlite", readonly=True)
    (round_,) = store.rounds("run")
    cases = store.cases(round_.id)
    assert cases
    for case in cases:
        number = int(case.key.rpartition("=")[2])
        low = frames[number - 1].min()
        assert np.array_equal(case.image, frames[number - 1] - low)  # no window: from 0
        assert case.geometry.spacing == (0.3, 0.2)
    store.close()


def test_geometry_is_read_without_pixels(tmp_path):
    path = stack(tmp_path / "a.dcm", 1, PixelSpacing=[0.2, 0.1], ImageLaterality="L")
    with path.open("rb") as file:
        geometry = dicom_geometry(file)
    assert (geometry.spacing, geometry.laterality) == ((0.2, 0.1), "L")


def test_the_index_of_a_medium_is_not_an_image(tmp_path):
    directory = Path(pydicom.__file__).parent / "data/test_files/dicomdirtests/DICOMDIR"
    for n, name in enumerate(("sick", "well")):
        (tmp_path / name / "DICOM").mkdir(parents=True)
        make_dicom(
            tmp_path / name / "DICOM" / f"IM00000{n}",
            np.full((8, 8), n, np.uint16),
            SOPInstanceUID=f"1.2.{n}",
        )
        (tmp_path / name / "DICOMDIR").write_bytes(directory.read_bytes())
    assert read_data(tmp_path).keys == ("sick/DICOM/IM000000", "well/DICOM/IM000001")
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["SOPInstanceUID", "label"], ["1.2.0", "a"], ["1.2.1", "b"]])
    table = read_data(tmp_path / "t.csv")
    assert [path.name for path in table.images] == ["IM000000", "IM000001"]
