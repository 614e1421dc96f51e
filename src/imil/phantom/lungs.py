"""The structures in the lungs of a phantom: vessels, fine texture, lesions.

Their density is added to that of the chest, on the film with its margin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from imil.phantom.chest import Plane, axes, canvas, margin, smooth_step


def texture(size: int, rng: np.random.Generator) -> Plane:
    """Smooth noise at three scales, about normal with mean 0 and standard deviation 1."""
    side = canvas(size)
    noise = np.zeros((side, side), np.float32)
    for grain, weight in ((6, 0.6), (22, 0.5), (90, 0.6)):
        coarse = Image.fromarray(rng.standard_normal((grain, grain)).astype(np.float32))
        noise += weight * np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
    return noise


def lesion(
    lungs: Plane, size: int, difficulty: float, rng: np.random.Generator
) -> tuple[Plane, float]:
    """One nodule or infiltrate inside the lungs: its shape, in [0, 1], and its density.

    Args:
        lungs: the share of a pixel that is lung, on the film with its margin.
        size: pixels of the film's side, without the margin.
        difficulty: 0 (large and dense) to 1 (small and faint); each lesion varies around it.
    """
    inside = np.flatnonzero(lungs > 0.95)
    row, col = np.divmod(int(rng.choice(inside)), lungs.shape[1])
    x, y = axes(size)
    dx, dy = x - x[0, col], y - y[row, 0]
    faintness = float(np.clip(difficulty + rng.uniform(-0.4, 0.4), 0, 1))
    radius = (0.060 - 0.032 * faintness) * rng.uniform(0.8, 1.25)
    shape = _nodule(dx, dy, radius, rng)
    if rng.random() < 0.45:
        shape = _infiltrate(dx, dy, radius, size, rng)
    shape = shape * lungs
    return shape / shape.max(), 0.26 - 0.19 * faintness


def _nodule(dx: Plane, dy: Plane, radius: float, rng: np.random.Generator) -> Plane:
    """A nodule with an irregular border, 1 in the middle."""
    angle = np.arctan2(dy, dx)
    rim: Plane = radius * np.ones_like(angle)
    for lobes in (2, 3, 5):
        rim += radius * rng.uniform(0, 0.14) * np.cos(lobes * angle + rng.uniform(0, 2 * np.pi))
    return smooth_step(1 - np.hypot(dx, dy) / rim, rng.uniform(0.5, 1.1))


def _infiltrate(dx: Plane, dy: Plane, radius: float, size: int, rng: np.random.Generator) -> Plane:
    """A group of small blobs, about twice as wide as a nodule, at most 1."""
    patch = np.zeros_like(dx + dy)
    for blob in range(int(rng.integers(5, 10))):
        # the first one at the centre, which lies in a lung
        right, down = rng.normal(0, radius if blob else 0, 2).tolist()
        width = radius * rng.uniform(0.35, 0.8)
        patch += np.exp(-((dx - right) ** 2 + (dy - down) ** 2) / (2 * width**2))
    uneven = 0.8 + 0.25 * texture(size, rng)
    uneven *= np.minimum(patch, 1.1)
    return np.clip(uneven, 0, 1, out=uneven)


def vessels(size: int, rng: np.random.Generator) -> Plane:
    """Density of the vessels, which branch out from both hila and become thinner."""
    side = canvas(size)
    picture = Image.new("L", (side, side))
    pen = ImageDraw.Draw(picture)
    origin = np.array((margin(size) + size / 2, margin(size)))  # x 0, y 0 in pixels
    trunks, trunk_widths = _trunks(rng)
    branches, branch_widths = _branches(trunks, trunk_widths, rng)
    paths = [*trunks, *branches]
    widths = [*trunk_widths.tolist(), *branch_widths.tolist()]
    for path, start_width in zip(paths, widths, strict=True):
        corners = (path * size + origin).reshape(-1).tolist()
        for piece in range(0, len(path) - 1, 6):  # the second half is thinner
            width = start_width * (1 - piece / len(path))
            grey = min(255, round(255 * width / 0.009))
            pen.line(corners[2 * piece : 2 * piece + 14], grey, max(1, round(width * size)))
    soft = picture.filter(ImageFilter.GaussianBlur(0.003 * size))
    return np.asarray(soft, np.float32) * (0.15 / 255)


def _trunks(rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Paths (2 × 10, 13, 2) of the large vessels of both sides, and their widths."""
    side = np.repeat((-1.0, 1.0), 10)
    angle = np.tile(np.linspace(-1.3, 1.5, 10), 2) + rng.normal(0, 0.15, 20)
    start = np.stack([side * rng.uniform(0.06, 0.09, 20), 0.44 + 0.05 * angle], axis=1)
    return _random_paths(start, angle, side, rng), rng.uniform(0.004, 0.012, 20).astype(np.float32)


def _branches(paths: Plane, widths: Plane, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Four branches of each path, starting at random points of it, and their widths."""
    parent = np.repeat(np.arange(len(paths)), 4)
    at = rng.integers(2, 10, len(parent))
    start, ahead = paths[parent, at], paths[parent, at + 1]
    side = np.sign(paths[parent, 0, 0])
    angle = np.arctan2(ahead[:, 1] - start[:, 1], side * (ahead[:, 0] - start[:, 0]))
    angle += rng.choice((-1, 1), len(parent)) * rng.uniform(0.4, 0.9, len(parent))
    return _random_paths(start, angle, side, rng), widths[parent] * (0.9 - at / 14).astype(
        np.float32
    )


def _random_paths(
    start: NDArray[np.floating],
    angle: NDArray[np.floating],
    side: NDArray[np.floating],
    rng: np.random.Generator,
) -> Plane:
    """Random winding paths (N, 13, 2) from the starts, outwards on each one's side."""
    turns = angle[:, None] + np.cumsum(rng.normal(0, 0.2, (len(angle), 12)), axis=1)
    length = rng.uniform(0.014, 0.028, (len(angle), 1))
    moves = np.stack([side[:, None] * length * np.cos(turns), length * np.sin(turns)], axis=2)
    path = np.concatenate([np.zeros((len(angle), 1, 2)), np.cumsum(moves, axis=1)], axis=1)
    return (start[:, None] + path).astype(np.float32)
