"""`imil train` on whole volumes: from the table to the blackout of cuboids, and what is refused."""

import csv
from contextlib import closing

import numpy as np
import pytest
import torch
from test_volumes import network
from typer.testing import CliRunner

nibabel = pytest.importorskip("nibabel")

from imil.cli.main import app  # noqa: E402
from imil.errors import DataError, SettingsError  # noqa: E402
from imil.exports.answers import answers  # noqa: E402
from imil.exports.masks import write_masks  # noqa: E402
from imil.grid import Grid  # noqa: E402
from imil.images.whole_volumes import (  # noqa: E402
    load_volume_mask,
    load_whole_volume,
    resize_volume,
    volume_mask_error,
)
from imil.phantom.stack import draw_stack  # noqa: E402
from imil.pytorch import IMIL, CorrectedDataset  # noqa: E402
from imil.readers.simulated import Simulated  # noqa: E402
from imil.reading_export import as_csv, columns_of, export_rows  # noqa: E402
from imil.store import Store  # noqa: E402

D, S = 16, 32
GRID = Grid(4, 4, 4)


def save(path, slices, affine=None):
    """Slices as they are shown (D, H, W): from the feet, left on the right, the front on top."""
    affine = np.diag([-1.0, -1.0, 2.0, 1.0]) if affine is None else affine
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(slices.transpose(2, 1, 0)), affine), path)
    return path


@pytest.fixture
def table(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    rows = []
    for n in range(8):
        stack = draw_stack(n % 2, rng, slices=D, size=S)
        save(tmp_path / f"{n}.nii.gz", stack.volume)
        mask = ""
        if n % 2:
            mask = f"{n}-mask.nii.gz"
            save(tmp_path / mask, stack.lesion.astype(np.uint8))
        rows.append([f"{n}.nii.gz", n % 2, "test" if n > 5 else "train", mask])
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "label", "split", "lesion_mask"], *rows])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(*more):
    words = ["train", "t.csv", "--reader", "simulated", "--out", "run", "--cache", "cache"]
    words += ["--model", "monai:DenseNet", "--image-size", "32", "--image-depth", "16"]
    words += ["--epochs", "2", "--imil-epoch", "1", "--batch-size", "3", "--device", "cpu"]
    words += ["--grid-size", "4x4x4", "--choice", "random", "--num-outliers", "6", *more]
    return CliRunner().invoke(app, words)


@pytest.fixture
def small_densenet(monkeypatch):
    """MONAI's smallest DenseNet under its own name; the real one has millions of weights."""
    nets = pytest.importorskip("monai.networks.nets", reason="trains a network of MONAI")
    whole = nets.DenseNet

    def small(*, spatial_dims, in_channels, out_channels):
        return whole(spatial_dims, in_channels, out_channels, 8, 4, (2, 2))

    monkeypatch.setattr(nets, "DenseNet", small)


@pytest.mark.process  # MONAI starts one
@pytest.mark.slow
def test_a_round_on_volumes_from_the_table_to_the_predictions(table, small_densenet):
    result = train()
    assert result.exit_code == 0, result.output
    with closing(Store(table / "run" / "imil.sqlite", readonly=True)) as store:
        (round_,) = store.rounds("run")
        assert round_.settings.grid == GRID
        cases, readings = store.cases(round_.id), store.current_readings(round_.id)
    assert len(cases) == 6
    for case in cases:
        assert case.image.shape == case.cam_predicted.shape == (D, S, S)
        assert np.array_equal(case.image, load_whole_volume(table / case.key))
        reading = readings[case.id]
        assert reading.verdict == ("focus" if case.label else "skip")
        if case.label:
            shares = GRID.shares(load_volume_mask(table / case.key.replace(".nii", "-mask.nii")))
            held = set((np.flatnonzero(shares) + 1).tolist())
            assert set(reading.squares) <= held
    page = (table / "run" / "cases.html").read_text()
    assert "one slice of each slab" in page
    predicted = CliRunner().invoke(app, ["predict", "run", "6.nii.gz", "--out", "p.csv"])
    assert predicted.exit_code == 0, predicted.output
    with (table / "p.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert abs(float(row["prob_0"]) + float(row["prob_1"]) - 1) < 1e-5


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--grid-size", "4x4"], "--grid-size 4x4 has no slabs"),
        (["--image-depth", "1"], "--grid-size 4x4x4 has slabs, and images have no slices"),
        (["--grid-size", "4x4x20"], "slabs without a slice at --image-depth 16"),
        (["--model", "test_resnet"], "which --model test_resnet does not allow"),
        (["--channels", "3"], "which --channels 3 does not allow"),
        (["--mix", "mixup"], "which --mix mixup does not allow"),
        (["--augment", "flip"], "which --augment flip does not allow"),
    ],
)
def test_what_volumes_cannot_be_given_is_refused_in_a_sentence(table, more, message):
    result = train(*more)
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_volumes_are_trained_on_in_float32_on_a_processor():
    from imil.training.hardware.device import precision

    cpu = torch.device("cpu")
    assert precision("auto", cpu, volumes=True) == "32-true"
    assert precision("bf16", torch.device("cuda"), volumes=True) == "bf16-mixed"
    with pytest.raises(SettingsError, match="wrong gradients of volumes"):
        precision("bf16", cpu, volumes=True)


def test_a_slice_among_volumes_is_refused_and_a_volume_among_images(table):
    with pytest.raises(DataError, match="names a part of a volume, and whole volumes"):
        load_whole_volume(table / "0.nii.gz#slice=3")
    with pytest.raises(DataError, match="does not exist"):
        load_whole_volume(table / "none.nii.gz")


