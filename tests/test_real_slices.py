"""A round on slices of a real head: MNI152 T1 of nilearn, or of a phantom where that is missing."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

nibabel = pytest.importorskip("nibabel")

from imil.cli.main import app  # noqa: E402
from imil.grid import Grid  # noqa: E402
from imil.images.load import image_geometry, load_image  # noqa: E402
from imil.phantom.stack import draw_stack  # noqa: E402

MNI = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
SQUARES = (6, 7, 10, 11)


def mni():
    """The file, without importing nilearn, which needs more than this test does."""
    found = importlib.util.find_spec("nilearn")
    path = Path(found.origin).parent / MNI if found and found.origin else Path()
    return path if path.is_file() else None


def phantom(folder):
    stack = draw_stack(1, np.random.default_rng(0), slices=60, size=64)
    path = folder / "phantom.nii.gz"
    values = np.ascontiguousarray(stack.volume.transpose(2, 1, 0))
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-1.0, -1.0, 1.0, 1.0])), path)
    return path


def test_a_round_on_real_slices_blackens_exactly_the_unselected_squares(tmp_path, monkeypatch):
    volume = mni() or phantom(tmp_path)
    low, high = (60, 120) if mni() else (10, 50)
    numbers = np.linspace(low, high, 12).round().astype(int).tolist()
    rows = [
        [f"{volume}#slices={n - 1}-{n + 1}", i % 2, "test" if i > 8 else "train", f"p{i}"]
        for i, n in enumerate(numbers)
    ]
    tables = {
        "t.csv": [["image", "label", "split", "patient"], *rows],
        "r.csv": [["key", "squares"], *([row[0], " ".join(map(str, SQUARES))] for row in rows)],
    }
    for name, lines in tables.items():
        with (tmp_path / name).open("w", newline="") as file:
            csv.writer(file).writerows(lines)
    monkeypatch.chdir(tmp_path)
    words = ["train", "t.csv", "--reader", "replay:r.csv", "--out", "run", "--cache", "cache"]
    words += ["--model", "test_resnet", "--image-size", "32", "--epochs", "2", "--imil-epoch", "1"]
    words += ["--batch-size", "4", "--device", "cpu", "--channels", "3", "--choice", "random"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(
        app, ["export", "run", "--as", "images", "--out", "out", "--cache", "cache"]
    )
    assert result.exit_code == 0, result.output
    with (tmp_path / "out/manifest.csv").open() as file:
        written = list(csv.DictReader(file))
    assert len(written) == 12
    corrected = [row for row in written if row["squares"]]
    assert len(corrected) == 9  # of the training set, all
    keep = Grid(4, 4).mask(SQUARES, 32, 32)
    for row in corrected:
        pixels = np.asarray(Image.open(tmp_path / "out" / row["image"]))
        assert pixels.shape == (32, 32, 3)
        assert (pixels[~keep] == 0).all()
        assert (pixels[keep] > 0).mean() > 0.5
        assert not np.array_equal(pixels[..., 0], pixels[..., 2])  # three neighbours


def test_a_real_head_is_seen_from_the_feet_with_its_front_on_top():
    path = mni()
    if path is None:
        pytest.skip("looks at MNI152 T1, which nilearn has: pip install --no-deps nilearn")
    image = load_image(f"{path}#slice=90").astype(float)
    geometry = image_geometry(f"{path}#slice=90")
    assert (geometry.right, geometry.bottom, geometry.spacing) == ("L", "P", (1.0, 1.0))
    inside = image > 0.2 * image.max()
    columns, rows = np.flatnonzero(inside.any(axis=0)), np.flatnonzero(inside.any(axis=1))
    assert len(rows) > len(columns)  # a head is longer than it is wide
    centre = int(columns.mean())
    half = min(centre, image.shape[1] - centre)
    left, right = image[:, centre - half : centre], image[:, centre : centre + half][:, ::-1]
    assert np.corrcoef(left.ravel(), right.ravel())[0, 1] > 0.9  # sides are alike
    front, back = image[rows[0] : rows[0] + 60], image[rows[-1] - 60 : rows[-1]][::-1]
    # seen from above a head is narrower in front than behind
    wide = [(part > 0.2 * image.max()).any(axis=0).sum() for part in (front[:30], back[:30])]
    assert wide[0] < wide[1]
