"""Volumes: Grad-CAM, treatments and a whole round over cuboids."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from imil.cases import Case, Correction
from imil.errors import DataError, SettingsError
from imil.fills import blackout
from imil.grid import Grid
from imil.phantom.stack import draw_stack
from imil.pytorch import IMIL, CorrectedDataset
from imil.pytorch.gradcam import find_layer, grad_cam
from imil.readers.simulated import Simulated
from imil.store import Store
from imil.treatments import TREATMENTS, Batch, Cover, find_treatment

D, S = 16, 32
GRID = Grid(4, 4, 4)


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        *(nn.Conv3d(1, 6, 3, stride=2, padding=1), nn.BatchNorm3d(6), nn.ReLU()),
        *(nn.Conv3d(6, 8, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(8, 2)),
    )


class Stacks:
    """Phantoms (1, D, H, W), half of them with lesions in four slices."""

    classes = ("normal", "lesion")

    def __init__(self, n=8):
        self.targets = np.arange(n) % 2
        rng = np.random.default_rng(1)
        self.stacks = [draw_stack(int(label), rng, slices=D, size=S) for label in self.targets]

    def __len__(self):
        return len(self.stacks)

    def __getitem__(self, i):
        return torch.from_numpy(self.stacks[i].volume)[None], int(self.targets[i])

    def masks(self, key):
        return [self.stacks[int(key)].lesion]


def test_a_phantom_has_its_lesion_in_some_slabs_alone():
    stack = draw_stack(1, np.random.default_rng(0), slices=D, size=S, lesion_slices=4)
    held = np.flatnonzero(stack.lesion.any(axis=(1, 2)))
    assert len(held) == 4
    assert all(b - a == 1 for a, b in pairwise(held.tolist()))
    assert stack.volume.min() > 0
    assert not draw_stack(0, np.random.default_rng(0)).lesion.any()
    with pytest.raises(SettingsError, match="20 of 16 slices"):
        draw_stack(1, np.random.default_rng(0), lesion_slices=20)


def test_the_heat_map_of_a_volume_is_that_of_the_definition():
    """Of a linear head on one pooled map, the weights are those of the head over the voxels."""
    torch.manual_seed(0)
    first, head = nn.Conv3d(1, 3, 3, stride=2, padding=1), nn.Linear(3, 2)
    model = nn.Sequential(first, nn.AdaptiveAvgPool3d(1), nn.Flatten(), head)
    images = torch.rand(2, 1, D, S, S)
    assert find_layer(model, images) == "0"
    cams = grad_cam(model, images, torch.tensor([[0, 1], [1, 0]]))
    assert cams.shape == (2, 2, D, S, S)
    maps = first(images).detach()
    small = torch.einsum("bdxyz,kd->bkxyz", maps, head.weight.detach()).relu()
    large = nn.functional.interpolate(small, size=(D, S, S), mode="trilinear")
    expected = (large / large.amax(dim=(2, 3, 4), keepdim=True)).numpy()
    assert np.allclose(cams[0], expected[0], atol=1e-5)
    assert np.allclose(cams[1], expected[1][::-1], atol=1e-5)


def test_a_heat_map_lies_where_the_signal_is():
    model = nn.Sequential(nn.Conv3d(1, 1, 1, bias=False), nn.AdaptiveAvgPool3d(1), nn.Flatten())
    nn.init.ones_(model[0].weight)
    image = torch.zeros(1, 1, 8, 16, 16)
    image[0, 0, 5, 3, 12] = 1
    cam = grad_cam(model, image, np.array([[1]]))[0, 0]
    assert np.unravel_index(cam.argmax(), cam.shape) == (5, 3, 12)


def test_blackout_of_a_volume_and_of_a_batch():
    volume = np.full((4, 4, 4), 9, np.uint8)
    keep = Grid(2, 2, 2).mask([2, 7], 4, 4, 4)
    assert (blackout(volume, keep) == np.where(keep, 9, 0)).all()
    batch = torch.full((1, 2, 4, 4, 4), 9)
    assert (blackout(batch, torch.from_numpy(keep)[None]) == 9 * torch.from_numpy(keep)).all()


def covered(options, keep, images=None):
    images = torch.randint(1, 255, (2, 1, 8, 8, 8), dtype=torch.uint8) if images is None else images
    grids = torch.tensor([[2, 2, 2], [2, 2, 2]])
    batch = Batch(images, torch.tensor([0, 1]), torch.tensor([0, 1]), keep, grids, 2)
    rng = torch.Generator().manual_seed(1)

    def draw(n):
        return Batch(torch.full((n, 1, 8, 8, 8), 7, dtype=torch.uint8), torch.zeros(n), None)

    return images, Cover(**options).batch(batch, draw, rng).images


@pytest.mark.parametrize("fill", ["black", "mean", "noise", "other", "blur"])
def test_fills_cover_what_nobody_selected_and_nothing_else(fill):
    keep = torch.ones(2, 8, 8, 8, dtype=torch.bool)
    keep[0] = torch.from_numpy(Grid(2, 2, 2).mask([1, 8], 8, 8, 8))
    torch.manual_seed(0)
    images, result = covered({"fill": fill}, keep)
    assert torch.equal(result[1], images[1])
    assert torch.equal(result[0, 0][keep[0]], images[0, 0][keep[0]])
    outside = result[0, 0][~keep[0]]
    assert (outside != images[0, 0][~keep[0]]).float().mean() > 0.9
    if fill == "mean":
        expected = images[0, 0][keep[0]].float().mean().round().to(torch.uint8)
        assert (outside == expected).all()


def test_a_blurred_volume_is_blurred_along_each_axis_by_its_own_length():
    from scipy.ndimage import gaussian_filter1d

    from imil.treatments.replacements import BLUR, _gaussian

    volume = np.random.default_rng(0).random((6, 9, 12)).astype(np.float32)
    for axis, length in enumerate(volume.shape):
        mine = _gaussian(torch.from_numpy(volume)[None, None], axis + 2)[0, 0].numpy()
        sigma = BLUR * length
        radius = int(np.ceil(3 * sigma))
        theirs = gaussian_filter1d(volume, sigma, axis=axis, mode="nearest", radius=radius)
        assert np.allclose(mine, theirs, atol=1e-5)


def test_soft_and_moved_edges_of_cuboids():
    keep = torch.zeros(2, 8, 8, 8, dtype=torch.bool)
    keep[0, :4] = True  # the first slab
    keep[1] = True
    images = torch.full((2, 1, 8, 8, 8), 100, dtype=torch.uint8)
    _, soft = covered({"soft": 1.0}, keep, images)
    profile = soft[0, 0, :, 4, 4].tolist()
    assert profile == sorted(profile, reverse=True)
    assert profile[0] == 100
    assert profile[-1] == 0
    assert 0 < profile[4] < 100
    assert torch.equal(soft[1], images[1])
    _, moved = covered({"jitter": 1.0}, keep, images)
    edges = (moved[0, 0] > 0).flatten(1).float().mean(dim=1)
    assert set(edges.tolist()) <= {0.0, 1.0}  # whole slices
    assert edges.sum() != 4


def test_random_cuboids_are_as_many():
    keep = torch.stack([torch.from_numpy(Grid(2, 2, 2).mask([1, 2, 3], 8, 8, 8))] * 2)
    _, result = covered({"squares": "random"}, keep)
    for one in result[:, 0] > 0:
        shares = Grid(2, 2, 2).shares(one.numpy())
        assert sorted(shares.tolist()) == [0] * 5 + [1] * 3


@pytest.mark.parametrize("name", sorted(set(TREATMENTS) - {"imil", "cover", "up-weight"}))
def test_treatments_of_images_refuse_volumes_by_name(tmp_path, name):
    treatment = find_treatment(name)
    samples = CorrectedDataset(Stacks(4), treatment=treatment)
    imil = IMIL(samples, network(), iter, store=tmp_path / "s", grid_size=GRID)
    with pytest.raises(SettingsError, match=f"the treatment {type(treatment).__name__}.*volumes"):
        imil.begin()


def test_linear_imputation_refuses_volumes(tmp_path):
    samples = CorrectedDataset(Stacks(4), treatment=Cover(fill="linear"))
    with pytest.raises(SettingsError, match=r"fill='linear'.*volumes"):
        IMIL(samples, network(), iter, store=tmp_path / "s", grid_size=GRID).begin()


class Planes(Stacks):
    """The middle slices."""

    def __getitem__(self, i):
        volume, label = super().__getitem__(i)
        return volume[:, 8], label


@pytest.mark.parametrize(
    ("data", "grid", "message"),
    [
        (Stacks, "4x4", "are volumes and the grid 4×4 has no slabs: give .* such as 4x4x4"),
        (Planes, "4x4x4", "has slabs and the training images have no slices: give .* 4x4, or"),
    ],
)
def test_a_grid_that_does_not_fit_is_refused_before_training(tmp_path, data, grid, message):
    samples = CorrectedDataset(data(4))
    with pytest.raises(SettingsError, match=message):
        IMIL(samples, network(), iter, store=tmp_path / "s", grid_size=grid).begin()


def test_a_volume_of_several_channels_cannot_be_shown(tmp_path):
    class Colours(Stacks):
        def __getitem__(self, i):
            volume, label = super().__getitem__(i)
            return volume.repeat(2, 1, 1, 1), label

    samples = CorrectedDataset(Colours(4))
    with pytest.raises(DataError, match="cannot be shown"):
        samples.image(0)


def test_the_table_of_corrections_holds_grids_of_images_and_of_volumes():
    samples = CorrectedDataset(Stacks(4))
    samples.correct(1, Correction(GRID, (1, 64)))
    samples.correct(2, Correction(Grid(8, 8, 8), tuple(range(1, 300))))
    assert samples.corrected(1) == Correction(GRID, (1, 64))
    assert samples.corrected(2).squares == tuple(range(1, 300))
    assert samples.corrections.grids(np.array([0, 1])).tolist() == [[1, 1, 1], [4, 4, 4]]
    state = samples.corrections.state_dict()
    other = CorrectedDataset(Stacks(4))
    other.corrections.load_state_dict(state)
    assert other.corrected(1) == samples.corrected(1)


def train(samples, module, epochs, imil):
    optimiser = torch.optim.SGD(module.parameters(), lr=0.05)
    loader = torch.utils.data.DataLoader(samples, batch_size=4)
    for epoch in range(epochs):
        module.train()
        for images, labels in loader:
            loss = nn.functional.cross_entropy(module(images), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        imil.after_epoch(epoch + 1)


@pytest.mark.parametrize(
    "model",
    ["plain", pytest.param("monai", marks=[pytest.mark.process, pytest.mark.slow])],
)
def test_a_round_on_a_phantom_volume_blackens_exactly_the_cuboids_nobody_selected(tmp_path, model):
    module = network() if model == "plain" else monai_network()
    data = Stacks()
    samples = CorrectedDataset(data)
    reader = Simulated(masks=data.masks, seed=0)
    store = Store(tmp_path / "imil.sqlite")
    imil = IMIL(
        samples,
        module,
        reader,
        store=store,
        imil_epoch=1,
        num_outliers=8,
        choice="random",
        grid_size="4x4x4",
        say=lambda _: None,
    )
    originals = [samples[i][0].clone() for i in range(len(samples))]
    train(samples, module, 2, imil)
    (round_,) = store.rounds("run")
    cases = store.cases(round_.id)
    readings = store.current_readings(round_.id)
    assert round_.settings.grid == GRID
    assert cases
    corrected = 0
    for case in cases:
        i = int(case.key)
        assert case.image.shape == (D, S, S)
        assert np.array_equal(case.image, data.stacks[i].volume)
        assert case.cam_predicted.shape == (D, S, S)
        reading = readings[case.id]
        lesion = data.stacks[i].lesion
        if not lesion.any():
            assert reading.verdict == "skip"
            assert torch.equal(samples[i][0], originals[i])
            continue
        assert reading.verdict == "focus"
        kept = GRID.mask(reading.squares, D, S, S)
        # the four slices of the lesion lie in one slab or two, of four slices each
        assert {(square - 1) // 16 for square in reading.squares} <= {
            slab for slab in range(4) if lesion[4 * slab : 4 * slab + 4].any()
        }
        trained_on = samples[i][0][0].numpy()
        assert (trained_on[~kept] == 0).all()
        assert np.array_equal(trained_on[kept], originals[i][0].numpy()[kept])
        assert (originals[i][0].numpy()[~kept] > 0).all()
        corrected += 1
    assert corrected
    store.close()


def monai_network():
    nets = pytest.importorskip("monai.networks.nets", reason="trains a network of MONAI")
    torch.manual_seed(0)
    return nets.DenseNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=2,
        init_features=8,
        growth_rate=4,
        block_config=(2, 2),
    )


def test_a_reader_marks_what_misleads_in_cuboids():
    lesion = np.zeros((D, S, S), bool)
    lesion[5, 20, 20] = True  # square 16 + 11
    heat = np.zeros((D, S, S), np.float32)
    heat[12:, :8, :8] = 1  # the first square of the last slab
    case = Case(
        *("id", "run", 1, "round", 1, "key", 1, 0, 0.9, ("normal", "lesion"), GRID),
        load_image=lambda: np.zeros((D, S, S), np.uint8),
        load_heat_map=lambda _which: heat,
    )
    (reading,) = Simulated(masks=lambda _key: [lesion], seed=0, misleading=2)([case])
    assert reading.squares == (27,)
    assert reading.misleading == (49,)
