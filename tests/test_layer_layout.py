"""How a layer's output lies over the image."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from imil.pytorch.layer_layout import Layout, as_map, layout_of, token_grid


@pytest.mark.parametrize(
    ("tokens", "size", "prefix", "expected"),
    [
        (197, (224, 224), None, (14, 14)),  # ViT: 196 patches and a class token
        (198, (224, 224), None, (14, 14)),  # DeiT: and a distillation token
        (201, (224, 224), 5, (14, 14)),  # and four registers
        (196, (224, 224), 1, (14, 14)),  # before the class token is added
        (25, (96, 64), None, (6, 4)),
        (25, (64, 96), None, (4, 6)),
        (169, (224, 200), 1, (14, 12)),  # the last 8 columns of pixels are cut off
        (8 * 4, (128, 79), None, (8, 4)),  # the last 15 are
        (8 * 4, (128, 49), None, (8, 4)),  # the last patch is padded from 1 to 16
        (9, (64, 64), 5, (2, 2)),  # not 3 by 3: the model says five come first
        (9, (64, 64), None, (3, 3)),
        (13 * 14, (224, 224), 0, None),  # a square image has square grids alone
        (13 * 14, (224, 224), None, (13, 13)),
        (3, (64, 64), None, None),
        (50, (64, 4096), None, None),
    ],
)
def test_patches_are_distinguished_from_tokens_without_a_position(
    tokens: int, size: tuple[int, int], prefix: int | None, expected: tuple[int, int] | None
) -> None:
    assert token_grid(tokens, Layout(*size, prefix)) == expected


def test_a_grid_that_the_model_names_goes_first_where_it_fits() -> None:
    wide_patches = Layout(64, 64, prefix=1, grid=(8, 2))
    assert token_grid(17, wide_patches) == (8, 2)
    assert token_grid(26, wide_patches) == (5, 5)


def test_tokens_become_a_map_row_by_row_without_the_first_ones() -> None:
    tokens = torch.arange(1 + 2 * 3).reshape(1, 7, 1).float()
    result = as_map(tokens, Layout(32, 48))
    assert result is not None
    assert result.tolist() == [[[[1, 2, 3], [4, 5, 6]]]]


def test_channels_are_found_by_the_proportion_of_the_image() -> None:
    square, wide = Layout(64, 64), Layout(64, 96)
    assert as_map(torch.zeros(1, 8, 2, 2), square).shape == (1, 8, 2, 2)
    assert as_map(torch.zeros(1, 2, 2, 8), square).shape == (1, 8, 2, 2)
    assert as_map(torch.zeros(1, 4, 6, 32), wide).shape == (1, 32, 4, 6)
    assert as_map(torch.zeros(1, 32, 13, 21), wide).shape == (1, 32, 13, 21)  # unpadded
    marked = torch.zeros(1, 2, 3, 5)
    marked[0, 1, 2, 4] = 1
    assert as_map(marked, wide)[0, 4, 1, 2] == 1


def test_where_both_readings_fit_the_model_s_word_counts() -> None:
    marked = torch.zeros(1, 4, 4, 4)
    marked[0, 1, 2, 3] = 1
    assert as_map(marked, Layout(64, 64))[0, 1, 2, 3] == 1
    assert as_map(marked, Layout(64, 64, channels_last=True))[0, 3, 1, 2] == 1


@pytest.mark.parametrize(
    "shape", [(2, 8), (2, 8, 1, 1), (2, 1, 1, 8), (2, 8, 1, 6), (2, 3, 4), (2,)]
)
def test_pooled_output_is_not_a_map(shape: tuple[int, ...]) -> None:
    assert as_map(torch.zeros(shape), Layout(64, 64)) is None


def test_the_tokens_of_a_model_inside_a_model_are_recognised() -> None:
    class Inner(nn.Module):
        num_prefix_tokens = 5
        output_fmt = "NHWC"

        def __init__(self) -> None:
            super().__init__()
            self.patch_embed = nn.Identity()
            self.patch_embed.grid_size = (2, 2)
            self.block = nn.Sequential(nn.LayerNorm(3))

    outer = nn.ModuleDict({"encoder": Inner(), "head": nn.Linear(1, 1)})
    layout = layout_of(outer, "encoder.block.0", 64, 96)
    assert layout == Layout(64, 96, prefix=5, grid=(2, 2), channels_last=True)
    assert layout_of(outer, "head", 64, 96) == Layout(64, 96)
