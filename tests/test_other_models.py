"""Models of torchvision, MONAI and transformers: trained by name, explained and refused."""

import warnings

import compatible_torchvision  # noqa: F401  # before what imports torchvision
import pytest
import torch

from imil.errors import DataError, SettingsError
from imil.pytorch.gradcam import find_layer, grad_cam
from imil.pytorch.heat_maps import method_of
from imil.pytorch.relevance import relevance_maps
from imil.training.network import build


@pytest.fixture(scope="module")
def vit_folder(tmp_path_factory):
    """A small vision transformer as `save_pretrained` writes it, for ten classes."""
    pytest.importorskip("transformers", reason="needs transformers: pip install transformers")
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vit")
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        num_labels=10,
    )
    ViTForImageClassification(config).save_pretrained(folder)
    return folder


def checked(net, size=32):
    """Logits and heat-maps of two images, of which not all are 0."""
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = net.eval()(images)
    assert logits.shape == (2, 3)
    cams = grad_cam(net, images, torch.tensor([[0, 1, 2], [0, 1, 2]]))
    assert cams.max() == 1
    return find_layer(net, images)


@pytest.fixture(autouse=True)
def seeded():
    """Some random weights give a map that is zero everywhere."""
    torch.manual_seed(3)


def test_a_classifier_of_torchvision_is_built_by_name_and_explained():
    net = build("torchvision:squeezenet1_1", classes=3, image_size=32, weights="none")
    assert checked(net).startswith("features") or checked(net).startswith("classifier")


@pytest.mark.slow  # a second to import, and three networks
def test_a_densenet_for_chest_films_takes_its_own_scale_and_weights(tmp_path):
    pytest.importorskip(
        "torchxrayvision", reason="needs TorchXRayVision: pip install torchxrayvision"
    )
    from safetensors.torch import save_file

    name = "torchxrayvision:densenet121"
    torch.manual_seed(0)
    net = build(name, classes=3, image_size=64, weights="none")
    assert checked(net, 64).startswith("features")
    mean, std = (torch.tensor(net.pretrained_cfg[one])[0] for one in ("mean", "std"))
    assert ((torch.tensor([0.0, 1.0]) - mean) / std).tolist() == [-1024, 1024]
    trained = build(name, classes=18, image_size=64, weights="none").state_dict()
    file = tmp_path / "all.safetensors"
    save_file({**trained, "op_threshs": torch.full((18,), 0.1)}, file)  # as its trained models have
    loaded = build(name, classes=3, image_size=64, weights=str(file))
    first = "features.conv0.weight"
    assert first in trained
    assert torch.equal(loaded.state_dict()[first], trained[first])
    assert loaded.state_dict()["classifier.weight"].shape == (3, 1024)
    images = torch.rand(2, 1, 64, 64).expand(2, 3, 64, 64)
    with torch.no_grad():
        logits = loaded.eval()(images)
        assert torch.allclose(loaded(images[:, [0]]), logits, atol=1e-4)
    before = warnings.filters[:]
    with pytest.raises(
        SettingsError, match=r"give torchxrayvision:densenet121 .* a file with --wei"
    ):
        build("torchxrayvision:densenet121-res224-all", classes=3, image_size=64, weights="none")
    assert warnings.filters == before


@pytest.mark.parametrize("headless", [False, True])
def test_a_dinov2_folder_with_or_without_a_head_is_trained_and_explained(tmp_path, headless):
    """As RAD-DINO's: its folder has the weights of a model without a head."""
    pytest.importorskip("transformers", reason="needs transformers: pip install transformers")
    from transformers import Dinov2Config, Dinov2ForImageClassification, Dinov2Model

    config = Dinov2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
        num_labels=5,
    )
    saved = (Dinov2Model if headless else Dinov2ForImageClassification)(config)
    saved.save_pretrained(tmp_path)
    file = str(tmp_path / "model.safetensors")
    net = build(f"transformers:{tmp_path}", classes=3, image_size=28, weights=file)
    layer = checked(net, 28)
    assert layer == "dinov2.layernorm"  # its head reads the class token and the mean of patches
    backbone = saved if headless else saved.dinov2
    token = backbone.embeddings.cls_token
    assert torch.equal(net.dinov2.embeddings.cls_token, token)
    images = torch.rand(2, 3, 28, 28)
    assert method_of(net, images, layer, "auto") == "relevance"
    cams = relevance_maps(net, images, torch.tensor([[0, 1, 2]] * 2))
    assert cams.shape == (2, 3, 28, 28)
    assert cams.max() == 1
    net.train()(images).sum().backward()
    assert net.classifier.weight.grad.any()


