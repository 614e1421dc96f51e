"""Heat-maps: the numbers, the models that can be explained, and the traces that are not left."""

from __future__ import annotations

import copy
import gc
import random
import weakref
from collections import OrderedDict
from types import SimpleNamespace

import compatible_torchvision  # noqa: F401  # before what imports torchvision
import numpy as np
import pytest
import timm
import torch
from captum.attr import LayerGradCam
from torch import nn
from torch.nn import functional

from imil.errors import SettingsError, ShapeError
from imil.pytorch.gradcam import find_layer, grad_cam


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


class Pass(nn.Module):
    """A forward pass written down in a test."""

    def __init__(self, forward, **parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(parts)
        self.run = forward

    def forward(self, x):
        return self.run(self.parts, x)


class Linear(nn.Module):
    """Channels as they are, averaged over the image, and weighted: all maps are known."""

    def __init__(self, weights: list[list[float]]) -> None:
        super().__init__()
        self.body = nn.Identity()
        self.head = nn.Linear(len(weights[0]), len(weights), bias=False)
        self.head.weight.data = torch.tensor(weights).float()

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


def small(classes: int = 3) -> nn.Sequential:
    """A network of somebody's own: batch norm with statistics, in-place ReLU, dropout."""
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True),
        nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
        nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes),
    )  # fmt: skip
    network(torch.randn(16, 3, 32, 48))
    return network


# ---- the numbers ---------------------------------------------------------------------------


def test_a_linear_network_s_maps_are_those_worked_out_by_hand() -> None:
    # two channels; class 0 is first minus second, class 1 the opposite, class 2 likes neither
    image = torch.tensor([[[1.0, 2.0], [0.0, 4.0]], [[0.0, 4.0], [1.0, 1.0]]])
    network = Linear([[1, -1], [-1, 1], [-1, -1]])
    maps = grad_cam(network, image[None], np.array([[0, 1, 2]]), layer="body")
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps[0, 0], [[1 / 3, 0], [0, 1]], atol=1e-6)
    np.testing.assert_allclose(maps[0, 1], [[0, 1], [0.5, 0]], atol=1e-6)
    assert (maps[0, 2] == 0).all()


def test_a_channel_weighs_as_much_as_its_gradient_does_on_average() -> None:
    # the scores see the first channel's corners with weights 4 and -2, the second's all with 1
    seen = torch.tensor([[[4.0, 0.0], [0.0, -2.0]], [[1.0, 1.0], [1.0, 1.0]]])
    network = Pass(lambda parts, x: (parts["body"](x) * seen).sum((1, 2, 3)), body=nn.Identity())
    image = torch.tensor([[[[2.0, 4.0], [0.0, 0.0]], [[0.0, 2.0], [1.0, 0.0]]]])
    # (4 - 2) / 4 times the first channel, and the second as it is
    expected = torch.tensor([[1.0, 4.0], [1.0, 0.0]]) / 4
    maps = grad_cam(network, image, [[1]], layer="parts.body")
    np.testing.assert_allclose(maps[0, 0], expected, atol=1e-6)


def test_a_coarse_map_is_enlarged_bilinearly_to_the_image() -> None:
    network = Pass(lambda parts, x: parts["body"](x).mean((2, 3)), body=nn.AvgPool2d(2))
    network.parts["body"] = nn.Conv2d(1, 1, 2, stride=2, bias=False)
    nn.init.ones_(network.parts["body"].weight)
    image = torch.zeros(1, 1, 4, 6)
    image[0, 0, 0, 0] = 7
    fall = np.array([1, 0.75, 0.25, 0])  # pixel centres lie a quarter off those of the map
    expected = np.outer(fall, [*fall, 0, 0])
    np.testing.assert_allclose(grad_cam(network, image, [[1]])[0, 0], expected, atol=1e-6)


def test_one_logit_counts_for_class_1_and_against_class_0() -> None:
    image = torch.tensor([[[[1.0, 2.0], [0.0, 4.0]], [[0.0, 4.0], [1.0, 1.0]]]])
    network = Linear([[1, -1]])
    flat = Pass(lambda parts, x: parts["inner"](x)[:, 0], inner=network)
    for module, layer in ((network, "body"), (flat, "parts.inner.body")):
        maps = grad_cam(module, image, [[0, 1]], layer=layer)
        np.testing.assert_allclose(maps[0, 0], [[0, 1], [0.5, 0]], atol=1e-6)
        np.testing.assert_allclose(maps[0, 1], [[1 / 3, 0], [0, 1]], atol=1e-6)


