"""The choices of cases by name, and the cases that one of them chooses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imil.choices.among_mistakes import (
    class_balanced,
    diverse,
    early_mistakes,
    moving_average,
    out_of_fold,
)
from imil.choices.any_sample import auto, likely_label_errors, off_lung, random, uncertain
from imil.errors import SettingsError
from imil.outliers import confident_mistakes
from imil.predictions import Predictions

Positions = Sequence[int] | NDArray[np.intp]
Choice = Callable[..., Positions]  # the optional parameters differ
Provider = Callable[[Predictions], Any]  # predictions of the training set -> what is needed

CHOICES: dict[str, Choice] = {
    choose.__name__: choose
    for choose in (
        confident_mistakes,
        auto,
        out_of_fold,
        moving_average,
        early_mistakes,
        class_balanced,
        diverse,
        off_lung,
        likely_label_errors,
        uncertain,
        random,
    )
}


def choice(name: str) -> Choice:
    """The choice of that name. Raises: SettingsError: there is none."""
    if name not in CHOICES:
        raise SettingsError(
            f"unknown choice of cases '{name}': expected one of {', '.join(CHOICES)}"
        )
    return CHOICES[name]


def needs(choose: Choice) -> tuple[str, ...]:
    """Names of the keyword-only parameters without a default, which providers must supply."""
    return tuple(
        parameter.name
        for parameter in inspect.signature(choose).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
    )


def check_needs(name: str, available: Collection[str]) -> None:
    """Check that all that a choice needs is available.

    Raises: SettingsError: there is no such choice, or something is missing.
    """
    missing = [need for need in needs(choice(name)) if need not in available]
    if missing:
        raise SettingsError(
            f"the choice of cases '{name}' needs {', '.join(missing)}, for which there is no "
            "provider: pass one in `providers`, or use another choice"
        )


def check_classes(name: str, labels: NDArray[np.int64], class_names: Sequence[str]) -> None:
    """Check that there are two classes, if a choice compares them.

    Args:
        labels: (N,), of the training set.
        class_names: K names.
    Raises: SettingsError: all samples are of one class.
    """
    compares = name == "class_balanced" or "out_of_fold_probs" in needs(choice(name))
    if compares and len(labels) and (labels == labels[0]).all():
        raise SettingsError(
            f"the choice of cases '{name}' compares classes, and all training samples are of class "
            f"'{class_names[labels[0]]}': add samples of another, or use another choice"
        )


def choose_cases(
    name: str,
    predictions: Predictions,
    n: int,
    rng: np.random.Generator,
    providers: Mapping[str, Provider],
) -> list[int]:
    """Positions of at most n samples, in the order of the choice of that name.

    Args:
        providers: name -> function that gives what a choice of that parameter needs.
    Raises: SettingsError: no such choice, no provider, or the choice returns invalid positions.
    """
    check_needs(name, providers)
    choose = choice(name)
    extra = {need: providers[need](predictions) for need in needs(choose)}
    chosen = choose(predictions.probs, predictions.labels, predictions.keys, n, rng, **extra)
    positions = [int(i) for i in chosen]
    valid = all(0 <= i < len(predictions) for i in positions)
    if not valid or len(set(positions)) < len(positions) or len(positions) > n:
        raise SettingsError(
            f"the choice of cases '{name}' returns {len(positions)} positions that are not all "
            f"different and in [0, {len(predictions)}): expected at most {n} such positions"
        )
    return positions
