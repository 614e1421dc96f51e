"""The arms of a study: what each trains with, and which training it shares with others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from imil.errors import SettingsError

Kind = Literal[
    "baseline",
    "cutmix",
    "cutout",
    "mixup",
    "imil",
    "imil-random",
    "imil-inverted",
    "cutout-same",
    "upweight",
]

# paper, Table 1; the controls are ours
TITLES: dict[Kind, str] = {
    "baseline": "Baseline",
    "cutmix": "CutMix",
    "cutout": "CutOut",
    "mixup": "MixUp",
    "imil": "IMIL",
    "imil-random": "random squares",
    "imil-inverted": "inverted squares",
    "cutout-same": "random box",
    "upweight": "drawn five times",
}
MIXED: tuple[Kind, ...] = ("cutmix", "cutout", "mixup")  # differ from the first epoch on
CONTROLS: tuple[Kind, ...] = ("imil-random", "imil-inverted", "cutout-same", "upweight")


@dataclass(frozen=True)
class Arm:
    """One row of the table.

    Args:
        kind: what is done.
        reader: whose readings it uses, or whose it is the control of; empty where none are.
        alone: whether the study has no other reader, so that names need not tell them apart.
    """

    kind: Kind
    reader: str = ""
    alone: bool = True

    @property
    def id(self) -> str:
        """Its name in files and tables, such as `imil-random` or `imil.Lee`."""
        named = self.kind == "imil" and not self.alone  # controls are of one reader alone
        return f"{self.kind}.{self.reader}" if named else self.kind

    @property
    def title(self) -> str:
        """Its name for people, such as `IMIL (Lee)`."""
        name = TITLES[self.kind]
        if self.kind in CONTROLS:
            name = f"Control: {name}"
        return name if self.alone or not self.reader else f"{name} ({self.reader})"

    @property
    def is_control(self) -> bool:
        """Whether it is there only to be compared with IMIL."""
        return self.kind in CONTROLS

    @property
    def forks(self) -> bool:
        """Whether it goes on from the baseline's checkpoint at the round."""
        return self.kind == "imil" or self.is_control


def arms(kinds: Sequence[Kind], readers: Sequence[str]) -> tuple[Arm, ...]:
    """The arms of a study in their order: IMIL once per reader, controls of the first reader.

    Raises: SettingsError: an arm is named twice, the baseline is missing, or a reader is.
    """
    if len(set(kinds)) < len(kinds):
        twice = next(kind for kind in kinds if list(kinds).count(kind) > 1)
        raise SettingsError(f"the arm '{twice}' is named twice: name each arm once")
    if "baseline" not in kinds:
        raise SettingsError("there is no arm 'baseline': every other arm is compared with it")
    needs = [kind for kind in kinds if Arm(kind).forks]
    if needs and not readers:
        raise SettingsError(f"the arm '{needs[0]}' needs a reader: add a [[readers]] table")
    if set(CONTROLS) & set(kinds) and "imil" not in kinds:
        control = next(kind for kind in kinds if kind in CONTROLS)
        raise SettingsError(f"the control '{control}' needs the arm 'imil' beside it: add it")
    found: list[Arm] = []
    for kind in kinds:
        of = readers if kind == "imil" else readers[:1] if kind in CONTROLS else [""]
        found += [Arm(kind, reader, len(readers) < 2) for reader in of]
    return tuple(found)
