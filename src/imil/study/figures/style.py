"""The style of every figure of a study: colours, fonts, axes, and its files."""

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
from imil.output_text import html_text
from imil.study.arms import MIXED, Arm

INK, GREY, LINE, FAINT = "0.13", "0.38", "0.62", "0.9"
DOTTED = (0, (1, 1.6))  # chance level, perfect calibration
DASHED = (0, (3.2, 1.6))  # the baseline, where it is compared with
BAND = 0.22  # opacity
SMALL = 6.0  # points; the smallest text of a figure

RC_PARAMS: dict[str, Any] = {
    # the first is part of matplotlib, so a PNG is the same on every machine
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "Helvetica"],
    "font.size": 7,
    "text.color": INK,
    "text.hinting": "no_hinting",  # the width of a text does not depend on the resolution
    "text.parse_math": False,  # a class name may contain `$`
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
    """Arms of one kind: distinguished by colour and, without colours, by marker.

    The colours are Okabe and Ito's, the green and the vermilion darkened until small text in
    them has a contrast of 4.5 to white.
    """

    title: str
    colour: str
    colour_name: str  # for captions
    marker: str


BASELINE = Group("baseline", "#3c3c3c", "dark grey", "o")
AUGMENTED = Group("augmentation", "#00805d", "green", "s")
IMIL = Group("IMIL", "#0072b2", "blue", "D")
CONTROL = Group("controls", "#bf5300", "orange", "^")
GROUPS = (BASELINE, AUGMENTED, IMIL, CONTROL)


def group(arm: Arm) -> Group:
    """The group of an arm."""
    if arm.kind in ("baseline", "no-shortcut", "share"):
        return BASELINE
    if arm.kind in MIXED:
        return AUGMENTED
    return CONTROL if arm.is_control or arm.control else IMIL


def colour_sentence(arms: Iterable[Arm]) -> str:
    """The meaning of the colours, in a sentence."""
    arms = list(arms)
    groups = {group(arm) for arm in arms} - {BASELINE}
    titles = {one: one.title for one in GROUPS if one in groups}
    if any(arm.kind == "treatment" for arm in arms):
        titles[IMIL] = "IMIL and treatments"
    names = [f"{title} {one.colour_name}" for one, title in titles.items()]
    return f"Colours: {', '.join(names)}." if names else ""


@dataclass(frozen=True)
class Drawing:
    """A figure before it is written.

    Args:
        name: of its files.
        title: a few words.
        caption: what is shown, the meaning of bands and intervals, and the number of trainings;
            also the alternative text.
        figure: the figure.
        data: every number in it.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    data: pd.DataFrame

    def write(self, folder: Path) -> None:
        """Write PNG, SVG and CSV, each atomically; the same bytes each time."""
        texts: dict[str, Any] = {"Title": self.title, "Description": self.caption}
        for kind, omitted in (("png", ("Software",)), ("svg", ("Date", "Creator"))):
            metadata = texts | dict.fromkeys(omitted)
            with atomic_write(folder / f"{self.name}.{kind}") as file:
                self.figure.savefig(file, format=kind, metadata=metadata)
                if kind == "svg":  # XML has no place for control characters
                    file.write_text(html_text(file.read_text("utf-8")), encoding="utf-8")
        write_table(folder / f"{self.name}.csv", self.data)


@contextmanager
def figure_style() -> Iterator[None]:
    """A context in which figures have this style, whatever the user's own is."""
    with warnings.catch_warnings(), style.context(["default", RC_PARAMS]):
        # a name with letters that the font lacks: the SVG has them as text
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        yield


def unit_axes(axes: Axes, *, x: bool = True, y: bool = True, x_low: float = 0) -> None:
    """Limit axes to 0 to 1, with few ticks."""
    ticks = [0, 0.5, 1]
    if x:
        axes.set_xlim(x_low, 1)
        axes.set_xticks([t for t in ticks if t >= x_low], [f"{t:g}" for t in ticks if t >= x_low])
    if y:
        axes.set_ylim(0, 1)
        axes.set_yticks(ticks, [f"{t:g}" for t in ticks])


def hide_axes(axes: Axes) -> None:
    """Remove frame and ticks, for an image or a text."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
