"""What every treatment promises, whatever it does; and the table of them in the documentation."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import compatible_torchvision  # noqa: F401
import pytest
import torch
from test_field_of_view import settings
from test_field_of_view import train as train_with_simulated_reader
from test_treatments import TOP, Flat, train
from torch import nn

from imil.errors import SettingsError
from imil.phantom.dataset import write_phantoms
from imil.pytorch import CorrectedDataset
from imil.pytorch.gradcam import features_of
from imil.run_folder import RunFolder
from imil.training.fork import fork_run
from imil.training.launch import resume_run
from imil.treatments import TREATMENTS, Batch, Treatment, find_treatment

DOCS = Path(__file__).parents[1] / "docs/treatments.md"
NAMES = list(TREATMENTS)


def batch_of(keep):
    images = torch.arange(1, 65, dtype=torch.uint8).view(2, 2, 4, 4)
    return Batch(images, torch.tensor([0, 1]), torch.tensor([3, 5]), keep, classes=2)


def draw(n):
    images = torch.full((n, 2, 4, 4), 99, dtype=torch.uint8)
    return Batch(images, torch.arange(n) % 2, torch.arange(n) + 10)


def mask():
    keep = torch.ones(2, 4, 4, dtype=torch.bool)
    keep[0, 2:] = False
    return keep


def generator():
    return torch.Generator().manual_seed(7)


@pytest.mark.parametrize("name", NAMES)
def test_a_treatment_is_a_frozen_dataclass_of_plain_options(name):
    treatment = find_treatment(name)
    assert isinstance(treatment, Treatment)
    assert is_dataclass(treatment)
    assert type(treatment).__dataclass_params__.frozen
    assert all(
        type(getattr(treatment, f.name)) in (str, int, float, bool) for f in fields(treatment)
    )
    assert treatment == find_treatment(name)
    assert hash(treatment) == hash(find_treatment(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_without_a_corrected_image_is_the_same_object(name):
    treatment, batch = find_treatment(name), batch_of(None)
    assert treatment.batch(batch, draw, generator()) is batch
    assert treatment.loss(torch.zeros(2, 2), None, batch) is None


@pytest.mark.parametrize("name", NAMES)
def test_the_batch_that_it_is_given_is_not_written_to(name):
    batch, keep = batch_of(mask()), mask()
    images = batch.images.clone()
    result = find_treatment(name).batch(batch, draw, generator())
    assert torch.equal(batch.images, images)
    assert torch.equal(batch.keep, keep)
    assert result.images.shape == images.shape
    assert result.images.dtype == images.dtype
    assert torch.equal(result.images[0, :, :2], images[0, :, :2])  # the selected squares
    assert torch.equal(result.images[1], images[1])
    assert torch.equal(result.rows, batch.rows)
    shares = find_treatment(name).label_shares
    assert result.labels.shape == ((2, 2) if shares else (2,))
    if shares:
        torch.testing.assert_close(result.labels.sum(dim=1), torch.ones(2))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_generator_gives_the_same_batch(name):
    before = torch.get_rng_state()
    one, two = (find_treatment(name).batch(batch_of(mask()), draw, generator()) for _ in range(2))
    assert torch.equal(one.images, two.images)
    assert torch.equal(one.labels, two.labels)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", NAMES)
def test_its_loss_reaches_the_weights_and_is_finite(name):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    treatment = find_treatment(name)
    images = (batch_of(mask()).images / 255).requires_grad_()
    batch = Batch(images, torch.tensor([0, 1]), torch.tensor([3, 5]), mask(), classes=2)
    with features_of(net, "0") as features:
        outputs = net(images)
    loss = treatment.loss(outputs, features[0] if treatment.needs_features else None, batch)
    if loss is None:
        assert not treatment.needs_features
        assert not treatment.needs_gradients
        return
    loss.backward()
    assert torch.isfinite(loss)
    assert loss >= 0
    assert torch.isfinite(net[0].weight.grad).all()


def rows_of_docs():
    """Name -> options, of the table's rows: | `name` | `a=1`, `b=x` | what | source |."""
    rows = {}
    for line in DOCS.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            name, options, what, source = (cell.strip() for cell in line.strip("|").split("|"))
            assert what
            assert source
            rows[name.strip("`")] = re.findall(r"`([^`]+)`", options)
    return rows


