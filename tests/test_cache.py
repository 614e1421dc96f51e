"""The decoded cache: right pixels, once, whatever happens to the process or the disk."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from imil.data import decoded_file
from imil.data.image_cache import decode_images
from imil.data.table import Table, read_data
from imil.errors import DataError
from imil.images.load import load_image
from imil.images.resize import resize_to_square


def film(path, seed, side=40):
    """A soft picture, so that a large one is a small file."""
    y, x = np.mgrid[0:side, 0:side] / side
    picture = 128 + 127 * np.sin(seed + 3 * x) * np.cos(seed * y)
    PIL.Image.fromarray(picture.astype(np.uint8)).save(path)
    return path


def films(folder, n, side=40):
    """A table of n films."""
    return table([film(folder / f"{i:03}.png", i, side) for i in range(n)])


def table(paths):
    return Table(
        keys=tuple(path.name for path in paths),
        images=tuple(paths),
        labels=np.arange(len(paths)) % 2,
        class_names=("normal", "TB"),
        splits=None,
        patients=None,
        masks={},
    )


class Steps(list):
    """What was told of the progress."""

    def __call__(self, done, total):
        self.append((done, total))


@pytest.fixture
def remembered(monkeypatch):
    """Hashes are remembered at once, not only of files that are two seconds old."""
    monkeypatch.setattr("imil.data.file_hashes.RECENT_NS", 0)


def script(folder, cache, body):
    """A Python process that decodes the films of a folder and prints how many steps remain.

    `body` may replace `progress`. The package's own start is left out: it loads torch, which
    decoding does not need, and which takes longer than all that is tested here.
    """
    code = f"""
