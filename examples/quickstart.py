# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # imil in a notebook
#
# A classifier of drawn chest films learns from a letter in the corner rather than from the lung.
# After two epochs it asks about the training films that it gets most confidently wrong, a reader
# selects the squares where it should look, and training goes on with the rest of these films in
# black.
#
# It takes half a minute, and needs no data.

# %%
import csv
import tempfile
from pathlib import Path

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from imil.images.load import load_mask
from imil.notebook import RunView
from imil.phantom.dataset import write_phantoms
from imil.pytorch import IMIL, CorrectedDataset
from imil.readers import Simulated

folder = Path(tempfile.mkdtemp(prefix="imil-"))
table = write_phantoms(folder / "films", n=80, size=64, seed=0, letter=0.9)
with table.open() as file:
    rows = {row["image"]: row for row in csv.DictReader(file) if row["split"] == "train"}
films = [(Image.open(table.parent / name), int(row["label"])) for name, row in rows.items()]
print(f"{len(films)} films to train on, such as this one, of class {films[0][1]}:")
films[0][0].resize((256, 256))


# %% [markdown]
# ## The reader
#
# Here a program reads: it selects the squares of the lesion or, without one, of the lungs. To read
# yourself, leave it out and write `ask = "notebook"`: the reading room then opens below the cell
# that trains, which waits for you.


# %%
def lesions_then_lungs(name):
    """The masks of a film, best first."""
    masks = [rows[name]["lesion_mask"], rows[name]["lung_mask"]]
    return [load_mask(table.parent / mask) if mask else None for mask in masks]


ask = Simulated(masks=lesions_then_lungs, seed=0)

# %% [markdown]
# ## Training
#
# Three things are imil's: `CorrectedDataset` around the training set, `IMIL`, and a call of
# `after_epoch`.

# %%
torch.manual_seed(0)
model = nn.Sequential(
    *(nn.Conv2d(1, 16, 5, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 5, stride=2), nn.ReLU()),
    *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2)),
)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
train = CorrectedDataset(films, keys=list(rows))
rounds = IMIL(train, model, ask, store=folder / "imil.sqlite", imil_epoch=2, num_outliers=5)

for epoch in range(1, 5):
    model.train()
    for images, labels in DataLoader(train, batch_size=16, shuffle=True):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch}: loss {loss.item():.3f}")
    rounds.after_epoch(epoch)

# %% [markdown]
# ## What was read
#
# Each case: the film, what the model looked at, the squares that the reader selected, and what the
# model is trained on from then on.

# %%
RunView(folder / "imil.sqlite", pictures=2)

# %% [markdown]
# The films of this round, as they are drawn in the next epoch:

# %%
corrected = [i for i in range(len(train)) if train.corrected(i) is not None]
blacked_out = [float((train[i][0] == 0).float().mean()) for i in corrected]
print(f"{len(corrected)} films corrected; {sum(blacked_out) / len(corrected):.0%} of each is black")
