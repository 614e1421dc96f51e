"""Slices of NIfTI volumes as samples: which slice, which way round, trained on and read."""

import csv
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

nibabel = pytest.importorskip("nibabel")

from imil.cli.main import app  # noqa: E402
from imil.data.table import read_data  # noqa: E402
from imil.errors import DataError  # noqa: E402
from imil.images.load import image_geometry, image_size, load_image  # noqa: E402
from imil.store import Store  # noqa: E402

SHAPE = (7, 5, 4)  # towards the patient's right, front and head


def write(path, values, affine=None, code=1):
    """A volume whose affine is RAS, unless another is given."""
    image = nibabel.Nifti1Image(values, np.diag([2.0, 3.0, 5.0, 1.0]) if affine is None else affine)
    image.set_sform(image.affine, code)
    image.set_qform(image.affine, code)
    nibabel.save(image, path)
    return path


def numbered(dtype=np.int16):
    return np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(dtype) - (0 if dtype == np.uint8 else 50)


def part(path, name):
    return path.with_name(f"{path.name}#{name}")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_slice_is_seen_from_the_feet_with_the_front_on_top(tmp_path, suffix):
    values = numbered()
    path = write(tmp_path / f"v{suffix}", values)
    image = load_image(part(path, "slice=2"))
    assert image.shape == (5, 7) == image_size(part(path, "slice=2"))
    # column 0 is the patient's right, the last of an axis that grows to the right; row 0 the front
    assert image[0, 0] == values[6, 4, 1] + 50
    assert image[4, 6] == values[0, 0, 1] + 50
    geometry = image_geometry(part(path, "slice=2"))
    assert (geometry.right, geometry.bottom, geometry.spacing) == ("L", "P", (3.0, 2.0))


@pytest.mark.parametrize(
    "axes", [("L", "P", "S"), ("P", "S", "R"), ("I", "L", "A"), ("S", "A", "L")]
)
def test_the_stored_order_of_axes_changes_nothing(tmp_path, axes):
    from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

    image = nibabel.Nifti1Image(numbered(), np.diag([2.0, 3.0, 5.0, 1.0]))
    turned = image.as_reoriented(ornt_transform(io_orientation(image.affine), axcodes2ornt(axes)))
    plain = write(tmp_path / "a.nii", numbered())
    other = write(tmp_path / "b.nii", np.asanyarray(turned.dataobj), turned.affine)
    for number in range(1, 5):
        name = f"slice={number}"
        assert np.array_equal(load_image(part(plain, name)), load_image(part(other, name)))
        assert image_geometry(part(plain, name)) == image_geometry(part(other, name))


def test_without_a_stated_orientation_nothing_is_turned_and_no_side_is_named(tmp_path):
    path = write(tmp_path / "v.nii", numbered(), code=0)
    image = load_image(part(path, "slice=1"))
    assert image[0, 0] == 0
    assert image[1, 0] - image[0, 0] == numbered()[0, 1, 0] - numbered()[0, 0, 0]
    assert image_geometry(part(path, "slice=1")).right == ""


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_all_slices_have_one_scale(tmp_path, dtype):
    path = write(tmp_path / "v.nii.gz", numbered(dtype))
    stack = np.stack([load_image(part(path, f"slice={n}")) for n in range(1, 5)], axis=2)
    order = np.argsort(numbered(dtype).ravel())
    shown = stack[::-1, ::-1].transpose(1, 0, 2).ravel()[order].astype(int)
    if dtype == np.float32:
        assert (shown[0], shown[-1]) == (0, 65535)
    else:
        assert np.array_equal(shown, np.arange(len(shown)))


def test_a_slope_and_values_that_are_no_numbers(tmp_path):
    values = numbered(np.float32)
    values[0, 0, 0] = np.nan
    path = write(tmp_path / "v.nii", values)
    assert load_image(part(path, "slice=1"))[4, 6] == 0
    image = nibabel.Nifti1Image(numbered().astype(np.float32) / 4, np.eye(4))
    image.header.set_data_dtype(np.int16)  # nibabel stores a slope
    nibabel.save(image, tmp_path / "s.nii")
    assert load_image(part(tmp_path / "s.nii", "slice=4")).max() == 65535


