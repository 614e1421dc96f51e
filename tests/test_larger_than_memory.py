"""A training set larger than the memory that a process may have trains from the cache's file."""

import resource
import sys

import numpy as np
import pytest
import torch
from processes import start
from torch import nn

from imil.pytorch import Corrections
from imil.training.classifier import Classifier, EpochOrder
from imil.training.loop import Loop
from imil.training.samples.augment import augment
from imil.training.samples.batches import Batches
from imil.training.samples.mixes import mix
from imil.training.samples.prepared_data import Pixels
from imil.treatments import find_treatment

IMAGES, SIDE = 2000, 256  # 125 MiB
MORE = 64 * 2**20  # bytes that the training may take beyond what is there before


def limit_memory():
    """From now on this process may have MORE bytes of its own, mapped files not counted."""
    with open("/proc/self/statm") as file:  # noqa: PTH123 - nothing more may be allocated
        data = int(file.read().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (data + MORE, data + MORE))


def train(path):
    """Two epochs over the file; the exit code says what went wrong."""
    torch.set_num_threads(1)
    pixels = np.load(path, mmap_mode="r")
    source = Pixels(pixels, np.arange(IMAGES), np.arange(IMAGES) % 2)
    net = nn.Sequential(nn.Conv2d(1, 2, 16, stride=16), nn.Flatten(), nn.Linear(2 * 16 * 16, 2))
    none = {"mix": mix("none", 2), "augment": augment(()), "treatment": find_treatment("imil")}
    module = Classifier(net, optimizer="sgd", lr=0.01, momentum=0.0, **none)
    cpu, order = torch.device("cpu"), EpochOrder(IMAGES, 0)
    limit_memory()
    try:
        np.array(pixels)
    except MemoryError:
        pass
    else:
        raise SystemExit("the limit does not hold the images back")
    batches = Batches(source, Corrections(IMAGES), order, 16, cpu, lambda _line: None)
    loop = Loop(module, batches, order, epochs=2, seed=0, device=cpu, bfloat16=False)
    epochs = []
    loop.run(lambda _epoch: None, lambda result: epochs.append(result.epoch))
    raise SystemExit(7 if epochs == [1, 2] else 1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the limit does not count these")
def test_a_set_larger_than_memory_trains_from_the_file(tmp_path):
    path = tmp_path / "pixels.npy"
    # a file with holes: zeros that take no room on the disk
    np.lib.format.open_memmap(path, "w+", np.uint8, (IMAGES, SIDE, SIDE)).flush()
    assert start(train, path) == 7
