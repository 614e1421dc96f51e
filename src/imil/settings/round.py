"""Settings of the rounds: when they are held, which cases, who reads, and what the readings do."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, PlainValidator, field_validator
from pydantic_core import PydanticCustomError

from imil.durations import duration_seconds
from imil.errors import SettingsError
from imil.heat_map_names import AUTO, check_heat_map
from imil.reader_names import EVERYBODY, check_reader_name
from imil.reader_panel import DISAGREEMENT, FUSION, MOST_READERS, check_fusion, checked_names
from imil.readers.spec import ReaderSpec
from imil.round_options import (
    CHOICE,
    CHOICE_NAMES,
    GRID_SIZE,
    IMIL_EPOCH,
    NUM_OUTLIERS,
    check_epochs,
)
from imil.settings.fields import Fields, setting
from imil.store_address import DatabaseUrl

Budget = Annotated[int, Field(ge=1, le=1_000_000)] | Literal["none"]
Quorum = Annotated[int, Field(ge=1, le=1_000)] | Literal["all"]
Mistakes = Annotated[int, Field(ge=0, le=1_000_000_000)] | Literal["default"]
PATIENCE = 10  # epochs
NO_ARBITER = "none"


def _parse_reader(value: object) -> ReaderSpec:
    if not isinstance(value, str | ReaderSpec):
        raise PydanticCustomError("string_type", "Input should be a valid string")
    return ReaderSpec.parse(value)


# a reader that is written, in files and in the store, as the text that it was parsed from
ReaderField = Annotated[
    ReaderSpec, PlainValidator(_parse_reader), PlainSerializer(str, return_type=str)
]


def _parse_store(value: object) -> DatabaseUrl | Literal["run"]:
    if isinstance(value, DatabaseUrl):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "Input should be a valid string")
    return "run" if value == "run" else DatabaseUrl.parse(value)


# written without its password
StoreField = Annotated[
    DatabaseUrl | Literal["run"],
    PlainValidator(_parse_store),
    PlainSerializer(str, return_type=str),
]


class RoundFields(Fields):
    """Panel Round. Every default that the paper gives is the paper's (section 3.3.2)."""

    imil_epoch: tuple[int, ...] = setting(
        "Round",
        (IMIL_EPOCH,),
        "Hold a round after this many epochs; several as 50,70,90. With another --round-when than "
        "schedule: the latest epoch of each round.",
        "50,70,90",
    )
    round_when: Literal["schedule", "stall", "few-mistakes"] = setting(
        "Round",
        "schedule",
        "When rounds are held: schedule (after --imil-epoch), stall (the validation loss stops "
        "falling) or few-mistakes (training mistakes become few), but never later than schedule.",
        "stall",
    )
    patience: int = setting(
        "Round",
        PATIENCE,
        "Stall: epochs without a lower validation loss. Also the fewest epochs between two rounds "
        "that are not on schedule.",
        "5",
        ge=1,
        le=100_000,
    )
    mistakes: Mistakes = setting(
        "Round",
        "default",
        "Few-mistakes: hold a round once at most so many training images are wrong in an epoch; "
        "default is the number of cases.",
        "30",
    )
    num_outliers: int = setting(
        "Round",
        NUM_OUTLIERS,
        "Number of cases shown to the reader in a round.",
        "10",
        ge=1,
        le=1_000_000,
    )
    budget: Budget = setting(
        "Round",
        "none",
        "Number of cases of all rounds together, in place of --num-outliers; what a round leaves "
        "goes to those after it.",
        "40",
    )
    choice: str = setting(
        "Round",
        CHOICE,
        "Which training images become cases: confident_mistakes (the paper's), auto, or another "
        "of docs/choices.md.",
        "auto",
    )
    heat_map: str = setting(
        "Round",
        AUTO,
        "How heat-maps are made: auto (relevance for vision transformers whose attention can be "
        "read, grad-cam for all other models), grad-cam or relevance.",
        "grad-cam",
    )
    grid_size: str = setting(
        "Round",
        f"{GRID_SIZE}x{GRID_SIZE}",
        "Squares per side, or rows x columns, such as 4x6; of volumes x slabs, such as 4x4x3.",
        "4x6",
    )
    treatment: str = setting(
        "Round",
        "imil",
        "What training does with the selected squares: imil (the paper's blackout), best, or "
        "another of docs/treatments.md, with options as NAME:option=value.",
        "best",
    )
    reader: ReaderField = setting(
        "Round",
        ReaderSpec("console"),
        "Who reads: console (you, here), web (a page; its link is printed), notebook (that page "
        "below the cell of a notebook that trains), simulated (from the "
        "mask columns), random or inverted (controls), replay:FILE (CSV, JSON or another run's "
        "store), none.",
        "simulated:miss=0.2",
    )
    reader_name: str = setting(
        "Round",
        "reader",
        "Name stored with readings from the console or a simulated reader; for a replay with "
        "several readers, the one to use, or all. A simulated reader without a name gets that of "
        "its kind.",
        "Dr. Lee",
        min_length=1,
        max_length=100,
    )
    store: StoreField = setting(
        "Round",
        "run",
        "Where cases and readings are kept: run (imil.sqlite in the run's folder), or a PostgreSQL "
        "database as postgresql+psycopg://USER@HOST/DATABASE. Its password is not kept: PGPASSWORD "
        "or ~/.pgpass give it.",
        "postgresql+psycopg://imil@db.example.org/imil",
    )
    readers: tuple[str, ...] = setting(
        "Round",
        (),
        "Readers of the same round: their names, or their number. At the page each gets a link, "
        "and the cases in an order of their own; without names, all who are invited read.",
        "Dr. Lee,Dr. Wu",
    )
    quorum: Quorum = setting(
        "Round",
        "all",
        "How many readings a case needs before the round closes: a number, or all (of every reader "
        "who is named or, at the page, invited; with --overlap below 1: one).",
        "2",
    )
    overlap: float = setting(
        "Round",
        1.0,
        "Share of the cases that all --readers read; of the others each has --quorum readers in "
        "turn.",
        "0.3",
        ge=0,
        le=1,
    )
    fusion: str = setting(
        "Round",
        FUSION,
        "How the squares of several readers become one selection: union, intersection, majority, "
        "at-least:K, soft (the share of readers per square) or staple.",
        "at-least:2",
    )
    flagged: Literal["leave", "remove"] = setting(
        "Round",
        "leave",
        "A training image whose label looks wrong, or that cannot be assessed, to most readers: "
        "leave (as it is) or remove (take it out of training).",
        "remove",
    )
    arbiter: str = setting(
        "Round",
        NO_ARBITER,
        "Reader who decides the cases in which the others differ, and sees their selections at the "
        "page; none: nobody.",
        "Dr. Kim",
        min_length=1,
        max_length=80,
    )
    disagreement: float = setting(
        "Round",
        DISAGREEMENT,
        "One minus the mean Jaccard index of pairs of readers above which a case goes to the "
        "arbiter; so does one with different verdicts.",
        "0.3",
        ge=0,
        le=1,
    )
    wait: Literal["here", "park", "live"] = setting(
        "Round",
        "here",
        "While readers read in the reading room: here (training waits), park (it ends, and imil "
        "resume goes on once the round is answered) or live (it goes on, and each reading is used "
        "from the next time its image is drawn).",
        "park",
    )
    deadline: str = setting(
        "Round",
        "none",
        "Time after which a round in the reading room closes with the readings that are there, "
        "such as 30m, 48h or 7d; none: it stays open.",
        "48h",
    )
    protocol: Literal["paper", "blind-first"] = setting(
        "Round",
        "paper",
        "In the reading room: paper, or blind-first (the model's opinion is shown after your own).",
        "blind-first",
    )

    @field_validator("imil_epoch")
    @classmethod
    def _sort_epochs(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return check_epochs(value)

    @field_validator("heat_map")
    @classmethod
    def _check_heat_map(cls, value: str) -> str:
        return check_heat_map(value)

    @field_validator("choice")
    @classmethod
    def _check_choice(cls, value: str) -> str:
        if value not in CHOICE_NAMES:
            raise SettingsError(
                f"unknown choice of cases '{value}': expected one of {', '.join(CHOICE_NAMES)}"
            )
        return value

    @field_validator("reader_name")
    @classmethod
    def _check_reader_name(cls, value: str) -> str:
        return value if value == EVERYBODY else check_reader_name(value, "--reader-name")

    @field_validator("deadline")
    @classmethod
    def _check_deadline(cls, value: str) -> str:
        if value != "none":
            duration_seconds(value)
        return value

    @field_validator("readers", mode="before")
    @classmethod
    def _number_readers(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [word.strip() for word in value.split(",") if word.strip()]
        only = value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
        number = int(only) if isinstance(only, str) and only.isdecimal() else only
        if type(number) is not int:
            return value
        if not 1 <= number <= MOST_READERS:
            raise SettingsError(f"--readers is {number}: give 1 to {MOST_READERS}, or names")
        return tuple(f"reader {i}" for i in range(1, number + 1))

    @field_validator("readers")
    @classmethod
    def _check_readers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return checked_names(value, "a name in --readers")

    @field_validator("fusion")
    @classmethod
    def _check_fusion(cls, value: str) -> str:
        return check_fusion(value)

    @field_validator("grid_size", mode="before")
    @classmethod
    def _parse_grid(cls, value: Any) -> str:
        from imil.grid import Grid  # here: it needs NumPy

        grid = Grid.parse(value)
        return "x".join(map(str, grid.shape))
