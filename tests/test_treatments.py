"""New treatments take a class each: in `imil train`, in a loader's workers, in a plain loop."""

from dataclasses import replace

import compatible_torchvision  # noqa: F401
import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from imil.cases import Correction, Reading
from imil.errors import SettingsError
from imil.fills import blackout
from imil.grid import Grid
from imil.phantom.dataset import write_phantoms
from imil.pytorch import CorrectedDataset
from imil.pytorch.gradcam import features_of
from imil.run_folder import RunFolder
from imil.settings import resolve
from imil.training.classifier import Classifier
from imil.training.run import Run
from imil.training.samples.prepared_data import prepare
from imil.treatments import TREATMENTS, Batch, Cover, Selection, Treatment, find_treatment

GRID = Grid(2, 2)
TOP = Correction(GRID, (1, 2))  # the upper half


class Sometimes(Treatment):
    """Each corrected image is covered in half of its draws."""

    def batch(self, batch, draw, rng):
        if batch.keep is None:
            return batch
        cover = (torch.rand(len(batch.images), generator=rng) < 0.5).to(batch.images.device)
        covered = blackout(batch.images, batch.keep)
        images = torch.where(cover[:, None, None, None], covered, batch.images)
        return replace(batch, images=images)


class AttentionLoss(Treatment):
    """The heat-map of the label is to be 0 outside the selected squares; images stay originals."""

    needs_features = True

    def loss(self, outputs, features, batch):
        if batch.keep is None:
            return None
        cams = features.cams(outputs, batch.labels)
        size = cams.shape[1:]
        keep = nn.functional.interpolate(batch.keep[:, None].float(), size=size, mode="area")
        return (cams * (1 - keep[:, 0])).sum()