def test_neighbours_are_channels_and_a_reader_is_shown_the_middle(tmp_path):
    from imil.images.file_parts import shown_part

    path = write(tmp_path / "v.nii.gz", numbered())
    image = load_image(part(path, "slices=2-4"))
    expected = [load_image(part(path, f"slice={n}")) for n in (2, 3, 4)]
    assert np.array_equal(image, np.stack(expected, axis=2))
    assert shown_part(part(path, "slices=2-4")) == part(path, "slice=3")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("v.nii#slice=0", "expected 'slice=1' to 'slice=4'"),
        ("v.nii#slice=5", "expected 'slice=1' to 'slice=4'"),
        ("v.nii#slices=1-2", "three neighbours, 'slices=1-3' to 'slices=2-4'"),
        ("v.nii#slices=3-5", "three neighbours"),
        ("v.nii#frame=1", "name the file alone"),
        ("v.nii", "is a NIfTI volume: name a slice"),
        ("flat.nii#slice=1", "expected a volume of three dimensions"),
        ("series.nii#slice=1", "expected a volume of three dimensions"),
        ("complex.nii#slice=1", "expected numbers"),
        ("cut.nii.gz#slice=4", "damaged"),
    ],
)
def test_what_is_no_slice_is_a_sentence(tmp_path, name, message):
    write(tmp_path / "v.nii", numbered())
    write(tmp_path / "flat.nii", numbered()[..., 0])
    write(tmp_path / "series.nii", np.zeros((*SHAPE, 3), np.int16))
    write(tmp_path / "complex.nii", numbered().astype(np.complex64))
    whole = write(tmp_path / "c.nii.gz", np.random.default_rng(0).integers(0, 99, SHAPE, np.int16))
    (tmp_path / "cut.nii.gz").write_bytes(whole.read_bytes()[:250])
    with pytest.raises(DataError, match=message) as error:
        load_image(tmp_path / name)
    assert str(error.value).count(str(tmp_path)) == 1


def test_a_volume_that_is_too_large_is_refused_by_its_header(tmp_path):
    from test_hostile_files import nifti

    (tmp_path / "v.nii").write_bytes(nifti((2000, 2000, 500), code=64))
    with pytest.raises(DataError, match="expected at most 1,000 MB"):
        load_image(tmp_path / "v.nii#slice=1")


def save_table(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["image", "label"], *rows])
    return path


@pytest.fixture
def volumes(tmp_path):
    """Six volumes of noise, and a table of three of the slices of each."""
    rng = np.random.default_rng(0)
    for n in range(6):
        write(tmp_path / f"{n}.nii.gz", rng.integers(-1000, 1000, (24, 20, 5)).astype(np.int16))
    return tmp_path


def test_slices_of_a_volume_stay_in_one_split(volumes):
    rows = [[f"{n}.nii.gz#slice={k}", n % 2] for n in range(6) for k in (1, 3, 5)]
    table = read_data(save_table(volumes / "t.csv", rows))
    assert table.patients == tuple(f"patient {n + 1}" for n in range(6) for _ in range(3))


def train(folder, name, *more):
    words = ["train", name, "--reader", "replay:r.csv", "--out", "run", "--cache", "cache"]
    words += ["--model", "test_resnet", "--image-size", "32", "--epochs", "2", "--imil-epoch", "1"]
    words += ["--batch-size", "4", "--device", "cpu", "--test-share", "0.4", *more]
    return CliRunner().invoke(app, words)


@pytest.mark.parametrize("kind", ["slice=3", "slices=2-4"])
def test_a_round_on_slices_shows_them_with_their_sides(volumes, monkeypatch, kind):
    rows = [[f"{n}.nii.gz#{kind}", n % 2] for n in range(6)]
    save_table(volumes / "t.csv", rows)
    with (volumes / "r.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["key", "squares"], *[[row[0], "1 2"] for row in rows]])
    monkeypatch.chdir(volumes)
    if kind != "slice=3":
        assert "give --channels 3" in train(volumes, "t.csv").output
    result = train(volumes, "t.csv", *([] if kind == "slice=3" else ["--channels", "3"]))
    assert result.exit_code == 0, result.output
    with closing(Store(volumes / "run" / "imil.sqlite", readonly=True)) as store:
        (round_,) = store.rounds("run")
        cases = store.cases(round_.id)
        assert cases
        for case in cases:
            middle = Path(case.key.split("#")[0] + "#slice=3")
            assert np.array_equal(case.image, load_image(middle))
            assert (case.geometry.right, case.geometry.spacing) == ("L", (3.0, 2.0))


def test_a_real_section_of_a_head_has_its_front_on_top():
    """The T1 image of nibabel's own tests: the frontal horns, which are dark, are above."""
    path = Path(nibabel.__file__).parent / "tests" / "data" / "anatomical.nii"
    if not path.exists():
        pytest.skip("looks at a real volume, which this nibabel comes without")
    image = load_image(part(path, "slice=12"))
    assert image.shape == (41, 33)
    left, right = image[:, :16].astype(float), image[:, :-17:-1].astype(float)
    assert np.corrcoef(left.ravel(), right.ravel())[0, 1] > 0.8  # sides are alike
    dark = image < np.percentile(image, 4)
    assert np.flatnonzero(dark.any(axis=1)).mean() < 20
    assert image_geometry(part(path, "slice=12")).bottom == "P"
