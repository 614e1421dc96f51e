"""Which layer a heat-map is drawn from."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from imil.errors import SettingsError
from imil.pytorch.layers import checked_layer, find_layer, unwrapped

IMAGES = torch.linspace(-1, 1, 2 * 3 * 32 * 48).reshape(2, 3, 32, 48)


class Pass(nn.Module):
    """A forward pass written down in a test."""

    def __init__(self, forward, **parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(parts)
        self.run = forward

    def forward(self, x):
        return self.run(self.parts, x)


class Attention(nn.Module):
    """Plain attention whose matrix passes through a module, as where it is dropped out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(2, (2, -1)).transpose(1, 2).chunk(3, dim=-1)
        return (self.drop((q @ k.mT).softmax(-1)) @ v).transpose(1, 2).flatten(2)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width)
        self.norm2, self.mlp = nn.LayerNorm(width), nn.Linear(width, width)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """Two blocks over patches of 16 pixels and a class token, read by `pool`."""

    def __init__(self, pool: str, width: int = 8) -> None:
        super().__init__()
        self.pool = pool
        self.embed = nn.Conv2d(3, width, 16, stride=16)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.blocks = nn.Sequential(Block(width), Block(width))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 3)

    def forward(self, x):
        patches = self.embed(x).flatten(2).mT
        x = self.norm(self.blocks(torch.cat([self.token.expand(len(x), -1, -1), patches], 1)))
        return self.head(x[:, 0] if self.pool == "token" else x[:, 1:].mean(1))


def conv(inside: int, outside: int) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 3, stride=2, padding=1)


def test_the_last_map_before_pooling_is_found() -> None:
    network = nn.Sequential(
        conv(3, 4), nn.ReLU(), conv(4, 4), nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
    )  # fmt: skip
    assert find_layer(network, IMAGES) == "3"


def test_a_block_that_ends_in_its_pool_is_passed_over() -> None:
    features = nn.Sequential(conv(3, 4), nn.ReLU(), nn.MaxPool2d(2))
    network = nn.Sequential(features, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))
    assert find_layer(network, IMAGES) == "0.1"


def test_the_order_is_that_of_running_not_of_declaration() -> None:
    network = Pass(
        lambda parts, x: parts["first"](parts["last"](x)).mean((2, 3)),
        first=conv(4, 3),
        last=conv(3, 4),
    )
    assert find_layer(network, IMAGES) == "parts.first"


def test_a_layer_used_twice_stands_where_it_is_used_last() -> None:
    network = Pass(
        lambda parts, x: parts["twice"](parts["once"](parts["twice"](x))).mean((2, 3)),
        twice=conv(3, 3),
        once=conv(3, 3),
    )
    assert find_layer(network, IMAGES) == "parts.twice"


