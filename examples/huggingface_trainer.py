"""IMIL as a callback of Hugging Face's Trainer, on chest films that imil draws.

python examples/huggingface_trainer.py FOLDER
"""

import sys
from pathlib import Path

import imil.huggingface  # isort: split

import torch
from transformers import ResNetConfig, ResNetForImageClassification, Trainer, TrainingArguments

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
# your model: AutoModelForImageClassification.from_pretrained(FOLDER)
model = ResNetForImageClassification(
    ResNetConfig(num_channels=1, embedding_size=8, hidden_sizes=[16, 32], depths=[1, 1],
                 layer_type="basic", num_labels=2)
)  # fmt: skip
rounds = IMIL(
    train,
    model,
    Simulated(masks=lesions_then_lungs, seed=0),
    store=folder / "imil.sqlite",
    imil_epoch=2,
    num_outliers=5,
)
trainer = Trainer(
    model,
    TrainingArguments(
        output_dir=folder / "checkpoints",
        num_train_epochs=4,
        per_device_train_batch_size=16,
        learning_rate=1e-3,
        save_strategy="epoch",  # a training that stops goes on from here
        report_to="none",
        disable_tqdm=True,
    ),
    train_dataset=train,
    data_collator=imil.huggingface.collate,
    callbacks=[imil.huggingface.IMIL(rounds)],
)
trainer.train()
print(f"{sum(train.corrected(i) is not None for i in range(len(train)))} films corrected")
