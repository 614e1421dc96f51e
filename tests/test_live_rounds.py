"""Trainings that go on while readers read: when each reading takes effect."""

import json

import pytest
import torch
from parked_runs import SMALL, opened
from safetensors.torch import load_file
from slow_params import slow

from imil.cases import Reading
from imil.errors import DataError, SettingsError, StoreBusy
from imil.phantom.dataset import write_phantoms
from imil.run_folder import RunFolder
from imil.settings import resolve
from imil.store import Store, audit, round_state
from imil.training.checkpoints import Writer
from imil.training.launch import new_run, resume_run
from imil.training.live_readings import LiveReadings
from imil.training.live_record import LiveRecord
from imil.training.live_rounds import LiveRounds

LIVE = SMALL | {"wait": "live", "imil_epoch": 2, "epochs": 5, "lr": 0.1}
LEE = {1: (1, 2), 2: (6,), 3: (11, 12)}


class Stopped(BaseException):
    """In place of a kill: whatever is not on disk by now is lost."""


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return write_phantoms(tmp_path_factory.mktemp("drawn") / "films", n=40, size=48, seed=0)


@pytest.fixture(autouse=True)
def without_a_clock(monkeypatch):
    """Readings are looked for where a test says so, and a checkpoint is written each epoch."""
    monkeypatch.setattr(LiveReadings, "start", lambda _: None)
    monkeypatch.setattr("imil.training.launch.reading_room", no_room)
    monkeypatch.setattr(Writer, "due", lambda _: True)


class no_room:  # noqa: N801 - in place of a function
    """No page is served: the readings come from the test."""

    def __init__(self, *_):
        pass

    def __enter__(self):
        return lambda _cases: iter(())

    def __exit__(self, *_):
        pass


def answer(store, number, squares, *, verdict="focus", reader="Dr. Lee"):
    """Store an answer to a case of the first round."""
    case = store.cases(store.rounds()[0].id)[number - 1]
    identity = f"{number:08x}{sum(squares):08x}{len(verdict):016x}"
    store.add(Reading(case.id, reader, verdict, tuple(squares), id=identity))


def finish(store):
    round_ = store.rounds()[0]
    round_state.finish(store, round_.run, round_.epoch, round_.id, "Dr. Lee")


def at_steps(monkeypatch, folder, happening):
    """Let something happen before a batch: (completed epochs, batches of the epoch) -> function."""
    usual = LiveRounds.before_batch

    def before_batch(live, batch, positions):
        step = happening.get((live._order.epoch, batch))
        if step is not None:
            with opened(folder) as store:
                step(store)
            live._readings.ask()
        usual(live, batch, positions)

    monkeypatch.setattr(LiveRounds, "before_batch", before_batch)


def train(films, folder, **more):
    settings = resolve({"data": str(films)} | LIVE | more).with_absolute_paths(films.parent)
    return new_run(settings, RunFolder(folder), films.parent / "cache", room=no_room)


def weights(folder):
    return load_file(folder / "model.safetensors")


