"""IMIL in a PyTorch loop of your own, on chest films that imil draws.

python examples/plain_loop.py FOLDER
"""

import csv
import sys
from pathlib import Path

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from imil.images.load import load_mask
from imil.phantom.dataset import write_phantoms
from imil.pytorch import IMIL, CorrectedDataset
from imil.readers.simulated import Simulated

folder = Path(sys.argv[1])
manifest = write_phantoms(folder / "films", n=80, size=64, seed=0, letter=0.9)


class Films(Dataset):
    """The training images of the table, as raw 8-bit pixels."""

    def __init__(self):
        with manifest.open() as file:
            self.rows = [row for row in csv.DictReader(file) if row["split"] == "train"]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        row = self.rows[i]
        return Image.open(manifest.parent / row["image"]), int(row["label"])


def lesions_then_lungs(key):
    """The masks of a film, best first, for a reader who is simulated."""
    row = next(row for row in films.rows if row["image"] == key)
    names = [row["lesion_mask"], row["lung_mask"]]
    return [load_mask(manifest.parent / name) if name else None for name in names]


films = Films()
model = nn.Sequential(
    nn.Conv2d(1, 16, 5, stride=2), nn.ReLU(),
    nn.Conv2d(16, 32, 5, stride=2), nn.ReLU(),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2),
)  # fmt: skip
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
ask = Simulated(masks=lesions_then_lungs, seed=0)

# 1: the training set, wrapped; 2: IMIL; 3: below, a call after each epoch
train = CorrectedDataset(films, keys=[row["image"] for row in films.rows])
imil = IMIL(train, model, ask, store=folder / "imil.sqlite", imil_epoch=2, num_outliers=5)

torch.manual_seed(0)
loader = DataLoader(train, batch_size=16, shuffle=True)
for epoch in range(4):
    model.train()
    for images, labels in loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch + 1}: loss {loss.item():.3f}")
    if held := imil.after_epoch(epoch + 1):
        print(f"round after epoch {held.epoch}: {held.cases} films corrected")