def test_the_maximum_falls_on_what_the_network_was_taught_to_see() -> None:
    rows, cols = torch.meshgrid(torch.arange(48.0), torch.arange(80.0), indexing="ij")

    def films(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        places = torch.rand(count, 2) * torch.tensor([32.0, 64.0]) + 8
        distance = (rows - places[:, :1, None]) ** 2 + (cols - places[:, 1:, None]) ** 2
        labels = torch.arange(count) % 2
        blobs = 2 * (-distance / 32).exp() * labels[:, None, None]
        return (torch.randn(count, 48, 80) * 0.3 + blobs)[:, None], labels, places

    network = nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2, padding=2), nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2),
    )  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(60):
        images, labels, _ = films(32)
        optimizer.zero_grad()
        functional.cross_entropy(network(images), labels).backward()
        optimizer.step()

    images, labels, places = films(40)
    maps = grad_cam(network, images, labels[:, None])
    seen = np.flatnonzero(labels.numpy())
    peaks = np.array([np.unravel_index(maps[i, 0].argmax(), (48, 80)) for i in seen])
    assert np.abs(peaks - places.numpy()[seen]).max() < 4  # the blob's standard deviation


# ---- an independent library ----------------------------------------------------------------


class Shown(nn.Module):
    """A layer whose output passes, as a map with the channels first, through `.map`."""

    def __init__(self, layer: nn.Module, grid: tuple[int, int] | None) -> None:
        super().__init__()
        self.layer, self.map, self.grid = layer, nn.Identity(), grid

    def forward(self, x):
        out = self.layer(x)
        if self.grid is None:  # the channels are last
            return self.map(out.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        first = out.shape[1] - self.grid[0] * self.grid[1]
        patches = out[:, first:].transpose(1, 2).reshape(len(out), -1, *self.grid)
        patches = self.map(patches).flatten(2).transpose(1, 2)
        return torch.cat([out[:, :first], patches], 1)


def by_captum(module, layer, images, classes):
    """Captum's maps, one class at a time, enlarged and normalised as ours are."""
    columns = [
        LayerGradCam(module, layer).attribute(images, target=column, relu_attributions=True)
        for column in classes.unbind(1)
    ]
    large = functional.interpolate(torch.cat(columns, 1), size=images.shape[2:], mode="bilinear")
    highest = large.amax((2, 3), keepdim=True)
    return (large / torch.where(highest > 0, highest, 1)).detach().numpy()


CONVOLUTIONAL = [
    ("resnet18", (64, 64), "layer4"),
    ("resnet18", (64, 96), "layer4"),
    ("densenet121", (64, 64), "features"),
    ("efficientnet_b0", (64, 64), "bn2"),
    ("convnext_atto", (64, 64), "norm_pre"),
    ("mobilenetv3_small_050", (96, 64), "blocks"),
    ("vgg11", (64, 96), "features.19"),  # before the last pooling, as in the publication
    ("pvt_v2_b0", (64, 64), "stages"),
]
VIT, LAST = "vit_tiny_patch16_224", "blocks.2.norm1"  # shortened to three blocks
OTHERS = [  # the grid of patches; None where there is a map with the channels last
    (VIT, (64, 64), {"img_size": 64, "depth": 3}, LAST, (4, 4)),
    (VIT, (64, 96), {"img_size": (64, 96), "depth": 3}, LAST, (4, 6)),
    (VIT, (64, 96), {"dynamic_img_size": True, "depth": 3}, LAST, (4, 6)),
    (VIT, (64, 64), {"img_size": 64, "depth": 3, "global_pool": "avg"}, "norm", (4, 4)),
    ("vit_small_patch14_reg4_dinov2", (70, 98), {"img_size": (70, 98), "depth": 3}, LAST, (5, 7)),
    ("deit_tiny_distilled_patch16_224", (64, 64), {"img_size": 64, "depth": 3}, LAST, (4, 4)),
    ("mixer_s16_224", (64, 64), {"img_size": 64}, "norm", (4, 4)),
    ("swin_tiny_patch4_window7_224", (64, 96), {"img_size": (64, 96)}, "norm", None),
]


def timm_model(name, **settings):
    """A model in evaluation mode whose head is not zero."""
    module = timm.create_model(name, pretrained=False, num_classes=3, **settings).eval()
    for name, parameter in module.named_parameters():
        if name.startswith("head") and name.endswith("weight") and parameter.ndim == 2:
            nn.init.normal_(parameter)
    return module


@pytest.mark.parametrize(("name", "size", "layer"), CONVOLUTIONAL)
def test_maps_of_convolutional_networks_equal_captum_s(name, size, layer) -> None:
    narrow = {"mlp_ratio": 1 / 64} if name == "vgg11" else {}  # 100 million weights fewer
    module = timm_model(name, **narrow)
    images = torch.randn(2, 3, *size)
    classes = torch.tensor([[0, 1], [2, 0]])
    assert find_layer(module, images) == layer
    expected = by_captum(module, module.get_submodule(layer), images, classes)
    np.testing.assert_allclose(grad_cam(module, images, classes), expected, atol=1e-4)
    assert expected.any()


@pytest.mark.parametrize(("name", "size", "settings", "layer", "grid"), OTHERS)
def test_maps_of_transformers_equal_captum_s(name, size, settings, layer, grid) -> None:
    module = timm_model(name, **settings)
    images = torch.randn(2, 3, *size)
    classes = torch.tensor([[0, 1], [2, 0]])
    assert find_layer(module, images) == layer
    result = grad_cam(module, images, classes)
    shown = Shown(module.get_submodule(layer), grid)
    module.set_submodule(layer, shown)
    np.testing.assert_allclose(result, by_captum(module, shown.map, images, classes), atol=1e-4)
    assert result.any()


# ---- batches -------------------------------------------------------------------------------


def test_a_batch_gives_what_its_images_and_classes_give_one_by_one() -> None:
    network, images = small(), torch.randn(5, 3, 32, 48)
    classes = torch.tensor([[0, 1], [1, 2], [2, 2], [0, 2], [1, 0]])
    maps = grad_cam(network, images, classes)
    assert maps.shape == (5, 2, 32, 48)
    for i in range(5):
        for p in range(2):
            alone = grad_cam(network, images[i : i + 1], classes[i : i + 1, p : p + 1])
            np.testing.assert_allclose(maps[i, p], alone[0, 0], atol=1e-5)


def test_each_map_has_maximum_1_or_is_zero() -> None:
    maps = grad_cam(small(), torch.randn(8, 3, 32, 48), torch.arange(24).reshape(8, 3) % 3)
    assert maps.min() >= 0
    assert set(maps.max((2, 3)).ravel()) <= {0.0, 1.0}


def test_no_image_gives_no_map() -> None:
    nothing = grad_cam(small(), torch.zeros(0, 3, 32, 48), torch.zeros(0, 2, dtype=torch.long))
    assert nothing.shape == (0, 2, 32, 48)


# ---- modules as people write and wrap them -------------------------------------------------


def same_maps(module: nn.Module, other: nn.Module, *, layer: str | None = None) -> None:
    """Assert that both modules are explained alike."""
    images, classes = torch.randn(3, 3, 32, 48), torch.tensor([[0, 1], [1, 2], [2, 0]])
    expected = grad_cam(other, images, classes)
    assert expected.any()
    np.testing.assert_allclose(grad_cam(module, images, classes, layer=layer), expected, atol=1e-5)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda logits: (logits, None),
        lambda logits: [logits],
        lambda logits: {"logits": logits, "loss": None},
        lambda logits: SimpleNamespace(logits=logits),
        lambda logits: OrderedDict(loss=None, logits=logits),
    ],
)
def test_logits_are_found_in_what_the_model_returns(wrap) -> None:
    network = small()
    same_maps(Pass(lambda parts, x: wrap(parts["inner"](x)), inner=network), network)


