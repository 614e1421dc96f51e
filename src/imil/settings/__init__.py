"""The settings of one training, each declared once: flag, name in a file, default, range, help.

The flags of `imil train`, the names in a TOML file and `config.toml` all come from the fields of
`TrainSettings`. It imports no framework and no NumPy, so that `imil train --help` is quick.
"""

from imil.settings.fields import flag_name
from imil.settings.round import NO_ARBITER, PATIENCE, ReaderField
from imil.settings.train_settings import TrainSettings, load_config, load_toml, resolve, shown
from imil.settings.training import Logger, is_weights_file

__all__ = [
    "NO_ARBITER",
    "PATIENCE",
    "Logger",
    "ReaderField",
    "TrainSettings",
    "flag_name",
    "is_weights_file",
    "load_config",
    "load_toml",
    "resolve",
    "shown",
]
