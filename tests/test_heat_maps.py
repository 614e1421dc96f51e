"""Methods that draw heat-maps: what each must do, and which models take which."""

import compatible_torchvision  # noqa: F401  # before what imports torchvision
import numpy as np
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from imil.errors import SettingsError, ShapeError
from imil.heat_map_names import HEAT_MAP_NAMES
from imil.pytorch import TorchModel, relevance
from imil.pytorch.explained_scores import gradients_of
from imil.pytorch.heat_maps import METHODS, method_of
from imil.pytorch.layer_layout import Layout
from imil.pytorch.layers import find_layer
from imil.pytorch.relevance import ConservativeRules, relevance_maps
from imil.pytorch.torchvision_import import import_torchvision
from imil.training.network import build

CLASSES = np.array([[0, 2], [1, 2], [2, 0]])


def vit(pool="token", **more):
    torch.manual_seed(0)
    shape = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}
    rates = {"attn_drop_rate": 0.3, "proj_drop_rate": 0.3, "drop_path_rate": 0.3}
    more = {"class_token": pool == "token"} | rates | more
    return VisionTransformer(**shape, num_classes=3, global_pool=pool, **more)


def images(n=3, size=32):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(1))


def drawn(net, batch, classes=CLASSES, method="relevance"):
    return METHODS[method](net, batch, classes, layer=find_layer(net, batch), outputs="logits")


def test_every_method_has_a_name_for_people():
    assert list(METHODS) == list(HEAT_MAP_NAMES)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_draws_each_class_of_each_image_for_itself(method):
    net, batch = vit("avg").eval(), images()
    logits, maps = drawn(net, batch, method=method)
    with torch.no_grad():
        assert torch.allclose(logits, net(batch), atol=1e-6)
    assert (maps.shape, maps.dtype) == ((3, 2, 32, 32), np.float32)
    assert maps.min() == 0
    assert set(maps.max(axis=(2, 3)).ravel().tolist()) <= {0.0, 1.0}
    assert np.array_equal(drawn(net, batch, method=method)[1], maps)
    for i in range(3):
        alone = drawn(net, batch[[i]], CLASSES[[i]], method)[1]
        assert np.allclose(alone[0], maps[i], atol=1e-4)
    swapped = drawn(net, batch, CLASSES[:, ::-1].copy(), method)[1]
    assert np.allclose(swapped[:, ::-1], maps, atol=1e-5)


def step(net, optimizer, batch):
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(batch), torch.tensor([0, 1, 2])).backward()
    optimizer.step()


@pytest.mark.parametrize("method", METHODS)
def test_training_goes_on_bit_for_bit_as_without_a_heat_map(method):
    results = []
    for explain in (False, True):
        net, batch = vit(reg_tokens=2), images()
        net.blocks[0].norm1.weight.requires_grad_(False)
        optimizer = torch.optim.AdamW(net.parameters(), 1e-2)
        torch.manual_seed(5)
        step(net, optimizer, batch)
        if explain:
            drawn(net, batch, method=method)
            assert net.training
            assert net.blocks[0].attn.fused_attn
            assert not net.blocks[0].norm1.weight.requires_grad
            assert net.pos_embed.requires_grad
        step(net, optimizer, batch)  # with dropout, from the global random state
        results.append((net.state_dict(), [p.grad for p in net.parameters()]))
    (plain, slopes), (explained, others) = results
    assert all(torch.equal(plain[name], explained[name]) for name in plain)
    assert all(a is b or torch.equal(a, b) for a, b in zip(slopes, others, strict=True))


class OneBlock(nn.Module):
    """Attention and a norm without biases, so that relevance must add up to the score."""

    def __init__(self, fused):
        super().__init__()
        torch.manual_seed(0)
        self.fused = fused
        self.norm = nn.LayerNorm(12, bias=False)
        self.qkv = nn.Linear(12, 36, bias=False)
        self.head = nn.Linear(12, 3, bias=False)

    def forward(self, pixels):
        tokens = pixels.unfold(2, 2, 2).unfold(3, 2, 2)  # patches of 2×2
        tokens = tokens.permute(0, 2, 3, 1, 4, 5).reshape(len(pixels), -1, 12)
        query, key, value = self.qkv(self.norm(tokens))[:, None].chunk(3, dim=-1)
        if self.fused:
            mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        else:
            mixed = (query @ key.mT * 12**-0.5).softmax(dim=-1) @ value
        return self.head((tokens + mixed[:, 0]).mean(dim=1))


@pytest.mark.parametrize("fused", [True, False])
def test_relevance_adds_up_to_the_score(fused):
    net, batch = OneBlock(fused), images(size=8)
    with ConservativeRules(3, Layout(8, 8)) as rules:
        scores = net(batch)
    tokens = rules.checked_tokens("it")
    assert tokens.shape == (3, 16, 12)
    for k, gradient in enumerate(gradients_of(scores, tokens)):
        assert torch.allclose((gradient * tokens).sum(dim=(1, 2)), scores[:, k], atol=1e-5)
    # attention by the softmax's own gradient would not add up
    plain = torch.autograd.grad(net(batch).sum(), net.qkv.weight)[0]
    assert plain[:24].any()


