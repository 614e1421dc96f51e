"""Exchange: what readers call irrelevant is swapped between training images, and only there."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_field_of_view import GRID, READINGS, Samples, Sum, films, readings, settings  # noqa: F401
from test_field_of_view import train as train_run

from imil.cases import Reading
from imil.errors import SettingsError
from imil.grid import Grid
from imil.run_folder import RunFolder
from imil.training.fork import fork_run
from imil.training.launch import resume_run
from imil.training.run import Run
from imil.treatments import Batch, find_treatment
from imil.treatments.exchange import Exchange
from imil.treatments.scattered import scattered
from imil.treatments.treatment import Treatment

SELECTED = {i: tuple(np.flatnonzero(row) + 1) for i, row in enumerate(READINGS)}


@pytest.fixture
def samples():
    return Samples(np.random.default_rng(3))


def rng():
    return np.random.default_rng(0)


def batch_of(n, kept=(3, 4), *, progress=0.0):
    """n images of ones on a 2×2 grid, of which these squares stay."""
    keep = torch.from_numpy(np.stack([GRID.mask(kept, 4, 4)] * n))
    images, grids = torch.ones(n, 1, 4, 4, dtype=torch.uint8), torch.full((n, 2), 2)
    labels = torch.arange(n) % 2
    return Batch(images, labels, torch.arange(n), keep, grids, 2, progress=progress)


def draw(n):
    """Other images, of twos."""
    return Batch(torch.full((n, 1, 4, 4), 2, dtype=torch.uint8), torch.zeros(n), torch.arange(n))


def test_irrelevant_squares_of_every_image_are_exchanged_and_a_reader_keeps_its_own(samples):
    selection = Exchange(irrelevant=0.2).relevance(readings(), GRID, Sum(), samples, rng())
    assert len(selection.squares) == 40
    assert {selection.squares[i] for i in range(5, 40)} == {(3, 4)}
    # the third reader selected square 2, which is irrelevant elsewhere; the fourth not square 3
    assert [selection.squares[i] for i in range(5)] == [(3, 4), (3, 4), (2, 3, 4), (3, 4), (3, 4)]
    assert selection.evidence["relevance"]["auroc"] == pytest.approx(1 - 1 / 15)
    assert "AUROC 0.93" in selection.evidence["sentence"]
    json.dumps(selection.evidence)


def test_with_reliance_only_squares_that_the_model_uses_are_exchanged(samples):
    treatment = Exchange(irrelevant=0.2, reliance=1)
    selection = treatment.relevance(readings(), GRID, Sum(), samples, rng())
    assert selection.squares[10] == (2, 3, 4)  # squares 1 and 2 are irrelevant, 1 is used
    samples.images[:, :, :2, :2] = 0  # exchanged for long: the model has nothing to use there
    before = selection.squares
    again = treatment.relevance(readings(), GRID, Sum(), samples, rng(), before)
    assert again.squares == before
    assert treatment.relevance(readings(), GRID, Sum(), samples, rng()).squares[10] == (1, 2, 3, 4)


class BySquare(Sum):
    """A model whose features tell which squares of an image matter."""

    def __init__(self, relevant):
        self.relevant = relevant

    def features(self, samples, *, grid):
        return np.where(self.relevant, 1.0, -1.0)[..., None]


def test_by_features_each_image_has_squares_of_its_own(samples):
    relevant = rng().random((40, 4)) < 0.5
    told = readings(relevant[:20])
    treatment = Exchange(by="features", irrelevant=0.5)
    selection = treatment.relevance(told, GRID, BySquare(relevant), samples, rng())
    assert [selection.squares[i] for i in range(40)] == [
        tuple(np.flatnonzero(row) + 1) for row in relevant
    ]
    with pytest.raises(SettingsError, match="by position, the AUROC"):
        Exchange().relevance(told, GRID, BySquare(relevant), samples, rng())


def test_about_half_of_the_draws_have_another_images_squares():
    result = Exchange().batch(batch_of(400), draw, torch.Generator().manual_seed(0))
    top, bottom = result.images[:, 0, :2], result.images[:, 0, 2:]
    assert (bottom == 1).all()
    exchanged = (top == 2).flatten(1).all(dim=1)
    assert (exchanged | (top == 1).flatten(1).all(dim=1)).all()
    assert 150 < exchanged.sum() < 250


def test_the_last_epochs_are_clean():
    treatment = Exchange(probability=1, clean=0.3)
    changed = [
        bool((treatment.batch(batch_of(4, progress=e / 10), draw, generator()).images == 2).any())
        for e in range(10)
    ]
    assert changed == [True] * 7 + [False] * 3


def generator():
    return torch.Generator().manual_seed(1)


def test_random_squares_are_as_many_and_differ_between_images_and_draws(samples):
    selection = Exchange(irrelevant=0.2, squares="random").relevance(
        readings(), GRID, None, samples, rng()
    )
    assert {len(squares) for squares in selection.squares.values()} == {2}
    batch = batch_of(300, selection.squares[0])
    source = generator()
    masks = [scattered(batch.keep, batch.grids, source) for _ in range(2)]
    for mask in masks:
        pairs = {tuple(np.flatnonzero(GRID.shares(one) == 1) + 1) for one in mask.numpy()}
        assert len(pairs) == 6  # all pairs of four squares come
        assert {len(pair) for pair in pairs} == {2}
    assert not torch.equal(*masks)
    result = Exchange(squares="random", probability=1).batch(batch, draw, generator())
    assert torch.equal(result.images[:, 0] == 1, result.keep)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("squares=random,reliance=2", "squares=random contradicts reliance and by"),
        ("squares=random,by=features", "squares=random contradicts reliance and by"),
        ("by=colour", "invalid by 'colour': expected one of position, features, both"),
        ("clean=1", "invalid clean 1.0: expected a share from 0 to below 1"),
        ("probability=2", "invalid probability 2.0: expected a number from 0 to 1"),
    ],
)
def test_options_that_cannot_be_are_refused_in_one_sentence(text, message):
    with pytest.raises(SettingsError, match=message):
        find_treatment(f"exchange:{text}")


def test_a_donor_of_another_class_needs_two_classes(samples):
    Exchange(donor="other").check(None, samples, GRID)
    samples.labels[:] = 0
    with pytest.raises(SettingsError, match=r"donor=other .* all training images are of one class"):
        Exchange(donor="other").check(None, samples, GRID)


@pytest.fixture
def drawn(monkeypatch):
    """Images, positions and masks of each training step."""
    steps = []

    def watched(self, outputs, features, batch):
        steps.append(batch)

    monkeypatch.setattr(Treatment, "loss", watched)
    return steps


def test_imil_train_exchanges_in_training_alone_and_a_resumed_run_is_the_same(
    films,  # noqa: F811
    tmp_path,
    drawn,
    capsys,
):
    values = {"treatment": "exchange:irrelevant=0.2,clean=0.25", "imil_epoch": [1]}
    whole = train_run(films, tmp_path / "whole", **values)
    assert "squares of a training image (irrelevant) are exchanged" in " ".join(
        capsys.readouterr().out.split()
    )
    (row,) = json.loads(RunFolder(tmp_path / "whole").treatment.read_text())
    share = np.array(row["exchanged"])
    assert row["epoch"] == 1
    assert 0 < (share > 0).sum() < 16
    assert not RunFolder(tmp_path / "whole").field_of_view.exists()
    per_epoch = len(drawn) // 4
    masked = [batch.keep is not None for batch in drawn]
    assert masked == [False] * per_epoch + [True] * 3 * per_epoch
    pixels = originals(films, tmp_path)
    exchanged = Grid(4, 4).mask(np.flatnonzero(share > 0) + 1, 32, 32)
    for n, batch in enumerate(drawn):
        changed = batch.images[:, 0].numpy() != pixels[batch.rows.numpy()]
        assert not changed[:, ~exchanged].any()
        # before the round, and in the last quarter of the training, all is as it was
        assert changed.any() == (per_epoch <= n < 3 * per_epoch)
    part = RunFolder(tmp_path / "part")
    part.path.mkdir()
    fork_run(RunFolder(tmp_path / "whole"), part, 1)
    settings(films, **values).write(part.config)
    assert resume_run(part.path, None, tmp_path / "cache")["end"] == whole["end"]


def originals(films, tmp_path):  # noqa: F811
    from rich.console import Console

    from imil.training.samples.prepared_data import prepare

    folder, chosen = RunFolder(tmp_path / "whole"), settings(films)
    data = prepare(chosen, folder, cache=tmp_path / "cache", progress=lambda *_: None)
    train = Run(folder, chosen, data, Console(quiet=True)).samples["train"]
    return torch.stack([train.view(i)[0] for i in range(len(train))]).numpy()


def test_random_readings_are_refused_and_training_is_as_without_a_reader(
    films,  # noqa: F811
    tmp_path,
):
    with_random = train_run(films, tmp_path / "a", reader="random", treatment="exchange")
    without = train_run(films, tmp_path / "b", reader="none")
    assert with_random["end"] == without["end"]
    (first, *_) = json.loads(RunFolder(tmp_path / "a").treatment.read_text())
    assert first["sentence"].startswith("The treatment changes nothing: the readings do not tell")


@pytest.mark.slow
def test_a_run_that_is_stopped_before_its_end_is_written_goes_on_to_the_same(
    films,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    """Also a field of view, of which the last checkpoint knows and the model does not yet."""
    values = {"treatment": "field-of-view:reliance=0", "imil_epoch": [1]}
    whole = train_run(films, tmp_path / "whole", **values)

    def stop(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_finish", stop)
        with pytest.raises(KeyboardInterrupt):
            train_run(films, tmp_path / "part", **values)
    assert resume_run(tmp_path / "part", None, tmp_path / "cache")["end"] == whole["end"]


def test_squares_that_several_readers_call_misleading_are_exchanged_in_every_image(samples):
    told = readings(
        np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1], [0, 1, 1, 1]])
    )
    for i in (0, 1, 3):
        told[i] = replace(told[i], squares=(3, 4), misleading=(2,))
    told[7] = Reading("c7", "Lee", "focus", misleading=(3,))  # of this image alone
    kept = Exchange(irrelevant=0.1).relevance(told, GRID, Sum(), samples, rng()).squares
    assert kept[20] == (3, 4)
    assert kept[2] == (2, 3, 4)
    assert kept[7] == (4,)
    random = Exchange(irrelevant=0.1, squares="random")
    assert random.relevance(told, GRID, None, samples, rng()).squares[20] == (1, 2)
