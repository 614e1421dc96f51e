"""How every figure of a study looks: colours, type, furniture, and its files."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imil.atomic_files import atomic_write, write_table
from imil.study.arms import MIXED, Arm

INK, GREY, LINE, FAINT = "0.13", "0.38", "0.62", "0.9"
HINT = (0, (1, 1.6))  # dots: what would be chance, or perfect
DASHED = (0, (3.2, 1.6))  # the baseline, wherever it is there to be compared with
BAND = 0.22  # opacity
SMALL = 6.0  # points; the smallest text of a figure

LOOK: dict[str, Any] = {
    # the first comes with matplotlib, so a PNG is the same on every machine
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "Helvetica"],
    "font.size": 7,
    "text.color": INK,
    "text.hinting": "no_hinting",  # a text is as wide at every resolution
    "text.parse_math": False,  # a class may be called `$`
    "axes.edgecolor": LINE,
    "axes.linewidth": 0.6,
    "axes.labelcolor": GREY,
    "axes.labelsize": 6.5,
    "axes.labelpad": 2.5,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 2,
    "ytick.major.size": 2,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.pad": 2,
    "ytick.major.pad": 2,
    "lines.linewidth": 1.3,
    "patch.linewidth": 0.6,
    "hatch.linewidth": 0.4,
    "savefig.dpi": 200,
    "image.composite_image": False,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "imil",  # the same bytes each time
}


@dataclass(frozen=True)
class Group:
    """Arms that belong together: told by colour and, without colours, by mark.

    The colours are Okabe and Ito's, the green and the vermilion darkened until small text in
    them has a contrast of 4.5 to white.
    """

    title: str
    colour: str
    word: str  # the colour's, for captions
    mark: str


BASELINE = Group("baseline", "#3c3c3c", "dark grey", "o")
AUGMENTED = Group("augmentation", "#00805d", "green", "s")
IMIL = Group("IMIL", "#0072b2", "blue", "D")
CONTROL = Group("controls", "#bf5300", "orange", "^")
GROUPS = (BASELINE, AUGMENTED, IMIL, CONTROL)


def group(arm: Arm) -> Group:
    """The group that an arm belongs to."""
    if arm.kind == "baseline":
        return BASELINE
    if arm.kind in MIXED:
        return AUGMENTED
    return CONTROL if arm.is_control else IMIL


def colours(arms: Iterable[Arm]) -> str:
    """What the colours are, in a sentence."""
    there = {group(arm) for arm in arms} - {BASELINE}
    said = [f"{one.title} {one.word}" for one in GROUPS if one in there]
    return f"Colours: {', '.join(said)}." if said else ""


@dataclass(frozen=True)
class Drawing:
    """A figure before it is written.

    Args:
        name: of its files.
        title: a few words.
        caption: what is to be seen, what bands and intervals are, and over how many trainings;
            the text for those who cannot see it.
        figure: the picture.
        data: every number in it.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    data: pd.DataFrame

    def write(self, folder: Path) -> None:
        """PNG, SVG and CSV, each whole or not at all; the same bytes each time."""
        said: dict[str, Any] = {"Title": self.title, "Description": self.caption}
        for kind, silent in (("png", ("Software",)), ("svg", ("Date", "Creator"))):
            metadata = said | dict.fromkeys(silent)
            with atomic_write(folder / f"{self.name}.{kind}") as half:
                self.figure.savefig(half, format=kind, metadata=metadata)
        write_table(folder / f"{self.name}.csv", self.data)


@contextmanager
def look() -> Iterator[None]:
    """While this lasts, figures look alike, whatever the user's own style is."""
    with warnings.catch_warnings(), style.context(["default", LOOK]):
        # a name in letters that the font lacks: the SVG has them as text
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        yield


def shares(axes: Axes, *, x: bool = True, y: bool = True, x_low: float = 0) -> None:
    """Axes that run from 0 to 1 with few ticks."""
    ticks = [0, 0.5, 1]
    if x:
        axes.set_xlim(x_low, 1)
        axes.set_xticks([t for t in ticks if t >= x_low], [f"{t:g}" for t in ticks if t >= x_low])
    if y:
        axes.set_ylim(0, 1)
        axes.set_yticks(ticks, [f"{t:g}" for t in ticks])


def quiet(axes: Axes) -> None:
    """Axes without frame and ticks, for a picture or a text."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
