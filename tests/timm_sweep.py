"""A heat-map of imil against a Grad-CAM of plain hooks, and its place in the image.

Nothing here uses how imil finds or lays out a layer: images are square, so that a layer's rows and
columns are known from its shape, and where the layer sees a change of the image is measured.
"""

from __future__ import annotations

import copy
import gc
import sys
import time
from dataclasses import dataclass

import compatible_torchvision  # noqa: F401 - before timm
import numpy as np
import timm
import torch
from torch import nn

from imil.pytorch.gradcam import grad_cam
from imil.pytorch.layers import find_finer_layer, find_layer
from imil.training import network

CLASSES = 3
# module of timm -> its smallest model
FAMILIES = {
    "beit": "beit_base_patch16_224",
    "byoanet": "halonet_h1",
    "byobnet": "test_byobnet",
    "cait": "cait_xxs24_224",
    "coat": "coat_tiny",
    "convit": "convit_tiny",
    "convmixer": "convmixer_768_32",
    "convnext": "test_convnext",
    "cpubone": "cpubone_nano",
    "crossvit": "crossvit_tiny_240",
    "csatv2": "csatv2",
    "cspnet": "cs3darknet_focus_s",
    "cspnext": "cspnext_tiny",
    "davit": "davit_tiny",
    "deepseek_vit": "deepseek_vit_412m",
    "deit": "deit_tiny_patch16_224",
    "densenet": "densenet121",
    "dla": "dla46x_c",
    "dpn": "dpn48b",
    "edgenext": "edgenext_xx_small",
    "efficientformer": "efficientformer_l1",
    "efficientformer_v2": "efficientformerv2_s0",
    "efficientnet": "mnasnet_small",
    "efficientvim": "efficientvim_m1",
    "efficientvit_mit": "efficientvit_b0",
    "efficientvit_msra": "efficientvit_m0",
    "eva": "eva02_tiny_patch14_224",
    "fasternet": "fasternet_t0",
    "fastvit": "fastvit_t8",
    "focalnet": "focalnet_tiny_srf",
    "gcvit": "gcvit_xxtiny",
    "gemma4_vit": "gemma4_vit_167m_enc",
    "ghostnet": "ghostnet_050",
    "hardcorenas": "hardcorenas_b",
    "hgnet": "hgnetv2_b0",
    "hiera": "hiera_tiny_224",
    "hieradet_sam2": "sam2_hiera_tiny",
    "hrnet": "hrnet_w18_ssld",
    "iformer": "iformer_t",
    "inception_next": "inception_next_atto",
    "inception_resnet_v2": "inception_resnet_v2",
    "inception_v3": "inception_v3",
    "inception_v4": "inception_v4",
    "lcnetv2": "lcnetv2_small",
    "levit": "levit_128s",
    "lowformer": "lowformer_b0",
    "mambaout": "test_mambaout",
    "maxxvit": "test_coatnet",
    "metaformer": "poolformerv2_s12",
    "mlp_mixer": "gmlp_ti16_224",
    "mobilenetv3": "lcnet_035",
    "mobilenetv5": "mobilenetv5_base",
    "mobilevit": "mobilevit_xxs",
    "mvitv2": "mvitv2_tiny",
    "naflexvit": "naflexvit_base_patch16_parfac_gap",
    "nasnet": "nasnetalarge",
    "nest": "nest_tiny",
    "nextvit": "nextvit_small",
    "nfnet": "test_nfnet",
    "pit": "pit_ti_224",
    "pnasnet": "pnasnet5large",
    "pvt_v2": "pvt_v2_b0",
    "qwen3_vit": "qwen3_vit_88m",
    "rdnet": "rdnet_tiny",
    "regnet": "regnety_004",
    "repghost": "repghostnet_050",
    "repvit": "repvit_m1",
    "res2net": "res2next50",
    "resnest": "resnest14d",
    "resnet": "test_resnet",
    "resnetv2": "resnetv2_18",
    "rexnet": "rexnet_100",
    "selecsls": "selecsls42",
    "senet": "legacy_seresnet18",
    "sequencer": "sequencer2d_s",
    "shvit": "shvit_s1",
    "sknet": "skresnet18",
    "starnet": "starnet_s050",
    "swiftformer": "swiftformer_xs",
    "swin_transformer": "swin_tiny_patch4_window7_224",
    "swin_transformer_v2": "swinv2_tiny_window8_256",
    "swin_transformer_v2_cr": "swinv2_cr_tiny_224",
    "tiny_vit": "tiny_vit_5m_224",
    "tnt": "tnt_s_legacy_patch16_224",
    "tresnet": "tresnet_m",
    "twins": "twins_svt_small",
    "vgg": "vgg11",
    "visformer": "visformer_tiny",
    "vision_transformer": "test_vit",
    "vision_transformer_hybrid": "vit_tiny_r_s16_p8_224",
    "vision_transformer_relpos": "test_vit_relpos",
    "vision_transformer_sam": "samvit_base_patch16_224",
    "vitamin": "vitamin_small_224",
    "volo": "volo_d1_224",
    "vovnet": "ese_vovnet19b_slim_dw",
    "xception": "xception",
    "xception_aligned": "xception41",
    "xcit": "xcit_tiny_24_p8_384",
}
DRAWS = 5  # of weights
PAIRS = 4  # of images
LEAST_ROWS = 4  # of a map, to tell corners apart
CLOSE = 0.01  # of heat-maps in [0, 1]
EXPLAINED = (0, 2)  # classes
# of an image; in a transposed map the second and the third would be exchanged
CORNERS = {"top left": (0, 0), "top right": (0, 1), "bottom left": (1, 0), "bottom right": (1, 1)}


