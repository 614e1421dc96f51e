"""The energy of heat-maps in lesion and lung masks, of all trainings, as tables and sentences."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import pandas as pd

from imil.settings import TrainSettings
from imil.study.attention_focus import summary
from imil.study.study_folder import Job

STRIDE = 32  # pixels of the image per value of a ResNet's last feature map (He et al. 2015)


def focus_by_arm(tables: Mapping[Job, pd.DataFrame]) -> pd.DataFrame:
    """A row per arm and mask, over all trainings: `imil.study.attention_focus.summary`."""
    arms = dict.fromkeys(job.arm for job in tables)
    return summary({arm: [tables[job] for job in tables if job.arm == arm] for arm in arms})


def blank_sentence(tables: Mapping[Job, pd.DataFrame]) -> str:
    """How many heat-maps are zero everywhere, whatever masks their image has; or nothing."""
    n = sum(table.loc[table["energy"].isna(), "key"].nunique() for table in tables.values())
    if not n:
        return ""
    subject = "1 heat-map is" if n == 1 else f"{n:,} heat-maps are"
    return f" {subject} zero everywhere: excluded from the energy, and a miss in the pointing game."


def resolution_sentence(settings: TrainSettings) -> str:
    """Why the pointing game has no chance level."""
    side = ceil(settings.image_size / STRIDE)
    size = f", {side}×{side} values" if settings.model.startswith("resnet") else ""
    return (
        f"The networks' own maps are coarse{size}, and upsampled: their maximum may be a corner of "
        "the image, so the pointing game cannot be compared with the area."
    )
