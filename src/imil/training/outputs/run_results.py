"""The figures and tables of a finished run, from the files in its folder."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from imil.heat_map_names import heat_map_name
from imil.run_folder import RunFolder
from imil.store import Store, schema_version
from imil.store_address import Location
from imil.training.outputs.prediction_files import write_metrics


def write_results(
    folder: RunFolder, *, seed: int, store: Location, run: str | None
) -> dict[str, Any]:
    """Write the training curve, the case report and metrics.json; returns the metrics.

    Args:
        folder: of a run that is trained, with its predictions.
        seed: of the run, recorded beside the metrics.
        store: where its rounds are.
        run: its name there; None: it has no rounds.
    """
    # here: matplotlib takes half a second, which a training need not wait for
    from imil.training.outputs.case_report import write_case_report
    from imil.training.outputs.training_curve import draw_training_curve

    held = []
    if run is not None and schema_version(store) is not None:
        with closing(Store(store, readonly=True)) as opened:
            held = [
                {"run": run, "epoch": r.epoch, "cases": r.cases, **_verdicts(opened, r.id)}
                for r in opened.rounds(run)
            ]
            if held:
                write_case_report(
                    opened,
                    run,
                    folder.page,
                    folder.learned_map,
                    method=heat_map_name(folder.heat_map),
                )
    draw_training_curve(folder.history, [h["epoch"] for h in held], folder.curve)
    return write_metrics(folder, seed=seed, rounds=held)


def _verdicts(store: Store, round_id: str) -> dict[str, Any]:
    verdicts = [reading.verdict for reading in store.current_readings(round_id).values()]
    return {"verdicts": {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}}
