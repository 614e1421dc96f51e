"""A run as figures and tables in a notebook: its measures, rounds, cases and curve."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imil.cases import Case, Reading, Round
from imil.errors import SettingsError
from imil.images.montage import marks_as_text, percent
from imil.images.render import review_strip
from imil.json_files import read_table
from imil.round_numbers import round_numbers
from imil.run_folder import RunFolder
from imil.run_store import run_store
from imil.store import Store
from imil.store.find_run import find_run
from imil.store_address import DatabaseUrl, Location

TEMPLATES = Path(__file__).parent / "templates"
PICTURES = 4  # cases of a round that are shown as pictures, as in the paper's Figure 5
HEIGHT = 170  # pixels of each picture: four side by side in a notebook's column


@dataclass(frozen=True)
class RunView:
    """A run, which a notebook shows as figures and tables; `print` shows a line.

    Args:
        source: a run's folder, its store, the address of a database, or an open `Store`.
        run: its name in the store; None: the folder's, or the newest.
        pictures: of how many cases of each round there are pictures.
    Raises: SettingsError: there is neither a store nor a table of measures.
    """

    source: Store | Location | str
    run: str | None = None
    pictures: int = PICTURES

    def __post_init__(self) -> None:
        if isinstance(self.source, Store):
            return
        found = run_store(_address(self.source))
        if found.is_missing and not self._file("metrics"):
            raise SettingsError(
                f"{self.source} has no store and no measures of a run: give a folder that `imil "
                "train` made, or the store of a training of your own"
            )

    def __repr__(self) -> str:
        with self._opened() as (store, name):
            rounds = store.rounds(name) if store is not None else []
        return f"RunView({name}: {len(rounds)} rounds)"

    def _repr_html_(self) -> str:
        """The run as HTML that loads nothing, in the colours of the page around it."""
        from imil.html_templates import html_templates  # here: callbacks work without Jinja2

        with self._opened() as (store, name):
            rounds = [] if store is None else [self._round(store, r) for r in store.rounds(name)]
        template = html_templates(TEMPLATES).get_template("run_view.html")
        return template.render(
            name=name,
            rounds=rounds,
            measures=self._measures(),
            figures=[
                (what, _png_uri(path))
                for what, file in (("training curve", "curve"), ("what is learned", "learned_map"))
                if (path := self._file(file))
            ],
        )

    @contextmanager
    def _opened(self) -> Iterator[tuple[Store | None, str]]:
        """The store and the run's name there; no store where the run has held no round."""
        if isinstance(self.source, Store):
            yield self.source, find_run(self.source, self.run)
            return
        found = run_store(_address(self.source))
        if found.is_missing:
            yield None, self.run or RunFolder(Path(str(self.source))).name
            return
        with closing(Store(found.place, readonly=True)) as store:
            yield store, find_run(store, self.run or found.run)

    def _file(self, name: str) -> Path | None:
        """A file of the run's folder, by its name in `RunFolder`; None: there is none."""
        if isinstance(self.source, Store | DatabaseUrl) or not Path(self.source).is_dir():
            return None
        path: Path = getattr(RunFolder(Path(self.source)), name)
        return path if path.is_file() else None

    def _measures(self) -> dict[str, Any] | None:
        """Measures of the test set before each round and at the end, as rows of text."""
        path = self._file("metrics")
        if path is None:
            return None
        held = read_table(path, "delete it, and go on with `imil resume`")
        rows = [(f"before the round after epoch {r['epoch']}", r["before"]) for r in held["rounds"]]
        tests = [(when, splits.get("test", {})) for when, splits in [*rows, ("end", held["end"])]]
        names = list(tests[-1][1])
        return {
            "names": names,
            "rows": [(when, [_number(one.get(name)) for name in names]) for when, one in tests],
        }

    def _round(self, store: Store, round_: Round) -> dict[str, Any]:
        cases, readings = store.cases(round_.id), store.current_readings(round_.id)
        return {
            "epoch": round_.epoch,
            "state": round_.state,
            "grid": str(round_.settings.grid),
            "numbers": [
                (name.rpartition("/")[2].replace("_", " "), f"{value:g}")
                for name, value in round_numbers(store, round_).items()
            ],
            "cases": [_row(case, readings.get(case.id)) for case in cases],
            "pictures": [
                (case.number, _strip_uri(case, readings.get(case.id)))
                for case in cases[: self.pictures]
            ],
        }


def _row(case: Case, reading: Reading | None) -> list[str]:
    answer = ["unread", "", ""]
    if reading is not None:
        marks = marks_as_text(reading.squares, reading.misleading)
        answer = [reading.verdict, marks, reading.reader]
    shown = [case.predicted_name, percent(case.confidence), case.true_name]
    return [str(case.number), case.key, *shown, *answer]


def _strip_uri(case: Case, reading: Reading | None) -> str:
    """Image, heat-map, squares and blackout of a case as a data URI."""
    if reading is None:
        strip = review_strip(case, (), None, height=HEIGHT)
    else:
        squares, verdict, misleading = reading.squares, reading.verdict, reading.misleading
        strip = review_strip(case, squares, verdict, misleading=misleading, height=HEIGHT)
    content = io.BytesIO()
    strip.save(content, "JPEG", quality=86)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()


def _png_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _address(source: Location | str) -> str | Path:
    return source if isinstance(source, str | Path) else str(source)
