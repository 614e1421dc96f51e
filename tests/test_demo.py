"""`imil demo`, smaller than it is: the same steps on fewer films."""

import json
import os
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from processes import start
from slow_params import slow

from imil.errors import SettingsError
from imil.readers.web_page import Web
from imil.store import Store


def run(out, reader, film_count=60, epochs=3, **options):
    """The demo's own code with fewer films and epochs, and a second's wait for a reader."""
    os.environ["COLUMNS"] = "100"
    from imil.training import demo, web_reader

    web_reader.Web = partial(web_reader.Web, patience=1)
    demo.FILMS, demo.SIDE, demo.TEST = film_count, 32, 0.4
    demo.SETTINGS |= {"epochs": epochs, "imil_epoch": [2], "image_size": 32}
    stdout = os.open(out.parent / "stdout", os.O_WRONLY | os.O_CREAT)
    os.dup2(stdout, 1)
    demo.run_demo(reader, out, 0, **options)


@pytest.mark.parametrize("reader", ["simulated", *slow("web")])
def test_the_demo_draws_trains_holds_a_round_and_prints_a_comparison(tmp_path, reader):
    out = tmp_path / "demo"
    assert start(run, out, reader) == 0
    output = " ".join((tmp_path / "stdout").read_text().split())
    assert "Chest films are drawn, half of them with a lesion." in output
    assert "on 60 images (36 train, 24 test)" in output
    assert re.search(r"letter contradicts the film, \d+% are right without a reader", output)
    assert (out / "run" / "cases.html").exists()
    with Image.open(out / "heat-maps.png") as picture:
        assert picture.width > 3 * 256
    if reader == "web":
        assert "Nobody opened the page within 1 s" in output
        assert Web.patience == 60, "seconds, a minute as the demo says"
    store = Store(out / "run" / "imil.sqlite", readonly=True)
    held = store.rounds()[0]
    assert held.cases > 0
    assert {r.reader for r in store.readings(held.id)} == {"simulated"}


def test_stopping_the_demo_prints_the_command_that_continues(tmp_path, monkeypatch, capsys):
    from imil.cli.main import app
    from imil.errors import RoundPaused
    from imil.training import demo

    def stop(*_, **_options):
        raise RoundPaused("the reader stopped")

    monkeypatch.setattr(demo, "run_demo", stop)
    with pytest.raises(SystemExit) as ended:
        app(["demo", "--reader", "console", "--out", str(tmp_path)])
    assert ended.value.code == 0
    way = f"Continue with: imil resume {tmp_path}/run --cache {tmp_path}/cache"
    assert way in capsys.readouterr().err


def test_without_a_screen_or_a_terminal_the_reader_is_simulated(monkeypatch):
    from imil.training.demo import default_reader

    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with Path(os.devnull).open() as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        assert default_reader() == "simulated"


def test_an_invalid_seed_is_refused_before_a_film_is_drawn(tmp_path):
    from imil.training.demo import run_demo

    with pytest.raises(SettingsError, match="--seed is 4294967296"):
        run_demo("simulated", tmp_path / "demo", 2**32)
    assert not (tmp_path / "demo").exists()


@pytest.mark.slow  # the demo once more
def test_accuracies_are_one_line_of_json_and_each_arm_is_judged_on_the_same_films(tmp_path):
    assert start(run_as_json, tmp_path / "demo") == 0
    result = json.loads((tmp_path / "stdout").read_text())
    assert list(result) == ["for", "against", "without"]
    assert all(list(arms) == ["none", "random", "reader"] for arms in result.values())
    assert all(0 <= share <= 1 for arms in result.values() for share in arms.values())


def run_as_json(out):
    run(out, "simulated", as_json=True)


def test_the_same_test_film_is_drawn_with_each_letter(tmp_path):
    from imil.phantom.dataset import draw_test_variants, write_phantoms

    manifest = write_phantoms(tmp_path / "films", n=12, size=64, seed=3, letter=0.9, test=0.5)
    variants = {
        name: draw_test_variants(manifest, name, size=64, difficulty=0.5)
        for name in ("for", "against", "without")
    }
    plain, labels = variants["without"]
    assert sorted(labels) == [0, 0, 0, 1, 1, 1]
    for name, sides in (("for", ("left", "right")), ("against", ("right", "left"))):
        changed = variants[name][0] != plain
        assert not changed[:, 16:].any(), "the letter lies in an upper corner"
        other_side = np.stack(
            [
                film[:, 32:] if sides[label] == "left" else film[:, :32]
                for film, label in zip(changed, labels, strict=True)
            ]
        )
        assert not other_side.any()
        assert changed.any(axis=(1, 2)).sum() >= 5, "on a white shoulder a letter may not show"


def test_the_demo_trains_without_a_reader_anyway(tmp_path):
    from imil.training.demo import run_demo

    with pytest.raises(SettingsError, match="trains without a reader too"):
        run_demo("none", tmp_path / "demo", 0)
