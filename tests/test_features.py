"""Features of images and of the squares of a grid, from the layer that heat-maps are drawn from."""

import contract
import numpy as np
import pytest
import torch
from torch import nn

from imil.errors import SettingsError
from imil.grid import Grid
from imil.pytorch import TorchModel
from imil.pytorch.features import pooled_features, squares_of
from imil.pytorch.layers import find_finer_layer


def make_pyramid():
    """Maps of 8×8, 4×4 and 2×2 for images of 16×16."""
    torch.manual_seed(1)
    blocks = [
        nn.Sequential(nn.Conv2d(1 if i == 0 else 4, 4, 3, stride=2, padding=1), nn.ReLU())
        for i in range(3)
    ]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def test_the_squares_of_a_map_share_its_cells_by_area():
    maps = torch.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])[None, None]
    # by hand: the left half of a row of three cells is the first and half of the second
    left, right = (2 * 1 + 2) / 3, (2 * 3 + 2) / 3
    assert squares_of(maps[:, :, :1], Grid(1, 2)).flatten().tolist() == pytest.approx([left, right])
    whole = squares_of(maps, Grid(2, 2))
    assert whole.shape == (1, 4, 1)
    assert whole.mean().item() == pytest.approx(5)
    assert squares_of(maps, Grid(3, 3)).flatten().tolist() == pytest.approx(list(range(1, 10)))


def test_a_coarser_map_is_interpolated():
    maps = torch.tensor([[0.0, 4.0]])[None, None]
    assert squares_of(maps, Grid(1, 4)).flatten().tolist() == [0, 1, 3, 4]


def test_features_are_the_mean_activations_of_the_layer_that_is_explained():
    net, samples = contract.make_net(), contract.make_samples()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    features = TorchModel(net, batch_size=7).features(samples)
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert features.dtype == np.float32
    views = torch.stack([samples.view(i) for i in range(len(samples))]).float()
    with torch.no_grad():
        expected = net.eval()[:5](views).mean(dim=(2, 3))
    np.testing.assert_allclose(features, expected.numpy(), atol=1e-5)


def test_features_of_squares_average_to_the_features_of_the_image():
    net, samples = contract.make_net(), contract.make_samples()
    model = TorchModel(net, layer="2")
    squares = model.features(samples, grid=Grid(4, 3))
    assert squares.shape == (len(samples), 12, 6)
    np.testing.assert_allclose(squares.mean(axis=1), model.features(samples), atol=1e-5)
    np.testing.assert_array_equal(
        model.features(samples, [5, 1], grid=Grid(4, 3)).shape, (2, 12, 6)
    )


@pytest.mark.parametrize(
    ("rows", "cols", "layer"), [(2, 2, "2"), (3, 2, "1"), (4, 4, "1"), (5, 8, "0"), (9, 9, "2")]
)
def test_a_layer_at_least_as_fine_as_the_grid_is_taken_if_there_is_one(rows, cols, layer):
    net, images = make_pyramid(), torch.rand(2, 1, 16, 16)
    assert find_finer_layer(net, images, "2", rows, cols) == layer
    assert pooled_features(net, images, layer, Grid(rows, cols)).shape == (2, rows * cols, 4)


def test_no_finer_layer_is_taken_of_a_model_whose_earlier_tokens_are_not_in_place():
    class Hiera(torch.nn.Sequential):
        """Called as timm's model, which puts its tokens into another order."""

    net = Hiera(*make_pyramid())
    assert find_finer_layer(net, torch.rand(2, 1, 16, 16), "2", 4, 4) == "2"


def test_a_layer_that_gives_no_map_is_refused():
    with pytest.raises(SettingsError, match="not a map of the image"):
        pooled_features(make_pyramid(), torch.rand(2, 1, 16, 16), "4")


def test_no_sample_has_no_features():
    model = TorchModel(contract.make_net())
    assert len(model.features(contract.make_samples(), [])) == 0
