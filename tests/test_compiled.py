"""Compiling the training step: where it pays, without a trace where it does not."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

from imil.errors import SettingsError
from imil.training import compile_trial
from imil.training.compile_trial import Trial, compiled, worth_compiling

IMAGES = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def make():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.LazyLinear(2),
    )


@pytest.fixture
def net():
    made = make()
    made(IMAGES)  # the last layer learns its width
    return made


@pytest.fixture
def quick(monkeypatch):
    """Traces as PyTorch does, and leaves the code as it is; counts what was compiled."""
    traced = []

    def backend(graph, _inputs):
        traced.append(graph)
        return graph

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    return traced


@pytest.fixture
def impossible(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no C++ compiler was found\nmore of it")

    monkeypatch.setattr(torch, "compile", fail)


def worth(net, asked, steps=1_000_000, said=None):
    say = [].append if said is None else said.append
    return worth_compiling(net, IMAGES, asked, steps=steps, half=False, say=say)


def test_a_training_that_is_long_enough_pays_for_the_compilation():
    trial = Trial(eager=1.0, compiled=0.8, cost=60.0)
    assert not trial.pays(300)
    assert trial.pays(301)
    assert not Trial(eager=1.0, compiled=1.0, cost=60.0).pays(1_000_000)


def test_only_whole_batches_are_compiled_and_weights_are_shared(net, quick):
    learn = compiled(net, 4)
    net.eval()
    assert torch.equal(learn(IMAGES), net(IMAGES))
    assert len(quick) == 1
    assert torch.equal(learn(IMAGES[:3]), net(IMAGES[:3]))
    assert len(quick) == 1
    with torch.no_grad():
        net[0].weight.zero_()
    assert torch.equal(learn(IMAGES), net(IMAGES))


@pytest.mark.parametrize("asked", ["off", "on", "auto"])
def test_finding_out_leaves_no_trace(net, quick, monkeypatch, asked):
    monkeypatch.setattr(compile_trial, "SHORT", 0)
    before, state = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    worth(net, asked)
    assert torch.equal(torch.get_rng_state(), state)
    after = net.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(parameter.grad is None for parameter in net.parameters())
    assert len(quick) == (asked != "off")


def test_what_is_asked_for_is_done(net, quick):
    assert not worth(net, "off")
    assert worth(net, "on")


def test_a_short_training_is_not_measured_further(net, quick):
    said = []
    assert not worth(net, "auto", steps=10, said=said)
    assert (quick, said) == ([], [])


@pytest.mark.parametrize(("seconds", "pays"), [([1.0, 0.5], True), ([1.0, 1.1], False)])
def test_what_was_measured_decides_and_is_said(net, quick, monkeypatch, seconds, pays):
    measured = iter(seconds)
    monkeypatch.setattr(compile_trial, "_seconds", lambda *_: next(measured))
    said = []
    assert worth(net, "auto", said=said) is pays
    (line,) = said
    assert line.startswith("Compiled: it takes 0.50" if pays else "Not compiled: it takes 1.10")


def test_where_it_cannot_be_done_that_is_one_sentence(net, impossible, monkeypatch):
    with pytest.raises(SettingsError, match=r"\(no C\+\+ compiler was found\): give --compile off"):
        worth(net, "on")
    monkeypatch.setattr(compile_trial, "SHORT", 0)
    said = []
    assert not worth(net, "auto", said=said)
    assert said == [
        "Not compiled: the network cannot be compiled here (no C++ compiler was found)."
    ]


def test_a_copy_that_has_no_room_beside_the_network_is_not_compiled(net, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(compile_trial, "_step", full)
    said = []
    assert not worth(net, "auto", said=said)
    assert said == ["Not compiled: the network cannot be compiled here (CUDA out of memory)."]


@pytest.mark.process  # a C++ compiler
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch's own parts
def test_compiled_code_learns_what_the_network_would_have(net):
    net[3].p = 0.0
    other = copy.deepcopy(net)
    for one, call in ((net, compiled(net, 4)), (other, other)):
        optimizer = torch.optim.SGD(one.parameters(), 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            call(IMAGES).square().mean().backward()
            optimizer.step()
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name])