import sys, time, types
from pathlib import Path
import imil
training = types.ModuleType("imil.training")
training.__path__ = [str(Path(imil.__file__).parent / "training")]
sys.modules["imil.training"] = training
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_cache import decode_images, table
data = table(sorted(Path({str(folder)!r}).glob("*.png")))
cache = Path({str(cache)!r})
def progress(done, total):
    print(total - done, flush=True)
{body}
decoded = decode_images(data, size=32, folder=cache, progress=progress)
print("done", flush=True)
"""
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def read_until(process, remaining):
    """Wait until that many steps remain."""
    for line in process.stdout:
        if int(line) == remaining:
            return


def names(cache):
    return sorted(path.suffix for path in cache.iterdir() if path.stem not in ("hashes",))


def test_images_are_decoded_once_and_then_served_from_the_file(tmp_path, remembered):
    data, steps = films(tmp_path, 5), Steps()
    decoded = decode_images(data, size=32, folder=tmp_path / "cache", progress=steps)
    assert decoded.array.shape == (5, 32, 32)
    assert decoded.array.dtype == np.uint8
    assert decoded.bad == ()
    assert steps == [(i, 10) for i in range(1, 11)] + [(10, 10)]
    for i, path in enumerate(data.images):
        with PIL.Image.open(path) as picture:
            small = picture.resize((32, 32), PIL.Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(decoded.array[i], np.asarray(small))

    steps.clear()
    again = decode_images(data, size=32, folder=tmp_path / "cache", progress=steps)
    assert steps == []
    assert again.path == decoded.path
    np.testing.assert_array_equal(again.array, decoded.array)


def test_the_array_is_memory_mapped_and_read_only(tmp_path):
    array = decode_images(films(tmp_path, 2), size=32, folder=tmp_path / "cache").array
    assert isinstance(array, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0


def test_the_file_is_named_by_content_and_settings_not_by_path(tmp_path):
    data, cache = films(tmp_path, 3), tmp_path / "cache"
    first = decode_images(data, size=32, folder=cache).path
    moved = tmp_path / "moved"
    moved.mkdir()
    copies = [moved / f"other {path.name}" for path in data.images]
    for path, copy in zip(data.images, copies, strict=True):
        copy.write_bytes(path.read_bytes())
    assert decode_images(table(copies), size=32, folder=cache).path == first
    assert decode_images(table(copies[::-1]), size=32, folder=cache).path != first
    assert decode_images(data, size=33, folder=cache).path != first
    assert decode_images(data, size=32, channels=3, folder=cache).path != first


def test_a_changed_file_is_decoded_again_even_with_the_same_name_size_and_date(
    tmp_path, remembered
):
    data, cache = films(tmp_path, 2), tmp_path / "cache"
    path = data.images[0]
    PIL.Image.new("L", (40, 40), 10).save(path, compress_level=0)
    before = path.stat()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns - 10**12))
    changed = path.stat().st_ctime_ns
    assert decode_images(data, size=32, folder=cache).array[0].max() == 10
    while path.stat().st_ctime_ns == changed:  # the clock of the file system is coarse
        PIL.Image.new("L", (40, 40), 20).save(path, compress_level=0)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns - 10**12))
    assert path.stat().st_size == before.st_size
    assert decode_images(data, size=32, folder=cache).array[0].max() == 20


def test_images_are_converted_to_the_number_of_channels(tmp_path):
    red, grey = tmp_path / "red.png", tmp_path / "grey.png"
    PIL.Image.new("RGB", (9, 7), (200, 0, 0)).save(red)
    PIL.Image.new("L", (7, 9), 50).save(grey)
    data = table([red, grey])
    colours = decode_images(data, size=8, channels=3, folder=tmp_path / "cache").array
    assert colours.shape == (2, 8, 8, 3)
    assert colours[0, 0, 0].tolist() == [200, 0, 0]
    assert (colours[1] == 50).all()
    greys = decode_images(data, size=8, channels=1, folder=tmp_path / "cache").array
    assert (greys[0] == 60).all()  # 0.299 × 200 = 59.8
    assert (greys[1] == 50).all()


def test_resizing_is_antialiased_bilinear():
    import torch  # here: other tests start this module as a program

    image = np.random.default_rng(0).integers(0, 256, (120, 90), np.uint8)
    independent = torch.nn.functional.interpolate(
        torch.from_numpy(image)[None, None].float(), (32, 32), mode="bilinear", antialias=True
    )
    small = resize_to_square(image, 32, 1).astype(float)
    np.testing.assert_allclose(small, independent[0, 0].numpy(), atol=1.01)
    stripes = np.tile(np.array([0, 255], np.uint8), (3000, 1500))
    np.testing.assert_allclose(resize_to_square(stripes, 100, 1), 127.5, atol=2)


def test_a_large_jpeg_is_decoded_small_and_looks_the_same(tmp_path, monkeypatch):
    paths = [film(tmp_path / f"{i}.jpg", i, 640) for i in range(3)]
    seen = []
    real = decoded_file.resize_to_square

    def look(image, size, channels):
        seen.append(image.shape)
        return real(image, size, channels)

    monkeypatch.setattr(decoded_file, "resize_to_square", look)
    small = decode_images(table(paths), size=48, folder=tmp_path / "cache").array
    assert seen == [(160, 160)] * 3, "a quarter: 48 × 3 fits into it, and not into an eighth"
    for path, one in zip(paths, small, strict=True):
        np.testing.assert_allclose(
            one.astype(int), resize_to_square(load_image(path), 48, 1), atol=2
        )


def test_16_bits_become_8_from_darkest_to_brightest():
    image = np.kron(np.array([[1000, 3000], [2000, 5000]], np.uint16), np.ones((16, 16), np.uint16))
    corners = resize_to_square(image, 32, 1)[::31, ::31]
    # (v - 1000) × 255 / 4000
    assert corners.tolist() == [[0, 128], [64, 255]]
    colour = resize_to_square(np.dstack([image, image, 0 * image + 1000]), 32, 3)[::31, ::31]
    assert colour[..., 0].tolist() == [[0, 128], [64, 255]]
    assert not colour[..., 2].any()
    assert not resize_to_square(np.full((9, 9), 700, np.uint16), 4, 1).any()
    assert resize_to_square(image, 8, 3).shape == (8, 8, 3)


def spoiled(folder, n=6):
    data = films(folder, n)
    data.images[1].write_bytes(data.images[1].read_bytes()[:60])
    data.images[3].write_bytes(b"no image")
    data.images[4].unlink()
    return data


def test_bad_images_are_refused_together_in_one_sentence(tmp_path):
    data = spoiled(tmp_path)
    with pytest.raises(DataError) as caught:
        decode_images(data.select([0, 1, 2, 3]), size=32, folder=tmp_path / "cache")
    message = str(caught.value)
    assert message.startswith("2 of 4 images cannot be read: ")
    assert "001.png' is damaged" in message
    assert "003.png' is not an image" in message
    assert "--skip-bad" in message
    assert "\n" not in message
    assert not set(names(tmp_path / "cache")) & {".npy", ".part"}


def test_missing_files_are_reported_before_any_image_is_decoded(tmp_path):
    data, steps = spoiled(tmp_path), Steps()
    with pytest.raises(DataError, match=r"1 of 6 images cannot be read: .*004.png' does not exist"):
        decode_images(data, size=32, folder=tmp_path / "cache", progress=steps)
    assert max(done for done, _ in steps) == 6  # hashed, none decoded


def test_bad_images_can_be_skipped_and_are_listed(tmp_path):
    data, cache = spoiled(tmp_path), tmp_path / "cache"
    good = decode_images(data.select([0, 2, 5]), size=32, folder=cache).array
    for _ in ("decoded", "served"):
        decoded = decode_images(data, size=32, folder=cache, skip_bad=True)
        assert [key for key, _ in decoded.bad] == ["001.png", "003.png", "004.png"]
        assert "does not exist" in decoded.bad[2][1]
        np.testing.assert_array_equal(decoded.array, good)
    with pytest.raises(DataError, match="1 of 6"):
        decode_images(data, size=32, folder=cache)
    with pytest.raises(DataError, match="none of the 2 images can be read"):
        decode_images(data.select([1, 3]), size=32, folder=cache, skip_bad=True)


def test_a_damaged_cache_is_written_again(tmp_path):
    data, cache = films(tmp_path, 4), tmp_path / "cache"
    decoded = decode_images(data, size=32, folder=cache)
    expected, path = decoded.array.copy(), decoded.path
    for file, content in [
        (path, path.read_bytes()[:-1]),
        (path, b""),
        (path.with_suffix(".json"), b'{"bad": '),
        (cache / "hashes.json", b'{"a": 1}'),
        (cache / "hashes.json", b"\0"),
    ]:
        file.unlink(missing_ok=True)  # the old one is still mapped
        file.write_bytes(content)
        np.testing.assert_array_equal(decode_images(data, size=32, folder=cache).array, expected)


def test_an_unfinished_file_of_a_killed_process_is_not_used(tmp_path):
    data, cache = films(tmp_path, 30), tmp_path / "cache"
    slow = """
