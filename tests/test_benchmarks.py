"""What benchmarks compare: like with like, and a limit that nothing of imil's holds back."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
RESULT = {
    "benchmark": "pause",
    "machine": "x86_64",
    "processors": 2,
    "threads": 2,
    "gpu": None,
    "precision": "32-true",
    "ratios": {"the pause / a pass": [1.0, 1.01, 1.02]},
}


def compared(tmp_path, before, after):
    for name, result in (("before", before), ("after", after)):
        (tmp_path / name).write_text(json.dumps(result))
    words = [sys.executable, BENCHMARKS / "regression.py", "before", "after"]
    wide = os.environ | {"COLUMNS": "120"}
    return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=wide)


def test_results_of_one_machine_are_compared(tmp_path):
    result = compared(tmp_path, RESULT, RESULT)
    assert result.returncode == 0, result.stderr
    assert "no difference shown" in result.stdout


@pytest.mark.parametrize(
    ("fact", "other"), [("gpu", "NVIDIA H100"), ("precision", "bf16-mixed"), ("threads", 8)]
)
def test_results_of_other_hardware_or_precision_are_not(tmp_path, fact, other):
    result = compared(tmp_path, RESULT, RESULT | {fact: other})
    assert result.returncode == 2
    assert f"{fact} is {RESULT[fact]} before and {other} after" in result.stderr


def test_the_limit_is_measured_with_the_algorithms_that_pytorch_likes(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from training_step import nondeterministic_algorithms

    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with nondeterministic_algorithms():
            assert not torch.are_deterministic_algorithms_enabled()
            assert torch.backends.cudnn.benchmark
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert not torch.backends.cudnn.benchmark
    finally:
        torch.use_deterministic_algorithms(False)


def test_what_a_step_needs_is_counted_operation_by_operation(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from limit import Counting

    one, other = torch.ones(3, 5, requires_grad=True), torch.ones(5, 7)
    with Counting() as counting:
        (one.t().t() @ other).sum().backward()
    product, backward = 2 * 3 * 5 * 7, 2 * 3 * 7 * 5
    assert sum(flop for flop, _ in counting.each) == product + backward
    both = 4 * (15 + 35 + 21), 4 * (21 + 35 + 15)
    small = [moved for flop, moved in counting.each if not flop]
    assert [moved for flop, moved in counting.each if flop] == list(both)
    assert sum(small) <= 4 * (21 + 1) + 8, "of the sum; to turn a matrix moves nothing"
