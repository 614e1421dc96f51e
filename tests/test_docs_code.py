"""Every Python block of README and documentation runs, and everything that a tutorial shows."""

import importlib
import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from docs_blocks import PYTHON, ROOT, TUTORIALS, Tutorial, presses, python_pages
from reader_contract import make_case
from torch import nn

from imil import Reading, RoundSettings, Store, choices
from imil.predictions import Predictions

PAGE = "docs/tutorials/radiologist.md"


def blocks():
    """A parameter for each block: its page and its number on it."""
    for page in python_pages():
        name = page.relative_to(ROOT).as_posix()
        for number, example in enumerate(PYTHON.parse(page)):
            marks = MARKS.get((name, number), [])
            yield pytest.param(page, number, marks=marks, id=f"{name}:{example.line}")


def drawn_net():
    """A training set of drawn films, and a network for it."""
    from imil.phantom.dataset import draw

    rng = np.random.default_rng(0)
    films = [(draw(i % 2, rng, size=32).image, i % 2) for i in range(8)]
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return films, nn.Sequential(*net, nn.Linear(4, 2))


def everywhere(cases):
    """A reader who selects everything."""
    for case in cases:
        yield Reading(case.id, "me", "focus", tuple(range(1, case.grid.squares + 1)))


def answers_at_the_terminal(names, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("6 7\n\n" * 20 + "\n"))
    monkeypatch.setenv("PATH", "")  # so that no picture viewer is found and opened


def a_store(names, monkeypatch):
    case = make_case(run="r")
    store = Store("imil.sqlite")
    store.add_run("r", class_names=case.class_names, settings={}, versions={})
    store.open_round("r", 70, RoundSettings(num_outliers=1), [case])
    (stored,) = store.cases(store.rounds()[0].id)
    store.add(Reading(stored.id, "me", "focus", (6, 7)))
    store.close()


def a_choice_may_be_added(names, monkeypatch):
    monkeypatch.setitem(choices.CHOICES, "least_certain", None)  # taken back after the test


def a_training_of_ones_own(names, monkeypatch):
    from imil.pytorch import IMIL, CorrectedDataset

    films, model = drawn_net()
    names |= {
        "IMIL": IMIL,
        "train": CorrectedDataset(films),
        "model": model,
        "ask": everywhere,
        "losses": [],
        "train_and_validate": lambda epoch: 2.0,
    }
    Path("run").mkdir()


def raw_images(names, monkeypatch):
    import imil.pytorch

    films, model = drawn_net()
    names |= {
        "imil": SimpleNamespace(pytorch=imil.pytorch),
        "CorrectedDataset": imil.pytorch.CorrectedDataset,
        "raw": films,
        "augment": lambda image: torch.as_tensor(np.array(image))[None] / 255,
        "normalise": lambda image: torch.as_tensor(np.array(image))[None] / 255,
        "model": model,
        "ask": everywhere,
    }


def a_keras_model(names, monkeypatch):
    keras = pytest.importorskip("keras", reason="needs Keras: pip install 'imil[keras]'")
    films, _ = drawn_net()
    layers = keras.layers
    net = [layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    model = keras.Sequential([keras.Input((32, 32, 1)), *net])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="sgd", loss=loss)
    names |= {"raw": films, "augment": None, "normalise": None, "ask": everywhere, "model": model}


def volumes_and_a_net(names, monkeypatch):
    from imil.pytorch import IMIL, CorrectedDataset

    rng = np.random.default_rng(0)
    volumes = [(rng.integers(0, 255, (6, 16, 16, 1), np.uint8), i % 2) for i in range(8)]
    net = nn.Sequential(nn.Conv3d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten())
    names |= {
        "IMIL": IMIL,
        "CorrectedDataset": CorrectedDataset,
        "volumes": volumes,
        "normalise": lambda volume: torch.as_tensor(np.array(volume))[None, ..., 0] / 255,
        "net": nn.Sequential(*net, nn.Linear(4, 2)),
        "reader": everywhere,
    }
    Path("run").mkdir()


def a_round_has_slabs(names, output):
    held = names["imil"].after_epoch(70)
    assert held.cases > 0
    assert str(held.settings.grid) == "4×4×3"


def every_case_was_answered(names, output):
    assert "That was the last case" in output


def the_reading_is_listed(names, output):
    assert output.split() == ["70", "film-1", "TB", "(6,", "7)"]