@dataclass(frozen=True)
class Checked:
    """What a sweep measured: the layer, its map, and the faults, a sentence each."""

    layer: str
    shape: tuple[int, ...]
    faults: tuple[str, ...]


def build(name: str, size: int) -> nn.Module:
    """The model with random weights; no weight is left at zero, which hides what it is for.

    Raises: SettingsError: it cannot take images of that size.
    """
    torch.manual_seed(0)
    module = network.build(name, classes=CLASSES, image_size=size, weights="none")
    with torch.no_grad():
        for values in module.parameters():
            values += 0.02 * torch.randn_like(values)
        norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        for norm in norms:  # or else little of the image arrives at the last layer
            norm.momentum = 1.0
        if norms:
            module.train()(torch.cat([images(size, seed) for seed in range(2)]))
    return module


def images(size: int, seed: int = 0) -> torch.Tensor:
    """Two images of coarse noise, which survives the strides of any model."""
    coarse = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")


def as_positions(tensor: torch.Tensor) -> torch.Tensor:
    """A layer's output (B, D, P, P), by its shape alone; tokens before the patches left out."""
    if tensor.ndim == 3:
        side = int(tensor.shape[1] ** 0.5)
        patches = tensor[:, tensor.shape[1] - side * side :]
        return patches.transpose(1, 2).reshape(len(tensor), -1, side, side)
    return tensor.permute(0, 3, 1, 2) if tensor.shape[1] == tensor.shape[2] else tensor


