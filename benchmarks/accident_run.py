"""One training with a server and a reader in Chromium, and the accidents that happen to them."""

from __future__ import annotations

import contextlib
import os
import random
import re
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from browser_reader import BrowserReader, answer
from unsteady_network import UnsteadyNetwork

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from postgres_server import PASSWORD, Server
from processes import begin
from proxies import free_port

from imil.run_folder import RunFolder
from imil.run_store import run_store
from imil.store import Store

TRAIN = [
    *("--model", "test_resnet", "--image-size", "32", "--batch-size", "8", "--lr", "0.0001"),
    *("--num-outliers", "3", "--device", "cpu", "--precision", "32"),
]
ROUNDS = 16  # of a run, of three cases each
PAUSE = (0.5, 10.0)  # s from one accident to the next
FAILING = (0.5, 4.0)  # s that network, disk or database is away
LONGEST = 2400  # s of a run, before it counts as one that does not go on
DAY = 86_400  # s
MOST_DAYS = 12  # that the clock is moved either way: links are valid for 30 days


@dataclass
class Program:
    """A program that is started again whenever it has ended; `kill` ends it as kill -9 does."""

    words: list[str]
    folder: Path
    name: str
    environment: dict[str, str] = field(default_factory=dict)
    process: Any = None
    starts: int = 0
    killed: bool = False
    accident_at: float = 0.0
    ended: list[str] = field(default_factory=list)  # by itself, in an accident
    stuck: list[str] = field(default_factory=list)  # by itself, without one

    def start(self) -> None:
        """Begin it."""
        self.starts += 1
        self.killed = False
        self.began = time.monotonic()
        out = self.folder / f"{self.name}-{self.starts}.out"
        self.out = out
        self.process = begin(self.words, self.folder, out, **self.environment)

    def kill(self) -> bool:
        """Kill it; whether it ran."""
        if self.process is None or self.process.exitcode is not None:
            return False
        self.killed = True
        self.process.kill()
        self.process.join()
        return True

    def keep_running(self, *, accident: bool) -> bool:
        """Start it again if it has ended; False once it has ended well.

        Args:
            accident: whether something that it needs fails, or did since it was started.
        """
        code = self.process.exitcode
        if code is None:
            return True
        if code == 0:
            return False
        if not self.killed:
            text = self.out.read_text()[-500:] if self.out.exists() else ""
            (self.ended if accident else self.stuck).append(f"{code}: {text}")
            if not accident and len(self.stuck) > 5:
                raise TimeoutError(self.stuck[-1])
            time.sleep(0.5)
        self.start()
        return True


