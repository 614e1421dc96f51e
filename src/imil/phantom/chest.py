"""A synthetic chest X-ray: the density of each structure, added up.

Coordinates are fractions of the film's side: x is 0 at the midline and positive towards the
film's right (the patient's left), y is 0 at the top. The numbers were chosen by eye to match
frontal films.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.floating]  # float32; mypy widens it at every step
MARGIN = 0.12  # drawn beyond each side of the film, so that a rotated film has no empty corner


class Chest(NamedTuple):
    """A chest on a film with its margin.

    Attributes:
        density: (H, W), about 0 in air and 1 behind the spine.
        lungs: (H, W), the share of a pixel that is lung, in [0, 1].
    """

    density: Plane
    lungs: Plane


@dataclass(frozen=True)
class Anatomy:
    """What differs between patients; lengths are fractions of the film's side."""

    top: float  # apex of the lungs
    base: tuple[float, float]  # top of the dome of the diaphragm, film's left and right
    width: tuple[float, float]  # half width of the rib cage
    heart: float  # size, 1 is usual
    tilt: float  # offset of the midline
    wall: float  # thickness of the flanks
    shoulder: float  # offset of the shoulders, downwards
    rib_spacing: float  # from rib to rib
    rib_contrast: float
    rib_phase: float  # position of the first rib, in units of the spacing
    rib_slope: float  # how far the back ribs fall towards the side
    clavicle: float  # height of the inner ends
    fat: float  # soft tissue over the lungs
    bubble: tuple[float, float, float]  # gas in the stomach: x, size, strength


def random_anatomy(rng: np.random.Generator) -> Anatomy:
    """The anatomy of a random patient."""
    base, width = rng.normal(0.73, 0.035), rng.normal(0.345, 0.018)
    tilt = rng.normal(0, 0.008)  # more lung on one side: the patient is slightly rotated
    return Anatomy(
        top=rng.normal(0.125, 0.015),
        base=(base, base + rng.normal(0.025, 0.012)),
        width=(width + tilt, width - tilt),
        heart=float(np.clip(rng.normal(1, 0.1), 0.8, 1.3)),
        tilt=2 * tilt,
        wall=rng.uniform(0.075, 0.13),
        shoulder=rng.normal(0.0, 0.02),
        rib_spacing=rng.normal(0.079, 0.004),
        rib_contrast=rng.uniform(0.85, 1.45),
        rib_phase=rng.uniform(0, 1),
        rib_slope=rng.normal(0.15, 0.025),
        clavicle=rng.normal(0.185, 0.012),
        fat=rng.uniform(-0.03, 0.06),
        bubble=(rng.uniform(0.12, 0.22), rng.uniform(0.03, 0.065), rng.uniform(0, 0.2)),
    )


def chest(anatomy: Anatomy, size: int) -> Chest:
    """The chest of a patient on a film of `size` pixels with its margin around it.

    Args:
        anatomy: of the patient.
        size: pixels of the film's side, without the margin.
    """
    x, y = axes(size)
    right, cage = _lung(anatomy, x, y, 1)
    left, other = _lung(anatomy, x, y, 0)
    cage = np.where(x > 0, cage, other)
    middle = _mediastinum(anatomy, x, y)
    lungs = (left + right) * (1 - middle)
    body = _body(anatomy, x, y)
    inside = smooth_step(cage + 0.012 - np.abs(x), 0.012) * smooth_step(
        y - anatomy.top + 0.03, 0.05
    )
    density = 0.04 + (0.66 + anatomy.fat) * body
    density -= lungs * (0.40 - 0.14 * np.abs(0.22 - np.abs(x)) / 0.2 - 0.05 * y)
    density += 0.07 * (1 - lungs) * inside * smooth_step(y - 0.05, 0.3)
    density += 0.07 * middle * smooth_step(y - 0.35, 0.5) * smooth_step(0.3 - np.abs(x), 0.4)
    density += (
        0.10 * (1 - lungs) * smooth_step(y - anatomy.base[0] + 0.02, 0.2) * inside
    )  # liver, spleen
    density += inside * anatomy.rib_contrast * _ribs(anatomy, x, y, cage) * (0.45 + 0.55 * lungs)
    density += body * (_clavicles(anatomy, x, y) + _shoulders(x, y) + _spine(x, y))
    bubble_x, bubble, strength = anatomy.bubble
    gas = _ellipse(
        x - bubble_x, y - anatomy.base[1] - 0.045 - bubble / 2, 1.5 * bubble, bubble, 0.3
    )
    density -= strength * gas * (1 - lungs)
    return Chest(density.astype(np.float32), lungs.astype(np.float32))