def run(module: nn.Module, layer: str, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The layer's output in its last call, and the logits."""
    seen: list[torch.Tensor] = []

    def keep(_part: nn.Module, _args: object, output: object) -> object:
        tensor = output[0] if isinstance(output, tuple) else output
        seen.append(tensor if tensor.requires_grad else tensor.detach().requires_grad_())
        copy = seen[-1].clone()
        return (copy, *output[1:]) if isinstance(output, tuple) else copy

    hook = module.get_submodule(layer).register_forward_hook(keep)
    try:
        logits = module(inputs)
    finally:
        hook.remove()
    return seen[-1], logits


def plain_grad_cams(module: nn.Module, layer: str, inputs: torch.Tensor) -> np.ndarray:
    """Grad-CAM of two classes, (B, 2, size, size), each divided by its maximum (Selvaraju 2017)."""
    activation, logits = run(module, layer, inputs)
    maps, cams = as_positions(activation), []
    for of in EXPLAINED:
        (gradient,) = torch.autograd.grad(logits[:, of].sum(), activation, retain_graph=True)
        weights = as_positions(gradient).mean(dim=(2, 3), keepdim=True)
        cams.append((maps * weights).sum(dim=1).relu())
    cam = torch.stack(cams, 1)
    large = nn.functional.interpolate(cam, size=inputs.shape[2:], mode="bilinear")
    return (large / large.amax(dim=(2, 3), keepdim=True).clamp_min(1e-30)).detach().numpy()


def may_be_out_of_place(module: nn.Module, layer: str, inputs: torch.Tensor) -> bool:
    """Whether the layer gives tokens or channels last, which may be in any order of places."""
    with torch.no_grad():
        output = run(module, layer, inputs)[0]
    return output.ndim == 3 or output.shape[1] == output.shape[2]


def misplaced(module: nn.Module, layer: str, size: int) -> list[str]:
    """Corners of the image whose change is seen in the opposite corner of the layer's map."""
    half, sums = size // 2, torch.zeros(len(CORNERS), 2, 2)
    for seed in range(PAIRS):
        image, other = images(size, seed)
        variants = [image]
        for i, j in CORNERS.values():
            rows, cols = slice(i * half, (i + 1) * half), slice(j * half, (j + 1) * half)
            variants.append(image.clone())
            variants[-1][:, rows, cols] = other[:, rows, cols]
        with torch.no_grad():
            maps = as_positions(run(module, layer, torch.stack(variants))[0])
        changes = maps[1:] - maps[:1]
        # what changes everywhere, as through squeeze and excitation, says nothing of the place
        changes = (changes - changes.mean(dim=(2, 3), keepdim=True)).square().sum(dim=1)
        n = max(changes.shape[1] // 2, 1)
        for i, j in CORNERS.values():
            part = changes[:, i * -n :, j * -n :][:, :n, :n]
            sums[:, i, j] += part.mean(dim=(1, 2)) / changes.mean(dim=(1, 2)).clamp_min(1e-30)
    return [
        name
        for energy, (name, (i, j)) in zip(sums, CORNERS.items(), strict=True)
        if energy[i, j] <= energy[1 - i, 1 - j]
    ]


def check(name: str, size: int) -> Checked:
    """Compare imil's heat-maps of a timm model with plain ones.

    Raises: SettingsError: imil refuses to explain the model.
    """
    module, inputs = build(name, size), images(size)
    fresh = copy.deepcopy(module)  # which has never been in evaluation mode
    module.train()
    layer = find_layer(module, inputs)
    classes = np.array([EXPLAINED] * len(inputs))
    first = grad_cam(module, inputs, classes, layer=layer)
    faults = []
    if not all(part.training for part in module.modules()):
        faults.append("the model was not put back into training mode")
    for _ in range(DRAWS):
        with torch.no_grad():  # trained in between, so that what evaluation mode keeps is old
            for values in module.parameters():
                values += 0.02 * torch.randn_like(values)
        second = grad_cam(module, inputs, classes, layer=layer)
        fresh.load_state_dict(module.state_dict())
        fresh.eval()
        plain = plain_grad_cams(fresh, layer, inputs)
        if plain.any():  # random weights may speak against both classes everywhere
            break
    else:
        faults.append("every heat-map is empty")
    if (worst := float(np.abs(second - plain).max())) > CLOSE:
        faults.append(f"a heat-map differs by {worst:.2f} from the plain one")
    if np.array_equal(first, second):
        faults.append("the second round has the heat-maps of the first")
    with torch.no_grad():
        output = run(fresh, layer, inputs)[0]
    rows = as_positions(output).shape[2]
    finer = find_finer_layer(fresh, inputs, layer, rows + 1, rows + 1)
    names = {finer} | ({layer} if rows >= LEAST_ROWS else set())
    for name in (name for name in names if may_be_out_of_place(fresh, name, inputs)):
        # one may be by chance; a wrong order of places has two or four
        if len(wrong := misplaced(fresh, name, size)) > 1:
            where = " and ".join(wrong)
            faults.append(f"{name} has a change in the {where} in the opposite corner")
    return Checked(layer, tuple(output.shape), tuple(faults))


def sizes_of(name: str) -> tuple[int, int]:
    """The size that the model was made for, if that is not large, and another."""
    config = timm.get_pretrained_cfg(name)
    made_for = 224 if config is None else int(config.input_size[-1])
    return (made_for if made_for <= 256 else 224), 96 if made_for == 160 else 128


def main(names: list[str]) -> None:
    """Print what a sweep of these models, or of all, finds."""
    for family, name in FAMILIES.items():
        if names and name not in names and family not in names:
            continue
        for size in sizes_of(name):
            start = time.monotonic()
            try:
                found = check(name, size)
                faults = "; ".join(found.faults)
                text = f"{found.layer} {found.shape} {'FAULT ' + faults if faults else 'ok'}"
            except Exception as error:  # what it is is printed
                text = f"{type(error).__name__}: {error}"
            gc.collect()
            print(f"{family} {name} {size}: {text} ({time.monotonic() - start:.0f} s)", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
