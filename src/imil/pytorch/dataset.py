"""A training set that a round can correct, around any data set."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import one_hot
from torch.utils.data import Dataset

from imil.cases import Correction, Image
from imil.data.sample_items import (
    check_axes,
    check_samples,
    class_names_of,
    item_of,
    keys_of,
    labels_of,
    whole,
)
from imil.errors import DataError, SettingsError
from imil.geometry import NOT_STATED, Geometry
from imil.images.shown_image import shown_image
from imil.pytorch.corrections import Corrections
from imil.pytorch.raw_image import resized, size_of, to_tensor, within
from imil.treatments import Batch, Treatment, find_treatment
from imil.treatments.batch import other_rows

Transform = Callable[..., Any]
Keep = NDArray[np.bool_] | NDArray[np.float32]  # (H, W): whether, or how far, each pixel stays


class CorrectedDataset(Dataset[tuple[Any, ...]]):
    """The data set, with each sample as the rounds so far have left it.

    An item is drawn in this order: raw image, treatment of a corrected one, `transform`. So black
    is pixel 0 and lies where the reader put it, whatever the transform does afterwards.

    Args:
        dataset: gives (raw image, label) for each position: a PIL image, an array (H, W) or
            (H, W, C), or a tensor (C, H, W), before any transform. A volume is an array
            (D, H, W, C) or a tensor (C, D, H, W), of one channel to be shown to readers.
        transform: raw image -> tensor for training; may be random.
        view: raw image -> tensor (C, h, w) for predicting and explaining; must not be random.
            Needed when there is a transform. Both default to float in [0, 1].
        labels: (N,); otherwise `dataset.targets`, if items have these labels, otherwise each item
            is read once.
        class_names: otherwise `dataset.classes`, otherwise the labels' numbers.
        keys: N stable, unique names; otherwise the file names in `dataset.samples`, otherwise
            positions, which hold only as long as the data set keeps its order.
        original: position -> image that readers are shown, of a volume (D, H, W, 1); otherwise the
            raw image.
        geometry: returns the geometry of the i-th original, for the reading room's ruler.
        threadsafe: whether `original` may be called in several threads at once, which has large
            films with the readers sooner.
        treatment: what a correction does to an image; the paper's blackout by default.
        return_keep: items are (image, label, row, keep) rather than (image, label): the position,
            and where the image stays wholly as it is, bool (H, W). The transform is then called
            with a `tv_tensors.Image` and a `tv_tensors.Mask` and returns both, as transforms of
            `torchvision.transforms.v2` do: what moves the image moves the mask.

    Where the treatment mixes classes, labels are shares, float (K,). Where it wants corrected
    samples drawn more often, make the loader anew after a round, with
    `sampler=WeightedRandomSampler(samples.weights(), len(samples))`.

    Raises: DataError: lengths differ, keys repeat, a label is out of range, a transform lacks its
        view, or items are not pairs.
    """

    def __init__(
        self,
        dataset: Any,
        *,
        transform: Transform | None = None,
        view: Transform | None = None,
        labels: Sequence[int] | NDArray[np.int64] | None = None,
        class_names: Sequence[str] | None = None,
        keys: Sequence[str] | None = None,
        original: Callable[[int], Image] | None = None,
        geometry: Callable[[int], Geometry] | None = None,
        threadsafe: bool = False,
        treatment: Treatment | None = None,
        return_keep: bool = False,
    ) -> None:
        if transform is not None and view is None:
            raise DataError(
                "a transform alone is not enough: give `view` too, the same without anything "
                "random, for predicting and explaining"
            )
        self.dataset = dataset
        self.corrections = Corrections(len(dataset))
        self._field = Corrections(1)  # of view, one for all images; shared with workers likewise
        self.treatment = treatment or find_treatment("imil")
        _check_treatment(self.treatment)
        self._transform, self._return_keep = transform, return_keep
        self._rng: tuple[int, torch.Generator] | None = None
        self._view = view or to_float
        self._original, self._geometry = original, geometry
        self.threadsafe = threadsafe and original is not None
        self.labels: NDArray[np.int64] = labels_of(dataset) if labels is None else whole(labels)
        if class_names is None:
            class_names = class_names_of(dataset, self.labels)
        self.class_names: tuple[str, ...] = tuple(map(str, class_names))
        self._keys = tuple(map(str, keys_of(dataset) if keys is None else keys))
        check_samples(len(dataset), self.labels, self._keys, self.class_names)

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.dataset)

    def __getitem__(self, i: int) -> tuple[Any, ...]:
        """The i-th sample as it is trained on, and its label; see `return_keep`."""
        self._warn_if_removed(i)
        image, label = self._raw(i)
        keep = self._keep(image, i)
        if self.treatment.label_shares:
            label = one_hot(self._labels_of([i]), len(self.class_names))[0].float()
        if keep is not None or self.treatment.all_images:
            image, labels = self._treated(image, i, keep)
            label = labels if self.treatment.label_shares else label
        if not self._return_keep:
            return (self._transform or to_float)(image), label
        pixels, mask = self._with_mask(image, keep)
        return pixels, label, i, mask

    def __getstate__(self) -> dict[str, Any]:
        """All but the generator, which every process makes for itself."""
        return self.__dict__ | {"_rng": None}

    def _keep(self, image: Any, i: int) -> Keep | None:
        """Where the i-th image stays as it is, or how far; None if it is not corrected."""
        row = np.array([i])
        if not self.corrections.is_corrected(row).any():
            return None
        masks = self.corrections.keep(row, *size_of(image))
        return None if masks is None else masks[0]

    def _with_mask(self, image: Any, keep: Keep | None) -> tuple[torch.Tensor, torch.Tensor]:
        """The image after the transform and its mask, bool (H, W), moved with it."""
        mask = torch.from_numpy(np.ones(size_of(image), bool) if keep is None else keep >= 1)
        if self._transform is None:
            return to_float(image), mask
        from torchvision import tv_tensors

        tensor, _ = to_tensor(image)
        moved, at = self._transform(
            tv_tensors.Image(tensor), tv_tensors.Mask(mask[None].to(torch.uint8))
        )
        return moved.as_subclass(torch.Tensor), at.as_subclass(torch.Tensor)[0].bool()

    def _treated(self, image: Any, i: int, keep: Keep | None) -> tuple[Any, torch.Tensor]:
        """The image after the treatment, of its own kind, and its label."""
        tensor, back = to_tensor(image, keep)
        mask = None if keep is None else torch.from_numpy(keep)[None]
        rng = self._generator()

        def draw(n: int) -> Batch:
            return self._others(i, n, tensor, rng)

        grids = torch.from_numpy(self.corrections.grids(np.array([i])))
        batch = Batch(
            tensor[None],
            self._labels_of([i]),
            torch.tensor([i]),
            mask,
            grids,
            len(self.class_names),
        )
        treated = self.treatment.batch(batch, draw, rng)
        return back(treated.images[0]), treated.labels[0]

    def _others(self, i: int, n: int, like: torch.Tensor, rng: torch.Generator) -> Batch:
        """n other samples' originals, at the size of the i-th."""
        left_out = torch.tensor([i, *self.corrections.removed()])
        others = other_rows(left_out, n, len(self), rng)
        images = [to_tensor(self._raw(row)[0])[0] for row in others.tolist()]
        sized = [resized(image, like) for image in images]
        return Batch(torch.stack(sized), self._labels_of(others.tolist()), others)

    def _labels_of(self, rows: list[int]) -> torch.Tensor:
        return torch.from_numpy(self.labels[rows])

    def _generator(self) -> torch.Generator:
        """This process' generator; the global one is not drawn from, for that is the user's."""
        seed = torch.initial_seed()  # of a worker: another one for each worker and epoch
        if self._rng is None or self._rng[0] != seed:
            self._rng = seed, torch.Generator().manual_seed(seed)
        return self._rng[1]

    def view(self, i: int) -> torch.Tensor:
        """The i-th original as the model sees it, without anything random."""
        view: torch.Tensor = self._view(self._raw(i)[0])
        return view

    def key(self, i: int) -> str:
        """Stable name of the i-th sample."""
        return self._keys[i]

    def image(self, i: int) -> Image:
        """The i-th original as a reader sees it: uint8 or uint16, (H, W) or (H, W, 3).

        Of a volume, (D, H, W).
        """
        return as_image(
            item_of(self.dataset, i)[0] if self._original is None else self._original(i)
        )

    def geometry(self, i: int) -> Geometry:
        """Size of a pixel, laterality and directions of the i-th original, if they are known."""
        return NOT_STATED if self._geometry is None else self._geometry(i)

    def correct(self, i: int, correction: Correction | None) -> None:
        """Correct the i-th sample from now on; None restores it."""
        self.corrections.set(i, correction)

    def see(self, field: Correction | None) -> None:
        """From now on the model sees these squares of every image alone; None: the whole image.

        The rest is black in items and views. Readers are shown whole images.
        """
        self._field.set(0, field)

    @property
    def field_of_view(self) -> Correction | None:
        """The squares of every image that the model sees; None: the whole image."""
        return self._field.get(0)

    def _raw(self, i: int) -> tuple[Any, Any]:
        """The i-th raw image within the field of view, and its label."""
        image, label = item_of(self.dataset, i)
        check_axes(image)
        field = self.field_of_view
        return image if field is None else within(image, field), label

    def weights(self) -> NDArray[np.float64]:
        """How often each sample is to be drawn, (N,): 1, or the treatment's weight if corrected.

        0 where readers' verdicts took it out of training.
        """
        result = np.ones(len(self))
        result[self.corrections.positions()] = self.treatment.weight
        result[self.corrections.removed()] = 0
        return result

    def remove(self, i: int) -> None:
        """Take the i-th sample out of training: its weight is 0 from now on."""
        self.corrections.remove(i)

    def _warn_if_removed(self, i: int) -> None:
        if self.corrections.is_removed(i):
            warnings.warn(
                f"sample '{self._keys[i]}' was taken out of training by the readers and is still "
                "drawn: make the loader anew after a round, with "
                "sampler=WeightedRandomSampler(samples.weights(), len(samples))",
                stacklevel=3,
            )

    def corrected(self, i: int) -> Correction | None:
        """The correction of the i-th sample, or None if there is none."""
        return self.corrections.get(i)


