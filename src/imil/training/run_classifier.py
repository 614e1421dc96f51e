"""The classifier that a run's settings describe, and whether it fits the data and a checkpoint."""

from __future__ import annotations

import torch

from imil.errors import DataError, SettingsError
from imil.pytorch import CorrectedDataset
from imil.pytorch.corrections import Corrections
from imil.pytorch.layers import find_layer
from imil.run_folder import RunFolder
from imil.settings import TrainSettings
from imil.training.checkpoints import damaged, newest_checkpoint
from imil.training.classifier import Classifier, EpochOrder
from imil.training.network import build
from imil.training.samples.augment import augment
from imil.training.samples.mixes import mix
from imil.treatments import Treatment, find_treatment


def build_classifier(settings: TrainSettings, *, classes: int, resumed: bool) -> Classifier:
    """The classifier on the CPU, initialised from torch's global random state.

    Args:
        classes: K, at least 2.
        resumed: whether a checkpoint has its weights, so that none need be loaded.
    Raises: SettingsError, DataError: unknown model, weights that do not fit, or a mix that the
        treatment does not allow.
    """
    net = build(
        settings.model,
        classes=classes,
        image_size=settings.image_size,
        image_depth=settings.image_depth,
        weights="none" if resumed else settings.weights,
    )
    if settings.image_depth == 1:
        # a convolution is faster so; other layers do not mind
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    classifier = Classifier(
        net,
        optimizer=settings.optimizer,
        lr=settings.lr,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        mix=mix(settings.mix, classes),
        augment=augment(settings.augment),
        treatment=find_treatment(settings.treatment),
    )
    if settings.mix in ("mixup", "cutmix") and not classifier.treatment.allows_mix:
        raise SettingsError(
            f"--mix {settings.mix} and --treatment {settings.treatment} contradict each other: the "
            "treatment needs whole images with their own labels after it; give --mix none or cutout"
        )
    return classifier


def find_features(classifier: Classifier, samples: CorrectedDataset, device: torch.device) -> None:
    """Find the layer whose features the treatment's loss is given, if it needs them."""
    if classifier.treatment.needs_features:
        views = torch.stack([samples.view(i) for i in range(min(2, len(samples)))])
        classifier.layer = find_layer(classifier, views.to(device))


def predicted_at_a_time(settings: TrainSettings, device: torch.device) -> int:
    """How many images are predicted at a time."""
    # without gradients a batch takes a fraction of the memory of training; where it is too much
    # for a GPU after all, the model halves it. A processor gains little, and
    # `keep_freed_memory` would keep these too: 11.8 GiB for ResNet-50 at 224 pixels, not 6.0
    return settings.batch_size * (4 if device.type == "cuda" else 1)


def weight_corrected(treatment: Treatment, corrections: Corrections, order: EpochOrder) -> None:
    """From the next epoch on, draw corrected samples as the treatment says, removed ones never."""
    order.remove(corrections.removed())
    positions = corrections.positions()
    if treatment.weight > 1 and positions:
        order.oversample(positions, treatment.weight)


def check_batch_size(samples: CorrectedDataset, batch_size: int, ranks: int = 1) -> None:
    """Check that the training set fills a batch, and a batch all ranks.

    Raises: SettingsError: it does not.
    """
    if batch_size < 2 * ranks:
        raise SettingsError(
            f"--batch-size {batch_size} is shared by {ranks} devices, which need two images each: "
            f"give {2 * ranks} or more"
        )
    if len(samples) < batch_size:
        raise SettingsError(
            f"{len(samples)} training images are fewer than a batch of {batch_size}: "
            f"lower --batch-size to {len(samples)} or less"
        )


def check_checkpoint(folder: RunFolder, classifier: Classifier) -> None:
    """Check now whether training can go on from the newest checkpoint.

    Raises: DataError: it is damaged, its weights are not numbers and none before has others, or it
        was written by another version or with other settings.
    """
    path = folder.last
    if not path.exists():
        return
    state = newest_checkpoint(folder)
    try:
        shapes = {name: weight.shape for name, weight in state["model"].items()}
        options = set(state["optimizer"]["param_groups"][0])
    except Exception as error:  # a damaged pickle may hold whatever it likes
        raise damaged(path) from error
    expected = {name: weight.shape for name, weight in classifier.state_dict().items()}
    if shapes != expected or options != set(classifier.make_optimizer().param_groups[0]):
        raise DataError(
            f"{path} was written with another model or optimizer than {folder.config} "
            "says: put it back as it was, or train anew with another --out"
        )
