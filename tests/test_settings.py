"""Settings: the paper's defaults, one file, flags that win, and one sentence for a mistake."""

import inspect
import re
import tomllib

import pytest
import typer
from typer.testing import CliRunner

from imil.cli.main import app
from imil.cli.settings_flags import add_settings_flags, default_text, given_flags
from imil.errors import SettingsError
from imil.pytorch import IMIL
from imil.settings import TrainSettings, flag_name, load_config, resolve
from imil.training.run_setup import set_up_run

FIELDS = TrainSettings.model_fields


def value_in_a_file(text):
    """A number or a truth value as TOML has it; other text as it is."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


@pytest.fixture(scope="module")
def help_text():
    shown = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "100", "TERM": "dumb"})
    assert shown.exit_code == 0
    return shown.output


def test_defaults_are_the_papers():
    # section 3.3.2
    settings = resolve({"data": "films.csv"})
    assert settings.model == "resnet50"
    assert (settings.image_size, settings.batch_size, settings.epochs) == (224, 64, 100)
    assert (settings.optimizer, settings.lr, settings.momentum) == ("sgd", 0.001, 0)
    assert (settings.imil_epoch, settings.num_outliers, settings.grid_size) == ((70,), 20, "4x4")


@pytest.mark.parametrize("name", FIELDS)
def test_each_setting_has_help_a_panel_and_an_example_that_is_valid(name):
    field = FIELDS[name]
    assert re.fullmatch(r"\S.{10,}\.", field.description)
    assert field.json_schema_extra["panel"] in ("Data", "Model", "Training", "Round")
    assert resolve({"data": "films.csv", name: value_in_a_file(field.examples[0])})


@pytest.mark.parametrize("name", [name for name in FIELDS if name != "data"])
def test_each_setting_has_a_flag_that_help_shows_with_its_default(name, help_text):
    assert re.search(rf"--{flag_name(name)}\s", help_text)
    default = FIELDS[name].default
    if not isinstance(default, bool):
        assert f"[default: {default_text(FIELDS[name])}]" in help_text


@pytest.mark.parametrize("name", FIELDS)
def test_each_setting_is_written_to_a_file_under_the_name_of_its_flag(name, tmp_path):
    settings = resolve({"data": "films.csv"})
    settings.write(tmp_path / "config.toml")
    assert flag_name(name) in tomllib.loads((tmp_path / "config.toml").read_text())


def test_help_groups_the_flags(help_text):
    titles = re.findall(r"╭─ (\w+) ─", help_text)
    assert titles == ["Arguments", "Options", "Data", "Model", "Training", "Round", "Output"]
    assert "16 to 4096" in help_text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {}),
        (["films.csv", "--lr", "0.001"], {"data": "films.csv", "lr": 0.001}),
        (["--imil-epoch", "5,7", "--no-skip-bad"], {"imil_epoch": "5,7", "skip_bad": False}),
        (["--device", "cpu", "--low-memory"], {"device": "cpu", "low_memory": True}),
    ],
)
def test_only_flags_that_were_typed_are_taken_even_at_their_default(words, expected):
    taken = {}

    def command(context: typer.Context, **settings):
        taken.update(given_flags(context, settings))

    command_app = typer.Typer(add_completion=False)
    command_app.command()(add_settings_flags(command))
    result = CliRunner().invoke(command_app, words)
    assert result.exit_code == 0, result.output
    assert taken == expected


def test_the_callbacks_keywords_have_the_names_and_defaults_of_the_settings():
    keywords = inspect.signature(IMIL).parameters
    defaults = {
        name: keywords[name].default for name in ("imil_epoch", "num_outliers", "grid_size")
    }
    assert resolve({"data": "films.csv", **defaults}) == resolve({"data": "films.csv"})


def test_a_file_has_the_names_of_the_flags_and_flags_win(tmp_path):
    config = tmp_path / "a.toml"
    config.write_text('data = "films.csv"\nimage-size = 64\nimil-epoch = [50, 70]\nlr = 0.5\n')
    settings, _ = set_up_run({"lr": 0.1}, config, tmp_path / "run")
    assert (settings.image_size, settings.imil_epoch, settings.lr) == (64, (50, 70), 0.1)


def test_paths_are_stored_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = {"data": "films.csv", "weights": "a.pt", "reader": "replay:lee.csv"}
    settings, _ = set_up_run(flags, None, tmp_path / "run")
    assert settings.data == str(tmp_path / "films.csv")
    assert settings.weights == str(tmp_path / "a.pt")
    assert str(settings.reader) == f"replay:{tmp_path / 'lee.csv'}"
    kept, _ = set_up_run({"data": "films.csv", "weights": "imagenet"}, None, tmp_path / "run")
    assert kept.weights == "imagenet"


def test_settings_are_read_back_as_they_were_written(tmp_path):
    settings = resolve({"data": "a.csv", "imil_epoch": [3, 5], "grid_size": "4x6", "seed": 7})
    settings.write(tmp_path / "config.toml")
    assert resolve(load_config(tmp_path / "config.toml")) == settings


@pytest.mark.parametrize("none", ["none", ["none"], []])
def test_no_augmentation_can_be_written_as_none(none):
    assert resolve({"data": "a.csv", "augment": none}).augment == ()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lr": -1}, "--lr is -1: input should be greater than 0"),
        ({"lr": float("nan")}, "--lr is nan"),
        ({"epochs": 0}, "--epochs is 0"),
        ({"image_size": 4}, "--image-size is 4"),
        ({"optimizer": "magic"}, "--optimizer is 'magic': input should be 'sgd', 'adam' or"),
        ({"mix": "cut"}, "--mix is 'cut'"),
        ({"augment": ["flip", "turn"]}, "--augment is 'turn': input should be 'flip' or 'crop'"),
        ({"precision": "64"}, "--precision is '64'"),
        ({"imil_epoch": [0]}, "imil_epoch 0 is out of range"),
        ({"imil_epoch": ["x"]}, "--imil-epoch is"),
        ({"grid_size": "65"}, "invalid grid of 65 rows"),
        ({"num_outliers": 0}, "--num-outliers is 0"),
        ({"seed": -1}, "--seed is -1"),
        ({"seed": 2**32}, "--seed is 4294967296"),
        ({"reader": 3}, "--reader is 3: input should be a valid string"),
        ({"reader": True}, "--reader is true: give a value"),
        ({"learning_rate": 0.1}, "unknown setting 'learning-rate': give one of data, test-share"),
    ],
)
def test_an_invalid_setting_gets_one_sentence(wrong, message):
    with pytest.raises(SettingsError) as caught:
        resolve({"data": "a.csv", **wrong})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("lr = ", "is not valid TOML"), (None, "cannot be read"), ("a\0b", "is not valid TOML")],
)
def test_a_file_that_is_not_toml_is_named(tmp_path, text, message):
    path = tmp_path / "a.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_config(path)


def test_missing_data_is_an_error():
    with pytest.raises(SettingsError, match="data is missing"):
        resolve({})
