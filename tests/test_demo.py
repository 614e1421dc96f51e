"""`imil demo`, smaller than it is: the same steps on fewer films."""

import os
import re
from functools import partial
from pathlib import Path

import pytest
from processes import start

from imil.errors import SettingsError
from imil.readers.web_page import Web
from imil.store import Store


def run(out, reader, film_count=60, epochs=3):
    """The demo's own code with fewer films and epochs, and a second's wait for a reader."""
    os.environ["COLUMNS"] = "100"
    from imil.training import demo, web_reader

    web_reader.Web = partial(web_reader.Web, patience=1)
    demo.FILMS = film_count
    demo.SETTINGS |= {"epochs": epochs, "imil_epoch": [2], "image_size": 32}
    stdout = os.open(out.parent / "stdout", os.O_WRONLY | os.O_CREAT)
    os.dup2(stdout, 1)
    demo.run_demo(reader, out, 0)


@pytest.mark.parametrize("reader", ["simulated", "web"])
def test_the_demo_draws_trains_holds_a_round_and_prints_a_comparison(tmp_path, reader):
    out = tmp_path / "demo"
    assert start(run, out, reader) == 0
    output = " ".join((tmp_path / "stdout").read_text().split())
    assert "Chest films are drawn, half of them with a lesion." in output
    assert "on 60 images (36 train, 24 test)" in output
    assert re.search(r"Test accuracy went from 0\.\d+ before the round to 0\.\d+", output)
    assert (out / "run" / "cases.html").exists()
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

    def stop(*_):
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