@pytest.mark.parametrize(
    ("wrap", "named"),
    [
        (lambda logits: logits[:, :, None, None], r"shape \(2, 3, 1, 1\) for 2 images"),
        (lambda logits: logits.sum(), r"shape \(\) for 2 images"),
        (lambda logits: {"finding": logits}, "returns a dict without class scores"),
        (lambda logits: None, "returns a NoneType"),
        (lambda logits: logits.argmax(1), "returns a Tensor without class scores"),
    ],
)
def test_other_outputs_are_refused_with_a_sentence(wrap, named) -> None:
    module = Pass(lambda parts, x: wrap(parts["inner"](x)), inner=small())
    with pytest.raises(ShapeError, match=named):
        grad_cam(module, torch.randn(2, 3, 32, 48), [[0], [1]])


def test_frozen_parameters_make_no_difference() -> None:
    network = small()
    same_maps(copy.deepcopy(network).requires_grad_(False), network)


def test_a_body_that_runs_without_gradients_makes_no_difference() -> None:
    network = small()

    def forward(parts, x):
        with torch.no_grad():
            features = parts["body"](x)
        return parts["head"](features)

    same_maps(Pass(forward, body=network[:6], head=network[7:]), network, layer="parts.body")


def test_surroundings_make_no_difference() -> None:
    network, images = small(), torch.randn(2, 3, 32, 48)
    expected = grad_cam(network, images, [[0], [1]])
    for surroundings in (
        torch.no_grad(),
        torch.inference_mode(),
        torch.autocast("cpu", dtype=torch.bfloat16),
    ):
        with surroundings:
            result = grad_cam(network, images.clone(), [[0], [1]])
        np.testing.assert_array_equal(result, expected)


