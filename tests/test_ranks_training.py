"""Several devices, as processes of a CPU: the numbers of one, also if one is killed in a round."""

import os
import signal
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import torch.distributed as dist
from processes import command, fork, start
from torch import nn

from imil.cases import Correction
from imil.grid import Grid
from imil.outliers import confident_mistakes
from imil.phantom.dataset import write_phantoms
from imil.pytorch import TorchModel
from imil.run_folder import RunFolder
from imil.settings import resolve
from imil.store import Store
from imil.training.classifier import Classifier, EpochOrder
from imil.training.loop import Loop
from imil.training.outputs.prediction_files import read_predictions
from imil.training.ranks.sharded_model import predict_part
from imil.training.ranks.team import Team
from imil.training.samples.augment import augment
from imil.training.samples.batches import Batches
from imil.training.samples.mixes import mix
from imil.training.samples.prepared_data import prepare
from imil.treatments import find_treatment

SHARED = {"image_size": 32, "device": "cpu", "precision": "32", "model": "test_resnet"}
KEPT = Correction(Grid(3, 2), (1, 6))


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return write_phantoms(tmp_path_factory.mktemp("drawn") / "films", n=41, size=32, seed=0)


def data_of(films, folder):
    settings = resolve({"data": str(films), "test_share": 0.25, **SHARED})
    folder.mkdir(exist_ok=True)
    return prepare(settings, RunFolder(folder), cache=folder / "cache", progress=lambda *_: None)


