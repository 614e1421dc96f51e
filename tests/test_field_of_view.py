"""The field of view: what readers call irrelevant and the model relies on is black everywhere."""

import json

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from imil.cases import Correction, Reading
from imil.errors import SettingsError
from imil.grid import Grid
from imil.phantom.dataset import write_phantoms
from imil.pytorch import IMIL, CorrectedDataset
from imil.pytorch.raw_image import within
from imil.run_folder import RunFolder
from imil.settings import resolve
from imil.training.fork import fork_run
from imil.training.launch import new_run, resume_run
from imil.training.run import Run
from imil.training.samples.prepared_data import prepare
from imil.treatments import Field, find_treatment
from imil.treatments.field_of_view import FieldOfView
from imil.treatments.relevance import position_prior, propagate
from imil.treatments.reliance import measure_reliance

GRID = Grid(2, 2)
# the reader never selects square 1, nor 2 in most cases
READINGS = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 1, 1]], bool)


class Sum:
    """Class 1 is what is bright in square 1; square 4 counts a tenth of it."""

    def logits(self, views):
        first, fourth = views[..., :2, :2].mean((1, 2, 3)), views[..., 2:, 2:].mean((1, 2, 3))
        score = (first + 0.1 * fourth).double().numpy()
        return np.stack([np.zeros_like(score), score], axis=1)

    def views(self, samples, rows):
        return samples.images[list(rows)]


class Samples:
    def __init__(self, rng, n=40):
        self.labels = np.arange(n) % 2
        self.images = torch.from_numpy(rng.normal(0, 0.1, (n, 1, 4, 4)))
        self.images[self.labels == 1, :, :2, :2] += 1
        self.images[self.labels == 1, :, 2:, 2:] += 1

    def __len__(self):
        return len(self.labels)


@pytest.fixture
def samples():
    return Samples(np.random.default_rng(3))


def readings(selected=READINGS):
    return {
        i: Reading(f"c{i}", "Lee", "focus", tuple(np.flatnonzero(row) + 1))
        for i, row in enumerate(selected)
    }


def test_the_share_of_readings_is_the_prior():
    assert position_prior(READINGS).tolist() == [0, 0.2, 0.8, 1]


def test_a_prediction_by_position_is_judged_on_readings_that_were_left_out():
    relevance = propagate(READINGS, n=7, rng=np.random.default_rng(0))
    assert relevance.squares.shape == (7, 4)
    assert (relevance.squares == position_prior(READINGS)).all()
    # by hand, of each left-out case: pairs of a selected and another square in order
    # 1, 2 and 5: others say 0 1/4 3/4 1, selected 3 4: all pairs
    # 3: others say 0 0 3/4 1, selected 2 3 4: 2.5 of 3; 4: 0 1/4 1 1, selected 4: 2.5 of 3
    assert relevance.auroc == pytest.approx((3 + 2 * 2.5 / 3) / 5)


def test_random_squares_are_refused():
    rng = np.random.default_rng(5)
    with pytest.raises(SettingsError, match=r"do not tell which squares .* chance is 0\.50"):
        propagate(rng.random((20, 16)) < 0.4, n=3, rng=rng)


def test_few_readings_are_refused():
    with pytest.raises(SettingsError, match=r"4 readings .* at least 5"):
        propagate(READINGS[:4], n=3, rng=np.random.default_rng(0))


def test_features_predict_what_no_position_can():
    """A square is relevant where its feature is high, anywhere in the image."""
    rng = np.random.default_rng(2)
    features = rng.normal(size=(60, 16, 3))
    relevant = features[..., 0] > 0.3
    rows = np.arange(20)
    by_features = propagate(
        relevant[:20], n=60, by="features", features=features, rows=rows, rng=rng
    )
    assert by_features.auroc > 0.95
    assert ((by_features.squares[20:] > 0.5) == relevant[20:]).mean() > 0.9
    with pytest.raises(SettingsError, match="by position"):
        propagate(relevant[:20], n=60, rng=rng)


def test_reliance_is_the_share_of_the_score_that_moves_with_the_square(samples):
    reliance = measure_reliance(
        Sum().logits,
        lambda rows: Sum().views(samples, rows),
        samples.labels,
        GRID,
        [1, 2, 3, 4],
        np.random.default_rng(0),
    )
    # class 1 is brighter by 1 in squares 1 and 4: 1 / 1.1 of the score is square 1's
    assert reliance.share == pytest.approx((1 / 1.1, 0, 0, 0.1 / 1.1), abs=0.02)
    assert reliance.relied_on(least=0.5, z=4) == (1,)


