"""Whether a heat-map lies where the class is decided: on a planted patch.

Images of 32×32 pixels are noise; those of class 1 have a bright square of 8×8 pixels on one of 16
places, aligned with the tokens of 4×4. The share of a map's energy inside the square, over the
square's share of the image (1/16), is 1 for a map that is uniform over the image. The table in
docs/method.md has what `pytest tests/test_planted_patch.py -s` prints.
"""

import compatible_torchvision  # noqa: F401  # before what imports torchvision
import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients, Saliency
from timm.models.resnet import BasicBlock, ResNet
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from imil.pytorch.gradcam import grad_cam
from imil.pytorch.heat_maps import METHODS, method_of
from imil.pytorch.layers import find_layer

SIZE, PATCH, TOKEN = 32, 8, 4
POOLS = {"class token": "token", "class token, 4 registers": "token", "mean of tokens": "avg"}
CNNS = ("plain convolutions", "residual convolutions")


def make_images(n, rng):
    """Images (n, 3, 32, 32), all with the patch, and where it is, bool (n, 32, 32)."""
    images = rng.random((n, 1, SIZE, SIZE), dtype=np.float32).repeat(3, axis=1) * 0.5
    inside = np.zeros((n, SIZE, SIZE), bool)
    for i, place in enumerate(rng.integers(0, (SIZE // PATCH) ** 2, n)):
        top, left = np.array(divmod(int(place), SIZE // PATCH)) * PATCH
        inside[i, top : top + PATCH, left : left + PATCH] = True
    return torch.from_numpy(np.where(inside[:, None], images + 0.5, images)), inside


def transformer(kind):
    pool = POOLS[kind]
    return VisionTransformer(
        img_size=SIZE,
        patch_size=TOKEN,
        embed_dim=32,
        depth=3,
        num_heads=2,
        num_classes=2,
        global_pool=pool,
        class_token=pool == "token",
        reg_tokens=4 if "registers" in kind else 0,
    )


def convolutions(kind):
    """Maps of 8×8 from plain convolutions, of 4×4 from a ResNet of four blocks."""
    if kind == "residual convolutions":
        channels = (16, 24, 32, 32)
        return ResNet(BasicBlock, [1, 1, 1, 1], 2, channels=channels, output_stride=8, stem_width=8)
    layers = []
    for before, after, stride in ((3, 16, 2), (16, 32, 2), (32, 32, 1)):
        layers += [nn.Conv2d(before, after, 3, stride, 1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2))


def train(kind, seed):
    """A network that tells the patch."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = convolutions(kind) if kind in CNNS else transformer(kind)
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3)
    for _ in range(120):
        images, _ = make_images(32, rng)
        plain = torch.from_numpy(rng.random((32, 1, SIZE, SIZE), dtype=np.float32) * 0.5)
        batch = torch.cat([images, plain.repeat(1, 3, 1, 1)])
        labels = torch.arange(64) < 32
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(batch - 0.5), labels.long()).backward()
        optimizer.step()
    return net.eval()


def chefer(net, images):
    """Relevance of tokens by gradient-weighted attention through all blocks, (B, 32, 32).

    Source: Chefer et al. 2021, Generic Attention-model Explainability, eq. 5 and 6.
    """
    attentions = []
    for block in net.blocks:
        block.attn.fused_attn = False
    hooks = [
        block.attn.attn_drop.register_forward_hook(lambda _m, _a, out: attentions.append(out))
        for block in net.blocks
    ]
    score = net(images)[:, 1].sum()
    for hook in hooks:
        hook.remove()
    tokens = attentions[0].shape[-1]
    relevance = torch.eye(tokens).repeat(len(images), 1, 1)
    for attention, slope in zip(
        attentions, torch.autograd.grad(score, attentions, retain_graph=True), strict=True
    ):
        relevance = relevance + (slope * attention).relu().mean(dim=1) @ relevance
    prefix = net.num_prefix_tokens
    of = relevance[:, 0] if prefix else relevance.mean(dim=1) - 1 / tokens
    return enlarged(of[:, prefix:])


def enlarged(tokens):
    side = SIZE // TOKEN
    maps = tokens.detach().reshape(len(tokens), 1, side, side).relu()
    size = (SIZE, SIZE)
    return nn.functional.interpolate(maps, size=size, mode="bilinear")[:, 0].numpy()


def energy(maps, inside):
    """How much denser the maps are inside than over the image, the mean of all images."""
    maps = np.maximum(maps, 0)
    shares = (maps * inside).sum(axis=(1, 2)) / np.maximum(maps.sum(axis=(1, 2)), 1e-12)
    return float(shares.mean() / inside.mean())


def of_pixels(method, images, **how):
    images = images.clone().requires_grad_()
    return method.attribute(images, target=1, **how).abs().sum(dim=1).detach().numpy()


def densities(kind, seed):
    """By method, for a model that tells every patch; and the default method's name."""
    net = train(kind, seed)
    images, inside = make_images(64, np.random.default_rng(1))
    images = images - 0.5
    assert (net(images).argmax(dim=1) == 1).float().mean() > 0.95
    layer = find_layer(net, images)
    ones = torch.ones(len(images), 1, dtype=torch.long)
    name = method_of(net, images, layer, "auto")
    maps = {
        "default": METHODS[name](net, images, ones, layer=layer, outputs="logits")[1][:, 0],
        "Grad-CAM": grad_cam(net, images, ones)[:, 0],
        "IntegratedGradients": of_pixels(IntegratedGradients(net), images, n_steps=20),
        "Saliency": of_pixels(Saliency(net), images),
        "uniform": np.ones(inside.shape),
    }
    if kind in POOLS:
        maps["Chefer"] = chefer(net, images)
    result = {method: energy(one, inside) for method, one in maps.items()}
    print(f"\n{kind} {seed}: {name}", {method: round(of, 2) for method, of in result.items()})
    assert result["uniform"] == pytest.approx(1)
    return result, name


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("kind", POOLS)
def test_the_default_map_of_a_transformer_lies_on_the_patch(kind, seed):
    found, name = densities(kind, seed)
    assert name == "relevance"
    assert found["default"] >= 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("kind", CNNS)
def test_the_default_map_of_convolutions_lies_on_the_patch(kind, seed):
    found, name = densities(kind, seed)
    assert name == "grad-cam"
    assert found["default"] == pytest.approx(found["Grad-CAM"])
    assert found["default"] >= 2