class Net(nn.Module):
    """Without batch normalisation, which is each device's own, and with a weight of no use."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 5, stride=3), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(4 * 10 * 10, 2)
        self.unused = nn.Parameter(torch.ones(3))

    def forward(self, images):
        return self.head(self.layers(images))


def classifier(seed):
    torch.manual_seed(seed)
    none = {"mix": mix("none", 2), "augment": augment(()), "treatment": find_treatment("imil")}
    return Classifier(Net(), optimizer="sgd", lr=0.1, momentum=0.9, **none)


def trained(data, team, epochs=2):
    """What a training of a few epochs comes to, with one sample corrected after the first."""
    samples = data.samples("train")
    order, module = EpochOrder(len(samples), 0), classifier(0 if team is None else team.rank)
    # the last batch has seven images: three devices have 3, 2 and 2 of them
    batches = Batches(
        samples.dataset, samples.corrections, order, 12, torch.device("cpu"), print, team=team
    )
    how = {"epochs": epochs, "seed": 0, "device": torch.device("cpu"), "bfloat16": False}
    loop, results = Loop(module, batches, order, team=team, **how), []
    for epoch in range(epochs):
        if epoch == 1 and (team is None or team.rank == 0):
            for i in (2, 30):
                samples.correct(i, KEPT)
        if team is not None:
            team.share_state(loop, samples.corrections, optimizer=epoch == 0)
        loop.epoch = epoch
        results.append(loop.train_epoch())
    model = TorchModel(module, batch_size=4, outputs="logits")
    test = data.samples("test")
    return {
        "weights": {name: w.clone() for name, w in module.state_dict().items()},
        "means": [(one.loss, one.accuracy) for one in results],
        "corrected": {i: samples.corrected(i) for i in samples.corrections.positions()},
        "part": None if team is None else predict_part(team, model, samples, batch_size=4),
        "probs": model.probs(samples),
        "few": None if team is None else predict_part(team, model, test, batch_size=16),
    }


def one_rank(rank, size, films, folder, out):
    torch.set_num_threads(1)
    store = dist.FileStore(str(out / "ranks"), size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
    result = trained(data_of(films, folder), Team(rank, size, torch.device("cpu")))
    torch.save(result, out / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_train_and_predict_what_one_process_does(films, tmp_path, size):
    data = data_of(films, tmp_path / "run")
    ranks = [fork(one_rank, rank, size, films, tmp_path / "run", tmp_path) for rank in range(size)]
    alone = trained(data, None)
    for rank in ranks:
        rank.join()
    results = [torch.load(tmp_path / f"{i}.pt", weights_only=False) for i in range(size)]
    for result in results:
        # each rank has everything, and to the last bit what it predicts alone
        assert np.array_equal(result["part"], result["probs"])
        assert len(result["few"]) == 10  # one batch: the other ranks have none
        assert np.array_equal(result["few"], results[0]["few"])
        assert result["corrected"] == {2: KEPT, 30: KEPT}
        for name, weight in result["weights"].items():
            assert torch.equal(weight, results[0]["weights"][name])
            assert torch.allclose(weight, alone["weights"][name], atol=1e-5)
        assert np.allclose(result["means"], alone["means"], atol=1e-5)


def killed_in_the_round(films, folder, cache):
    """A training on three devices, one of which is killed while the reader reads."""
    from imil.errors import SettingsError
    from imil.training.launch import new_run
    from imil.training.ranks.leader import RankLost
    from imil.training.ranks.placement import Placement

    os.environ["OMP_NUM_THREADS"] = "1"  # another number changes the last bits of a sum
    torch.set_num_threads(1)

    @contextmanager
    def room(run, _store, _console):
        def read(_cases):
            os.kill(run.leader.others[1].pid, signal.SIGKILL)
            signal.pause()

        yield read

    values = {"data": str(films), "epochs": 3, "imil_epoch": 2, "batch_size": 8, "lr": 0.01}
    values |= {"reader": "web", "devices": 3, "num_outliers": 4, **SHARED}
    try:
        new_run(resolve(values), RunFolder(folder), cache, room=room, placement=Placement(0, 3, 0))
    except RankLost as error:
        if (folder / "stopped.txt").read_text() == f"{error}\n":
            raise SystemExit(7) from None
    except SettingsError as error:
        raise SystemExit(str(error)) from None


@pytest.mark.slow  # starts five processes that train
def test_a_rank_killed_in_a_round_ends_the_run_in_a_sentence_and_resume_goes_on(films, tmp_path):
    folder = tmp_path / "run"
    assert start(killed_in_the_round, films, folder, tmp_path / "cache") == 7
    says = (folder / "stopped.txt").read_text()
    assert "the process of rank 2 (process " in says
    assert "(killed, or out of memory); every reading so far is stored: continue with " in says
    assert not (folder / "metrics.json").exists()

    words = ["resume", folder, "--reader", "simulated", "--devices", "2"]
    resumed = command([*words, "--cache", tmp_path / "cache"], tmp_path, OMP_NUM_THREADS="1")
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert "test_resnet on 2 devices" in resumed.stdout
    assert not (folder / "stopped.txt").exists()
    assert (folder / "metrics.json").exists()
    assert torch.load(RunFolder(folder).last, weights_only=True)["epoch"] == 3

    expected = predicted_by_one_process(films, folder)
    stored = read_predictions(RunFolder(folder).predictions("epoch-002", "train"))
    assert np.array_equal(stored.probs, expected.probs)
    store = Store(RunFolder(folder).store, readonly=True)
    (round_,) = store.rounds("run")
    cases = [case.key for case in store.cases(round_.id)]
    store.close()
    mistakes = confident_mistakes(expected.probs, expected.labels, expected.keys, 4)
    assert cases == [expected.keys[i] for i in mistakes]


def predicted_by_one_process(films, folder):
    """The training set's predictions from the checkpoint before the round."""
    from imil.settings import load_config
    from imil.training.run_classifier import build_classifier

    torch.set_num_threads(1)
    settings = resolve(load_config(RunFolder(folder).config))
    data = prepare(settings, RunFolder(folder), cache=folder / "own", progress=lambda *_: None)
    module = build_classifier(settings, classes=2, resumed=True)
    state = torch.load(RunFolder(folder).at(2), weights_only=True)
    module.load_state_dict(state["model"])
    model = TorchModel(module, batch_size=settings.batch_size, outputs="logits")
    return model.predict(data.samples("train"))
