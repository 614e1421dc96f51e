"""Cases, readings and rounds, and the protocols for a training set, a model and a reader.

Nothing here depends on a framework, a file or a screen.
"""

from __future__ import annotations

import math
import operator
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from imil.durations import duration_seconds
from imil.errors import SettingsError
from imil.geometry import NOT_STATED, Geometry
from imil.grid import Grid
from imil.predictions import HeatMap as HeatMap  # cases have some
from imil.predictions import Predictions
from imil.reader_panel import OLD_FUSIONS, PANEL, ReaderPanel
from imil.square_text import squares_text

Image = NDArray[np.uint8] | NDArray[np.uint16]
Which = Literal["predicted", "true"]  # whose heat-map: of the predicted or of the true class
Verdict = Literal["focus", "skip", "wrong label", "not assessable"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
State = Literal["open", "closed", "applied"]


@dataclass(frozen=True)
class RoundSettings:
    """Settings of a round. The defaults are the paper's (section 3.3.2).

    Args:
        num_outliers: number of cases shown to the reader, at least 1.
        grid: the grid laid over each image.
        choice: name of the function in `imil.choices.CHOICES` that chooses the cases.
        seed: of the generator that the choice is given, at least 0.
        panel: the readers together: who they are, and how their answers are merged.
        deadline: time after its opening at which the round closes with the readings that are there,
            such as `48h`, see `imil.durations`; None: it stays open until it is answered.
        live: whether training goes on while the round is open, and takes up readings as they come.
    Raises: SettingsError: num_outliers or seed is not a whole number, or too small; what
        `ReaderPanel` raises; no such deadline.
    """

    num_outliers: int = 20
    grid: Grid = Grid(4, 4)
    choice: str = "confident_mistakes"
    seed: int = 0
    panel: ReaderPanel = PANEL
    deadline: str | None = None
    live: bool = False

    def __post_init__(self) -> None:
        # converted: NumPy's numbers cannot be stored as JSON
        number = _whole(self.num_outliers, 1, "num_outliers", "(paper: 20)")
        object.__setattr__(self, "num_outliers", number)
        object.__setattr__(self, "seed", _whole(self.seed, 0, "seed"))
        if self.deadline is not None:
            duration_seconds(self.deadline)

    def rng(self, epoch: int) -> np.random.Generator:
        """The generator of the round after that epoch; the same settings give the same numbers."""
        return np.random.default_rng((self.seed, epoch))

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain JSON values, as the store has them."""
        return {
            "num_outliers": self.num_outliers,
            "grid": list(self.grid.shape),
            "choice": self.choice,
            "seed": self.seed,
            "panel": self.panel.as_dict(),
            "deadline": self.deadline,
            "live": self.live,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RoundSettings:
        """The settings that `as_dict` wrote.

        Rounds of older stores have a `fill` too, which was always `blackout`, and no panel, but a
        number of readers to wait for and a rule; the oldest have neither: of several readers'
        answers the newest counted.
        """
        old = ("fill", "wait_for", "merge")
        known = {name: value for name, value in values.items() if name not in old}
        if "panel" in values:
            panel = ReaderPanel.from_dict(values["panel"])
        else:
            rule = OLD_FUSIONS[values.get("merge", "newest")]
            panel = ReaderPanel(quorum=values.get("wait_for"), fusion=rule)
        return cls(**{**known, "grid": Grid(*values["grid"]), "panel": panel})


def _whole(value: object, least: int, name: str, hint: str = "") -> int:
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # what cannot be one raises
    except TypeError:
        number = least - 1
    if number < least:
        raise SettingsError(
            f"invalid {name} {value!r}: expected a whole number, {least} or more {hint}".rstrip()
        )
    return number


@dataclass(frozen=True)
class Correction:
    """The correction of a sample: its selected squares.

    What becomes of the others is up to the treatment, see `imil.treatments`.

    Args:
        grid: the grid of the squares.
        squares: their numbers, from 1.
        shares: of each square of the grid, the first one first, how far it is kept, in [0, 1];
            None: those in `squares` wholly and the others not at all.
    """

    grid: Grid
    squares: tuple[int, ...]
    shares: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Case:
    """One image that is shown to a reader.

    Args:
        id: unique in its store.
        run: name of the run.
        epoch: completed epochs at the case's round.
        round: id of the round.
        number: 1 to the number of cases in the round, the first of the choice first.
        key: stable name of the training sample, never its position.
        label: ground truth, in [0, K).
        predicted: the model's prediction, in [0, K).
        confidence: the model's probability of `predicted`, in [0, 1].
        class_names: K names.
        grid: the grid of the round.
        load_image: returns the original at full resolution, uint8 or uint16, (H, W) or (H, W, 3).
        load_heat_map: returns the heat-map of the predicted or of the true class, float32
            (height, width) of the model's view, in [0, 1].
        earlier: the squares kept in an earlier round, if the sample was corrected before on the
            same grid.
        threadsafe: whether `load_image` may be called in several threads at once.
        geometry: size of a pixel, laterality and directions, where they are known.
    """

    id: str
    run: str
    epoch: int
    round: str
    number: int
    key: str
    label: int
    predicted: int
    confidence: float
    class_names: tuple[str, ...]
    grid: Grid
    load_image: Callable[[], Image] = field(repr=False, compare=False)
    load_heat_map: Callable[[Which], HeatMap] = field(repr=False, compare=False)
    earlier: tuple[int, ...] | None = None
    threadsafe: bool = False
    geometry: Geometry = NOT_STATED

    @property
    def image(self) -> Image:
        """The original, loaded anew at each call: twenty films at once would fill the memory."""
        return self.load_image()

    @property
    def cam_predicted(self) -> HeatMap:
        """Heat-map of the predicted class, loaded anew at each call."""
        return self.load_heat_map("predicted")

    @property
    def cam_true(self) -> HeatMap:
        """Heat-map of the true class, loaded anew at each call."""
        return self.load_heat_map("true")

    @property
    def true_name(self) -> str:
        """Name of the true class."""
        return self.class_names[self.label]

    @property
    def predicted_name(self) -> str:
        """Name of the predicted class."""
        return self.class_names[self.predicted]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Reading:
    """A reader's answer to a case. A changed answer is a new reading; none is ever altered.

    Args:
        case: the case's id.
        reader: name of the reader.
        verdict: `focus` (look at the squares), `skip`, `wrong label` or `not assessable`.
        squares: the squares that the model should look at.
        reason: the reader's explanation, free text.
        seconds: active time on the case.
        squares_before: the squares selected before the model's opinion was shown; None where the
            opinion was shown at once.
        misleading: the squares that lead the model astray; none of `squares`. A `focus` has at
            least one square in either. Where it has misleading ones alone, it says "not here" and
            nothing about the rest.
        id: made by the client, so that saving the reading twice stores it once.
        created: UTC, ISO 8601.
    """

    case: str
    reader: str
    verdict: Verdict
    squares: tuple[int, ...] = ()
    reason: str = ""
    seconds: float = 0.0
    squares_before: tuple[int, ...] | None = None
    misleading: tuple[int, ...] = ()
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: str = field(default_factory=_now)

    def kept_squares(self, grid: Grid) -> tuple[int, ...]:
        """The squares of the image that stay: those selected, or else all but the misleading ones.

        With no square selected, the reader speaks of the misleading squares alone: what is not
        marked may be relevant.

        >>> Reading("case", "Lee", "focus", misleading=(1, 2)).kept_squares(Grid(2, 2))
        (3, 4)
        """
        return self.squares or grid.others(self.misleading)

    def checked(self, grid: Grid) -> Reading:
        """The same reading with its squares in order.

        Raises:
            SquareError: a square lies outside the grid.
            SettingsError: unknown verdict, `focus` without a square, a square in both states, all
                squares misleading, misleading squares without `focus`, or invalid seconds.
        """
        if not 0 <= self.seconds < math.inf:
            raise SettingsError(f"invalid seconds {self.seconds}: expected 0 or more, 0 if unknown")
        if self.verdict not in VERDICTS:
            raise SettingsError(
                f"unknown verdict '{self.verdict}': expected one of {', '.join(VERDICTS)}"
            )
        if self.verdict == "focus" and not self.squares and not self.misleading:
            raise SettingsError(
                "no square is selected: select at least one, or skip the case; "
                "with none the whole image would go black"
            )
        before = self.squares_before
        return replace(
            self,
            squares=grid.check(self.squares) if self.verdict == "focus" else (),
            squares_before=None if before is None else grid.check(before),
            misleading=self._checked_misleading(grid),
        )

    def _checked_misleading(self, grid: Grid) -> tuple[int, ...]:
        """The misleading squares in order. Raises: as `checked`."""
        misleading = grid.check(self.misleading)
        if misleading and self.verdict != "focus":
            raise SettingsError(
                f"misleading squares {squares_text(misleading)} with the verdict '{self.verdict}': "
                "only a focus has squares; leave them out, or make it a focus"
            )
        both = sorted(set(misleading) & set(self.squares))
        if both:
            raise SettingsError(
                f"squares {squares_text(both)} are both selected and misleading: "
                "mark each square once"
            )
        if len(misleading) == grid.squares:
            raise SettingsError(
                f"all {grid.squares} squares are misleading: leave one to look at, or answer not "
                "assessable"
            )
        return misleading


@dataclass(frozen=True)
class Round:
    """One round: its run, epoch, settings, state, number of cases, and when its deadline is."""

    id: str
    run: str
    epoch: int  # completed epochs
    settings: RoundSettings
    state: State
    cases: int
    closes: str | None = None  # UTC, ISO 8601; None: it has no deadline


class Samples(Protocol):
    """The training set that a round works on: originals by position, with their stable keys.

    Samples that know the geometry of their images have a method `geometry(i)`, which returns an
    `imil.geometry.Geometry`.
    """

    def __len__(self) -> int:
        """Number of samples, N."""
        ...

    @property
    def labels(self) -> NDArray[np.int64]:
        """Ground truth, (N,), in [0, K)."""
        ...

    @property
    def class_names(self) -> Sequence[str]:
        """K names; the i-th belongs to label i."""
        ...

    def key(self, i: int) -> str:
        """Stable, unique name of the i-th sample."""
        ...

    def image(self, i: int) -> Image:
        """The i-th original at full resolution and depth, uncorrected.

        Called in several threads at once where the samples have a `threadsafe` that is true.
        """
        ...

    def correct(self, i: int, correction: Correction | None) -> None:
        """Correct the i-th sample from now on; None restores it."""
        ...

    def corrected(self, i: int) -> Correction | None:
        """The correction of the i-th sample, or None if there is none."""
        ...

    def remove(self, i: int) -> None:
        """Take the i-th sample out of training from now on; doing it again changes nothing.

        Called only where the round's panel has `flagged` of `remove`.
        """
        ...


S_contra = TypeVar("S_contra", bound=Samples, contravariant=True)


class Model(Protocol[S_contra]):
    """The model that a round asks. Neither method may change anything in it."""

    def predict(self, samples: S_contra) -> Predictions:
        """Predictions for the originals, in evaluation mode and without random transforms."""
        ...

    def explain(
        self, samples: S_contra, indices: Sequence[int], classes: Sequence[int]
    ) -> list[HeatMap]:
        """One heat-map per pair of sample and class, (h, w) of the model's view, in [0, 1]."""
        ...


class Reader(Protocol):
    """A person, or a program in a person's place, who reads cases.

    A reader that has a method `open_cases` says which cases of a round it is asked for, see
    `imil.asked_cases`; any other is asked for those that nobody has read.
    """

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """Readings one by one: each is stored before the next is requested.

        Ending early pauses the round; nothing is lost.
        """
        ...
