"""The folder of a study: the paths of its files, and how the jobs are doing."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from imil.atomic_files import is_locked, os_errors_as_sentences, write_json
from imil.errors import DataError
from imil.heat_map_names import HEAT_MAP_NAMES, heat_map_name
from imil.json_files import damaged_file, read_table
from imil.predictions import Predictions
from imil.run_folder import STUDY_PLAN, RunFolder
from imil.study.phrases import listed

State = Literal["waiting", "running", "done", "failed"]
TRAINED_WITH = ("threads", "device", "precision")  # kept in job.json through all states
MOST_SECONDS = 1e10  # of work; 300 years
FACTS = {"classes", "images", "fingerprint"}  # what everything that reads study.json needs
GRAD_CAM = HEAT_MAP_NAMES["grad-cam"]
TEST = "test"  # the set on which arms are compared; external ones are `external-NAME`
COUNTERFACTUAL = ("test-for", "test-against")  # the test set, the planted shortcut for and against


@dataclass(frozen=True)
class Job:
    """One training of a study: an arm with a seed on a split. Its folder is a run's folder."""

    arm: str
    seed: int
    split: int
    path: Path

    @property
    def name(self) -> str:
        """Its name for people, such as `imil, seed 0, split 1`."""
        return f"{self.arm}, seed {self.seed}, split {self.split}"

    @property
    def unit(self) -> tuple[int, int]:
        """(seed, split), by which arms are paired."""
        return (self.seed, self.split)

    @property
    def run(self) -> RunFolder:
        """The files of its training."""
        return RunFolder(self.path)

    @property
    def focus(self) -> Path:
        """The heat-maps' energy in masks, see `imil.study.attention_focus`."""
        return self.path / "focus.parquet"

    @property
    def shortcut_focus(self) -> Path:
        """The heat-maps' energy in the planted shortcut, of the class that it argues for."""
        return self.path / "shortcut-focus.parquet"

    @property
    def heat_maps(self) -> Path:
        """The heat-maps of the figure's images: key -> float32 (h, w) in [0, 1]."""
        return self.path / "heat-maps.npz"

    @property
    def status(self) -> dict[str, Any]:
        """job.json: `state`, `seconds` of work; `threads`, `device` and `precision` once it
        trains, `error` if failed."""
        path = self.path / "job.json"
        try:
            status = read_table(path, "delete it")
        except FileNotFoundError:
            return {"state": "waiting"}
        seconds, error = status.get("seconds", 0), status.get("error", "")
        is_time = isinstance(seconds, int | float) and 0 <= seconds < MOST_SECONDS
        if status.get("state") not in get_args(State) or not is_time or not isinstance(error, str):
            raise damaged_file(path, "delete it")
        return status

    @property
    def state(self) -> State:
        """Waiting, running, done or failed."""
        state: State = self.status["state"]
        return state

    def mark(self, state: State, **more: Any) -> None:
        """Write job.json; what it was trained with is kept, it may be evaluated elsewhere later."""
        kept = {name: value for name, value in self.status.items() if name in TRAINED_WITH}
        write_json(self.path / "job.json", {"state": state, **kept, **more})

    def sets(self) -> tuple[str, ...]:
        """The sets that it predicted at its end: `test`, with a shortcut, then `external-NAME`."""
        names = sorted(path.stem for path in self.run.predictions("end", TEST).parent.glob("*"))
        external = [name for name in names if name.startswith("external-")]
        return (*(name for name in (TEST, *COUNTERFACTUAL) if name in names), *external)

    def predictions(self, of: str = TEST, when: str = "end") -> Predictions:
        """Its predictions of a set, at its end or before a round (`epoch-070`)."""
        path = self.run.predictions(when, of)
        try:
            table = pd.read_parquet(path)
        except (OSError, ValueError) as error:  # pyarrow's errors are of either kind
            raise DataError(
                f"{path} cannot be read: run the study to its end; where it was done, delete "
                f"{self.path} first"
            ) from error
        probs = table[[name for name in table.columns if name.startswith("prob_")]]
        return Predictions(
            probs.to_numpy(np.float64),
            table["label"].to_numpy(np.int64),
            tuple(map(str, table["key"])),
        )


