"""The paragraph on a planted shortcut: who carries it, how it is tested, how intervals are made."""

from __future__ import annotations

from collections.abc import Iterator

from imil.data.shortcuts import BORDER_WIDTH, EDGES, LETTER_HEIGHT
from imil.study.phrases import listed
from imil.study.plan_tables import Shortcut
from imil.study.report.findings import Findings
from imil.study.report.number_format import percent
from imil.study.shortcut_trainings import CLEAN
from imil.study.statistics.gap_closed import RESAMPLES


def shortcut_looks(shortcut: Shortcut) -> str:
    """What it looks like and where, such as `a white letter R (...) in the upper right corner`."""
    corner = f"in the {shortcut.place.replace('-', ' ')} corner"
    if shortcut.kind == "border":
        edge = EDGES[shortcut.place]
        return f"a white line of {100 * BORDER_WIDTH:g} % of the side along the {edge} edge"
    if shortcut.kind == "device":
        return f"a drawn electrode with its wire {corner}"
    return f"a white letter R, {100 * LETTER_HEIGHT:g} % of the side high, {corner}"


def shortcut_sentences(findings: Findings) -> Iterator[str]:
    """How the shortcut was planted, how it was tested, and what was compared."""
    shortcut = findings.plan.shortcut
    if shortcut is None:
        return
    last = findings.classes[-1]
    yield (
        f"A shortcut was planted into the training images: {shortcut_looks(shortcut)}. Each "
        f"training image of {last} carried it with a probability of {percent(shortcut.share)}, "
        f"each other one with {percent(1 - shortcut.share)}; which ones was drawn anew for each "
        "seed, and was the same in all arms of a seed. The reader saw the images as the network "
        "did. Images of the test set were not changed for the main results."
    )
    without = [arm.title for arm in findings.plan.rows if not arm.planted]
    if without:
        yield f"Trained on the images without it: {listed([f'“{title}”' for title in without])}."
    others = listed(list(findings.classes[:-1]))
    yield (
        "For the test of the shortcut each network predicted the same test images twice more: "
        f"with the shortcut for the class (in every image of {last} and in none of {others}) and "
        "against it (the reverse). All three predictions of an image stayed together in the "
        "resampling, so shift, flips and differences between arms are paired by image and "
        "training; intervals and p are made as those of the other measures, with Holm's "
        "correction for the number of arms."
    )
    if any(arm.id == CLEAN for arm in findings.plan.rows):
        yield (
            "The share of the gap that an arm closes is its mean minus the baseline's, divided by "
            "that of the training without the shortcut minus the baseline's; its interval is a "
            f"percentile bootstrap of {RESAMPLES:,} resamples of images and, jointly, of "
            "trainings (Owen 2007), and is not given where the gap is not positive in all of them."
        )
    yield (
        f"Heat-maps were made by {findings.study.heat_maps_by} for the class that the shortcut "
        "argues for, in test images that it argues against; their energy in the squares of the "
        "shortcut was compared with the area of these squares."
    )
