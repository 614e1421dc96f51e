"""What a reader does that is played by a program, in words."""

from __future__ import annotations

from collections.abc import Sequence

from imil.grid import Grid
from imil.readers.simulated import EVEN_SHARE
from imil.readers.spec import ReaderSpec
from imil.settings import TrainSettings
from imil.study.report.findings import MASKS

# what each kind in `SIMULATED` makes of the squares that its options select
SELECTS = {
    "simulated": "selects {}",
    "random": "selects squares drawn at random, as many as a reader would that selects {}",
    "inverted": "selects exactly the squares that a reader would leave out that selects {}",
}


def played(reader: ReaderSpec, settings: TrainSettings) -> str:
    """What that reader does: which squares it selects, and with which faults.

    Args:
        reader: as in a plan, such as `simulated:miss=0.3`; its kind is one of `SIMULATED`.
        settings: hold the mask columns and the grid.
    """
    of = reader.options
    region = "the largest region of " if of.get("one_region") else ""
    squares = _squares(of.get("threshold"), Grid.parse(settings.grid_size).squares)
    does = [f"{squares} {region}{_mask(settings.mask_columns)}"]
    if of.get("miss"):
        does.append(f"overlooks each of them with a probability of {of['miss']:g}")
    if of.get("false"):
        does.append(f"adds each other one with a probability of {of['false']:g}")
    does.append("and always selects one at least")
    return SELECTS[reader.kind].format(", ".join(does))


def _squares(threshold: float | None, squares: int) -> str:
    least = EVEN_SHARE / squares if threshold is None else threshold
    return f"the squares that hold {f'{100 * least:.3g} % or more' if least else 'any part'} of"


def _mask(columns: Sequence[str]) -> str:
    """Such as `the mask of the lesions, or else of the lungs`."""
    named = [f"of the {MASKS[one]}" if one in MASKS else f"“{one}”" for one in columns]
    return f"the mask {', or else '.join(named)}"