def _check_treatment(treatment: Treatment) -> None:
    """Raises: SettingsError: the treatment needs what a data set cannot give it."""
    name = type(treatment).__name__
    if treatment.leaves_out_tokens:
        raise SettingsError(
            f"{name} with tokens=True changes the model, which a data set does not have: use "
            "`imil train --treatment`, or tokens=False"
        )
    if treatment.needs_progress:
        raise SettingsError(
            f"{name} with clean above 0 needs to know the last epoch, which a data set does not: "
            "use `imil train --treatment`, or clean=0"
        )


def to_float(image: Any) -> torch.Tensor:
    """The raw image as float32 (C, H, W), or (C, D, H, W), in [0, 1]."""
    if not isinstance(image, torch.Tensor):
        array = np.asarray(image)
        image = torch.from_numpy(np.array(array[None] if array.ndim == 2 else array))
        image = image if array.ndim == 2 else image.movedim(-1, 0)
    if image.is_floating_point():
        return image.float()
    top = 65535 if image.dtype in (torch.uint16, torch.int32) else 255
    return image.float() / top


def as_image(raw: Any) -> Image:
    """A raw image as readers are shown it.

    Raises: DataError: as `imil.images.shown_image.shown_image`.
    """
    return shown_image(raw.movedim(0, -1).numpy() if _is_chw(raw) else raw)


def _is_chw(raw: Any) -> bool:
    return isinstance(raw, torch.Tensor) and raw.ndim in (3, 4)
