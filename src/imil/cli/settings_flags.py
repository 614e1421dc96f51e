"""The flags of `imil train`, from the fields of `TrainSettings`: help, default, range, panel."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Annotated, Any, cast, get_args

import typer
from pydantic.fields import FieldInfo

from imil.settings import TrainSettings, flag_name

# how each limit of a number reads, in the order of a sentence
LIMITS = {"ge": "{} or more", "gt": "above {}", "le": "{} or less", "lt": "below {}"}


def add_settings_flags(command: Callable[..., None]) -> Callable[..., None]:
    """The command with one parameter for each setting in place of its `**settings`."""
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    parameters = [*own[:1], *_parameters(), *own[1:]]  # the context first

    @wraps(command)
    def with_flags(**values: Any) -> None:
        command(**values)

    del with_flags.__wrapped__  # else its type hints would be read in place of these
    with_flags.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_flags.__annotations__ = {one.name: one.annotation for one in parameters}
    return with_flags


def given_flags(context: typer.Context, values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were given on the command line, without those left at their default."""
    return {
        name: value
        for name, value in values.items()
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    }


def default_text(field: FieldInfo) -> str:
    """The default as one types it: `50,70` for (50, 70), `none` for ()."""
    if isinstance(field.default, tuple):
        return ",".join(map(str, field.default)) or "none"
    return str(field.default)


def _parameters() -> Iterator[inspect.Parameter]:
    for name, field in TrainSettings.model_fields.items():
        kind = _flag_type(field)
        info = _argument(field) if field.is_required() else _option(name, field, kind)
        yield inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if field.is_required() else _default(field, kind),
            annotation=Annotated[kind | None if field.is_required() else kind, info],
        )


def _argument(field: FieldInfo) -> Any:
    return typer.Argument(help=field.description, show_default=False)


def _option(name: str, field: FieldInfo, kind: type) -> Any:
    flag = flag_name(name)
    names = f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}"
    extra: Any = field.json_schema_extra
    return typer.Option(
        names,
        help=_help(field),
        rich_help_panel=extra["panel"],
        show_default=kind is not bool,
    )


def _help(field: FieldInfo) -> str:
    """Its description, and the range of a number."""
    limits = {
        name: getattr(item, name)
        for item in field.metadata
        for name in LIMITS
        if getattr(item, name, None) is not None
    }
    if {"ge", "le"} <= limits.keys():
        text = f"{limits['ge']} to {limits['le']}"
    else:
        text = ", ".join(
            form.format(limits[name]) for name, form in LIMITS.items() if name in limits
        )
    return f"{str(field.description).rstrip('.')}: {text}." if text else str(field.description)


def _flag_type(field: FieldInfo) -> type:
    """The type that the command line converts to; text is parsed by the settings themselves."""
    annotation: Any = field.annotation
    if annotation in (int, float, bool):
        return cast(type, annotation)
    choices = get_args(annotation)
    return int if choices and all(type(choice) is int for choice in choices) else str


def _default(field: FieldInfo, kind: type) -> Any:
    return default_text(field) if kind is str else field.default
