"""Studies out of a random generator, of which the truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from imil.predictions import Predictions


@dataclass(frozen=True)
class Design:
    """A study of two arms that test on the same images, and where chance enters.

    A network is right about an image if its margin is above 0. The margin is normal; the fields
    are the standard deviations of what it is a sum of, of which the mean is `margin`.

    Args:
        images: of each test set.
        pool: images that test sets are drawn from; more than `images` where splits differ.
        splits, seeds: trainings of an arm are splits × seeds.
        hard: of the image, the same for everybody.
        taste: of the image for one arm: what one arm likes and the other does not.
        shared: of the image in one training, the same for both arms (forks of one training).
        noise: of the image in one training of one arm.
        training: of one training of one arm, the same for all images: a lucky seed.
        gain: added to the margin of the second arm: its true effect.
    """

    images: int = 132
    pool: int = 132
    splits: int = 1
    seeds: int = 3
    margin: float = 1.2
    hard: float = 1.0
    taste: float = 0.3
    shared: float = 0.3
    noise: float = 0.6
    training: float = 0.1
    gain: float = 0.0

    @property
    def spread(self) -> float:
        """The standard deviation of a margin."""
        parts = (self.hard, self.taste, self.shared, self.noise, self.training)
        return float(np.sqrt(np.sum(np.square(parts))))

    @property
    def effect(self) -> float:
        """The true difference in accuracy."""
        return float(
            norm.cdf((self.margin + self.gain) / self.spread) - norm.cdf(self.margin / self.spread)
        )

    def gain_for(self, effect: float) -> float:
        """The gain that makes a true difference in accuracy."""
        wanted = norm.cdf(self.margin / self.spread) + effect
        return float(norm.ppf(wanted) * self.spread - self.margin)

    def run(self, rng: np.random.Generator) -> tuple[list[Predictions], list[Predictions]]:
        """The base and the arm, one training after the other."""
        labels = np.arange(self.pool) % 2
        liked = self.margin + rng.normal(0, self.hard, self.pool) + self._tastes(rng)
        trained: tuple[list[Predictions], list[Predictions]] = ([], [])
        for _ in range(self.splits):
            test = self._test(rng)
            for _ in range(self.seeds):
                alike = rng.normal(0, self.shared, self.images)
                for arm, out in enumerate(trained):
                    margin = liked[arm, test] + alike + arm * self.gain
                    margin += rng.normal(0, self.noise, self.images) + rng.normal(0, self.training)
                    out.append(predictions(test, labels[test], margin))
        return trained

    def _tastes(self, rng: np.random.Generator) -> np.ndarray:
        return rng.normal(0, self.taste, (2, self.pool))

    def _test(self, rng: np.random.Generator) -> np.ndarray:
        """The images of a test set: half of either class."""
        half = self.images // 2
        classes = np.arange(self.pool) % 2
        drawn = [rng.choice(np.flatnonzero(classes == k), half, replace=False) for k in (0, 1)]
        return np.sort(np.concatenate(drawn))


def predictions(images: np.ndarray, labels: np.ndarray, margin: np.ndarray) -> Predictions:
    """What a network says whose margins these are: right where they are above 0."""
    of_class_1 = 1 / (1 + np.exp(-1.5 * np.where(labels == 1, margin, -margin)))
    keys = tuple(f"image {i}" for i in images)
    return Predictions(np.stack([1 - of_class_1, of_class_1], 1), labels.astype(np.int64), keys)