class Clock:
    """The time of day of the programs, moved by whole seconds; needs a C compiler."""

    def __init__(self, compiler: str, folder: Path) -> None:
        self._file, self._library = folder / "clock", folder / "moved_clock.so"
        self.move(0)
        source = Path(__file__).with_name("moved_clock.c")
        words = [compiler, "-O2", "-shared", "-fPIC", "-o", self._library, source, "-ldl"]
        subprocess.run(words, check=True)

    def move(self, seconds: int) -> None:
        """Let the programs' clock be so far off."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=q", seconds))

    def environment(self) -> dict[str, str]:
        """What a program needs to see the clock that moves."""
        return {"LD_PRELOAD": str(self._library), "IMIL_MOVED_CLOCK": str(self._file)}


class Run:
    """One training with its server and reader, and the accidents that happen to them."""

    def __init__(
        self,
        folder: Path,
        films: Path,
        server: Server | None,
        clock: Clock | None,
        rng: random.Random,
    ) -> None:
        self.folder, self.server, self.clock, self.rng = folder, server, clock, rng
        self.films = films
        self.events: Counter[str] = Counter()
        self.accident_until = 0.0
        folder.mkdir()
        self.run = RunFolder(folder / "run")
        self.environment = {"PGPASSWORD": PASSWORD, "IMIL_CACHE": str(folder / "cache")}
        port = free_port()
        self.words = ["train", str(films), *TRAIN, "--epochs", str(ROUNDS + 1)]
        self.words += ["--imil-epoch", ",".join(str(epoch) for epoch in range(1, ROUNDS + 1))]
        words, store = [*self.words, "--out", "run"], []
        if server is not None:
            self.url = server.new_store()
            store = ["--store", self.url]
        self.training = Program(
            [*words, "--reader", "web", *store], folder, "training", self.environment
        )
        self.serving = Program(
            ["serve", "run", "--port", str(port)], folder, "server", self.environment
        )
        self.network = UnsteadyNetwork(port)

    def go(self, enough: Callable[[Counter[str]], bool]) -> dict[str, Any]:
        """Train to the end, with accidents until there are enough; what went wrong."""
        began = time.monotonic()
        self.training.start()
        secret = self._link(self.training)
        self.training.words = ["resume", "run"]
        self.serving.start()
        link = f"{self.network.address}/in/{secret}"
        self.reader = BrowserReader(self.folder / "browser", link, self._new_link)
        self.reader.start()
        gone_on = True
        try:
            while self._goes_on():
                if time.monotonic() - began > LONGEST:
                    raise TimeoutError(f"not at its end after {LONGEST} s")
                time.sleep(self.rng.uniform(*PAUSE))
                if not enough(self.events):
                    self._accident()
        except TimeoutError as error:
            gone_on = False
            self.training.stuck.append(str(error))
        finally:
            self.reader.stop()
            for program in (self.training, self.serving):
                program.kill()
            self.network.close()
        result = self._counts(gone_on=gone_on)
        result["seconds"] = round(time.monotonic() - began)
        if self.server is not None:
            self.server.drop(self.url)
        return result

    def _link(self, program: Program) -> str:
        """The secret of the reader's link that a program prints."""
        while True:
            text = program.out.read_text() if program.out.exists() else ""
            if match := re.search(r"(?:Read here: +|^)http\S+/in/(\S+)\s", text):
                return match[1]
            if program.process.exitcode is not None:
                raise RuntimeError(text)
            time.sleep(0.1)

    def _new_link(self) -> str:
        """Another link of the same reader."""
        program = Program(["invite", "run", "reader"], self.folder, "invite", self.environment)
        while True:
            program.start()
            with contextlib.suppress(RuntimeError):  # the database or the disk was away
                return f"{self.network.address}/in/{self._link(program)}"
            time.sleep(1.0)

    def _goes_on(self) -> bool:
        """Keep server and training running; False when the training has ended well."""
        self.serving.keep_running(accident=self._was_accident(self.serving))
        return self.training.keep_running(accident=self._was_accident(self.training))

    def _was_accident(self, program: Program) -> bool:
        return self.accident_until > program.began

    def _accident(self) -> None:
        """Let something happen: more often a kill than anything else."""
        kinds: list[tuple[str, Callable[[], bool]]] = [
            ("training", self.training.kill),
            ("server", self.serving.kill),
            ("browser", self.reader.kill),
        ] * 3
        kinds.append(("network", self._cut_network))
        if self.server is not None:
            kinds.append(("database", self._crash_database))
        if self.clock is not None:
            kinds.append(("clock", self._move_clock))
        if os.geteuid() == 0:
            kinds.append(("disk", self._fill_disk))
        name, act = self.rng.choice(kinds)
        if act():
            self.events[name] += 1

    def _cut_network(self) -> bool:
        self.network.cut()
        time.sleep(self.rng.uniform(*FAILING))
        self.network.mend()
        return True

    def _crash_database(self) -> bool:
        assert self.server is not None
        with self._failing():
            self.server.stop(self.rng.choice(("immediate", "fast")))
            time.sleep(self.rng.uniform(*FAILING))
            self.server.start()
        return True

    def _move_clock(self) -> bool:
        assert self.clock is not None
        self.clock.move(self.rng.randint(-MOST_DAYS * DAY, MOST_DAYS * DAY))
        return True

    def _fill_disk(self) -> bool:
        filler = self.folder / "filler"
        with self._failing():
            with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(2**16))
            time.sleep(self.rng.uniform(*FAILING))
            filler.unlink()
            if self.server is not None and not self.server.answers():  # it gives up: see its log
                self.events["database ended by the full disk"] += 1
                self.server.start()
        return True

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """What programs do meanwhile, and in the seconds after, is due to the accident."""
        self.accident_until = time.monotonic() + DAY
        yield
        self.accident_until = time.monotonic() + 1.0

    def _counts(self, *, gone_on: bool) -> dict[str, Any]:
        os.environ["PGPASSWORD"] = PASSWORD
        with closing(Store(run_store(self.run.path).place, readonly=True)) as store:
            rounds = store.rounds("run")
            cases = {case.id: case for round_ in rounds for case in store.cases(round_.id)}
            stored = [one for round_ in rounds for one in store.readings(round_.id)]
        ids = Counter(one.id for one in stored)
        by_id = {one.id: one for one in stored}
        wrong = 0
        for one in stored:
            case = cases[one.case]
            wrong += one.squares != answer(case.epoch, case.number)
        lost = [id_ for id_ in self.reader.confirmed if id_ not in by_id]
        each = Counter(one.case for one in stored)
        sent = Counter(self.reader.sent.values())
        doubled = sum(count > 1 for count in ids.values())
        doubled += sum(
            count > max(1, sent[cases[id_].epoch, cases[id_].number]) for id_, count in each.items()
        )
        return {
            "store": "file" if self.server is None else "PostgreSQL",
            "events": dict(self.events),
            "rounds": len(rounds),
            "confirmed": len(self.reader.confirmed),
            "stored": len(stored),
            "lost": len(lost),
            "altered": wrong,
            "doubled": doubled,
            "asked again": len(self.reader.asked_again),
            "did not go on": 0 if gone_on else 1,
            "same weights": gone_on and self._same_weights(),
            "new links": self.reader.new_links,
            "starts": [self.training.starts, self.serving.starts, self.reader.starts],
            "ended in an accident": [*self.training.ended, *self.serving.ended],
            "ended without one": [*self.training.stuck, *self.serving.stuck],
        }

    def _same_weights(self) -> bool:
        """Whether a training that replays the readings has the same weights."""
        for words in (
            ["export", "run", "--out", "readings.csv"],
            [*self.words, "--out", "whole", "--reader", "replay:readings.csv"],
        ):
            program = Program(words, self.folder, words[0], self.environment)
            program.start()
            program.process.join()
            if program.process.exitcode != 0:
                self.training.stuck.append(program.out.read_text())
                return False
        ours, theirs = self.run.weights, RunFolder(self.folder / "whole").weights
        return ours.read_bytes() == theirs.read_bytes()
