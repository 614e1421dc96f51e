"""Squares that readers mark as misleading, from the reading to the training."""

import csv
import json
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import torch
from processes import command
from reader_contract import check_reader, make_case

from imil.agreement import agreement
from imil.cases import Correction, Reading, RoundSettings
from imil.errors import DataError, SettingsError, SquareError
from imil.grid import Grid
from imil.images.render import MISLEADING, SELECTED, case_panel, grid_lines, review_strip
from imil.phantom.dataset import write_phantoms
from imil.readers.replay import replay, write_readings
from imil.readers.simulated import Simulated
from imil.readers.spec import ReaderSpec
from imil.rounds import correct
from imil.store import Store
from imil.training.outputs.case_report import write_case_report
from imil.treatments import Batch, CamLoss, Cover, FieldOfView

GRID = Grid(4, 4)


def focus(squares=(), misleading=(), case="r@70#1", reader="Lee"):
    return Reading(case, reader, "focus", tuple(squares), misleading=tuple(misleading))


# --- the reading ----------------------------------------------------------------------------


def test_squares_are_put_in_order_and_kept_apart():
    checked = focus([7, 2], [16, 3, 3]).checked(GRID)
    assert (checked.squares, checked.misleading) == ((2, 7), (3, 16))


@pytest.mark.parametrize(
    ("reading", "error", "message"),
    [
        (focus([2], [17]), SquareError, "squares {17} lie outside a 4×4 grid"),
        (focus([2, 3], [3]), SettingsError, "squares 3 are both selected and misleading"),
        (focus([], range(1, 17)), SettingsError, "all 16 squares are misleading"),
        (focus(), SettingsError, "no square is selected"),
        (
            replace(focus([], [1]), verdict="skip"),
            SettingsError,
            "squares 1 with the verdict 'skip'",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(reading, error, message):
    with pytest.raises(error) as caught:
        reading.checked(GRID)
    assert message in str(caught.value)


def test_misleading_squares_alone_say_nothing_about_the_rest():
    assert focus([2], [3]).kept_squares(GRID) == (2,)
    assert focus([], [3, 4]).kept_squares(Grid(2, 3)) == (1, 2, 5, 6)


# --- store and replay -----------------------------------------------------------------------


def store_with(folder, readings, name="imil.sqlite"):
    store = Store(folder / name)
    store.add_run("r", class_names=["normal", "TB"], settings={}, versions={})
    store.open_round("r", 70, RoundSettings(), [make_case(n) for n in (1, 2, 3)])
    for reading in readings:
        store.add(reading)
    return store


GIVEN = [focus([2, 3], [4]), focus([], [13], "r@70#2"), focus([6], [], "r@70#3")]


@pytest.mark.parametrize("name", ["a.csv", "a.json", "imil.sqlite"])
def test_readings_are_replayed_with_their_misleading_squares(tmp_path, name):
    with closing(store_with(tmp_path, GIVEN)) as store:
        write_readings(tmp_path / name, store, "r") if name[0] == "a" else None
    cases = [make_case(n) for n in (1, 2, 3)]
    readings = check_reader(lambda: replay(tmp_path / name), cases)
    assert [(r.squares, r.misleading) for r in readings] == [
        (r.squares, r.misleading) for r in GIVEN
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("film-1,focus,3,3", "row 2: squares 3 are both selected and misleading"),
        ("film-1,focus,,17", "row 2: squares {17} lie outside"),
        ("film-1,focus,,x", "row 2: misleading is 'x': give numbers"),
        ("film-1,skip,,3", "row 2: misleading squares 3 with the verdict 'skip'"),
        ("film-1,focus,,", "row 2: no squares for 'film-1'"),
    ],
)
def test_a_bad_row_is_named(tmp_path, row, message):
    (tmp_path / "a.csv").write_text(f"key,verdict,squares,misleading\n{row}\n")
    with pytest.raises(DataError) as caught:
        replay(tmp_path / "a.csv").usable([70], GRID)
    assert message in str(caught.value)


# --- the simulated reader -------------------------------------------------------------------


def mask(*squares):
    return GRID.mask(squares, 16, 16)


def hot_case(**energies):
    """A case whose heat-map has this energy in each of these squares, `s4=2`, and nothing else."""
    heat = np.zeros((8, 8), np.float32)
    for name, value in energies.items():
        heat[GRID.mask([int(name[1:])], 8, 8)] = value
    return replace(make_case(), load_heat_map=lambda _: heat)


def simulated(**options):
    masks = [mask(6), mask(5, 6, 7, 9, 10, 11)]  # lesion, lungs
    return Simulated(masks=lambda _key: masks, seed=0, **options)


def test_a_simulated_reader_marks_what_the_model_looks_at_and_no_mask_touches():
    case = hot_case(s6=0.9, s5=0.8, s4=0.7, s13=0.3, s16=0.5, s1=0.01)
    assert marked(simulated(misleading=2), case) == (4, 16)
    assert marked(simulated(misleading=9), case) == (4, 13, 16), "1 has less than an even share"
    assert marked(simulated(), case) == ()
    assert marked(simulated(misleading=2), hot_case(s6=1)) == ()


def marked(reader, case):
    [reading] = check_reader(lambda: reader, [case])
    assert reading.squares == (6,)
    return reading.misleading


@pytest.mark.parametrize("value", [-1, 1.5, float("nan"), float("inf")])
def test_the_number_of_misleading_squares_is_checked(value):
    with pytest.raises(SettingsError, match="give a number of squares"):
        simulated(misleading=value)


def test_misleading_is_an_option_of_the_simulated_reader_alone():
    assert ReaderSpec.parse("simulated:misleading=2").options == {"misleading": 2}
    with pytest.raises(SettingsError, match="leave misleading out"):
        ReaderSpec.parse("random:misleading=2")


# --- pictures -------------------------------------------------------------------------------


def count(picture, colour):
    return int((np.asarray(picture) == colour).all(axis=-1).sum())


def test_misleading_squares_are_hatched_inside_their_own_border():
    film = np.full((400, 400), 128, np.uint8)
    drawn = np.asarray(grid_lines(film, GRID, numbers=False, squares=[6], misleading=[4, 16]))
    orange = (drawn == MISLEADING).all(axis=-1)
    assert not orange[~GRID.mask([4, 16], 400, 400)].any()
    assert 0.1 < orange[GRID.mask([4], 400, 400)].mean() < 0.4, "the film is still seen"
    # along the middle of the square: several stripes, with film between
    changes = np.diff(orange[50, 305:395].astype(int))
    assert (changes == 1).sum() >= 4
    assert count(drawn, SELECTED) > 0


@pytest.mark.parametrize("shape", [(1, 1), (3, 2000), (50, 60, 3)])
@pytest.mark.parametrize("grid", [Grid(1, 2), Grid(4, 6), Grid(64, 64)])
def test_any_shape_can_be_hatched(shape, grid):
    drawn = grid_lines(np.zeros(shape, np.uint8), grid, misleading=[1, grid.squares])
    assert drawn.size == (shape[1], shape[0])


def test_pictures_of_a_case_show_what_is_misleading_and_what_stays(tmp_path):
    film = np.full((64, 64), 255, np.uint8)
    case = make_case(image=film)
    assert count(case_panel(case, squares=(6,), misleading=(4,), height=200), MISLEADING) > 300
    strip = np.asarray(review_strip(case, (), "focus", misleading=(4, 16)))
    assert count(strip[:, -335:], (255, 255, 255)) == 14 * 80 * 80
    with closing(store_with(tmp_path, [focus([], [4, 16])])) as store:
        write_case_report(store, "r", tmp_path / "cases.html")
    page = (tmp_path / "cases.html").read_text()
    assert "squares: none selected; hatched: misleading 4 16" in page
    assert "trained on: blackout" in page


# --- corrections and treatments -------------------------------------------------------------


class Samples:
    """A training set that remembers what it was told to keep."""

    def __init__(self):
        self.kept = {}

    def __len__(self):
        return 3

    def key(self, i):
        return f"film-{i + 1}"

    def correct(self, i, kept):
        self.kept[i] = kept


def test_misleading_squares_alone_are_all_that_is_covered(tmp_path):
    samples = Samples()
    with closing(store_with(tmp_path, GIVEN)) as store:
        correct(samples, store.rounds()[0], store)
    assert samples.kept == {
        0: Correction(GRID, (2, 3)),
        1: Correction(GRID, (*range(1, 13), 14, 15, 16)),
        2: Correction(GRID, (6,)),
    }


def one_image_batch(reading):
    images = torch.full((1, 1, 8, 8), 9, dtype=torch.uint8)
    keep = torch.from_numpy(GRID.mask(reading.kept_squares(GRID), 8, 8))[None]
    return Batch(images, torch.zeros(1, dtype=torch.int64), torch.arange(1), keep)


def test_blackout_covers_the_misleading_squares_alone():
    batch = one_image_batch(focus([], [1, 16]))
    images = Cover().batch(batch, None, torch.Generator()).images[0, 0].numpy()
    assert (images == 0).tolist() == GRID.mask([1, 16], 8, 8).tolist()


def test_an_attention_loss_penalises_the_misleading_squares_alone():
    class Maps:
        def cams(self, _outputs, _classes):
            return torch.tensor(GRID.mask([1, 2, 3, 4, 16], 4, 4)[None], dtype=torch.float32)

    # a fifth of the energy in each of 1, 2, 3, 4 and 16
    loss = CamLoss().loss(torch.zeros(1, 2), Maps(), one_image_batch(focus([], [4, 13])))
    assert loss.item() == pytest.approx(1 / 5)
    loss = CamLoss().loss(torch.zeros(1, 2), Maps(), one_image_batch(focus([2], [4])))
    assert loss.item() == pytest.approx(4 / 5), "with selected squares, all others count"


def field(readings, irrelevant=0.1, n=20):
    """The squares called irrelevant by these readings, and the evidence."""
    by_row = dict(enumerate(readings))
    samples = list(range(n))
    rng = np.random.default_rng(0)
    found = FieldOfView(irrelevant=irrelevant, reliance=0).field(by_row, GRID, None, samples, rng)
    return set(found.evidence["irrelevant"]), found.evidence


def readings_of(n, selected_4=0, misleading_4=0, alone=0):
    """n readings of squares 6, 7 and, each by half, 1 to 16 otherwise; 4 as given."""
    rng = np.random.default_rng(1)
    others = [s for s in range(1, 17) if s not in (4, 6, 7)]
    result = []
    for i in range(n):
        squares = {6, 7, *rng.choice(others, 4, replace=False).tolist()}
        squares |= {4} if i < selected_4 else set()
        result.append(focus(sorted(squares), [4] if i >= n - misleading_4 else []))
    return result + [focus([], [4])] * alone


def test_a_square_that_several_mark_as_misleading_is_irrelevant_though_a_few_select_it():
    # 20 readings: 4 is selected in 15 %, so it is relevant by its share alone
    assert 4 not in field(readings_of(20, selected_4=3))[0]
    irrelevant, evidence = field(readings_of(20, selected_4=3, misleading_4=4))
    assert 4 in irrelevant
    assert evidence["misleading"] == [4]
    json.dumps(evidence)


@pytest.mark.parametrize(
    ("selected", "misleading", "n"),
    [(3, 1, 20), (3, 2, 20), (3, 3, 20), (3, 2, 8), (9, 4, 20)],
    ids=["one alone", "fewer", "as many", "fewer of few", "most select it"],
)
def test_marks_of_few_do_not_outweigh_those_who_select_it(selected, misleading, n):
    assert 4 not in field(readings_of(n, selected, misleading))[0]


def test_a_tenth_of_the_readings_is_needed():
    two_of_thirty = readings_of(30, selected_4=1, misleading_4=2)
    assert "misleading" not in field(two_of_thirty, irrelevant=0.1)[1]
    assert field(two_of_thirty, irrelevant=0.05)[1]["misleading"] == [4]


def test_without_a_misleading_square_the_evidence_is_as_before():
    plain = readings_of(20, selected_4=1)
    alone = [*plain, focus([], [16])]  # one mark alone decides nothing
    assert field(plain)[1] == field(alone)[1]
    assert "misleading" not in field(plain)[1]


def test_random_squares_are_refused_whatever_is_marked_as_misleading():
    rng = np.random.default_rng(5)
    orders = [rng.permutation(16) + 1 for _ in range(20)]
    readings = [focus(map(int, order[:6]), map(int, order[6:9])) for order in orders]
    with pytest.raises(SettingsError, match=r"do not tell which squares .* chance is 0\.50"):
        field(readings)


def test_misleading_squares_alone_are_too_few_to_tell_what_is_relevant():
    with pytest.raises(SettingsError, match="0 readings with selected squares are too few"):
        field([focus([], [4])] * 9)


# --- agreement ------------------------------------------------------------------------------


def test_the_agreement_on_misleading_squares_is_told_apart():
    """Kappa by hand: 16 squares in one case of both readers.

    Lee marks 4 and 8, Silva 4: both leave out 14, both mark 4, they differ in 8. Agreement is
    15 / 16; 29 of 32 answers are no, so chance is (29² + 3²) / 32².
    """
    readings = [
        focus([6], [4, 8], "a"),
        focus([6], [4], "a", "Silva"),
        focus([6], [4], "b"),
        Reading("b", "Silva", "skip"),
    ]
    both = agreement(readings, GRID)
    chance = (29**2 + 3**2) / 32**2
    assert both.misleading.kappa == pytest.approx((15 / 16 - chance) / (1 - chance))
    assert both.misleading.jaccard == 0.5
    assert (both.misleading.cases, both.misleading.marked) == (1, 2)
    without = agreement([replace(one, misleading=()) for one in readings], GRID)
    assert without.misleading is None
    assert replace(both, misleading=None) == without


def test_a_reading_of_misleading_squares_alone_disagrees_with_nobody_on_the_others():
    readings = [focus([6], [4], "a"), focus([], [4], "a", "Silva")]
    both = agreement(readings, GRID)
    assert (both.cases, both.kappa, both.jaccard["a"]) == (0, None, None)
    assert both.misleading.jaccard == 1


# --- training -------------------------------------------------------------------------------


def test_a_training_replays_misleading_squares_to_the_end(tmp_path):
    films = write_phantoms(tmp_path / "films", n=40, size=48, seed=0, letter=0.9)

    def imil(*words):
        result = command(words, tmp_path, IMIL_CACHE=str(tmp_path / "cache"), COLUMNS="160")
        assert result.returncode == 0, result.stderr
        return result.stdout

    flags = ["--model", "test_resnet", "--image-size", "32", "--epochs", "3", "--lr", "0.05"]
    flags += ["--batch-size", "16", "--imil-epoch", "2", "--num-outliers", "4"]
    imil("train", films, *flags, "--reader", "simulated:misleading=2", "--out", "first")
    with closing(Store(tmp_path / "first" / "imil.sqlite", readonly=True)) as store:
        given = store.current_readings("first@2").values()
        assert any(reading.misleading for reading in given)
        keys = [case.key for case in store.cases("first@2")]
        write_readings(tmp_path / "given.csv", store, "first")
    with (tmp_path / "given.csv").open() as file:
        rows = list(csv.DictReader(file))
    rows[0] |= {"squares": "", "misleading": "4 16"}  # misleading ones alone
    with (tmp_path / "changed.csv").open("w") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    imil("train", films, *flags, "--reader", "replay:given.csv", "--out", "same")
    imil("train", films, *flags, "--reader", "replay:changed.csv", "--out", "other")
    assert weights(tmp_path / "same") == weights(tmp_path / "first")
    assert weights(tmp_path / "other") != weights(tmp_path / "first")
    shown = imil("rounds", "other")
    assert "-4 -16" in shown
    assert keys[0] in shown.replace("\n", "")
    assert "misleading 4 16" in (tmp_path / "other" / "cases.html").read_text()


def weights(run):
    return (run / "model.safetensors").read_bytes()
