"""Where and in which precision a network is trained, on machines that are not this one."""

import pytest
import torch

from imil.settings import resolve
from imil.training.hardware.device import has_bfloat16, precision, resolve_auto

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("avx512", "amx", "available"),
    [(False, False, False), (True, False, True), (False, True, True)],
)
def test_bfloat16_is_used_where_the_processor_has_it(monkeypatch, avx512, amx, available):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert has_bfloat16(CPU) is available
    assert precision("auto", CPU) == ("bf16-mixed" if available else "32-true")
    assert precision("32", CPU) == "32-true"
    assert precision("bf16", CPU) == "bf16-mixed"
    settings = resolve_auto(resolve({"data": "a.csv", "device": "cpu"}))
    assert (settings.device, settings.precision) == ("cpu", "bf16" if available else "32")
