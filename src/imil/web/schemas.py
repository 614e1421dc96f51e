"""The shape of what goes over the wire: JSON in camelCase, nothing that names a patient."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from imil.cases import State, Verdict
from imil.grid import MOST
from imil.store.invitations import MAX_DAYS, MAX_NAME, Kind
from imil.store.run_progress import Protocol

REASON = 2_000  # characters
DAY = 86_400.0  # seconds; a page may stay open over a weekend, but nobody looks for longer

Square = Annotated[int, Field(ge=1, le=MOST * MOST)]
Squares = Annotated[list[Square], Field(max_length=MOST * MOST)]
Seconds = Annotated[
    float, Field(ge=0, allow_inf_nan=False), AfterValidator(lambda seconds: min(seconds, DAY))
]
Epoch = Annotated[int, Path(ge=0, le=10**9, description="the round: its completed epochs")]
Number = Annotated[int, Path(ge=1, le=10**6, description="number of the case in its round")]
Id = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="made by the page, once")]


class Shape(BaseModel):
    """camelCase outside, our names inside."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Given(BaseModel):
    """What comes in is taken as it is or not at all: no `"7"` for 7, nothing unknown."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True)


class GivenReading(Given):
    """A reader's answer to a case."""

    verdict: Verdict
    squares: Squares
    squares_before: Squares | None = None
    reason: Annotated[str, Field(max_length=REASON, pattern="^[^\x00]*$")] = ""
    seconds: Seconds


class GivenLook(Given):
    """What a reader chose before the model's opinion was shown."""

    squares: Squares
    seconds: Seconds


class GivenInvitation(Given):
    """For whom a link shall be made, and for how long."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    days: Annotated[int, Field(ge=1, le=MAX_DAYS)] = 30


class Nothing(Given):
    """An empty object."""


class Trouble(Shape):
    """What went wrong, in one sentence for a person."""

    detail: str


class Training(Shape):
    """How far the training is."""

    state: Literal["running", "waiting", "finished", "gone"]
    epoch: int | None
    epochs: int | None


class Result(Shape):
    """What the run found before the first round and at the end."""

    before: dict[str, float | None]
    after: dict[str, float | None]


class RoundLine(Shape):
    """A round in a list."""

    id: str
    number: int
    epoch: int
    state: State
    cases: int
    read: int


class Session(Shape):
    """Who is here and what there is to read."""

    kind: Kind
    name: str
    run: str
    protocol: Protocol
    rounds: list[RoundLine]
    training: Training
    result: Result | None


class Size(Shape):
    """Pixels."""

    height: int
    width: int


class GridShape(Shape):
    """The grid that is laid over each image."""

    rows: int
    cols: int


class ImageShape(Size):
    """Where an image's pixels are and how to read them."""

    url: str
    channels: Literal[1, 3]
    bits: Literal[8, 16]
    little_endian: Literal[True] = True
    low: int  # darkest and brightest pixel
    high: int
    spacing: tuple[float, float] | None = None  # millimetres between rows, between columns


class HeatMaps(Size):
    """Where the heat-maps are."""

    predicted: str
    true: str


class Opinion(Shape):
    """What the model says, and where it looks."""

    predicted: int
    predicted_name: str
    confidence: float
    heat_maps: HeatMaps


class ReadingShape(Shape):
    """A reading as it is stored."""

    id: str
    verdict: Verdict
    squares: list[int]
    squares_before: list[int] | None
    reason: str
    seconds: float
    created: str


class CaseShape(Shape):
    """A case; its number is the only name it has here."""

    number: int
    label: int
    label_name: str
    image: ImageShape
    opinion: Opinion | None
    earlier: list[int] | None
    first_look: list[int] | None = None
    reading: ReadingShape | None


class RoundShape(Shape):
    """A round with its cases."""

    id: str
    number: int
    epoch: int
    state: State
    grid: GridShape
    class_names: list[str]
    model_view: Size
    cases: list[CaseShape]
    answer: list[int] | None = None  # practice only


class Stored(Shape):
    """A reading is on disk."""

    stored: Literal[True] = True
    read: int
    cases: int


class Revealed(Shape):
    """The model's opinion, after the first look."""

    opinion: Opinion


class Closed(Shape):
    """The round's state after closing it."""

    state: State


class ReaderLine(Shape):
    """How far a reader is in a round."""

    name: str
    read: int
    seconds_median: float | None
    last_seen: str | None


class LobbyRound(Shape):
    """A round as the owner sees it."""

    id: str
    number: int
    epoch: int
    state: State
    cases: int
    readers: list[ReaderLine]


class InvitationLine(Shape):
    """A link as the owner sees it."""

    id: str
    name: str
    kind: Kind
    created: str
    expires: str
    revoked: str | None
    used: str | None


class Lobby(Shape):
    """The study at a glance."""

    run: str
    training: Training
    result: Result | None
    rounds: list[LobbyRound]
    invitations: list[InvitationLine]


class NewLink(Shape):
    """A link, shown once."""

    link: str
    name: str
    expires: str


class Done(Shape):
    """It is done."""

    done: Literal[True] = True


class AuditLine(Shape):
    """Who did what, when."""

    at: str
    who: str
    what: str
    detail: str


# what every answer below /api may also be, for the OpenAPI description
TROUBLES: dict[int | str, dict[str, Any]] = {
    code: {"model": Trouble} for code in (400, 401, 403, 404, 409, 413, 415, 421, 422, 423)
}