class Halved(Treatment):
    """Every training image, corrected or not, at half of its brightness."""

    all_images = True

    def batch(self, batch, draw, rng):
        return replace(batch, images=batch.images // 2)


FOUR = {
    "other": Cover(fill="other"),
    "sometimes": Sometimes(),
    "attention": AttentionLoss(),
    "halved": Halved(),
}


class Flat:
    """Image i has the value 10 + i everywhere."""

    def __len__(self):
        return 8

    def __getitem__(self, i):
        return np.full((4, 4), 10 + i, np.uint8), i % 2


def check_images(name, drawn, corrected):
    """Whether images (H, W) by position, each of one value at first, are as treated by hand.

    Args:
        drawn: pairs of position and image.
        corrected: positions of which the upper half is kept.
    """
    covered = set()
    for i, image in drawn:
        upper, lower, value = image[:2], image[2:], 10 + i
        if name == "halved":
            assert (image == value // 2).all()
        elif i not in corrected or name == "attention":
            assert (image == value).all()
        elif name == "other":
            assert (upper == value).all()
            assert lower.min() == lower.max() != value
            assert lower.min() in range(10, 18)
        else:
            assert (upper == value).all()
            assert (lower == 0).all() or (lower == value).all()
            covered.add(bool((lower == 0).all()))
    if name == "sometimes":
        assert covered == {True, False}


@pytest.mark.process
@pytest.mark.parametrize("name", FOUR)
@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_draws_treated_images_also_in_its_workers(name, workers):
    samples = CorrectedDataset(
        Flat(), labels=[0, 1] * 4, treatment=FOUR[name], return_keep=True, keys="abcdefgh"
    )
    for i in (1, 2, 3):
        samples.correct(i, TOP)
    torch.manual_seed(0)
    drawn = []
    for _ in range(6):
        for images, labels, rows, keep in DataLoader(samples, 4, num_workers=workers):
            drawn += zip(rows.tolist(), (images[:, 0] * 255).round().int(), strict=True)
            assert labels.tolist() == [row % 2 for row in rows.tolist()]
            for row, mask in zip(rows.tolist(), keep, strict=True):
                assert mask[:2].all()
                assert mask[2:].all() == (row not in (1, 2, 3))
    assert len(drawn) == 48
    check_images(name, drawn, {1, 2, 3})


def test_nothing_is_drawn_from_the_users_generator():
    samples = CorrectedDataset(Flat(), labels=[0, 1] * 4, treatment=FOUR["sometimes"])
    samples.correct(0, TOP)
    before = torch.get_rng_state()
    seen = [float(samples[0][0][0, 3, 0]) for _ in range(20)]
    assert torch.equal(torch.get_rng_state(), before)
    assert len(set(seen)) == 2


def test_a_transform_moves_the_mask_with_its_image():
    samples = CorrectedDataset(
        Flat(),
        labels=[0, 1] * 4,
        transform=v2.Compose([v2.RandomVerticalFlip(p=1), v2.ToDtype(torch.float32)]),
        view=lambda image: torch.from_numpy(image[None]).float(),
        return_keep=True,
    )
    samples.correct(0, TOP)
    image, label, row, keep = samples[0]
    assert (label, row) == (0, 0)
    assert keep.tolist() == [[False] * 4] * 2 + [[True] * 4] * 2
    assert image[0].tolist() == [[0.0] * 4] * 2 + [[10.0] * 4] * 2


class Tiny(nn.Module):
    """A network whose heat-map can be worked out by hand.

    Features are 2·x. The logits are 3 and 0 times their mean, so the gradient of class 0's is 3/4
    at each of four pixels, and its heat-map is 1.5·x.
    """

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(3, 1, 1, bias=False)
        self.head = nn.Linear(1, 2, bias=False)
        self.pretrained_cfg = {"mean": (0.0,), "std": (1 / 255,)}
        with torch.no_grad():
            self.features.weight.copy_(torch.tensor([2.0, 0.0, 0.0]).view(1, 3, 1, 1))
            self.head.weight.copy_(torch.tensor([[3.0], [0.0]]))

    def forward(self, images):
        return self.head(self.features(images).mean(dim=(2, 3)))


PIXELS = torch.tensor([[[[1, 2], [3, 4]]]], dtype=torch.uint8).repeat(1, 3, 1, 1)
OUTSIDE = 1.5 * (3 + 4)  # of the heat-map, in the lower half


def check_gradients(net):
    """Of the heat-map outside: head·features·(3 + 4)/4, by each of the two weights."""
    assert net.features.weight.grad[0, 0].item() == pytest.approx(3 * 7 / 4)
    assert net.head.weight.grad[0].item() == pytest.approx(2 * 7 / 4)
    assert net.head.weight.grad[1].item() == 0


def test_a_loss_on_the_heat_map_reaches_the_weights_in_a_plain_loop():
    net = Tiny()
    with features_of(net, "features") as features:
        outputs = net(PIXELS.float())
    assert torch.equal(outputs, Tiny()(PIXELS.float()))
    assert features[0].maps.tolist() == [[[[2.0, 4.0], [6.0, 8.0]]]]
    keep = torch.tensor([[[True, True], [False, False]]])
    batch = Batch(PIXELS, torch.tensor([0]), torch.tensor([0]), keep)
    loss = FOUR["attention"].loss(outputs, features[0], batch)
    assert loss.item() == pytest.approx(OUTSIDE)
    loss.backward()
    check_gradients(net)


def test_a_loss_on_the_heat_map_is_added_in_a_training_step():
    def step(treatment, layer):
        net = Tiny()
        module = Classifier(
            net,
            optimizer="sgd",
            lr=0.1,
            momentum=0.0,
            mix=lambda images, labels: (images, labels),
            augment=lambda images, keep: (images, keep),
            treatment=treatment,
        )
        module.layer = layer
        keep = torch.tensor([[[True, True], [False, False]]])
        batch = Batch(PIXELS, torch.tensor([0]), torch.tensor([0]), keep)
        result = module.training_step(batch, None, torch.Generator())
        result.loss.backward()
        return net, result.loss.item()

    plain, without = step(Treatment(), None)
    net, loss = step(FOUR["attention"], "net.features")
    assert loss == pytest.approx(without + OUTSIDE, rel=1e-6)
    for parameter, other in zip(net.parameters(), plain.parameters(), strict=True):
        parameter.grad -= other.grad
    assert net.features.weight.grad[0, 0].item() == pytest.approx(3 * 7 / 4, rel=1e-4)
    assert net.head.weight.grad[0].item() == pytest.approx(2 * 7 / 4, rel=1e-4)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return write_phantoms(tmp_path_factory.mktemp("drawn") / "films", n=20, size=32, seed=0)


def select_top(cases):
    for case in cases:
        yield Reading(case.id, "reader", "focus", TOP.squares)


def train(films, folder, treatment, *, epochs=3, mix="none", after_rounds=()):
    """A run with a round after its first epoch; returns it, trained."""
    values = {"data": str(films), "model": "test_resnet", "image_size": 32, "epochs": epochs}
    values |= {"batch_size": 8, "lr": 0.01, "imil_epoch": [1], "num_outliers": 3, "grid_size": 2}
    values |= {"treatment": treatment, "mix": mix, "precision": "32", "device": "cpu"}
    settings = resolve(values)
    run_folder = RunFolder(folder / treatment)
    run_folder.path.mkdir(parents=True, exist_ok=True)
    data = prepare(settings, run_folder, cache=folder / "cache", progress=lambda *_: None)
    run = Run(run_folder, settings, data, Console(quiet=True))
    run.train(select_top, run.open_store(), after_rounds=after_rounds)
    return run


@pytest.mark.parametrize("name", FOUR)
def test_imil_train_treats_every_batch(films, tmp_path, monkeypatch, name):
    steps = []
    kind = type(FOUR[name])

    class Watched(kind):
        def loss(self, outputs, features, batch):
            steps.append((batch, features is not None))
            return super().loss(outputs, features, batch)

    treatment = Watched(fill="other") if name == "other" else Watched()
    monkeypatch.setitem(TREATMENTS, name, lambda: treatment)
    run = train(films, tmp_path, name)
    samples = run.samples["train"]
    originals = {i: samples.view(i)[0] for i in range(len(samples))}
    corrected = {i for i in originals if samples.corrected(i) is not None}
    assert len(corrected) == 3
    keep = torch.from_numpy(GRID.mask(TOP.squares, 32, 32))
    per_epoch = len(steps) // 3
    for n, (batch, has_features) in enumerate(steps):
        assert has_features == (name == "attention")
        in_batch = corrected & set(batch.rows.tolist()) if n >= per_epoch else set()
        assert (batch.keep is not None) == bool(in_batch)
        for b, i in enumerate(batch.rows.tolist()):
            image, original = batch.images[b, 0], originals[i]
            if name == "halved":
                assert torch.equal(image, (original // 2).float())
                continue
            upper = keep if i in in_batch else torch.ones_like(keep)
            assert torch.equal(image[upper], original[upper].float())
            if i in in_batch and name == "other":
                others = [o for j, o in originals.items() if j != i]
                assert any(torch.equal(image[~keep], o[~keep].float()) for o in others)
            elif i in in_batch and name == "sometimes":
                rest = image[~keep]
                assert (rest == 0).all() or torch.equal(rest, original[~keep].float())


def test_a_run_with_the_loss_learns_something_else(films, tmp_path, monkeypatch):
    monkeypatch.setitem(TREATMENTS, "attention", lambda: FOUR["attention"])
    monkeypatch.setitem(TREATMENTS, "nothing", Treatment)
    one, other = (train(films, tmp_path, name, epochs=2) for name in ("attention", "nothing"))
    weights = zip(one.net.state_dict().values(), other.net.state_dict().values(), strict=True)
    assert any(not torch.equal(a, b) for a, b in weights)


def test_a_treatment_may_select_squares_of_other_samples(films, tmp_path, monkeypatch):
    class Spread(Cover):
        """Whatever is read, the first sample keeps its third square."""

        def relevance(self, readings, grid, model, samples, rng, previous=None):
            assert {reading.squares for reading in readings.values()} == {TOP.squares}
            assert all(samples.corrected(i) == TOP for i in readings if i != 0)
            assert model.probs(samples, [0]).shape == (1, 2)
            return Selection(grid, {0: (3,)})

    monkeypatch.setitem(TREATMENTS, "spread", Spread)
    run = train(films, tmp_path, "spread")
    assert run.samples["train"].corrected(0) == Correction(GRID, (3,))
    state = torch.load(run.folder.last, weights_only=True)
    assert state["treatment"]["selected"] == {0: [2, 2, [3]]}


def test_an_unknown_treatment_is_refused():
    with pytest.raises(SettingsError, match="unknown treatment 'x': expected one of imil"):
        find_treatment("x")
