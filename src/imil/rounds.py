"""The round: predict, choose, explain, ask, correct.

This file is the product; everything else plugs into it. A round survives being stopped
anywhere: what is in the store is never asked again, and correcting twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from imil.cases import Case, Kept, Model, Reader, Round, RoundSettings, Samples
from imil.errors import DataError
from imil.outliers import Chosen, choice, choose
from imil.store import Store, name_round

Say = Callable[[str], None]
S = TypeVar("S", bound=Samples)


def _quiet(_text: str) -> None:
    """Say nothing."""


def run_round(
    model: Model[S],
    samples: S,
    ask: Reader,
    store: Store,
    *,
    run: str,
    epoch: int,
    settings: RoundSettings,
    say: Say = _quiet,
) -> Round:
    """The round after `epoch` completed epochs: `applied`, or `open` if the reader stopped early.

    A round that the store already has goes on where it was: its cases stay as they were
    chosen, and only the unread ones are put to the reader.

    Args:
        model: predicts and explains; left as it was.
        samples: the training set; its corrections change once all cases are read.
        ask: the reader.
        store: must know the run (`Store.add_run`).
        run: name of the run.
        epoch: completed epochs.
        settings: how many, which grid, which choice and fill.
        say: takes a line for the person who is watching.
    Source: paper 3.1.
    """
    round_ = store.find_round(run, epoch) or _open(model, samples, store, run, epoch, settings, say)
    if round_.state == "open":
        unread = store.unread(round_.id)
        for reading in ask(unread) if unread else ():
            store.add(reading)
        # a page may have closed it meanwhile; what was unread then counts as skipped
        round_ = store.find_round(run, epoch) or round_
    if round_.state == "open":
        if store.unread(round_.id):
            return round_
        round_ = store.mark(round_, "closed")
    correct(samples, round_, store)
    return round_ if round_.state == "applied" else store.mark(round_, "applied")


def restore(samples: Samples, store: Store, *, run: str, epoch: int) -> list[Round]:
    """The finished rounds of a run up to `epoch`, after putting their corrections back."""
    done = [r for r in store.rounds(run) if r.epoch <= epoch and r.state != "open"]
    for round_ in done:
        correct(samples, round_, store)
    return done


def correct(samples: Samples, round_: Round, store: Store) -> None:
    """Keep, of each sample that has a standing `focus` reading, only the selected squares.

    Any other verdict leaves the sample as it is: a skipped case keeps an earlier correction.

    Raises: DataError: the training set has no sample of that key any more.
    """
    positions = {samples.key(i): i for i in range(len(samples))}
    readings = store.standing(round_.id)
    for case in store.cases(round_.id):
        reading = readings.get(case.id)
        if reading is not None and reading.verdict == "focus":
            if case.key not in positions:
                raise DataError(
                    f"the round after epoch {round_.epoch} has a case '{case.key}', and the "
                    "training set has no such sample: give the keys that it had then"
                )
            kept = Kept(case.grid, reading.squares, round_.settings.fill)
            samples.correct(positions[case.key], kept)


def _open(
    model: Model[S],
    samples: S,
    store: Store,
    run: str,
    epoch: int,
    settings: RoundSettings,
    say: Say,
) -> Round:
    """The new round, on disk with all its cases."""
    chosen = choose(
        choice(settings.choice),
        model.parts(samples),
        samples.labels,
        samples.key,
        settings.num_outliers,
    )
    asked = len(chosen.positions)
    say(_summary(epoch, chosen.wrong, len(samples), asked, settings.num_outliers))
    cases = _make_cases(model, samples, chosen, name_round(run, epoch), settings)
    return store.open_round(run, epoch, settings, cases)


def _summary(epoch: int, wrong: int, n: int, cases: int, asked: int) -> str:
    """How many mistakes there are, and what becomes of them: one line for whoever watches."""
    mistakes = f"Round after epoch {epoch}: the model gets {wrong} of {n} training images wrong"
    if not cases:
        return f"{mistakes}, so there is nothing to ask."
    fewer = f", fewer than num_outliers = {asked}" if cases < asked else ""
    return f"{mistakes}{fewer}; the round has {cases} cases."


def _make_cases(
    model: Model[S],
    samples: S,
    chosen: Chosen,
    round_id: str,
    settings: RoundSettings,
) -> list[Case]:
    predicted, confidence = chosen.probs.argmax(axis=1), chosen.probs.max(axis=1)
    both = [
        (i, int(of))
        for i, shown in zip(chosen.positions, predicted, strict=True)
        for of in (shown, samples.labels[i])
    ]
    cams = model.explain(samples, [i for i, _ in both], [c for _, c in both]) if both else []
    return [
        Case(
            id=f"{round_id}#{number}",
            number=number,
            key=samples.key(i),
            label=int(samples.labels[i]),
            predicted=int(predicted[number - 1]),
            confidence=float(confidence[number - 1]),
            class_names=tuple(samples.class_names),
            grid=settings.grid,
            cam_predicted=cams[2 * number - 2],
            cam_true=cams[2 * number - 1],
            load_image=partial(samples.image, i),
            earlier=_earlier(samples, i, settings),
            threadsafe=getattr(samples, "threadsafe", False),
        )
        for number, i in enumerate(chosen.positions, start=1)
    ]


def _earlier(samples: Samples, i: int, settings: RoundSettings) -> tuple[int, ...] | None:
    """The squares marked earlier; those of another grid could not be shown on this one."""
    kept = samples.corrected(i)
    return kept.squares if kept is not None and kept.grid == settings.grid else None
