"""Which training samples are shown to the reader.

A choice of cases is a function of arrays: `(probs, labels, keys, n, rng) -> positions`, at most n,
the first case first. What else it needs it declares as keyword-only parameters, such as
`features`: the round gets these from providers of those names (`imil.rounds`). To add a choice,
write the function, put it into `CHOICES`, and its name into `imil.round_options.CHOICE_NAMES`.
"""

from imil.choices.choose import (
    CHOICES,
    Choice,
    Provider,
    check_classes,
    check_needs,
    choice,
    choose_cases,
    needs,
)

__all__ = [
    "CHOICES",
    "Choice",
    "Provider",
    "check_classes",
    "check_needs",
    "choice",
    "choose_cases",
    "needs",
]
