"""What a round is made of: cases, readings, and the three things that plug in.

Nothing here knows a framework, a file or a screen.
"""

from __future__ import annotations

import math
import operator
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from imil.errors import SettingsError
from imil.grid import Grid

Image = NDArray[np.uint8] | NDArray[np.uint16]
HeatMap = NDArray[np.float32]
Verdict = Literal["focus", "skip", "wrong label", "not assessable"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
State = Literal["open", "closed", "applied"]


@dataclass(frozen=True)
class RoundSettings:
    """What a round is asked to do. The defaults are the paper's (section 3.3.2).

    Args:
        num_outliers: how many mistakes are put to the reader, at least 1.
        grid: the grid laid over each image.
        choice: the name of the function in `imil.outliers` that chooses.
        fill: the name of the function in `imil.fills` that covers unselected squares.
    Raises: SettingsError: num_outliers is no whole number, or below 1.
    """

    num_outliers: int = 20
    grid: Grid = Grid(4, 4)
    choice: str = "confident_mistakes"
    fill: str = "blackout"

    def __post_init__(self) -> None:
        try:
            number = operator.index(self.num_outliers)
        except TypeError:
            number = 0
        if number < 1:
            raise SettingsError(
                f"num_outliers is {self.num_outliers!r}: give a whole number, 1 or more (paper: 20)"
            )
        object.__setattr__(self, "num_outliers", number)  # a number of NumPy's cannot be stored

    def as_dict(self) -> dict[str, Any]:
        """The settings as they are stored: plain JSON values."""
        return {
            "num_outliers": self.num_outliers,
            "grid": [self.grid.rows, self.grid.cols],
            "choice": self.choice,
            "fill": self.fill,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RoundSettings:
        """The settings that `as_dict` wrote."""
        return cls(**{**values, "grid": Grid(*values["grid"])})


@dataclass(frozen=True)
class Kept:
    """What is kept of a corrected sample: these squares; the fill covers the rest."""

    grid: Grid
    squares: tuple[int, ...]
    fill: str = "blackout"


@dataclass(frozen=True)
class Case:
    """One image put to a reader.

    Args:
        id: unique in its store.
        number: 1 to the number of cases in the round, most confident mistake first.
        key: stable name of the training sample, never its position.
        label: ground truth, in [0, K).
        predicted: what the model said, in [0, K).
        confidence: the model's probability of `predicted`, in [0, 1].
        class_names: K names.
        grid: the grid of the round.
        cam_predicted, cam_true: heat-map of the predicted and of the true class,
            float32 (height, width) of the model's view, in [0, 1].
        earlier: the squares of an earlier round, if the sample was corrected before on the same
            grid.
        load_image: gives the original at full resolution, uint8 or uint16, (H, W) or (H, W, 3).
        threadsafe: whether `load_image` may be called in several threads at once.
    """

    id: str
    number: int
    key: str
    label: int
    predicted: int
    confidence: float
    class_names: tuple[str, ...]
    grid: Grid
    cam_predicted: HeatMap = field(repr=False, compare=False)
    cam_true: HeatMap = field(repr=False, compare=False)
    load_image: Callable[[], Image] = field(repr=False, compare=False)
    earlier: tuple[int, ...] | None = None
    threadsafe: bool = False

    @property
    def image(self) -> Image:
        """The original, read anew at each call: twenty films at once would fill the memory."""
        return self.load_image()

    @property
    def true_name(self) -> str:
        """The ground truth in words."""
        return self.class_names[self.label]

    @property
    def predicted_name(self) -> str:
        """The prediction in words."""
        return self.class_names[self.predicted]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Reading:
    """A reader's answer to a case. A changed mind is a new reading; none is ever altered.

    Args:
        case: the case's id.
        reader: who read it.
        verdict: `focus` (look at the squares), `skip`, `wrong label` or `not assessable`.
        squares: the squares that the model should look at; at least one for `focus`.
        reason: the reader's own words.
        seconds: active time on the case.
        squares_before: the squares chosen before the model's opinion was shown, where asked.
        id: given by whoever made it, so that saving it twice stores it once.
        created: UTC, ISO 8601.
    """

    case: str
    reader: str
    verdict: Verdict
    squares: tuple[int, ...] = ()
    reason: str = ""
    seconds: float = 0.0
    squares_before: tuple[int, ...] | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: str = field(default_factory=_now)

    def checked(self, grid: Grid) -> Reading:
        """The same reading with its squares in order.

        Raises:
            SquareError: a square lies outside the grid.
            SettingsError: unknown verdict, `focus` without a square, or no possible time.
        """
        if not 0 <= self.seconds < math.inf:
            raise SettingsError(
                f"{self.seconds} seconds on a case are not possible: give 0 or more, 0 if unknown"
            )
        if self.verdict not in VERDICTS:
            raise SettingsError(
                f"'{self.verdict}' is no verdict: give one of {', '.join(VERDICTS)}"
            )
        if self.verdict == "focus" and not self.squares:
            raise SettingsError(
                "no square is selected: select at least one, or skip the case; "
                "with none the whole image would go black"
            )
        before = self.squares_before
        return replace(
            self,
            squares=grid.check(self.squares) if self.verdict == "focus" else (),
            squares_before=None if before is None else grid.check(before),
        )


@dataclass(frozen=True)
class Round:
    """One launch of the callback: which run, after which epoch, how, and how far it got."""

    id: str
    run: str
    epoch: int  # completed epochs
    settings: RoundSettings
    state: State
    cases: int


class Samples(Protocol):
    """The training set as a round sees it: originals, by position, with their stable keys."""

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

    def correct(self, i: int, kept: Kept | None) -> None:
        """Keep only this of the i-th sample from now on; None restores it."""
        ...

    def corrected(self, i: int) -> Kept | None:
        """What is kept of the i-th sample, or None if it is as it was."""
        ...


S_contra = TypeVar("S_contra", bound=Samples, contravariant=True)


class Model(Protocol[S_contra]):
    """A model as a round sees it. It leaves everything as it found it."""

    def parts(self, samples: S_contra) -> Iterable[NDArray[np.float64]]:
        """Probabilities of the originals, in evaluation mode and without random transforms.

        In parts of any size (B, K), in the samples' order: those of a large set need never be in
        memory together.
        """
        ...

    def explain(
        self, samples: S_contra, indices: Sequence[int], classes: Sequence[int]
    ) -> list[HeatMap]:
        """One heat-map per pair of sample and class, (h, w) of the model's view, in [0, 1]."""
        ...


class Reader(Protocol):
    """Whoever answers. Each reading is stored before the next one is asked for."""

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """Readings as they come. Ending early pauses the round; nothing is lost."""
        ...
