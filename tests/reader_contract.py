"""The contract of every reader, and cases to test it with."""

import math
from itertools import islice

import numpy as np

from imil.cases import VERDICTS, Case
from imil.grid import Grid


def make_case(number=1, *, key=None, run="r", epoch=70, grid=Grid(), earlier=None, image=None):
    pixels = np.full((40, 30), 10 * number, np.uint8) if image is None else image
    heat_maps = {
        "predicted": np.linspace(0, 1, 35, dtype=np.float32).reshape(7, 5),
        "true": np.zeros((7, 5), np.float32),
    }
    return Case(
        id=f"{run}@{epoch}#{number}",
        run=run,
        epoch=epoch,
        round=f"{run}@{epoch}",
        number=number,
        key=key or f"film-{number}",
        label=0,
        predicted=1,
        confidence=0.987,
        class_names=("normal", "TB"),
        grid=grid,
        load_heat_map=heat_maps.__getitem__,
        load_image=lambda: pixels,
        earlier=earlier,
    )


def check_reader(make_reader, cases):
    """Check the contract; returns the readings.

    Args:
        make_reader: makes a new reader, so that it can be called twice.
        cases: to be read.
    """
    assert list(make_reader()([])) == [], "no case, no reading"
    first = next(iter(make_reader()(cases)))
    assert first.case == cases[0].id, "readings come one by one, in the order of the cases"

    readings = list(islice(make_reader()(cases), 1000))
    assert len(readings) < 1000, "a reader comes to an end"
    grids = {case.id: case.grid for case in cases}
    assert {reading.case for reading in readings} <= set(grids), "only of the given cases"
    assert len({reading.id for reading in readings}) == len(readings), "each is a new reading"
    order = list(dict.fromkeys(reading.case for reading in readings))
    assert order == [case.id for case in cases][: len(order)], "no case is left out"
    for reading in readings:
        assert reading.verdict in VERDICTS
        assert reading.checked(grids[reading.case]) == reading, "squares in order, in the grid"
        marked = reading.squares or reading.misleading
        assert bool(marked) == (reading.verdict == "focus")
        assert reading.reader
        assert math.isfinite(reading.seconds)
        assert reading.seconds >= 0
    return readings