def are_equal(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def stop(_store):
    raise Stopped


def steps(*, stop_at=None):
    """The answers of a reader, from the last batch before the end of an epoch to the next."""
    happening = {
        (2, 1): lambda store: answer(store, 1, LEE[1]),
        (3, 0): lambda store: answer(store, 2, LEE[2]),
        (3, 1): lambda store: (answer(store, 3, LEE[3]), answer(store, 1, (5,)), finish(store)),
    }
    return happening | ({} if stop_at is None else {stop_at: stop})


def said(capsys):
    return " ".join(capsys.readouterr().out.split())


def test_each_reading_takes_effect_before_the_next_batch_and_is_recorded(
    films, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "run"
    at_steps(monkeypatch, folder, steps())
    train(films, folder)
    record = LiveRecord(folder / "live.json")
    changes = [(one.case, one.squares, one.when) for one in record.changes]
    assert changes == [
        (1, (1, 2), (2, 1)),
        (2, (6,), (3, 0)),
        (1, (5,), (3, 1)),
        (3, (11, 12), (3, 1)),
    ]
    assert record.over == {2: 4}
    output = said(capsys)
    assert output.count("is used from epoch") >= 3
    assert (
        "The answer of Dr. Lee to case 2 of the round after epoch 2 is used from epoch 4" in output
    )
    with opened(folder) as store:
        assert [one.state for one in store.rounds()] == ["applied"]


def test_a_reading_is_used_at_the_next_draw_of_its_image_and_not_before(
    films, tmp_path, monkeypatch
):
    from imil.training.samples.batches import Batches

    folder, drawn = tmp_path / "run", []
    usual = Batches._keep
    monkeypatch.setattr(
        Batches,
        "_keep",
        lambda batches, rows: drawn.append((batches._order.epoch, *rows)) or usual(batches, rows),
    )
    kept = []
    step = Batches._batch

    def batch(batches, positions, rows, keep):
        for b, i in enumerate(positions.tolist()):
            whole = keep is None or bool(keep[b].all())
            kept.append((batches._order.epoch, i, whole))
        return step(batches, positions, rows, keep)

    monkeypatch.setattr(Batches, "_batch", batch)
    at_steps(monkeypatch, folder, {(3, 1): lambda store: answer(store, 1, LEE[1])})
    train(films, folder)
    with opened(folder) as store:
        key = store.cases(store.rounds()[0].id)[0].key
    (change,) = LiveRecord(folder / "live.json").changes
    assert change.key == key
    position = next(i for i, _ in positions_of(folder, key))
    draws = [(epoch, whole) for epoch, i, whole in kept if i == position]
    fourth = [row for row in drawn if row[0] == 3]
    in_first_batch = position in fourth[0][1:]
    assert dict(draws) == {0: True, 1: True, 2: True, 3: in_first_batch, 4: False}


def positions_of(folder, key):
    """Position in the training set, and key, of the rows of split.csv that have this key."""
    import pandas as pd

    table = pd.read_csv(folder / "split.csv")
    train_keys = table[table.split == "train"].key.tolist()
    return [(i, one) for i, one in enumerate(train_keys) if one == key]


@pytest.mark.parametrize("stop_at", [(4, 1), *slow(((3, 1),))])
def test_a_run_that_was_stopped_uses_each_reading_again_from_the_same_step(
    films, tmp_path, monkeypatch, stop_at
):
    whole = tmp_path / "whole"
    with monkeypatch.context() as patch:
        at_steps(patch, whole, steps())
        train(films, whole)
    folder = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        at_steps(patch, folder, steps(stop_at=stop_at))
        with pytest.raises(Stopped):
            train(films, folder)
    late = {} if stop_at == (4, 1) else {(3, 1): steps()[3, 1]}
    at_steps(monkeypatch, folder, late)
    # readings that are in the store when it goes on are not taken up earlier than before
    resume_run(folder, None, films.parent / "cache")
    assert are_equal(weights(folder), weights(whole))
    assert (folder / "history.csv").read_text() == (whole / "history.csv").read_text()
    record, expected = (json.loads((one / "live.json").read_text()) for one in (folder, whole))
    assert record == expected


def test_without_readings_training_is_as_without_a_round(films, tmp_path, capsys):
    train(films, tmp_path / "run")
    assert "3 of 3 cases of the round after epoch 2 are not answered, and stay" in said(capsys)
    train(films, tmp_path / "none", reader="none", wait="here")
    assert are_equal(weights(tmp_path / "run"), weights(tmp_path / "none"))
    with opened(tmp_path / "run") as store:
        (close,) = [one for one in audit.newest(store, "run") if one.what == "close"]
    assert "training has ended, 0 of 3 cases read" in close.detail


def test_an_answer_that_becomes_a_skip_gives_the_image_back(films, tmp_path, monkeypatch):
    at_steps(
        monkeypatch,
        tmp_path / "run",
        {
            (2, 0): lambda store: answer(store, 1, LEE[1]),
            (2, 1): lambda store: answer(store, 1, (), verdict="skip"),
        },
    )
    train(films, tmp_path / "run", epochs=4)
    first, second = LiveRecord(tmp_path / "run" / "live.json").changes
    assert (first.squares, second.squares) == ((1, 2), None)
    assert second.correction is None


def test_an_answer_after_the_last_draw_of_its_image_is_said_not_to_be_used(
    films, tmp_path, monkeypatch, capsys
):
    usual = LiveRounds.end

    def end(live, epochs):
        with opened(tmp_path / "run") as store:
            answer(store, 1, LEE[1])
        usual(live, epochs)

    monkeypatch.setattr(LiveRounds, "end", end)
    train(films, tmp_path / "run", epochs=3)
    output = said(capsys)
    assert "case 1 of the round after epoch 2 came after its image was drawn for the last" in output
    assert "2 of 3 cases of the round after epoch 2 are not answered" in output


def test_a_treatment_that_decides_for_all_images_takes_a_live_round_up_as_a_whole(
    films, tmp_path, monkeypatch
):
    more = {"treatment": "field-of-view", "epochs": 6}
    whole = tmp_path / "whole"
    with monkeypatch.context() as patch:
        at_steps(patch, whole, steps())
        train(films, whole, **more)
    assert LiveRecord(whole / "live.json").over == {2: 4}
    decisions = json.loads((whole / "treatment.json").read_text())
    assert decisions[0]["epoch"] == 4
    folder = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        at_steps(patch, folder, steps(stop_at=(4, 1)))
        with pytest.raises(Stopped):
            train(films, folder, **more)
    resume_run(folder, None, films.parent / "cache")
    assert are_equal(weights(folder), weights(whole))
    assert json.loads((folder / "treatment.json").read_text()) == decisions


def test_a_store_that_cannot_be_used_does_not_end_the_training(tmp_path, caplog):
    class Locked:
        def rounds(self, _run):
            readings._stopped.set()
            raise StoreBusy("the store is locked")

    readings = LiveReadings(Locked(), "run")
    readings._stopped.wait = lambda _seconds: readings._stopped.is_set()
    readings._look()
    assert "Readings cannot be taken up: the store is locked" in caplog.text
    assert readings.take() == []


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"changes": [{}], "over": []}', '{"changes": 3, "over": []}'],
)
def test_a_damaged_record_is_one_sentence(tmp_path, text):
    (tmp_path / "live.json").write_text(text)
    with pytest.raises(DataError, match=r"live\.json is damaged"):
        LiveRecord(tmp_path / "live.json")


def test_a_live_run_is_not_resumed_as_one_that_waits(films, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    at_steps(monkeypatch, folder, {(2, 0): stop})
    with pytest.raises(Stopped):
        train(films, folder)
    with pytest.raises(SettingsError, match="--wait here cannot continue a run"):
        resume_run(folder, None, films.parent / "cache", wait="here")
    store = Store(folder / "imil.sqlite", readonly=True)
    assert store.rounds()[0].settings.live
    store.close()
