"""IMIL as a callback of a fastai Learner, on chest films that imil draws.

python examples/fastai_learner.py FOLDER
"""

import sys
from pathlib import Path

import imil.fastai  # isort: split

import torch
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from torch import nn
from torch.utils.data import DataLoader

from imil.data.table import read_data
from imil.images.load import load_image, load_mask
from imil.phantom.dataset import write_phantoms
from imil.pytorch import IMIL, CorrectedDataset
from imil.readers.simulated import Simulated

folder = Path(sys.argv[1])
table = read_data(write_phantoms(folder / "films", n=80, size=64, seed=0, letter=0.9))
films = table.select([i for i, split in enumerate(table.splits) if split == "train"])


class Films(torch.utils.data.Dataset):
    """Raw 8-bit pixels and labels."""

    def __len__(self):
        return len(films)

    def __getitem__(self, i):
        return load_image(films.images[i]), int(films.labels[i])


def lesions_then_lungs(key):
    """The masks of a film, best first, for a reader who is simulated."""
    row = films.keys.index(key)
    paths = [films.masks[name][row] for name in ("lesion_mask", "lung_mask")]
    return [load_mask(path) if path else None for path in paths]


train = CorrectedDataset(
    Films(), labels=films.labels, class_names=films.class_names, keys=films.keys
)
torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 16, 5, stride=2), nn.ReLU(),
    nn.Conv2d(16, 32, 5, stride=2), nn.ReLU(),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2),
)  # fmt: skip
rounds = IMIL(
    train,
    model,
    Simulated(masks=lesions_then_lungs, seed=0),
    store=folder / "imil.sqlite",
    imil_epoch=2,
    num_outliers=5,
)
loaders = DataLoaders(
    DataLoader(train, batch_size=16, shuffle=True),
    DataLoader(train, batch_size=16),  # of a validation set, where there is one
)
learner = Learner(
    loaders, model, loss_func=nn.CrossEntropyLoss(), cbs=[imil.fastai.IMIL(rounds)], path=folder
)
learner.fit(4, lr=0.01)
print(f"{sum(train.corrected(i) is not None for i in range(len(train)))} films corrected")
