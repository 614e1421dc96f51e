"""Networks and their weights: any timm model, and files that fit or are named as they do not."""

import compatible_torchvision  # noqa: F401  # before what imports torchvision
import pytest
import timm
import torch
from safetensors.torch import save_file

from imil.errors import DataError, SettingsError
from imil.training.network import build


def make(classes=2, **more):
    torch.manual_seed(more.pop("seed", 0))
    settings = {"classes": classes, "image_size": 64, "weights": "none"} | more
    return build(
        more.get("name", "test_resnet"), **{k: v for k, v in settings.items() if k != "name"}
    )


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "vit_tiny_patch16_224"])
def test_cnns_and_transformers_take_any_image_size(name):
    net = make(classes=3, name=name, image_size=96)
    assert net(torch.rand(2, 3, 96, 96)).shape == (2, 3)


def test_residual_blocks_start_as_in_torchvision_and_not_switched_off():
    state = make(name="resnet18", image_size=64).state_dict()
    assert (state["layer4.1.bn2.weight"] == 1).all()  # timm's own default is 0


@pytest.mark.parametrize("kind", [".safetensors", ".pt", ".ckpt"])
def test_weights_come_back_from_every_kind_of_file(tmp_path, kind):
    net, path = make(), tmp_path / f"weights{kind}"
    state = {name: value.contiguous() for name, value in net.state_dict().items()}
    if kind == ".safetensors":
        save_file(state, path)
    else:
        prefixed = {f"net.{name}": value for name, value in state.items()}
        torch.save({"state_dict": prefixed} if kind == ".ckpt" else state, path)
    other = make(seed=1, weights=str(path))
    assert all(torch.equal(other.state_dict()[name], state[name]) for name in state)


def test_a_head_for_other_classes_is_replaced_and_the_rest_is_kept(tmp_path):
    net, path = make(classes=5), tmp_path / "five.safetensors"
    save_file(dict(net.state_dict()), path)
    other = make(classes=2, seed=1, weights=str(path))
    state = other.state_dict()
    head = [n for n in state if n.startswith("fc.")]
    assert state["fc.weight"].shape[0] == 2
    fresh = make(classes=2, seed=1).state_dict()
    assert all(torch.equal(state[n], fresh[n]) for n in head)
    assert all(torch.equal(state[n], net.state_dict()[n]) for n in state if n not in head)


def test_a_file_that_does_not_fit_names_the_layers(tmp_path):
    path = tmp_path / "vit.safetensors"
    save_file(dict(make(name="test_vit").state_dict()), path)
    with pytest.raises(DataError, match=r"layers conv1\.\S+, .* and \d+ more are missing"):
        make(weights=str(path))


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\x80\x04K\x01."])
@pytest.mark.parametrize("kind", [".safetensors", ".pt"])
def test_a_file_that_holds_no_weights_is_refused_without_running_it(tmp_path, content, kind):
    path = tmp_path / f"bad{kind}"
    path.write_bytes(content)
    with pytest.raises(DataError, match="holds no"):
        make(weights=str(path))


def test_a_missing_file_and_an_unknown_model_say_what_to_give(tmp_path):
    with pytest.raises(DataError, match="is not a file: give none, imagenet or"):
        make(weights=str(tmp_path / "none.pt"))
    with pytest.raises(SettingsError, match="did you mean resnet18"):
        make(name="resnet19")


def test_a_model_that_cannot_take_the_size_is_found_before_training():
    with pytest.raises(SettingsError, match=r"inception_v3 cannot take .* --image-size 48 .*299"):
        make(name="inception_v3", image_size=48)


def test_looking_whether_it_can_moves_no_random_number():
    make(seed=3)
    after = torch.rand(3)
    torch.manual_seed(3)
    timm.create_model("test_resnet", num_classes=2, zero_init_last=False)
    assert torch.equal(torch.rand(3), after)


def test_a_model_with_two_heads_gets_both_anew(tmp_path):
    name, path = "deit_tiny_distilled_patch16_224", tmp_path / "five.safetensors"
    save_file(dict(make(classes=5, name=name).state_dict()), path)
    net = make(classes=2, name=name, weights=str(path))
    assert net(torch.rand(1, 3, 64, 64)).shape == (1, 2)


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    state, path = make().state_dict(), tmp_path / "diverged.safetensors"
    name = next(iter(state))
    state[name][0] = float("nan")
    save_file(dict(state), path)
    with pytest.raises(DataError, match=f"'{name}' first"):
        make(weights=str(path))
