"""Settings of the model, and of how it is trained."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from imil.settings.fields import Fields, setting

Mix = Literal["none", "mixup", "cutmix", "cutout"]
Augment = Literal["flip", "crop"]
Logger = Literal["none", "csv", "tensorboard", "mlflow", "wandb"]
WeightDecay = Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] | Literal["default"]


class TrainingFields(Fields):
    """Panels Model and Training."""

    model: str = setting(
        "Model",
        "resnet50",
        "Any model that timm has, or torchvision:NAME, torchxrayvision:NAME, monai:NAME or "
        "transformers:FOLDER.",
        "resnet18",
    )
    weights: str = setting(
        "Model",
        "none",
        "Initial weights: none (random), imagenet (needs a network connection; "
        "imagenet@REVISION for a revision of theirs), or a file.",
        "resnet50.safetensors",
    )
    image_size: int = setting(
        "Model", 224, "Height and width of the model's input, in pixels.", "112", ge=16, le=4096
    )
    image_depth: int = setting(
        "Model",
        1,
        "Slices of the model's input; above 1, the table names volumes, and --grid-size has slabs.",
        "16",
        ge=1,
        le=1024,
    )
    channels: Literal[1, 3] = setting("Model", 1, "1 for grey images, 3 for colour.", "3")

    epochs: int = setting("Training", 100, "Passes over the training set.", "50", ge=1, le=100_000)
    batch_size: int = setting(
        "Training", 64, "Images per step, on all devices together.", "32", ge=2, le=65_536
    )
    optimizer: Literal["sgd", "adam", "adamw"] = setting(
        "Training", "sgd", "Optimizer: sgd, adam or adamw.", "adam"
    )
    lr: float = setting(
        "Training", 0.001, "Learning rate.", "0.01", gt=0, le=100, allow_inf_nan=False
    )
    lr_schedule: Literal["constant", "cosine"] = setting(
        "Training",
        "constant",
        "Learning rate over the training: constant, or cosine (decays to zero).",
        "cosine",
    )
    weight_decay: WeightDecay = setting(
        "Training",
        "default",
        "Weight decay: a number, or default (the optimizer's: 0.01 for adamw, else 0).",
        "0.05",
    )
    momentum: float = setting("Training", 0.0, "Momentum of SGD.", "0.9", ge=0, lt=1)
    augment: tuple[Augment, ...] = setting(
        "Training", (), "Random changes of each image: flip, crop or flip,crop.", "flip,crop"
    )
    mix: Mix = setting(
        "Training", "none", "Mixing of images: none, mixup, cutmix or cutout.", "mixup"
    )
    seed: int = setting("Training", 0, "Seed of every random choice.", "1", ge=0, le=2**32 - 1)
    precision: Literal["auto", "32", "bf16"] = setting(
        "Training", "auto", "auto (bfloat16 where the hardware has it), 32 or bf16.", "bf16"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = setting(
        "Training", "auto", "Where to train: auto (a GPU if there is one), cpu, cuda or mps.", "cpu"
    )
    devices: int = setting(
        "Training",
        1,
        "Devices of each machine that train together: GPUs, or processes on a CPU. They share "
        "each batch; batch normalisation takes each device's part of it by itself.",
        "4",
        ge=1,
        le=1024,
    )
    nodes: int = setting(
        "Training",
        1,
        "Machines that train together, each with --devices; started with srun or torchrun.",
        "2",
        ge=1,
        le=1024,
    )
    low_memory: bool = setting(
        "Training",
        False,
        "Free memory after each step (a third less of it on a CPU), and hold no images on a GPU; "
        "slower.",
        "true",
    )
    logger: Logger = setting(
        "Training",
        "none",
        "Tracker of the run while it trains: none, csv (tracker.csv), tensorboard or wandb (a "
        "folder of that name), or mlflow (mlflow.db).",
        "tensorboard",
    )
    logger_images: bool = setting(
        "Training",
        False,
        "Show the tracker pictures of the cases of each round too; wandb, and an MLflow server, "
        "get no picture of a film otherwise.",
        "true",
    )

    @field_validator("augment", mode="before")
    @classmethod
    def _none_is_empty(cls, value: Any) -> Any:
        return () if value in ("none", ["none"]) else value


def is_weights_file(weights: str) -> bool:
    """Whether a value of `weights` is the path of a file: neither none nor imagenet[@REVISION]."""
    return weights not in ("none", "imagenet") and not weights.startswith("imagenet@")
