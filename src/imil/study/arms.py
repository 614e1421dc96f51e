"""The arms of a study: what is done in each, and which of them continue from the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    "no-shortcut",
]
Control = Literal["random", "inverted"]  # of a treatment

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
    "no-shortcut": "No shortcut",
}
CONTROL_TITLES: dict[Control, str] = {
    "random": TITLES["imil-random"],
    "inverted": TITLES["imil-inverted"],
}
MIXED: tuple[Kind, ...] = ("cutmix", "cutout", "mixup")  # differ from the baseline from epoch 1
CONTROLS: tuple[Kind, ...] = ("imil-random", "imil-inverted", "cutout-same", "upweight")


@dataclass(frozen=True)
class TreatmentRequest:
    """What a plan asks of a treatment: its arm, and those that belong to it.

    Args:
        name: of its arm; those of the others begin with it.
        controls: which readings the same treatment is also given.
        without_shortcut: whether it is also tried where no shortcut is planted.
    """

    name: str
    controls: tuple[Control, ...] = ()
    without_shortcut: bool = False


@dataclass(frozen=True)
class Arm:
    """One row of the table.

    Args:
        kind: what is done.
        reader: the reader whose readings it uses, or for whom it is the control; empty if none.
        alone: whether the study has no other reader; if so, names leave the reader out.
        treatment: name of the plan's treatment, of the kind `treatment`.
        control: what the treatment is given in place of the readings; empty: the readings.
        without_shortcut: whether a treatment is tried on images without the planted shortcut.
    """

    kind: Kind | Literal["treatment"]
    reader: str = ""
    alone: bool = True
    treatment: str = ""
    control: Control | Literal[""] = ""
    without_shortcut: bool = False

    @property
    def id(self) -> str:
        """Its name in files and tables, such as `imil-random`, `imil.Lee` or `best-random`."""
        if self.kind == "treatment":
            parts = [self.treatment, "no-shortcut" * self.without_shortcut, self.control]
            return "-".join(filter(None, parts))
        # controls are for one reader only
        with_reader = self.kind == "imil" and not self.alone
        return f"{self.kind}.{self.reader}" if with_reader else self.kind

    @property
    def title(self) -> str:
        """Its name for people, such as `IMIL (Lee)`."""
        control = self.is_control or bool(self.control)
        name = f"Control: {self.short_title}" if control else self.short_title
        return name if self.alone or not self.reader else f"{name} ({self.reader})"

    @property
    def short_title(self) -> str:
        """What is done in it, for people, such as `random squares`."""
        if self.kind != "treatment":
            return TITLES[self.kind]
        if self.control:
            return f"{self.treatment}, {CONTROL_TITLES[self.control]}"
        return f"{self.treatment}, no shortcut" if self.without_shortcut else self.treatment

    @property
    def identity(self) -> Arm:
        """The same arm, whether or not the study has other readers: equal if the same is done."""
        return replace(self, alone=True)

    @property
    def is_control(self) -> bool:
        """Whether it is a control for IMIL."""
        return self.kind in CONTROLS

    @property
    def trunk(self) -> Literal["", "baseline", "no-shortcut"]:
        """The arm from whose checkpoint before the round it continues; empty if from none."""
        if self.kind == "treatment":
            return "no-shortcut" if self.without_shortcut else "baseline"
        return "baseline" if self.kind == "imil" or self.is_control else ""

    @property
    def forks(self) -> bool:
        """Whether it continues from another arm's checkpoint before the round."""
        return bool(self.trunk)

    @property
    def asks_reader(self) -> bool:
        """Whether the reader answers its round; the other arms repeat readings, or have none."""
        return self.kind == "imil" or self.without_shortcut

    @property
    def uses_readings_of_imil(self) -> bool:
        """Whether it needs the readings of the reader's arm `imil`."""
        return self.forks and not self.asks_reader

    @property
    def planted(self) -> bool:
        """Whether it is trained on images with the shortcut, where the study plants one."""
        return self.kind != "no-shortcut" and not self.without_shortcut


def arms(
    kinds: Sequence[Kind], readers: Sequence[str], treatments: Sequence[TreatmentRequest] = ()
) -> tuple[Arm, ...]:
    """The arms of a study in their order: IMIL once per reader, controls for the first reader.

    Treatments come last, each with its controls; they use the readings of the first reader.

    Raises: SettingsError: an arm is given twice, or one that another needs is missing.
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
    _check_treatments(kinds, treatments)
    result: list[Arm] = []
    for kind in kinds:
        names = readers if kind == "imil" else readers[:1] if kind in CONTROLS else [""]
        result += [Arm(kind, name, len(readers) < 2) for name in names]
    for one in treatments:
        result += _of_treatment(Arm("treatment", readers[0], len(readers) < 2, one.name), one)
    _check_names(result)
    return tuple(result)


def _of_treatment(arm: Arm, request: TreatmentRequest) -> list[Arm]:
    controls = [replace(arm, control=control) for control in request.controls]
    extra = [replace(arm, without_shortcut=True)] if request.without_shortcut else []
    return [arm, *controls, *extra]


def _check_treatments(kinds: Sequence[Kind], treatments: Sequence[TreatmentRequest]) -> None:
    """Raises: SettingsError: an arm that a treatment needs is missing."""
    for one in treatments:
        if "imil" not in kinds:
            raise SettingsError(
                f"the treatment '{one.name}' uses the readings of the arm 'imil': add that arm and "
                "a [[readers]] table"
            )
        if one.without_shortcut and "no-shortcut" not in kinds:
            raise SettingsError(
                f"the treatment '{one.name}' has without_shortcut, which needs the arm "
                "'no-shortcut': add that arm, or take without_shortcut out"
            )


def _check_names(arms: Sequence[Arm]) -> None:
    """Raises: SettingsError: an arm of a treatment has the name of another arm."""
    built_in = set(TITLES)
    names: set[str] = set()
    for arm in arms:
        if arm.id in names or (arm.kind == "treatment" and arm.id in built_in):
            raise SettingsError(
                f"the treatment '{arm.treatment}' would make an arm '{arm.id}', which is the name "
                "of another arm: give the treatment another name"
            )
        names.add(arm.id)
