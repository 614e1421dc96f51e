"""The round of a made-up study: its cases and what its readers said."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from PIL import Image
from study_data import NAMES, Options, rng_of

from imil.cases import Case, Reading, RoundSettings
from imil.grid import Grid
from imil.store import Store, name_round
from imil.study.arms import Arm
from imil.study.plan import Plan
from imil.study.plan_tables import Reader
from imil.study.study_folder import Job

VERSIONS = {"imil": "0.1.0", "python": "3.11.9", "torch": "2.6.0", "numpy": "2.1.0"}
GRID = Grid(4, 4)
REASONS = ("opacity in the upper lobe", "it looked at the marker", "", "", "shoulder, not lung")


def write_round(job: Job, rest: pd.DataFrame, plan: Plan, arm: Arm, options: Options) -> None:
    """The round of a run: the first training images are its cases, the same in every run."""
    job.run.store.write_bytes(_empty_store())  # to migrate one for each job takes seconds
    store = Store(job.run.store)
    names = NAMES[: options.classes]
    store.add_run(job.run.name, class_names=names, settings={}, versions=VERSIONS)
    settings = RoundSettings(num_outliers=options.requested, grid=GRID)
    wrong = [
        _case(job, plan, number, key, int(row["label"]), names)
        for number, (key, row) in enumerate(rest.iloc[: options.cases].iterrows(), 1)
    ]
    round_ = store.open_round(job.run.name, plan.round, settings, wrong)
    for case in wrong:
        lesion, lungs = rest.loc[case.key, "lesion_mask"], rest.loc[case.key, "lung_mask"]
        mask = np.asarray(Image.open(Path(plan.data).parent / (lesion or lungs))) > 0
        store.add(_reading(case, mask, plan.reader(arm.reader), job))
    store.mark(store.mark(round_, "closed"), "applied")
    store.close()


@lru_cache
def _empty_store() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "imil.sqlite"
        Store(path).close()
        return path.read_bytes()


def _case(
    job: Job,
    plan: Plan,
    number: int,
    key: str,
    label: int,
    names: Sequence[str],
) -> Case:
    heat = rng_of(job.seed, 8, number).random((8, 8), np.float32)
    film = Path(plan.data).parent / key
    return Case(
        id=f"{name_round(job.run.name, plan.round)}#{number}",
        run=job.run.name,
        epoch=plan.round,
        round=name_round(job.run.name, plan.round),
        number=number,
        key=key,
        label=label,
        predicted=(label + 1) % len(names),
        confidence=0.99 - 0.02 * number,
        class_names=tuple(names),
        grid=GRID,
        load_heat_map={"predicted": heat, "true": heat[::-1].copy()}.__getitem__,
        load_image=lambda: np.asarray(Image.open(film)),
    )


def _reading(case: Case, mask: np.ndarray, reader: Reader, job: Job) -> Reading:
    """What the reader says: about the squares of the mask; persons take their time and vary."""
    rng = rng_of(job.seed, case.number, *reader.name.encode())
    shares = GRID.shares(mask)
    squares = tuple((np.flatnonzero(shares >= min(0.05, shares.max())) + 1).tolist())
    if reader.reader.kind == "simulated":
        return Reading(case.id, reader.name, "focus", squares)
    seconds = round(float(rng.lognormal(3.0, 0.5)), 1)
    if case.number % 7 == 0:
        verdict = "wrong label" if rng.random() < 0.5 else "skip"
        return Reading(case.id, reader.name, verdict, reason="no lesion to see", seconds=seconds)
    other = int(rng.integers(1, GRID.squares + 1))
    kept = set(squares) ^ ({other} if rng.random() < 0.6 else set()) or set(squares)
    reason = str(rng.choice(REASONS))
    return Reading(case.id, reader.name, "focus", tuple(sorted(kept)), reason, seconds)
