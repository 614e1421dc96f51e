"""The round: predict, choose, explain, ask, correct.

This file is the product; everything else plugs into it. A round survives being stopped
anywhere: a case that has a stored reading is not shown again, and correcting twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from imil.asked_cases import open_cases
from imil.cases import Case, HeatMap, Model, Reader, Round, RoundSettings, Samples, Verdict
from imil.choices import Provider, check_needs, choose_cases
from imil.errors import DataError, RoundClosed
from imil.geometry import NOT_STATED, Geometry
from imil.outliers import mistakes
from imil.predictions import Predictions, check_finite
from imil.store import Store, name_round, round_state

Say = Callable[[str], None]
S = TypeVar("S", bound=Samples)
MADE_HERE = ("heat_maps", "say")  # what a choice may need and every round can give


def _print_nothing(_text: str) -> None:
    """Print nothing."""


def run_round(
    model: Model[S],
    samples: S,
    ask: Reader,
    store: Store,
    *,
    run: str,
    epoch: int,
    settings: RoundSettings,
    predictions: Predictions | None = None,
    providers: Mapping[str, Provider] | None = None,
    say: Say = _print_nothing,
) -> Round:
    """The round after `epoch` completed epochs: `applied`, or `open` if the reader stopped early.

    A round that the store already has is continued: its cases stay as they were chosen, and only
    the unread ones are shown to the reader. A live round is opened and left to its readers.

    Args:
        model: predicts and explains; left as it was.
        samples: the training set; its corrections change once all cases are read.
        ask: the reader.
        store: must know the run (`Store.add_run`).
        run: name of the run.
        epoch: completed epochs.
        settings: how many cases, which grid, which choice, which seed.
        predictions: of the samples, in their order, where they were made before; otherwise the
            model makes them. Heat-maps that they lack are made by the model.
        providers: what the choice needs beyond predictions, by the names of its keyword-only
            parameters. `heat_maps` is always available: a function of positions and classes that
            returns one heat-map per pair; and so is `say`.
        say: receives a line of text for the person who is watching.
    Raises: SettingsError: the choice is unknown, or needs something that has no provider.
    Source: paper 3.1.
    """
    check_choice(settings, providers)
    round_ = store.find_round(run, epoch)
    if round_ is None:
        predictions = model.predict(samples) if predictions is None else predictions
        removed = _removed_keys(store, run)
        positions = _choose(model, samples, predictions, epoch, settings, providers, say, removed)
        say(_summary(epoch, predictions, len(positions), settings.num_outliers))
        cases = make_cases(model, samples, predictions, positions, run, epoch, settings)
        round_ = store.open_round(run, epoch, settings, cases)
    if round_.settings.live and round_.cases:
        return round_
    while round_.state != "applied":
        if round_.state == "open":
            round_ = _ask(ask, round_, store, say)
            if round_.state == "open":
                return round_
        round_ = _apply(round_, store, say)  # open where its owner reopened it meanwhile
    correct(samples, round_, store)
    return round_


def restore(samples: Samples, store: Store, *, run: str, epoch: int) -> list[Round]:
    """The applied rounds of a run up to `epoch`, after putting their corrections back.

    One that was closed and not applied is left to `run_round`: its owner may still reopen it. A
    live one is left to the training, which knows when each reading took effect.
    """
    earlier = [r for r in store.rounds(run) if r.epoch <= epoch and not r.settings.live]
    done = [r for r in earlier if r.state == "applied"]
    for round_ in done:
        correct(samples, round_, store)
    return done


def correct(samples: Samples, round_: Round, store: Store) -> None:
    """Keep, of each sample whose reading is `focus`, only the selected squares.

    Several readers' answers are merged by the round's panel, see `imil.merging`.
    Of a sample whose readers marked misleading squares alone, all others are kept.
    Any other verdict leaves the sample as it is: a skipped case keeps an earlier correction. Where
    the panel says so, a wrong label or an image that cannot be assessed is taken out of training.

    Raises: DataError: the training set no longer has a sample of that key.
    """
    positions = {samples.key(i): i for i in range(len(samples))}
    what_counts = store.merged(round_.id)
    removes = round_.settings.panel.flagged == "remove"
    for case in store.cases(round_.id):
        counts = what_counts.get(case.id)
        if counts is None or not (counts.corrects or (counts.flagged and removes)):
            continue
        if case.key not in positions:
            raise DataError(
                f"the round after epoch {round_.epoch} has a case '{case.key}', and the "
                "training set has no such sample: give the keys that it had then"
            )
        if counts.flagged:
            samples.remove(positions[case.key])
        else:
            samples.correct(positions[case.key], counts.correction(case.grid))


def _ask(ask: Reader, round_: Round, store: Store, say: Say) -> Round:
    """The round after asking the reader; open if that stopped, or if others are waited for."""
    cases = store.cases(round_.id)
    asked = open_cases(ask, cases, store.readings(round_.id))
    for reading in ask(asked) if asked else ():
        try:
            store.add(reading)
        except RoundClosed:  # by a page; what was unread then counts as skipped
            number = next(case.number for case in cases if case.id == reading.case)
            who, what = reading.reader, reading.verdict
            round_state.refuse(store, round_.run, round_.epoch, number, who, what)
            say(
                f"The answer of {who} to case {number} came after the round was closed, and is "
                "not used."
            )
            break
    state = round_state.state_of(store, round_.id)
    if state == "open" and not open_cases(ask, cases, store.readings(round_.id)):
        state = round_state.close_if_over(store, round_, at_page=False)
    return replace(round_, state=state)


def _apply(round_: Round, store: Store, say: Say) -> Round:
    """The round once it is applied, in the store first: from then on its readings are final."""
    lines = round_state.apply(store, round_)
    if lines is None:
        return replace(round_, state=round_state.state_of(store, round_.id))
    if lines:
        say(
            f"Several readers answered the round after epoch {round_.epoch}; their answers are "
            f"merged by the rule '{round_.settings.panel.fusion}':"
        )
    for line in lines:
        say(line)
    if (sentence := round_state.deadline_sentence(store, round_)) is not None:
        say(sentence)
    _say_removed(store, round_, say)
    return replace(round_, state="applied")


def _say_removed(store: Store, round_: Round, say: Say) -> None:
    """Say which cases are taken out of training, and why."""
    removed = _removed(store, round_)
    if removed:
        cases = ", ".join(f"{case.number} ({why})" for case, why in removed)
        say(f"Taken out of training from the next epoch on: case {cases}.")


def _removed(store: Store, round_: Round) -> list[tuple[Case, Verdict]]:
    """The cases of a round that are taken out of training, and the verdicts that do it."""
    if round_.settings.panel.flagged != "remove":
        return []
    what_counts = store.merged(round_.id)
    return [
        (case, what_counts[case.id].reading.verdict)
        for case in store.cases(round_.id)
        if case.id in what_counts and what_counts[case.id].flagged
    ]


def check_choice(settings: RoundSettings, providers: Mapping[str, Provider] | None) -> None:
    """Check that the choice of cases exists, and that all that it needs is available.

    Raises: SettingsError: it does not, or something is missing.
    """
    check_needs(settings.choice, {*MADE_HERE, *(providers or {})})


def _choose(
    model: Model[S],
    samples: S,
    predictions: Predictions,
    epoch: int,
    settings: RoundSettings,
    providers: Mapping[str, Provider] | None,
    say: Say,
    removed: Container[str],
) -> list[int]:
    """Positions of the samples that become cases, in order; none that was taken out of training."""
    check_finite(predictions.probs, predictions.keys)
    made_here: dict[str, Provider] = {
        "heat_maps": partial(partial, _explain, model, samples),
        "say": lambda _: say,
    }
    gone = sum(key in removed for key in predictions.keys)
    positions = choose_cases(
        settings.choice,
        predictions,
        settings.num_outliers + gone,
        settings.rng(epoch),
        {**made_here, **(providers or {})},
    )
    left = [i for i in positions if predictions.keys[i] not in removed]
    return left[: settings.num_outliers]


def _removed_keys(store: Store, run: str) -> set[str]:
    """The samples that earlier rounds took out of training."""
    applied = [round_ for round_ in store.rounds(run) if round_.state == "applied"]
    return {case.key for round_ in applied for case, _ in _removed(store, round_)}


def _explain(
    model: Model[S],
    samples: S,
    predictions: Predictions,
    positions: Sequence[int],
    classes: Sequence[int],
) -> list[HeatMap]:
    """One heat-map per pair of sample and class; only those that are missing are made."""
    pairs = [(int(i), int(of)) for i, of in zip(positions, classes, strict=True)]
    missing = [pair for pair in dict.fromkeys(pairs) if pair not in predictions.heat_maps]
    made = model.explain(samples, *zip(*missing, strict=True)) if missing else []
    heat_maps = {**predictions.heat_maps, **dict(zip(missing, made, strict=True))}
    return [heat_maps[pair] for pair in pairs]


def _summary(epoch: int, predictions: Predictions, cases: int, num_outliers: int) -> str:
    """One line: how many mistakes the model makes, and how many cases the round has."""
    wrong = mistakes(predictions.probs, predictions.labels, predictions.keys)
    text = (
        f"Round after epoch {epoch}: the model gets {len(wrong)} of {len(predictions)} "
        "training images wrong"
    )
    if not cases and len(wrong):
        return f"{text}; the choice of cases finds none, so there is nothing to ask."
    if not cases:
        return f"{text}, so there is nothing to ask."
    fewer = f", fewer than num_outliers = {num_outliers}" if cases < num_outliers else ""
    return f"{text}{fewer}; the round has {cases} cases."


def make_cases(
    model: Model[S],
    samples: S,
    predictions: Predictions,
    positions: Sequence[int],
    run: str,
    epoch: int,
    settings: RoundSettings,
) -> list[Case]:
    """The cases of a round, not yet stored, with the heat-maps of predicted and true class.

    Args:
        model, samples, run, epoch, settings: as for `run_round`.
        predictions: of the samples, in their order.
        positions: of the samples that become cases, in order.
    """
    probs, labels = predictions.probs[positions], predictions.labels[positions]
    predicted = probs.argmax(axis=1)
    cams = _explain(model, samples, predictions, [*positions, *positions], [*predicted, *labels])
    round_id = name_round(run, epoch)
    return [
        Case(
            id=f"{round_id}#{row + 1}",
            run=run,
            epoch=epoch,
            round=round_id,
            number=row + 1,
            key=predictions.keys[i],
            label=int(labels[row]),
            predicted=int(predicted[row]),
            confidence=float(probs[row].max()),
            class_names=tuple(samples.class_names),
            grid=settings.grid,
            load_image=partial(samples.image, i),
            load_heat_map={
                "predicted": cams[row],
                "true": cams[len(positions) + row],
            }.__getitem__,
            earlier=_earlier(samples, i, settings),
            threadsafe=getattr(samples, "threadsafe", False),
            geometry=_geometry(samples, i),
        )
        for row, i in enumerate(positions)
    ]


def _geometry(samples: Samples, i: int) -> Geometry:
    known: Callable[[int], Geometry] | None = getattr(samples, "geometry", None)
    return NOT_STATED if known is None else known(i)


def _earlier(samples: Samples, i: int, settings: RoundSettings) -> tuple[int, ...] | None:
    """The squares kept earlier; those of another grid could not be shown on this one."""
    correction = samples.corrected(i)
    if correction is None or correction.grid != settings.grid:
        return None
    return correction.squares