def axes(size: int) -> tuple[Plane, Plane]:
    """The film's coordinates with its margin: x as a row (1, W), y as a column (H, 1)."""
    along = (np.arange(canvas(size), dtype=np.float32) + 0.5 - margin(size)) / size
    return along[None, :] - np.float32(0.5), along[:, None]


def margin(size: int) -> int:
    """Pixels drawn beyond each side of a film of `size` pixels."""
    return round(MARGIN * size)


def canvas(size: int) -> int:
    """Pixels of a side with its margin."""
    return size + 2 * margin(size)


def smooth_step(distance: Plane, width: float) -> Plane:
    """0 to 1 around distance 0, smoothly over `width`."""
    t: Plane = distance / width + 0.5
    t = np.minimum(np.maximum(t, 0, out=t), 1, out=t)
    smooth: Plane = 3 - 2 * t
    smooth *= t
    smooth *= t
    return smooth


def _ellipse(dx: Plane, dy: Plane, a: float, b: float, edge: float) -> Plane:
    """1 inside an ellipse; the rim is `edge` of the radius wide."""
    return smooth_step(1 - np.hypot(dx / a, dy / b), edge)


def _lung(anatomy: Anatomy, x: Plane, y: Plane, side: int) -> tuple[Plane, Plane]:
    """One lung (as projected) and the half width of the rib cage by row."""
    lateral = x if side else -x
    width, dome = anatomy.width[side], anatomy.base[side]
    t = np.clip((y - anatomy.top) / (0.86 - anatomy.top), 0, 1.0)
    rim = 0.115 + (width - 0.115) * np.sqrt(1 - (1 - t) ** 3)
    inner = 0.115 - 0.075 * np.sqrt(1 - (1 - t) ** 6)
    middle = 0.45 * width
    away = np.abs(lateral - middle) / (width - middle)
    fall = (
        np.where(lateral > middle, np.float32(0.13), np.float32(0.05)) * away * away * np.sqrt(away)
    )
    lung = (
        smooth_step(rim - lateral, 0.025)
        * smooth_step(lateral - inner, 0.02)
        * smooth_step(dome + fall - y, 0.012)
    )
    return lung * smooth_step(y - anatomy.top, 0.01), rim


def _mediastinum(anatomy: Anatomy, x: Plane, y: Plane) -> Plane:
    """Heart, great vessels and the rest of the mediastinum, in [0, 1]."""
    left = _half_width(anatomy, y, LEFT_ROWS, LEFT_BORDER)
    right = _half_width(anatomy, y, RIGHT_ROWS, RIGHT_BORDER)
    half = np.where(x > 0, left, right)
    return smooth_step(half - np.abs(x - anatomy.tilt), 0.018)


# half widths of the mediastinum by row: arch of the aorta, pulmonary artery, left ventricle ...
LEFT_ROWS = (0.0, 0.22, 0.30, 0.335, 0.39, 0.43, 0.47, 0.56, 0.64, 0.69, 0.73, 0.82)
LEFT_BORDER = (0.05, 0.05, 0.07, 0.085, 0.065, 0.08, 0.085, 0.125, 0.18, 0.20, 0.195, 0.13)
# ... and upper vena cava, right atrium
RIGHT_ROWS = (0.0, 0.25, 0.42, 0.50, 0.58, 0.65, 0.72, 0.8)
RIGHT_BORDER = (0.045, 0.05, 0.055, 0.075, 0.095, 0.10, 0.085, 0.06)


def _half_width(anatomy: Anatomy, y: Plane, rows: Sequence[float], half: Sequence[float]) -> Plane:
    """The half width by row, (H, 1); below 0.4 it depends on the diaphragm and the heart."""
    height, width = np.asarray(rows), np.asarray(half)
    below = height > 0.4
    height = np.where(below, 0.4 + (height - 0.4) * (anatomy.base[1] - 0.4) / 0.33, height)
    line = np.interp(y[:, 0], height, np.where(below, width * anatomy.heart, width))
    return _smooth(line, 14)[:, None]