def test_memory_layout_makes_no_difference() -> None:
    network, images = small(), torch.randn(2, 3, 32, 48)
    expected = grad_cam(network, images, [[0], [1]])
    turned = images.transpose(2, 3).contiguous().transpose(2, 3)
    np.testing.assert_allclose(grad_cam(network, turned, [[0], [1]]), expected, atol=1e-5)
    last = images.to(memory_format=torch.channels_last)
    network = network.to(memory_format=torch.channels_last)
    np.testing.assert_allclose(grad_cam(network, last, [[0], [1]]), expected, atol=1e-5)


def test_a_layer_before_an_in_place_relu_is_explained_as_it_was() -> None:
    network = small()
    changed = copy.deepcopy(network)
    changed[5] = nn.ReLU(inplace=False)
    images, classes = torch.randn(2, 3, 32, 48), [[0], [1]]
    np.testing.assert_array_equal(
        grad_cam(network, images, classes, layer="4"), grad_cam(changed, images, classes, layer="4")
    )


def test_a_layer_that_hands_on_what_is_overwritten_later_is_explained_as_it_was() -> None:
    def forward(parts, x):
        features = parts["body"](x)
        shown = parts["shown"](features) * 1
        features.zero_()
        return parts["head"](shown)

    network = small()
    module = Pass(forward, body=network[:6], shown=nn.Identity(), head=network[7:])
    same_maps(module, network, layer="parts.shown")


def test_of_a_layer_used_twice_the_last_use_is_explained() -> None:
    shared = nn.Conv2d(3, 3, 3, padding=1)
    head = nn.Linear(3, 3)
    twice = Pass(
        lambda parts, x: parts["head"](parts["conv"](parts["conv"](x).relu_()).mean((2, 3))),
        conv=shared,
        head=head,
    )
    once = nn.Sequential(
        shared, nn.ReLU(), copy.deepcopy(shared), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head
    )
    same_maps(twice, once)


def test_a_layer_may_return_a_tuple() -> None:
    network = small()
    pair = Pass(lambda parts, x: (parts["body"](x), "more"), body=network[:6])
    module = Pass(lambda parts, x: parts["head"](parts["pair"](x)[0]), pair=pair, head=network[6:])
    same_maps(module, network, layer="parts.pair")


def test_wrapped_and_compiled_modules_are_explained_like_what_they_hold() -> None:
    network = small()
    same_maps(nn.DataParallel(network), network)
    same_maps(torch.compile(network, backend="eager"), network)
    inside = Pass(lambda parts, x: parts["net"](x), net=torch.compile(network, backend="eager"))
    inside(torch.randn(2, 3, 32, 48))  # compiled before anybody looks
    same_maps(inside, network)
    itself = copy.deepcopy(network)
    itself.compile(backend="eager")
    itself(torch.randn(2, 3, 32, 48))
    itself.load_state_dict(network.state_dict())  # the pass moved the running means
    same_maps(itself, network)


