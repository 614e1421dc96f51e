"""The predictions of a run's splits: before each round, at the end, and of each epoch."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Any

from imil.cases import Model
from imil.metrics import accuracy, evaluate, negative_log_likelihood
from imil.predictions import Predictions
from imil.pytorch import CorrectedDataset, TorchModel
from imil.run_folder import RunFolder
from imil.training.hardware.bfloat16 import Bfloat16Model
from imil.training.outputs.prediction_files import read_predictions, write_predictions

if TYPE_CHECKING:
    from imil.training.ranks.sharded_model import ShardedModel


class RunPredictions:
    """Predicts the splits before rounds and at the end, and writes each table once.

    Args:
        folder: of the run, where the tables are.
        model: of the run.
        samples: the images of each split, by its name.
        marks: completed epochs after which every split is predicted.
        rounds: those of them after which a round is held.
        num_outliers: the most cases that a round may have.
        bfloat16: whether the training set may be predicted in bfloat16 before a round, and what may
            be among the most confident mistakes again in float32.
    """

    def __init__(
        self,
        folder: RunFolder,
        model: TorchModel | ShardedModel,
        samples: Mapping[str, CorrectedDataset],
        *,
        marks: Container[int],
        rounds: Container[int],
        num_outliers: int,
        bfloat16: bool,
    ) -> None:
        self._folder, self._model, self._samples = folder, model, samples
        self._marks, self._rounds = marks, rounds
        self._num_outliers, self._bfloat16 = num_outliers, bfloat16
        self.train: Predictions | None = None  # of the training set, for the round that follows

    def before_round(self, epoch: int) -> None:
        """Predict all images if a round follows, also when training resumes right there."""
        if epoch not in self._marks:
            return
        model: Model[CorrectedDataset] = self._model
        if self._bfloat16:
            heat_maps = epoch in self._rounds
            model = Bfloat16Model(self._model, self._num_outliers, heat_maps=heat_maps)
        self.train = self._predict_all(f"epoch-{epoch:03}", model)

    def at_end(self) -> None:
        """Predict all images with the trained model."""
        self._predict_all("end", self._model)

    def test_metrics(self, epoch: int) -> dict[str, Any] | None:
        """Metrics of the test set before the round after that epoch; None where there is none."""
        if epoch not in self._rounds:
            return None
        test = read_predictions(self._folder.predictions(f"epoch-{epoch:03}", "test"))
        return evaluate(test.probs, test.labels)

    def validation(self) -> dict[str, float]:
        """Loss and accuracy of the validation set now; empty where there is none."""
        if "val" not in self._samples:
            return {}
        val = self._samples["val"]
        probs, labels = self._model.probs(val), val.labels
        loss, share = negative_log_likelihood(probs, labels), accuracy(probs, labels)
        return {"loss": float(loss), "accuracy": float(share)}

    def _predict_all(self, when: str, train_model: Model[CorrectedDataset]) -> Predictions:
        """Write the predictions of each split that has none yet; returns the training set's.

        Args:
            train_model: predicts the training set; the run's model predicts the others.
        """
        for name, samples in self._samples.items():
            path = self._folder.predictions(when, name)
            if name != "train" and not path.exists():
                write_predictions(path, self._model.predict(samples))
        path = self._folder.predictions(when, "train")
        if path.exists():
            return read_predictions(path)
        predictions = train_model.predict(self._samples["train"])
        write_predictions(path, predictions)
        return predictions