def _smooth(line: NDArray[np.floating], parts: int) -> Plane:
    """The line, smoothed over 1/parts of its length."""
    kernel = np.hanning(2 * (len(line) // parts // 2) + 3)
    padded = np.pad(line, len(kernel) // 2, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid").astype(np.float32)


def _body(anatomy: Anatomy, x: Plane, y: Plane) -> Plane:
    """Neck, shoulders and trunk, in [0, 1]; 0 in the air beside them."""
    rows = (-0.15, 0.0, 0.05, 0.12, 0.24, 0.42, 0.62, 1.15)
    chest = anatomy.width[0] + anatomy.wall
    half = np.array((0.15, 0.17, 0.30, 0.48, 0.70, 0.66, chest, chest - 0.01))
    edge = _smooth(np.interp(y[:, 0], np.add(rows, anatomy.shoulder), half), 10)[:, None]
    depth = smooth_step(edge - np.abs(x), 0.02) + smooth_step(edge - 0.06 - np.abs(x), 0.16)
    return (0.65 * depth + 0.7 * smooth_step(edge - 0.2 - np.abs(x), 0.5)) / 2


def _ribs(anatomy: Anatomy, x: Plane, y: Plane, cage: Plane) -> Plane:
    """Back ribs that fall laterally, fainter front ribs that fall medially, and the rim."""
    u = np.minimum(np.abs(x) / cage, 1)
    bend = anatomy.rib_slope * (1.35 - 0.75 * y) * (u * u - 0.3 * u)
    back = _bands((y - bend) / anatomy.rib_spacing + anatomy.rib_phase, 0.40)
    front = _bands((y - 0.17 * (1 - u)) / (1.22 * anatomy.rib_spacing) + anatomy.rib_phase, 0.50)
    rim = np.exp(-(((np.abs(x) - cage) / 0.018) ** 2)) * smooth_step(y - 0.2, 0.1)
    return 0.10 * back + 0.035 * front * smooth_step(u - 0.5, 0.5) + 0.035 * rim


def _bands(phase: Plane, share: float) -> Plane:
    """A rib at each whole number, `share` of the spacing wide, denser at its two edges."""
    across = np.abs(phase - np.floor(phase) - 0.5) / (share / 2)
    bone: Plane = smooth_step(1 - across, 0.25) * (0.5 + 0.5 * np.minimum(across, 1) ** 2)
    return bone


def _clavicles(anatomy: Anatomy, x: Plane, y: Plane) -> Plane:
    out = np.abs(x)
    line = anatomy.clavicle - 0.24 * (out - 0.04) + 0.35 * np.maximum(out - 0.12, 0) ** 2
    half = 0.014 + 0.012 * np.exp(-(((out - 0.05) / 0.03) ** 2))
    across = np.abs(y - line) / half
    dense = 0.17 - 0.25 * np.maximum(out - 0.1, 0)
    bone = dense * smooth_step(1 - across, 0.4) * (0.7 + 0.3 * np.minimum(across, 1) ** 2)
    return bone * smooth_step(out - 0.035, 0.01) * smooth_step(0.37 - out, 0.03)


def _shoulders(x: Plane, y: Plane) -> Plane:
    """Shoulder blades and humeral heads."""
    out = np.abs(x)
    blade = _ellipse((out - 0.385) + 0.25 * (y - 0.32), y - 0.32, 0.055, 0.17, 0.35)
    head = _ellipse(out - 0.5, y - 0.2, 0.07, 0.07, 0.4)
    return 0.05 * blade + 0.08 * head


def _spine(x: Plane, y: Plane) -> Plane:
    """Vertebrae with their discs, and the dark trachea in front of them."""
    discs = 0.75 + 0.25 * smooth_step(0.38 - np.abs((y / 0.062) % 1 - 0.5), 0.15)
    pipe = smooth_step(0.019 + 0.004 * y - np.abs(x), 0.014) * smooth_step(0.36 - y, 0.06)
    return 0.13 * smooth_step(0.045 - np.abs(x), 0.02) * discs - 0.13 * pipe
