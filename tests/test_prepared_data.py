"""The images of a run: the same image twice, and images that change under a run."""

import os
import shutil

import numpy as np
import PIL.Image
import pytest

from imil.errors import DataError
from imil.run_folder import RunFolder
from imil.settings import resolve
from imil.training.launch import resume_run
from imil.training.samples.prepared_data import prepare

SPLITS = ("train", "train", "train", "train", "val", "val", "test", "test")


@pytest.fixture
def films(tmp_path):
    """A table of eight films, of two classes in turn, in three splits."""
    rng = np.random.default_rng(0)
    lines = ["image,label,split"]
    for i, name in enumerate(SPLITS):
        pixels = rng.integers(0, 256, (16, 16)).astype(np.uint8)
        PIL.Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{('normal', 'TB')[i % 2]},{name}")
    (tmp_path / "films.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "films.csv"


def prepared(films, **more):
    """As `imil train` and `imil resume` prepare the images of the run in the folder `run`."""
    (films.parent / "run").mkdir(exist_ok=True)
    return prepare(
        resolve({"data": str(films), "image_size": 16} | more),
        RunFolder(films.parent / "run"),
        cache=films.parent / "cache",
        progress=lambda *_: None,
    )


def copy(films, number, to):
    shutil.copy(films.parent / f"{number}.png", films.parent / f"{to}.png")


@pytest.mark.parametrize(
    ("number", "to", "message"),
    [
        (0, 6, "('0.png' and '6.png', in the training and the test set): remove one"),
        (1, 5, "('1.png' and '5.png', in the training and the validation set): remove one"),
        (6, 4, "('4.png' and '6.png', in the validation and the test set): remove one"),
        (0, 1, "two labels under two names ('0.png' is normal and '1.png' is TB)"),
        (0, 7, "two labels under two names ('0.png' is normal and '7.png' is TB)"),
    ],
)
def test_the_same_image_in_two_splits_or_with_two_labels_is_refused(films, number, to, message):
    copy(films, number, to)
    with pytest.raises(DataError) as caught:
        prepared(films)
    assert message in str(caught.value)
    assert not (films.parent / "run/split.csv").exists()


def test_the_same_image_by_a_link_or_another_path_is_refused_too(films):
    (films.parent / "7.png").unlink()
    (films.parent / "7.png").symlink_to("1.png")
    with pytest.raises(DataError, match=r"'1.png' and '7.png', in the training and the test set"):
        prepared(films)
    (films.parent / "7.png").unlink()
    text = films.read_text(encoding="utf-8").replace("7.png", str(films.parent / "1.png"))
    films.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"'1.png' and '/.*/1.png', in the training and the test"):
        prepared(films)


def invert(films, *numbers):
    """Export these films anew, with other pixels under the same names."""
    for number in numbers:
        path = films.parent / f"{number}.png"
        pixels = np.asarray(PIL.Image.open(path))
        PIL.Image.fromarray(255 - pixels).save(path)


def test_images_that_changed_under_a_run_are_refused_by_name(films):
    first = prepared(films)
    assert prepared(films).split_of == first.split_of
    invert(films, 3)
    with pytest.raises(DataError, match=r"1 of 8 images have changed .* \('3.png'\): restore the"):
        prepared(films)
    invert(films, 0, 1, 6)
    with pytest.raises(DataError, match=r"4 of 8 .* \('0.png', '1.png', '3.png', …\): restore"):
        prepared(films)


@pytest.fixture
def masked(films):
    """The films with a mask for each but the first two."""
    lines = films.read_text(encoding="utf-8").splitlines()
    lines[0] += ",lesion_mask"
    for i in range(8):
        mask = np.zeros((16, 16), np.uint8)
        mask[i : i + 3, 4:9] = 255
        PIL.Image.fromarray(mask).save(films.parent / f"mask{i}.png")
        lines[i + 1] += f",mask{i}.png" if i > 1 else ","
    films.write_text("\n".join(lines), encoding="utf-8")
    return films


def test_masks_that_changed_under_a_run_are_refused_by_name(masked):
    prepared(masked)
    assert prepared(masked).split_of == SPLITS
    shutil.copy(masked.parent / "mask3.png", masked.parent / "mask5.png")
    with pytest.raises(DataError, match=r"1 of 8 images' masks have changed .* \('5.png'\): rest"):
        prepared(masked)


def test_a_mask_that_came_or_went_under_a_run_is_noticed(masked):
    prepared(masked)
    text = masked.read_text(encoding="utf-8")
    for change in (
        text.replace("mask5.png", ""),
        text.replace("1.png,TB,train,", "1.png,TB,train,mask0.png"),
    ):
        masked.write_text(change, encoding="utf-8")
        with pytest.raises(DataError, match="1 of 8 images' masks have changed"):
            prepared(masked)


def test_a_mask_without_a_background_is_refused_before_training(masked):
    white = np.full((16, 16), 255, np.uint8)
    PIL.Image.fromarray(white).save(masked.parent / "mask4.png")
    for _ in range(2):  # it is not noted as good
        with pytest.raises(DataError, match=r"1 of the masks cannot be used: '.*mask4.png' has no"):
            prepared(masked)


def test_good_masks_are_decoded_once(masked, monkeypatch):
    prepared(masked)
    monkeypatch.setattr("imil.data.mask_files.load_mask", lambda path: pytest.fail(f"{path} again"))
    prepared(masked)


def test_a_pipe_among_the_images_or_masks_is_refused_and_not_waited_for(masked):
    for name, message in (("mask5.png", "regular file"), ("3.png", "1 of 8 images cannot be read")):
        (masked.parent / name).unlink()
        os.mkfifo(masked.parent / name)
        with pytest.raises(DataError, match=message):
            prepared(masked)


def test_a_resumed_run_names_the_images_that_changed(films):
    prepared(films)
    folder = RunFolder(films.parent / "run")
    resolve({"data": str(films), "image_size": 16}).write(folder.config)
    invert(films, 3)
    with pytest.raises(DataError, match=r"1 of 8 images have changed .* \('3.png'\)"):
        resume_run(folder.path, None, films.parent / "cache")


def test_a_run_of_a_version_that_did_not_record_contents_is_resumed(films):
    prepared(films)
    path = films.parent / "run/split.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line.rsplit(",", 1)[0] for line in lines), encoding="utf-8")
    invert(films, 3)
    assert prepared(films).split_of == SPLITS


def test_a_table_that_moved_with_its_images_has_not_changed(films, tmp_path_factory):
    prepared(films)
    moved = tmp_path_factory.mktemp("moved") / "films"
    shutil.copytree(films.parent, moved)
    assert prepared(moved / films.name).split_of == SPLITS


def test_the_same_image_twice_in_one_split_is_a_note(films):
    assert prepared(films).notes == ()
    (films.parent / "run/split.csv").unlink()
    copy(films, 0, 2)
    assert prepared(films).notes == (
        "1 image occurs more than once, never in two splits: '0.png' and '2.png'",
    )
