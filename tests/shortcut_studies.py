"""Made-up studies in which a shortcut is planted, with a known pull on each arm."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from studies import make_study

from imil.atomic_files import write_json, write_table
from imil.predictions import Predictions
from imil.study.plan import read_plan
from imil.study.report.findings import Findings
from imil.study.result_rows import COLUMNS
from imil.study.study_folder import Job, StudyFolder
from imil.study.study_predictions import StudyPredictions
from imil.training.outputs.prediction_files import write_predictions

ARMS = ("baseline", "no-shortcut", "imil", "imil-random")
SEEDS = (0, 1, 2)
BEST = {"name": "best", "controls": ["random"], "without_shortcut": True}
PULL = 3.0  # of a network that follows the shortcut: added to the logit of the class
AREA = 1 / 16


def shortcut_study(folder: Path) -> StudyFolder:
    """A small study with a shortcut, which its networks were not tested with yet."""
    tables = {"shortcut": {"share": 0.9}, "treatments": [BEST]}
    return make_study(
        folder,
        arms=ARMS,
        seeds=SEEDS,
        n=40,
        train=16,
        external=(),
        subgroups=(),
        side=16,
        tables=tables,
    )


def findings_of(
    study: StudyFolder,
    pull: Mapping[str, float],
    *,
    waiting: Collection[str] = (),
    **changed: Any,
) -> Findings:
    """What there is to report of that study, without the results of images as they are.

    Args:
        pull: of the arms by id; those that are not named follow the shortcut, but for those that
            are trained without it.
        waiting: arms that are not done.
        changed: fields of the plan.
    """
    plan = read_plan(study.plan)
    for arm in plan.rows:
        for job in study.jobs([arm.id], SEEDS, 1):
            job.mark("waiting" if arm.id in waiting else "done", seconds=60.0)
            _test_with_shortcut(job, pull.get(arm.id, PULL if arm.planted else 0.0))
    plan = plan.model_copy(update=changed)
    return Findings(study, plan, pd.DataFrame(columns=COLUMNS), StudyPredictions(study, plan))


def copy_predictions(findings: Findings, arm: str, other: str) -> None:
    """Let an arm predict what another does, as a treatment does that changes nothing."""
    for seed in SEEDS:
        one, same = (findings.study.job(name, seed, 0) for name in (other, arm))
        for of in one.sets():
            same.run.predictions("end", of).write_bytes(one.run.predictions("end", of).read_bytes())
        write_json(same.run.treatment, [{"epoch": 7, "sentence": "No square is covered."}])


def _test_with_shortcut(job: Job, pull: float) -> None:
    plain = job.predictions()
    rows = np.arange(len(plain))
    for name, sign in (("test-for", 1), ("test-against", -1)):
        odds = plain.probs.copy()
        odds[rows, plain.labels] *= np.exp(sign * pull)
        probs = odds / odds.sum(axis=1, keepdims=True)
        write_predictions(
            job.run.predictions("end", name), Predictions(probs, plain.labels, plain.keys)
        )
    keys = [key for key, label in zip(plain.keys, plain.labels, strict=True) if label == 0]
    energy = np.linspace(0.1, 0.3, len(keys)) * pull
    energy[0] = np.nan  # a heat-map that is zero everywhere
    of_mask = {"key": keys, "mask": "shortcut", "energy": energy, "area": AREA, "pointing": False}
    write_table(job.shortcut_focus, pd.DataFrame(of_mask))