def test_a_mask_lies_where_its_volume_lies_whatever_the_order_of_its_axes(table):
    mask = nibabel.load(table / "1-mask.nii.gz")
    turned = nibabel.as_closest_canonical(mask)  # other axes, the same place
    nibabel.save(turned, table / "turned.nii.gz")
    plain = load_volume_mask(table / "1-mask.nii.gz")
    assert np.array_equal(load_volume_mask(table / "turned.nii.gz"), plain)
    assert volume_mask_error(table / "1.nii.gz", table / "turned.nii.gz") == ""


@pytest.mark.parametrize("how", ["size", "moved", "empty"])
def test_a_mask_that_does_not_fit_its_volume_is_a_sentence(table, how):
    lesion = np.zeros((D, S, S), np.uint8)
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    if how != "empty":
        lesion[3, 4, 5] = 1
    if how == "moved":
        affine[2, 3] = 2  # a slice higher
    save(table / "m.nii.gz", lesion[:8] if how == "size" else lesion, affine)
    expected = {
        "size": "has 8×32×32 voxels, its volume 16×32×32",
        "moved": "lies elsewhere in the patient than its volume",
        "empty": "selects nothing",
    }[how]
    assert expected in volume_mask_error(table / "1.nii.gz", table / "m.nii.gz")


class Shown:
    """A training set of the table's volumes, as a loop of one's own would give it."""

    def __init__(self, folder):
        self.folder = folder
        self.targets = np.arange(8) % 2

    def __len__(self):
        return 8

    def __getitem__(self, i):
        volume = load_whole_volume(self.folder / f"{i}.nii.gz")
        return torch.from_numpy(volume)[None], int(self.targets[i])


@pytest.fixture
def read_store(table):
    """A store with a round on the table's volumes, read by a simulated reader."""
    keys = [f"{n}.nii.gz" for n in range(8)]

    def masks(key):
        return (
            [load_volume_mask(table / key.replace(".nii", "-mask.nii"))] if "1" in key else [None]
        )

    samples = CorrectedDataset(Shown(table), keys=keys)
    store = Store(table / "s.sqlite")
    IMIL(
        samples,
        network(),
        Simulated(masks=masks, seed=0, misleading=2),
        store=store,
        imil_epoch=1,
        num_outliers=8,
        choice="random",
        grid_size=GRID,
        say=lambda _: None,
    ).after_epoch(1)
    yield store
    store.close()


def test_masks_of_readings_lie_where_the_volume_lies(table, read_store):
    files = {f"{n}.nii.gz": table / f"{n}.nii.gz" for n in range(8)}
    given = [one for one in answers(read_store, "run") if one.row.verdict == "focus"]
    assert [one.row.key for one in given] == ["1.nii.gz"]
    write_masks(given, table / "out", "nifti", files)
    (name,) = (table / "out").glob("*[!g].nii.gz")
    mask, volume = nibabel.load(name), nibabel.load(files["1.nii.gz"])
    assert mask.shape == volume.shape
    assert np.allclose(mask.affine, volume.affine)
    squares = given[0].squares("relevant")
    expected = GRID.mask(squares, D, S, S)
    assert np.array_equal(np.asarray(mask.dataobj).T > 0, expected)
    assert np.array_equal(load_volume_mask(name), expected)  # as a table's mask would be read
    assert volume_mask_error(files["1.nii.gz"], name) == ""


def test_masks_of_volumes_that_are_gone_or_changed_are_refused(table, read_store):
    given = [one for one in answers(read_store, "run") if one.row.verdict == "focus"]
    with pytest.raises(DataError, match=r"the volume '1.nii.gz' was not found"):
        write_masks(given, table / "out", "nifti")
    save(table / "1.nii.gz", np.ones((4, S, S), np.uint8))
    with pytest.raises(DataError, match="has 4×32×32 voxels, and the reader saw 16×32×32"):
        write_masks(given, table / "out", "nifti", {"1.nii.gz": table / "1.nii.gz"})


def test_tables_of_readings_name_the_slabs(read_store):
    rows = list(csv.DictReader(as_csv(*both(export_rows(read_store, "run"))).splitlines()))
    row = next(row for row in rows if row["verdict"] == "focus")
    squares = list(map(int, row["squares"].split()))
    assert row["slabs"].split() == [str(n) for n in sorted({(s - 1) // 16 + 1 for s in squares})]
    assert set(row["misleading_slabs"].split()) <= set("1234")
    assert next(row for row in rows if row["verdict"] == "skip")["slabs"] == ""


def both(rows):
    return rows, columns_of(rows)


@pytest.mark.parametrize("kind", ["coco", "label-studio", "fiftyone", "masks-png", "dicom-sr"])
def test_formats_of_images_refuse_volumes_in_a_sentence(table, read_store, kind):
    words = ["export", "s.sqlite", "--as", kind, "--out", "out"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2, result.output
    text = " ".join(result.output.split())
    assert f"is a volume, and --as {kind} has marks of images alone" in text


def test_resizing_keeps_the_mean_and_the_order_of_slices():
    rng = np.random.default_rng(0)
    volume = np.sort(rng.integers(0, 60000, (40, 48, 64)), axis=0).astype(np.uint16)
    small = resize_volume(volume, 10, 16)
    assert small.shape == (10, 16, 16, 1)
    assert small.dtype == np.uint8
    scaled = (volume - float(volume.min())) * 255 / (int(volume.max()) - int(volume.min()))
    assert abs(small.mean() - scaled.mean()) < 1
    assert (np.diff(small[..., 0].astype(int), axis=0) >= 0).mean() > 0.99
    same = rng.integers(0, 256, (D, S, S), dtype=np.uint8)
    assert np.array_equal(resize_volume(same, D, S)[..., 0], same)
