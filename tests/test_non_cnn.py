"""Vision transformers and other models that are no plain convolutional network."""

import numpy as np
import pytest
import torch
from test_field_of_view import train as train_run

from imil.errors import SettingsError
from imil.grid import Grid
from imil.phantom.dataset import write_phantoms
from imil.pytorch import TorchModel
from imil.pytorch.gradcam import grad_cam
from imil.pytorch.tokens import leave_out, patch_mask
from imil.run_folder import RunFolder
from imil.training.launch import resume_run
from imil.training.network import build
from imil.training.run import Run
from imil.training.trained_model import read_model
from imil.treatments import TREATMENTS, find_treatment

GRID = Grid(2, 2)
SIZES = {"test_vit": 32, "test_convnext": 32, "swin_tiny_patch4_window7_224": 64}


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "films"
    return write_phantoms(folder, n=40, size=64, seed=0, letter=1.0, test=0.25)


def train(films, out, model, treatment, **values):
    values |= {"model": model, "image_size": SIZES[model], "treatment": treatment}
    return train_run(films, out, batch_size=8, imil_epoch=[1], num_outliers=8, **values)


@pytest.mark.parametrize("model", SIZES)
@pytest.mark.parametrize("name", [name for name in TREATMENTS if name not in ("imil", "best")])
@pytest.mark.slow
def test_every_treatment_trains_it(films, tmp_path, name, model):
    metrics = train(films, tmp_path / "run", model, name, epochs=2)
    assert 0 <= metrics["end"]["test"]["accuracy"] <= 1


def vit(size=64):
    torch.manual_seed(0)
    return build("test_vit", classes=2, image_size=size, weights="none").eval()


def test_patches_that_are_left_out_change_nothing_and_others_do():
    net, images = vit(), torch.rand(3, 3, 64, 64)
    assert patch_mask(net, GRID, (1, 4), 64).astype(int).tolist() == [
        [1, 1, 0, 0],
        [1, 1, 0, 0],
        [0, 0, 1, 1],
        [0, 0, 1, 1],
    ]
    other = images.clone()
    other[:, :, :32, :32] = 7
    with torch.no_grad():
        before = net(images)
        undo = leave_out(net, patch_mask(net, GRID, (2, 3, 4), 64))
        without = net(images)
        assert torch.allclose(net(other), without, atol=1e-6)
        undo()
        assert torch.equal(net(images), before)
        assert not torch.allclose(net(other), before, atol=1e-3)
        assert not torch.allclose(without, before, atol=1e-5)


def test_left_out_patches_give_what_a_pass_without_their_tokens_gives():
    net, images = vit(), torch.rand(2, 3, 64, 64)
    keep = patch_mask(net, GRID, (2, 3, 4), 64)
    with torch.no_grad():
        undo = leave_out(net, keep)
        masked = net(images)
        undo()
        places = torch.cat([torch.tensor([0]), 1 + torch.from_numpy(np.flatnonzero(keep))])
        net.patch_drop.register_forward_hook(lambda part, args, out: out[:, places])
        assert torch.allclose(net(images), masked, atol=1e-6)


def test_heat_maps_can_still_be_made():
    net, images = vit(), torch.rand(2, 3, 64, 64)
    leave_out(net, patch_mask(net, GRID, (2, 3, 4), 64))
    cams = grad_cam(net, images, np.array([[0], [1]]))
    assert cams.shape == (2, 1, 64, 64)
    assert cams.max() > 0


@pytest.mark.parametrize(
    ("model", "grid", "message"),
    [
        ("test_resnet", GRID, "the model is none: give a --model such as vit_tiny"),
        ("test_vit2", GRID, r"this one reads its patches \(avg\)"),
        ("test_vit", Grid(3, 3), "4×4 patches do not lie evenly in a 3×3 grid"),
        ("test_vit", Grid(8, 8), "4×4 patches do not lie evenly in a 8×8 grid"),
    ],
)
def test_tokens_that_cannot_be_left_out_are_refused_before_training(films, model, grid, message):
    net = build(model, classes=2, image_size=64, weights="none")
    samples = type("Samples", (), {"view": lambda self, i: torch.zeros(3, 64, 64)})()
    with pytest.raises(SettingsError, match=message):
        find_treatment("field-of-view:tokens=true").check(TorchModel(net), samples, grid)


def test_a_run_leaves_tokens_out_in_training_and_in_use(films, tmp_path, monkeypatch):
    values = {"treatment": "field-of-view:tokens=true,reliance=0", "model": "test_vit"}
    values |= {"image_size": 64, "batch_size": 8, "imil_epoch": [1], "num_outliers": 8}
    values |= {"heat_map": "relevance"}
    whole = train_run(films, tmp_path / "whole", **values)
    painted = train_run(
        films, tmp_path / "painted", **(values | {"treatment": "field-of-view:reliance=0"})
    )
    assert RunFolder(tmp_path / "whole").field_of_view.exists()
    assert whole["end"] != painted["end"]
    assert "attention (relevance propagation)" in RunFolder(tmp_path / "whole").page.read_text()
    trained = read_model(RunFolder(tmp_path / "whole").weights)
    with torch.no_grad():
        image = torch.rand(1, 1, 64, 64) * 255
        before = trained.module(image)
        description = trained.description
        trained.module.see(Grid(*description.grid), description.squares, 64)
        assert not torch.equal(trained.module(image), before)  # paint alone is something else

    def stop(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_finish", stop)
        with pytest.raises(KeyboardInterrupt):
            train_run(films, tmp_path / "part", **values)
    assert resume_run(tmp_path / "part", None, tmp_path / "cache")["end"] == whole["end"]
