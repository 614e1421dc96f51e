"""Which revision of timm's ImageNet weights a training starts from.

A hub may serve other weights under the same name later. A run therefore records the revision, the
commit of the model's repository, and takes that one whenever it is built anew.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import timm

from imil.errors import SettingsError

IMAGENET = "imagenet"
SEPARATOR = "@"  # between it and the revision
COMMIT = re.compile(r"[0-9a-f]{40}")
ALWAYS_THERE = "config.json"  # a small file that each of timm's repositories has


def with_revision(model: str, weights: str) -> str:
    """`imagenet@COMMIT` for `imagenet`, the hub's newest, or a tag or branch; others as given.

    Args:
        model: as timm knows it.
        weights: a value of the setting.
    Raises: SettingsError: no network, or no ImageNet weights of this model.
    """
    name, _, revision = weights.partition(SEPARATOR)
    unknown = not timm.is_model(model.split(".")[0])  # said when the model is built
    if name != IMAGENET or COMMIT.fullmatch(revision) or unknown:
        return weights
    from huggingface_hub import hf_hub_download  # here: only these weights need it

    repository = _repository(model)
    try:
        file = hf_hub_download(repository, ALWAYS_THERE, revision=revision or None)
        # the hub keeps each file in a folder that has the name of its commit
        commit = Path(file).parent.name
    except Exception as error:  # the hub raises its own kinds, and others' from below
        raise not_fetched(model, error) from error
    return f"{IMAGENET}{SEPARATOR}{commit}"


def pretrained_options(model: str, weights: str) -> dict[str, Any]:
    """The arguments of `timm.create_model` for a value of the setting `weights`."""
    name, _, revision = weights.partition(SEPARATOR)
    if name != IMAGENET:
        return {}
    overlay = {"hf_hub_id": f"{_repository(model)}{SEPARATOR}{revision}"} if revision else {}
    return {"pretrained": True, "pretrained_cfg_overlay": overlay}


def not_fetched(model: str, error: Exception) -> SettingsError:
    """What to say where the hub gave no weights."""
    return SettingsError(
        f"the ImageNet weights of {model} could not be fetched "
        f"({type(error).__name__}): without a network, give --weights FILE"
    )


def _repository(model: str) -> str:
    config = timm.get_pretrained_cfg(model)
    if config is None or not config.hf_hub_id:
        raise SettingsError(
            f"timm names no ImageNet weights of {model} that have revisions: give --weights none "
            "or a file of weights"
        )
    return str(config.hf_hub_id)