@pytest.mark.process  # importing MONAI starts one, and takes seconds
@pytest.mark.slow
def test_a_classifier_of_monai_is_built_by_name_and_explained():
    pytest.importorskip("monai", reason="needs MONAI: pip install imil[monai]")
    net = build("monai:resnet10", classes=3, image_size=32, weights="none")
    checked(net)


def test_a_classifier_of_transformers_is_built_from_its_folder(vit_folder):
    name = f"transformers:{vit_folder}"
    net = build(name, classes=3, image_size=32, weights="none")
    # the norm before the last attention: behind it patches do not reach the class token
    assert "1.layernorm_before" in checked(net)
    file = str(vit_folder / "model.safetensors")
    loaded = build(name, classes=3, image_size=32, weights=file)
    one, other = net.state_dict(), loaded.state_dict()
    assert not torch.equal(one["vit.embeddings.cls_token"], other["vit.embeddings.cls_token"])
    same = build(name, classes=10, image_size=32, weights=file).state_dict()
    assert torch.equal(same["vit.embeddings.cls_token"], other["vit.embeddings.cls_token"])
    with pytest.raises(SettingsError, match="cannot take images of --image-size 64"):
        build(name, classes=3, image_size=64, weights="none")


def test_the_weights_of_a_base_model_without_a_head_are_taken(tmp_path, vit_folder):
    from transformers import ViTConfig, ViTModel

    base = ViTModel(ViTConfig.from_pretrained(vit_folder), add_pooling_layer=False)
    base.save_pretrained(tmp_path)
    file = str(tmp_path / "model.safetensors")
    net = build(f"transformers:{tmp_path}", classes=3, image_size=32, weights=file)
    token = net.state_dict()["vit.embeddings.cls_token"]
    assert torch.equal(token, base.state_dict()["embeddings.cls_token"])
    deeper = ViTConfig.from_pretrained(vit_folder, num_hidden_layers=3)
    deeper.save_pretrained(tmp_path)
    with pytest.raises(DataError, match=r"layers vit\.layers\.2.* are missing or of another shape"):
        build(f"transformers:{tmp_path}", classes=3, image_size=32, weights=file)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("keras:ResNet50", "names no library that is known: give one of timm's models, or monai:"),
        ("torchvision:resnet1", "not known to torchvision: did you mean resnet"),
        ("transformers:nowhere", "nowhere is not a folder with a config.json"),
    ],
)
def test_a_model_that_a_library_does_not_have_is_refused(name, message):
    with pytest.raises(SettingsError, match=message):
        build(name, classes=3, image_size=32, weights="none")


def test_weights_that_do_not_fit_are_refused(vit_folder):
    with pytest.raises(SettingsError, match="--weights imagenet are timm's, and the model is tor"):
        build("torchvision:squeezenet1_1", classes=3, image_size=32, weights="imagenet")
    file = str(vit_folder / "model.safetensors")
    with pytest.raises(DataError, match="do not fit the model"):
        build("torchvision:squeezenet1_1", classes=3, image_size=32, weights=file)


def test_images_are_scaled_as_the_folder_says_or_as_imagenet_s(vit_folder, tmp_path):
    name = f"transformers:{vit_folder}"
    net = build(name, classes=3, image_size=32, weights="none")
    assert net.pretrained_cfg["mean"] == (0.485, 0.456, 0.406)
    file = vit_folder / "preprocessor_config.json"
    file.write_text('{"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}')
    net = build(name, classes=3, image_size=32, weights="none")
    assert net.pretrained_cfg["mean"] == (0.1, 0.2, 0.3)
    assert net.pretrained_cfg["std"] == (0.4, 0.5, 0.6)
    file.write_text("{")
    with pytest.raises(DataError, match="is damaged: save the model anew"):
        build(name, classes=3, image_size=32, weights="none")
