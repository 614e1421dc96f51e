"""Draws `src/imil/web/practice.jpg`, the radiograph that a reader practises on.

    python tools/practice_film.py

It is a phantom of `imil.phantom.film`, not of a patient. The server does not draw it itself, as
`imil.web` does not import `imil.phantom`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from imil.phantom.film import draw

SEED = 33  # one clear lesion, on the edge between squares 7 and 11 of a 4×4 grid
FILE = Path(__file__).parents[1] / "src/imil/web/practice.jpg"


def main() -> None:
    """Draw and store the phantom."""
    phantom = draw(1, np.random.default_rng(SEED), size=512, letter="L", difficulty=0.15)
    Image.fromarray(phantom.image).save(FILE, quality=80, optimize=True)
    rows, cols = np.nonzero(phantom.lesion)
    print(
        f"{FILE}: {FILE.stat().st_size} bytes, lesion around ({rows.mean():.0f}, {cols.mean():.0f})"
    )


if __name__ == "__main__":
    main()
