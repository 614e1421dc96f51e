"""A run in a tracker of experiments, live and under stable names.

Numbers: `epoch/train_loss` and the like of each epoch, `round/test/accuracy` before each round,
`round/readings/focus` and the other names of `imil.round_numbers` after it, `end/test/accuracy`.
Table: `round/cases`. Picture: `round/images`. Figures: `figures/curve`, `figures/cases`,
`figures/learned`.
"""

from imil.training.trackers.run_tracker import RunTracker
from imil.training.trackers.tracker import check_logger

__all__ = ["RunTracker", "check_logger"]
