"""Heat-maps of each family of timm, against a Grad-CAM of plain hooks (see `timm_sweep`)."""

import os

import pytest
import timm_sweep
from timm.models import _registry

from imil.errors import SettingsError
from imil.training import network

# without a smaller model: to build one and its gradients takes gigabytes or many minutes
LARGE = {
    "deepseek_vit",
    "gemma4_vit",
    "mobilenetv5",
    "naflexvit",
    "nasnet",
    "pnasnet",
    "qwen3_vit",
    "vgg",
    "vision_transformer_sam",
}
# of each kind of network one; all take a quarter of an hour: IMIL_ALL_FAMILIES=1
SAMPLE = {"convnext", "efficientnet", "levit", "mobilevit", "regnet", "swin_transformer"}
ALL = set(timm_sweep.FAMILIES) - LARGE
TESTED = sorted(ALL if os.environ.get("IMIL_ALL_FAMILIES") else SAMPLE)
SMALL = [("test_resnet", 96), ("test_vit", 96), ("test_coatnet", 96), ("levit_128s", 128)]


@pytest.mark.parametrize(("name", "size"), SMALL)
def test_small_models_are_explained_as_plain_hooks_do(name, size):
    assert timm_sweep.check(name, size).faults == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    "family", sorted(ALL if os.environ.get("IMIL_ALL_FAMILIES") else SAMPLE & ALL)
)
def test_a_family_is_explained_as_plain_hooks_do(family):
    name = timm_sweep.FAMILIES[family]
    if family not in _registry._module_to_models:
        pytest.skip(f"this version of timm has no {family}")
    made_for, other = timm_sweep.sizes_of(name)
    assert timm_sweep.check(name, made_for).faults == ()
    try:
        network.build(name, classes=2, image_size=other, weights="none")
    except SettingsError:  # made for one size
        other = made_for
    if other != made_for:
        assert timm_sweep.check(name, other).faults == ()


@pytest.mark.slow
def test_no_family_is_left_out():
    assert not set(_registry._module_to_models) - set(timm_sweep.FAMILIES)
