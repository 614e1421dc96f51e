"""What single families of timm need."""

import copy

import compatible_torchvision  # noqa: F401 - before timm
import pytest
import timm
import torch

from imil.pytorch.eval_context import eval_context
from imil.pytorch.layers import find_layer


@pytest.mark.parametrize("name", ["levit_128s", "efficientvit_m0"])
def test_caches_of_evaluation_mode_do_not_outlive_a_round(name):
    torch.manual_seed(0)
    module = timm.create_model(name, num_classes=2)
    views = torch.rand(2, 3, 224, 224)

    def look():
        with eval_context(module), torch.no_grad():
            return module(views)

    with torch.no_grad():
        for values in module.parameters():  # some are zero at first, and hide what attention makes
            values += 0.02 * torch.randn_like(values)
    first = look()
    with torch.no_grad():  # trained in between
        for part, values in module.named_parameters():
            if part.endswith("attention_biases"):
                values += torch.randn_like(values)
    with torch.no_grad():
        expected = copy.deepcopy(module).eval()(views)
    assert not torch.equal(look(), first)
    torch.testing.assert_close(look(), expected)


def test_attention_of_a_part_that_several_blocks_share_is_not_taken_for_a_map():
    torch.manual_seed(0)
    module = timm.create_model("coat_lite_tiny", num_classes=2)
    layer = find_layer(module, torch.rand(2, 3, 224, 224))
    assert layer == "serial_blocks4.1.norm1"  # before the last attention of the class token