def progress(done, total):
    print(total - done, flush=True)
    if total - done < 30: time.sleep(0.05)
"""
    for remaining in (29, 15, 1):
        process = script(tmp_path, cache, slow)
        read_until(process, remaining)
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, errors
        assert names(cache) == [".lock", ".part"]
    other = decode_images(data.select([0, 1]), size=32, folder=cache)
    assert names(cache) == [".json", ".lock", ".lock", ".npy"]  # the leftover is gone
    whole = decode_images(data, size=32, folder=cache).array
    expected = decode_images(data, size=32, folder=tmp_path / "another").array
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_array_equal(other.array, whole[:2])


def test_of_two_processes_started_together_one_decodes_and_the_other_waits(tmp_path):
    films(tmp_path, 12)
    cache, waits = tmp_path / "cache", tmp_path / "waits"
    holds_on = f"""
def progress(done, total):  # continues when the other process has printed that it waits
    print(total - done, flush=True)
    while total - done < 12 and not Path({str(waits)!r}).exists(): time.sleep(0.05)
"""
    notes = f"""
import logging
class Notice(logging.Handler):
    def emit(self, record):
        Path({str(waits)!r}).write_text(record.getMessage())
logging.getLogger("imil").addHandler(Notice())
"""
    first = script(tmp_path, cache, holds_on)
    read_until(first, 11)
    second = script(tmp_path, cache, notes)
    rest, errors = first.communicate()
    second_output, second_errors = second.communicate()
    assert (first.returncode, second.returncode) == (0, 0), errors + second_errors
    assert rest.split()[:10] == [str(remaining) for remaining in range(10, 0, -1)]
    # the second may have hashed the files (23 to 12 remain), but has decoded none (11 to 1)
    assert not {str(remaining) for remaining in range(1, 12)} & set(second_output.split())
    assert "another run is decoding the same images" in waits.read_text()
    assert names(cache) == [".json", ".lock", ".npy"]


def test_memory_does_not_grow_with_the_originals(tmp_path):
    side, n = 2000, 40
    film(tmp_path / "000.png", 0, side)
    for i in range(1, n):  # 40 × 4 MB when unpacked
        (tmp_path / f"{i:03}.png").symlink_to(tmp_path / "000.png")
    process = script(
        tmp_path,
        tmp_path / "cache",
        """