def every_square_is_selected(names, output):
    case = make_case()
    (reading,) = names["everything"]([case])
    assert reading.squares == tuple(range(1, case.grid.squares + 1))


def the_choice_is_known_by_its_name(names, output):
    probs = np.array([[0.9, 0.1], [0.55, 0.45], [0.4, 0.6]])
    predictions = Predictions(probs, np.array([0, 0, 0]), ["a", "b", "c"])
    rng = np.random.default_rng(0)
    assert choices.choose_cases("least_certain", predictions, 2, rng, {}) == [1, 2]


def rounds_were_held(names, output):
    epochs = [round_.epoch for round_ in Store("run/imil.sqlite", readonly=True).rounds()]
    assert epochs == list(range(11, 101, 11)), "each after ten epochs without a lower loss"


def nothing_more(names, output):
    """The block says nothing that could be checked but that it runs."""


# what a block finds, and what must be so when it has run: by page and number on it
AROUND = {
    ("README.md", 0): (answers_at_the_terminal, every_case_was_answered),
    ("docs/api.md", 0): (a_choice_may_be_added, the_choice_is_known_by_its_name),
    ("docs/api.md", 1): (a_store, the_reading_is_listed),
    ("docs/frameworks.md", 0): (raw_images, nothing_more),
    ("docs/frameworks.md", 1): (a_keras_model, nothing_more),
    ("docs/readers.md", 0): (lambda *_: None, every_square_is_selected),
    ("docs/training.md", 0): (a_training_of_ones_own, rounds_were_held),
    ("docs/volumes.md", 0): (volumes_and_a_net, a_round_has_slabs),
}
KERAS = [pytest.mark.slow, pytest.mark.process, pytest.mark.filterwarnings("ignore")]
SLOW = [pytest.mark.slow]
MARKS = {
    ("README.md", 0): SLOW,
    ("docs/frameworks.md", 1): KERAS,
}


@pytest.mark.parametrize(("page", "number"), list(blocks()))
def test_a_block_of_python_runs(page, number, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    document = PYTHON.parse(page)
    before, after = AROUND[page.relative_to(ROOT).as_posix(), number]
    before(document.namespace, monkeypatch)
    list(document)[number].evaluate()
    after(document.namespace, capsys.readouterr().out)


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
@pytest.mark.process
@pytest.mark.slow  # trains, and reads in a browser
def test_everything_that_a_tutorial_shows_can_be_done(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tutorial = Tutorial(tmp_path, press=read_as_shown if page.stem == "radiologist" else None)
    try:
        tutorial.run(page)
    finally:
        tutorial.end()
    if page.stem == "radiologist":
        answers = readings(tmp_path / "runs/room/imil.sqlite")
        assert [answer[:3] for answer in answers[:7]] == [
            ("focus", (6, 7, 10, 11), ()),
            ("focus", (6,), ()),
            ("focus", (), (1,)),
            ("focus", (6, 10), (4,)),
            ("wrong label", (), ()),
            ("not assessable", (), ()),
            ("skip", (), ()),
        ]


def readings(path):
    """Verdict, selected and misleading squares of each case, in their order."""
    store = Store(path, readonly=True)
    (round_,) = store.rounds()
    current = store.current_readings(round_.id)
    found = [current[case.id] for case in store.cases(round_.id)]
    store.close()
    return [(one.verdict, one.squares, one.misleading) for one in found]


def read_as_shown(link):
    """Read all cases in a browser: the first as the tutorial says, the others in one way."""
    browsers = importlib.import_module("browsers")
    address, secret = link.split("/in/")
    rows = list(presses(ROOT / PAGE))
    (round_,) = Store("runs/room/imil.sqlite", readonly=True).rounds()
    with browsers.chromium() as browser:
        reader = browsers.ReaderBrowser(browser, address, secret).start()
        page = reader.page
        for number in range(1, round_.cases + 1):
            reader.wait_for_case(number)
            before = None
            for keys in rows[number - 1] if number <= len(rows) else ["d", "6 7", "Control+Enter"]:
                if keys == before:
                    page.wait_for_timeout(1000)  # a double click is one press
                (page.keyboard.type if keys[0] in "-0123456789" else page.keyboard.press)(keys)
                before = keys
        page.get_by_role("heading", name="Your readings").wait_for()
        reader.click_button("Finish the round")
        page.get_by_text("Thank you").first.wait_for()
        assert reader.errors == []
