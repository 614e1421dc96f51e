"""Rounds that are read while training goes on: each reading is used from its image's next draw."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from imil.cases import Correction, Round
from imil.pytorch import CorrectedDataset
from imil.rounds import correct
from imil.store import Store, round_state
from imil.training.classifier import EpochOrder
from imil.training.live_readings import Found, LiveReadings
from imil.training.live_record import Change, LiveRecord

NEVER = 10**9  # completed epochs: of a round that is not taken up as a whole yet


class LiveRounds:
    """Takes up readings between two steps, and in a resumed run again between the same two.

    What is recorded comes first: new readings wait until the training has passed the last recorded
    change, so that their order is the same in a resumed run.

    Args:
        samples: the training set, whose corrections change.
        order: knows the epoch.
        store: where the rounds are.
        run: name of the run.
        record: of what took effect when.
        readings: finds new ones.
        whole: whether a round is taken up as a whole, between two epochs, once it is closed: its
            treatment decides for all images together. Otherwise each reading is, before a batch.
        say: takes a line for the person who is watching.
    """

    def __init__(
        self,
        samples: CorrectedDataset,
        order: EpochOrder,
        store: Store,
        run: str,
        *,
        record: LiveRecord,
        readings: LiveReadings,
        whole: bool,
        say: Callable[[str], object],
    ) -> None:
        self._samples, self._order, self._store, self._run = samples, order, store, run
        self._record, self._readings, self._whole, self._say = record, readings, whole, say
        self._positions = {samples.key(i): i for i in range(len(samples))}
        self._scheduled = deque(record.changes)
        # of (round, case): the readings that are taken up, and what the image was before the round
        self._known = {(one.round, one.case): one.readings for one in record.changes}
        self._before: dict[tuple[int, int], Correction | None] = {}
        self._ended: set[int] = set()  # rounds that are closed and to be taken up as a whole
        self._undrawn: dict[int, tuple[Change, int]] = {}  # position -> change, draws until then
        self._draws = 0

    def resume(self, epoch: int) -> None:
        """Apply again what took effect within the first `epoch` epochs."""
        if self._scheduled:
            self._say("Readings are used again from the batches from which they were used before.")
        while self._scheduled and self._scheduled[0].epoch < epoch:
            self._apply(self._scheduled.popleft())
        for round_ in self._rounds(lambda over: over < epoch):
            self._correct(round_)

    def before_batch(self, batch: int, positions: NDArray[np.int64]) -> None:
        """Take up what came since the last batch; called before each is drawn.

        Args:
            batch: how many batches of the epoch were drawn.
            positions: of the samples that are drawn next.
        """
        when = (self._order.epoch, batch)
        while self._scheduled and self._scheduled[0].when <= when:
            self._apply(self._scheduled.popleft())
        if not self._scheduled:
            self._take_up(when)
        if self._undrawn:
            self._say_drawn(positions)
        self._draws += len(positions)

    def ended(self, epoch: int) -> list[Round]:
        """The rounds that are taken up as a whole after `epoch` completed epochs, in order."""
        if self._ended:
            self._record.end(sorted(self._ended), epoch)
            self._ended.clear()
        rounds = self._rounds(lambda over: over == epoch)
        for round_ in rounds:
            self._correct(round_)
        return rounds

    def counts_from(self, round_: Round) -> int:
        """After how many completed epochs a round was taken up as a whole."""
        return self._record.over.get(round_.epoch, NEVER)

    def end(self, epochs: int) -> None:
        """Close what is still open after the last epoch, and say what was not used.

        Raises: StoreError: the store cannot be used.
        """
        self._readings.stop()
        for round_ in self._store.rounds(self._run):
            if round_.settings.live and round_.state != "applied":
                self._close(round_)
        self._readings.ask()
        while self._scheduled:  # of a run that is resumed after its last epoch
            self._apply(self._scheduled.popleft())
        late = [change for change, _ in self._undrawn.values()]
        late += [one for found in self._found() for one in self._changes(found, (epochs, 0))]
        for change in late:
            if change.squares is not None:
                self._say(
                    f"{_answer(change)} came after its image was drawn for the last time, and is "
                    "not used."
                )
        if self._ended:
            self._record.end(sorted(self._ended), epochs)
            self._ended.clear()

    def _close(self, round_: Round) -> None:
        round_state.close(
            *(self._store, round_.run, round_.epoch, round_.id),
            by=round_state.TRAINING,
            why="training has ended",
        )
        left = len(self._store.unread(round_.id))
        which = f"the round after epoch {round_.epoch}"
        if self._whole:
            self._say(f"Training has ended before {which} was answered: it is not used.")
        elif left:
            self._say(
                f"Training has ended: {left} of {round_.cases} cases of {which} are not answered, "
                "and stay as they were."
            )

    def _rounds(self, counts: Callable[[int], bool]) -> list[Round]:
        over = {epoch for epoch, since in self._record.over.items() if counts(since)}
        return [one for one in self._store.rounds(self._run) if one.epoch in over] if over else []

    def _correct(self, round_: Round) -> None:
        if self._whole:
            correct(self._samples, round_, self._store)

    def _take_up(self, when: tuple[int, int]) -> None:
        changes = [one for found in self._found() for one in self._changes(found, when)]
        if not changes:
            return
        self._record.add(changes)  # first: a run that is killed now repeats it
        for change in changes:
            position = self._positions[change.key]
            before = self._samples.corrected(position)
            self._apply(change)
            if self._samples.corrected(position) != before:
                self._undrawn[position] = change, self._draws

    def _found(self) -> list[Found]:
        found = self._readings.take()
        for one in found:
            for line in one.lines:
                self._say(line)
            is_over = one.round.state == "applied" and one.round.cases
            if is_over and one.round.epoch not in self._record.over:
                self._ended.add(one.round.epoch)
        return found

    def _changes(self, found: Found, when: tuple[int, int]) -> list[Change]:
        """What the readings change that were not known before."""
        round_, changes = found.round, []
        grid = round_.settings.grid
        for number, merged in sorted(found.answers.items()) if not self._whole else ():
            readings = tuple(one.id for one in merged.answers)
            if self._known.get((round_.epoch, number)) == readings:
                continue
            self._known[round_.epoch, number] = readings
            focus = merged.reading.verdict == "focus"
            changes.append(
                Change(
                    round=round_.epoch,
                    case=number,
                    key=found.keys[number],
                    readers=merged.reading.reader,
                    readings=readings,
                    grid=grid.shape,
                    squares=merged.reading.kept_squares(grid) if focus else None,
                    epoch=when[0],
                    batch=when[1],
                )
            )
        return changes

    def _apply(self, change: Change) -> None:
        position, case = self._positions[change.key], (change.round, change.case)
        before = self._before.setdefault(case, self._samples.corrected(position))
        self._samples.correct(position, change.correction or before)

    def _say_drawn(self, positions: NDArray[np.int64]) -> None:
        """Say of each change whose image is drawn now for the first time when that is."""
        for i, position in enumerate(positions.tolist()):
            if position in self._undrawn:
                change, draws = self._undrawn.pop(position)
                since = self._draws + i - draws
                images = "image" if since == 1 else "images"
                self._say(
                    f"{_answer(change)} is used from epoch {self._order.epoch + 1} on, "
                    f"{since} {images} after it came."
                )


def _answer(change: Change) -> str:
    return (
        f"The answer of {change.readers} to case {change.case} of the round after epoch "
        f"{change.round}"
    )
