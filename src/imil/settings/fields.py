"""What every setting of a training has: flag, name in a file, default, range, help, example.

Nothing here imports a framework or NumPy, so that `imil train --help` is quick.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from imil.errors import SettingsError

Panel = Literal["Data", "Model", "Training", "Round"]
# settings that are true or false
SWITCHES = ("logger_images", "low_memory", "skip_bad", "check_burned_in")


def setting(panel: Panel, default: Any, help_: str, example: str, **limits: Any) -> Any:
    """A field: the panel of `--help` that lists it, its help, and an example of its value."""
    return Field(
        default,
        description=help_,
        examples=[example],
        json_schema_extra={"panel": panel},
        **limits,
    )


def flag_name(name: str) -> str:
    """The name of a setting as a flag and in a file: `image-size` for `image_size`."""
    return name.replace("_", "-")


class Fields(BaseModel):
    """Settings that cannot be changed, and refuse names that they do not have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_bool(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and info.field_name not in SWITCHES:
            text = str(value).lower()
            raise SettingsError(f"--{flag_name(str(info.field_name))} is {text}: give a value")
        return value

    @field_validator("imil_epoch", "augment", "mask_columns", mode="before", check_fields=False)
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        if isinstance(value, str):  # as on the command line
            return [word.strip() for word in value.split(",") if word.strip()]
        return (value,) if type(value) is int else value