def test_checkpointed_activations_make_no_difference() -> None:
    module = timm_model("resnet18")
    images = torch.randn(1, 3, 64, 64)
    expected = grad_cam(module, images, [[0, 1]])
    module.set_grad_checkpointing()
    np.testing.assert_allclose(grad_cam(module, images, [[0, 1]]), expected, atol=1e-6)


def test_tokens_and_maps_of_the_same_network_give_the_same_heat_map() -> None:
    embed, norm, head = nn.Conv2d(3, 8, 8, stride=8), nn.LayerNorm(8), nn.Linear(8, 3)

    def as_tokens(parts, x):
        return parts["head"](parts["norm"](parts["embed"](x).flatten(2).mT).relu().mean(1))

    def channels_last(parts, x):
        return parts["head"](parts["norm"](parts["embed"](x).movedim(1, 3)).relu().mean((1, 2)))

    class First(nn.Module):
        def forward(self, x):
            return norm(x.movedim(1, 3)).movedim(3, 1)

    def channels_first(parts, x):
        return parts["head"](parts["first"](parts["embed"](x)).relu().mean((2, 3)))

    reference = Pass(channels_first, embed=embed, first=First(), head=head)
    for forward in (as_tokens, channels_last):
        module = Pass(forward, embed=embed, norm=norm, head=head)
        same_maps(module, reference, layer="parts.norm")
        same_maps(module, reference)


# ---- no trace ------------------------------------------------------------------------------


