"""A run in MLflow: in a database in the run's folder, or on the server that is set up."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from imil.run_folder import RunFolder
from imil.training.trackers.tracker import markdown

EXPERIMENT = "imil"
SERVER = "MLFLOW_TRACKING_URI"  # MLflow's own variable


class MlflowTracker:
    """A run of the experiment `imil`, in `mlflow.db` of the run's folder.

    MLflow's folder of files, its old default, is refused by MLflow. Its own active run and settings
    stay as they are.

    Args:
        folder: of the run.
        settings: of the training, as MLflow's parameters.
        run: what it was called before; empty: a new one.
    """

    def __init__(self, folder: RunFolder, settings: Mapping[str, str], run: str) -> None:
        from mlflow import MlflowClient

        server = os.environ.get(SERVER)
        self.local = server is None
        path = folder.path.absolute()
        self._client = MlflowClient(tracking_uri=server or f"sqlite:///{path / 'mlflow.db'}")
        if run:
            self.id = run
            self._client.update_run(run, status="RUNNING")
            return
        known = self._client.get_experiment_by_name(EXPERIMENT)
        experiment = (
            known.experiment_id
            if known is not None
            else self._client.create_experiment(
                EXPERIMENT,
                artifact_location=None if server else (path / "mlflow").as_uri(),
            )
        )
        self.id = self._client.create_run(experiment, run_name=folder.name).info.run_id
        for name, value in settings.items():
            self._client.log_param(self.id, name, value)

    def number(self, name: str, value: float, epoch: int) -> None:
        """A number after so many epochs."""
        self._client.log_metric(self.id, name, value, step=epoch)

    def table(self, name: str, rows: Sequence[Sequence[str]], epoch: int) -> None:
        """A file of Markdown among the artifacts."""
        self._client.log_text(self.id, markdown(rows), f"{name}-{epoch:03}.md")

    def figure(self, name: str, file: Path, epoch: int) -> None:
        """A PNG file among the artifacts, under its own name."""
        self._client.log_artifact(self.id, str(file), name.rpartition("/")[0])

    def flush(self) -> None:
        """Nothing: MLflow writes at once."""

    def close(self, *, finished: bool) -> None:
        """End the run, as finished or as stopped."""
        self._client.set_terminated(self.id, "FINISHED" if finished else "KILLED")