def test_the_documentation_lists_every_treatment_with_its_options_and_defaults():
    expected = {}
    for name in NAMES:
        treatment = find_treatment(name)
        expected[name] = [
            f"{f.name}={_written(getattr(treatment, f.name))}" for f in fields(treatment)
        ]
    expected["imil"] = ["cover"]  # whose defaults it has
    assert rows_of_docs() == expected


def _written(value):
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return write_phantoms(tmp_path_factory.mktemp("drawn") / "films", n=20, size=32, seed=0)


@pytest.mark.parametrize("name", NAMES)
def test_imil_train_trains_with_it(films, tmp_path, name):
    run = train(films, tmp_path, name, epochs=2)
    weights = run.net.state_dict().values()
    assert all(torch.isfinite(weight).all() for weight in weights)


@pytest.fixture(scope="module")
def more_films(tmp_path_factory):
    """Enough for readings that predict which squares are relevant, and a shortcut to find."""
    folder = tmp_path_factory.mktemp("more") / "films"
    return write_phantoms(folder, n=80, size=48, seed=0, letter=1.0, test=0.25)


VARIANTS = [
    *(name for name in NAMES if name not in ("imil", "best")),
    "exchange:irrelevant=0.2,reliance=0.5,clean=0.2,donor=other,soft=0.3,jitter=0.2",
    "exchange:squares=random,irrelevant=0.3",
    "exchange:by=both,irrelevant=0.3",
    "attention-cam:images=all,by=features",
    "project:reliance=0,irrelevant=0.2",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_a_run_that_goes_on_from_its_round_ends_as_the_whole(more_films, tmp_path, name):
    values = {"treatment": name, "imil_epoch": [1], "epochs": 3}
    whole = train_with_simulated_reader(more_films, tmp_path / "whole", **values)
    part = RunFolder(tmp_path / "part")
    part.path.mkdir()
    fork_run(RunFolder(tmp_path / "whole"), part, 1)
    settings(more_films, **values).write(part.config)
    assert resume_run(part.path, None, tmp_path / "cache")["end"] == whole["end"]


@pytest.mark.parametrize("name", NAMES)
def test_a_data_set_draws_with_it(name):
    treatment = find_treatment(name)

    def samples():
        return CorrectedDataset(Flat(), labels=[0, 1] * 4, treatment=treatment)

    corrected = samples()
    corrected.correct(1, TOP)
    plain, label = corrected[0]
    image, _ = corrected[1]
    assert (plain == 10 / 255).all()
    assert image.shape == (1, 4, 4)
    assert (image[:, :2] == 11 / 255).all()
    assert (label.shape == (2,)) if treatment.label_shares else label == 0


def test_imil_train_draws_corrected_samples_as_often_as_the_treatment_says(films, tmp_path):
    run = train(films, tmp_path, "up-weight", epochs=2)
    corrected = run.samples["train"].corrections.positions()
    n, counts = len(run.samples["train"]), dict.fromkeys(corrected, 0)
    for epoch in range(300):
        run.order.set_epoch(epoch)
        order = list(run.order)
        assert len(order) == n
        for i in counts:
            counts[i] += order.count(i)
    # n are drawn from an urn in which each of these lies five times
    expected = 300 * 5 * n / (n + 4 * len(corrected))
    assert len(corrected) == 3
    assert list(counts.values()) == pytest.approx([expected] * 3, rel=0.1)


def test_a_resumed_run_draws_them_as_often_as_the_uninterrupted_one(films, tmp_path):
    def stop(epoch):
        if epoch == 2:
            raise KeyboardInterrupt

    uninterrupted = train(films, tmp_path / "a", "up-weight")
    with pytest.raises(KeyboardInterrupt):
        train(films, tmp_path / "b", "up-weight", after_rounds=[stop])
    resumed = train(films, tmp_path / "b", "up-weight")
    one, other = uninterrupted.net.state_dict(), resumed.net.state_dict()
    assert all(torch.equal(weight, other[name]) for name, weight in one.items())


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
@pytest.mark.parametrize("name", [n for n in NAMES if not find_treatment(n).allows_mix])
def test_a_mix_that_contradicts_the_treatment_is_refused_before_training(
    films, tmp_path, name, mix
):
    with pytest.raises(SettingsError, match=f"--mix {mix} and --treatment {name} contradict"):
        train(films, tmp_path, name, mix=mix)