def test_a_square_is_covered_that_is_irrelevant_and_relied_on(samples):
    rng = np.random.default_rng(0)
    field = FieldOfView(irrelevant=0.1, reliance=1).field(readings(), GRID, Sum(), samples, rng)
    assert field.squares == (2, 3, 4)
    assert field.evidence["irrelevant"] == [1]
    assert field.evidence["covered"] == [1]
    json.dumps(field.evidence)  # plain values, as they are written


def test_a_square_is_not_covered_that_the_model_ignores_or_a_reader_selects(samples):
    rng = np.random.default_rng(0)
    dark = Samples(np.random.default_rng(1))
    dark.images[:, :, :2, :2] = 0  # square 1 says nothing, square 4 everything
    assert FieldOfView().field(readings(), GRID, Sum(), dark, rng).squares == (1, 2, 3, 4)
    turned = READINGS[:, ::-1]  # square 1 is selected in every reading
    field = FieldOfView(reliance=1).field(readings(turned), GRID, Sum(), samples, rng)
    assert 1 in field.squares


def test_without_reliance_every_irrelevant_square_is_covered(samples):
    rng = np.random.default_rng(0)
    treatment = find_treatment("field-of-view:irrelevant=0.2,reliance=0")
    assert treatment.field(readings(), GRID, Sum(), samples, rng).squares == (3, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fog", "unknown treatment 'fog': expected one of imil"),
        (
            "field-of-view:cover=1",
            "unknown option 'cover' .* expected one of irrelevant, reliance, by, squares, tokens",
        ),
        ("field-of-view:reliance=much", "invalid reliance 'much' .* expected a number"),
        ("field-of-view:irrelevant=1", "irrelevant is 1.0: give a share"),
        ("field-of-view:reliance=-1", "reliance is -1.0"),
    ],
)
def test_a_treatment_that_cannot_be_is_refused_in_one_sentence(text, message):
    with pytest.raises(SettingsError, match=message):
        find_treatment(text)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "films"
    return write_phantoms(folder, n=80, size=48, seed=0, letter=1.0, test=0.25)


def settings(films, **values):
    flags = {"data": str(films), "model": "test_resnet", "image_size": 32, "epochs": 4}
    flags |= {"batch_size": 16, "imil_epoch": [1, 3], "reader": "simulated", "device": "cpu"}
    return resolve(flags | {"optimizer": "adam", "lr": 0.003, "precision": "32"} | values)


def train(films, out, **values):
    return new_run(settings(films, **values), RunFolder(out), out.parent / "cache")


def test_a_covered_square_changes_no_prediction_and_a_resumed_run_is_the_same(films, tmp_path):
    train(films, tmp_path / "run", treatment="field-of-view:reliance=0")
    folder = RunFolder(tmp_path / "run")
    field = json.loads(folder.field_of_view.read_text())
    covered = sorted(set(range(1, 17)) - set(field["squares"]))
    assert covered
    rounds = json.loads(folder.treatment.read_text())
    assert [row["epoch"] for row in rounds] == [1, 3]
    assert rounds[-1]["covered"] == covered
    chosen = settings(films)
    data = prepare(chosen, folder, cache=tmp_path / "cache", progress=lambda *_: None)
    run = Run(folder, chosen, data, Console(quiet=True))
    run.load_trained()
    before = run.model.probs(run.samples["test"])
    mask = Grid(4, 4).mask(covered, 32, 32)
    views = run.model.views(run.samples["test"], range(20))
    painted = torch.where(torch.from_numpy(mask), torch.full_like(views, 255), views)
    logits = run.model.logits(painted)
    np.testing.assert_allclose(torch.from_numpy(logits).softmax(1).numpy(), before, atol=1e-6)


def test_random_squares_change_nothing_and_it_is_said(films, tmp_path, capsys):
    with_random = train(films, tmp_path / "a", reader="random", treatment="field-of-view")
    without = train(films, tmp_path / "b", reader="none")
    assert with_random["end"] == without["end"]
    assert not RunFolder(tmp_path / "a").field_of_view.exists()
    assert "The treatment changes nothing: the readings do not tell" in " ".join(
        capsys.readouterr().out.split()
    )


def test_a_square_that_is_covered_stays_so_while_readers_call_it_irrelevant(samples):
    rng = np.random.default_rng(0)
    samples.images[:, :, :2, :2] = 0  # covered: nothing to rely on
    before = Field(GRID, (2, 3, 4))
    assert FieldOfView().field(readings(), GRID, Sum(), samples, rng, before).squares == (2, 3, 4)
    turned = readings(READINGS[:, ::-1])  # now square 1 is selected in every reading
    assert 1 in FieldOfView().field(turned, GRID, Sum(), samples, rng, before).squares


