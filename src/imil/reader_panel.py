"""The readers of a round together: who they are, what each is asked for, what counts in the end.

It loads no NumPy, so that `imil train --help` is quick.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from imil.errors import SettingsError
from imil.reader_names import check_reader_name

FUSION = "majority"
FUSIONS = ("union", "intersection", "majority", "soft", "staple")  # and at-least:K
AT_LEAST = "at-least:"
# rules of rounds that an older imil held; they are not offered any more
OLD_FUSIONS = {"newest": "newest answer", "majority": "majority of marks"}
FLAGGED = ("leave", "remove")
DISAGREEMENT = 0.5
MOST_READERS = 100


@dataclass(frozen=True)
class ReaderPanel:
    """The readers of a round together.

    Args:
        readers: their names; empty: all who read.
        quorum: how many readings a case needs; None: one of every reader who is asked for it.
        overlap: share of the cases that all readers are asked for, in [0, 1]; of the others each
            has as many readers as the quorum says, in turn. Below 1 it needs two readers or more.
        fusion: how selected and misleading squares of several readers become one selection:
            a name in `FUSIONS`, or `at-least:K`.
        flagged: whether a training image is left as it is (`leave`), or taken out of training
            (`remove`), where most readers say that its label is wrong or that it cannot be
            assessed.
        arbiter: name of the reader who decides cases in which the readers differ; empty: nobody.
        disagreement: one minus the mean Jaccard index of pairs of readers above which they differ,
            in [0, 1].
    Raises: SettingsError: a value is out of range, or two of them contradict each other.
    """

    readers: tuple[str, ...] = ()
    quorum: int | None = None
    overlap: float = 1.0
    fusion: str = FUSION
    flagged: str = "leave"
    arbiter: str = ""
    disagreement: float = DISAGREEMENT

    def __post_init__(self) -> None:
        object.__setattr__(self, "readers", checked_names(self.readers))
        if self.quorum is not None:
            object.__setattr__(self, "quorum", _whole(self.quorum))
        for name in ("overlap", "disagreement"):
            object.__setattr__(self, name, _share(getattr(self, name), name))
        if self.fusion not in OLD_FUSIONS.values():
            check_fusion(self.fusion)
        if self.flagged not in FLAGGED:
            raise SettingsError(
                f"invalid flagged '{self.flagged}': expected one of {', '.join(FLAGGED)}"
            )
        self._check_numbers()
        self._check_arbiter()

    @property
    def needed(self) -> int | None:
        """How many readings a case needs; None: one of everybody who is asked for it.

        With an overlap below 1 and no quorum, one.
        """
        return 1 if self.quorum is None and self.overlap < 1 else self.quorum

    def as_dict(self) -> dict[str, Any]:
        """The values as plain JSON, as the store has them."""
        return asdict(self) | {"readers": list(self.readers)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ReaderPanel:
        """The values that `as_dict` wrote."""
        known = {one.name for one in fields(cls)}
        given = {name: value for name, value in values.items() if name in known}
        return cls(**given | {"readers": tuple(values.get("readers", ()))})

    def _check_numbers(self) -> None:
        """Check that quorum, overlap and rule fit the number of readers."""
        count = len(self.readers)
        if count and self.quorum is not None and self.quorum > count:
            raise SettingsError(
                f"a quorum of {self.quorum} readings cannot be reached by {count} "
                f"reader{'' if count == 1 else 's'} ({', '.join(self.readers)}): give at most "
                f"{count}, or more readers"
            )
        if self.overlap < 1 and count < 2:
            raise SettingsError(
                f"an overlap of {self.overlap:g} shares the cases among readers: name two or more"
            )
        most = self.needed or count
        least = at_least(self.fusion)
        if most and least is not None and least > most:
            raise SettingsError(
                f"the rule {self.fusion} cannot be met by {most} reading"
                f"{'' if most == 1 else 's'} of a case: give at most {AT_LEAST}{most}, or more "
                "readers"
            )

    def _check_arbiter(self) -> None:
        if not self.arbiter:
            return
        (arbiter,) = checked_names((self.arbiter,), "the arbiter's name")
        object.__setattr__(self, "arbiter", arbiter)
        if arbiter.casefold() in {name.casefold() for name in self.readers}:
            raise SettingsError(
                f"the arbiter '{arbiter}' is one of the readers: an arbiter decides between the "
                "others' answers; name somebody else"
            )


def check_fusion(rule: str) -> str:
    """The rule itself, if there is one of that name. Raises: SettingsError: there is none."""
    least = at_least(rule)
    if rule not in FUSIONS and (least is None or least < 1):
        raise SettingsError(
            f"unknown fusion '{rule}' of several readers' squares: expected one of "
            f"{', '.join(FUSIONS)}, or {AT_LEAST}2 with the number of readers"
        )
    return rule


def at_least(rule: str) -> int | None:
    """K of `at-least:K`; None for another rule.

    >>> at_least("at-least:2"), at_least("union")
    (2, None)
    """
    number = rule.removeprefix(AT_LEAST)
    known = number != rule and number.isascii() and number.isdecimal() and len(number) < 4
    return int(number) if known else None


def checked_names(names: tuple[str, ...], what: str = "a reader's name") -> tuple[str, ...]:
    """Names without needless spaces, each once. Raises: SettingsError: readers cannot have them."""
    tidy = tuple(" ".join(str(name).split()) for name in names)
    if len(tidy) > MOST_READERS:
        raise SettingsError(f"{len(tidy)} readers are too many: name at most {MOST_READERS}")
    for name in tidy:
        if not 1 <= len(name) <= 80 or not name.isprintable():
            raise SettingsError(f"{what} is {name!r}: give 1 to 80 printable characters")
        check_reader_name(name, what)
    folded = [name.casefold() for name in tidy]
    twice = next((name for name in tidy if folded.count(name.casefold()) > 1), None)
    if twice is not None:
        raise SettingsError(f"'{twice}' is named twice among the readers: name each reader once")
    return tidy


def _whole(value: object) -> int:
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # what cannot be one raises
    except TypeError:
        number = 0
    if not 1 <= number <= 1000:
        raise SettingsError(f"invalid quorum {value!r}: expected a whole number, 1 or more")
    return number


def _share(value: object, name: str) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]  # what cannot be one raises
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number <= 1:
        raise SettingsError(f"invalid {name} {value!r}: expected a share from 0 to 1")
    return number


PANEL = ReaderPanel()  # of unnamed readers, all of whom are waited for
