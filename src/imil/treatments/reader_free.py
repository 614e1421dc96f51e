"""The form of a treatment that does the same without a reader's choice of squares."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from imil.errors import SettingsError
from imil.treatments.spec import option_types, parse_treatment
from imil.treatments.treatment import Treatment

OPTION = "squares"  # `readers`, or one of
FORMS = ("random", "all")  # as many, drawn anew in each draw; every square


def reader_free(text: str, known: Mapping[str, Callable[..., Treatment]]) -> str:
    """The treatment with squares that no reader chose: as many, drawn anew, or all.

    Args:
        text: `NAME` or `NAME:option=value,option=value`.
        known: name -> dataclass whose fields are the options.
    Raises: SettingsError: the treatment is unknown, or has no such form, or not with its options.

    >>> from imil.treatments import TREATMENTS
    >>> reader_free("cover:fill=blur", TREATMENTS)
    'cover:fill=blur,squares=random'
    """
    parse_treatment(text, known)
    name, _, rest = text.partition(":")
    if OPTION not in option_types(known[name]):
        able = [one for one, kind in known.items() if OPTION in option_types(kind)]
        raise SettingsError(
            f"the treatment '{name}' has no form without a reader: only {', '.join(able)} have; "
            "take the control reader-free out"
        )
    words = [word.strip() for word in rest.split(",") if word.strip()]
    options = [word for word in words if word.partition("=")[0] != OPTION]
    for form in FORMS:
        result = f"{name}:{','.join([*options, f'{OPTION}={form}'])}"
        try:
            parse_treatment(result, known)
        except SettingsError as error:
            if str(error).startswith(f"invalid {OPTION} "):  # it has another form
                continue
            raise
        return result
    raise AssertionError(f"{name} has squares of readers alone")
