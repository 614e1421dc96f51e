"""Settings: the paper's defaults, one file, flags that win, and one sentence for a mistake."""

import pytest

from imil.errors import SettingsError
from imil.training.launch import settle
from imil.training.settings import load_config, resolve


def test_defaults_are_the_papers():
    # section 3.3.2
    settings = resolve({"data": "films.csv"})
    assert settings.model == "resnet50"
    assert (settings.image_size, settings.batch_size, settings.epochs) == (224, 64, 100)
    assert (settings.optimizer, settings.lr, settings.momentum) == ("sgd", 0.001, 0)
    assert (settings.imil_epoch, settings.num_outliers, settings.grid_size) == ((70,), 20, "4x4")


def test_a_file_has_the_names_of_the_flags_and_flags_win(tmp_path):
    config = tmp_path / "a.toml"
    config.write_text('data = "films.csv"\nimage-size = 64\nimil-epoch = [50, 70]\nlr = 0.5\n')
    settings, _ = settle({"lr": 0.1}, config, tmp_path / "run")
    assert (settings.image_size, settings.imil_epoch, settings.lr) == (64, (50, 70), 0.1)


def test_what_is_written_is_read_back_the_same(tmp_path):
    settings = resolve({"data": "a.csv", "imil_epoch": [3, 5], "grid_size": "4x6", "seed": 7})
    settings.write(tmp_path / "config.toml")
    assert resolve(load_config(tmp_path / "config.toml")) == settings


@pytest.mark.parametrize("none", ["none", ["none"], []])
def test_no_augmentation_has_a_name_too(none):
    assert resolve({"data": "a.csv", "augment": none}).augment == ()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"lr": -1}, "--lr is -1: input should be greater than 0"),
        ({"lr": float("nan")}, "--lr is nan"),
        ({"epochs": 0}, "--epochs is 0"),
        ({"image_size": 4}, "--image-size is 4"),
        ({"optimizer": "magic"}, "--optimizer is 'magic': input should be 'sgd', 'adam' or"),
        ({"mix": "cut"}, "--mix is 'cut'"),
        ({"augment": ["flip", "turn"]}, "--augment is 'turn': input should be 'flip' or 'crop'"),
        ({"precision": "64"}, "--precision is '64'"),
        ({"imil_epoch": [0]}, "imil_epoch 0 is not possible"),
        ({"imil_epoch": ["x"]}, "--imil-epoch is"),
        ({"grid_size": "65"}, "a grid of 65 rows is not possible"),
        ({"num_outliers": 0}, "--num-outliers is 0"),
        ({"seed": -1}, "--seed is -1"),
        ({"learning_rate": 0.1}, "'learning-rate' is no setting: give one of data, model"),
    ],
)
def test_a_wrong_setting_gets_one_sentence(wrong, said):
    with pytest.raises(SettingsError) as caught:
        resolve({"data": "a.csv", **wrong})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"), [("lr = ", "is no TOML"), (None, "cannot be read"), ("a\0b", "is no TOML")]
)
def test_a_file_that_is_no_toml_is_named(tmp_path, text, said):
    path = tmp_path / "a.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError, match=said):
        load_config(path)


def test_no_data_is_said():
    with pytest.raises(SettingsError, match="data is missing"):
        resolve({})