@dataclass(frozen=True)
class StudyFolder:
    """The files of a study."""

    path: Path

    @property
    def plan(self) -> Path:
        """The plan, with absolute paths."""
        return self.path / STUDY_PLAN

    @property
    def facts(self) -> Path:
        """study.json: versions, data fingerprint, classes, counts, warnings; see
        `imil.study.checks.preflight.Facts`."""
        return self.path / "study.json"

    @property
    def images(self) -> Path:
        """images.parquet: key, set (`data` or `external-NAME`), label, hashes of the file and its
        masks, and a column per subgroup (text; empty: not known)."""
        return self.path / "images.parquet"

    def read_images(self) -> pd.DataFrame:
        """The content of images.parquet.

        Raises: DataError: it is missing or damaged.
        """
        try:
            return pd.read_parquet(self.images)
        except FileNotFoundError as error:
            raise DataError(
                f"{self.images} is missing: start the study with `imil study run`"
            ) from error
        except (OSError, ValueError) as error:  # pyarrow's errors are of either kind
            raise DataError(f"{self.images} cannot be read: start a new study") from error

    def splits(self, number: int) -> Path:
        """Key, label and split of each image."""
        return self.path / "splits" / f"split-{number}.csv"

    @property
    def figures(self) -> Path:
        """PNG, SVG and CSV of each figure."""
        return self.path / "figures"

    @property
    def shortcut_table(self) -> Path:
        """How far each arm relies on the planted shortcut; see `imil.study.shortcut_rows`."""
        return self.path / "shortcut.csv"

    @property
    def confirmation_table(self) -> Path:
        """The treatment that was chosen in the screening; see `imil.study.screening`."""
        return self.path / "confirmation.csv"

    @property
    def slurm(self) -> Path:
        """Scripts and logs of the jobs that were sent to SLURM."""
        return self.path / "slurm"

    @property
    def report(self) -> Path:
        """The report: one file."""
        return self.path / "report.html"

    def arm(self, arm: str) -> Path:
        """The folder of an arm's jobs."""
        return self.path / "jobs" / arm

    def job(self, arm: str, seed: int, split: int) -> Job:
        """The job of an arm, seed and split."""
        return Job(arm, seed, split, self.arm(arm) / f"seed-{seed}-split-{split}")

    def jobs(self, arms: Sequence[str], seeds: Sequence[int], splits: int) -> list[Job]:
        """Every job, split by split, seed by seed, arms in their order."""
        return [
            self.job(arm, seed, split) for split in range(splits) for seed in seeds for arm in arms
        ]

    @property
    def heat_maps_by(self) -> str:
        """The method that drew the trainings' heat-maps, as people read it; several where models
        differ."""
        records = (self.path / "jobs").glob(f"*/*/{RunFolder(Path()).heat_map}")
        return listed(sorted({heat_map_name(path) for path in records})) or GRAD_CAM

    def states(self, jobs: Iterable[Job]) -> dict[Job, State]:
        """The state of each job; one that is `running` while no process runs the study waits."""
        states = {job: job.state for job in jobs}
        if not is_locked(self.path):
            states = {job: "waiting" if s == "running" else s for job, s in states.items()}
        return states

    def forget(self, of: str) -> None:
        """Delete the jobs' predictions of a set (`external-NAME`).

        Raises: DataError: a file cannot be deleted.
        """
        of_any_job = RunFolder(Path("*/*")).predictions("end", of)
        for path in (self.path / "jobs").glob(str(of_any_job)):
            with os_errors_as_sentences(path):
                path.unlink()

    def clear(self) -> None:
        """Delete what was written before the first job."""
        for path in (self.plan, self.images, self.facts):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.splits(0).parent, ignore_errors=True)

    def read_facts(self) -> dict[str, Any]:
        """The content of study.json.

        Raises: DataError: it is missing or damaged.
        """
        try:
            facts = read_table(self.facts, f"is {self.path} a study?")
        except FileNotFoundError as error:
            raise DataError(f"{self.facts} cannot be read: is {self.path} a study?") from error
        if FACTS - facts.keys():
            raise damaged_file(self.facts, f"is {self.path} a study?")
        return facts