def test_fused_and_plain_attention_have_the_same_maps():
    net, batch = vit().eval(), images()
    fused = relevance_maps(net, batch, CLASSES)
    for block in net.blocks:
        block.attn.fused_attn = False
    assert np.allclose(relevance_maps(net, batch, CLASSES), fused, atol=1e-4)


def test_few_images_are_explained_at_a_time(monkeypatch):
    net, batch = vit(), images(8)
    monkeypatch.setattr(relevance, "MOST_TOKENS", 3 * 17)
    sizes = []
    net.register_forward_hook(lambda _net, args, _out: sizes.append(len(args[0])))
    relevance.logits_and_relevance(net, batch, np.zeros((8, 1), int), layer="blocks.1.norm1")
    assert sizes == [2, 3, 3]


class WithEncoder(nn.Module):
    """PyTorch's own encoder, whose norms come before or after attention."""

    def __init__(self, norm_first, frozen=False):
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 16, 8, 8)
        layer = nn.TransformerEncoderLayer(16, 2, 32, norm_first=norm_first, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(16), enable_nested_tensor=False)
        self.head = nn.Linear(16, 3)
        self.frozen = frozen

    def forward(self, pixels):
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            tokens = self.encoder(self.patches(pixels).flatten(2).mT)
        return self.head(tokens.mean(dim=1))


def of_torchvision():
    import_torchvision()
    from torchvision.models import VisionTransformer as TorchvisionTransformer

    torch.manual_seed(0)
    net = TorchvisionTransformer(32, 8, 2, 2, 16, 32, num_classes=3)
    nn.init.normal_(net.heads.head.weight)  # zeros, as torchvision makes them
    return net


TAKEN = {
    "class token": vit,
    "mean of tokens": lambda: vit("avg"),
    "registers": lambda: vit(reg_tokens=4),
    "attention pool": lambda: vit("map", class_token=False),
    "torchvision": of_torchvision,
    "encoder of PyTorch": lambda: WithEncoder(norm_first=True),
    "frozen encoder": lambda: WithEncoder(norm_first=True, frozen=True),
}
OTHERS = {
    "ResNet": lambda: build("test_resnet", classes=3, image_size=32, weights="none"),
    "norm behind attention": lambda: WithEncoder(norm_first=False),
}


@pytest.mark.parametrize("name", TAKEN)
def test_vision_transformers_are_explained_by_relevance(name):
    net, batch = TAKEN[name]().eval(), images()
    layer = find_layer(net, batch)
    assert method_of(net, batch, layer, "auto") == "relevance"
    assert method_of(net, batch, layer, "grad-cam") == "grad-cam"
    logits, maps = drawn(net, batch, np.array([[0, 1, 2]] * 3))
    with torch.no_grad():
        assert torch.allclose(logits, net(batch), atol=1e-5)
    assert maps.max() == 1
    assert maps.mean() < 0.9


@pytest.mark.parametrize("name", OTHERS)
def test_other_models_keep_grad_cam(name):
    net, batch = OTHERS[name]().eval(), images()
    layer = find_layer(net, batch)
    assert method_of(net, batch, layer, "auto") == "grad-cam"
    with pytest.raises(
        SettingsError, match=r"'relevance', and the attention of .* give auto or gr"
    ):
        method_of(net, batch, layer, "relevance")
    with pytest.raises(SettingsError, match=r"the attention of .* cannot be read"):
        drawn(net, batch)


class OfVolumes(WithEncoder):
    """Tokens of a volume, 4×4×4, which could be taken for 8×8 of an image."""

    def __init__(self):
        super().__init__(norm_first=True)
        self.patches = nn.Conv3d(1, 16, 4, 4)


def test_volumes_keep_grad_cam():
    net = OfVolumes().eval()
    volumes = torch.rand(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    layer = find_layer(net, volumes)
    assert method_of(net, volumes, layer, "auto") == "grad-cam"
    maps = METHODS["grad-cam"](net, volumes, CLASSES[:2], layer=layer, outputs="logits")[1]
    assert maps.shape == (2, 2, 16, 16, 16)
    with pytest.raises(SettingsError, match=r"the attention of .* cannot be read"):
        drawn(net, volumes, CLASSES[:2])


@pytest.mark.slow
def test_windows_keep_grad_cam():
    name = "swin_tiny_patch4_window7_224"
    net, batch = build(name, classes=3, image_size=64, weights="none").eval(), images(2, 64)
    assert method_of(net, batch, find_layer(net, batch), "auto") == "grad-cam"


def test_a_diverged_model_is_refused():
    net = vit().eval()
    net.blocks[0].mlp.fc1.weight.data.fill_(float("nan"))
    with pytest.raises(ShapeError, match="image 0 of the batch is not a number"):
        relevance_maps(net, images(), CLASSES)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"heat_map": "lime"}, "method 'lime': expected one of auto, grad-cam, relevance"),
        ({"heat_map": "relevance", "layer": "norm"}, "layer 'norm' contradict each other"),
    ],
)
def test_a_method_that_is_not_there_is_refused(more, message):
    with pytest.raises(SettingsError, match=message):
        TorchModel(vit(), **more)