def test_a_run_that_is_stopped_between_covering_and_the_end_goes_on_to_the_same(films, tmp_path):
    values = {"treatment": "field-of-view:reliance=0.5", "imil_epoch": [1], "epochs": 4}
    whole = train(films, tmp_path / "whole", **values)
    rounds = json.loads(RunFolder(tmp_path / "whole").treatment.read_text())
    assert rounds[0]["epoch"] == 1
    assert {row["epoch"] for row in rounds} <= {1, 2, 3}
    part = RunFolder(tmp_path / "part")
    part.path.mkdir()
    fork_run(RunFolder(tmp_path / "whole"), part, 1)
    settings(films, **values).write(part.config)
    assert resume_run(part.path, None, tmp_path / "cache")["end"] == whole["end"]
    assert json.loads(part.treatment.read_text()) == rounds


def test_without_a_reader_whatever_is_relied_on_is_covered(samples):
    rng = np.random.default_rng(0)
    against = readings(READINGS[:, ::-1])  # square 1, which the model relies on, matters to readers
    assert FieldOfView(reliance=1).field(against, GRID, Sum(), samples, rng).squares == (1, 2, 3, 4)
    control = FieldOfView(reliance=1, squares="all").field(against, GRID, Sum(), samples, rng)
    assert control.squares == (2, 3, 4)
    assert "no reading plays a part" in control.evidence["sentence"]
    with pytest.raises(SettingsError, match="squares=all contradicts reliance=0"):
        FieldOfView(reliance=0, squares="all")


def in_a_loop(tmp_path, treatment, state=None, *, epoch=1):
    """A data set and IMIL around it, in a loop of the user's own, after the round or resumed."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net.append(nn.Linear(4, 2))
    images = np.random.default_rng(0).integers(1, 256, (40, 8, 8), np.uint8)
    samples = CorrectedDataset(list(zip(images, [0, 1] * 20, strict=True)), treatment=treatment)

    def ask(cases):
        return [Reading(case.id, "Lee", "focus", (1, 2)) for case in cases]

    lines = []
    imil = IMIL(
        samples, net, ask, store=tmp_path / "s", imil_epoch=1, grid_size=2, say=lines.append
    )
    if epoch == 1:
        imil.after_epoch(1)
    else:
        if state is not None:
            imil.load_state_dict(state)
        imil.restore(epoch)
    return samples, imil, lines


def test_a_loop_of_ones_own_covers_what_the_treatment_decided(tmp_path):
    samples, _, lines = in_a_loop(tmp_path, FieldOfView(reliance=0))
    assert samples.field_of_view == Correction(GRID, (1, 2))
    for i in range(len(samples)):
        image, _ = samples[i]
        assert not image[:, 4:].any()
        torch.testing.assert_close(image, samples.view(i))
        assert image[:, :4].all()
        assert samples.image(i)[4:].all()  # a reader sees the whole image
    assert any("black in every image" in line for line in lines)
    raw = np.full((6, 6), 9, np.uint8)
    assert within(raw, samples.field_of_view)[3:].max() == 0
    assert within(raw, samples.field_of_view)[:3].min() == 9


def test_a_loop_of_ones_own_goes_on_from_the_state_in_a_checkpoint(tmp_path):
    state = in_a_loop(tmp_path, FieldOfView(reliance=0))[1].state_dict()
    with pytest.raises(SettingsError, match="give it to `load_state_dict` before `restore`"):
        in_a_loop(tmp_path, FieldOfView(reliance=0), epoch=2)
    samples, _, _ = in_a_loop(tmp_path, FieldOfView(reliance=0), state, epoch=2)
    assert samples.field_of_view == Correction(GRID, (1, 2))


@pytest.mark.parametrize("name", ["field-of-view:reliance=0", "exchange"])
def test_the_state_of_a_loop_may_be_kept_as_json(tmp_path, name):
    samples, imil, _ = in_a_loop(tmp_path, find_treatment(name))
    state = json.loads(json.dumps(imil.state_dict()))
    assert state["rounds"] == [1]
    again, _, _ = in_a_loop(tmp_path, find_treatment(name), state, epoch=2)
    assert again.field_of_view == samples.field_of_view
    decided = [samples.corrected(i) for i in range(len(samples))]
    assert [again.corrected(i) for i in range(len(again))] == decided
    assert any(decided)


def test_a_loop_of_ones_own_refits_the_last_layer_at_the_end(tmp_path):
    _, imil, _ = in_a_loop(tmp_path, find_treatment("last-layer"))
    layer = imil.model.module[-1]
    before = layer.weight.detach().clone()
    imil.finish(3)
    assert not torch.equal(layer.weight, before)


@pytest.mark.parametrize("text", ["field-of-view:tokens=true", "exchange:clean=0.2"])
def test_a_data_set_refuses_a_treatment_that_it_could_not_carry_out(text):
    with pytest.raises(SettingsError, match="use `imil train --treatment`"):
        CorrectedDataset([(np.zeros((4, 4), np.uint8), 0)], treatment=find_treatment(text))
