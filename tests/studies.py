"""A study that looks finished: every file a real one has, with predictions that are simulated.

Images differ in difficulty, and what is difficult is so for every arm and seed; a seed and split
has its luck, which its arms share, as they share the training up to the round; the rest is an
arm's own. So arms are paired as in a real study, and the true effect is known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from study_data import NAMES, Options, rng_of, write_images
from study_round import VERSIONS, write_round

from imil.atomic_files import write_json, write_table
from imil.predictions import Predictions
from imil.study.arms import Arm, Kind
from imil.study.plan import Plan, make_plan, read_plan
from imil.study.plan_tables import Reader
from imil.study.report.findings import Findings, read_findings
from imil.study.study_folder import TEST, Job, StudyFolder
from imil.training.outputs.prediction_files import write_predictions


def make_study(
    folder: Path,
    *,
    arms: Sequence[Kind] = ("baseline", "mixup", "imil", "imil-random"),
    readers: Sequence[str | Reader] = ("simulated",),
    seeds: Sequence[int] = (0, 1, 2),
    splits: int = 1,
    n: int = 132,
    effect: float | Mapping[str, float] = 0.0,
    external: Sequence[str] = ("montgomery",),
    subgroups: Sequence[str] = ("sex", "age_band"),
    classes: int = 2,
    train: int = 132,
    skill: float = 1.0,
    spread: float = 1.0,
    positives: float = 0.5,
    epochs: int = 10,
    round_at: int = 7,
    cases: int = 8,
    requested: int | None = None,
    side: int = 48,
    name: str = "A study",
    warnings: Sequence[str] = (),
    tables: Mapping[str, Any] | None = None,
    waiting: Collection[tuple[str, int, int]] = (),
    failed: Collection[tuple[str, int, int]] = (),
    seed: int = 0,
) -> StudyFolder:
    """The study in that folder, complete but for its report.

    Args:
        folder: the study; its data lie in `data` within it.
        arms: kinds, the baseline among them.
        readers: names: `simulated`, or persons, who read on the web and take their time; or
            the plan's own `Reader`.
        n: images of a test split. An external set has half as many.
        effect: of the `imil` arms, or of the arms by id: added to the logit of the truth.
        external: names of external sets.
        train: images that are not in a test split.
        skill: mean logit of the truth; 1 gives an accuracy of about 0.75.
        spread: standard deviation of an image's difficulty, the same for all arms.
        positives: share of class 1; with more classes all are equal.
        cases: of a round, in each run of an `imil` arm; `requested`: how many it was to have.
        side: pixels of the images.
        tables: more of the plan, such as `shortcut`.
        waiting, failed: jobs (arm, seed, split) that did not end.
        seed: of everything simulated.
    """
    options = Options(
        n, train, classes, effect, skill, spread, positives, cases, requested or cases, side, seed
    )
    data = folder / "data"
    table = write_images(data, "manifest", n + train, options)
    others = {one: write_images(data, one, max(n // 2, 8), options) for one in external}
    plan = make_plan(
        {
            "name": name,
            "data": str(data / "manifest.csv"),
            "arms": list(arms),
            "seeds": list(seeds),
            "subgroups": list(subgroups),
            "training": {
                "model": "resnet18",
                "image_size": 64,
                "epochs": epochs,
                "imil_epoch": round_at,
                "num_outliers": options.requested,
            },
            "splits": {"count": splits, "test_share": n / (n + train)},
            "readers": [_reader(one) for one in readers],
            "external": {one: {"data": str(data / f"{one}.csv")} for one in external},
            **(tables or {}),
        },
        base=folder,
    )
    study = StudyFolder(folder)
    plan.write(study.plan)
    _write_facts(study, table, others, plan, warnings, options)
    for split in range(splits):
        _write_split(study.splits(split), table, split, options)
    for job in study.jobs([arm.id for arm in plan.rows], seeds, splits):
        at = (job.arm, job.seed, job.split)
        if at in waiting:
            continue
        job.path.mkdir(parents=True)
        if at in failed:
            job.mark("failed", seconds=3.0, error="the loss is not a number: lower the lr")
            continue
        _write_job(study, job, plan, {TEST: table} | others, options)
        job.mark("done", seconds=60.0 + 7 * job.seed)
    return study


def small_study(folder: Path, **options: Any) -> Findings:
    """What there is to report of a small study; `options` as for `make_study`."""
    small: dict[str, Any] = {"arms": ("baseline", "imil"), "seeds": (0, 1), "n": 24, "train": 24}
    made = make_study(folder, **small | {"external": (), "subgroups": ()} | options)
    return read_findings(made, read_plan(made.plan))


def _reader(of: str | Reader) -> dict[str, str]:
    if isinstance(of, Reader):
        return of.model_dump()
    return {"name": of, "reader": "simulated" if of.startswith("simulated") else "web"}


# ------------------------------------------------------------------------------ the study's own


def _write_facts(
    study: StudyFolder,
    table: pd.DataFrame,
    others: Mapping[str, pd.DataFrame],
    plan: Plan,
    warnings: Sequence[str],
    options: Options,
) -> None:
    sets = {"data": table} | {f"external-{name}": other for name, other in others.items()}
    images = pd.concat(
        [
            pd.DataFrame({"key": t["image"], "set": name}).join(
                t[["label", "class_name", "content", "patient", *plan.subgroups]]
            )
            for name, t in sets.items()
        ],
        ignore_index=True,
    )
    write_table(study.images, images)
    facts = {
        "name": plan.name,
        "created": "2025-01-31T12:00:00.000+00:00",
        "versions": VERSIONS,
        "classes": list(NAMES[: options.classes]),
        "images": {name: len(t) for name, t in sets.items()},
        "fingerprint": hashlib.sha256("".join(sorted(images["content"])).encode()).hexdigest(),
        "warnings": list(warnings),
    }
    write_json(study.facts, facts)


def _write_split(path: Path, table: pd.DataFrame, split: int, options: Options) -> None:
    path.parent.mkdir(exist_ok=True)
    tested = _tested(table, split, options)
    where = np.where(table["image"].isin(tested), "test", "train")
    rows = {"key": table["image"], "label": table["label"], "split": where}
    pd.DataFrame(rows).to_csv(path, index=False)


def _tested(table: pd.DataFrame, split: int, options: Options) -> list[str]:
    """The keys of the test images of a split: n of them, each class in its share."""
    rng = np.random.default_rng([options.seed, 77, split])
    left = options.n
    chosen: list[str] = []
    for label in range(options.classes):
        keys = table.loc[table["label"] == label, "image"].to_numpy()
        last = label == options.classes - 1
        take = left if last else round(options.n * len(keys) / len(table))
        chosen += rng.permutation(keys)[:take].tolist()
        left -= take
    return [key for key in table["image"] if key in set(chosen)]


# ------------------------------------------------------------------------------ a job


def _write_job(
    study: StudyFolder,
    job: Job,
    plan: Plan,
    tables: Mapping[str, pd.DataFrame],
    options: Options,
) -> None:
    arm = next(arm for arm in plan.rows if arm.id == job.arm)
    settings = plan.settings(arm, job.seed)
    settings.write(job.run.config)
    test = tables[TEST].set_index("image").loc[_tested(tables[TEST], job.split, options)]
    for place, (name, table) in enumerate(tables.items()):
        rows = test if name == TEST else table.set_index("image")
        of = name if name == TEST else f"external-{name}"
        for when in ["end"] + [f"epoch-{plan.round:03}"] * (arm.forks or arm.kind == "baseline"):
            probs = _probs(rows, job, arm, place, when == "end", options)
            keys, labels = list(rows.index), rows["label"].to_numpy(np.int64)
            write_predictions(job.run.predictions(when, of), Predictions(probs, labels, keys))
    _write_history(job, settings.epochs, plan.round, arm)
    _write_focus(job, test, arm, options)
    _write_heat_maps(job, test, plan.seeds[0], options)
    if arm.kind == "imil":
        rest = tables[TEST].set_index("image").drop(test.index)
        write_round(job, rest, plan, arm, options)


def _probs(
    rows: pd.DataFrame, job: Job, arm: Arm, place: int, end: bool, options: Options
) -> np.ndarray:
    """Probabilities (N, K): the truth's logit is skill, difficulty, luck and the arm's own."""
    effect = options.effect if arm.kind == "imil" else 0.0
    if isinstance(options.effect, Mapping):
        effect = options.effect.get(arm.id, 0.0)
    labels, count = rows["label"].to_numpy(), len(rows)
    mine = int(hashlib.sha256(arm.id.encode()).hexdigest()[:8], 16) if end else 0
    luck = rng_of(options.seed, place, job.seed, job.split)
    rng = rng_of(options.seed, place, job.seed, job.split, mine)
    hard = np.array([_hardness(content) for content in rows["content"]])
    logits = luck.normal(0, 0.7, (count, options.classes)) * (options.classes > 2)
    logits[np.arange(count), labels] += (
        options.skill
        + options.spread * hard
        + 0.6 * luck.standard_normal(count)
        + 0.5 * rng.standard_normal(count)
        + (effect if end else 0.0)
    )
    odds = np.exp(1.5 * (logits - logits.max(axis=1, keepdims=True)))
    return odds / odds.sum(axis=1, keepdims=True)


@lru_cache(maxsize=10_000)
def _hardness(content: str) -> float:
    return float(np.random.default_rng(int(content[:12], 16)).standard_normal())


def _write_history(job: Job, epochs: int, round_at: int, arm: Arm) -> None:
    shared, rng = rng_of(job.seed, 3), rng_of(job.seed, 4, len(arm.id))
    noise = np.where(
        (np.arange(epochs) < round_at) & (arm.forks or arm.kind == "baseline"),
        shared.normal(0, 0.02, epochs),
        rng.normal(0, 0.02, epochs),
    )
    epoch = np.arange(1, epochs + 1)
    loss = 0.3 + 0.45 * np.exp(-2.5 * epoch / epochs) + noise
    rows = {"epoch": epoch, "train_loss": loss, "train_accuracy": (1 - loss / 1.6).clip(0, 1)}
    write_table(job.run.history, pd.DataFrame(rows))


def _write_focus(job: Job, test: pd.DataFrame, arm: Arm, options: Options) -> None:
    rng = rng_of(options.seed, 5, job.seed, job.split, len(arm.id))
    better = 1.6 if arm.kind == "imil" else 1.0
    rows = []
    for key, row in test.iterrows():
        for mask, area in (("lesion_mask", 0.03), ("lung_mask", 0.25)):
            if row[mask]:
                energy = float(np.clip(rng.normal(area * better, area / 3), 0, 1))
                inside = bool(rng.random() < area * better)
                rows.append(
                    {"key": key, "mask": mask, "energy": energy, "area": area, "pointing": inside}
                )
    write_table(job.focus, pd.DataFrame(rows))


def _write_heat_maps(job: Job, test: pd.DataFrame, first: int, options: Options) -> None:
    chosen = rng_of(first, job.split)
    keys = []
    for label in range(options.classes):
        of_class = test.index[test["label"] == label].to_numpy()
        keys += chosen.permutation(of_class)[:2].tolist()
    rng = rng_of(options.seed, 6, job.seed, len(job.arm))
    y, x = np.mgrid[:8, :8] / 8
    maps = {}
    for key in keys:
        at = rng.uniform(0.2, 0.8, 2)
        heat = np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 0.06).astype(np.float32)
        maps[key] = (heat - heat.min()) / (heat.max() - heat.min())
    np.savez_compressed(job.heat_maps, allow_pickle=False, **maps)
