"""`--reader` is parsed once: every part that needs to know a reader asks its specification."""

from pathlib import Path

import pytest

from imil.errors import SettingsError
from imil.readers.spec import ReaderSpec
from imil.settings import load_config, resolve

TEXTS = [
    *("console", "web", "none", "simulated", "random", "inverted"),
    *("replay:a:b.csv", "simulated:miss=0.2, one-region", "control:upweight"),
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_specification_is_written_as_it_was_given(text, tmp_path):
    assert str(ReaderSpec.parse(text)) == text
    settings = resolve({"data": "a.csv", "reader": text})
    settings.write(tmp_path / "config.toml")
    assert settings.model_dump(mode="json")["reader"] == text
    assert load_config(tmp_path / "config.toml")["reader"] == text
    assert resolve(load_config(tmp_path / "config.toml")) == settings


@pytest.mark.parametrize(
    "text",
    ["psychic", "", "console:x", "web:8000", "none:x", "replay", "replay:", "control", ":x", 3],
)
def test_an_unknown_reader_is_refused_with_the_known_ones(text):
    with pytest.raises(SettingsError, match=r"--reader is .*: give console, web, notebook, "):
        ReaderSpec.parse(text)


@pytest.mark.parametrize("option", ["luck=1", "miss=much", "one-region=1", "miss"])
def test_an_invalid_option_of_a_simulated_reader_is_refused(option):
    with pytest.raises(SettingsError, match=f"invalid option '{option}' of a simulated reader"):
        ReaderSpec.parse(f"random:{option}")


def test_the_options_are_keywords_of_the_simulated_reader():
    spec = ReaderSpec.parse("inverted:miss=0.2,false=0.05,threshold=0.1,one-region")
    assert spec.options == {"miss": 0.2, "false": 0.05, "threshold": 0.1, "one_region": True}
    assert ReaderSpec("web").options == {}


def test_only_a_replay_has_a_file_and_it_is_taken_from_a_folder():
    assert ReaderSpec.parse("replay:runs/lee").file == Path("runs/lee")
    assert ReaderSpec.parse("simulated:miss=0.2").file is None
    absolute = ReaderSpec.parse("replay:lee.csv").with_absolute_file(Path("/a"))
    assert str(absolute) == "replay:/a/lee.csv"
    assert absolute.with_absolute_file(Path("/b")) == absolute
    assert ReaderSpec("web").with_absolute_file(Path("/a")) == ReaderSpec("web")


@pytest.mark.parametrize("text", TEXTS)
def test_a_program_that_reads_from_masks_is_distinguished_from_a_person(text):
    kind = text.partition(":")[0]
    assert ReaderSpec.parse(text).is_simulated == (kind in ("simulated", "random", "inverted"))
