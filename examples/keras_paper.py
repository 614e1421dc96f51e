"""The paper's training in Keras: ResNet-50, SGD 0.001, a round after 70 of 100 epochs; drawn films.

KERAS_BACKEND=torch python examples/keras_paper.py FOLDER [EPOCHS]
"""

import sys
from pathlib import Path

import keras

from imil.data.table import read_data
from imil.images.load import load_image, load_mask
from imil.keras import IMIL, Batches, CorrectedDataset
from imil.phantom.dataset import write_phantoms
from imil.readers.simulated import Simulated

folder, epochs = Path(sys.argv[1]), int([*sys.argv, "100"][2])
table = read_data(write_phantoms(folder / "films", n=80, size=64, seed=0, letter=0.9))
films = table.select([i for i, split in enumerate(table.splits) if split == "train"])
pairs = [
    (load_image(path), int(label)) for path, label in zip(films.images, films.labels, strict=True)
]


def lesions_then_lungs(key):
    """The masks of a film, best first, for a reader who is simulated."""
    row = films.keys.index(key)
    paths = [films.masks[name][row] for name in ("lesion_mask", "lung_mask")]
    return [load_mask(path) if path else None for path in paths]


keras.utils.set_random_seed(0)
model = keras.applications.ResNet50(
    weights=None, input_shape=(64, 64, 1), classes=2, classifier_activation=None
)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.SGD(0.001), loss, metrics=["accuracy"])
train = CorrectedDataset(pairs, class_names=films.class_names, keys=films.keys)
rounds = IMIL(
    train,
    Simulated(masks=lesions_then_lungs, seed=0),
    store=folder / "imil.sqlite",
    imil_epoch=epochs * 7 // 10,
    num_outliers=5,
)
model.fit(Batches(train, 64), epochs=epochs, callbacks=[rounds], verbose=2)
print(f"{sum(train.corrected(i) is not None for i in range(len(train)))} films corrected")