import os, resource
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
import atexit
atexit.register(lambda: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
""",
    )
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    grown = int(out.split()[-1]) * 1024
    assert grown < n * side * side / 3  # two originals at once, in three forms each, are 24 MB


def test_a_full_disk_is_an_error_and_leaves_no_file(tmp_path):
    data, cache = films(tmp_path, 12), tmp_path / "cache"
    process = script(
        tmp_path,
        cache,
        """
import resource, signal
from imil.errors import DataError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))  # what the system then says is "too large"
try:
    decode_images(data, size=32, folder=cache)
except DataError as error:
    print(error)
    raise SystemExit(2)
""",
    )
    out, errors = process.communicate()
    assert process.returncode == 2, errors
    assert f"the disk of '{cache}' is full" in out
    assert names(cache) == [".lock"]
    assert decode_images(data, size=32, folder=cache).array.shape == (12, 32, 32)


def test_too_little_disk_space_is_refused_before_writing(tmp_path):
    data = films(tmp_path, 1)
    huge = table([data.images[0]] * 200_000)  # 200,000 × 100,000² bytes are 2 PB
    from imil.data.decoded_file import DecodedFile

    entry = DecodedFile(huge, 100_000, 1, tmp_path / "a.npy")
    with pytest.raises(DataError, match=r"need 2000000000 MB .* MB are free.*--cache"):
        entry.write(lambda done: None, lambda bad: None)
    assert not list(tmp_path.glob("a.*"))


def test_a_cache_folder_that_cannot_be_written_is_refused(tmp_path):
    data = films(tmp_path, 2)
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "cache"):
        with pytest.raises(DataError, match="is not a folder"):
            decode_images(data, size=32, folder=folder)


def test_a_read_only_cache_gives_the_images_that_it_has(guarded):
    data, cache = films(guarded, 2), guarded / "cache"
    decode_images(data, size=32, folder=cache)
    cache.chmod(0o500)
    try:
        assert decode_images(data, size=32, folder=cache).array.shape == (2, 32, 32)
        with pytest.raises(DataError, match="cannot be written"):
            decode_images(data, size=33, folder=cache)
    finally:
        cache.chmod(0o700)


def test_the_real_set_is_decoded(tmp_path, shenzhen):
    data = read_data(shenzhen / "manifest.csv")
    decoded = decode_images(data, size=112, folder=tmp_path)
    assert decoded.array.shape == (662, 112, 112)
    assert decoded.path.stat().st_size < 662 * 112**2 + 1000
    assert json.loads(decoded.path.with_suffix(".json").read_text())["images"] == 662
    with PIL.Image.open(data.images[400]) as picture:
        small = picture.resize((112, 112), PIL.Image.Resampling.BILINEAR)
    np.testing.assert_allclose(decoded.array[400].astype(int), np.asarray(small), atol=2)
