"""The arms of a study: what is done in each, and which of them continue from the baseline."""

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
MIXED: tuple[Kind, ...] = ("cutmix", "cutout", "mixup")  # differ from the baseline from epoch 1
CONTROLS: tuple[Kind, ...] = ("imil-random", "imil-inverted", "cutout-same", "upweight")


@dataclass(frozen=True)
class Arm:
    """One row of the table.

    Args:
        kind: what is done.
        reader: the reader whose readings it uses, or for whom it is the control; empty if none.
        alone: whether the study has no other reader; if so, names leave the reader out.
    """

    kind: Kind
    reader: str = ""
    alone: bool = True

    @property
    def id(self) -> str:
        """Its name in files and tables, such as `imil-random` or `imil.Lee`."""
        # controls are for one reader only
        with_reader = self.kind == "imil" and not self.alone
        return f"{self.kind}.{self.reader}" if with_reader else self.kind

    @property
    def title(self) -> str:
        """Its name for people, such as `IMIL (Lee)`."""
        name = TITLES[self.kind]
        if self.kind in CONTROLS:
            name = f"Control: {name}"
        return name if self.alone or not self.reader else f"{name} ({self.reader})"

    @property
    def is_control(self) -> bool:
        """Whether it is a control for IMIL."""
        return self.kind in CONTROLS

    @property
    def forks(self) -> bool:
        """Whether it continues from the baseline's checkpoint before the round."""
        return self.kind == "imil" or self.is_control


def arms(kinds: Sequence[Kind], readers: Sequence[str]) -> tuple[Arm, ...]:
    """The arms of a study in their order: IMIL once per reader, controls for the first reader.

    Raises: SettingsError: an arm is given twice, or the baseline or a reader is missing.
    """
    if len(set(kinds)) < len(kinds):
        twice = next(kind for kind in kinds if list(kinds).count(kind) > 1)
        raise SettingsError(f"the arm '{twice}' is given twice: give each arm once")
    if "baseline" not in kinds:
        raise SettingsError(
            "the arm 'baseline' is missing: add it, every other arm is compared with it"
        )
    needs = [kind for kind in kinds if Arm(kind).forks]
    if needs and not readers:
        raise SettingsError(f"the arm '{needs[0]}' needs a reader: add a [[readers]] table")
    if set(CONTROLS) & set(kinds) and "imil" not in kinds:
        control = next(kind for kind in kinds if kind in CONTROLS)
        raise SettingsError(f"the control '{control}' needs the arm 'imil': add it")
    result: list[Arm] = []
    for kind in kinds:
        names = readers if kind == "imil" else readers[:1] if kind in CONTROLS else [""]
        result += [Arm(kind, name, len(readers) < 2) for name in names]
    return tuple(result)
