"""The settings of one training, each declared once: flag, name in a file, default, range, help.

The flags of `imil train`, the names in a TOML file and `config.toml` all come from the fields of
`TrainSettings`. It imports no framework and no NumPy, so that `imil train --help` is quick.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from imil.durations import duration_seconds
from imil.errors import SettingsError
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
from imil.store_address import DatabaseUrl

if TYPE_CHECKING:
    from imil.data.table import Columns

Panel = Literal["Data", "Model", "Training", "Round"]
Mix = Literal["none", "mixup", "cutmix", "cutout"]
Augment = Literal["flip", "crop"]
Logger = Literal["none", "csv", "tensorboard"]
WeightDecay = Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] | Literal["default"]
Budget = Annotated[int, Field(ge=1, le=1_000_000)] | Literal["none"]
Quorum = Annotated[int, Field(ge=1, le=1_000)] | Literal["all"]
Mistakes = Annotated[int, Field(ge=0, le=1_000_000_000)] | Literal["default"]
PATIENCE = 10  # epochs
NO_ARBITER = "none"
SWITCHES = ("low_memory", "skip_bad", "check_burned_in")  # settings that are true or false
MOST_SHOWN = 200  # characters of a value in a message


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


def _setting(panel: Panel, default: Any, help_: str, example: str, **limits: Any) -> Any:
    """A field: the panel of `--help` that lists it, its help, and an example of its value."""
    return Field(
        default,
        description=help_,
        examples=[example],
        json_schema_extra={"panel": panel},
        **limits,
    )


class TrainSettings(BaseModel):
    """One training. Every default that the paper gives is the paper's (section 3.3.2).

    Raises: SettingsError, from `resolve`: a value is out of range, or a name is unknown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str = _setting(
        "Data",
        ...,
        "A table of images (CSV or Parquet), a folder with one folder per class, or the "
        "Shenzhen or Montgomery folder as it is distributed.",
        "films.csv",
    )
    test_share: float = _setting(
        "Data", 0.2, "Share of the images held out for testing.", "0.25", gt=0, lt=1
    )
    val_share: float = _setting(
        "Data", 0.0, "Share of the images held out for validation.", "0.1", ge=0, lt=1
    )
    skip_bad: bool = _setting("Data", False, "Leave out unreadable images, and list them.", "true")
    check_burned_in: bool = _setting(
        "Data", False, "Report images that say or seem to have text in their pixels.", "true"
    )
    image_column: str = _setting("Data", "image", "Column of image paths.", "file")
    label_column: str = _setting("Data", "label", "Column of labels.", "finding")
    split_column: str = _setting(
        "Data", "split", "Column of train, val, test, if there is one.", "fold"
    )
    patient_column: str = _setting(
        "Data",
        "patient",
        "Column of patients, if there is one: no patient is in two splits.",
        "patient_id",
    )
    class_name_column: str = _setting(
        "Data", "class_name", "Column of class names, if there is one.", "diagnosis"
    )
    mask_columns: tuple[str, ...] = _setting(
        "Data",
        ("lesion_mask", "lung_mask"),
        "Columns of mask files for the simulated reader, best first.",
        "lesion_mask,lung_mask",
    )

    model: str = _setting(
        "Model",
        "resnet50",
        "Any model that timm has, or torchvision:NAME, monai:NAME or transformers:FOLDER.",
        "resnet18",
    )
    weights: str = _setting(
        "Model",
        "none",
        "Initial weights: none (random), imagenet (needs a network connection; "
        "imagenet@REVISION for a revision of theirs), or a file.",
        "resnet50.safetensors",
    )
    image_size: int = _setting(
        "Model", 224, "Height and width of the model's input, in pixels.", "112", ge=16, le=4096
    )
    channels: Literal[1, 3] = _setting("Model", 1, "1 for grey images, 3 for colour.", "3")

    epochs: int = _setting("Training", 100, "Passes over the training set.", "50", ge=1, le=100_000)
    batch_size: int = _setting(
        "Training", 64, "Images per step, on all devices together.", "32", ge=2, le=65_536
    )
    optimizer: Literal["sgd", "adam", "adamw"] = _setting(
        "Training", "sgd", "Optimizer: sgd, adam or adamw.", "adam"
    )
    lr: float = _setting(
        "Training", 0.001, "Learning rate.", "0.01", gt=0, le=100, allow_inf_nan=False
    )
    lr_schedule: Literal["constant", "cosine"] = _setting(
        "Training",
        "constant",
        "Learning rate over the training: constant, or cosine (decays to zero).",
        "cosine",
    )
    weight_decay: WeightDecay = _setting(
        "Training",
        "default",
        "Weight decay: a number, or default (the optimizer's: 0.01 for adamw, else 0).",
        "0.05",
    )
    momentum: float = _setting("Training", 0.0, "Momentum of SGD.", "0.9", ge=0, lt=1)
    augment: tuple[Augment, ...] = _setting(
        "Training", (), "Random changes of each image: flip, crop or flip,crop.", "flip,crop"
    )
    mix: Mix = _setting(
        "Training", "none", "Mixing of images: none, mixup, cutmix or cutout.", "mixup"
    )
    seed: int = _setting("Training", 0, "Seed of every random choice.", "1", ge=0, le=2**32 - 1)
    precision: Literal["auto", "32", "bf16"] = _setting(
        "Training", "auto", "auto (bfloat16 where the hardware has it), 32 or bf16.", "bf16"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = _setting(
        "Training", "auto", "Where to train: auto (a GPU if there is one), cpu, cuda or mps.", "cpu"
    )
    devices: int = _setting(
        "Training",
        1,
        "Devices of each machine that train together: GPUs, or processes on a CPU. They share "
        "each batch; batch normalisation takes each device's part of it by itself.",
        "4",
        ge=1,
        le=1024,
    )
    nodes: int = _setting(
        "Training",
        1,
        "Machines that train together, each with --devices; started with srun or torchrun.",
        "2",
        ge=1,
        le=1024,
    )
    low_memory: bool = _setting(
        "Training",
        False,
        "Free memory after each step (a third less of it on a CPU), and hold no images on a GPU; "
        "slower.",
        "true",
    )

    imil_epoch: tuple[int, ...] = _setting(
        "Round",
        (IMIL_EPOCH,),
        "Hold a round after this many epochs; several as 50,70,90. With another --round-when than "
        "schedule: the latest epoch of each round.",
        "50,70,90",
    )
    round_when: Literal["schedule", "stall", "few-mistakes"] = _setting(
        "Round",
        "schedule",
        "When rounds are held: schedule (after --imil-epoch), stall (the validation loss stops "
        "falling) or few-mistakes (training mistakes become few), but never later than schedule.",
        "stall",
    )
    patience: int = _setting(
        "Round",
        PATIENCE,
        "Stall: epochs without a lower validation loss. Also the fewest epochs between two rounds "
        "that are not on schedule.",
        "5",
        ge=1,
        le=100_000,
    )
    mistakes: Mistakes = _setting(
        "Round",
        "default",
        "Few-mistakes: hold a round once at most so many training images are wrong in an epoch; "
        "default is the number of cases.",
        "30",
    )
    num_outliers: int = _setting(
        "Round",
        NUM_OUTLIERS,
        "Number of cases shown to the reader in a round.",
        "10",
        ge=1,
        le=1_000_000,
    )
    budget: Budget = _setting(
        "Round",
        "none",
        "Number of cases of all rounds together, in place of --num-outliers; what a round leaves "
        "goes to those after it.",
        "40",
    )
    choice: str = _setting(
        "Round",
        CHOICE,
        "Which training images become cases: confident_mistakes (the paper's), auto, or another "
        "of docs/choices.md.",
        "auto",
    )
    grid_size: str = _setting(
        "Round",
        f"{GRID_SIZE}x{GRID_SIZE}",
        "Squares per side, or rows x columns, such as 4x6.",
        "4x6",
    )
    treatment: str = _setting(
        "Round",
        "imil",
        "What training does with the selected squares: imil (the paper's blackout), best, or "
        "another of docs/treatments.md, with options as NAME:option=value.",
        "best",
    )
    reader: ReaderField = _setting(
        "Round",
        ReaderSpec("console"),
        "Who reads: console (you, here), web (a page; its link is printed), simulated (from the "
        "mask columns), random or inverted (controls), replay:FILE (CSV, JSON or another run's "
        "store), none.",
        "simulated:miss=0.2",
    )
    reader_name: str = _setting(
        "Round",
        "reader",
        "Name stored with readings from the console or a simulated reader; for a replay with "
        "several readers, the one to use, or all. A simulated reader without a name gets that of "
        "its kind.",
        "Dr. Lee",
        min_length=1,
        max_length=100,
    )
    store: StoreField = _setting(
        "Round",
        "run",
        "Where cases and readings are kept: run (imil.sqlite in the run's folder), or a PostgreSQL "
        "database as postgresql+psycopg://USER@HOST/DATABASE. Its password is not kept: PGPASSWORD "
        "or ~/.pgpass give it.",
        "postgresql+psycopg://imil@db.example.org/imil",
    )
    readers: tuple[str, ...] = _setting(
        "Round",
        (),
        "Readers of the same round: their names, or their number. At the page each gets a link, "
        "and the cases in an order of their own; without names, all who are invited read.",
        "Dr. Lee,Dr. Wu",
    )
    quorum: Quorum = _setting(
        "Round",
        "all",
        "How many readings a case needs before the round closes: a number, or all (of every reader "
        "who is named or, at the page, invited; with --overlap below 1: one).",
        "2",
    )
    overlap: float = _setting(
        "Round",
        1.0,
        "Share of the cases that all --readers read; of the others each has --quorum readers in "
        "turn.",
        "0.3",
        ge=0,
        le=1,
    )
    fusion: str = _setting(
        "Round",
        FUSION,
        "How the squares of several readers become one selection: union, intersection, majority, "
        "at-least:K, soft (the share of readers per square) or staple.",
        "at-least:2",
    )
    flagged: Literal["leave", "remove"] = _setting(
        "Round",
        "leave",
        "A training image whose label looks wrong, or that cannot be assessed, to most readers: "
        "leave (as it is) or remove (take it out of training).",
        "remove",
    )
    arbiter: str = _setting(
        "Round",
        NO_ARBITER,
        "Reader who decides the cases in which the others differ, and sees their selections at the "
        "page; none: nobody.",
        "Dr. Kim",
        min_length=1,
        max_length=80,
    )
    disagreement: float = _setting(
        "Round",
        DISAGREEMENT,
        "One minus the mean Jaccard index of pairs of readers above which a case goes to the "
        "arbiter; so does one with different verdicts.",
        "0.3",
        ge=0,
        le=1,
    )
    wait: Literal["here", "park", "live"] = _setting(
        "Round",
        "here",
        "While readers read in the reading room: here (training waits), park (it ends, and imil "
        "resume goes on once the round is answered) or live (it goes on, and each reading is used "
        "from the next time its image is drawn).",
        "park",
    )
    deadline: str = _setting(
        "Round",
        "none",
        "Time after which a round in the reading room closes with the readings that are there, "
        "such as 30m, 48h or 7d; none: it stays open.",
        "48h",
    )
    protocol: Literal["paper", "blind-first"] = _setting(
        "Round",
        "paper",
        "In the reading room: paper, or blind-first (the model's opinion is shown after your own).",
        "blind-first",
    )
    logger: Logger = _setting(
        "Training",
        "none",
        "Tracker of the finished run: none, csv (tracker.csv) or tensorboard (its folder).",
        "tensorboard",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_bool(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and info.field_name not in SWITCHES:
            text = str(value).lower()
            raise SettingsError(f"--{flag_name(str(info.field_name))} is {text}: give a value")
        return value

    @field_validator("imil_epoch", "augment", "mask_columns", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        if isinstance(value, str):  # as on the command line
            return [word.strip() for word in value.split(",") if word.strip()]
        return (value,) if type(value) is int else value

    @field_validator("imil_epoch")
    @classmethod
    def _sort_epochs(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return check_epochs(value)

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

    @field_validator("augment", mode="before")
    @classmethod
    def _none_is_empty(cls, value: Any) -> Any:
        return () if value in ("none", ["none"]) else value

    @field_validator("grid_size", mode="before")
    @classmethod
    def _parse_grid(cls, value: Any) -> str:
        from imil.grid import Grid  # here: it needs NumPy

        grid = Grid.parse(value)
        return f"{grid.rows}x{grid.cols}"

    def check_grid(self) -> None:
        """Apart from the other checks: a control lays its box on a finer grid than any reader's.

        Raises: SettingsError: the grid has a square without a pixel.
        """
        rows, columns = map(int, self.grid_size.split("x"))
        if max(rows, columns) > self.image_size:
            raise SettingsError(
                f"--grid-size {self.grid_size} has squares without a pixel at --image-size "
                f"{self.image_size}: give a coarser grid, or a larger image"
            )

    def columns(self) -> Columns:
        """The names of the table's columns."""
        from imil.data.table import Columns  # here: it needs NumPy

        return Columns(
            image=self.image_column,
            label=self.label_column,
            split=self.split_column,
            patient=self.patient_column,
            class_name=self.class_name_column,
            masks=self.mask_columns,
        )

    def with_absolute_paths(self, base: Path) -> TrainSettings:
        """The same settings, relative paths taken from the folder `base`: `resume` may be run
        from any folder.
        """
        paths: dict[str, Any] = {
            "data": str((base / self.data).absolute()),
            "reader": self.reader.with_absolute_file(base),
        }
        if is_weights_file(self.weights):
            paths["weights"] = str((base / self.weights).absolute())
        library, _, folder = self.model.partition(":")
        if library == "transformers":
            paths["model"] = f"{library}:{(base / folder).absolute()}"
        return self.model_copy(update=paths)

    def write(self, path: Path) -> None:
        """Write the resolved settings as TOML, under the names of the flags."""
        values = {flag_name(name): value for name, value in self.model_dump(mode="json").items()}
        path.write_bytes(tomli_w.dumps(values).encode())


def is_weights_file(weights: str) -> bool:
    """Whether a value of `weights` is the path of a file: neither none nor imagenet[@REVISION]."""
    return weights not in ("none", "imagenet") and not weights.startswith("imagenet@")


def resolve(values: Mapping[str, Any]) -> TrainSettings:
    """The settings with the defaults filled in.

    Raises: SettingsError: a name is unknown, or a value is out of range.
    """
    try:
        return TrainSettings(**values)
    except ValidationError as error:
        raise SettingsError(_message(error)) from None


def load_config(path: Path) -> dict[str, Any]:
    """The values of a TOML file, under the names of the settings.

    Raises: SettingsError: it cannot be read, or is not TOML.
    """
    return {name.replace("-", "_"): value for name, value in load_toml(path).items()}


def load_toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file.

    Raises: SettingsError: it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except RecursionError:
        raise SettingsError(f"{path} is not valid TOML: it is nested too deeply") from None
    except ValueError as error:  # also of numbers with too many digits
        raise SettingsError(f"{path} is not valid TOML: {error}") from error


def flag_name(name: str) -> str:
    """The name of a setting as a flag and in a file: `image-size` for `image_size`."""
    return name.replace("_", "-")


def _message(error: ValidationError) -> str:
    first = error.errors()[0]
    name = flag_name(str(first["loc"][0])) if first["loc"] else "setting"
    if first["type"] == "extra_forbidden":
        known = ", ".join(map(flag_name, TrainSettings.model_fields))
        return f"unknown setting '{name}': give one of {known}"
    if first["type"] == "missing":
        return f"{name} is missing: name a table of images or a folder"
    return f"--{name} is {shown(first['input'])}: {first['msg'][0].lower()}{first['msg'][1:]}"


def shown(value: object) -> str:
    """A value as a message shows it: not longer than a line."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of too many digits, or deep nesting
        return "too large to be shown"
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