class Fails(nn.Module):
    """Passes its input on, and raises forwards or backwards when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.when = ""

    def forward(self, x):
        if self.when == "forward":
            raise FloatingPointError("forward")
        if self.when == "backward" and x.requires_grad:
            x = x.clone()
            x.register_hook(self.fail)
        torch.rand(()), np.random.rand(), random.random()  # noqa: NPY002
        return x

    @staticmethod
    def fail(gradient):
        raise FloatingPointError("backward")


def traces(module: nn.Module) -> dict[str, object]:
    """All that a look at the module could have changed."""
    return {
        "training": [part.training for part in module.modules()],
        "grad": [parameter.grad for parameter in module.parameters()],
        "requires_grad": [parameter.requires_grad for parameter in module.parameters()],
        "hooks": [
            [len(value) for name, value in vars(part).items() if name.endswith("_hooks")]
            for part in module.modules()
        ],
        "state": {name: value.tolist() for name, value in module.state_dict().items()},
        "python": random.getstate(),
        "numpy": str(np.random.get_state()),  # noqa: NPY002
        "torch": torch.get_rng_state().tolist(),
        "recording": torch.is_grad_enabled(),
    }


def watched() -> nn.Sequential:
    """A network with a mixed pattern of modes, a frozen layer, one gradient and one hook."""
    network = small()
    network.insert(6, Fails())
    network.train()
    network[1].eval()
    network[0].weight.requires_grad_(False)
    network[3].weight.grad = torch.ones_like(network[3].weight)
    network[3].register_forward_hook(lambda *_: None)
    return network


@pytest.mark.parametrize("layer", [None, "5"])
@pytest.mark.parametrize("when", ["", "forward", "backward"])
def test_nothing_is_left_behind(when, layer) -> None:
    network = watched()
    images, kept = torch.randn(2, 3, 32, 48), torch.zeros(2, 3, 32, 48)
    kept.copy_(images)
    network[6].when = when
    before = traces(network)
    if when:
        with pytest.raises(FloatingPointError, match=when):
            grad_cam(network, images, [[0, 1], [1, 2]], layer=layer)
    else:
        grad_cam(network, images, [[0, 1], [1, 2]], layer=layer)
    assert traces(network) == before
    assert torch.equal(images, kept)
    assert not images.requires_grad
    assert images.grad is None


@pytest.mark.parametrize("when", ["", "forward", "backward"])
def test_no_activation_stays_in_memory(when) -> None:
    network, seen = small(), []
    network.insert(6, Fails())
    network[6].when = when
    hook = network[5].register_forward_hook(lambda part, args, out: seen.append(weakref.ref(out)))
    try:
        grad_cam(network, torch.randn(2, 3, 32, 48), [[0, 1], [1, 2]])
    except FloatingPointError:
        assert when
    hook.remove()
    gc.collect()
    assert seen
    assert all(activation() is None for activation in seen)


def test_a_model_that_overwrites_its_input_gets_a_copy() -> None:
    network = small()
    images = torch.rand(2, 3, 32, 48)
    kept = images.clone()
    grad_cam(Pass(lambda parts, x: parts["net"](x.sub_(0.5)), net=network), images, [[0], [1]])
    assert torch.equal(images, kept)


def test_the_next_training_step_is_the_one_it_would_have_been() -> None:
    weights = []
    for looked in (False, True):
        torch.manual_seed(1)
        network = small().train()
        optimizer = torch.optim.SGD(network.parameters(), 0.1)
        for _ in range(2):
            if looked:
                grad_cam(network, torch.zeros(2, 3, 32, 48), [[0], [1]])
            functional.cross_entropy(network(torch.randn(4, 3, 32, 48)), torch.arange(4) % 3)
            optimizer.zero_grad()
            network(torch.randn(4, 3, 32, 48)).square().sum().backward()
            optimizer.step()
        weights.append(torch.cat([value.flatten() for value in network.state_dict().values()]))
    assert torch.equal(*weights)


# ---- what people get wrong -----------------------------------------------------------------


def test_what_is_not_a_number_is_never_hidden() -> None:
    images = torch.randn(3, 3, 32, 48)
    for value in (torch.nan, torch.inf):
        bad = images.clone()
        bad[1, 0, 5, 5] = value
        with pytest.raises(ShapeError, match="heat-map of image 1 of the batch is not a number"):
            grad_cam(small(), bad, [[0], [1], [2]])
    network = small()
    network[9].weight.data[2] = torch.nan
    with pytest.raises(ShapeError, match=r"heat-map of image 0 .* lower the learning rate"):
        grad_cam(network, images, [[0], [1], [2]])


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        ("parts.bdy", "unknown layer 'parts.bdy' of Pass: did you mean parts.body"),
        ("parts.idle", "'parts.idle' does not run when Pass is given an image"),
        ("parts.pool", r"'parts.pool' gives \(2, 4, 1, 1\), which is not a map of the image"),
        ("parts.aside", "scores do not depend on layer 'parts.aside'"),
        ("parts.cut", "scores do not depend on layer 'parts.cut', or the model detaches"),
        ("parts.words", "'parts.words' gives a dict, not a map"),
    ],
)
def test_a_layer_that_cannot_be_explained_is_refused_with_a_sentence(layer, named) -> None:
    def forward(parts, x):
        parts["aside"](x)
        parts["words"](x)
        features = parts["body"](parts["cut"](x).detach())
        return parts["head"](parts["pool"](features).flatten(1))

    module = Pass(
        forward,
        **{name: nn.Conv2d(3, 3, 1) for name in ("aside", "cut", "idle")},
        words=Pass(lambda parts, x: {"x": x}),
        body=nn.Conv2d(3, 4, 3),
        pool=nn.AdaptiveAvgPool2d(1),
        head=nn.Linear(4, 3),
    )
    with pytest.raises(SettingsError, match=named):
        grad_cam(module, torch.randn(2, 3, 32, 48), [[0], [1]], layer=layer)


@pytest.mark.parametrize(
    ("shape", "classes", "named"),
    [
        ((3, 32, 48), [[0]], r"images of shape \(3, 32, 48\) cannot be explained"),
        ((2, 3, 32, 48), [0, 1], r"classes of shape \(2,\) do not fit 2 images"),
        ((2, 3, 32, 48), [[0, 1]], r"classes of shape \(1, 2\) do not fit 2 images"),
        ((2, 3, 32, 48), [[], []], r"classes of shape \(2, 0\) do not fit 2 images"),
        ((2, 3, 32, 48), [[0], [3]], "class 3 cannot be explained: the model knows classes 0 to 2"),
        ((2, 3, 32, 48), [[0], [-1]], "class -1 cannot be explained"),
        ((2, 3, 32, 48), [[0.5], [1.0]], "classes are torch.float32: give whole numbers"),
    ],
)
def test_shapes_and_classes_that_do_not_fit_are_refused(shape, classes, named) -> None:
    with pytest.raises(ShapeError, match=named):
        grad_cam(small(), torch.randn(shape), classes)
