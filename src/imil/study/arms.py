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
Control = Literal["random", "inverted", "reader-free"]  # of a treatment

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
    "reader-free": "without a reader",
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
        own_round: whether it holds rounds of its own, where its settings of the round differ.
        share: of the training images, in (0, 1].
    """

    name: str
    controls: tuple[Control, ...] = ()
    without_shortcut: bool = False
    own_round: bool = False
    share: float = 1.0


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
        own_round: whether a treatment, and its controls, have settings of the round for
            themselves, so that they cannot repeat the readings of `imil`.
        share: of the training images that are used, in (0, 1]; below 1 for a treatment, or for
            the baseline that it is compared with, of the kind `share`.
    """

    kind: Kind | Literal["treatment", "share"]
    reader: str = ""
    alone: bool = True
    treatment: str = ""
    control: Control | Literal[""] = ""
    without_shortcut: bool = False
    own_round: bool = False
    share: float = 1.0

    @property
    def id(self) -> str:
        """Its name in files and tables, such as `imil-random`, `imil.Lee` or `best-random`."""
        if self.kind == "share":
            return f"baseline-share-{self.share}"
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
        if self.kind == "share":
            return f"{TITLES['baseline']}, {self.share:g} of the data"
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
    def trunk(self) -> str:
        """The arm from whose checkpoint before the round it continues; empty if from none."""
        if self.kind == "treatment":
            return "no-shortcut" if self.without_shortcut else self.reference
        return "baseline" if self.kind == "imil" or self.is_control else ""

    @property
    def reference(self) -> str:
        """The arm that it is compared with; empty for the baseline.

        Where it is trained on a share of the images, the baseline of that share.
        """
        if self.kind == "treatment" and self.share < 1:
            return Arm("share", share=self.share).id
        return "" if self.kind == "baseline" else "baseline"

    @property
    def forks(self) -> bool:
        """Whether it continues from another arm's checkpoint before the round."""
        return bool(self.trunk)

    @property
    def asks_reader(self) -> bool:
        """Whether the reader answers its round; the other arms repeat readings, or have none."""
        return self.kind == "imil" or self.without_shortcut or (self.own_round and not self.control)

    @property
    def repeats(self) -> str:
        """The arm whose readings it repeats, or is a control for; empty if it has its own, or none.

        That is the reader's arm `imil`, or the treatment itself, where that has its own rounds.
        """
        if not self.forks or self.asks_reader:
            return ""
        if self.own_round:
            return replace(self, control="").id
        return Arm("imil", self.reader, self.alone).id

    @property
    def planted(self) -> bool:
        """Whether it is trained on images with the shortcut, where the study plants one."""
        return self.kind != "no-shortcut" and not self.without_shortcut


def arms(
    kinds: Sequence[Kind], readers: Sequence[str], treatments: Sequence[TreatmentRequest] = ()
) -> tuple[Arm, ...]:
    """The arms of a study in their order: IMIL once per reader, controls for the first reader.

    Treatments come last, each with its controls; they use the readings of the first reader. The
    baselines of a share of the images come before them.

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
    _check_treatments(kinds, readers, treatments)
    result: list[Arm] = []
    for kind in kinds:
        names = readers if kind == "imil" else readers[:1] if kind in CONTROLS else [""]
        result += [Arm(kind, name, len(readers) < 2) for name in names]
    shares = dict.fromkeys(one.share for one in treatments if one.share < 1)
    result += [Arm("share", share=share) for share in shares]
    for one in treatments:
        result += _of_treatment(Arm("treatment", readers[0], len(readers) < 2, one.name), one)
    _check_names(result)
    return tuple(result)


def _of_treatment(arm: Arm, request: TreatmentRequest) -> list[Arm]:
    arm = replace(arm, own_round=request.own_round, share=request.share)
    controls = [replace(arm, control=control) for control in request.controls]
    extra = [replace(arm, without_shortcut=True)] if request.without_shortcut else []
    return [arm, *controls, *extra]


def _check_treatments(
    kinds: Sequence[Kind], readers: Sequence[str], treatments: Sequence[TreatmentRequest]
) -> None:
    """Raises: SettingsError: an arm or a reader that a treatment needs is missing."""
    for one in treatments:
        if one.own_round and not readers:
            raise SettingsError(
                f"the treatment '{one.name}' has a round of its own: add a [[readers]] table"
            )
        if not one.own_round and "imil" not in kinds:
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