def test_a_frozen_layer_whose_output_is_overwritten_is_explained() -> None:
    network = nn.Sequential(conv(3, 4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(1536, 3))
    assert find_layer(network.requires_grad_(False), IMAGES) == "1"


def test_a_map_that_the_scores_do_not_depend_on_is_passed_over() -> None:
    def forward(parts, x):
        features = parts["body"](x)
        parts["segmentation"](features)
        return features.mean((2, 3))

    assert find_layer(Pass(forward, body=conv(3, 4), segmentation=conv(4, 1)), IMAGES) == (
        "parts.body"
    )


def test_a_class_token_leads_back_to_the_norm_before_the_last_attention() -> None:
    torch.manual_seed(0)
    assert find_layer(Transformer("token"), IMAGES) == "blocks.1.norm1"


def test_pooled_patches_lead_to_the_last_norm() -> None:
    torch.manual_seed(0)
    assert find_layer(Transformer("mean"), IMAGES) == "norm"


@pytest.mark.parametrize("by_name", [False, True])
def test_attention_is_not_taken_for_a_map(by_name: bool) -> None:
    def forward(parts, x):  # sixteen tokens: their attention is as square as the image
        tokens = parts["embed"](x).flatten(2).mT
        attention = parts["attention"]
        return (attention(x=tokens) if by_name else attention(tokens)).mean(1)

    network = Pass(forward, embed=nn.Conv2d(3, 8, 8, stride=8), attention=Attention(8))
    assert find_layer(network, torch.randn(2, 3, 32, 32)) == "parts.embed"


def test_a_linear_layer_that_is_called_a_norm_is_not_taken_for_one() -> None:
    class LinearNorm(nn.Sequential):  # as LeViT has it: the last of each block's MLP
        pass

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mlp = LinearNorm(nn.Linear(8, 8), nn.Hardswish())

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return tokens + self.mlp(tokens)

    def forward(parts: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return parts["blocks"](parts["embed"](x).flatten(2).mT).mean(1)

    network = Pass(
        forward, embed=nn.Conv2d(3, 8, 8, stride=8), blocks=nn.Sequential(Block(), Block())
    )
    assert find_layer(network, torch.randn(2, 3, 32, 32)) == "parts.blocks"


def test_attention_of_a_part_that_blocks_share_is_not_taken_for_a_map() -> None:
    class Block(nn.Module):
        def __init__(self, shared: nn.Module) -> None:
            super().__init__()
            self.attention = shared

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.attention(tokens.unflatten(1, (4, 4)).permute(0, 3, 1, 2)).flatten(2).mT

    def forward(parts: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        tokens = parts["embed"](x).flatten(2).mT
        return parts["second"](parts["first"](tokens)).mean(1)

    shared = nn.Conv2d(8, 8, 1)  # its first name is that outside the blocks
    network = Pass(
        forward,
        embed=nn.Conv2d(3, 8, 8, stride=8),
        shared=shared,
        first=Block(shared),
        second=Block(shared),
    )
    assert find_layer(network, torch.randn(2, 3, 32, 32)) == "parts.embed"


def test_heads_and_tokens_are_not_taken_for_rows_and_columns() -> None:
    def forward(parts, x):
        tokens = parts["embed"](x).flatten(2).mT
        return parts["positions"](tokens.unflatten(2, (2, 4)).transpose(1, 2)).mean((1, 2))

    network = Pass(forward, embed=nn.Conv2d(3, 8, 8, stride=8), positions=nn.Linear(4, 3))
    assert find_layer(network, IMAGES) == "parts.embed"


def test_pieces_of_images_are_passed_over() -> None:
    def forward(parts, x):
        features = parts["body"](x)
        pieces = torch.cat([features[..., :12], features[..., 12:]])
        return sum(parts["inner"](pieces).mean((2, 3)).chunk(2))

    network = Pass(forward, body=conv(3, 4), inner=nn.Conv2d(4, 3, 1))
    assert find_layer(network, IMAGES) == "parts.body"


def test_a_norm_beside_pieces_of_another_width_counts() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(8)

        def forward(self, pieces, tokens):
            return self.norm(tokens + pieces.mean())

    def forward(parts, x):
        tokens = parts["embed"](x).flatten(2).mT
        return parts["both"](tokens.reshape(-1, 4, 2), tokens).mean(1)

    network = Pass(forward, embed=nn.Conv2d(3, 8, 8, stride=8), both=Both())
    assert find_layer(network, IMAGES) == "parts.both.norm"


def test_a_norm_of_channels_before_positions_is_not_taken_for_tokens() -> None:
    def forward(parts, x):
        return parts["norm"](parts["body"](x).flatten(2)).mean(2)

    network = Pass(forward, body=conv(3, 6), norm=nn.BatchNorm1d(6))
    network(IMAGES)
    assert find_layer(network, IMAGES) == "parts.body"


@pytest.mark.parametrize("norm_first", [True, False])
def test_torch_s_own_encoder_is_looked_into_though_it_has_a_fused_path(norm_first: bool) -> None:
    torch.manual_seed(0)
    layers = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=norm_first),
        2,
        enable_nested_tensor=False,
    )

    def forward(parts, x):
        patches = parts["embed"](x).flatten(2).mT
        return parts["layers"](torch.cat([patches[:, :1] * 0, patches], 1))[:, 0]

    network = Pass(forward, embed=nn.Conv2d(3, 8, 16, stride=16), layers=layers)
    network.requires_grad_(False)
    expected = "parts.layers.layers.1.norm1" if norm_first else "parts.layers.layers.0.norm2"
    assert find_layer(network, IMAGES) == expected


def test_a_norm_inside_an_mlp_is_passed_over() -> None:
    mlp = nn.Sequential(nn.Linear(8, 32), nn.LayerNorm(32), nn.Linear(32, 8))

    def forward(parts, x):
        tokens = parts["norm"](parts["embed"](x).flatten(2).mT)
        return parts["mlp"](tokens).mean(1)

    network = Pass(forward, embed=nn.Conv2d(3, 8, 8, 8), norm=nn.LayerNorm(8), mlp=mlp)
    assert find_layer(network, IMAGES) == "parts.norm"


def test_a_head_of_zeros_gives_the_last_map() -> None:
    network = nn.Sequential(conv(3, 4), conv(4, 4), nn.Flatten(), nn.Linear(4 * 8 * 12, 3))
    nn.init.zeros_(network[3].weight)
    assert find_layer(network, IMAGES) == "1"


@pytest.mark.parametrize(
    "forward",
    [
        lambda parts, x: parts["head"](x.mean((2, 3))),
        lambda parts, x: parts["head"](parts["body"](x).detach().mean((2, 3))),
        lambda parts, x: x.mean((2, 3)),
    ],
)
def test_where_there_is_none_the_message_says_to_name_one(forward) -> None:
    network = Pass(forward, body=conv(3, 3), head=nn.Linear(3, 3))
    with pytest.raises(SettingsError, match=r"no layer of Pass gives a map .*: name a layer"):
        find_layer(network, IMAGES)


def test_a_frozen_part_that_runs_without_gradients_is_looked_into() -> None:
    def forward(parts, x):
        with torch.no_grad():
            features = parts["body"](x).mean((2, 3))
        return parts["head"](features)

    network = Pass(forward, body=conv(3, 4).requires_grad_(False), head=nn.Linear(4, 3))
    assert find_layer(network, IMAGES) == "parts.body"


def test_an_unknown_name_is_answered_with_near_ones() -> None:
    network = nn.Sequential()
    network.layer3, network.layer4 = conv(3, 4), conv(4, 4)
    with pytest.raises(SettingsError, match=r"unknown layer 'layr4' of Sequential: .*layer4"):
        checked_layer(network, "layr4")
    with pytest.raises(SettingsError, match=r"unknown layer 'xyz' .*named_modules\(\)"):
        checked_layer(network, "xyz")
    with pytest.raises(SettingsError, match="unknown layer ''"):
        checked_layer(network, "")


def test_names_with_and_without_a_wrapper_mean_the_same_layer() -> None:
    network = nn.Sequential(conv(3, 4), nn.Flatten())
    wrapped = nn.DataParallel(network)
    compiled = torch.compile(wrapped, backend="eager")
    assert unwrapped(compiled) is network
    assert checked_layer(compiled, "0") == checked_layer(wrapped, "0") == "0"
    assert checked_layer(compiled, "_orig_mod.module.0") == "0"
    assert checked_layer(wrapped, "module.0") == "0"
