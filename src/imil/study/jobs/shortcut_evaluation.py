"""What a trained job makes of test images with the planted shortcut for and against their class."""

from __future__ import annotations

import numpy as np

from imil.grid import Grid
from imil.pytorch import CorrectedDataset
from imil.study.attention_focus import write_focus
from imil.study.plan_tables import Shortcut
from imil.study.study_folder import Job
from imil.training.outputs.prediction_files import write_predictions
from imil.training.run import Run
from imil.training.samples.planted_data import Mark, counterfactual_sets
from imil.training.samples.prepared_data import Prepared

MASK = "shortcut"  # its name in the file of the heat-maps' energy


def evaluate_counterfactual(shortcut: Shortcut, job: Job, run: Run, data: Prepared) -> None:
    """Write the predictions of `test-for` and `test-against`, and the heat-maps' energy.

    Files that exist are kept.

    Args:
        run: the trained network.
        data: the images without a planted shortcut.
    """
    mark = Mark(shortcut.kind, shortcut.place)
    for name, samples in counterfactual_sets(data, mark).items():
        path = job.run.predictions("end", name)
        if not path.exists():
            write_predictions(path, run.model.predict(samples))
        if name == "test-against" and not job.shortcut_focus.exists():
            _write_energy(mark, job, run, samples)


def _write_energy(mark: Mark, job: Job, run: Run, against: CorrectedDataset) -> None:
    """The energy of heat-maps in the squares of the shortcut, for images that it argues against.

    The heat-maps are of the last class, for which it argues.
    """
    last = len(against.class_names) - 1
    marked = [int(i) for i in np.flatnonzero(against.labels != last)]
    cams = run.model.explain(against, marked, [last] * len(marked))
    grid = Grid.parse(run.settings.grid_size)
    squares = mark.squares(grid, run.settings.image_size)
    keys = [against.key(i) for i in marked]
    write_focus(job.shortcut_focus, keys, cams, {MASK: [squares] * len(marked)})
